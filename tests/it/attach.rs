//! `retake proxy` and `retake env`: agents that retake did not start, many at once, for as long as it runs.

use crate::intercept::Shop;
use crate::support::agent::Agent;
use crate::support::env::{Ran, TestEnv, project, ran};
use crate::support::raw::Raw;
use crate::support::soon;
use crate::support::upstream::{Act, FakeUpstream, Gate, Script};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Starts a program that hears signals, whatever the tests were started with.
const HEARING: &str = "import os, signal, sys\n\
    [signal.signal(n, signal.SIG_DFL) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]\n\
    os.execvp(sys.argv[1], sys.argv[1:])";

/// A proxy on a free port; killed when it is dropped.
pub struct Attached {
    pub child: Child,
    origin: String,
    /// The line that says how to reach it.
    how: String,
    told: Option<JoinHandle<String>>,
}

impl Attached {
    pub fn start(env: &TestEnv, flags: &[&str]) -> Attached {
        let retake = env.command([&["proxy", "--port", "0"], flags].concat());
        let mut command = Command::new("python3");
        command.args(["-c", HEARING]).arg(retake.get_program()).args(retake.get_args()).env_clear();
        command.envs(retake.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.current_dir(env.work()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("python3");
        let mut err = BufReader::new(child.stderr.take().expect("piped"));
        let (mut first, mut how) = (String::new(), String::new());
        err.read_line(&mut first).expect("a line");
        err.read_line(&mut how).expect("a line");
        let origin = first.split_whitespace().nth(1).unwrap_or_default().to_string();
        assert!(origin.starts_with("http://"), "{first}{how}");
        let told = std::thread::spawn(move || {
            let mut text = String::new();
            // What is no text is missed by the assertions.
            let _ = err.read_to_string(&mut text);
            text
        });
        Attached { child, origin, how, told: Some(told) }
    }

    fn port(&self) -> &str {
        self.origin.rsplit(':').next().expect("a port")
    }

    /// The same proxy, from this machine.
    pub fn here(&self) -> String {
        format!("http://127.0.0.1:{}", self.port())
    }

    /// Ends it by a signal; what it said.
    #[track_caller]
    pub fn end(mut self, signal: Signal) -> Ran {
        kill(Pid::from_raw(self.child.id() as i32), signal).expect("it is there");
        let status = self.child.wait().expect("it ends");
        let err = self.told.take().map(|told| told.join().expect("no panics")).unwrap_or_default();
        Ran { err, ..ran(std::process::Output { status, stdout: Vec::new(), stderr: Vec::new() }) }
    }

    /// What it says of itself.
    fn state(&self) -> Value {
        let mut raw = Raw::connect(&self.here()).expect("it listens");
        raw.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").expect("sent");
        let head = raw.head().expect("a head");
        serde_json::from_slice(&raw.body(&head, false).expect("a body")).expect("JSON")
    }

    /// Asks the proxy itself for something.
    pub fn post(&self, target: &str, fields: &str) -> (u16, Value) {
        self.say("POST", target, fields, "")
    }

    /// Tells it something.
    pub fn put(&self, target: &str, fields: &str, body: &str) -> (u16, Value) {
        self.say("PUT", target, fields, body)
    }

    fn say(&self, method: &str, target: &str, fields: &str, body: &str) -> (u16, Value) {
        let mut raw = Raw::connect(&self.here()).expect("it listens");
        let length = body.len();
        let head = format!(
            "{method} {target} HTTP/1.1\r\nHost: x\r\n{fields}Content-Length: {length}\r\n\r\n{body}"
        );
        raw.send(head.as_bytes()).expect("sent");
        answer(&mut raw)
    }

    /// A model call; its status.
    pub fn ask(&self, front: &str, fields: &str, text: &str) -> u16 {
        let body = json!({ "model": "small", "messages": [{ "role": "user", "content": text }] }).to_string();
        let mut raw = Raw::connect(&self.here()).expect("it listens");
        let head = format!(
            "POST {front}/openai/v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
             {fields}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        raw.send(head.as_bytes()).expect("sent");
        answer(&mut raw).0
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn answer(raw: &mut Raw) -> (u16, Value) {
    let head = raw.head().expect("a head");
    let status = head[0].split(' ').nth(1).and_then(|s| s.parse().ok()).expect("a status");
    let body = raw.body(&head, false).expect("a body");
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

/// A model that repeats what it is told.
pub fn echo() -> FakeUpstream {
    held_echo(None)
}

/// The same; its first answer waits at a gate.
fn held_echo(gate: Option<Gate>) -> FakeUpstream {
    FakeUpstream::reading(move |number, received| {
        let asked: Value = serde_json::from_slice(&received.body).unwrap_or_default();
        let said = &asked["messages"][0]["content"];
        let answer = json!({
            "id": "c", "object": "chat.completion", "model": "small",
            "choices": [{ "index": 0, "finish_reason": "stop", "message": { "role": "assistant", "content": said } }],
            "usage": { "prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5 },
        });
        let script = Script::json(&answer.to_string());
        match gate.clone().filter(|_| number == 0) {
            Some(gate) => script.after(Act::Hold(gate)),
            None => script,
        }
    })
}

pub fn place(upstream: &FakeUpstream) -> TestEnv {
    let mut env = TestEnv::new();
    env.upstream(&upstream.origin());
    env
}

/// The answers of a run's model steps, and what it says of itself.
#[track_caller]
fn shown(env: &TestEnv, run: &str) -> (Vec<String>, Value) {
    let shown = env.retake(["show", run, "--json"]).expect(0).json();
    let steps = shown["steps"].as_array().expect("steps").iter();
    let what = steps.map(|step| step["summary"].as_str().unwrap_or_default().to_string()).collect();
    (what, shown)
}

/// Waits until a run is sealed; how many steps it has, and what it says of itself.
#[track_caller]
fn sealed(env: &TestEnv, run: &str) -> (usize, Value) {
    let begun = Instant::now();
    loop {
        let (steps, shown) = shown(env, run);
        if shown["state"] == "complete" {
            return (steps.len(), shown);
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "it stays open: {shown}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Runs a command line in a shell that was led to the proxy.
pub fn led(env: &TestEnv, proxy: &Attached, flags: &str, command: &str) -> Command {
    let retake = env!("CARGO_BIN_EXE_retake");
    let script = format!("eval \"$('{retake}' env --port {} {flags})\"; {command}", proxy.port());
    let own = env.command([""]);
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).env_clear().envs(own.get_envs().filter_map(|(n, v)| Some((n, v?))));
    shell.current_dir(env.work()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    shell
}

/// The scripted model of the examples.
fn example_model() -> (Child, String) {
    let mut child = Command::new("python3")
        .arg(project().join("examples/scripted_model.py"))
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a port");
    (child, format!("http://127.0.0.1:{}", line.trim()))
}

#[test]
fn two_agents_at_once_are_two_runs_that_replay() {
    let (mut model, origin) = example_model();
    let mut env = TestEnv::new();
    env.upstream(&origin);
    let proxy = Attached::start(&env, &[]);
    let example = |name: &str| format!("python3 '{}'", project().join("examples").join(name).display());
    let agents = [("loop", example("agent_loop.py")), ("research", example("parallel_research.py"))];
    let started: Vec<Child> = agents
        .iter()
        .map(|(name, command)| led(&env, &proxy, &format!("--name {name}"), command).spawn().expect("sh"))
        .collect();
    let said: Vec<Ran> = started.into_iter().map(|c| ran(c.wait_with_output().unwrap()).expect(0)).collect();
    let (status, ended) = proxy.post("/r/loop/end?exit=0", "");
    assert_eq!((status, &ended["run"]), (200, &json!("loop.1")), "{ended}");
    assert_eq!(env.retake(["show", "loop.1", "--json"]).expect(0).json()["state"], "complete", "at once");
    assert_eq!(proxy.post("/r/loop/end", "").0, 404, "it has ended");
    let told = proxy.end(Signal::SIGTERM).expect(0);
    told.says(&["began      loop.1", "began      research.1", "recorded  loop.1", "recorded  research.1"]);
    told.says(&["retake replay research.1 -- COMMAND"]);
    model.kill().and_then(|()| model.wait()).expect("the model ends");
    for ((name, command), said) in agents.iter().zip(said) {
        let run = format!("{name}.1");
        let words: Vec<&str> = ["replay", &run, "--json", "--"]
            .into_iter()
            .chain(command.split(' ').map(|word| word.trim_matches('\'')))
            .collect();
        let replayed = env.retake(words).expect(0);
        assert!(replayed.err.contains(&said.out), "{name}: {}", replayed.err);
        let tally = replayed.json();
        assert_eq!(tally["replay"]["answers"]["live"], 0);
        let told = tally["replay"]["warnings"].to_string();
        assert_eq!(told.contains("how research.1 ended is not known"), *name == "research", "{told}");
        env.retake(["replay", &run]).expect(3).says(&["does not say which command it recorded"]);
    }
    let other = env.retake(["replay", "loop.1", "--", "sh", "-c", "exit 3"]);
    assert_ne!(other.code, 0, "{}", other.err);
}

#[test]
fn silence_ends_an_unnamed_run_and_the_next_request_begins_another() {
    let gate = Gate::new();
    let upstream = held_echo(Some(gate.clone()));
    let env = place(&upstream);
    let proxy = Attached::start(&env, &["--name", "shop", "--idle", "1s", "--idle-named", "1h"]);
    std::thread::scope(|scope| {
        // However long it takes: no silence before it was answered.
        let first = scope.spawn(|| proxy.ask("", "", "one"));
        let begun = json!([{ "run": "shop.1", "exchanges": 1, "under_way": 1 }]);
        while proxy.state()["runs"] != begun {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(proxy.ask("", "", "two"), 200);
        gate.release();
        assert_eq!(first.join().expect("an answer"), 200);
    });
    let (steps, first) = sealed(&env, "shop.1");
    assert_eq!(steps, 2, "{first}");
    assert_eq!(first["manifest"]["outcome"]["exit_code"], Value::Null);
    assert_eq!(proxy.ask("/r/kept", "", "three"), 200);
    assert_eq!(proxy.ask("", "", "four"), 200);
    let (steps, second) = sealed(&env, "shop.2");
    assert_eq!((steps, &second["manifest"]["command"]), (1, &Value::Null));
    assert_eq!(proxy.state()["runs"], json!([{ "run": "kept.1", "exchanges": 1, "under_way": 0 }]));
    proxy.end(Signal::SIGTERM).expect(0);
    let listed = env.retake(["ls"]).expect(0);
    assert!(listed.out.contains("through retake proxy"), "{}", listed.out);
    let differ = env.retake(["diff", "shop.2", "kept.1"]).expect(1);
    assert!(differ.all().contains("three"), "{}", differ.all());
}

#[test]
fn a_header_goes_before_a_path_and_neither_goes_upstream() {
    let upstream = echo();
    let env = place(&upstream);
    let proxy = Attached::start(&env, &[]);
    let own = "X-Retake-Run: fix\r\nX-Retake-Lane: a\r\nX-Other: kept\r\n";
    assert_eq!(proxy.ask("/r/other", own, "one"), 200);
    assert_eq!(proxy.ask("/r/fix", "", "two"), 200);
    for (front, fields) in
        [("", "x-retake-run: ../up\r\n"), ("/r/last", ""), ("/r/a%20b", ""), ("", "x-retake-run: last\r\n")]
    {
        assert_eq!(proxy.ask(front, fields, "three"), 400, "{front}{fields}");
    }
    assert_eq!(proxy.post("/r/fix/end", "Origin: http://evil.test\r\n").0, 403, "a page in a browser");
    assert_eq!(proxy.post("/r/fix/end?exit=well", "").0, 400);
    assert_eq!(proxy.post("/r/none/end", "").0, 404);
    assert_eq!(proxy.post("/retake/end", "").0, 404);
    assert_eq!(proxy.post("/r/fix/end?exit=7", "").0, 200);
    proxy.end(Signal::SIGTERM).expect(0);
    let received = upstream.received();
    assert_eq!(received.len(), 2, "{received:?}");
    for request in &received {
        assert_eq!(request.target, "/v1/chat/completions");
        let own: Vec<_> =
            request.headers.iter().filter(|(n, _)| n.to_lowercase().contains("retake")).collect();
        assert!(own.is_empty(), "{own:?}");
    }
    assert_eq!(received[0].header("X-Other"), Some("kept"));
    let (said, shown) = shown(&env, "fix.1");
    assert_eq!((said.len(), &shown["manifest"]["outcome"]["exit_code"]), (2, &json!(7)), "{shown}");
    assert_eq!(env.listed(), ["fix.1"]);
}

/// As a test of its own, so that the reactor of the raw agent is here.
#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_seals_what_was_under_way_too() {
    let (reached, never) = (Gate::new(), Gate::new());
    let (there, hold) = (reached.clone(), never.clone());
    let upstream = FakeUpstream::reading(move |number, _| match number {
        0 => Script::json(r#"{"choices":[]}"#),
        _ => Script::new(vec![
            Script::stream_head(),
            Act::Chunk(b"data: {\"choices\":[]}\n\n".to_vec()),
            Act::Reached(there.clone()),
            Act::Hold(hold.clone()),
        ]),
    });
    let env = place(&upstream);
    let proxy = Attached::start(&env, &[]);
    assert_eq!(proxy.ask("/r/done", "", "one"), 200);
    let mut agent = Agent::connect(&proxy.here()).await;
    agent
        .post("/r/cut/openai/v1/chat/completions", br#"{"model":"small","messages":[],"stream":true}"#)
        .await;
    soon("the stream", reached.pass()).await;
    let head = soon("a head", agent.head()).await.unwrap();
    assert_eq!(head.status, 200);
    soon("the first event", agent.chunk()).await.unwrap();
    let told = tokio::task::spawn_blocking(move || proxy.end(Signal::SIGINT)).await.unwrap();
    told.expect(0).says(&["done.1", "cut.1"]);
    assert_eq!(env.retake(["show", "done.1", "--json"]).expect(0).json()["state"], "complete");
    assert_eq!(env.retake(["show", "cut.1", "--json"]).expect(0).json()["state"], "complete");
    let exported = env.retake(["export", "cut.1", "-"]).expect(0).out;
    assert!(exported.contains("interrupted"), "{exported}");
    never.release();
}

#[test]
fn what_was_answered_survives_a_kill() {
    let upstream = echo();
    let env = place(&upstream);
    let proxy = Attached::start(&env, &[]);
    for text in ["one", "two"] {
        assert_eq!(proxy.ask("/r/a", "", text), 200);
        assert_eq!(proxy.ask("", "", text), 200);
    }
    assert_eq!(proxy.end(Signal::SIGKILL).code, 128 + 9);
    for run in ["a.1", "proxy.1"] {
        let (said, shown) = shown(&env, run);
        assert_eq!((said.len(), &shown["state"]), (2, &json!("interrupted")), "{shown}");
    }
}

#[test]
fn off_the_loopback_only_who_knows_the_token_is_served() {
    let upstream = echo();
    let mut env = place(&upstream);
    env.retake(["proxy", "--listen", "0.0.0.0", "--intercept"]).expect(64).says(&["this machine alone"]);
    env.retake(["proxy", "--token", "short"]).expect(64).says(&["at least 16"]);
    let here = Attached::start(&env, &[]);
    assert!(here.origin.starts_with("http://127.0.0.1:"), "{}", here.origin);
    let elsewhere = format!("127.0.0.2:{}", here.port());
    assert!(TcpStream::connect(&elsewhere).is_err(), "it listens where nobody asked for it");
    drop(here);
    let proxy = Attached::start(&env, &["--listen", "0.0.0.0"]);
    let token = proxy.how.split("--token ").nth(1).and_then(|rest| rest.split(')').next()).expect("a token");
    assert_eq!(token.len(), 32, "{}", proxy.how);
    for front in ["", "/r/a", "/t/", "/t/0123456789abcdef0123456789abcdef", "/t/x/r/a"] {
        assert_eq!(proxy.ask(front, "", "no"), 403, "{front}");
    }
    assert_eq!(proxy.post("/r/a/end", "").0, 403);
    assert_eq!(
        proxy.state().as_object().map(|s| s.keys().cloned().collect()),
        Some(vec!["retake".to_string()])
    );
    assert!(upstream.received().is_empty(), "nothing went upstream");
    assert_eq!(proxy.ask(&format!("/t/{token}/r/a"), "", "yes"), 200);
    assert_eq!(upstream.received()[0].target, "/v1/chat/completions");
    env.retake(["env", "--port", proxy.port()]).expect(3).says(&["wants its token"]);
    env.retake(["env", "--port", proxy.port(), "--check"]).expect(0);
    env.set("RETAKE_TOKEN", token);
    let told = env.retake(["env", "--port", proxy.port(), "--name", "a", "--shell", "dotenv"]).expect(0).out;
    let url = format!("OPENAI_BASE_URL=http://127.0.0.1:{}/t/{token}/r/a/openai/v1\n", proxy.port());
    assert!(told.contains(&url), "{told}");
    let token = token.to_string();
    proxy.end(Signal::SIGTERM).expect(0);
    let exported = env.retake(["export", "a.1", "-"]).expect(0).out;
    assert!(!exported.contains(&token), "the token was recorded");
}

#[test]
fn variables_come_from_the_proxy_else_from_here() {
    let upstream = echo();
    let mut env = place(&upstream);
    env.set("OPENAI_BASE_URL", format!("{}/custom/v1", upstream.origin()));
    let proxy = Attached::start(&env, &[]);
    let port = proxy.port().to_string();
    env.unset("OPENAI_BASE_URL");
    let told = env.retake(["env", "--port", &port, "--json"]).expect(0).json();
    assert_eq!(told["OPENAI_BASE_URL"], format!("http://127.0.0.1:{port}/openai/custom/v1"));
    assert_eq!(told["RETAKE_PROXY"], format!("http://127.0.0.1:{port}"));
    let named = env.retake(["env", "--port", &port, "--name", "fix", "--json"]).expect(0).json();
    assert_eq!(
        named["RETAKE_PROXY"],
        format!("http://127.0.0.1:{port}/r/fix"),
        "tools belong to the run too"
    );
    env.retake(["env", "--port", &port, "--name", "no name"]).expect(64);
    env.retake(["env", "--port", &port, "--intercept"]).expect(3).says(&["retake proxy --intercept"]);
    proxy.end(Signal::SIGTERM).expect(0);

    env.retake(["env", "--port", &port, "--check"]).expect(3);
    env.set("OPENAI_BASE_URL", format!("http://127.0.0.1:{port}/openai/v1"));
    let told = env.retake(["env", "--port", &port]).expect(0);
    told.says(&["no retake proxy answers at", "retake proxy"]);
    let line = format!("export OPENAI_BASE_URL='http://127.0.0.1:{port}/openai/v1'\n");
    assert!(told.out.contains(&line), "a shell that was led there already: {}", told.out);
    env.retake(["proxy", "--port", &port]).expect(64).says(&["OPENAI_BASE_URL leads to this proxy itself"]);
}

#[test]
fn an_agent_goes_on_where_no_run_can_begin() {
    let upstream = echo();
    let env = place(&upstream);
    let proxy = Attached::start(&env, &[]);
    assert_eq!(proxy.ask("/r/a", "", "one"), 200);
    let (runs, aside) = (env.store().join("runs"), env.store().join("aside"));
    std::fs::rename(&runs, &aside).unwrap();
    std::fs::write(&runs, "in the way").unwrap();
    assert_eq!(proxy.ask("/r/b", "", "two"), 200);
    std::fs::remove_file(&runs).unwrap();
    std::fs::rename(&aside, &runs).unwrap();
    assert_eq!(proxy.ask("/r/b", "", "three"), 200);
    proxy.end(Signal::SIGTERM).expect(0).says(&["no run can be begun"]);
    assert_eq!(shown(&env, "b.1").0.len(), 1);
}

#[test]
fn clients_without_a_base_url_are_led_there_and_name_their_run() {
    let shop = Shop::open();
    let proxy = Attached::start(&shop.env, &["--intercept"]);
    let agent = project().join("tests/it/agents/shopper.py").display().to_string();
    let command = format!("python3 '{agent}' {} {}", shop.tool, shop.model);
    let output = led(&shop.env, &proxy, "--intercept --name shop", &command).output().unwrap();
    let said = ran(output).expect(0);
    proxy.end(Signal::SIGTERM).expect(0).says(&["began      shop.1", "recorded  shop.1"]);
    assert_eq!(shop.env.listed(), ["shop.1"]);
    let replayed =
        shop.env.retake(["replay", "shop.1", "--", "python3", &agent, &shop.tool, &shop.model]).expect(0);
    assert_eq!(replayed.out, said.out);
}

#[test]
fn a_recording_answers_agents_that_retake_did_not_start() {
    let (mut model, origin) = example_model();
    let mut env = TestEnv::new();
    env.upstream(&origin);
    let agent = format!("python3 '{}'", project().join("examples/agent_loop.py").display());
    let script = project().join("examples/agent_loop.py").display().to_string();
    let recorded = env.retake(["run", "--name", "x", "--", "python3", &script]).expect(0);
    model.kill().and_then(|()| model.wait()).expect("the model ends");
    // Whoever starts the agent has no key.
    env.unset("OPENAI_API_KEY");
    let proxy = Attached::start(&env, &["--replay", "x.1"]);
    let started: Vec<Child> = ["--name a", "--name b", ""]
        .iter()
        .map(|flags| led(&env, &proxy, flags, &agent).spawn().expect("sh"))
        .collect();
    for child in started {
        assert_eq!(ran(child.wait_with_output().unwrap()).expect(0).out, recorded.out);
    }
    let (status, ended) = proxy.post("/r/a/end?exit=0", "");
    assert_eq!((status, &ended["exit"]), (200, &json!(0)), "{ended}");
    assert_eq!(ended["replay"]["answers"], json!({ "recorded": 4, "edited": 0, "live": 0, "refused": 0 }));
    let told = proxy.end(Signal::SIGTERM).expect(0);
    assert_eq!(told.err.matches("replayed  8/8 steps").count(), 3, "{}", told.err);
    assert_eq!(env.listed(), ["x.1"], "nothing was recorded");

    let proxy = Attached::start(&env, &["--replay", "x"]);
    let (status, ended) = {
        assert_eq!(proxy.ask("/r/odd", "", "something else"), 422);
        proxy.post("/r/odd/end", "")
    };
    assert_eq!((status, &ended["exit"]), (200, &json!(4)), "{ended}");
    proxy.end(Signal::SIGTERM).expect(4).says(&["replay of x.1 for odd"]);
    let idle = Attached::start(&env, &["--replay", "x"]);
    idle.end(Signal::SIGTERM).expect(3).says(&["nobody asked for anything"]);
    env.retake(["proxy", "--replay", "none"]).expect(3).says(&["no run"]);
}
