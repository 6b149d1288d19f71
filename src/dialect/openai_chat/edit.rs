//! Edits of a request's bytes.

use super::request::{REASONING, blocks, messages, role};
use crate::dialect::content::{is_reasoning, is_text};
use crate::dialect::conversation::{Block, Role};
use crate::dialect::surgery::{self, Places, Splice, append_line, insert_element, set_content, text_part};
use crate::dialect::{EditError, Malformed, RequestEdit, prompted};
use crate::exchange::canon::quoted;
use crate::exchange::json::{self, Kind, Node};
use bytes::Bytes;
use serde_json::Value;
use std::ops::Range;

pub(super) fn apply(body: &[u8], edits: &[RequestEdit]) -> Result<Bytes, EditError> {
    apply_with(body, edits, surgery::set_field)
}

/// Changes a request's bytes where parameters may stand elsewhere: `set_field` says how one is set.
pub(in crate::dialect) fn apply_with(
    body: &[u8],
    edits: &[RequestEdit],
    set_field: impl Fn(&Node<'_>, &str, &Value) -> Vec<Splice>,
) -> Result<Bytes, EditError> {
    let root = json::parse(body).map_err(Malformed::from)?;
    if prompted::is_prompted(&root) {
        return prompted::edit(body, edits, set_field);
    }
    let mut places = Places::new(messages(&root)?.len());
    let mut body = body.to_vec();
    for edit in edits {
        let root = json::parse(&body).map_err(Malformed::from)?;
        let splices = match edit {
            RequestEdit::SetField { name, value } => set_field(&root, name, value),
            edit => splices(&root, edit, &mut places)?,
        };
        body = surgery::apply(&body, splices);
    }
    Ok(body.into())
}

fn splices(root: &Node<'_>, edit: &RequestEdit, places: &mut Places) -> Result<Vec<Splice>, EditError> {
    let list = messages(root)?;
    match edit {
        RequestEdit::SetSystem(text) => Ok(set_system(root, list, text, places)),
        RequestEdit::AppendSystem(text) => Ok(append_system(root, list, text, places)),
        RequestEdit::SetMessageText { message, text } => {
            let node = places.message(list, *message)?;
            match role(node) {
                Some(Role::Tool) => Err(EditError::NotThere(format!(
                    "message {message} is a tool result: set the result, not the message's text"
                ))),
                _ => Ok(set_content(node, text, 0)),
            }
        }
        RequestEdit::SetToolResult { message, block, text } => {
            let node = places.message(list, *message)?;
            match role(node) {
                Some(Role::Tool) if *block == 0 => Ok(set_content(node, text, 0)),
                _ => {
                    Err(EditError::NotThere(format!("block {block} of message {message} is no tool result")))
                }
            }
        }
        RequestEdit::ReplaceMessage { message, json } => {
            Ok(vec![surgery::replace_message(places.message(list, *message)?, json)?])
        }
        RequestEdit::SetField { name, value } => Ok(surgery::set_field(root, name, value)),
        // OpenAI refuses an empty list of tools.
        RequestEdit::RemoveTool(name) => surgery::remove_tool(root, name, false),
        RequestEdit::AddTool(tool) => Ok(vec![surgery::add_tool(root, tool)]),
        RequestEdit::DropReasoning { before } => {
            let until = places.before(*before);
            Ok(list.iter().take(until).flat_map(drop_reasoning).collect())
        }
    }
}

/// The first run of system messages: the system prompt.
fn system_run(list: &[Node<'_>]) -> Range<usize> {
    let is_system = |m: &Node<'_>| role(m) == Some(Role::System);
    let start = list.iter().position(is_system).unwrap_or(0);
    start..start + list.iter().skip(start).take_while(|m| is_system(m)).count()
}

fn put_in_front(root: &Node<'_>, text: &str, places: &mut Places) -> Vec<Splice> {
    places.inserted_in_front();
    let message = format!(r#"{{"role":"system","content":{}}}"#, quoted(text));
    root.get("messages").map(|m| insert_element(m, 0, message)).into_iter().collect()
}

fn set_system(root: &Node<'_>, list: &[Node<'_>], text: &str, places: &mut Places) -> Vec<Splice> {
    let run = system_run(list);
    let (Some(first), Some(array)) = (list.get(run.start).filter(|_| !run.is_empty()), root.get("messages"))
    else {
        return put_in_front(root, text, places);
    };
    let rest = run.start + 1..run.end;
    let mut splices = set_content(first, text, 0);
    splices.extend(surgery::remove_elements(array, |i, _| rest.contains(&i)));
    places.removed(rest);
    splices
}

fn append_system(root: &Node<'_>, list: &[Node<'_>], text: &str, places: &mut Places) -> Vec<Splice> {
    let Some(last) = list.get(system_run(list)).and_then(|run| run.last()) else {
        return put_in_front(root, text, places);
    };
    match last.get("content").map(|c| (c, &c.kind)) {
        Some((content, Kind::String(_))) => vec![append_line(content, text)],
        Some((content, Kind::Array(parts))) => {
            let part = parts.iter().rev().find(|p| is_text(p)).and_then(|p| p.get("text"));
            let appended = part.map(|t| append_line(t, text));
            vec![appended.unwrap_or_else(|| insert_element(content, usize::MAX, text_part(text)))]
        }
        _ => set_content(last, text, 0),
    }
}

/// Reasoning that was signed or encrypted goes, with what else of it the message holds. What nobody signed is a text like
/// any other: no model refuses it, and some (DeepSeek's) refuse a turn that goes on without it. What is left must be a
/// message: content, or tool calls.
fn drop_reasoning(message: &Node<'_>) -> Vec<Splice> {
    if !blocks(message).iter().any(|b| matches!(b, Block::Reasoning { signed: true, .. })) {
        return Vec::new();
    }
    let mut splices = surgery::remove_members(message, |key| REASONING.contains(&key));
    let dropped = !splices.is_empty();
    let calls = message.get("tool_calls").or(message.get("function_call")).is_some_and(|c| !c.is_empty());
    match message.get("content").map(|c| (c, &c.kind)) {
        Some((content, Kind::Array(parts))) if parts.iter().any(is_reasoning) => {
            if parts.iter().all(is_reasoning) {
                splices.push((content.span.clone(), if calls { "null" } else { "\"\"" }.to_string()));
            } else {
                splices.extend(surgery::remove_elements(content, |_, p| is_reasoning(p)));
            }
        }
        Some((content, Kind::Null)) if dropped && !calls => {
            splices.push((content.span.clone(), "\"\"".into()))
        }
        _ => {}
    }
    splices
}
