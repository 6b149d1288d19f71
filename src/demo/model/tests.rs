use super::*;

/// A conversation as far as the given results go, in the order the tools are asked for.
fn request(system: &str, results: &[(&str, Value)]) -> Value {
    let mut messages = vec![
        json!({"role": "system", "content": system}),
        json!({"role": "user", "content": "My laptop from order A123 is broken, refund me"}),
    ];
    for (i, (tool, result)) in results.iter().enumerate() {
        let id = format!("call_{i}");
        let call = json!({"id": id, "type": "function", "function": {"name": tool, "arguments": "{}"}});
        messages.push(json!({"role": "assistant", "content": null, "tool_calls": [call]}));
        messages.push(json!({"role": "tool", "tool_call_id": id, "content": result.to_string()}));
    }
    let names = ["lookup_order", "get_policy", "get_customer", "check_fraud", "issue_refund"];
    let tools: Vec<Value> =
        names.iter().map(|n| json!({"type": "function", "function": {"name": n}})).collect();
    json!({"model": "gpt-small", "messages": messages, "tools": tools})
}

fn story() -> Vec<(&'static str, Value)> {
    vec![
        (
            "lookup_order",
            json!({"amount": 4999, "sku": "LAP-1", "customer_id": "c9", "days_since_delivery": 12}),
        ),
        ("get_policy", json!({"refundable": true, "window_days": 30})),
        ("get_customer", json!({"id": "c9"})),
        ("check_fraud", json!({"risk": "low", "checked_at": 1795224754.6})),
        ("issue_refund", json!({"ok": true, "refunded": 4999})),
    ]
}

/// The story up to its fraud check, with one result changed.
fn after_fraud_check(system: &str, tool: &str, change: impl Fn(&mut Value)) -> Value {
    let mut results = story();
    results.truncate(4);
    for (_, result) in results.iter_mut().filter(|(name, _)| *name == tool) {
        change(result);
    }
    request(system, &results)
}

fn amount(request: &Value) -> Value {
    match reply(request) {
        Reply::Calls(calls) if calls[0].0 == "issue_refund" => calls[0].1["amount_usd"].clone(),
        other => panic!("no refund but {other:?}"),
    }
}

#[test]
fn the_story_in_five_turns() {
    let all = story();
    let calls = |n: usize| match reply(&request("s", &all[..n])) {
        Reply::Calls(calls) => {
            calls.iter().map(|(name, a)| format!("{name} {a}")).collect::<Vec<_>>().join(" + ")
        }
        Reply::Says(text) => text,
    };
    assert_eq!(calls(0), r#"lookup_order {"order_id":"A123"}"#);
    assert_eq!(calls(1), r#"get_policy {"sku":"LAP-1"} + get_customer {"customer_id":"c9"}"#);
    assert_eq!(calls(3), r#"check_fraud {"order_id":"A123","amount":4999}"#);
    assert_eq!(calls(4), r#"issue_refund {"order_id":"A123","amount_usd":4999}"#);
    assert_eq!(calls(5), "Done. I refunded $4,999.00 for order A123.");
}

#[test]
fn a_known_unit_makes_the_amount_right() {
    let unchanged = |_: &mut Value| ();
    assert_eq!(amount(&after_fraud_check("s", "", unchanged)), json!(4999));
    assert_eq!(amount(&after_fraud_check("s Amounts are in CENTS.", "", unchanged)), json!(49.99));
    assert_eq!(amount(&after_fraud_check("s", "lookup_order", |r| r["unit"] = json!("cents"))), json!(49.99));
    let mut big = after_fraud_check("s", "", unchanged);
    big["model"] = json!(CAREFUL_MODEL);
    assert_eq!(amount(&big), json!(49.99));
    let round = |r: &mut Value| *r = json!({"amount": 5000, "unit": "cents"});
    assert_eq!(amount(&after_fraud_check("s", "lookup_order", round)), json!(50));
}

#[test]
fn edited_results_change_the_outcome() {
    let says = |tool: &str, change: &dyn Fn(&mut Value)| match reply(&after_fraud_check("s", tool, change)) {
        Reply::Says(text) => text,
        Reply::Calls(calls) => panic!("{calls:?}"),
    };
    assert_eq!(
        says("check_fraud", &|r| r["risk"] = json!("high")),
        "I cannot refund order A123 automatically; it has been escalated to a human reviewer."
    );
    assert!(says("get_customer", &|r| r["blocked"] = json!(true)).contains("escalated"));
    assert!(says("get_policy", &|r| r["refundable"] = json!(false)).contains("cannot be refunded"));
    assert!(says("get_policy", &|r| r["window_days"] = json!(7)).contains("past the 7 days"));
    assert!(says("lookup_order", &|r| *r = json!("connection lost")).contains("could not find"));
}

#[test]
fn a_missing_tool_or_order_is_said() {
    let mut request = request("s", &story()[..4]);
    request["tools"].as_array_mut().unwrap().pop();
    assert!(matches!(reply(&request), Reply::Says(text) if text.contains("no issue_refund tool")));
    request["messages"][1]["content"] = json!("refund me");
    assert!(matches!(reply(&request), Reply::Says(text) if text.starts_with("Which order")));
    assert!(matches!(reply(&json!([])), Reply::Says(_)));
}

#[test]
fn the_same_request_has_the_same_answer_and_ids_of_its_own() {
    let (one, two) = (request("s", &[]), request("s", &story()[..1]));
    assert_eq!(completion(&one), completion(&one));
    let ids: Vec<Value> = [&one, &two]
        .iter()
        .flat_map(|r| completion(r)["choices"][0]["message"]["tool_calls"].as_array().unwrap().clone())
        .map(|c| c["id"].clone())
        .collect();
    assert!(ids.len() == 3 && ids[0] != ids[1] && ids[1] != ids[2]);
}

#[test]
fn money_as_people_write_it() {
    let written: Vec<String> =
        [4999.0, 49.99, 0.5, 1234567.0, -20.0, 100.0].iter().map(|d| money(*d)).collect();
    assert_eq!(written, ["$4,999.00", "$49.99", "$0.50", "$1,234,567.00", "-$20.00", "$100.00"]);
}

#[test]
fn usage_is_streamed_when_asked_for() {
    let mut asked = request("s", &[]);
    assert!(!events(&asked).iter().any(|e| e.contains("prompt_tokens")));
    asked["stream_options"] = json!({"include_usage": true});
    let events = events(&asked);
    assert_eq!(events.iter().filter(|e| e.contains("prompt_tokens")).count(), 1);
    assert_eq!(events.last().map(String::as_str), Some("[DONE]"));
}
