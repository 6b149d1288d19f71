//! What a conversation has said so far, as keys; found when needed.

use super::Recording;
use crate::run::likeness::{self, Key};
use crate::run::reading::readings;
use std::sync::{Arc, OnceLock};

/// The keys of a request's readings. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Transcript(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// The recorded turn that said the same.
    turn: Option<(u32, u32)>,
    keys: OnceLock<Vec<Key>>,
}

impl Transcript {
    pub fn new(keys: Vec<Key>) -> Transcript {
        Transcript(Arc::new(Inner { turn: None, keys: OnceLock::from(keys) }))
    }

    /// That of a recorded turn. It is read when it is asked for, which is seldom: a request that goes on byte for byte
    /// as recorded is not compared.
    pub fn of_turn(lane: u32, turn: u32) -> Transcript {
        Transcript(Arc::new(Inner { turn: Some((lane, turn)), keys: OnceLock::new() }))
    }

    /// The keys; empty when the recorded turn cannot be read.
    pub fn keys(&self, recording: &impl Recording) -> &[Key] {
        self.0.keys.get_or_init(|| {
            let request = self.0.turn.and_then(|(lane, turn)| recording.request(lane, turn).ok());
            request.map(|r| likeness::reading_keys(&readings(&r.messages))).unwrap_or_default()
        })
    }
}
