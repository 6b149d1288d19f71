//! What a person is told when something is odd.

use crate::support::env::TestEnv;
use crate::support::refund::Refund;
use crate::support::upstream::FakeUpstream;

#[test]
fn a_command_without_dashes_is_understood() {
    let env = TestEnv::new();
    let said = env.retake(["run", "--name", "a", "python3", "agent.py", "a b"]).expect(64).err;
    let better = "put -- before the command: retake run --name a -- python3 agent.py 'a b'";
    assert!(said.contains(better), "{said}");
    assert!(env.retake(["show", "a.1", "abc"]).expect(64).err.contains("a step is a number"));
    assert!(env.retake(["run", "--port", "80x", "--", "true"]).expect(64).err.contains("a port is a number"));
    assert!(env.retake(["run", "--nome", "a"]).expect(64).err.contains("--nome"));
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let mut refund = Refund::ready();
    let nowhere = FakeUpstream::refusing();
    refund.env.set("OPENAI_BASE_URL", format!("{nowhere}/v1"));
    let ran = refund.retake(&["run", "--name", "down", "--", "python3", "agent.py"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains(&format!("warning: {nowhere} could not be reached")), "{}", ran.err);
}

#[test]
fn next_steps_are_safe_and_fit_the_verb() {
    let refund = Refund::ready();
    let ran = refund.retake(&["run", "--name", "refund", "--", "python3", "agent.py"]).expect(0);
    assert!(ran.err.contains("retake replay refund.1 --fence issue_refund"), "{}", ran.err);
    let key = "ghp_Rb6Tz1Yk8Wm3Xp5Qc9Lv2Nd7Jh4Fg0SaUeIo";
    refund.retake(&["run", "--name", "key", "--", "python3", "agent.py", key]).expect(0);
    let fork = refund.retake(&["fork", "key.1", "--at", "8"]).expect(3);
    assert!(fork.err.contains("retake fork key.1 -- COMMAND"), "{}", fork.err);
    let last = refund.retake(&["show", "last"]).expect(0);
    assert!(last.err.contains("last is key.1"), "{}", last.err);
    refund.retake(&["ls", "nosuch"]).expect(3);
}

#[test]
fn a_checkpoint_between_parallel_calls_moves_with_its_reason_first() {
    let refund = Refund::recorded();
    let parallel = refund.retake(&["fork", "refund.1", "--at", "4"]).expect(0).err;
    let why = parallel.find("the results of parallel calls go out together").expect("a reason");
    assert!(parallel.find("from the recording").is_some_and(|plan| why < plan), "{parallel}");
    let single = refund.retake(&["fork", "refund.1", "--at", "1"]).expect(0).err;
    assert!(
        single.contains("--at 1 moved to 2: the next request carries the result of the call"),
        "{single}"
    );
}

#[test]
fn a_whole_context_can_be_read() {
    let refund = Refund::recorded();
    let new = refund.retake(&["show", "refund.1", "8", "--context"]).expect(0).out;
    let whole = refund.retake(&["show", "refund.1", "8", "--context", "--full"]).expect(0).out;
    assert!(
        !new.contains("My laptop") && whole.contains("My laptop") && whole.contains("check_fraud"),
        "{whole}"
    );
}

#[test]
fn an_export_replaces_nothing_unasked() {
    let refund = Refund::recorded();
    let path = refund.env.file("mine.txt", "dear diary");
    refund.retake(&["export", "refund.1", "mine.txt"]).expect(3);
    assert_eq!(std::fs::read_to_string(&path).expect("the file"), "dear diary");
    refund.retake(&["export", "refund.1", "mine.txt", "--force"]).expect(0);
}

#[test]
fn a_command_from_a_file_is_shown_before_it_runs() {
    let refund = Refund::recorded();
    refund.retake(&["export", "refund.1", "refund.retake"]).expect(0);
    refund.retake(&["rm", "refund.1"]).expect(0);
    refund.retake(&["import", "refund.retake"]).expect(0);
    let shown = refund.retake(&["replay", "refund.1"]).expect(3);
    assert!(shown.err.contains("It is: python3 agent.py   in "), "{}", shown.err);
    assert_eq!(refund.ran(), "");
    refund.retake(&["replay", "refund.1", "--yes"]).expect(0);
    let kept = refund.retake(&["replay", "refund.1", "--record", "--", "python3", "agent.py"]).expect(0).err;
    let name = kept.split("kept as ").nth(1).and_then(|rest| rest.split(' ').next()).expect("a name");
    assert!(refund.retake(&["show", name]).expect(0).out.contains("replay of refund.1"));
    assert!(refund.retake(&["ls"]).expect(0).out.contains("replay of refund.1"));
}

#[test]
fn secrets_in_tool_results_are_no_difference() {
    let mut refund = Refund::ready();
    let agent = std::fs::read_to_string(refund.env.work().join("agent.py")).expect("the agent");
    let leaky = agent.replace("\"name\": \"Ada\"", "\"key\": os.environ[\"OPENAI_API_KEY\"]");
    assert_ne!(leaky, agent);
    refund.env.file("agent.py", &leaky);
    refund.retake(&["run", "--name", "leak", "--", "python3", "agent.py"]).expect(0);
    refund.env.set("TODAY", "1");
    let replayed = refund.retake(&["replay", "leak.1"]).expect(0);
    assert!(!replayed.err.contains("not only ids or clocks"), "{}", replayed.err);
}

#[test]
fn nothing_is_verified_where_nothing_was_answered() {
    let env = TestEnv::new();
    env.file(
        "agent.py",
        "import os, urllib.request as u\n\
         open('runs', 'a').write('x')\n\
         body = b'{\"model\": \"small\", \"messages\": [{\"role\": \"user\", \"content\": \"Hello there\"}]}'\n\
         try: u.urlopen(u.Request(os.environ['OPENAI_BASE_URL'] + '/chat/completions', body))\n\
         except OSError: print('no model')\n",
    );
    let words = ["run", "--verify", "--upstream", "http://127.0.0.1:1/v1", "--", "python3", "agent.py"];
    let ran = env.retake(words).expect(3);
    ran.says(&["not verified: no model call was answered", "could not be reached"]);
    assert!(!ran.err.contains("reproducible:"), "{}", ran.err);
    assert_eq!(std::fs::read_to_string(env.work().join("runs")).expect("ran"), "x", "it ran once");
}

#[test]
fn no_replay_follows_a_signal_to_retake() {
    let env = TestEnv::new();
    env.file(
        "agent.py",
        "import json, os, signal, sys, time, urllib.request as u\n\
         signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n\
         open('runs', 'a').write('x')\n\
         try: u.urlopen(u.Request(os.environ['OPENAI_BASE_URL'] + '/chat/completions', b'{}'))\n\
         except OSError: pass\n\
         open('asked', 'w')\n\
         time.sleep(30)\n",
    );
    let words = ["run", "--verify", "--upstream", "http://127.0.0.1:1/v1", "--", "python3", "agent.py"];
    let child = env.command(words).stderr(std::process::Stdio::piped()).spawn().expect("the binary runs");
    for _ in 0..600 {
        if env.work().join("asked").exists() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let pid = nix::unistd::Pid::from_raw(child.id() as i32);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).expect("signalled");
    let output = child.wait_with_output().expect("an end");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("was stopped by a signal"), "{said}");
    assert_eq!(std::fs::read_to_string(env.work().join("runs")).expect("ran"), "x", "it ran once");
}

#[test]
fn steps_of_a_killed_run_are_counted() {
    let refund = Refund::recorded();
    let (manifest, outline) = (
        refund.env.store().join("runs/refund.1/manifest.json"),
        refund.env.store().join("runs/refund.1/outline"),
    );
    let text = std::fs::read_to_string(&manifest).expect("a manifest");
    let mut value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let fields = value.as_object_mut().expect("an object");
    fields.remove("totals");
    fields.insert("state".into(), "recording".into());
    if let Some(run) = fields.get_mut("run").and_then(|run| run.as_object_mut()) {
        run.remove("outcome");
    }
    std::fs::write(&manifest, value.to_string()).expect("written");
    let _ = std::fs::remove_file(outline);
    let listed = refund.retake(&["ls", "--json"]).expect(0).json();
    assert_eq!(listed[0]["steps"], 10, "{listed}");
}
