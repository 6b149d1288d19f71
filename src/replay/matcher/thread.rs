//! A live conversation, and which recorded lanes it may be.

use super::transcript::Transcript;
use super::{MatchClass, Pin};
use crate::exchange::{ExchangeId, SpanContext};
use crate::holes::{Contradiction, Own};
use crate::run::likeness::Key;

/// A recorded lane that a live conversation may be.
#[derive(Debug, Clone)]
pub(super) struct Hypothesis {
    /// Index of the lane.
    pub lane: u32,
    /// What is bound if this is the lane.
    pub bound: Own,
    /// Keys of the recorded request of the present turn.
    pub recorded: Transcript,
    /// What comparing settings, tools and system prompt came to, when they were compared last.
    pub settings: Option<Box<Settings>>,
}

/// Settings, tools and system prompt of a recorded and a live request that were found equal up to holes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings {
    /// Keys of both sides.
    pub recorded: Key,
    pub live: Key,
    /// What the comparison came to when no name in them was new.
    pub cost: usize,
    pub masked: bool,
    pub reordered: bool,
}

/// A pin that a conversation carries along.
#[derive(Debug, Clone)]
pub(super) struct Carried {
    pub pin: Pin,
    /// Which reading of the request holds it.
    pub reading: usize,
}

/// A decision that waits for its gate.
#[derive(Debug, Clone)]
pub(super) struct Waiting {
    pub pins: Vec<Pin>,
}

/// A live conversation.
#[derive(Debug, Clone)]
pub(super) struct Thread {
    /// The lanes it may be. Empty for a lane that the recording does not have.
    pub hypotheses: Vec<Hypothesis>,
    /// The lane it is served as.
    pub lane: u32,
    pub turn: u32,
    /// The request that was placed last.
    pub id: ExchangeId,
    pub request_key: Key,
    /// Keys of its readings.
    pub seen: Transcript,
    pub context: SpanContext,
    /// Keys by which its last answer is known again.
    pub echoes: Vec<Key>,
    /// The request that this answer was for, and its turn.
    pub answered: Transcript,
    pub answered_turn: u32,
    pub answer_calls: bool,
    /// The agent has the whole answer to the last request.
    pub delivered: bool,
    /// Which attempt of the turn was served last.
    pub attempt: u32,
    /// That attempt was a failure.
    pub failed: bool,
    /// It was no recorded failure: an edit put it in the place of the answer.
    pub spoilt: bool,
    /// An answer of its own was live or edited: nothing recorded follows from it.
    pub live: bool,
    pub class: MatchClass,
    pub pins: Vec<Carried>,
    pub waiting: Option<Waiting>,
    /// Once its lane was certain, a name of it stood for another value than elsewhere.
    pub contradiction: Option<Box<Contradiction>>,
}

impl Thread {
    pub fn may_be(&self, lane: u32) -> bool {
        self.lane == lane || self.hypotheses.iter().any(|h| h.lane == lane)
    }

    /// True when an answer of this turn has been handed out; `whole` asks for it to have arrived.
    pub fn has_asked(&self, turn: u32, whole: bool) -> bool {
        self.turn > turn || (self.turn == turn && self.waiting.is_none() && (self.delivered || !whole))
    }
}
