//! Answers as the agent reads them.

use super::State;
use crate::dialect::Dialect;
use crate::dialect::conversation::{Block, ModelAnswer};
use crate::proxy::{Answer, SeenResponse};
use crate::replay::recording::{RecordedRun, read_answer_body};
use crate::run::likeness::answer_key;

impl State {
    /// Notes a turn whose answer was not the recorded one: what the lane does from there on is its own.
    pub(super) fn note_parting(&mut self, run: &RecordedRun, place: (u32, u32), answer: &ModelAnswer) {
        let outline = run.shared_outline();
        let recorded = outline.turn(place.0, place.1).and_then(|turn| turn.answer_key);
        let key = answer_key(answer);
        if key.is_some() && key != recorded {
            self.tally.part(place);
        }
    }
}

/// What a live upstream answered.
pub(super) fn live_answer(dialect: &dyn Dialect, seen: &SeenResponse) -> ModelAnswer {
    let Some(head) = &seen.head else { return ModelAnswer::default() };
    let bytes: Vec<u8> = seen.frames.iter().flat_map(|(b, _)| b.iter().copied()).collect();
    read_answer_body(dialect, head, &bytes)
}

/// What the agent reads in an answer that is not the recorded one to the byte.
pub(super) fn served_answer(dialect: &dyn Dialect, answer: &Answer) -> Option<ModelAnswer> {
    let Answer::Serve(canned) = answer else { return None };
    let bytes: Vec<u8> = canned.frames.iter().flat_map(|(_, b)| b.iter().copied()).collect();
    Some(read_answer_body(dialect, &canned.head, &bytes))
}

/// The tools that an answer asks for, in order.
pub(super) fn calls(blocks: &[Block]) -> Vec<String> {
    let names = blocks.iter().filter_map(|b| match b {
        Block::ToolCall { name, .. } => Some(name.clone()),
        _ => None,
    });
    names.collect()
}
