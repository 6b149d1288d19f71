//! Answers as the agent reads them.

use crate::dialect::Dialect;
use crate::dialect::conversation::{Block, ModelAnswer};
use crate::proxy::{Answer, SeenResponse};
use crate::replay::recording::read_answer_body;

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
