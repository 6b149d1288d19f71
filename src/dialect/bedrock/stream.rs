//! An answer of `ConverseStream` under construction.

use crate::dialect::content::arguments_of;
use crate::dialect::reply;
use crate::exchange::json::{self, Node};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// What a block has been told to be so far.
#[derive(Default)]
struct Block {
    text: String,
    citations: Vec<Value>,
    call: Option<Map<String, Value>>,
    /// The JSON of the call's arguments, as far as it came.
    input: String,
    reasoning: Option<Map<String, Value>>,
    redacted: Option<Value>,
    /// What is none of these.
    others: Map<String, Value>,
}

/// An answer, as far as it came.
#[derive(Default)]
pub(super) struct Growing {
    blocks: BTreeMap<u64, Block>,
    head: Map<String, Value>,
    /// It said why it stopped.
    pub(super) done: bool,
    /// A failure that ended it.
    pub(super) error: Option<String>,
}

impl Growing {
    /// Takes an event, as a transcript has it. In a chunk the event's name is the one member of what is in it.
    pub(super) fn add(&mut self, name: &str, data: &str) {
        if let Some(kind) = name.strip_prefix("exception:") {
            let said = json::parse(data.as_bytes()).ok().and_then(|root| reply::said_error(&root));
            self.error = Some(said.unwrap_or_else(|| format!("{kind} {data}").trim().to_string()));
            return;
        }
        let Ok(data) = json::parse(data.as_bytes()) else { return };
        match (name, data.members()) {
            ("chunk", [only, ..]) => self.event(&only.key, &only.value),
            _ => self.event(name, &data),
        }
    }

    fn event(&mut self, name: &str, data: &Node<'_>) {
        match name {
            "contentBlockStart" => {
                let block = self.block(data);
                if let Some(call) = data.get("start").and_then(|s| s.get("toolUse")) {
                    block.call = call.to_value().as_object().cloned();
                }
            }
            "contentBlockDelta" => {
                let block = self.block(data);
                for member in data.get("delta").iter().flat_map(|d| d.members()) {
                    block.grow(&member.key, &member.value);
                }
            }
            "messageStop" => {
                self.take(data);
                self.done = true;
            }
            "metadata" => self.take(data),
            _ => {}
        }
    }

    fn block(&mut self, data: &Node<'_>) -> &mut Block {
        self.blocks.entry(data.u64_of("contentBlockIndex").unwrap_or_default()).or_default()
    }

    fn take(&mut self, data: &Node<'_>) {
        let members = data.members().iter().filter(|m| m.key != "p");
        self.head.extend(members.map(|m| (m.key.to_string(), m.value.to_value())));
    }

    pub(super) fn into_value(self) -> Value {
        let content: Vec<Value> = self.blocks.into_values().filter_map(Block::into_value).collect();
        let mut head = self.head;
        head.insert("output".into(), json!({"message": {"role": "assistant", "content": content}}));
        Value::Object(head)
    }
}

impl Block {
    fn grow(&mut self, kind: &str, delta: &Node<'_>) {
        match kind {
            "text" => self.text.push_str(delta.as_str().unwrap_or_default()),
            "citation" => self.citations.push(delta.to_value()),
            "toolUse" => {
                self.call.get_or_insert_default();
                match delta.get("input") {
                    // Nova sends the arguments of an unstreamed call as they are.
                    Some(input) if input.as_str().is_none() => {
                        self.input.push_str(&crate::exchange::canon::text_of_value(&input.to_value()));
                    }
                    input => self.input.push_str(input.and_then(Node::as_str).unwrap_or_default()),
                }
            }
            "reasoningContent" => {
                for member in delta.members() {
                    match (&*member.key, member.value.as_str()) {
                        ("redactedContent", _) => self.redacted = Some(member.value.to_value()),
                        (key, Some(piece)) => {
                            let said = self.reasoning.get_or_insert_default();
                            match said.entry(key).or_insert(Value::Null) {
                                Value::String(text) => text.push_str(piece),
                                other => *other = Value::from(piece),
                            }
                        }
                        _ => {}
                    }
                }
            }
            kind => drop(self.others.insert(kind.to_string(), delta.to_value())),
        }
    }

    /// The block as an answer in one piece has it.
    fn into_value(self) -> Option<Value> {
        if let Some(mut call) = self.call {
            call.insert("input".into(), arguments_of(&self.input));
            return Some(json!({"toolUse": call}));
        }
        match (self.redacted, self.reasoning) {
            (Some(redacted), _) => return Some(json!({"reasoningContent": {"redactedContent": redacted}})),
            (None, Some(said)) => return Some(json!({"reasoningContent": {"reasoningText": said}})),
            (None, None) => {}
        }
        match (self.citations.is_empty(), self.text.is_empty()) {
            (false, _) => {
                let content = json!([{"text": self.text}]);
                Some(json!({"citationsContent": {"content": content, "citations": self.citations}}))
            }
            (true, false) => Some(json!({"text": self.text})),
            (true, true) => (!self.others.is_empty()).then_some(Value::Object(self.others)),
        }
    }
}
