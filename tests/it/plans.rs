//! What a fork says that it will do, and what it says afterwards of what it did.

use crate::support::env::{TestEnv, project};
use crate::support::lamp_model::{LampModel, Recorded, record};

const TASK: &str = "Look for: desk";

fn lamp() -> Recorded {
    record(LampModel::start(), TASK, &[])
}

/// The lamp agent, and then something else.
fn agent_and(then: &str) -> [String; 3] {
    let script = project().join("tests/it/agents/lamps.py").display().to_string();
    ["sh".into(), "-c".into(), format!("python3 {script} '{TASK}'; {then}")]
}

#[test]
fn a_checkpoint_counts_beside_an_edit() {
    let lamp = lamp();
    let (ran, live) = lamp.fork(&["--at", "2", "--set", "5:temperature=0"], 0);
    assert_eq!(live.len(), 2, "steps 3 and 5: {}", ran.err);
    assert_eq!((live[0].get("temperature"), live[1]["temperature"].as_i64()), (None, Some(0)));
    ran.says(&["steps 1-2 from the recording"]);
    let (ran, live) = lamp.fork(&["--set", "5:temperature=0"], 0);
    assert_eq!(live.len(), 1, "{}", ran.err);
}

#[test]
fn calls_that_the_recording_does_not_have_are_counted() {
    let lamp = lamp();
    let ask = r#"python3 -c 'import os, urllib.request as u; u.urlopen(u.Request(os.environ["OPENAI_BASE_URL"] + "/chat/completions", b"{\"model\":\"small\",\"messages\":[{\"role\":\"user\",\"content\":\"Sum up: x\"}]}", {"content-type": "application/json"})).read()'"#;
    let command = agent_and(ask);
    let command: Vec<&str> = command.iter().map(String::as_str).collect();
    let (ran, live) = lamp.fork_with(&command, &["--set", "5:answer=\"Sold.\""], 0);
    assert_eq!(live.len(), 1, "{}", ran.err);
    ran.says(&["no live call expected", "1 live call beyond the recording"]);
    assert!(!ran.err.contains("live calls go to"), "{}", ran.err);
}

#[test]
fn an_agent_that_ended_badly_is_named() {
    let lamp = lamp();
    for (then, said) in [("exit 7", "agent exit 7"), ("kill -9 $$", "agent signal 9")] {
        let command = agent_and(then);
        let command: Vec<&str> = command.iter().map(String::as_str).collect();
        let (ran, _) = lamp.fork_with(&command, &["--set", "5:answer=\"Sold.\""], 0);
        ran.says(&[said]);
    }
    let (ran, _) = lamp.fork(&["--set", "5:answer=\"Sold.\""], 0);
    assert!(!ran.err.contains("agent exit"), "{}", ran.err);
}

#[test]
fn a_fork_without_an_answer_is_none() {
    let lamp = lamp();
    let (ran, live) = lamp.fork(&["--at", "0", "--max-live", "0"], 2);
    assert_eq!((live.len(), lamp.env.listed()), (0, vec!["lamp.1".to_string()]));
    ran.says(&["--max-live", "there is no fork"]);
    lamp.fork(&["--at", "2", "--max-live", "0"], 2);
    assert_eq!(lamp.env.listed(), ["lamp.1", "lamp.2"], "this one has an answer");
}

#[test]
fn what_cannot_be_asked_for_is_usage() {
    let lamp = lamp();
    let env = &lamp.env;
    env.retake(["run", "--name", "last", "--", "true"]).expect(64).says(&["newest run of all"]);
    let upstream = ["run", "--upstream", "foo=http://127.0.0.1:1", "--", "true"];
    env.retake(upstream).expect(64).says(&["no provider \"foo\"", "openai, anthropic"]);
    env.retake(["gc", "--keep", "0"]).expect(64).says(&["every run", "--yes"]);
    env.retake(["show", "lamp.1", "99"]).expect(64).says(&["steps are 1 to 5"]);
    env.retake(["show", "lamp.1", "abc"]).expect(64);
    env.retake(["replay", "lamp.1", "--to", "99"]).expect(64);
    env.retake(["record", "--", "true"]).expect(64).says(&["tip: retake run -- COMMAND"]);
    assert_eq!(env.listed(), ["lamp.1"]);
    env.retake(["gc", "--keep", "0", "--yes"]).expect(0);
    assert!(env.listed().is_empty());
}

#[test]
fn a_store_that_cannot_be_made_is_named() {
    let env = TestEnv::new();
    let ran = env.retake(["run", "--store", "/proc/foo", "--", "true"]).expect(3);
    ran.says(&["cannot create the store /proc/foo: "]);
}

#[test]
fn an_imported_command_runs_here_unless_its_directory_is_below() {
    let lamp = lamp();
    lamp.env.retake(["export", "lamp.1", "l.retake"]).expect(0);
    let mut other = TestEnv::new();
    other.upstream(&lamp.model.origin());
    std::fs::copy(lamp.env.work().join("l.retake"), other.work().join("l.retake")).expect("copy");
    other.retake(["import", "l.retake"]).expect(0);
    let ran = other.retake(["replay", "lamp.1", "--yes"]).expect(0);
    ran.says(&["same outcome", "it ran here", "which is not below here"]);
}
