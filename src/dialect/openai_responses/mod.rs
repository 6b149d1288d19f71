//! OpenAI's Responses, and the servers that speak it.
//!
//! Every item of `input` is a message of the normal form; a string is one as well. What the server keeps between
//! requests (`previous_response_id`, `conversation`, references to items) is put in by [`Histories`] before a body is
//! read.

mod answer;
mod edit;
mod items;
mod memory;
mod render;
mod request;
mod stream;
#[cfg(test)]
mod tests;

use super::histories::{Histories, Kept, Link};
use super::*;

/// The dialect.
pub struct OpenAiResponses;

impl Dialect for OpenAiResponses {
    fn name(&self) -> &'static str {
        "openai-responses"
    }

    fn recognise(&self, head: &RequestHead) -> Option<Endpoint> {
        let path = head.path();
        let post = head.method == "POST";
        // Over a WebSocket a turn's only message is the request, and its type. An opening has none and reads as nothing.
        if (post || head.is_websocket()) && path.ends_with("/responses") {
            return Some(Endpoint::Model);
        }
        let (_, rest) = path.rsplit_once("/responses/")?;
        let side = match rest.split('/').collect::<Vec<_>>().as_slice() {
            ["input_tokens" | "compact"] | [_, "cancel"] => post,
            [_] => head.method == "GET" || head.method == "DELETE",
            [_, "input_items"] => head.method == "GET",
            _ => false,
        };
        side.then_some(Endpoint::Side)
    }

    fn read_request(&self, _target: &str, body: &[u8]) -> Result<ModelRequest, Malformed> {
        request::read(body)
    }

    fn read_answer(&self, head: &ResponseHead, body: &[u8]) -> ModelAnswer {
        answer::read(head, body)
    }

    fn terminal_markers(&self) -> &'static [&'static [u8]] {
        // The terminal event carries the whole answer once more: it is over at its empty line.
        &[
            b"event: response.completed\n\n",
            b"event: response.incomplete\n\n",
            b"event: response.failed\n\n",
            b"event: error\n\n",
            b"event:response.completed\n\n",
            b"event:response.incomplete\n\n",
            b"event:response.failed\n\n",
            b"data: {\"type\":\"response.completed\"\n\n",
            b"data: {\"type\":\"response.incomplete\"\n\n",
            b"data: {\"type\":\"response.failed\"\n\n",
            b"data: {\"type\": \"response.completed\"\n\n",
            b"data: {\"type\":\"error\"\n\n",
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

    fn warms_up(&self, body: &[u8]) -> bool {
        request::warms_up(body)
    }

    fn recalls(&self, body: &[u8]) -> bool {
        memory::recalls(body)
    }

    fn conversation(&self, body: &[u8]) -> Option<String> {
        memory::conversation(body)
    }

    fn recalled(&self, body: &[u8]) -> Option<String> {
        memory::recalled(body)
    }

    fn unfold(&self, body: &[u8], before: Option<&Link>, known: &Histories) -> Option<Bytes> {
        memory::unfold(body, before, known)
    }

    fn remembers(&self, body: &[u8]) -> bool {
        memory::remembers(body)
    }

    fn keeps(&self, body: &[u8], head: &ResponseHead, answer: &[u8]) -> Option<Kept> {
        memory::keeps(body, head, answer)
    }
}
