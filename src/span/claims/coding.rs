//! Coding agents with telemetry of their own: Claude Code, Codex.

use super::{Claims, Role, plain, usage};
use crate::span::Span;

pub(super) fn read(span: &Span, claims: &mut Claims) {
    if span.origin.scope.starts_with("com.anthropic.claude_code") {
        claude_code(span, claims);
    } else if span.origin.scope.starts_with("codex") {
        codex(span, claims);
    }
}

/// Of the hundreds of spans of a turn: the turn, its calls of the model, and its tools.
fn codex(span: &Span, claims: &mut Claims) {
    if span.name == "model_client.stream_responses_api" {
        claims.role(Role::Model);
        claims.fill(|c| &mut c.request_model, span, &["model"]);
    } else if span.name == "session_task.turn" {
        claims.role(Role::Agent);
        claims.agent = Some("codex".to_string());
        // Elsewhere it is a thread of the process.
        claims.fill(|c| &mut c.conversation, span, &["conversation.id", "thread.id"]);
    } else if let (Some(_), Some(call)) =
        (span.attributes.get("tool_source"), span.attributes.text("call_id"))
    {
        claims.role(Role::Tool);
        claims.fill(|c| &mut c.tool, span, &["tool_name"]);
        claims.call_ids.push(call.to_string());
    }
}

fn claude_code(span: &Span, claims: &mut Claims) {
    claims.role(match span.attributes.text("span.type") {
        Some("llm_request") => Role::Model,
        Some("tool" | "tool.execution") => Role::Tool,
        Some("interaction") => Role::Agent,
        _ => return,
    });
    match claims.role {
        Role::Model => {
            // What stands as the id of the answer is the id of the request.
            claims.fill(|c| &mut c.request_id, span, &["request_id"]);
            claims.told().usage = usage(
                span,
                [
                    &["input_tokens"],
                    &["output_tokens"],
                    &["cache_read_tokens"],
                    &["cache_creation_tokens"],
                    &[],
                ],
            )
            .map(|mut usage| {
                usage.input = usage.input.saturating_add(usage.cache_read).saturating_add(usage.cache_write);
                usage
            });
            claims.told().finish_reasons.extend(span.attributes.get("stop_reason").and_then(plain));
        }
        Role::Tool => {
            claims.fill(|c| &mut c.tool, span, &["tool_name"]);
            if span.attributes.text("gen_ai.tool.call.id").is_none() {
                claims.call_ids.extend(span.attributes.text("tool_use_id").map(str::to_string));
            }
        }
        _ => {}
    }
}
