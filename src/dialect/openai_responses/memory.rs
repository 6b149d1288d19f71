//! What the server keeps: answers to go on from, conversations, items to point at.

use super::request::OVER_WEBSOCKET;
use super::{items, request, stream};
use crate::dialect::content::is_said;
use crate::dialect::histories::{Histories, Kept, Link};
use crate::dialect::reply::{self, Reply};
use crate::dialect::surgery::{self, Splice, set_member};
use crate::exchange::ResponseHead;
use crate::exchange::canon::{quoted, text_of_value};
use crate::exchange::json::{self, Kind, Node};
use bytes::Bytes;
use memchr::memmem;
use serde_json::Value;

const ANSWER: &str = "previous_response_id";
const CONVERSATION: &str = "conversation";
const REFERENCE: &str = "item_reference";

/// True when a body may leave anything to the server to remember. Cheap, and sometimes wrong.
pub(super) fn recalls(body: &[u8]) -> bool {
    [ANSWER, CONVERSATION, REFERENCE].iter().any(|word| memmem::find(body, quoted(word).as_bytes()).is_some())
}

/// The conversation on the server that a body belongs to.
pub(super) fn conversation(body: &[u8]) -> Option<String> {
    memmem::find(body, quoted(CONVERSATION).as_bytes())?;
    conversation_of(&json::parse(body).ok()?)
}

fn conversation_of(root: &Node<'_>) -> Option<String> {
    let named = root.get(CONVERSATION)?;
    named.as_str().or(named.str_of("id")).map(str::to_string)
}

/// The name of what a body goes on from.
pub(super) fn recalled(body: &[u8]) -> Option<String> {
    let root = json::parse(body).ok()?;
    root.str_of(ANSWER).map(str::to_string).or_else(|| conversation_of(&root))
}

/// The body with the items of the conversation in front of its own, and the items that it points at in their places.
pub(super) fn unfold(body: &[u8], before: Option<&Link>, known: &Histories) -> Option<Bytes> {
    let root = json::parse(body).ok()?;
    let input = request::input(&root).ok()?;
    let mut splices = match before {
        None => Vec::new(),
        Some(link) => put_in_front(&root, input, link),
    };
    if before.is_none_or(|_| input.is_some_and(|i| matches!(i.kind, Kind::Array(_)))) {
        splices.extend(input.into_iter().flat_map(|input| resolve(input, known)));
    }
    (!splices.is_empty()).then(|| surgery::apply(body, splices).into())
}

fn put_in_front(root: &Node<'_>, input: Option<&Node<'_>>, link: &Link) -> Vec<Splice> {
    let mut splices = match (&link.root, root.get(ANSWER)) {
        (Some(older), Some(place)) => vec![(place.span.clone(), quoted(older))],
        _ => surgery::remove_members(root, |key| key == ANSWER),
    };
    let items = link.items.join(",");
    match input.map(|i| (i, &i.kind)) {
        Some((list, Kind::Array(own))) => {
            let comma = if own.is_empty() || items.is_empty() { "" } else { "," };
            let start = list.span.start + 1;
            splices.push((start..start, format!("{items}{comma}")));
        }
        Some((text, _)) => {
            let comma = if items.is_empty() { "" } else { "," };
            let own = message(text.as_str().unwrap_or_default());
            splices.push((text.span.clone(), format!("[{items}{comma}{own}]")));
        }
        None => splices.push(set_member(root, "input", format!("[{items}]"))),
    }
    splices
}

/// Puts items in the place of references to them. What cannot be sent again is left out.
fn resolve(input: &Node<'_>, known: &Histories) -> Vec<Splice> {
    let text_of = |item: &Node<'_>| {
        let id = item.str_of("id").filter(|_| item.str_of("type") == Some(REFERENCE))?;
        known.item(id)
    };
    let mut splices = surgery::remove_elements(input, |_, item| text_of(item) == Some(""));
    for item in input.elements() {
        if let Some(text) = text_of(item).filter(|text| !text.is_empty()) {
            splices.push((item.span.clone(), text.to_string()));
        }
    }
    splices
}

fn message(text: &str) -> String {
    format!(r#"{{"type":"message","role":"user","content":{}}}"#, quoted(text))
}

/// False when the server was told to keep nothing; what goes over a WebSocket is remembered as long as that lasts. Cheap, and sometimes wrong.
pub(super) fn remembers(body: &[u8]) -> bool {
    let forgets = [&b"\"store\":false"[..], b"\"store\": false"];
    forgets.iter().all(|told| memmem::find(body, told).is_none())
        || memmem::find(body, quoted(OVER_WEBSOCKET).as_bytes()).is_some()
}

/// What the server keeps of an exchange: nothing, where it was told to or failed.
pub(super) fn keeps(body: &[u8], head: &ResponseHead, answer: &[u8]) -> Option<Kept> {
    if head.status >= 400 {
        return None;
    }
    let root = json::parse(body).ok()?;
    let told_to_forget = root.get("store").is_some_and(|s| s.kind == Kind::Bool(false));
    if told_to_forget && root.str_of("type") != Some(OVER_WEBSOCKET) {
        return None;
    }
    let response = match reply::open(head, answer) {
        Reply::Whole(bytes) => json::parse(&bytes).ok()?.to_value(),
        Reply::Stream(events) => {
            let put = stream::assemble(&events);
            Some(put.response).filter(|_| put.ended && put.error.is_none())?
        }
    };
    let id = response.get("id")?.as_str()?.to_string();
    let input = match request::input(&root).ok()?.map(|i| (i, &i.kind)) {
        Some((_, Kind::String(text))) => vec![message(text)],
        Some((list, _)) => list.elements().iter().filter_map(|item| text_at(body, item)).collect(),
        None => Vec::new(),
    };
    let output = response.get("output").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    Some(Kept {
        names: std::iter::once(id).chain(conversation_of(&root)).collect(),
        input,
        output: output.iter().filter_map(sent_again).collect(),
        root: root.str_of(ANSWER).map(str::to_string),
    })
}

fn text_at(body: &[u8], node: &Node<'_>) -> Option<String> {
    String::from_utf8(body.get(node.span.clone())?.to_vec()).ok()
}

/// An item of an answer as it is sent again, with its id: reasoning only where its ciphertext is there, and without
/// the ids by which the server would look for what belongs to it.
fn sent_again(item: &Value) -> Option<(String, String)> {
    let mut item = item.as_object()?.clone();
    let id = item.get("id").and_then(Value::as_str).unwrap_or_default().to_string();
    let kind = item.get("type").and_then(Value::as_str).unwrap_or_default();
    if kind == "reasoning" && item.get("encrypted_content").is_none_or(Value::is_null) {
        return Some((id, String::new()));
    }
    if matches!(kind, "reasoning" | "message" | "function_call" | "custom_tool_call") {
        item.shift_remove("id");
        item.shift_remove("status");
    }
    Some((id, text_of_value(&Value::Object(item))))
}

/// True when the items of a model's answer are tied to each other by their ids.
pub(super) fn is_tied(item: &Node<'_>) -> bool {
    is_said(item, "id") && matches!(items::kind(item), Some("message" | "function_call" | "custom_tool_call"))
}
