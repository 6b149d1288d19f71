//! Edits of a `Converse` request's bytes.

mod settings;

use super::blocks::{is_cache_point, is_reasoning, is_text, placed};
use super::request::messages;
use super::target::with_model;
use crate::dialect::conversation::Block;
use crate::dialect::surgery::{self, Places, Splice, append_line, insert_element, set_member};
use crate::dialect::{EditError, Malformed, RequestEdit};
use crate::exchange::canon::quoted;
use crate::exchange::json::{self, Kind, Node};
use bytes::Bytes;

/// What stands in a message that held nothing but reasoning: a message must not be empty.
const DROPPED: &str = "[reasoning left out]";

pub(super) fn apply(body: &[u8], edits: &[RequestEdit]) -> Result<Bytes, EditError> {
    let places = Places::new(messages(&json::parse(body).map_err(Malformed::from)?)?.len());
    let mut body = body.to_vec();
    for edit in edits {
        let splices = splices(&json::parse(&body).map_err(Malformed::from)?, edit, &places)?;
        body = surgery::apply(&body, splices);
    }
    Ok(body.into())
}

/// Where an edited request goes: the model's name stands in the path.
pub(super) fn target(target: &str, edits: &[RequestEdit]) -> Option<String> {
    let model = edits.iter().rev().find_map(|edit| match edit {
        RequestEdit::SetField { name, value } if name == "model" => value.as_str(),
        _ => None,
    })?;
    with_model(target, model)
}

fn splices(root: &Node<'_>, edit: &RequestEdit, places: &Places) -> Result<Vec<Splice>, EditError> {
    let list = messages(root)?;
    match edit {
        RequestEdit::SetSystem(text) => Ok(set_system(root, text)),
        RequestEdit::AppendSystem(text) => Ok(vec![append_system(root, text)]),
        RequestEdit::SetMessageText { message, text } => {
            let node = places.message(list, *message)?;
            let blocks = node.get("content").map(|c| c.elements()).unwrap_or_default();
            // In a user's message text stands behind the tool results, in the model's before its calls.
            let place = match node.str_of("role") {
                Some("assistant") => blocks.iter().take_while(|b| is_reasoning(b)).count(),
                _ => usize::MAX,
            };
            Ok(set_text(node, "content", text, place))
        }
        RequestEdit::SetToolResult { message, block, text } => {
            let content = places.message(list, *message)?.get("content");
            let result = content.and_then(|content| {
                let (at, read) = placed(content).nth(*block)?;
                let element = content.elements().get(at)?;
                element.get("toolResult").filter(|_| matches!(read, Block::ToolResult { .. }))
            });
            let gone =
                || EditError::NotThere(format!("block {block} of message {message} is no tool result"));
            Ok(set_result(result.ok_or_else(gone)?, text))
        }
        RequestEdit::ReplaceMessage { message, json } => {
            Ok(vec![surgery::replace_message(places.message(list, *message)?, json)?])
        }
        RequestEdit::SetField { name, value } => settings::set_field(root, name, value),
        RequestEdit::RemoveTool(name) => settings::remove_tool(root, name),
        RequestEdit::AddTool(tool) => Ok(vec![settings::add_tool(root, tool)]),
        RequestEdit::DropReasoning { before } => Ok(drop_reasoning(root, list, places.before(*before))),
    }
}

