//! Requests into the normal form.

use super::items;
use crate::dialect::Malformed;
use crate::dialect::content::*;
use crate::dialect::conversation::{Block, Message, ModelRequest, Role};
use crate::exchange::json::{self, Kind, Node};
use memchr::memmem;
use serde_json::Value;

/// Fields that do not decide the answer: who asks, under which label it is kept, what of the cache it may use, and how
/// a stream is padded.
const VOLATILE: [&str; 10] = [
    "user",
    "metadata",
    "client_metadata",
    "prompt_cache_key",
    "prompt_cache_retention",
    "prompt_cache_options",
    "safety_identifier",
    "session_id",
    "stream_options",
    "trace",
];

/// Fields of which one says what is asked, where there is no input.
const ASKING: [&str; 3] = ["prompt", "previous_response_id", "conversation"];

pub(super) fn read(body: &[u8]) -> Result<ModelRequest, Malformed> {
    let root = json::parse(body)?;
    let input = input(&root)?;
    let over_websocket = root.str_of("type") == Some(OVER_WEBSOCKET);
    let mut system = Vec::new();
    let mut tools: Vec<Value> = Vec::new();
    let mut params: Vec<(String, Value)> = Vec::new();
    for member in root.members() {
        match (&*member.key, &member.value.kind) {
            // Over a WebSocket a request says what it is.
            ("model" | "stream" | "input" | "type", _) | (_, Kind::Null) => {}
            ("instructions", Kind::String(text)) => system.extend(text_block(text)),
            ("tools", Kind::Array(list)) => tools.extend(list.iter().map(plain_as_written)),
            (key, _) if VOLATILE.contains(&key) => {}
            (key, _) => params.push((key.to_string(), member.value.to_value_as_written())),
        }
    }
    params.sort_by(|a, b| a.0.cmp(&b.0));
    let mut messages = Vec::new();
    let mut spans = Vec::new();
    match input.map(|i| (i, &i.kind)) {
        Some((node, Kind::String(text))) => {
            messages.push(Message { role: Role::User, blocks: text_block(text).into_iter().collect() });
            spans.push(node.span.clone());
        }
        Some((node, _)) => {
            for item in node.elements() {
                messages.push(message(item)?);
                spans.push(item.span.clone());
            }
        }
        None => {}
    }
    Ok(ModelRequest {
        model: root.str_of("model").unwrap_or_default().to_string(),
        stream: over_websocket || root.get("stream").is_some_and(|s| s.kind == Kind::Bool(true)),
        system,
        tools,
        params: params.into_iter().collect(),
        messages,
        spans,
    })
}

/// What a request over a WebSocket says it is. It is always answered in a stream.
pub(super) const OVER_WEBSOCKET: &str = "response.create";

/// True for a request over a WebSocket that generates nothing.
pub(super) fn warms_up(body: &[u8]) -> bool {
    memmem::find(body, b"\"generate\"").is_some()
        && json::parse(body)
            .is_ok_and(|root| root.get("generate").is_some_and(|g| g.kind == Kind::Bool(false)))
}

/// The input of a request: a string or a list. None where something else says what is asked.
pub(super) fn input<'n, 'a>(root: &'n Node<'a>) -> Result<Option<&'n Node<'a>>, Malformed> {
    match root.get("input").map(|i| (i, &i.kind)) {
        Some((input, Kind::String(_) | Kind::Array(_))) => Ok(Some(input)),
        None | Some((_, Kind::Null)) if ASKING.iter().any(|k| is_said(root, k)) => Ok(None),
        _ => Err(Malformed { what: "a response needs an `input`".into(), at: root.span.start }),
    }
}

fn message(item: &Node<'_>) -> Result<Message, Malformed> {
    let (role, blocks) = match item.as_str() {
        Some(text) => (Role::User, text_block(text).into_iter().collect::<Vec<Block>>()),
        None => items::read(item).ok_or_else(|| Malformed {
            what: "an item of `input` needs a `type` or a `role`".into(),
            at: item.span.start,
        })?,
    };
    Ok(Message { role, blocks })
}
