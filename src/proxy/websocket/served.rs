//! A session that an [`Answerer`] answers: turn by turn, from a recording, or from an upstream that is opened for one
//! turn.

use super::super::ledger::Outcome;
use super::super::route;
use super::super::wire::Delivery;
use super::super::{Answer, Answerer, Asked, Canned, CannedEnd, SeenResponse};
use super::dial::{self, Dialled};
use super::socket::{self, Came, Incoming, Outgoing};
use super::turns::{Opening, Turn};
use super::written;
use crate::exchange::messages::{Closing, Message};
use crate::exchange::{BodyEnd, ResponseHead, Source, Upstream};
use bytes::{Bytes, BytesMut};
use http::request;
use http_body_util::BodyExt;
use hyper::upgrade::OnUpgrade;
use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::protocol::Role;

/// Bytes of messages that are taken in before they are asked about.
const MOST_WAITING: usize = 64 << 20;
/// How long an agent may take to close in order.
const CLOSING: Duration = Duration::from_secs(2);
/// The code with which a session is closed that cannot go on, where the protocol has no message for it: 4000 and the
/// status of HTTP, as is custom.
const REFUSED: u16 = 4000;

/// The agent's side of the session: what it says is taken in whatever else goes on.
struct Listening {
    from: Incoming,
    waiting: VecDeque<Message>,
    bytes: usize,
    ended: Option<Came>,
}

impl Listening {
    async fn next(&mut self) -> Came {
        match (self.waiting.pop_front(), &self.ended) {
            (Some(message), _) => {
                self.bytes -= message.payload().len();
                Came::Message(message)
            }
            (None, Some(ended)) => ended.clone(),
            (None, None) => self.from.next().await,
        }
    }

    /// Does something while it listens; none when the agent went away first.
    async fn during<T>(&mut self, what: impl Future<Output = T>) -> Option<T> {
        let mut what = pin!(what);
        loop {
            tokio::select! {
                biased;
                done = &mut what => return Some(done),
                came = self.from.next(), if self.ended.is_none() && self.bytes < MOST_WAITING => match came {
                    Came::Message(message) => {
                        self.bytes += message.payload().len();
                        self.waiting.push_back(message);
                    }
                    ended => {
                        self.ended = Some(ended);
                        return None;
                    }
                },
            }
        }
    }
}

/// What a turn leaves behind.
enum After {
    /// The session goes on.
    On,
    /// It is over, in order.
    Closed,
    /// It is over: the connection is let go.
    Broken,
}

/// A session under way.
pub(super) struct Served {
    opening: Opening,
    answerer: Arc<dyn Answerer>,
    parts: request::Parts,
    agent: Option<OnUpgrade>,
}

/// What goes upstream, when not what the agent sent to where it sent it.
struct Live {
    body: Option<Bytes>,
    target: Option<String>,
    upstream: Option<Upstream>,
    hold: bool,
}

impl Served {
    pub(super) fn new(
        opening: Opening,
        answerer: Arc<dyn Answerer>,
        parts: request::Parts,
        agent: OnUpgrade,
    ) -> Served {
        Served { opening, answerer, parts, agent: Some(agent) }
    }

    /// Runs the session to its end. `first`: the opening, with what the server says before it is asked anything.
    pub(super) async fn run(mut self, mut first: Turn, greeting: Canned, delivery: Option<Delivery>) {
        let Some(agent) = self.agent.take() else { return };
        let Ok(agent) = agent.await else { return };
        let (from, mut to) = socket::open(agent, Role::Server).await;
        let mut agent = Listening { from, waiting: VecDeque::new(), bytes: 0, ended: None };
        let mut after = self.play(&mut first, greeting, &mut agent, &mut to).await;
        drop(delivery);
        let mut last = first;
        while matches!(after, After::On) {
            after = self.turn(&mut agent, &mut to, &mut last).await;
        }
        if let Some(closing) = agent.ended.as_ref().and_then(|came| came.closing(true)) {
            last.said(&Message::Close(closing));
            last.tell(BodyEnd::Complete);
        }
        if matches!(agent.ended, Some(Came::TooLong(_))) {
            return socket::refuse_length(agent.from, to, CLOSING).await;
        }
        if !matches!(after, After::Broken) {
            // One that does not close is left.
            let _ = timeout(CLOSING, agent.from.drain()).await;
        }
    }

