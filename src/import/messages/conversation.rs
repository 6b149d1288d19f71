//! A conversation that says no more than its messages.

use crate::import::transcript::{Builder, missing, no_bytes, unsent};
use crate::import::{Foreign, Lack, Use, said};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The most labels that are taken from what stands beside the messages.
const LABELS: usize = 24;
/// The longest value of a label, in characters.
const LONGEST: usize = 100;

/// Reads a conversation with what stands beside it.
///
/// # Errors
/// Says what is wrong with it.
pub(super) fn read(
    name: &str,
    fields: &Map<String, Value>,
    messages: &[Value],
    builder: &mut Builder,
) -> Result<Foreign, String> {
    if let Some(at) = messages.iter().position(|message| !super::is_message(message)) {
        return Err(format!("message {at} has no \"role\""));
    }
    let chat: Vec<Value> = messages.iter().flat_map(|message| said::messages(message, "user")).collect();
    let tools = fields.get("tools").filter(|tools| tools.is_array());
    let model = fields.get("model").and_then(Value::as_str);
    let exchanges = builder.conversation(&chat, |_, mut call| {
        call.tools = tools.cloned();
        call.model = model.map(str::to_string);
        call
    })?;
    let mut lacks = vec![no_bytes(), missing("timestamps"), missing("usage"), missing("request parameters")];
    if tools.is_none() {
        lacks.push(missing("tools: definitions of what the model was offered"));
    }
    if model.is_none() {
        lacks.push(missing("model"));
    }
    if exchanges.is_empty() {
        lacks.push(no_answers());
    }
    lacks.extend(unsent(&chat));
    let labels = labels(fields);
    Ok(Foreign {
        name: named(name, &labels),
        started_us: None,
        exchanges,
        exports: Vec::new(),
        succeeded: verdict(fields.get("reward")),
        labels,
        lacks,
    })
}

/// What a conversation lacks in which no model is asked.
pub(super) fn no_answers() -> Lack {
    Lack {
        what: "messages of the assistant behind another message: there is no step".into(),
        spoils: vec![Use::View, Use::Diff, Use::Replay, Use::Fork],
    }
}

/// What it is called: trials of one task under one name.
pub(super) fn named(name: &str, labels: &BTreeMap<String, String>) -> String {
    match labels.get("task_id") {
        Some(task) => format!("{name}-{task}"),
        None => name.to_string(),
    }
}

/// Texts, numbers and truths that stand beside the messages.
pub(super) fn labels(fields: &Map<String, Value>) -> BTreeMap<String, String> {
    let plain = |value: &Value| match value {
        Value::String(text) if !text.is_empty() && text.chars().count() <= LONGEST => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    };
    let is_word = |name: &str| {
        !name.is_empty()
            && name.len() <= LONGEST
            && name.chars().all(|c| c.is_alphanumeric() || "_-.".contains(c))
    };
    let fields = fields.iter().filter(|(key, _)| is_word(key));
    fields.filter_map(|(key, value)| Some((key.clone(), plain(value)?))).take(LABELS).collect()
}

/// A reward of 1 is a success, a smaller one is none.
pub(super) fn verdict(reward: Option<&Value>) -> Option<bool> {
    reward?.as_f64().map(|reward| reward >= 1.0)
}
