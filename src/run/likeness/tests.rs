//! What counts and what does not.

use super::*;
use crate::dialect::by_name;
use crate::dialect::conversation::{Message, Role};
use serde_json::json;

/// True when an agent's message is this answer, sent back.
fn same_assistant(answer: &ModelAnswer, message: &Message) -> bool {
    echoes(message.blocks.iter()).whole.contains(&echo_key(answer.blocks.iter()))
}

fn message_key(message: &Message) -> Key {
    readings(std::slice::from_ref(message)).first().map(reading_key).unwrap_or_default()
}

fn thought() -> Block {
    Block::Reasoning { text: "hm".into(), signed: true }
}

fn assistant(blocks: Vec<Block>) -> Message {
    Message { role: Role::Assistant, blocks }
}

fn key_of(dialect: &str, body: &str) -> Key {
    request_key(&by_name(dialect).unwrap().read_request("", body.as_bytes()).unwrap())
}

fn answer(blocks: Vec<Block>) -> ModelAnswer {
    ModelAnswer { blocks, whole: true, ..ModelAnswer::default() }
}
fn text(text: &str) -> Block {
    Block::Text { text: text.into() }
}
fn call(id: &str, args: Value) -> Block {
    Block::ToolCall { id: id.into(), name: "t".into(), args }
}

#[test]
fn an_echo_survives_stripping_and_key_order_but_no_change() {
    let given = answer(vec![text("Well.\n"), text("Look:"), call("c1", json!({"a": 1, "b": [2]}))]);
    let echo =
        |t: &str, args: Value| Message { role: Role::Assistant, blocks: vec![text(t), call("c1", args)] };
    assert!(same_assistant(&given, &echo("Well. Look:", json!({"b": [2], "a": 1}))));
    assert!(!same_assistant(&given, &echo("Well. Look!", json!({"b": [2], "a": 1}))));
    assert!(!same_assistant(&given, &echo("Well. Look:", json!({"b": [2], "a": 2}))));
}

#[test]
fn the_shape_knows_no_ids() {
    let one = answer(vec![call("c1", json!({"a": 1}))]);
    let two = answer(vec![call("c2", json!({"a": 1}))]);
    assert_eq!(shape_key(&one), shape_key(&two));
    assert_ne!(answer_key(&one), answer_key(&two));
    assert_ne!(shape_key(&one), shape_key(&answer(vec![call("c1", json!({"a": 1.5}))])));
}

#[test]
fn neighbouring_values_do_not_run_together() {
    let message = |blocks| Message { role: Role::User, blocks };
    assert_ne!(
        message_key(&message(vec![text("ab"), text("c")])),
        message_key(&message(vec![text("a"), text("bc")]))
    );
}

#[test]
fn what_does_not_decide_the_answer_does_not_count() {
    let key = |body: &str| key_of("anthropic-messages", body);
    let one = key(
        r#"{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":[{"type":"thinking","thinking":"x","signature":"s"},{"type":"text","text":"Yo"}]}]}"#,
    );
    let same = key(
        r#"{"messages":[{"content":[{"text":"Hi","type":"text","cache_control":{}}],"role":"user"},{"role":"assistant","content":"Yo"}],"max_tokens":5,"metadata":{"user_id":"9"},"model":"m"}"#,
    );
    assert_eq!(one, same);
    for other in [
        r#"{"model":"m","max_tokens":6,"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":"Yo"}]}"#,
        r#"{"model":"m","max_tokens":5,"stream":true,"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":"Yo"}]}"#,
        r#"{"model":"m","max_tokens":5,"system":"S","messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":"Yo"}]}"#,
        r#"{"model":"m","max_tokens":5,"messages":[{"role":"assistant","content":"Hi"},{"role":"user","content":"Yo"}]}"#,
    ] {
        assert_ne!(one, key(other), "{other}");
    }
}

