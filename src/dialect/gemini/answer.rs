//! Answers into the normal form. A stream, of events or as one JSON list, is first put together to the answer that it
//! stands for, so that both are read by the same code.

use super::parts::{blocks, camel, field, items, parts_of};
use crate::dialect::conversation::{Block, ModelAnswer, Usage};
use crate::dialect::reply::{self, Reply};
use crate::exchange::ResponseHead;
use crate::exchange::canon::text_of_value;
use crate::exchange::json::{self, Node, string_end};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

pub(super) fn read(head: &ResponseHead, body: &[u8]) -> ModelAnswer {
    match reply::open(head, body) {
        Reply::Whole(bytes) if head.status >= 400 => {
            // An error in answer to `streamGenerateContent` stands in a list of one.
            let (objects, closed) = list(&bytes);
            let (error, whole) = match objects.first() {
                Some(first) => reply::error_of(head.status, first),
                None => reply::error_of(head.status, &bytes),
            };
            ModelAnswer { error: Some(error), whole: whole && closed, ..ModelAnswer::default() }
        }
        Reply::Whole(bytes) if bytes.trim_ascii_start().starts_with(b"[") => {
            let (objects, closed) = list(&bytes);
            let mut answer = stream(objects.into_iter());
            answer.whole &= closed;
            answer
        }
        Reply::Whole(bytes) => json::parse(&bytes).map(|root| whole(&root)).unwrap_or_default(),
        Reply::Stream(events) => stream(events.iter().map(|e| e.data.as_bytes())),
    }
}

/// Reads an answer that is there whole.
fn whole(root: &Node<'_>) -> ModelAnswer {
    let mut candidates: Vec<&Node<'_>> =
        field(root, "candidates").map(items).unwrap_or_default().iter().collect();
    candidates.sort_by_key(|c| c.u64_of("index").unwrap_or_default());
    let said = |c: &Node<'_>| c.get("content").map(|c| blocks(parts_of(c))).unwrap_or_default();
    let stop = |c: &Node<'_>| field(c, "finishReason").and_then(Node::as_str).map(str::to_string);
    let text = |name: &str| field(root, name).and_then(Node::as_str).map(str::to_string);
    let mut answer = ModelAnswer {
        blocks: candidates.first().map(|c| said(c)).unwrap_or_default(),
        stop_reason: candidates.first().and_then(|c| stop(c)),
        usage: field(root, "usageMetadata").and_then(usage),
        model: text("modelVersion"),
        id: text("responseId"),
        error: None,
        whole: true,
    };
    if candidates.is_empty() {
        answer.stop_reason = blocked(root);
        let refused = answer.stop_reason.as_ref().map(|why| format!("the prompt was blocked: {why}"));
        answer.error = refused.or_else(|| root.get("error").and_then(|_| reply::said_error(root)));
    }
    for candidate in candidates.iter().skip(1) {
        let index = candidate.u64_of("index").unwrap_or_default();
        let value = json!({"choice": index, "blocks": said(candidate), "finish_reason": stop(candidate)});
        answer.blocks.push(Block::Other { value });
    }
    answer
}

/// Why a prompt got no answer.
fn blocked(root: &Node<'_>) -> Option<String> {
    let feedback = field(root, "promptFeedback")?;
    field(feedback, "blockReason").and_then(Node::as_str).map(str::to_string)
}

/// Google counts what its own tools read beside the prompt, and thoughts beside the answer.
fn usage(node: &Node<'_>) -> Option<Usage> {
    if node.is_empty() {
        return None;
    }
    let count = |name: &str| match field(node, name).map(|n| &n.kind) {
        Some(json::Kind::Number(digits)) => digits.parse().unwrap_or_default(),
        _ => 0u64,
    };
    let thoughts = count("thoughtsTokenCount");
    Some(Usage {
        input: count("promptTokenCount").saturating_add(count("toolUsePromptTokenCount")),
        output: count("candidatesTokenCount").saturating_add(thoughts),
        cache_read: count("cachedContentTokenCount"),
        cache_write: 0,
        reasoning: thoughts,
    })
}

