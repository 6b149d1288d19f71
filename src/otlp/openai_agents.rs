//! What the OpenAI Agents SDK exports of itself (`POST /v1/traces/ingest`), as spans.
//!
//! Its ids are no ids of W3C: a trace has 32 hex digits behind `trace_`, which are used, a span 24 behind `span_`; what
//! does not fit is hashed, the same each time.

use super::proto::{
    AnyValue, KeyValue, LogRecord, Logs, ResourceLogs, ResourceSpans, Scope, ScopeLogs, ScopeSpans, Span,
    Status, Traces,
};
use serde_json::{Map, Value as Json, json};

/// Name of the instrumentation that such spans are of.
pub const SCOPE: &str = "openai-agents";

type Object = Map<String, Json>;

/// Reads an export: its spans, and a log record for each trace that it names (a trace has no times).
///
/// # Errors
/// Says what it is not.
pub fn read(body: &[u8]) -> Result<(Traces, Logs), String> {
    let root: Json = serde_json::from_slice(body).map_err(|error| format!("the body is no JSON: {error}"))?;
    let items = root.get("data").and_then(Json::as_array).ok_or("the body has no list `data`")?;
    let (mut spans, mut log_records) = (Vec::new(), Vec::new());
    for item in items.iter().filter_map(Json::as_object) {
        match text(item, "object") {
            Some("trace.span") => spans.extend(span(item)),
            Some("trace") => log_records.extend(trace(item)),
            _ => {}
        }
    }
    let scope = || Some(Scope { name: SCOPE.into(), ..Scope::default() });
    let scope_spans = vec![ScopeSpans { scope: scope(), spans, ..ScopeSpans::default() }];
    let scope_logs = vec![ScopeLogs { scope: scope(), log_records, ..ScopeLogs::default() }];
    Ok((
        Traces { resource_spans: vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }] },
        Logs { resource_logs: vec![ResourceLogs { scope_logs, ..ResourceLogs::default() }] },
    ))
}

fn text<'a>(of: &'a Object, name: &str) -> Option<&'a str> {
    of.get(name)?.as_str().filter(|text| !text.is_empty())
}

/// The id of a trace: its own digits, else a hash of the whole.
pub fn trace_id(id: &str) -> Vec<u8> {
    let own = id.strip_prefix("trace_").and_then(super::json::hex).filter(|id| id.len() == 16);
    own.unwrap_or_else(|| hashed::<16>(id))
}

/// The id of a span: a hash of the one that it has.
pub fn span_id(id: &str) -> Vec<u8> {
    hashed::<8>(id)
}

fn hashed<const N: usize>(id: &str) -> Vec<u8> {
    blake3::hash(id.as_bytes()).as_bytes().iter().copied().take(N).collect()
}

/// Nanoseconds since the Unix epoch; 0 when it is not known.
fn time(of: &Object, name: &str) -> u64 {
    let at = text(of, name).and_then(|text| text.parse::<jiff::Timestamp>().ok());
    at.and_then(|at| u64::try_from(at.as_nanosecond()).ok()).unwrap_or_default()
}

fn trace(item: &Object) -> Option<LogRecord> {
    let id = text(item, "id")?;
    let mut of = Known::default();
    of.put("openai.trace.id", &json!(id));
    of.move_from(item, "workflow_name", "gen_ai.workflow.name");
    of.move_from(item, "group_id", "gen_ai.conversation.id");
    of.move_from(item, "metadata", "openai.metadata");
    Some(LogRecord {
        event_name: "openai.trace".into(),
        trace_id: trace_id(id),
        attributes: of.0,
        ..LogRecord::default()
    })
}

fn span(item: &Object) -> Option<Span> {
    let (id, of_trace) = (text(item, "id")?, text(item, "trace_id")?);
    let none = Object::new();
    let data = item.get("span_data").and_then(Json::as_object).unwrap_or(&none);
    let mut of = Known::default();
    of.put("openai.span.id", &json!(id));
    let (name, kind) = of.describe(data);
    let status = item.get("error").filter(|error| !error.is_null()).map(|error| {
        let message = error.get("message").and_then(Json::as_str);
        if let Some(data) = error.get("data") {
            of.put("openai.error.data", data);
        }
        Status { code: 2, message: message.map_or_else(|| error.to_string(), String::from) }
    });
    Some(Span {
        trace_id: trace_id(of_trace),
        span_id: span_id(id),
        parent_span_id: text(item, "parent_id").map(span_id).unwrap_or_default(),
        name,
        kind,
        start_time_unix_nano: time(item, "started_at"),
        end_time_unix_nano: time(item, "ended_at"),
        attributes: of.0,
        status,
        ..Span::default()
    })
}

