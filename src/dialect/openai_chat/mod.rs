//! OpenAI's Chat Completions, and the many servers that speak it.

mod answer;
pub(super) mod edit;
mod render;
pub(super) mod request;
#[cfg(test)]
mod tests;

use super::*;

/// The dialect.
pub struct OpenAiChat;

impl Dialect for OpenAiChat {
    fn name(&self) -> &'static str {
        "openai-chat"
    }

    fn recognise(&self, head: &RequestHead) -> Option<Endpoint> {
        let path = head.path();
        match head.method.as_str() {
            "POST" if path.ends_with("/chat/completions") => Some(Endpoint::Model),
            "GET" if path.ends_with("/models") || path.contains("/models/") => Some(Endpoint::Side),
            _ => None,
        }
    }

    fn read_request(&self, _target: &str, body: &[u8]) -> Result<ModelRequest, Malformed> {
        request::read(body)
    }

    fn read_answer(&self, head: &ResponseHead, body: &[u8]) -> ModelAnswer {
        answer::read(head, body)
    }

    fn terminal_markers(&self) -> &'static [&'static [u8]] {
        // Clients hang up at an error as they do at the end mark, and some servers send none behind an error.
        &[b"data: [DONE]", b"data:[DONE]", b"event: error", b"data: {\"error\""]
    }

    fn edit_request(&self, body: &[u8], edits: &[RequestEdit]) -> Result<Bytes, EditError> {
        edit::apply(body, edits)
    }

    fn render_answer(
        &self,
        _target: &str,
        blocks: &[Block],
        stop_reason: Option<&str>,
        model: &str,
        stream: bool,
    ) -> RenderedAnswer {
        render::answer(blocks, stop_reason, model, stream)
    }

    fn render_error(&self, status: u16, message: &str) -> Bytes {
        render::error(status, message)
    }
}
