//! What real instrumentations exported. The answers say which they are: that with the id `chatcmpl-0007` says `echo[7]`, or
//! asks for a call with the id `call_0007`.

use super::*;
use crate::import::{Kind, Use, read};
use crate::run::lanes;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/otlp").join(name)
}

/// Exports of a program, in the order of their arrival.
fn exports(name: &str) -> Vec<(String, Vec<u8>)> {
    let all = std::fs::read_dir(folder(name)).expect("a folder").flatten();
    let mut files: Vec<PathBuf> =
        all.map(|entry| entry.path()).filter(|p| p.to_string_lossy().contains("-traces.")).collect();
    files.sort();
    files.iter().map(|path| (path.display().to_string(), std::fs::read(path).expect("exports"))).collect()
}

fn runs(name: &str) -> Vec<Foreign> {
    let files = exports(name);
    let files: Vec<(&str, &[u8])> =
        files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    read_files("log", &files).expect("runs")
}

#[test]
fn what_instrumentations_say_becomes_the_calls_that_were_made() {
    for (name, calls) in [
        ("node-ai-sdk", 3),
        ("node-undici+openinference", 9),
        ("par-genai-content", 24),
        ("par-langfuse", 24),
        ("par-openinference", 24),
        ("par-openllmetry", 24),
        ("py-agents-openinference", 6),
        ("py-langsmith-otel", 2),
        ("py-lmnr-http", 3),
        ("py-logfire-openai", 10),
        ("py-openlit", 10),
        ("py-openllmetry", 10),
        ("py-pydantic-ai-logfire", 3),
        ("py-zerocode", 11),
    ] {
        let runs = runs(name);
        let exchanges: Vec<_> = runs.iter().flat_map(|run| &run.exchanges).collect();
        assert_eq!(exchanges.len(), calls, "{name}");
        let mut known = 0;
        for exchange in exchanges {
            let (dialect, _) = crate::dialect::recognise(&exchange.request.head).unwrap();
            let response = exchange.response.as_ref().unwrap();
            let answer = dialect.read_answer(response.head.as_ref().unwrap(), &response.body);
            let request =
                dialect.read_request(&exchange.request.head.target, &exchange.request.body).unwrap();
            let digits = |text: &str| {
                text.rsplit('_').next().and_then(|end| end.rsplit('-').next()?.parse::<u32>().ok())
            };
            let Some(number) = answer.id.as_deref().and_then(digits) else { continue };
            let call = answer.tool_calls().next().and_then(|(id, ..)| digits(id));
            let is_own = answer.text().starts_with(&format!("echo[{number}]")) || call == Some(number);
            assert!(is_own && !request.messages.is_empty(), "{name}: {answer:?}");
            known += 1;
        }
        // Langfuse and OpenInference's streams have no id of the answer.
        assert!(
            known * 3 >= calls || ["par-langfuse", "node-undici+openinference"].contains(&name),
            "{name}: {known}"
        );
        for run in &runs {
            assert!(lanes::outline(&run.exchanges).others.is_empty() && !run.exports.is_empty(), "{name}");
            assert!(!run.uses().contains(&Use::Replay) && run.started_us.is_some(), "{name}");
        }
    }
}

#[test]
fn a_loop_with_a_tool_is_one_lane_with_its_tokens_and_times() {
    let runs = runs("py-pydantic-ai-logfire");
    let run = &runs[0];
    let outline = lanes::outline(&run.exchanges);
    let turns = &outline.lanes[0].turns;
    assert_eq!((outline.lanes.len(), turns.len(), turns[0].calls.len()), (1, 2, 1));
    assert_eq!(turns[0].calls[0].args, json!({"city": "Paris"}));
    assert!(turns[0].calls[0].result.is_some());
    assert!(
        turns.iter().all(|turn| turn.usage.is_some_and(|u| u.input == 11) && turn.started_us < turn.ended_us)
    );
    let parent = run.exchanges[0].request.head.headers.get("traceparent").unwrap();
    assert!(parent.contains(run.labels["trace"].as_str()));
    assert_eq!(run.uses(), [Use::View, Use::Diff].into(), "{:?}", run.lacks);
}

#[test]
fn without_content_there_are_spans_and_the_name_of_what_is_missing() {
    for name in ["par-genai-nocontent", "claude-code-json", "node-undici"] {
        for run in runs(name) {
            assert!(run.exchanges.is_empty() && !run.exports.is_empty());
            assert_eq!(run.uses(), [Use::View].into(), "{name}");
            assert!(
                run.lacks.iter().any(|lack| lack.what.contains("gen_ai.input.messages")),
                "{:?}",
                run.lacks
            );
        }
    }
}

