mod hosts;

use super::*;
use crate::dialect::conversation::Usage;
use crate::exchange::HeaderList;
use serde_json::json;

const BODY: &[u8] = br#"{
 "model": "gpt-x", "stream":true, "temperature": 0.70, "user":"u1", "stream_options":{"include_usage":true},
 "messages": [
  {"role":"system","content":"Be brief."},
  {"role":"user","content":[{"type":"text","text":"Hi","cache_control":{"type":"ephemeral"}},{"type":"image_url","image_url":{"url":"u"}}]},
  {"role":"assistant","content":null,"reasoning_content":"hm","refusal":null,"annotations":[],"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"n\": 9007199254740993}"}},{"id":"c2","type":"function","function":{"name":"g","arguments":"{bad"}}]},
  {"role":"tool","tool_call_id":"c1","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},
  {"role":"tool","tool_call_id":"c2","content":"high"}
 ],
 "tools":[{"type":"function","function":{"name":"f","parameters":{}}},{"type":"function","function":{"name":"g"}}],
 "tool_choice":{"type":"function","function":{"name":"g"}}
}"#;

fn head(status: u16, stream: bool) -> ResponseHead {
    let kind = if stream { "text/event-stream" } else { "application/json" };
    ResponseHead { status, headers: HeaderList(vec![("content-type".into(), kind.into())]) }
}

fn text(s: &str) -> Block {
    Block::Text { text: s.into() }
}

fn edited(edit: RequestEdit) -> String {
    String::from_utf8(OpenAiChat.edit_request(BODY, &[edit]).unwrap().to_vec()).unwrap()
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
        OpenAiChat.recognise(&RequestHead {
            method: method.into(),
            target: target.into(),
            headers: HeaderList::default(),
        })
    };
    assert_eq!(recognise("POST", "/v1/chat/completions?api-version=1"), Some(Endpoint::Model));
    assert_eq!(recognise("GET", "/v1/models"), Some(Endpoint::Side));
    assert_eq!(recognise("GET", "/v1/chat/completions"), None);
    assert_eq!(recognise("POST", "/v1/embeddings"), None);
}

#[test]
fn a_request_is_read_into_the_normal_form() {
    let request = OpenAiChat.read_request("", BODY).unwrap();
    assert_eq!((request.model.as_str(), request.stream, request.tools.len()), ("gpt-x", true, 2));
    assert_eq!(request.params.keys().collect::<Vec<_>>(), ["temperature", "tool_choice"]);
    assert_eq!(request.params["temperature"], json!({"$number": "0.70"}));
    let roles: Vec<_> = request.messages.iter().map(|m| m.role).collect();
    use crate::dialect::conversation::Role::*;
    assert_eq!(roles, [System, User, Assistant, Tool, Tool]);
    assert_eq!(request.messages[1].blocks[0], text("Hi"));
    let calls: Vec<_> = request.messages[2].tool_calls().collect();
    assert_eq!(calls[0].2, &json!({"n": 9_007_199_254_740_993_i64}));
    assert_eq!(calls[1].2, &json!("{bad"));
    assert_eq!(request.messages[2].blocks[0], Block::Reasoning { text: "hm".into(), signed: false });
    assert_eq!(request.messages[2].blocks.len(), 3);
    assert!(matches!(&request.messages[3].blocks[0], Block::ToolResult { text, .. } if text == "a\nb"));
}

#[test]
fn legacy_and_odd_messages_are_read() {
    let body = br#"{"messages":[{"role":"assistant","function_call":{"name":"f","arguments":""}},
        {"role":"function","name":"f","content":"r"},{"role":"critic","content":"x"},
        {"role":"assistant","content":[{"type":"refusal","refusal":"no"}]},{"role":"assistant","refusal":"no"},
        {"role":"user","name":"ann","content":""}],"functions":[{"name":"f"}]}"#;
    let request = OpenAiChat.read_request("", body).unwrap();
    let blocks: Vec<_> = request.messages.into_iter().map(|m| m.blocks).collect();
    assert_eq!(blocks[0], [Block::ToolCall { id: "".into(), name: "f".into(), args: json!({}) }]);
    assert!(matches!(&blocks[1][0], Block::ToolResult { call_id, .. } if call_id == "f"));
    assert_eq!(blocks[2], [text("x"), Block::Other { value: json!({"role": "critic"}) }]);
    assert_eq!(blocks[3], blocks[4]);
    assert_eq!(blocks[5], [Block::Other { value: json!({"name": "ann"}) }]);
    assert_eq!(request.tools, [json!({"name": "f"})]);
}

