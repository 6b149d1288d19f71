//! Answers, streamed and not, and their echo.

use super::*;
use crate::dialect::conversation::Usage;
use crate::dialect::wire;
use crate::run::likeness::{answer_key, reading_echoes};
use crate::run::reading::last_assistant;
use serde_json::Value;

/// A response with an item of every kind that is streamed in pieces.
fn response() -> Value {
    json!({"id": "resp_1", "object": "response", "model": "gpt-x", "status": "completed", "error": null,
        "usage": {"input_tokens": 9, "input_tokens_details": {"cached_tokens": 4}, "output_tokens": 7,
            "output_tokens_details": {"reasoning_tokens": 3}},
        "output": [
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "let me\nsee"}],
                "encrypted_content": "eA=="},
            {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"query": "né"}},
            {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [
                {"type": "output_text", "text": "Hé \"there\"", "annotations": []},
                {"type": "refusal", "refusal": "not more"}]},
            {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": "{\"a\":[1,2.5]}"},
            {"type": "custom_tool_call", "id": "ctc_1", "call_id": "c2", "name": "patch", "input": "*** x\ny"}]})
}

/// The events in which a response would have come.
fn events_of(response: &Value) -> Vec<String> {
    let mut events = Vec::new();
    let mut send = |kind: &str, mut data: Value| {
        data["type"] = json!(kind);
        data["sequence_number"] = json!(events.len());
        events.push(format!("event: {kind}\ndata: {data}\n\n"));
    };
    let mut begun = response.clone();
    (begun["status"], begun["output"], begun["usage"]) = (json!("in_progress"), json!([]), json!(null));
    send("response.created", json!({"response": begun}));
    for (at, item) in response["output"].as_array().unwrap().iter().enumerate() {
        let of = |more: Value| {
            let mut all = json!({"output_index": at, "item_id": item["id"]});
            all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            all
        };
        let mut opening = item.clone();
        for key in ["summary", "content"] {
            if let Some(list) = opening.get_mut(key) {
                *list = json!([]);
            }
        }
        for key in ["arguments", "input"] {
            if let Some(text) = opening.get_mut(key) {
                *text = json!("");
            }
        }
        send("response.output_item.added", of(json!({"item": opening})));
        for (list, index, kinds) in [
            ("summary", "summary_index", "response.reasoning_summary"),
            ("content", "content_index", "response.content"),
        ] {
            for (place, part) in item[list].as_array().into_iter().flatten().enumerate() {
                let field = if part.get("refusal").is_some() { "refusal" } else { "text" };
                let text = match (list, field) {
                    ("summary", _) => "response.reasoning_summary_text",
                    (_, "refusal") => "response.refusal",
                    _ => "response.output_text",
                };
                let mut empty = part.clone();
                empty[field] = json!("");
                send(&format!("{kinds}_part.added"), of(json!({index: place, "part": empty})));
                for c in part[field].as_str().unwrap().chars() {
                    let delta = json!({index: place, "delta": c.to_string(), "obfuscation": "xyz"});
                    send(&format!("{text}.delta"), of(delta));
                }
                send(&format!("{text}.done"), of(json!({index: place, field: part[field]})));
                send(&format!("{kinds}_part.done"), of(json!({index: place, "part": part})));
            }
        }
        for (key, kind) in
            [("arguments", "response.function_call_arguments"), ("input", "response.custom_tool_call_input")]
        {
            for c in item[key].as_str().unwrap_or_default().chars() {
                send(&format!("{kind}.delta"), of(json!({"delta": c.to_string()})));
            }
            if item.get(key).is_some() {
                send(&format!("{kind}.done"), of(json!({key: item[key]})));
            }
        }
        send("response.output_item.done", of(json!({"item": item})));
        send("response.something.new", of(json!({"delta": "?"})));
    }
    send("response.completed", json!({"response": response}));
    events
}

fn streamed(events: &[String]) -> ModelAnswer {
    OpenAiResponses.read_answer(&head(200, true), events.concat().as_bytes())
}

