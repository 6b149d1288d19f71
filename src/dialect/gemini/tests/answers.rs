use super::*;
use crate::dialect::conversation::Usage;
use proptest::prelude::*;
use serde_json::{Value, json};

const EVENTS: &str = "text/event-stream";
const JSON: &str = "application/json; charset=UTF-8";

fn answer() -> Value {
    json!({"candidates": [{"index": 0, "finishReason": "STOP", "content": {"role": "model", "parts": [
            {"text": "let me\nsee", "thought": true},
            {"text": "Hé \"there\""},
            {"executableCode": {"language": "PYTHON", "code": "1+1"}},
            {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "2"}},
            {"functionCall": {"name": "f", "args": {"a": [1, 2.5], "b": "x y"}}, "thoughtSignature": "c2ln"},
            {"functionCall": {"id": "c2", "name": "g", "args": {}}},
            {"text": "Done.", "thoughtSignature": "c2ln"}]}}],
        "usageMetadata": {"promptTokenCount": 5, "toolUsePromptTokenCount": 3, "cachedContentTokenCount": 2,
            "candidatesTokenCount": 7, "thoughtsTokenCount": 4, "totalTokenCount": 19},
        "modelVersion": "gemini-2.5-pro", "responseId": "r1"})
}

/// The chunks in which an answer would have come: texts letter by letter, a signature behind the last one.
fn chunks_of(answer: &Value) -> Vec<Value> {
    let mut parts = Vec::new();
    for part in answer["candidates"][0]["content"]["parts"].as_array().unwrap() {
        let Some(text) = part["text"].as_str() else {
            parts.push(part.clone());
            continue;
        };
        for letter in text.chars() {
            let mut piece = part.clone();
            piece["text"] = json!(letter.to_string());
            piece.as_object_mut().unwrap().remove("thoughtSignature");
            parts.push(piece);
        }
        if let Some(signature) = part.get("thoughtSignature") {
            parts.push(json!({"text": "", "thoughtSignature": signature}));
        }
    }
    let chunk = |part: &Value| {
        json!({"candidates": [{"index": 0, "content": {"role": "model", "parts": [part]}}],
            "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 1},
            "modelVersion": "gemini-2.5-pro", "responseId": "r1"})
    };
    let mut chunks: Vec<Value> = parts.iter().map(chunk).collect();
    let mut last = answer.clone();
    last["candidates"][0]["content"] = json!({"role": "model"});
    chunks.push(last);
    chunks
}

fn events(chunks: &[Value]) -> String {
    chunks.iter().map(|c| format!("data: {c}\r\n\r\n")).collect()
}

fn list(chunks: &[Value]) -> String {
    format!("[{}]\n", chunks.iter().map(Value::to_string).collect::<Vec<_>>().join("\n,\r\n"))
}

#[test]
fn a_stream_of_either_form_reads_as_the_answer() {
    let plain = Gemini.read_answer(&head(200, JSON), answer().to_string().as_bytes());
    assert_eq!(
        plain.usage.unwrap(),
        Usage { input: 8, output: 11, cache_read: 2, cache_write: 0, reasoning: 4 }
    );
    let call = |id: &str, name: &str, args| Block::ToolCall { id: id.into(), name: name.into(), args };
    assert_eq!(plain.blocks[0], thought("let me\nsee", false));
    assert_eq!(plain.blocks[1], text("Hé \"there\""));
    assert_eq!(
        plain.blocks[4..],
        [
            thought("", true),
            call("", "f", json!({"a": [1, 2.5], "b": "x y"})),
            call("c2", "g", json!({})),
            thought("", true),
            text("Done.")
        ]
    );
    assert_eq!((plain.stop_reason.as_deref(), plain.whole), (Some("STOP"), true));
    let chunks = chunks_of(&answer());
    let stream = Gemini.read_answer(&head(200, EVENTS), events(&chunks).as_bytes());
    assert_eq!(stream, plain);
    assert_eq!(Gemini.read_answer(&head(200, JSON), list(&chunks).as_bytes()), plain);

    let unfinished = &chunks[..chunks.len() - 1];
    for (kind, body) in [(EVENTS, events(unfinished)), (JSON, list(unfinished))] {
        let cut = Gemini.read_answer(&head(200, kind), body.as_bytes());
        assert!(!cut.whole && cut.stop_reason.is_none() && cut.blocks == plain.blocks, "{kind}");
    }
    let open = list(&chunks).replace("]\n", "");
    let open = Gemini.read_answer(&head(200, JSON), open.as_bytes());
    assert!(!open.whole && open.blocks == plain.blocks, "the list is not closed");
}

#[test]
fn answers_of_other_candidates_are_kept() {
    let two = json!({"candidates": [
        {"index": 1, "content": {"parts": [{"text": "b"}]}, "finishReason": "MAX_TOKENS"},
        {"index": 0, "content": {"parts": [{"text": "a"}]}, "finishReason": "STOP"}]});
    let read = Gemini.read_answer(&head(200, JSON), two.to_string().as_bytes());
    assert_eq!((read.blocks.len(), &read.blocks[0]), (2, &text("a")));
    assert_eq!(Gemini.read_answer(&head(200, EVENTS), events(&[two]).as_bytes()).blocks, read.blocks);
}