fn text_block(text: &str) -> String {
    format!(r#"{{"text":{}}}"#, quoted(text))
}

/// Replaces the text in a list of blocks; its other blocks stay. `place`: index at which a text goes when there was none.
fn set_text(holder: &Node<'_>, field: &str, text: &str, place: usize) -> Vec<Splice> {
    let Some(content) = holder.get(field).filter(|c| matches!(c.kind, Kind::Array(_))) else {
        return vec![set_member(holder, field, format!("[{}]", text_block(text)))];
    };
    let Some(first) = content.elements().iter().position(is_text) else {
        return vec![insert_element(content, place, text_block(text))];
    };
    let mut splices = surgery::remove_elements(content, |i, e| i != first && is_text(e));
    let value = content.elements().get(first).and_then(|e| e.get("text"));
    splices.extend(value.map(|v| (v.span.clone(), quoted(text))));
    splices
}

/// Puts a text in the place of what a tool returned; pictures and documents stay. What was JSON stays JSON when the text
/// is an object, which is all that the provider takes as such.
fn set_result(result: &Node<'_>, text: &str) -> Vec<Splice> {
    let is_said = |part: &Node<'_>| is_text(part) || part.get("json").is_some();
    let was_json = |part: &Node<'_>| part.get("json").is_some();
    let is_object = || json::parse(text.as_bytes()).is_ok_and(|n| matches!(n.kind, Kind::Object(_)));
    let Some(content) = result.get("content").filter(|c| matches!(c.kind, Kind::Array(_))) else {
        return vec![set_member(result, "content", format!("[{}]", text_block(text)))];
    };
    let Some(first) = content.elements().iter().position(is_said) else {
        return vec![insert_element(content, 0, text_block(text))];
    };
    let mut splices = surgery::remove_elements(content, |i, e| i != first && is_said(e));
    if let Some(part) = content.elements().get(first) {
        let new = match was_json(part) && is_object() {
            true => format!(r#"{{"json":{text}}}"#),
            false => text_block(text),
        };
        splices.push((part.span.clone(), new));
    }
    splices
}

fn set_system(root: &Node<'_>, text: &str) -> Vec<Splice> {
    set_text(root, "system", text, 0)
}

fn append_system(root: &Node<'_>, text: &str) -> Splice {
    let Some(system) = root.get("system").filter(|s| matches!(s.kind, Kind::Array(_))) else {
        return set_member(root, "system", format!("[{}]", text_block(text)));
    };
    let last = system.elements().iter().rev().find(|b| is_text(b)).and_then(|b| b.get("text"));
    last.map_or_else(|| insert_element(system, 0, text_block(text)), |t| append_line(t, text))
}

fn drop_reasoning(root: &Node<'_>, list: &[Node<'_>], until: usize) -> Vec<Splice> {
    let mut splices = Vec::new();
    let mut last_dropped = None;
    for (i, message) in list.iter().enumerate().take(until) {
        let Some(content) = message.get("content") else { continue };
        let blocks = content.elements();
        if !blocks.iter().any(is_reasoning) {
            continue;
        }
        last_dropped = Some(i);
        match blocks.iter().all(|b| is_reasoning(b) || is_cache_point(b)) {
            true => splices.push((content.span.clone(), format!("[{}]", text_block(DROPPED)))),
            false => splices.extend(surgery::remove_elements(content, |_, b| is_reasoning(b))),
        }
    }
    // While the model goes on after tool results, a fixed thinking budget demands that the turn begins with thinking.
    let Some(extra) = root.get("additionalModelRequestFields") else { return splices };
    let names = ["thinking", "reasoning_config"];
    let fixed = names.iter().any(|k| extra.get(k).and_then(|t| t.str_of("type")) == Some("enabled"));
    let open = list.iter().rposition(speaks).map_or(0, |i| i + 1);
    let first = list.iter().skip(open).find(|m| m.str_of("role") == Some("assistant"));
    let begins = |m: &Node<'_>| m.get("content").and_then(|c| c.elements().first()).is_some_and(is_reasoning);
    if fixed && (last_dropped.is_some_and(|i| i >= open) || first.is_some_and(|m| !begins(m))) {
        splices.extend(surgery::remove_members(extra, |key| names.contains(&key)));
    }
    splices
}

/// True for a message in which a person speaks.
fn speaks(message: &Node<'_>) -> bool {
    let content = message.get("content").map(|c| c.elements()).unwrap_or_default();
    message.str_of("role") == Some("user") && !content.iter().any(|b| b.get("toolResult").is_some())
}
