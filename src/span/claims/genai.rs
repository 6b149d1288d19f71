//! The GenAI conventions of OpenTelemetry in all their generations, and what others put beside them: the official
//! instrumentations, the Anthropic SDK, openlit, pydantic-ai, Logfire.

use super::{Claims, Role, messages, usage, words};
use crate::span::Span;
use crate::span::content::{Turn, Who};
use serde_json::Value;
use std::collections::BTreeMap;

pub(super) fn read(span: &Span, claims: &mut Claims) {
    if let Some(role) = span.attributes.text("gen_ai.operation.name").and_then(role_of) {
        claims.role(role);
    }
    claims.fill(|c| &mut c.response_id, span, &["gen_ai.response.id"]);
    claims.fill(
        |c| &mut c.request_id,
        span,
        &["anthropic.request.id", "openai.request.id", "gen_ai.openai.request.id"],
    );
    claims.fill(|c| &mut c.request_model, span, &["gen_ai.request.model"]);
    claims.fill(|c| &mut c.response_model, span, &["gen_ai.response.model"]);
    claims.fill(|c| &mut c.told().provider, span, &["gen_ai.provider.name", "gen_ai.system"]);
    claims.fill(|c| &mut c.tool, span, &["gen_ai.tool.name"]);
    claims.fill(|c| &mut c.agent, span, &["gen_ai.agent.name", "agent_name"]);
    claims.fill(|c| &mut c.agent_id, span, &["gen_ai.agent.call.id", "gen_ai.agent.id"]);
    claims.fill(|c| &mut c.conversation, span, &["gen_ai.conversation.id"]);
    if claims.told().finish_reasons.is_empty() {
        let told = ["gen_ai.response.finish_reasons", "anthropic.message.stop_reason"];
        claims.told().finish_reasons =
            told.iter().find_map(|name| span.attributes.get(name)).map(words).unwrap_or_default();
    }
    let told = claims.told();
    told.usage = told.usage.or_else(|| {
        usage(
            span,
            [
                &["gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"],
                &["gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"],
                &["gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens"],
                &[
                    "gen_ai.usage.cache_write.input_tokens",
                    "gen_ai.usage.cache_creation.input_tokens",
                    "gen_ai.usage.cache_creation_input_tokens",
                ],
                &[
                    "gen_ai.usage.reasoning.output_tokens",
                    "gen_ai.usage.reasoning_tokens",
                    "gen_ai.usage.details.reasoning_tokens",
                ],
            ],
        )
    });
    if let Some(id) = span.attributes.text("gen_ai.tool.call.id") {
        // openlit puts the id of the call that is asked for on the span of the model.
        let ids = if claims.role == Role::Model { &mut claims.asked_ids } else { &mut claims.call_ids };
        ids.push(id.to_string());
    }
    if matches!(claims.role, Role::Model | Role::Embedding) {
        read_content(span, claims);
    }
}

fn role_of(operation: &str) -> Option<Role> {
    Some(match operation {
        "chat" | "text_completion" | "generate_content" | "completion" | "responses" => Role::Model,
        "embeddings" | "embedding" => Role::Embedding,
        "execute_tool" => Role::Tool,
        "invoke_agent" | "create_agent" => Role::Agent,
        "invoke_workflow" | "chain" => Role::Workflow,
        _ => return None,
    })
}

fn read_content(span: &Span, claims: &mut Claims) {
    let first = |names: &[&str]| names.iter().find_map(|name| span.attributes.get(name)).map(messages);
    if let Some(turns) = first(&["gen_ai.output.messages", "gen_ai.completion", "response_data"]) {
        claims.answered(&turns);
    }
    if let Some(turns) = first(&["gen_ai.input.messages", "gen_ai.prompt"]) {
        claims.asked(turns);
    }
    claims.answered(&flat(span, "gen_ai.completion.", Who::Model));
    claims.asked(flat(span, "gen_ai.prompt.", Who::User));
}

/// Messages spread over attributes, as OpenLLMetry did: `gen_ai.completion.0.tool_calls.0.name`.
fn flat(span: &Span, prefix: &str, who: Who) -> Vec<Turn> {
    let mut found: BTreeMap<usize, BTreeMap<&str, &Value>> = BTreeMap::new();
    for (name, value) in &span.attributes.0 {
        let Some((at, field)) = name.strip_prefix(prefix).and_then(|rest| rest.split_once('.')) else {
            continue;
        };
        if let Ok(at) = at.parse() {
            found.entry(at).or_default().insert(field, value);
        }
    }
    found.into_values().map(|fields| flat_turn(&fields, who)).collect()
}

fn flat_turn(fields: &BTreeMap<&str, &Value>, who: Who) -> Turn {
    let text = |name: &str| fields.get(name).and_then(|value| value.as_str());
    let mut turn = Turn::new(match text("role") {
        Some("system" | "developer") => Who::System,
        Some("assistant") => Who::Model,
        Some("tool") => Who::Tool,
        Some("user") => Who::User,
        _ => who,
    });
    turn.say(text("content").unwrap_or_default());
    let mut at = 0;
    while let Some(name) = text(&format!("tool_calls.{at}.name")) {
        let id = text(&format!("tool_calls.{at}.id"));
        turn.call(id, name, fields.get(format!("tool_calls.{at}.arguments").as_str()).copied());
        at += 1;
    }
    turn
}