    /// The next turn, from what the agent says to the end of its answer.
    async fn turn(&self, agent: &mut Listening, to: &mut Outgoing, last: &mut Turn) -> After {
        let mut said = BytesMut::new();
        let mut turn: Option<Turn> = None;
        let mut delivery: Option<Delivery> = None;
        loop {
            let message = match agent.next().await {
                Came::Message(message) => message,
                ended => {
                    let broke = matches!(ended, Came::Broke(_) | Came::TooLong(_));
                    let over = if broke { After::Broken } else { After::Closed };
                    agent.ended = Some(ended);
                    if let Some(mut begun) = turn {
                        begun.tell(BodyEnd::Cancelled);
                    }
                    return over;
                }
            };
            if !self.opening.protocol.asks(&message) {
                continue;
            }
            if let Some(tape) = &self.opening.tape {
                tape.room().await;
            }
            let current = turn.get_or_insert_with(|| self.new_turn());
            if !said.is_empty() {
                said.extend_from_slice(b"\n");
            }
            said.extend_from_slice(&message.line());
            current.heard(&message);
            let asked = Asked {
                id: current.id(),
                upstream: self.opening.upstream.clone(),
                head: self.opening.head.clone(),
                body: said.clone().freeze(),
            };
            delivery.get_or_insert_with(|| Delivery { answerer: self.answerer.clone(), id: asked.id });
            let body = asked.body.clone();
            let Some(decided) = agent.during(self.answerer.turn(asked)).await else {
                current.tell(BodyEnd::Cancelled);
                return After::Closed;
            };
            let after = match decided {
                None => continue,
                // No server of tools is asked over a WebSocket: nothing waits there.
                Some(Answer::Serve(canned) | Answer::ServeGated(canned, _) | Answer::ServeFed(canned, _)) => {
                    current.answers_from(canned.source.clone());
                    current.ask();
                    self.play(current, canned, agent, to).await
                }
                Some(Answer::Close(source, fault)) => {
                    current.answers_from(source);
                    current.ask();
                    current.fail(Outcome::fault(fault, BodyEnd::Complete)).await;
                    After::Broken
                }
                Some(Answer::Forward { body: other, target, upstream, hold, .. }) => {
                    let live = Live { body: other, target, upstream, hold };
                    self.ask_upstream(current, body, live, agent, to).await
                }
            };
            drop(delivery.take());
            if let Some(over) = turn {
                *last = over;
            }
            return after;
        }
    }

    fn new_turn(&self) -> Turn {
        Turn::new(self.opening.ledger(), self.opening.response.clone())
    }

    /// Says what a canned answer says.
    async fn play(&self, turn: &mut Turn, canned: Canned, agent: &mut Listening, to: &mut Outgoing) -> After {
        if !canned.head.is_websocket() {
            return self.refuse(turn, canned, agent, to).await;
        }
        let mut messages = timed(canned.frames);
        // That an agent has closed a session is no news to this one, and what it did not wait for is not missing.
        let all = messages.len();
        messages.retain(|(_, m)| !matches!(m, Message::Close(closing) if closing.by_agent));
        let broken = canned.end == CannedEnd::Broken && messages.len() == all;
        if broken {
            // One that was closed without a code broke off: there is nothing to say.
            messages.retain(|(_, m)| !matches!(m, Message::Close(closing) if closing.code.is_none()));
        }
        let end = match broken {
            true => BodyEnd::Error { what: "as recorded".into() },
            false => BodyEnd::Complete,
        };
        let count = messages.len();
        let mut told = None;
        if count == 0 {
            written(turn.tell(end.clone())).await;
        }
        for (index, (delay, message)) in messages.into_iter().enumerate() {
            if !delay.is_zero() && agent.during(tokio::time::sleep(delay)).await.is_none() {
                turn.tell(BodyEnd::Cancelled);
                return After::Closed;
            }
            turn.said(&message);
            if index + 1 == count {
                told = turn.tell(end.clone());
            }
            let closes = matches!(message, Message::Close(_));
            let sent = async {
                written(told.take()).await;
                to.send(&message).await
            };
            match agent.during(sent).await {
                Some(true) if closes => return After::Closed,
                Some(true) => {}
                Some(false) | None => {
                    turn.tell(if index + 1 == count { end } else { BodyEnd::Cancelled });
                    return After::Closed;
                }
            }
        }
        if broken { After::Broken } else { After::On }
    }

