//! What instrumented agents export: kept with the run, passed on unchanged, and never a part of what is replayed.

use crate::support::env::{TestEnv, project};
use crate::support::exporting::{Exporting, NOWHERE, SAID, batches, gzip, json, protobuf, spans};
use crate::support::raw::{Raw, chat_head};
use crate::support::upstream::{Act, FakeUpstream, Gate, Script};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use retake::otlp::proto::{Response, RpcStatus};

const PROTOBUF: &str = "Content-Type: application/x-protobuf\r\n";
const JSON: &str = "Content-Type: application/json\r\n";
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// A collector that takes everything, in words of its own.
fn collector() -> FakeUpstream {
    FakeUpstream::always(Script::body("200 OK", &[("X-Collector", "mine")], b"taken"))
}

fn exchanges(env: &TestEnv) -> u64 {
    let runs = env.retake(["ls", "--json"]).expect(0).json();
    runs[0]["exchanges"].as_u64().unwrap_or_else(|| panic!("{runs:#}"))
}

/// A model call: a run without one is not kept.
fn ask(recording: &Exporting) {
    let mut agent = Raw::connect(&recording.origin).expect("it listens");
    agent.send(&chat_head(1, 2)).expect("sent");
    agent.send(b"{}").expect("sent");
    let head = agent.head().expect("a head");
    assert!(head[0].contains("200"), "{head:?}");
    agent.body(&head, false).expect("a body");
}

#[test]
fn exports_are_kept_and_passed_on_as_they_are() {
    let mut env = TestEnv::new();
    let (mine, model) = (collector(), FakeUpstream::always(Script::json(SAID)));
    env.upstream(&model.origin());
    env.set(ENDPOINT, mine.origin());
    let mut recording = Exporting::start(&env, &[]);
    let gzipped = format!("{PROTOBUF}Content-Encoding: gzip\r\n");
    let cases = [
        ("/otlp/v1/traces", PROTOBUF, protobuf("a", &[])),
        ("/r/x/otlp/v1/traces", JSON, json("b")),
        ("/v1/traces", gzipped.as_str(), gzip(1, &protobuf("c", &[]))),
        ("/api/public/otel/v1/traces", PROTOBUF, protobuf("d", &[])),
        ("/otel/v1/traces", PROTOBUF, protobuf("e", &[])),
        ("/otlp/v1/metrics", PROTOBUF, b"whatever".to_vec()),
    ];
    for (target, fields, body) in &cases {
        let fields = format!("{fields}Authorization: Basic bWU6c2VjcmV0\r\nx-Team: 7\r\n");
        let told = recording.post(target, &fields, body);
        assert_eq!((told.status, told.body.as_slice()), (200, &b"taken"[..]), "{target}");
        assert_eq!(told.header("x-collector"), Some("mine"), "{target}");
    }
    ask(&recording);
    assert_eq!(recording.end(), 0);
    assert_eq!(recording.spans(&env), ["a", "b", "c", "d", "e"]);
    assert_eq!(exchanges(&env), 1);
    let received = mine.received();
    for ((target, fields, body), got) in cases.iter().zip(&received) {
        assert_eq!(&got.body, body, "{target}");
        assert_eq!(got.header("authorization"), Some("Basic bWU6c2VjcmV0"), "{target}");
        assert_eq!((got.header("x-team"), got.method.as_str()), (Some("7"), "POST"), "{target}");
        assert_eq!(got.header("content-encoding").is_some(), fields.contains("gzip"), "{target}");
        assert!(got.target == "/v1/traces" || got.target == "/v1/metrics", "{}", got.target);
    }
    assert_eq!(received.len(), cases.len());
}

