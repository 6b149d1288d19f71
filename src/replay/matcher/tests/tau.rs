//! Runs of a real agent as wire exchanges: several recorded into one process's recording, replayed in another order.
//!
//! A message log holds no exchanges, but it says what they were: every assistant message was one call that sent all
//! messages before it. The logs in `fixtures/agents/tau-bench-airline` hold two traps: a tool-call id that occurs twice in
//! a run, and runs that begin alike. Another directory with a `trials.jsonl` can be named in `RETAKE_TAU_DIR`.

use super::dice::Dice;
use super::tape::{Tape, Taped};
use crate::dialect;
use crate::dialect::conversation::{ModelAnswer, ModelRequest};
use crate::exchange::{ExchangeId, HeaderList, ResponseHead, SpanContext};
use crate::replay::matcher::{Ask, Decision, MatchClass, Options};
use crate::run::likeness;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

const PATH: &str = "/v1/chat/completions";

/// A run as the log tells it.
struct Log {
    name: String,
    messages: Vec<Value>,
}

fn is_assistant(message: &Value) -> bool {
    message["role"] == "assistant"
}

fn logs(directory: &std::path::Path) -> Vec<Log> {
    let text = std::fs::read_to_string(directory.join("trials.jsonl")).expect("trials.jsonl");
    let log = |line: &str| {
        let run: Value = serde_json::from_str(line).expect("a JSON object a line");
        let name = format!("task {} trial {}", run["task_id"], run["trial"]);
        Log { name, messages: run["traj"].as_array().expect("traj").clone() }
    };
    text.lines().map(log).collect()
}

/// How a client writes a request.
#[derive(Clone, Copy, PartialEq)]
enum Hand {
    Recorded,
    /// With other white space, and texts as blocks.
    Other,
}

/// The body that asks for the message after a history.
fn asking(history: &[Value], hand: Hand) -> Vec<u8> {
    let tools = json!([{"type": "function", "function": {"name": "get_user_details", "parameters": {}}}]);
    let mut messages = history.to_vec();
    for message in messages.iter_mut().filter(|m| hand == Hand::Other && m["role"] == "user") {
        message["content"] = json!([{"type": "text", "text": message["content"]}]);
    }
    let body = json!({"model": "gpt-4o", "temperature": 0.0, "tools": tools, "messages": messages});
    match hand {
        Hand::Recorded => serde_json::to_vec(&body).unwrap(),
        Hand::Other => serde_json::to_vec_pretty(&body).unwrap(),
    }
}

/// The body that answers with a message.
fn answering(message: &Value, name: &str) -> Vec<u8> {
    let why = if message.get("tool_calls").is_some() { "tool_calls" } else { "stop" };
    let choice = json!({"index": 0, "message": message, "finish_reason": why});
    let body = json!({"id": format!("chatcmpl-{name}"), "object": "chat.completion", "model": "gpt-4o", "choices": [choice]});
    serde_json::to_vec(&body).unwrap()
}

fn read_request(body: &[u8]) -> ModelRequest {
    dialect::by_name("openai-chat").unwrap().read_request("", body).unwrap()
}

fn read_answer(body: &[u8]) -> ModelAnswer {
    let headers = HeaderList(vec![("content-type".into(), "application/json".into())]);
    dialect::by_name("openai-chat").unwrap().read_answer(&ResponseHead { status: 200, headers }, body)
}

/// A run under way: its log says what the customer and the tools say, what the model says comes from outside.
struct Process<'l> {
    log: &'l Log,
    history: Vec<Value>,
    /// The request it waits for.
    asked: Option<u32>,
}

impl<'l> Process<'l> {
    fn start(log: &'l Log) -> Process<'l> {
        let mut process = Process { log, history: Vec::new(), asked: None };
        process.hear();
        process
    }

    /// Takes in all that comes before the model's next message.
    fn hear(&mut self) {
        let rest = &self.log.messages[self.history.len()..];
        self.history.extend(rest.iter().take_while(|m| !is_assistant(m)).cloned());
    }

    fn is_over(&self) -> bool {
        self.history.len() == self.log.messages.len()
    }

    /// The message that the log has next.
    fn due(&self) -> &'l Value {
        &self.log.messages[self.history.len()]
    }

    fn told(&mut self, body: &[u8]) {
        let answer: Value = serde_json::from_slice(body).unwrap();
        self.history.push(answer["choices"][0]["message"].clone());
        self.asked = None;
        self.hear();
    }
}

