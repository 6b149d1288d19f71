//! What a run consists of, read from its exchanges: lanes, turns and steps.
//!
//! The outline is derived ([`super::lanes`]), kept with the sealed run, and derived again when it is missing.

use super::likeness::Key;
use crate::dialect::conversation::Usage;
use crate::exchange::{ExchangeId, StandIn};
use crate::prices::{Cost, Prices};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::HashMap;

/// Why a lane exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LaneKind {
    /// Begun by the program itself.
    Root,
    /// Begun by a tool call of another lane (a sub-agent).
    Child,
    /// Goes on after another lane whose history was replaced by a summary.
    Continuation,
    /// A stateless helper: token counts, model lists, titles.
    Side,
}

/// A tool call's place: lane, turn, and the call's index among the calls of that turn's answer (all from 0).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CallSite {
    /// Index into [`Outline::lanes`].
    pub lane: u32,
    /// Index into [`Lane::turns`].
    pub turn: u32,
    /// Index into [`Turn::calls`].
    pub call: u32,
}

/// One conversation: the chain of model calls in which each request extends the one before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lane {
    /// Structural name, free of ids, content and times: `main`, `main.2` (second root), `main/3.0` (begun by call 0
    /// of turn 3), `main~1` (continuation), `main#1` (side).
    pub key: String,
    /// Why it exists.
    pub kind: LaneKind,
    /// The call that began it. None for roots, and where several calls fit and no join settles it.
    pub parent: Option<CallSite>,
    /// True when a call began it but it cannot be told which.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub parent_unknown: bool,
    /// For a continuation: index of the lane that it continues.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continues: Option<u32>,
    /// Index of the lane to an earlier answer of which it goes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rewinds: Option<u32>,
    /// The user's own name for it (`x-retake-lane`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub named: Option<String>,
    /// Its model calls.
    pub turns: Vec<Turn>,
}

/// One model call of a lane, with its retries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Turn {
    /// Every attempt in order; the last is the one that counts.
    pub attempts: Vec<ExchangeId>,
    /// Name of the model asked for.
    pub model: String,
    /// Number of messages in the request (system messages of OpenAI included).
    pub messages: u32,
    /// Hash of the whole request in normal form, 32 hex digits (see [`crate::dialect`]).
    #[serde(with = "super::likeness::hex_key")]
    pub request_key: Key,
    /// Key of the bytes of its first attempt ([`super::likeness::body_key`]); none when they are not known. Where redaction changed them no live
    /// request has this key.
    #[serde(default, with = "super::likeness::hex_key::optional", skip_serializing_if = "Option::is_none")]
    pub body_key: Option<Key>,
    /// Hash of the answer in normal form (reasoning left out), 32 hex digits; none when there is no usable answer.
    #[serde(default, with = "super::likeness::hex_key::optional")]
    pub answer_key: Option<Key>,
    /// When the request began and when its answer was whole, in microseconds since the Unix epoch.
    pub started_us: u64,
    /// See `started_us`; the same where nobody said when the answer was whole: there was none, or the file that it was
    /// imported from does not tell.
    pub ended_us: u64,
    /// Tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// The answer's text, cut to 200 characters, for one-line views.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// Why the call failed, in one line; none when it succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The tool calls of the answer, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<ToolCallRef>,
}

/// A tool call that an answer asks for, and where its result was seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolCallRef {
    /// The provider's id; a hint only.
    pub id: String,
    /// Name of the tool.
    pub name: String,
    /// Its arguments, cut for one-line views when they are long (more than 2,000 bytes of JSON).
    pub args: Value,
    /// Where the result was first seen; none when the run ended before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<ToolResultRef>,
}

/// Where a tool's result stands, and its beginning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolResultRef {
    /// The exchange whose request carried it first.
    pub exchange: ExchangeId,
    /// Index of the message in that request.
    pub message: u32,
    /// Index of the block in that message.
    pub block: u32,
    /// The result's text, cut to 2,000 characters, for one-line views.
    pub text: String,
    /// True when the tool said it failed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_error: bool,
    /// When the request that carried it began, in microseconds since the Unix epoch: an upper bound of its end.
    pub seen_us: u64,
}

