//! What real instrumentations sent (`fixtures/otlp`), and whether it is joined to the right exchanges.
//!
//! The truth is found without the code under test: what the scripted server answered is unique, so a span whose output holds
//! `echo[7]`, `call_0007` or `chatcmpl-0007` is about exchange 7.
//!
//! Captures in the same form in another folder can be named in `RETAKE_OTLP`; none of those may be joined wrong either.

use super::super::{Method, Part};
use super::join_by;
use crate::exchange::{
    BodyEnd, Exchange, ExchangeId, HeaderList, RecordedRequest, RecordedResponse, RequestHead, ResponseHead,
    Source, Upstream,
};
use crate::otlp::{Batch, Encoding, Signal, langsmith};
use crate::span::asked::Asked;
use crate::span::claims::Claims;
use crate::span::{Span, SpanKey, spans};
use regex::Regex;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// A capture: both sides, and the truth.
pub struct Capture {
    pub name: String,
    pub lines: Vec<Value>,
    pub exchanges: Vec<Exchange>,
    pub spans: Vec<Span>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/otlp")
}

fn headers(of: &Value) -> HeaderList {
    let text = |value: &Value| value.as_str().unwrap().to_string();
    HeaderList(of.as_array().unwrap().iter().map(|pair| (text(&pair[0]), text(&pair[1]))).collect())
}

fn exchange(line: &Value) -> Exchange {
    let text = |key: &str| line[key].as_str().unwrap_or_default().to_string();
    let started_us = line["started_ns"].as_u64().unwrap() / 1000;
    let end_us = line["ended_ns"].as_u64().unwrap() / 1000 - started_us;
    Exchange {
        request: RecordedRequest {
            id: ExchangeId(line["id"].as_u64().unwrap() as u32),
            started_us,
            upstream: Upstream { provider: "fake".into(), origin: "http://127.0.0.1:18801".into() },
            head: RequestHead {
                method: text("method"),
                target: text("target"),
                headers: headers(&line["headers"]),
            },
            body: line["body"].to_string().into(),
            end: BodyEnd::Complete,
            sent: None,
            sent_target: None,
            stand_ins: vec![],
        },
        response: Some(RecordedResponse {
            source: Source::Live,
            head: Some(ResponseHead {
                status: line["status"].as_u64().unwrap() as u16,
                headers: headers(&line["response_headers"]),
            }),
            fault: None,
            head_us: 0,
            body: text("response").into(),
            frames: vec![],
            end: BodyEnd::Complete,
            end_us,
            stand_ins: vec![],
        }),
    }
}

impl Capture {
    pub fn load(name: &str) -> Capture {
        Capture::read(&folder().join(name))
    }

    fn read(folder: &Path) -> Capture {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(folder.join("exchanges.jsonl")).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
        files.sort();
        let mut all = Vec::new();
        for file in files.iter().filter(|file| file.to_string_lossy().ends_with("-runs.multipart")) {
            let body = std::fs::read(file).unwrap();
            let boundary = body.split(|byte| *byte == b'\r').next().unwrap()[2..].to_vec();
            let form = langsmith::Form::Multipart(String::from_utf8(boundary).unwrap());
            all.extend(spans(&langsmith::read(&form, &body).unwrap()));
        }
        for file in files.iter().filter(|file| file.to_string_lossy().contains("-traces.")) {
            let encoding = match file.extension().and_then(|e| e.to_str()) {
                Some("pb") => Encoding::Protobuf,
                _ => Encoding::Json,
            };
            match Batch::read(Signal::Traces, encoding, &std::fs::read(file).unwrap()) {
                Ok(Batch::Traces(traces)) => all.extend(spans(&traces)),
                other => panic!("{}: {other:?}", file.display()),
            }
        }
        assert!(!all.is_empty() && !lines.is_empty(), "{name}");
        Capture { exchanges: lines.iter().map(exchange).collect(), lines, name, spans: all }
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.exchanges.iter().map(Asked::of).collect()
    }

    pub fn claims(&self) -> Vec<Claims> {
        self.spans.iter().map(Claims::of).collect()
    }