/// Puts a stream together.
fn stream<'b>(chunks: impl Iterator<Item = &'b [u8]>) -> ModelAnswer {
    let mut growing = Growing::default();
    for chunk in chunks {
        if let Ok(chunk) = json::parse(chunk) {
            growing.add(&chunk);
        }
    }
    let (ended, error) = (growing.ended, growing.error.take());
    let text = text_of_value(&growing.into_value());
    let mut answer = json::parse(text.as_bytes()).map(|root| whole(&root)).unwrap_or_default();
    answer.error = error.or(answer.error);
    answer.whole = ended || answer.error.is_some();
    answer
}

/// An answer under construction.
#[derive(Default)]
struct Growing {
    head: Map<String, Value>,
    usage: Map<String, Value>,
    /// Parts and stop reason of each candidate.
    candidates: BTreeMap<u64, (Vec<Map<String, Value>>, Value)>,
    /// A candidate said why it stopped.
    ended: bool,
    error: Option<String>,
}

impl Growing {
    fn add(&mut self, chunk: &Node<'_>) {
        if chunk.get("error").is_some_and(|e| !e.is_empty()) {
            self.error = reply::said_error(chunk);
            return;
        }
        for member in chunk.members().iter().filter(|m| !m.value.is_empty()) {
            match camel(&member.key).as_str() {
                "candidates" => items(&member.value).iter().for_each(|c| self.candidate(c)),
                // Counts are of the whole answer so far: the last ones hold.
                "usageMetadata" => {
                    let counts = member.value.members().iter();
                    self.usage.extend(counts.map(|m| (camel(&m.key), m.value.to_value())));
                }
                name => {
                    self.head.insert(name.to_string(), member.value.to_value());
                }
            }
        }
    }

    fn candidate(&mut self, node: &Node<'_>) {
        let (parts, stop) = self.candidates.entry(node.u64_of("index").unwrap_or_default()).or_default();
        if let Some(reason) = field(node, "finishReason").and_then(Node::as_str) {
            *stop = Value::from(reason);
            self.ended = true;
        }
        for part in node.get("content").map(parts_of).unwrap_or_default() {
            if let Value::Object(part) = part.to_value() {
                grow(parts, part.into_iter().map(|(k, v)| (camel(&k), v)).collect());
            }
        }
    }

    fn into_value(self) -> Value {
        let mut head = self.head;
        let candidates = self.candidates.into_iter().map(|(index, (parts, stop))| {
            json!({"index": index, "content": {"role": "model", "parts": parts}, "finishReason": stop})
        });
        let candidates: Vec<Value> = candidates.collect();
        if !candidates.is_empty() {
            head.insert("candidates".into(), Value::from(candidates));
        }
        head.insert("usageMetadata".into(), Value::Object(self.usage));
        Value::Object(head)
    }
}

/// Adds a part: a text goes on in the next one of its kind, a thought in a thought. A signature comes with the last of
/// them, perhaps with no text.
fn grow(parts: &mut Vec<Map<String, Value>>, part: Map<String, Value>) {
    let is_thought = |p: &Map<String, Value>| p.get("thought") == Some(&Value::Bool(true));
    let goes_on = |last: &Map<String, Value>| {
        let texts = last.contains_key("text") && part.contains_key("text");
        texts && !last.contains_key("thoughtSignature") && is_thought(last) == is_thought(&part)
    };
    match parts.last_mut() {
        Some(last) if goes_on(last) => {
            for (key, value) in part {
                match (last.get_mut(&key), value) {
                    (Some(Value::String(text)), Value::String(more)) => text.push_str(&more),
                    (_, value) => {
                        last.insert(key, value);
                    }
                }
            }
        }
        _ => parts.push(part),
    }
}

/// The objects of a JSON list, as far as it came, and whether nothing is missing. What is no list has none.
fn list(body: &[u8]) -> (Vec<&[u8]>, bool) {
    let mut objects = Vec::new();
    let mut at = body.len() - body.trim_ascii_start().len();
    if body.get(at) != Some(&b'[') {
        return (objects, true);
    }
    let (mut depth, mut start) = (0usize, at);
    while let Some(byte) = body.get(at) {
        match byte {
            b'"' => match string_end(body, at) {
                Some(end) => {
                    at = end;
                    continue;
                }
                None => return (objects, false),
            },
            b'{' | b'[' => {
                if depth == 1 {
                    start = at;
                }
                depth += 1;
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if depth == 1 {
                    objects.extend(body.get(start..=at));
                }
                if depth == 0 {
                    return (objects, true);
                }
            }
            _ => {}
        }
        at += 1;
    }
    (objects, false)
}
