//! A request of the second run as it would have been, had the agent been served the answers of the first.

use crate::dialect::conversation::{Block, Message, ModelAnswer, ModelRequest, Role};
use crate::run::likeness::{self, Key};
use std::collections::HashMap;

/// A shorter text is quoted by chance.
const QUOTABLE: usize = 8;

/// What answers of the second run are to be taken for.
#[derive(Debug, Clone, Default)]
pub(super) struct Translation {
    /// By lane of the second run and echo of its answer: what was served in its place.
    answers: HashMap<(u32, Key), Vec<Block>>,
    /// Ids of calls, by lane.
    ids: HashMap<(u32, String), String>,
    /// Texts of answers that came out differently, longest first.
    quoted: Vec<(String, String)>,
}

impl Translation {
    /// Notes what stands for an answer.
    pub fn note(&mut self, lane: u32, given: &ModelAnswer, served: &ModelAnswer) {
        if let Some(echo) = likeness::answer_key(given) {
            self.answers.insert((lane, echo), served.blocks.clone());
        }
        for ((id, ..), (own, ..)) in given.tool_calls().zip(served.tool_calls()) {
            self.ids.insert((lane, id.to_string()), own.to_string());
        }
        let (given, served) = (given.text(), served.text());
        if given != served && given.chars().count() >= QUOTABLE {
            self.quoted.push((given, served));
            self.quoted.sort_by_key(|(given, _)| std::cmp::Reverse(given.len()));
        }
    }

    /// The request as it would have been.
    pub fn of(&self, lane: u32, request: &ModelRequest) -> ModelRequest {
        let mut request = request.clone();
        request.messages.iter_mut().for_each(|message| self.message(lane, message));
        request
    }

    fn message(&self, lane: u32, message: &mut Message) {
        if message.role == Role::Assistant {
            let echoes = likeness::echoes(message.blocks.iter());
            if let Some(served) = echoes.iter().find_map(|echo| self.answers.get(&(lane, *echo))) {
                message.blocks = served.clone();
            }
            return;
        }
        for block in &mut message.blocks {
            match block {
                Block::Text { text } => self.quote(text),
                Block::ToolResult { call_id, text, .. } => {
                    if let Some(own) = self.ids.get(&(lane, call_id.clone())) {
                        *call_id = own.clone();
                    }
                    self.quote(text);
                }
                Block::ToolCall { .. } | Block::Reasoning { .. } | Block::Other { .. } => {}
            }
        }
    }

    fn quote(&self, text: &mut String) {
        for (given, served) in &self.quoted {
            if text.contains(given.as_str()) {
                *text = text.replace(given.as_str(), served);
            }
        }
    }
}
