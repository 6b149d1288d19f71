//! LangSmith's spans; the conventions say the rest.

use super::{Claims, Role, tokens};
use crate::span::Span;
use crate::span::value::structured;
use serde_json::Value;

pub(super) fn read(span: &Span, claims: &mut Claims) {
    claims.role(match span.attributes.text("langsmith.span.kind") {
        Some("llm") => Role::Model,
        Some("embedding") => Role::Embedding,
        Some("tool") => Role::Tool,
        Some("chain") => Role::Workflow,
        _ => return,
    });
    claims.fill(|c| &mut c.session, span, &["langsmith.trace.session_id", "langsmith.metadata.session_id"]);
    if claims.role == Role::Tool {
        claims.fill(|c| &mut c.tool, span, &["gen_ai.tool.name"]);
        claims.tool.get_or_insert_with(|| span.name.clone());
    }
    let told =
        span.attributes.get("langsmith.metadata.usage_metadata").and_then(structured).unwrap_or_default();
    let number = |path: &str| path.split('/').try_fold(&told, |at, key| at.get(key)).and_then(Value::as_u64);
    claims.told().usage = tokens(
        &number,
        [
            &["input_tokens"],
            &["output_tokens"],
            &["input_token_details/cache_read"],
            &["input_token_details/cache_creation"],
            &["output_token_details/reasoning"],
        ],
    );
}
