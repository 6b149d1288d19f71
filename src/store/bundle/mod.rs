//! The portable run file, `*.retake`: one run as JSON Lines, for git, for mail, for other programs.
//!
//! `replay-format.md` is the contract; this module is one writer and one reader of it. [`export`] streams, [`import`]
//! holds the run. The same run always gives the same bytes.
//!
//! - `line`: one record a line, its checksum at the end.
//! - `cut`: the values of a body that can be shared.
//! - `content`: the bytes of a part as JSON, text or base64.
//! - `list`: a body as parts, short texts and runs of an earlier body.
//! - `exported`: what the agent's instrumentation exported.
//! - `record`: the records themselves.
//! - `write`: export.
//! - `lines`: where in a file an exchange is told.
//! - `read`, `bodies`, `mend`: import, bodies put together again, and what is done for a file edited by hand.

mod bodies;
mod checkpoint;
mod content;
mod cut;
mod exported;
mod line;
mod lines;
mod list;
mod mend;
mod read;
mod record;
mod view;
mod write;

use crate::exchange::Exchange;
use crate::otlp::Batch;
use crate::run::{Manifest, Outline};
use crate::store::StoreError;
use serde_json::Value;
use std::collections::BTreeMap;

pub use checkpoint::checkpoints;
pub use lines::lines;
pub use read::import;
pub use write::export;

/// What `format` of the first line says.
pub const FORMAT: &str = "retake";

/// Major version: a reader refuses a file with a newer one.
pub const MAJOR: u32 = 1;

/// Minor version: a newer one may have more kinds of records and more members, which a reader passes over.
///
/// Changes:
/// - 1.0: first version.
/// - 1.1: `spans` and `logs`. A file without them says 1.0.
pub const MINOR: u32 = 1;

/// A run as [`export`] reads it.
pub trait ExportSource {
    /// Who the run is.
    fn manifest(&self) -> &Manifest;

    /// Its lanes, turns and steps, when they are known.
    fn outline(&self) -> Option<&Outline>;

    /// Its exchanges in order of arrival, one by one: only one is held at a time.
    fn exchanges(&self) -> Box<dyn Iterator<Item = Result<Exchange, StoreError>> + '_>;

    /// What changed with every step, in order of steps ([`checkpoints`] derives it from an outline).
    fn checkpoints(&self) -> Vec<Value>;

    /// True when its agent's instrumentation exported something.
    fn has_exports(&self) -> bool {
        false
    }

    /// Hands over each export, in the order in which they came.
    ///
    /// # Errors
    /// When they cannot be read.
    fn exports(&self, _take: &mut dyn FnMut(&Batch)) -> Result<(), StoreError> {
        Ok(())
    }
}

/// A run as it was read from a file.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportedRun {
    /// Who the run is.
    pub manifest: Manifest,
    /// Its exchanges, in order of arrival.
    pub exchanges: Vec<Exchange>,
    /// Lanes, turns and steps; none when the file has none, or when it was edited and they no longer hold.
    pub outline: Option<Outline>,
    /// What changed with every step; empty when `outline` is none because of an edit.
    pub checkpoints: Vec<Value>,
    /// Numbers of the lines (from 1) that do not verify. Empty unless [`ImportOptions::allow_edited`] let them pass.
    pub edited: Vec<usize>,
    /// Records of kinds that this version does not know: how many of each were passed over.
    pub skipped: BTreeMap<String, usize>,
    /// What the agent's instrumentation exported, in the order in which it came.
    pub exports: Vec<Batch>,
    /// Exports that are damaged: they were left out.
    pub damaged_exports: usize,
}

impl ExportSource for ImportedRun {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn outline(&self) -> Option<&Outline> {
        self.outline.as_ref()
    }

    fn exchanges(&self) -> Box<dyn Iterator<Item = Result<Exchange, StoreError>> + '_> {
        Box::new(self.exchanges.iter().cloned().map(Ok))
    }

    fn checkpoints(&self) -> Vec<Value> {
        self.checkpoints.clone()
    }

    fn has_exports(&self) -> bool {
        !self.exports.is_empty()
    }

    fn exports(&self, take: &mut dyn FnMut(&Batch)) -> Result<(), StoreError> {
        self.exports.iter().for_each(take);
        Ok(())
    }
}

/// How strict [`import`] is, and how much it takes.
#[derive(Debug, Clone, Copy)]
pub struct ImportOptions {
    /// Take a file whose lines were changed by hand: checksums are made anew, lengths are made to fit, the outline is
    /// dropped (it is derived from the exchanges).
    pub allow_edited: bool,
    /// Most bytes that all bodies together, and any one line, may have. A small file can describe huge bodies.
    pub max_bytes: u64,
}

impl Default for ImportOptions {
    fn default() -> ImportOptions {
        ImportOptions { allow_edited: false, max_bytes: 4 << 30 }
    }
}

/// Why a file could not be written or read. The caller knows the file's name and puts it in front.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The run could not be read from its store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file could not be written or read.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The run holds what the format cannot hold.
    #[error("cannot be exported: {0}")]
    Unfit(String),
    /// The first line is not the header of a run file.
    #[error("not a retake run file: {0}")]
    NotARun(String),
    /// The file is of a major version that this program does not read.
    #[error(
        "written in format {major}.{minor}, and this retake reads {MAJOR}.x: use a newer retake, or export the run again with this one"
    )]
    NewerMajor {
        /// Major version of the file.
        major: u32,
        /// Minor version of the file.
        minor: u32,
    },
    /// The end is missing.
    #[error("cut off after line {lines}: the footer is missing")]
    Truncated {
        /// Whole lines before the cut.
        lines: usize,
    },
    /// A line is not what was written.
    #[error("line {line}: {what}; the file was changed after its export")]
    Edited {
        /// Number of the line, from 1.
        line: usize,
        /// What does not verify.
        what: String,
    },
    /// A line cannot be understood.
    #[error("line {line}: {what}")]
    Malformed {
        /// Number of the line, from 1.
        line: usize,
        /// What is wrong with it.
        what: String,
    },
    /// The bodies are larger than the caller allows.
    #[error("line {line}: the bodies up to here have more than {limit} bytes, the most that is taken")]
    TooLarge {
        /// Number of the line, from 1.
        line: usize,
        /// [`ImportOptions::max_bytes`].
        limit: u64,
    },
}
