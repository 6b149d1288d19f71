//! Answers into the normal form. A stream is first put together to the message that it stands for, so that both are
//! read by the same code.

use super::request::placed;
use crate::dialect::content::arguments_of;
use crate::dialect::conversation::{ModelAnswer, Usage};
use crate::dialect::reply::{self, Reply};
use crate::dialect::sse::Event;
use crate::exchange::ResponseHead;
use crate::exchange::canon::text_of_value;
use crate::exchange::json::{self, Kind, Node};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

pub(super) fn read(head: &ResponseHead, body: &[u8]) -> ModelAnswer {
    match reply::open(head, body) {
        Reply::Whole(bytes) if head.status >= 400 => {
            let (error, whole) = reply::error_of(head.status, &bytes);
            ModelAnswer { error: Some(error), whole, ..ModelAnswer::default() }
        }
        Reply::Whole(bytes) => json::parse(&bytes).map(|root| message(&root)).unwrap_or_default(),
        Reply::Stream(events) => stream(&events),
    }
}

/// Reads a message that is there whole.
fn message(root: &Node<'_>) -> ModelAnswer {
    let text = |k: &str| root.str_of(k).map(str::to_string);
    let failed = root.str_of("type") == Some("error");
    ModelAnswer {
        blocks: root.get("content").map(|c| placed(c).map(|(_, b)| b).collect()).unwrap_or_default(),
        stop_reason: text("stop_reason"),
        usage: root.get("usage").and_then(usage),
        model: text("model"),
        id: text("id"),
        error: if failed { reply::said_error(root) } else { None },
        whole: true,
    }
}

/// Anthropic counts what came from or went to the cache beside the input.
fn usage(node: &Node<'_>) -> Option<Usage> {
    if node.is_empty() {
        return None;
    }
    let count = |k: &str| node.u64_of(k).unwrap_or_default();
    let (read, written) = (count("cache_read_input_tokens"), count("cache_creation_input_tokens"));
    let details = node.get("output_tokens_details");
    let reasoning = ["thinking_tokens", "reasoning_tokens"].iter().find_map(|k| details?.u64_of(k));
    Some(Usage {
        input: count("input_tokens").saturating_add(read).saturating_add(written),
        output: count("output_tokens"),
        cache_read: read,
        cache_write: written,
        reasoning: reasoning.unwrap_or_default(),
    })
}

fn stream(events: &[Event]) -> ModelAnswer {
    let mut whole = Message::default();
    for event in events {
        if let Ok(data) = json::parse(event.data.as_bytes()) {
            whole.add(&data);
        }
    }
    let (done, error) = (whole.done, whole.error.take());
    let text = text_of_value(&whole.into_value());
    let mut answer = json::parse(text.as_bytes()).map(|root| message(&root)).unwrap_or_default();
    answer.whole = done || error.is_some();
    answer.error = error;
    answer
}

/// A message under construction.
#[derive(Default)]
struct Message {
    head: Map<String, Value>,
    usage: Map<String, Value>,
    /// Each block, and the JSON of its input as far as it came.
    blocks: BTreeMap<u64, (Map<String, Value>, String)>,
    done: bool,
    error: Option<String>,
}

impl Message {
    fn add(&mut self, data: &Node<'_>) {
        let index = data.u64_of("index").unwrap_or_default();
        match data.str_of("type") {
            Some("message_start") => {
                if let Some(message) = data.get("message") {
                    self.set_head(message);
                }
            }
            Some("content_block_start") => {
                if let Some(Value::Object(block)) = data.get("content_block").map(Node::to_value) {
                    self.blocks.insert(index, (block, String::new()));
                }
            }
            Some("content_block_delta") => {
                if let Some(delta) = data.get("delta") {
                    self.grow(index, delta);
                }
            }
            Some("message_delta") => {
                if let Some(delta) = data.get("delta") {
                    self.set_head(delta);
                }
                self.count(data.get("usage"));
            }
            Some("message_stop") => self.done = true,
            Some("error") => {
                self.error = reply::said_error(data).or(Some("an error without a message".into()))
            }
            _ => {}
        }
    }

    fn set_head(&mut self, message: &Node<'_>) {
        for member in message.members().iter().filter(|m| m.key != "content" && m.value.kind != Kind::Null) {
            if member.key == "usage" {
                self.count(Some(&member.value));
            } else {
                self.head.insert(member.key.to_string(), member.value.to_value());
            }
        }
    }

    /// Counts are of the whole message so far: the last ones hold.
    fn count(&mut self, usage: Option<&Node<'_>>) {
        for member in usage.iter().flat_map(|u| u.members()).filter(|m| m.value.kind != Kind::Null) {
            self.usage.insert(member.key.to_string(), member.value.to_value());
        }
    }

    fn grow(&mut self, index: u64, delta: &Node<'_>) {
        let (block, input) = self.blocks.entry(index).or_default();
        for member in delta.members().iter().filter(|m| m.key != "type") {
            match (&*member.key, member.value.to_value()) {
                ("partial_json", Value::String(piece)) => input.push_str(&piece),
                ("citation", citation) => {
                    let list = block.entry("citations").or_insert(Value::Null);
                    match list {
                        Value::Array(list) => list.push(citation),
                        other => *other = Value::from(vec![citation]),
                    }
                }
                (key, Value::String(piece)) => match block.entry(key).or_insert(Value::Null) {
                    Value::String(text) => text.push_str(&piece),
                    other => *other = Value::from(piece),
                },
                (key, value) => {
                    block.insert(key.to_string(), value);
                }
            }
        }
    }

    fn into_value(self) -> Value {
        let blocks = self.blocks.into_values().map(|(mut block, input)| {
            // A call without arguments streams no input; the block's own is `{}` then.
            if !input.trim().is_empty() {
                block.insert("input".into(), arguments_of(&input));
            }
            Value::Object(block)
        });
        let content: Vec<Value> = blocks.collect();
        let mut head = self.head;
        head.insert("content".into(), Value::from(content));
        head.insert("usage".into(), Value::Object(self.usage));
        Value::Object(head)
    }
}
