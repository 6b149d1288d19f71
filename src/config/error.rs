//! What is wrong with a `retake.toml`, or with the file beside a case: the line, the sentence, the next step.

use crate::report::words::{block, clip, fold, width};
use crate::run::spelling::nearest;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Columns of a line that is shown, and of the part of it before what is wrong.
const COLUMNS: (usize, usize) = (100, 60);
/// Columns of a list of names.
const NAMES: usize = 80;

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read at all.
    #[error("{} cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Something in it is wrong.
    #[error("{} line {line}: {what}", path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong, in a sentence.
        what: String,
        /// The line with a mark below what is wrong in it, as several lines; empty when no place in it is.
        excerpt: String,
        /// What to do, over several lines when it is long; empty when the sentence says it.
        hint: String,
    },
}

/// Something wrong, by its place in the text.
#[derive(Debug)]
pub(super) struct Wrong {
    pub at: Range<usize>,
    pub what: String,
    pub hint: String,
}

impl ConfigError {
    pub(super) fn wrong(path: &Path, text: &str, wrong: Wrong) -> ConfigError {
        let before = text.as_bytes().get(..wrong.at.start).unwrap_or(text.as_bytes());
        let line = before.iter().filter(|b| **b == b'\n').count() + 1;
        let excerpt = excerpt(text, &wrong.at, line).unwrap_or_default();
        ConfigError::Wrong { path: path.to_path_buf(), line, what: wrong.what, excerpt, hint: wrong.hint }
    }

    /// What to do next.
    pub fn hint(&self) -> &str {
        match self {
            ConfigError::Unreadable { .. } => "--config FILE names another one",
            ConfigError::Wrong { hint, .. } => hint,
        }
    }

    /// The line that is wrong, with a mark, as several lines; empty when there is none.
    pub fn excerpt(&self) -> &str {
        match self {
            ConfigError::Unreadable { .. } => "",
            ConfigError::Wrong { excerpt, .. } => excerpt,
        }
    }
}

/// A line and a mark below a place in it, as the TOML reader shows them. None when the place is no place in the text.
fn excerpt(text: &str, at: &Range<usize>, number: usize) -> Option<String> {
    let before = text.get(..at.start)?;
    let first = |text: &str| block(text.lines().next().unwrap_or_default());
    let (marked, rest) = (first(text.get(at.clone())?), first(text.get(at.start..)?));
    let head = block(before.rsplit('\n').next().unwrap_or_default());
    if at.is_empty() && head.is_empty() && rest.is_empty() {
        return None;
    }
    // A long line is shown around what is wrong in it.
    let head = match width(&head) > COLUMNS.1 {
        true => format!("…{}", head.chars().skip(head.chars().count() - COLUMNS.1 / 2).collect::<String>()),
        false => head,
    };
    let rest = clip(&rest, COLUMNS.0 - width(&head));
    let marks = "^".repeat(width(&marked).clamp(1, width(&rest).max(1)));
    let (number, gap) = (number.to_string(), " ".repeat(number.to_string().len()));
    let mark = " ".repeat(width(&head));
    Some(format!("{gap} |\n{number} | {head}{rest}\n{gap} | {mark}{marks}"))
}

/// An error of the TOML reader, in this house's words.
pub(super) fn of_toml(error: &toml::de::Error, text: &str) -> Wrong {
    let message = error.message();
    let at = of_name(message, text, error.span().unwrap_or_default());
    let mut what = message.lines().map(str::trim).collect::<Vec<_>>().join(", ");
    let mut hint = String::new();
    if message.starts_with("unknown") {
        // Names stand in backticks: first the unknown one, then those that there are.
        let mut named = message.split('`').skip(1).step_by(2);
        let unknown = named.next().unwrap_or_default();
        let known: Vec<&str> = named.collect();
        what = message.split(", ").next().unwrap_or(message).to_string();
        hint = match nearest(unknown, known.iter().copied()) {
            Some(name) => format!("did you mean {name}?"),
            None => there(&known.join(", ")),
        };
    } else if let Some((unknown, known)) = message.split_once("; there are ") {
        (what, hint) = (unknown.to_string(), there(known));
    } else if message.starts_with("missing field `call`") || message.starts_with("missing field `times`") {
        hint = "for instance: at_most = { call = \"search\", times = 3 }".into();
    } else if message.starts_with("missing field") || message.contains("struct PriceRule") {
        // Nothing else in the file has parts that it must have.
        what = what.replace("expected struct PriceRule", "expected a table");
        hint = "a price has input and output, in US dollars for a million tokens: [prices.\"MODEL\"]".into();
    } else if message.contains("expected f64") {
        what = "a number is expected here".into();
        hint = match key(text, at.start) {
            Some("timeout" | "seconds") => "seconds, without quotes: timeout = 60".into(),
            _ => "prices are US dollars for a million tokens: input = 2.5".into(),
        };
    } else if message.contains("expected a string") {
        what = "a text is expected here".into();
        hint = "texts stand in quotes: share = \"10%\"".into();
    } else if message.contains("escape") {
        hint = "write patterns in single quotes, where \\ is a \\: pattern = '\\d+'".into();
    } else if message.contains("expected a sequence") {
        what = "a list is expected here".into();
        hint = match key(text, at.start) {
            Some("command") => words(text.get(at.clone()).unwrap_or_default()),
            _ => {
                "rules stand under [[ignore]] and [[hole]], with two brackets; lists are like [\"a\", \"b\"]"
                    .into()
            }
        };
    }
    Wrong { at, what, hint }
}

/// The names that there are, a few a line.
fn there(names: &str) -> String {
    match names {
        "" => String::new(),
        names => fold(&format!("there are {names}"), NAMES).join("\n"),
    }
}

/// The key of the value that begins here; none for what is no value of a key.
fn key(text: &str, start: usize) -> Option<&str> {
    let before = text.get(..start)?.trim_end_matches(' ').strip_suffix('=')?.trim_end_matches(' ');
    before.rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '_').next()
}

/// The command that somebody has written as one text, as a list; an example where a shell would do more than part it.
fn words(written: &str) -> String {
    let inner = written.trim_matches(|c| c == '"' || c == '\'');
    let plain = |c: char| c.is_alphanumeric() || " _-./=:,@+".contains(c);
    let words: Vec<&str> = match inner.chars().all(plain) {
        true => inner.split_whitespace().collect(),
        false => Vec::new(),
    };
    let words = if words.is_empty() { vec!["python", "agent.py"] } else { words };
    format!("a command is a list of its words: command = {words:?}")
}

/// Where the key stands that a message begins with, in the table that is told to be wrong.
fn of_name(message: &str, text: &str, at: Range<usize>) -> Range<usize> {
    let name =
        message.strip_prefix('"').and_then(|rest| rest.split('"').next()).filter(|name| !name.is_empty());
    let (Some(name), Some(from)) = (name, text.get(at.start..)) else { return at };
    let mut start = at.start;
    for line in from.split_inclusive('\n') {
        let indent = line.len() - line.trim_start().len();
        let rest = line.trim_start().trim_start_matches('"').strip_prefix(name);
        if rest.is_some_and(|rest| rest.trim_start_matches('"').trim_start().starts_with('=')) {
            return start + indent..start + indent + name.len();
        }
        start += line.len();
    }
    at
}
