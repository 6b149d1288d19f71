//! Spans in the portable file: they travel with the run, and nothing else depends on them.

use crate::support::env::TestEnv;
use crate::support::exporting::{Exporting, NOWHERE, SAID, batches, export, protobuf, span, spans};
use crate::support::raw::{Raw, chat_head};
use crate::support::upstream::{FakeUpstream, Script};

const PROTOBUF: &str = "Content-Type: application/x-protobuf\r\n";
const LOGS: &[u8] = br#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"snow"}}]}]}]}"#;

/// A run with a model call, spans in two exports, and a log; some of it secret.
fn recorded() -> (TestEnv, FakeUpstream) {
    let mut env = TestEnv::new();
    let model = FakeUpstream::always(Script::json(SAID));
    env.upstream(&model.origin());
    env.set("OTEL_EXPORTER_OTLP_ENDPOINT", NOWHERE);
    env.set("SHOP_TOKEN", "tok-5f0c9a1b2d3e4f5a");
    let mut recording = Exporting::start(&env, &[]);
    let mut agent = Raw::connect(&recording.origin).expect("it listens");
    agent.send(&chat_head(1, 2)).expect("sent");
    agent.send(b"{}").expect("sent");
    let head = agent.head().expect("a head");
    agent.body(&head, false).expect("a body");
    let attributes = [
        ("gen_ai.response.id", "c1"),
        ("gen_ai.operation.name", "chat"),
        ("said", "the token is tok-5f0c9a1b2d3e4f5a"),
        ("api_key", "a8f5f167f44f4964e6c998dee827110c"),
        ("input.value", "{\"key\":\"sk-proj-Abcdefghijklmnopqrstuvwxyz0123456789\"}"),
    ];
    let mut inner = span("chat", [7; 16], (1, 2));
    inner.parent_span_id = span("root", [7; 16], (0, 0)).span_id;
    for body in [protobuf("chat", &attributes), export(inner), export(span("root", [7; 16], (1, 3)))] {
        assert_eq!(recording.post("/otlp/v1/traces", PROTOBUF, &body).status, 200);
    }
    assert_eq!(recording.post("/otlp/v1/logs", "Content-Type: application/json\r\n", LOGS).status, 200);
    assert_eq!(recording.end(), 0);
    (env, model)
}

/// The tree of a run, as a program sees it.
fn tree(env: &TestEnv, run: &str) -> String {
    let tree = env.retake(["show", run, "--tree", "--json"]).expect(0).json();
    tree.to_string().replace(run, "RUN")
}

#[test]
fn spans_travel_with_the_run() {
    let (env, _model) = recorded();
    env.retake(["export", "x.1", "x.retake"]).expect(0);
    let text = std::fs::read_to_string(env.work().join("x.retake")).expect("text");
    assert!(text.contains("\"version\":{\"major\":1,\"minor\":1}"), "{text}");
    assert_eq!(
        text.lines().filter(|line| line.starts_with("{\"kind\":\"spans\",\"resourceSpans\":[")).count(),
        3
    );
    assert_eq!(text.lines().filter(|line| line.starts_with("{\"kind\":\"logs\",")).count(), 1);
    for secret in ["5f0c9a1b2d3e4f5a", "a8f5f167f44f", "Abcdefghijklmnop"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    let other = TestEnv::new();
    std::fs::write(other.work().join("x.retake"), &text).expect("written");
    other.retake(["import", "x.retake", "--name", "y"]).expect(0);
    assert_eq!(batches(&other, "y.1"), batches(&env, "x.1"));
    assert!(tree(&env, "x.1").contains("root"), "{}", tree(&env, "x.1"));
    assert_eq!(tree(&other, "y.1"), tree(&env, "x.1"));
    other.retake(["import", "x.retake"]).expect(0);
    other.retake(["import", "x.retake", "--name", "x"]).expect(0);
    other.retake(["export", "x.1", "again.retake"]).expect(0);
    assert_eq!(std::fs::read_to_string(other.work().join("again.retake")).expect("text"), text);
}

#[test]
fn a_damaged_export_costs_itself_alone() {
    let (env, _model) = recorded();
    env.retake(["export", "x.1", "x.retake"]).expect(0);
    let whole = std::fs::read_to_string(env.work().join("x.retake")).expect("text");
    let damaged = whole.replacen("\"name\":\"root\"", "\"name\":\"r00t\"", 1);
    assert_ne!(damaged, whole);
    env.file("damaged.retake", &damaged);
    env.retake(["import", "damaged.retake", "--name", "a"]).expect(0).says(&["1 export", "damaged"]);
    assert_eq!(spans(&env, "a.1"), ["chat", "chat"]);
    let of = |run: &str| env.retake(["show", run, "--json"]).expect(0).json()["steps"].clone();
    assert_eq!(of("a.1"), of("x.1"));
    // On purpose, it is what it says.
    env.retake(["import", "damaged.retake", "--name", "b", "--allow-edited"]).expect(0);
    assert_eq!(spans(&env, "b.1"), ["chat", "chat", "r00t"]);
    // Any other line is what it was.
    env.file("other.retake", &damaged.replacen("\"content\":\"hi\"", "\"content\":\"ho\"", 1));
    env.retake(["import", "other.retake", "--name", "c"]).expect(3).says(&["was changed after its export"]);
    // A file without spans is a file of the version before.
    let lines = whole.lines().filter(|line| line.contains("\"kind\":\"spans\"")).count();
    assert_eq!(lines, 3);
}

#[test]
fn how_sure_a_link_is_has_two_digits() {
    let mut env = TestEnv::new();
    let model = FakeUpstream::always(Script::json(SAID));
    env.upstream(&model.origin());
    env.set("OTEL_EXPORTER_OTLP_ENDPOINT", NOWHERE);
    let mut recording = Exporting::start(&env, &[]);
    let asked = br#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;
    let json = "Content-Type: application/json\r\n";
    assert_eq!(recording.post("/openai/v1/chat/completions", json, asked).status, 200);
    let span = protobuf("chat", &[("gen_ai.response.id", "c1"), ("gen_ai.operation.name", "chat")]);
    assert_eq!(recording.post("/otlp/v1/traces", PROTOBUF, &span).status, 200);
    assert_eq!(recording.end(), 0);
    let told = env.retake(["show", "x.1", "1", "--json"]).expect(0);
    assert!(
        told.out.contains("\"confidence\":0.98,") || told.out.contains("\"confidence\": 0.98,"),
        "{}",
        told.out
    );
}
