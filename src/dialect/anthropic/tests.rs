use super::*;
use crate::dialect::conversation::{Role, Usage};
use crate::exchange::HeaderList;
use serde_json::json;

const BODY: &[u8] = br#"{"model":"claude","max_tokens":9,"stream":true,
 "system":[{"type":"text","text":"x-anthropic-billing-header: cc_version=1; cch=ab12c;"},{"type":"text","text":"You help.","cache_control":{"type":"ephemeral"}},{"type":"text","text":"Be brief."}],
 "metadata":{"user_id":"{\"session_id\":\"1\"}"},"thinking":{"type":"enabled","budget_tokens":1024},
 "messages":[
  {"role":"user","content":"Hi"},
  {"role":"system","content":[{"type":"text","text":"cwd /tmp"}]},
  {"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"c2ln"},{"type":"text","text":""},{"type":"text","text":"Look:"},{"type":"tool_use","id":"t1","name":"f","input":{"n":1.50}},{"type":"tool_use","id":"t2","name":"g","input":{}}]},
  {"role":"user","content":[{"type":"tool_result","tool_use_id":"t2","content":"high","is_error":true},{"type":"tool_result","tool_use_id":"t1","content":[{"type":"text","text":"a"},{"type":"image","source":{}},{"type":"text","text":"b","cache_control":{}}]},{"type":"tool_result","tool_use_id":"t3"}]}
 ],
 "tools":[{"name":"f","input_schema":{},"cache_control":{"type":"ephemeral"}},{"name":"g","input_schema":{}}],"tool_choice":{"type":"tool","name":"f"}}"#;

fn head(status: u16, stream: bool) -> ResponseHead {
    let kind = if stream { "text/event-stream" } else { "application/json" };
    ResponseHead { status, headers: HeaderList(vec![("content-type".into(), kind.into())]) }
}

fn text(s: &str) -> Block {
    Block::Text { text: s.into() }
}

fn edited(edit: RequestEdit) -> String {
    String::from_utf8(AnthropicMessages.edit_request(BODY, &[edit]).unwrap().to_vec()).unwrap()
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
        AnthropicMessages.recognise(&RequestHead {
            method: method.into(),
            target: target.into(),
            headers: HeaderList::default(),
        })
    };
    assert_eq!(recognise("POST", "/v1/messages?beta=true"), Some(Endpoint::Model));
    assert_eq!(recognise("POST", "/messages"), Some(Endpoint::Model));
    assert_eq!(recognise("POST", "/v1/messages/count_tokens?beta=true"), Some(Endpoint::Side));
    assert_eq!(recognise("HEAD", "/api/hello"), Some(Endpoint::Side));
    assert_eq!(recognise("POST", "/v1/threads/th_1/messages"), None);
    assert_eq!(recognise("POST", "/v1/messages/batches"), None);
    assert_eq!(recognise("GET", "/v1/messages"), None);
}

