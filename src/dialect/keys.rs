//! Keys of the normal form: equal keys, equal meaning.
//!
//! | key | of | counts | does not count |
//! |---|---|---|---|
//! | [`request_key`] | a request | model, stream, system, tools, parameters, every message as in [`message_key`], the order of messages | reasoning, volatile fields, the order in which the results of parallel calls came in |
//! | [`answer_key`] | an answer | text, calls (name, arguments, order), other blocks, stop reason | call ids, reasoning, usage, the answer's id and model |
//! | [`message_key`] | a message | role, text, calls and results with their ids, other blocks | reasoning, white space at the ends of a text, empty texts, the order of results among each other |
//!
//! Arguments and other JSON are compared with sorted keys and exact numbers. [`same_assistant`] is softer where agents
//! are known to rewrite: it asks whether a message can be the echo of an answer.

use super::conversation::{Block, Message, ModelAnswer, ModelRequest, Role};
use crate::exchange::canon::{canonical_value, hash128, hex};
use serde_json::{Value, json};

#[cfg(test)]
mod tests;

/// The key of a whole request, 32 hex digits.
pub fn request_key(request: &ModelRequest) -> String {
    let head = json!({
        "model": request.model,
        "stream": request.stream,
        "system": request.system.iter().filter_map(|b| block_value(b, Ids::Kept)).collect::<Vec<_>>(),
        "tools": request.tools,
        "params": request.params,
    });
    let mut bytes = canonical_value(&head).into_bytes();
    for message in in_call_order(&request.messages) {
        bytes.extend_from_slice(&message_key_as_is(&message));
    }
    hex(&hash128(&bytes))
}

/// The key of an answer, 32 hex digits; the same for a streamed and a plain one. None when there is no usable answer:
/// an error, or a stream that broke off before anything was said.
pub fn answer_key(answer: &ModelAnswer) -> Option<String> {
    if answer.error.is_some() || (!answer.whole && answer.blocks.is_empty()) {
        return None;
    }
    let blocks: Vec<Value> = answer.blocks.iter().filter_map(|b| block_value(b, Ids::Left)).collect();
    let value = json!({"blocks": blocks, "stop": answer.stop_reason, "whole": answer.whole});
    Some(hex(&hash128(canonical_value(&value).as_bytes())))
}

/// The key of one message.
pub fn message_key(message: &Message) -> [u8; 16] {
    let mut sorted = message.clone();
    sort_results(&mut sorted.blocks, |id| id.to_string());
    message_key_as_is(&sorted)
}

fn message_key_as_is(message: &Message) -> [u8; 16] {
    let blocks: Vec<Value> = message.blocks.iter().filter_map(|b| block_value(b, Ids::Kept)).collect();
    hash128(canonical_value(&json!({"role": message.role, "blocks": blocks})).as_bytes())
}

/// Whether a request's message repeats an answer: the same calls (id, name, arguments) and the same text. What agents
/// are seen to change on the way does not matter: reasoning, also in `<think>` tags in the text; white space and the
/// division into blocks; quotes (a tool call in plain text, read as JSON and written as Python). Blocks of other kinds
/// decide only where there is neither text nor call.
pub fn same_assistant(answer: &ModelAnswer, message: &Message) -> bool {
    if message.role != Role::Assistant || (answer.error.is_some() && answer.blocks.is_empty()) {
        return false;
    }
    let mut calls = answer.tool_calls();
    let mut repeated = message.tool_calls();
    loop {
        match (calls.next(), repeated.next()) {
            (None, None) => break,
            (Some(a), Some(b)) if a.0 == b.0 && a.1 == b.1 && same_value(a.2, b.2) => {}
            _ => return false,
        }
    }
    let (said, echoed) = (essence(&answer.blocks), essence(&message.blocks));
    if said != echoed {
        return false;
    }
    if !said.is_empty() || answer.tool_calls().next().is_some() {
        return true;
    }
    let is_choice = |v: &&Value| v.get("choice").is_none();
    let mut echoed = others(&message.blocks);
    let said: Vec<&Value> = others(&answer.blocks).filter(is_choice).collect();
    match said.is_empty() {
        true => echoed.next().is_none(),
        false => said.iter().any(|v| echoed.any(|e| same_value(v, e))),
    }
}

