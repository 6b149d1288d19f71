//! What a session over a WebSocket asks beside its turns: that it may begin, and that the model be made ready.

use super::{Player, serve};
use crate::dialect::Dialect;
use crate::exchange::{HeaderList, ResponseHead, Source, StandIn, encoding};
use crate::holes::Rewrite;
use crate::proxy::{Answer, Asked, Canned, CannedEnd};
use bytes::Bytes;
use std::time::Duration;

impl Player {
    /// The answer to an opening that was not recorded: the agent has to ask by HTTP, as it did.
    pub(super) fn no_websocket(&self, dialect: Option<&'static dyn Dialect>) -> Answer {
        let why = "retake: the recording holds no WebSocket for this path: use HTTP";
        let body = match dialect {
            Some(dialect) => dialect.render_error(426, why),
            None => Bytes::from(serde_json::json!({ "error": { "message": why } }).to_string()),
        };
        Answer::Serve(serve::own(426, body, Source::Refused))
    }

    /// The answer to a request that only makes the model ready: a recorded one, or one without content. What can go on
    /// from it is what was asked now.
    pub(super) fn warm_up(&self, asked: &Asked, dialect: &'static dyn Dialect) -> Answer {
        let reader = self.run.reader();
        let outline = self.run.shared_outline();
        let recorded = outline.others.iter().copied().filter(|id| {
            let Ok(record) = reader.request(*id) else { return false };
            if record.head.path() != asked.head.path() {
                return false;
            }
            let coding = record.head.headers.get("content-encoding");
            let body = reader.body(record.body).ok();
            body.and_then(|body| encoding::decode(coding, &body).ok().map(|body| dialect.warms_up(&body)))
                .unwrap_or(false)
        });
        let recorded: Vec<_> = recorded.collect();
        let mut state = self.state();
        let fresh = recorded.iter().find(|id| !state.side_served.contains_key(id)).copied();
        let answer = match fresh.and_then(|id| Some((id, reader.answer(id).ok()?))) {
            Some((id, response)) => {
                *state.side_served.entry(id).or_default() += 1;
                state.tally.recorded += 1;
                let reveal = |stand_in: &StandIn| self.options.redactor.reveal(&stand_in.text);
                let rewrite = Rewrite::default();
                let timing = self.options.timing;
                let (answer, rewritten) =
                    serve::recorded(&self.name, id, response.as_ref(), timing, &reveal, &rewrite);
                state.tally.rewritten(rewritten);
                answer
            }
            None => {
                state.tally.matching.side_unknown += 1;
                Answer::Serve(empty(asked, dialect))
            }
        };
        if let Answer::Serve(canned) = &answer {
            state.memory.served(dialect, asked, canned);
        }
        answer
    }
}

/// An answer without content, as a stream.
fn empty(asked: &Asked, dialect: &dyn Dialect) -> Canned {
    let model = dialect.read_request(&asked.head.target, &asked.body).map(|r| r.model).unwrap_or_default();
    let rendered = dialect.render_answer(&asked.head.target, &[], None, &model, true);
    let headers = HeaderList(vec![("content-type".into(), rendered.content_type.into())]);
    Canned {
        source: Source::Refused,
        head: ResponseHead { status: 200, headers },
        frames: vec![(Duration::ZERO, rendered.body)],
        end: CannedEnd::Complete,
    }
}
