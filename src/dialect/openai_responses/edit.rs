//! Edits of a request's bytes.

use super::items::{is_result, is_shell_output, kind, read as read_item, role};
use super::memory::is_tied;
use super::request::input;
use crate::dialect::content::{is_reasoning, is_text};
use crate::dialect::conversation::Role;
use crate::dialect::surgery::{self, Places, Splice, append_line, insert_element, set_member};
use crate::dialect::{EditError, Malformed, RequestEdit};
use crate::exchange::canon::quoted;
use crate::exchange::json::{self, Kind, Node};
use bytes::Bytes;
use std::ops::Range;

pub(super) fn apply(body: &[u8], edits: &[RequestEdit]) -> Result<Bytes, EditError> {
    let mut places = Places::new(list(&json::parse(body).map_err(Malformed::from)?)?.len());
    let mut body = body.to_vec();
    for edit in edits {
        let splices = splices(&json::parse(&body).map_err(Malformed::from)?, edit, &mut places)?;
        body = surgery::apply(&body, splices);
    }
    Ok(body.into())
}

/// The messages of a request: the items of its input; a string is one.
fn list<'n, 'a>(root: &'n Node<'a>) -> Result<&'n [Node<'a>], Malformed> {
    Ok(match input(root)? {
        Some(text) if text.as_str().is_some() => std::slice::from_ref(text),
        Some(list) => list.elements(),
        None => &[],
    })
}

fn splices(root: &Node<'_>, edit: &RequestEdit, places: &mut Places) -> Result<Vec<Splice>, EditError> {
    let list = list(root)?;
    match edit {
        RequestEdit::SetSystem(text) => Ok(set_system(root, list, text, places)),
        RequestEdit::AppendSystem(text) => Ok(vec![append_system(root, list, text)]),
        RequestEdit::SetMessageText { message, text } => {
            let node = places.message(list, *message)?;
            set_message(node, text).ok_or_else(|| {
                let kind = kind(node).unwrap_or("item").replace('_', " ");
                EditError::NotThere(format!("message {message} is a {kind}: it has no text of its own"))
            })
        }
        RequestEdit::SetToolResult { message, block, text } => {
            let node = places.message(list, *message)?;
            match kind(node) {
                Some(kind) if is_result(kind) && *block == 0 => Ok(set_result(node, text)),
                _ => {
                    Err(EditError::NotThere(format!("block {block} of message {message} is no tool result")))
                }
            }
        }
        RequestEdit::ReplaceMessage { message, json } => replace(root, places.message(list, *message)?, json),
        RequestEdit::SetField { name, value } => Ok(surgery::set_field(root, name, value)),
        RequestEdit::RemoveTool(name) => surgery::remove_tool(root, name, false),
        RequestEdit::AddTool(tool) => Ok(vec![surgery::add_tool(root, tool)]),
        RequestEdit::DropReasoning { before } => {
            Ok(drop_reasoning(root, list, places.before(*before), places))
        }
    }
}

/// The instructions, where they are a field of their own.
fn instructions<'n, 'a>(root: &'n Node<'a>) -> Option<&'n Node<'a>> {
    root.get("instructions").filter(|i| i.kind != Kind::Null)
}

/// The first run of system messages.
fn system_run(list: &[Node<'_>]) -> Range<usize> {
    let is_system = |m: &Node<'_>| role(m) == Some(Role::System);
    let start = list.iter().position(is_system).unwrap_or(0);
    start..start + list.iter().skip(start).take_while(|m| is_system(m)).count()
}

fn set_system(root: &Node<'_>, list: &[Node<'_>], text: &str, places: &mut Places) -> Vec<Splice> {
    let run = system_run(list);
    match (instructions(root), list.get(run.start).filter(|_| !run.is_empty()), input(root)) {
        (None, Some(first), Ok(Some(array))) => {
            let rest = run.start + 1..run.end;
            let mut splices = set_text(first, "content", "input_text", text);
            splices.extend(surgery::remove_elements(array, |i, _| rest.contains(&i)));
            places.removed(rest);
            splices
        }
        _ => vec![set_member(root, "instructions", quoted(text))],
    }
}

