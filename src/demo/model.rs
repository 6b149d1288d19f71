//! The scripted model: what it answers is worked out of the conversation, and is the same every time.
//!
//! It is a small model with a flaw. An order's amount has no unit; unless somebody says that it counts cents, the
//! model takes 4999 for dollars, and $4,999.00 are refunded where $49.99 were paid.

use serde_json::{Map, Value, json};

/// What the model does next.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// It says something, and the agent is done.
    Says(String),
    /// It calls tools: name and arguments.
    Calls(Vec<(&'static str, Value)>),
}

/// A model that looks twice at an amount without a unit.
pub const CAREFUL_MODEL: &str = "gpt-big";

/// The model's answer to a chat completions request.
pub fn reply(request: &Value) -> Reply {
    let messages = request.get("messages").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let Some(order) = order_number(messages) else {
        return Reply::Says("Which order is it about? Please give me the order number.".to_string());
    };
    let call =
        |calls: Vec<(&'static str, Value)>| match calls.iter().find(|(name, _)| !is_offered(request, name)) {
            None => Reply::Calls(calls),
            Some((name, _)) => {
                Reply::Says(format!("I have no {name} tool; a colleague will take care of order {order}."))
            }
        };
    let Some(lookup) = result_of(messages, "lookup_order") else {
        return call(vec![("lookup_order", json!({"order_id": order}))]);
    };
    let Some(amount) = lookup.get("amount").filter(|a| a.is_number()) else {
        return Reply::Says(format!("I could not find order {order}."));
    };
    let (policy, customer) = (result_of(messages, "get_policy"), result_of(messages, "get_customer"));
    let (Some(policy), Some(customer)) = (policy, customer) else {
        let of = |field: &str| lookup.get(field).cloned().unwrap_or(Value::Null);
        return call(vec![
            ("get_policy", json!({"sku": of("sku")})),
            ("get_customer", json!({"customer_id": of("customer_id")})),
        ]);
    };
    if policy.get("refundable") != Some(&Value::Bool(true)) {
        return Reply::Says(format!("I am sorry: what you bought with order {order} cannot be refunded."));
    }
    let days = |value: &Value, field: &str| value.get(field).and_then(Value::as_f64);
    if let (Some(window), Some(since)) = (days(&policy, "window_days"), days(&lookup, "days_since_delivery"))
        && since > window
    {
        return Reply::Says(format!("I am sorry: order {order} is past the {window} days for a refund."));
    }
    let Some(fraud) = result_of(messages, "check_fraud") else {
        return call(vec![("check_fraud", json!({"order_id": order, "amount": amount}))]);
    };
    let escalated =
        format!("I cannot refund order {order} automatically; it has been escalated to a human reviewer.");
    if fraud.get("risk").and_then(Value::as_str) != Some("low")
        || customer.get("blocked") == Some(&Value::Bool(true))
    {
        return Reply::Says(escalated);
    }
    let Some(refund) = result_of(messages, "issue_refund") else {
        let dollars =
            if knows_cents(request, messages, &lookup) { in_dollars(amount) } else { amount.clone() };
        return call(vec![("issue_refund", json!({"order_id": order, "amount_usd": dollars}))]);
    };
    match refund.get("refunded").and_then(Value::as_f64) {
        Some(dollars) => Reply::Says(format!("Done. I refunded {} for order {order}.", money(dollars))),
        None => Reply::Says(format!(
            "The refund for order {order} did not go through; a colleague will look at it."
        )),
    }
}

/// True when the amount is known to count cents: the system prompt says so, or the order does, or the model is one
/// that knows how shops count.
fn knows_cents(request: &Value, messages: &[Value], lookup: &Value) -> bool {
    let in_system = messages.iter().filter(|m| is_role(m, "system") || is_role(m, "developer"));
    lookup.get("unit").and_then(Value::as_str) == Some("cents")
        || in_system.map(text_of).any(|text| text.to_lowercase().contains("cents"))
        || request.get("model").and_then(Value::as_str) == Some(CAREFUL_MODEL)
}

/// An amount of cents in dollars: 4999 is 49.99, 5000 is 50.
fn in_dollars(amount: &Value) -> Value {
    match amount.as_i64() {
        Some(cents) if cents % 100 == 0 => json!(cents / 100),
        _ => json!(amount.as_f64().unwrap_or_default() / 100.0),
    }
}

/// `$4,999.00`.
pub(super) fn money(dollars: f64) -> String {
    let text = format!("{:.2}", dollars.abs());
    let (whole, cents) = text.split_once('.').unwrap_or((&text, "00"));
    let mut grouped = String::new();
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let sign = if dollars < 0.0 { "-" } else { "" };
    format!("{sign}${grouped}.{cents}")
}

/// The order the user speaks of: a capital letter and digits, as in A123. The last one named counts.
fn order_number(messages: &[Value]) -> Option<String> {
    let is_order = |word: &&str| {
        let digits = word.strip_prefix(|c: char| c.is_ascii_uppercase()).unwrap_or_default();
        !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
    };
    let said: Vec<String> = messages.iter().filter(|m| is_role(m, "user")).map(text_of).collect();
    let mut words = said.iter().flat_map(|text| text.split(|c: char| !c.is_ascii_alphanumeric()));
    words.rfind(is_order).map(str::to_string)
}

/// The latest result of a tool, found by the id of the call that asked for it.
fn result_of(messages: &[Value], tool: &str) -> Option<Value> {
    let mut result = None;
    let mut ids: Vec<&str> = Vec::new();
    for message in messages {
        let calls =
            message.get("tool_calls").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        for call in calls.iter().filter(|c| c.pointer("/function/name").and_then(Value::as_str) == Some(tool))
        {
            ids.extend(call.get("id").and_then(Value::as_str));
        }
        let answers = message.get("tool_call_id").and_then(Value::as_str);
        if is_role(message, "tool") && answers.is_some_and(|id| ids.contains(&id)) {
            // A result that is no JSON is a text that says what went wrong.
            let text = text_of(message);
            result = Some(serde_json::from_str(&text).unwrap_or(Value::String(text)));
        }
    }
    result
}

fn is_role(message: &Value, role: &str) -> bool {
    message.get("role").and_then(Value::as_str) == Some(role)
}

/// The text of a message, whether it is a string or a list of text blocks.
fn text_of(message: &Value) -> String {
    match message.get("content") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(blocks)) => {
            blocks.iter().filter_map(|b| b.get("text").and_then(Value::as_str)).collect::<Vec<_>>().join("\n")
        }
        _ => String::new(),
    }
}

