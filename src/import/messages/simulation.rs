//! A simulation of tau2-bench: a conversation with tokens and times, and what it was about.

use super::conversation::{labels, named, no_answers, verdict};
use crate::dialect::conversation::Usage;
use crate::import::transcript::{Builder, missing, no_bytes, unsent};
use crate::import::{Foreign, said};
use serde_json::{Map, Value};

/// Reads a simulation. `file`: what stands around all of them.
///
/// # Errors
/// Says what is wrong with it.
pub(super) fn read(
    name: &str,
    file: &Map<String, Value>,
    simulation: &Value,
    builder: &mut Builder,
) -> Result<Foreign, String> {
    let fields = simulation.as_object().ok_or("it is no object")?;
    let messages = fields.get("messages").and_then(Value::as_array).ok_or("no \"messages\" in it")?;
    // What the simulated user does with tools of its own is not told to the agent.
    let messages: Vec<&Value> = messages.iter().filter(|message| !is_of_user(message)).collect();
    let mut chat = Vec::new();
    // The messages in the file that those of the chat came from.
    let mut origins = Vec::new();
    for (at, message) in messages.iter().enumerate() {
        if !super::is_message(message) {
            return Err(format!("message {at} has no \"role\""));
        }
        chat.extend(said::messages(message, "user"));
        origins.resize(chat.len(), at);
    }
    let model = file.get("info").and_then(|info| info.get("agent_info")?.get("llm")?.as_str());
    let time = |at: usize| messages.get(at)?.get("timestamp")?.as_str().and_then(microseconds);
    let exchanges = builder.conversation(&chat, |at, mut call| {
        let Some((origin, message)) = origins.get(at).and_then(|at| Some((*at, *messages.get(*at)?))) else {
            return call;
        };
        call.model = model.map(str::to_string);
        call.usage = message.get("usage").and_then(usage);
        let finish = message.get("raw_data").and_then(|raw| raw.get("finish_reason")?.as_str());
        call.finish = finish.map(str::to_string);
        // A message has the time at which it was whole; the call for it began behind the message before it.
        let begin = origin.checked_sub(1).and_then(time);
        call.times = begin.zip(time(origin)).filter(|(begin, end)| begin <= end);
        call
    })?;
    let mut labels = labels(fields);
    for key in ["domain_name", "llm"] {
        let of =
            ["environment_info", "agent_info"].iter().find_map(|of| file.get("info")?.get(*of)?.get(key));
        if let Some(text) = of.and_then(Value::as_str) {
            labels.insert(if key == "llm" { "model" } else { "domain" }.into(), text.into());
        }
    }
    let reward = fields.get("reward_info").and_then(|info| info.get("reward"));
    if let Some(reward) = reward.filter(|reward| reward.is_number()) {
        labels.insert("reward".into(), reward.to_string());
    }
    let mut lacks = vec![
        no_bytes(),
        missing("messages[role=system]: the file has the policy, not the prompt"),
        missing("request parameters"),
        missing("tools: definitions of what the model was offered"),
        missing("time zone of timestamps: they are read as UTC"),
    ];
    if exchanges.iter().any(|exchange| exchange.response.as_ref().is_none_or(|answer| answer.end_us == 0)) {
        lacks.push(missing("messages[].timestamp of some of them"));
    }
    if exchanges.is_empty() {
        lacks.push(no_answers());
    }
    lacks.extend(unsent(&chat));
    Ok(Foreign {
        name: named(name, &labels),
        started_us: fields.get("start_time").and_then(Value::as_str).and_then(microseconds),
        exchanges,
        exports: Vec::new(),
        succeeded: verdict(reward),
        labels,
        lacks,
    })
}

/// True for a call of the simulated user's own tools, and for its result.
fn is_of_user(message: &Value) -> bool {
    let has_calls =
        message.get("tool_calls").and_then(Value::as_array).is_some_and(|calls| !calls.is_empty());
    match message.get("role").and_then(Value::as_str) {
        Some("tool") => message.get("requestor").and_then(Value::as_str) == Some("user"),
        Some("user") => has_calls,
        _ => false,
    }
}

fn usage(of: &Value) -> Option<Usage> {
    let count = |key: &str| of.get(key).and_then(Value::as_u64);
    let (input, output) = (count("prompt_tokens")?, count("completion_tokens")?);
    Some(Usage { input, output, ..Usage::default() })
}

/// A time without a zone.
fn microseconds(text: &str) -> Option<u64> {
    let time: jiff::civil::DateTime = text.parse().ok()?;
    u64::try_from(time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_microsecond()).ok()
}
