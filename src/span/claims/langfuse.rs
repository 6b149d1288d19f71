//! Langfuse: no id of the answer, but its content.

use super::{Claims, Role, messages, plain, tokens};
use crate::span::Span;
use crate::span::value::structured;
use serde_json::Value;

pub(super) fn read(span: &Span, claims: &mut Claims) {
    claims.role(match span.attributes.text("langfuse.observation.type") {
        Some("generation") => Role::Model,
        Some("embedding") => Role::Embedding,
        Some("tool") => Role::Tool,
        Some("agent") => Role::Agent,
        Some("chain") => Role::Workflow,
        _ => return,
    });
    match claims.role {
        Role::Tool => claims.tool = Some(span.name.clone()),
        Role::Agent => claims.agent = Some(span.name.clone()),
        _ => {}
    }
    if !matches!(claims.role, Role::Model | Role::Embedding) {
        return;
    }
    claims.fill(|c| &mut c.response_model, span, &["langfuse.observation.model.name"]);
    if let Some(output) = span.attributes.get("langfuse.observation.output") {
        claims.answered(&messages(output));
    }
    if let Some(input) = span.attributes.get("langfuse.observation.input") {
        claims.asked(messages(input));
    }
    if let Some(reason) = span.attributes.get("langfuse.observation.metadata.finish_reason").and_then(plain) {
        claims.told().finish_reasons = vec![reason.trim_matches('"').to_string()];
    }
    let told = span.attributes.get("langfuse.observation.usage_details").and_then(structured);
    let told = told.unwrap_or_default();
    let number = |path: &str| path.split('/').try_fold(&told, |at, key| at.get(key)).and_then(Value::as_u64);
    claims.told().usage = tokens(
        &number,
        [
            &["prompt_tokens", "input_tokens", "input"],
            &["completion_tokens", "output_tokens", "output"],
            &[
                "prompt_tokens_details/cached_tokens",
                "input_tokens_details/cached_tokens",
                "cache_read_input_tokens",
            ],
            &["cache_creation_input_tokens"],
            &["completion_tokens_details/reasoning_tokens", "output_tokens_details/reasoning_tokens"],
        ],
    );
}