#[test]
fn a_refusal_is_in_the_encoding_of_the_request() {
    let mut env = TestEnv::new();
    env.set(ENDPOINT, NOWHERE);
    let recording = Exporting::start(&env, &[]);
    let bomb = gzip(0, &vec![0; (64 << 20) + 1]);
    assert!(bomb.len() < 100_000);
    let gzipped = |kind: &str| format!("{kind}Content-Encoding: gzip\r\n");
    for (fields, body, status, code) in [
        (PROTOBUF.to_string(), b"\xff\xff".to_vec(), 400, 3),
        (JSON.to_string(), b"{\"resourceSpans\":5}".to_vec(), 400, 3),
        (gzipped(PROTOBUF), bomb.clone(), 413, 8),
        (gzipped(JSON), bomb, 413, 8),
        (gzipped(JSON), b"no gzip".to_vec(), 400, 3),
    ] {
        let told = recording.post("/otlp/v1/traces", &fields, &body);
        assert_eq!(told.status, status, "{fields}");
        let kind = if fields.contains("json") { "application/json" } else { "application/x-protobuf" };
        assert_eq!(told.header("content-type"), Some(kind));
        let said = match kind {
            "application/json" => {
                let said: serde_json::Value = serde_json::from_slice(&told.body).expect("JSON");
                RpcStatus {
                    code: said["code"].as_i64().unwrap_or_default() as i32,
                    message: said["message"].as_str().unwrap_or_default().into(),
                }
            }
            _ => RpcStatus::decode(told.body.as_slice()).expect("a status"),
        };
        assert!(said.code == code && !said.message.is_empty(), "{fields}: {said:?}");
    }
    assert_eq!(recording.post("/otlp/v1/traces", "Content-Type: text/plain\r\n", b"x").status, 415);
    let empty = recording.post("/otlp/v1/traces", PROTOBUF, b"");
    assert_eq!((empty.status, empty.body.as_slice()), (200, &b""[..]));
    let nameless = json("kept").into_iter().map(char::from).collect::<String>();
    let nameless = nameless.replace("\"spans\":[", "\"spans\":[{\"name\":\"lost\"},");
    let told = recording.post("/otlp/v1/traces", JSON, nameless.as_bytes());
    let said: serde_json::Value = serde_json::from_slice(&told.body).expect("JSON");
    assert_eq!((told.status, &said["partialSuccess"]["rejectedSpans"]), (200, &"1".into()));
    assert_eq!(recording.spans(&env), ["kept"]);
}

/// The bytes of gzip differ each time, as they hold the time.
#[test]
fn an_export_that_comes_again_is_kept_once() {
    let mut env = TestEnv::new();
    let mine = FakeUpstream::start(|number, _| match number {
        0 => Script::body("429 Too Many Requests", &[("Retry-After", "7")], b"later"),
        _ => Script::body("200 OK", &[], b""),
    });
    env.set(ENDPOINT, mine.origin());
    let recording = Exporting::start(&env, &[]);
    let fields = format!("{PROTOBUF}Content-Encoding: gzip\r\n");
    let first = recording.post("/otlp/v1/traces", &fields, &gzip(1, &protobuf("a", &[])));
    assert_eq!((first.status, first.header("retry-after")), (429, Some("7")));
    let again = recording.post("/otlp/v1/traces", &fields, &gzip(2, &protobuf("a", &[])));
    assert_eq!(again.status, 200);
    assert_eq!(recording.spans(&env), ["a"]);
    assert_eq!(mine.received().len(), 2);
}

/// A collector that the user named and that is away: the exporter hears of it, the run has its spans.
#[test]
fn a_collector_that_is_away_costs_no_span() {
    let mut env = TestEnv::new();
    env.set(ENDPOINT, FakeUpstream::refusing());
    let recording = Exporting::start(&env, &[]);
    let told = recording.post("/otlp/v1/traces", PROTOBUF, &protobuf("a", &[]));
    let said = RpcStatus::decode(told.body.as_slice()).expect("a status");
    assert_eq!((told.status, said.code), (503, 14), "{said:?}");
    assert_eq!(recording.spans(&env), ["a"]);
}