/// What is known of a span.
#[derive(Default)]
struct Known(Vec<KeyValue>);

const INTERNAL: i32 = 1;
const CLIENT: i32 = 3;

impl Known {
    /// Plain values as they are, others as JSON.
    fn put(&mut self, key: &str, value: &Json) {
        let Some(value) = super::plain(value) else { return };
        self.0.push(KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }) });
    }

    fn move_from(&mut self, of: &Object, member: &str, key: &str) {
        if let Some(value) = of.get(member) {
            self.put(key, value);
        }
    }

    /// Takes what a span's data says; its name and kind.
    fn describe(&mut self, data: &Object) -> (String, i32) {
        let kind = text(data, "type").unwrap_or("custom");
        let own = text(data, "name").unwrap_or_default();
        self.put("openai.span.type", &json!(kind));
        let within = data.get("data").and_then(Json::as_object);
        let step = within.and_then(|data| text(data, "sdk_span_type"));
        let (operation, name, side, renamed): (&str, String, i32, &[(&str, &str)]) = match (kind, step) {
            ("agent", _) => {
                ("invoke_agent", format!("invoke_agent {own}"), INTERNAL, &[("name", "gen_ai.agent.name")])
            }
            ("function", _) => (
                "execute_tool",
                format!("execute_tool {own}"),
                INTERNAL,
                &[
                    ("name", "gen_ai.tool.name"),
                    ("input", "gen_ai.tool.call.arguments"),
                    ("output", "gen_ai.tool.call.result"),
                ],
            ),
            ("generation", _) => (
                "chat",
                format!("chat {}", text(data, "model").unwrap_or_default()),
                CLIENT,
                &[("model", "gen_ai.request.model")],
            ),
            ("response", _) => ("chat", "chat".into(), CLIENT, &[("response_id", "gen_ai.response.id")]),
            ("custom", Some("task")) => ("invoke_workflow", format!("invoke_workflow {own}"), INTERNAL, &[]),
            ("custom", _) => ("", own.into(), INTERNAL, &[]),
            ("mcp_tools", _) => ("", "tools/list".into(), CLIENT, &[]),
            (other, _) => ("", format!("{other} {own}"), INTERNAL, &[]),
        };
        if !operation.is_empty() {
            self.put("gen_ai.operation.name", &json!(operation));
        }
        if kind == "mcp_tools" {
            self.put("mcp.method.name", &json!("tools/list"));
        }
        for (member, value) in data {
            match (kind, member.as_str()) {
                (_, "type") => {}
                ("generation" | "response", "usage") => self.usage(value),
                ("generation", "input") => self.put("gen_ai.input.messages", &messages(value)),
                ("generation", "output") => self.put("gen_ai.output.messages", &messages(value)),
                (_, member) => {
                    let key = renamed.iter().find(|(own, _)| *own == member);
                    let key = key.map_or_else(|| format!("openai.{member}"), |(_, key)| key.to_string());
                    self.put(&key, value);
                }
            }
        }
        match (step, within) {
            (Some("task"), Some(data)) => self.move_from(data, "name", "gen_ai.workflow.name"),
            (Some("turn"), Some(data)) => self.move_from(data, "agent_name", "gen_ai.agent.name"),
            _ => {}
        }
        (name.trim_end().to_string(), side)
    }

    fn usage(&mut self, usage: &Json) {
        for (pointer, key) in [
            ("/input_tokens", "gen_ai.usage.input_tokens"),
            ("/output_tokens", "gen_ai.usage.output_tokens"),
            ("/input_tokens_details/cached_tokens", "gen_ai.usage.cache_read.input_tokens"),
            ("/input_tokens_details/cache_write_tokens", "gen_ai.usage.cache_write.input_tokens"),
            ("/output_tokens_details/reasoning_tokens", "gen_ai.usage.reasoning.output_tokens"),
        ] {
            if let Some(count) = usage.pointer(pointer) {
                self.put(key, count);
            }
        }
    }
}

/// Messages of chat completions as those of `gen_ai.*`.
fn messages(all: &Json) -> Json {
    all.as_array().into_iter().flatten().filter_map(Json::as_object).map(message).collect()
}

