//! Messages in all the ways in which logs and instrumentations write them, as those of OpenAI's chat API.
//!
//! One that is written so already stays as it is. Reasoning is left out of the others: no two of them write it alike.

use crate::exchange::canon::text_of_value;
use serde_json::{Map, Value, json};

/// How deep messages may be wrapped.
const DEPTH: usize = 6;

/// Reads messages: a list, one, a text, or a provider's request or answer that holds some. `role`: whose they are when
/// they do not say.
pub(super) fn messages(value: &Value, role: &str) -> Vec<Value> {
    let mut out = Vec::new();
    read_into(value, role, 0, &mut out);
    merged(out)
}

/// Calls that follow each other in lists of items are those of one answer, and belong to the words before them.
fn merged(all: Vec<Value>) -> Vec<Value> {
    let mut out: Vec<Value> = Vec::with_capacity(all.len());
    for mut message in all {
        let is_loose = message.as_object_mut().and_then(|m| m.shift_remove(LOOSE)).is_some();
        let last = out.last_mut().filter(|last| is_loose && last["role"] == "assistant");
        match (last, message.get_mut("tool_calls").map(Value::take)) {
            (Some(last), Some(Value::Array(calls))) => match last.get_mut("tool_calls") {
                Some(Value::Array(before)) => before.extend(calls),
                _ => last["tool_calls"] = Value::Array(calls),
            },
            (_, calls) => {
                if let Some(calls) = calls {
                    message["tool_calls"] = calls;
                }
                out.push(message);
            }
        }
    }
    out
}

/// Marks a call that stands outside of a message.
const LOOSE: &str = "\u{1}loose";

fn read_into(value: &Value, role: &str, depth: usize, out: &mut Vec<Value>) {
    match value {
        _ if depth > DEPTH => {}
        Value::String(text) if !text.is_empty() => out.push(json!({"role": role, "content": text})),
        Value::Array(of) => of.iter().for_each(|each| read_into(each, role, depth + 1, out)),
        Value::Object(fields) => {
            // A provider's answer or request, or a choice in one.
            let is_message = ["role", "type", "toolName"].iter().any(|key| fields.contains_key(*key));
            for wrapper in ["choices", "output", "candidates", "messages", "input", "message"] {
                let inner = fields.get(wrapper).filter(|_| !is_message);
                if let Some(inner) = inner.filter(|v| v.is_array() || v.is_object() || wrapper == "input") {
                    for key in ["system", "instructions"] {
                        if let Some(system) = fields.get(key) {
                            read_into(system, "system", depth + 1, out);
                        }
                    }
                    return read_into(inner, role, depth + 1, out);
                }
            }
            message(fields, role, out);
        }
        _ => {}
    }
}

fn text_of<'a>(fields: &'a Map<String, Value>, key: &str) -> &'a str {
    fields.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn first<'a>(fields: &'a Map<String, Value>, keys: &[&str]) -> Option<&'a Value> {
    keys.iter().find_map(|key| fields.get(*key)).filter(|value| !value.is_null())
}

fn message(fields: &Map<String, Value>, role: &str, out: &mut Vec<Value>) {
    if is_chat(fields) {
        return out.push(chat(fields));
    }
    let role = match text_of(fields, "role") {
        "developer" | "system" => "system",
        "assistant" | "model" | "ai" => "assistant",
        "tool" | "function" => "tool",
        "" => role,
        _ => "user",
    };
    let mut parts = Parts::default();
    if is_part(fields) {
        parts.part(fields);
        return parts.finish(role, !fields.contains_key("role"), out);
    }
    for key in ["content", "parts"] {
        parts.content(fields.get(key), 0);
    }
    for call in fields.get("tool_calls").and_then(Value::as_array).into_iter().flatten() {
        let Some(call) = call.as_object() else { continue };
        let function = call.get("function").and_then(Value::as_object).unwrap_or(call);
        let name = first(function, &["name", "function"]).and_then(Value::as_str).unwrap_or_default();
        parts.call(first(call, &["id"]), name, first(function, &["arguments", "args"]));
    }
    if role == "tool" {
        let id = first(fields, &["tool_call_id", "call_id", "toolCallId", "id"]);
        if parts.results.is_empty() {
            let text = std::mem::take(&mut parts.texts).join("\n");
            parts.results.push((id.cloned(), fields.get("name").cloned(), text));
        }
    }
    parts.finish(role, false, out);
}

