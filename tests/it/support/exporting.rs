//! A recording whose agent only waits, while a test exports in its stead.

use super::env::TestEnv;
use super::raw::Raw;
use prost::Message;
use retake::otlp::Batch;
use retake::otlp::proto::{AnyValue, KeyValue, ResourceSpans, ScopeSpans, Span, Traces, Value};
use retake::store::SpanReader;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Stdio};

/// A model's answer.
pub const SAID: &str = r#"{"id":"c1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"hi"}}]}"#;

/// An address that exporters cannot have: nothing is passed on.
pub const NOWHERE: &str = "ftp://nowhere";

pub struct Exporting {
    pub child: Child,
    /// The proxy.
    pub origin: String,
    run: String,
}

/// What an export was answered.
#[derive(Debug)]
pub struct Told {
    pub status: u16,
    head: Vec<String>,
    pub body: Vec<u8>,
}

impl Told {
    pub fn header(&self, name: &str) -> Option<&str> {
        let fields = self.head.iter().filter_map(|line| line.split_once(':'));
        fields.into_iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}

impl Exporting {
    pub fn start(env: &TestEnv, flags: &[&str]) -> Exporting {
        let agent = ["--", "sh", "-c", "echo $RETAKE_PROXY $RETAKE_RUN; read end"];
        let mut command = env.command([&["run", "--name", "x"], flags, &agent].concat());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("the binary runs");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        let (origin, run) = line.trim().split_once(' ').unwrap_or_else(|| panic!("the agent said {line:?}"));
        Exporting { child, origin: origin.into(), run: run.into() }
    }

    /// Ends the agent, and the recording with it.
    pub fn end(&mut self) -> i32 {
        let mut stdin = self.child.stdin.take().expect("piped");
        stdin.write_all(b"end\n").expect("the agent reads");
        self.child.wait().expect("it ends").code().unwrap_or(-1)
    }

    pub fn post(&self, target: &str, fields: &str, body: &[u8]) -> Told {
        post(&self.origin, target, fields, body)
    }

    /// Names of the spans that are kept, in order.
    pub fn spans(&self, env: &TestEnv) -> Vec<String> {
        spans(env, &self.run)
    }
}

impl Drop for Exporting {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn post(origin: &str, target: &str, fields: &str, body: &[u8]) -> Told {
    say(origin, "POST", target, fields, body)
}

/// Any request; what it was answered.
#[track_caller]
pub fn say(origin: &str, method: &str, target: &str, fields: &str, body: &[u8]) -> Told {
    let mut raw = Raw::connect(origin).expect("it listens");
    let head =
        format!("{method} {target} HTTP/1.1\r\nHost: x\r\n{fields}Content-Length: {}\r\n\r\n", body.len());
    raw.send(head.as_bytes()).expect("sent");
    raw.send(body).expect("sent");
    let head = raw.head().expect("a head");
    let status = head[0].split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    let body = if status == 204 { Vec::new() } else { raw.body(&head, false).expect("a body") };
    Told { status, head, body }
}

/// What is kept of a run's exports.
pub fn batches(env: &TestEnv, run: &str) -> Vec<Batch> {
    let mut all = Vec::new();
    let reader = SpanReader::open(&env.store().join("runs").join(run)).expect("readable");
    let damaged = reader.each(|batch| all.push(batch)).expect("readable");
    assert_eq!(damaged, 0);
    all
}

pub fn spans(env: &TestEnv, run: &str) -> Vec<String> {
    let of = |batch| match batch {
        Batch::Traces(traces) => traces.resource_spans,
        _ => Vec::new(),
    };
    let scopes = batches(env, run).into_iter().flat_map(of).flat_map(|of| of.scope_spans);
    scopes.flat_map(|of| of.spans).map(|span| span.name).collect()
}

/// A span in protobuf.
pub fn protobuf(name: &str, attributes: &[(&str, &str)]) -> Vec<u8> {
    let attribute = |(key, text): &(&str, &str)| KeyValue {
        key: (*key).into(),
        value: Some(AnyValue { value: Some(Value::String((*text).into())) }),
    };
    let span = Span { attributes: attributes.iter().map(attribute).collect(), ..span(name, [7; 16], (0, 0)) };
    export(span)
}

/// A span of a trace, from and to: microseconds since the Unix epoch.
pub fn span(name: &str, trace: [u8; 16], (from, to): (u64, u64)) -> Span {
    Span {
        trace_id: trace.to_vec(),
        span_id: blake3::hash(name.as_bytes()).as_bytes()[..8].to_vec(),
        name: name.into(),
        start_time_unix_nano: from * 1000,
        end_time_unix_nano: to * 1000,
        ..Span::default()
    }
}

/// An export of one span.
pub fn export(span: Span) -> Vec<u8> {
    let scope_spans = vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }];
    Traces { resource_spans: vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }] }.encode_to_vec()
}

/// A span in JSON.
pub fn json(name: &str) -> Vec<u8> {
    let span = serde_json::json!({ "traceId": "0AF7651916CD43DD8448EB211C80319C", "spanId": "b7ad6b7169203331", "name": name });
    let body = serde_json::json!({ "resourceSpans": [{ "scopeSpans": [{ "spans": [span] }] }] });
    body.to_string().into_bytes()
}

/// Bytes of gzip, with a time in their head.
pub fn gzip(time: u32, bytes: &[u8]) -> Vec<u8> {
    let mut writer = flate2::GzBuilder::new().mtime(time).write(Vec::new(), flate2::Compression::default());
    writer.write_all(bytes).expect("memory");
    writer.finish().expect("memory")
}
