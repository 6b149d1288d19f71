mod answers;
mod edits;

use super::*;
use crate::dialect::conversation::{Message, Role};
use crate::exchange::HeaderList;
use serde_json::{Value, json};

const TARGET: &str = "/model/us.anthropic.claude-3-7-sonnet-20250219-v1%3A0/converse-stream";

const BODY: &str = r#"{"system":[{"text":"You help."},{"cachePoint":{"type":"default"}}],
 "messages":[
  {"role":"user","content":[{"text":"Hi"},{"image":{"format":"png","source":{"bytes":"AA=="}}},{"cachePoint":{"type":"default"}}]},
  {"role":"assistant","content":[{"reasoningContent":{"reasoningText":{"text":"hm","signature":"c2ln"}}},{"reasoningContent":{"redactedContent":"AAAA"}},{"text":"Look:"},{"toolUse":{"toolUseId":"t1","name":"f","input":{"n":1.50}}},{"toolUse":{"toolUseId":"t2","name":"g","input":{}}}]},
  {"role":"user","content":[{"toolResult":{"toolUseId":"t1","content":[{"json":{"b":1,"a":[2.0]}},{"document":{"name":"d"}}]}},{"toolResult":{"toolUseId":"t2","status":"error","content":[{"text":"no"},{"text":"way"}]}},{"guardContent":{"text":{"text":"x"}}}]}
 ],
 "toolConfig":{"tools":[{"toolSpec":{"name":"f","inputSchema":{"json":{}}}},{"toolSpec":{"name":"g"}},{"cachePoint":{"type":"default"}}],"toolChoice":{"tool":{"name":"f"}}},
 "inferenceConfig":{"maxTokens":9,"temperature":0.70,"topP":null},"requestMetadata":{"team":"x"},
 "additionalModelRequestFields":{"thinking":{"type":"enabled","budget_tokens":1024},"top_k":5}}"#;

fn text(text: &str) -> Block {
    Block::Text { text: text.into() }
}

fn head(status: u16, kind: &str) -> ResponseHead {
    ResponseHead { status, headers: HeaderList(vec![("content-type".into(), kind.into())]) }
}

fn recognised(method: &str, target: &str) -> Option<(&'static str, Endpoint)> {
    let head = RequestHead { method: method.into(), target: target.into(), headers: HeaderList::default() };
    recognise(&head).map(|(dialect, endpoint)| (dialect.name(), endpoint))
}

#[test]
fn a_path_tells_what_is_asked_and_of_whom() {
    let model = |name: &'static str| Some((name, Endpoint::Model));
    for (path, found) in [
        ("/model/amazon.nova-lite-v1%3A0/converse", model("bedrock-converse")),
        ("/gateway/model/m:0/converse-stream?x=1", model("bedrock-converse")),
        (
            "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fx/invoke",
            model("bedrock-invoke"),
        ),
        ("/model/m/invoke-with-response-stream", model("bedrock-invoke")),
        ("/model/m/count-tokens", Some(("bedrock-converse", Endpoint::Side))),
        ("/model/amazon.titan-embed-text-v2%3A0/invoke", None),
        ("/model/stability.sd3/invoke", None),
        ("/model//converse", None),
        ("/converse", None),
        ("/model/m/async-invoke", None),
    ] {
        assert_eq!(recognised("POST", path), found, "{path}");
        assert_eq!(recognised("GET", path), None, "{path}");
    }
    assert_eq!(target::model_and_stream(TARGET).0, "us.anthropic.claude-3-7-sonnet-20250219-v1:0");
    let arn = "/model/arn%3Aaws%3Abedrock%3A%3A%3Ainference-profile%2Fx/converse";
    assert_eq!(target::model_and_stream(arn), ("arn:aws:bedrock:::inference-profile/x".into(), false));
    assert_eq!(target::model_and_stream("/model/50%/converse").0, "50%");
    assert_eq!(target::with_model(arn, "a.b:0/c").unwrap(), "/model/a.b%3A0%2Fc/converse");
}

#[test]
fn a_request_is_read() {
    let request = BedrockConverse.read_request(TARGET, BODY.as_bytes()).unwrap();
    assert!(request.stream);
    assert_eq!(request.system, [text("You help.")]);
    let names: Vec<&str> = request.tools.iter().filter_map(|t| t["name"].as_str()).collect();
    assert_eq!(names, ["f", "g"]);
    let params: Vec<&str> = request.params.keys().map(String::as_str).collect();
    assert_eq!(params, ["additionalModelRequestFields", "maxTokens", "temperature", "toolChoice"]);
    let [user, assistant, results] = request.messages.as_slice() else { panic!("{:?}", request.messages) };
    assert_eq!((user.role, user.blocks.len()), (Role::User, 2), "a cache point is no block");
    let signed = |text: &str| Block::Reasoning { text: text.into(), signed: true };
    assert_eq!(assistant.blocks[..3], [signed("hm"), signed(""), text("Look:")]);
    assert_eq!(
        assistant.tool_calls().map(|(id, name, _)| (id, name)).collect::<Vec<_>>(),
        [("t1", "f"), ("t2", "g")]
    );
    let result = |call_id: &str, text: &str, other: Vec<Value>, is_error: bool| Block::ToolResult {
        call_id: call_id.into(),
        text: text.into(),
        other,
        is_error,
    };
    assert_eq!(results.blocks[1], result("t2", "no\nway", Vec::new(), true));
    let Block::ToolResult { text: json, other, .. } = &results.blocks[0] else { panic!() };
    assert!(json.starts_with("{\"a\":[2") && json.ends_with("],\"b\":1}"), "{json}");
    assert_eq!(other, &[json!({"document": {"name": "d"}})]);
    assert!(matches!(results.blocks[2], Block::Other { .. }));
    assert!(BedrockConverse.read_request(TARGET, b"{\"messages\":{}}").is_err());
    assert!(BedrockConverse.read_request(TARGET, b"{\"messages\":[{}]}").is_err());
}

#[test]
fn bodies_of_the_vendors_are_read() {
    let read = |body: &str| BedrockInvoke.read_request("/model/v.m%3A0/invoke", body.as_bytes());
    let hi = [Message { role: Role::User, blocks: vec![text("Hi")] }];
    for body in [
        r#"{"anthropic_version":"bedrock-2023-05-31","max_tokens":9,"messages":[{"role":"user","content":"Hi"}]}"#,
        r#"{"schemaVersion":"messages-v1","messages":[{"role":"user","content":[{"text":"Hi"}]}]}"#,
        r#"{"messages":[{"role":"user","content":[{"text":"Hi"}]}]}"#,
        r#"{"max_tokens":9,"messages":[{"role":"user","content":"Hi"}]}"#,
        r#"{"prompt":"Hi","max_gen_len":9}"#,
        r#"{"inputText":"Hi","textGenerationConfig":{"maxTokenCount":9}}"#,
        r#"{"message":"Hi","chat_history":[]}"#,
    ] {
        let request = read(body).unwrap_or_else(|e| panic!("{body}: {e}"));
        assert_eq!((request.model.as_str(), request.messages.as_slice()), ("v.m:0", hi.as_slice()), "{body}");
    }
    for body in ["{}", "[]", "{\"taskType\":\"TEXT_IMAGE\"}", "{\"prompt\":7}", "x"] {
        assert!(read(body).is_err(), "{body}");
    }
}
