//! Where the calls of two runs part, whatever is said between them.

use super::field;
use super::keys::args_tree;
use super::lanes::{self, LanePair};
use super::stop::Stop;
use super::view::{RunView, StepNumbers};
use super::worlds::Worlds;
use crate::run::{CallSite, LaneKind, Turn};
use serde::Serialize;

/// The first place at which two runs call another tool, or one with other arguments. Calls of one answer run in parallel:
/// their order is no difference. Nor are names, clocks and the like that vary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ToolParting {
    /// How many calls of their conversation the runs have in common before it.
    pub common: usize,
    /// Number of the left run's call there; none where it makes none any more.
    pub left: Option<u32>,
    /// Number of the right run's call there.
    pub right: Option<u32>,
}

/// A call in the order of its lane.
struct Made<'a> {
    site: CallSite,
    turn: &'a Turn,
}

/// Where the calls of two runs first part, in the order of the left run; none when they make the same, as far as retake
/// let them run.
pub(super) fn parting(
    worlds: &Worlds,
    (left, right): (&RunView, &RunView),
    pairs: &[LanePair],
    (lefts, rights): (&StepNumbers, &StepNumbers),
    stops: (Option<Stop>, Option<Stop>),
) -> Option<ToolParting> {
    let of_pair = |pair: &LanePair| {
        let (l, r) = (made(left, pair.left), made(right, pair.right));
        let common = common(worlds, (left, right), &l, &r);
        let parting = ToolParting {
            common,
            left: l.get(common).and_then(|call| lefts.tool(call.site)),
            right: r.get(common).and_then(|call| rights.tool(call.site)),
        };
        let is_cut = (l.len() == common && stops.0.is_some()) || (r.len() == common && stops.1.is_some());
        (common < l.len().max(r.len()) && !is_cut).then_some(parting)
    };
    let partings = pairs.iter().filter_map(of_pair);
    partings.min_by_key(|parting| parting.left.or(parting.right))
}

fn made<'a>(run: &RunView<'a>, lane: Option<usize>) -> Vec<Made<'a>> {
    let Some(lane) = lane else { return Vec::new() };
    let Some(of) = run.outline.lanes.get(lane).filter(|of| of.kind != LaneKind::Side) else {
        return Vec::new();
    };
    let turns = (0u32..).zip(&of.turns);
    let calls = turns.flat_map(|(turn, of)| {
        (0u32..)
            .zip(&of.calls)
            .map(move |(call, _)| Made { site: CallSite { lane: lane as u32, turn, call }, turn: of })
    });
    calls.collect()
}

/// How many calls two conversations have in common from their beginning.
fn common(worlds: &Worlds, runs: (&RunView, &RunView), left: &[Made], right: &[Made]) -> usize {
    let mut at = 0;
    while let (Some(l), Some(r)) = (left.get(at), right.get(at)) {
        let together = (l.site.call, r.site.call) == (0, 0) && l.turn.calls.len() == r.turn.calls.len();
        let pairs = match together {
            true => lanes::calls(worlds, l.turn, r.turn),
            false => vec![(Some(0), Some(0))],
        };
        let all = pairs.len();
        let is_same = |(a, b): &(Option<usize>, Option<usize>)| match (a, b) {
            (Some(a), Some(b)) => match (left.get(at + a), right.get(at + b)) {
                (Some(l), Some(r)) => same(worlds, runs, l.site, r.site),
                _ => false,
            },
            _ => false,
        };
        let same = pairs.iter().take_while(|pair| is_same(pair)).count();
        at += same;
        if same < all {
            break;
        }
    }
    at
}

fn same(worlds: &Worlds, (left, right): (&RunView, &RunView), l: CallSite, r: CallSite) -> bool {
    let name = |run: &RunView, site: CallSite| run.outline.call(site).map(|call| call.name.clone());
    if name(left, l) != name(right, r) {
        return false;
    }
    let (Some(a), Some(b)) = (left.full_args(l), right.full_args(r)) else { return false };
    let compare = || field::trees_in(worlds, &args_tree(&a), &args_tree(&b));
    worlds.attempt(compare, |changes| changes.iter().all(|c| c.varies)).iter().all(|c| c.varies)
}
