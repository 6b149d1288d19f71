//! Answers and errors in the provider's form.

use crate::dialect::RenderedAnswer;
use crate::dialect::conversation::Block;
use crate::dialect::frames::{Frames, pieces};
use crate::exchange::canon::{canonical_value, hash128, hex, text_of_value};
use bytes::Bytes;
use serde_json::{Map, Value, json};

pub(super) fn answer(blocks: &[Block], stop: Option<&str>, model: &str, stream: bool) -> RenderedAnswer {
    let all = serde_json::to_value(blocks).map(|v| canonical_value(&v)).unwrap_or_default();
    // An id has to be there and should not change while the answer does not.
    let hash = hex(&hash128(all.as_bytes()));
    let items = items(blocks, &hash);
    let short = stop.filter(|s| !matches!(*s, "completed" | "stop" | "tool_calls"));
    let end = match short {
        Some(_) => "incomplete",
        None => "completed",
    };
    let response = |status: &str, output: &[Value]| envelope(&hash, status, short, model, output);
    if !stream {
        return RenderedAnswer::whole("application/json", text_of_value(&response(end, &items)));
    }
    let mut events = Events::default();
    events.send("response.created", json!({"response": response("in_progress", &[])}));
    events.send("response.in_progress", json!({"response": response("in_progress", &[])}));
    for (index, item) in items.iter().enumerate() {
        events.item(index, item);
    }
    events.send(&format!("response.{end}"), json!({"response": response(end, &items)}));
    events.frames.into_answer()
}

fn envelope(hash: &str, status: &str, short: Option<&str>, model: &str, output: &[Value]) -> Value {
    let over = status != "in_progress";
    let details = short.filter(|_| over).map(|reason| json!({"reason": reason}));
    // Nothing was counted: the answer was written by hand.
    let usage = over.then(|| {
        json!({
            "input_tokens": 0, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 0,
            "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 0,
        })
    });
    json!({
        "id": format!("resp_{hash}"), "object": "response", "created_at": 0, "status": status, "background": false,
        "error": null, "incomplete_details": details, "instructions": null, "max_output_tokens": null,
        "metadata": {}, "model": model, "output": output, "parallel_tool_calls": true,
        "previous_response_id": null, "reasoning": {"effort": null, "summary": null}, "service_tier": "default",
        "store": true, "temperature": 1, "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [],
        "top_p": 1, "truncation": "disabled", "usage": usage, "user": null,
    })
}

/// The blocks as items of an output. Reasoning is left out: it cannot be written without its ciphertext, and an agent
/// would send it back.
fn items(blocks: &[Block], hash: &str) -> Vec<Value> {
    let short = hash.get(..24).unwrap_or_default();
    let mut items: Vec<Value> = Vec::new();
    for block in blocks {
        let nth = items.len();
        let id = |kind: &str| format!("{kind}_{short}{nth}");
        let part = match block {
            Block::Text { text } => {
                json!({"type": "output_text", "annotations": [], "logprobs": [], "text": text})
            }
            Block::Other { value } if value.get("type").and_then(Value::as_str) == Some("refusal") => {
                value.clone()
            }
            Block::ToolCall { id: call, name, args } => {
                let call = if call.is_empty() { id("call") } else { call.clone() };
                items.push(tool_call(&id, &call, name, args));
                continue;
            }
            Block::Other { value: Value::Object(members) } if members.contains_key("type") => {
                items.push(made_whole(members, id("item")));
                continue;
            }
            Block::Reasoning { .. } | Block::ToolResult { .. } | Block::Other { .. } => continue,
        };
        let last = items.last_mut().filter(|i| i.get("type").and_then(Value::as_str) == Some("message"));
        match last.and_then(|i| i.get_mut("content")).and_then(Value::as_array_mut) {
            Some(content) => content.push(part),
            None => items.push(json!({
                "id": id("msg"), "type": "message", "status": "completed", "role": "assistant", "content": [part],
            })),
        }
    }
    items
}

