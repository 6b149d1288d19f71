//! Anthropic's Messages.

mod answer;
mod edit;
mod render;
mod request;
#[cfg(test)]
mod tests;

use super::*;

/// The dialect.
pub struct AnthropicMessages;

/// Paths on the API's host to which Claude Code reports, or where it asks whether the host is there.
const REPORTS: [&str; 3] = ["/api/hello", "/api/event_logging", "/api/claude_code/"];

impl Dialect for AnthropicMessages {
    fn name(&self) -> &'static str {
        "anthropic-messages"
    }

    fn recognise(&self, head: &RequestHead) -> Option<Endpoint> {
        let path = head.path();
        let post = head.method == "POST";
        // OpenAI's Assistants have `/v1/threads/…/messages`.
        if post && path.ends_with("/messages") && !path.contains("/threads/") {
            return Some(Endpoint::Model);
        }
        let side =
            post && path.ends_with("/messages/count_tokens") || REPORTS.iter().any(|p| path.contains(p));
        side.then_some(Endpoint::Side)
    }

    fn read_request(&self, _target: &str, body: &[u8]) -> Result<ModelRequest, Malformed> {
        request::read(body)
    }

    fn read_answer(&self, head: &ResponseHead, body: &[u8]) -> ModelAnswer {
        answer::read(head, body)
    }

    fn terminal_markers(&self) -> &'static [&'static [u8]] {
        &[
            b"event: message_stop",
            b"event:message_stop",
            b"event: error",
            b"event:error",
            b"data: {\"type\":\"message_stop\"",
            b"data: {\"type\": \"message_stop\"",
            b"data:{\"type\":\"message_stop\"",
        ]
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
