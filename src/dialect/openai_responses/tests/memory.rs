//! What the server keeps is put in where a request leaves it out.

use super::*;
use crate::exchange::{BodyEnd, Exchange, ExchangeId, RecordedRequest, RecordedResponse, Source, Upstream};
use crate::run::lanes;
use serde_json::Value;

const ASKED: &str = r#"{"model":"m","input":"What time is it?"}"#;

fn answered(id: &str) -> String {
    json!({"id": id, "object": "response", "model": "m", "status": "completed", "output": [
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "now", "arguments": "{}", "status": "completed"}]})
    .to_string()
}

fn after_one(body: &str, answer: &str) -> Histories {
    let mut known = Histories::default();
    known.note(&OpenAiResponses, body.as_bytes(), &head(200, false), answer.as_bytes());
    known
}

fn unfolded(known: &Histories, body: &str) -> Option<Value> {
    let unfolded = known.unfold(&OpenAiResponses, body.as_bytes())?;
    Some(serde_json::from_slice(&unfolded).unwrap())
}

/// The first two items that every request after the first answer has.
fn before() -> [Value; 2] {
    [
        json!({"type": "message", "role": "user", "content": "What time is it?"}),
        json!({"type": "function_call", "call_id": "c1", "name": "now", "arguments": "{}"}),
    ]
}

#[test]
fn a_request_goes_on_from_an_answer() {
    let known = after_one(ASKED, &answered("resp_1"));
    let [question, call] = before();
    let result = json!({"type": "function_call_output", "call_id": "c1", "output": "noon"});
    let next = json!({"model": "m", "previous_response_id": "resp_1", "input": [result]}).to_string();
    let whole = json!({"model": "m", "input": [question, call, result]});
    assert_eq!(unfolded(&known, &next), Some(whole));

    let text = r#"{"previous_response_id":"resp_1","input":"And now?"}"#;
    let again = json!({"type": "message", "role": "user", "content": "And now?"});
    assert_eq!(unfolded(&known, text), Some(json!({"input": [question, call, again]})));
    let bare = r#"{"previous_response_id":"resp_1","prompt":{"id":"p"}}"#;
    assert_eq!(unfolded(&known, bare), Some(json!({"prompt": {"id": "p"}, "input": [question, call]})));

    for untouched in [
        r#"{"previous_response_id":"resp_0","input":"x"}"#,
        r#"{"previous_response_id":null,"input":"x"}"#,
        r#"{"input":"the previous_response_id is \"resp_1\""}"#,
        ASKED,
        "{",
    ] {
        assert_eq!(unfolded(&known, untouched), None, "{untouched}");
    }
}

#[test]
fn what_went_before_the_recording_stays_with_the_server() {
    let asked = r#"{"input":"Go on","previous_response_id":"resp_0"}"#;
    let known = after_one(asked, &answered("resp_1"));
    let next = unfolded(&known, r#"{"input":[],"previous_response_id":"resp_1"}"#).unwrap();
    assert_eq!(
        (&next["previous_response_id"], next["input"].as_array().unwrap().len()),
        (&json!("resp_0"), 2)
    );
}

#[test]
fn what_is_not_kept_cannot_be_gone_on_from() {
    let next = r#"{"input":"x","previous_response_id":"resp_1"}"#;
    let told = r#"{"store": false,"input":"x"}"#;
    assert_eq!(unfolded(&after_one(told, &answered("resp_1")), next), None);
    let broken = r#"{"id":"resp_1","error":{"message":"no"}"#;
    assert_eq!(unfolded(&after_one(ASKED, broken), next), None);
    let mut known = Histories::default();
    known.note(&OpenAiResponses, ASKED.as_bytes(), &head(500, false), answered("resp_1").as_bytes());
    assert_eq!(unfolded(&known, next), None);
    let cut = format!(
        "event: response.created\ndata: {{\"type\":\"response.created\",\"response\":{}}}\n\n",
        answered("resp_1")
    );
    known.note(&OpenAiResponses, ASKED.as_bytes(), &head(200, true), cut.as_bytes());
    assert_eq!(unfolded(&known, next), None);
}

#[test]
fn references_are_followed() {
    let known = after_one(ASKED, &answered("resp_1"));
    let [_, call] = before();
    let next = r#"{"input":[{"role":"user","content":"x"},{"type":"item_reference","id":"rs_1"},{"type":"item_reference","id":"fc_1"},{"type":"item_reference","id":"else"}]}"#;
    let next = unfolded(&known, next).unwrap();
    let other = json!({"type": "item_reference", "id": "else"});
    assert_eq!(
        next["input"],
        json!([{"role": "user", "content": "x"}, call, other]),
        "reasoning has no ciphertext"
    );
}

#[test]
fn a_conversation_grows() {
    let asked = r#"{"conversation":{"id":"conv_1"},"input":"a"}"#;
    let mut known = after_one(asked, &answered("resp_1"));
    let next =
        r#"{"conversation":"conv_1","input":[{"type":"function_call_output","call_id":"c1","output":"1"}]}"#;
    let second = known.unfold(&OpenAiResponses, next.as_bytes()).unwrap();
    assert_eq!(OpenAiResponses.conversation(&second).as_deref(), Some("conv_1"));
    known.note(&OpenAiResponses, &second, &head(200, false), answered("resp_2").as_bytes());
    let third = unfolded(&known, next).unwrap();
    assert_eq!(third["input"].as_array().unwrap().len(), 5);
}

fn exchange(id: u32, body: &str, answer: &str) -> Exchange {
    Exchange {
        request: RecordedRequest {
            id: ExchangeId(id),
            started_us: u64::from(id) * 100,
            upstream: Upstream { provider: "openai".into(), origin: "http://localhost".into() },
            head: RequestHead {
                method: "POST".into(),
                target: "/v1/responses".into(),
                headers: HeaderList::default(),
            },
            body: Bytes::copy_from_slice(body.as_bytes()),
            end: BodyEnd::Complete,
            sent: None,
            sent_target: None,
            stand_ins: Vec::new(),
        },
        response: Some(RecordedResponse {
            source: Source::Live,
            head: Some(head(200, false)),
            fault: None,
            head_us: 5,
            body: Bytes::copy_from_slice(answer.as_bytes()),
            frames: Vec::new(),
            end: BodyEnd::Complete,
            end_us: 10,
            stand_ins: Vec::new(),
        }),
    }
}

#[test]
fn requests_that_go_on_from_an_answer_are_turns_of_its_lane() {
    let result = |id: &str, previous: &str| {
        json!({"model": "m", "previous_response_id": previous,
            "input": [{"type": "function_call_output", "call_id": "c1", "output": id}]})
        .to_string()
    };
    let outline = lanes::outline(&[
        exchange(1, ASKED, &answered("resp_1")),
        exchange(2, ASKED, &answered("resp_x")),
        exchange(3, &result("noon", "resp_1"), &answered("resp_2")),
        exchange(4, &result("one", "resp_2"), &answered("resp_3")),
    ]);
    let attempts: Vec<Vec<u32>> =
        outline.lanes.iter().map(|l| l.turns.iter().map(|t| t.attempts[0].0).collect()).collect();
    assert_eq!(attempts.iter().map(Vec::len).sum::<usize>(), 4);
    assert_eq!(outline.lanes.len(), 2, "{attempts:?}");
    let long = outline.lanes.iter().find(|l| l.turns.len() == 3).expect("a lane of three turns");
    let results: Vec<&str> =
        long.turns.iter().filter_map(|t| t.calls[0].result.as_ref()).map(|r| r.text.as_str()).collect();
    assert_eq!(results, ["noon", "one"]);
}