/// What a person counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum StepKind {
    /// A model call.
    Model {
        /// Index into [`Outline::lanes`].
        lane: u32,
        /// Index into [`Lane::turns`].
        turn: u32,
    },
    /// A tool call, read from the message flow.
    Tool {
        /// The call.
        site: CallSite,
    },
}

/// One step. Its number is its index in [`Outline::steps`] plus one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Model or tool call.
    #[serde(flatten)]
    pub kind: StepKind,
}

/// Everything that is derived from a run's exchanges.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Outline {
    /// Conversations, in order of their first request.
    pub lanes: Vec<Lane>,
    /// Model and tool calls in one numbering, by time: a model call when it begins, a tool call when it is asked for.
    pub steps: Vec<Step>,
    /// Exchanges that are no model call: side calls of a dialect, unknown bodies.
    pub others: Vec<ExchangeId>,
    /// What redaction put in the place of secrets, each once, in order.
    #[serde(skip)]
    pub stand_ins: Vec<StandIn>,
}

impl Turn {
    /// How long it took with its retries, in microseconds; none when that is not known.
    pub fn took_us(&self) -> Option<u64> {
        self.ended_us.checked_sub(self.started_us).filter(|us| *us > 0)
    }

    /// How long one of its calls took at most, in microseconds: until a request carried its result. None when it has no
    /// result, and when that is not known.
    pub fn call_took_us(&self, call: &ToolCallRef) -> Option<u64> {
        let seen_us = call.result.as_ref()?.seen_us;
        self.took_us()?;
        seen_us.checked_sub(self.ended_us).filter(|us| *us > 0)
    }

    /// Its tokens; none when the provider did not count them: no call takes none at all.
    pub fn counted(&self) -> Option<Usage> {
        self.usage.filter(|usage| usage.input > 0 || usage.output > 0)
    }

    /// What it costs when the model is the one that the agent named; none when its tokens, or their price, are not known.
    pub fn cost(&self, prices: &Prices) -> Option<Cost> {
        match self.counted() {
            Some(usage) => prices.cost(&self.model, &usage),
            None => self.is_turned_away().then_some(Cost(0)),
        }
    }

    /// True when the provider said by a status that it does not answer: that takes no tokens.
    pub fn is_turned_away(&self) -> bool {
        let is_status = |error: &str| {
            let status = error.split(' ').next().unwrap_or_default();
            status.len() == 3
                && matches!(status.as_bytes(), [b'4' | b'5', ..])
                && status.parse::<u16>().is_ok()
        };
        let nothing = self.counted().is_none() && self.text.is_empty() && self.calls.is_empty();
        nothing && self.error.as_deref().is_some_and(is_status)
    }
}

impl Outline {
    /// True for a lane that is a side call.
    pub fn is_side(&self, lane: u32) -> bool {
        self.lanes.get(lane as usize).is_some_and(|l| l.kind == LaneKind::Side)
    }

    /// The step with this number (from 1).
    pub fn step(&self, number: u32) -> Option<StepKind> {
        self.steps.get((number as usize).checked_sub(1)?).map(|s| s.kind)
    }

    /// The turn at a place.
    pub fn turn(&self, lane: u32, turn: u32) -> Option<&Turn> {
        self.lanes.get(lane as usize)?.turns.get(turn as usize)
    }

    /// The tool call at a place.
    pub fn call(&self, site: CallSite) -> Option<&ToolCallRef> {
        self.turn(site.lane, site.turn)?.calls.get(site.call as usize)
    }

    /// The number of a step (from 1). Walks over the steps: for many, see [`Outline::numbers`].
    pub fn number_of(&self, kind: StepKind) -> Option<u32> {
        self.steps.iter().position(|s| s.kind == kind).map(|i| i as u32 + 1)
    }

    /// The numbers of all steps, for many look-ups.
    pub fn numbers(&self) -> HashMap<StepKind, u32> {
        self.steps.iter().zip(1..).map(|(step, number)| (step.kind, number)).collect()
    }

    /// Tokens of all model calls.
    pub fn usage(&self) -> Usage {
        let mut total = Usage::default();
        for turn in self.lanes.iter().flat_map(|l| &l.turns) {
            total += turn.usage.unwrap_or_default();
        }
        total
    }
}
