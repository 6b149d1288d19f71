//! `--shell`: commands that an agent gives to shells are recorded, and are not run on a replay.

use crate::support::env::{Ran, TestEnv};
use serde_json::{Value, json};

struct Desk(TestEnv);

impl Desk {
    fn new() -> Desk {
        let mut env = TestEnv::new();
        env.file("agent.py", include_str!("agents/shell.py"));
        let temp = env.work().join("tmp");
        std::fs::create_dir(&temp).expect("temp");
        env.set("TMPDIR", temp.display().to_string());
        env.set("SHELL", "/bin/bash");
        Desk(env)
    }

    /// The agent with these commands for `bash -c`.
    fn with(commands: &[&str]) -> Desk {
        let mut desk = Desk::new();
        let all: Vec<Value> = commands.iter().map(|command| json!([["bash", "-c", command], {}])).collect();
        desk.commands(&all);
        desk
    }

    fn commands(&mut self, all: &[Value]) {
        self.0.set("COMMANDS", json!(all).to_string());
    }

    fn record(&self) -> Ran {
        let ran = self.0.retake(["run", "--shell", "--name", "sh", "--", "python3", "agent.py"]).expect(0);
        self.is_swept();
        ran
    }

    fn replay(&self) -> Ran {
        let ran = self.0.retake(["replay", "sh.1"]).expect(0);
        self.is_swept();
        ran
    }

    /// The same agent with what is set now, not with what was when it was recorded.
    fn replay_as_set(&self) -> Ran {
        self.0.retake(["replay", "sh.1", "--", "python3", "agent.py"]).expect(0)
    }

    /// Panics when a directory of links was left behind.
    fn is_swept(&self) {
        let left: Vec<_> = std::fs::read_dir(self.0.work().join("tmp")).expect("temp").flatten().collect();
        assert!(left.is_empty(), "{left:?}");
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.0.work().join("ran.log")).unwrap_or_default()
    }
}

#[test]
fn commands_do_not_run_again() {
    let desk = Desk::with(&[
        "echo x >> ran.log; cat ran.log",
        "echo out; echo err >&2; exit 3",
        "printf '\\377\\000'",
    ]);
    let ran = desk.record();
    assert_eq!(ran.out, "0 b'x\\n' b''\n3 b'out\\n' b'err\\n'\n0 b'\\xff\\x00' b''\n");
    ran.says(&["tools recorded: the shell (3 commands)"]);
    let replayed = desk.replay();
    assert_eq!(replayed.out, ran.out);
    replayed.says(&["not run, the shell is answered from the recording: 3 commands", "same outcome"]);
    assert_eq!(desk.log(), "x\n");
}

#[test]
fn what_was_not_recorded_runs() {
    let mut desk = Desk::with(&["echo one >> ran.log"]);
    desk.record();
    let command = |text: &str| json!([["bash", "-c", text], {}]);
    desk.commands(&[
        command("echo one >> ran.log"),
        command("echo two >> ran.log"),
        command("echo one >> ran.log"),
    ]);
    let replayed = desk.replay_as_set();
    assert_eq!(desk.log(), "one\ntwo\none\n", "what is given once more than recorded runs, too");
    replayed.says(&["from the recording: 1 command", "the shell ran for real, not recorded so: 2 commands"]);
}

#[test]
fn input_arguments_and_signals_are_part_of_it() {
    let mut desk = Desk::new();
    let all = |input: &str| {
        [
            json!([["bash", "-c", "cat; echo ran >> ran.log"], { "input": input }]),
            json!([["bash", "-lc", "echo $1", "name", "one"], {}]),
            json!([["sh", "-c", "kill -KILL $$"], {}]),
            json!([["bash", "-c", "yes | head -1; kill -PIPE $$"], {}]),
            json!([["bash", "-c", "echo a; echo b >&2; echo c"], { "merged": true }]),
        ]
    };
    desk.commands(&all("given"));
    let ran = desk.record();
    assert_eq!(
        ran.out,
        "0 b'given' b''\n0 b'one\\n' b''\n-9 b'' b''\n-13 b'y\\n' b''\n0 b'a\\nb\\nc\\n' None\n"
    );
    assert_eq!(desk.replay().out, ran.out);
    assert_eq!(desk.log(), "ran\n");
    desk.commands(&all("other"));
    assert!(desk.replay_as_set().out.starts_with("0 b'other'"));
    assert_eq!(desk.log(), "ran\nran\n");
}

