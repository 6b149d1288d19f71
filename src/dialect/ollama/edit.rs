//! Edits of a request's bytes.

use crate::dialect::openai_chat::edit as chat;
use crate::dialect::surgery::{self, Splice, set_member};
use crate::dialect::{EditError, RequestEdit};
use crate::exchange::canon::text_of_value;
use crate::exchange::json::{Kind, Node};
use bytes::Bytes;
use serde_json::{Value, json};

/// Fields of the request itself. Every other parameter stands in `options`.
const TOP: [&str; 19] = [
    "model",
    "messages",
    "prompt",
    "suffix",
    "images",
    "tools",
    "format",
    "options",
    "stream",
    "think",
    "keep_alive",
    "system",
    "template",
    "raw",
    "context",
    "truncate",
    "shift",
    "logprobs",
    "top_logprobs",
];

/// What other providers call a parameter, and what Ollama does.
const RENAMED: [(&str, &str); 3] =
    [("max_tokens", "num_predict"), ("max_completion_tokens", "num_predict"), ("response_format", "format")];

pub(super) fn apply(body: &[u8], edits: &[RequestEdit]) -> Result<Bytes, EditError> {
    chat::apply_with(body, edits, set_field)
}

/// Sets a parameter where it belongs; null removes it.
fn set_field(root: &Node<'_>, name: &str, value: &Value) -> Vec<Splice> {
    let name = RENAMED.iter().find(|(theirs, _)| *theirs == name).map_or(name, |(_, ours)| ours);
    let options = root.get("options").filter(|o| matches!(o.kind, Kind::Object(_)));
    let in_options = options.is_some_and(|o| o.get(name).is_some());
    if !in_options && (TOP.contains(&name) || root.get(name).is_some()) {
        return surgery::set_field(root, name, value);
    }
    match options {
        Some(options) => surgery::set_field(options, name, value),
        None if value.is_null() => Vec::new(),
        None => vec![set_member(root, "options", text_of_value(&json!({ name: value })))],
    }
}
