//! A small agent with tools, in a place of its own, with a model to talk to.

use super::env::{Ran, TestEnv, project};
use super::refund_model::RefundModel;

/// The agent `agent.py` in the working directory of an environment, which points at a refund model.
pub struct Worker {
    pub env: TestEnv,
    pub model: RefundModel,
}

impl Worker {
    pub fn new() -> Worker {
        let model = RefundModel::start();
        let mut env = TestEnv::new();
        env.upstream(&model.origin());
        env.set("TASK", "refund A123");
        let source = project().join("tests/it/agents/worker.py");
        env.file("agent.py", &std::fs::read_to_string(source).expect("the agent"));
        Worker { env, model }
    }

    /// One with a recording `w.1`.
    #[track_caller]
    pub fn recorded() -> Worker {
        let worker = Worker::new();
        worker.record(&[]).expect(0);
        worker
    }

    /// One with a recording `w.1`, and `w.2` forked from it.
    #[track_caller]
    pub fn forked() -> Worker {
        let worker = Worker::recorded();
        let fork = ["fork", "w.1", "--set", "7:result.risk=\"high\"", "--note", "high"];
        worker.env.retake(fork).expect(0);
        worker
    }

    /// Records it as `w.N`.
    #[track_caller]
    pub fn record(&self, flags: &[&str]) -> Ran {
        self.env.retake(Worker::command(&["run", "--name", "w"], flags))
    }

    /// The verb and its flags, and the agent's command.
    pub fn command(verb: &[&str], flags: &[&str]) -> Vec<String> {
        let words = verb.iter().chain(flags).chain(&["--", "python3", "agent.py"]);
        words.map(ToString::to_string).collect()
    }

    /// The tools that have run since this was asked before.
    pub fn tools_run(&self) -> Vec<String> {
        let log = self.env.work().join("ran.txt");
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        let _ = std::fs::remove_file(&log);
        text.lines().map(str::to_string).collect()
    }
}