#[test]
fn a_stream_of_any_response_reads_as_the_response() {
    let plain = OpenAiResponses.read_answer(&head(200, false), response().to_string().as_bytes());
    let events = events_of(&response());
    assert_eq!(streamed(&events), plain);
    assert_eq!(plain.usage, Some(Usage { input: 9, output: 7, cache_read: 4, cache_write: 0, reasoning: 3 }));
    assert_eq!((plain.blocks.len(), plain.whole, plain.stop_reason.as_deref()), (6, true, Some("completed")));

    let (last, before) = events.split_last().unwrap();
    let cut = streamed(before);
    assert!(!cut.whole && cut.blocks == plain.blocks && cut.stop_reason.is_none());
    assert_eq!(cut.id.as_deref(), Some("resp_1"));
    // Only what is announced at the end of an item is not known before.
    let pieces: Vec<String> = before.iter().filter(|e| !e.contains(".done\n")).cloned().collect();
    assert_eq!(streamed(&pieces).blocks, plain.blocks);
    let unannounced: Vec<String> = pieces.iter().filter(|e| e.contains(".delta\n")).cloned().collect();
    assert_eq!(streamed(&unannounced).text(), "Hé \"there\"");

    let bare = last.replace(&response()["output"].to_string(), "[]");
    assert_ne!(&bare, last);
    assert_eq!(streamed(&[before, &[bare]].concat()).blocks, plain.blocks, "an end without an output");
}

