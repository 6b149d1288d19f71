//! Two requests in normal form, leaf by leaf.

use crate::dialect::conversation::{Block, ModelRequest, Role};
use crate::exchange::canon::canonical_value;
use crate::run::reading::{Piece, Reading, readings};
use serde_json::Value;

/// Where a leaf stands in the recorded request, and in the live one.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Place {
    Model,
    Stream,
    Tools,
    Param(String),
    System,
    /// Message and block, recorded and live.
    Block {
        recorded: (usize, usize),
        live: (usize, usize),
    },
}

/// A leaf that differs.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Leaf {
    pub place: Place,
    /// As the matcher spells it: `messages[3].text`.
    pub path: String,
    pub recorded: String,
    pub live: String,
    /// Whose message it is; the system's for a system prompt, none outside of messages.
    pub role: Option<Role>,
    /// It is the result of a tool.
    pub is_result: bool,
}

/// The leaves that differ, or why the requests cannot be laid side by side: `5 messages`, `7 messages`.
pub(super) fn differences(
    recorded: &ModelRequest,
    live: &ModelRequest,
) -> Result<Vec<Leaf>, (String, String)> {
    let mut out = head(recorded, live);
    let (a, b) = (readings(&recorded.messages), readings(&live.messages));
    if a.len() != b.len() || a.iter().zip(&b).any(|(a, b)| a.role != b.role) {
        return Err((outline(&recorded.messages.len(), &a), outline(&live.messages.len(), &b)));
    }
    for (x, y) in a.iter().zip(&b) {
        reading(x, y, &mut out);
    }
    Ok(out)
}

fn outline(messages: &usize, readings: &[Reading<'_>]) -> String {
    let roles: Vec<&str> = readings.iter().rev().take(3).map(|r| role(r.role)).collect();
    let last: Vec<&str> = roles.into_iter().rev().collect();
    format!("{messages} messages, the last {}", last.join(", "))
}

pub(super) fn role(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
    }
}

fn head(recorded: &ModelRequest, live: &ModelRequest) -> Vec<Leaf> {
    let mut out = Vec::new();
    let mut leaf = |place: Place, path: &str, recorded: String, live: String, role: Option<Role>| {
        if recorded != live {
            out.push(Leaf { place, path: path.to_string(), recorded, live, role, is_result: false });
        }
    };
    leaf(Place::Model, "model", recorded.model.clone(), live.model.clone(), None);
    leaf(Place::Stream, "stream", recorded.stream.to_string(), live.stream.to_string(), None);
    let tools = |r: &ModelRequest| canonical_value(&Value::from(r.tools.clone()));
    leaf(Place::Tools, "tools", tools(recorded), tools(live), None);
    let names =
        recorded.params.keys().chain(live.params.keys().filter(|k| !recorded.params.contains_key(*k)));
    for name in names {
        let said = |r: &ModelRequest| r.params.get(name).map_or("(absent)".to_string(), canonical_value);
        leaf(Place::Param(name.clone()), &format!("params.{name}"), said(recorded), said(live), None);
    }
    let system = |r: &ModelRequest| r.system.iter().map(said).collect::<Vec<_>>().join("\n");
    leaf(Place::System, "system", system(recorded), system(live), Some(Role::System));
    out
}

fn reading(recorded: &Reading<'_>, live: &Reading<'_>, out: &mut Vec<Leaf>) {
    let same_kind =
        |(a, b): (&Piece<'_>, &Piece<'_>)| std::mem::discriminant(a.block) == std::mem::discriminant(b.block);
    let aligned =
        recorded.pieces.len() == live.pieces.len() && recorded.pieces.iter().zip(&live.pieces).all(same_kind);
    if !aligned {
        let all = |r: &Reading<'_>| r.pieces.iter().map(|p| said(p.block)).collect::<Vec<_>>().join("\n");
        let place = |r: &Reading<'_>| r.pieces.first().map_or((0, 0), |p| (p.message, usize::MAX));
        out.push(Leaf {
            place: Place::Block { recorded: place(recorded), live: place(live) },
            path: format!("messages[{}]", place(live).0),
            recorded: all(recorded),
            live: all(live),
            role: Some(recorded.role),
            is_result: false,
        });
        return;
    }
    for (a, b) in recorded.pieces.iter().zip(&live.pieces) {
        let (x, y) = (said(a.block), said(b.block));
        if x == y {
            continue;
        }
        let alone = live.pieces.iter().filter(|p| p.message == b.message).count() == 1;
        out.push(Leaf {
            place: Place::Block { recorded: (a.message, a.index), live: (b.message, b.index) },
            path: block_path(b.message, b.index, alone, b.block),
            recorded: x,
            live: y,
            role: Some(recorded.role),
            is_result: matches!(a.block, Block::ToolResult { .. }),
        });
    }
}

/// A block's place as the matcher spells it.
pub(super) fn block_path(message: usize, index: usize, alone: bool, block: &Block) -> String {
    let place = if alone { format!("messages[{message}]") } else { format!("messages[{message}][{index}]") };
    match block {
        Block::Text { .. } => format!("{place}.text"),
        Block::ToolCall { .. } => format!("{place}.call.args"),
        Block::ToolResult { .. } => format!("{place}.result"),
        Block::Reasoning { .. } | Block::Other { .. } => place,
    }
}

/// What a block says; its ids do not count, nor does the order of the fields of a value.
fn said(block: &Block) -> String {
    match block {
        Block::Text { text } => text.clone(),
        Block::Reasoning { .. } => String::new(),
        Block::ToolCall { name, args, .. } => format!("{name} {}", canonical_value(args)),
        Block::ToolResult { text, other, is_error, .. } => {
            let mut said = text.clone();
            other.iter().for_each(|o| said.push_str(&format!("\n{}", canonical_value(o))));
            if *is_error { format!("{said}\n(an error)") } else { said }
        }
        Block::Other { value } => canonical_value(value),
    }
}

/// The recorded request with one leaf of the live one in it.
pub(super) fn with_leaf(recorded: &ModelRequest, live: &ModelRequest, place: &Place) -> ModelRequest {
    let mut request = recorded.clone();
    match place {
        Place::Model => request.model = live.model.clone(),
        Place::Stream => request.stream = live.stream,
        Place::Tools => request.tools = live.tools.clone(),
        Place::System => request.system = live.system.clone(),
        Place::Param(name) => match live.params.get(name) {
            Some(value) => {
                request.params.insert(name.clone(), value.clone());
            }
            None => {
                request.params.shift_remove(name);
            }
        },
        Place::Block { recorded: (m, usize::MAX), live: (n, _) } => {
            if let (Some(old), Some(new)) = (request.messages.get_mut(*m), live.messages.get(*n)) {
                *old = new.clone();
            }
        }
        Place::Block { recorded: (m, i), live: (n, j) } => {
            let new = live.messages.get(*n).and_then(|m| m.blocks.get(*j)).cloned();
            let old = request.messages.get_mut(*m).and_then(|m| m.blocks.get_mut(*i));
            if let (Some(old), Some(new)) = (old, new) {
                let id = match old {
                    Block::ToolResult { call_id, .. } => Some(call_id.clone()),
                    _ => None,
                };
                *old = new;
                if let (Some(id), Block::ToolResult { call_id, .. }) = (id, old) {
                    *call_id = id;
                }
            }
        }
    }
    request
}
