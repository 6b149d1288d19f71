//! A model for `agents/coder.py`: who is offered sub-agents starts some, who is not works with tools. What it says has a
//! nonce and a digest of the results that it saw, so that an answer in a wrong hand shows up further on. Streams are cut
//! in awkward places.

use crate::support::upstream::{Act, FakeUpstream, Received, Script};
use flate2::Compression;
use flate2::write::GzEncoder;
use retake::dialect;
use retake::dialect::conversation::{Block, ModelRequest, Role};
use retake::exchange::{HeaderList, RequestHead};
use serde_json::{Value, json};
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How it behaves.
#[derive(Clone, Copy)]
pub struct Manner {
    /// What the sub-agents of the main agent are asked; those ask for alpha and beta.
    pub prompts: &'static [&'static str],
    /// Slashes in arguments are written `\/`, and what is not ASCII `\uXXXX`.
    pub escapes: bool,
}

pub const PLAIN: Manner = Manner { prompts: &["Investigate alpha", "Investigate beta"], escapes: false };

/// A running model, and what it was asked.
pub struct CoderModel(FakeUpstream);

impl CoderModel {
    pub fn start(manner: Manner) -> CoderModel {
        let asked = AtomicU64::new(0);
        CoderModel(FakeUpstream::reading(move |_, received| {
            let number = asked.fetch_add(1, Ordering::SeqCst);
            answer(manner, number, received)
        }))
    }

    pub fn origin(&self) -> String {
        self.0.origin()
    }

    pub fn connections(&self) -> u32 {
        self.0.connections()
    }

    /// Requests so far.
    pub fn asked(&self) -> usize {
        self.0.received().len()
    }

    /// The bodies behind the first so many.
    pub fn since(&self, known: usize) -> Vec<Value> {
        let all = self.0.received().into_iter().skip(known);
        all.map(|r| serde_json::from_slice(&r.body).expect("JSON")).collect()
    }
}

fn hash(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |h: u64, b| (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3))
}

fn answer(manner: Manner, number: u64, received: &Received) -> Script {
    let head = RequestHead {
        method: received.method.clone(),
        target: received.target.clone(),
        headers: HeaderList::default(),
    };
    let Some((dialect, _)) = dialect::recognise(&head) else {
        return Script::body("404 Not Found", &[], b"");
    };
    let request = dialect.read_request(&received.target, &received.body).expect("a request of its dialect");
    let said = decide(manner, number, &request);
    let anthropic = dialect.name() == "anthropic-messages";
    let body = match (anthropic, request.stream) {
        (true, true) => anthropic_stream(&said),
        (true, false) => anthropic_whole(&said),
        (false, true) => openai_stream(&said),
        (false, false) => openai_whole(&said),
    };
    let kind = if request.stream { "text/event-stream; charset=utf-8" } else { "application/json" };
    let wait = Act::Gap(Duration::from_millis(hash(&number.to_string()) % 25));
    let mut fields = vec![("Content-Type", kind)];
    let mut bytes = body.into_bytes();
    if received.header("accept-encoding") == Some("gzip") {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(&bytes).expect("in memory");
        bytes = encoder.finish().expect("in memory");
        fields.push(("Content-Encoding", "gzip"));
    }
    Script::body("200 OK", &fields, &bytes).after(wait)
}

/// An answer before it is written.
struct Said {
    id: String,
    /// Reasoning, its signature and what is hidden.
    thought: Option<[String; 3]>,
    text: String,
    /// Id, name, arguments as text.
    calls: Vec<(String, String, String)>,
}

