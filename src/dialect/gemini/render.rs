//! Answers and errors in the provider's form.

use super::edit::UNSIGNED;
use super::target::streams_a_list;
use crate::dialect::RenderedAnswer;
use crate::dialect::conversation::Block;
use crate::dialect::frames::{Frames, pieces};
use crate::exchange::canon::{canonical_value, hash128, hex, text_of_value};
use bytes::Bytes;
use serde_json::{Value, json};

const JSON: &str = "application/json; charset=UTF-8";

pub(super) fn answer(
    target: &str,
    blocks: &[Block],
    stop: Option<&str>,
    model: &str,
    stream: bool,
) -> RenderedAnswer {
    let all = serde_json::to_value(blocks).map(|v| canonical_value(&v)).unwrap_or_default();
    // An id has to be there and should not change while the answer does not.
    let hash = hex(&hash128(all.as_bytes()));
    let id = hash.get(..22).unwrap_or_default();
    let parts = parts(blocks, model);
    // A call stops for no other reason than a text.
    let stop = stop.unwrap_or("STOP");
    let chunk = |parts: &[Value], stop: Option<&str>| {
        let mut candidate = json!({"content": {"role": "model", "parts": parts}, "index": 0});
        if let Some(stop) = stop {
            candidate["finishReason"] = Value::from(stop);
        }
        // Nothing was counted: the answer was written by hand.
        let usage = json!({"promptTokenCount": 0, "candidatesTokenCount": 0, "totalTokenCount": 0});
        json!({"candidates": [candidate], "usageMetadata": usage, "modelVersion": model, "responseId": id})
    };
    if !stream {
        return RenderedAnswer::whole(JSON, text_of_value(&chunk(&parts, Some(stop))));
    }
    let deltas: Vec<Value> = parts.into_iter().flat_map(deltas).collect();
    let last = deltas.len().saturating_sub(1);
    let chunks = deltas.iter().enumerate();
    let chunks = chunks.map(|(i, d)| chunk(std::slice::from_ref(d), (i == last).then_some(stop)));
    let mut chunks: Vec<Value> = chunks.collect();
    if chunks.is_empty() {
        chunks.push(chunk(&[], Some(stop)));
    }
    if streams_a_list(target) {
        return RenderedAnswer::whole(JSON, text_of_value(&Value::from(chunks)));
    }
    let mut frames = Frames::default();
    chunks.iter().for_each(|chunk| frames.data(chunk));
    frames.into_answer()
}

/// The blocks as the provider writes them. Signed reasoning is left out: nobody could sign it.
fn parts(blocks: &[Block], model: &str) -> Vec<Value> {
    let mut parts: Vec<Value> = Vec::new();
    let mut called = false;
    for block in blocks {
        match block {
            Block::Text { text } => parts.push(json!({"text": text})),
            Block::Reasoning { text, signed: false } => parts.push(json!({"text": text, "thought": true})),
            Block::ToolCall { id, name, args } => {
                let args = if args.is_object() { args.clone() } else { json!({}) };
                let mut part = json!({"functionCall": {"name": name, "args": args}});
                if !id.is_empty() {
                    part["functionCall"]["id"] = Value::from(id.as_str());
                }
                if !called && wants_signatures(model) {
                    part["thoughtSignature"] = Value::from(UNSIGNED);
                }
                called = true;
                parts.push(part);
            }
            Block::Other { value } if value.is_object() && value.get("choice").is_none() => {
                parts.push(value.clone());
            }
            _ => {}
        }
    }
    parts
}

/// From Gemini 3 on, the first call of an answer is refused without a signature when it is sent back.
fn wants_signatures(model: &str) -> bool {
    let version = model.rsplit('/').next().unwrap_or_default().strip_prefix("gemini-");
    version.is_some_and(|v| {
        !v.starts_with("1.") && !v.starts_with("2.") && v.starts_with(|c: char| c.is_ascii_digit())
    })
}

/// A part as a stream brings it.
fn deltas(part: Value) -> Vec<Value> {
    let Some(text) = part.get("text").and_then(Value::as_str).filter(|t| !t.is_empty()) else {
        return vec![part];
    };
    let piece = |piece: &str| {
        let mut delta = part.clone();
        delta["text"] = Value::from(piece);
        delta
    };
    pieces(text).map(piece).collect()
}

pub(super) fn error(status: u16, message: &str) -> Bytes {
    let word = match status {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        409 => "ABORTED",
        429 => "RESOURCE_EXHAUSTED",
        499 => "CANCELLED",
        501 => "UNIMPLEMENTED",
        503 | 529 => "UNAVAILABLE",
        504 => "DEADLINE_EXCEEDED",
        500.. => "INTERNAL",
        _ => "INVALID_ARGUMENT",
    };
    json!({"error": {"code": status, "message": message, "status": word}}).to_string().into()
}
