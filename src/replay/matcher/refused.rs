//! A place that was found, and that who replays does not take.

use super::decision::{Ask, MatchClass, Miss};
use super::segments::{Backdrop, Part, Said};
use super::unify::{Difference, Known, Unifier};
use super::{Bindings, Live, Matcher, Recording, explain};
use crate::diff::field;
use crate::holes::Holes;
use crate::replay::doctor::rule_for;
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
        let looked = self.first_difference(&live, (lane, turn), class).map(within_json);
        let rule = |d: &Difference| rule_for(&d.path, &d.recorded, &d.live);
        let rule = looked.as_ref().filter(|_| class == MatchClass::Pinned).and_then(rule);
        let difference = looked;
        let near = explain::near(self.recording.outline(), lane, turn, why, difference);
        Miss {
            asked: explain::asked(&live),
            reason: String::new(),
            nearest: vec![near],
            hints: rule.iter().flat_map(|rule| pasted(rule)).collect(),
        }
    }

    /// The first difference that makes a request one of this class: of a pinned one the result that was pinned, of
    /// others whatever is not the same.
    fn first_difference(
        &self,
        live: &Live<'_>,
        (lane, turn): (u32, u32),
        class: MatchClass,
    ) -> Option<Difference> {
        let recorded = self.recording.request(lane, turn).ok()?;
        let there = readings(&recorded.messages);
        if class == MatchClass::Pinned {
            let bound = Bindings::default();
            let mut unifier = Unifier::new(self.known(live.ask.dialect, &bound), bound.clone());
            let pairs = there.iter().zip(&live.readings).rev();
            let mut differences = pairs.filter_map(|(a, b)| {
                unifier.reading(a, b, &|_, _| false, &mut |_, _, difference| Err(difference)).err()
            });
            if let Some(difference) = differences.next() {
                return Some(difference);
            }
        }
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

/// A rule to be pasted, line by line.
fn pasted(rule: &str) -> Vec<String> {
    let say = "or, if it varies without meaning, say so in retake.toml:".to_string();
    std::iter::once(say).chain(rule.lines().map(str::to_string)).collect()
}
