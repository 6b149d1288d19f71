//! Answers and errors in the provider's form.

use crate::dialect::RenderedAnswer;
use crate::dialect::conversation::Block;
use crate::dialect::frames::{Frames, pieces};
use crate::exchange::canon::{canonical_value, hash128, hex, text_of_value};
use bytes::Bytes;
use serde_json::{Value, json};

pub(super) fn answer(blocks: &[Block], stop: Option<&str>, model: &str, stream: bool) -> RenderedAnswer {
    let all = serde_json::to_value(blocks).map(|v| canonical_value(&v)).unwrap_or_default();
    // An id has to be there and should not change while the answer does not.
    let hash = hex(&hash128(all.as_bytes()));
    let content = content(blocks, &hash);
    let calls = content.iter().any(|b| b.get("type").and_then(Value::as_str) == Some("tool_use"));
    let stop = stop.unwrap_or(if calls { "tool_use" } else { "end_turn" });
    // Nothing was counted: the answer was written by hand.
    let usage = json!({"input_tokens": 0, "output_tokens": 0});
    let message = |content: &[Value], stop: Option<&str>| {
        json!({
            "id": format!("msg_{hash}"), "type": "message", "role": "assistant", "model": model,
            "content": content, "stop_reason": stop, "stop_sequence": null, "usage": usage,
        })
    };
    if !stream {
        return RenderedAnswer::whole("application/json", text_of_value(&message(&content, Some(stop))));
    }
    let mut frames = Frames::default();
    frames.named(&json!({"type": "message_start", "message": message(&[], None)}));
    for (index, block) in content.into_iter().enumerate() {
        stream_block(&mut frames, index, block);
    }
    let delta = json!({"stop_reason": stop, "stop_sequence": null});
    frames.named(&json!({"type": "message_delta", "delta": delta, "usage": {"output_tokens": 0}}));
    frames.named(&json!({"type": "message_stop"}));
    frames.into_answer()
}

/// The blocks as the provider writes them. Reasoning is left out: it cannot be written without its signature, and an
/// agent would send it back.
fn content(blocks: &[Block], hash: &str) -> Vec<Value> {
    let mut content = Vec::new();
    for block in blocks {
        match block {
            Block::Text { text } => content.push(json!({"type": "text", "text": text})),
            Block::ToolCall { id, name, args } => {
                let made = || format!("toolu_{}{}", hash.get(..16).unwrap_or_default(), content.len());
                let id = if id.is_empty() { made() } else { id.clone() };
                let input = if args.is_object() { args.clone() } else { json!({}) };
                content.push(json!({"type": "tool_use", "id": id, "name": name, "input": input}));
            }
            Block::Other { value } if value.get("type").is_some() => content.push(value.clone()),
            _ => {}
        }
    }
    content
}

fn stream_block(frames: &mut Frames, index: usize, mut block: Value) {
    // What the deltas bring is empty in the block that they begin with.
    let (delta, field, text) = match block.get("type").and_then(Value::as_str) {
        Some("text") => {
            let text = block["text"].as_str().unwrap_or_default().to_string();
            block["text"] = json!("");
            ("text_delta", "text", text)
        }
        Some("tool_use" | "server_tool_use") => {
            let text = block.get("input").map(text_of_value).unwrap_or_default();
            block["input"] = json!({});
            ("input_json_delta", "partial_json", text)
        }
        _ => ("", "", String::new()),
    };
    frames.named(&json!({"type": "content_block_start", "index": index, "content_block": block}));
    for piece in pieces(&text) {
        let delta = json!({"type": delta, field: piece});
        frames.named(&json!({"type": "content_block_delta", "index": index, "delta": delta}));
    }
    frames.named(&json!({"type": "content_block_stop", "index": index}));
}

pub(super) fn error(status: u16, message: &str) -> Bytes {
    let kind = match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        529 => "overloaded_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    };
    json!({"type": "error", "error": {"type": kind, "message": message}}).to_string().into()
}
