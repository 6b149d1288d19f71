//! Requests placed by their bytes alone, unread: the common case, at the price of one hash.

use super::Bindings;
use super::decision::Decision;
use super::later::Fit;
use super::transcript::Transcript;
use super::{Arrival, Matcher, Recording};
use crate::exchange::{ExchangeId, SpanContext};
use crate::run::Outline;
use crate::run::likeness::Key;
use std::collections::HashMap;

/// The turns that can be told by their bytes: no other turn of the recording says the same.
pub(super) fn unmistakable(outline: &Outline) -> HashMap<Key, (u32, u32)> {
    let mut said: HashMap<Key, u32> = HashMap::new();
    let all = || {
        outline
            .lanes
            .iter()
            .zip(0..)
            .flat_map(|(l, lane)| l.turns.iter().zip(0..).map(move |(t, turn)| (t, (lane, turn))))
    };
    for (turn, _) in all() {
        *said.entry(turn.request_key).or_default() += 1;
    }
    let only = all().filter(|(turn, _)| said.get(&turn.request_key) == Some(&1));
    only.filter_map(|(turn, place)| Some((turn.body_key?, place))).collect()
}

impl<R: Recording> Matcher<R> {
    /// Places a request that is byte for byte a recorded one, if nothing but that turn can be meant and its lane stands
    /// just before it. None leaves everything as it was: the request is to be read and placed by [`Matcher::on_request`].
    pub fn on_bytes(
        &mut self,
        id: ExchangeId,
        body_key: &Key,
        body: &[u8],
        context: &SpanContext,
    ) -> Option<Vec<Decision>> {
        let (lane, turn) = self.by_bytes.get(body_key).copied()?;
        let recorded = self.recording.outline().turn(lane, turn)?;
        let named_otherwise = context.lane.is_some();
        // Asked before: a retry.
        let again = self.by_request.contains_key(&recorded.request_key);
        if named_otherwise || again || self.is_dirty(lane, turn) {
            return None;
        }
        // The same bytes may mean something else today.
        if self.bound.renamed() > 0 || self.holes.may_mean_another(body) {
            return None;
        }
        let arrival = Arrival {
            id,
            context: context.clone(),
            request_key: recorded.request_key,
            seen: Transcript::of_turn(lane, turn),
        };
        let fit = |bound: Bindings| Fit { recorded: arrival.seen.clone(), ..Fit::exact(lane, bound) };
        let mut out = Vec::new();
        if turn == 0 {
            if !self.is_free(lane) {
                return None;
            }
            let fit = fit(Bindings::default());
            self.begin(arrival, &[], vec![fit], &mut out);
        } else {
            let at = self.on_lane.get(&lane).copied()?;
            let thread = self.threads.get(at)?;
            let [only] = thread.hypotheses.as_slice() else { return None };
            let stands_before = only.lane == lane
                && thread.turn.checked_add(1) == Some(turn)
                && thread.waiting.is_none()
                && !thread.live
                && !thread.echoes.is_empty();
            if !stands_before {
                return None;
            }
            if only.bound.renamed() > 0 {
                return None;
            }
            let fit = fit(Bindings::clone(&only.bound));
            self.advance(at, arrival, &[], vec![fit], &mut out);
        }
        self.open_gates(&mut out);
        Some(out)
    }
}