#[test]
fn errors_and_blocked_prompts_are_read() {
    let body = Gemini.render_error(429, "slow down");
    let said: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(said, json!({"error": {"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED"}}));
    let listed = format!("[{}]", String::from_utf8_lossy(&body));
    for body in [&*body, listed.as_bytes()] {
        let read = Gemini.read_answer(&head(429, JSON), body);
        assert_eq!((read.error.as_deref(), read.whole), (Some("slow down"), true));
    }
    let midway = [chunks_of(&answer())[0].clone(), said];
    for (kind, body) in [(EVENTS, events(&midway)), (JSON, list(&midway))] {
        let read = Gemini.read_answer(&head(200, kind), body.as_bytes());
        assert_eq!((read.error.as_deref(), read.whole, read.blocks.len()), (Some("slow down"), true, 1));
    }
    let blocked =
        json!({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 4}});
    for (kind, body) in [(JSON, blocked.to_string()), (EVENTS, events(&[blocked]))] {
        let read = Gemini.read_answer(&head(200, kind), body.as_bytes());
        assert_eq!((read.stop_reason.as_deref(), read.whole), (Some("SAFETY"), true), "{kind}");
        assert_eq!(read.error.as_deref(), Some("the prompt was blocked: SAFETY"));
    }
    let nothing = Gemini.read_answer(&head(200, EVENTS), b"");
    assert!(!nothing.whole && nothing.error.is_none());
}

#[test]
fn a_rendered_answer_reads_as_what_it_was_made_of() {
    let call = |id: &str| Block::ToolCall { id: id.into(), name: "look".into(), args: json!({"n": [2]}) };
    let code = Block::Other { value: json!({"executableCode": {"language": "PYTHON", "code": "1"}}) };
    for blocks in [
        vec![text("Hello, wörld: this text is longer than one delta.")],
        vec![thought("hm", false), text("a"), code, call(""), call("c2")],
        vec![],
    ] {
        let list = "/v1/models/m:streamGenerateContent?key=k";
        for (target, stream, kind) in [(TARGET, true, EVENTS), (list, true, JSON), ("", false, JSON)] {
            let mut given = blocks.clone();
            given.insert(0, thought("hidden", true));
            let rendered = Gemini.render_answer(target, &given, None, "gemini-2.5-pro", stream);
            let read = Gemini.read_answer(&head(200, kind), &rendered.body);
            assert_eq!(read.blocks, blocks, "{target}");
            assert_eq!((read.stop_reason.as_deref(), read.whole), (Some("STOP"), true));
            assert_eq!(read.model.as_deref(), Some("gemini-2.5-pro"));
            assert_eq!(rendered.body.starts_with(b"["), target == list);
            assert_eq!(*rendered.cuts.last().unwrap(), rendered.body.len());
        }
    }
    // The third generation refuses a call that comes back without a signature.
    let rendered = Gemini.render_answer("", &[call("a"), call("b")], None, "gemini-3-pro-preview", false);
    let body: Value = serde_json::from_slice(&rendered.body).unwrap();
    let signatures: Vec<_> = body["candidates"][0]["content"]["parts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| &p["thoughtSignature"])
        .collect();
    assert_eq!(signatures, [&json!("c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I="), &Value::Null]);
}

fn any_json() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("\"candidates\""),
        Just("\"content\""),
        Just("\"parts\""),
        Just("\"text\""),
        Just("\"thought\""),
        Just("\"functionCall\""),
        Just("\"function_response\""),
        Just("\"response\""),
        Just("\"contents\""),
        Just("\"index\""),
        Just("\"error\""),
        Just("\"usageMetadata\""),
        Just("\"tools\""),
        Just("99999999999999999999999999"),
        Just("-1e999"),
        Just("true"),
        Just("null"),
        Just("\"\\ud800\""),
        Just("{"),
        Just("}"),
        Just("["),
        Just("]"),
        Just(":"),
        Just(","),
        Just("data: "),
        Just("\n\n"),
    ];
    prop::collection::vec(word, 0..60).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn nothing_that_comes_panics(made in any_json(), cut in 0usize..4000, flip in 0usize..4000, byte: u8, order: u64) {
        let mut chunks = chunks_of(&answer());
        let by = (order as usize) % chunks.len();
        chunks.rotate_left(by);
        let kinds = [EVENTS, JSON];
        let bodies = [events(&chunks), list(&chunks), answer().to_string(), made, BODY.to_string()];
        for body in bodies {
            let mut body = body.into_bytes();
            body.truncate(cut.min(body.len()));
            let length = body.len();
            if let Some(at) = flip.checked_rem(length).and_then(|at| body.get_mut(at)) {
                *at = byte;
            }
            for kind in kinds {
                for status in [200, 500] {
                    let _ = Gemini.read_answer(&head(status, kind), &body);
                }
            }
            if let Ok(request) = Gemini.read_request(TARGET, &body) {
                for message in 0..=request.messages.len() {
                    for edit in super::edits::every_edit(message) {
                        if let Ok(edited) = Gemini.edit_request(&body, &[edit]) {
                            prop_assert!(serde_json::from_slice::<Value>(&edited).is_ok() || serde_json::from_slice::<Value>(&body).is_err());
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn events_read_the_same_however_they_are_cut(at in 0usize..9000) {
        let stream = events(&chunks_of(&answer()));
        let whole = crate::dialect::sse::events(stream.as_bytes());
        let mut parser = crate::dialect::sse::Parser::default();
        let (left, right) = stream.as_bytes().split_at(at.min(stream.len()));
        let mut cut = parser.push(left);
        cut.extend(parser.push(right));
        cut.extend(parser.finish());
        prop_assert_eq!(cut, whole);
    }
}
