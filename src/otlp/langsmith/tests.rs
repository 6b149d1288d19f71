//! Runs as clients of LangSmith tell them.

use super::*;
use crate::otlp::proto::Value;

fn attribute<'a>(span: &'a Span, key: &str) -> Option<&'a str> {
    match span.attributes.iter().find(|of| of.key == key)?.value.as_ref()?.value.as_ref()? {
        Value::String(text) => Some(text),
        other => panic!("{key}: {other:?}"),
    }
}

fn count(span: &Span, key: &str) -> Option<i64> {
    match span.attributes.iter().find(|of| of.key == key)?.value.as_ref()?.value.as_ref()? {
        Value::Int(count) => Some(*count),
        other => panic!("{key}: {other:?}"),
    }
}

fn spans(form: &Form, body: &[u8]) -> Vec<Span> {
    let mut traces = read(form, body).unwrap();
    std::mem::take(&mut traces.resource_spans[0].scope_spans[0].spans)
}

const ROOT: &str = "01a1fbde-5640-7a6a-8534-e8df0c516923";
const CALL: &str = "01a1fbde-56f5-7d66-8d94-62db94331e2e";

#[test]
fn forms_are_known_by_method_path_and_type() {
    let json = "application/json";
    let multipart = "multipart/form-data; boundary=x";
    for (method, path, kind, wanted) in [
        ("POST", "/runs/multipart", multipart, Some(Form::Multipart("x".into()))),
        ("POST", "/runs/multipart", json, None),
        ("POST", "/runs/batch", json, Some(Form::Batch)),
        ("POST", "/runs", json, Some(Form::One(None))),
        ("PATCH", "/runs/7", json, Some(Form::One(Some("7".into())))),
        ("PATCH", "/runs/7/share", json, None),
        ("POST", "/runs/query", json, None),
        ("GET", "/runs", json, None),
    ] {
        assert_eq!(Form::of(method, path, kind), wanted, "{method} {path}");
    }
}

/// As LangChain tells a call of a chat model and of a tool; times without a zone, ids in `dotted_order` alone.
#[test]
fn what_langchain_tells_is_understood() {
    let order = format!("20261121T021014720546Z{ROOT}.20261121T021014901857Z{CALL}");
    let body = json!({
        "post": [{ "id": ROOT, "name": "LangGraph", "run_type": "chain", "start_time": "2026-11-21T02:10:14.720546" }],
        "patch": [
            { "id": CALL, "run_type": "llm", "name": "ChatOpenAI", "dotted_order": order, "error": "it broke",
              "end_time": "2026-11-21T02:10:14.966200+00:00",
              "extra": { "metadata": { "thread_id": "t-1", "langgraph_node": "agent" }, "invocation_params": { "model": "gpt-x" } },
              "outputs": { "generations": [[{ "text": "hi", "message": { "lc": 1, "kwargs": {
                "content": "hi", "id": "run-7", "tool_calls": [{ "id": "call_1", "name": "f", "args": { "a": 1 } }],
                "response_metadata": { "id": "chatcmpl-0001", "model_name": "gpt-x-2026" },
                "usage_metadata": { "input_tokens": 11, "output_tokens": 7, "input_token_details": { "cache_read": 3 } } } } }]] } },
            { "id": "7", "run_type": "tool", "name": "f", "trace_id": ROOT, "parent_run_id": ROOT,
              "outputs": { "output": { "lc": 1, "kwargs": { "content": "rainy", "tool_call_id": "call_1" } } } },
        ],
    });
    let told = spans(&Form::Batch, body.to_string().as_bytes());
    let [root, call, tool] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!((root.start_time_unix_nano, root.end_time_unix_nano), (1_795_227_014_720_546_000, 0));
    assert_eq!(root.trace_id, uuid(ROOT).unwrap());
    assert_eq!((&call.trace_id, &call.parent_span_id), (&root.trace_id, &root.span_id));
    assert_eq!((&tool.trace_id, &tool.parent_span_id), (&root.trace_id, &root.span_id));
    for (key, wanted) in [
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.request.model", "gpt-x"),
        ("gen_ai.response.id", "chatcmpl-0001"),
        ("gen_ai.response.model", "gpt-x-2026"),
        ("gen_ai.conversation.id", "t-1"),
        ("langsmith.metadata.langgraph_node", "agent"),
    ] {
        assert_eq!(attribute(call, key), Some(wanted), "{key}");
    }
    assert_eq!(count(call, "gen_ai.usage.cache_read.input_tokens"), Some(3));
    assert!(attribute(call, "gen_ai.output.messages").is_some_and(|said| said.contains("call_1")));
    assert_eq!(call.status, Some(Status { code: 2, message: "it broke".into() }));
    assert_eq!(attribute(tool, "gen_ai.tool.call.id"), Some("call_1"));
}

#[test]
fn parts_of_one_run_are_one_span() {
    let part = |name: &str, body: &str| {
        format!(
            "--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\nContent-Type: application/json\r\n\r\n{body}\r\n"
        )
    };
    let body = [
        part(&format!("post.{CALL}"), r#"{"name":"f","run_type":"tool"}"#),
        part(&format!("patch.{ROOT}.outputs"), r#"{"output":"ok"}"#),
        part(&format!("post.{CALL}.inputs"), r#"{"city":"Paris"}"#),
        part(&format!("post.{CALL}.error"), r#""no"#),
        part(&format!("feedback.{CALL}"), "{}"),
        part(&format!("attachment.{CALL}.image"), "\u{0}"),
        "--x--\r\n".into(),
    ]
    .concat();
    let told = spans(&Form::Multipart("x".into()), body.as_bytes());
    assert_eq!(told.iter().map(|span| span.name.as_str()).collect::<Vec<_>>(), ["f", "chain"]);
    assert_eq!(attribute(&told[0], "gen_ai.prompt"), Some(r#"{"city":"Paris"}"#));
    assert_eq!(attribute(&told[1], "gen_ai.completion"), Some(r#"{"output":"ok"}"#));
}

#[test]
fn what_tells_no_run_is_refused_or_none() {
    for (form, body) in [(Form::Batch, "[]"), (Form::One(None), "x"), (Form::Multipart("x".into()), "{}")] {
        assert!(read(&form, body.as_bytes()).is_err(), "{body}");
    }
    for body in ["{}", r#"{"post":5}"#, r#"{"post":[5,{}]}"#] {
        assert!(spans(&Form::Batch, body.as_bytes()).is_empty(), "{body}");
    }
    let told = spans(&Form::One(Some("7".into())), br#"{"trace_id":"odd","end_time":"soon"}"#);
    assert_eq!((told[0].trace_id.len(), told[0].span_id.len(), told[0].end_time_unix_nano), (16, 8, 0));
}
