//! Exchanges in, run out: the one writer thread of a run.

use crate::proxy::{BoxFuture, SeenRequest, SeenResponse, Tape};
use crate::redact::Redactor;
use crate::run::Manifest;
use crate::store::{RunWriter, StoreError};
use std::sync::Arc;
use tokio::sync::oneshot;

/// Hands what the proxy sees to the writer thread.
pub struct Recorder;

/// What a finished recording amounts to.
#[derive(Debug, Clone)]
pub struct Recorded {
    pub manifest: Manifest,
    pub outline: crate::run::Outline,
    pub exchanges: u32,
    /// Places where a secret was replaced.
    pub stand_ins: u32,
    /// Secrets left in fields that must round-trip.
    pub untouched: u32,
    /// Why not everything could be written.
    pub incomplete: Option<String>,
}

impl Recorder {
    /// Starts the writer thread.
    pub fn start(_writer: RunWriter, _redactor: Arc<Redactor>) -> Arc<Recorder> {
        unimplemented!()
    }
    /// Waits for everything handed over to be written, derives the outline, seals the run.
    pub fn finish(&self, _end: impl FnOnce(&mut Manifest)) -> Result<Recorded, StoreError> {
        unimplemented!()
    }
}

impl Tape for Recorder {
    fn room(&self) -> BoxFuture<'_, ()> {
        unimplemented!()
    }
    fn request(&self, _seen: SeenRequest) {
        unimplemented!()
    }
    fn response(&self, _seen: SeenResponse, _written: oneshot::Sender<()>) {
        unimplemented!()
    }
}
