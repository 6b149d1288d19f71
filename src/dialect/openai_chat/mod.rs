//! OpenAI's Chat Completions, and the many servers that speak it, at whatever host and path: Azure OpenAI, Mistral, Groq,
//! DeepSeek, OpenRouter, vLLM and their like. What is theirs is told apart by its form. The legacy completions, and
//! Mistral's fill-in-the-middle, are conversations of one message here.

mod answer;
pub(super) mod edit;
mod render;
pub(super) mod request;
mod target;
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
            "POST" if path.ends_with("/completions") => Some(Endpoint::Model),
            "GET" if path.ends_with("/models") || path.contains("/models/") => Some(Endpoint::Side),
            _ => None,
        }
    }

    fn path<'h>(&self, head: &'h RequestHead) -> Cow<'h, str> {
        let path = head.path();
        target::with_deployment(path, "_").map_or(Cow::Borrowed(path), Cow::Owned)
    }

    fn read_request(&self, target: &str, body: &[u8]) -> Result<ModelRequest, Malformed> {
        let mut request = request::read(body)?;
        if request.model.is_empty() {
            request.model = target::deployment(target).unwrap_or_default().to_string();
        }
        Ok(request)
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

    fn edit_target(&self, target: &str, edits: &[RequestEdit]) -> Option<String> {
        let model = edits.iter().rev().find_map(|edit| match edit {
            RequestEdit::SetField { name, value } if name == "model" => value.as_str(),
            _ => None,
        })?;
        target::with_deployment(target, model)
    }

    fn render_answer(
        &self,
        target: &str,
        blocks: &[Block],
        stop_reason: Option<&str>,
        model: &str,
        stream: bool,
    ) -> RenderedAnswer {
        match target::is_text_completion(target) {
            true => render::completion(blocks, stop_reason, model, stream),
            false => render::answer(blocks, stop_reason, model, stream),
        }
    }

    fn render_error(&self, status: u16, message: &str) -> Bytes {
        render::error(status, message)
    }
}
