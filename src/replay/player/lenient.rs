//! Going on where a replay would stop, to see what else differs.

use super::Player;
use crate::replay::matcher::{Ask, Decision, Miss, Recording};
use tokio::sync::oneshot;

impl Player {
    /// Has a request placed.
    pub(super) fn place(&self, ask: Ask) -> oneshot::Receiver<Decision> {
        let (tell, told) = oneshot::channel();
        let mut state = self.state();
        state.waiting.insert(ask.id, tell);
        let decisions = state.matcher.on_request(ask);
        state.hand_out(decisions);
        told
    }

    /// The decision; where nothing recorded is right and that is allowed, the one on the nearest recorded request.
    pub(super) async fn leniently(&self, ask: Ask, decision: Option<Decision>) -> Option<Decision> {
        let Some(Decision::Miss { miss, .. }) = &decision else { return decision };
        let Some(nearest) = self.options.lenient.then(|| self.nearest(&ask, miss)).flatten() else {
            return decision;
        };
        let told = self.place(nearest);
        match self.wait_for(told).await {
            // The first explanation is the one that counts.
            Some(Decision::Miss { .. }) | None => decision,
            served => served,
        }
    }

    fn nearest(&self, ask: &Ask, miss: &Miss) -> Option<Ask> {
        let near = miss.nearest.first()?;
        let outline = self.run.shared_outline();
        let lane = outline.lanes.iter().position(|l| l.key == near.lane)? as u32;
        let request = self.run.request(lane, near.turn).ok()?.as_ref().clone();
        Some(Ask { path: self.run.path(lane, near.turn).ok()?, request, ..ask.clone() })
    }
}
