//! Google's Gemini: `generateContent` and `streamGenerateContent`, at the Gemini API and at Vertex.
//!
//! The model's name, and whether a stream is asked for, stand in the path and not in the body.

mod answer;
mod edit;
mod parts;
mod render;
mod request;
mod target;
#[cfg(test)]
mod tests;

use super::*;

/// The dialect.
pub struct Gemini;

impl Dialect for Gemini {
    fn name(&self) -> &'static str {
        "gemini"
    }

    fn recognise(&self, head: &RequestHead) -> Option<Endpoint> {
        target::purpose(&head.method, &head.target)
    }

    fn path<'h>(&self, head: &'h RequestHead) -> Cow<'h, str> {
        let path = head.path();
        target::with_model(path, "_").map_or(Cow::Borrowed(path), Cow::Owned)
    }

    fn read_request(&self, target: &str, body: &[u8]) -> Result<ModelRequest, Malformed> {
        request::read(target, body)
    }

    fn read_answer(&self, head: &ResponseHead, body: &[u8]) -> ModelAnswer {
        answer::read(head, body)
    }

    fn terminal_markers(&self) -> &'static [&'static [u8]] {
        // No event ends a stream: clients read to the end of the body, so that its last frame is the one that waits.
        &[]
    }

    fn edit_request(&self, body: &[u8], edits: &[RequestEdit]) -> Result<Bytes, EditError> {
        edit::apply(body, edits)
    }

    fn edit_target(&self, target: &str, edits: &[RequestEdit]) -> Option<String> {
        edit::target(target, edits)
    }

    fn render_answer(
        &self,
        target: &str,
        blocks: &[Block],
        stop_reason: Option<&str>,
        model: &str,
        stream: bool,
    ) -> RenderedAnswer {
        render::answer(target, blocks, stop_reason, model, stream)
    }

    fn render_error(&self, status: u16, message: &str) -> Bytes {
        render::error(status, message)
    }
}
