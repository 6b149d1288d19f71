//! Exchanges in, run out: the one writer of a run.
//!
//! The proxy hands over references; what costs time (splitting, redaction, compression, `write(2)`) happens on the
//! writer's thread, requests while the upstream thinks. See [`inbox`].

pub mod attached;
mod bodies;
mod inbox;
mod telemetry;
mod writer;

use crate::proxy::{BoxFuture, SeenExport, SeenRequest, SeenResponse, Tape};
use crate::redact::Redactor;
use crate::run::{Manifest, Outline};
use crate::store::{RunWriter, StoreError};
use inbox::{Inbox, Message};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use telemetry::SpanRecorder;
use tokio::sync::oneshot;
use writer::Writer;

pub use telemetry::Exported;

/// Hands what the proxy sees to the writer thread.
pub struct Recorder {
    inbox: Arc<Inbox>,
    thread: Mutex<Option<JoinHandle<()>>>,
    spans: SpanRecorder,
    /// That of the run.
    uuid: String,
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
    /// What the agent's instrumentation exported.
    pub exported: Exported,
}

impl Recorded {
    /// True when nothing came that could be kept.
    pub fn is_empty(&self) -> bool {
        self.exchanges == 0 && self.exported.is_empty() && self.incomplete.is_none()
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
        let spans = SpanRecorder::new(run.directory().to_path_buf(), redactor.clone());
        let uuid = run.manifest().uuid.clone();
        let inbox = Arc::new(Inbox::new(Writer::new(run, redactor, Box::new(warn))));
        let theirs = inbox.clone();
        let thread = std::thread::Builder::new().name("recorder".into()).spawn(move || theirs.work())?;
        Ok(Arc::new(Recorder { inbox, thread: Mutex::new(Some(thread)), spans, uuid }))
    }

    /// Waits for everything handed over to be written, derives the outline, seals the run.
    ///
    /// # Errors
    /// When the run cannot be sealed, or was finished before.
    pub fn finish(&self, end: impl FnOnce(&mut Manifest)) -> Result<Recorded, StoreError> {
        let gone = || StoreError::Refused("the recorder has stopped already".into());
        self.inbox.post(Message::Finish);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take().ok_or_else(gone)?;
        let broke_off = || StoreError::Refused("the recorder thread broke off".into());
        thread.join().map_err(|_| broke_off())?;
        let exported = self.spans.finish().unwrap_or_default();
        self.inbox.take_writer().ok_or_else(broke_off)?.seal(exported, end)
    }
}

impl Recorder {
    /// Adds what was exported to the run that was sealed; blocks.
    ///
    /// # Errors
    /// When the run is not there any more, or cannot be written.
    fn export_late(&self, seen: SeenExport) -> Result<(), StoreError> {
        self.spans.add(seen, &self.uuid)
    }
}

impl Tape for Recorder {
    fn room(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.inbox.room())
    }

    fn request(&self, seen: SeenRequest) {
        self.inbox.post(Message::Request(seen));
    }

    fn response(&self, seen: SeenResponse, written: oneshot::Sender<()>) {
        self.inbox.post(Message::Response(seen, written));
    }

    fn export(&self, seen: SeenExport) -> BoxFuture<'_, ()> {
        Box::pin(self.spans.take(seen))
    }
}
