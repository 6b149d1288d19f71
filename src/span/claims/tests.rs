//! What spans of every family say of themselves, in what was captured of them.

use super::{Claims, Role, row};
use crate::otlp::{Batch, Encoding, Signal};
use crate::span::{Attributes, Origin, Side, Span, SpanId, SpanKey, Status, TraceId, spans};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/otlp")
}

/// The spans of a capture.
fn spans_of(folder: &Path) -> Vec<Span> {
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let traces = files.iter().filter(|file| file.to_string_lossy().contains("-traces."));
    traces
        .flat_map(|file| {
            let encoding =
                if file.extension().unwrap() == "pb" { Encoding::Protobuf } else { Encoding::Json };
            match Batch::read(Signal::Traces, encoding, &std::fs::read(file).unwrap()) {
                Ok(Batch::Traces(traces)) => spans(&traces),
                other => panic!("{other:?}"),
            }
        })
        .collect()
}

/// The claims of the first span of a capture with this name and role.
fn claims(capture: &str, name: &str, role: Role) -> Claims {
    let all = spans_of(&folder().join(capture));
    let of_name = all.iter().filter(|span| span.name == name).map(Claims::of);
    let mut found: Vec<Claims> = of_name.filter(|claims| claims.role == role && !claims.open).collect();
    found.sort_by_key(|claims| claims.start_ns);
    found.into_iter().next().unwrap_or_else(|| panic!("{capture}: no {name} that is a {role:?}"))
}

/// A span made up of attributes.
fn made_up(name: &str, scope: &str, attributes: Value) -> Claims {
    Claims::of(&Span {
        key: SpanKey { trace: TraceId([1; 16]), span: SpanId([1; 8]) },
        parent: None,
        name: name.into(),
        side: Side::Internal,
        start_ns: 1,
        end_ns: 2,
        status: Status::Error("no".into()),
        attributes: Attributes(attributes.as_object().unwrap().clone().into_iter().collect()),
        events: vec![],
        links: vec![],
        origin: Arc::new(Origin { scope: scope.into(), ..Origin::default() }),
    })
}

fn some(text: &str) -> Option<String> {
    Some(text.to_string())
}

#[test]
fn calls_of_models_say_answer_model_and_tokens() {
    // Capture, name, id of the answer, model that answered, input and output tokens, why it stopped.
    for (capture, name, id, model, tokens, reason) in [
        ("par-genai-content", "chat gpt-y", some("chatcmpl-0001"), "gpt-y-2026", (11, 7), "stop"),
        ("par-openinference", "ChatCompletion", some("chatcmpl-0001"), "gpt-y-2026", (11, 7), "stop"),
        ("par-openllmetry", "openai.chat", some("chatcmpl-0001"), "gpt-y-2026", (11, 7), "stop"),
        ("par-langfuse", "OpenAI-generation", None, "gpt-y-2026", (11, 7), ""),
        ("py-lmnr-http", "anthropic.chat", some("msg_0003"), "claude-x-2026", (16, 7), ""),
        ("py-openlit", "chat gpt-x", some("chatcmpl-0001"), "gpt-x-2026", (11, 7), "tool_calls"),
        ("py-langsmith-otel", "ChatOpenAI", some("chatcmpl-0001"), "gpt-x-2026", (11, 7), "stop"),
        ("py-pydantic-ai-logfire", "chat claude-x", some("msg_0003"), "claude-x-2026", (16, 7), "stop"),
        ("node-ai-sdk", "ai.generateText.doGenerate", some("resp_0001"), "gpt-x-2026", (11, 7), "tool-calls"),
        ("node-undici", "anthropic.messages.create", some("msg_0008"), "claude-x-2026", (16, 7), "end_turn"),
        ("claude-code-json", "claude_code.llm_request", None, "", (16, 7), "tool_use"),
    ] {
        let of = claims(capture, name, Role::Model);
        assert_eq!(of.response_id, id, "{capture}");
        assert_eq!(of.response_model.as_deref().unwrap_or_default(), model, "{capture}");
        let told = of.told.unwrap();
        let usage = told.usage.unwrap();
        assert_eq!((usage.input, usage.output, usage.cache_read), (tokens.0, tokens.1, 3), "{capture}");
        assert_eq!(told.finish_reasons.first().map(String::as_str).unwrap_or_default(), reason, "{capture}");
    }
    assert_eq!(
        claims("claude-code-json", "claude_code.llm_request", Role::Model).request_id,
        some("req_0001")
    );
    assert_eq!(claims("node-undici", "anthropic.messages.create", Role::Model).request_id, some("req_0008"));
}

