//! What messages say, in one form for every way in which instrumentations and providers write them down.
//!
//! Only words, calls and results count: reasoning, ids and white space do not, arguments are JSON with sorted keys. So an
//! answer on the wire and the copy of it in a span have the same hash.

use crate::dialect::conversation::{Block, Message, Role};
use crate::exchange::canon::{canonical_value, hash128};
use crate::exchange::json;
use serde_json::{Map, Value};

/// A hash of canonical content.
pub type Hash = [u8; 16];

/// Who says something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Who {
    /// Instructions.
    System,
    /// A person, or the agent speaking for one. Also whoever is not named.
    User,
    /// The model.
    Model,
    /// A tool: its result.
    Tool,
}

/// One message, or several of the same speaker that follow each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// Who says it.
    pub who: Who,
    /// Its words, without white space.
    words: String,
    /// Names and canonical arguments of the calls in it.
    calls: Vec<(String, String)>,
    /// Ids of these calls.
    pub call_ids: Vec<String>,
}

/// The last message of a request, and how many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Input {
    /// Of the last turn.
    pub last: Hash,
    /// How many turns, instructions aside.
    pub turns: usize,
}

impl Turn {
    /// One that says nothing yet.
    pub fn new(who: Who) -> Turn {
        Turn { who, words: String::new(), calls: Vec::new(), call_ids: Vec::new() }
    }

    /// Adds words.
    pub fn say(&mut self, text: &str) {
        self.words.extend(text.split_whitespace());
    }

    /// Adds a call.
    pub fn call(&mut self, id: Option<&str>, name: &str, arguments: Option<&Value>) {
        self.calls.push((name.to_string(), canonical_arguments(arguments)));
        self.call_ids.extend(id.filter(|id| !id.is_empty()).map(str::to_string));
    }

    fn says_nothing(&self) -> bool {
        self.words.is_empty() && self.calls.is_empty()
    }

    fn absorb(&mut self, other: Turn) {
        self.words.push_str(&other.words);
        self.calls.extend(other.calls);
        self.call_ids.extend(other.call_ids);
    }
}

/// Arguments as one text: JSON in a string is as good as JSON, none are no arguments.
fn canonical_arguments(arguments: Option<&Value>) -> String {
    let text = match arguments {
        None | Some(Value::Null) => return "{}".to_string(),
        Some(Value::String(text)) if text.trim().is_empty() => return "{}".to_string(),
        Some(Value::String(text)) => text,
        Some(value) => return canonical_value(value),
    };
    match json::parse(text.trim().as_bytes()) {
        Ok(node) => canonical_value(&node.to_value()),
        Err(_) => text.trim().to_string(),
    }
}

/// Consecutive turns of the model, or of tools, are one; those that say nothing are none.
fn merged(turns: Vec<Turn>) -> Vec<Turn> {
    let mut out: Vec<Turn> = Vec::with_capacity(turns.len());
    for turn in turns.into_iter().filter(|turn| !turn.says_nothing()) {
        match out.last_mut() {
            Some(last) if last.who == turn.who && matches!(turn.who, Who::Model | Who::Tool) => {
                last.absorb(turn);
            }
            _ => out.push(turn),
        }
    }
    out
}

/// The hash of what turns say together; none when they say nothing.
pub fn hash_of(turns: &[Turn]) -> Option<Hash> {
    if turns.iter().all(Turn::says_nothing) {
        return None;
    }
    let mut text = String::new();
    turns.iter().for_each(|turn| text.push_str(&turn.words));
    for (name, arguments) in turns.iter().flat_map(|turn| &turn.calls) {
        // Neither name nor arguments hold a zero byte, so the parts cannot run into each other.
        text.push('\0');
        text.push_str(name);
        text.push('\0');
        text.push_str(arguments);
    }
    Some(hash128(text.as_bytes()))
}

/// What a request goes on from.
pub fn input_of(turns: Vec<Turn>) -> Option<Input> {
    let turns: Vec<Turn> = merged(turns).into_iter().filter(|turn| turn.who != Who::System).collect();
    let last = turns.last()?;
    Some(Input { last: hash_of(std::slice::from_ref(last))?, turns: turns.len() })
}

/// Messages in the normal form of a dialect.
pub fn of_messages(messages: &[Message]) -> Vec<Turn> {
    messages.iter().map(|message| of_blocks(message.role, &message.blocks)).collect()
}

/// One message in the normal form of a dialect.
pub fn of_blocks(role: Role, blocks: &[Block]) -> Turn {
    let mut turn = Turn::new(match role {
        Role::System => Who::System,
        Role::User => Who::User,
        Role::Assistant => Who::Model,
        Role::Tool => Who::Tool,
    });
    for block in blocks {
        match block {
            Block::Text { text } => turn.say(text),
            Block::ToolCall { id, name, args } => turn.call(Some(id), name, Some(args)),
            Block::ToolResult { text, .. } => {
                turn.who = Who::Tool;
                turn.say(text);
            }
            Block::Reasoning { .. } | Block::Other { .. } => {}
        }
    }
    turn
}

