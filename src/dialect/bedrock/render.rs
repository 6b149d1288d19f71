//! Answers and errors of `Converse` in the provider's form.

use crate::dialect::RenderedAnswer;
use crate::dialect::conversation::Block;
use crate::dialect::frames::{MessageFrames, pieces};
use crate::exchange::canon::{canonical_value, hash128, hex, text_of_value};
use bytes::Bytes;
use serde_json::{Value, json};

pub(super) fn answer(blocks: &[Block], stop: Option<&str>, stream: bool) -> RenderedAnswer {
    if !stream {
        return RenderedAnswer::whole("application/json", text_of_value(&whole(blocks, stop)));
    }
    let mut frames = MessageFrames::default();
    events(blocks, stop, &mut |name, data| frames.event(name, &data));
    frames.into_answer()
}

/// An answer in one piece.
pub(super) fn whole(blocks: &[Block], stop: Option<&str>) -> Value {
    let content = content(blocks);
    let stop = stop_of(&content, stop);
    // Nothing was counted: the answer was written by hand.
    let usage = json!({"inputTokens": 0, "outputTokens": 0, "totalTokens": 0});
    let output = json!({"message": {"role": "assistant", "content": content}});
    json!({"output": output, "stopReason": stop, "usage": usage, "metrics": {"latencyMs": 0}})
}

fn stop_of(content: &[Value], stop: Option<&str>) -> String {
    let calls = content.iter().any(|block| block.get("toolUse").is_some());
    stop.unwrap_or(if calls { "tool_use" } else { "end_turn" }).to_string()
}

/// The events of an answer, by name.
pub(super) fn events(blocks: &[Block], stop: Option<&str>, say: &mut dyn FnMut(&str, Value)) {
    let content = content(blocks);
    let stop = stop_of(&content, stop);
    say("messageStart", json!({"role": "assistant"}));
    for (index, block) in content.into_iter().enumerate() {
        let mut delta =
            |delta: Value| say("contentBlockDelta", json!({"contentBlockIndex": index, "delta": delta}));
        if let Some(text) = block.get("text").and_then(Value::as_str) {
            pieces(text).for_each(|piece| delta(json!({"text": piece})));
        } else if let Some(call) = block.get("toolUse") {
            let start = json!({"toolUse": {"toolUseId": call["toolUseId"], "name": call["name"]}});
            say("contentBlockStart", json!({"contentBlockIndex": index, "start": start}));
            for piece in pieces(&text_of_value(&call["input"])) {
                let delta = json!({"toolUse": {"input": piece}});
                say("contentBlockDelta", json!({"contentBlockIndex": index, "delta": delta}));
            }
        } else {
            delta(block);
        }
        say("contentBlockStop", json!({"contentBlockIndex": index}));
    }
    say("messageStop", json!({"stopReason": stop}));
    let usage = json!({"inputTokens": 0, "outputTokens": 0, "totalTokens": 0});
    say("metadata", json!({"usage": usage, "metrics": {"latencyMs": 0}}));
}

/// The blocks as the provider writes them. Reasoning is left out: it cannot be written without its signature, and an
/// agent would send it back.
fn content(blocks: &[Block]) -> Vec<Value> {
    let all = serde_json::to_value(blocks).map(|v| canonical_value(&v)).unwrap_or_default();
    // An id has to be there and should not change while the answer does not.
    let hash = hex(&hash128(all.as_bytes()));
    let mut content = Vec::new();
    for block in blocks {
        match block {
            Block::Text { text } => content.push(json!({"text": text})),
            Block::ToolCall { id, name, args } => {
                let made = || format!("tooluse_{}{}", hash.get(..20).unwrap_or_default(), content.len());
                let id = if id.is_empty() { made() } else { id.clone() };
                let input = if args.is_object() { args.clone() } else { json!({}) };
                content.push(json!({"toolUse": {"toolUseId": id, "name": name, "input": input}}));
            }
            Block::Other { value } if value.as_object().is_some_and(|members| members.len() == 1) => {
                content.push(value.clone());
            }
            _ => {}
        }
    }
    content
}

pub(super) fn error(status: u16, message: &str) -> Bytes {
    let kind = match status {
        403 => "AccessDeniedException",
        404 => "ResourceNotFoundException",
        408 => "ModelTimeoutException",
        424 => "ModelErrorException",
        429 => "ThrottlingException",
        503 | 529 => "ServiceUnavailableException",
        500.. => "InternalServerException",
        _ => "ValidationException",
    };
    // Clients look for the kind in a header, and without it here.
    json!({"message": message, "__type": kind}).to_string().into()
}
