//! Puts a stream together to the response that it stands for.
//!
//! The terminal event holds the whole response. What came before it is put together all the same: a stream may break
//! off, and some servers leave the output out of their last event.

use crate::dialect::reply;
use crate::dialect::sse::Event;
use crate::exchange::json::{self, Node};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// A stream, put together.
pub(super) struct Assembled {
    /// The response, as far as it came.
    pub response: Value,
    /// Its error, if it ended in one.
    pub error: Option<String>,
    /// True when its terminal event came.
    pub ended: bool,
}

/// A response under construction.
#[derive(Default)]
struct Response {
    head: Map<String, Value>,
    /// Items by their place in the output.
    items: BTreeMap<u64, Map<String, Value>>,
    error: Option<String>,
    ended: bool,
}

pub(super) fn assemble(events: &[Event]) -> Assembled {
    let mut response = Response::default();
    for event in events {
        let Ok(data) = json::parse(event.data.as_bytes()) else { continue };
        let kind = data.str_of("type").unwrap_or(&event.name).to_string();
        response.take(&kind, &data);
        if response.ended {
            break;
        }
    }
    let Response { mut head, items, error, ended } = response;
    let said = head.get("output").and_then(Value::as_array).is_some_and(|o| !o.is_empty());
    if !said {
        head.insert("output".into(), items.into_values().map(Value::Object).collect());
    }
    Assembled { response: Value::Object(head), error, ended }
}

impl Response {
    fn take(&mut self, kind: &str, data: &Node<'_>) {
        let text = |key: &str| data.str_of(key).unwrap_or_default();
        match kind {
            "response.created" | "response.queued" | "response.in_progress" => self.take_head(data),
            "response.completed" | "response.incomplete" | "response.failed" | "response.cancelled" => {
                self.take_head(data);
                self.ended = true;
            }
            "error" => {
                self.error = reply::said_error(data).or(Some("the stream ended in an error".into()));
                self.ended = true;
            }
            "response.output_item.added" | "response.output_item.done" => {
                if let Some(Value::Object(item)) = data.get("item").map(Node::to_value) {
                    self.items.insert(index(data, "output_index"), item);
                }
            }
            "response.content_part.added" | "response.content_part.done" => {
                self.set_part(data, "message", "content", "content_index");
            }
            "response.reasoning_summary_part.added" | "response.reasoning_summary_part.done" => {
                self.set_part(data, "reasoning", "summary", "summary_index");
            }
            "response.output_text.delta" => self.text(data, TEXT, text("delta"), false),
            "response.output_text.done" => self.text(data, TEXT, text("text"), true),
            "response.refusal.delta" => self.text(data, REFUSAL, text("delta"), false),
            "response.refusal.done" => self.text(data, REFUSAL, text("refusal"), true),
            "response.reasoning_summary_text.delta" => self.text(data, SUMMARY, text("delta"), false),
            "response.reasoning_summary_text.done" => self.text(data, SUMMARY, text("text"), true),
            "response.reasoning_text.delta" => self.text(data, THOUGHT, text("delta"), false),
            "response.reasoning_text.done" => self.text(data, THOUGHT, text("text"), true),
            _ => self.take_field(kind, data),
        }
    }

    /// Texts that stand in a field of the item itself.
    fn take_field(&mut self, kind: &str, data: &Node<'_>) {
        let fields = [
            ("response.function_call_arguments.", "function_call", "arguments"),
            ("response.custom_tool_call_input.", "custom_tool_call", "input"),
            ("response.mcp_call_arguments.", "mcp_call", "arguments"),
            ("response.code_interpreter_call_code.", "code_interpreter_call", "code"),
        ];
        for (event, item, field) in fields {
            let Some(end) = kind.strip_prefix(event) else { continue };
            let place = self.item(data, item).entry(field).or_insert(Value::Null);
            match end {
                "delta" => grow(place, data.str_of("delta").unwrap_or_default()),
                "done" => {
                    if let Some(whole) = data.str_of(field) {
                        *place = Value::from(whole);
                    }
                }
                _ => {}
            }
        }
    }

    fn take_head(&mut self, data: &Node<'_>) {
        if let Some(Value::Object(response)) = data.get("response").map(Node::to_value) {
            self.head = response;
        }
    }

    /// The item that an event belongs to. Where it was never announced it is of the kind that the event is about.
    fn item(&mut self, data: &Node<'_>, kind: &str) -> &mut Map<String, Value> {
        self.items.entry(index(data, "output_index")).or_insert_with(|| {
            let role = if kind == "message" { json!("assistant") } else { Value::Null };
            let id = data.str_of("item_id").unwrap_or_default();
            let known = [("type", Value::from(kind)), ("id", Value::from(id)), ("role", role)];
            known.into_iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k.to_string(), v)).collect()
        })
    }

    fn set_part(&mut self, data: &Node<'_>, kind: &str, list: &str, place: &str) {
        let Some(part) = data.get("part").map(Node::to_value) else { return };
        *slot(self.item(data, kind), list, index(data, place)) = part;
    }

    fn text(&mut self, data: &Node<'_>, of: Place, text: &str, whole: bool) {
        let part = slot(self.item(data, of.item), of.list, index(data, of.index));
        if !part.is_object() {
            *part = json!({"type": of.part});
        }
        if let Some(members) = part.as_object_mut() {
            let place = members.entry(of.field).or_insert(Value::Null);
            if whole {
                *place = Value::from(text);
            } else {
                grow(place, text);
            }
        }
    }
}

/// Where a text of an item stands.
#[derive(Clone, Copy)]
struct Place {
    item: &'static str,
    list: &'static str,
    index: &'static str,
    part: &'static str,
    field: &'static str,
}

const TEXT: Place =
    Place { item: "message", list: "content", index: "content_index", part: "output_text", field: "text" };
const REFUSAL: Place = Place { part: "refusal", field: "refusal", ..TEXT };
const SUMMARY: Place =
    Place { item: "reasoning", list: "summary", index: "summary_index", part: "summary_text", field: "text" };
const THOUGHT: Place = Place { item: "reasoning", part: "reasoning_text", ..TEXT };

fn index(data: &Node<'_>, key: &str) -> u64 {
    data.u64_of(key).unwrap_or_default()
}

/// The element of a list with this index, or a new one at its end.
fn slot<'m>(item: &'m mut Map<String, Value>, list: &str, index: u64) -> &'m mut Value {
    let place = item.entry(list).or_insert_with(|| Value::Array(Vec::new()));
    if !place.is_array() {
        *place = Value::Array(Vec::new());
    }
    let Value::Array(elements) = place else { return place };
    let at = usize::try_from(index).unwrap_or(usize::MAX).min(elements.len());
    if at == elements.len() {
        elements.push(Value::Null);
    }
    &mut elements[at]
}

fn grow(place: &mut Value, more: &str) {
    match place {
        Value::String(text) => text.push_str(more),
        other => *other = Value::from(more),
    }
}
