use super::*;
use crate::dialect::conversation::{Role, Usage};
use crate::exchange::HeaderList;
use serde_json::json;

const CHAT: &[u8] = br#"{"model":"qwen3","keep_alive":"5m","think":true,"options":{"temperature": 0.70,"num_ctx":4096},
 "messages":[
  {"role":"system","content":"Be brief."},
  {"role":"user","content":"Look","images":["aGk="]},
  {"role":"assistant","content":"","thinking":"hm","tool_calls":[{"function":{"index":0,"name":"look","arguments":{"item":"desk","n":1.50}}},{"id":"c2","function":{"name":"see","arguments":{}}}]},
  {"role":"tool","content":"3","tool_name":"look"},
  {"role":"tool","content":"4","tool_call_id":"c2","images":["aGk="]}],
 "tools":[{"type":"function","function":{"name":"look"}},{"type":"function","function":{"name":"see"}}]}"#;

const PROMPT: &[u8] =
    br#"{"model":"m","prompt":"Hi","system":"S","stream":false,"context":[1,2],"raw":true,"options":{}}"#;

fn head(status: u16, kind: &str) -> ResponseHead {
    ResponseHead { status, headers: HeaderList(vec![("Content-Type".into(), kind.into())]) }
}

const LINES: &str = "application/x-ndjson";

fn edited(body: &[u8], edit: RequestEdit) -> String {
    String::from_utf8(Ollama.edit_request(body, &[edit]).unwrap().to_vec()).unwrap()
}

fn body_with(body: &[u8], old: &str, new: &str) -> String {
    let body = std::str::from_utf8(body).unwrap();
    assert_eq!(body.matches(old).count(), 1, "{old}");
    body.replace(old, new)
}

#[test]
fn paths_are_recognised() {
    let recognise = |method: &str, target: &str| {
        let headers = HeaderList::default();
        Ollama.recognise(&RequestHead { method: method.into(), target: target.into(), headers })
    };
    assert_eq!(recognise("POST", "/api/chat"), Some(Endpoint::Model));
    assert_eq!(recognise("POST", "/prefix/api/generate?x=1"), Some(Endpoint::Model));
    assert_eq!(recognise("GET", "/api/tags"), Some(Endpoint::Side));
    assert_eq!(recognise("POST", "/api/show"), Some(Endpoint::Side));
    for (method, target) in [("GET", "/api/chat"), ("POST", "/api/embed"), ("POST", "/api/pull")] {
        assert_eq!(recognise(method, target), None, "{target}");
    }
}

#[test]
fn a_conversation_is_read() {
    let request = Ollama.read_request("/api/chat", CHAT).unwrap();
    assert!(request.stream, "a stream unless told otherwise");
    assert_eq!((request.model.as_str(), request.tools.len(), request.spans.len()), ("qwen3", 2, 5));
    assert_eq!(request.params.keys().collect::<Vec<_>>(), ["num_ctx", "temperature", "think"]);
    let roles: Vec<Role> = request.messages.iter().map(|m| m.role).collect();
    assert_eq!(roles, [Role::System, Role::User, Role::Assistant, Role::Tool, Role::Tool]);
    assert_eq!(request.messages[1].blocks[1], Block::Other { value: json!({"images": ["aGk="]}) });
    assert_eq!(request.messages[2].blocks[0], Block::Reasoning { text: "hm".into(), signed: false });
    let calls: Vec<_> = request.messages[2].tool_calls().collect();
    assert_eq!(calls[0], ("", "look", &json!({"item": "desk", "n": 1.5})));
    assert_eq!(calls[1].0, "c2");
    let result = |call_id: &str, text: &str, other: Vec<Value>| Block::ToolResult {
        call_id: call_id.into(),
        text: text.into(),
        other,
        is_error: false,
    };
    assert_eq!(request.messages[3].blocks, [result("", "3", vec![])]);
    assert_eq!(request.messages[4].blocks, [result("c2", "4", vec![json!({"images": ["aGk="]})])]);
}

