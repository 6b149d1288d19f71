//! OpenLLMetry, which the Traceloop SDK and Laminar stand on.

use super::{Claims, Role, messages, usage};
use crate::span::Span;

pub(super) fn read(span: &Span, claims: &mut Claims) {
    let name = |suffix: &str| Some(span.name.strip_suffix(suffix).unwrap_or(&span.name).to_string());
    match span.attributes.first_text(&["traceloop.span.kind", "lmnr.span.type", "llm.request.type"]) {
        Some("tool" | "TOOL") => claims.role(Role::Tool),
        Some("agent") => claims.role(Role::Agent),
        Some("workflow") => claims.role(Role::Workflow),
        Some("LLM" | "chat" | "completion") => claims.role(Role::Model),
        Some("embedding") => claims.role(Role::Embedding),
        _ if span.origin.scope.contains("instrumentation.mcp") && span.name.ends_with(".mcp") => {
            claims.role(Role::Mcp);
            claims.rpc().method = name(".mcp");
        }
        _ => {}
    }
    match claims.role {
        Role::Tool => {
            claims.fill(|c| &mut c.tool, span, &["traceloop.entity.name"]);
            if claims.tool.is_none() {
                claims.tool = name(".tool");
            }
        }
        Role::Agent => claims.fill(|c| &mut c.agent, span, &["traceloop.entity.name"]),
        Role::Model => {
            let told = claims.told();
            told.usage = told.usage.or_else(|| {
                let all: [&[&str]; 5] = [
                    &["llm.usage.prompt_tokens", "gen_ai.usage.input_tokens"],
                    &["llm.usage.completion_tokens", "gen_ai.usage.output_tokens"],
                    &["gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens"],
                    &["gen_ai.usage.cache_creation.input_tokens", "gen_ai.usage.cache_creation_input_tokens"],
                    &["gen_ai.usage.reasoning_tokens"],
                ];
                usage(span, all)
            });
            if let Some(input) = span.attributes.get("lmnr.span.input") {
                claims.asked(messages(input));
            }
        }
        _ => {}
    }
    claims.fill(|c| &mut c.rpc().id, span, &["mcp.request.id"]);
    let session = [
        "traceloop.association.properties.session_id",
        "traceloop.association.properties.thread_id",
        "lmnr.association.properties.session_id",
    ];
    claims.fill(|c| &mut c.session, span, &session);
}
