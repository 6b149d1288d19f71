//! LangSmith's spans; the conventions say the rest.

use super::{Claims, Role};
use crate::span::Span;

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
}