#[test]
fn a_prompt_is_a_conversation_of_one_message() {
    let request = Ollama.read_request("/api/generate", PROMPT).unwrap();
    assert!(!request.stream);
    assert_eq!((request.system_text(), request.messages[0].text()), ("S".into(), "Hi".into()));
    assert_eq!(&PROMPT[request.spans[0].clone()], b"\"Hi\"");
    assert_eq!(request.params.keys().collect::<Vec<_>>(), ["context", "raw"]);
    for body in
        [r#"{"model":"m"}"#, r#"{"model":"m","messages":[]}"#, r#"{"model":"m","prompt":"","keep_alive":0}"#]
    {
        assert!(
            Ollama.read_request("", body.as_bytes()).unwrap_err().what.contains("asks nothing"),
            "{body}"
        );
    }
    // An app of one's own that has a path of this name.
    assert!(Ollama.read_request("/api/chat", br#"{"messages":[{"role":"user","content":"x"}]}"#).is_err());
}

#[test]
fn edits_go_where_ollama_looks_for_them() {
    let field = |name: &str, value: Value| RequestEdit::SetField { name: name.into(), value };
    assert_eq!(edited(CHAT, field("temperature", json!(0))), body_with(CHAT, "0.70", "0"));
    assert_eq!(
        edited(CHAT, field("max_tokens", json!(9))),
        body_with(CHAT, ":4096", r#":4096,"num_predict":9"#)
    );
    assert_eq!(edited(CHAT, field("model", json!("o"))), body_with(CHAT, "\"qwen3\"", "\"o\""));
    assert_eq!(edited(CHAT, field("think", json!(null))), body_with(CHAT, "\"think\":true,", ""));
    let bare = br#"{"model":"m","messages":[{"role":"user","content":"x"}]}"#;
    assert!(edited(bare, field("seed", json!(1))).ends_with(r#","options":{"seed":1}}"#));
    assert_eq!(edited(bare, field("seed", json!(null))).as_bytes(), bare);
    let result = RequestEdit::SetToolResult { message: 3, block: 0, text: "7".into() };
    assert_eq!(edited(CHAT, result), body_with(CHAT, "\"3\"", "\"7\""));
    let system = RequestEdit::AppendSystem("In cents.".into());
    assert_eq!(edited(CHAT, system), body_with(CHAT, "Be brief.", "Be brief.\\nIn cents."));
    // Nobody signs it.
    let thinking = RequestEdit::DropReasoning { before: 5 };
    assert_eq!(edited(CHAT, thinking).as_bytes(), CHAT);
    let tool = Ollama.read_request("", edited(CHAT, RequestEdit::RemoveTool("see".into())).as_bytes());
    assert_eq!(tool.unwrap().tools.len(), 1);
}

#[test]
fn a_prompt_is_edited() {
    let text = RequestEdit::SetMessageText { message: 0, text: "Ho".into() };
    assert_eq!(edited(PROMPT, text), body_with(PROMPT, "\"Hi\"", "\"Ho\""));
    let system = RequestEdit::AppendSystem("T".into());
    assert_eq!(edited(PROMPT, system), body_with(PROMPT, "\"S\"", "\"S\\nT\""));
    let field = RequestEdit::SetField { name: "temperature".into(), value: json!(0) };
    assert_eq!(edited(PROMPT, field), body_with(PROMPT, "{}", r#"{"temperature":0}"#));
    let whole = RequestEdit::ReplaceMessage { message: 0, json: Bytes::from_static(b" \"Ha\" ") };
    assert_eq!(edited(PROMPT, whole), body_with(PROMPT, "\"Hi\"", "\"Ha\""));
    for bad in [
        RequestEdit::SetMessageText { message: 1, text: "x".into() },
        RequestEdit::SetToolResult { message: 0, block: 0, text: "x".into() },
        RequestEdit::ReplaceMessage { message: 0, json: Bytes::from_static(b"{}") },
    ] {
        assert!(Ollama.edit_request(PROMPT, std::slice::from_ref(&bad)).is_err(), "{bad:?}");
    }
}

#[test]
fn a_stream_reads_as_the_plain_answer() {
    let calls = json!([{"function": {"index": 0, "name": "look", "arguments": {"item": "desk"}}},
        {"id": "c2", "function": {"index": 1, "name": "see", "arguments": {"done": true}}}]);
    let mut plain = json!({"model": "qwen3", "created_at": "2025-01-01T00:00:00Z",
        "message": {"role": "assistant", "content": "H\u{e9} you", "thinking": "hm hm", "tool_calls": calls},
        "done": true, "done_reason": "stop", "total_duration": 5, "prompt_eval_count": 9, "eval_count": 4});
    let mut stream = String::new();
    let mut chunk = |message: Value| {
        stream.push_str(&format!(
            "{}\n",
            json!({"model": "qwen3", "created_at": "x", "message": message, "done": false})
        ));
    };
    for piece in ["hm", " hm"] {
        chunk(json!({"role": "assistant", "content": "", "thinking": piece}));
    }
    for piece in ["H\u{e9}", " you"] {
        chunk(json!({"role": "assistant", "content": piece}));
    }
    for call in calls.as_array().unwrap() {
        chunk(json!({"role": "assistant", "content": "", "tool_calls": [call]}));
    }
    let cut = Ollama.read_answer(&head(200, LINES), stream.as_bytes());
    assert!(!cut.whole && cut.tool_calls().count() == 2);
    plain["message"]["role"] = json!("assistant");
    stream.push_str("{\"model\":\"qwen3\",\"message\":{\"role\":\"assistant\",\"content\":\"\"},\"done_reason\":\"stop\",\"done\":true,\"prompt_eval_count\":9,\"eval_count\":4}\n");
    let plain = Ollama.read_answer(&head(200, "application/json"), plain.to_string().as_bytes());
    assert_eq!(Ollama.read_answer(&head(200, LINES), stream.as_bytes()), plain);
    assert_eq!(plain.usage, Some(Usage { input: 9, output: 4, ..Usage::default() }));
    assert_eq!((plain.blocks.len(), plain.text(), plain.whole), (4, "H\u{e9} you".into(), true));
}

#[test]
fn errors_are_read_before_and_inside_a_stream() {
    let error =
        Ollama.read_answer(&head(404, "application/json"), &Ollama.render_error(404, "model 'x' not found"));
    assert_eq!((error.error.as_deref(), error.whole), (Some("model 'x' not found"), true));
    let stream = b"{\"message\":{\"content\":\"a\"},\"done\":false}\n{\"error\":\"out of memory\"}\n";
    let broken = Ollama.read_answer(&head(200, LINES), stream);
    assert_eq!(
        (broken.error.as_deref(), broken.text(), broken.whole),
        (Some("out of memory"), "a".into(), true)
    );
    assert!(!Ollama.read_answer(&head(200, LINES), b"{\"message\":{\"cont").whole);
    assert!(!Ollama.read_answer(&head(200, "application/json"), b"").whole);
}

#[test]
fn a_rendered_answer_reads_as_what_it_was_made_of() {
    let call = |id: &str| Block::ToolCall { id: id.into(), name: "look".into(), args: json!({"n": 2}) };
    let text = Block::Text { text: "Hello, w\u{f6}rld: this text is longer than one delta.".into() };
    let thinking = Block::Reasoning { text: "because".into(), signed: false };
    for (target, blocks) in [
        ("/api/chat", vec![thinking.clone(), text.clone(), call(""), call("c2")]),
        ("/api/chat", vec![]),
        ("/api/generate", vec![thinking, text]),
    ] {
        for stream in [true, false] {
            let rendered = Ollama.render_answer(target, &blocks, None, "m", stream);
            let kind = rendered.content_type;
            assert_eq!(head(200, kind).is_json_lines(), stream);
            let answer = Ollama.read_answer(&head(200, kind), &rendered.body);
            assert_eq!(answer.blocks, blocks, "{target} {stream}");
            assert_eq!((answer.stop_reason.as_deref(), answer.whole), (Some("stop"), true));
            assert_eq!(*rendered.cuts.last().unwrap(), rendered.body.len());
        }
    }
}
