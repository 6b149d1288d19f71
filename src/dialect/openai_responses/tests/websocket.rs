//! The same over a WebSocket: a request is one message, an answer one message a line.

use super::*;
use serde_json::Value;

fn opened() -> ResponseHead {
    ResponseHead { status: 101, headers: HeaderList::default() }
}

fn response(id: &str, output: Value) -> Value {
    json!({"id": id, "object": "response", "status": "completed", "model": "m", "output": output})
}

/// What a server says to a request, and how the session ended.
fn said(response: &Value) -> String {
    let created = json!({"type": "response.created", "response": {"id": response["id"], "output": []}});
    let delta =
        json!({"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "Hi"});
    let completed = json!({"type": "response.completed", "response": response});
    format!("{created}\n{delta}\n{completed}\n{{\"$ws\":\"close\",\"by\":\"agent\"}}\n")
}

#[test]
fn an_opening_and_its_turns_are_recognised() {
    let recognise = |target: &str, upgrade: &str| {
        let headers = HeaderList(vec![("Upgrade".into(), upgrade.into())]);
        OpenAiResponses.recognise(&RequestHead { method: "GET".into(), target: target.into(), headers })
    };
    assert_eq!(recognise("/v1/responses", "WebSocket"), Some(Endpoint::Model));
    assert_eq!(recognise("/v1/responses", "h2c"), None);
    assert_eq!(recognise("/v1/realtime", "websocket"), None);
    assert!(OpenAiResponses.read_request("/v1/responses", b"").is_err(), "an opening asks nothing");
}

#[test]
fn a_request_is_the_same_as_over_http() {
    let input = json!([{"role": "user", "content": "Hi"}]);
    let http = json!({"model": "m", "input": input, "stream": true, "store": false}).to_string();
    let socket = json!({"type": "response.create", "model": "m", "input": input, "store": false}).to_string();
    let read = |body: &str| {
        let mut request = OpenAiResponses.read_request("/v1/responses", body.as_bytes()).unwrap();
        request.spans.clear();
        request
    };
    assert_eq!(read(&http), read(&socket));
}

#[test]
fn an_answer_is_read_from_its_messages_as_far_as_they_came() {
    let part = json!({"type": "output_text", "text": "Hi there", "annotations": []});
    let whole = response("r1", json!([{"type": "message", "role": "assistant", "content": [part]}]));
    let said = said(&whole);
    let answer = OpenAiResponses.read_answer(&opened(), said.as_bytes());
    assert_eq!((answer.text().as_str(), answer.id.as_deref(), answer.whole), ("Hi there", Some("r1"), true));
    let cut = said.split_inclusive('\n').take(2).collect::<String>();
    let answer = OpenAiResponses.read_answer(&opened(), cut.as_bytes());
    assert_eq!((answer.text().as_str(), answer.whole), ("Hi", false));
    let error = json!({"type": "error", "status": 400, "error": {"message": "no such response"}}).to_string();
    let answer = OpenAiResponses.read_answer(&opened(), error.as_bytes());
    assert_eq!(answer.error.as_deref(), Some("no such response"));
}

#[test]
fn a_connection_remembers_what_the_server_was_told_to_forget() {
    let ask = |kind: Option<&str>| {
        let mut body = json!({"model": "m", "store": false, "generate": false, "input": [{"role": "user", "content": "Hi"}]});
        if let Some(kind) = kind {
            body["type"] = kind.into();
        }
        body.to_string()
    };
    let known = |body: &str, head: &ResponseHead, answer: &str| {
        let mut known = Histories::default();
        if OpenAiResponses.remembers(body.as_bytes()) {
            known.note(&OpenAiResponses, body.as_bytes(), head, answer.as_bytes());
        }
        let next = r#"{"type":"response.create","previous_response_id":"r1","input":[]}"#;
        known.unfold(&OpenAiResponses, next.as_bytes())
    };
    let empty = response("r1", json!([]));
    let socket = ask(Some("response.create"));
    assert!(OpenAiResponses.warms_up(socket.as_bytes()));
    assert!(!OpenAiResponses.warms_up(br#"{"input":"generate","generate":true}"#));
    let completed = json!({"type": "response.completed", "response": empty}).to_string();
    let unfolded = known(&socket, &opened(), &completed).expect("it goes on");
    let unfolded: Value = serde_json::from_slice(&unfolded).unwrap();
    assert_eq!(unfolded, json!({"type": "response.create", "input": [{"role": "user", "content": "Hi"}]}));
    assert_eq!(known(&ask(None), &head(200, false), &empty.to_string()), None);
}