#[tokio::test]
async fn calls_of_grpc_are_exports_too() {
    let mut env = TestEnv::new();
    env.set(ENDPOINT, NOWHERE);
    let recording = Exporting::start(&env, &[]);
    let stream =
        tokio::net::TcpStream::connect(recording.origin.trim_start_matches("http://")).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let framed = |squeezed: u8, message: &[u8]| {
        let mut bytes = vec![squeezed];
        bytes.extend_from_slice(&(message.len() as u32).to_be_bytes());
        bytes.extend_from_slice(message);
        bytes
    };
    for (call, status) in [
        (framed(0, &protobuf("plain", &[])), "0"),
        (framed(1, &gzip(0, &protobuf("squeezed", &[]))), "0"),
        (framed(0, b"\xff\xff"), "3"),
        (b"\0\0".to_vec(), "3"),
        (b"\0\xff\xff\xff\xff".to_vec(), "3"),
        (framed(1, &gzip(0, &vec![0; (64 << 20) + 1])), "8"),
        (framed(1, b"no gzip"), "3"),
    ] {
        let path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
        let request = http::Request::post(format!("{}{path}", recording.origin))
            .header("content-type", "application/grpc")
            .header("grpc-encoding", "gzip")
            .body(Full::new(Bytes::from(call)))
            .unwrap();
        let answer = sender.send_request(request).await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["content-type"]),
            (200, &"application/grpc".parse().unwrap())
        );
        let read = answer.into_body().collect().await.unwrap();
        assert_eq!(read.trailers().map(|fields| &fields["grpc-status"]), Some(&status.parse().unwrap()));
        let message = read.to_bytes();
        let message = message.strip_prefix(b"\0\0\0\0\0");
        assert_eq!(
            message.map(|message| Response::decode(message).unwrap()),
            (status == "0").then(Response::default)
        );
    }
    assert_eq!(recording.spans(&env), ["plain", "squeezed"]);
    let pid = recording.child.id();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("Linux");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().expect("a number");
    assert!(peak < 600 << 10, "{peak} kB");
}

/// An export that comes in a chunk a byte.
#[test]
fn an_export_in_small_pieces_is_one() {
    let mut env = TestEnv::new();
    env.set(ENDPOINT, NOWHERE);
    let recording = Exporting::start(&env, &[]);
    let mut raw = Raw::connect(&recording.origin).expect("it listens");
    let head =
        format!("POST /otlp/v1/traces HTTP/1.1\r\nHost: x\r\n{PROTOBUF}Transfer-Encoding: chunked\r\n\r\n");
    raw.send(head.as_bytes()).expect("sent");
    let body = protobuf("in pieces", &[("said", &"x".repeat(50_000))]);
    let chunks: Vec<u8> = body.iter().flat_map(|byte| [b'1', b'\r', b'\n', *byte, b'\r', b'\n']).collect();
    raw.send(&chunks).expect("sent");
    raw.send(b"0\r\n\r\n").expect("sent");
    assert!(raw.head().expect("a head")[0].contains("200"));
    assert_eq!(recording.spans(&env), ["in pieces"]);
}

/// LangSmith's own clients: what they tell is kept as spans, and goes to LangSmith byte for byte.
#[test]
fn runs_of_langsmith_are_spans() {
    let mut env = TestEnv::new();
    let mine = collector();
    env.set("LANGSMITH_ENDPOINT", mine.origin());
    env.set("LANGSMITH_TRACING", "true");
    let mut recording = Exporting::start(&env, &[]);
    let folder = project().join("fixtures/otlp/py-langsmith-native");
    let mut sent = Vec::new();
    for number in 2..=6 {
        let body = std::fs::read(folder.join(format!("00{number}-runs.multipart"))).expect("a capture");
        let boundary = String::from_utf8_lossy(&body[2..34]).into_owned();
        let mut fields =
            format!("Content-Type: multipart/form-data; boundary={boundary}\r\nx-api-key: ls\r\n");
        // Newer clients compress all of it.
        let body = match number {
            2 => body,
            _ => {
                fields.push_str("Content-Encoding: zstd\r\n");
                zstd::encode_all(body.as_slice(), 3).expect("memory")
            }
        };
        let told = recording.post("/langsmith/runs/multipart", &fields, &body);
        assert_eq!((told.status, told.body.as_slice()), (200, &b"taken"[..]));
        sent.push(body);
    }
    let batch =
        br#"{"post":[{"id":"01a1fbde-5640-7a6a-8534-e8df0c516999","name":"batched","run_type":"chain"}]}"#;
    assert_eq!(recording.post("/r/x/langsmith/api/v1/runs/batch", JSON, batch).body, b"taken");
    sent.push(batch.to_vec());
    recording.end();
    let told = recording.spans(&env);
    assert_eq!(told.iter().filter(|name| *name == "ChatOpenAI").count(), 4, "each is told twice");
    assert!(
        ["agent", "get_weather", "batched"].iter().all(|name| told.iter().any(|of| of == name)),
        "{told:?}"
    );
    assert_eq!(mine.received().into_iter().map(|got| got.body).collect::<Vec<_>>(), sent);
    assert_eq!(mine.received()[0].header("x-api-key"), Some("ls"));
    let tree = env.retake(["show", "x.1", "--tree", "--full"]).expect(0).out;
    assert_eq!(
        (tree.matches("model gpt-x").count(), tree.matches("tool get_weather").count()),
        (2, 1),
        "{tree}"
    );
}

