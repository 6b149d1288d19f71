//! Real logs, and broken ones.

use crate::exchange::{Exchange, canon};
use crate::import::{Foreign, Kind, Use, read};
use crate::run::{Outline, lanes};
use proptest::prelude::*;
use serde_json::{Value, json};

const EVAL: &[u8] = include_bytes!("../../../fixtures/import/inspect/log_streaming.eval");
const JSON: &[u8] = include_bytes!("../../../fixtures/import/inspect/security-guide.json");
const NO_EVENTS: &[u8] = include_bytes!("../../../fixtures/import/inspect/log_tool_call_error.json");
const PARALLEL: &[u8] = include_bytes!("../../../fixtures/import/inspect/parallel_spans.json");

fn runs(bytes: &[u8]) -> Vec<Foreign> {
    read(Kind::Inspect, "log", bytes).expect("samples")
}

fn outline(run: &Foreign) -> Outline {
    lanes::outline(&run.exchanges)
}

fn answer(exchange: &Exchange) -> Value {
    serde_json::from_slice(&exchange.response.as_ref().unwrap().body).unwrap()
}

#[test]
fn calls_of_a_provider_become_its_exchanges() {
    let log: Value = serde_json::from_slice(JSON).unwrap();
    let run = &runs(JSON)[0];
    let events = log["samples"][0]["events"].as_array().unwrap();
    let calls: Vec<&Value> = events.iter().filter(|e| e["event"] == "model").map(|e| &e["call"]).collect();
    assert_eq!((run.exchanges.len(), calls.len()), (2, 2));
    for (exchange, call) in run.exchanges.iter().zip(calls) {
        let request = &exchange.request;
        assert_eq!(
            (request.head.target.as_str(), request.upstream.provider.as_str()),
            ("/v1/chat/completions", "openai")
        );
        let irid = call["request"]["extra_headers"]["x-irid"].as_str();
        assert_eq!(request.head.headers.get("x-irid"), irid);
        assert!(irid.is_some());
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!((body.get("extra_headers"), body.get("tools")), (None, None));
        assert_eq!(body["model"], call["request"]["model"]);
        assert!(!String::from_utf8_lossy(&request.body).contains("attachment://"));
        assert_eq!(answer(exchange)["usage"], call["response"]["usage"]);
        assert_eq!(answer(exchange)["id"], call["response"]["id"]);
    }
    let outline = outline(run);
    assert!(outline.others.is_empty());
    // What was asked and the grading of it are two conversations.
    let turns: Vec<_> = outline.lanes.iter().flat_map(|l| &l.turns).collect();
    assert_eq!(turns.iter().map(|t| t.usage.unwrap().output).collect::<Vec<_>>(), [17, 292]);
    assert_eq!(turns[0].started_us, 1_747_096_106_849_005);
    assert_eq!(turns[0].ended_us - turns[0].started_us, 807_430);
    assert_eq!((run.succeeded, run.labels["score.model_graded_fact"].as_str()), (Some(true), "C"));
    assert_eq!((run.name.as_str(), run.started_us), ("security_guide-1", Some(1_747_096_106_845_209)));
    assert_eq!(run.uses(), [Use::View, Use::Diff, Use::Replay, Use::Fork].into());
    assert!(run.lacks.iter().any(|lack| lack.what.contains("written anew")));
}

#[test]
fn an_archive_has_a_run_for_each_sample() {
    let runs = runs(EVAL);
    let told: Vec<_> =
        runs.iter().map(|r| (r.labels["sample"].as_str(), r.labels["epoch"].as_str(), r.succeeded)).collect();
    assert_eq!(
        told,
        [("1", "1", Some(false)), ("1", "2", Some(true)), ("2", "1", Some(true)), ("2", "2", Some(true))]
    );
    for run in &runs {
        let outline = outline(run);
        let turn = &outline.lanes[0].turns[0];
        assert_eq!((turn.text.trim().is_empty(), turn.usage.is_some()), (false, true), "{turn:?}");
        assert_eq!(turn.model, "Meta-Llama-3-1-405B-Instruct-jqf");
        // The SDK's words for the fields of the body are its own, and where its server is nobody says.
        assert_eq!(run.uses(), [Use::View, Use::Diff].into());
    }
}

