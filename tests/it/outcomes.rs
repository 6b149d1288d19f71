//! How runs end, and what is said of it.

use crate::support::env::{TestEnv, project};
use crate::support::refund::Refund;
use crate::support::upstream::{FakeUpstream, Script};
use serde_json::{Value, json};

/// Answers each request by its length, so that each of the questions has an answer of its own.
fn measuring() -> FakeUpstream {
    FakeUpstream::start(|_, asked| {
        let length = asked.header("content-length").unwrap_or_default();
        Script::json(&completion(&format!("{length} bytes")).to_string())
    })
}

fn completion(text: &str) -> Value {
    let message = json!({"role": "assistant", "content": text});
    let choice = json!({"index": 0, "message": message, "finish_reason": "stop"});
    json!({"id": "c", "object": "chat.completion", "model": "small", "choices": [choice],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}})
}

#[test]
fn the_order_of_branches_is_no_difference() {
    let upstream = measuring();
    let mut env = TestEnv::new();
    env.upstream(&upstream.origin());
    let agent = project().join("tests/it/agents/branches.py").display().to_string();
    for _ in 0..3 {
        env.retake(["run", "--name", "b", "--", "python3", agent.as_str()]).expect(0);
    }
    for other in ["b.2", "b.3"] {
        let same = env.retake(["diff", "b.1", other]).expect(0);
        assert!(
            same.out.contains("no difference") && same.out.contains("outcome   the same: "),
            "{}",
            same.out
        );
    }
    let fork = env.retake(["fork", "b.1", "--at", "1", "--json"]).expect(0).json();
    let shown = env.retake(["show", "b.1", "7", "--json"]).expect(0).json();
    assert_eq!(fork["fork"]["answer"], json!([7, shown["step"]["act"]["text"]]), "{fork}");
}

#[test]
fn an_agent_that_stops_early_has_not_the_same_outcome() {
    let mut refund = Refund::recorded();
    refund.env.set("STOP_AFTER", "4");
    let early = refund.retake(&["replay", "refund.1", "--", "python3", "agent.py"]).expect(1);
    assert!(early.err.contains("STOPPED EARLY: step 10 never asked for"), "{}", early.err);
    assert!(!early.err.contains("same outcome"), "{}", early.err);
}

#[test]
fn a_tool_that_did_not_run_is_not_warned_of() {
    let refund = Refund::recorded();
    let fork = refund.retake(&["fork", "refund.1", "--set", "8:answer=\"No.\""]).expect(0);
    assert!(!refund.ran().contains("issue_refund"), "{}", refund.ran());
    assert!(fork.err.contains("ran for real") && !fork.err.contains("issue_refund"), "{}", fork.err);
    let real = refund.retake(&["replay", "refund.1"]).expect(0);
    assert!(real.err.contains("issue_refund ran for real"), "{}", real.err);
}

#[test]
fn a_model_call_that_went_live_unforeseen_is_named() {
    let mut refund = Refund::recorded();
    refund.env.set("SYSTEM", "You handle refunds and returns.");
    let fork = refund.retake(&["fork", "refund.1", "--at", "3", "--", "python3", "agent.py"]).expect(0);
    assert!(fork.err.contains("step 1 no longer matches the recording (messages[0].text)"), "{}", fork.err);
    let expected = Refund::recorded();
    let fork = expected.retake(&["fork", "refund.1", "--set", "1..:system+=\"x\""]).expect(0);
    assert!(!fork.err.contains("no longer matches"), "{}", fork.err);
}

#[test]
fn json_stands_alone_on_standard_output() {
    let refund = Refund::ready();
    let said = refund.retake(&["run", "--name", "refund", "--json", "--", "python3", "agent.py"]).expect(0);
    assert_eq!(said.json()["run"], "refund.1");
    assert!(said.err.contains("Done. I refunded"), "the agent's own goes to standard error: {}", said.err);
    for verb in [&["replay", "refund.1", "--json"][..], &["fork", "refund.1", "--at", "8", "--json"]] {
        assert_eq!(refund.retake(verb).expect(0).json()["exit"], 0);
    }
    let verified =
        refund.retake(&["run", "--json", "--verify", "--yes", "--", "python3", "agent.py"]).expect(0);
    assert_eq!(verified.json()["verify"]["exit"], 0, "one document: {}", verified.out);
    let again = ["run", "--json", "--verify", "--", "python3", "agent.py"];
    let another = [&again[..1], &["--name", "another"], &again[1..]].concat();
    let unverified = refund.retake(&another).expect(3).json();
    let refused = refund.retake(&again).expect(3).json();
    for error in [&unverified["verify"]["error"], &refused["error"]] {
        assert!(error.as_str().is_some_and(|e| e.contains("issue_refund")), "{error}");
    }
}

#[test]
fn an_agent_that_has_moved_is_said_to() {
    let refund = Refund::recorded();
    std::fs::remove_file(refund.env.work().join("agent.py")).expect("removed");
    let gone = refund.retake(&["replay", "refund.1"]).expect(1);
    assert!(gone.err.contains("the agent asked nothing; has it moved?"), "{}", gone.err);
}