#[test]
fn calls_that_are_asked_for_and_tools_that_carry_them_out_have_the_same_id() {
    for (capture, model, tool) in [
        ("py-pydantic-ai-logfire", "chat gpt-x", "execute_tool get_weather"),
        ("node-ai-sdk", "ai.generateText.doGenerate", "ai.toolCall"),
    ] {
        let (asked, done) = (claims(capture, model, Role::Model), claims(capture, tool, Role::Tool));
        assert_eq!(
            (&asked.asked_ids, &done.call_ids),
            (&vec!["call_0001".into()], &vec!["call_0001".into()])
        );
        assert_eq!(done.tool, some("get_weather"), "{capture}");
        assert_eq!((asked.call_ids.len(), done.asked_ids.len()), (0, 0));
    }
    for (capture, name) in [
        ("py-openlit", "chat gpt-x"),
        ("py-openllmetry", "openai.chat"),
        ("py-agents-openinference", "response"),
        ("py-zerocode", "ChatCompletion"),
    ] {
        assert_eq!(claims(capture, name, Role::Model).asked_ids, ["call_0001"], "{capture}");
    }
    assert_eq!(claims("claude-code-json", "claude_code.tool", Role::Tool).call_ids, ["toolu_0001"]);
    assert_eq!(claims("py-langsmith-otel", "get_weather", Role::Tool).tool, some("get_weather"));
    assert_eq!(claims("py-agents-openinference", "get_weather", Role::Tool).tool, some("get_weather"));
    assert_eq!(claims("mcp-stdio-openllmetry", "bad.tool", Role::Tool).tool, some("bad"));
    assert_eq!(claims("py-lmnr-http", "get_weather", Role::Tool).session, some("sess-9"));
}

#[test]
fn agents_have_names_and_conversations() {
    let pydantic = claims("py-pydantic-ai-logfire", "invoke_agent Claudey", Role::Agent);
    assert_eq!(pydantic.agent, some("Claudey"));
    assert!(
        pydantic.agent_id.is_some()
            && pydantic.conversation.is_some()
            && pydantic.agent_id != pydantic.conversation
    );
    let claude = claims("claude-code-json", "claude_code.interaction", Role::Agent);
    assert!(claude.session.is_some() && claude.session == claude.conversation);
    assert_eq!(claims("py-agents-openinference", "Main", Role::Agent).agent, some("Main"));
    assert_eq!(claims("node-ai-sdk", "ai.generateText", Role::Agent).agent, some("fn-1"));
    assert_eq!(claims("par-langfuse", "agent", Role::Agent).agent, some("agent"));
}

#[test]
fn other_spans_have_roles_too() {
    let mcp = claims("mcp-http", "MCP send tools/call get_weather", Role::Mcp);
    let rpc = mcp.rpc.unwrap();
    assert_eq!((rpc.method, rpc.id, mcp.tool), (some("tools/call"), some("3"), some("get_weather")));
    claims("node-undici", "POST", Role::Http);
    claims("py-zerocode", "POST", Role::Http);
    claims("py-openlit", "embeddings emb-x", Role::Embedding);
    claims("py-agents-openinference", "turn", Role::Workflow);
    claims("par-langfuse", "agent", Role::Agent);
    claims("claude-code-json", "claude_code.tool.blocked_on_user", Role::Other);
    let log = claims(
        "py-logfire-openai",
        "streaming response from {request_data[model]!r} took {duration:.2f}s",
        Role::Model,
    );
    assert!(log.log && log.start_ns == log.end_ns);
}

