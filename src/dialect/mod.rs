//! Bytes to meaning: one provider's protocol a file, behind one trait. Pure and synchronous.

pub mod conversation;
pub mod histories;
pub mod services;
pub mod sse;
pub mod summary;
pub mod websocket;

mod anthropic;
mod bedrock;
mod content;
mod frames;
mod gemini;
#[cfg(test)]
mod hostile;
mod ollama;
mod openai_chat;
mod openai_responses;
mod prompted;
mod reply;
mod surgery;
#[cfg(test)]
pub(crate) mod wire;

use crate::exchange::{RequestHead, ResponseHead};
use bytes::Bytes;
use conversation::{Block, ModelAnswer, ModelRequest};
use histories::{Histories, Kept, Link};
use serde_json::Value;
use std::borrow::Cow;

pub use reply::with_status;

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// A model call: a conversation goes out, an answer comes back.
    Model,
    /// A stateless side call of the protocol (token counts, model lists): may repeat, may be absent.
    Side,
}

/// A body that does not read as what its dialect expects.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} (at byte {at} of the body)")]
pub struct Malformed {
    /// What was expected and not found.
    pub what: String,
    /// Byte offset in the body.
    pub at: usize,
}

/// A change to a request's body, addressed in the words of the normal form.
#[derive(Debug, Clone, PartialEq)]
pub enum RequestEdit {
    /// Replaces the system prompt.
    SetSystem(String),
    /// Appends to the system prompt, on a line of its own.
    AppendSystem(String),
    /// Replaces the text of a whole message; tool calls and results in it stay.
    SetMessageText {
        /// Index into [`ModelRequest::messages`].
        message: usize,
        /// The new text.
        text: String,
    },
    /// Replaces the text of one tool result.
    SetToolResult {
        /// Index into [`ModelRequest::messages`].
        message: usize,
        /// Index into that message's blocks.
        block: usize,
        /// The new text.
        text: String,
    },
    /// Puts a message's bytes (a JSON value of this dialect) in the place of another.
    ReplaceMessage {
        /// Index into [`ModelRequest::messages`].
        message: usize,
        /// The JSON text of the new message.
        json: Bytes,
    },
    /// Sets a top-level field (`model`, `temperature`, …); null removes it.
    SetField {
        /// Name of the field.
        name: String,
        /// Its new value.
        value: Value,
    },
    /// Removes a tool by its name.
    RemoveTool(String),
    /// Adds a tool definition, in the dialect's own form.
    AddTool(Value),
    /// Drops reasoning from every message before this index. Where the request would be refused without it, or for
    /// want of reasoning that was lost earlier (Anthropic, a fixed thinking budget while a turn is open), the `thinking`
    /// parameter goes too.
    DropReasoning {
        /// Index into [`ModelRequest::messages`].
        before: usize,
    },
}

/// An edit that cannot be applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The body is not a request of this dialect.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// What the edit names is not there.
    #[error("{0}")]
    NotThere(String),
}

/// An answer as it goes to the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderedAnswer {
    /// Value of `content-type`.
    pub content_type: &'static str,
    /// The body, identity-encoded.
    pub body: Bytes,
    /// Byte offsets at which the body is cut into frames (events of a stream); the last is its length.
    pub cuts: Vec<usize>,
}

/// One provider's protocol.
pub trait Dialect: Sync {
    /// Its name, as it stands in the format: `openai-chat`, `anthropic-messages`.
    fn name(&self) -> &'static str;

    /// What a request is for, if it is of this dialect. Decided by method and path alone, and by whether it goes on as a
    /// WebSocket.
    fn recognise(&self, head: &RequestHead) -> Option<Endpoint>;

