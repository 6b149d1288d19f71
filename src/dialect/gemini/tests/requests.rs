use super::*;
use crate::dialect::conversation::{Message, Role};
use crate::run::likeness::{answer_key, reading_echoes};
use crate::run::reading::readings;
use serde_json::json;

fn recognise(method: &str, target: &str) -> Option<Endpoint> {
    Gemini.recognise(&RequestHead {
        method: method.into(),
        target: target.into(),
        headers: HeaderList::default(),
    })
}

#[test]
fn paths_are_recognised_and_name_the_model() {
    for (target, model, stream) in [
        ("/v1beta/models/gemini-2.5-pro:generateContent", "gemini-2.5-pro", false),
        ("/v1/models/gemini-2.5-pro:streamGenerateContent?alt=sse", "gemini-2.5-pro", true),
        ("/models/gemini-2.5-pro%3AstreamGenerateContent?key=a:b/c", "gemini-2.5-pro", true),
        ("/v1beta1/projects/p/locations/l/publishers/google/models/m:generateContent", "m", false),
        ("/v1/tunedModels/mine:generateContent", "mine", false),
        ("/v1/projects/p/locations/l/endpoints/77:generateContent", "77", false),
    ] {
        assert_eq!(recognise("POST", target), Some(Endpoint::Model), "{target}");
        let request = Gemini.read_request(target, br#"{"contents":[]}"#).unwrap();
        assert_eq!((request.model.as_str(), request.stream), (model, stream), "{target}");
    }
    assert_eq!(recognise("POST", "/v1beta/models/m:countTokens"), Some(Endpoint::Side));
    assert_eq!(recognise("GET", "/v1beta/models?pageSize=9"), Some(Endpoint::Side));
    assert_eq!(recognise("GET", "/v1beta/models/m"), Some(Endpoint::Side));
    for (method, target) in [
        ("POST", "/v1beta/models/m:embedContent"),
        ("POST", "/v1beta/models/m:batchEmbedContents"),
        ("POST", "/v1/projects/p/locations/l/publishers/google/models/m:predict"),
        ("GET", "/v1beta/models/m:generateContent/x"),
        ("POST", "/v1internal:generateContent"),
        ("POST", "/v1beta/models/:generateContent"),
        ("POST", "/v1/chat/completions"),
        ("GET", "/v1/models"),
    ] {
        let found = recognise(method, target);
        assert!(found.is_none() || method == "GET" && found == Some(Endpoint::Side), "{target}: {found:?}");
    }
    assert_eq!(recognise("GET", "/v1/models"), None, "other providers list theirs there");
}

#[test]
fn a_request_is_read_into_the_normal_form() {
    let request = Gemini.read_request(TARGET, BODY.as_bytes()).unwrap();
    assert_eq!((request.model.as_str(), request.stream), ("gemini-3-pro", true));
    assert_eq!(request.system, [text("You help.")]);
    let names = ["cachedContent", "maxOutputTokens", "safetySettings", "temperature", "toolConfig"];
    assert_eq!(request.params.keys().collect::<Vec<_>>(), names);
    assert_eq!(request.params["temperature"], json!({"$number": "0.70"}));
    let tools = [
        json!({"name": "f"}),
        json!({"name": "g"}),
        json!({"googleSearch": {}}),
        json!({"codeExecution": {}}),
    ];
    assert_eq!(request.tools, tools);
    let roles: Vec<_> = request.messages.iter().map(|m| m.role).collect();
    assert_eq!(roles, [Role::User, Role::Assistant, Role::User, Role::Tool]);
    let call = |id: &str, name: &str, args| Block::ToolCall { id: id.into(), name: name.into(), args };
    assert_eq!(
        request.messages[1].blocks,
        [
            thought("hm", false),
            thought("", true),
            text("Look:"),
            thought("", true),
            call("", "f", json!({"n": 1.5})),
            call("c2", "g", json!({})),
        ]
    );
    let result = |id: &str, text: &str, other, is_error| Block::ToolResult {
        call_id: id.into(),
        text: text.into(),
        other,
        is_error,
    };
    let image = json!({"inlineData": {"mimeType": "image/png", "data": ""}});
    assert_eq!(
        request.messages[2].blocks,
        [
            result("", "high", vec![], false),
            result("c2", r#"{"a":[2.0],"b":1}"#, vec![image], false),
            result("", "none", vec![], true),
            result("", "", vec![], false),
        ]
    );
    let other = Block::Other { value: json!({"inlineData": {"mimeType": "image/png", "data": "AA=="}}) };
    assert_eq!(request.messages[3].blocks, [result("", r#"{"k":7}"#, vec![], false), other]);
    for (message, span) in request.messages.iter().zip(&request.spans) {
        let alone = format!(r#"{{"contents":[{}]}}"#, &BODY[span.clone()]);
        assert_eq!(Gemini.read_request(TARGET, alone.as_bytes()).unwrap().messages[0], *message);
    }
    assert!(Gemini.read_request(TARGET, b"{}").unwrap_err().what.contains("contents"));
    assert!(Gemini.read_request(TARGET, br#"{"request":{"contents":[]}}"#).is_err());
}

#[test]
fn short_forms_say_the_same() {
    let read = |body: &str| {
        let mut request = Gemini.read_request(TARGET, body.as_bytes()).unwrap();
        request.spans.clear();
        request
    };
    let long = read(
        r#"{"contents":[{"role":"user","parts":[{"text":"Hi"}]}],"systemInstruction":{"role":"user","parts":[{"text":"S"}]}}"#,
    );
    for short in [
        r#"{"contents":{"parts":{"text":"Hi"}},"system_instruction":{"parts":{"text":"S"}}}"#,
        r#"{"contents":["Hi"],"systemInstruction":"S"}"#,
        r#"{"contents":[{"parts":["Hi"]}],"systemInstruction":[{"text":"S"}]}"#,
    ] {
        assert_eq!(read(short), long, "{short}");
    }
}

#[test]
fn a_stream_sent_back_in_pieces_is_one_text() {
    let body = br#"{"contents":[{"role":"model","parts":[{"text":"Lo"},{"text":"ok"},{"functionCall":{"name":"f"}},{"text":"!"}]},{"role":"user","parts":[{"text":"a"},{"text":"b"}]}]}"#;
    let request = Gemini.read_request(TARGET, body).unwrap();
    let call = Block::ToolCall { id: String::new(), name: "f".into(), args: json!({}) };
    assert_eq!(request.messages[0].blocks, [text("Look"), call, text("!")]);
    assert_eq!(request.messages[1].blocks, [text("a"), text("b")], "what a person gives stays apart");
}

/// What a client sends back is known again whatever ids it makes up, and with or without thoughts and signatures.
#[test]
fn an_echo_is_known_with_ids_that_the_client_made_up() {
    let parts = r#"{"text":"hm","thought":true},{"text":"Look: "},{"text":"here."},{"functionCall":{"name":"f","args":{"n":1.0}},"thoughtSignature":"c2ln"},{"functionCall":{"name":"f","args":{"n":2}}}"#;
    let body = format!(
        r#"{{"candidates":[{{"content":{{"role":"model","parts":[{parts}]}},"finishReason":"STOP"}}]}}"#
    );
    let answer = Gemini.read_answer(&head(200, "application/json"), body.as_bytes());
    let key = answer_key(&answer).unwrap();
    let known = |messages: &[Message]| reading_echoes(&readings(messages)[0]).whole.contains(&key);
    let echo = |parts: &str| {
        let body = format!(r#"{{"contents":[{{"role":"model","parts":[{parts}]}}]}}"#);
        Gemini.read_request(TARGET, body.as_bytes()).unwrap().messages
    };
    assert!(known(&echo(parts)));
    for (first, second) in [
        ("pyd_ai_0e1a07b3c2b64d2ab3ad2efbe18e1b97", "pyd_ai_1e1a07b3c2b64d2ab3ad2efbe18e1b97"),
        ("f_1763712000000_0", "f_1763712000000_1"),
    ] {
        let sent = format!(
            r#"{{"text":"Look: here."}},{{"function_call":{{"id":"{first}","name":"f","args":{{"n":1}}}}}},{{"functionCall":{{"id":"{second}","name":"f","args":{{"n":2}}}}}}"#
        );
        assert!(known(&echo(&sent)), "{first}");
    }
    assert!(!known(&echo(r#"{"text":"Look: here."},{"functionCall":{"name":"f","args":{"n":1}}}"#)));

    // Where the API gave ids, they tell: another id is another call.
    let with_ids = body.replace(r#""name":"f","args":{"n":2}"#, r#""id":"x1","name":"f","args":{"n":2}"#);
    let answer = Gemini.read_answer(&head(200, "application/json"), with_ids.as_bytes());
    let key = answer_key(&answer).unwrap();
    let known = |id: &str| {
        let parts = parts
            .replace(r#""name":"f","args":{"n":2}"#, &format!(r#""id":"{id}","name":"f","args":{{"n":2}}"#));
        reading_echoes(&readings(&echo(&parts))[0]).whole.contains(&key)
    };
    assert!(known("x1") && !known("x2"));
}
