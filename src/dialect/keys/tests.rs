use super::*;
use crate::dialect::by_name;

fn text(s: &str) -> Block {
    Block::Text { text: s.into() }
}

fn call(id: &str, args: Value) -> Block {
    Block::ToolCall { id: id.into(), name: "f".into(), args }
}

fn thought() -> Block {
    Block::Reasoning { text: "hm".into(), signed: true }
}

fn assistant(blocks: Vec<Block>) -> Message {
    Message { role: Role::Assistant, blocks }
}

fn answer(blocks: Vec<Block>) -> ModelAnswer {
    ModelAnswer { blocks, whole: true, ..ModelAnswer::default() }
}

fn key_of(dialect: &str, body: &str) -> String {
    request_key(&by_name(dialect).unwrap().read_request(body.as_bytes()).unwrap())
}

#[test]
fn what_does_not_decide_the_answer_does_not_count() {
    let key = |body: &str| key_of("anthropic-messages", body);
    let one = key(
        r#"{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":[{"type":"thinking","thinking":"x","signature":"s"},{"type":"text","text":"Yo"}]}]}"#,
    );
    let same = key(
        r#"{"messages":[{"content":[{"text":"Hi","type":"text","cache_control":{}}],"role":"user"},{"role":"assistant","content":"Yo\n"}],"max_tokens":5,"metadata":{"user_id":"9"},"model":"m"}"#,
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
fn messages_differ_by_role_ids_and_numbers() {
    let key = |blocks| message_key(&assistant(blocks));
    assert_eq!(key(vec![thought(), text(" a "), text("")]), key(vec![text("a")]));
    assert_ne!(key(vec![text("a")]), message_key(&Message { role: Role::User, blocks: vec![text("a")] }));
    assert_ne!(key(vec![call("1", json!({}))]), key(vec![call("2", json!({}))]));
    assert_ne!(key(vec![call("1", json!({"x": 4999}))]), key(vec![call("1", json!({"x": 49.99}))]));
    assert_eq!(key(vec![call("1", json!({"x": 1, "y": 2}))]), key(vec![call("1", json!({"y": 2, "x": 1}))]));
}

#[test]
fn answers_are_equal_up_to_ids() {
    let key = |blocks| answer_key(&answer(blocks));
    assert_eq!(key(vec![thought(), call("1", json!({}))]), key(vec![call("2", json!({}))]));
    assert_ne!(key(vec![call("1", json!({}))]), key(vec![call("1", json!({"a": 1}))]));
    assert_eq!(key(vec![text("x")]).unwrap().len(), 32);
    assert_eq!(answer_key(&ModelAnswer { error: Some("e".into()), ..answer(vec![text("x")]) }), None);
    assert_eq!(answer_key(&ModelAnswer::default()), None);
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
    let user = Message { role: Role::User, blocks: said.blocks.clone() };
    assert!(!same_assistant(&said, &user));
    assert!(!same_assistant(&answer(vec![text("49.99")]), &assistant(vec![text("4999")])));

    let refusal = |s: &str| Block::Other { value: json!({"type": "refusal", "refusal": s}) };
    assert!(same_assistant(&answer(vec![refusal("no")]), &assistant(vec![refusal("no")])));
    assert!(!same_assistant(&answer(vec![refusal("no")]), &assistant(vec![refusal("never")])));
    assert!(!same_assistant(&answer(vec![]), &assistant(vec![refusal("no")])));
}
