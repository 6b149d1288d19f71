//! Which turns of a recorded run answered which turns of its replay or fork: what retake served, nobody has to guess.

use super::align::Pair;
use super::cause::Kin;
use super::view::RunView;
use crate::exchange::{ExchangeId, Source};
use crate::run::Turn;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

/// A turn: index of its lane, index in it.
pub(super) type At = (usize, usize);

/// True for a request that was answered with a recorded answer.
pub(super) fn is_served(run: &RunView, turn: &Turn) -> bool {
    let source = turn.attempts.last().map(|id| run.source.source(*id));
    matches!(source, Some(Source::Recorded { .. } | Source::Edited { .. }))
}

/// Turns of the left run and those of the right one that have the same answer for that reason; in the order of the left.
#[derive(Debug, Default)]
pub(super) struct Served(Vec<(At, At)>);

impl Served {
    pub(super) fn of(left: &RunView, right: &RunView, kin: &Kin) -> Served {
        match kin {
            Kin::RightIsFork { .. } => Served(served(left, right)),
            Kin::LeftIsFork { .. } => {
                let mut all: Vec<_> =
                    served(right, left).into_iter().map(|(then, now)| (now, then)).collect();
                all.sort_unstable();
                Served(all)
            }
            Kin::Siblings { .. } | Kin::Strangers => Served::default(),
        }
    }

    /// All of them, in the order of the left run's lanes.
    pub(super) fn all(&self) -> impl Iterator<Item = (At, At)> {
        self.0.iter().copied()
    }

    /// Lanes that have turns in common, those with the most of them first.
    pub(super) fn lanes(&self) -> Vec<(usize, usize)> {
        let mut common: BTreeMap<(usize, usize), usize> = BTreeMap::new();
        for ((left, _), (right, _)) in &self.0 {
            *common.entry((*left, *right)).or_default() += 1;
        }
        let mut lanes: Vec<_> = common.into_iter().collect();
        lanes.sort_by_key(|(_, turns)| std::cmp::Reverse(*turns));
        lanes.into_iter().map(|(lanes, _)| lanes).collect()
    }

    /// Aligns the turns of two lanes: what was served stands fast, `between` aligns what stands between.
    pub(super) fn align(
        &self,
        (left, right): (usize, usize),
        (lefts, rights): (usize, usize),
        between: impl Fn(Range<usize>, Range<usize>) -> Vec<Pair>,
    ) -> Vec<Pair> {
        let before = |lane: usize| self.0.partition_point(|((l, _), _)| *l < lane);
        let of_left = self.0.get(before(left)..before(left + 1)).unwrap_or_default();
        let fast = of_left.iter().filter(|(_, (r, _))| *r == right).map(|((_, a), (_, b))| (*a, *b));
        let mut pairs = Vec::new();
        let (mut a, mut b) = (0, 0);
        for (l, r) in fast.chain([(lefts, rights)]) {
            // What was served out of order stays to the search.
            if l < a || r < b {
                continue;
            }
            let gap = between(a..l, b..r).into_iter();
            pairs.extend(gap.map(|(x, y)| (x.map(|x| x + a), y.map(|y| y + b))));
            if l < lefts && r < rights {
                pairs.push((Some(l), Some(r)));
            }
            (a, b) = (l + 1, r + 1);
        }
        pairs
    }
}

/// The turns of `now` that were answered from `then`.
fn served(then: &RunView, now: &RunView) -> Vec<(At, At)> {
    let mut places: HashMap<ExchangeId, At> = HashMap::new();
    for (lane, of) in then.outline.lanes.iter().enumerate() {
        for (turn, of) in of.turns.iter().enumerate() {
            places.extend(of.attempts.iter().map(|id| (*id, (lane, turn))));
        }
    }
    // A turn whose answer did not arrive is served once more; what is asked again beside that is another call.
    let mut served: BTreeMap<At, (At, bool)> = BTreeMap::new();
    for (lane, of) in now.outline.lanes.iter().enumerate() {
        for (turn, of) in of.turns.iter().enumerate() {
            let source = of.attempts.last().map(|id| now.source.source(*id));
            let (Some(Source::Recorded { run, exchange }) | Some(Source::Edited { run, exchange })) = source
            else {
                continue;
            };
            let Some(place) = places.get(&exchange).filter(|_| run == then.manifest.id.as_str()) else {
                continue;
            };
            if !served.get(place).is_some_and(|(_, arrived)| *arrived) {
                served.insert(*place, ((lane, turn), of.error.is_none()));
            }
        }
    }
    served.into_iter().map(|(then, (now, _))| (then, now)).collect()
}