#[test]
fn older_and_odder_writings_are_read() {
    let old = made_up(
        "openai.chat",
        "",
        json!({
            "llm.request.type": "chat", "gen_ai.system": "OpenAI", "gen_ai.request.model": "m",
            "gen_ai.prompt.0.role": "user", "gen_ai.prompt.0.content": "hi",
            "gen_ai.completion.0.role": "assistant", "gen_ai.completion.0.content": "hello",
            "gen_ai.completion.0.tool_calls.0.id": "c1", "gen_ai.completion.0.tool_calls.0.name": "t",
            "gen_ai.completion.0.tool_calls.0.arguments": "{}",
            "gen_ai.usage.prompt_tokens": 5, "gen_ai.usage.completion_tokens": "6",
        }),
    );
    let new = made_up(
        "chat m",
        "",
        json!({
            "gen_ai.operation.name": "chat",
            "gen_ai.input.messages": [{"role": "user", "parts": [{"type": "text", "content": "hi"}]}],
            "gen_ai.output.messages": [{"role": "assistant", "parts": [{"type": "text", "content": "hello"},
                {"type": "tool_call", "id": "c1", "name": "t", "arguments": null}]}],
            "gen_ai.response.finish_reasons": "[\"stop\"]",
        }),
    );
    assert_eq!((old.role, old.error.as_deref()), (Role::Model, Some("no")));
    assert!(old.output.is_some() && old.input.is_some());
    assert_eq!((old.output, old.input, &old.asked_ids), (new.output, new.input, &new.asked_ids));
    let (old, new_told) = (old.told.unwrap(), new.told.unwrap());
    assert_eq!(old.usage.map(|usage| (usage.input, usage.output)), Some((5, 6)));
    assert_eq!((new_told.usage, new_told.finish_reasons.as_slice()), (None, &["stop".to_string()][..]));

    // OpenInference does not begin to count at 0, and writes a message in pieces.
    let odd = made_up(
        "x",
        "",
        json!({
            "openinference.span.kind": "LLM", "output.value": "not JSON {",
            "llm.input_messages.1.message.role": "user",
            "llm.input_messages.1.message.contents.0.message_content.text": "hi",
            "llm.input_messages.x.message.role": "user", "llm.input_messages.2": 5,
        }),
    );
    assert_eq!((odd.input, odd.output, odd.response_id), (new.input, None, None));

    // An answer in a schema is what the model said.
    let schema = |output: Value| {
        made_up(
            "x",
            "",
            json!({"langfuse.observation.type": "generation", "langfuse.observation.output": output}),
        )
        .output
    };
    assert!(schema(json!("{\"answer\": 5}")).is_some());
    assert_ne!(schema(json!("{\"answer\": 5}")), schema(json!("{\"answer\": 6}")));

    let codex = made_up("model_client.stream_responses_api", "codex_exec", json!({"model": "gpt-5.1"}));
    assert_eq!((codex.role, codex.request_model), (Role::Model, some("gpt-5.1")));
    let turn = made_up("session_task.turn", "codex_exec", json!({"thread.id": "01a2", "model": "gpt-5.1"}));
    assert_eq!((turn.role, turn.agent, turn.conversation), (Role::Agent, some("codex"), some("01a2")));
    let said = json!({"tool_name": "exec_command", "tool_source": "direct", "call_id": "call_1"});
    let tool = made_up("exec_command", "codex_exec", said);
    assert_eq!(
        (tool.role, tool.tool, tool.call_ids),
        (Role::Tool, some("exec_command"), vec!["call_1".into()])
    );
    let within = json!({"tool_name": "exec_command", "call_id": "call_1"});
    assert_eq!(made_up("unified_exec.exec_command", "codex_exec", within).role, Role::Other);
    let plain = made_up("fs.read_file", "codex_exec", json!({"model": "gpt-5.1"}));
    assert_eq!((plain.role, plain.request_model), (Role::Other, None));
}

#[test]
fn a_server_answers_and_does_not_ask() {
    let mut span = Span {
        key: SpanKey { trace: TraceId([1; 16]), span: SpanId([1; 8]) },
        parent: None,
        name: "POST /chat".into(),
        side: Side::Server,
        start_ns: 1,
        end_ns: 2,
        status: Status::Unset,
        attributes: Attributes(vec![("http.request.method".into(), "POST".into())]),
        events: vec![],
        links: vec![],
        origin: Arc::default(),
    };
    assert_eq!(Claims::of(&span).role, Role::Other);
    span.side = Side::Client;
    assert_eq!(Claims::of(&span).role, Role::Http);
}

#[test]
fn claims_are_kept_as_they_are() {
    let captures = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let spans: Vec<Span> = captures.filter(|path| path.is_dir()).flat_map(|of| spans_of(&of)).collect();
    let mut all: Vec<Claims> = spans.iter().map(Claims::of).collect();
    assert!(all.len() > 100, "{}", all.len());
    let mut odd = made_up("chat", "x", json!({"gen_ai.operation.name": "chat", "gen_ai.response.id": "é\0"}));
    odd.events = vec![(0, String::new()), (u64::MAX, "exception".into())];
    (odd.start_ns, odd.end_ns, odd.parent) = (u64::MAX, 3, Some(SpanId([0xff; 8])));
    odd.agent_id = Some(String::new());
    all.push(odd);
    // What nothing is found by is read from the spans alone.
    all.iter_mut().for_each(|claims| claims.told = None);
    assert_eq!(row::read(&row::write(&all)).as_ref(), Some(&all));
    assert_eq!(row::read(&row::write(&[])), Some(vec![]));
    assert_eq!(row::read(b"no claims"), None);
}