fn append_system(root: &Node<'_>, list: &[Node<'_>], text: &str) -> Splice {
    if let Some(said) = instructions(root).filter(|i| i.as_str().is_some()) {
        return append_line(said, text);
    }
    let last = list.get(system_run(list)).and_then(|run| run.last()).filter(|_| instructions(root).is_none());
    match last.and_then(|m| m.get("content")).map(|c| (c, &c.kind)) {
        Some((content, Kind::String(_))) => append_line(content, text),
        Some((content, Kind::Array(parts))) => {
            let part = parts.iter().rev().find(|p| is_text(p)).and_then(|p| p.get("text"));
            part.map_or_else(
                || insert_element(content, usize::MAX, part_of("input_text", text)),
                |t| append_line(t, text),
            )
        }
        _ => set_member(root, "instructions", quoted(text)),
    }
}

fn part_of(kind: &str, text: &str) -> String {
    format!(r#"{{"type":"{kind}","text":{}}}"#, quoted(text))
}

/// None for an item that is no message.
fn set_message(node: &Node<'_>, text: &str) -> Option<Vec<Splice>> {
    if node.as_str().is_some() {
        return Some(vec![(node.span.clone(), quoted(text))]);
    }
    if kind(node) != Some("message") {
        return None;
    }
    let part = if role(node) == Some(Role::Assistant) { "output_text" } else { "input_text" };
    Some(set_text(node, "content", part, text))
}

fn set_result(node: &Node<'_>, text: &str) -> Vec<Splice> {
    let shell = node.get("output").filter(|o| o.elements().iter().any(is_shell_output));
    let Some(outputs) = shell else { return set_text(node, "output", "input_text", text) };
    // What a person sets is what the commands said in all.
    let mut splices = Vec::new();
    for (at, output) in outputs.elements().iter().enumerate() {
        for (key, said) in [("stdout", if at == 0 { text } else { "" }), ("stderr", "")] {
            splices.extend(output.get(key).map(|place| (place.span.clone(), quoted(said))));
        }
    }
    splices
}

/// Replaces the text in a field that is a string, a list of parts or missing. Parts that are no text stay.
fn set_text(holder: &Node<'_>, field: &str, part: &str, text: &str) -> Vec<Splice> {
    let Some(content) = holder.get(field).filter(|c| matches!(c.kind, Kind::Array(_))) else {
        return vec![set_member(holder, field, quoted(text))];
    };
    let Some(first) = content.elements().iter().position(is_text) else {
        return vec![insert_element(content, 0, part_of(part, text))];
    };
    let mut splices = surgery::remove_elements(content, |i, e| i != first && is_text(e));
    let value = content.elements().get(first).and_then(|e| e.get("text"));
    splices.extend(value.map(|v| (v.span.clone(), quoted(text))));
    splices
}

/// An input that is a string is replaced as it is: by a string, or by a list of one item.
fn replace(root: &Node<'_>, message: &Node<'_>, json: &[u8]) -> Result<Vec<Splice>, EditError> {
    let text = json::parse(json).ok().filter(|new| new.as_str().is_some());
    let whole = root.get("input").is_some_and(|input| input.span == message.span);
    if let Some(text) = text {
        let new = quoted(text.as_str().unwrap_or_default());
        let item = || format!(r#"{{"role":"user","content":{new}}}"#);
        return Ok(vec![(message.span.clone(), if whole { new.clone() } else { item() })]);
    }
    let (span, new) = surgery::replace_message(message, json)?;
    Ok(vec![(span, if whole { format!("[{new}]") } else { new })])
}

/// Reasoning is an item of its own. The server refuses what followed it where that is still called by its id, so the
/// ids of the same answer go too.
fn drop_reasoning(root: &Node<'_>, list: &[Node<'_>], until: usize, places: &mut Places) -> Vec<Splice> {
    let Ok(Some(array)) = input(root) else { return Vec::new() };
    let gone = |at: usize, item: &Node<'_>| at < until && is_reasoning(item);
    let mut splices = surgery::remove_elements(array, |at, item| gone(at, item));
    let mut untied = false;
    for (at, item) in list.iter().enumerate() {
        let model = read_item(item).is_some_and(|(role, _)| role == Role::Assistant);
        untied = model && (untied || gone(at, item));
        if untied && is_tied(item) {
            splices.extend(surgery::remove_members(item, |key| key == "id"));
        }
    }
    let dropped: Vec<usize> = list.iter().enumerate().filter(|(i, m)| gone(*i, m)).map(|(i, _)| i).collect();
    dropped.into_iter().rev().for_each(|at| places.removed(at..at + 1));
    splices
}
