//! The agents of `examples/`, recorded against the scripted model, replayed without it, forked with it.

use crate::support::env::{Ran, TestEnv, project};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// The scripted model as a child on a free port. It ends when it is dropped.
pub struct Model {
    child: Child,
    port: u16,
}

impl Model {
    pub fn start(flags: &[&str]) -> Model {
        let mut child = Command::new("python3")
            .arg(project().join("examples/scripted_model.py"))
            .args(["--delay-jitter", "0.03"])
            .args(flags)
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 is needed for the examples");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("it says its port");
        Model { port: line.trim().parse().expect("a port"), child }
    }

    pub fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn command(verb: &[&str], script: &str, flags: &[&str]) -> Vec<String> {
    let script = project().join("examples").join(script).display().to_string();
    let words = verb.iter().copied().chain(["--", "python3", &script]).chain(flags.iter().copied());
    words.map(str::to_string).collect()
}

/// Records, stops the model, replays three times. Gives back the recorded run.
fn round(script: &str, flags: &[&str]) -> (TestEnv, Ran) {
    round_against(Model::start(&["--vary"]), script, flags)
}

fn round_against(model: Model, script: &str, flags: &[&str]) -> (TestEnv, Ran) {
    let mut env = TestEnv::new();
    env.upstream(&model.origin());
    let recorded = env.retake(command(&["run", "--name", "x"], script, flags)).expect(0);
    assert!(recorded.out.contains("ANSWER:"), "{}", recorded.out);
    drop(model);
    for _ in 0..3 {
        let replayed = env.retake(["replay", "x.1", "--json"]).expect(0);
        assert!(replayed.err.contains(&recorded.out), "{}", replayed.err);
        let report = replayed.json();
        let done = &report["replay"];
        assert_eq!(done["answers"]["live"], 0, "{report}");
        assert_eq!(done["answers"]["refused"], 0, "{report}");
        assert_eq!(done["replayed"], done["steps"], "{report}");
        assert_eq!(done["unasked"].as_array().map(Vec::len), Some(0), "{report}");
    }
    (env, recorded)
}

fn all_ways(script: &str) {
    for flags in [
        &["--api", "openai"][..],
        &["--api", "openai", "--stream"],
        &["--api", "anthropic"],
        &["--api", "anthropic", "--stream"],
    ] {
        round(script, flags);
    }
}

#[test]
fn agent_loop() {
    all_ways("agent_loop.py");
}

#[test]
fn recursive_thought() {
    all_ways("recursive_thought.py");
}

#[test]
fn recursion_that_asks_the_same_twice() {
    let (_env, recorded) = round("recursive_thought.py", &["((1 + 2) * (1 + 2)) + ((1 + 2) * (1 + 2))"]);
    assert!(recorded.out.ends_with("ANSWER: 18\n"), "{}", recorded.out);
}

#[test]
fn workflow() {
    for flags in [&[][..], &["--stream"], &["--mixed"], &["--mixed", "--stream"]] {
        round("workflow.py", flags);
    }
}

#[test]
fn parallel_research() {
    all_ways("parallel_research.py");
}

#[test]
fn identical_branches_with_different_answers() {
    let (_env, recorded) = round("parallel_research.py", &["tides", "tides", "tides", "moon"]);
    let found: Vec<&str> = recorded.out.lines().filter(|l| l.ends_with("tides: disputed")).collect();
    let found = found.len().max(recorded.out.matches("of tides").count());
    assert!(found >= 3, "{}", recorded.out);
}

#[test]
fn identical_branches_with_equal_answers() {
    round_against(Model::start(&[]), "parallel_research.py", &["tides", "tides", "tides", "tides"]);
}

#[test]
fn a_forked_answer_steers_the_workflow() {
    let model = Model::start(&[]);
    let mut env = TestEnv::new();
    env.upstream(&model.origin());
    env.retake(command(&["run", "--name", "x"], "workflow.py", &[])).expect(0);
    let forked = env.retake(["fork", "x.1", "--set", "1:answer=technical"]).expect(0);
    assert!(forked.out.contains("kind: technical"), "{}", forked.all());
    let differs = env.retake(["diff", "x.1", "x.2"]).expect(1);
    assert!(differs.out.contains("technical"), "{}", differs.out);
    drop(model);
    let again = env.retake(["replay", "x.2"]).expect(0);
    assert!(again.out.contains("kind: technical"), "{}", again.all());
}

#[test]
fn a_system_edit_steers_the_workflow() {
    let model = Model::start(&[]);
    let mut env = TestEnv::new();
    env.upstream(&model.origin());
    env.retake(command(&["run", "--name", "x"], "workflow.py", &["--mixed"])).expect(0);
    let forked = env.retake(["fork", "x.1", "--set", "2:system=Refunds are made within 14 days."]).expect(0);
    assert!(forked.out.contains("14 days"), "{}", forked.all());
    let differs = env.retake(["diff", "x.1", "x.2"]).expect(1);
    assert!(differs.out.contains("14 days"), "{}", differs.out);
    drop(model);
    env.retake(["replay", "x.2"]).expect(0);
}
