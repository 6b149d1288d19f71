//! Answers and errors in the provider's form.

use crate::dialect::RenderedAnswer;
use crate::dialect::conversation::Block;
use crate::dialect::frames::{Frames, pieces};
use crate::exchange::canon::text_of_value;
use bytes::Bytes;
use serde_json::{Map, Value, json};

/// Nobody generated it at any time; clients want one all the same.
const WHEN: &str = "1970-01-01T00:00:00Z";

/// What an answer is made of.
#[derive(Default)]
struct Parts {
    thinking: String,
    text: String,
    calls: Vec<Value>,
    /// Other fields of the message.
    fields: Map<String, Value>,
}

pub(super) fn answer(
    prompted: bool,
    blocks: &[Block],
    stop: Option<&str>,
    model: &str,
    stream: bool,
) -> RenderedAnswer {
    let parts = parts(blocks);
    // A call stops for no other reason than a text.
    let stop = stop.unwrap_or("stop");
    let chunk = |said: Value, stop: Option<&str>| {
        let mut chunk = json!({"model": model, "created_at": WHEN});
        let mut put = |key: &str, value: Value| chunk[key] = value;
        match (prompted, said) {
            (true, Value::Object(fields)) => fields.into_iter().for_each(|(k, v)| put(&k, v)),
            (_, said) => put("message", said),
        }
        put("done", stop.is_some().into());
        if let Some(stop) = stop {
            put("done_reason", stop.into());
            // Nothing was counted: the answer was written by hand.
            for count in ["total_duration", "load_duration", "prompt_eval_count"] {
                put(count, 0.into());
            }
            for count in ["prompt_eval_duration", "eval_count", "eval_duration"] {
                put(count, 0.into());
            }
        }
        chunk
    };
    let said = |text: &str| match prompted {
        true => json!({"response": text}),
        false => json!({"role": "assistant", "content": text}),
    };
    if !stream {
        let mut whole = said(&parts.text);
        if !parts.thinking.is_empty() {
            whole["thinking"] = parts.thinking.into();
        }
        if !parts.calls.is_empty() {
            whole["tool_calls"] = parts.calls.into();
        }
        for (key, value) in parts.fields {
            whole[key] = value;
        }
        let body = text_of_value(&chunk(whole, Some(stop)));
        return RenderedAnswer::whole("application/json; charset=utf-8", body);
    }
    let mut frames = Frames::default();
    for piece in pieces(&parts.thinking) {
        let mut delta = said("");
        delta["thinking"] = piece.into();
        frames.line(&chunk(delta, None));
    }
    pieces(&parts.text).for_each(|piece| frames.line(&chunk(said(piece), None)));
    for call in parts.calls {
        let mut delta = said("");
        delta["tool_calls"] = json!([call]);
        frames.line(&chunk(delta, None));
    }
    let mut last = said("");
    for (key, value) in parts.fields {
        last[key] = value;
    }
    frames.line(&chunk(last, Some(stop)));
    frames.into_lines()
}

fn parts(blocks: &[Block]) -> Parts {
    let mut parts = Parts::default();
    for block in blocks {
        match block {
            Block::Text { text } => {
                parts.text.push_str(if parts.text.is_empty() { "" } else { "\n" });
                parts.text.push_str(text);
            }
            Block::Reasoning { text, .. } => parts.thinking.push_str(text),
            Block::ToolCall { id, name, args } => {
                let args = if args.is_object() { args.clone() } else { json!({}) };
                let index = parts.calls.len();
                let mut call = json!({"function": {"index": index, "name": name, "arguments": args}});
                if !id.is_empty() {
                    call["id"] = id.as_str().into();
                }
                parts.calls.push(call);
            }
            Block::Other { value: Value::Object(field) } if field.len() == 1 => {
                parts.fields.extend(field.clone());
            }
            Block::Other { .. } | Block::ToolResult { .. } => {}
        }
    }
    parts
}

pub(super) fn error(message: &str) -> Bytes {
    json!({"error": message}).to_string().into()
}
