//! What a provider would have kept of what the agent has seen, so that its next request can name it.

use super::Player;
use crate::dialect::Dialect;
use crate::dialect::histories::Histories;
use crate::proxy::{Asked, Canned, SeenResponse};
use bytes::Bytes;
use std::collections::HashSet;

/// Answers by the ids under which the agent may go on from them.
#[derive(Default)]
pub(super) struct Memory {
    histories: Histories,
    /// Conversations of the recording that the provider keeps as a whole.
    past: HashSet<String>,
}

impl Memory {
    /// Notes an answer that came from the recording or from an edit.
    pub fn served(&mut self, dialect: &dyn Dialect, asked: &Asked, canned: &Canned) {
        let body = self.unfolded(dialect, Player::decoded(asked));
        if !dialect.remembers(&body) {
            return;
        }
        let answer: Vec<u8> = canned.frames.iter().flat_map(|(_, b)| b.iter().copied()).collect();
        self.histories.note(dialect, &body, &canned.head, &answer);
        self.past.extend(dialect.conversation(&body));
    }

    /// Notes what the model answered live. `body`: unfolded.
    pub fn answered(&mut self, dialect: &dyn Dialect, body: &[u8], seen: &SeenResponse) {
        let Some(head) = seen.head.as_ref().filter(|_| dialect.remembers(body)) else { return };
        let answer: Vec<u8> = seen.frames.iter().flat_map(|(b, _)| b.iter().copied()).collect();
        self.histories.note(dialect, body, head, &answer);
    }

    /// The conversation that a request adds to, if the provider has it in a later state than the agent.
    pub fn conversation_in_the_past(&self, dialect: &dyn Dialect, body: &[u8]) -> Option<String> {
        dialect.conversation(body).filter(|name| self.past.contains(name))
    }

    /// A decoded body with what the provider would have kept for it put in.
    pub fn unfolded(&self, dialect: &dyn Dialect, body: Bytes) -> Bytes {
        self.histories.unfold(dialect, &body).unwrap_or(body)
    }
}

impl Player {
    /// The body of a request, decoded, with what the provider would have kept for it put in.
    pub(super) fn unfolded(&self, asked: &Asked, dialect: &dyn Dialect) -> Bytes {
        self.state().memory.unfolded(dialect, Player::decoded(asked))
    }
}