    /// Of every exchange: the spans that are calls of the model, or the request itself where there is none.
    fn truth(&self) -> BTreeMap<u32, BTreeSet<SpanKey>> {
        let real: Vec<&Span> =
            self.spans.iter().filter(|s| text(s, "logfire.span_type") != "pending_span").collect();
        let calls: Vec<&Span> = real.iter().copied().filter(|span| is_call(span)).collect();
        let mut numbers: BTreeMap<SpanKey, BTreeSet<u32>> =
            calls.iter().map(|span| (span.key, told_numbers(span, true))).collect();
        // A call that tells no answer is that of the one below it, or that which the request shows.
        for span in &calls {
            if !numbers[&span.key].is_empty() {
                continue;
            }
            let below = calls.iter().filter(|other| other.parent == Some(span.key.span));
            let below: BTreeSet<u32> = below.flat_map(|other| numbers[&other.key].clone()).collect();
            let all = format!("{} {:?}", span.name, span.attributes);
            let shown = told_numbers(span, false);
            let of_line = |line: &&Value| {
                let target = line["target"].as_str().unwrap();
                let body = line["body"].to_string();
                if target.contains("count_tokens") {
                    return all.contains("count_tokens");
                }
                if span.origin.scope.starts_with("codex") {
                    // It tells nothing of the answer, and asks for one after the other.
                    let within = span.start_ns..span.end_ns;
                    return within.contains(&line["started_ns"].as_u64().unwrap());
                }
                (target.ends_with("/embeddings") && all.to_lowercase().contains("embedding"))
                    || (all.contains("fail-x") && body.contains("fail-x"))
                    || (!shown.is_empty() && numbers_in(&body) == shown)
            };
            let mut found: BTreeSet<u32> = match below.is_empty() {
                true => self.lines.iter().filter(of_line).map(number).collect(),
                false => below,
            };
            // Of a first message: the only one that goes to that model.
            let model = text(span, "gen_ai.request.model");
            let first = |line: &&Value| {
                line["body"]["model"] == model && numbers_in(&line["body"].to_string()).is_empty()
            };
            let firsts: BTreeSet<u32> = self.lines.iter().filter(first).map(number).collect();
            if found.is_empty() && shown.is_empty() && firsts.len() == 1 {
                found = firsts;
            }
            numbers.insert(span.key, found);
        }
        let mut truth: BTreeMap<u32, BTreeSet<SpanKey>> = BTreeMap::new();
        for line in &self.lines {
            // Attempts of one call share its span.
            let attempts: BTreeSet<u32> = self
                .lines
                .iter()
                .filter(|other| {
                    number(other) == number(line)
                        || (line["body"].to_string().contains("fail-x") && other["body"] == line["body"])
                })
                .map(number)
                .collect();
            let own = numbers.iter().filter(|(_, told)| !told.is_disjoint(&attempts));
            let mut own: BTreeSet<SpanKey> = own.map(|(key, _)| *key).collect();
            if own.is_empty() {
                // Nothing but the HTTP client told of it.
                let path = line["target"].as_str().unwrap();
                let inside = |span: &&&Span| {
                    let url = ["url.full", "http.url"].map(|name| text(span, name)).concat();
                    url.ends_with(path) && span.start_ns <= line["started_ns"].as_u64().unwrap()
                };
                own = real.iter().filter(inside).map(|span| span.key).collect();
            }
            truth.insert(number(line), own);
        }
        truth
    }
}

fn number(line: &Value) -> u32 {
    line["id"].as_u64().unwrap() as u32
}

fn text<'s>(span: &'s Span, name: &str) -> &'s str {
    span.attributes.text(name).unwrap_or_default()
}

/// True for a call of a model, in the words of every instrumentation that is here.
fn is_call(span: &Span) -> bool {
    matches!(
        text(span, "gen_ai.operation.name"),
        "chat" | "text_completion" | "generate_content" | "embeddings"
    ) || matches!(text(span, "openinference.span.kind"), "LLM" | "EMBEDDING")
        || matches!(text(span, "langfuse.observation.type"), "generation" | "embedding")
        || text(span, "langsmith.span.kind") == "llm"
        || text(span, "lmnr.span.type") == "LLM"
        || text(span, "span.type") == "llm_request"
        || ["doGenerate", "doStream"].iter().any(|end| text(span, "ai.operationId").ends_with(end))
        || span.name == "model_client.stream_responses_api"
        || span.name.contains("count_tokens")
        || span.name.starts_with("Anthropic API call")
}

fn numbers_in(text: &str) -> BTreeSet<u32> {
    static UNIQUE: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?:echo\[|\b(?:call|toolu|chatcmpl|resp|msg|req)[_-])(\d{1,4})\b").unwrap()
    });
    UNIQUE.captures_iter(text).map(|found| found[1].parse().unwrap()).collect()
}

/// The numbers in what a span tells of the answer, or of the request.
fn told_numbers(span: &Span, of_answer: bool) -> BTreeSet<u32> {
    const ANSWER: [&str; 6] =
        ["output", "completion", "response", "request.id", "request_id", "tool.call.id"];
    let is_answer = |name: &str| ANSWER.iter().any(|part| name.contains(part));
    let told = span.attributes.0.iter().filter(|(name, _)| is_answer(name) == of_answer);
    told.flat_map(|(_, value)| numbers_in(&value.to_string())).collect()
}