#[test]
fn secrets_do_not_reach_the_disk() {
    let mut env = TestEnv::new();
    env.set(ENDPOINT, NOWHERE);
    env.set("SHOP_TOKEN", "tok-5f0c9a1b2d3e4f5a");
    let recording = Exporting::start(&env, &[]);
    let within = r#"{"messages":[{"content":"the key is tok-5f0c9a1b2d3e4f5a"}]}"#;
    let attributes = [
        ("plain", "bearer tok-5f0c9a1b2d3e4f5a"),
        ("header.tok-5f0c9a1b2d3e4f5a", "x"),
        ("input.value", within),
        ("api_key", "a8f5f167f44f4964e6c998dee827110c"),
        ("kept", "nothing to hide"),
    ];
    let body = protobuf("GET /?token=tok-5f0c9a1b2d3e4f5a", &attributes);
    assert_eq!(recording.post("/otlp/v1/traces", PROTOBUF, &body).status, 200);
    let kept = format!("{:?}", batches(&env, "x.1"));
    assert!(kept.contains("nothing to hide") && kept.contains("input.value"), "{kept}");
    for secret in ["5f0c9a1b2d3e4f5a", "a8f5f167f44f"] {
        assert!(!kept.contains(secret), "{secret} in {kept}");
    }
}

#[test]
fn what_was_taken_is_there_after_a_kill() {
    let mut env = TestEnv::new();
    env.set(ENDPOINT, NOWHERE);
    let mut recording = Exporting::start(&env, &[]);
    let names: Vec<String> = (0..40).map(|number| format!("span {number}")).collect();
    for name in &names {
        assert_eq!(recording.post("/otlp/v1/traces", PROTOBUF, &protobuf(name, &[])).status, 200);
    }
    recording.child.kill().expect("a child can be killed");
    recording.child.wait().expect("it ends");
    assert_eq!(recording.spans(&env), names);
}

#[test]
fn a_replay_neither_passes_on_nor_keeps_what_is_exported() {
    let mut env = TestEnv::new();
    let (mine, model) = (collector(), FakeUpstream::always(Script::json(SAID)));
    env.upstream(&model.origin());
    env.set(ENDPOINT, mine.origin());
    let agent = project().join("tests/it/agents/exporter.py").display().to_string();
    let ran = env.retake(["run", "--name", "x", "--", "python3", &agent]).expect(0);
    assert_eq!(ran.out, "model: 200\nexport: 200\n");
    assert_eq!((spans(&env, "x.1").len(), mine.received().len()), (1, 1));
    let replayed = env.retake(["replay", "x.1"]).expect(0);
    assert_eq!(replayed.out, ran.out);
    replayed.says(&["0 live calls", "same outcome"]);
    assert_eq!((spans(&env, "x.1").len(), mine.connections(), model.connections()), (1, 1, 1));
    assert_eq!(env.listed(), ["x.1"]);
}

