mod answers;
mod memory;
mod websocket;

use super::*;
use crate::dialect::conversation::Role;
use crate::exchange::HeaderList;
use crate::run::reading::readings;
use proptest::prelude::*;
use serde_json::json;

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

fn head(status: u16, stream: bool) -> ResponseHead {
    let kind = if stream { "text/event-stream" } else { "application/json" };
    ResponseHead { status, headers: HeaderList(vec![("content-type".into(), kind.into())]) }
}

fn text(s: &str) -> Block {
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
    let request = OpenAiResponses.read_request("", BODY).unwrap();
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
    let read = |body: &str| OpenAiResponses.read_request("", body.as_bytes());
    let one = read(r#"{"input":"Hi"}"#).unwrap();
    assert_eq!((&one.messages[0].blocks, &one.spans[0]), (&vec![text("Hi")], &(9..13)));
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
        OpenAiResponses.read_request("", edited(RequestEdit::RemoveTool("f".into())).as_bytes()).unwrap();
    assert_eq!((removed.tools.len(), removed.params.contains_key("tool_choice")), (1, false));
    let added = RequestEdit::AddTool(json!({"type": "function", "name": "g"}));
    assert_eq!(OpenAiResponses.read_request("", edited(added).as_bytes()).unwrap().tools.len(), 3);
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
    assert_eq!(OpenAiResponses.read_request("", dropped.as_bytes()).unwrap().messages.len(), 7);
    assert_eq!(edited(RequestEdit::DropReasoning { before: 2 }).as_bytes(), BODY);
}

proptest! {
    #[test]
    fn no_request_is_too_odd(at in any::<prop::sample::Index>(), byte in any::<u8>(), message in 0usize..10) {
        let mut body = BODY.to_vec();
        let at = at.index(body.len());
        body[at] = byte;
        let read = OpenAiResponses.read_request("", &body);
        for edit in [
            RequestEdit::SetSystem("S".into()),
            RequestEdit::AppendSystem("S".into()),
            RequestEdit::SetMessageText { message, text: "t".into() },
            RequestEdit::SetToolResult { message, block: 0, text: "t".into() },
            RequestEdit::DropReasoning { before: message },
            RequestEdit::RemoveTool("f".into()),
        ] {
            if let Ok(edited) = OpenAiResponses.edit_request(&body, &[edit]) {
                prop_assert!(read.is_err() || OpenAiResponses.read_request("", &edited).is_ok());
            }
        }
    }
}