#[test]
fn a_request_is_read_into_the_normal_form() {
    let request = AnthropicMessages.read_request("", BODY).unwrap();
    assert_eq!(request.system, [text("You help."), text("Be brief.")]);
    assert_eq!(request.params.keys().collect::<Vec<_>>(), ["max_tokens", "thinking", "tool_choice"]);
    assert_eq!(request.tools[0], json!({"name": "f", "input_schema": {}}));
    let roles: Vec<_> = request.messages.iter().map(|m| m.role).collect();
    assert_eq!(roles, [Role::User, Role::System, Role::Assistant, Role::User]);
    assert_eq!(request.messages[0].blocks, [text("Hi")]);
    let assistant = &request.messages[2].blocks;
    assert_eq!(assistant[0], Block::Reasoning { text: "hm".into(), signed: true });
    assert_eq!(assistant[1], text("Look:"));
    assert_eq!(assistant[2], Block::ToolCall { id: "t1".into(), name: "f".into(), args: json!({"n": 1.5}) });
    let results = &request.messages[3].blocks;
    let result = |id: &str, text: &str, other, is_error| Block::ToolResult {
        call_id: id.into(),
        text: text.into(),
        other,
        is_error,
    };
    assert_eq!(results[0], result("t2", "high", vec![], true));
    assert_eq!(results[1], result("t1", "a\nb", vec![json!({"type": "image", "source": {}})], false));
    assert_eq!(results[2], result("t3", "", vec![], false));
    let bare = AnthropicMessages.read_request("", br#"{"system":"S","messages":[]}"#).unwrap();
    assert_eq!(bare.system, [text("S")]);
    assert!(AnthropicMessages.read_request("", b"{}").unwrap_err().what.contains("messages"));
}

#[test]
fn the_system_prompt_is_set_and_extended() {
    let set = edited(RequestEdit::SetSystem("New.".into()));
    assert_eq!(
        set,
        body_with(
            r#"You help.","cache_control":{"type":"ephemeral"}},{"type":"text","text":"Be brief."}"#,
            r#"New.","cache_control":{"type":"ephemeral"}}"#
        )
    );
    let append = edited(RequestEdit::AppendSystem("In cents.".into()));
    assert_eq!(append, body_with("Be brief.", "Be brief.\\nIn cents."));
    for (old, set, appended) in [
        (r#"{"messages":[]}"#, r#"{"messages":[],"system":"S"}"#, r#"{"messages":[],"system":"S"}"#),
        (
            r#"{"system":"a","messages":[]}"#,
            r#"{"system":"S","messages":[]}"#,
            r#"{"system":"a\nS","messages":[]}"#,
        ),
        (
            r#"{"system":[],"messages":[]}"#,
            r#"{"system":[{"type":"text","text":"S"}],"messages":[]}"#,
            r#"{"system":[{"type":"text","text":"S"}],"messages":[]}"#,
        ),
    ] {
        let edit = |e| AnthropicMessages.edit_request(old.as_bytes(), &[e]).unwrap();
        assert_eq!(edit(RequestEdit::SetSystem("S".into())), set);
        assert_eq!(edit(RequestEdit::AppendSystem("S".into())), appended);
    }
}

#[test]
fn messages_and_results_are_set() {
    let result = |block, text: &str| RequestEdit::SetToolResult { message: 3, block, text: text.into() };
    assert_eq!(edited(result(0, "low")), body_with("\"high\"", "\"low\""));
    assert_eq!(
        edited(result(1, "c")),
        body_with(
            r#""a"},{"type":"image","source":{}},{"type":"text","text":"b","cache_control":{}}"#,
            r#""c"},{"type":"image","source":{}}"#
        )
    );
    assert_eq!(edited(result(2, "d")), body_with(r#""t3"}"#, r#""t3","content":"d"}"#));
    let words = |message, text: &str| RequestEdit::SetMessageText { message, text: text.into() };
    assert_eq!(edited(words(0, "Ho")), body_with("\"Hi\"", "\"Ho\""));
    // The empty text block is a text block like another.
    assert_eq!(
        edited(words(2, "See:")),
        body_with(
            r#"{"type":"text","text":""},{"type":"text","text":"Look:"}"#,
            r#"{"type":"text","text":"See:"}"#
        )
    );
    assert_eq!(edited(words(3, "Also")), body_with(r#""t3"}"#, r#""t3"},{"type":"text","text":"Also"}"#));
    for bad in [
        RequestEdit::SetToolResult { message: 2, block: 1, text: "x".into() },
        RequestEdit::SetToolResult { message: 3, block: 7, text: "x".into() },
        RequestEdit::SetToolResult { message: 0, block: 0, text: "x".into() },
        words(4, "x"),
    ] {
        assert!(AnthropicMessages.edit_request(BODY, std::slice::from_ref(&bad)).is_err(), "{bad:?}");
    }
}

#[test]
fn reasoning_is_dropped_and_the_request_stays_valid() {
    let dropped = edited(RequestEdit::DropReasoning { before: 4 });
    let request = AnthropicMessages.read_request("", dropped.as_bytes()).unwrap();
    assert!(
        !dropped.contains("signature") && dropped.contains(r#"[{"type":"text","text":""},"#),
        "{dropped}"
    );
    assert!(
        !request.params.contains_key("thinking"),
        "an open turn without thinking refuses a thinking budget"
    );
    assert_eq!(edited(RequestEdit::DropReasoning { before: 2 }).as_bytes(), BODY);

    let lost = br#"{"thinking":{"type":"enabled"},"messages":[{"role":"user","content":"go"},{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":"1"}]}]}"#;
    let mended = AnthropicMessages.edit_request(lost, &[RequestEdit::DropReasoning { before: 0 }]).unwrap();
    assert!(
        !String::from_utf8_lossy(&mended).contains("thinking"),
        "the answer was edited: its thinking is gone"
    );

    let closed = br#"{"thinking":{"type":"enabled"},"messages":[{"role":"assistant","content":[{"type":"redacted_thinking","data":"x"}]},{"role":"user","content":"go"}]}"#;
    assert_eq!(
        AnthropicMessages.edit_request(closed, &[RequestEdit::DropReasoning { before: 9 }]).unwrap(),
        &br#"{"thinking":{"type":"enabled"},"messages":[{"role":"assistant","content":[{"type":"text","text":"[reasoning left out]"}]},{"role":"user","content":"go"}]}"#[..]
    );
}

#[test]
fn tools_are_removed_with_their_choice() {
    let removed =
        AnthropicMessages.read_request("", edited(RequestEdit::RemoveTool("f".into())).as_bytes()).unwrap();
    assert_eq!((removed.tools.len(), removed.params.contains_key("tool_choice")), (1, false));
    let error = AnthropicMessages.edit_request(BODY, &[RequestEdit::RemoveTool("h".into())]).unwrap_err();
    assert_eq!(error.to_string(), "there is no tool \"h\"; the tools are f, g");
}

/// The stream in which a message would have come.
fn stream_of(message: &serde_json::Value) -> String {
    let mut stream = String::new();
    let mut event = |data: serde_json::Value| {
        stream.push_str(&format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap()));
    };
    let mut start = message.clone();
    start["content"] = json!([]);
    start["stop_reason"] = json!(null);
    start["usage"]["output_tokens"] = json!(1);
    event(json!({"type": "message_start", "message": start}));
    event(json!({"type": "ping"}));
    for (index, block) in message["content"].as_array().unwrap().iter().enumerate() {
        let mut opening = block.clone();
        let mut deltas = Vec::new();
        for (key, kind, piece) in [
            ("text", "text_delta", "text"),
            ("thinking", "thinking_delta", "thinking"),
            ("signature", "signature_delta", "signature"),
            ("input", "input_json_delta", "partial_json"),
        ] {
            let Some(value) = block.get(key) else { continue };
            let whole = value.as_str().map_or_else(|| value.to_string(), str::to_string);
            opening[key] = if key == "input" { json!({}) } else { json!("") };
            for c in whole.chars() {
                deltas.push(json!({"type": kind, piece: c.to_string()}));
            }
        }
        event(json!({"type": "content_block_start", "index": index, "content_block": opening}));
        for delta in deltas {
            event(json!({"type": "content_block_delta", "index": index, "delta": delta}));
        }
        event(json!({"type": "content_block_stop", "index": index}));
    }
    event(json!({"type": "message_delta", "delta": {"stop_reason": message["stop_reason"]},
        "usage": {"output_tokens": message["usage"]["output_tokens"]}}));
    event(json!({"type": "message_stop"}));
    stream
}

#[test]
fn a_stream_of_any_message_reads_as_the_message() {
    let message = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "stop_reason": "tool_use",
        "usage": {"input_tokens": 5, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 20, "output_tokens": 7},
        "content": [
            {"type": "thinking", "thinking": "let me\nsee", "signature": "c2ln"},
            {"type": "redacted_thinking", "data": "b3BhcXVl"},
            {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "né"}},
            {"type": "web_search_tool_result", "tool_use_id": "s1", "content": [{"type": "web_search_result", "url": "u"}]},
            {"type": "text", "text": "Hé \"there\""},
            {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": [1, 2.5], "b": "x y"}},
            {"type": "tool_use", "id": "t2", "name": "g", "input": {}}]});
    let plain = AnthropicMessages.read_answer(&head(200, false), message.to_string().as_bytes());
    let stream = stream_of(&message);
    assert_eq!(AnthropicMessages.read_answer(&head(200, true), stream.as_bytes()), plain);
    assert_eq!(
        plain.usage.unwrap(),
        Usage { input: 125, output: 7, cache_read: 100, cache_write: 20, reasoning: 0 }
    );
    assert_eq!(plain.blocks.len(), 7);
    assert_eq!(plain.blocks[0], Block::Reasoning { text: "let me\nsee".into(), signed: true });
    assert_eq!(plain.blocks[1], Block::Reasoning { text: "".into(), signed: true });

    let until = stream.find("event: message_delta").unwrap();
    let cut = AnthropicMessages.read_answer(&head(200, true), &stream.as_bytes()[..until]);
    assert!(!cut.whole && cut.blocks == plain.blocks);
}

#[test]
fn errors_are_read() {
    let error =
        AnthropicMessages.read_answer(&head(529, false), &AnthropicMessages.render_error(529, "busy"));
    assert_eq!((error.error.as_deref(), error.whole), (Some("busy"), true));
    let stream = b"event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n";
    let error = AnthropicMessages.read_answer(&head(200, true), stream);
    assert_eq!((error.error.as_deref(), error.whole), (Some("Overloaded"), true));
}

#[test]
fn a_rendered_answer_reads_as_what_it_was_made_of() {
    let call = |id: &str| Block::ToolCall {
        id: id.into(),
        name: "look".into(),
        args: json!({"order": "A1", "n": [2]}),
    };
    let server = json!({"type": "server_tool_use", "id": "s", "name": "w", "input": {"q": 1}});
    for blocks in [
        vec![text("Hello, wörld: this text is longer than one delta.")],
        vec![text("a"), Block::Other { value: server }, call("t1"), call("t2")],
    ] {
        for stream in [true, false] {
            let mut given = blocks.clone();
            given.insert(0, Block::Reasoning { text: "hidden".into(), signed: true });
            let rendered = AnthropicMessages.render_answer("", &given, None, "m", stream);
            let answer = AnthropicMessages.read_answer(&head(200, stream), &rendered.body);
            assert_eq!(answer.blocks, blocks, "{stream}");
            let stop = if blocks.len() > 1 { "tool_use" } else { "end_turn" };
            assert_eq!((answer.stop_reason.as_deref(), answer.whole), (Some(stop), true));
            assert_eq!(*rendered.cuts.last().unwrap(), rendered.body.len());
        }
    }
}
