//! What is noted of a session: one exchange for its opening, and one for each turn.

use super::super::ledger::{Ledger, Outcome};
use super::super::listen::Shared;
use super::super::{Answerer, SeenResponse, Tape};
use super::socket::frame;
use crate::dialect::websocket::Protocol;
use crate::exchange::messages::{Closing, Message};
use crate::exchange::{BodyEnd, ExchangeId, RequestHead, ResponseHead, Source, Upstream};
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::oneshot;

/// Answered when a turn was written.
pub(super) type Written = oneshot::Receiver<()>;

/// What every exchange of a session has in common.
#[derive(Clone)]
pub(super) struct Opening {
    pub(super) shared: Arc<Shared>,
    pub(super) upstream: Upstream,
    pub(super) head: RequestHead,
    /// How it was accepted.
    pub(super) response: ResponseHead,
    pub(super) tape: Option<Arc<dyn Tape>>,
    pub(super) answerer: Option<Arc<dyn Answerer>>,
    pub(super) protocol: Protocol,
}

impl Opening {
    /// The books of another turn.
    pub(super) fn ledger(&self) -> Arc<Ledger> {
        let unseen = self.tape.is_none() && self.answerer.is_none();
        let number = match unseen {
            true => 0,
            false => self.shared.exchanges.fetch_add(1, Ordering::Relaxed).wrapping_add(1),
        };
        Arc::new(Ledger::open(
            ExchangeId(number),
            self.upstream.clone(),
            self.head.clone(),
            self.tape.clone(),
            self.answerer.clone(),
            self.shared.breaking.clone(),
        ))
    }
}

/// One exchange of a session.
pub(super) struct Turn {
    ledger: Arc<Ledger>,
    head: ResponseHead,
    frames: Vec<(Bytes, u64)>,
    first_us: u64,
    /// The client has said something in it.
    began: bool,
    /// The server has said something in it, or was told to.
    asked: bool,
    /// Something was noted that was not told.
    fresh: bool,
}

impl Turn {
    pub(super) fn new(ledger: Arc<Ledger>, head: ResponseHead) -> Turn {
        Turn { ledger, head, frames: Vec::new(), first_us: 0, began: false, asked: false, fresh: true }
    }

    /// Which exchange this is.
    pub(super) fn id(&self) -> ExchangeId {
        self.ledger.id()
    }

    /// The answer is not the upstream's.
    pub(super) fn answers_from(&self, source: Source) {
        self.ledger.answers_from(source);
    }

    /// The answer is the upstream's, and the answerer wants to hear of it.
    pub(super) fn forwards(&self, sent: Option<Bytes>, target: Option<String>, upstream: Option<Upstream>) {
        self.ledger.forwards(sent, target, upstream);
    }

    /// An upstream was opened for this turn alone.
    pub(super) fn accepted(&mut self, head: ResponseHead) {
        self.head = head;
    }

    /// The answer is no message, but of HTTP.
    pub(super) fn answer_otherwise(&mut self, head: ResponseHead, body: Bytes) {
        self.head = head;
        self.frames.clear();
        self.note(body);
    }

    /// There is no answer; waits until that was written.
    pub(super) async fn fail(&mut self, outcome: Outcome) {
        self.fresh = false;
        self.ledger.response_written(outcome).await;
    }

    /// What was said so far, which is to be said again.
    pub(super) fn take_seen(&mut self) -> SeenResponse {
        SeenResponse {
            id: self.ledger.id(),
            source: Source::Live,
            head: Some(self.head.clone()),
            fault: None,
            head_us: self.first_us,
            frames: std::mem::take(&mut self.frames),
            end: BodyEnd::Complete,
            end_us: self.ledger.now_us(),
        }
    }

    /// A message of the client.
    pub(super) fn heard(&mut self, message: &Message) {
        if self.began {
            self.ledger.request_frame(Bytes::from_static(b"\n"));
        }
        self.began = true;
        self.ledger.request_frame(message.line());
    }

    /// The client has said all that belongs to this turn.
    pub(super) fn ask(&mut self) {
        self.asked = true;
        self.ledger.request_ended(BodyEnd::Complete);
    }

    /// A message of the server.
    pub(super) fn said(&mut self, message: &Message) {
        self.note(frame(message));
    }

