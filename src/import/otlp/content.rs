//! What a span of a model call tells of what was said, in the words of all instrumentations.

use crate::import::said;
use crate::span::value::structured;
use crate::span::{Attributes, Log, Span};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// What was asked and answered, as messages of the chat API.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub asked: Vec<Value>,
    pub answered: Option<Value>,
    pub tools: Option<Value>,
    pub parameters: Vec<(String, Value)>,
}

/// Reads a span with the log records that belong to it.
pub(super) fn of(span: &Span, logs: &[&Log]) -> Content {
    let told = Told { span, logs };
    let mut asked = told.asked();
    if asked.first().is_none_or(|first| first["role"] != "system") {
        let system = told.messages(&["gen_ai.system_instructions"], "system");
        asked.splice(0..0, system);
    }
    let answered = told.answered().into_iter().find(|message| message["role"] == "assistant");
    Content { asked, answered, tools: told.tools(), parameters: told.parameters() }
}

struct Told<'a> {
    span: &'a Span,
    logs: &'a [&'a Log],
}

/// The first of these that says something.
fn first<const N: usize>(ways: [&dyn Fn() -> Vec<Value>; N]) -> Vec<Value> {
    ways.iter().map(|way| way()).find(|said| !said.is_empty()).unwrap_or_default()
}

impl Told<'_> {
    fn asked(&self) -> Vec<Value> {
        first([
            &|| self.spread("llm.input_messages.", "user"),
            &|| self.messages(&["langfuse.observation.input", "ai.prompt.messages"], "user"),
            &|| self.messages(&["gen_ai.input.messages", "gen_ai.prompt"], "user"),
            &|| self.spread("gen_ai.prompt.", "user"),
            &|| self.happened(false),
            &|| self.messages(&["lmnr.span.input", "request_data", "input.value"], "user"),
        ])
    }

    fn answered(&self) -> Vec<Value> {
        first([
            &|| self.spread("llm.output_messages.", "assistant"),
            &|| self.messages(&["langfuse.observation.output"], "assistant"),
            &|| self.vercel(),
            &|| self.messages(&["gen_ai.output.messages", "gen_ai.completion"], "assistant"),
            &|| self.spread("gen_ai.completion.", "assistant"),
            &|| self.happened(true),
            &|| self.messages(&["lmnr.span.output", "response_data", "output.value"], "assistant"),
        ])
    }

    /// The value of the first of these names, of the span or of what happened in it.
    fn value(&self, names: &[&str]) -> Option<&Value> {
        let events = self.span.events.iter().map(|event| &event.attributes);
        let logs = self.logs.iter().map(|log| &log.attributes);
        let places: Vec<&Attributes> =
            std::iter::once(&self.span.attributes).chain(events).chain(logs).collect();
        names.iter().find_map(|name| places.iter().find_map(|place| place.get(name)))
    }

    fn messages(&self, names: &[&str], role: &str) -> Vec<Value> {
        let Some(value) = self.value(names) else { return Vec::new() };
        let Some(read) = structured(value) else { return said::messages(value, role) };
        let said = said::messages(&read, role);
        let says = |message: &Value| {
            message["content"].as_str().is_none_or(|text| !text.is_empty())
                || message.get("tool_calls").is_some()
        };
        // JSON that is no message is what was said: an answer in a schema.
        match said.iter().any(says) || !value.is_string() {
            true => said,
            false => said::messages(&json!([{"role": role, "content": value}]), role),
        }
    }

    /// Messages spread over attributes, as OpenInference and OpenLLMetry do.
    fn spread(&self, prefix: &str, role: &str) -> Vec<Value> {
        let mut root = Tree::default();
        for (name, value) in &self.span.attributes.0 {
            if let Some(rest) = name.strip_prefix(prefix) {
                root.put(rest, value);
            }
        }
        let all = root.elements().into_iter().map(|mut element| match element.get_mut("message") {
            Some(message) => openinference(message.take()),
            None => element,
        });
        all.flat_map(|message| said::messages(&message, role)).collect()
    }

    /// What the Vercel AI SDK says of an answer.
    fn vercel(&self) -> Vec<Value> {
        let text = self.value(&["ai.response.text", "ai.response.object"]);
        let calls = self.value(&["ai.response.toolCalls"]).and_then(structured);
        let mut parts: Vec<Value> = Vec::new();
        parts.extend(text.and_then(Value::as_str).map(|text| json!({"type": "text", "text": text})));
        for call in calls.as_ref().and_then(Value::as_array).into_iter().flatten() {
            let mut call = call.clone();
            if let Some(fields) = call.as_object_mut() {
                fields.insert("type".into(), "tool-call".into());
                parts.push(call);
            }
        }
        match parts.is_empty() {
            true => Vec::new(),
            false => said::messages(&json!({"role": "assistant", "content": parts}), "assistant"),
        }
    }

    /// Messages as events of the span, or as log records of it: `gen_ai.user.message`, `gen_ai.choice`.
    fn happened(&self, answered: bool) -> Vec<Value> {
        let mut all: Vec<(u64, &str, Value)> = Vec::new();
        for event in &self.span.events {
            let mut fields = Map::new();
            for (name, value) in &event.attributes.0 {
                let name = name.strip_prefix("gen_ai.event.").unwrap_or(name);
                fields.insert(name.to_string(), structured(value).unwrap_or_else(|| value.clone()));
            }
            all.push((event.time_ns, &event.name, Value::Object(fields)));
        }
        for log in self.logs {
            let name = log.attributes.text("event.name").unwrap_or(&log.event);
            all.push((log.time_ns, name, log.body.clone()));
        }
        all.sort_by_key(|(time, ..)| *time);
        let mut said = Vec::new();
        for (_, name, mut body) in all {
            let role = match name {
                "gen_ai.choice" if answered => "assistant",
                "gen_ai.system.message" if !answered => "system",
                "gen_ai.user.message" if !answered => "user",
                "gen_ai.assistant.message" if !answered => "assistant",
                "gen_ai.tool.message" if !answered => "tool",
                _ => continue,
            };
            let inner = body.get_mut("message").map(Value::take);
            let mut message = match inner.and_then(|message| structured(&message)) {
                Some(message) => message,
                None => body,
            };
            if let Some(fields) = message.as_object_mut() {
                fields.entry("role").or_insert(role.into());
                if let (true, Some(id)) = (role == "tool", fields.get("id").cloned()) {
                    fields.entry("tool_call_id").or_insert(id);
                }
            }
            said.extend(said::messages(&message, role));
        }
        said
    }

    fn tools(&self) -> Option<Value> {
        let listed = self.value(&["gen_ai.tool.definitions", "ai.prompt.tools"]).and_then(structured);
        let mut spread = Tree::default();
        for (name, value) in &self.span.attributes.0 {
            if let Some(rest) = name.strip_prefix("llm.tools.") {
                spread.put(rest, value);
            }
        }
        let spread =
            spread.elements().into_iter().filter_map(|of| of.get("tool")?.get("json_schema").cloned());
        let tools = listed.and_then(|listed| listed.as_array().cloned()).unwrap_or_else(|| spread.collect());
        let tools: Vec<Value> = tools.iter().filter_map(structured).map(definition).collect();
        (!tools.is_empty()).then_some(Value::Array(tools))
    }

    fn parameters(&self) -> Vec<(String, Value)> {
        const NAMES: [(&str, &str); 7] = [
            ("temperature", "temperature"),
            ("top_p", "top_p"),
            ("max_tokens", "max_tokens"),
            ("seed", "seed"),
            ("frequency_penalty", "frequency_penalty"),
            ("presence_penalty", "presence_penalty"),
            ("stop_sequences", "stop"),
        ];
        let invoked =
            self.span.attributes.get("llm.invocation_parameters").and_then(structured).unwrap_or_default();
        let value = |name: &str| {
            let own = self.span.attributes.get(&format!("gen_ai.request.{name}"));
            own.or_else(|| invoked.get(name)).filter(|value| !value.is_null()).cloned()
        };
        NAMES.iter().filter_map(|(name, own)| Some((own.to_string(), value(name)?))).collect()
    }
}

