//! What the dialects share when they read content: text parts, arguments, fields that do not count.

use super::conversation::Block;
use crate::exchange::json::{self, Kind, Node};
use serde_json::Value;

/// Marks a place up to which a provider may cache. It moves from turn to turn and decides nothing.
const CACHE_CONTROL: &str = "cache_control";

/// A node as a value, without the `cache_control` of its first level.
pub(super) fn plain(node: &Node<'_>) -> Value {
    without_cache_control(node.to_value())
}

/// Like [`plain`], with every digit of every number.
pub(super) fn plain_as_written(node: &Node<'_>) -> Value {
    without_cache_control(node.to_value_as_written())
}

fn without_cache_control(mut value: Value) -> Value {
    if let Some(members) = value.as_object_mut() {
        members.shift_remove(CACHE_CONTROL);
    }
    value
}

/// True for a part `{"type": "text", "text": …}` and its relatives of other endpoints.
pub(super) fn is_text(part: &Node<'_>) -> bool {
    matches!(part.str_of("type"), Some("text" | "input_text" | "output_text"))
        && part.str_of("text").is_some()
}

/// True for a part that holds reasoning.
pub(super) fn is_reasoning(part: &Node<'_>) -> bool {
    matches!(
        part.str_of("type"),
        Some("thinking" | "redacted_thinking" | "reasoning" | "reasoning.encrypted")
    )
}

/// A text block, unless the text is empty: an empty text, `null` and no content at all are the same.
pub(super) fn text_block(text: &str) -> Option<Block> {
    (!text.is_empty()).then(|| Block::Text { text: text.to_string() })
}

/// A part that holds reasoning, in normal form.
pub(super) fn reasoning_block(part: &Node<'_>) -> Block {
    let inner = ["thinking", "text", "reasoning"].iter().find_map(|k| part.get(k));
    let text = inner.map(|n| match &n.kind {
        Kind::String(text) => text.to_string(),
        // Mistral writes a list of text parts.
        _ => texts(n.elements()).join("\n"),
    });
    let signed = ["signature", "data", "encrypted_content"].iter().any(|k| is_said(part, k));
    Block::Reasoning { text: text.unwrap_or_default(), signed }
}

/// True when a field is there and not empty.
pub(super) fn is_said(node: &Node<'_>, key: &str) -> bool {
    node.get(key).is_some_and(|n| !n.is_empty())
}

fn texts<'n>(parts: &'n [Node<'_>]) -> Vec<&'n str> {
    parts.iter().filter(|p| is_text(p)).filter_map(|p| p.str_of("text")).collect()
}

/// A tool's result: its text, and the parts that are not text.
pub(super) fn result_of(content: Option<&Node<'_>>) -> (String, Vec<Value>) {
    let Some(content) = content else { return (String::new(), Vec::new()) };
    match &content.kind {
        Kind::String(text) => (text.to_string(), Vec::new()),
        Kind::Null => (String::new(), Vec::new()),
        Kind::Array(parts) => {
            (texts(parts).join("\n"), parts.iter().filter(|p| !is_text(p)).map(plain).collect())
        }
        _ => (String::new(), vec![plain(content)]),
    }
}

/// A call's arguments. They are JSON in a string; what does not parse stays a string, and nothing is no arguments.
pub(super) fn arguments(node: Option<&Node<'_>>) -> Value {
    match node {
        None => Value::Object(Default::default()),
        Some(node) => match node.as_str() {
            Some(text) => arguments_of(text),
            None => node.to_value(),
        },
    }
}

/// Like [`arguments`], of the text itself.
pub(super) fn arguments_of(text: &str) -> Value {
    match text.trim().is_empty() {
        true => Value::Object(Default::default()),
        false => json::parse(text.as_bytes()).map_or_else(|_| Value::from(text), |n| n.to_value()),
    }
}