#[test]
fn results_of_parallel_calls_may_come_in_any_order() {
    let calls = r#"{"role":"assistant","content":[{"type":"tool_use","id":"b","name":"f","input":{}},{"type":"tool_use","id":"a","name":"f","input":{}}]}"#;
    let result =
        |id: &str, text: &str| format!(r#"{{"type":"tool_result","tool_use_id":"{id}","content":"{text}"}}"#);
    let body = |first: String, second: String| {
        key_of(
            "anthropic-messages",
            &format!(r#"{{"messages":[{calls},{{"role":"user","content":[{first},{second}]}}]}}"#),
        )
    };
    assert_eq!(body(result("a", "1"), result("b", "2")), body(result("b", "2"), result("a", "1")));
    assert_ne!(body(result("a", "1"), result("b", "2")), body(result("b", "1"), result("a", "2")));

    let calls = r#"{"role":"assistant","tool_calls":[{"id":"b","function":{"name":"f","arguments":"{}"}},{"id":"a","function":{"name":"f","arguments":"{}"}}]}"#;
    let result =
        |id: &str, text: &str| format!(r#"{{"role":"tool","tool_call_id":"{id}","content":"{text}"}}"#);
    let body = |first: String, second: String| {
        key_of(
            "openai-chat",
            &format!(r#"{{"messages":[{calls},{first},{second},{{"role":"user","content":"x"}}]}}"#),
        )
    };
    assert_eq!(body(result("a", "1"), result("b", "2")), body(result("b", "2"), result("a", "1")));
    assert_ne!(body(result("a", "1"), result("b", "2")), body(result("b", "1"), result("a", "2")));
}

#[test]
fn an_echo_is_known_however_the_agent_writes_it() {
    let said = answer(vec![thought(), text("Let me look.\n"), call("1", json!({"n": 1.0, "q": "x"}))]);
    for echo in [
        vec![text("Let me look."), call("1", json!({"q": "x", "n": 1}))],
        vec![text("Let me "), text("look."), call("1", json!({"n": 1, "q": "x"})), thought()],
        vec![text("<think>hm</think>\n\nLet me look."), call("1", json!({"n": 1, "q": "x"}))],
    ] {
        assert!(same_assistant(&said, &assistant(echo.clone())), "{echo:?}");
    }
    for other in [
        vec![text("Let me look.")],
        vec![text("Let me see."), call("1", json!({"n": 1, "q": "x"}))],
        vec![text("Let me look."), call("2", json!({"n": 1, "q": "x"}))],
        vec![text("Let me look."), call("1", json!({"n": 2, "q": "x"}))],
        vec![text("Let me look."), call("1", json!({"n": 1, "q": "x"})), call("2", json!({}))],
    ] {
        assert!(!same_assistant(&said, &assistant(other.clone())), "{other:?}");
    }
    assert!(!same_assistant(&answer(vec![text("49.99")]), &assistant(vec![text("4999")])));

    let refusal = |s: &str| Block::Other { value: json!({"type": "refusal", "refusal": s}) };
    assert!(same_assistant(&answer(vec![refusal("no")]), &assistant(vec![refusal("no")])));
    assert!(!same_assistant(&answer(vec![refusal("no")]), &assistant(vec![refusal("never")])));
    assert!(!same_assistant(&answer(vec![]), &assistant(vec![refusal("no")])));
    let (python, json) = ("Input: {'a': 2}", "Input: {\"a\": 2}");
    assert!(same_assistant(&answer(vec![text(json)]), &assistant(vec![text(python)])));
}

/// A client that may send no message without text puts one of its own beside the calls; others leave the text out.
#[test]
fn an_answer_that_calls_is_known_by_its_calls_when_a_text_was_added_or_dropped() {
    let by_calls = |answer: &[Block], echo: &[Block]| {
        let calls = echoes(echo.iter()).calls;
        calls.is_some() && (calls == Some(echo_key(answer.iter())) || calls == calls_key(answer.iter()))
    };
    let (silent, said) =
        (vec![call("1", json!({"n": 1}))], vec![text("Let me look."), call("1", json!({"n": 1}))]);
    let added = vec![text("[no content]"), call("1", json!({"n": 1.0}))];
    assert!(by_calls(&silent, &added) && by_calls(&said, &silent));
    // Another text is another answer.
    assert!(!by_calls(&said, &added));
    for other in [
        vec![text("[no content]"), call("2", json!({"n": 1}))],
        vec![text("[no content]"), call("1", json!({"n": 2}))],
        vec![text("[no content]"), call("1", json!({"n": 1})), call("2", json!({"n": 1}))],
        vec![text("[no content]")],
    ] {
        assert!(!by_calls(&silent, &other), "{other:?}");
    }
    // Without ids calls tell nothing, and what has no calls has nothing to be known by.
    assert!(echoes([text("x"), call("", json!({"n": 1}))].iter()).calls.is_none());
    assert!(calls_key([text("x")].iter()).is_none());
}

#[test]
fn the_next_request_repeats_the_answer() {
    let (mut seen, mut strangers) = (0, 0);
    for conversation in crate::dialect::wire::conversations() {
        for pair in conversation.windows(2) {
            let (answer, next) = (pair[0].answer(), pair[1].request());
            let before = pair[0].request().messages.len();
            let readings = readings(&next.messages);
            let is_new = |r: &Reading<'_>| r.pieces.first().is_some_and(|p| p.message >= before);
            let mut new = readings.iter().filter(|r| r.role == Role::Assistant);
            let Some(last) = new.find(|r| is_new(r)) else { continue };
            if answer.blocks.is_empty() {
                continue;
            }
            seen += 1;
            // Some agents put a turn of their own behind the answer: then it is the first message of several.
            let first = last.pieces.first().and_then(|p| next.messages.get(p.message));
            let repeats = reading_echoes(last).whole.contains(&echo_key(answer.blocks.iter()))
                || first.is_some_and(|message| same_assistant(&answer, message));
            strangers += usize::from(!repeats);
            if std::env::var_os("RETAKE_WIRE").is_none() {
                assert!(repeats, "{}\n{answer:?}\n{last:?}", pair[1].name);
            } else if !repeats {
                println!("{}\n{answer:?}\n{last:?}\n", pair[1].name);
            }
        }
    }
    println!("{seen} pairs, {strangers} do not repeat");
    assert!(seen >= 5, "{seen}");
}
