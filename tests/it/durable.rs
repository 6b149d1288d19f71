//! Whatever happens to the recorder, and however many share a store: what an agent has read is there.

use crate::support::env::{Ran, TestEnv, ran};
use crate::support::raw::{Raw, chat_head};
use crate::support::upstream::{Act, FakeUpstream, Gate, Received, Script};
use retake::run::RunId;
use retake::store::Store;
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A recorder whose agent does nothing: a test sends the requests.
struct Recorder {
    child: Child,
    agent: i32,
    origin: String,
    run: String,
}

impl Recorder {
    fn start(env: &TestEnv, upstream: &str) -> Recorder {
        let script = "echo $$ $RETAKE_PROXY $RETAKE_RUN; exec sleep 60";
        let upstream = format!("openai={upstream}");
        let mut child = env
            .command(["run", "--name", "k", "--upstream", &upstream, "--", "sh", "-c", script])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary runs");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).expect("a line");
        let words: Vec<&str> = line.split_whitespace().collect();
        let [agent, origin, run] = words[..] else { panic!("the agent said {line:?}") };
        Recorder { child, agent: agent.parse().unwrap(), origin: origin.into(), run: run.into() }
    }

    /// SIGKILL: it cannot do anything about it.
    fn kill(&mut self) {
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a child ends");
    }

    fn end_agent(&self) {
        let agent = nix::unistd::Pid::from_raw(self.agent);
        let _ = nix::sys::signal::kill(agent, nix::sys::signal::Signal::SIGKILL);
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.kill();
        }
        self.end_agent();
    }
}

pub fn random(below: u64) -> u64 {
    RandomState::new().hash_one(0) % below
}

fn text(number: u32) -> String {
    let words: Vec<String> = (0..number % 40 + 1).map(|word| format!("word{}", word * number)).collect();
    words.join(" ")
}

/// Every fifth is larger than a socket's buffer.
fn question(number: u32) -> Vec<u8> {
    let text = if number % 5 == 3 { text(number).repeat(2000) } else { text(number) };
    let body = json!({"model": "m", "stream": number % 2 == 1, "messages": [
        {"role": "system", "content": "You answer."}, {"role": "user", "content": format!("{number}: {text}")},
    ]});
    body.to_string().into_bytes()
}

fn events(number: u32) -> Vec<String> {
    let event = |delta: Value| {
        let chunk = json!({"id": format!("c{number}"), "object": "chat.completion.chunk", "model": "m",
            "choices": [{"index": 0, "delta": delta, "finish_reason": null}]});
        format!("data: {chunk}\n\n")
    };
    let words = text(number);
    let words = words.split_inclusive(' ').map(|word| event(json!({"content": word})));
    words.chain(["data: [DONE]\n\n".to_string()]).collect()
}

