//! Calls that are no model calls: token counts, model lists, bodies that no dialect knows.
//!
//! Those of a protocol (token counts) come when they come: they may repeat and may be absent. One that was not recorded
//! is answered with 404, which clients take for a server that does not offer it, and counted. Telemetry is another each time:
//! it gets a recorded answer to its like, or 202.

use super::refusal::lost_decision;
use super::{Player, serve};
use crate::dialect::{self, Endpoint};
use crate::exchange::{ExchangeId, HeaderList, Source, StandIn, multipart};
use crate::holes::Rewrite;
use crate::proxy::{Answer, Asked};
use crate::replay::matcher::{Miss, Near};
use crate::replay::telemetry::is_telemetry;
use bytes::Bytes;

impl Player {
    /// Calls that are no model calls: the same method, target and body, in recorded order, the last one repeated.
    pub(super) fn side_call(&self, asked: &Asked) -> Answer {
        if asked.head.is_websocket() && asked.body.is_empty() {
            return self.opening(asked);
        }
        let reader = self.run.reader();
        // Clients draw the boundary of a form at random.
        let kind = asked.head.headers.get("content-type");
        let live = multipart::without_boundary(kind, &asked.body);
        let redacted = self.options.redactor.bytes(&asked.body).bytes;
        let told = multipart::without_boundary(kind, &redacted);
        let telemetry = is_telemetry(&asked.head, &asked.upstream.origin, &asked.body);
        let (mut same, mut alike, mut like_sent) = (Vec::new(), Vec::new(), Vec::new());
        for id in &self.run.shared_outline().others {
            let Ok(record) = reader.request(*id) else { continue };
            if record.head.method != asked.head.method || record.head.target != asked.head.target {
                continue;
            }
            let Ok(body) = reader.body(record.body) else { continue };
            let recorded = multipart::without_boundary(record.head.headers.get("content-type"), &body);
            if *recorded == *live || *recorded == *told {
                same.push(*id);
            } else if self.state().matcher.same_body(&recorded, &live) {
                alike.push(*id);
            } else if telemetry && reader.answer(*id).is_ok_and(|answer| answer.is_some()) {
                like_sent.push(*id);
            }
        }
        for other in [alike, like_sent] {
            if same.is_empty() {
                same = other;
            }
        }
        let mut state = self.state();
        let fresh = same.iter().find(|id| !state.side_served.contains_key(id));
        let Some(id) = fresh.or(same.last()).copied() else {
            if self.options.plan.is_some() {
                if self.is_spent(&mut state) {
                    drop(state);
                    return self.refuse_to_spend(None);
                }
                state.tally.live += 1;
                return Answer::Forward {
                    body: None,
                    target: None,
                    upstream: None,
                    fields: HeaderList::default(),
                    hold: false,
                };
            }
            if let Some((dialect, Endpoint::Side)) = dialect::recognise(&asked.head) {
                state.tally.matching.side_unknown += 1;
                drop(state);
                let body = dialect.render_error(404, "retake: the recording holds no such request");
                return Answer::Serve(serve::own(404, body, Source::Refused));
            }
            if telemetry {
                state.tally.matching.side_unknown += 1;
                return Answer::Serve(serve::own(202, Bytes::new(), Source::Refused));
            }
            drop(state);
            let miss = Miss {
                asked: format!("{} {}", asked.head.method, asked.head.target),
                reason: "the recording holds no such request".into(),
                nearest: Vec::<Near>::new(),
                hints: vec!["record again if the agent has changed".into()],
            };
            return self.miss(asked, None, miss);
        };
        drop(state);
        self.serve_side(asked, id)
    }

    /// Serves a recorded exchange that is no model call.
    pub(super) fn serve_side(&self, asked: &Asked, id: ExchangeId) -> Answer {
        match self.run.reader().answer(id) {
            Ok(response) => {
                let reveal = |stand_in: &StandIn| self.options.redactor.reveal(&stand_in.text);
                let (answer, rewritten) = serve::recorded(
                    &self.name,
                    id,
                    response.as_ref(),
                    self.options.timing,
                    &reveal,
                    &Rewrite::default(),
                );
                let mut state = self.state();
                *state.side_served.entry(id).or_default() += 1;
                state.tally.recorded += 1;
                state.tally.rewritten(rewritten);
                answer
            }
            Err(error) => {
                let mut miss = lost_decision();
                miss.reason = format!("the recorded answer cannot be read: {error}");
                self.miss(asked, None, miss)
            }
        }
    }
}
