//! Amazon Bedrock from the outside: the model stands in the path, streams are binary, and requests are signed.

use crate::support::env::{TestEnv, project};
use crate::support::lamp_model::LampModel;
use serde_json::json;
use std::sync::OnceLock;

const CLIENTS: [[&str; 2]; 4] = [["converse", "0"], ["converse", "1"], ["invoke", "0"], ["invoke", "1"]];
const MODEL: &str = "anthropic.claude-3-haiku-20240307-v1";

fn agent() -> [&'static str; 3] {
    static SCRIPT: OnceLock<String> = OnceLock::new();
    let script =
        SCRIPT.get_or_init(|| project().join("tests/it/agents/bedrock_lamps.py").display().to_string());
    ["python3", script, "Look for: desk"]
}

/// A recording of the lamp agent as `lamp.1`: look (1, 2), price (3, 4), answer (5).
fn lamp([api, stream]: [&str; 2]) -> (TestEnv, LampModel) {
    let (mut env, model) = (TestEnv::new(), LampModel::start());
    env.set("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", model.origin());
    env.set("API", api);
    env.set("STREAM", stream);
    let [python, script, task] = agent();
    let ran = env.retake(["run", "--name", "lamp", "--", python, script, task]).expect(0);
    assert!(ran.out.starts_with(&format!("3 of desk for 20 ({MODEL}:0 at 1; ")), "{}", ran.all());
    assert!(ran.err.contains("lamp.1   5 steps (3 model, 2 tool)"), "one conversation: {}", ran.err);
    (env, model)
}

#[test]
fn what_is_signed_goes_through_untouched_and_stays_out_of_the_recording() {
    let (env, model) = lamp(["converse", "1"]);
    let sent = model.received();
    let first = sent.first().expect("a request");
    assert_eq!(first.target, format!("/model/{MODEL}%3A0/converse-stream"));
    let signature = "0123456789abcdef".repeat(4);
    let signed = first.header("authorization").expect("a signature");
    assert!(signed.starts_with("AWS4-HMAC-SHA256 Credential=AKIDLAMPS0EXAMPLE/"), "{signed}");
    assert!(signed.ends_with(&format!("Signature={signature}")), "{signed}");
    let token = first.header("x-amz-security-token").expect("a token");
    assert_eq!(token, "IQoJb3JpZ2luX2VjEXAMPLETOKEN//////////wEaCXVzLWVhc3QtMSJHMEUCIQ");
    let names: Vec<&str> = first.headers.iter().map(|(name, _)| name.as_str()).collect();
    for name in ["X-Amz-Date", "amz-sdk-invocation-id", "amz-sdk-request"] {
        assert!(names.contains(&name), "{names:?}");
    }
    let file = env.work().join("lamp.retake").display().to_string();
    env.retake(["export", "lamp.1", &file]).expect(0);
    let exported = std::fs::read_to_string(&file).expect("the file");
    for secret in [signature.as_str(), "EXAMPLETOKEN", "AKIDLAMPS0EXAMPLE"] {
        assert!(!exported.contains(secret), "{secret}");
    }
}

#[test]
fn a_run_replays_offline() {
    for client in CLIENTS {
        let (env, model) = lamp(client);
        let before = model.connections();
        let ran = env.retake(["replay", "lamp.1"]).expect(0);
        assert!(ran.out.starts_with("3 of desk for 20 ("), "{client:?} {}", ran.all());
        assert_eq!(model.connections(), before);
        ran.says(&["replayed  5/5 steps   0 live calls", "same outcome"]);
        let shown = env.retake(["show", "lamp.1", "1"]).expect(0).out;
        assert!(shown.contains("look") && shown.contains("desk"), "{client:?} {shown}");
    }
}

