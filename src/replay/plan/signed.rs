//! Signed reasoning that another model would refuse.

use super::{Plan, plain};
use crate::dialect::conversation::{Block, ModelRequest, Role};
use crate::run::Outline;
use crate::run::edit::{Change, Edit, Field};

impl Plan {
    /// The model that a turn is asked of, edits included.
    pub(super) fn model_at(&self, outline: &Outline, place: (u32, u32), request: &ModelRequest) -> String {
        let step = self.steps.get(&place).copied();
        let edited = self.requests.iter().rev().filter(|e| e.scope.covers(step)).find_map(model_of_edit);
        edited.unwrap_or_else(|| match outline.turn(place.0, place.1) {
            Some(turn) => turn.model.clone(),
            None => request.model.clone(),
        })
    }

    /// Index of the message up to which reasoning is by another model than the one that is asked now, because of an
    /// edit. The last messages of the assistant are the answers of the last turns.
    pub(super) fn foreign_until(
        &self,
        outline: &Outline,
        place: (u32, u32),
        request: &ModelRequest,
    ) -> Option<usize> {
        if !self.requests.iter().any(|e| model_of_edit(e).is_some()) {
            return None;
        }
        let (lane, turn) = place;
        let now = self.model_at(outline, place, request);
        let own = (0..turn).rev().take_while(|t| self.model_at(outline, (lane, *t), request) == now).count();
        if own == turn as usize {
            return None;
        }
        // An answer may be several messages (an item each): it begins where somebody else spoke before.
        let starts = |at: usize| at == 0 || request.messages[at - 1].role != Role::Assistant;
        let mut answers = request
            .messages
            .iter()
            .enumerate()
            .rev()
            .filter(|(at, m)| m.role == Role::Assistant && starts(*at));
        match own {
            0 => Some(request.messages.len()),
            own => answers.nth(own - 1).map(|(at, _)| at),
        }
    }
}

/// The model that an edit puts in the place of another.
fn model_of_edit(edit: &Edit) -> Option<String> {
    match (&edit.field, &edit.change) {
        (Field::Param(name), Change::Set(value)) if name == "model" => Some(plain(value)),
        _ => None,
    }
}

/// Signed reasoning in the messages before this index.
pub(super) fn signed_blocks(request: &ModelRequest, before: usize) -> usize {
    let blocks = request.messages.iter().take(before).flat_map(|m| &m.blocks);
    blocks.filter(|b| matches!(b, Block::Reasoning { signed: true, .. })).count()
}

/// `2 signed reasoning blocks`
pub(in crate::replay) fn reasoning_blocks(count: usize) -> String {
    format!("{count} signed reasoning block{}", if count == 1 { "" } else { "s" })
}
