//! Runs on disk: append-only segments and packs are the truth, an index beside them is derived and can be lost.

//!
//! | file | what |
//! | --- | --- |
//! | `layout`, `atomic`, `lock` | the store's directory; private files, never half written; who is at work on a run |
//! | `run_dir` | a run's directory and its manifest |
//! | `writer`, `reader` | the one writer of a run, and its readers |
//! | `frame`, `append`, `sealed`, `varint`, `coding` | what both files consist of |
//! | `segment`, `segment_index` | records of exchanges |
//! | `pack`, `pack_reader`, `block`, `list` | parts of bodies, each stored once, and the lists of them |
//! | `outline_file` | the outline of a sealed run |
//! | `spans` | spans and log records that the agent's instrumentation exported |
//! | `noise_file` | which tool results vary by themselves, as a replay has shown |
//! | `runs`, `ended`, `removal`, `adopt`, `gc` | finding runs, how they ended, and removing them |
//! | `catalogue`, `index` | what can be derived, and sled, which keeps it |
//!
//! An exchange is *recorded* when [`RunWriter::commit`] has returned: a kill of this process loses nothing of it. It
//! is *durable*, which a power failure does not take either, when [`RunWriter::sync`] has returned.

pub mod bundle;

mod adopt;
mod append;
mod atomic;
mod block;
mod catalogue;
mod coding;
mod derive;
mod ended;
mod frame;
mod gc;
mod index;
mod layout;
mod list;
mod lock;
mod noise_file;
mod outline_file;
mod pack;
mod pack_reader;
mod reader;
mod removal;
mod run_dir;
mod runs;
mod sealed;
mod segment;
mod segment_index;
mod spans;
mod varint;
mod writer;

#[cfg(test)]
mod tests;

use crate::dialect::conversation::Usage;
use crate::exchange::{
    BodyEnd, ExchangeId, Fault, FrameMark, RequestHead, ResponseHead, Source, StandIn, Upstream,
};
use crate::run::{Manifest, Outline, RunId, RunState, StepKind};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

pub use gc::{GcPolicy, GcReport};
pub use index::Rebuilt;
pub use noise_file::Noise;
pub use reader::RunReader;
pub use removal::Removed;
pub use spans::{SpanReader, SpanWriter};
pub use writer::RunWriter;

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
    /// Place in the run.
    pub id: ExchangeId,
    /// When its head arrived: microseconds since the Unix epoch.
    pub started_us: u64,
    /// Where it went.
    pub upstream: Upstream,
    /// Method, target, headers; after redaction.
    pub head: RequestHead,
    /// The body of the wire, after redaction.
    pub body: BodyRef,
    /// How the body ended.
    pub end: BodyEnd,
    /// What went upstream instead of `body`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent: Option<BodyRef>,
    /// What the request went under instead of the target of `head`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_target: Option<String>,
    /// The secrets that were replaced in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stand_ins: Vec<StandIn>,
}

/// A response as it stands in a segment. A second record of the same id replaces the first (bytes that came after
/// the terminal event).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResponseRecord {
    /// The exchange that it belongs to.
    pub id: ExchangeId,
    /// Who answered.
    pub source: Source,
    /// Status and headers, after redaction; none when there was a fault.
    pub head: Option<ResponseHead>,
    /// Why there is no head.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
    /// When the head arrived: microseconds since the exchange started.
    pub head_us: u64,
    /// The body of the wire, after redaction.
    pub body: BodyRef,
    /// The reads it came in. On disk: length and microseconds since the read before, in turn.
    #[serde(default, with = "frame_marks", skip_serializing_if = "Vec::is_empty")]
    pub frames: Vec<FrameMark>,
    /// How the body ended.
    pub end: BodyEnd,
    /// When it ended: microseconds since the exchange started.
    pub end_us: u64,
    /// The secrets that were replaced in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stand_ins: Vec<StandIn>,
}

/// Reads of a body as one flat list: half as long as pairs with absolute times, and there may be thousands.
mod frame_marks {
    use crate::exchange::FrameMark;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(marks: &[FrameMark], serializer: S) -> Result<S::Ok, S::Error> {
        let mut before = 0u64;
        let flat = marks.iter().flat_map(|mark| {
            // Times never go back; if a clock did, the difference wraps here and back again when it is read.
            let since = mark.1.wrapping_sub(before);
            before = mark.1;
            [u64::from(mark.0), since]
        });
        serializer.collect_seq(flat)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<FrameMark>, D::Error> {
        let flat = Vec::<u64>::deserialize(deserializer)?;
        let mut at = 0u64;
        let marks = flat.chunks_exact(2).map(|pair| {
            let (len, since) =
                (pair.first().copied().unwrap_or_default(), pair.last().copied().unwrap_or_default());
            at = at.wrapping_add(since);
            FrameMark(u32::try_from(len).unwrap_or(u32::MAX), at)
        });
        Ok(marks.collect())
    }
}

/// What went wrong in a store, with the file it went wrong in.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// There is no store yet, and none can be made there.
    #[error("cannot create the store {}: {source}", path.display())]
    NotCreated {
        /// Where it was to be.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A file does not hold what was written into it.
    #[error("{}: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what can be done.
        what: String,
    },
    /// There is no such run.
    #[error("no run {asked:?} in {}", store.display())]
    NoRun {
        /// What was asked for.
        asked: String,
        /// A run that is called almost so.
        near: Option<RunId>,
        /// The store.
        store: PathBuf,
    },
    /// There is no store here.
    #[error("no store: neither {} nor a parent of it has a .retake directory", .0.display())]
    NoStore(PathBuf),
    /// It can be read, and must not be done; says what to do instead.
    #[error("{0}")]
    Refused(String),
}

impl StoreError {
    /// For `map_err`: an error of the system at this path.
    fn io(path: &Path) -> impl Fn(std::io::Error) -> StoreError + use<> {
        let path = path.to_path_buf();
        move |source| StoreError::Io { path: path.clone(), source }
    }
}

/// What a run amounted to when it was sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunTotals {
    /// Exchanges, side calls included.
    pub exchanges: u32,
    /// Model and tool steps; none when it was sealed without an outline.
    pub steps: Option<u32>,
    /// Model steps.
    pub model_steps: Option<u32>,
    /// Tokens of all model calls.
    pub usage: Usage,
}

impl RunTotals {
    fn of(exchanges: u32, outline: Option<&Outline>) -> RunTotals {
        let is_model = |s: &&crate::run::Step| matches!(s.kind, StepKind::Model { .. });
        RunTotals {
            exchanges,
            steps: outline.map(|o| o.steps.len() as u32),
            model_steps: outline.map(|o| o.steps.iter().filter(is_model).count() as u32),
            usage: outline.map(Outline::usage).unwrap_or_default(),
        }
    }
}

/// One line of `ls`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunSummary {
    /// What the run says of itself; of a run whose manifest cannot be read, its name alone.
    pub manifest: Manifest,
    /// What it is doing.
    pub state: RunState,
    /// Exchanges, side calls included.
    pub exchanges: u32,
    /// Model and tool steps. None before the run is sealed, and when it could not be read; the reason is in `problem`.
    pub steps: Option<u32>,
    /// Model steps.
    pub model_steps: Option<u32>,
    /// Tokens of all model calls; 0 before the run is sealed.
    pub usage: Usage,
    /// Bytes of its directory.
    pub bytes: u64,
    /// Why it cannot be read in full, in words.
    pub problem: Option<String>,
}

/// A directory with runs in it.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
    notes: Arc<Mutex<Vec<String>>>,
}
