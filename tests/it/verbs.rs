//! What `run` and `replay` do as a person types them: verdicts, refusals, warnings, exit codes.

use crate::support::env::{Ran, TestEnv, project};
use crate::support::upstream::{Act, FakeUpstream, Script};
use crate::support::worker::Worker;
use std::process::Command;
use std::time::{Duration, Instant};

/// The last lines of a run with `--verify`.
fn verdict(ran: &Ran) -> &str {
    ran.err.lines().rfind(|line| line.starts_with("verified")).unwrap_or_default()
}

mod verify {
    use super::*;

    #[test]
    fn a_reproducible_agent() {
        let worker = Worker::new();
        let ran = worker.record(&["--verify", "--fence", "issue_refund"]).expect(0);
        assert_eq!(verdict(&ran), "verified  reproducible up to the fence");
        assert!(!worker.tools_run().iter().skip(5).any(|tool| tool == "issue_refund"));

        let ran = worker.record(&["--verify", "--yes"]).expect(0);
        assert!(verdict(&ran).starts_with("verified  reproducible: "), "{}", ran.err);
        assert_eq!(worker.tools_run().iter().filter(|tool| *tool == "issue_refund").count(), 2);
        assert_eq!(ran.out.matches("Done.").count(), 2, "it ran, and ran again: {}", ran.out);
    }

    #[test]
    fn a_clock_in_the_prompt() {
        let mut worker = Worker::new();
        worker.env.set("CLOCK", "1");
        let ran = worker.record(&["--verify", "--yes"]).expect(0);
        assert!(verdict(&ran).starts_with("verified  reproducible: "), "{}", ran.err);
    }

    #[test]
    fn a_number_without_meaning_in_the_prompt() {
        let mut worker = Worker::new();
        worker.env.set("DICE", "1");
        let ran = worker.record(&["--verify", "--yes"]).expect(4);
        assert!(verdict(&ran).starts_with("verified  not reproducible"), "{}", ran.err);
        ran.says(&["messages[1].text", "Take "]);
    }

    #[test]
    fn an_id_in_a_tool_result_is_bound() {
        let mut worker = Worker::new();
        worker.env.set("TRACE", "1");
        let ran = worker.record(&["--verify", "--yes"]).expect(0);
        assert!(verdict(&ran).starts_with("verified  reproducible: "), "{}", ran.err);
        ran.says(&["renamed 1 tool result", "check_fraud", "trace"]);
    }

    #[test]
    fn a_tool_that_cannot_be_taken_back_is_not_run_again_unasked() {
        let worker = Worker::new();
        let ran = worker.record(&["--verify"]).expect(3);
        ran.says(&["not verified", "issue_refund", "--fence issue_refund", "--yes", "recorded  w.1"]);
        assert_eq!(worker.tools_run().len(), 5, "nothing ran a second time");
        // The recording itself is as good as any.
        worker.env.retake(["show", "w.1"]).expect(0);
        let mut worker = Worker::new();
        worker.env.set("LEAVE", "9");
        worker.record(&["--verify"]).expect(9);
    }

    #[test]
    fn the_agents_own_exit_code_is_passed_on() {
        let mut worker = Worker::new();
        worker.env.set("LEAVE", "9");
        let ran = worker.record(&["--verify", "--yes"]).expect(9);
        assert!(verdict(&ran).starts_with("verified  reproducible: "), "{}", ran.err);
    }

    #[test]
    fn what_it_read_is_read_again() {
        let mut worker = Worker::new();
        worker.env.set("TASK", "");
        let mut command =
            worker.env.command(Worker::command(&["run", "--name", "w", "--verify", "--yes"], &[]));
        let task = worker.env.file("task.txt", "refund A123");
        command.stdin(std::fs::File::open(task).unwrap());
        let ran = crate::support::env::ran(command.output().unwrap()).expect(0);
        assert!(verdict(&ran).starts_with("verified  reproducible: "), "{}", ran.err);
    }
}

mod nothing_recorded {
    use super::*;

    /// Neither shown, nor listed, nor replayed.
    #[track_caller]
    fn is_gone(env: &TestEnv, run: &str) {
        let listed = env.retake(["ls", "--json"]).expect(0);
        assert_eq!(listed.json(), serde_json::json!([]));
        let replayed = env.retake(["replay", run, "--", "true"]).expect(3);
        assert!(replayed.err.contains(run), "{}", replayed.err);
    }

    #[test]
    fn is_an_error_with_a_hint() {
        let env = TestEnv::new();
        let ran = env.retake(["run", "--name", "n", "--", "true"]).expect(3);
        ran.says(&["nothing was recorded", "true", "hint: ", "OPENAI_BASE_URL", "RETAKE_PROXY"]);
        is_gone(&env, "n.1");
    }

