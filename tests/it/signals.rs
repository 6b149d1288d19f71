//! Signals while an agent is being recorded: it gets them, and what was recorded until then is kept.

use crate::support::env::{Ran, TestEnv, ran};
use crate::support::upstream::{FakeUpstream, Script};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

/// Asks once, says so, and waits. KEEP=1: counts what comes, and leaves with 9 a moment after the first.
const AGENT: &str = r#"
import json, os, signal, sys, time, urllib.request
came = []
if os.environ.get("KEEP"):
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: came.append(number))
else:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
body = json.dumps({"model": "small", "messages": [{"role": "user", "content": "hello"}]}).encode()
request = urllib.request.Request(
    os.environ["OPENAI_BASE_URL"] + "/chat/completions", body, {"content-type": "application/json"})
print(json.load(urllib.request.urlopen(request))["choices"][0]["message"]["content"])
print("waiting", flush=True)
while not came:
    time.sleep(0.01)
time.sleep(0.3)
print("came", *[int(number) for number in came], flush=True)
sys.exit(9)
"#;

const RUN: [&str; 6] = ["run", "--name", "s", "--", "python3", "agent.py"];

const ANSWER: &str = r#"{"id":"c","object":"chat.completion","model":"small","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#;

/// Runs a program that hears signals. Tests that are a background job of a shell without job control are started with
/// SIGINT ignored, and what is ignored stays so in whatever is started.
const HEARING: &str = r#"
import os, signal, sys
for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_DFL)
os.execvp(sys.argv[1], sys.argv[1:])
"#;

fn place() -> TestEnv {
    let upstream = FakeUpstream::always(Script::json(ANSWER));
    let mut env = TestEnv::new();
    env.upstream(&upstream.origin());
    env.file("agent.py", AGENT);
    env.file("hearing.py", HEARING);
    env
}

/// A command of the binary that hears signals, behind other words.
fn hearing(env: &TestEnv, before: &[&str], args: &[&str]) -> Command {
    let retake = env.command(args);
    let mut command = Command::new("python3");
    command.arg("hearing.py").args(before).arg(retake.get_program()).args(retake.get_args()).env_clear();
    for (name, value) in retake.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    command.current_dir(env.work()).stdin(Stdio::null());
    command
}

/// Records until the agent waits, then does something to retake, whose process leads a group; how it ended.
fn interrupted(env: &TestEnv, does: impl FnOnce(Pid)) -> Ran {
    let mut command = hearing(env, &[], &RUN);
    command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child: Child = command.spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut said = String::new();
    while !said.ends_with("waiting\n") {
        assert_ne!(out.read_line(&mut said).unwrap(), 0, "the agent never waited: {said}");
    }
    does(Pid::from_raw(child.id() as i32));
    out.read_to_string(&mut said).unwrap();
    let ended = ran(child.wait_with_output().unwrap());
    Ran { out: said, ..ended }
}

/// The run is sealed, with its one exchange and how the agent ended, and can be replayed up to there.
#[track_caller]
fn is_kept(env: &TestEnv, exit_code: Option<i32>, signal: Option<i32>) {
    let shown = env.retake(["show", "s.1", "--json"]).expect(0).json();
    assert_eq!(shown["state"], "complete");
    assert_eq!(shown["steps"].as_array().map(Vec::len), Some(1));
    let outcome = &shown["manifest"]["outcome"];
    assert_eq!(outcome["exit_code"].as_i64(), exit_code.map(i64::from), "{outcome}");
    assert_eq!(outcome["signal"].as_i64(), signal.map(i64::from), "{outcome}");
    assert!(env.retake(["ls"]).expect(0).out.contains("s.1"));
}

#[test]
fn interrupt_to_the_group() {
    let env = place();
    let ended = interrupted(&env, |group| killpg(group, Signal::SIGINT).unwrap()).expect(130);
    assert!(ended.err.contains("recorded  s.1"), "{}", ended.err);
    is_kept(&env, None, Some(2));
}

#[test]
fn terminate() {
    let env = place();
    let ended = interrupted(&env, |retake| kill(retake, Signal::SIGTERM).unwrap()).expect(143);
    assert!(ended.err.contains("recorded  s.1"), "{}", ended.err);
    is_kept(&env, None, Some(15));
}

#[test]
fn an_agent_that_ends_in_its_own_way() {
    let mut env = place();
    env.set("KEEP", "1");
    let ended = interrupted(&env, |group| killpg(group, Signal::SIGINT).unwrap()).expect(9);
    assert!(ended.out.ends_with("came 2\n"), "once, not twice: {}", ended.out);
    is_kept(&env, Some(9), None);
}

/// Presses Ctrl-C in a terminal of its own.
const TERMINAL: &str = r#"
import os, pty, sys
child, terminal = pty.fork()
if child == 0:
    os.execv(sys.argv[1], sys.argv[1:])
said = b""
pressed = False
while True:
    try:
        some = os.read(terminal, 4096)
    except OSError:
        break
    if not some:
        break
    said += some
    if b"waiting" in said and not pressed:
        os.write(terminal, b"\x03")
        pressed = True
sys.stdout.write(said.decode())
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"#;

#[test]
fn control_c_at_a_terminal() {
    for (keep, code) in [("1", 9), ("", 130)] {
        let mut env = place();
        env.set("KEEP", keep);
        env.file("terminal.py", TERMINAL);
        let mut command = hearing(&env, &["python3", "terminal.py"], &RUN);
        let ended = ran(command.output().unwrap()).expect(code);
        assert!(ended.out.contains("recorded  s.1"), "{}", ended.out);
        assert_eq!(ended.out.contains("came 2\r\n"), !keep.is_empty(), "once, not twice: {}", ended.out);
        let ending = if keep.is_empty() { (None, Some(2)) } else { (Some(9), None) };
        is_kept(&env, ending.0, ending.1);
    }
}

#[test]
fn a_replay_passes_signals_on_too() {
    let env = place();
    interrupted(&env, |retake| kill(retake, Signal::SIGTERM).unwrap()).expect(143);
    let mut command = hearing(&env, &[], &["replay", "s.1"]);
    command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut said = String::new();
    while !said.ends_with("waiting\n") {
        assert_ne!(out.read_line(&mut said).unwrap(), 0, "the agent never waited: {said}");
    }
    kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM).unwrap();
    let ended = ran(child.wait_with_output().unwrap()).expect(0);
    assert!(ended.err.contains("same outcome"), "{}", ended.err);
}
