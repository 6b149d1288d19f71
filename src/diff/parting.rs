//! The first step at which two runs part.

use super::cause::{Cause, Instead, Kin, Parting, cause_of, in_words};
use super::context::{ContextDiff, context_across, context_in};
use super::levels::{At, Level};
use super::rows::{PairKind, Place, Status, StepPair, act_of};
use super::view::RunView;
use super::worlds::Worlds;
use crate::run::Turn;
use std::collections::{HashMap, HashSet};

/// The requests of paired model calls.
pub(super) struct Requests<'a, 'r> {
    pub worlds: &'a Worlds<'a, 'r>,
    pub left: &'a RunView<'r>,
    pub right: &'a RunView<'r>,
}

impl Requests<'_, '_> {
    /// How the two requests of a row differ. Where only one run has the step, its request is held against the next one
    /// that the other makes in the same lane: that is what this one answers to. None when there is none, and for tools.
    pub(super) fn diff(&self, rows: &[StepPair], at: usize) -> Option<Result<ContextDiff, String>> {
        let row = rows.get(at).filter(|r| r.kind == PairKind::Model)?;
        let next = |of: fn(&StepPair) -> Option<Place>| {
            let mut later = rows.iter().skip(at).filter(|r| r.lane == row.lane && r.kind == PairKind::Model);
            later.find(|r| of(r).is_some() && r.status != Status::Moved).and_then(of)
        };
        let l = row.places.0.or_else(|| next(|r| r.places.0))?;
        let r = row.places.1.or_else(|| next(|r| r.places.1))?;
        let (a, b) = (l.turn(self.left)?, r.turn(self.right)?);
        let load = || {
            let (left, right) = (self.left.request_of(a)?, self.right.request_of(b)?);
            let api = |run: &RunView, turn: &Turn| run.source.api(*turn.attempts.last()?);
            Ok(match (api(self.left, a), api(self.right, b)) {
                (Some(from), Some(to)) if from != to => {
                    context_across(self.worlds, (&left, &right), (from, to))
                }
                _ => context_in(self.worlds, &left, &right),
            })
        };
        let varies =
            |diff: &Result<ContextDiff, String>| diff.as_ref().is_ok_and(ContextDiff::is_volatile_only);
        Some(self.worlds.attempt(load, varies))
    }

    /// What the other run did next in the lane of a step that only one run has.
    fn instead(&self, rows: &[StepPair], at: usize) -> Option<Instead> {
        let row = rows.get(at).filter(|r| r.kind == PairKind::Model)?;
        let is_there = |r: &&StepPair| r.lane == row.lane && r.kind == PairKind::Model;
        let mut later = rows.iter().skip(at + 1).filter(is_there).filter(|r| r.status != Status::Moved);
        let (step, act) = match row.status {
            Status::OnlyLeft => {
                let (place, step) = later.find_map(|r| Some((r.places.1?, r.right)))?;
                (step, act_of(self.right, place)?)
            }
            Status::OnlyRight => {
                let (place, step) = later.find_map(|r| Some((r.places.0?, r.left)))?;
                (step, act_of(self.left, place)?)
            }
            _ => return None,
        };
        Some(Instead { step, act })
    }

    fn error(&self, row: &StepPair) -> Option<String> {
        let of = |place: Option<Place>, run: &RunView| place?.turn(run)?.error.clone();
        match (of(row.places.0, self.left), of(row.places.1, self.right)) {
            (None, Some(e)) | (Some(e), None) => Some(e),
            _ => None,
        }
    }
}

pub(super) fn parting(rows: &[StepPair], at: usize, kin: &Kin, requests: &Requests) -> Parting {
    let row = rows.get(at);
    let context = requests.diff(rows, at);
    let error = row.and_then(|r| requests.error(r));
    Parting {
        row: at,
        left: row.and_then(|r| r.left),
        right: row.and_then(|r| r.right),
        cause: cause_of(rows, at, kin, context.as_ref(), error.as_deref()),
        instead: requests.instead(rows, at),
    }
}

