//! The same calls in another order, and calls that are missing.

use super::{Pair, Second, other};
use crate::dialect::summary;
use crate::replay::doctor::findings::{Copes, Finding, Source};
use crate::replay::doctor::rehearsal::{Event, events};
use crate::replay::matcher::{Ask, Recording};
use crate::run::reading::readings;
use crate::run::{CallSite, StepKind};
use std::collections::BTreeSet;

impl<R: Recording + Clone, S: Recording> Pair<'_, R, S> {
    /// Results of one message in another order. True when they are.
    pub(super) fn result_order(&mut self, place: (u32, u32), recorded: &Ask, live: &Ask) -> bool {
        let order = |ask: &Ask| -> Vec<usize> {
            let there = readings(&ask.request.messages);
            let Some(last) = there.last() else { return Vec::new() };
            let mut placed: Vec<(usize, usize, usize)> =
                last.pieces.iter().filter_map(|p| Some((p.message, p.index, p.answers?))).collect();
            placed.sort_unstable();
            placed.into_iter().map(|(_, _, call)| call).collect()
        };
        let (a, b) = (order(recorded), order(live));
        if a == b || a.len() != b.len() {
            return false;
        }
        let of = place.1.checked_sub(1);
        let steps = |calls: &[usize]| -> Vec<u32> {
            let site = |call: &usize| Some(CallSite { lane: place.0, turn: of?, call: *call as u32 });
            calls
                .iter()
                .filter_map(|c| self.numbers.get(&StepKind::Tool { site: site(c)? }).copied())
                .collect()
        };
        let (a, b) = (steps(&a), steps(&b));
        self.findings.push(in_order("results", &a, &b));
        true
    }

    /// Calls of several lanes in another order.
    pub(super) fn order(&mut self) {
        let met: BTreeSet<(u32, u32)> = self.met.iter().copied().collect();
        let then: Vec<(u32, u32)> = events(self.first.outline())
            .into_iter()
            .filter_map(|event| match event {
                Event::Begin { lane, turn } => Some((lane, turn)),
                Event::End { .. } => None,
            })
            .filter(|place| met.contains(place))
            .collect();
        if then == self.met {
            return;
        }
        let steps = |places: &[(u32, u32)]| places.iter().filter_map(|p| self.step(*p)).collect::<Vec<u32>>();
        let (a, b) = (steps(&then), steps(&self.met));
        let head = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
        let tail = a
            .iter()
            .rev()
            .zip(b.iter().rev())
            .take(a.len().min(b.len()) - head)
            .take_while(|(x, y)| x == y)
            .count();
        let middle = |all: &[u32]| all.get(head..all.len() - tail).unwrap_or_default().to_vec();
        if a.len() == b.len() {
            self.findings.push(in_order("model calls", &middle(&a), &middle(&b)));
        }
    }

    /// Steps of the first run that the second did not ask for.
    pub(super) fn unasked(&mut self) {
        let follows = self.lanes.iter().any(|t| t.skip_from.is_some());
        if follows || self.kind == (Second::Replay { stopped: true }) {
            return;
        }
        let outline = self.first.outline();
        // The matcher knows by now which of identical siblings was which.
        let left = self.rehearsal.matcher().unasked();
        let mut steps: Vec<u32> = left.into_iter().filter_map(|place| self.step(place)).collect();
        steps.sort_unstable();
        let Some(first) = steps.first().and_then(|n| outline.step(*n)) else { return };
        let StepKind::Model { lane, turn } = first else { return };
        let said = self
            .first
            .answer(lane, turn)
            .map(|a| summary::answer_line(&a.blocks, usize::MAX))
            .unwrap_or_default();
        let why = Some("the agent did not ask for it again".to_string());
        self.findings.push(Finding { steps, why, ..other(None, "", &said, "") });
    }
}

fn in_order(what: &str, recorded: &[u32], live: &[u32]) -> Finding {
    let listed = |steps: &[u32]| steps.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
    let mut steps = recorded.to_vec();
    steps.sort_unstable();
    Finding {
        source: Source::Order,
        steps,
        path: what.to_string(),
        copes: Copes::Matched,
        ..other(None, "", &listed(recorded), &listed(live))
    }
}
