//! The body of an answer on its way to the agent: passed on as it is read, noted by reference, and held at its
//! finishing frame until the exchange was written.

use super::ledger::{Ledger, Outcome};
use super::marker::MarkerScan;
use super::serve::CannedBody;
use super::wire::{Delivery, WireState};
use crate::exchange::{BodyEnd, ResponseHead};
use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::sync::oneshot;

/// The agent's connection is to be broken off: there is no answer, or no more of it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("broken off: {0}")]
pub(super) struct BrokenOff(pub(super) String);

/// The text of an error with all its causes.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}

/// Where the bytes come from.
pub(super) enum Spring {
    Upstream(Incoming),
    Canned(CannedBody),
}

impl Spring {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Given> {
        match self {
            Spring::Upstream(body) => Pin::new(body).poll_frame(cx).map_err(|error| BrokenOff(chain(&error))),
            Spring::Canned(body) => body.poll_frame(cx),
        }
    }
}

/// What hyper is given: a frame, a failure, or none at the end.
type Given = Option<Result<Frame<Bytes>, BrokenOff>>;

enum Phase {
    Flowing,
    /// Waits until the exchange is written, then passes on the frame.
    Held(Option<oneshot::Receiver<()>>, Option<Frame<Bytes>>, After),
    /// Waits until everything before has gone out: hyper forgets what it has buffered when a body fails.
    Breaking(BrokenOff, u64),
    Done,
}

#[derive(Clone)]
enum After {
    Flow,
    Finish,
    Break(BrokenOff),
}

/// How far a body is after a frame.
enum Progress {
    Passing,
    /// At or after its terminal event.
    Ended,
    /// All of its content-length is there.
    Whole,
}

/// What a [`Tee`] needs to know of its exchange.
pub(super) struct TeeSetup {
    pub(super) ledger: Arc<Ledger>,
    pub(super) wire: WireState,
    pub(super) delivery: Option<Delivery>,
    /// No event of it is the last one.
    pub(super) lasts: bool,
    /// None once the last was told.
    pub(super) head: Option<ResponseHead>,
    pub(super) head_us: u64,
    /// The content-length, when one was given.
    pub(super) length: Option<u64>,
    /// Looks for the terminal event, in event streams.
    pub(super) scan: Option<MarkerScan>,
}

/// The body of an answer, teed.
pub(super) struct Tee {
    spring: Spring,
    setup: TeeSetup,
    keeps: bool,
    frames: Vec<(Bytes, u64)>,
    passed: u64,
    /// The terminal event was seen and the exchange told of.
    ended: bool,
    phase: Phase,
}

impl Tee {
    pub(super) fn new(spring: Spring, setup: TeeSetup) -> Tee {
        let keeps = setup.ledger.keeps_frames();
        Tee { spring, setup, keeps, frames: Vec::new(), passed: 0, ended: false, phase: Phase::Flowing }
    }

    /// Tells of the answer as it stands. `last`: nothing can follow, so that nothing need be kept.
    fn tell(&mut self, end: BodyEnd, last: bool) -> Option<oneshot::Receiver<()>> {
        let (head, frames) = if last {
            (self.setup.head.take(), std::mem::take(&mut self.frames))
        } else {
            (self.setup.head.clone(), self.frames.clone())
        };
        self.setup.ledger.response(Outcome { head, fault: None, head_us: self.setup.head_us, frames, end })
    }

    /// Takes what the spring gave: a frame to pass on at once, or none when another phase begins with it.
    fn take(&mut self, given: Given) -> Option<Frame<Bytes>> {
        let (written, frame, after) = match given {
            None if self.ended => (None, None, After::Finish),
            None => (self.tell(BodyEnd::Complete, true), None, After::Finish),
            Some(Err(broken)) => {
                let end = BodyEnd::Error { what: broken.0.clone() };
                (self.tell(end, true), None, After::Break(broken))
            }
            Some(Ok(frame)) => match frame.data_ref().cloned().map(|data| self.note(data)) {
                Some(Progress::Passing) => return Some(frame),
                Some(Progress::Ended) => (self.tell(BodyEnd::Complete, false), Some(frame), After::Flow),
                Some(Progress::Whole) => (self.tell(BodyEnd::Complete, true), Some(frame), After::Finish),
                None => {
                    let fields = frame.trailers_ref().map(super::head::from_map).unwrap_or_default();
                    (self.tell(BodyEnd::Trailers { fields }, true), Some(frame), After::Finish)
                }
            },
        };
        self.phase = Phase::Held(written, frame, after);
        None
    }