#[test]
fn edits_go_where_bedrock_looks_for_them() {
    for client in CLIENTS {
        let (env, model) = lamp(client);
        let known = model.targets().len();
        let ran = env.retake(["fork", "lamp.1", "--set", "2:result.stock=7"]).expect(0);
        assert!(ran.out.starts_with("7 of desk for 20 ("), "{client:?} {}", ran.all());
        let live = model.since(known);
        assert_eq!(live.len(), 2);
        let block = &live[1]["messages"][2]["content"][0];
        match client[0] {
            "converse" => {
                assert_eq!(block["toolResult"]["content"][0]["json"], json!({"item": "desk", "stock": 7}));
            }
            _ => {
                let text = block["content"].as_str().or(block["content"][0]["text"].as_str());
                let said: serde_json::Value = serde_json::from_str(text.expect("text")).expect("JSON");
                assert_eq!(said, json!({"item": "desk", "stock": 7}));
            }
        }
        let ran = env.retake(["fork", "lamp.1", "--set", "5:answer=Sold out."]).expect(0);
        assert_eq!(ran.out, "Sold out.\n", "{client:?} {}", ran.all());
        let again = env.retake(["replay", "lamp.2"]).expect(0);
        assert!(again.out.starts_with("7 of desk for 20 ("), "{client:?} {}", again.all());
    }
}

#[test]
fn another_model_is_asked_under_its_own_path() {
    let (env, model) = lamp(["converse", "1"]);
    let known = model.targets().len();
    let edits = ["--set", "3..:model=amazon.nova-pro-v1:0", "--set", "3..:temperature=0"];
    let ran = env.retake(["fork", "lamp.1"].iter().chain(&edits)).expect(0);
    assert!(ran.out.starts_with("3 of desk for 20 (amazon.nova-pro-v1:0 at 0; "), "{}", ran.all());
    assert_eq!(model.targets()[known..], ["/model/amazon.nova-pro-v1%3A0/converse-stream"; 2]);
}

#[test]
fn a_stream_is_cut_between_messages() {
    let (env, _model) = lamp(["converse", "1"]);
    let ran = env.retake(["fork", "lamp.1", "--set", "5:fault=cut:3"]);
    assert!(
        ran.all().contains("broken off after 3: messageStart contentBlockDelta contentBlockDelta"),
        "{}",
        ran.all()
    );
    let ran = env.retake(["fork", "lamp.1", "--set", "5:fault=429"]);
    assert!(ran.all().contains("failed 429 injected by retake"), "{}", ran.all());
}

#[test]
fn a_changed_request_is_signed_again_or_refused_with_the_reason() {
    let (mut env, model) = lamp(["converse", "1"]);
    let known = model.received().len();
    let fork = ["fork", "lamp.1", "--set", "2:result.stock=7"];
    // At Amazon's own address, without the key: nothing is sent, and the agent is told why.
    let amazon = ["--upstream", "bedrock=https://bedrock-runtime.us-east-1.amazonaws.com"];
    let ran = env.retake(fork.iter().chain(&amazon));
    assert!(ran.all().contains("failed 403 this request goes out with another body"), "{}", ran.all());
    assert!(ran.all().contains("AWS_ACCESS_KEY_ID"), "{}", ran.all());
    assert_eq!(model.received().len(), known);
    // With the key that signed it, what is edited has a signature of its own, the rest keeps the agent's.
    env.set("AWS_ACCESS_KEY_ID", "AKIDLAMPS0EXAMPLE");
    env.set("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
    env.retake(fork).expect(0);
    let live = model.received();
    let edited = live.last().and_then(|r| r.header("authorization")).expect("a signature");
    assert!(edited.starts_with("AWS4-HMAC-SHA256 Credential=AKIDLAMPS0EXAMPLE/"), "{edited}");
    assert!(edited.contains("SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, "), "{edited}");
    assert!(!edited.contains("Signature=0123456789abcdef"), "{edited}");
}

#[test]
fn amazons_own_address_as_a_base_url_is_warned_of() {
    let mut env = TestEnv::new();
    env.set("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "https://bedrock-runtime.us-east-1.amazonaws.com");
    let ran = env.retake(["run", "--", "true"]);
    ran.says(&["will refuse (403)", "--intercept", "AWS_BEARER_TOKEN_BEDROCK"]);
}
