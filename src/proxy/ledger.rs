//! One exchange under way: what the tape and the answerer are told of it, in order and once.

use super::{Answerer, SeenRequest, SeenResponse, Tape};
use crate::exchange::{BodyEnd, ExchangeId, Fault, RequestHead, ResponseHead, Source, Upstream};
use bytes::Bytes;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::oneshot;

/// How a response came to its end.
pub(super) struct Outcome {
    pub(super) head: Option<ResponseHead>,
    pub(super) fault: Option<Fault>,
    pub(super) head_us: u64,
    pub(super) frames: Vec<(Bytes, u64)>,
    pub(super) end: BodyEnd,
}

impl Outcome {
    pub(super) fn fault(fault: Fault, end: BodyEnd) -> Outcome {
        Outcome { head: None, fault: Some(fault), head_us: 0, frames: Vec::new(), end }
    }
}

/// The books of one exchange.
pub(super) struct Ledger {
    id: ExchangeId,
    started: Instant,
    tape: Option<Arc<dyn Tape>>,
    answerer: Option<Arc<dyn Answerer>>,
    breaking: Arc<AtomicBool>,
    entries: Mutex<Entries>,
}

struct Entries {
    /// None once the tape was told.
    request: Option<SeenRequest>,
    /// How the request ended, when it was read before anything was decided.
    request_end: Option<BodyEnd>,
    source: Source,
    /// A live answer that the answerer still has to hear of.
    awaited: bool,
    /// The agent broke off while it was sending.
    cut_short: bool,
    /// The body of a request that found no connection to go over.
    unsent: Option<hyper::body::Incoming>,
}

impl Ledger {
    pub(super) fn open(
        id: ExchangeId,
        upstream: Upstream,
        head: RequestHead,
        tape: Option<Arc<dyn Tape>>,
        answerer: Option<Arc<dyn Answerer>>,
        breaking: Arc<AtomicBool>,
    ) -> Ledger {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let request = SeenRequest {
            id,
            started_us: u64::try_from(since_epoch.as_micros()).unwrap_or(u64::MAX),
            upstream,
            head,
            body: Vec::new(),
            end: BodyEnd::Complete,
            sent: None,
            sent_target: None,
        };
        let entries = Entries {
            request: Some(request),
            request_end: None,
            source: Source::Live,
            awaited: false,
            cut_short: false,
            unsent: None,
        };
        Ledger { id, started: Instant::now(), tape, answerer, breaking, entries: Mutex::new(entries) }
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which exchange this is.
    pub(super) fn id(&self) -> ExchangeId {
        self.id
    }

    /// Microseconds since the exchange started.
    pub(super) fn now_us(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// True when somebody wants the frames of the answer.
    pub(super) fn keeps_frames(&self) -> bool {
        self.tape.is_some() || self.lock().awaited
    }

    /// A read of the request's body.
    pub(super) fn request_frame(&self, frame: Bytes) {
        if self.tape.is_some()
            && let Some(request) = &mut self.lock().request
        {
            request.body.push(frame);
        }
    }

    /// The body of the request, read to its end before anything is decided. The tape is told when it is.
    pub(super) fn request_read(&self, body: Bytes, end: BodyEnd) {
        let mut entries = self.lock();
        entries.request_end = Some(end);
        if let Some(request) = &mut entries.request {
            request.body = vec![body];
        }
    }

    /// The answer is not the upstream's.
    pub(super) fn answers_from(&self, source: Source) {
        self.lock().source = source;
    }

    /// The answer is the upstream's after all, and the answerer wants to hear of it.
    pub(super) fn forwards(&self, sent: Option<Bytes>, target: Option<String>, upstream: Option<Upstream>) {
        let mut entries = self.lock();
        entries.awaited = true;
        if let Some(request) = &mut entries.request {
            request.sent = sent;
            request.sent_target = target;
            if let Some(upstream) = upstream {
                request.upstream = upstream;
            }
        }
    }

    /// Nothing was read of the request's body, and nobody wants it.
    pub(super) fn unsent(&self, body: hyper::body::Incoming) {
        self.lock().unsent = Some(body);
    }

    /// Reads what was never sent: the request is recorded all the same.
    pub(super) async fn read_unsent(&self) {
        let unsent = self.lock().unsent.take();
        let Some(body) = unsent else { return };
        let (body, end) = match super::sent::read_whole(body).await {
            Ok(read) => read,
            Err((body, what)) => (body, BodyEnd::Error { what: what.0 }),
        };
        self.request_frame(body);
        self.request_ended(end);
    }

    /// The request's body came to its end. Only the first call counts.
    pub(super) fn request_ended(&self, end: BodyEnd) {
        let mut entries = self.lock();
        entries.cut_short |= matches!(end, BodyEnd::Error { .. });
        self.tell_request(&mut entries, end);
    }

    /// True when the agent broke off inside its request.
    pub(super) fn cut_short(&self) -> bool {
        self.lock().cut_short
    }

    // Told under the lock: a response must never overtake its request.
    fn tell_request(&self, entries: &mut Entries, end: BodyEnd) {
        if let Some(mut request) = entries.request.take()
            && let Some(tape) = &self.tape
        {
            request.end = entries.request_end.take().unwrap_or(end);
            tape.request(request);
        }
    }

    /// The answer came to its end, or went on after its terminal event. The receiver is answered when it was
    /// written; none when nobody writes.
    pub(super) fn response(&self, outcome: Outcome) -> Option<oneshot::Receiver<()>> {
        let mut entries = self.lock();
        self.tell_request(&mut entries, BodyEnd::Cancelled);
        let seen = SeenResponse {
            id: self.id,
            source: entries.source.clone(),
            head: outcome.head,
            fault: outcome.fault,
            head_us: outcome.head_us,
            frames: outcome.frames,
            end: outcome.end,
            end_us: self.now_us(),
        };
        if std::mem::take(&mut entries.awaited)
            && let Some(answerer) = &self.answerer
        {
            answerer.answered(&seen);
        }
        let tape = self.tape.as_ref()?;
        let (written, receiver) = oneshot::channel();
        tape.response(seen, written);
        Some(receiver)
    }

    /// As [`Ledger::response`], and waits until it was written.
    pub(super) async fn response_written(&self, outcome: Outcome) {
        if let Some(written) = self.response(outcome) {
            // Dropped means that it cannot be written, which is not the agent's concern.
            let _ = written.await;
        }
    }

    /// How a body ended whose reader went away: the agent, or the proxy that is being stopped.
    pub(super) fn gone(&self) -> BodyEnd {
        if self.breaking.load(Ordering::Relaxed) { BodyEnd::Interrupted } else { BodyEnd::Cancelled }
    }
}

/// Notes that the agent went away before it had a response head, unless it is disarmed.
pub(super) struct Abandonment(Option<Arc<Ledger>>);

impl Abandonment {
    pub(super) fn watch(ledger: &Arc<Ledger>) -> Abandonment {
        Abandonment(Some(ledger.clone()))
    }

    /// The exchange has another end from here on.
    pub(super) fn disarm(&mut self) {
        self.0 = None;
    }
}

impl Drop for Abandonment {
    fn drop(&mut self) {
        if let Some(ledger) = self.0.take() {
            let end = ledger.gone();
            let fault = if end == BodyEnd::Interrupted { Fault::Interrupted } else { Fault::Abandoned };
            ledger.response(Outcome::fault(fault, end));
        }
    }
}