/// The first row that differs in more than ids and clocks: in what it did, or in what was asked although nothing
/// before it differs.
pub(super) fn first_parting(rows: &mut [StepPair], kin: &Kin, requests: &Requests) -> Option<Parting> {
    let mut lanes: HashMap<String, Vec<usize>> = HashMap::new();
    for (at, row) in rows.iter().enumerate() {
        lanes.entry(row.lane.clone()).or_default().push(at);
    }
    // Lanes in which something varies; and the row of each lane that was looked at whose request is the first to differ.
    let mut settled: HashSet<String> = HashSet::new();
    let mut ahead: HashMap<String, Option<usize>> = HashMap::new();
    for at in 0..rows.len() {
        let Some(row) = rows.get(at).filter(|r| !r.is_side) else { continue };
        match row.status {
            Status::Same => {}
            Status::NotRun => continue,
            Status::Varies => {
                settled.insert(row.lane.clone());
            }
            _ => return Some(parting(rows, at, kin, requests)),
        }
        if !is_asked_differently(row, kin) || ahead.get(&row.lane).is_some_and(|parts| *parts != Some(at)) {
            continue;
        }
        let lane = row.lane.clone();
        let settles = settled.insert(lane.clone());
        let diff = requests.diff(rows, at);
        let Some(row) = rows.get_mut(at) else { continue };
        match diff {
            Some(Ok(diff)) if diff.is_volatile_only() => {
                let is_empty = diff.is_empty();
                if is_empty {
                    row.level = row.level.max(Some(Level::Bytes));
                } else if settles {
                    row.status = Status::Varies;
                    row.level = Some(Level::Json);
                    row.fields = diff.into_fields();
                }
                let later = Later::of(rows, lanes.get(&lane).map_or(&[], Vec::as_slice), at, kin, requests);
                for at in later.same.into_iter().chain([at]).filter(|_| is_empty) {
                    if let Some(row) = rows.get_mut(at) {
                        row.asked_differently = false;
                        row.level = row.level.max(Some(Level::Bytes));
                    }
                }
                ahead.insert(lane, later.parts);
            }
            Some(Ok(_)) => {
                row.asked_differently = true;
                row.level = row.level.max(Some(Level::Json));
                return Some(parting(rows, at, kin, requests));
            }
            Some(Err(why)) if settles => {
                let cause = Cause::Unknown { why };
                return Some(Parting { row: at, left: row.left, right: row.right, cause, instead: None });
            }
            Some(Err(_)) | None => {
                ahead.insert(lane, None);
            }
        }
    }
    None
}

/// An edit changes the copy that goes upstream, which the outline's keys do not show.
fn is_asked_differently(row: &StepPair, kin: &Kin) -> bool {
    let edited = || kin.number(row).is_some_and(|n| kin.covers(n));
    row.kind == PairKind::Model && (row.asked_differently || edited())
}

/// What the later requests of a lane are like, up to where it acts differently. A request holds those before it, so
/// that the last one tells of all: each of thousands would be read for every turn of theirs.
struct Later {
    /// The first row whose request has something else that is the agent's own doing.
    parts: Option<usize>,
    /// Rows whose requests are the same.
    same: Vec<usize>,
}

impl Later {
    fn of(rows: &[StepPair], lane: &[usize], at: usize, kin: &Kin, requests: &Requests) -> Later {
        let goes_on = |row: &StepPair| matches!(row.status, Status::Same | Status::Varies | Status::NotRun);
        let later = lane.iter().copied().filter(|i| *i > at).map_while(|i| Some((i, rows.get(i)?)));
        let asked: Vec<usize> = later
            .take_while(|(_, row)| goes_on(row))
            .filter(|(_, row)| row.status != Status::NotRun && is_asked_differently(row, kin))
            .map(|(i, _)| i)
            .collect();
        let diff = |i: usize| requests.diff(rows, i).and_then(Result::ok);
        let is_code = |i: usize| diff(i).is_some_and(|diff| !in_words(&diff).is_empty());
        match asked.last().map(|last| diff(*last)) {
            Some(Some(diff)) if diff.is_empty() => Later { parts: None, same: asked },
            Some(Some(diff)) if !in_words(&diff).is_empty() => {
                let first = asked.partition_point(|i| !is_code(*i));
                Later { parts: asked.get(first).copied(), same: Vec::new() }
            }
            _ => Later { parts: None, same: Vec::new() },
        }
    }
}

/// The first paired model call before the first difference in a value whose bytes differ.
pub(super) fn first_bytes(left: &RunView, right: &RunView, rows: &[StepPair]) -> Option<At> {
    let of =
        |place: Option<Place>, run: &RunView| run.source.fingerprint(*place?.turn(run)?.attempts.last()?);
    rows.iter()
        .filter(|r| r.kind == PairKind::Model && !r.is_side)
        .take_while(|r| r.level.is_none())
        .find(|r| {
            let (a, b) = (of(r.places.0, left), of(r.places.1, right));
            a.is_some() && b.is_some() && a != b
        })
        .map(|r| At { left: r.left, right: r.right })
}
