//! Ollama from the outside: streams of JSON lines, calls without ids, and a host without a scheme.

use crate::support::env::{TestEnv, project};
use crate::support::lamp_model::LampModel;
use serde_json::json;
use std::sync::OnceLock;

fn agent() -> [&'static str; 3] {
    static SCRIPT: OnceLock<String> = OnceLock::new();
    let script =
        SCRIPT.get_or_init(|| project().join("tests/it/agents/ollama_lamps.py").display().to_string());
    ["python3", script, "Look for: desk"]
}

/// A recording of the lamp agent as `lamp.1`: look (1, 2), price (3, 4), answer (5).
fn lamp(stream: &str, vars: &[(&str, &str)]) -> (TestEnv, LampModel) {
    let (mut env, model) = (TestEnv::new(), LampModel::start());
    // As people set it.
    env.set("OLLAMA_HOST", model.origin().trim_start_matches("http://"));
    env.set("STREAM", stream);
    vars.iter().for_each(|(name, value)| env.set(name, *value));
    let ran = env.retake(["run", "--name", "lamp", "--"].into_iter().chain(agent())).expect(0);
    assert!(ran.out.starts_with("3 of desk for 20 (qwen3 at 1; "), "{}", ran.all());
    assert!(ran.err.contains("lamp.1   5 steps (3 model, 2 tool)"), "one conversation: {}", ran.err);
    (env, model)
}

#[test]
fn a_run_replays_offline_streamed_and_not() {
    for stream in ["0", "1"] {
        let (env, model) = lamp(stream, &[]);
        let before = model.connections();
        let ran = env.retake(["replay", "lamp.1"]).expect(0);
        assert!(ran.out.starts_with("3 of desk for 20 ("), "{}", ran.all());
        assert_eq!(model.connections(), before);
        ran.says(&["replayed  5/5 steps   0 live calls", "same outcome"]);
        let shown = env.retake(["show", "lamp.1"]).expect(0).out;
        assert!(shown.contains("calls look(item=\"desk\")") && shown.contains("qwen3"), "{shown}");
    }
}

#[test]
fn edits_go_where_ollama_looks_for_them() {
    for stream in ["0", "1"] {
        let (env, model) = lamp(stream, &[]);
        let known = model.targets().len();
        let ran = env.retake(["fork", "lamp.1", "--set", "2:result.stock=7"]).expect(0);
        assert!(ran.out.starts_with("7 of desk for 20 ("), "{}", ran.all());
        let live = model.since(known);
        assert_eq!(live.len(), 2);
        assert_eq!(live[1]["messages"][3]["content"], r#"{"item": "desk", "stock": 7}"#);

        let known = model.targets().len();
        let edits = ["--set", "5..:model=llama4", "--set", "5..:temperature=0"];
        let ran = env.retake(["fork", "lamp.1"].iter().chain(&edits)).expect(0);
        assert!(ran.out.starts_with("3 of desk for 20 (llama4 at 0; "), "{}", ran.all());
        assert_eq!(model.since(known)[0]["options"], json!({"temperature": 0}));

        // An answer written by hand is one that the agent can read, in the form it asked for.
        let ran = env.retake(["fork", "lamp.1", "--set", "5:answer=Sold out."]).expect(0);
        assert_eq!(ran.out, "Sold out.\n", "{}", ran.all());
        let call =
            ["fork", "lamp.1", "--set", r#"3:answer={"calls":[{"name":"look","args":{"item":"bed"}}]}"#];
        let forked = env.retake(call).expect(0);
        assert!(forked.out.starts_with("3 of desk for null ("), "{}", forked.all());
    }
}

#[test]
fn an_error_is_told_as_ollama_tells_it() {
    let (mut env, _model) = lamp("1", &[]);
    env.set("MODEL", "other");
    let [python, script, task] = agent();
    let ran = env.retake(["replay", "lamp.1", "--", python, script, task]).expect(4);
    assert!(ran.err.contains("failed 4") && ran.err.contains("qwen3"), "{}", ran.all());
}

#[test]
fn equal_embeddings_come_in_any_order() {
    let (mut env, model) = lamp("1", &[("EMBED", "one two one three")]);
    let before = model.connections();
    for order in ["1", "2", "3"] {
        env.set("ORDER", order);
        let ran = env.retake(["replay", "lamp.1"]).expect(0);
        ran.says(&["0 live calls", "same outcome"]);
    }
    assert_eq!(model.connections(), before);
    let shown = env.retake(["show", "lamp.1"]).expect(0).out;
    assert!(shown.contains("embeds \"one\" (all-minilm) -> 1 x 3, 2 times"), "{shown}");
    // A text that nobody embedded is a miss, never a made-up answer.
    env.set("EMBED", "four");
    let [python, script, task] = agent();
    env.retake(["replay", "lamp.1", "--", python, script, task]).expect(4);
}