/// A definition of a tool as the chat API has it.
fn definition(tool: Value) -> Value {
    if tool.get("function").is_some() {
        return tool;
    }
    let mut function = Map::new();
    for (name, keys) in [
        ("name", &["name"][..]),
        ("description", &["description"]),
        ("parameters", &["parameters", "inputSchema", "input_schema"]),
    ] {
        if let Some(value) = keys.iter().find_map(|key| tool.get(*key)).filter(|value| !value.is_null()) {
            function.insert(name.into(), value.clone());
        }
    }
    json!({"type": "function", "function": function})
}

/// A message of OpenInference without the names that it puts around everything.
fn openinference(mut message: Value) -> Value {
    let Some(fields) = message.as_object_mut() else { return message };
    if let Some(Value::Array(parts)) = fields.shift_remove("contents") {
        let parts = parts.into_iter().filter_map(|mut part| part.get_mut("message_content").map(Value::take));
        // Calls stand among the parts with their type, and whole beside them.
        let parts = parts.filter(|part| part["type"] != "tool_use");
        // Some write a message both ways.
        fields.entry("content").or_insert_with(|| parts.collect());
    }
    if let Some(Value::Array(calls)) = fields.get_mut("tool_calls") {
        for call in calls {
            if let Some(inner) = call.get_mut("tool_call").map(Value::take) {
                *call = inner;
            }
        }
    }
    message
}

/// A value whose members are spread over names with dots; indices are numbers, and any may be missing.
#[derive(Default)]
struct Tree {
    value: Option<Value>,
    members: BTreeMap<Key, Tree>,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Index(u32),
    Name(String),
}

impl Tree {
    fn put(&mut self, path: &str, value: &Value) {
        const DEPTH: usize = 16;
        let mut at = self;
        for name in path.splitn(DEPTH, '.') {
            let key = name.parse().map_or_else(|_| Key::Name(name.to_string()), Key::Index);
            at = at.members.entry(key).or_default();
        }
        at.value = Some(value.clone());
    }

    fn elements(self) -> Vec<Value> {
        self.members.into_values().map(Tree::into_value).collect()
    }

    fn into_value(self) -> Value {
        match self.members.first_key_value() {
            None => self.value.unwrap_or_default(),
            Some((Key::Index(_), _)) => self.elements().into(),
            Some((Key::Name(_), _)) => {
                let members = self.members.into_iter().map(|(key, tree)| match key {
                    Key::Name(name) => (name, tree.into_value()),
                    Key::Index(index) => (index.to_string(), tree.into_value()),
                });
                Value::Object(members.collect())
            }
        }
    }
}