fn answer(number: u32) -> String {
    json!({"id": format!("c{number}"), "object": "chat.completion", "model": "m", "choices": [{"index": 0,
        "message": {"role": "assistant", "content": text(number)}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13}})
    .to_string()
}

/// What comes for the question with a number, as a body.
fn expected(number: u32) -> Vec<u8> {
    if number % 2 == 1 { events(number).concat().into_bytes() } else { answer(number).into_bytes() }
}

fn number_of(request: &Received) -> u32 {
    request.header("x-number").and_then(|n| n.parse().ok()).unwrap_or(0)
}

/// Answers with what [`expected`] says; number 999 is held in the middle.
fn numbered_upstream(held: Gate) -> FakeUpstream {
    FakeUpstream::start(move |_, request| {
        let number = number_of(request);
        if number.is_multiple_of(2) {
            return Script::json(&answer(number));
        }
        let mut acts = vec![Script::stream_head()];
        for (place, event) in events(number).into_iter().enumerate() {
            acts.push(Act::Chunk(event.into_bytes()));
            if place == 1 && number == 999 {
                acts.push(Act::Hold(held.clone()));
            } else if place % 7 == 3 {
                acts.push(Act::Gap(Duration::from_millis(1)));
            }
        }
        acts.push(Act::Raw(b"0\r\n\r\n".to_vec()));
        Script::new(acts)
    })
}

/// Asks one question after the other and notes the number of each whose last byte came, until the connection fails.
fn ask_on(origin: &str, next: &AtomicU32, had: &Mutex<Vec<u32>>, most: u32) {
    let Ok(mut raw) = Raw::connect(origin) else { return };
    loop {
        let number = next.fetch_add(1, Ordering::SeqCst);
        if number > most {
            return;
        }
        let read = raw.ask(number, &question(number)).and_then(|()| {
            let head = raw.head()?;
            raw.body(&head, false)
        });
        let Ok(body) = read else { return };
        assert_eq!(body, expected(number), "question {number}");
        had.lock().unwrap().push(number);
    }
}

/// Everything that an agent got to its last byte is in the run, as it was.
#[track_caller]
fn holds(env: &TestEnv, run: &str, had: &[u32], phase: &str) {
    let store = Store::find(Some(&env.store()), &env.work()).unwrap();
    let reader = store.open_run(&RunId::parse(run).unwrap()).unwrap();
    let mut found = HashMap::new();
    for id in reader.ids() {
        // One that was under way may have no answer; it is not damage.
        let exchange = reader.exchange(id).unwrap_or_else(|e| panic!("{phase}: {run} {id}: {e}"));
        let number: u32 = exchange.request.head.headers.get("x-number").unwrap().parse().unwrap();
        found.insert(number, exchange);
    }
    for number in had {
        let exchange = found.get(number).unwrap_or_else(|| panic!("{phase}: {run} lost question {number}"));
        assert!(exchange.request.body == question(*number), "{phase}: {run} question {number}");
        let response = exchange.response.as_ref();
        let response = response.unwrap_or_else(|| panic!("{phase}: {run} lost answer {number}"));
        assert!(response.body == expected(*number), "{phase}: {run} answer {number}");
    }
}

#[test]
fn a_killed_recorder_loses_nothing_that_was_answered() {
    let env = TestEnv::new();
    let held = Gate::new();
    let upstream = numbered_upstream(held.clone());
    let loops = std::env::var("RETAKE_KILL_LOOPS").ok().and_then(|n| n.parse().ok()).unwrap_or(100);
    for turn in 0..loops {
        let phase = ["load", "idle", "request", "stream", "last byte", "seal"][turn % 6];
        let mut recorder = Recorder::start(&env, &upstream.origin());
        let origin = recorder.origin.clone();
        let next = Arc::new(AtomicU32::new(1));
        let had = Arc::new(Mutex::new(Vec::new()));
        let most = if phase == "load" { u32::MAX } else { 6 };
        let clients: Vec<_> = (0..4)
            .map(|_| {
                let (origin, next, had) = (origin.clone(), next.clone(), had.clone());
                std::thread::spawn(move || ask_on(&origin, &next, &had, most))
            })
            .collect();
        let mut clients = clients.into_iter();
        if phase == "load" {
            // A busy machine may take longer to answer anything at all.
            let patience = Instant::now() + Duration::from_secs(20);
            while had.lock().unwrap().is_empty() && Instant::now() < patience {
                std::thread::sleep(Duration::from_millis(1));
            }
            std::thread::sleep(Duration::from_micros(random(200_000)));
        } else {
            clients.by_ref().for_each(|client| client.join().unwrap());
        }
        // Held open until after the kill.
        let mut last = None;
        match phase {
            "request" => {
                let body = question(43);
                let mut raw = Raw::connect(&origin).unwrap();
                raw.send(&chat_head(43, body.len())).unwrap();
                raw.send(&body[..random(body.len() as u64) as usize]).unwrap();
                std::thread::sleep(Duration::from_micros(random(3000)));
                last = Some(raw);
            }
            "stream" => {
                let mut raw = Raw::connect(&origin).unwrap();
                raw.ask(999, &question(999)).unwrap();
                raw.head().unwrap();
                raw.chunk().unwrap();
                raw.chunk().unwrap();
                last = Some(raw);
            }
            "last byte" => {
                let number = 20 + turn as u32 / 6 % 2;
                let mut raw = Raw::connect(&origin).unwrap();
                raw.ask(number, &question(number)).unwrap();
                let head = raw.head().unwrap();
                let body = raw.body(&head, true).unwrap();
                recorder.kill();
                assert_eq!(body, expected(number));
                had.lock().unwrap().push(number);
                last = Some(raw);
            }
            "seal" => {
                recorder.end_agent();
                std::thread::sleep(Duration::from_micros(random(12_000)));
            }
            _ => {}
        }
        if phase != "last byte" {
            recorder.kill();
        }
        if phase == "stream" {
            held.release();
        }
        clients.for_each(|client| client.join().unwrap());
        drop(last);
        let had = had.lock().unwrap().clone();
        assert!(phase == "load" || had.len() >= 6, "{phase}: {had:?}");

        holds(&env, &recorder.run, &had, phase);
        let shown = env.retake(["show", &recorder.run, "--json"]).expect(0);
        let state = shown.json()["state"].clone();
        let sealed = phase == "seal" && state == "complete";
        assert!(sealed || state == "interrupted", "{phase}: {} is {state}", recorder.run);
        assert!(phase != "load" || !had.is_empty(), "the recorder was killed before anything was asked");
    }
    let listed = env.retake(["ls", "--json"]).expect(0).json();
    assert_eq!(listed.as_array().map(Vec::len), Some(loops));
}

/// Asks three times and prints the answers.
const AGENT: &str = r#"
import json, os, sys, urllib.request
messages = [{"role": "system", "content": "You handle refunds."}]
for turn in range(3):
    messages.append({"role": "user", "content": "turn %d of %s" % (turn, sys.argv[1])})
    request = urllib.request.Request(
        os.environ["OPENAI_BASE_URL"] + "/chat/completions",
        json.dumps({"model": "m", "messages": messages}).encode(),
        {"content-type": "application/json", "authorization": "Bearer " + os.environ["OPENAI_API_KEY"]})
    with urllib.request.urlopen(request) as response:
        answer = json.load(response)["choices"][0]["message"]
    messages.append(answer)
    print(answer["content"])
"#;

/// A place with an agent and an upstream for it.
pub fn place() -> (TestEnv, FakeUpstream) {
    let mut env = TestEnv::new();
    let upstream = FakeUpstream::start(|n, _| Script::json(&answer(n as u32 % 7 + 1)));
    env.upstream(&upstream.origin());
    env.file("agent.py", AGENT);
    (env, upstream)
}

pub fn record(env: &TestEnv, name: &str) -> Ran {
    env.retake(["run", "--name", name, "--", "python3", "agent.py", name]).expect(0)
}

#[test]
fn ten_recorders_a_replay_and_a_listing_share_a_store() {
    let (env, _upstream) = place();
    record(&env, "base");
    let piped = |args: &[&str]| {
        env.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs")
    };
    let mut recorders: Vec<Child> = (0..10)
        .map(|_| piped(&["run", "--name", "many", "--json", "--", "python3", "agent.py", "many"]))
        .collect();
    let replay = piped(&["replay", "base.1"]);
    while recorders.iter_mut().any(|child| matches!(child.try_wait(), Ok(None))) {
        let listed = env.retake(["ls", "--json"]).expect(0).json();
        assert!(listed.as_array().is_some_and(|runs| !runs.is_empty()));
    }
    ran(replay.wait_with_output().unwrap()).expect(0);
    for child in recorders {
        ran(child.wait_with_output().unwrap()).expect(0);
    }
    let listed = env.retake(["ls", "many", "--json"]).expect(0).json();
    let names: HashSet<String> =
        listed.as_array().unwrap().iter().map(|run| run["manifest"]["id"].as_str().unwrap().into()).collect();
    assert_eq!(names, (1..=10).map(|n| format!("many.{n}")).collect());
    for run in listed.as_array().unwrap() {
        assert_eq!((&run["state"], &run["exchanges"]), (&json!("complete"), &json!(3)), "{run}");
    }
}