/// Equal, where an agent that read and wrote a number again has not changed it: 1.0 is 1, and what is beyond the
/// precision of a float is lost.
fn same_value(a: &Value, b: &Value) -> bool {
    let float = |v: &Value| -> Option<f64> {
        match v {
            Value::Number(n) => n.as_f64(),
            Value::Object(kept) => crate::exchange::json::kept_number(kept)?.parse().ok(),
            _ => None,
        }
    };
    match (a, b) {
        _ if float(a).is_some() => float(a) == float(b),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_value(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(k, v)| b.get(k).is_some_and(|w| same_value(v, w)))
        }
        _ => a == b,
    }
}

/// All text without white space, quotes, backslashes and tagged reasoning.
fn essence(blocks: &[Block]) -> String {
    let mut text = String::new();
    for block in blocks {
        if let Block::Text { text: more } = block {
            text.push_str(more);
        }
    }
    let mut text = without_tagged(&text, "<think>", "</think>");
    text = without_tagged(&text, "<thinking>", "</thinking>");
    text.retain(|c| !c.is_whitespace() && !matches!(c, '"' | '\'' | '\\'));
    text
}

/// A text without what stands between two tags. A tag that is not closed stays.
fn without_tagged(text: &str, open: &str, close: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, tagged)) = rest.split_once(open) {
        let Some((_, after)) = tagged.split_once(close) else { break };
        out.push_str(before);
        rest = after;
    }
    out.push_str(rest);
    out
}

fn others(blocks: &[Block]) -> impl Iterator<Item = &Value> {
    blocks.iter().filter_map(|b| match b {
        Block::Other { value } => Some(value),
        _ => None,
    })
}

#[derive(Clone, Copy, PartialEq)]
enum Ids {
    Kept,
    Left,
}

/// What of a block counts.
fn block_value(block: &Block, ids: Ids) -> Option<Value> {
    let id = |id: &str| if ids == Ids::Kept { Value::from(id) } else { Value::Null };
    match block {
        Block::Reasoning { .. } => None,
        Block::Text { text } => {
            let text = text.trim();
            (!text.is_empty()).then(|| json!({"text": text}))
        }
        Block::ToolCall { id: call, name, args } => {
            Some(json!({"call": id(call), "name": name, "args": args}))
        }
        Block::ToolResult { call_id, text, other, is_error } => Some(json!({
            "result": id(call_id), "text": text.trim(), "other": other, "is_error": is_error
        })),
        Block::Other { value } => Some(json!({"other": value})),
    }
}

/// The messages with tool results in the order of the calls they answer, whatever order they came in: blocks of one
/// message (Anthropic), or a run of messages (OpenAI).
fn in_call_order(messages: &[Message]) -> Vec<Message> {
    let mut out = messages.to_vec();
    let mut calls: Vec<String> = Vec::new();
    let mut at = 0;
    while let Some(message) = out.get_mut(at) {
        if message.role == Role::Assistant {
            calls = message.tool_calls().map(|(id, _, _)| id.to_string()).collect();
        }
        let place = |id: &str| calls.iter().position(|c| c == id).unwrap_or(calls.len());
        sort_results(&mut message.blocks, place);
        let run = out.iter().skip(at).take_while(|m| m.role == Role::Tool).count();
        if let Some(run) = out.get_mut(at..at + run) {
            let first = |m: &Message| m.blocks.iter().find_map(result_id).map_or(calls.len(), place);
            run.sort_by_key(first);
        }
        at += run.max(1);
    }
    out
}

fn result_id(block: &Block) -> Option<&str> {
    match block {
        Block::ToolResult { call_id, .. } => Some(call_id),
        _ => None,
    }
}

/// Sorts the results among each other; everything else keeps its place.
fn sort_results<K: Ord>(blocks: &mut [Block], key: impl Fn(&str) -> K) {
    let at: Vec<usize> = (0..blocks.len()).filter(|&i| result_id(&blocks[i]).is_some()).collect();
    let mut results: Vec<Block> = at.iter().map(|&i| blocks[i].clone()).collect();
    results.sort_by_key(|b| result_id(b).map(&key));
    for (i, result) in at.into_iter().zip(results) {
        blocks[i] = result;
    }
}