/// Messages as instrumentations write them: a text, a message, a list, or a whole request or answer of a provider.
pub fn read(value: &Value) -> Vec<Turn> {
    let mut turns = Vec::new();
    read_into(value, 0, &mut turns);
    turns
}

/// How deep messages may be wrapped.
const DEPTH: usize = 6;

fn read_into(value: &Value, depth: usize, turns: &mut Vec<Turn>) {
    match value {
        _ if depth > DEPTH => {}
        Value::String(text) => {
            let mut turn = Turn::new(Who::User);
            turn.say(text);
            turns.push(turn);
        }
        Value::Array(of) => of.iter().for_each(|each| read_into(each, depth + 1, turns)),
        Value::Object(fields) => {
            // A provider's answer or request, or a choice in one.
            for wrapper in ["choices", "output", "candidates", "messages", "input", "message"] {
                let inner = fields.get(wrapper).filter(|_| !is_message(fields));
                if let Some(inner) = inner.filter(|v| v.is_array() || v.is_object() || wrapper == "input") {
                    return read_into(inner, depth + 1, turns);
                }
            }
            turns.push(message(fields));
        }
        _ => {}
    }
}

/// True for a message or a part of one; what has neither wraps messages.
fn is_message(fields: &Map<String, Value>) -> bool {
    ["role", "type", "toolName"].iter().any(|key| fields.contains_key(*key))
}

fn text_of<'a>(fields: &'a Map<String, Value>, key: &str) -> &'a str {
    fields.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn first<'a>(fields: &'a Map<String, Value>, keys: &[&str]) -> Option<&'a Value> {
    keys.iter().find_map(|key| fields.get(*key))
}

fn message(fields: &Map<String, Value>) -> Turn {
    let mut turn = Turn::new(match text_of(fields, "role") {
        "system" | "developer" => Who::System,
        "assistant" | "model" | "ai" => Who::Model,
        "tool" | "function" => Who::Tool,
        _ => Who::User,
    });
    if is_part(fields) {
        part(fields, &mut turn);
        return turn;
    }
    for key in ["content", "parts"] {
        match fields.get(key) {
            Some(Value::String(text)) => turn.say(text),
            Some(Value::Array(parts)) => parts.iter().for_each(|each| match each {
                Value::String(text) => turn.say(text),
                Value::Object(each) => part(each, &mut turn),
                _ => {}
            }),
            // Gemini: one content with parts.
            Some(Value::Object(inner)) => turn.absorb(message(inner)),
            _ => {}
        }
    }
    for call in fields.get("tool_calls").and_then(Value::as_array).into_iter().flatten() {
        let Some(call) = call.as_object() else { continue };
        let function = call.get("function").and_then(Value::as_object).unwrap_or(call);
        let arguments = first(function, &["arguments", "args"]);
        turn.call(call.get("id").and_then(Value::as_str), text_of(function, "name"), arguments);
    }
    turn
}

/// True for an object that is a part by itself: an item of Responses, a block outside of a message.
fn is_part(fields: &Map<String, Value>) -> bool {
    !fields.contains_key("role") && !fields.contains_key("content") && !fields.contains_key("parts")
        || matches!(text_of(fields, "type"), "function_call" | "function_call_output" | "tool_result")
}

fn part(fields: &Map<String, Value>, turn: &mut Turn) {
    let id = |keys: &[&str]| first(fields, keys).and_then(Value::as_str);
    match text_of(fields, "type") {
        "text" | "input_text" | "output_text" => {
            let text = first(fields, &["text", "content"]).and_then(Value::as_str);
            turn.say(text.unwrap_or_default());
        }
        "tool_call" | "tool_use" | "tool-call" | "function_call" => {
            turn.who = Who::Model;
            let name = first(fields, &["name", "toolName"]).and_then(Value::as_str).unwrap_or_default();
            let arguments = first(fields, &["arguments", "input", "args"]);
            turn.call(id(&["call_id", "id", "toolCallId"]), name, arguments);
        }
        "tool_call_response" | "tool_result" | "tool-result" | "function_call_output" => {
            turn.who = Who::Tool;
            result(first(fields, &["result", "response", "content", "output"]), turn);
        }
        "" => bare_part(fields, turn),
        _ => {}
    }
}

/// A part without a type: Gemini's, or a call as the Vercel AI SDK lists them.
fn bare_part(fields: &Map<String, Value>, turn: &mut Turn) {
    if let Some(name) = fields.get("toolName").and_then(Value::as_str) {
        let id = fields.get("toolCallId").and_then(Value::as_str);
        return turn.call(id, name, first(fields, &["input", "args"]));
    }
    if let Some(call) = first(fields, &["functionCall", "function_call"]).and_then(Value::as_object) {
        turn.call(call.get("id").and_then(Value::as_str), text_of(call, "name"), call.get("args"));
    } else if let Some(answer) = first(fields, &["functionResponse", "function_response"]) {
        turn.who = Who::Tool;
        result(answer.get("response"), turn);
    } else if fields.get("thought") != Some(&Value::Bool(true)) {
        turn.say(text_of(fields, "text"));
    }
}

