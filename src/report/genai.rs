//! What a step says, in the attributes of OpenTelemetry's conventions for generative models.

use crate::dialect::conversation::{Block, Message, Role};
use crate::diff::RunView;
use crate::exchange::{ExchangeId, Upstream};
use crate::otlp::proto::{AnyValue, ArrayValue, KeyValue, Value as Attribute};
use crate::run::StepKind;
use serde_json::{Value, json};

/// What is known of a step beside its tokens and what it says. `server`: where an exchange went.
pub fn known(run: &RunView, step: u32, server: &dyn Fn(ExchangeId) -> Option<Upstream>) -> Vec<KeyValue> {
    let mut known = Vec::new();
    let mut tell = |key: &str, value: Attribute| {
        known.push(KeyValue { key: key.to_string(), value: Some(AnyValue { value: Some(value) }) });
    };
    match run.outline.step(step) {
        Some(StepKind::Model { lane, turn }) => {
            let Some(turn) = run.outline.turn(lane, turn) else { return known };
            if let Some(upstream) = turn.attempts.last().and_then(|id| server(*id)) {
                let (host, port) = place(&upstream.origin);
                tell("gen_ai.provider.name", Attribute::String(provider(&upstream.provider, host).into()));
                tell("server.address", Attribute::String(host.into()));
                tell("server.port", Attribute::Int(port.into()));
            }
            let Ok(answer) = run.answer_of(turn) else { return known };
            let texts = [("gen_ai.response.id", &answer.id), ("gen_ai.response.model", &answer.model)];
            for (key, text) in texts {
                text.iter().for_each(|text| tell(key, Attribute::String(text.clone())));
            }
            if let Some(reason) = &answer.stop_reason {
                let reason = AnyValue { value: Some(Attribute::String(reason.clone())) };
                tell("gen_ai.response.finish_reasons", Attribute::Array(ArrayValue { values: vec![reason] }));
            }
        }
        Some(StepKind::Tool { site }) => {
            let call = run.outline.call(site).filter(|call| !call.id.is_empty());
            call.iter().for_each(|call| tell("gen_ai.tool.call.id", Attribute::String(call.id.clone())));
        }
        None => {}
    }
    known
}

/// Host and port of an origin.
fn place(origin: &str) -> (&str, u16) {
    let (scheme, authority) = origin.split_once("://").unwrap_or(("https", origin));
    let usual = if scheme == "http" { 80 } else { 443 };
    match authority.rsplit_once(':').map(|(host, port)| (host, port.parse())) {
        Some((host, Ok(port))) => (host, port),
        _ => (authority, usual),
    }
}

/// A provider, as the conventions call it. One that was found behind a host of its own has that host's name here.
fn provider<'a>(name: &'a str, host: &str) -> &'a str {
    match (name, host) {
        ("gemini", _) | (_, "generativelanguage.googleapis.com") => "gcp.gemini",
        ("bedrock", _) => "aws.bedrock",
        ("azure", _) => "azure.ai.openai",
        ("mistral", _) | (_, "api.mistral.ai") => "mistral_ai",
        ("xai", _) | (_, "api.x.ai") => "x_ai",
        (_, "api.openai.com") => "openai",
        (_, "api.anthropic.com") => "anthropic",
        (_, host) if host.starts_with("bedrock-runtime.") => "aws.bedrock",
        (name, _) => name,
    }
}

/// Attributes with the texts of a step: messages of a model call, arguments and result of a tool. What cannot be read is
/// left out.
pub fn said(run: &RunView, step: u32) -> Vec<(String, String)> {
    let mut said = Vec::new();
    let mut tell = |name: &str, value: Value| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_string);
        said.push((name.to_string(), text));
    };
    match run.outline.step(step) {
        Some(StepKind::Model { lane, turn }) => {
            let Some(turn) = run.outline.turn(lane, turn) else { return said };
            if let Ok(request) = run.request_of(turn) {
                if !request.system.is_empty() {
                    tell("gen_ai.system_instructions", parts(&request.system));
                }
                tell("gen_ai.input.messages", request.messages.iter().map(message).collect());
            }
            if let Ok(answer) = run.answer_of(turn) {
                let own = Message { role: Role::Assistant, blocks: answer.blocks.clone() };
                tell("gen_ai.output.messages", json!([message(&own)]));
            }
        }
        Some(StepKind::Tool { site }) => {
            tell("gen_ai.tool.call.arguments", run.full_args(site).unwrap_or_default());
            let result = run.outline.call(site).and_then(|call| run.full_result(call).ok().flatten());
            if let Some(result) = result {
                tell("gen_ai.tool.call.result", result.text.into());
            }
        }
        None => {}
    }
    said
}

fn message(message: &Message) -> Value {
    let role = match message.role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
    };
    json!({ "role": role, "parts": parts(&message.blocks) })
}

fn parts(blocks: &[Block]) -> Value {
    let part = |block: &Block| match block {
        Block::Text { text } => json!({ "type": "text", "content": text }),
        Block::Reasoning { text, .. } => json!({ "type": "reasoning", "content": text }),
        Block::ToolCall { id, name, args } => {
            json!({ "type": "tool_call", "id": id, "name": name, "arguments": args })
        }
        Block::ToolResult { call_id, text, .. } => {
            json!({ "type": "tool_call_response", "id": call_id, "result": text })
        }
        Block::Other { value } => value.clone(),
    };
    blocks.iter().map(part).collect()
}
