//! Requests that the recording has no right answer for, and edits that cannot be.

use crate::support::env::{Ran, TestEnv, project};
use crate::support::upstream::{FakeUpstream, Script};
use serde_json::json;

/// Answers each request with its number.
fn counting() -> FakeUpstream {
    FakeUpstream::start(|n, _| {
        let message = json!({"role": "assistant", "content": format!("answer {n}")});
        let choice = json!({"index": 0, "message": message, "finish_reason": "stop"});
        let usage = json!({"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5});
        let body = json!({"id": "c", "object": "chat.completion", "model": "small", "choices": [choice], "usage": usage});
        Script::json(&body.to_string())
    })
}

/// A command with the agent in full, so that today's variables count and not the recorded ones.
fn agent(verb: &[&str]) -> Vec<String> {
    let agent = project().join("tests/it/agents/drifter.py").display().to_string();
    verb.iter().copied().chain(["--", "python3", &agent]).map(str::to_string).collect()
}

/// A recording of an agent that asks these questions.
fn recorded(questions: &str) -> (TestEnv, FakeUpstream, Ran) {
    let upstream = counting();
    let mut env = TestEnv::new();
    env.upstream(&upstream.origin());
    env.set("QUESTIONS", questions);
    let ran = env.retake(agent(&["run", "--name", "d"])).expect(0);
    (env, upstream, ran)
}

#[test]
fn a_changed_prompt_is_explained_once() {
    let (mut env, upstream, _) = recorded("What is the colour of the sky?");
    env.set("QUESTIONS", "What is the colour of the sea?");
    let before = upstream.connections();
    let missed = env.retake(agent(&["replay", "d.1"])).expect(4);
    assert_eq!(upstream.connections(), before);
    let told = |text: &str| text.matches("no recorded lane begins with this request").count();
    assert!(missed.out.starts_with("error ") && missed.out.contains(" false {"), "{}", missed.out);
    assert_eq!(told(&missed.out), 1, "the agent's own error explains: {}", missed.out);
    assert_eq!(told(&missed.err), 1, "{}", missed.err);
    for word in ["messages[0].text", "sky", "sea"] {
        assert!(missed.out.contains(word) && missed.err.contains(word), "{}", missed.all());
    }
    insta::with_settings!({filters => vec![(r"\d+(\.\d+)? ?(ms|s)\b", "[time]")]}, {
        let root = project().display().to_string();
        insta::assert_snapshot!("changed_prompt_stderr", missed.err.replace(&root, "[project]"));
        insta::assert_snapshot!("changed_prompt_agent", missed.out);
    });
}

#[test]
fn an_agent_that_swallows_the_error_does_not_hide_it() {
    let (mut env, _upstream, _) = recorded("one|two");
    env.set("QUESTIONS", "one|zwei");
    env.set("SWALLOW", "1");
    let missed = env.retake(agent(&["replay", "d.1"])).expect(4);
    assert!(missed.out.starts_with("answer 0\n"), "{}", missed.out);
    assert_eq!(missed.err.matches("no recorded answer is right").count(), 1, "{}", missed.err);
}

#[test]
fn steps_never_asked_for_are_named() {
    let (mut env, _upstream, _) = recorded("one|two|three");
    env.set("QUESTIONS", "one|three");
    let short = env.retake(agent(&["replay", "d.1"])).expect(1);
    assert_eq!(short.out, "answer 0\nanswer 2\n");
    assert!(short.err.contains("never asked") && short.err.contains("answer 1"), "{}", short.err);
    let report = env.retake(agent(&["replay", "d.1", "--json"])).expect(1);
    let report = report.json();
    assert_eq!(report["replay"]["unasked"].as_array().map(Vec::len), Some(1), "{report}");
    assert_eq!(report["exit"], 1);
}

#[test]
fn the_same_twice_has_its_two_answers_in_order() {
    let (env, upstream, ran) = recorded("again?|again?|other|again?");
    assert_eq!(ran.out, "answer 0\nanswer 1\nanswer 2\nanswer 3\n");
    let before = upstream.connections();
    let replayed = env.retake(agent(&["replay", "d.1"])).expect(0);
    assert_eq!(replayed.out, ran.out);
    assert_eq!(upstream.connections(), before);
}

#[test]
fn more_of_the_same_than_was_recorded_is_refused() {
    let (mut env, _upstream, _) = recorded("again?|again?");
    env.set("QUESTIONS", "again?|again?|again?");
    let missed = env.retake(agent(&["replay", "d.1"])).expect(4);
    assert!(missed.out.starts_with("answer 0\nanswer 1\nerror "), "{}", missed.out);
}

#[test]
fn an_empty_recording_proves_nothing() {
    let mut env = TestEnv::new();
    env.upstream(&FakeUpstream::refusing());
    let empty = env.retake(["run", "--name", "empty", "--", "true"]);
    assert_ne!(empty.err, "", "no exchange is a loud error");
    let refused = env.retake(["replay", "empty.1"]).expect(3);
    assert!(refused.err.contains("empty.1"), "{}", refused.err);
}

#[test]
fn edits_that_cannot_apply_are_refused_before_anything_runs() {
    let (env, upstream, _) = recorded("one|two|three");
    let before = upstream.connections();
    for (edit, says) in [("3:result=x", "step 3 is a model call"), ("99:answer=x", "steps 1 to 3")] {
        let refused = env.retake(["fork", "d.1", "--set", edit]).expect(64);
        assert_eq!(refused.out, "", "nothing ran");
        assert!(refused.err.contains(says) && refused.err.contains(edit), "{}", refused.err);
    }
    assert_eq!(upstream.connections(), before);
    assert!(!env.retake(["ls"]).expect(0).out.contains("d.2"));
}

#[test]
fn live_calls_stop_at_the_limit() {
    let (mut env, upstream, _) = recorded("one|two|three");
    env.set("SWALLOW", "1");
    let before = upstream.received().len();
    let fork = agent(&["fork", "d.1", "--set", "*:model=other", "--max-live", "1"]);
    let stopped = env.retake(fork).expect(2);
    assert_eq!(upstream.received().len() - before, 1, "{}", stopped.all());
    assert!(stopped.err.contains("--max-live"), "{}", stopped.err);
}

mod fence {
    use super::*;
    use crate::support::refund_model::RefundModel;

    #[test]
    fn a_fence_stops_before_the_tool_runs() {
        let model = RefundModel::start();
        let mut env = TestEnv::new();
        env.upstream(&model.origin());
        let binary = env!("CARGO_BIN_EXE_retake");
        env.retake(["run", "--name", "refund", "--", binary, "demo-agent", "refund A123"]).expect(0);
        let asked = model.asked();
        let stopped = env.retake(["replay", "refund.1", "--fence", "issue_refund"]).expect(5);
        assert_eq!(model.asked(), asked);
        assert!(stopped.err.contains("issue_refund"), "{}", stopped.err);
        assert!(!stopped.out.contains("Done"), "{}", stopped.out);
    }
}