    pub(super) fn note(&mut self, line: Bytes) {
        let now = self.ledger.now_us();
        if self.frames.is_empty() {
            self.first_us = now;
        }
        self.fresh = true;
        if self.ledger.keeps_frames() {
            self.frames.push((line, now));
        }
    }

    /// Tells the tape how far it is.
    pub(super) fn tell(&mut self, end: BodyEnd) -> Option<Written> {
        self.fresh = false;
        self.ledger.request_ended(BodyEnd::Complete);
        self.ledger.response(Outcome {
            head: Some(self.head.clone()),
            fault: None,
            head_us: self.first_us,
            frames: self.frames.clone(),
            end,
        })
    }
}

/// The turns of a session between an agent and an upstream.
pub(super) struct Turns {
    opening: Opening,
    /// Begun and not over, in order.
    open: VecDeque<Turn>,
    /// The one that was over last: what comes after it goes here.
    last: Turn,
    ended: bool,
}

impl Turns {
    /// `first`: the opening itself, which was told.
    pub(super) fn new(opening: Opening, mut first: Turn) -> Turns {
        first.fresh = false;
        first.asked = true;
        Turns { opening, open: VecDeque::new(), last: first, ended: false }
    }

    /// A message of the agent, before it goes on.
    pub(super) fn agent_says(&mut self, message: &Message) {
        let protocol = self.opening.protocol;
        if protocol.takes_turns() {
            let mut turn = self.turn();
            turn.heard(message);
            turn.ask();
            if protocol.asks(message) {
                self.open.push_back(turn);
            } else {
                // It wants no answer.
                turn.tell(BodyEnd::Complete);
            }
            return;
        }
        if self.open.front().is_none_or(|turn| turn.asked) {
            self.finish_front(BodyEnd::Complete);
            let turn = self.turn();
            self.open.push_back(turn);
        }
        if let Some(turn) = self.open.front_mut() {
            turn.heard(message);
        }
    }

    /// A message of the upstream, before it goes on. It goes on when the receiver is answered, if there is one.
    pub(super) fn upstream_says(&mut self, message: &Message) -> Option<Written> {
        let protocol = self.opening.protocol;
        let ends = protocol.ends(message);
        let turn = self.open.front_mut().unwrap_or(&mut self.last);
        if !turn.asked {
            turn.ask();
        }
        turn.said(message);
        if !ends {
            return None;
        }
        let written = turn.tell(BodyEnd::Complete);
        if protocol.takes_turns()
            && let Some(over) = self.open.pop_front()
        {
            self.last = over;
        }
        written
    }

    /// Tells of what was said lately. For protocols that do not say when a turn is over.
    pub(super) fn rest(&mut self) {
        let turn = self.open.front_mut().unwrap_or(&mut self.last);
        if turn.asked && turn.fresh {
            turn.tell(BodyEnd::Complete);
        }
    }

    /// The session is over: `closing` is how, `end` is what that makes of turns that were not.
    pub(super) fn end(&mut self, closing: &Closing, end: BodyEnd) -> Option<Written> {
        self.ended = true;
        let turn = self.open.front_mut().unwrap_or(&mut self.last);
        turn.said(&Message::Close(closing.clone()));
        let mut written = None;
        for mut turn in self.open.drain(..) {
            // Where both speak when they like, nobody knows what else there was to say.
            let end = if self.opening.protocol.takes_turns() { end.clone() } else { BodyEnd::Complete };
            written = turn.tell(end);
        }
        if self.last.fresh {
            written = self.last.tell(BodyEnd::Complete);
        }
        written
    }

    fn turn(&self) -> Turn {
        Turn::new(self.opening.ledger(), self.opening.response.clone())
    }

    fn finish_front(&mut self, end: BodyEnd) {
        if let Some(mut over) = self.open.pop_front() {
            if over.fresh {
                over.tell(end);
            }
            self.last = over;
        }
    }
}

impl Drop for Turns {
    fn drop(&mut self) {
        // The proxy was stopped in the middle of it.
        if !self.ended {
            for mut turn in self.open.drain(..).filter(|turn| turn.fresh) {
                let end = turn.ledger.gone();
                turn.tell(end);
            }
            if self.last.fresh {
                self.last.tell(BodyEnd::Complete);
            }
        }
    }
}