fn decide(manner: Manner, number: u64, request: &ModelRequest) -> Said {
    let system = request.messages.iter().filter(|m| m.role == Role::System).flat_map(|m| &m.blocks);
    let system: String = request.system.iter().chain(system).map(text_of).collect();
    let line = |start: &str| {
        let found = system.lines().find_map(|l| l.strip_prefix(start));
        found.unwrap_or_default().trim_end_matches('.').to_string()
    };
    let (cwd, today) = (line("Primary working directory: "), line("Today's date is "));
    let results: Vec<String> = request
        .messages
        .iter()
        .flat_map(|m| &m.blocks)
        .filter_map(|b| match b {
            Block::ToolResult { text, .. } => Some(text.clone()),
            _ => None,
        })
        .collect();
    let nonce = format!("{:08x}", hash(&format!("nonce {number}")) as u32);
    let digest = format!("{:08x}", hash(&results.join("\n")) as u32);
    let offered = |name: &str| request.tools.iter().any(|t| t.to_string().contains(&format!("\"{name}\"")));
    let main = request.messages.iter().any(|m| m.role == Role::User && m.text().starts_with("Do "));
    let found = |start: &str, end: &str| -> String {
        let all = results.iter().find_map(|r| r.split_once(start)).map(|(_, rest)| rest);
        all.and_then(|rest| rest.split_once(end)).map(|(value, _)| value.to_string()).unwrap_or_default()
    };
    let (text, calls): (String, Vec<(&str, Value)>) = if offered("Agent") && results.is_empty() {
        let prompts = if main { manner.prompts } else { PLAIN.prompts };
        (format!("Asking others {nonce}."), prompts.iter().map(|p| ("Agent", json!({"prompt": p}))).collect())
    } else if offered("Agent") {
        (format!("Done {nonce} after {} results {digest} in {cwd} on {today}.", results.len()), vec![])
    } else if results.is_empty() {
        let file = json!({"file_path": format!("{cwd}/notes.txt")});
        let calls = vec![("Read", file), ("Scratch", json!({})), ("OpenTicket", json!({}))];
        (format!("Looking at {cwd}/notes.txt {nonce}."), calls)
    } else if results.len() == 3 {
        let (made, ticket) = (found("Made ", " for you."), found("\"ticket\": \"", "\""));
        let file = format!("{made}/out \u{e9}.txt");
        let content = format!("ticket {ticket}\n{digest} \"{cwd}\" caf\u{e9}\t{nonce}");
        let calls = vec![
            ("Write", json!({"file_path": file, "content": content})),
            ("CloseTicket", json!({"id": ticket, "on": today})),
        ];
        (format!("Writing to {made} {nonce}."), calls)
    } else {
        let made = found("Made ", " for you.");
        (format!("Done {nonce} after {} results {digest}; see {made}/out.txt", results.len()), vec![])
    };
    let calls = calls.into_iter().enumerate().map(|(at, (name, args))| {
        let id = format!("toolu_{:024x}", u128::from(hash(&format!("{nonce} {at}"))));
        (id, name.to_string(), arguments(&args, manner.escapes))
    });
    let thinks = request.params.contains_key("thinking");
    Said {
        id: format!("msg_{:024x}", u128::from(hash(&nonce))),
        thought: thinks.then(|| {
            [
                format!("I am in {cwd}, {nonce}."),
                format!("c2ln {cwd} {nonce}=="),
                format!("b3Bh {cwd} {nonce}="),
            ]
        }),
        text,
        calls: calls.collect(),
    }
}

fn text_of(block: &Block) -> String {
    match block {
        Block::Text { text } => format!("{text}\n"),
        _ => String::new(),
    }
}

fn arguments(args: &Value, escapes: bool) -> String {
    let text = args.to_string();
    if !escapes {
        return text;
    }
    let escaped = |c: char| match c {
        '/' => "\\/".to_string(),
        c if c.is_ascii() => c.to_string(),
        c => {
            let mut units = [0; 2];
            c.encode_utf16(&mut units).iter().map(|u| format!("\\u{u:04x}")).collect()
        }
    };
    text.chars().map(escaped).collect()
}

/// In pieces of one to seven characters.
fn pieces(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let mut pieces = Vec::new();
    let mut at = 0;
    for length in [3, 1, 7, 2, 5, 1, 1, 4].into_iter().cycle() {
        if at >= chars.len() {
            break;
        }
        pieces.push(chars[at..(at + length).min(chars.len())].iter().collect());
        at += length;
    }
    pieces
}

fn events(list: &[Value]) -> String {
    list.iter().map(|e| format!("event: {}\ndata: {e}\n\n", e["type"].as_str().unwrap_or_default())).collect()
}

fn anthropic_blocks(said: &Said) -> Vec<Value> {
    let mut blocks = Vec::new();
    if let Some([thinking, signature, hidden]) = &said.thought {
        blocks.push(json!({"type": "thinking", "thinking": thinking, "signature": signature}));
        blocks.push(json!({"type": "redacted_thinking", "data": hidden}));
    }
    blocks.push(json!({"type": "text", "text": said.text}));
    blocks
}

fn stop(said: &Said) -> &'static str {
    if said.calls.is_empty() { "end_turn" } else { "tool_use" }
}

