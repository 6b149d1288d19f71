//! What is wrong with a `retake.toml`: the line, the sentence, the next step.

use crate::run::spelling::nearest;
use std::ops::Range;
use std::path::{Path, PathBuf};

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
        /// What to do; empty when the sentence says it.
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
        ConfigError::Wrong { path: path.to_path_buf(), line, what: wrong.what, hint: wrong.hint }
    }

    /// What to do next.
    pub fn hint(&self) -> &str {
        match self {
            ConfigError::Unreadable { .. } => "--config FILE names another one",
            ConfigError::Wrong { hint, .. } => hint,
        }
    }
}

/// An error of the TOML reader, in this house's words.
pub(super) fn of_toml(error: &toml::de::Error) -> Wrong {
    let message = error.message();
    let mut what = message.lines().map(str::trim).collect::<Vec<_>>().join(", ");
    // Names stand in backticks: first the unknown one, then those that there are.
    let mut named = message.split('`').skip(1).step_by(2);
    let mut hint = String::new();
    if message.starts_with("unknown") {
        let meant = named.next().and_then(|unknown| nearest(unknown, named));
        hint = meant.map_or_else(
            || "its parts: [[ignore]] and [[hole]] with dialect, path, pattern; [tools]; [replay]; [sampling]; [prices.\"MODEL\"]".into(),
            |name| format!("did you mean {name}?"),
        );
    } else if message.starts_with("missing field") || message.contains("struct PriceRule") {
        // Nothing else in the file has parts that it must have.
        what = what.replace("expected struct PriceRule", "expected a table");
        hint = "a price has input and output, in US dollars for a million tokens: [prices.\"MODEL\"]".into();
    } else if message.contains("expected f64") {
        what = "a number is expected here".into();
        hint = "prices are US dollars for a million tokens: input = 2.5".into();
    } else if message.contains("expected a string") {
        what = "a text is expected here".into();
        hint = "texts stand in quotes: share = \"10%\"".into();
    } else if message.contains("escape") {
        hint = "write patterns in single quotes, where \\ is a \\: pattern = '\\d+'".into();
    } else if message.contains("expected a sequence") {
        what = "a list is expected here".into();
        hint = "rules stand under [[ignore]] and [[hole]], with two brackets; lists are like [\"a\", \"b\"]"
            .into();
    }
    Wrong { at: error.span().unwrap_or_default(), what, hint }
}
