//! What comes by the way of exporters and is no export: passed on where a collector is, answered where there is none.

use crate::support::env::TestEnv;
use crate::support::exporting::{Exporting, NOWHERE, say};
use crate::support::upstream::{FakeUpstream, Script};
use prost::Message;
use retake::otlp::proto::RpcStatus;
use std::net::TcpStream;

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const PROTOBUF: &str = "Content-Type: application/x-protobuf\r\n";
const JSON: &str = "Content-Type: application/json\r\n";
const TEXT: &str = "Content-Type: text/plain\r\n";

/// Requests, and what they are answered where nobody else answers them.
const ASKED: [(&str, &str, &str, u16, i32); 9] = [
    ("POST", "/otlp/v1/nope", PROTOBUF, 404, 5),
    ("POST", "/otlp/v1/nope", JSON, 404, 5),
    ("POST", "/otlp/v1development/profiles", PROTOBUF, 404, 5),
    ("GET", "/otlp/v1/traces", "", 405, 0),
    ("OPTIONS", "/otlp/v1/traces", "", 405, 0),
    ("POST", "/otlp/v1/traces", TEXT, 415, 0),
    ("GET", "/v1/traces", "", 405, 0),
    ("POST", "/v1/logs", TEXT, 415, 0),
    ("POST", "/v1development/profiles", JSON, 404, 5),
];

fn refuses(recording: &Exporting) {
    for (method, target, fields, status, code) in ASKED {
        let told = say(&recording.origin, method, target, fields, b"x");
        let text = String::from_utf8_lossy(&told.body);
        assert_eq!(told.status, status, "{method} {target}: {text}");
        assert_eq!(told.header("allow"), (status == 405).then_some("POST"), "{method} {target}");
        let said = match fields {
            PROTOBUF => RpcStatus::decode(told.body.as_slice()).expect("a status").code,
            JSON => {
                let said: serde_json::Value = serde_json::from_slice(&told.body).expect("JSON");
                said["code"].as_i64().expect("a code") as i32
            }
            _ => {
                assert_eq!(told.header("content-type"), Some("text/plain; charset=utf-8"));
                assert!(text.len() > 10 && text.len() < 200, "{text}");
                0
            }
        };
        assert_eq!(said, code, "{method} {target}");
    }
}

#[test]
fn where_nobody_else_answers_retake_does() {
    let mut env = TestEnv::new();
    env.set(ENDPOINT, NOWHERE);
    refuses(&Exporting::start(&env, &[]));
    // A collector where nobody said that there is one may be there on this machine all the same.
    if TcpStream::connect("localhost:4318").is_err() {
        env.unset(ENDPOINT);
        refuses(&Exporting::start(&env, &[]));
    }
}

#[test]
fn a_collector_answers_for_itself() {
    let mut env = TestEnv::new();
    let mine = FakeUpstream::always(Script::body("418 Teapot", &[], b"mine"));
    env.set(ENDPOINT, mine.origin());
    let recording = Exporting::start(&env, &[]);
    let led: Vec<_> = ASKED.into_iter().filter(|(_, target, ..)| target.starts_with("/otlp")).collect();
    for (method, target, fields, ..) in &led {
        let told = say(&recording.origin, method, target, fields, b"x");
        assert_eq!((told.status, told.body.as_slice()), (418, &b"mine"[..]), "{method} {target}");
    }
    let targets: Vec<String> = mine.received().into_iter().map(|received| received.target).collect();
    let wanted: Vec<&str> = led.iter().map(|(_, target, ..)| target.trim_start_matches("/otlp")).collect();
    assert_eq!(targets, wanted);
    // One that is away is to be tried again.
    env.set(ENDPOINT, FakeUpstream::refusing());
    let recording = Exporting::start(&env, &[]);
    let told = say(&recording.origin, "POST", "/otlp/v1development/profiles", PROTOBUF, b"x");
    let said = RpcStatus::decode(told.body.as_slice()).expect("a status");
    assert!((told.status, said.code) == (503, 14) && said.message.contains("cannot be reached"), "{said:?}");
}
