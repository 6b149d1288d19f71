//! What tools returned, as far as it counts.

use super::collect::{Walk, names};
use super::smallest::{difference, fields};
use super::{Code, Drift, Finding};
use crate::diff::{Act, PairKind, StepPair};
use crate::exchange::Source;
use crate::run::StepKind;

impl Walk<'_, '_> {
    /// True for a result that a replay let pass as the recorded one: it is declared so, or what stands around the results of
    /// an answer goes by their order.
    pub(super) fn passed(&self, row: &StepPair) -> bool {
        let Some(pinned) = &self.pinned else { return false };
        let call = row.right.and_then(|step| match self.right.outline.step(step)? {
            StepKind::Tool { site } => self.right.outline.call(site),
            StepKind::Model { .. } => None,
        });
        let carried = call.and_then(|call| call.result.as_ref()).map(|result| result.exchange);
        let is_served = carried.is_some_and(|id| is_recorded(&self.right.source.source(id)));
        is_served && row.left.is_some_and(|step| !pinned.contains(&step))
    }

    /// The row of a call of the same answer, when each has the result that the other one had.
    pub(super) fn exchanged(&self, at: usize, row: &StepPair) -> Option<usize> {
        let result = |act: &'_ Option<Act>| match act {
            Some(Act::Returns { text: Some(text), .. }) => Some(text.clone()),
            _ => None,
        };
        let (then, now) = (result(&row.before)?, result(&row.after)?);
        let is_beside =
            |(_, other): &(usize, &StepPair)| other.kind == PairKind::Tool && other.lane == row.lane;
        let rows = || self.comparison.rows.iter().enumerate();
        let behind = rows().skip(at + 1).take_while(is_beside);
        let before = rows().take(at).rev().take_while(is_beside);
        let crosses = |other: &StepPair| {
            result(&other.before) == Some(now.clone()) && result(&other.after) == Some(then.clone())
        };
        behind.chain(before).find(|(_, other)| crosses(other)).map(|(other, _)| other)
    }

    pub(super) fn crossed(&mut self, at: usize, row: &StepPair, tool: &str, other: usize) {
        let with = match self.comparison.rows.get(other).and_then(|other| other.before.as_ref()) {
            Some(Act::Returns { tool: with, .. }) if with != tool => {
                format!("the results of {tool} and {with}")
            }
            _ => format!("two results of {tool}"),
        };
        let what = format!("{with} have changed places");
        let finding = Finding::new(Code::PromptChanged, Drift::Code, (row.left, row.right), what);
        self.out.results_told.extend(row.left);
        self.out.at(at, finding.with(fields(&row.fields, tool)));
    }

    pub(super) fn result(
        &mut self,
        at: usize,
        row: &StepPair,
        tool: &str,
        steps: (Option<u32>, Option<u32>),
    ) {
        let (
            Some(Act::Returns { text: Some(l), is_error: le, .. }),
            Some(Act::Returns { text: Some(r), is_error: re, .. }),
        ) = (&row.before, &row.after)
        else {
            let was_told = matches!(&row.before, Some(Act::Returns { text: Some(_), .. }));
            let (code, what) = match was_told {
                true => (Code::MissingCall, format!("the model is never told what {tool} returned")),
                false => (Code::ToolResultChanged, format!("the result of {tool} comes back, and did not")),
            };
            let finding = Finding::new(code, Drift::Code, steps, what);
            return match self.first_refused {
                Some(refused) => self.out.following(at.max(refused + 1), finding),
                None => self.out.at(at, finding),
            };
        };
        let changes = fields(&row.fields, tool);
        let what = match (le, re) {
            (false, true) => format!("{tool} fails now"),
            (true, false) => format!("{tool} does not fail any more"),
            _ if !changes.is_empty() && changes.iter().all(|of| of.after.is_none()) => {
                format!("{tool} returns no {} any more", names(&changes, tool))
            }
            _ if !changes.is_empty() && changes.iter().all(|of| of.before.is_none()) => {
                format!("{tool} returns {} too", names(&changes, tool))
            }
            _ => match names(&changes, tool).as_str() {
                "value" => format!("{tool} returns something else"),
                names => format!("{tool} returns another {names}"),
            },
        };
        let changes = if changes.is_empty() { vec![difference(tool, Some(l), Some(r))] } else { changes };
        self.out.at(at, Finding::new(Code::ToolResultChanged, Drift::World, steps, what).with(changes));
    }
}

fn is_recorded(source: &Source) -> bool {
    matches!(source, Source::Recorded { .. } | Source::Edited { .. })
}