fn tool_call(id: &dyn Fn(&str) -> String, call: &str, name: &str, args: &Value) -> Value {
    let has = |key: &str| args.get(key).is_some();
    let mut item = match name {
        "local_shell" if has("command") && has("type") => {
            json!({"type": "local_shell_call", "id": id("lsh"), "action": args})
        }
        "shell" if has("commands") => json!({"type": "shell_call", "id": id("sh"), "action": args}),
        "apply_patch" if has("type") && has("path") => {
            json!({"type": "apply_patch_call", "id": id("apc"), "operation": args})
        }
        "computer" if has("type") => {
            json!({"type": "computer_call", "id": id("cu"), "action": args, "pending_safety_checks": []})
        }
        _ => match args.as_str() {
            // What is no JSON is the input of a custom tool.
            Some(text) => json!({"type": "custom_tool_call", "id": id("ctc"), "name": name, "input": text}),
            None => {
                let text = text_of_value(args);
                json!({"type": "function_call", "id": id("fc"), "name": name, "arguments": text})
            }
        },
    };
    item["call_id"] = Value::from(call);
    item["status"] = Value::from("completed");
    item
}

/// An item of another kind, with what reading left out.
fn made_whole(members: &Map<String, Value>, id: String) -> Value {
    let mut item = members.clone();
    item.entry("id").or_insert_with(|| Value::from(id));
    item.entry("status").or_insert_with(|| Value::from("completed"));
    Value::Object(item)
}

/// A stream under construction.
#[derive(Default)]
struct Events {
    frames: Frames,
    sent: u64,
}

impl Events {
    fn send(&mut self, kind: &str, data: Value) {
        let mut event = json!({"type": kind, "sequence_number": self.sent});
        if let (Value::Object(event), Value::Object(data)) = (&mut event, data) {
            event.extend(data);
        }
        self.sent += 1;
        self.frames.named(&event);
    }

    /// An item from its announcement to its end.
    fn item(&mut self, index: usize, item: &Value) {
        let word = |key: &str| item.get(key).and_then(Value::as_str).unwrap_or_default();
        let (id, kind) = (word("id"), word("type"));
        let mut opening = item.clone();
        opening["status"] = Value::from("in_progress");
        match kind {
            "message" => opening["content"] = json!([]),
            "function_call" => opening["arguments"] = json!(""),
            "custom_tool_call" => opening["input"] = json!(""),
            _ => {}
        }
        self.send("response.output_item.added", json!({"output_index": index, "item": opening}));
        match kind {
            "message" => {
                let parts = item.get("content").and_then(Value::as_array).into_iter().flatten();
                for (place, part) in parts.enumerate() {
                    self.part(json!({"item_id": id, "output_index": index, "content_index": place}), part);
                }
            }
            "function_call" => {
                let of = json!({"item_id": id, "output_index": index});
                self.text("response.function_call_arguments", &of, word("arguments"));
                let done = json!({"name": word("name"), "arguments": word("arguments")});
                self.send("response.function_call_arguments.done", with(&of, done));
            }
            "custom_tool_call" => {
                let of = json!({"item_id": id, "output_index": index});
                self.text("response.custom_tool_call_input", &of, word("input"));
                self.send("response.custom_tool_call_input.done", with(&of, json!({"input": word("input")})));
            }
            _ => {}
        }
        self.send("response.output_item.done", json!({"output_index": index, "item": item}));
    }

    fn part(&mut self, of: Value, part: &Value) {
        let (event, field) = match part.get("refusal") {
            Some(_) => ("response.refusal", "refusal"),
            None => ("response.output_text", "text"),
        };
        let text = part.get(field).and_then(Value::as_str).unwrap_or_default();
        let mut opening = part.clone();
        opening[field] = Value::from("");
        self.send("response.content_part.added", with(&of, json!({"part": opening})));
        self.text(event, &of, text);
        let mut done = json!({field: text});
        if field == "text" {
            done["logprobs"] = json!([]);
        }
        self.send(&format!("{event}.done"), with(&of, done));
        self.send("response.content_part.done", with(&of, json!({"part": part})));
    }

    fn text(&mut self, event: &str, of: &Value, text: &str) {
        for piece in pieces(text) {
            let mut delta = json!({"delta": piece});
            if event == "response.output_text" {
                delta["logprobs"] = json!([]);
            }
            self.send(&format!("{event}.delta"), with(of, delta));
        }
    }
}

/// Two objects as one.
fn with(of: &Value, more: Value) -> Value {
    let mut all = of.clone();
    if let (Value::Object(all), Value::Object(more)) = (&mut all, more) {
        all.extend(more);
    }
    all
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