#[test]
fn what_is_no_request_is_malformed() {
    assert_eq!(OpenAiChat.read_request("", br#"{"messages": [1,}"#).unwrap_err().at, 16);
    assert!(OpenAiChat.read_request("", br#"{"model":"m"}"#).unwrap_err().what.contains("messages"));
    assert!(
        OpenAiChat.read_request("", br#"{"messages":[{"content":"x"}]}"#).unwrap_err().what.contains("role")
    );
}

#[test]
fn the_system_prompt_is_set_and_extended() {
    let set = RequestEdit::SetSystem("A \"new\" one".into());
    assert_eq!(edited(set), body_with(r#""Be brief.""#, r#""A \"new\" one""#));
    let append = RequestEdit::AppendSystem("In cents.".into());
    assert_eq!(edited(append), body_with("Be brief.", "Be brief.\\nIn cents."));
    let bare = br#"{"messages":[{"role":"user","content":"x"}]}"#;
    for edit in [RequestEdit::SetSystem("S".into()), RequestEdit::AppendSystem("S".into())] {
        let later = RequestEdit::SetMessageText { message: 0, text: "y".into() };
        let body = OpenAiChat.edit_request(bare, &[edit, later]).unwrap();
        assert_eq!(
            body,
            &br#"{"messages":[{"role":"system","content":"S"},{"role":"user","content":"y"}]}"#[..]
        );
    }
    let two = br#"{"messages":[{"role":"system","content":"a"},{"role":"developer","content":[{"type":"text","text":"b"}]},{"role":"user","content":"x"}]}"#;
    let edits =
        [RequestEdit::SetSystem("S".into()), RequestEdit::SetMessageText { message: 2, text: "y".into() }];
    assert_eq!(
        OpenAiChat.edit_request(two, &edits).unwrap(),
        &br#"{"messages":[{"role":"system","content":"S"},{"role":"user","content":"y"}]}"#[..]
    );
    let appended = OpenAiChat.edit_request(two, &[RequestEdit::AppendSystem("c".into())]).unwrap();
    assert!(appended.windows(18).any(|w| w == br#""text":"b\nc"}]},{"#), "{appended:?}");
}

#[test]
fn messages_and_results_are_set() {
    let result = RequestEdit::SetToolResult { message: 4, block: 0, text: "low".into() };
    assert_eq!(edited(result), body_with("\"high\"", "\"low\""));
    let parts = RequestEdit::SetToolResult { message: 3, block: 0, text: "c".into() };
    assert_eq!(edited(parts), body_with(r#""a"},{"type":"text","text":"b"}"#, r#""c"}"#));
    let words = RequestEdit::SetMessageText { message: 1, text: "Ho".into() };
    assert_eq!(edited(words), body_with("\"Hi\"", "\"Ho\""));
    let none = RequestEdit::SetMessageText { message: 2, text: "T".into() };
    assert_eq!(edited(none), body_with("\"content\":null", "\"content\":\"T\""));
    let whole = RequestEdit::ReplaceMessage { message: 4, json: Bytes::from_static(br#" {"role":"user"} "#) };
    assert_eq!(
        edited(whole),
        body_with(r#"{"role":"tool","tool_call_id":"c2","content":"high"}"#, r#"{"role":"user"}"#)
    );
    for bad in [
        RequestEdit::SetMessageText { message: 3, text: "x".into() },
        RequestEdit::SetMessageText { message: 9, text: "x".into() },
        RequestEdit::SetToolResult { message: 2, block: 0, text: "x".into() },
        RequestEdit::RemoveTool("h".into()),
        RequestEdit::ReplaceMessage { message: 0, json: Bytes::from_static(b"[]") },
    ] {
        assert!(OpenAiChat.edit_request(BODY, std::slice::from_ref(&bad)).is_err(), "{bad:?}");
    }
}

#[test]
fn fields_and_tools_are_changed() {
    let set = RequestEdit::SetField { name: "model".into(), value: json!("o") };
    assert_eq!(edited(set), body_with("\"gpt-x\"", "\"o\""));
    let new = RequestEdit::SetField { name: "seed".into(), value: json!(1) };
    assert!(edited(new).ends_with("\"name\":\"g\"}},\"seed\":1\n}"));
    let gone = RequestEdit::SetField { name: "temperature".into(), value: json!(null) };
    assert_eq!(edited(gone), body_with(", \"temperature\": 0.70", ""));
    let first = RequestEdit::SetField { name: "model".into(), value: json!(null) };
    assert_eq!(edited(first), body_with("\"model\": \"gpt-x\", ", ""));

    let tool = RequestEdit::RemoveTool("f".into());
    assert_eq!(
        edited(tool),
        body_with(r#"{"type":"function","function":{"name":"f","parameters":{}}},"#, "")
    );
    let chosen = OpenAiChat.read_request("", edited(RequestEdit::RemoveTool("g".into())).as_bytes()).unwrap();
    assert!(!chosen.params.contains_key("tool_choice") && chosen.tools.len() == 1);
    let all = [RequestEdit::RemoveTool("f".into()), RequestEdit::RemoveTool("g".into())];
    let none = String::from_utf8(OpenAiChat.edit_request(BODY, &all).unwrap().to_vec()).unwrap();
    assert!(!none.contains("tools") && !none.contains("tool_choice"), "{none}");
    OpenAiChat.read_request("", none.as_bytes()).unwrap();
    let added =
        OpenAiChat.read_request("", edited(RequestEdit::AddTool(json!({"name": "h"}))).as_bytes()).unwrap();
    assert_eq!(added.tools[2], json!({"name": "h"}));
}

#[test]
fn reasoning_is_dropped_and_messages_stay_valid() {
    // Nobody signed it, and DeepSeek wants it back.
    assert_eq!(edited(RequestEdit::DropReasoning { before: 5 }).as_bytes(), BODY);
    let signed = body_with(
        "\"reasoning_content\":\"hm\"",
        "\"reasoning_content\":\"hm\",\"reasoning_opaque\":\"c2ln\"",
    );
    let drop = |before: usize| {
        OpenAiChat.edit_request(signed.as_bytes(), &[RequestEdit::DropReasoning { before }]).unwrap()
    };
    assert_eq!(drop(5), body_with(",\"reasoning_content\":\"hm\"", "").as_bytes());
    assert_eq!(drop(2), signed.as_bytes());
    let only = br#"{"messages":[{"role":"assistant","content":null,"reasoning":"r","reasoning_details":[{"type":"reasoning.encrypted","data":"x"}]},{"role":"assistant","content":[{"type":"thinking","thinking":"x","signature":"s"}]}]}"#;
    assert_eq!(
        OpenAiChat.edit_request(only, &[RequestEdit::DropReasoning { before: 2 }]).unwrap(),
        &br#"{"messages":[{"role":"assistant","content":""},{"role":"assistant","content":""}]}"#[..]
    );
}

#[test]
fn errors_and_broken_answers_are_read() {
    let error = OpenAiChat.read_answer(&head(429, false), &OpenAiChat.render_error(429, "slow down"));
    assert_eq!((error.error.as_deref(), error.whole), (Some("slow down"), true));
    let html = OpenAiChat.read_answer(&head(502, false), b"<h1>Bad gateway</h1>");
    assert_eq!((html.error.as_deref(), html.whole), (Some("<h1>Bad gateway</h1>"), true));
    assert!(!OpenAiChat.read_answer(&head(500, false), b"{\"error\":{\"mess").whole);
    assert!(!OpenAiChat.read_answer(&head(200, false), b"{\"choices\":[").whole);
    let stream = b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\ndata: {\"error\":{\"message\":\"boom\"}}\n\n";
    let broken = OpenAiChat.read_answer(&head(200, true), stream);
    assert_eq!((broken.error.as_deref(), broken.blocks, broken.whole), (Some("boom"), vec![text("a")], true));
}

#[test]
fn calls_of_careless_servers_are_told_apart() {
    let call = |id: &str, name: &str, args: &str, index: &str| {
        format!(
            "data: {{\"choices\":[{{\"delta\":{{\"tool_calls\":[{{{index}\"id\":{id},\"function\":{{\"name\":{name},\"arguments\":{}}}}}]}}}}]}}\n\n",
            json!(args)
        )
    };
    for index in ["\"index\":0,", ""] {
        let stream = [
            call("\"a\"", "\"f\"", "{\"x\":", index),
            call("\"\"", "\"\"", "1}", index),
            call("\"b\"", "\"f\"", "{}", index),
            call("null", "null", "", index),
        ];
        let answer = OpenAiChat.read_answer(&head(200, true), stream.concat().as_bytes());
        let calls: Vec<_> = answer.tool_calls().collect();
        assert_eq!(calls, [("a", "f", &json!({"x": 1})), ("b", "f", &json!({}))], "{index}");
    }
}

#[test]
fn a_stream_of_any_completion_reads_as_the_completion() {
    let message = json!({"role": "assistant", "content": "Hé\n", "refusal": null, "reasoning": "because", "annotations": [{"type": "url"}],
        "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{\"k\": \"v w\", \"n\": 1.0}"}},
            {"id": "b", "type": "custom", "custom": {"name": "c", "input": "raw text"}}]});
    let other = json!({"role": "assistant", "content": "second", "refusal": null});
    let usage = json!({"prompt_tokens": 9, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 3},
        "completion_tokens_details": {"reasoning_tokens": 2}});
    let plain = json!({"id": "i", "model": "m", "usage": usage, "choices": [
        {"index": 1, "message": other, "finish_reason": "stop"},
        {"index": 0, "message": message, "finish_reason": "tool_calls"}]});
    let mut stream = String::from(": hello\r\n\r\n");
    let mut chunk = |choices: serde_json::Value, usage: serde_json::Value| {
        let chunk = json!({"id": "i", "model": "m", "choices": choices, "usage": usage});
        stream.push_str(&format!("data: {chunk}\r\n\r\n"));
    };
    let delta = |index: u32, delta: serde_json::Value| json!([{"index": index, "delta": delta, "finish_reason": null}]);
    let letters =
        |key: &str, text: &str| text.chars().map(|c| json!({key: c.to_string()})).collect::<Vec<_>>();
    chunk(delta(0, json!({"role": "assistant", "content": ""})), json!(null));
    for piece in [letters("reasoning", "because"), letters("content", "Hé\n")].concat() {
        chunk(delta(0, piece), json!(null));
    }
    for piece in letters("content", "second") {
        chunk(delta(1, piece), json!(null));
    }
    chunk(delta(0, json!({"annotations": [{"type": "url"}]})), json!(null));
    for (i, call) in message["tool_calls"].as_array().unwrap().iter().enumerate() {
        let kind = call["type"].as_str().unwrap();
        let field = if kind == "function" { "arguments" } else { "input" };
        let opening = json!({"index": i, "id": call["id"], "type": kind, kind: {"name": call[kind]["name"], field: ""}});
        chunk(delta(0, json!({"tool_calls": [opening]})), json!(null));
        for piece in letters(field, call[kind][field].as_str().unwrap()) {
            chunk(delta(0, json!({"tool_calls": [{"index": i, kind: piece}]})), json!(null));
        }
    }
    chunk(
        json!([{"index": 1, "delta": {}, "finish_reason": "stop"}, {"index": 0, "delta": {}, "finish_reason": "tool_calls"}]),
        json!(null),
    );
    chunk(json!([]), usage);
    stream.push_str("data: [DONE]\r\n\r\n");

    let plain = OpenAiChat.read_answer(&head(200, false), plain.to_string().as_bytes());
    assert_eq!(OpenAiChat.read_answer(&head(200, true), stream.as_bytes()), plain);
    assert_eq!(
        plain.usage.unwrap(),
        Usage { input: 9, output: 4, cache_read: 3, cache_write: 0, reasoning: 2 }
    );
    let kinds: Vec<_> = plain.blocks.iter().map(std::mem::discriminant).collect();
    assert_eq!((kinds.len(), plain.text()), (6, "Hé\n".to_string()));
}

#[test]
fn a_rendered_answer_reads_as_what_it_was_made_of() {
    let call = |id: &str, args| Block::ToolCall { id: id.into(), name: "look".into(), args };
    let refusal = Block::Other { value: json!({"type": "refusal", "refusal": "no, thank you"}) };
    for blocks in [
        vec![text("Hello, wörld: this text is longer than one delta.")],
        vec![text("a"), call("c1", json!({"order": "A1", "n": 2})), call("c2", json!({}))],
        vec![call("c1", json!("{broken"))],
        vec![refusal],
    ] {
        for stream in [true, false] {
            let rendered = OpenAiChat.render_answer("", &blocks, None, "m", stream);
            let answer = OpenAiChat.read_answer(&head(200, stream), &rendered.body);
            assert_eq!(answer.blocks, blocks, "{stream}");
            let stop = if answer.tool_calls().next().is_some() { "tool_calls" } else { "stop" };
            assert_eq!((answer.stop_reason.as_deref(), answer.whole), (Some(stop), true));
            assert_eq!(*rendered.cuts.last().unwrap(), rendered.body.len());
            assert!(rendered.cuts.is_sorted());
            let terminal = rendered.body.windows(12).any(|w| OpenAiChat.terminal_markers().contains(&w));
            assert_eq!(terminal, stream);
        }
    }
}

#[test]
fn a_deployment_is_the_model_and_stands_in_the_path() {
    let target = "/openai/deployments/my%20gpt/chat/completions?api-version=2024-10-21";
    let head = RequestHead { method: "POST".into(), target: target.into(), headers: HeaderList::default() };
    assert_eq!(OpenAiChat.recognise(&head), Some(Endpoint::Model));
    assert_eq!(OpenAiChat.path(&head), "/openai/deployments/_/chat/completions");
    let body = br#"{"messages":[{"role":"user","content":"x"}]}"#;
    assert_eq!(OpenAiChat.read_request(target, body).unwrap().model, "my%20gpt");
    let set = |value| [RequestEdit::SetField { name: "model".into(), value }];
    assert_eq!(
        OpenAiChat.edit_target(target, &set(json!("o3/eu"))).unwrap(),
        "/openai/deployments/o3%2Feu/chat/completions?api-version=2024-10-21"
    );
    assert_eq!(OpenAiChat.edit_target("/openai/v1/chat/completions", &set(json!("o3"))), None);
    assert_eq!(OpenAiChat.edit_target(target, &[]), None);
    let agent = br#"{"agent_id":"ag_1","messages":[{"role":"user","content":"x"}]}"#;
    assert_eq!(OpenAiChat.read_request("/v1/agents/completions", agent).unwrap().model, "ag_1");
}

#[test]
fn a_legacy_completion_is_a_conversation_of_one_message() {
    let body = br#"{"model":"m","prompt":["def f(","x"],"suffix":"end","max_tokens":5,"stream":true}"#;
    let request = OpenAiChat.read_request("/v1/completions", body).unwrap();
    assert_eq!(request.messages[0].blocks, [text("def f("), text("x")]);
    assert_eq!(request.params.keys().collect::<Vec<_>>(), ["max_tokens", "suffix"]);
    let tokens = OpenAiChat.read_request("", br#"{"model":"m","prompt":[1,2]}"#).unwrap();
    assert_eq!(tokens.messages[0].blocks, [Block::Other { value: json!({"prompt": [1, 2]}) }]);
    let edit = RequestEdit::SetMessageText { message: 0, text: "g(".into() };
    let edited = OpenAiChat.edit_request(body, &[edit]).unwrap();
    assert_eq!(edited, &br#"{"model":"m","prompt":"g(","suffix":"end","max_tokens":5,"stream":true}"#[..]);
    for stream in [true, false] {
        let said = [text("a text that is longer than one delta is")];
        let rendered = OpenAiChat.render_answer("/v1/completions", &said, None, "m", stream);
        assert!(rendered.body.windows(15).any(|w| w == b"text_completion"));
        let answer = OpenAiChat.read_answer(&head(200, stream), &rendered.body);
        assert_eq!((answer.blocks, answer.whole), (said.to_vec(), true), "{stream}");
        // Mistral's fill-in-the-middle answers with a message.
        let fim = OpenAiChat.render_answer("/v1/fim/completions", &said, None, "m", stream);
        assert_eq!(OpenAiChat.read_answer(&head(200, stream), &fim.body).blocks, said);
    }
}
