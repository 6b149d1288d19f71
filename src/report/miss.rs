//! Why nothing recorded was right for a request.

use super::context::field;
use super::style::{Ink, Style};
use super::words::{clip, line};
use crate::diff::FieldChange;
use crate::replay::matcher::{Miss, Near};

/// Nearest turns that are told of.
const NEAREST: usize = 3;

/// The explanation for the terminal. The agent gets the same facts in the body of its error.
pub fn miss(miss: &Miss, style: Style) -> String {
    explained("no recorded answer is right for this request", miss, style)
}

/// The same for a request whose recorded answer is known, but which fits it less well than was asked for.
pub fn not_allowed(miss: &Miss, style: Style) -> String {
    explained("the recorded answer is known, but this match is not allowed to pass", miss, style)
}

fn explained(title: &str, miss: &Miss, style: Style) -> String {
    let room = style.columns().saturating_sub(12);
    let mut out = format!("{}\n", style.paint(Ink::Bad, title));
    let mut labelled = |label: &str, text: &str| {
        out.push_str(&format!("  {} {text}\n", style.paint(Ink::Dim, &format!("{label:<9}"))));
    };
    labelled("asked", &clip(&line(&miss.asked), room));
    // The reason is retake's own sentence and is never cut.
    labelled("because", &line(&miss.reason));
    for (n, near) in miss.nearest.iter().take(NEAREST).enumerate() {
        labelled(if n == 0 { "nearest" } else { "then" }, &format!("{}: {}", place(near), line(&near.why)));
        let mut lines = Vec::new();
        let change = FieldChange {
            path: near.path.clone(),
            left: Some(some(&near.recorded)),
            right: Some(some(&near.live)),
            varies: false,
        };
        if !(near.path.is_empty() && near.recorded.is_empty() && near.live.is_empty()) {
            field(&mut lines, "", &change, room.saturating_sub(4), style);
        }
        for text in lines {
            labelled("", &text);
        }
    }
    let more = miss.nearest.len().saturating_sub(NEAREST);
    if more > 0 {
        labelled("", &format!("and {more} more that fit less"));
    }
    for (n, hint) in miss.hints.iter().enumerate() {
        labelled(if n == 0 { "next" } else { "" }, &line(hint));
    }
    out
}

/// A hint to fork or replay with the command that was given this time; `typed` is empty when it was the recorded one.
pub fn with_command(hint: &str, typed: &str) -> String {
    let at = ["`retake fork ", "`retake replay "].iter().find_map(|verb| hint.find(verb)).map(|at| at + 1);
    let end = at.and_then(|at| Some(at + hint.get(at..)?.find('`')?));
    match end.and_then(|end| hint.split_at_checked(end)) {
        Some((before, after)) if !typed.is_empty() && !before.contains(" -- ") => {
            format!("{before} -- {typed}{after}")
        }
        _ => hint.to_string(),
    }
}

/// A side that has nothing is said to.
fn some(text: &str) -> String {
    let text = text.trim_end();
    if text.is_empty() { "(none)".into() } else { text.into() }
}

fn place(near: &Near) -> String {
    let turn = format!("lane {}, turn {}", line(&near.lane), near.turn + 1);
    near.step.map_or_else(|| turn.clone(), |step| format!("step {step} ({turn})"))
}