    #[test]
    fn keeps_the_exit_code_of_an_agent_that_failed() {
        let env = TestEnv::new();
        let ran = env.retake(["run", "--name", "n", "--", "sh", "-c", "exit 9"]).expect(9);
        ran.says(&["nothing was recorded"]);
        let ran = env.retake(["run", "--name", "n", "--", "sh", "-c", "kill -9 $$"]).expect(137);
        ran.says(&["nothing was recorded"]);
        let ran = env.retake(["run", "--name", "n", "--verify", "--", "true"]).expect(3);
        ran.says(&["nothing was recorded"]);
        is_gone(&env, "n.1");
    }

    #[test]
    fn when_the_agent_goes_round_the_proxy() {
        let mut worker = Worker::new();
        let base = format!("OPENAI_BASE_URL={}/v1", worker.model.origin());
        let stubborn = ["run", "--name", "n", "--", "env", &base, "python3", "agent.py"];
        let ran = worker.env.retake(stubborn).expect(3);
        assert!(ran.out.contains("Done. "), "it did its work: {}", ran.out);
        ran.says(&["nothing was recorded", "hint: "]);
        is_gone(&worker.env, "n.1");
        worker.env.set("LEAVE", "4");
        worker.env.retake(stubborn).expect(4);
    }

    #[test]
    fn a_command_that_cannot_start_leaves_nothing() {
        let env = TestEnv::new();
        let ran = env.retake(["run", "--name", "n", "--", "no-such-program"]).expect(3);
        ran.says(&["no-such-program", "no such program"]);
        is_gone(&env, "n.1");
    }

    #[test]
    fn a_recorder_that_died_before_the_first_request() {
        let env = TestEnv::new();
        let mut command = env.command(["run", "--name", "n", "--", "sh", "-c", "echo up; exec sleep 60"]);
        let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
        std::io::BufRead::read_line(&mut out, &mut line).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let listed = env.retake(["ls", "--json"]).expect(0).json();
        assert_eq!(listed[0]["state"], "interrupted");
        for replay in
            [&["replay", "n.1"][..], &["replay", "n.1", "--", "true"], &["fork", "n.1", "--at", "0"]]
        {
            let ran = env.retake(replay).expect(3);
            ran.says(&["n.1", "nothing to replay"]);
        }
    }
}

mod as_recorded {
    use super::*;

    #[test]
    fn command_directory_input_and_environment() {
        let mut worker = Worker::new();
        worker.env.set("TASK", "");
        worker.env.set("COLOUR", "blue");
        worker.env.set("MY_API_KEY", "vQ7rT2mX9pLw4ZcK8dNs");
        let mut command = worker.env.command(Worker::command(&["run", "--name", "w"], &[]));
        let task = worker.env.file("task.txt", "refund A123");
        command.stdin(std::fs::File::open(task).unwrap());
        let recorded = crate::support::env::ran(command.output().unwrap()).expect(0);
        worker.tools_run();

        // From elsewhere, with no input, no colour and no keys of its own.
        let elsewhere = worker.env.work().join("elsewhere");
        std::fs::create_dir(&elsewhere).unwrap();
        let asked = worker.model.connections();
        let mut command = worker.env.command(["replay", "w.1"]);
        command
            .current_dir(&elsewhere)
            .env_remove("COLOUR")
            .env_remove("OPENAI_API_KEY")
            .env_remove("MY_API_KEY");
        let replayed = crate::support::env::ran(command.output().unwrap()).expect(0);
        assert_eq!(replayed.out, recorded.out);
        assert_eq!(worker.model.connections(), asked);
        assert_eq!(worker.tools_run().len(), 5, "in the recorded directory");

        let manifest = &worker.env.retake(["show", "w.1", "--json"]).expect(0).json()["manifest"];
        assert_eq!(manifest["stdin"], "refund A123");
        assert_eq!(manifest["environment"]["COLOUR"], "blue");
        assert_eq!(manifest["environment"].get("MY_API_KEY"), None);
        let secret = manifest["secret_variables"].as_array().unwrap();
        assert!(
            secret.contains(&"MY_API_KEY".into()) && secret.contains(&"OPENAI_API_KEY".into()),
            "{manifest}"
        );
    }

    #[test]
    fn another_environment_today_is_told() {
        let mut worker = Worker::new();
        worker.env.set("COLOUR", "blue");
        worker.record(&[]).expect(0);
        worker.env.set("COLOUR", "red");
        let replayed = worker.env.retake(["replay", "w.1"]).expect(0);
        replayed.says(&["warning", "COLOUR", "as recorded"]);
        // With the command given, today's environment counts.
        worker.env.retake(Worker::command(&["replay", "w.1"], &[])).expect(4);
    }