fn message(of: &Object) -> Json {
    let mut parts = Vec::new();
    let answers = text(of, "tool_call_id");
    match (of.get("content"), answers) {
        (Some(content), Some(id)) => {
            parts.push(json!({ "type": "tool_call_response", "id": id, "response": content }));
        }
        (Some(Json::String(content)), None) => parts.push(json!({ "type": "text", "content": content })),
        (Some(Json::Array(contents)), None) => {
            parts.extend(contents.iter().map(|part| match part.get("text") {
                Some(content) => json!({ "type": "text", "content": content }),
                None => part.clone(),
            }));
        }
        _ => {}
    }
    for call in of.get("tool_calls").and_then(Json::as_array).into_iter().flatten() {
        let at = |pointer: &str| call.pointer(pointer).cloned().unwrap_or_default();
        let (id, name, arguments) = (at("/id"), at("/function/name"), at("/function/arguments"));
        parts.push(json!({ "type": "tool_call", "id": id, "name": name, "arguments": arguments }));
    }
    json!({ "role": of.get("role"), "parts": parts })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::otlp::proto::Value;

    fn attribute<'a>(span: &'a Span, key: &str) -> Option<&'a Value> {
        span.attributes.iter().find(|of| of.key == key)?.value.as_ref()?.value.as_ref()
    }

    #[test]
    fn spans_have_the_names_that_others_give_them() {
        let body = r#"{"data":[
            {"object":"trace","id":"trace_af725861003c4a46875938d83c67c2ad","workflow_name":"w","group_id":"thread-1"},
            {"object":"trace.span","id":"span_1","trace_id":"trace_af725861003c4a46875938d83c67c2ad","parent_id":"span_2",
             "started_at":"2026-11-21T01:42:02.840916+00:00","ended_at":"2026-11-21T01:42:03.788303+00:00","error":null,
             "span_data":{"type":"response","response_id":"resp_1","usage":{"input_tokens":11,"output_tokens":7,
                "input_tokens_details":{"cached_tokens":3}}}},
            {"object":"trace.span","id":"span_3","trace_id":"odd","parent_id":null,"started_at":null,"ended_at":"soon",
             "error":{"message":"no","data":{"a":1}},
             "span_data":{"type":"function","name":"get_weather","input":"{}","output":"rainy","mcp_data":null}},
            {"object":"trace.span","id":"span_4","trace_id":"odd","span_data":{"type":"generation","model":"m",
             "output":[{"role":"assistant","content":null,"tool_calls":[{"id":"call_3","function":{"name":"f","arguments":"{}"}}]}]}},
            {"object":"trace.span","id":"span_2","trace_id":"odd",
             "span_data":{"type":"custom","name":"task","data":{"sdk_span_type":"task","name":"Agent workflow"}}},
            {"object":"later"}, 5]}"#;
        let (traces, logs) = read(body.as_bytes()).unwrap();
        let spans = &traces.resource_spans[0].scope_spans[0].spans;
        let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
        assert_eq!(names, ["chat", "execute_tool get_weather", "chat m", "invoke_workflow task"]);
        assert_eq!(attribute(&spans[0], "gen_ai.response.id"), Some(&Value::String("resp_1".into())));
        assert_eq!(attribute(&spans[0], "gen_ai.usage.cache_read.input_tokens"), Some(&Value::Int(3)));
        assert_eq!(
            (spans[0].start_time_unix_nano, spans[0].end_time_unix_nano),
            (1_795_225_322_840_916_000, 1_795_225_323_788_303_000)
        );
        assert_eq!(spans[0].parent_span_id, spans[3].span_id);
        assert_eq!(attribute(&spans[1], "gen_ai.tool.call.result"), Some(&Value::String("rainy".into())));
        assert_eq!(spans[1].status, Some(Status { code: 2, message: "no".into() }));
        let said = r#"[{"parts":[{"arguments":"{}","id":"call_3","name":"f","type":"tool_call"}],"role":"assistant"}]"#;
        let told = attribute(&spans[2], "gen_ai.output.messages");
        let Some(Value::String(told)) = told else { panic!("{told:?}") };
        assert_eq!(serde_json::from_str::<Json>(told).unwrap(), serde_json::from_str::<Json>(said).unwrap());
        let name = Value::String("Agent workflow".into());
        assert_eq!(attribute(&spans[3], "gen_ai.workflow.name"), Some(&name));
        let record = &logs.resource_logs[0].scope_logs[0].log_records[0];
        assert_eq!(record.trace_id, spans[0].trace_id);
        assert_eq!((record.trace_id.len(), spans[1].trace_id.len(), spans[1].span_id.len()), (16, 16, 8));
    }

    #[test]
    fn what_is_no_export_is_refused() {
        for body in ["", "[]", "{}", r#"{"data":{}}"#] {
            assert!(read(body.as_bytes()).is_err(), "{body}");
        }
    }
}
