//! A place that was found, and that who replays does not take.

use super::decision::{Ask, MatchClass, Miss};
use super::holes::Holes;
use super::segments::{Backdrop, Part, Said};
use super::unify::{Difference, Known, Unifier};
use super::{Live, Matcher, Recording, bindings::Bindings, explain};
use crate::diff::field;
use crate::replay::doctor::any_index;
use crate::run::reading::readings;

/// Nothing may differ.
struct Strict(Holes);

impl Backdrop for Strict {
    fn holes(&self) -> &Holes {
        &self.0
    }

    fn may_bind(&self, recorded: &str, live: &str) -> bool {
        recorded == live
    }

    fn split(&self, _: &str, _: &str) -> (Vec<Part>, Vec<Part>) {
        Default::default()
    }

    fn may_swap(&self, recorded: Said, live: Said) -> bool {
        recorded == live
    }
}

impl<R: Recording> Matcher<R> {
    /// Why a request is refused though its place is known: its class is not allowed. The first difference is told as if
    /// nothing might differ. The reason is the caller's to say.
    pub fn refused(&self, ask: &Ask, (lane, turn): (u32, u32), class: MatchClass) -> Miss {
        let why = match class {
            MatchClass::Exact => "it is the same",
            MatchClass::Renamed => "only values that stand for each other differ",
            MatchClass::Pinned => "only results of tool calls that were the same differ",
            MatchClass::Masked => "only what a rule says does not count differs",
            MatchClass::Reordered => "only the order of lines or items differs",
            MatchClass::Drift => "another request",
        };
        let live = Live::read(ask);
        let difference = self.first_difference(&live, lane, turn).map(within_json);
        let varies = difference.as_ref().filter(|_| class == MatchClass::Pinned).map(|d| hole_for(&d.path));
        let near = explain::near(self.recording.outline(), lane, turn, why, difference);
        Miss {
            asked: explain::asked(&live),
            reason: String::new(),
            nearest: vec![near],
            hints: varies.unwrap_or_default(),
        }
    }

    fn first_difference(&self, live: &Live<'_>, lane: u32, turn: u32) -> Option<Difference> {
        let recorded = self.recording.request(lane, turn).ok()?;
        let there = readings(&recorded.messages);
        let (strict, below) = (Strict(Holes::default()), Bindings::default());
        let known = Known { behind: &strict, below: &below, plain: true, dialect: live.ask.dialect };
        let mut unifier = Unifier::new(known, Bindings::default());
        if let Err(difference) = unifier.head(&recorded, &live.ask.request) {
            return Some(difference);
        }
        let pairs = there.iter().zip(&live.readings);
        let mut differences = pairs.filter_map(|(a, b)| {
            unifier.reading(a, b, &|_, _| false, &mut |_, _, difference| Err(difference)).err()
        });
        let found = differences.next().or_else(|| {
            (there.len() != live.readings.len()).then(|| explain::lengths(&there, &live.readings))
        });
        // A quantity, or an id, which no comparison minds.
        found.or_else(|| {
            let mut messages = recorded.messages.iter().zip(&live.ask.request.messages).enumerate();
            let (at, (a, b)) = messages.find(|(_, (a, b))| a != b)?;
            let text = |message| serde_json::to_string(message).unwrap_or_default();
            let (recorded, live) = (text(&a.blocks), text(&b.blocks));
            Some(Difference { path: format!("messages[{at}]"), recorded, live })
        })
    }
}

/// A difference of two texts that are JSON, told of the first field that differs.
fn within_json(difference: Difference) -> Difference {
    let changes = field::texts(&difference.recorded, &difference.live);
    match changes.into_iter().next() {
        Some(change) if !change.path.is_empty() => {
            let dot = if change.path.starts_with('[') { "" } else { "." };
            let side = |text: Option<String>| text.unwrap_or_else(|| "(absent)".into());
            Difference {
                path: format!("{}{dot}{}", difference.path, change.path),
                recorded: side(change.left),
                live: side(change.right),
            }
        }
        _ => difference,
    }
}

/// The rule that declares a field to differ from run to run, to be pasted, line by line.
fn hole_for(path: &str) -> Vec<String> {
    let lines = ["or say in retake.toml that it varies:", "[[hole]]"].map(str::to_string);
    let any = toml::Value::String(any_index(path));
    lines.into_iter().chain([format!("path = {any}"), "pattern = '(?s).+'".to_string()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::matcher::holes::{Hole, HoleKind, Rules};

    #[test]
    fn the_rule_to_paste_covers_the_place_it_is_for() {
        let at = "messages[8][1].result.rows[3].at";
        let lines = hole_for(at);
        assert_eq!(lines[2], r#"path = "messages[*][*].result.rows[*].at""#);
        let rules = Rules::new(
            Vec::new(),
            vec![Hole::new(None, Some("messages[*][*].result.rows[*].at"), "(?s).+", HoleKind::Any).unwrap()],
        );
        assert_eq!(rules.holes("openai-chat", at, "7").len(), 1);
        assert_eq!(hole_for("system")[2], r#"path = "system""#);
    }

    #[test]
    fn the_field_that_differs_is_named() {
        let of = |recorded: &str, live: &str| {
            let (recorded, live) = (recorded.to_string(), live.to_string());
            within_json(Difference { path: "messages[1].result".into(), recorded, live })
        };
        let found = of(r#"{"a":1,"b":[{"at":5}]}"#, r#"{"a":1,"b":[{"at":6}]}"#);
        assert_eq!((found.path.as_str(), found.recorded.as_str()), ("messages[1].result.b[0].at", "5"));
        assert_eq!(of("[1]", "[2]").path, "messages[1].result[0]");
        assert_eq!(of("one", "two").path, "messages[1].result");
    }
}
