//! The official Python SDKs, pinned, through record, replay, fork and diff.

use crate::support::env::{TestEnv, project};
use crate::support::refund_model::RefundModel;
use crate::support::venv;
use std::path::PathBuf;
use std::sync::OnceLock;

const PINNED: [&str; 2] = ["openai==3.52.0", "anthropic==2.11.0"];
const TASK: &str = "My laptop from order A123 is broken, refund me";
const DONE: &str = "Done. I refunded $4999 for order A123.\n";

/// A Python with the pinned SDKs, in a virtual environment that is made on first use.
fn python() -> &'static PathBuf {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| venv::python("sdk-venv", &PINNED))
}

fn agent(name: &str) -> [String; 3] {
    let script = project().join("tests/it/agents").join(name);
    [python().display().to_string(), script.display().to_string(), TASK.to_string()]
}

fn round(script: &str, mode: &str, stream: &str) {
    round_with(script, &[("MODE", mode), ("STREAM", stream)]);
}

fn round_with(script: &str, variables: &[(&str, &str)]) {
    let model = RefundModel::start();
    let mut env = TestEnv::new();
    env.upstream(&model.origin());
    variables.iter().for_each(|(name, value)| env.set(name, *value));
    let agent = agent(script);
    let command = |verb: &[&str]| -> Vec<String> {
        let verb = verb.iter().map(|s| s.to_string());
        verb.chain(["--".to_string()]).chain(agent.iter().cloned()).collect()
    };

    let ran = env.retake(command(&["run", "--name", "refund"])).expect(0);
    assert_eq!(ran.out, DONE);
    assert_eq!(model.asked(), 5);
    let shown = env.retake(["show", "refund.1", "--json"]).expect(0).json();
    assert_eq!(shown["steps"].as_array().map(Vec::len), Some(10), "{shown}");

    let before = model.connections();
    let replayed = env.retake(["replay", "refund.1"]).expect(0);
    assert_eq!(replayed.out, DONE);
    assert!(replayed.err.contains("10/10 steps"), "{}", replayed.err);
    assert!(replayed.err.contains("check_fraud"), "the varying result is pinned: {}", replayed.err);
    assert_eq!(model.connections(), before, "a replay never dials out");

    let asked = model.asked();
    let forked = env.retake(["fork", "refund.1", "--set", "7:result.risk=\"high\""]).expect(0);
    assert!(forked.out.contains("escalated to a human reviewer"), "{}", forked.all());
    assert_eq!(model.asked() - asked, 1, "only the call that depends on the edit is asked again");

    let asked = model.asked();
    let fixed = env.retake(["fork", "refund.1", "--set", "6..:system+=Amounts are in cents."]).expect(0);
    assert!(fixed.out.contains("$49.99"), "{}", fixed.all());
    assert_eq!(model.asked() - asked, 3);

    let differs = env.retake(["diff", "refund.1", "refund.2"]).expect(1);
    assert!(differs.out.contains("\"low\"") && differs.out.contains("\"high\""), "{}", differs.out);
    let again = env.retake(["replay", "refund.2"]).expect(0);
    assert!(again.out.contains("escalated"), "{}", again.all());
}

#[test]
fn openai_sync() {
    round("openai_refund.py", "sync", "0");
}

#[test]
fn openai_sync_streamed() {
    round("openai_refund.py", "sync", "1");
}

#[test]
fn openai_async() {
    round("openai_refund.py", "async", "0");
}

#[test]
fn openai_async_streamed() {
    round("openai_refund.py", "async", "1");
}

#[test]
fn responses_sync() {
    round("responses_refund.py", "sync", "0");
}

#[test]
fn responses_async_streamed() {
    round("responses_refund.py", "async", "1");
}

#[test]
fn responses_chained() {
    round_with("responses_refund.py", &[("MODE", "async"), ("STREAM", "0"), ("CHAIN", "1")]);
}

#[test]
fn responses_chained_streamed() {
    round_with("responses_refund.py", &[("MODE", "sync"), ("STREAM", "1"), ("CHAIN", "1")]);
}

#[test]
fn a_conversation_that_the_provider_keeps_is_replayed_but_not_asked_anew() {
    let model = RefundModel::start();
    let mut env = TestEnv::new();
    env.upstream(&model.origin());
    env.set("CHAIN", "conv_9");
    let mut command = vec!["run".to_string(), "--name".into(), "refund".into(), "--".into()];
    command.extend(agent("responses_refund.py"));
    assert_eq!(env.retake(command).expect(0).out, DONE);
    let asked = model.asked();
    let replayed = env.retake(["replay", "refund.1"]).expect(0);
    assert!(replayed.err.contains("10/10 steps"), "{}", replayed.err);
    let forked = env.retake(["fork", "refund.1", "--set", "7:result.risk=\"high\""]);
    assert!(forked.all().contains("a conversation that the provider keeps as a whole"), "{}", forked.all());
    assert_eq!(model.asked(), asked, "nothing was added to it");
}

#[test]
fn anthropic_sync() {
    round("anthropic_refund.py", "sync", "0");
}

#[test]
fn anthropic_sync_streamed() {
    round("anthropic_refund.py", "sync", "1");
}

#[test]
fn anthropic_async() {
    round("anthropic_refund.py", "async", "0");
}

#[test]
fn anthropic_async_streamed() {
    round("anthropic_refund.py", "async", "1");
}
