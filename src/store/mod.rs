//! Runs on disk: append-only segments and packs are the truth, an index beside them is derived and can be lost.

pub mod bundle;

use crate::exchange::{
    BodyEnd, Exchange, ExchangeId, Fault, FrameMark, RequestHead, ResponseHead, Source, StandIn, Upstream,
};
use crate::run::{Manifest, Outline, RunId, RunState};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A part of a body in a run's pack: its ordinal there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PartId(pub u32);

/// A whole body: the part that holds its list of parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BodyRef(pub PartId);

/// A request as it stands in a segment: everything but the bodies' bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RequestRecord {
    pub id: ExchangeId,
    pub started_us: u64,
    pub upstream: Upstream,
    pub head: RequestHead,
    pub body: BodyRef,
    pub end: BodyEnd,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent: Option<BodyRef>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stand_ins: Vec<StandIn>,
}

/// A response as it stands in a segment. A second record of the same id replaces the first (bytes that came after
/// the terminal event).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResponseRecord {
    pub id: ExchangeId,
    pub source: Source,
    pub head: Option<ResponseHead>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
    pub head_us: u64,
    pub body: BodyRef,
    pub frames: Vec<FrameMark>,
    pub end: BodyEnd,
    pub end_us: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stand_ins: Vec<StandIn>,
}

/// What went wrong in a store, with the file it went wrong in.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("{}: {source}", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{}: {what}", path.display())]
    Damaged { path: PathBuf, what: String },
    #[error("no run {asked:?} in {}", store.display())]
    NoRun { asked: String, store: PathBuf },
    #[error("no store: neither {} nor a parent of it has a .retake directory", .0.display())]
    NoStore(PathBuf),
    #[error("{0}")]
    Refused(String),
}

/// One line of `ls`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunSummary {
    pub manifest: Manifest,
    pub state: RunState,
    pub exchanges: u32,
    /// None when it could not be read; the reason is in `problem`.
    pub steps: Option<u32>,
    pub model_steps: Option<u32>,
    pub usage: crate::dialect::conversation::Usage,
    pub bytes: u64,
    pub problem: Option<String>,
}

pub struct Store {
    root: PathBuf,
}

impl Store {
    pub fn root(&self) -> &Path {
        &self.root
    }
    /// Opens the store at `explicit`, else `.retake` in `cwd` or the nearest parent that has one.
    pub fn find(_explicit: Option<&Path>, _cwd: &Path) -> Result<Store, StoreError> {
        unimplemented!()
    }
    /// The same, but creates it (at `explicit`, else in `cwd`) when there is none.
    pub fn find_or_create(_explicit: Option<&Path>, _cwd: &Path) -> Result<Store, StoreError> {
        unimplemented!()
    }
    /// The key of this store's stand-ins (mode 0600; made on first use; never exported).
    pub fn key(&self) -> Result<[u8; 32], StoreError> {
        unimplemented!()
    }
    /// Begins a run `NAME.n` with the next free n (concurrent recorders get different ones).
    pub fn create_run(
        &self,
        _name: &str,
        _manifest: impl FnOnce(RunId) -> Manifest,
    ) -> Result<RunWriter, StoreError> {
        unimplemented!()
    }
    /// Finds a run by what a person typed: `refund.1`, `refund` (the newest of that name), `last`, a uuid or a
    /// unique prefix of one.
    pub fn resolve(&self, _text: &str) -> Result<RunId, StoreError> {
        unimplemented!()
    }
    pub fn open_run(&self, _id: &RunId) -> Result<RunReader, StoreError> {
        unimplemented!()
    }
    /// All runs, oldest first; a damaged one is listed with its problem.
    pub fn runs(&self) -> Result<Vec<RunSummary>, StoreError> {
        unimplemented!()
    }
}

/// The one writer of a run.
pub struct RunWriter;

impl RunWriter {
    pub fn manifest(&self) -> &Manifest {
        unimplemented!()
    }
    pub fn directory(&self) -> &Path {
        unimplemented!()
    }
    /// Adds a part unless its bytes are there already. Buffered until [`RunWriter::commit`].
    pub fn put_part(&mut self, _bytes: &[u8]) -> PartId {
        unimplemented!()
    }
    /// Adds a body: its parts in order.
    pub fn put_body(&mut self, _parts: &[PartId]) -> BodyRef {
        unimplemented!()
    }
    pub fn put_request(&mut self, _record: &RequestRecord) {
        unimplemented!()
    }
    pub fn put_response(&mut self, _record: &ResponseRecord) {
        unimplemented!()
    }
    /// `write(2)` of everything buffered: pack first, then segment.
    pub fn commit(&mut self) -> Result<(), StoreError> {
        unimplemented!()
    }
    /// `fdatasync` of pack and segment.
    pub fn sync(&mut self) -> Result<(), StoreError> {
        unimplemented!()
    }
    /// Ends the run: outline, footers, manifest, `fdatasync`.
    pub fn seal(
        self,
        _outline: Option<&Outline>,
        _finish: impl FnOnce(&mut Manifest),
    ) -> Result<Manifest, StoreError> {
        unimplemented!()
    }
}

/// A run, read from its files alone: while it is being recorded too, by any number of processes.
pub struct RunReader;

impl RunReader {
    pub fn manifest(&self) -> &Manifest {
        unimplemented!()
    }
    pub fn state(&self) -> RunState {
        unimplemented!()
    }
    /// Ids of all exchanges whose request can be read, in order.
    pub fn ids(&self) -> Vec<ExchangeId> {
        unimplemented!()
    }
    pub fn request(&self, _id: ExchangeId) -> Result<RequestRecord, StoreError> {
        unimplemented!()
    }
    pub fn response(&self, _id: ExchangeId) -> Result<Option<ResponseRecord>, StoreError> {
        unimplemented!()
    }
    pub fn parts(&self, _body: BodyRef) -> Result<Vec<PartId>, StoreError> {
        unimplemented!()
    }
    pub fn part(&self, _part: PartId) -> Result<Bytes, StoreError> {
        unimplemented!()
    }
    pub fn body(&self, _body: BodyRef) -> Result<Bytes, StoreError> {
        unimplemented!()
    }
    /// One exchange with its bodies.
    pub fn exchange(&self, _id: ExchangeId) -> Result<Exchange, StoreError> {
        unimplemented!()
    }
    /// The outline kept at the seal; none when the run was not sealed or it cannot be read.
    pub fn sealed_outline(&self) -> Result<Option<Outline>, StoreError> {
        unimplemented!()
    }
    /// What could not be read, in words, one line each (bad frames that were skipped, a torn tail).
    pub fn damage(&self) -> &[String] {
        unimplemented!()
    }
}