    #[test]
    fn a_command_that_held_a_secret_is_not_started() {
        let worker = Worker::new();
        let token = "ghp_Rb6Tz1Yk8Wm3Xp5Qc9Lv2Nd7Jh4Fg0SaUeIo";
        worker.env.retake(["run", "--name", "w", "--", "python3", "agent.py", "--token", token]).expect(0);
        worker.tools_run();
        let refused = worker.env.retake(["replay", "w.1"]).expect(3);
        refused.says(&["held a secret", "hint: ", "retake replay w.1 -- "]);
        assert_eq!((refused.out.as_str(), worker.tools_run()), ("", vec![]), "nothing ran");
        let refused = worker.env.retake(["fork", "w.1", "--set", "*:model=other"]).expect(3);
        refused.says(&["held a secret"]);
        worker.env.retake(["replay", "w.1", "--", "python3", "agent.py", "--token", token]).expect(0);
    }

    #[test]
    fn another_commit_and_other_files_are_told() {
        let worker = Worker::new();
        let git = |args: &[&str]| {
            let mut command = Command::new("git");
            command.args([
                "-c",
                "user.name=t",
                "-c",
                "user.email=t@example.com",
                "-c",
                "commit.gpgsign=false",
            ]);
            let done = command.current_dir(worker.env.work()).args(args).output().unwrap();
            assert!(done.status.success(), "{done:?}");
        };
        git(&["init", "-q"]);
        worker.env.file("notes.txt", "one");
        git(&["add", "agent.py", "notes.txt"]);
        git(&["commit", "-qm", "one"]);
        worker.record(&[]).expect(0);
        let replayed = worker.env.retake(["replay", "w.1"]).expect(0);
        assert!(!replayed.err.contains("commit"), "{}", replayed.err);

        worker.env.file("notes.txt", "two");
        let replayed = worker.env.retake(["replay", "w.1"]).expect(0);
        replayed.says(&["warning", "uncommitted changes that it had not"]);
        worker.record(&[]).expect(0);
        let replayed = worker.env.retake(["replay", "w.2"]).expect(0);
        replayed.says(&["warning", "had uncommitted changes when it was recorded"]);

        git(&["commit", "-qam", "two"]);
        let replayed = worker.env.retake(["replay", "w.1"]).expect(0);
        replayed.says(&["warning", "the code is at commit", "it was recorded at"]);
    }

    #[test]
    fn a_directory_that_is_gone() {
        let worker = Worker::new();
        let there = worker.env.work().join("there");
        std::fs::create_dir(&there).unwrap();
        std::fs::copy(worker.env.work().join("agent.py"), there.join("agent.py")).unwrap();
        let store = worker.env.store();
        let mut args = vec!["--store".to_string(), store.display().to_string()];
        args.extend(Worker::command(&["run", "--name", "w"], &[]));
        let mut command = worker.env.command(args);
        let recorded = crate::support::env::ran(command.current_dir(&there).output().unwrap()).expect(0);
        assert!(recorded.out.starts_with("in there\n"), "{}", recorded.out);
        std::fs::remove_dir_all(&there).unwrap();
        let refused = worker.env.retake(["replay", "w.1"]).expect(3);
        refused.says(&[&there.display().to_string(), "not there", "hint: ", "retake replay w.1 -- "]);
        let replayed = worker.env.retake(Worker::command(&["replay", "w.1"], &[])).expect(0);
        assert!(replayed.out.starts_with("in work\n"), "{}", replayed.out);
    }
}

mod playing {
    use super::*;

