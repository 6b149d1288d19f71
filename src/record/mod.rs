//! Exchanges in, run out: the one writer thread of a run.
//!
//! The proxy hands over references; everything that costs time (splitting, redaction, compression, `write(2)`)
//! happens on the writer thread. Requests are written while the upstream thinks.

mod bodies;
mod writer;

use crate::proxy::{BoxFuture, SeenRequest, SeenResponse, Tape};
use crate::redact::Redactor;
use crate::run::{Manifest, Outline};
use crate::store::{RunWriter, StoreError};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use tokio::sync::{Notify, oneshot};

/// Bytes of requests that may wait for the writer before agents have to wait.
const QUEUE_BYTES: usize = 16 << 20;

/// Hands what the proxy sees to the writer thread.
pub struct Recorder {
    to_writer: mpsc::Sender<Message>,
    queue: Arc<Queue>,
    thread: Mutex<Option<JoinHandle<writer::Finished>>>,
}

/// What a finished recording amounts to.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// As it was sealed.
    pub manifest: Manifest,
    /// Lanes, turns and steps.
    pub outline: Outline,
    /// Number of exchanges.
    pub exchanges: u32,
    /// Secrets left in fields that must round-trip.
    pub untouched: u32,
    /// Why not everything could be written.
    pub incomplete: Option<String>,
}

enum Message {
    Request(SeenRequest),
    Response(SeenResponse, oneshot::Sender<()>),
    Finish,
}

/// What waits for the writer, in bytes.
#[derive(Default)]
struct Queue {
    bytes: AtomicUsize,
    drained: Notify,
}

impl Queue {
    fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::AcqRel);
    }

    fn remove(&self, bytes: usize) {
        let before = self.bytes.fetch_sub(bytes, Ordering::AcqRel);
        if before >= QUEUE_BYTES && before - bytes < QUEUE_BYTES {
            self.drained.notify_waiters();
        }
    }
}

impl Recorder {
    /// Starts the writer thread. `warn` is told, once, when something cannot be written.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub fn start(
        run: RunWriter,
        redactor: Arc<Redactor>,
        warn: impl Fn(&str) + Send + 'static,
    ) -> std::io::Result<Arc<Recorder>> {
        let (to_writer, inbox) = mpsc::channel();
        let queue = Arc::new(Queue::default());
        let their_queue = queue.clone();
        let thread = std::thread::Builder::new()
            .name("recorder".into())
            .spawn(move || writer::Writer::new(run, redactor, Box::new(warn)).work(&inbox, &their_queue))?;
        Ok(Arc::new(Recorder { to_writer, queue, thread: Mutex::new(Some(thread)) }))
    }

    /// Waits for everything handed over to be written, derives the outline, seals the run.
    ///
    /// # Errors
    /// When the run cannot be sealed, or was finished before.
    pub fn finish(&self, end: impl FnOnce(&mut Manifest)) -> Result<Recorded, StoreError> {
        let gone = || StoreError::Refused("the recorder has stopped already".into());
        let _ = self.to_writer.send(Message::Finish);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take().ok_or_else(gone)?;
        let finished =
            thread.join().map_err(|_| StoreError::Refused("the recorder thread broke off".into()))?;
        finished.seal(end)
    }
}

impl Tape for Recorder {
    fn room(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            while self.queue.bytes.load(Ordering::Acquire) >= QUEUE_BYTES {
                let drained = self.queue.drained.notified();
                if self.queue.bytes.load(Ordering::Acquire) < QUEUE_BYTES {
                    break;
                }
                drained.await;
            }
        })
    }

    fn request(&self, seen: SeenRequest) {
        self.queue.add(seen.body.iter().map(|b| b.len()).sum());
        let _ = self.to_writer.send(Message::Request(seen));
    }

    fn response(&self, seen: SeenResponse, written: oneshot::Sender<()>) {
        self.queue.add(seen.frames.iter().map(|(b, _)| b.len()).sum());
        let _ = self.to_writer.send(Message::Response(seen, written));
    }
}
