//! Lets a program in another language examine the matcher: it plays a synthetic agent, and knows which answer is right.
//!
//! JSON, one object a line. In: `{"op":"start","recording":[EXCHANGE…],"rec":WORLD,"live":WORLD}`, then
//! `{"op":"request","rid":N,"request":REQUEST}`, `{"op":"delivered","rid":N}` when an answer has arrived, and `{"op":"idle"}`
//! when nothing happens until something is answered. Out, one line for each: `{"out":[{"rid":N,"serve":ID,"class":"exact","answer":ANSWER}` or
//! `{"rid":N,"refuse":"why"}…]}`; a request that is not there is held.
//!
//! EXCHANGE is `{id, begun, ended, request, answer}`, REQUEST `{headers, path, body}` of Anthropic Messages, ANSWER
//! `{status, content}`, WORLD `{root, day}`: the working directory, and days since 1 November 2025.

use retake::dialect::by_name;
use retake::dialect::conversation::{Block, ModelAnswer, ModelRequest};
use retake::exchange::{ExchangeId, HeaderList, SpanContext};
use retake::holes::{Rewrite, Side, Surroundings};
use retake::replay::matcher::{Ask, Decision, Matcher, Options, Recording};
use retake::run::Outline;
use retake::run::lanes::{LaneBuilder, ModelCall};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::{BufRead, Write};
use std::sync::Arc;

/// 1 November 2025, in days since the Unix epoch.
const FIRST_DAY: i64 = 20_393;

struct Call {
    context: SpanContext,
    path: String,
    request: Arc<ModelRequest>,
    answer: Arc<ModelAnswer>,
    raw: Value,
}

#[derive(Clone)]
struct Tape {
    outline: Arc<Outline>,
    calls: Arc<HashMap<u32, Call>>,
}

impl Tape {
    fn last(&self, lane: u32, turn: u32) -> Result<&Call, String> {
        let id = self.outline.turn(lane, turn).and_then(|t| t.attempts.last()).ok_or("none")?;
        self.calls.get(&id.0).ok_or_else(|| "none".into())
    }
}

impl Recording for Tape {
    fn outline(&self) -> &Outline {
        &self.outline
    }
    fn request(&self, lane: u32, turn: u32) -> Result<Arc<ModelRequest>, String> {
        self.last(lane, turn).map(|c| c.request.clone())
    }
    fn answer(&self, lane: u32, turn: u32) -> Result<Arc<ModelAnswer>, String> {
        self.last(lane, turn).map(|c| c.answer.clone())
    }
    fn path(&self, lane: u32, turn: u32) -> Result<String, String> {
        self.last(lane, turn).map(|c| c.path.clone())
    }
    fn context(&self, lane: u32, turn: u32) -> Result<SpanContext, String> {
        self.last(lane, turn).map(|c| c.context.clone())
    }
}

fn context(headers: &Value) -> SpanContext {
    let mut list = HeaderList::default();
    for (name, value) in headers.as_object().into_iter().flatten() {
        let name = match name.as_str() {
            "x-agent-id" => "x-claude-code-agent-id",
            "x-parent-agent-id" => "x-claude-code-parent-agent-id",
            other => other,
        };
        list.push(name, value.as_str().map_or(value.to_string(), String::from));
    }
    SpanContext::from_headers(&list)
}

fn answer(raw: &Value) -> ModelAnswer {
    let text = |v: &Value| v.as_str().unwrap_or_default().to_string();
    if raw["status"] != 200 {
        return ModelAnswer { error: Some(raw["status"].to_string()), whole: true, ..ModelAnswer::default() };
    }
    let block = |b: &Value| match b["type"].as_str() {
        Some("text") => Block::Text { text: text(&b["text"]) },
        Some("tool_use") => {
            Block::ToolCall { id: text(&b["id"]), name: text(&b["name"]), args: b["input"].clone() }
        }
        Some("thinking") => Block::Reasoning { text: text(&b["thinking"]), signed: true },
        _ => Block::Other { value: b.clone() },
    };
    let blocks = raw["content"].as_array().into_iter().flatten().map(block).collect();
    ModelAnswer { blocks, whole: true, ..ModelAnswer::default() }
}

fn read(request: &Value) -> ModelRequest {
    by_name("anthropic-messages").unwrap().read_request("", request["body"].to_string().as_bytes()).unwrap()
}

fn rewritten(rewrite: &Rewrite, v: &Value) -> Value {
    match v {
        Value::String(t) => Value::from(rewrite.text(t).into_owned()),
        Value::Array(a) => a.iter().map(|v| rewritten(rewrite, v)).collect(),
        Value::Object(o) => Value::Object(
            o.iter()
                .map(|(k, v)| (k.clone(), if k == "id" { v.clone() } else { rewritten(rewrite, v) }))
                .collect(),
        ),
        other => other.clone(),
    }
}