fn anthropic_whole(said: &Said) -> String {
    let mut content: Vec<String> = anthropic_blocks(said).iter().map(Value::to_string).collect();
    // As they were written, escapes and all.
    content.extend(said.calls.iter().map(|(id, name, args)| {
        format!(r#"{{"type": "tool_use", "id": "{id}", "name": "{name}", "input": {args}}}"#)
    }));
    format!(
        r#"{{"id": "{}", "type": "message", "role": "assistant", "model": "claude-small", "content": [{}], "stop_reason": "{}", "usage": {{"input_tokens": 9, "output_tokens": 9}}}}"#,
        said.id,
        content.join(", "),
        stop(said)
    )
}

fn anthropic_stream(said: &Said) -> String {
    let start = json!({"id": said.id, "type": "message", "role": "assistant", "model": "claude-small", "content": [], "usage": {"input_tokens": 9, "output_tokens": 1}});
    let mut list = vec![json!({"type": "message_start", "message": start})];
    let mut index = 0;
    let mut block = |first: Value, deltas: Vec<Value>| {
        list.push(json!({"type": "content_block_start", "index": index, "content_block": first}));
        list.extend(
            deltas.into_iter().map(|d| json!({"type": "content_block_delta", "index": index, "delta": d})),
        );
        list.push(json!({"type": "content_block_stop", "index": index}));
        index += 1;
    };
    let spelt = |kind: &str, field: &str, text: &str| -> Vec<Value> {
        pieces(text).into_iter().map(|p| json!({"type": kind, field: p})).collect()
    };
    if let Some([thinking, signature, hidden]) = &said.thought {
        let mut deltas = spelt("thinking_delta", "thinking", thinking);
        deltas.extend(spelt("signature_delta", "signature", signature));
        block(json!({"type": "thinking", "thinking": "", "signature": ""}), deltas);
        block(json!({"type": "redacted_thinking", "data": hidden}), vec![]);
    }
    block(json!({"type": "text", "text": ""}), spelt("text_delta", "text", &said.text));
    for (id, name, args) in &said.calls {
        let deltas = spelt("input_json_delta", "partial_json", args);
        block(json!({"type": "tool_use", "id": id, "name": name, "input": {}}), deltas);
    }
    list.push(json!({"type": "message_delta", "delta": {"stop_reason": stop(said), "stop_sequence": null}, "usage": {"output_tokens": 9}}));
    list.push(json!({"type": "message_stop"}));
    events(&list)
}

fn openai_whole(said: &Said) -> String {
    let call = |(id, name, args): &(String, String, String)| json!({"id": id, "type": "function", "function": {"name": name, "arguments": args}});
    let mut message = json!({"role": "assistant", "content": said.text});
    if !said.calls.is_empty() {
        message["tool_calls"] = said.calls.iter().map(call).collect();
    }
    let why = if said.calls.is_empty() { "stop" } else { "tool_calls" };
    json!({"id": said.id, "object": "chat.completion", "model": "small", "choices": [{"index": 0, "message": message, "finish_reason": why}]})
        .to_string()
}

fn openai_stream(said: &Said) -> String {
    let chunk = |delta: Value, why: Value| json!({"id": said.id, "object": "chat.completion.chunk", "model": "small", "choices": [{"index": 0, "delta": delta, "finish_reason": why}]});
    let mut list = vec![chunk(json!({"role": "assistant", "content": ""}), Value::Null)];
    list.extend(pieces(&said.text).into_iter().map(|p| chunk(json!({"content": p}), Value::Null)));
    // The calls are spelt at the same time.
    let mut spelt: Vec<(usize, usize, Value)> = Vec::new();
    for (index, (id, name, args)) in said.calls.iter().enumerate() {
        spelt.push((0, index, json!({"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": ""}})));
        let rest = pieces(args).into_iter().zip(1..);
        spelt.extend(
            rest.map(|(p, turn)| (turn, index, json!({"index": index, "function": {"arguments": p}}))),
        );
    }
    spelt.sort_by_key(|(turn, index, _)| (*turn, *index));
    list.extend(spelt.into_iter().map(|(_, _, part)| chunk(json!({"tool_calls": [part]}), Value::Null)));
    let why = if said.calls.is_empty() { "stop" } else { "tool_calls" };
    list.push(chunk(json!({}), json!(why)));
    let told: String = list.iter().map(|c| format!("data: {c}\n\n")).collect();
    told + "data: [DONE]\n\n"
}
