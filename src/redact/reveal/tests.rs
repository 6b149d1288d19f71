//! Bodies on their way out: what is said changes where it should, and nothing else does.

use super::*;
use crate::dialect;
use crate::dialect::conversation::Block;
use crate::exchange::{HeaderList, ResponseHead};
use proptest::prelude::*;
use serde_json::{Value, json};

#[test]
fn every_place_of_a_plain_body() {
    assert_eq!(reveal(b"a-KEY-KEY", false, "KEY", "s").unwrap(), b"a-s-s");
    assert_eq!(reveal(b"abc", false, "KEY", "s"), None);
    assert_eq!(reveal(b"abc", false, "", "s"), None);
    assert_eq!(reveal(br#"{"a":"KEY"}"#, false, "KEY", "q\"q").unwrap(), br#"{"a":"q\"q"}"#);
}

#[test]
fn texts_are_edited_and_reasoning_is_not() {
    let edits = |text: &str| -> Vec<(Range<usize>, String)> {
        text.match_indices("/old").map(|(at, m)| (at..at + m.len(), "/new/one".to_string())).collect()
    };
    let body = br#"{"a":"see /old/x","thinking":"/old","n":1,"b":["/old\n"]}"#;
    let (new, list) = replace(body, false, &edits).unwrap();
    assert_eq!(new, br#"{"a":"see /new/one/x","thinking":"/old","n":1,"b":["/new/one\n"]}"#);
    assert_eq!(list, [Replaced { was: 10..14, now: 8 }, Replaced { was: 48..52, now: 8 }]);
    assert_eq!(replace(br#"{"a":"x"}"#, false, &edits), None);
    let stream = b"data: {\"delta\":{\"partial_json\":\"{\\\"p\\\":\\\"/o\"}}\n\ndata: {\"delta\":{\"partial_json\":\"ld\\\"}\"}}\n\n";
    let (new, _) = replace(stream, true, &edits).unwrap();
    let told = String::from_utf8(new).unwrap();
    assert!(told.contains(r#"{\"p\":\"/new/one"}}"#) && told.contains(r#""partial_json":"\"}""#), "{told}");
}

#[test]
fn the_first_of_the_events_that_spell_it_gets_it_whole() {
    let stream = |pieces: &[&str]| -> Vec<u8> {
        let events =
            pieces.iter().map(|p| format!("data: {}\n\n", serde_json::json!({"delta": {"text": p}})));
        events.collect::<String>().into_bytes()
    };
    let told = |pieces: &[&str], secret: &str| reveal(&stream(pieces), true, "STANDIN", secret);
    assert_eq!(told(&["a ST", "AND", "IN b"], "secret").unwrap(), stream(&["a secret", "", " b"]));
    assert_eq!(told(&["STANDINSTA", "NDIN"], "x").unwrap(), stream(&["xx", ""]));
    assert_eq!(told(&["é\n<STAN", "DIN>"], "l\"onger").unwrap(), stream(&["é\n<l\"onger", ">"]));
    assert_eq!(told(&["a ST", "AND"], "secret"), None);
    let args = told(&["{\"key\":\"STA", "NDIN\"}"], "q\"q").unwrap();
    assert_eq!(args, stream(&["{\"key\":\"q\\\"q", "\"}"]));
}

fn old_to_new<'a>(old: &'a str, new: &'a str) -> impl Fn(&str) -> Vec<(Range<usize>, String)> + 'a {
    move |text| text.match_indices(old).map(|(at, m)| (at..at + m.len(), new.to_string())).collect()
}

#[test]
fn arguments_are_read_and_every_other_byte_stays() {
    let edits = old_to_new("/wörk", "/n\"w");
    let told = |body: &str, stream: bool| {
        replace(body.as_bytes(), stream, &edits).map(|(new, _)| String::from_utf8(new).unwrap())
    };
    // Escapes in a string of arguments, and elsewhere.
    let call =
        r#"{"function":{"name":"f","arguments":"{\"a\": \"\\/w\\u00f6rk\\/x\\u0020\"}"},"z":"\u0041\/"}"#;
    let now = r#"{"function":{"name":"f","arguments":"{\"a\": \"/n\\\"w\\/x\\u0020\"}"},"z":"\u0041\/"}"#;
    assert_eq!(told(call, false).unwrap(), now);
    // Arguments that are an object, with names that mean something elsewhere.
    let input = r#"{"id":"/wörk","input":{"id":"/w\u00f6rk","type":"thinking","thinking":"/wörk"}}"#;
    let now = r#"{"id":"/wörk","input":{"id":"/n\"w","type":"thinking","thinking":"/n\"w"}}"#;
    assert_eq!(told(input, false).unwrap(), now);
    // Several calls that a server says as if they were one; one that broke off.
    let stream = |pieces: &[&str]| -> String {
        let call = |p: &&str| json!({"index": 0, "function": {"arguments": p}});
        let event = |p| json!({"choices": [{"index": 0, "delta": {"tool_calls": [call(p)]}}]});
        pieces.iter().map(|p| format!("data: {}\n\n", event(p))).collect()
    };
    let two = stream(&[r#"{"a":"/wö"#, r#"rk"}{"b":"/w\u00"#, r#"f6rk"}"#]);
    assert_eq!(told(&two, true).unwrap(), stream(&[r#"{"a":"/n\"w"#, r#""}{"b":"/n\"w"#, r#""}"#]));
    let broken = stream(&[r#"{"a":"/wörk and"#]);
    assert_eq!(told(&broken, true).unwrap(), stream(&[r#"{"a":"/n\"w and"#]));
}

#[test]
fn reasoning_is_left_wherever_it_stands() {
    let edits = old_to_new("/old", "/new");
    for sealed in [
        r#"{"content":[{"type":"redacted_thinking","data":"/old"},{"thinking":"/old","type":"thinking"}]}"#,
        r#"{"content":[{"data":"/old","type":"redacted_thinking"}]}"#,
        r#"{"message":{"reasoning_details":[{"type":"reasoning.text","text":"/old"}]}}"#,
        r#"{"message":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"/old"}]}]}}"#,
    ] {
        assert_eq!(replace(sealed.as_bytes(), false, &edits), None, "{sealed}");
        assert_eq!(replace(format!("data: {sealed}\n\n").as_bytes(), true, &edits), None, "{sealed}");
    }
}

const OLD: &str = "/témp/\"a";
const NEW: &str = "/x \\\u{1f600}/";

/// A text in which the old value may stand, in several places or next to what it is made of.
fn text() -> impl Strategy<Value = String> {
    let words = vec![OLD, OLD, "/témp", "\"a", " ", "\\", "\n", "\u{1f600}", "{", "}", "x", "\u{1}"];
    prop::collection::vec(prop::sample::select(words), 0..8).prop_map(|words| words.concat())
}

/// A block of an answer.
#[derive(Debug, Clone)]
enum Said {
    Text(String),
    Thought(String),
    Call(String, String),
}

fn said() -> impl Strategy<Value = Vec<Said>> {
    let one = prop_oneof![
        text().prop_map(Said::Text),
        text().prop_map(Said::Thought),
        (text(), text()).prop_map(|(a, b)| Said::Call(a, b)),
    ];
    prop::collection::vec(one, 1..5)
}

/// JSON, plain or with everything escaped that can be.
fn written(value: &Value, escapes: bool) -> String {
    let escaped = |c: char| match c {
        '/' => "\\/".to_string(),
        c if c.is_ascii() => c.to_string(),
        c => c.encode_utf16(&mut [0; 2]).iter().map(|u| format!("\\u{u:04x}")).collect(),
    };
    let plain = value.to_string();
    if escapes { plain.chars().map(escaped).collect() } else { plain }
}

fn arguments(a: &str, b: &str, escapes: bool) -> String {
    written(&json!({"id": a, "rows": [{"b": b}]}), escapes)
}

/// Cuts a text into pieces of these lengths, in turn.
fn cut(text: &str, lengths: &[usize]) -> Vec<String> {
    let mut chars = text.chars();
    let mut pieces = Vec::new();
    for length in lengths.iter().cycle() {
        let piece: String = chars.by_ref().take(*length).collect();
        if piece.is_empty() {
            break;
        }
        pieces.push(piece);
    }
    pieces
}

/// How a stream is written: lengths of its pieces, escapes in events and in arguments.
type Hand = (Vec<usize>, bool, bool);

fn anthropic(blocks: &[Said], (lengths, outer, inner): &Hand) -> String {
    let mut events = Vec::new();
    for (index, block) in blocks.iter().enumerate() {
        let (first, kind, field, text) = match block {
            Said::Text(t) => (json!({"type": "text", "text": ""}), "text_delta", "text", t.clone()),
            Said::Thought(t) => {
                let first = json!({"type": "thinking", "thinking": "", "signature": t});
                (first, "thinking_delta", "thinking", t.clone())
            }
            Said::Call(a, b) => {
                let first =
                    json!({"type": "tool_use", "id": format!("toolu_{index}"), "name": "f", "input": {}});
                (first, "input_json_delta", "partial_json", arguments(a, b, *inner))
            }
        };
        events.push(json!({"type": "content_block_start", "index": index, "content_block": first}));
        for piece in cut(&text, lengths) {
            let delta = json!({"type": kind, field: piece});
            events.push(json!({"type": "content_block_delta", "index": index, "delta": delta}));
        }
        events.push(json!({"type": "content_block_stop", "index": index}));
    }
    events.push(json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}}));
    events.push(json!({"type": "message_stop"}));
    let told =
        |e: &Value| format!("event: {}\r\ndata: {}\r\n\r\n", e["type"].as_str().unwrap(), written(e, *outer));
    events.iter().map(told).collect()
}

/// All blocks are spelt at the same time.
fn openai(blocks: &[Said], (lengths, outer, inner): &Hand) -> String {
    let mut deltas: Vec<(usize, Value)> = Vec::new();
    for (index, block) in blocks.iter().enumerate() {
        let (first, text) = match block {
            Said::Text(t) | Said::Thought(t) => (None, t.clone()),
            Said::Call(a, b) => {
                let function = json!({"name": "f", "arguments": ""});
                let id = format!("call_{index}");
                let call = json!({"index": index, "id": id, "type": "function", "function": function});
                (Some(json!({"tool_calls": [call]})), arguments(a, b, *inner))
            }
        };
        let piece = |piece: String| match block {
            Said::Text(_) => json!({"content": piece}),
            Said::Thought(_) => json!({"reasoning_content": piece}),
            Said::Call(..) => json!({"tool_calls": [{"index": index, "function": {"arguments": piece}}]}),
        };
        deltas.extend(first.into_iter().chain(cut(&text, lengths).into_iter().map(piece)).enumerate());
    }
    deltas.sort_by_key(|(at, _)| *at);
    let told = |(_, delta): (usize, Value)| {
        let choice = json!({"index": 0, "delta": delta, "finish_reason": null});
        let chunk = json!({"id": "c", "object": "chat.completion.chunk", "choices": [choice]});
        format!("data: {}\n\n", written(&chunk, *outer))
    };
    deltas.into_iter().map(told).collect::<String>() + "data: [DONE]\n\n"
}

/// Lines of JSON, with the calls whole and without an index.
fn ollama(blocks: &[Said], (lengths, outer, _): &Hand) -> String {
    let mut said: Vec<Value> = Vec::new();
    for block in blocks {
        match block {
            Said::Text(t) => said.extend(cut(t, lengths).into_iter().map(|p| json!({"content": p}))),
            Said::Thought(t) => {
                said.extend(cut(t, lengths).into_iter().map(|p| json!({"content": "", "thinking": p})));
            }
            Said::Call(a, b) => {
                let call = json!({"function": {"name": "f", "arguments": {"id": a, "rows": [{"b": b}]}}});
                said.push(json!({"content": "", "tool_calls": [call]}));
            }
        }
    }
    let line = |message: &Value| json!({"model": "m", "message": message, "done": false});
    let lines = said.iter().map(|message| written(&line(message), *outer) + "\n");
    lines.collect::<String>() + "{\"model\":\"m\",\"message\":{\"content\":\"\"},\"done\":true}\n"
}

fn assembled(dialect: &str, body: &[u8]) -> Vec<Block> {
    let headers = HeaderList(vec![("content-type".into(), "text/event-stream".into())]);
    dialect::by_name(dialect).unwrap().read_answer(&ResponseHead { status: 200, headers }, body).blocks
}

fn edited_value(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(text.replace(OLD, NEW)),
        Value::Array(items) => items.into_iter().map(edited_value).collect(),
        Value::Object(fields) => fields.into_iter().map(|(k, v)| (k, edited_value(v))).collect(),
        other => other,
    }
}

/// What a block is to be: texts and arguments edited, reasoning as it is.
fn edited(block: Block) -> Block {
    match block {
        Block::Text { text } => Block::Text { text: text.replace(OLD, NEW) },
        Block::ToolCall { id, name, args } => Block::ToolCall { id, name, args: edited_value(args) },
        other => other,
    }
}

proptest! {
    #[test]
    fn what_events_spell_out_is_edited_and_nothing_else_changes(
        blocks in said(),
        hand in (prop::collection::vec(1usize..6, 1..5), any::<bool>(), any::<bool>()),
    ) {
        let streams = [
            ("anthropic-messages", anthropic(&blocks, &hand)),
            ("openai-chat", openai(&blocks, &hand)),
            ("ollama", ollama(&blocks, &hand)),
        ];
        for (dialect, stream) in streams {
            let stream = stream.as_bytes();
            let before = assembled(dialect, stream);
            let wanted: Vec<Block> = before.iter().cloned().map(edited).collect();
            let Some((new, list)) = replace(stream, true, &old_to_new(OLD, NEW)) else {
                prop_assert_eq!(before, wanted);
                continue;
            };
            prop_assert_eq!(assembled(dialect, &new), wanted);
            // Outside of what was replaced every byte is as it was.
            let (mut was, mut now) = (0, 0);
            for part in &list {
                let kept = part.was.start - was;
                prop_assert_eq!(&stream[was..part.was.start], &new[now..now + kept]);
                was = part.was.end;
                now += kept + part.now;
            }
            prop_assert_eq!(&stream[was..], &new[now..]);
        }
    }
}
