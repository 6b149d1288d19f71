//! The normal form of a conversation: what a request says, freed of how it happens to be written.
//!
//! A string and a list with one text block are the same; `cache_control` is gone; reasoning is kept apart, so that
//! comparisons can leave it out. The normal form is for comparing and for showing, never for serving.
//!
//! Empty texts are no blocks. A number that a [`Value`] would change stands as `{"$number": "<its digits>"}`: one that
//! is too large or too precise anywhere, and in parameters and tools every one that is not written as a `Value` writes
//! it (`0.70`). [`crate::exchange::canon::text_of_value`] writes such values as the numbers they are.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::ops::Range;

/// Who a message is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Instructions (also OpenAI's `developer`).
    System,
    /// The person, or the agent speaking for one. Tool results of Anthropic stand in user messages.
    User,
    /// The model.
    Assistant,
    /// A tool's result (OpenAI).
    Tool,
}

/// One piece of a message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Block {
    /// Plain text.
    Text {
        /// The text.
        text: String,
    },
    /// Reasoning of the model, perhaps signed or encrypted. Left out of comparisons.
    Reasoning {
        /// What can be read of it; empty when it is encrypted.
        text: String,
        /// True when a signature or ciphertext comes with it: such a block is never rewritten.
        signed: bool,
    },
    /// The model asks for a tool.
    ToolCall {
        /// The provider's id for the call; a hint only, for ids repeat.
        id: String,
        /// Name of the tool.
        name: String,
        /// The arguments; a JSON string that did not parse is kept as a string.
        args: Value,
    },
    /// What a tool returned.
    ToolResult {
        /// Id of the call it answers.
        call_id: String,
        /// The result as text. Several text blocks are joined by a line feed.
        text: String,
        /// Parts of the result that are not text (images), as they were sent.
        other: Vec<Value>,
        /// True when the tool said it failed.
        is_error: bool,
    },
    /// Anything else (images, documents, server tools), as it was sent.
    Other {
        /// The block, without `cache_control`.
        value: Value,
    },
}

/// One message in normal form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Who it is from.
    pub role: Role,
    /// Its pieces, in order.
    pub blocks: Vec<Block>,
}

/// A model request in normal form.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelRequest {
    /// Name of the model asked for.
    pub model: String,
    /// True when a streamed answer was asked for.
    pub stream: bool,
    /// System blocks that stand outside the messages (Anthropic). OpenAI's system messages stay in `messages`.
    pub system: Vec<Block>,
    /// Tool definitions, as sent but for `cache_control`.
    pub tools: Vec<Value>,
    /// Every other field that decides the answer (temperature, max_tokens, tool_choice, …), as sent, keys sorted.
    /// Left out are nulls and what does not decide the answer: `metadata`, `prompt_cache_key`, `user` and their kind,
    /// and `stream_options`, which only asks for a usage count.
    pub params: serde_json::Map<String, Value>,
    /// The messages, in order.
    pub messages: Vec<Message>,
    /// Byte range of each message in the body it was read from; as long as `messages`.
    pub spans: Vec<Range<usize>>,
}

/// Tokens that a provider counted. Absent when it said nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens read, cached ones included.
    pub input: u64,
    /// Tokens written, reasoning included.
    pub output: u64,
    /// Of `input`: read from the provider's cache.
    #[serde(default)]
    pub cache_read: u64,
    /// Of `input`: written to the provider's cache.
    #[serde(default)]
    pub cache_write: u64,
    /// Of `output`: reasoning.
    #[serde(default)]
    pub reasoning: u64,
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, other: Usage) {
        self.input = self.input.saturating_add(other.input);
        self.output = self.output.saturating_add(other.output);
        self.cache_read = self.cache_read.saturating_add(other.cache_read);
        self.cache_write = self.cache_write.saturating_add(other.cache_write);
        self.reasoning = self.reasoning.saturating_add(other.reasoning);
    }
}

/// A model's answer in normal form, the same for a streamed and for a plain reply.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModelAnswer {
    /// The assistant's blocks, in order.
    pub blocks: Vec<Block>,
    /// Why the model stopped, in the provider's word.
    pub stop_reason: Option<String>,
    /// Tokens.
    pub usage: Option<Usage>,
    /// The model that answered, as it names itself.
    pub model: Option<String>,
    /// The provider's id of the answer.
    pub id: Option<String>,
    /// The provider's error message, when the answer is an error (a status of 400 and above, or an error event).
    pub error: Option<String>,
    /// False when a stream broke off before its terminal event, or JSON that is not whole.
    pub whole: bool,
}

impl Message {
    /// The tool calls in it, in order: id, name, arguments.
    pub fn tool_calls(&self) -> impl Iterator<Item = (&str, &str, &Value)> {
        tool_calls(&self.blocks)
    }

    /// All its text, joined by line feeds.
    pub fn text(&self) -> String {
        text(&self.blocks)
    }
}

impl ModelRequest {
    /// The system prompt, wherever the dialect puts it; pieces are joined by line feeds.
    pub fn system_text(&self) -> String {
        let inside = self.messages.iter().filter(|m| m.role == Role::System).map(Message::text);
        let texts: Vec<String> =
            std::iter::once(text(&self.system)).chain(inside).filter(|t| !t.is_empty()).collect();
        texts.join("\n")
    }
}

impl ModelAnswer {
    /// The tool calls in it, in order: id, name, arguments.
    pub fn tool_calls(&self) -> impl Iterator<Item = (&str, &str, &Value)> {
        tool_calls(&self.blocks)
    }

    /// All its text, joined by line feeds.
    pub fn text(&self) -> String {
        text(&self.blocks)
    }
}

fn tool_calls(blocks: &[Block]) -> impl Iterator<Item = (&str, &str, &Value)> {
    blocks.iter().filter_map(|b| match b {
        Block::ToolCall { id, name, args } => Some((id.as_str(), name.as_str(), args)),
        _ => None,
    })
}

fn text(blocks: &[Block]) -> String {
    let parts: Vec<&str> = blocks
        .iter()
        .filter_map(|b| match b {
            Block::Text { text } => Some(text.as_str()),
            _ => None,
        })
        .collect();
    parts.join("\n")
}