/// True for a message as the chat API has it.
fn is_chat(fields: &Map<String, Value>) -> bool {
    let role = text_of(fields, "role");
    let is_part = |part: &Value| {
        let kind = part.get("type").and_then(Value::as_str).unwrap_or_default();
        matches!(kind, "text" | "image_url" | "input_audio" | "file" | "refusal")
    };
    let content = match fields.get("content") {
        None | Some(Value::Null | Value::String(_)) => true,
        Some(Value::Array(parts)) => parts.iter().all(|part| is_part(part) && part.get("content").is_none()),
        Some(_) => false,
    };
    let call = |call: &Value| {
        let function = call.get("function").or(call.get("custom"));
        function.is_some_and(Value::is_object)
    };
    let calls = match fields.get("tool_calls") {
        None | Some(Value::Null) => true,
        Some(Value::Array(calls)) => calls.iter().all(call),
        Some(_) => false,
    };
    let roles = ["system", "developer", "user", "assistant", "tool", "function"];
    let result = role != "tool" || fields.contains_key("tool_call_id");
    roles.contains(&role) && content && calls && result && !fields.contains_key("parts") && !is_item(fields)
}

/// A message of the chat API, without what logs add to it and without members that hold nothing.
fn chat(fields: &Map<String, Value>) -> Value {
    let keeps = |key: &str, value: &Value| match key {
        "role" | "content" | "name" | "tool_calls" | "tool_call_id" | "function_call" | "refusal" => {
            !value.is_null() || key == "content"
        }
        "reasoning" | "reasoning_content" | "audio" => !value.is_null(),
        _ => false,
    };
    let kept = fields.iter().filter(|(key, value)| keeps(key, value));
    Value::Object(kept.map(|(key, value)| (key.clone(), value.clone())).collect())
}

fn is_item(fields: &Map<String, Value>) -> bool {
    matches!(text_of(fields, "type"), "function_call" | "function_call_output" | "tool_result")
}

/// True for an object that is a part by itself: an item of Responses, a block outside of a message.
fn is_part(fields: &Map<String, Value>) -> bool {
    !["role", "content", "parts"].iter().any(|key| fields.contains_key(*key)) || is_item(fields)
}

/// What the parts of a message say.
#[derive(Default)]
struct Parts {
    texts: Vec<String>,
    calls: Vec<Value>,
    /// Images and the like, as they are written.
    others: Vec<Value>,
    /// Id of the call, name of the tool, text.
    results: Vec<(Option<Value>, Option<Value>, String)>,
}

impl Parts {
    fn content(&mut self, value: Option<&Value>, depth: usize) {
        match value {
            Some(Value::String(text)) => self.say(text),
            Some(Value::Array(parts)) => parts.iter().for_each(|each| match each {
                Value::String(text) => self.say(text),
                Value::Object(each) => self.part(each),
                _ => {}
            }),
            // Gemini: one content with parts.
            Some(Value::Object(inner)) if depth < DEPTH => {
                ["content", "parts"].iter().for_each(|key| self.content(inner.get(*key), depth + 1));
            }
            _ => {}
        }
    }

    fn say(&mut self, text: &str) {
        if !text.is_empty() {
            self.texts.push(text.to_string());
        }
    }

    fn call(&mut self, id: Option<&Value>, name: &str, arguments: Option<&Value>) {
        let arguments = match arguments {
            None | Some(Value::Null) => "{}".to_string(),
            Some(Value::String(text)) => text.clone(),
            Some(value) => text_of_value(value),
        };
        let id = id.and_then(Value::as_str).unwrap_or_default();
        let function = json!({"name": name, "arguments": arguments});
        self.calls.push(json!({"id": id, "type": "function", "function": function}));
    }

