//! `InvokeModel`: bodies in the protocol of the model's vendor. Those of Anthropic and OpenAI's are read by their own
//! dialects, Nova's is `Converse` in all but name, and the others take a prompt ([`prompt`]).

mod prompt;
mod render;
mod said;

use super::{Verb, answer, edit, request, target, unnamed};
use crate::dialect::anthropic::AnthropicMessages;
use crate::dialect::openai_chat::OpenAiChat;
use crate::dialect::reply::{self, Reply};
use crate::dialect::sse::Event;
use crate::dialect::*;
use crate::exchange::HeaderList;
use crate::exchange::eventstream::Transcript;
use crate::exchange::json::{self, Kind, Node};

/// The dialect of `InvokeModel` and `InvokeModelWithResponseStream`.
pub struct BedrockInvoke;

/// What ends a stream, in the words of those vendors who say so before the body ends.
const MARKERS: [&[u8]; 3] =
    [b":chunk {\"type\":\"message_stop\"", b":chunk {\"messageStop\":", b":chunk {\"metadata\":"];

/// Whose protocol a request's body is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Anthropic,
    /// Mistral's, DeepSeek's, OpenAI's own and others'.
    OpenAiChat,
    /// Nova.
    Converse,
    Prompt,
}

impl Protocol {
    /// The protocol of a request's body. A body without messages and prompt is recorded as it is.
    fn of(root: &Node<'_>) -> Result<Protocol, Malformed> {
        if root.get("anthropic_version").is_some() {
            return Ok(Protocol::Anthropic);
        }
        let Some(Kind::Array(list)) = root.get("messages").map(|m| &m.kind) else {
            let what = "a body for InvokeModel needs messages or a prompt".to_string();
            let has_prompt = prompt::place(root).is_some();
            return has_prompt.then_some(Protocol::Prompt).ok_or(Malformed { what, at: root.span.start });
        };
        let content = list.iter().filter_map(|m| m.get("content")).flat_map(|c| c.elements());
        let untyped = content.clone().any(|block| block.str_of("type").is_none());
        let own = ["inferenceConfig", "toolConfig", "schemaVersion"].iter().any(|k| root.get(k).is_some());
        Ok(if own || untyped { Protocol::Converse } else { Protocol::OpenAiChat })
    }

    fn dialect(self) -> Option<&'static dyn Dialect> {
        match self {
            Protocol::Anthropic => Some(&AnthropicMessages),
            Protocol::OpenAiChat => Some(&OpenAiChat),
            Protocol::Converse | Protocol::Prompt => None,
        }
    }
}

impl Dialect for BedrockInvoke {
    fn name(&self) -> &'static str {
        "bedrock-invoke"
    }

    fn recognise(&self, head: &RequestHead) -> Option<Endpoint> {
        let (verb, endpoint) = target::purpose(&head.method, &head.target)?;
        matches!(verb, Verb::Invoke { .. }).then_some(endpoint)
    }

    fn path<'h>(&self, head: &'h RequestHead) -> Cow<'h, str> {
        unnamed(head)
    }

    fn read_request(&self, target: &str, body: &[u8]) -> Result<ModelRequest, Malformed> {
        let root = json::parse(body)?;
        let protocol = Protocol::of(&root)?;
        let mut request = match (protocol.dialect(), protocol) {
            (Some(dialect), _) => dialect.read_request(target, body)?,
            (None, Protocol::Prompt) => prompt::read(&root)?,
            (None, _) => request::read(target, body)?,
        };
        (request.model, request.stream) = target::model_and_stream(target);
        Ok(request)
    }

    fn read_answer(&self, head: &ResponseHead, body: &[u8]) -> ModelAnswer {
        match reply::open(head, body) {
            Reply::Whole(bytes) if head.status >= 400 => answer::failed(head.status, &bytes),
            Reply::Whole(bytes) => whole(head, &bytes),
            Reply::Stream(events) => streamed(&events, Transcript::of(body).text()),
        }
    }

    fn terminal_markers(&self) -> &'static [&'static [u8]] {
        &MARKERS
    }

    fn edit_request(&self, body: &[u8], edits: &[RequestEdit]) -> Result<Bytes, EditError> {
        let root = json::parse(body).map_err(Malformed::from)?;
        let protocol = Protocol::of(&root)?;
        if protocol == Protocol::Converse {
            return edit::apply(body, edits);
        }
        let is = |edit: &RequestEdit, field: &str| matches!(edit, RequestEdit::SetField { name, .. } if name == field);
        if edits.iter().any(|edit| is(edit, "stream")) {
            return Err(EditError::NotThere(
                "whether an answer of Bedrock is streamed is said in the request's path: it cannot be edited"
                    .into(),
            ));
        }
        // The model stands in the path.
        let edits: Vec<RequestEdit> = edits.iter().filter(|edit| !is(edit, "model")).cloned().collect();
        match protocol.dialect() {
            Some(dialect) => dialect.edit_request(body, &edits),
            None => prompt::edit(body, &edits),
        }
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
        super::render::error(status, message)
    }
}

/// An answer in one piece, read by the dialect whose shape it has.
fn whole(head: &ResponseHead, bytes: &[u8]) -> ModelAnswer {
    let Ok(root) = json::parse(bytes) else { return ModelAnswer::default() };
    let mut answer = if root.get("output").and_then(|o| o.get("message")).is_some() {
        answer::whole(&root)
    } else if root.get("content").is_some_and(|c| matches!(c.kind, Kind::Array(_))) {
        AnthropicMessages.read_answer(head, bytes)
    } else if said::is_chat(&root) {
        OpenAiChat.read_answer(head, bytes)
    } else {
        said::whole(&root)
    };
    answer.usage = answer.usage.or_else(|| said::counted(head));
    answer
}

/// A stream: chunks with the vendor's events in them, as `text` has them.
fn streamed(events: &[Event], text: &[u8]) -> ModelAnswer {
    let plain = ResponseHead {
        status: 200,
        headers: HeaderList(vec![("content-type".into(), "text/event-stream".into())]),
    };
    let first = events.iter().find_map(|e| json::parse(e.data.as_bytes()).ok());
    let mut read = match &first {
        Some(root) if root.str_of("type").is_some_and(|t| t != "completion") => {
            AnthropicMessages.read_answer(&plain, text)
        }
        Some(root) if said::is_chat(root) => {
            let mut read = OpenAiChat.read_answer(&plain, text);
            // The service drops the line that says so.
            read.whole |= read.stop_reason.is_some();
            read
        }
        Some(root) if root.members().iter().any(|m| m.key == "messageStart") => answer::stream(events),
        _ => said::stream(events),
    };
    // A failure of the service stands between the vendor's events.
    if let Some(failed) = events.iter().find(|e| e.name.starts_with("exception:")) {
        read.error = answer::stream(std::slice::from_ref(failed)).error;
        read.whole = true;
    }
    read.usage = read.usage.or_else(|| said::measured(events));
    read
}
