//! Servers and clients of the Model Context Protocol that do not behave, at either end of the bridge.

use crate::support::env::{Ran, TestEnv, project};

const RETAKE: &str = env!("CARGO_BIN_EXE_retake");

fn run(env: &TestEnv, client: &str, server: &str) -> Ran {
    let script = project().join("tests/it/agents/mcp_garbage.py").display().to_string();
    let bridge = [RETAKE, "mcp", "--name", "odd", "--", "python3", &script, "server", server];
    let agent = ["run", "--name", "odd", "--", "python3", &script, "client", client];
    env.retake([agent.as_slice(), &bridge].concat())
}

const ANSWERED: &str = "{\"n\": 0}\n{\"n\": 1}\n{\"n\": 2}\nexit 0\n";

#[test]
fn a_server_that_writes_garbage_is_heard_all_the_same() {
    let env = TestEnv::new();
    let ran = run(&env, "calm", "garbage").expect(0);
    assert_eq!(ran.out, ANSWERED, "{}", ran.err);
    ran.says(&["a line that is no message: not json"]);
    assert!(ran.err.len() < 100_000, "{} bytes of errors", ran.err.len());
    let replayed = env.retake(["replay", "odd.1"]).expect(0);
    assert_eq!(replayed.out, ANSWERED, "{}", replayed.err);
}

#[test]
fn a_client_that_writes_garbage_is_answered_all_the_same() {
    let env = TestEnv::new();
    let ran = run(&env, "rude", "calm").expect(0);
    assert_eq!(ran.out, ANSWERED, "{}", ran.err);
    let replayed = env.retake(["replay", "odd.1"]).expect(0);
    assert_eq!(replayed.out, ANSWERED, "{}", replayed.err);
}

#[test]
fn a_line_without_end_is_the_end_of_the_server() {
    let env = TestEnv::new();
    let ran = run(&env, "calm", "endless").expect(0);
    ran.says(&["longer than 256 MiB"]);
    assert!(ran.out.starts_with("null\nexit "), "{}", ran.all());
}

#[test]
fn a_server_that_does_not_listen_does_not_keep_the_bridge_from_ending() {
    let env = TestEnv::new();
    let ran = run(&env, "deaf", "deaf").expect(0);
    assert!(ran.out.starts_with("ended "), "{}", ran.all());
}
