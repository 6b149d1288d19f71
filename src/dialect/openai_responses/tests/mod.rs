use super::*;
use crate::dialect::conversation::{Role, Usage};
use crate::dialect::wire;
use crate::exchange::HeaderList;
use crate::run::likeness::{answer_key, reading_echo};
use crate::run::reading::{last_assistant, readings};
use proptest::prelude::*;
use serde_json::{Value, json};

const BODY: &[u8] = br#"{
 "model": "gpt-x", "stream":true, "store": true, "temperature": 0.70, "user":"u1", "prompt_cache_key":"k",
 "client_metadata":{"turn_id":"t"}, "instructions":"You help.", "include":["reasoning.encrypted_content"],
 "input": [
  {"type":"message","role":"developer","content":[{"type":"input_text","text":"Be brief."}],"id":"made-up"},
  {"role":"user","content":[{"type":"input_text","text":"Hi"},{"type":"input_image","image_url":"u"}]},
  {"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"hm"}],"encrypted_content":"c2ln"},
  {"type":"message","id":"msg_1","role":"assistant","status":"completed","content":[{"type":"output_text","text":"Look:","annotations":[]}]},
  {"type":"function_call","id":"fc_1","call_id":"c1","name":"f","arguments":"{\"n\": 9007199254740993}","status":"completed"},
  {"type":"custom_tool_call","id":"ctc_1","call_id":"c2","name":"patch","input":"*** Begin"},
  {"type":"function_call_output","call_id":"c1","output":[{"type":"input_text","text":"a"},{"type":"input_image","image_url":"i"},{"type":"input_text","text":"b"}]},
  {"type":"custom_tool_call_output","call_id":"c2","output":"high"}
 ],
 "tools":[{"type":"function","name":"f","parameters":{}},{"type":"custom","name":"patch"}],
 "tool_choice":{"type":"function","name":"f"}
}"#;

pub(super) fn head(status: u16, stream: bool) -> ResponseHead {
    let kind = if stream { "text/event-stream" } else { "application/json" };
    ResponseHead { status, headers: HeaderList(vec![("content-type".into(), kind.into())]) }
}

pub(super) fn text(s: &str) -> Block {
    Block::Text { text: s.into() }
}

fn edited(edit: RequestEdit) -> String {
    String::from_utf8(OpenAiResponses.edit_request(BODY, &[edit]).unwrap().to_vec()).unwrap()
}

/// The body with one replacement: what a byte-exact edit leaves.
fn body_with(old: &str, new: &str) -> String {
    let body = std::str::from_utf8(BODY).unwrap();
    assert_eq!(body.matches(old).count(), 1, "{old}");
    body.replace(old, new)
}

#[test]
fn paths_are_recognised() {
    let recognise = |method: &str, target: &str| {
        let (method, target) = (method.to_string(), target.to_string());
        OpenAiResponses.recognise(&RequestHead { method, target, headers: HeaderList::default() })
    };
    for path in ["/v1/responses", "/openai/v1/responses?api-version=preview", "/backend-api/codex/responses"]
    {
        assert_eq!(recognise("POST", path), Some(Endpoint::Model), "{path}");
    }
    for (method, path) in [
        ("GET", "/v1/responses/resp_1?stream=false"),
        ("DELETE", "/v1/responses/resp_1"),
        ("POST", "/v1/responses/resp_1/cancel"),
        ("GET", "/v1/responses/resp_1/input_items?limit=2"),
        ("POST", "/v1/responses/input_tokens"),
        ("POST", "/v1/responses/compact"),
    ] {
        assert_eq!(recognise(method, path), Some(Endpoint::Side), "{path}");
    }
    for (method, path) in
        [("GET", "/v1/responses"), ("POST", "/v1/responses/resp_1"), ("POST", "/v1/conversations")]
    {
        assert_eq!(recognise(method, path), None, "{path}");
    }
}