/// A tool's result: a text, parts with text, or JSON.
fn result(value: Option<&Value>, turn: &mut Turn) {
    match value {
        None | Some(Value::Null) => {}
        Some(Value::String(text)) => turn.say(text),
        Some(Value::Array(parts)) if parts.iter().all(|p| p.get("text").is_some()) => {
            parts.iter().filter_map(|p| p.get("text")?.as_str()).for_each(|text| turn.say(text));
        }
        Some(Value::Object(fields)) if fields.contains_key("value") && fields.contains_key("type") => {
            result(fields.get("value"), turn);
        }
        Some(other) => turn.say(&canonical_value(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn hash(value: Value) -> Option<Hash> {
        hash_of(&read(&value))
    }

    #[test]
    fn an_answer_is_the_same_in_every_writing() {
        let wire = [
            Block::Reasoning { text: "hm".into(), signed: true },
            Block::Text { text: "Let me look. ".into() },
            Block::ToolCall { id: "c1".into(), name: "w".into(), args: json!({"b": 1, "a": "x"}) },
        ];
        let expected = hash_of(&[of_blocks(Role::Assistant, &wire)]);
        assert!(expected.is_some());
        let arguments = r#"{"a":"x","b":1}"#;
        for writing in [
            json!([{"role": "assistant", "parts": [{"type": "text", "content": "Let me look."},
                {"type": "tool_call", "id": "?", "name": "w", "arguments": arguments}]}]),
            json!({"role": "assistant", "content": "Let me look.",
                "tool_calls": [{"id": "c1", "function": {"name": "w", "arguments": arguments}}]}),
            json!({"id": "x", "choices": [{"message": {"role": "assistant", "content": " Let me look.",
                "tool_calls": [{"id": "c1", "function": {"name": "w", "arguments": arguments}}]}}]}),
            json!({"id": "m", "type": "message", "role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "Let me look."},
                {"type": "tool_use", "id": "c1", "name": "w", "input": {"b": 1, "a": "x"}}]}),
            json!({"id": "r", "object": "response", "output": [
                {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Let me look."}]},
                {"type": "function_call", "call_id": "c1", "name": "w", "arguments": arguments}]}),
            json!({"role": "assistant", "content": [{"type": "text", "text": "Let me look."},
                {"type": "tool-call", "toolCallId": "c1", "toolName": "w", "input": {"a": "x", "b": 1}}]}),
            json!([{"role": "assistant", "content": "Let me look."},
                {"toolCallId": "c1", "toolName": "w", "input": arguments}]),
            json!({"candidates": [{"content": {"role": "model", "parts": [{"text": "hm", "thought": true},
                {"text": "Let me look."}, {"functionCall": {"name": "w", "args": {"a": "x", "b": 1}}}]}}]}),
        ] {
            assert_eq!(hash(writing.clone()), expected, "{writing}");
        }
        assert_ne!(hash(json!({"role": "assistant", "content": "Let me look."})), expected);
    }

    #[test]
    fn the_last_message_counts_with_how_many_there_are() {
        let chat = json!([
            {"role": "system", "content": "be brief"}, {"role": "user", "content": "weather?"},
            {"role": "assistant", "content": null, "tool_calls": [{"id": "1", "function": {"name": "w", "arguments": ""}}]},
            {"role": "tool", "tool_call_id": "1", "content": "rain"}]);
        let items = json!([
            {"role": "user", "content": "weather?"},
            {"type": "function_call", "call_id": "1", "name": "w", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "1", "output": "rain"}]);
        let parts = json!([
            {"role": "user", "parts": [{"type": "text", "content": "weather?"}]},
            {"role": "assistant", "parts": [{"type": "tool_call", "id": "1", "name": "w", "arguments": {}}]},
            {"role": "user", "parts": [{"type": "tool_call_response", "id": "1", "result": "rain"}]}]);
        let inputs = [chat, items, parts].map(|value| input_of(read(&value)));
        assert_eq!(inputs[0].map(|input| input.turns), Some(3));
        assert_eq!((inputs[0], inputs[0]), (inputs[1], inputs[2]));
    }

    #[test]
    fn what_says_nothing_has_no_hash() {
        for nothing in
            [json!(null), json!([]), json!(""), json!({"role": "assistant", "content": null}), json!(7)]
        {
            assert_eq!(hash(nothing.clone()), None, "{nothing}");
        }
        let mut deep = json!("x");
        for _ in 0..1000 {
            deep = json!([deep]);
        }
        assert_eq!(hash(deep), None);
    }
}
