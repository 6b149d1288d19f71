use super::*;

fn edited(edits: &[RequestEdit]) -> Value {
    let body = BedrockConverse.edit_request(BODY.as_bytes(), edits).unwrap();
    serde_json::from_slice(&body).unwrap()
}

fn set(name: &str, value: Value) -> RequestEdit {
    RequestEdit::SetField { name: name.into(), value }
}

#[test]
fn texts_and_results_are_set_where_they_stand() {
    assert_eq!(edited(&[RequestEdit::SetSystem("New".into())])["system"][0], json!({"text": "New"}));
    let appended = edited(&[RequestEdit::AppendSystem("More".into())]);
    assert_eq!(appended["system"], json!([{"text": "You help.\nMore"}, {"cachePoint": {"type": "default"}}]));
    let first = edited(&[RequestEdit::SetMessageText { message: 0, text: "Yo".into() }]);
    assert_eq!(first["messages"][0]["content"][0], json!({"text": "Yo"}));
    assert_eq!(first["messages"][0]["content"].as_array().unwrap().len(), 3);
    let result =
        |block: usize, text: &str| RequestEdit::SetToolResult { message: 2, block, text: text.into() };
    let both = edited(&[result(0, r#"{"b":2}"#), result(1, "yes")]);
    let content = &both["messages"][2]["content"];
    assert_eq!(content[0]["toolResult"]["content"], json!([{"json": {"b": 2}}, {"document": {"name": "d"}}]));
    assert_eq!(content[1]["toolResult"]["content"], json!([{"text": "yes"}]));
    let plain = edited(&[result(0, "not JSON")]);
    assert_eq!(plain["messages"][2]["content"][0]["toolResult"]["content"][0], json!({"text": "not JSON"}));
    let no_result = RequestEdit::SetToolResult { message: 1, block: 0, text: String::new() };
    assert!(BedrockConverse.edit_request(BODY.as_bytes(), &[no_result]).is_err());
    let bare = BedrockConverse
        .edit_request(br#"{"messages":[]}"#, &[RequestEdit::AppendSystem("S".into())])
        .unwrap();
    assert_eq!(&bare[..], br#"{"messages":[],"system":[{"text":"S"}]}"#);
}

#[test]
fn parameters_are_set_where_they_belong() {
    let body = edited(&[
        set("max_tokens", json!(7)),
        set("temperature", Value::Null),
        set("guardrailConfig", json!({"x": 1})),
    ]);
    assert_eq!(body["inferenceConfig"], json!({"maxTokens": 7, "topP": null}));
    assert_eq!(body["guardrailConfig"], json!({"x": 1}));
    let bare = BedrockConverse.edit_request(br#"{"messages":[]}"#, &[set("temperature", json!(0))]).unwrap();
    assert_eq!(&bare[..], br#"{"messages":[],"inferenceConfig":{"temperature":0}}"#);
    assert!(BedrockConverse.edit_request(BODY.as_bytes(), &[set("stream", json!(true))]).is_err());
    assert!(BedrockConverse.edit_request(BODY.as_bytes(), &[set("model", json!(1))]).is_err());
    let model = [set("model", json!("amazon.nova-pro-v1:0"))];
    assert_eq!(BedrockConverse.edit_request(BODY.as_bytes(), &model).unwrap(), BODY);
    let target = BedrockConverse.edit_target(TARGET, &model);
    assert_eq!(target.as_deref(), Some("/model/amazon.nova-pro-v1%3A0/converse-stream"));
    assert_eq!(BedrockConverse.edit_target(TARGET, &[]), None);
}

#[test]
fn tools_come_and_go() {
    let without = edited(&[RequestEdit::RemoveTool("f".into())]);
    assert_eq!(
        without["toolConfig"],
        json!({"tools": [{"toolSpec": {"name": "g"}}, {"cachePoint": {"type": "default"}}]})
    );
    let none = edited(&[RequestEdit::RemoveTool("f".into()), RequestEdit::RemoveTool("g".into())]);
    assert_eq!(none.get("toolConfig"), None);
    let more = edited(&[RequestEdit::AddTool(json!({"name": "h"}))]);
    assert_eq!(more["toolConfig"]["tools"][3], json!({"toolSpec": {"name": "h"}}));
    let error =
        BedrockConverse.edit_request(BODY.as_bytes(), &[RequestEdit::RemoveTool("x".into())]).unwrap_err();
    assert_eq!(error.to_string(), "there is no tool \"x\"; the tools are f, g");
}

#[test]
fn reasoning_is_dropped_with_the_budget_that_demands_it() {
    let body = edited(&[RequestEdit::DropReasoning { before: 3 }]);
    let content = body["messages"][1]["content"].as_array().unwrap();
    assert_eq!(content[0], json!({"text": "Look:"}));
    assert_eq!(body["additionalModelRequestFields"], json!({"top_k": 5}));
    let kept = edited(&[RequestEdit::DropReasoning { before: 1 }]);
    assert_eq!(kept["messages"][1]["content"].as_array().unwrap().len(), 5);
    assert!(kept["additionalModelRequestFields"].get("thinking").is_some());
}

#[test]
fn bodies_of_the_vendors_are_edited_in_their_own_way() {
    let edit = |body: &str, edits: &[RequestEdit]| {
        BedrockInvoke.edit_request(body.as_bytes(), edits).map(|b| String::from_utf8_lossy(&b).into_owned())
    };
    let anthropic =
        r#"{"anthropic_version":"bedrock-2023-05-31","messages":[{"role":"user","content":"Hi"}]}"#;
    let edits = [set("model", json!("m")), RequestEdit::SetSystem("S".into())];
    assert_eq!(
        edit(anthropic, &edits).unwrap(),
        r#"{"anthropic_version":"bedrock-2023-05-31","messages":[{"role":"user","content":"Hi"}],"system":"S"}"#
    );
    let target = BedrockInvoke.edit_target("/model/a/invoke", &edits);
    assert_eq!(target.as_deref(), Some("/model/m/invoke"));
    let prompt = r#"{"prompt": "Hi", "temperature": 1}"#;
    let edits = [RequestEdit::SetMessageText { message: 0, text: "Yo".into() }, set("temperature", json!(0))];
    assert_eq!(edit(prompt, &edits).unwrap(), r#"{"prompt": "Yo", "temperature": 0}"#);
    assert!(
        edit(prompt, &[RequestEdit::SetSystem("S".into())])
            .unwrap_err()
            .to_string()
            .contains("no system prompt")
    );
    for body in [anthropic, prompt] {
        assert!(edit(body, &[set("stream", json!(true))]).is_err());
    }
}