fn start(op: &Value) -> Matcher<Tape> {
    let mut calls = HashMap::new();
    let mut builder = LaneBuilder::default();
    // Failed attempts of identical siblings have no identity that could be judged: they are left out.
    for e in op["recording"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|e| e["answer"]["status"] == 200 && !is_count(&e["request"]))
    {
        let id = e["id"].as_u64().unwrap() as u32;
        let us = |v: &Value| (v.as_f64().unwrap_or_default() * 1000.0) as u64;
        let call = Call {
            context: context(&e["request"]["headers"]),
            path: e["request"]["path"].as_str().unwrap_or_default().into(),
            request: Arc::new(read(&e["request"])),
            answer: Arc::new(answer(&e["answer"])),
            raw: e["answer"].clone(),
        };
        builder.add_call(&ModelCall {
            id: ExchangeId(id),
            started_us: us(&e["begun"]),
            ended_us: us(&e["ended"]),
            path: &call.path,
            body_key: None,
            context: &call.context,
            request: &call.request,
            answer: Some(&call.answer),
            error: call.answer.error.clone(),
        });
        calls.insert(id, call);
    }
    let tape = Tape { outline: Arc::new(builder.finish()), calls: Arc::new(calls) };
    let side = |v: &Value| {
        let day = FIRST_DAY + v["day"].as_i64().unwrap_or_default();
        Side {
            directory: v["root"].as_str().unwrap_or_default().into(),
            started_us: (day * 86_400_000_000 + 43_200_000_000) as u64,
            ended_us: (day * 86_400_000_000 + 43_300_000_000) as u64,
            ..Side::default()
        }
    };
    let surroundings = Some(Surroundings { recorded: side(&op["rec"]), live: side(&op["live"]) });
    Matcher::new(tape, Options { surroundings, ..Options::default() }).unwrap()
}

/// A token count: no model call, so the matcher is asked only whether two are the same.
fn side_call(matcher: &Matcher<Tape>, recording: &Value, op: &Value) -> Value {
    let body = op["request"]["body"].to_string();
    let counts = |e: &&Value| e["request"]["path"] == op["request"]["path"];
    let same = |e: &&Value| matcher.same_body(e["request"]["body"].to_string().as_bytes(), body.as_bytes());
    let found = recording.as_array().into_iter().flatten().filter(counts).find(same);
    match found {
        Some(e) => json!({"rid": op["rid"], "serve": e["id"], "answer": e["answer"]}),
        None => json!({"rid": op["rid"], "serve": null, "answer": {"status": 404, "content": []}}),
    }
}

fn is_count(request: &Value) -> bool {
    request["path"].as_str().is_some_and(|p| p.ends_with("count_tokens"))
}

fn main() {
    let mut recording = Value::Null;
    let mut matcher: Option<Matcher<Tape>> = None;
    let stdin = std::io::stdin();
    for line in stdin.lock().lines() {
        let op: Value = serde_json::from_str(&line.unwrap()).unwrap();
        let rid = ExchangeId(op["rid"].as_u64().unwrap_or_default() as u32);
        if op["op"] == "request" && is_count(&op["request"]) {
            println!("{}", json!({"out": [side_call(matcher.as_ref().unwrap(), &recording, &op)]}));
            std::io::stdout().flush().unwrap();
            continue;
        }
        let decisions = match op["op"].as_str() {
            Some("start") => {
                recording = op["recording"].clone();
                matcher = Some(start(&op));
                Vec::new()
            }
            Some("request") => matcher.as_mut().unwrap().on_request(Ask {
                id: rid,
                dialect: "anthropic-messages",
                path: op["request"]["path"].as_str().unwrap_or_default().into(),
                context: context(&op["request"]["headers"]),
                request: read(&op["request"]),
            }),
            Some("delivered") => matcher.as_mut().unwrap().delivered(rid),
            _ => matcher.as_mut().unwrap().idle(),
        };
        let m = matcher.as_ref().unwrap();
        let out: Vec<Value> = decisions
            .into_iter()
            .map(|d| match d {
                Decision::Serve { id, lane, turn, attempt, rewrite, class, .. } => {
                    let x = m.recording().outline.lanes[lane as usize].turns[turn as usize].attempts
                        [attempt as usize];
                    json!({"rid": id.0, "serve": x.0, "class": class,
                    "answer": rewritten(&rewrite, &m.recording().calls[&x.0].raw)})
                }
                Decision::Live { id, .. } => json!({"rid": id.0, "refuse": "live"}),
                Decision::Miss { id, miss } => json!({"rid": id.0, "refuse": miss.reason}),
            })
            .collect();
        println!("{}", json!({"out": out}));
        std::io::stdout().flush().unwrap();
    }
}