#[test]
fn a_command_sees_the_real_shells() {
    let desk = Desk::with(&[
        "echo $PATH; echo $SHELL $RETAKE_SHELL",
        "bash -c 'echo inner'; sh -c 'command -v bash'; $SHELL -c 'echo third'",
    ]);
    let ran = desk.record();
    ran.says(&["the shell (2 commands)"]);
    assert!(!ran.out.contains("retake-shell") && ran.out.contains("/bin/bash\\n"), "{}", ran.out);
    assert!(ran.out.contains("inner\\n") && ran.out.contains("third\\n"), "{}", ran.out);
}

#[test]
fn scripts_and_what_is_no_command_are_left_alone() {
    let mut desk = Desk::new();
    desk.0.file("script.sh", "echo script $0 $1\n");
    desk.commands(&[
        json!([["bash", "script.sh", "one"], {}]),
        json!([["bash"], { "input": "echo from input" }]),
        json!([["bash", "-c", "true"], {}]),
    ]);
    let ran = desk.record();
    assert_eq!(ran.out, "0 b'script script.sh one\\n' b''\n0 b'from input\\n' b''\n0 b'' b''\n");
    ran.says(&["the shell (1 command)"]);
}

#[test]
fn a_killed_shell_takes_its_command_along() {
    let mut desk = Desk::new();
    desk.commands(&[
        json!([["bash", "-c", "echo $$ > pid; exec sleep 60"], { "timeout": 2 }]),
        json!([["bash", "-c", "echo next"], {}]),
    ]);
    let ran = desk.record();
    assert_eq!(ran.out, "timeout\n0 b'next\\n' b''\n");
    let pid = std::fs::read_to_string(desk.0.work().join("pid")).expect("it ran");
    let state = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    assert!(state.is_empty() || state.contains(") Z "), "it still runs: {state}");
}

#[test]
fn too_much_output_is_passed_on_and_runs_again() {
    let desk = Desk::with(&[
        "echo ran >> ran.log; head -c 9000000 /dev/zero | tr '\\0' x | md5sum; head -c 9000000 /dev/zero",
    ]);
    let ran = desk.record();
    let replayed = desk.replay();
    assert!(
        replayed.out == ran.out && ran.out.len() > 9_000_000,
        "{} and {} bytes",
        ran.out.len(),
        replayed.out.len()
    );
    assert_eq!(desk.log(), "ran\nran\n");
    replayed.says(&["ran for real, not recorded so: 1 command"]);
}

#[test]
fn without_the_flag_nothing_is_recorded_of_it() {
    let desk = Desk::with(&["echo hi"]);
    let ran = desk.0.retake(["run", "--name", "sh", "--", "python3", "agent.py"]).expect(3);
    assert_eq!(ran.out, "0 b'hi\\n' b''\n");
    ran.says(&["nothing was recorded"]);
}

#[test]
fn a_secret_in_a_command_is_not_kept_and_it_is_known_again() {
    let mut desk = Desk::new();
    desk.0.set("SERVICE_API_KEY", "sk-live-0123456789abcdefghijklmnop");
    let command = "echo sk-live-0123456789abcdefghijklmnop | wc -c; echo ran >> ran.log";
    desk.commands(&[json!([["bash", "-c", command], {}])]);
    let ran = desk.record();
    assert_eq!(desk.replay().out, ran.out);
    assert_eq!(desk.log(), "ran\n");
    let exported = desk.0.retake(["export", "sh.1", "-"]).expect(0);
    assert!(!exported.out.contains("sk-live-0123456789"), "{}", exported.out);
}