#[test]
fn a_request_is_read_into_the_normal_form() {
    let request = OpenAiResponses.read_request(BODY).unwrap();
    assert_eq!((request.model.as_str(), request.stream, request.tools.len()), ("gpt-x", true, 2));
    assert_eq!(request.system, [text("You help.")]);
    assert_eq!(request.params.keys().collect::<Vec<_>>(), ["include", "store", "temperature", "tool_choice"]);
    let roles: Vec<_> = request.messages.iter().map(|m| m.role).collect();
    use Role::*;
    assert_eq!(roles, [System, User, Assistant, Assistant, Assistant, Assistant, Tool, Tool]);
    let block = |at: usize| &request.messages[at].blocks[0];
    assert_eq!(
        request.messages[1].blocks[1],
        Block::Other { value: json!({"type": "input_image", "image_url": "u"}) }
    );
    assert_eq!(block(2), &Block::Reasoning { text: "hm".into(), signed: true });
    let args = json!({"n": 9_007_199_254_740_993_i64});
    assert_eq!(block(4), &Block::ToolCall { id: "c1".into(), name: "f".into(), args });
    assert_eq!(
        block(5),
        &Block::ToolCall { id: "c2".into(), name: "patch".into(), args: json!("*** Begin") }
    );
    assert!(matches!(block(6), Block::ToolResult { text, other, .. } if text == "a\nb" && other.len() == 1));
    let read = readings(&request.messages);
    assert_eq!(read.len(), 4, "what the model said is one, and so are the results");
    assert_eq!(read[3].pieces.iter().map(|p| p.answers).collect::<Vec<_>>(), [Some(0), Some(1)]);
    assert!(BODY[request.spans[7].clone()].ends_with(br#""output":"high"}"#));
}

#[test]
fn inputs_of_other_kinds_are_read() {
    let read = |body: &str| OpenAiResponses.read_request(body.as_bytes());
    let one = read(r#"{"input":"Hi"}"#).unwrap();
    assert_eq!((one.messages[0].blocks.as_slice(), one.spans.as_slice()), (&[text("Hi")][..], &[9..13][..]));
    assert_eq!(one.messages, read(r#"{"input":[{"role":"user","content":"Hi"}]}"#).unwrap().messages);
    assert!(read(r#"{"prompt":{"id":"p"}}"#).unwrap().messages.is_empty());
    assert!(read("{}").unwrap_err().what.contains("input"));
    assert!(read(r#"{"input":[{"content":"x"}]}"#).unwrap_err().what.contains("role"));
    let items = read(
        r#"{"input":[
        {"type":"local_shell_call","id":"l","call_id":"c1","action":{"type":"exec","command":["ls"]}},
        {"type":"shell_call","call_id":"c2","action":{"commands":["ls"]}},
        {"type":"apply_patch_call","call_id":"c3","operation":{"type":"delete_file","path":"p"}},
        {"type":"local_shell_call_output","id":"c1","output":"out"},
        {"type":"shell_call_output","call_id":"c2","output":[{"stdout":"a","stderr":"b","outcome":{"type":"exit","exit_code":0}}]},
        {"type":"apply_patch_call_output","call_id":"c3","status":"failed","output":"no"},
        {"type":"web_search_call","id":"ws","status":"completed","action":{"query":"q"}},
        {"type":"item_reference","id":"msg_1"},
        {"role":"critic","content":"x"},
        {"type":"message","role":"assistant","content":[{"type":"refusal","refusal":"no"}]}]}"#,
    )
    .unwrap();
    let blocks: Vec<_> = items.messages.iter().map(|m| m.blocks[0].clone()).collect();
    let names: Vec<_> = items.messages.iter().flat_map(|m| m.tool_calls()).map(|c| (c.0, c.1)).collect();
    assert_eq!(names, [("c1", "local_shell"), ("c2", "shell"), ("c3", "apply_patch")]);
    let result = |at: usize| match &blocks[at] {
        Block::ToolResult { call_id, text, other, is_error } => {
            (call_id.as_str(), text.as_str(), other.len(), *is_error)
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(
        [result(3), result(4), result(5)],
        [("c1", "out", 0, false), ("c2", "ab", 1, false), ("c3", "no", 0, true)]
    );
    assert_eq!(
        blocks[6],
        Block::Other { value: json!({"type": "web_search_call", "action": {"query": "q"}}) }
    );
    assert_eq!(items.messages[8].blocks.len(), 2);
    assert_eq!(blocks[9], Block::Other { value: json!({"type": "refusal", "refusal": "no"}) });
}

#[test]
fn the_system_prompt_is_set_and_extended() {
    assert_eq!(edited(RequestEdit::SetSystem("New".into())), body_with("You help.", "New"));
    assert_eq!(edited(RequestEdit::AppendSystem("More".into())), body_with("You help.", "You help.\\nMore"));
    for (old, set, appended) in [
        (r#"{"input":"x"}"#, r#"{"input":"x","instructions":"S"}"#, r#"{"input":"x","instructions":"S"}"#),
        (
            r#"{"instructions":null,"input":"x"}"#,
            r#"{"instructions":"S","input":"x"}"#,
            r#"{"instructions":"S","input":"x"}"#,
        ),
        (
            r#"{"input":[{"role":"developer","content":"a"},{"role":"system","content":"b"},{"role":"user","content":"x"}]}"#,
            r#"{"input":[{"role":"developer","content":"S"},{"role":"user","content":"x"}]}"#,
            r#"{"input":[{"role":"developer","content":"a"},{"role":"system","content":"b\nS"},{"role":"user","content":"x"}]}"#,
        ),
    ] {
        let edit = |e| OpenAiResponses.edit_request(old.as_bytes(), &[e]).unwrap();
        assert_eq!(edit(RequestEdit::SetSystem("S".into())), set);
        assert_eq!(edit(RequestEdit::AppendSystem("S".into())), appended);
    }
    let three = br#"{"input":[{"role":"developer","content":"a"},{"role":"system","content":"b"},{"role":"user","content":"x"}]}"#;
    let later = RequestEdit::SetMessageText { message: 2, text: "y".into() };
    let both = OpenAiResponses.edit_request(three, &[RequestEdit::SetSystem("S".into()), later]).unwrap();
    assert_eq!(both, &br#"{"input":[{"role":"developer","content":"S"},{"role":"user","content":"y"}]}"#[..]);
}

#[test]
fn messages_and_results_are_set() {
    let words = |message, text: &str| RequestEdit::SetMessageText { message, text: text.into() };
    assert_eq!(edited(words(1, "Ho")), body_with("\"Hi\"", "\"Ho\""));
    assert_eq!(edited(words(3, "See:")), body_with("Look:", "See:"));
    let result = |message, text: &str| RequestEdit::SetToolResult { message, block: 0, text: text.into() };
    assert_eq!(edited(result(7, "low")), body_with("\"high\"", "\"low\""));
    assert_eq!(
        edited(result(6, "c")),
        body_with(
            r#""a"},{"type":"input_image","image_url":"i"},{"type":"input_text","text":"b"}"#,
            r#""c"},{"type":"input_image","image_url":"i"}"#
        )
    );
    let json = Bytes::from_static(br#"{"type":"function_call_output","call_id":"c2","output":"x"}"#);
    let replaced = edited(RequestEdit::ReplaceMessage { message: 7, json });
    assert!(replaced.contains(r#"{"type":"function_call_output","call_id":"c2","output":"x"}"#));
    for bad in [words(4, "x"), words(7, "x"), words(8, "x"), result(3, "x"), result(4, "x")] {
        assert!(OpenAiResponses.edit_request(BODY, std::slice::from_ref(&bad)).is_err(), "{bad:?}");
    }
    let shell = br#"{"input":[{"type":"shell_call_output","call_id":"c","output":[{"stdout":"a","stderr":"b","outcome":1},{"stdout":"c","stderr":"","outcome":2}]}]}"#;
    let set = OpenAiResponses.edit_request(shell, &[result(0, "z")]).unwrap();
    let told = br#"{"input":[{"type":"shell_call_output","call_id":"c","output":[{"stdout":"z","stderr":"","outcome":1},{"stdout":"","stderr":"","outcome":2}]}]}"#;
    assert_eq!(set, &told[..]);
    let string = |edit| OpenAiResponses.edit_request(br#"{"input":"Hi"}"#, &[edit]).unwrap();
    assert_eq!(string(words(0, "Ho")), &br#"{"input":"Ho"}"#[..]);
    let other =
        |json: &'static [u8]| RequestEdit::ReplaceMessage { message: 0, json: Bytes::from_static(json) };
    assert_eq!(string(other(br#""Ho""#)), &br#"{"input":"Ho"}"#[..]);
    assert_eq!(string(other(br#"{"role":"user"}"#)), &br#"{"input":[{"role":"user"}]}"#[..]);
}

#[test]
fn fields_and_tools_are_edited() {
    let set = |name: &str, value| RequestEdit::SetField { name: name.into(), value };
    assert_eq!(edited(set("model", json!("gpt-y"))), body_with("gpt-x", "gpt-y"));
    assert_eq!(edited(set("user", json!(null))), body_with(" \"user\":\"u1\",", ""));
    let removed =
        OpenAiResponses.read_request(edited(RequestEdit::RemoveTool("f".into())).as_bytes()).unwrap();
    assert_eq!((removed.tools.len(), removed.params.contains_key("tool_choice")), (1, false));
    let added = RequestEdit::AddTool(json!({"type": "function", "name": "g"}));
    assert_eq!(OpenAiResponses.read_request(edited(added).as_bytes()).unwrap().tools.len(), 3);
    let error = OpenAiResponses.edit_request(BODY, &[RequestEdit::RemoveTool("h".into())]).unwrap_err();
    assert_eq!(error.to_string(), "there is no tool \"h\"; the tools are f, patch");
}

#[test]
fn reasoning_is_dropped_with_the_ids_that_are_tied_to_it() {
    let edits = [
        RequestEdit::DropReasoning { before: 8 },
        RequestEdit::SetToolResult { message: 7, block: 0, text: "low".into() },
    ];
    let dropped = OpenAiResponses.edit_request(BODY, &edits).unwrap();
    let dropped = String::from_utf8(dropped.to_vec()).unwrap();
    for gone in ["rs_1", "c2ln", "msg_1", "fc_1", "ctc_1", "high"] {
        assert!(!dropped.contains(gone), "{gone}: {dropped}");
    }
    assert!(dropped.contains("made-up") && dropped.contains(r#""output":"low""#));
    assert_eq!(OpenAiResponses.read_request(dropped.as_bytes()).unwrap().messages.len(), 7);
    assert_eq!(edited(RequestEdit::DropReasoning { before: 2 }).as_bytes(), BODY);
}

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
            opening.get_mut(key).map(|list| *list = json!([]));
        }
        for key in ["arguments", "input"] {
            opening.get_mut(key).map(|text| *text = json!(""));
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
            let rendered = OpenAiResponses.render_answer(&given, None, "m", stream);
            let answer = OpenAiResponses.read_answer(&head(200, stream), &rendered.body);
            assert_eq!(answer.blocks, blocks, "{stream}");
            assert_eq!((answer.stop_reason.as_deref(), answer.whole), (Some("completed"), true));
            assert_eq!(*rendered.cuts.last().unwrap(), rendered.body.len());
            let short = OpenAiResponses.render_answer(&given, Some("max_output_tokens"), "m", stream);
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
    OpenAiResponses.read_request(body.as_bytes()).unwrap()
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
        assert_eq!(Some(reading_echo(last)), answer_key(&answer), "{output}");
    }
    let request = echoed(&without(&[], &["function_call"]));
    let read = readings(&request.messages);
    assert_ne!(Some(reading_echo(&read[last_assistant(&read).unwrap()])), answer_key(&answer));
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
    fn no_request_is_too_odd(at in any::<prop::sample::Index>(), byte in any::<u8>(), message in 0usize..10) {
        let mut body = BODY.to_vec();
        let at = at.index(body.len());
        body[at] = byte;
        let read = OpenAiResponses.read_request(&body);
        for edit in [
            RequestEdit::SetSystem("S".into()),
            RequestEdit::AppendSystem("S".into()),
            RequestEdit::SetMessageText { message, text: "t".into() },
            RequestEdit::SetToolResult { message, block: 0, text: "t".into() },
            RequestEdit::DropReasoning { before: message },
            RequestEdit::RemoveTool("f".into()),
        ] {
            if let Ok(edited) = OpenAiResponses.edit_request(&body, &[edit]) {
                prop_assert!(read.is_err() || OpenAiResponses.read_request(&edited).is_ok());
            }
        }
    }

    #[test]
    fn any_blocks_can_be_rendered(texts in prop::collection::vec(any::<String>(), 0..4), stream: bool) {
        let blocks: Vec<Block> = texts.iter().filter(|t| !t.is_empty()).map(|t| text(t)).collect();
        let rendered = OpenAiResponses.render_answer(&blocks, None, "m", stream);
        prop_assert_eq!(OpenAiResponses.read_answer(&head(200, stream), &rendered.body).blocks, blocks);
    }
}
