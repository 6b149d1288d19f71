//! A place that was found, and that who replays does not take.

use super::decision::{Ask, MatchClass, Miss};
use super::unify::{Difference, StandIns, Unifier};
use super::{Live, Matcher, Recording, bindings::Bindings, explain};
use crate::run::reading::readings;

impl<R: Recording> Matcher<R> {
    /// Why a request is refused though its place is known: its class is not allowed. The first difference is told as if
    /// nothing might differ.
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
        let difference = self.first_difference(&live, lane, turn);
        let near = explain::near(self.recording.outline(), lane, turn, why, difference);
        Miss { asked: explain::asked(&live), reason: String::new(), nearest: vec![near], hints: Vec::new() }
    }

    fn first_difference(&self, live: &Live<'_>, lane: u32, turn: u32) -> Option<Difference> {
        let recorded = self.recording.request(lane, turn).ok()?;
        let there = readings(&recorded.messages);
        let (nothing, none) = (StandIns::default(), Bindings::default());
        let mut unifier = Unifier::new(&nothing, &none, Bindings::default());
        if let Err(difference) = unifier.head(&recorded, &live.ask.request) {
            return Some(difference);
        }
        let pairs = there.iter().zip(&live.readings);
        let mut differences = pairs.filter_map(|(a, b)| {
            unifier.reading(a, b, &|_, _| false, &mut |_, _, difference| Err(difference)).err()
        });
        differences.next().or_else(|| {
            (there.len() != live.readings.len()).then(|| explain::lengths(&there, &live.readings))
        })
    }
}
