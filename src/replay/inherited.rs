//! What the parent of a fork sent upstream in place of what its agent sent: a fork of a fork goes on with it.

use super::recording::RecordedRun;
use crate::dialect::RequestEdit;
use crate::dialect::conversation::{Block, Message, ModelRequest, Role};
use bytes::Bytes;
use serde_json::Value;

/// The edits that make of a live request at a place what the parent would have sent there.
///
/// # Errors
/// In words: what the parent sent cannot be read.
pub(super) fn inherited(
    run: &RecordedRun,
    (lane, turn): (u32, u32),
    live: &ModelRequest,
    reveal: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<RequestEdit>, String> {
    let turns = run.shared_outline().lanes.get(lane as usize).map_or(0, |l| l.turns.len() as u32);
    let Some(last) = turns.checked_sub(1) else { return Ok(Vec::new()) };
    let id = run.exchange_of(lane, turn.min(last))?;
    let Some((body, sent)) = run.sent(id, reveal)? else { return Ok(Vec::new()) };
    let asked = run.model_request(id)?;
    Ok(between(&asked, &sent, &body, live))
}

fn between(asked: &ModelRequest, sent: &ModelRequest, body: &Bytes, live: &ModelRequest) -> Vec<RequestEdit> {
    let mut edits = Vec::new();
    let spoken = |r: &ModelRequest| -> Vec<usize> {
        r.messages.iter().enumerate().filter(|(_, m)| m.role != Role::System).map(|(i, _)| i).collect()
    };
    for ((a, s), l) in spoken(asked).into_iter().zip(spoken(sent)).zip(spoken(live)) {
        let (Some(was), Some(is), Some(now)) =
            (asked.messages.get(a), sent.messages.get(s), live.messages.get(l))
        else {
            continue;
        };
        let json = sent.spans.get(s).and_then(|span| body.get(span.clone()));
        if let Some(json) = json.filter(|_| was != is && same_place(was, now)) {
            edits.push(RequestEdit::ReplaceMessage { message: l, json: Bytes::copy_from_slice(json) });
        } else if was != is {
            edits.extend(results_between(was, is, now, l));
        }
    }
    let (was, is) = (asked.system_text(), sent.system_text());
    match is.strip_prefix(was.as_str()) {
        Some("") => {}
        Some(more) => edits.push(RequestEdit::AppendSystem(more.trim_start_matches('\n').to_string())),
        None => edits.push(RequestEdit::SetSystem(is)),
    }
    let mut set = |name: &str, value: Value| {
        edits.push(RequestEdit::SetField { name: name.to_string(), value });
    };
    if asked.model != sent.model {
        set("model", Value::String(sent.model.clone()));
    }
    if asked.tools != sent.tools {
        set("tools", if sent.tools.is_empty() { Value::Null } else { Value::Array(sent.tools.clone()) });
    }
    let gone = asked.params.keys().filter(|name| !sent.params.contains_key(*name));
    gone.for_each(|name| set(name, Value::Null));
    for (name, value) in sent.params.iter().filter(|(name, value)| asked.params.get(*name) != Some(value)) {
        set(name, value.clone());
    }
    edits
}

/// The results that the parent sent in the place of others, in a message whose calls have other ids today: where the API
/// gives none, clients make them up anew in every run.
fn results_between(was: &Message, is: &Message, now: &Message, message: usize) -> Vec<RequestEdit> {
    let is_result = |b: &Block| matches!(b, Block::ToolResult { .. });
    let like = |a: &Block, b: &Block| a == b || (is_result(a) && is_result(b));
    let alike = |m: &Message| {
        m.role == was.role
            && m.blocks.len() == was.blocks.len()
            && m.blocks.iter().zip(&was.blocks).all(|(a, b)| like(a, b))
    };
    if !alike(is) || !alike(now) {
        return Vec::new();
    }
    let pairs = was.blocks.iter().zip(&is.blocks).enumerate();
    pairs
        .filter_map(|(block, (was, is))| match (was, is) {
            (Block::ToolResult { text: old, .. }, Block::ToolResult { text: new, .. }) if old != new => {
                Some(RequestEdit::SetToolResult { message, block, text: new.clone() })
            }
            _ => None,
        })
        .collect()
}

/// True for the same message, and for results of the same calls, which may come out differently.
fn same_place(was: &Message, now: &Message) -> bool {
    let same = |(a, b): (&Block, &Block)| match (a, b) {
        (Block::ToolResult { call_id: a, .. }, Block::ToolResult { call_id: b, .. }) => a == b,
        (a, b) => a == b,
    };
    was.role == now.role
        && was.blocks.len() == now.blocks.len()
        && was.blocks.iter().zip(&now.blocks).all(same)
}