    /// Says that there is no answer: in a message where the protocol has one, else in the closing of the session.
    async fn refuse(
        &self,
        turn: &mut Turn,
        canned: Canned,
        agent: &mut Listening,
        to: &mut Outgoing,
    ) -> After {
        let body: Vec<u8> = canned.frames.iter().flat_map(|(_, part)| part.iter().copied()).collect();
        let final_word = canned.source == Source::Refused;
        turn.answer_otherwise(canned.head.clone(), body.clone().into());
        written(turn.tell(BodyEnd::Complete)).await;
        let said = serde_json::from_slice::<serde_json::Value>(&body).unwrap_or_default();
        let error = said.get("error").cloned().unwrap_or_else(|| said.clone());
        let why = error.get("message").and_then(|m| m.as_str()).unwrap_or("no answer").to_string();
        let status = canned.head.status;
        if self.opening.protocol.takes_turns() {
            let event = serde_json::json!({ "type": "error", "status": status, "error": error });
            let event = Message::Text(event.to_string().into());
            if agent.during(to.send(&event)).await != Some(true) {
                return After::Closed;
            }
            if !final_word {
                return After::On;
            }
        }
        let code = REFUSED.saturating_add(status.min(999));
        // It may be gone already.
        let _ = agent.during(to.close(Some(code), &why)).await;
        After::Closed
    }

    /// Asks an upstream, over a connection that is opened for this turn.
    async fn ask_upstream(
        &self,
        turn: &mut Turn,
        body: Bytes,
        live: Live,
        agent: &mut Listening,
        to: &mut Outgoing,
    ) -> After {
        let (own, at) = (&self.opening, live.upstream.as_ref().unwrap_or(&self.opening.upstream));
        let target = live.target.as_deref().unwrap_or(&own.head.target);
        let target = route::moved(&own.shared.routes, at, target).or(live.target);
        turn.forwards(live.body.clone(), target.clone(), live.upstream.clone());
        turn.ask();
        let upstream = live.upstream.unwrap_or_else(|| self.opening.upstream.clone());
        let target = target.unwrap_or_else(|| self.opening.head.target.clone());
        let dialled = dial::dial(&self.opening.shared, self.parts.clone(), &upstream, &target);
        let Some(dialled) = agent.during(dialled).await else {
            turn.tell(BodyEnd::Cancelled);
            return After::Closed;
        };
        let connection = match dialled {
            Dialled::Open { parts, connection } => {
                turn.accepted(dial::seen(&parts));
                connection
            }
            Dialled::Refused(response) => {
                let (parts, body) = response.into_parts();
                let head = dial::seen(&parts);
                let body = body.collect().await.map(|whole| whole.to_bytes()).unwrap_or_default();
                let frames = vec![(Duration::ZERO, body)];
                let canned = Canned { source: Source::Live, head, frames, end: CannedEnd::Complete };
                return self.refuse(turn, canned, agent, to).await;
            }
            Dialled::Failed(fault) => {
                turn.fail(Outcome::fault(fault, BodyEnd::Complete)).await;
                return After::Broken;
            }
            Dialled::Impossible(canned) => {
                turn.answers_from(canned.source.clone());
                return self.refuse(turn, *canned, agent, to).await;
            }
        };
        let (mut from_upstream, mut to_upstream) = socket::open(connection, Role::Client).await;
        for message in crate::exchange::messages::read(&live.body.unwrap_or(body)) {
            if agent.during(to_upstream.send(&message)).await != Some(true) {
                break;
            }
        }
        let held = match live.hold {
            true => Some(turn.id()),
            false => None,
        };
        loop {
            let Some(came) = agent.during(from_upstream.next()).await else {
                turn.tell(BodyEnd::Cancelled);
                return After::Closed;
            };
            let message = match came {
                Came::Message(message) => message,
                ended => return self.upstream_ended(turn, ended, agent, to).await,
            };
            turn.said(&message);
            let ends = self.opening.protocol.ends(&message);
            match held {
                None => {
                    let told = if ends { turn.tell(BodyEnd::Complete) } else { None };
                    let sent = async {
                        written(told).await;
                        to.send(&message).await
                    };
                    if agent.during(sent).await != Some(true) {
                        if !ends {
                            turn.tell(BodyEnd::Cancelled);
                        }
                        return After::Closed;
                    }
                }
                Some(_) if ends => {
                    let canned = self.inspected(turn);
                    return self.play(turn, canned, agent, to).await;
                }
                Some(_) => {}
            }
            if ends {
                // Nothing more is asked of it.
                to_upstream.close(Some(1000), "").await;
                return After::On;
            }
        }
    }

