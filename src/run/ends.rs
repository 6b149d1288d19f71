//! Where a run ends: the model calls whose answers are its last word.

use super::outline::{LaneKind, Outline, Turn};

impl Outline {
    /// The model calls that end the run, as lane and turn, in order of their beginning.
    ///
    /// A conversation is a root lane with its continuations. Its last call ends the run unless another conversation
    /// asked something after that call was answered: then it only came before. Several calls that overlap in time
    /// (parallel branches that nothing joins) end a run together. Which of them came first decides nothing.
    pub fn ends(&self) -> Vec<(u32, u32)> {
        let mut last: Vec<(u32, u32, &Turn)> = Vec::new();
        for (index, lane) in (0u32..).zip(&self.lanes) {
            let continued = self.lanes.iter().any(|l| l.continues == Some(index) && !l.turns.is_empty());
            let own = matches!(lane.kind, LaneKind::Root | LaneKind::Continuation) && self.is_root(index);
            if let (true, false, Some(turn)) = (own, continued, lane.turns.last()) {
                last.push((index, lane.turns.len() as u32 - 1, turn));
            }
        }
        let latest = last.iter().map(|(_, _, turn)| turn.started_us).max().unwrap_or_default();
        last.retain(|(_, _, turn)| turn.ended_us > latest || turn.started_us == latest);
        last.sort_by_key(|(lane, _, turn)| (turn.started_us, *lane));
        last.into_iter().map(|(lane, turn, _)| (lane, turn)).collect()
    }

    /// The last call of every conversation that is nobody's child, as lane and turn.
    pub fn root_ends(&self) -> Vec<(u32, u32)> {
        let ends = (0u32..).zip(&self.lanes).filter(|(index, _)| self.is_root(*index));
        ends.filter_map(|(index, lane)| Some((index, (lane.turns.len() as u32).checked_sub(1)?))).collect()
    }

    /// True for a root, and for what continues one.
    fn is_root(&self, lane: u32) -> bool {
        let mut at = lane;
        for _ in 0..=self.lanes.len() {
            let Some(lane) = self.lanes.get(at as usize) else { return false };
            match (lane.kind, lane.continues) {
                (LaneKind::Root, _) => return true,
                (LaneKind::Continuation, Some(before)) => at = before,
                (LaneKind::Continuation, None) | (LaneKind::Child | LaneKind::Side, _) => return false,
            }
        }
        false
    }
}
