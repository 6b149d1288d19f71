//! How well requests fitted the recording: `matched: 3 exact, 1 renamed, 2 pinned`.

use super::lines::Lines;
use super::style::Ink;
use super::words::many;
use crate::replay::matcher::MatchClass;
use crate::replay::policy::CLASSES;
use crate::replay::tally::{Matching, Stale, Tally};
use std::collections::BTreeMap;

/// What the matcher came to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Matched {
    /// Requests by class.
    pub classes: BTreeMap<MatchClass, u32>,
    /// What it had to do beside.
    pub matching: Matching,
}

impl Matched {
    /// Of a replay or a fork.
    pub fn of(tally: &Tally) -> Matched {
        Matched { classes: tally.classes(), matching: tally.matching }
    }
}

/// Says how many requests fell into each class, unless all are exact, and what else was not plain. `waits`: retries
/// are told of elsewhere.
pub(super) fn matched(lines: &mut Lines, matched: &Matched, waits: bool) {
    let count = |class: &MatchClass| matched.classes.get(class).copied().unwrap_or_default();
    let classes: Vec<String> = CLASSES
        .iter()
        .filter(|(class, _)| count(class) > 0)
        .map(|(class, name)| format!("{} {name}", count(class)))
        .collect();
    if CLASSES.iter().any(|(class, _)| *class != MatchClass::Exact && count(class) > 0) {
        lines.say(Ink::Dim, &format!("matched: {}", classes.join(", ")));
    }
    let Matching { swapped, symmetric, gate_timeouts, side_repeats, side_unknown, retries, .. } =
        matched.matching;
    let retries = if waits { 0 } else { retries };
    let odd: Vec<String> = [
        (swapped, "result of equal calls in another order", "results of equal calls in another order"),
        (symmetric, "symmetric choice", "symmetric choices"),
        (gate_timeouts, "gate timeout", "gate timeouts"),
        (side_repeats, "side call repeated", "side calls repeated"),
        (side_unknown, "side call not in the recording", "side calls not in the recording"),
        (retries, "retry collapsed", "retries collapsed"),
    ]
    .iter()
    .filter(|(n, ..)| *n > 0)
    .map(|(n, one, more)| format!("{n} {}", if *n == 1 { one } else { more }))
    .collect();
    if !odd.is_empty() {
        lines.say(Ink::Dim, &format!("matching: {}", odd.join(", ")));
    }
    if swapped > 0 {
        lines.say(
            Ink::Dim,
            "  equal calls: same tool and arguments, made at once; nothing tells which is which, and no edit is to blame",
        );
    }
    if symmetric > 0 {
        lines.say(
            Ink::Dim,
            "  symmetric: conversations that had sent the same; each is served one of the recorded ones, to its end",
        );
    }
}

/// Recorded results that were shown after a write that was not as recorded.
pub(super) fn stale(lines: &mut Lines, stale: &[Stale]) {
    let step = |step: Option<u32>| step.map(|n| format!("step {n} ")).unwrap_or_default();
    let told: Vec<String> = stale
        .iter()
        .take(3)
        .map(|s| {
            let (tool, after) = (super::words::line(&s.tool), super::words::line(&s.after));
            format!("{}{tool} after {}{after}", step(s.step), step(s.after_step))
        })
        .collect();
    let more = match stale.len().saturating_sub(told.len()) {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    if !told.is_empty() {
        let results = many(stale.len() as u64, "stale result");
        let why = "recorded before a write that was not as recorded this time";
        lines.say(Ink::Bad, &format!("warning: {results}: {}{more} ({why})", told.join(", ")));
    }
}