    /// The path of a request by which conversations are kept apart: without the query, and without the model's name where
    /// it stands in the path. A conversation may go on with another model.
    fn path<'h>(&self, head: &'h RequestHead) -> Cow<'h, str> {
        Cow::Borrowed(head.path())
    }

    /// Reads a request's (decoded) body into the normal form. `target`: path and query it came under, where some
    /// protocols name the model and ask for a stream.
    ///
    /// # Errors
    /// [`Malformed`] when it is not JSON or lacks what the protocol demands.
    fn read_request(&self, target: &str, body: &[u8]) -> Result<ModelRequest, Malformed>;

    /// Reads an answer: streamed or not, whole or cut off, success or error. Never fails: what cannot be read is
    /// missing from the result and `whole` is false. The body may be decoded already, or still in the encoding that
    /// the head names.
    fn read_answer(&self, head: &ResponseHead, body: &[u8]) -> ModelAnswer;

    /// Byte strings of which one stands at the start of a line where a stream's terminal event is: `data: [DONE]`. One
    /// that ends in two line feeds stands for the whole event, up to its empty line. One that begins with a brace stands
    /// for a member of an object in a stream of JSON lines, without white space, wherever in its line it is:
    /// `{"done":true`. The messages of a binary event stream are lines too: `:event-type NAME`, `:chunk` and what is in the
    /// chunk, `:failure NAME`.
    fn terminal_markers(&self) -> &'static [&'static [u8]];

    /// Changes a request's (decoded) body. Bytes outside the changed places stay as they are. The edits are applied in
    /// order; their indices are those of the body as given, also behind an edit that puts a system message in front.
    ///
    /// # Errors
    /// [`EditError`] when the body is malformed or what the edit names is not there.
    fn edit_request(&self, body: &[u8], edits: &[RequestEdit]) -> Result<Bytes, EditError>;

    /// The path and query under which an edited request goes, where the protocol names the model in them and an edit
    /// sets another; none when they stay.
    fn edit_target(&self, _target: &str, _edits: &[RequestEdit]) -> Option<String> {
        None
    }

    /// Writes an answer, streamed or not, as this provider would to a request for `target`. `model` is the name to answer under. Without a stop
    /// reason it follows from the blocks. Reasoning that needs a signature is left out, and no tokens are counted.
    fn render_answer(
        &self,
        target: &str,
        blocks: &[Block],
        stop_reason: Option<&str>,
        model: &str,
        stream: bool,
    ) -> RenderedAnswer;

    /// Writes an error body with this message, in the form that the provider's SDKs show to their users.
    fn render_error(&self, status: u16, message: &str) -> Bytes;

    /// True for a (decoded) request that asks for no answer, only that the model be made ready for the next one.
    fn warms_up(&self, _body: &[u8]) -> bool {
        false
    }

    /// True when a (decoded) request may leave a part of its conversation to the provider to remember. Cheap: a search
    /// in the bytes, which may say yes too often.
    fn recalls(&self, _body: &[u8]) -> bool {
        false
    }

    /// Under which name the provider keeps what a request goes on from: an answer's id, a conversation's.
    fn recalled(&self, _body: &[u8]) -> Option<String> {
        None
    }

    /// The name of a conversation that the provider keeps as a whole and that this request adds to.
    fn conversation(&self, _body: &[u8]) -> Option<String> {
        None
    }

    /// The body with what the provider keeps put in; none when that changes nothing.
    fn unfold(&self, _body: &[u8], _before: Option<&Link>, _known: &Histories) -> Option<Bytes> {
        None
    }

    /// True when the provider may keep the exchange of a request. Cheap, and may say yes too often.
    fn remembers(&self, _body: &[u8]) -> bool {
        false
    }

    /// What the provider keeps of an exchange: of its body, decoded and unfolded, and its answer, as in
    /// [`Dialect::read_answer`].
    fn keeps(&self, _body: &[u8], _head: &ResponseHead, _answer: &[u8]) -> Option<Kept> {
        None
    }
}

/// Every dialect, in the order in which they are asked.
pub fn all() -> &'static [&'static dyn Dialect] {
    &[
        &gemini::Gemini,
        &ollama::Ollama,
        &openai_chat::OpenAiChat,
        &openai_responses::OpenAiResponses,
        &anthropic::AnthropicMessages,
        &bedrock::BedrockConverse,
        &bedrock::BedrockInvoke,
    ]
}

/// The dialect of a request, and what the request is for.
pub fn recognise(head: &RequestHead) -> Option<(&'static dyn Dialect, Endpoint)> {
    all().iter().find_map(|d| d.recognise(head).map(|e| (*d, e)))
}

/// The dialect with this name.
pub fn by_name(name: &str) -> Option<&'static dyn Dialect> {
    all().iter().copied().find(|d| d.name() == name)
}
