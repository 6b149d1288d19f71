//! Amazon Bedrock: `Converse`, one protocol for every model, and `InvokeModel`, whose bodies are the model vendor's own.
//!
//! The model's name, and whether a stream is asked for, stand in the path. Streams are binary
//! ([`crate::exchange::eventstream`]).

mod answer;
mod blocks;
mod edit;
mod invoke;
mod render;
mod request;
mod stream;
mod target;
#[cfg(test)]
mod tests;

use super::*;
pub use invoke::BedrockInvoke;
use target::Verb;

/// The dialect of `Converse` and `ConverseStream`.
pub struct BedrockConverse;

/// What ends a stream: clients may be content with the first. A failure ends it too.
const MARKERS: [&[u8]; 3] = [b":event-type messageStop", b":event-type metadata", b":failure "];

impl Dialect for BedrockConverse {
    fn name(&self) -> &'static str {
        "bedrock-converse"
    }

    fn recognise(&self, head: &RequestHead) -> Option<Endpoint> {
        let (verb, endpoint) = target::purpose(&head.method, &head.target)?;
        (!matches!(verb, Verb::Invoke { .. })).then_some(endpoint)
    }

    fn path<'h>(&self, head: &'h RequestHead) -> Cow<'h, str> {
        unnamed(head)
    }

    fn read_request(&self, target: &str, body: &[u8]) -> Result<ModelRequest, Malformed> {
        request::read(target, body)
    }

    fn read_answer(&self, head: &ResponseHead, body: &[u8]) -> ModelAnswer {
        answer::read(head, body)
    }

    fn terminal_markers(&self) -> &'static [&'static [u8]] {
        &MARKERS
    }

    fn edit_request(&self, body: &[u8], edits: &[RequestEdit]) -> Result<Bytes, EditError> {
        edit::apply(body, edits)
    }

    fn edit_target(&self, target: &str, edits: &[RequestEdit]) -> Option<String> {
        edit::target(target, edits)
    }

    fn render_answer(
        &self,
        _target: &str,
        blocks: &[Block],
        stop_reason: Option<&str>,
        _model: &str,
        stream: bool,
    ) -> RenderedAnswer {
        render::answer(blocks, stop_reason, stream)
    }

    fn render_error(&self, status: u16, message: &str) -> Bytes {
        render::error(status, message)
    }
}

/// A path without the name of its model.
fn unnamed(head: &RequestHead) -> Cow<'_, str> {
    let path = head.path();
    target::with_model(path, "_").map_or(Cow::Borrowed(path), Cow::Owned)
}
