//! Runs in the making: exchanges, and the outline that retake reads out of them.

use bytes::Bytes;
use retake::exchange::{
    BodyEnd, Exchange, ExchangeId, Fault, FrameMark, HeaderList, RecordedRequest, RecordedResponse,
    RequestHead, ResponseHead, Source, StandIn, Upstream,
};
use retake::run::lanes::outline;
use retake::run::likeness::hex;
use retake::run::{Manifest, Outcome, Outline, RunId};
use retake::store::bundle::{ImportedRun, checkpoints};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// 2026-01-15 09:30:00 UTC.
pub const START: u64 = 1_768_469_400_000_000;

/// A run in the making.
pub struct Draft {
    pub run: ImportedRun,
    upstream: Upstream,
    now: u64,
}

impl Draft {
    pub fn new(id: &str, provider: &str, origin: &str) -> Draft {
        let upstream = Upstream { provider: provider.into(), origin: origin.into() };
        let name: [u8; 16] = std::array::from_fn(|i| Sha256::digest(id)[i]);
        let manifest = Manifest {
            id: RunId::parse(id).unwrap(),
            uuid: format!("019bc0de-0000-7000-8000-{}", &hex(&name)[..12]),
            recorder: "0.1.0".into(),
            started_us: START,
            home: String::new(),
            temp: String::new(),
            zone_s: 0,
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
            lacks: Vec::new(),
            stale: Vec::new(),
            intercepted: None,
            shell: false,
            outcome: Some(Outcome {
                exit_code: Some(0),
                signal: None,
                ended_us: START + 2_000_000,
                stopped: None,
            }),
            incomplete: None,
            stand_ins: 1,
            replaced: BTreeMap::from([("authorization".to_string(), 1)]),
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
                exports: Vec::new(),
                damaged_exports: 0,
            },
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
            sent_target: None,
            stand_ins: vec![StandIn {
                label: "authorization".into(),
                text: "sk-rtk0000000000000000000000000000000000".into(),
            }],
        };
        self.now += response.as_ref().map_or(1_000, |r| r.end_us) + 700;
        self.run.exchanges.push(Exchange { request, response });
        self.run.exchanges.last_mut().unwrap()
    }

    pub fn done(self) -> ImportedRun {
        // Stand-ins are written with the exchanges that have them, and nowhere else.
        let outline = Outline { stand_ins: Vec::new(), ..outline(&self.run.exchanges) };
        ImportedRun { checkpoints: checkpoints(&outline), outline: Some(outline), ..self.run }
    }
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
