//! Contents and their parts, in either spelling: `functionCall` and `function_call` are one.

use crate::dialect::content::{plain, text_block};
use crate::dialect::conversation::Block;
use crate::exchange::canon::canonical_value;
use crate::exchange::json::{Kind, Member, Node};
use serde_json::{Map, Value};

/// Fields in which SDKs and agents wrap what a tool returned: a `functionResponse` holds an object in any case. The
/// first two are Google's own words.
const WRAPPERS: [&str; 5] = ["output", "result", "return_value", "content", "response"];
/// Fields that say that the tool failed; the first is Google's own word.
const FAILURES: [&str; 3] = ["error", "call_error", "errorMessage"];

/// A name in the spelling of Google's JSON: `function_call` is `functionCall`.
pub(super) fn camel(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for (i, word) in name.split('_').enumerate() {
        let mut letters = word.chars();
        match letters.next() {
            Some(first) if i > 0 => out.push(first.to_ascii_uppercase()),
            Some(first) => out.push(first),
            None => {}
        }
        out.push_str(letters.as_str());
    }
    out
}

/// The member with this name, in either spelling.
pub(super) fn member<'n, 'a>(node: &'n Node<'a>, name: &str) -> Option<&'n Member<'a>> {
    node.members().iter().rev().find(|m| m.key == name || (m.key.contains('_') && camel(&m.key) == name))
}

/// The value under this name, in either spelling.
pub(super) fn field<'n, 'a>(node: &'n Node<'a>, name: &str) -> Option<&'n Node<'a>> {
    member(node, name).map(|m| &m.value).filter(|v| v.kind != Kind::Null)
}

/// The elements of a list; what stands in the place of a list of one is taken for its element.
pub(super) fn items<'n, 'a>(node: &'n Node<'a>) -> &'n [Node<'a>] {
    match &node.kind {
        Kind::Array(elements) => elements,
        Kind::Null => &[],
        _ => std::slice::from_ref(node),
    }
}

/// The parts of a content.
pub(super) fn parts_of<'n, 'a>(content: &'n Node<'a>) -> &'n [Node<'a>] {
    field(content, "parts").map(items).unwrap_or_default()
}

/// True for a part that holds a thought and nothing else.
pub(super) fn is_thought(part: &Node<'_>) -> bool {
    part.get("thought").is_some_and(|t| t.kind == Kind::Bool(true))
}

/// True for a part that holds text which is no thought.
pub(super) fn is_text(part: &Node<'_>) -> bool {
    part.str_of("text").is_some() && !is_thought(part)
}

/// True for a part with a signature.
pub(super) fn is_signed(part: &Node<'_>) -> bool {
    field(part, "thoughtSignature").is_some_and(|s| !s.is_empty())
}

/// The blocks of some parts, each with the index of its part. The signature of a part that is no thought is a block of
/// its own in front: it signs reasoning that is not shown.
pub(super) fn placed<'n>(parts: &'n [Node<'_>]) -> impl Iterator<Item = (usize, Block)> + 'n {
    parts.iter().enumerate().flat_map(|(at, part)| {
        let seal = Block::Reasoning { text: String::new(), signed: true };
        let seal = (is_signed(part) && !is_thought(part)).then_some(seal);
        seal.into_iter().chain(block(part)).map(move |block| (at, block))
    })
}

/// The blocks of some parts.
pub(super) fn blocks(parts: &[Node<'_>]) -> Vec<Block> {
    placed(parts).map(|(_, block)| block).collect()
}

fn block(part: &Node<'_>) -> Option<Block> {
    if let Some(text) = part.as_str() {
        return text_block(text);
    }
    if is_thought(part) {
        let text = part.str_of("text").unwrap_or_default().to_string();
        return Some(Block::Reasoning { text, signed: is_signed(part) });
    }
    if let Some(call) = field(part, "functionCall") {
        let word = |k: &str| call.str_of(k).unwrap_or_default().to_string();
        let args = call.get("args").filter(|a| a.kind != Kind::Null);
        let args = args.map_or_else(|| Value::Object(Map::new()), Node::to_value);
        return Some(Block::ToolCall { id: word("id"), name: word("name"), args });
    }
    if let Some(response) = field(part, "functionResponse") {
        let (text, is_error) = returned(response);
        let other = field(response, "parts").map(items).unwrap_or_default().iter().map(plain).collect();
        let call_id = response.str_of("id").unwrap_or_default().to_string();
        return Some(Block::ToolResult { call_id, text, other, is_error });
    }
    if let Some(text) = part.str_of("text") {
        return text_block(text);
    }
    other(part).map(|value| Block::Other { value })
}

/// A part of another kind; none when nothing but a signature is in it.
fn other(part: &Node<'_>) -> Option<Value> {
    let Value::Object(members) = plain(part) else { return Some(plain(part)) };
    let respelt = |members: Map<String, Value>| members.into_iter().map(|(k, v)| (camel(&k), v));
    let kept: Map<String, Value> = respelt(members)
        .filter(|(k, _)| k != "thoughtSignature" && k != "thought")
        .map(|(k, v)| match v {
            Value::Object(inner) => (k, Value::Object(respelt(inner).collect())),
            v => (k, v),
        })
        .collect();
    (!kept.is_empty()).then_some(Value::Object(kept))
}

/// What of a `functionResponse` a tool returned: the value in the one field it is wrapped in, or all of it.
pub(super) fn payload<'n, 'a>(response: &'n Node<'a>) -> Option<(&'n Node<'a>, bool)> {
    let whole = field(response, "response")?;
    match whole.members() {
        [only] if WRAPPERS.contains(&&*only.key) => Some((&only.value, false)),
        [only] if FAILURES.contains(&&*only.key) => Some((&only.value, true)),
        _ => Some((whole, false)),
    }
}

/// What a tool returned as text, and whether it said that it failed. What is no text is JSON, its keys sorted.
fn returned(response: &Node<'_>) -> (String, bool) {
    match payload(response) {
        None => (String::new(), false),
        Some((value, failed)) => {
            let text =
                value.as_str().map_or_else(|| canonical_value(&value.to_value_as_written()), str::to_string);
            (text, failed)
        }
    }
}