/// A span of a model call as JSON.
fn span(trace: u8, id: u8, attributes: &[(&str, Value)]) -> Value {
    let attributes: Vec<Value> =
        attributes.iter().map(|(key, value)| json!({"key": key, "value": {"stringValue": value.as_str().map_or_else(|| value.to_string(), str::to_string)}})).collect();
    json!({"traceId": format!("{trace:032x}"), "spanId": format!("{id:016x}"), "name": "chat m", "attributes": attributes,
        "startTimeUnixNano": format!("{}000000000", 1_790_000_000 + u64::from(id)), "endTimeUnixNano": format!("{}500000000", 1_790_000_000 + u64::from(id))})
}

fn export(spans: &[Value]) -> String {
    json!({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).to_string()
}

fn said(trace: u8, id: u8, more: &[(&str, Value)]) -> Value {
    let mut attributes = vec![
        ("gen_ai.operation.name", json!("chat")),
        ("gen_ai.input.messages", json!([{"role": "user", "parts": [{"type": "text", "content": "hi"}]}])),
        (
            "gen_ai.output.messages",
            json!([{"role": "assistant", "parts": [{"type": "text", "content": "yes"}]}]),
        ),
    ];
    attributes.extend(more.iter().cloned());
    span(trace, id, &attributes)
}

#[test]
fn traces_of_one_conversation_or_session_are_one_run() {
    let all = [
        said(1, 1, &[("gen_ai.conversation.id", json!("c"))]),
        said(2, 2, &[("session.id", json!("s"))]),
        said(3, 3, &[("gen_ai.conversation.id", json!("c")), ("session.id", json!("s"))]),
        said(4, 4, &[]),
        said(5, 5, &[("session.id", json!("c"))]),
    ];
    let lines: Vec<String> = all.iter().map(|span| export(std::slice::from_ref(span))).collect();
    // Written in another order than they were made in, a line each, as collectors do.
    let file = format!("{}\n{}\n", lines[1..].join("\n"), lines[0]);
    let runs = read(Kind::Otlp, "log", file.as_bytes()).unwrap();
    let told: Vec<(usize, usize)> =
        runs.iter().map(|run| (run.exchanges.len(), run.exports.iter().map(Batch::len).sum())).collect();
    assert_eq!(told, [(3, 3), (1, 1), (1, 1)]);
    assert_eq!(runs[0].started_us, Some(1_790_000_001_000_000));
    assert_eq!((runs[0].labels["session"].as_str(), runs[0].labels["conversation"].as_str()), ("s", "c"));
}

#[test]
fn one_call_that_two_instrumentations_tell_of_is_one() {
    let id = |id: &str| ("gen_ai.response.id", json!(id));
    let mut inner = said(1, 2, &[]);
    inner["parentSpanId"] = json!(format!("{:016x}", 1));
    let mut bare = span(1, 3, &[("gen_ai.operation.name", json!("chat"))]);
    bare["parentSpanId"] = inner["spanId"].clone();
    let all = [said(1, 1, &[]), inner, bare, said(1, 4, &[id("r")]), said(1, 5, &[id("r")])];
    let runs = read(Kind::Otlp, "log", export(&all).as_bytes()).unwrap();
    let starts: Vec<u64> =
        runs[0].exchanges.iter().map(|x| x.request.started_us % 1_000_000_000 / 1_000_000).collect();
    assert_eq!(starts, [2, 4]);
    assert_eq!(runs[0].uses(), [Use::View, Use::Diff].into(), "{:?}", runs[0].lacks);
}

#[test]
fn messages_as_events_and_log_records_are_read() {
    let event = |name: &str, body: &Value| {
        let fields = body.as_object().unwrap().iter();
        let attributes: Vec<Value> = fields.map(|(k, v)| json!({"key": k, "value": {"stringValue": v.as_str().map_or_else(|| v.to_string(), str::to_string)}})).collect();
        json!({"name": name, "attributes": attributes})
    };
    let call = json!([{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]);
    let told = [
        ("gen_ai.user.message", json!({"content": "go"})),
        ("gen_ai.assistant.message", json!({"tool_calls": call})),
        ("gen_ai.tool.message", json!({"id": "c1", "content": "r"})),
        ("gen_ai.choice", json!({"index": "0", "finish_reason": "stop", "message": {"content": "done"}})),
    ];
    let bare = span(1, 1, &[("gen_ai.operation.name", json!("chat")), ("gen_ai.request.model", json!("m"))]);
    let mut with_events = bare.clone();
    with_events["events"] = told.iter().map(|(name, body)| event(name, body)).collect();
    let any = |value: &Value| json!({"stringValue": value.as_str().map_or_else(|| value.to_string(), str::to_string)});
    let record = |(name, body): &(&str, Value)| {
        let fields = body.as_object().unwrap().iter().map(|(k, v)| json!({"key": k, "value": match v {
            Value::Object(inner) => json!({"kvlistValue": {"values": inner.iter().map(|(k, v)| json!({"key": k, "value": any(v)})).collect::<Vec<_>>()}}),
            Value::Array(_) => json!({"arrayValue": {"values": [{"kvlistValue": {"values": [
                {"key": "id", "value": any(&json!("c1"))},
                {"key": "function", "value": {"kvlistValue": {"values": [{"key": "name", "value": any(&json!("f"))}]}}}]}}]}}),
            other => any(other),
        }}));
        json!({"traceId": bare["traceId"], "spanId": bare["spanId"], "eventName": name,
            "body": {"kvlistValue": {"values": fields.collect::<Vec<_>>()}}})
    };
    let logs = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": told.iter().map(record).collect::<Vec<_>>()}]}]});
    for file in [export(&[with_events]), format!("{}\n{logs}", export(std::slice::from_ref(&bare)))] {
        let runs = read(Kind::Otlp, "log", file.as_bytes()).unwrap();
        let body: Value = serde_json::from_slice(&runs[0].exchanges[0].request.body).unwrap();
        let roles: Vec<&str> =
            body["messages"].as_array().unwrap().iter().filter_map(|m| m["role"].as_str()).collect();
        assert_eq!(
            (roles, &body["messages"][2]["tool_call_id"]),
            (vec!["user", "assistant", "tool"], &json!("c1")),
            "{body}"
        );
        assert_eq!(lanes::outline(&runs[0].exchanges).lanes[0].turns[0].text, "done");
    }
}

#[test]
fn every_way_of_writing_exports_is_read() {
    let files = exports("par-openinference");
    let (one, two) = (&files[0].1, &exports("par-openllmetry")[0].1);
    let framed = |bytes: &[u8]| [&(bytes.len() as u32).to_be_bytes(), bytes].concat();
    let packed = zstd::encode_all(one.as_slice(), 3).unwrap();
    for (bytes, traces) in [
        (one.clone(), 1),
        ([one.as_slice(), two].concat(), 2),
        ([framed(one), framed(two)].concat(), 2),
        (packed, 1),
    ] {
        assert_eq!(read(Kind::Otlp, "log", &bytes).map(|runs| runs.len()), Ok(traces));
    }
    let list = format!("[{},\n{}]", export(&[said(1, 1, &[])]), export(&[said(2, 2, &[])]));
    assert_eq!(read(Kind::Otlp, "log", list.as_bytes()).map(|runs| runs.len()), Ok(2));
}

#[test]
fn errors_say_where() {
    let fails = |bytes: &[u8]| read(Kind::Otlp, "log", bytes).unwrap_err().what;
    let good = export(&[said(1, 1, &[])]);
    assert!(fails(format!("{good}\n\n{{\"a\":1}}").as_bytes()).starts_with("line 3: no \"resourceSpans\""));
    assert!(fails(format!("{good}\n{}", &good[..40]).as_bytes()).starts_with("line 2: it is no JSON"));
    assert!(
        fails(br#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"x"}]}]}]}"#).contains("traceId")
    );
    assert!(fails(br#"{"resourceMetrics":[]}"#).contains("no span"));
    assert_eq!(fails(b""), "it is empty");
    let what = read_files("log", &[("a.json", good.as_bytes()), ("b.pb", b"\xff\xff")]).unwrap_err().what;
    assert!(what.starts_with("b.pb: "), "{what}");
}

proptest! {
    #[test]
    fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = read(Kind::Otlp, "log", &bytes);
    }

    #[test]
    fn odd_names_of_attributes_never_panic(names in prop::collection::vec("(gen_ai.prompt|llm.input_messages|llm.tools)(.[0-9]{0,2}|.message|.tool_calls|.role|.tool|.json_schema){0,5}", 1..12)) {
        let attributes: Vec<(&str, Value)> = names.iter().map(|name| (name.as_str(), json!("{\"a\":[1]}"))).collect();
        let file = export(&[said(1, 1, &attributes)]);
        for run in read(Kind::Otlp, "log", file.as_bytes()).unwrap() {
            lanes::outline(&run.exchanges);
        }
    }
}

#[test]
fn damage_never_panics() {
    let mut dice = 7_u64;
    for name in ["py-pydantic-ai-logfire", "node-ai-sdk"] {
        for (_, whole) in exports(name) {
            for _ in 0..40 {
                dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let mut bytes = whole.clone();
                let at = (dice >> 33) as usize % bytes.len();
                bytes[at] = (dice >> 20) as u8;
                for run in read(Kind::Otlp, "log", &bytes).into_iter().flatten() {
                    lanes::outline(&run.exchanges);
                }
                let _ = read(Kind::Otlp, "log", &bytes[..at]);
            }
        }
    }
}
