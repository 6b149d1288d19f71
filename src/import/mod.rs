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
pub mod plain;
mod socket;
#[cfg(test)]
mod tests;
mod tnetstring;
pub mod vcr;
mod wire;
mod yaml;

mod said;
mod transcript;

use crate::exchange::{Exchange, encoding};
use crate::otlp::Batch;
use crate::run::lack::sound_for;
pub use crate::run::{Lack, Use};
use std::borrow::Cow;
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

impl Kind {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Vcr => "vcr",
            Kind::Har => "har",
            Kind::Mitmproxy => "mitmproxy",
            Kind::LlamaStack => "llama-stack",
            Kind::Inspect => "inspect",
            Kind::Otlp => "otlp",
            Kind::Messages => "messages",
        }
    }

    /// In words: `a cassette of VCR`.
    pub fn article(self) -> &'static str {
        match self {
            Kind::Vcr => "a cassette of VCR",
            Kind::Har => "an HTTP archive",
            Kind::Mitmproxy => "flows of mitmproxy",
            Kind::LlamaStack => "recordings of llama-stack",
            Kind::Inspect => "a log of Inspect",
            Kind::Otlp => "an OTLP trace",
            Kind::Messages => "lists of messages",
        }
    }
}

/// The kind of a file by its beginning, where that is plain. For hints: nothing is read by a guess.
pub fn looks_like(bytes: &[u8]) -> Option<Kind> {
    let beginning = bytes.get(..bytes.len().min(4096)).unwrap_or_default();
    let text = String::from_utf8_lossy(beginning);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let has = |needle: &str| text.contains(needle);
    if beginning.starts_with(b"PK\x03\x04") || (text.starts_with('{') && has("\"eval\"") && has("\"task\"")) {
        return Some(Kind::Inspect);
    }
    if !text.starts_with('{') {
        let is_vcr = text.lines().any(|line| matches!(line, "interactions:" | "http_interactions:"));
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let is_flow = (1..10).contains(&digits) && text.as_bytes().get(digits) == Some(&b':');
        return is_vcr.then_some(Kind::Vcr).or(is_flow.then_some(Kind::Mitmproxy));
    }
    if has("\"log\"") && has("\"creator\"") {
        Some(Kind::Har)
    } else if has("\"interactions\"") {
        Some(Kind::Vcr)
    } else if has("\"resourceSpans\"") {
        Some(Kind::Otlp)
    } else if has("\"request\"") && has("\"endpoint\"") {
        Some(Kind::LlamaStack)
    } else if has("\"messages\"") {
        Some(Kind::Messages)
    } else {
        None
    }
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
        sound_for(&self.lacks)
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

/// What a file holds, unpacked.
fn plain_bytes(bytes: &[u8]) -> Result<Cow<'_, [u8]>, Unreadable> {
    const PACKED: [(&[u8], &str); 2] = [(b"\x1f\x8b", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd")];
    let packed = PACKED.iter().find(|(magic, _)| bytes.starts_with(magic)).map(|(_, name)| *name);
    encoding::decode(packed, bytes).map_err(|why| match packed {
        Some(packed) => Unreadable::new(format!("it is packed with {packed} and cannot be unpacked: {why}")),
        None => Unreadable::new(why),
    })
}

/// Reads the runs of a file, packed with gzip or zstd or not. `name`: what they are called when the file does not say.
///
/// # Errors
/// When it is no such file.
pub fn read(kind: Kind, name: &str, bytes: &[u8]) -> Result<Vec<Foreign>, Unreadable> {
    let plain = plain_bytes(bytes)?;
    let bytes = plain.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&plain);
    if bytes.trim_ascii().is_empty() {
        return Err(Unreadable::new("it is empty"));
    }
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(Unreadable::new("it is in UTF-16: write it in UTF-8"));
    }
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