#[test]
fn answers_that_fall_short_are_read() {
    let mut short = response();
    (short["status"], short["incomplete_details"]) =
        (json!("incomplete"), json!({"reason": "max_output_tokens"}));
    let answer = OpenAiResponses.read_answer(&head(200, false), short.to_string().as_bytes());
    assert_eq!(
        (answer.stop_reason.as_deref(), answer.error, answer.whole),
        (Some("max_output_tokens"), None, true)
    );

    let failed = "event: response.failed\ndata: {\"type\":\"response.failed\",\"response\":{\"id\":\"r\",\"status\":\"failed\",\"output\":[],\"error\":{\"code\":\"server_error\",\"message\":\"Broke\"}}}\n\n";
    let error = "event: error\ndata: {\"type\":\"error\",\"code\":\"rate_limit_exceeded\",\"message\":\"Slow down\",\"param\":null}\n\n";
    for (stream, message) in [(failed, "Broke"), (error, "Slow down")] {
        let answer = OpenAiResponses.read_answer(&head(200, true), stream.as_bytes());
        assert_eq!((answer.error.as_deref(), answer.whole), (Some(message), true));
    }
    let refused = OpenAiResponses.read_answer(&head(429, false), &OpenAiResponses.render_error(429, "busy"));
    assert_eq!((refused.error.as_deref(), refused.whole), (Some("busy"), true));
    let queued =
        OpenAiResponses.read_answer(&head(200, false), br#"{"id":"r","status":"queued","output":[]}"#);
    assert_eq!((queued.stop_reason.as_deref(), queued.blocks.len()), (Some("queued"), 0));
}

#[test]
fn a_rendered_answer_reads_as_what_it_was_made_of() {
    let call = |id: &str, name: &str, args: Value| Block::ToolCall { id: id.into(), name: name.into(), args };
    let refusal = Block::Other { value: json!({"type": "refusal", "refusal": "no"}) };
    let search = Block::Other { value: json!({"type": "web_search_call", "action": {"query": "q"}}) };
    for blocks in [
        vec![text("Hello, wörld: this text is longer than one delta.")],
        vec![text("a"), refusal.clone(), search, text("b"), call("c1", "f", json!({"n": [2]}))],
        vec![
            call("c1", "local_shell", json!({"type": "exec", "command": ["ls"]})),
            call("c2", "shell", json!({"commands": ["ls"]})),
            call("c3", "apply_patch", json!({"type": "delete_file", "path": "p"})),
            call("c4", "patch", json!("*** Begin")),
            call("c5", "shell", json!({"command": "ls"})),
        ],
        vec![],
    ] {
        for stream in [true, false] {
            let mut given = blocks.clone();
            given.insert(0, Block::Reasoning { text: "hidden".into(), signed: true });
            let rendered = OpenAiResponses.render_answer("", &given, None, "m", stream);
            let answer = OpenAiResponses.read_answer(&head(200, stream), &rendered.body);
            assert_eq!(answer.blocks, blocks, "{stream}");
            assert_eq!((answer.stop_reason.as_deref(), answer.whole), (Some("completed"), true));
            assert_eq!(*rendered.cuts.last().unwrap(), rendered.body.len());
            let short = OpenAiResponses.render_answer("", &given, Some("max_output_tokens"), "m", stream);
            let short = OpenAiResponses.read_answer(&head(200, stream), &short.body);
            assert_eq!(short.stop_reason.as_deref(), Some("max_output_tokens"));
        }
    }
}

/// The echo of an answer as clients write it: its output behind the input.
fn echoed(output: &Value) -> ModelRequest {
    let mut input = vec![json!({"role": "user", "content": "Hi"})];
    input.extend(output.as_array().unwrap().iter().cloned());
    input.push(json!({"type": "function_call_output", "call_id": "c1", "output": "1"}));
    let body = json!({"model": "m", "input": input}).to_string();
    OpenAiResponses.read_request("", body.as_bytes()).unwrap()
}

#[test]
fn the_echo_of_an_answer_has_the_key_of_the_answer() {
    let answer = streamed(&events_of(&response()));
    let without = |keys: &[&str], kinds: &[&str]| {
        let mut output = response()["output"].clone();
        let items = output.as_array_mut().unwrap();
        items.retain(|i| !kinds.contains(&i["type"].as_str().unwrap()));
        items
            .iter_mut()
            .filter_map(Value::as_object_mut)
            .for_each(|i| i.retain(|k, _| !keys.contains(&k.as_str())));
        output
    };
    for output in [
        without(&[], &[]),
        without(&["id", "status"], &[]),
        without(&[], &["reasoning"]),
        without(&["id"], &["reasoning", "web_search_call"]),
    ] {
        let request = echoed(&output);
        let read = readings(&request.messages);
        let last = &read[last_assistant(&read).unwrap()];
        assert!(reading_echoes(last).whole.map(Some).contains(&answer_key(&answer)), "{output}");
    }
    let request = echoed(&without(&[], &["function_call"]));
    let read = readings(&request.messages);
    let other = reading_echoes(&read[last_assistant(&read).unwrap()]).whole;
    assert!(!other.map(Some).contains(&answer_key(&answer)));
}

#[test]
fn real_traffic_is_there() {
    let real = wire::conversations().into_iter().flatten().filter(|e| e.name.contains("openai-responses"));
    assert!(real.count() >= 15);
}

proptest! {
    #[test]
    fn no_stream_is_too_odd(
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..60),
        cut in any::<prop::sample::Index>(),
        junk in prop::collection::vec(any::<u8>(), 0..12),
    ) {
        let events = events_of(&response());
        let mixed: String = order.iter().map(|i| i.get(&events).as_str()).collect();
        let mut bytes = mixed.into_bytes();
        let at = cut.index(bytes.len() + 1);
        bytes.splice(at..at, junk);
        OpenAiResponses.read_answer(&head(200, true), &bytes);
        bytes.truncate(at);
        OpenAiResponses.read_answer(&head(200, true), &bytes);
        OpenAiResponses.keeps(BODY, &head(200, true), &bytes);
    }

    #[test]
    fn a_stream_is_whole_only_with_its_end(cut in any::<prop::sample::Index>()) {
        let whole = events_of(&response()).concat();
        let end = whole.rfind("event: response.completed").unwrap();
        let at = cut.index(end);
        let answer = OpenAiResponses.read_answer(&head(200, true), &whole.as_bytes()[..at]);
        prop_assert!(!answer.whole && answer.error.is_none());
    }

    #[test]
    fn any_blocks_can_be_rendered(texts in prop::collection::vec(any::<String>(), 0..4), stream: bool) {
        let blocks: Vec<Block> = texts.iter().filter(|t| !t.is_empty()).map(|t| text(t)).collect();
        let rendered = OpenAiResponses.render_answer("", &blocks, None, "m", stream);
        prop_assert_eq!(OpenAiResponses.read_answer(&head(200, stream), &rendered.body).blocks, blocks);
    }
}