    #[test]
    fn timing() {
        let delta = |text: &str| {
            let delta = format!(r#"{{"id":"c","choices":[{{"index":0,"delta":{{"content":"{text}"}}}}]}}"#);
            Act::Chunk(format!("data: {delta}\n\n").into_bytes())
        };
        let gap = Act::Gap(Duration::from_secs(2));
        let end = Act::Chunk(b"data: [DONE]\n\n".to_vec());
        let last = Act::Raw(b"0\r\n\r\n".to_vec());
        let acts = vec![Script::stream_head(), delta("one"), gap, delta("two"), end, last];
        let upstream = FakeUpstream::always(Script::new(acts));
        let mut env = TestEnv::new();
        env.upstream(&upstream.origin());
        env.set("STREAM", "1");
        let agent = project().join("tests/it/agents/raw.py").display().to_string();
        let recorded = env.retake(["run", "--name", "t", "--", "python3", &agent]).expect(0);
        assert!(recorded.out.contains("one") && recorded.out.contains("two"), "{}", recorded.out);
        let timed = |timing: &str| {
            let began = Instant::now();
            let replayed = env.retake(["replay", "t.1", "--timing", timing]).expect(0);
            assert_eq!(replayed.out, recorded.out, "{timing}");
            began.elapsed()
        };
        let (slow, tenth, fast) = (timed("recorded"), timed("x10"), timed("fast"));
        // The recorded gap may be a hair shorter than what was slept.
        assert!(slow >= Duration::from_millis(1950), "{slow:?}");
        assert!(tenth >= Duration::from_millis(195) && tenth < slow, "{tenth:?} {slow:?}");
        assert!(fast < slow, "{fast:?} {slow:?}");
        for bad in ["x0", "x-1", "xnan", "slow", ""] {
            let refused = env.retake(["replay", "t.1", "--timing", bad]).expect(64);
            assert!(refused.err.contains("xN") && refused.out.is_empty(), "{bad}: {}", refused.err);
        }
    }

    #[test]
    fn stops_after_a_step() {
        let worker = Worker::recorded();
        worker.tools_run();
        let stopped = worker.env.retake(["replay", "w.1", "--to", "3"]).expect(0);
        stopped.says(&["stopped after step 3, as asked"]);
        assert!(!stopped.out.contains("Done."), "{}", stopped.out);
        let ran = worker.tools_run();
        assert!(ran.contains(&"lookup_order".into()) && !ran.contains(&"check_fraud".into()), "{ran:?}");
        let refused = worker.env.retake(["replay", "w.1", "--to", "11"]).expect(64);
        refused.says(&["--to 11", "steps 1 to 10"]);
        assert_eq!(worker.tools_run(), Vec::<String>::new());
    }

    #[test]
    fn steps_that_were_not_asked_for() {
        let mut worker = Worker::recorded();
        worker.env.set("ROUNDS", "2");
        let short = worker.env.retake(Worker::command(&["replay", "w.1"], &[])).expect(1);
        short.says(&["never asked", "issue_refund", "Done. I refunded"]);
        let shape = worker.env.retake(Worker::command(&["replay", "w.1", "--json"], &[])).expect(1);
        assert!(shape.out.contains("\"unasked\""), "{}", shape.out);
    }

    #[test]
    fn bodies_of_no_known_dialect() {
        let upstream = FakeUpstream::always(Script::json(r#"{"data":[1]}"#));
        let mut env = TestEnv::new();
        env.upstream(&upstream.origin());
        let agent = r#"
import os, urllib.request
request = urllib.request.Request(os.environ["OPENAI_BASE_URL"] + "/embeddings", os.environ["INPUT"].encode())
print(urllib.request.urlopen(request).read().decode())
"#;
        env.file("agent.py", agent);
        env.set("INPUT", "an input");
        let recorded = env.retake(["run", "--name", "e", "--", "python3", "agent.py"]).expect(0);
        let connections = upstream.connections();
        let replayed = env.retake(["replay", "e.1"]).expect(0);
        assert_eq!(replayed.out, recorded.out);
        env.set("INPUT", "another");
        env.retake(["replay", "e.1", "--", "python3", "agent.py"]).expect(4);
        // Nothing asked is no success.
        env.retake(["replay", "e.1", "--", "true"]).expect(1).says(&["e.1", "asked for nothing"]);
        assert_eq!(upstream.connections(), connections);
    }

    #[test]
    fn a_replay_is_kept_when_asked() {
        let worker = Worker::recorded();
        let failed = worker.env.retake(["replay", "w.1", "--record", "--", "no-such-program"]).expect(3);
        failed.says(&["no-such-program"]);
        let listed = || worker.env.retake(["ls", "--json"]).expect(0).json().as_array().map(Vec::len);
        assert_eq!(listed(), Some(1), "nothing is left of it");
        let kept = worker.env.retake(["replay", "w.1", "--record"]).expect(0);
        kept.says(&["kept as w.2"]);
        assert_eq!(listed(), Some(2));
        let same = worker.env.retake(["diff", "w.1", "w.2"]).expect(0);
        assert!(!same.out.contains("PARTS") && !same.out.contains("changed"), "{}", same.out);
        worker.env.retake(["replay", "w.2"]).expect(0);
    }

    #[test]
    fn another_exit_code_differs() {
        let mut worker = Worker::recorded();
        worker.env.set("LEAVE", "3");
        let other = worker.env.retake(Worker::command(&["replay", "w.1"], &[])).expect(1);
        other.says(&["exit 3 instead of exit 0"]);
    }

    #[test]
    fn a_fenced_tool_does_not_run() {
        let worker = Worker::recorded();
        worker.tools_run();
        let stopped = worker.env.retake(["replay", "w.1", "--fence", "issue_refund"]).expect(5);
        stopped.says(&["fence", "issue_refund", "step 8"]);
        let ran = worker.tools_run();
        assert!(ran.contains(&"check_fraud".into()) && !ran.contains(&"issue_refund".into()), "{ran:?}");
        let args = ["fork", "w.1", "--no-control", "--set", "*:model=other", "--fence", "get_policy"];
        let forked = worker.env.retake(args);
        forked.expect(5).says(&["fence", "get_policy"]);
        assert_eq!(worker.tools_run(), ["lookup_order"]);
    }
}
