//! Live requests to recorded turns, by lane and turn, verified by content. Pure and synchronous.

use crate::dialect::conversation::{ModelAnswer, ModelRequest};
use crate::exchange::{ExchangeId, SpanContext};
use crate::run::{CallSite, Outline};
use std::sync::Arc;

/// What the matcher reads of a recording.
pub trait Recording {
    fn outline(&self) -> &Outline;
    /// The request of a turn (of its last attempt), in normal form.
    fn request(&self, lane: u32, turn: u32) -> Result<Arc<ModelRequest>, String>;
    /// The answer of a turn, in normal form.
    fn answer(&self, lane: u32, turn: u32) -> Result<Arc<ModelAnswer>, String>;
    /// Path of the request, without query.
    fn path(&self, lane: u32, turn: u32) -> Result<String, String>;
    fn context(&self, lane: u32, turn: u32) -> Result<SpanContext, String>;
}

/// A live request.
#[derive(Debug, Clone)]
pub struct Ask {
    /// The caller's number for it.
    pub id: ExchangeId,
    pub dialect: &'static str,
    pub path: String,
    pub context: SpanContext,
    pub request: ModelRequest,
}

/// How well a request fits its slot, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MatchClass {
    Exact,
    Renamed,
    Pinned,
    Masked,
    Reordered,
    Drift,
}

/// A tool result that came out differently from the recorded one, for the same call.
#[derive(Debug, Clone, PartialEq)]
pub struct Pin {
    /// The call whose result it is.
    pub site: CallSite,
    pub tool: String,
    /// Where it stands in the live request.
    pub message: usize,
    pub block: usize,
    pub recorded: String,
    pub live: String,
}

/// What the matcher decided for a request.
#[derive(Debug, Clone)]
pub enum Decision {
    /// Serve the recorded answer of this turn (attempt: index into [`crate::run::Turn::attempts`]).
    Serve { id: ExchangeId, lane: u32, turn: u32, attempt: u32, class: MatchClass, pins: Vec<Pin> },
    /// Only in a fork: this place of a lane has been changed, ask the model. The pins of its history are given.
    Live { id: ExchangeId, lane: u32, turn: u32, pins: Vec<Pin> },
    /// Nothing recorded is right.
    Miss { id: ExchangeId, miss: Box<Miss> },
}

/// Why nothing recorded is right for a request.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Miss {
    /// What was asked, in one line.
    pub asked: String,
    /// One sentence: what happened.
    pub reason: String,
    /// The nearest recorded turns, nearest first, and why each was refused.
    pub nearest: Vec<Near>,
    /// What to do next, one line each.
    pub hints: Vec<String>,
}

/// A recorded turn that was refused.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Near {
    pub lane: String,
    pub turn: u32,
    /// Its step number.
    pub step: Option<u32>,
    pub why: String,
    /// Where they differ: `messages[3].text`, `tools[1].description`.
    pub path: String,
    pub recorded: String,
    pub live: String,
}