#[test]
fn without_events_the_messages_tell() {
    let run = &runs(NO_EVENTS)[0];
    assert!(run.exchanges.is_empty() && run.uses().is_empty(), "{:?}", run.lacks);
    let log = json!({"samples": [{"id": "a b", "epoch": 1, "messages": [
        {"role": "user", "content": "list"},
        {"role": "assistant", "content": "", "tool_calls": [{"id": "c1", "function": "bash", "arguments": {"cmd": "ls"}, "type": "function"}]},
        {"role": "tool", "content": "", "tool_call_id": "c1", "function": "bash", "error": {"type": "timeout", "message": "too slow"}},
        {"role": "assistant", "content": [{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": "It did not answer"}]},
    ]}]});
    let runs = runs(log.to_string().as_bytes());
    let outline = outline(&runs[0]);
    let turns = &outline.lanes[0].turns;
    assert_eq!((outline.lanes.len(), turns.len()), (1, 2));
    assert_eq!((turns[0].calls[0].name.as_str(), &turns[0].calls[0].args), ("bash", &json!({"cmd": "ls"})));
    assert_eq!(turns[0].calls[0].result.as_ref().map(|r| r.text.as_str()), Some("too slow"));
    assert_eq!(turns[1].text, "It did not answer");
    assert_eq!((runs[0].uses(), runs[0].succeeded), ([Use::View, Use::Diff].into(), None));
}

#[test]
fn events_without_calls_are_told_in_the_words_of_the_log() {
    let model = |at: u32, input: Value, message: Value| {
        json!({"event": "model", "timestamp": format!("2026-01-01T00:00:0{at}+00:00"), "completed": format!("2026-01-01T00:00:0{}.5Z", at),
            "model": "mockllm/model", "input": input, "tools": [{"name": "bash", "description": "runs", "parameters": {}}],
            "config": {"temperature": 0.70, "max_connections": 3}, "call": null,
            "output": {"model": "m-1", "choices": [{"message": message, "stop_reason": "tool_calls"}],
                "usage": {"input_tokens": 10, "output_tokens": 2, "total_tokens": 17, "input_tokens_cache_read": 5}}})
    };
    let user = json!({"role": "user", "content": "list"});
    let asks = json!({"role": "assistant", "content": "", "tool_calls": [{"id": "c1", "function": "bash", "arguments": {"cmd": "ls"}}]});
    let result = json!({"role": "tool", "content": "a.txt", "tool_call_id": "c1", "function": "bash"});
    let says = json!({"role": "assistant", "content": "attachment://1"});
    // They are listed in another order than they were made in.
    let events = [model(5, json!([user, asks, result]), says), model(1, json!([user]), asks.clone())];
    let failed = json!({"event": "model", "timestamp": "2026-01-01T00:00:09Z", "model": "m", "input": [{"role": "user", "content": "x"}],
        "output": {"choices": []}, "error": "RateLimitError: slow down"});
    let log = json!({"samples": [{"id": 1, "events": events.iter().chain([&failed]).collect::<Vec<_>>(), "attachments": {"1": "one file"},
        "scores": {"a": {"value": 1}, "b": {"value": "I"}}}]});
    let run = &runs(log.to_string().as_bytes())[0];
    let outline = outline(run);
    let turns = &outline.lanes[0].turns;
    assert_eq!(
        (turns.len(), turns[1].text.as_str(), turns[0].calls[0].name.as_str()),
        (2, "one file", "bash")
    );
    assert_eq!(turns[0].calls[0].result.as_ref().map(|r| r.text.as_str()), Some("a.txt"));
    assert_eq!(turns[0].usage.map(|u| (u.input, u.output, u.cache_read)), Some((15, 2, 5)));
    let body: Value = serde_json::from_slice(&run.exchanges[0].request.body).unwrap();
    assert_eq!(
        (&body["temperature"], &body["tools"][0]["function"]["name"], body.get("max_connections")),
        (&json!(0.7), &json!("bash"), None)
    );
    let last = outline.lanes[1].turns[0].error.as_deref();
    assert_eq!(last, Some("RateLimitError: slow down"));
    // Two scorers do not agree.
    assert_eq!((run.succeeded, run.uses()), (None, [Use::View, Use::Diff].into()));
}

#[test]
fn the_protocols_of_providers_are_told_apart() {
    let call = |model: &str, request: Value, response: Value| {
        let event = json!({"event": "model", "timestamp": "2026-01-01T00:00:01Z", "model": model, "input": [], "output": {},
            "call": {"request": request, "response": response}});
        runs(json!({"events": [event]}).to_string().as_bytes()).remove(0)
    };
    let said = json!([{"role": "user", "content": "hi"}]);
    let runs = [
        call(
            "anthropic/c",
            json!({"model": "c", "max_tokens": 5, "messages": said}),
            json!({"type": "message", "role": "assistant",
            "content": [{"type": "text", "text": "yes"}], "usage": {"input_tokens": 1, "output_tokens": 1}}),
        ),
        call(
            "openai/o",
            json!({"model": "o", "input": said}),
            json!({"object": "response", "status": "completed", "output": [
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "yes"}]}]}),
        ),
        call(
            "google/g",
            json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}),
            json!({"candidates": [{"content": {"role": "model", "parts": [{"text": "yes"}]}, "finishReason": "STOP"}]}),
        ),
        call(
            "groq/q",
            json!({"model": "q", "messages": said, "extra_body": {"k": 1}}),
            json!({"choices": [{"index": 0, "message": {"role": "assistant", "content": "yes"}}]}),
        ),
    ];
    let both = [Use::View, Use::Diff];
    for (run, uses) in runs.iter().zip([
        &[Use::View, Use::Diff, Use::Replay, Use::Fork][..],
        &[Use::View, Use::Diff, Use::Replay, Use::Fork],
        &both,
        &[Use::View, Use::Diff, Use::Replay],
    ]) {
        let outline = outline(run);
        assert!(outline.others.is_empty(), "{}", run.exchanges[0].request.head.target);
        assert_eq!(outline.lanes[0].turns[0].text, "yes", "{}", run.exchanges[0].request.head.target);
        assert_eq!(run.uses(), uses.iter().copied().collect(), "{:?}", run.lacks);
    }
    let body = canon::canonical(&runs[3].exchanges[0].request.body).unwrap();
    assert!(String::from_utf8(body).unwrap().starts_with(r#"{"k":1,"#));
}

#[test]
fn a_lost_attachment_is_named() {
    let log = String::from_utf8(JSON.to_vec())
        .unwrap()
        .replace("\"463777a091c1f1d51bd40c4824a48142\":", "\"other\":");
    let run = &runs(log.as_bytes())[0];
    assert!(
        run.lacks.iter().any(|lack| lack.what == "1 attachments: 463777a091c1f1d51bd40c4824a48142"),
        "{:?}",
        run.lacks
    );
    assert_eq!(run.uses(), [Use::View, Use::Diff].into());
}

#[test]
fn events_that_say_nothing_are_good_for_looking_at() {
    let run = &runs(PARALLEL)[0];
    assert_eq!((run.exchanges.len(), run.uses()), (2, [Use::View].into()), "{:?}", run.lacks);
}

#[test]
fn an_event_without_a_time_stays_in_its_place() {
    let mut log: Value = serde_json::from_slice(JSON).unwrap();
    let events = log["samples"][0]["events"].as_array_mut().unwrap();
    let last = events.iter_mut().rfind(|event| event["event"] == "model").unwrap();
    last.as_object_mut().unwrap().retain(|key, _| !["timestamp", "completed"].contains(&key.as_str()));
    let run = &runs(log.to_string().as_bytes())[0];
    assert!(run.lacks.iter().any(|lack| lack.what == "timestamp of a model event"), "{:?}", run.lacks);
    let whole = &runs(JSON)[0];
    let [first, second] = [&run.exchanges[0], &run.exchanges[1]].map(|exchange| &exchange.request);
    assert_eq!(
        (&first.body, &second.body),
        (&whole.exchanges[0].request.body, &whole.exchanges[1].request.body)
    );
    assert_eq!(second.started_us, first.started_us + 807_430);
    assert_eq!(run.exchanges[1].response.as_ref().unwrap().end_us, 0);
}

#[test]
fn errors_say_where() {
    let fails = |bytes: &[u8]| read(Kind::Inspect, "log", bytes).unwrap_err().what;
    assert!(fails(b"{}").contains("no \"samples\""));
    assert_eq!(fails(br#"{"samples":[{"id":1},7]}"#), "sample 1: it is no object");
    assert_eq!(fails(br#"{"samples":[]}"#), "it holds no sample");
    assert!(fails(&EVAL[..EVAL.len() / 2]).starts_with("the archive cannot be read"));
    let mut damaged = EVAL.to_vec();
    damaged[1000] ^= 1;
    assert!(fails(&damaged).contains(" in the archive: "), "{}", fails(&damaged));
}

proptest! {
    #[test]
    fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = read(Kind::Inspect, "log", &bytes);
        let _ = read(Kind::Inspect, "log", &[b"PK\x03\x04", &bytes[..]].concat());
    }

    #[test]
    fn damage_never_panics(at in any::<usize>(), with in any::<u8>(), cut in any::<usize>()) {
        for log in [EVAL, JSON, NO_EVENTS, PARALLEL] {
            let mut bytes = log.to_vec();
            let at = at % bytes.len();
            bytes[at] = with;
            for run in read(Kind::Inspect, "log", &bytes).into_iter().flatten() {
                lanes::outline(&run.exchanges);
            }
            bytes.truncate(cut % log.len());
            let _ = read(Kind::Inspect, "log", &bytes);
        }
    }
}
