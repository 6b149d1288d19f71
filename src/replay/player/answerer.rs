//! The player as the proxy sees it.

use super::answers::{calls, live_answer};
use super::live::Live;
use super::refusal::{fence_message, with_answer};
use super::{Fenced, Player, Stop};
use crate::dialect;
use crate::exchange::{ExchangeId, Fault, Source};
use crate::proxy::{Answer, Answerer, Asked, BoxFuture, Canned, SeenResponse};
use crate::replay::transport;

impl Answerer for Player {
    fn answer(&self, asked: Asked) -> BoxFuture<'_, Answer> {
        let websocket = asked.head.is_websocket();
        Box::pin(async move { transport::fitting(self.decide(asked).await, websocket) })
    }

    fn turn(&self, asked: Asked) -> BoxFuture<'_, Option<Answer>> {
        match dialect::recognise(&asked.head) {
            None => Box::pin(async move { self.talk(&asked) }),
            Some(_) => Box::pin(async { Some(self.answer(asked).await) }),
        }
    }

    fn delivered(&self, id: ExchangeId) {
        let mut state = self.state();
        let decisions = state.matcher.delivered(id);
        state.hand_out(decisions);
    }

    fn inspect(&self, seen: &SeenResponse) -> Option<Canned> {
        let dialect = self.state().asked_live.get(&seen.id).map(|live| live.dialect)?;
        let answer = live_answer(dialect, seen);
        let (tool, by) = self.first_fenced(calls(&answer.blocks))?;
        let halted = self.halt(Some(dialect), Stop::Fence, &fence_message(&tool, by));
        self.state().tally.fenced =
            Some(Fenced { tool, by, step: None, asked_live: Some(answer.usage.unwrap_or_default()) });
        Some(with_answer(halted, &answer))
    }

    fn answered(&self, seen: &SeenResponse) {
        let mut state = self.state();
        let Some(Live { dialect, place, body }) = state.asked_live.remove(&seen.id) else { return };
        state.memory.answered(dialect, &body, seen);
        let answer = live_answer(dialect, seen);
        let lost = match &seen.fault {
            Some(Fault::Connect { what }) => Some(format!("no connection: {what}")),
            Some(Fault::Reset { what }) => Some(format!("connection lost: {what}")),
            Some(Fault::Abandoned | Fault::Interrupted) | None => None,
        };
        // What retake itself says, as at a fence, is no failure of the call.
        let error = answer.error.clone().or(lost).filter(|_| seen.source != Source::Refused);
        state.tally.live_attempt(place, error);
        state.matcher.answered_live(seen.id, &answer);
    }
}
