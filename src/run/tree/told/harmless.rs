//! Which attributes may leave without being asked for.

/// Attributes that say what a span is, not what is said in it: their names, or beginnings of them.
const HARMLESS: [&str; 31] = [
    "gen_ai.operation.name",
    "gen_ai.provider.name",
    "gen_ai.system",
    "gen_ai.request.",
    "gen_ai.response.",
    "gen_ai.usage.",
    "gen_ai.tool.name",
    "gen_ai.tool.type",
    "gen_ai.tool.call.id",
    "gen_ai.agent.",
    "gen_ai.conversation.id",
    "gen_ai.workflow.name",
    "gen_ai.output.type",
    "gen_ai.data_source.id",
    "openinference.span.kind",
    "llm.model_name",
    "llm.system",
    "llm.provider",
    "llm.token_count.",
    "tool.name",
    "session.id",
    "http.",
    "server.",
    "network.",
    "url.scheme",
    "mcp.method.name",
    "rpc.",
    "error.type",
    "exception.type",
    "service.",
    "telemetry.",
];

/// The names of a harmless beginning that are not harmless.
const HARMFUL: [&str; 4] =
    ["http.request.body", "http.response.body", "http.request.header", "http.response.header"];

/// True for an attribute that says what a span is, not what is said in it.
pub(super) fn is_harmless(key: &str) -> bool {
    let begins = |with: &str| key == with || with.ends_with('.') && key.starts_with(with);
    HARMLESS.iter().any(|name| begins(name)) && !HARMFUL.iter().any(|name| key.starts_with(name))
}
