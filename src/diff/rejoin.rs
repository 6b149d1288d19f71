//! Rows that belong together though the pairing of lanes does not say so.

use super::compare::Builder;
use super::keys::call_key;
use super::levels::Level;
use super::refused::partners;
use super::rows::{PairKind, Place, Status, StepPair};
use super::served::{At, Served};
use super::worlds::Side;
use std::collections::{HashMap, HashSet};

/// Finds turns from row `begin` on that only stand elsewhere: one on each side, with the same calls, each once.
pub(super) fn moved(rows: &mut Vec<StepPair>, begin: usize, build: &Builder) {
    let key = |row: &StepPair| {
        let (side, run) =
            if row.left.is_some() { (Side::Left, build.left) } else { (Side::Right, build.right) };
        let turn = row.places.0.or(row.places.1)?.turn(run)?;
        (row.kind == PairKind::Model && !turn.calls.is_empty()).then(|| {
            turn.calls.iter().map(|c| call_key(build.worlds, side, c)).collect::<Vec<_>>().join("\n")
        })
    };
    let mut alone: HashMap<String, (Vec<usize>, Vec<usize>)> = HashMap::new();
    for (i, row) in rows.iter().enumerate().skip(begin) {
        let side = match row.status {
            Status::OnlyLeft => 0,
            Status::OnlyRight => 1,
            _ => continue,
        };
        if let Some(key) = key(row) {
            let places = alone.entry(key).or_default();
            if side == 0 { places.0.push(i) } else { places.1.push(i) }
        }
    }
    let mut gone = HashSet::new();
    for (l, r) in alone.into_values() {
        let (&[l], &[r]) = (l.as_slice(), r.as_slice()) else { continue };
        for step in 0..=tools_behind(rows, l) {
            let Some(left) = rows.get(l + step).cloned() else { continue };
            if let Some(right) = rows.get_mut(r + step) {
                (right.left, right.places.0) = (left.left, left.places.0);
                if let (Some(a), Some(b)) = right.places {
                    build.compare(right, a, b);
                }
                right.status = Status::Moved;
                right.level = Some(Level::Action);
                gone.insert(l + step);
            }
        }
    }
    without(rows, &gone);
}

/// Joins the turns that have one answer, where their lanes are not paired.
pub(super) fn served(rows: &mut Vec<StepPair>, build: &Builder, served: &Served) {
    let (lefts, rights) = model_rows(rows);
    let mut gone = HashSet::new();
    for (left, right) in served.all() {
        let (Some(l), Some(r)) = (lefts.get(&left), rights.get(&right)) else { continue };
        let alone = |at: usize, status: Status| rows.get(at).is_some_and(|row| row.status == status);
        if alone(*l, Status::OnlyLeft) && alone(*r, Status::OnlyRight) {
            for step in 0..=tools_behind(rows, *l).min(tools_behind(rows, *r)) {
                join(rows, (l + step, r + step), build);
                gone.insert(r + step);
            }
        }
    }
    without(rows, &gone);
}

/// Joins the requests of a replay that had no answer with what they were meant to be, and with nothing else.
pub(super) fn refused(rows: &mut Vec<StepPair>, build: &Builder, served: &Served) {
    let partners = partners(build.left, build.right, served);
    if partners.is_empty() {
        return;
    }
    let (mut lefts, mut rights) = model_rows(rows);
    for (partner, refused) in &partners {
        let Some(&at) = rights.get(refused) else { continue };
        let Some(row) =
            rows.get(at).cloned().filter(|row| row.places.0.is_some_and(|l| Some(of(l)) != *partner))
        else {
            continue;
        };
        let alone = |places| {
            let made = build.row(places)?;
            Some(StepPair { lane: row.lane.clone(), is_side: row.is_side, ..made })
        };
        if let (Some(left), Some(right)) = (alone((row.places.0, None)), alone((None, row.places.1))) {
            lefts.extend(row.places.0.map(|place| (of(place), at)));
            rights.insert(*refused, rows.len());
            rows.iter_mut().skip(at).take(1).for_each(|row| row.clone_from(&left));
            rows.push(right);
        }
    }
    let mut gone = HashSet::new();
    for (partner, refused) in partners {
        let places = (partner.and_then(|left| lefts.get(&left)), rights.get(&refused));
        let (Some(&l), Some(&r)) = places else { continue };
        if l != r && rows.get(l).is_some_and(|row| row.places.1.is_none()) {
            join(rows, (l, r), build);
            gone.insert(r);
        }
    }
    without(rows, &gone);
}

/// The rows of model calls: by the turn of the left run, and by that of the right one.
fn model_rows(rows: &[StepPair]) -> (HashMap<At, usize>, HashMap<At, usize>) {
    let model = || rows.iter().enumerate().filter(|(_, row)| row.kind == PairKind::Model);
    let lefts = model().filter_map(|(at, row)| Some((of(row.places.0?), at)));
    let rights = model().filter_map(|(at, row)| Some((of(row.places.1?), at)));
    (lefts.collect(), rights.collect())
}

fn of(place: Place) -> At {
    (place.lane as usize, place.turn as usize)
}

/// A model call's row is followed by those of its tools: so many.
fn tools_behind(rows: &[StepPair], at: usize) -> usize {
    rows.iter().skip(at + 1).take_while(|row| row.kind == PairKind::Tool).count()
}

/// Gives a row that stands alone the step of the other run.
fn join(rows: &mut [StepPair], (l, r): (usize, usize), build: &Builder) {
    let Some((now, place)) = rows.get(r).map(|row| (row.right, row.places.1)) else { return };
    let Some(row) = rows.get_mut(l) else { return };
    (row.right, row.places.1) = (now, place);
    if let (Some(a), Some(b)) = row.places {
        (row.before, row.after) = (None, None);
        build.compare(row, a, b);
    }
}

fn without(rows: &mut Vec<StepPair>, gone: &HashSet<usize>) {
    let mut places = 0..;
    rows.retain(|_| places.next().is_some_and(|at| !gone.contains(&at)));
}