/// Right, wrong, none.
type Score = [usize; 3];

fn score(capture: &Capture, methods: &[Method]) -> Score {
    let truth = capture.truth();
    let (mut asked, mut claims) = (capture.asked(), capture.claims());
    if methods[0] == Method::Time {
        // Time alone: without what would rule a span out.
        asked.iter_mut().for_each(|of| (of.response_id, of.parents) = (None, vec![]));
        claims.iter_mut().for_each(|of| of.response_id = None);
    }
    let links = join_by(&asked, &claims, methods);
    let mut score = [0; 3];
    for (id, right) in &truth {
        let primary = links.iter().find(|link| link.exchange == ExchangeId(*id) && link.primary);
        match primary {
            None => score[2] += 1,
            Some(link) if right.contains(&link.span) => score[0] += 1,
            Some(link) => {
                // The HTTP client's span of a call that has a better one is not wrong.
                let better = link.method == Method::Traceparent && link.part == Part::Http;
                println!("{} x{id}: {link:?} is not of {right:?}", capture.name);
                score[if better { 0 } else { 1 }] += 1;
            }
        }
    }
    // Whatever is linked as the call itself must be it, primary or not.
    for link in links.iter().filter(|link| link.part == Part::Model) {
        assert!(truth[&link.exchange.0].contains(&link.span), "{}: {link:?}", capture.name);
    }
    score
}

const COLUMNS: [(&str, &[Method]); 6] = [
    ("traceparent", &[Method::Traceparent]),
    ("ids", &[Method::ResponseId, Method::RequestId]),
    ("calls", &[Method::CallId]),
    ("content", &[Method::Output, Method::Input]),
    ("time", &[Method::Time, Method::Attempt]),
    ("all", &Method::ALL),
];

/// Folder, exchanges, and how many must be joined: by all methods, by time alone.
const CAPTURES: [(&str, usize, usize, usize); 18] = [
    ("par-openinference", 24, 24, 0),
    ("par-genai-nocontent", 24, 24, 2),
    ("par-genai-content", 24, 24, 1),
    ("par-openllmetry", 24, 24, 0),
    ("par-langfuse", 24, 24, 0),
    ("py-agents-openinference", 6, 6, 4),
    ("py-logfire-openai", 12, 11, 10),
    ("py-lmnr-http", 3, 3, 1),
    ("node-undici+openinference", 9, 9, 5),
    ("py-zerocode", 13, 13, 8),
    ("py-openllmetry", 13, 13, 4),
    ("py-pydantic-ai-logfire", 3, 3, 3),
    ("node-undici", 9, 9, 2),
    ("node-ai-sdk", 3, 3, 3),
    ("py-openlit", 13, 13, 7),
    ("py-langsmith-otel", 2, 2, 2),
    ("py-langsmith-native", 2, 2, 2),
    ("claude-code-json", 2, 2, 2),
];

/// The row of a capture in the table: how often each column is right, wrong, or says nothing.
fn row(capture: &Capture) -> [Score; 6] {
    let scores = COLUMNS.map(|(_, methods)| score(capture, methods));
    let cells = scores.map(|[ok, wrong, none]| format!("{:>12}", format!("{ok}/{wrong}/{none}")));
    println!("{:27} {:>4}  {}", capture.name, capture.exchanges.len(), cells.concat());
    for ((column, _), [_, wrong, _]) in COLUMNS.iter().zip(&scores) {
        assert_eq!(*wrong, 0, "{} by {column}", capture.name);
    }
    scores
}

#[test]
fn what_was_captured_is_joined_right() {
    println!("{:31}   {}", "ok / wrong / none", COLUMNS.map(|(name, _)| format!("{name:>12}")).concat());
    for (name, exchanges, all, by_time) in CAPTURES {
        let capture = Capture::load(name);
        assert_eq!(capture.exchanges.len(), exchanges, "{name}");
        let scores = row(&capture);
        assert!(scores[5][0] >= all, "{name}: {:?} by all methods", scores[5]);
        assert!(scores[4][0] >= by_time, "{name}: {:?} by time", scores[4]);
    }
    let Some(more) = std::env::var_os("RETAKE_OTLP") else { return };
    let mut more: Vec<PathBuf> =
        std::fs::read_dir(more).unwrap().map(|entry| entry.unwrap().path()).collect();
    more.sort();
    more.iter().for_each(|folder| {
        row(&Capture::read(folder));
    });
}