/// Lets several runs take their steps in a random order: each asks, and later is told. `ask` gets the request's number,
/// the process and the body; `tell` gives the answer's body, once.
fn interleave(
    logs: &[&Log],
    seed: u64,
    hand: Hand,
    mut ask: impl FnMut(u32, &Process<'_>, Vec<u8>, u64),
    mut tell: impl FnMut(u32, u64) -> Option<Vec<u8>>,
) {
    let mut dice = Dice::new(seed);
    let mut processes: Vec<Process<'_>> = logs.iter().map(|log| Process::start(log)).collect();
    let (mut number, mut now) = (0, 0);
    while !processes.is_empty() {
        now += 1;
        let at = dice.below(processes.len() as u64) as usize;
        let process = &mut processes[at];
        match process.asked {
            None => {
                number += 1;
                process.asked = Some(number);
                ask(number, process, asking(&process.history, hand), now);
            }
            Some(asked) => {
                let Some(body) = tell(asked, now) else { return };
                process.told(&body);
            }
        }
        if processes[at].asked.is_none() && processes[at].is_over() {
            processes.swap_remove(at);
        }
    }
}

/// A recording of several runs, with the bytes of its answers.
struct Recorded {
    tape: Tape,
    bodies: HashMap<u32, Vec<u8>>,
}

fn record(logs: &[&Log], seed: u64) -> Recorded {
    let calls = std::cell::RefCell::new(Vec::<Taped>::new());
    let bodies = std::cell::RefCell::new(HashMap::new());
    let mut by_bytes = HashMap::new();
    interleave(
        logs,
        seed,
        Hand::Recorded,
        |id, process, body, now| {
            let name = format!("{}-{}", process.log.name.replace(' ', ""), process.history.len());
            let answered = answering(process.due(), &name);
            by_bytes.insert(id, likeness::body_key(PATH, &body));
            calls.borrow_mut().push(Taped {
                id,
                started: now,
                ended: u64::MAX,
                path: PATH.into(),
                context: SpanContext::default(),
                request: Arc::new(read_request(&body)),
                answer: Arc::new(read_answer(&answered)),
            });
            bodies.borrow_mut().insert(id, answered);
        },
        |id, now| {
            calls.borrow_mut().iter_mut().filter(|c| c.id == id).for_each(|c| c.ended = now);
            bodies.borrow().get(&id).cloned()
        },
    );
    let mut tape = Tape::new(calls.into_inner());
    for turn in tape.outline.lanes.iter_mut().flat_map(|l| &mut l.turns) {
        turn.body_key = by_bytes.get(&turn.attempts[0].0).copied();
    }
    Recorded { tape, bodies: bodies.into_inner() }
}

/// What became of a replay.
#[derive(Default, Debug)]
struct Figures {
    requests: u32,
    by_bytes: u32,
    missed: u32,
    wrong: u32,
    not_exact: u32,
}

impl Figures {
    fn add(&mut self, other: &Figures) {
        self.requests += other.requests;
        self.by_bytes += other.by_bytes;
        self.missed += other.missed;
        self.wrong += other.wrong;
        self.not_exact += other.not_exact;
    }
}

/// Replays under another order. An answer is wrong unless it is, byte for byte, what the run's own log has next.
fn replay(logs: &[&Log], recorded: &Recorded, seed: u64, hand: Hand) -> Figures {
    let matcher = std::cell::RefCell::new(recorded.tape.matcher(Options::default()));
    let served: std::cell::RefCell<HashMap<u32, Vec<u8>>> = std::cell::RefCell::default();
    let mut figures = Figures::default();
    interleave(
        logs,
        seed,
        hand,
        |id, process, body, _| {
            let mut matcher = matcher.borrow_mut();
            let (id, context) = (ExchangeId(id), SpanContext::default());
            let key = likeness::body_key(PATH, &body);
            let by_bytes = matcher.on_bytes(id, &key, &body, &context);
            figures.requests += 1;
            figures.by_bytes += u32::from(by_bytes.is_some());
            let decisions = by_bytes.unwrap_or_else(|| {
                let request = read_request(&body);
                matcher.on_request(Ask { id, dialect: "openai-chat", path: PATH.into(), context, request })
            });
            for decision in decisions {
                let Decision::Serve { id, lane, turn, attempt, class, rewrite, .. } = decision else {
                    figures.missed += 1;
                    continue;
                };
                let body = &recorded.bodies[&recorded.tape.exchange(lane, turn, attempt)];
                let message: Value = serde_json::from_slice(body).unwrap();
                let right = rewrite.is_empty() && message["choices"][0]["message"] == *process.due();
                figures.wrong += u32::from(!right);
                figures.not_exact += u32::from(class != MatchClass::Exact);
                served.borrow_mut().insert(id.0, body.clone());
            }
        },
        |id, _| {
            let body = served.borrow_mut().remove(&id)?;
            let released = matcher.borrow_mut().delivered(ExchangeId(id));
            assert!(released.is_empty(), "nothing is held back: {released:?}");
            Some(body)
        },
    );
    let matcher = matcher.into_inner();
    assert!(figures.missed + figures.wrong > 0 || matcher.unasked().is_empty());
    figures
}

fn sum(logs: &[Log], together: usize, rounds: u64) -> Figures {
    let mut sum = Figures::default();
    for round in 0..rounds {
        let mut dice = Dice::new(round);
        let mut order: Vec<&Log> = logs.iter().collect();
        for i in (1..order.len()).rev() {
            order.swap(i, dice.below(i as u64 + 1) as usize);
        }
        for some in order.chunks(together) {
            let recorded = record(some, dice.roll());
            assert_eq!(recorded.tape.outline.lanes.len(), some.len(), "each run is a lane");
            let hand = if round % 2 == 0 { Hand::Recorded } else { Hand::Other };
            sum.add(&replay(some, &recorded, dice.roll(), hand));
        }
    }
    println!("{together} runs at once, {rounds} rounds: {sum:?}");
    sum
}

#[test]
fn runs_of_one_process_are_told_apart_in_any_order() {
    let ours = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/agents/tau-bench-airline");
    let logs = logs(&std::env::var_os("RETAKE_TAU_DIR").map_or(ours, PathBuf::from));
    let repeats = |log: &Log| {
        let ids = log.messages.iter().filter_map(|m| m["tool_calls"].as_array()).flatten();
        let mut ids: Vec<String> = ids.map(|c| c["id"].to_string()).collect();
        ids.sort();
        ids.windows(2).any(|w| w[0] == w[1])
    };
    assert!(logs.iter().filter(|l| repeats(l)).count() >= 4, "the trap is there");
    for together in [1, 4, 10, logs.len()] {
        let figures = sum(&logs, together, 4);
        assert_eq!((figures.missed, figures.wrong, figures.not_exact), (0, 0, 0), "{figures:?}");
        assert!(together == 1 || figures.by_bytes < figures.requests, "both ways are taken");
    }
}