fn is_offered(request: &Value, tool: &str) -> bool {
    let tools = request.get("tools").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    tools.iter().any(|t| t.pointer("/function/name").and_then(Value::as_str) == Some(tool))
}

/// The reply as a chat completion: ids, time and usage follow from the request alone.
pub fn completion(request: &Value) -> Value {
    let reply = reply(request);
    let mark = blake3::hash(request.to_string().as_bytes()).to_hex();
    let mark = mark.get(..12).unwrap_or_default();
    let mut message = Map::new();
    message.insert("role".to_string(), json!("assistant"));
    let (content, finish) = match &reply {
        Reply::Says(text) => (json!(text), "stop"),
        Reply::Calls(calls) => {
            let calls: Vec<Value> = calls
                .iter()
                .enumerate()
                .map(|(i, (name, arguments))| {
                    let function = json!({"name": name, "arguments": arguments.to_string()});
                    json!({"id": format!("call_{mark}{i}"), "type": "function", "function": function})
                })
                .collect();
            message.insert("tool_calls".to_string(), Value::Array(calls));
            (Value::Null, "tool_calls")
        }
    };
    message.insert("content".to_string(), content);
    let prompt = tokens(request.get("messages").unwrap_or(&Value::Null));
    let answer = tokens(&Value::Object(message.clone()));
    json!({
        "id": format!("chatcmpl-{mark}"),
        "object": "chat.completion",
        "created": 1_795_224_754,
        "model": request.get("model").cloned().unwrap_or(json!("gpt-small")),
        "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": finish}],
        "usage": {"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer},
        "system_fingerprint": "fp_demo",
    })
}

/// About as many tokens as a tokenizer would count: a quarter of the characters.
fn tokens(value: &Value) -> usize {
    value.to_string().len().div_ceil(4)
}

/// The events of the same completion, streamed; the text between `data: ` and the empty line.
pub fn events(request: &Value) -> Vec<String> {
    let whole = completion(request);
    let part = |delta: Value, finish: Value| {
        let mut chunk = whole.clone();
        if let Some(fields) = chunk.as_object_mut() {
            fields.insert("object".to_string(), json!("chat.completion.chunk"));
            fields.insert(
                "choices".to_string(),
                json!([{"index": 0, "delta": delta, "finish_reason": finish}]),
            );
            fields.remove("usage");
        }
        chunk
    };
    let mut chunks = vec![part(json!({"role": "assistant", "content": null}), Value::Null)];
    let message = whole.pointer("/choices/0/message").cloned().unwrap_or_default();
    if let Some(text) = message.get("content").and_then(Value::as_str) {
        chunks.extend(text.split_inclusive(' ').map(|word| part(json!({"content": word}), Value::Null)));
    }
    let calls = message.get("tool_calls").and_then(Value::as_array).cloned().unwrap_or_default();
    for (i, call) in calls.iter().enumerate() {
        let field = |pointer: &str| call.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let begun = json!({"index": i, "id": field("/id"), "type": "function",
            "function": {"name": field("/function/name"), "arguments": ""}});
        chunks.push(part(json!({"tool_calls": [begun]}), Value::Null));
        for piece in field("/function/arguments").split_inclusive([':', ',']) {
            let more = json!({"index": i, "function": {"arguments": piece}});
            chunks.push(part(json!({"tool_calls": [more]}), Value::Null));
        }
    }
    chunks.push(part(json!({}), whole.pointer("/choices/0/finish_reason").cloned().unwrap_or_default()));
    if request.pointer("/stream_options/include_usage") == Some(&Value::Bool(true)) {
        let mut last = part(json!({}), Value::Null);
        if let Some(fields) = last.as_object_mut() {
            fields.insert("choices".to_string(), json!([]));
            fields.insert("usage".to_string(), whole.get("usage").cloned().unwrap_or_default());
        }
        chunks.push(last);
    }
    chunks.iter().map(Value::to_string).chain(["[DONE]".to_string()]).collect()
}

#[cfg(test)]
mod tests;
