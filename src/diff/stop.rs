//! A run that retake stopped: at a fence, at its limit of live calls. What it was not allowed to do is no difference.

use super::rows::{Act, PairKind, Status, StepPair, fenced};
use super::view::RunView;
use crate::exchange::Source;
use crate::run::stop::was_not_asked;
use crate::run::{StepKind, ToolCallRef, Turn};
use serde::Serialize;
use std::borrow::Cow;

/// Where retake stopped a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Stop {
    /// Number of the model call at which it stopped.
    pub step: u32,
    /// True at a fence: the model was asked, its answer was held back.
    pub fenced: bool,
}

impl Stop {
    /// The first stop of a run.
    pub fn of(run: &RunView) -> Option<Stop> {
        let stops = (1u32..).zip(&run.outline.steps).filter_map(|(step, kind)| {
            let StepKind::Model { lane, turn } = kind.kind else { return None };
            let turn = run.outline.turn(lane, turn).filter(|t| t.error.is_some())?;
            let fenced = fenced(run, turn).is_some();
            (fenced || not_asked(run, turn)).then_some(Stop { step, fenced })
        });
        stops.min_by_key(|stop| (!stop.fenced, stop.step))
    }
}

/// True for a model call that was not made, since the run had been stopped on purpose.
pub(super) fn not_asked(run: &RunView, turn: &Turn) -> bool {
    let refused = || turn.attempts.last().is_some_and(|id| run.source.source(*id) == Source::Refused);
    turn.error.as_deref().is_some_and(was_not_asked) && refused()
}

/// A turn as the model wanted it: with the calls that a fence held back.
pub(super) fn wanted<'t>(run: &RunView, turn: &'t Turn) -> Cow<'t, Turn> {
    let Some(Act::Fenced { calls }) = turn.error.as_ref().and_then(|_| fenced(run, turn)) else {
        return Cow::Borrowed(turn);
    };
    let text = run.answer_of(turn).map(|answer| answer.text()).unwrap_or_default();
    let call = |c: super::Call| ToolCallRef { id: String::new(), name: c.tool, args: c.args, result: None };
    let calls = calls.into_iter().map(call).collect();
    Cow::Owned(Turn { error: None, text, calls, ..turn.clone() })
}

/// Marks the steps of the other run that a stopped run had no time for. `left` and `right`: where they were stopped.
pub(super) fn mark(rows: &mut [StepPair], left: Option<Stop>, right: Option<Stop>) {
    if let Some(stop) = right {
        mark_side(rows, stop, Status::OnlyLeft, |r| (r.right, r.left, r.places.0.map(|p| p.lane)));
    }
    if let Some(stop) = left {
        mark_side(rows, stop, Status::OnlyRight, |r| (r.left, r.right, r.places.1.map(|p| p.lane)));
    }
}

/// `of`: the number of a row in the stopped run, its number and lane in the other one.
fn mark_side(
    rows: &mut [StepPair],
    stop: Stop,
    missing: Status,
    of: impl Fn(&StepPair) -> (Option<u32>, Option<u32>, Option<u32>),
) {
    let there = rows.iter().find(|r| r.kind == PairKind::Model && of(r).0 == Some(stop.step));
    let reached = there.and_then(|r| of(r).1);
    let last_of =
        |rows: &[StepPair], lane: u32| rows.iter().rposition(|r| of(r).2 == Some(lane) && of(r).0.is_some());
    for at in 0..rows.len() {
        let Some(row) = rows.get(at).filter(|r| r.status == missing) else { continue };
        let (_, Some(number), Some(lane)) = of(row) else { continue };
        // The rows of a lane stand in its order: what comes after the last that both have was cut off.
        let cut_off = match last_of(rows, lane) {
            Some(last) => last < at,
            None => reached.is_some_and(|reached| number > reached),
        };
        if let Some(row) = rows.get_mut(at).filter(|_| cut_off) {
            (row.status, row.level) = (Status::NotRun, None);
        }
    }
}
