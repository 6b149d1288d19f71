//! What goes into the matcher and what comes out of it.

use crate::dialect::conversation::ModelRequest;
use crate::exchange::{ExchangeId, SpanContext};
use crate::holes::{Rewrite, Rules, Surroundings};
use crate::replay::tools::ToolClasses;
use crate::run::CallSite;
use std::collections::HashSet;

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
    /// The same normal form.
    Exact,
    /// The same up to holes (stand-ins of secrets, ids of an identical sibling).
    Renamed,
    /// Only results of calls that were the same differ.
    Pinned,
    /// Only fields under a declared ignore rule differ.
    Masked,
    /// Only lines or items of flat text stand in another order.
    Reordered,
    /// Another request at this place.
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
    /// True when only names and quantities differ: they are bound or let pass, and nothing takes the result's place.
    pub renamed: bool,
    /// True when equal calls of the same answer have changed places: their results are the recorded ones.
    pub swapped: bool,
    /// The write before it that was not as recorded: the recorded result may describe a world that is no more.
    pub stale: Option<CallSite>,
}

/// What the matcher decided for a request.
#[derive(Debug, Clone)]
pub enum Decision {
    /// Serve the recorded answer of this turn (attempt: index into [`crate::run::Turn::attempts`]). `pins` are the new
    /// ones; a request that only carries earlier ones along is of class `pinned` with none.
    Serve {
        id: ExchangeId,
        lane: u32,
        turn: u32,
        attempt: u32,
        class: MatchClass,
        pins: Vec<Pin>,
        /// What is to be changed in the answer.
        rewrite: Rewrite,
    },
    /// Only in a fork: this place of a lane has been changed, ask the model. All pins of its history are given, and the
    /// new results that are only told of. A lane
    /// index beyond those of the recording's outline is a lane that only the fork has.
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
    /// What would let it pass, as it goes into `retake.toml`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
}

impl Decision {
    /// The request it is for.
    pub fn id(&self) -> ExchangeId {
        match self {
            Decision::Serve { id, .. } | Decision::Live { id, .. } | Decision::Miss { id, .. } => *id,
        }
    }
}

/// Tools whose results are never pinned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Unpin {
    #[default]
    Nothing,
    Everything,
    /// Those of these names.
    Tools(HashSet<String>),
}

/// How a matcher behaves.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// A fork: what does not fit the recording any more goes live instead of being a miss.
    pub live_on_drift: bool,
    /// The stand-ins that redaction left in the recording.
    pub secrets: HashSet<String>,
    /// In a fork, once something has gone live: the calls whose results may still be pinned, because they also vary
    /// in an unedited control replay. None pins every call.
    pub noise: Option<HashSet<CallSite>>,
    /// Whose results are not pinned at all.
    pub unpin: Unpin,
    /// What tools do to the world.
    pub classes: ToolClasses,
    /// Where and when both sides ran; none where that is not known.
    pub surroundings: Option<Surroundings>,
    /// What a person declared.
    pub rules: Rules,
}

/// What happened, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counters {
    /// Requests served, by class.
    pub exact: u32,
    pub renamed: u32,
    pub pinned: u32,
    pub masked: u32,
    pub reordered: u32,
    /// Requests that went live.
    pub live: u32,
    /// Requests that were refused.
    pub missed: u32,
    /// Tool results that came out differently.
    pub pins: u32,
    /// Results of equal calls of one answer that stood in each other's place.
    pub swapped: u32,
    /// Choices among lanes that nothing tells apart.
    pub symmetric: u32,
    /// Recorded attempts that were served after the first of their turn.
    pub retries: u32,
    /// Answers served again, because the first did not arrive.
    pub repeats: u32,
    /// Side calls that were answered again.
    pub side_repeats: u32,
    /// Answers that were held until a twin had begun, and those released without.
    pub gates: u32,
    pub gate_timeouts: u32,
}
