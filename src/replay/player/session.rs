//! Sessions in which both sides speak when they like (Realtime, Gemini Live, protocols that are not known): what the
//! client says is followed message by message, and after each recorded turn the server's side of it is said.

use super::{Player, Stop};
use crate::exchange::ExchangeId;
use crate::exchange::messages;
use crate::proxy::{Answer, Asked};
use crate::replay::matcher::Miss;
use crate::replay::talk::{Heard, heard};
use bytes::Bytes;

const KEY: &str = "sec-websocket-key";

/// A recorded session that is being replayed.
pub(super) struct Session {
    /// Its turns, in order.
    turns: Vec<ExchangeId>,
    /// How many of them are over.
    over: usize,
    /// Audio that was said beyond the turn that is over.
    begun: Vec<u8>,
}

impl Player {
    /// A recorded session begins, for the opening that is asked now.
    pub(super) fn begin_session(&self, asked: &Asked, opening: ExchangeId) {
        let reader = self.run.reader();
        let Some(live) = asked.head.headers.get(KEY) else { return };
        let key_of = |id: ExchangeId| Some(reader.request(id).ok()?.head.headers.get(KEY)?.to_string());
        let Some(recorded) = key_of(opening) else { return };
        let outline = self.run.shared_outline();
        let turns = outline.others.iter().copied().filter(|id| *id > opening);
        let turns = turns.filter(|id| key_of(*id).as_ref() == Some(&recorded)).collect();
        let session = Session { turns, over: 0, begun: Vec::new() };
        self.state().sessions.insert(live.to_string(), session);
    }

    /// What the server says to what the client has said since; none when there is more to come.
    pub(super) fn talk(&self, asked: &Asked) -> Option<Answer> {
        if *self.stop.borrow() != Stop::No {
            return Some(self.refuse_after_stop(asked));
        }
        let key = asked.head.headers.get(KEY).unwrap_or_default();
        let mut live = messages::read(&asked.body);
        let mut answer: Option<Answer> = None;
        loop {
            let place = {
                let state = self.state();
                state.sessions.get(key).map(|s| (s.turns.get(s.over).copied(), s.over, s.begun.clone()))
            };
            let Some((Some(id), over, begun)) = place else {
                let over = place.map_or(0, |(_, over, _)| over);
                return answer.or_else(|| Some(self.lost_thread(asked, over, 0, "", "")));
            };
            let body = self.recorded_body(id);
            let recorded = messages::read(&body);
            if recorded.is_empty() || (live.is_empty() && begun.is_empty()) {
                // A turn that could not be read, or all was said.
                return answer.or_else(|| Some(self.lost_thread(asked, over, 0, "", "")));
            }
            let same = |recorded: &[u8], live: &[u8]| {
                recorded == live || {
                    let live = self.options.redactor.bytes(live);
                    recorded == &*live.bytes || self.state().matcher.same_body(recorded, &live.bytes)
                }
            };
            match heard(&recorded, &begun, &live, &same) {
                Heard::More => return answer,
                Heard::Other { at, recorded, live } => {
                    return answer.or_else(|| Some(self.lost_thread(asked, over, at, &recorded, &live)));
                }
                Heard::All(rest) => {
                    if let Some(session) = self.state().sessions.get_mut(key) {
                        session.over += 1;
                        session.begun = rest;
                    }
                    // What was said beyond this turn may be all of the next.
                    live.clear();
                    answer = Some(joined(answer, self.serve_side(asked, id)));
                }
            }
        }
    }

    fn recorded_body(&self, id: ExchangeId) -> Bytes {
        let reader = self.run.reader();
        reader.request(id).ok().and_then(|record| reader.body(record.body).ok()).unwrap_or_default()
    }

    /// Nothing right was recorded for what the client says.
    fn lost_thread(&self, asked: &Asked, turn: usize, at: usize, recorded: &str, live: &str) -> Answer {
        let place = format!("message {} of turn {}", at + 1, turn + 1);
        let reason = match (recorded.is_empty(), live.is_empty()) {
            (_, true) => {
                format!("the recorded session has {turn} turns of the agent, and this would be another one")
            }
            (true, false) => format!("the recorded turn ends before {place}: now {live}"),
            (false, false) => format!("{place} is another one: recorded {recorded}, now {live}"),
        };
        let miss = Miss {
            asked: format!("WebSocket {}", asked.head.path()),
            reason,
            nearest: Vec::new(),
            hints: vec!["record again if the agent has changed".into()],
        };
        self.miss(asked, None, miss)
    }
}

/// Two answers, one after the other.
fn joined(first: Option<Answer>, second: Answer) -> Answer {
    match (first, second) {
        (Some(Answer::Serve(mut first)), Answer::Serve(second)) => {
            first.frames.extend(second.frames);
            first.end = second.end;
            Answer::Serve(first)
        }
        (_, second) => second,
    }
}