    fn part(&mut self, fields: &Map<String, Value>) {
        let name = |keys: &[&str]| first(fields, keys).and_then(Value::as_str).unwrap_or_default();
        match text_of(fields, "type") {
            "text" | "input_text" | "output_text" => self.say(name(&["text", "content"])),
            "tool_call" | "tool_use" | "tool-call" | "function_call" => self.call(
                first(fields, &["call_id", "id", "toolCallId"]),
                name(&["name", "toolName"]),
                first(fields, &["arguments", "input", "args"]),
            ),
            "tool_call_response" | "tool_result" | "tool-result" | "function_call_output" => {
                let id = first(fields, &["call_id", "tool_use_id", "toolCallId", "id"]).cloned();
                let value = first(fields, &["result", "response", "content", "output"]);
                self.results.push((id, first(fields, &["name", "toolName"]).cloned(), result(value, 0)));
            }
            "" => self.bare(fields),
            "thinking" | "redacted_thinking" | "reasoning" => {}
            _ => self.others.push(Value::Object(fields.clone())),
        }
    }

    /// A part without a type: Gemini's, or a call as the Vercel AI SDK lists them.
    fn bare(&mut self, fields: &Map<String, Value>) {
        if let Some(name) = fields.get("toolName").and_then(Value::as_str) {
            return self.call(first(fields, &["toolCallId"]), name, first(fields, &["input", "args"]));
        }
        if let Some(call) = first(fields, &["functionCall", "function_call"]).and_then(Value::as_object) {
            self.call(first(call, &["id"]), text_of(call, "name"), call.get("args"));
        } else if let Some(answer) = first(fields, &["functionResponse", "function_response"]) {
            let text = result(answer.get("response"), 0);
            self.results.push((answer.get("id").cloned(), answer.get("name").cloned(), text));
        } else if fields.get("thought") != Some(&Value::Bool(true)) {
            self.say(text_of(fields, "text"));
        }
    }

    /// Writes the message, results first: whoever sends both answers calls before going on. `loose`: it stood outside
    /// of a message, so that it may be one of several.
    fn finish(self, role: &str, loose: bool, out: &mut Vec<Value>) {
        let has_results = !self.results.is_empty();
        for (id, name, text) in self.results {
            let mut message =
                json!({"role": "tool", "tool_call_id": id.unwrap_or_default(), "content": text});
            if let Some(name) = name.filter(Value::is_string) {
                message["name"] = name;
            }
            out.push(message);
        }
        let text = self.texts.join("\n");
        let content = match self.others.is_empty() {
            true => Value::from(text),
            false => {
                let texts = Some(text).filter(|text| !text.is_empty());
                let texts = texts.map(|text| json!({"type": "text", "text": text}));
                texts.into_iter().chain(self.others).collect()
            }
        };
        let is_empty = content.as_str() == Some("");
        if !self.calls.is_empty() {
            let content = if is_empty { Value::Null } else { content };
            let mut message = json!({"role": "assistant", "content": content, "tool_calls": self.calls});
            if loose {
                message[LOOSE] = Value::Bool(true);
            }
            out.push(message);
        } else if !is_empty || !has_results && !loose {
            out.push(json!({"role": role, "content": content}));
        }
    }
}

/// A tool's result as a text: its own, that of its parts, or JSON.
fn result(value: Option<&Value>, depth: usize) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) if parts.iter().all(|p| p.get("text").is_some_and(Value::is_string)) => {
            let texts = parts.iter().filter_map(|p| p.get("text")?.as_str());
            texts.collect::<Vec<_>>().join("\n")
        }
        Some(Value::Object(fields))
            if depth < DEPTH && fields.contains_key("value") && fields.contains_key("type") =>
        {
            result(fields.get("value"), depth + 1)
        }
        Some(other) => text_of_value(other),
    }
}