    /// Notes a read of the body.
    fn note(&mut self, data: Bytes) -> Progress {
        self.passed += data.len() as u64;
        self.ended |= self.setup.scan.as_mut().is_some_and(|scan| scan.feed(&data));
        if self.keeps && !data.is_empty() {
            self.frames.push((data, self.setup.ledger.now_us()));
        }
        if self.setup.length == Some(self.passed) {
            Progress::Whole
        } else if self.ended {
            Progress::Ended
        } else {
            Progress::Passing
        }
    }

    /// Nothing more is to be told: what is still held up goes out with the connection's next flush.
    fn finish(&mut self) {
        self.phase = Phase::Done;
        if let Some(delivery) = self.setup.delivery.take() {
            self.setup.wire.deliver(delivery);
        }
    }

    /// Moves on from a phase that waits; a result when there is something for hyper.
    fn step(&mut self, cx: &mut Context<'_>) -> Poll<Option<Given>> {
        match &mut self.phase {
            Phase::Flowing => {
                let polled = ready!(self.spring.poll_frame(cx));
                Poll::Ready(self.take(polled).map(|frame| Some(Ok(frame))))
            }
            Phase::Held(written, frame, after) => {
                if let Some(receiver) = written {
                    // Answered or dropped: either way the agent goes on.
                    let _ = ready!(Pin::new(receiver).poll(cx));
                }
                let (mut frame, after) = (frame.take(), after.clone());
                match after {
                    After::Flow => self.phase = Phase::Flowing,
                    After::Finish => self.finish(),
                    After::Break(broken) => {
                        self.phase = Phase::Breaking(broken, self.setup.wire.flushes());
                        // A connection with nothing to write is not flushed any more: something to write.
                        if self.setup.wire.is_of_streams() {
                            frame = frame.or_else(|| Some(Frame::data(Bytes::new())));
                        }
                    }
                }
                Poll::Ready(frame.map(|frame| Some(Ok(frame))))
            }
            Phase::Breaking(broken, since) => {
                ready!(self.setup.wire.poll_flushed(*since, cx));
                let broken = broken.clone();
                self.finish();
                Poll::Ready(Some(Some(Err(broken))))
            }
            Phase::Done => Poll::Ready(Some(None)),
        }
    }
}

impl Body for Tee {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Given> {
        loop {
            if let Some(out) = ready!(self.step(cx)) {
                return Poll::Ready(out);
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.phase, Phase::Done)
    }

    fn size_hint(&self) -> SizeHint {
        self.setup.length.map(SizeHint::with_exact).unwrap_or_default()
    }
}

impl Drop for Tee {
    fn drop(&mut self) {
        // hyper lets go of a body when the agent hangs up, and nobody else will tell.
        // A stream that was asked for by GET may have gone on for ever: who ended it counts.
        if matches!(self.phase, Phase::Flowing) && (!self.ended || self.setup.lasts) {
            let end = self.setup.ledger.gone();
            self.tell(end, true);
        }
    }
}

/// What the proxy answers with.
pub(super) enum AnswerBody {
    Tee(Box<Tee>),
    /// Bytes of retake's own.
    Plain(Option<Bytes>),
    /// No body, though the head has a content-length (HEAD, 304): hyper would drop it from the head of a response
    /// without a body, and asks this one for no frame.
    Sized(u64),
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Given> {
        match self.get_mut() {
            AnswerBody::Tee(tee) => Pin::new(tee).poll_frame(cx),
            AnswerBody::Plain(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            AnswerBody::Sized(_) => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            AnswerBody::Tee(tee) => tee.is_end_stream(),
            AnswerBody::Plain(bytes) => bytes.is_none(),
            AnswerBody::Sized(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            AnswerBody::Tee(tee) => tee.size_hint(),
            AnswerBody::Plain(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            AnswerBody::Sized(length) => SizeHint::with_exact(*length),
        }
    }
}
