//! Runs in the making: exchanges and an outline of one lane.

use bytes::Bytes;
use retake::dialect::conversation::Usage;
use retake::exchange::{
    BodyEnd, Exchange, ExchangeId, Fault, FrameMark, HeaderList, RecordedRequest, RecordedResponse,
    RequestHead, ResponseHead, Source, StandIn, Upstream,
};
use retake::run::likeness::hex;
use retake::run::outline::ToolResultRef;
use retake::run::{
    CallSite, Lane, LaneKind, Manifest, Outcome, Outline, RunId, Step, StepKind, ToolCallRef, Turn,
};
use retake::store::bundle::{ImportedRun, checkpoints};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// 2026-01-15 09:30:00 UTC.
pub const START: u64 = 1_768_469_400_000_000;

/// A run in the making: one lane.
pub struct Draft {
    pub run: ImportedRun,
    turns: Vec<Turn>,
    steps: Vec<Step>,
    upstream: Upstream,
    now: u64,
}

/// Id, name, arguments; result and the message it stands in.
type Call = (&'static str, &'static str, Value, Option<(&'static str, u32)>);

/// What a model call came to, for the outline.
#[derive(Default)]
pub struct Said {
    pub attempts: Vec<u32>,
    pub messages: u32,
    pub text: &'static str,
    pub error: Option<&'static str>,
    pub calls: Vec<Call>,
    pub usage: (u64, u64),
}

impl Draft {
    pub fn new(id: &str, provider: &str, origin: &str) -> Draft {
        let upstream = Upstream { provider: provider.into(), origin: origin.into() };
        let manifest = Manifest {
            id: RunId::parse(id).unwrap(),
            uuid: format!("019bc0de-0000-7000-8000-{}", &hex(&key(id.as_bytes()))[..12]),
            recorder: "0.1.0".into(),
            started_us: START,
            labels: BTreeMap::new(),
            note: None,
            command: vec!["python".into(), "agent.py".into(), "refund order A123".into()],
            command_redacted: false,
            directory: "/home/ada/shop".into(),
            environment: BTreeMap::from([("SHOP_REGION".to_string(), "eu".to_string())]),
            secret_variables: vec!["OPENAI_API_KEY".into()],
            stdin: None,
            git: None,
            upstreams: vec![upstream.clone()],
            parent: None,
            imported: false,
            outcome: Some(Outcome {
                exit_code: Some(0),
                signal: None,
                ended_us: START + 2_000_000,
                stopped: None,
            }),
            incomplete: None,
            stand_ins: 1,
            replaced: Default::default(),
            own_stand_ins: Vec::new(),
        };
        Draft {
            run: ImportedRun {
                manifest,
                exchanges: Vec::new(),
                outline: None,
                checkpoints: Vec::new(),
                edited: Vec::new(),
                skipped: BTreeMap::new(),
            },
            turns: Vec::new(),
            steps: Vec::new(),
            upstream,
            now: START + 40_000,
        }
    }

    /// Adds a request with its response, and gives it back to be changed.
    pub fn ask(
        &mut self,
        target: &str,
        body: impl Into<Bytes>,
        response: Option<RecordedResponse>,
    ) -> &mut Exchange {
        let body = body.into();
        let mut headers = HeaderList::default();
        headers.push("Host", "127.0.0.1:4141");
        headers.push("Content-Type", "application/json");
        headers.push("Content-Length", body.len().to_string());
        headers.push("Authorization", "Bearer sk-rtk0000000000000000000000000000000000");
        let request = RecordedRequest {
            id: ExchangeId(self.run.exchanges.len() as u32 + 1),
            started_us: self.now,
            upstream: self.upstream.clone(),
            head: RequestHead { method: "POST".into(), target: target.into(), headers },
            body,
            end: BodyEnd::Complete,
            sent: None,
            stand_ins: vec![StandIn {
                label: "authorization".into(),
                text: "sk-rtk0000000000000000000000000000000000".into(),
            }],
        };
        self.now += response.as_ref().map_or(1_000, |r| r.end_us) + 700;
        self.run.exchanges.push(Exchange { request, response });
        self.run.exchanges.last_mut().unwrap()
    }

    /// Adds the last requests as a turn to the outline, and its steps.
    pub fn turn(&mut self, said: Said) {
        let last =
            self.run.exchanges.iter().find(|x| x.request.id.0 == *said.attempts.last().unwrap()).unwrap();
        let ended_us = last.request.started_us + last.response.as_ref().map_or(0, |r| r.end_us);
        let first = self.run.exchanges.iter().find(|x| x.request.id.0 == said.attempts[0]).unwrap();
        let body: Value = serde_json::from_slice(&last.request.body).unwrap();
        let index = self.turns.len() as u32;
        self.steps.push(Step { kind: StepKind::Model { lane: 0, turn: index } });
        let result = |call: usize, (text, message): (&str, u32)| ToolResultRef {
            exchange: ExchangeId(last.request.id.0 + 1),
            message,
            block: if self.upstream.provider == "anthropic" { call as u32 } else { 0 },
            text: text.to_string(),
            is_error: false,
            seen_us: ended_us + 700,
        };
        let mut calls = Vec::new();
        for (number, (id, name, args, seen)) in said.calls.into_iter().enumerate() {
            self.steps.push(Step {
                kind: StepKind::Tool { site: CallSite { lane: 0, turn: index, call: number as u32 } },
            });
            calls.push(ToolCallRef {
                id: id.into(),
                name: name.into(),
                args,
                result: seen.map(|seen| result(number, seen)),
            });
        }
        let whole = said.error.is_none();
        let turn = Turn {
            attempts: said.attempts.iter().map(|id| ExchangeId(*id)).collect(),
            model: body["model"].as_str().unwrap_or_default().to_string(),
            messages: said.messages,
            request_key: key(&last.request.body),
            body_key: None,
            answer_key: last.response.as_ref().filter(|_| whole).map(|r| key(&r.body)),
            started_us: first.request.started_us,
            ended_us,
            usage: whole.then_some(Usage { input: said.usage.0, output: said.usage.1, ..Usage::default() }),
            text: said.text.into(),
            error: said.error.map(String::from),
            calls,
        };
        self.turns.push(turn);
    }

    pub fn done(self, others: &[u32]) -> ImportedRun {
        let lane = Lane {
            key: "main".into(),
            kind: LaneKind::Root,
            parent: None,
            parent_unknown: false,
            continues: None,
            named: None,
            turns: self.turns,
        };
        let lanes = if lane.turns.is_empty() { Vec::new() } else { vec![lane] };
        let others = others.iter().map(|id| ExchangeId(*id)).collect();
        let outline = Outline { lanes, steps: self.steps, others, stand_ins: Vec::new() };
        ImportedRun { checkpoints: checkpoints(&outline), outline: Some(outline), ..self.run }
    }
}

/// 32 hex digits that depend on the bytes.
fn key(bytes: &[u8]) -> [u8; 16] {
    std::array::from_fn(|i| Sha256::digest(bytes)[i])
}

/// A response in one read.
pub fn answer(status: u16, content_type: &str, body: impl Into<Bytes>) -> RecordedResponse {
    let body = body.into();
    let mut headers = HeaderList::default();
    headers.push("content-type", content_type);
    headers.push("content-length", body.len().to_string());
    headers.push("x-request-id", format!("req_{status}"));
    RecordedResponse {
        source: Source::Live,
        head: Some(ResponseHead { status, headers }),
        fault: None,
        head_us: 70_000,
        frames: vec![FrameMark(body.len() as u32, 76_000)],
        body,
        end: BodyEnd::Complete,
        end_us: 76_000,
        stand_ins: Vec::new(),
    }
}

/// A response in a read for every event.
pub fn stream(events: &str) -> RecordedResponse {
    let mut response = answer(200, "text/event-stream", events.to_string());
    if let Some(head) = &mut response.head {
        head.headers.remove("content-length");
        head.headers.push("transfer-encoding", "chunked");
    }
    let mut at = 71_000;
    response.frames = events
        .split_inclusive("\n\n")
        .map(|event| {
            at += 3_100;
            FrameMark(event.len() as u32, at)
        })
        .collect();
    response.end_us = at + 40;
    response
}

/// A response that never came.
pub fn none(fault: Fault) -> RecordedResponse {
    RecordedResponse {
        head: None,
        fault: Some(fault),
        head_us: 0,
        frames: Vec::new(),
        end_us: 1_900,
        ..answer(0, "", "")
    }
}
