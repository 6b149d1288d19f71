//! Answers into the normal form. A stream is first put together to the completion that it stands for, so that both
//! are read by the same code.

use super::request::{REASONING, blocks};
use crate::dialect::content::text_block;
use crate::dialect::conversation::{Block, ModelAnswer, Usage};
use crate::dialect::reply::{self, Reply};
use crate::dialect::sse::Event;
use crate::exchange::ResponseHead;
use crate::exchange::canon::text_of_value;
use crate::exchange::json::{self, Node};
use serde_json::{Map, Value, json};

pub(super) fn read(head: &ResponseHead, body: &[u8]) -> ModelAnswer {
    match reply::open(head, body) {
        Reply::Whole(bytes) if head.status >= 400 => {
            let (error, whole) = reply::error_of(head.status, &bytes);
            ModelAnswer { error: Some(error), whole, ..ModelAnswer::default() }
        }
        Reply::Whole(bytes) => json::parse(&bytes).map(|root| completion(&root)).unwrap_or_default(),
        Reply::Stream(events) => stream(&events),
    }
}

/// Reads a completion that is there whole.
fn completion(root: &Node<'_>) -> ModelAnswer {
    let mut choices: Vec<&Node<'_>> = root.get("choices").iter().flat_map(|c| c.elements()).collect();
    choices.sort_by_key(|c| c.u64_of("index").unwrap_or_default());
    let said = |c: &Node<'_>| match (c.get("message"), c.str_of("text")) {
        (Some(message), _) => blocks(message),
        (None, text) => text.and_then(text_block).into_iter().collect(),
    };
    let stop = |c: &Node<'_>| c.str_of("finish_reason").map(str::to_string);
    let mut answer = ModelAnswer {
        blocks: choices.first().map(|c| said(c)).unwrap_or_default(),
        stop_reason: choices.first().and_then(|c| stop(c)),
        usage: root.get("usage").and_then(usage),
        model: root.str_of("model").map(str::to_string),
        id: root.str_of("id").map(str::to_string),
        error: None,
        whole: true,
    };
    // OpenRouter tells of a provider's failure beside what came before it.
    let failed = |n: &Node<'_>| n.get("error").is_some_and(|e| !e.is_empty());
    if choices.is_empty() && (failed(root) || root.str_of("object") == Some("error")) {
        answer.error = reply::said_error(root);
    } else if let Some(choice) = choices.first().filter(|c| failed(c)) {
        answer.error = reply::said_error(choice);
    }
    for choice in choices.iter().skip(1) {
        let index = choice.u64_of("index").unwrap_or_default();
        let value = json!({"choice": index, "blocks": said(choice), "finish_reason": stop(choice)});
        answer.blocks.push(Block::Other { value });
    }
    answer
}

fn usage(node: &Node<'_>) -> Option<Usage> {
    if node.is_empty() {
        return None;
    }
    let count = |n: Option<&Node<'_>>, k: &str| n.and_then(|n| n.u64_of(k)).unwrap_or_default();
    let details = node.get("prompt_tokens_details");
    // DeepSeek counts cache hits beside the details.
    let cached = count(details, "cached_tokens").max(count(Some(node), "prompt_cache_hit_tokens"));
    Some(Usage {
        input: count(Some(node), "prompt_tokens"),
        output: count(Some(node), "completion_tokens"),
        cache_read: cached,
        cache_write: count(details, "cache_write_tokens"),
        reasoning: count(node.get("completion_tokens_details"), "reasoning_tokens"),
    })
}

/// Puts a stream together.
fn stream(events: &[Event]) -> ModelAnswer {
    let mut whole = Completion::default();
    let (mut done, mut error) = (false, None);
    for event in events {
        if event.data.trim() == "[DONE]" {
            done = true;
            break;
        }
        let Ok(chunk) = json::parse(event.data.as_bytes()) else { continue };
        // Older vLLM says so in the chunk itself.
        if chunk.get("error").is_some_and(|e| !e.is_empty()) || chunk.str_of("object") == Some("error") {
            error = reply::said_error(&chunk);
        } else {
            whole.add(&chunk);
        }
    }
    let text = text_of_value(&whole.into_value());
    let mut answer = json::parse(text.as_bytes()).map(|root| completion(&root)).unwrap_or_default();
    answer.whole = done || error.is_some();
    answer.error = error;
    answer
}

/// A completion under construction.
#[derive(Default)]
struct Completion {
    head: Map<String, Value>,
    /// Index, message and stop reason of each choice.
    choices: Vec<(u64, Map<String, Value>, Value)>,
}

impl Completion {
    fn add(&mut self, chunk: &Node<'_>) {
        for key in ["id", "model", "usage"] {
            let group = if key == "usage" { chunk.get("x_groq").and_then(|x| x.get(key)) } else { None };
            // An Azure stream begins with a chunk whose id and model are empty.
            if let Some(value) = chunk.get(key).filter(|v| !v.is_empty()).or(group) {
                self.head.insert(key.to_string(), value.to_value());
            }
        }
        for choice in chunk.get("choices").iter().flat_map(|c| c.elements()) {
            let index = choice.u64_of("index").unwrap_or_default();
            let at = self.choices.iter().position(|c| c.0 == index).unwrap_or_else(|| {
                self.choices.push((index, Map::new(), Value::Null));
                self.choices.len() - 1
            });
            let Some((_, message, stop)) = self.choices.get_mut(at) else { continue };
            if let Some(reason) = choice.str_of("finish_reason") {
                *stop = Value::from(reason);
            }
            if let Some(Value::Object(delta)) =
                choice.get("delta").or(choice.get("message")).map(Node::to_value)
            {
                grow(message, delta);
            } else if let Some(text) = choice.str_of("text") {
                grow(message, Map::from_iter([("content".to_string(), Value::from(text))]));
            }
        }
    }

