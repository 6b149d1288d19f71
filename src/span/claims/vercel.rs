//! The Vercel AI SDK: one span for the loop, one for each step of the model in it.

use super::{Claims, Role, messages, plain, usage};
use crate::span::Span;
use crate::span::content::{Turn, Who};

pub(super) fn read(span: &Span, claims: &mut Claims) {
    let Some(operation) = span.attributes.text("ai.operationId") else { return };
    claims.role(match operation {
        "ai.toolCall" => Role::Tool,
        step if step.ends_with(".doGenerate") || step.ends_with(".doStream") => Role::Model,
        step if step.ends_with(".doEmbed") => Role::Embedding,
        loops if loops.contains("generate") || loops.contains("stream") => Role::Agent,
        _ => return,
    });
    claims.fill(|c| &mut c.tool, span, &["ai.toolCall.name"]);
    claims.fill(|c| &mut c.session, span, &["ai.telemetry.metadata.sessionId"]);
    claims.call_ids.extend(span.attributes.text("ai.toolCall.id").map(str::to_string));
    if claims.role == Role::Agent {
        claims.fill(|c| &mut c.agent, span, &["ai.telemetry.functionId"]);
    }
    if !matches!(claims.role, Role::Model | Role::Embedding) {
        return;
    }
    claims.fill(|c| &mut c.response_id, span, &["ai.response.id"]);
    claims.fill(|c| &mut c.request_model, span, &["ai.model.id"]);
    claims.fill(|c| &mut c.response_model, span, &["ai.response.model"]);
    claims.fill(|c| &mut c.told().provider, span, &["ai.model.provider"]);
    claims.told().finish_reasons.extend(span.attributes.get("ai.response.finishReason").and_then(plain));
    claims.told().usage = usage(
        span,
        [
            &["ai.usage.inputTokens", "ai.usage.promptTokens"],
            &["ai.usage.outputTokens", "ai.usage.completionTokens"],
            &["ai.usage.inputTokenDetails.cacheReadTokens", "ai.usage.cachedInputTokens"],
            &["ai.usage.inputTokenDetails.cacheWriteTokens"],
            &["ai.usage.outputTokenDetails.reasoningTokens", "ai.usage.reasoningTokens"],
        ],
    );
    let mut turns = Vec::new();
    if let Some(text) = span.attributes.text("ai.response.text") {
        let mut turn = Turn::new(Who::Model);
        turn.say(text);
        turns.push(turn);
    }
    turns.extend(span.attributes.get("ai.response.toolCalls").into_iter().flat_map(messages));
    claims.answered(&turns);
    if let Some(prompt) = span.attributes.get("ai.prompt.messages") {
        claims.asked(messages(prompt));
    }
}
