//! Ollama's own API: `/api/chat` and `/api/generate`, streamed as lines of JSON unless told not to.
//!
//! Messages are those of OpenAI's chat, but for images, which stand beside the content, and for calls, whose arguments are
//! objects and which older versions give no ids.

mod answer;
mod edit;
mod render;
mod request;
#[cfg(test)]
mod tests;

use super::*;

/// The dialect.
pub struct Ollama;

/// True for a path whose request is one prompt instead of a conversation.
fn is_prompted(target: &str) -> bool {
    target.split('?').next().unwrap_or_default().ends_with("/api/generate")
}

impl Dialect for Ollama {
    fn name(&self) -> &'static str {
        "ollama"
    }

    fn recognise(&self, head: &RequestHead) -> Option<Endpoint> {
        let path = head.path();
        let ends = |paths: &[&str]| paths.iter().any(|p| path.ends_with(p));
        match head.method.as_str() {
            "POST" if ends(&["/api/chat", "/api/generate"]) => Some(Endpoint::Model),
            "POST" if ends(&["/api/show"]) => Some(Endpoint::Side),
            "GET" if ends(&["/api/tags", "/api/ps", "/api/version"]) => Some(Endpoint::Side),
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
        &[b"{\"done\":true", b"{\"error\":\""]
    }

    fn edit_request(&self, body: &[u8], edits: &[RequestEdit]) -> Result<Bytes, EditError> {
        edit::apply(body, edits)
    }

    fn render_answer(
        &self,
        target: &str,
        blocks: &[Block],
        stop_reason: Option<&str>,
        model: &str,
        stream: bool,
    ) -> RenderedAnswer {
        render::answer(is_prompted(target), blocks, stop_reason, model, stream)
    }

    fn render_error(&self, _status: u16, message: &str) -> Bytes {
        render::error(message)
    }
}