/// Half of an export is on its way, and the collector keeps another waiting: the recording ends all the same.
#[test]
fn a_recording_ends_while_exports_are_under_way() {
    let mut env = TestEnv::new();
    let model = FakeUpstream::always(Script::json(SAID));
    env.upstream(&model.origin());
    let (reached, never) = (Gate::new(), Gate::new());
    let mine =
        FakeUpstream::always(Script::new(vec![Act::ReadBody, Act::Reached(reached), Act::Hold(never)]));
    env.set(ENDPOINT, mine.origin());
    let mut recording = Exporting::start(&env, &[]);
    let begin = |body: &[u8], length: usize| {
        let mut raw = Raw::connect(&recording.origin).expect("it listens");
        let head =
            format!("POST /otlp/v1/traces HTTP/1.1\r\nHost: x\r\n{PROTOBUF}Content-Length: {length}\r\n\r\n");
        raw.send(head.as_bytes()).expect("sent");
        raw.send(body).expect("sent");
        raw
    };
    let body = protobuf("whole", &[]);
    let _whole = begin(&body, body.len());
    let _half = begin(&protobuf("half", &[]), 1_000);
    while mine.received().is_empty() {
        std::thread::yield_now();
    }
    ask(&recording);
    recording.end();
    assert_eq!(recording.spans(&env), ["whole"]);
}

const INGESTED: &str = r#"{"data":[{"object":"trace","id":"trace_af725861003c4a46875938d83c67c2ad","workflow_name":"w"},
    {"object":"trace.span","id":"span_1","trace_id":"trace_af725861003c4a46875938d83c67c2ad","parent_id":null,
     "started_at":"2026-11-21T01:42:02.840916+00:00","ended_at":"2026-11-21T01:42:03.788303+00:00",
     "span_data":{"type":"agent","name":"Planner"}}]}"#;

/// Exporters that go to hosts of their own, through the forward proxy.
#[test]
fn exports_are_known_inside_interception() {
    let mut env = TestEnv::new();
    let (mine, openai) = (collector(), collector());
    env.upstream(&openai.origin());
    let mut recording = Exporting::start(&env, &["--intercept"]);
    let there = |host: &FakeUpstream, path: &str| format!("{}{path}", host.origin());
    let exporter = format!("{JSON}User-Agent: OTel-OTLP-Exporter-JavaScript/0.223.1\r\n");
    for (target, fields, body) in [
        (there(&mine, "/v1/traces"), PROTOBUF, protobuf("a", &[])),
        (there(&mine, "/team/v1/traces"), exporter.as_str(), json("b")),
        (there(&openai, "/v1/traces/ingest"), JSON, INGESTED.as_bytes().to_vec()),
    ] {
        let told = recording.post(&target, fields, &body);
        assert_eq!((told.status, told.body.as_slice()), (200, &b"taken"[..]), "{target}");
    }
    // A service like any other.
    let told = recording.post(&there(&mine, "/v1/logs"), JSON, b"{\"of\":\"yesterday\"}");
    assert_eq!(told.body, b"taken");
    recording.end();
    assert_eq!(recording.spans(&env), ["a", "b", "invoke_agent Planner"]);
    assert_eq!(exchanges(&env), 1);
    assert_eq!(mine.received().len(), 3);
    assert_eq!(openai.received()[0].body, INGESTED.as_bytes());
}

#[test]
fn what_vendors_clients_send_beside_exports_is_no_part_of_the_run() {
    let mut env = TestEnv::new();
    let (mine, model) = (collector(), FakeUpstream::always(Script::json(SAID)));
    env.upstream(&model.origin());
    env.set("LANGSMITH_ENDPOINT", mine.origin());
    let mut recording = Exporting::start(&env, &[]);
    let form = "Content-Type: multipart/form-data; boundary=x\r\nx-api-key: ls\r\n";
    for path in ["/langsmith/runs/multipart", "/langsmith/runs/batch"] {
        assert_eq!(recording.post(path, form, b"--x--\r\n").body, b"taken");
    }
    let mut probe = Raw::connect(&recording.origin).expect("it listens");
    probe.send(b"GET /langsmith/info HTTP/1.1\r\nHost: x\r\n\r\n").expect("sent");
    assert!(probe.head().expect("a head")[0].contains("200"));
    ask(&recording);
    recording.end();
    assert_eq!(exchanges(&env), 1);
    let targets: Vec<String> = mine.received().into_iter().map(|got| got.target).collect();
    assert_eq!(targets, ["/runs/multipart", "/runs/batch", "/info"]);
    assert_eq!(mine.received()[0].header("x-api-key"), Some("ls"));
}
