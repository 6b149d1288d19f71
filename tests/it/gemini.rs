//! Gemini from the outside: the model stands in the path, and the client makes up the ids of its calls.

use crate::support::env::{TestEnv, project};
use crate::support::lamp_model::LampModel;
use std::sync::OnceLock;

/// A recording of the lamp agent as `lamp.1`: look (1, 2), price (3, 4), answer (5).
fn lamp(stream: &str) -> (TestEnv, LampModel) {
    lamp_of(stream, "gemini-2.5-flash")
}

fn agent() -> [&'static str; 3] {
    static SCRIPT: OnceLock<String> = OnceLock::new();
    let script =
        SCRIPT.get_or_init(|| project().join("tests/it/agents/gemini_lamps.py").display().to_string());
    ["python3", script, "Look for: desk"]
}

fn lamp_of(stream: &str, models: &str) -> (TestEnv, LampModel) {
    let (mut env, model) = (TestEnv::new(), LampModel::start());
    env.set("GOOGLE_GEMINI_BASE_URL", model.origin());
    env.set("GEMINI_API_KEY", "made-up-key-0123456789");
    env.set("STREAM", stream);
    env.set("MODELS", models);
    let [python, script, task] = agent();
    let ran = env.retake(["run", "--name", "lamp", "--", python, script, task]).expect(0);
    assert!(ran.out.starts_with("3 of desk for 20 (gemini-2.5-flash at 1; "), "{}", ran.all());
    assert!(ran.err.contains("lamp.1   5 steps (3 model, 2 tool)"), "one conversation: {}", ran.err);
    (env, model)
}

#[test]
fn a_run_replays_offline_whatever_ids_the_client_makes_up() {
    for stream in ["0", "1", "list"] {
        let (env, model) = lamp(stream);
        let before = model.connections();
        let ran = env.retake(["replay", "lamp.1"]).expect(0);
        assert!(ran.out.starts_with("3 of desk for 20 ("), "{}", ran.all());
        assert_eq!(model.connections(), before);
        ran.says(&["replayed  5/5 steps   0 live calls", "same outcome"]);
    }
}

#[test]
fn a_conversation_goes_on_with_another_model() {
    let (mut env, model) = lamp_of("1", "gemini-2.5-pro gemini-2.5-flash");
    let before = model.connections();
    env.retake(["replay", "lamp.1"]).expect(0).says(&["replayed  5/5 steps   0 live calls"]);
    assert_eq!(model.connections(), before);
    env.set("MODELS", "gemini-2.5-pro");
    let [python, script, task] = agent();
    let ran = env.retake(["replay", "lamp.1", "--", python, script, task]).expect(4);
    ran.says(&["gemini-2.5-pro", "gemini-2.5-flash"]);
}

#[test]
fn edits_go_where_gemini_looks_for_them() {
    for stream in ["0", "1", "list"] {
        let (env, model) = lamp(stream);
        let known = model.targets().len();
        let ran = env.retake(["fork", "lamp.1", "--set", "2:result.stock=7"]).expect(0);
        assert!(ran.out.starts_with("7 of desk for 20 ("), "{}", ran.all());
        let live = model.since(known);
        assert_eq!(live.len(), 2);
        let response = &live[1]["contents"][2]["parts"][0]["functionResponse"]["response"];
        assert_eq!(*response, serde_json::json!({"item": "desk", "stock": 7}));

        // A fork of the fork keeps the edit, though the calls have other ids again.
        let ran = env.retake(["fork", "lamp.2", "--set", "4:result.eur=9"]).expect(0);
        assert!(ran.out.starts_with("7 of desk for 9 ("), "{}", ran.all());

        let ran = env.retake(["fork", "lamp.1", "--set", "5:answer=Sold out."]).expect(0);
        assert_eq!(ran.out, "Sold out.\n", "{}", ran.all());
    }
}

#[test]
fn another_model_is_asked_under_its_own_path() {
    let (env, model) = lamp("1");
    let known = model.targets().len();
    let edits = ["--set", "3..:model=gemini-3-pro", "--set", "3..:temperature=0"];
    let ran = env.retake(["fork", "lamp.1"].iter().chain(&edits)).expect(0);
    assert!(ran.out.starts_with("3 of desk for 20 (gemini-3-pro at 0; "), "{}", ran.all());
    assert_eq!(model.targets()[known..], ["/v1beta/models/gemini-3-pro:streamGenerateContent?alt=sse"; 2]);
    let shown = env.retake(["show", "lamp.2", "3"]).expect(0).out;
    assert!(shown.contains("gemini-3-pro (edited; the agent named gemini-2.5-flash)"), "{shown}");
    let before = model.connections();
    let again = env.retake(["replay", "lamp.2"]).expect(0);
    assert_eq!((again.out, model.connections()), (ran.out, before), "a fork replays offline");

    // What was sent under another path survives a file.
    let file = env.work().join("lamp.retake").display().to_string();
    env.retake(["export", "lamp.2", &file]).expect(0);
    assert!(
        std::fs::read_to_string(&file).unwrap().contains("\"sent_target\":\"/v1beta/models/gemini-3-pro:")
    );
}
