//! Runs as other tools keep them: one kind of file a module, each from bytes to exchanges.
//!
//! What a file does not say is not made up: a [`Lack`] names it, and what it takes from the run. A run that was put together from
//! messages has bodies of retake's own making, and is never sound for a replay.

pub mod har;
pub mod inspect;
pub mod llama_stack;
pub mod messages;
pub mod mitmproxy;
pub mod otlp;
pub mod vcr;

mod said;
mod transcript;

use crate::exchange::Exchange;
use crate::otlp::Batch;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// A kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Cassettes of VCR and vcrpy, in YAML.
    Vcr,
    /// HTTP archives: browsers, proxies, HTTP clients.
    Har,
    /// Flows of mitmproxy.
    Mitmproxy,
    /// Recordings of llama-stack's own tests.
    LlamaStack,
    /// Logs of Inspect, in JSON or as `.eval`.
    Inspect,
    /// OTLP traces with the content of model calls, in protobuf or JSON.
    Otlp,
    /// Conversations as lists of messages, in JSON Lines.
    Messages,
}

/// A use of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Use {
    /// Reading it.
    View,
    /// Comparing it with another.
    Diff,
    /// Answering an agent from it.
    Replay,
    /// Going on from a step of it.
    Fork,
}

/// Something that a file does not say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lack {
    /// What is missing, by the name that the file's format has for it: `response.body of interaction 3`.
    pub what: String,
    /// What the run is not sound for because of it. Nothing: it is only less than it might be.
    pub spoils: Vec<Use>,
}

/// A run that was read from somebody else's file.
#[derive(Debug, Clone)]
pub struct Foreign {
    /// What it is called there, or what it is about: a word.
    pub name: String,
    /// When it began: microseconds since the Unix epoch; none when the file does not say.
    pub started_us: Option<u64>,
    /// Model and tool exchanges in the order of their requests, numbered from 1.
    pub exchanges: Vec<Exchange>,
    /// Spans.
    pub exports: Vec<Batch>,
    /// What else the file says of it: a task, a trial, a score.
    pub labels: BTreeMap<String, String>,
    /// True when it says that the agent did what it should, false when it says that it did not.
    pub succeeded: Option<bool>,
    /// What is missing.
    pub lacks: Vec<Lack>,
}

impl Foreign {
    /// What it is sound for.
    pub fn uses(&self) -> BTreeSet<Use> {
        let spoilt: BTreeSet<Use> = self.lacks.iter().flat_map(|lack| lack.spoils.iter().copied()).collect();
        [Use::View, Use::Diff, Use::Replay, Use::Fork].into_iter().filter(|of| !spoilt.contains(of)).collect()
    }
}

/// Why a file cannot be read: what is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct Unreadable {
    /// In words: `line 3: no "messages"`.
    pub what: String,
}

impl Unreadable {
    /// With what is wrong.
    pub fn new(what: impl Into<String>) -> Unreadable {
        Unreadable { what: what.into() }
    }
}

/// Reads the runs of a file. `name`: what they are called when the file does not say.
///
/// # Errors
/// When it is no such file.
pub fn read(kind: Kind, name: &str, bytes: &[u8]) -> Result<Vec<Foreign>, Unreadable> {
    match kind {
        Kind::Vcr => vcr::read(name, bytes),
        Kind::Har => har::read(name, bytes),
        Kind::Mitmproxy => mitmproxy::read(name, bytes),
        Kind::LlamaStack => llama_stack::read(name, bytes),
        Kind::Inspect => inspect::read(name, bytes),
        Kind::Otlp => otlp::read(name, bytes),
        Kind::Messages => messages::read(name, bytes),
    }
}