    /// A whole answer of the upstream, or what the answerer gives instead.
    fn inspected(&self, turn: &mut Turn) -> Canned {
        let seen: SeenResponse = turn.take_seen();
        let instead = self.answerer.inspect(&seen);
        instead.unwrap_or_else(|| Canned {
            source: Source::Live,
            head: seen.head.unwrap_or_else(|| ResponseHead { status: 101, headers: Default::default() }),
            frames: seen.frames.into_iter().map(|(line, _)| (Duration::ZERO, line)).collect(),
            end: CannedEnd::Complete,
        })
    }

    /// The upstream was gone before it was done.
    async fn upstream_ended(
        &self,
        turn: &mut Turn,
        ended: Came,
        agent: &mut Listening,
        to: &mut Outgoing,
    ) -> After {
        let what = match &ended {
            Came::Broke(what) | Came::TooLong(what) => what.clone(),
            _ => "the upstream closed the session".to_string(),
        };
        let closing =
            ended.closing(false).unwrap_or(Closing { by_agent: false, code: None, reason: String::new() });
        turn.said(&Message::Close(closing.clone()));
        written(turn.tell(BodyEnd::Error { what })).await;
        if matches!(ended, Came::Broke(_)) {
            return After::Broken;
        }
        // It may be gone already.
        let _ = agent.during(to.close(closing.code, &closing.reason)).await;
        After::Closed
    }
}

/// The messages of a canned answer, each with the time to wait before it: frames may be cut anywhere.
fn timed(frames: Vec<(Duration, Bytes)>) -> Vec<(Duration, Message)> {
    let mut messages = Vec::new();
    let mut line = BytesMut::new();
    let mut wait = Duration::ZERO;
    for (delay, bytes) in frames {
        wait += delay;
        let mut rest = &bytes[..];
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (text, after) = rest.split_at(end);
            line.extend_from_slice(text);
            messages.push((std::mem::take(&mut wait), Message::of_line(line.split().freeze())));
            rest = after.get(1..).unwrap_or_default();
        }
        line.extend_from_slice(rest);
    }
    if !line.is_empty() {
        messages.push((wait, Message::of_line(line.freeze())));
    }
    messages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_out_however_frames_are_cut() {
        let ms = Duration::from_millis;
        let frame = |delay: u64, text: &'static str| (ms(delay), Bytes::from_static(text.as_bytes()));
        let text = |text: &'static str| Message::Text(Bytes::from_static(text.as_bytes()));
        let whole = timed(vec![frame(1, "a\n"), frame(2, "b\n")]);
        assert_eq!(whole, [(ms(1), text("a")), (ms(2), text("b"))]);
        let cut = timed(vec![frame(1, "a\nb"), frame(2, "c\n\n"), frame(3, "d")]);
        let want = [(ms(1), text("a")), (ms(2), text("bc")), (ms(0), text("")), (ms(3), text("d"))];
        assert_eq!(cut, want);
    }
}