    fn into_value(self) -> Value {
        let choices: Vec<Value> = self
            .choices
            .into_iter()
            .map(|(index, message, stop)| json!({"index": index, "message": message, "finish_reason": stop}))
            .collect();
        let mut head = self.head;
        head.insert("choices".into(), Value::from(choices));
        Value::Object(head)
    }
}

/// Texts of a message that come in pieces, reasoning apart.
const GROWING: [&str; 2] = ["content", "refusal"];

/// Adds a delta to a message.
fn grow(message: &mut Map<String, Value>, delta: Map<String, Value>) {
    for (key, piece) in delta {
        match (key.as_str(), piece) {
            ("tool_calls", Value::Array(calls)) => {
                let list = message.entry(key).or_insert_with(|| Value::Array(Vec::new()));
                if let Value::Array(list) = list {
                    calls.into_iter().for_each(|call| grow_call(list, call));
                }
            }
            // A text that is not known to come in pieces is said again with each delta (`channel`, `role`).
            (known, Value::String(word)) if !GROWING.contains(&known) && !REASONING.contains(&known) => {
                message.insert(key, Value::from(word));
            }
            ("content", piece @ Value::Array(_)) => {
                grow_parts(message.entry(key).or_insert(Value::Null), piece);
            }
            ("content", piece @ Value::String(_)) if message.get("content").is_some_and(Value::is_array) => {
                grow_parts(message.entry(key).or_insert(Value::Null), piece);
            }
            (_, piece) => grow_value(message.entry(key).or_insert(Value::Null), piece),
        }
    }
}

/// Adds parts to a content (Mistral thinks in parts and speaks in texts): a text goes on in a text, a thought in a thought.
fn grow_parts(content: &mut Value, piece: Value) {
    let listed = |value: Value| match value {
        Value::Array(parts) => parts,
        Value::String(text) if text.is_empty() => Vec::new(),
        Value::Null => Vec::new(),
        text => vec![json!({"type": "text", "text": text})],
    };
    let mut parts = listed(content.take());
    for mut part in listed(piece) {
        let last = parts.last_mut().filter(|last| last.get("type") == part.get("type"));
        match (last, part.get("type").and_then(Value::as_str)) {
            (Some(last), Some("text")) => grow_value(&mut last["text"], part["text"].take()),
            (Some(last), Some("thinking")) => match part["thinking"].take() {
                text @ Value::String(_) => grow_value(&mut last["thinking"], text),
                thought => grow_parts(&mut last["thinking"], thought),
            },
            _ => parts.push(part),
        }
    }
    *content = Value::Array(parts);
}

/// Strings and lists grow (an item that names its index grows the item with it), objects grow by member, anything
/// else is replaced, and null changes nothing.
fn grow_value(value: &mut Value, piece: Value) {
    match (value, piece) {
        (_, Value::Null) => {}
        (Value::String(text), Value::String(more)) => text.push_str(&more),
        (Value::Array(list), Value::Array(more)) => {
            for item in more {
                let index = item.get("index").filter(|i| i.is_u64()).cloned();
                let same = index.and_then(|i| list.iter_mut().find(|old| old.get("index") == Some(&i)));
                match same {
                    Some(old) => grow_value(old, item),
                    None => list.push(item),
                }
            }
        }
        (Value::Object(members), Value::Object(more)) => {
            for (key, piece) in more {
                grow_value(members.entry(key).or_insert(Value::Null), piece);
            }
        }
        (place, piece) => *place = piece,
    }
}

/// Adds a piece of a tool call to the call it belongs to: the one with its index, unless the piece has another id
/// (some servers give every call the index 0, or none).
fn grow_call(calls: &mut Vec<Value>, piece: Value) {
    let id = |v: &Value| v.get("id").and_then(Value::as_str).unwrap_or_default().to_string();
    let new_id = id(&piece);
    let index = piece.get("index").and_then(Value::as_u64);
    let fits = |call: &Value| {
        (index.is_none() || call.get("index").and_then(Value::as_u64) == index)
            && (new_id.is_empty() || id(call) == new_id || (id(call).is_empty() && index.is_some()))
    };
    match calls.iter_mut().rev().find(|call| fits(call)) {
        None => calls.push(piece),
        Some(call) => {
            if let (Value::Object(call), Value::Object(piece)) = (call, piece) {
                grow_call_members(call, piece);
            }
        }
    }
}

/// Like [`grow_value`], but an id, a type and a name are said once, or again as they are.
fn grow_call_members(call: &mut Map<String, Value>, piece: Map<String, Value>) {
    for (key, piece) in piece {
        let value = call.entry(key.clone()).or_insert(Value::Null);
        match (key.as_str(), value, piece) {
            ("id" | "type" | "name", Value::String(old), Value::String(new))
                if *old == new || new.is_empty() => {}
            ("id" | "type", value, piece) if !piece.is_null() => *value = piece,
            (_, Value::Object(old), Value::Object(new)) => grow_call_members(old, new),
            (_, value, piece) => grow_value(value, piece),
        }
    }
}
