//! What a session over a WebSocket asks beside its turns: that it may begin, and that the model be made ready.

use super::{Player, serve};
use crate::dialect::{self, Dialect};
use crate::exchange::{ExchangeId, HeaderList, RequestHead, ResponseHead, Source, encoding};
use crate::proxy::{Answer, Asked, Canned, CannedEnd};
use bytes::Bytes;
use std::time::Duration;

/// Parameters of a target that say who asks, not what.
const CREDENTIALS: [&str; 4] = ["key", "api_key", "api-key", "access_token"];

impl Player {
    /// The answer to an opening: the next recorded one for its path, else that there is no WebSocket here.
    pub(super) fn opening(&self, asked: &Asked) -> Answer {
        let reader = self.run.reader();
        let outline = self.run.shared_outline();
        let same: Vec<ExchangeId> = outline
            .others
            .iter()
            .copied()
            .filter(|id| {
                reader.request(*id).is_ok_and(|record| {
                    record.head.is_websocket()
                        && same_target(&record.head, &asked.head)
                        && reader.body(record.body).is_ok_and(|body| body.is_empty())
                })
            })
            .collect();
        let mut state = self.state();
        let fresh = same.iter().find(|id| !state.side_served.contains_key(id)).or(same.last()).copied();
        if let Some(id) = fresh {
            drop(state);
            self.begin_session(asked, id);
            return self.serve_side(asked, id);
        }
        let known = dialect::recognise(&asked.head).map(|(dialect, _)| dialect);
        if known.is_some() || self.options.plan.is_none() {
            drop(state);
            return no_websocket(known);
        }
        if self.is_spent(&mut state) {
            drop(state);
            return self.refuse_to_spend(None);
        }
        state.tally.live += 1;
        Answer::Forward {
            body: None,
            target: None,
            upstream: None,
            fields: HeaderList::default(),
            hold: false,
        }
    }

    /// The answer to a request that only makes the model ready: a recorded one, or one without content. What can go on
    /// from it is what was asked now.
    pub(super) fn warm_up(&self, asked: &Asked, dialect: &'static dyn Dialect) -> Answer {
        let reader = self.run.reader();
        let outline = self.run.shared_outline();
        let warms_up = |id: &ExchangeId| {
            let record = reader.request(*id).ok().filter(|r| r.head.path() == asked.head.path())?;
            let body = reader.body(record.body).ok()?;
            let body = encoding::decode(record.head.headers.get("content-encoding"), &body).ok()?;
            Some(dialect.warms_up(&body))
        };
        let served = |id: &ExchangeId| self.state().side_served.contains_key(id);
        let fresh = outline.others.iter().find(|id| !served(id) && warms_up(id) == Some(true)).copied();
        let answer = match fresh {
            Some(id) => self.serve_side(asked, id),
            None => {
                self.state().tally.matching.side_unknown += 1;
                Answer::Serve(empty(asked, dialect))
            }
        };
        if let Answer::Serve(canned) = &answer {
            self.state().memory.served(dialect, asked, canned);
        }
        answer
    }
}

/// Path and query, credentials aside.
fn same_target(recorded: &RequestHead, live: &RequestHead) -> bool {
    let asks = |head: &RequestHead| -> Vec<String> {
        let query = head.target.split_once('?').map_or("", |(_, query)| query);
        let names_one = |part: &str| CREDENTIALS.contains(&part.split('=').next().unwrap_or_default());
        let parts = query.split('&').filter(|part| !part.is_empty() && !names_one(part));
        parts.map(str::to_string).collect()
    };
    recorded.path() == live.path() && asks(recorded) == asks(live)
}

/// The answer to an opening that was not recorded: the agent has to ask by HTTP, as it did.
fn no_websocket(dialect: Option<&'static dyn Dialect>) -> Answer {
    let why = "retake: the recording holds no WebSocket for this path: use HTTP";
    let body = match dialect {
        Some(dialect) => dialect.render_error(426, why),
        None => Bytes::from(serde_json::json!({ "error": { "message": why } }).to_string()),
    };
    Answer::Serve(serve::own(426, body, Source::Refused))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_the_same_with_another_key() {
        let head = |target: &str| RequestHead {
            method: "GET".into(),
            target: target.into(),
            headers: HeaderList::default(),
        };
        let same = |a: &str, b: &str| same_target(&head(a), &head(b));
        assert!(
            same("/ws/live?key=a", "/ws/live?key=b") && same("/ws/live", "/ws/live?key=b&access_token=c")
        );
        assert!(!same("/v1/realtime?model=a", "/v1/realtime?model=b") && !same("/a", "/b"));
    }
}
