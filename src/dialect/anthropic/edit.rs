//! Edits of a request's bytes.

use super::request::{block as read_block, is_billing, messages, placed};
use crate::dialect::content::{is_reasoning, is_text};
use crate::dialect::conversation::Block;
use crate::dialect::surgery::{
    self, Places, Splice, append_line, insert_element, set_content, set_member, text_part,
};
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

fn splices(root: &Node<'_>, edit: &RequestEdit, places: &Places) -> Result<Vec<Splice>, EditError> {
    let list = messages(root)?;
    match edit {
        RequestEdit::SetSystem(text) => Ok(set_system(root, text)),
        RequestEdit::AppendSystem(text) => Ok(vec![append_system(root, text)]),
        RequestEdit::SetMessageText { message, text } => {
            let node = places.message(list, *message)?;
            Ok(set_content(node, text, place_for_text(node)))
        }
        RequestEdit::SetToolResult { message, block, text } => {
            let node = places.message(list, *message)?;
            let at = node.get("content").and_then(|c| {
                let (at, read) = placed(c).nth(*block)?;
                c.elements().get(at).filter(|_| matches!(read, Block::ToolResult { .. }))
            });
            let gone =
                || EditError::NotThere(format!("block {block} of message {message} is no tool result"));
            Ok(set_content(at.ok_or_else(gone)?, text, 0))
        }
        RequestEdit::ReplaceMessage { message, json } => {
            Ok(vec![surgery::replace_message(places.message(list, *message)?, json)?])
        }
        RequestEdit::SetField { name, value } => Ok(surgery::set_field(root, name, value)),
        RequestEdit::RemoveTool(name) => surgery::remove_tool(root, name, true),
        RequestEdit::AddTool(tool) => Ok(vec![surgery::add_tool(root, tool)]),
        RequestEdit::DropReasoning { before } => Ok(drop_reasoning(root, list, places.before(*before))),
    }
}

/// In a user's message text stands behind the tool results, in the model's before its calls.
fn place_for_text(message: &Node<'_>) -> usize {
    let blocks = message.get("content").map(|c| c.elements()).unwrap_or_default();
    match message.str_of("role") {
        Some("assistant") => blocks.iter().take_while(|b| is_reasoning(b)).count(),
        _ => usize::MAX,
    }
}

/// A block that bills the call stays in front.
fn set_system(root: &Node<'_>, text: &str) -> Vec<Splice> {
    let Some(system) = root.get("system").filter(|s| matches!(s.kind, Kind::Array(_))) else {
        return vec![set_member(root, "system", quoted(text))];
    };
    let mut prompt = system.elements().iter().enumerate().filter(|(_, b)| !is_billing(b));
    match prompt.find(|(_, b)| is_text(b)) {
        Some((first, block)) => {
            let mut splices = surgery::remove_elements(system, |i, b| i != first && !is_billing(b));
            splices.extend(block.get("text").map(|t| (t.span.clone(), quoted(text))));
            splices
        }
        None => vec![insert_element(system, usize::MAX, text_part(text))],
    }
}

fn append_system(root: &Node<'_>, text: &str) -> Splice {
    match root.get("system").map(|s| (s, &s.kind)) {
        Some((system, Kind::String(_))) => append_line(system, text),
        Some((system, Kind::Array(blocks))) => {
            let last = blocks.iter().rev().find(|b| is_text(b) && !is_billing(b)).and_then(|b| b.get("text"));
            last.map_or_else(|| insert_element(system, usize::MAX, text_part(text)), |t| append_line(t, text))
        }
        _ => set_member(root, "system", quoted(text)),
    }
}

fn drop_reasoning(root: &Node<'_>, list: &[Node<'_>], until: usize) -> Vec<Splice> {
    let mut splices = Vec::new();
    let mut last_dropped = None;
    for (i, message) in list.iter().enumerate().take(until) {
        let Some(content) = message.get("content") else { continue };
        if !content.elements().iter().any(is_reasoning) {
            continue;
        }
        last_dropped = Some(i);
        if content.elements().iter().all(|b| is_reasoning(b) || read_block(b).is_none()) {
            splices.push((content.span.clone(), format!("[{}]", text_part(DROPPED))));
        } else {
            splices.extend(surgery::remove_elements(content, |_, b| is_reasoning(b)));
        }
    }
    // While the model goes on after tool results, a fixed thinking budget demands that the turn begins with thinking.
    let fixed = root.get("thinking").and_then(|t| t.str_of("type")) == Some("enabled");
    let open = open_turn(list);
    let first = list.iter().skip(open).find(|m| m.str_of("role") == Some("assistant"));
    let begins = |m: &Node<'_>| m.get("content").and_then(|c| c.elements().first()).is_some_and(is_reasoning);
    if fixed && (last_dropped.is_some_and(|i| i >= open) || first.is_some_and(|m| !begins(m))) {
        splices.extend(surgery::remove_members(root, |key| key == "thinking"));
    }
    splices
}

/// Index of the first message behind the last one in which a person speaks.
fn open_turn(list: &[Node<'_>]) -> usize {
    let speaks = |m: &Node<'_>| {
        let content = m.get("content").map(|c| c.elements()).unwrap_or_default();
        m.str_of("role") == Some("user") && !content.iter().any(|b| b.str_of("type") == Some("tool_result"))
    };
    list.iter().rposition(speaks).map_or(0, |i| i + 1)
}
