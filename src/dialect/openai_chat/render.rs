//! Answers and errors in the provider's form.

use crate::dialect::RenderedAnswer;
use crate::dialect::conversation::Block;
use crate::dialect::frames::{Frames, pieces};
use crate::exchange::canon::{canonical_value, hash128, hex, text_of_value};
use bytes::Bytes;
use serde_json::{Map, Value, json};

/// What an answer is made of.
struct Parts {
    id: String,
    reasoning: String,
    text: String,
    refusal: String,
    /// Id, name and arguments (or input) of each call.
    calls: Vec<(String, String, String)>,
    /// Other fields of the message.
    fields: Map<String, Value>,
}

pub(super) fn answer(blocks: &[Block], stop: Option<&str>, model: &str, stream: bool) -> RenderedAnswer {
    let parts = parts(blocks);
    let stop = stop.unwrap_or(if parts.calls.is_empty() { "stop" } else { "tool_calls" });
    match stream {
        true => streamed(&parts, stop, model),
        false => plain(&parts, stop, model),
    }
}

/// An answer of the legacy completions: a text.
pub(super) fn completion(blocks: &[Block], stop: Option<&str>, model: &str, stream: bool) -> RenderedAnswer {
    let parts = parts(blocks);
    let id = parts.id.replacen("chatcmpl", "cmpl", 1);
    let stop = stop.unwrap_or("stop");
    let chunk = |text: &str, stop: Option<&str>| {
        json!({
            "id": id, "object": "text_completion", "created": 0, "model": model,
            "choices": [{"index": 0, "text": text, "logprobs": null, "finish_reason": stop}],
        })
    };
    if !stream {
        let mut body = chunk(&parts.text, Some(stop));
        body["usage"] = usage();
        return RenderedAnswer::whole("application/json", text_of_value(&body));
    }
    let mut frames = Frames::default();
    pieces(&parts.text).for_each(|piece| frames.data(&chunk(piece, None)));
    let mut last = chunk("", Some(stop));
    last["usage"] = usage();
    frames.data(&last);
    frames.text("data: [DONE]\n\n");
    frames.into_answer()
}

fn parts(blocks: &[Block]) -> Parts {
    let all = serde_json::to_value(blocks).map(|v| canonical_value(&v)).unwrap_or_default();
    // An id has to be there and should not change while the answer does not.
    let hash = hex(&hash128(all.as_bytes()));
    let mut parts = Parts {
        id: format!("chatcmpl-{hash}"),
        reasoning: String::new(),
        text: String::new(),
        refusal: String::new(),
        calls: Vec::new(),
        fields: Map::new(),
    };
    for block in blocks {
        match block {
            Block::Text { text } => {
                parts.text.push_str(if parts.text.is_empty() { "" } else { "\n" });
                parts.text.push_str(text);
            }
            Block::Reasoning { text, .. } => parts.reasoning.push_str(text),
            Block::ToolCall { id, name, args } => {
                let id = match id.is_empty() {
                    true => format!("call_{}{}", hash.get(..16).unwrap_or_default(), parts.calls.len()),
                    false => id.clone(),
                };
                // Arguments that did not parse are a string already.
                let text = args.as_str().map_or_else(|| text_of_value(args), str::to_string);
                parts.calls.push((id, name.clone(), text));
            }
            Block::Other { value } => match (value.get("refusal").and_then(Value::as_str), value) {
                (Some(refusal), _) => parts.refusal.push_str(refusal),
                // A field of the message stands alone in its object; a part or another choice does not.
                (None, Value::Object(field)) if field.len() == 1 => parts.fields.extend(field.clone()),
                _ => {}
            },
            Block::ToolResult { .. } => {}
        }
    }
    parts
}

fn usage() -> Value {
    // Nothing was counted: the answer was written by hand.
    json!({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0})
}

fn or_null(text: &str) -> Value {
    if text.is_empty() { Value::Null } else { Value::from(text) }
}

fn plain(parts: &Parts, stop: &str, model: &str) -> RenderedAnswer {
    let mut message = json!({
        "role": "assistant", "content": or_null(&parts.text), "refusal": or_null(&parts.refusal)
    });
    if parts.calls.is_empty() && parts.refusal.is_empty() {
        message["content"] = Value::from(parts.text.as_str());
    }
    if !parts.reasoning.is_empty() {
        message["reasoning_content"] = Value::from(parts.reasoning.as_str());
    }
    for (key, value) in &parts.fields {
        message[key] = value.clone();
    }
    if !parts.calls.is_empty() {
        let calls = parts.calls.iter().map(|(id, name, args)| {
            json!({"id": id, "type": "function", "function": {"name": name, "arguments": args}})
        });
        message["tool_calls"] = calls.collect();
    }
    let body = json!({
        "id": parts.id, "object": "chat.completion", "created": 0, "model": model,
        "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": stop}],
        "usage": usage(),
    });
    RenderedAnswer::whole("application/json", text_of_value(&body))
}

fn streamed(parts: &Parts, stop: &str, model: &str) -> RenderedAnswer {
    let mut frames = Frames::default();
    let chunk = |delta: Value, stop: Option<&str>| {
        json!({
            "id": parts.id, "object": "chat.completion.chunk", "created": 0, "model": model,
            "choices": [{"index": 0, "delta": delta, "logprobs": null, "finish_reason": stop}],
        })
    };
    let opening = if parts.text.is_empty() { Value::Null } else { Value::from("") };
    frames.data(&chunk(json!({"role": "assistant", "content": opening, "refusal": null}), None));
    let texts =
        [("reasoning_content", &parts.reasoning), ("content", &parts.text), ("refusal", &parts.refusal)];
    for (key, text) in texts {
        for piece in pieces(text) {
            frames.data(&chunk(json!({key: piece}), None));
        }
    }
    if !parts.fields.is_empty() {
        frames.data(&chunk(Value::Object(parts.fields.clone()), None));
    }
    for (i, (id, name, args)) in parts.calls.iter().enumerate() {
        let function = json!({"name": name, "arguments": ""});
        let opening = json!({"index": i, "id": id, "type": "function", "function": function});
        frames.data(&chunk(json!({"tool_calls": [opening]}), None));
        for piece in pieces(args) {
            let more = json!({"index": i, "function": {"arguments": piece}});
            frames.data(&chunk(json!({"tool_calls": [more]}), None));
        }
    }
    // A usage chunk of its own has no choices, and programs that did not ask for one trip over it. On the last chunk
    // both kinds of program find what they need.
    let mut last = chunk(json!({}), Some(stop));
    last["usage"] = usage();
    frames.data(&last);
    frames.text("data: [DONE]\n\n");
    frames.into_answer()
}

pub(super) fn error(status: u16, message: &str) -> Bytes {
    let kind = match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        429 => "rate_limit_error",
        500.. => "server_error",
        _ => "invalid_request_error",
    };
    let body = json!({"error": {"message": message, "type": kind, "param": null, "code": null}});
    body.to_string().into()
}
