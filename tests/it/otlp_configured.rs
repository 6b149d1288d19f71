//! What variables and settings say of exports holds behind retake too.

use crate::intercept::Shop;
use crate::support::env::{TestEnv, project};
use crate::support::exporting::{Exporting, SAID, protobuf, spans};
use crate::support::upstream::{FakeUpstream, Script};
use crate::support::venv;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::OnceLock;

const PROTOBUF: &str = "Content-Type: application/x-protobuf\r\n";
const PINNED: [&str; 2] = ["opentelemetry-sdk==1.45.0", "opentelemetry-exporter-otlp-proto-http==1.45.0"];

/// A Python with the SDK of OpenTelemetry, in a virtual environment that is made on first use.
fn python() -> String {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| venv::python("otel-venv", &PINNED)).display().to_string()
}

fn collector() -> FakeUpstream {
    FakeUpstream::always(Script::body("200 OK", &[], b""))
}

/// An agent that sets the SDK up as its variables say.
fn configured(env: &TestEnv, name: &str) -> String {
    let agent = project().join("tests/it/agents/configured.py").display().to_string();
    env.retake(["run", "--name", name, "--", &python(), &agent]).out
}

#[test]
fn the_sdk_is_told_what_its_user_told_it() {
    let mut env = TestEnv::new();
    let mine = collector();
    env.set("OTEL_EXPORTER_OTLP_ENDPOINT", mine.origin());
    env.set("OTEL_TRACES_EXPORTER", "otlp_proto_http");
    env.set("OTEL_EXPORTER_OTLP_HEADERS", "x-team=7,authorization=Basic%20bWU6c2VjcmV0c2VjcmV0");
    env.set("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip");
    let said = configured(&env, "told");
    assert!(
        said.contains("recording: True") && said.contains("OTEL_EXPORTER_OTLP_COMPRESSION=gzip"),
        "{said}"
    );
    assert_eq!(spans(&env, "told.1"), ["told"]);
    let got = &mine.received()[0];
    assert_eq!((got.target.as_str(), got.header("x-team")), ("/v1/traces", Some("7")));
    assert_eq!(got.header("authorization"), Some("Basic bWU6c2VjcmV0c2VjcmV0"));
    assert_eq!(got.header("content-encoding"), Some("gzip"));
    // The credentials of a collector are none of the recording's.
    let manifest =
        std::fs::read_to_string(env.store().join("runs/told.1/manifest.json")).expect("a manifest");
    assert!(!manifest.contains("bWU6c2VjcmV0"), "{manifest}");

    for (name, value, records) in [
        ("OTEL_TRACES_EXPORTER", "none", "True"),
        ("OTEL_TRACES_EXPORTER", "console", "True"),
        ("OTEL_SDK_DISABLED", "true", "False"),
    ] {
        env.set("OTEL_TRACES_EXPORTER", "otlp_proto_http");
        env.set(name, value);
        let said = configured(&env, "quiet");
        assert!(said.contains(&format!("{name}={value}\n")), "{said}");
        assert!(said.contains(&format!("recording: {records}")), "{said}");
        assert_eq!(said.contains("\"name\": \"told\""), value == "console", "{said}");
        assert_eq!((env.listed(), mine.received().len()), (vec!["told.1".to_string()], 1), "{name}={value}");
    }
}

#[test]
fn an_endpoint_of_one_signal_goes_before_the_one_of_all() {
    let mut env = TestEnv::new();
    let (all, traces) = (collector(), collector());
    env.set("OTEL_EXPORTER_OTLP_ENDPOINT", format!("{}/team", all.origin()));
    env.set("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", format!("{}/my/own?key=1", traces.origin()));
    env.set("OTEL_TRACES_EXPORTER", "otlp_proto_http");
    configured(&env, "x");
    assert_eq!(spans(&env, "x.1"), ["told"]);
    let targets = |of: &FakeUpstream| of.received().into_iter().map(|got| got.target).collect::<Vec<_>>();
    assert_eq!((targets(&traces), targets(&all)), (vec!["/my/own?key=1".to_string()], Vec::new()));
    env.unset("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
    configured(&env, "y");
    assert_eq!(spans(&env, "y.1"), ["told"]);
    assert_eq!(targets(&all), ["/team/v1/traces"]);
}

/// Whoever listens where exporters send by default is to have what nobody told them to send elsewhere; nobody need.
#[test]
fn without_a_word_exports_go_to_the_default_collector() {
    let env = TestEnv::new();
    let mut recording = Exporting::start(&env, &[]);
    // Another program of this machine may be the default collector: then it has the exports, and this has none.
    if let Ok(listener) = TcpListener::bind("127.0.0.1:4318") {
        let served = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") {
                stream.read_exact(&mut byte).expect("a head");
                head.push(byte[0]);
            }
            let answer =
                b"HTTP/1.1 200 OK\r\nx-collector: default\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            stream.write_all(answer).expect("it reads");
            String::from_utf8_lossy(&head).into_owned()
        });
        let told = recording.post("/otlp/v1/traces", PROTOBUF, &protobuf("heard", &[]));
        assert_eq!((told.status, told.header("x-collector")), (200, Some("default")));
        assert!(served.join().expect("no panics").starts_with("POST /v1/traces HTTP/1.1\r\n"));
        let told = recording.post("/otlp/v1/traces", PROTOBUF, &protobuf("unheard", &[]));
        assert_eq!((told.status, told.header("x-collector")), (200, None));
        recording.end();
        assert_eq!(recording.spans(&env), ["heard", "unheard"]);
    }
}

/// A replay that is kept, and a fork, are runs of their own, with the spans that came in them. Nothing of a replay goes on.
#[test]
fn spans_of_a_replay_are_its_own() {
    let mut env = TestEnv::new();
    let (mine, model) = (collector(), FakeUpstream::always(Script::json(SAID)));
    env.upstream(&model.origin());
    env.set("OTEL_EXPORTER_OTLP_ENDPOINT", mine.origin());
    let agent = project().join("tests/it/agents/exporter.py").display().to_string();
    let ran = env.retake(["run", "--name", "x", "--", "python3", &agent]).expect(0);
    assert_eq!((spans(&env, "x.1").len(), mine.received().len()), (1, 1));
    let replayed = env.retake(["replay", "--record", "x.1"]).expect(0);
    assert_eq!(replayed.out, ran.out, "exports are answered as before");
    assert_eq!(env.listed().len(), 2);
    assert_eq!((spans(&env, "x.1").len(), spans(&env, "x.2").len()), (1, 1));
    assert_eq!(mine.received().len(), 1, "nobody is told of a replay");
    let forked = env.retake(["fork", "x.1", "--set", "1:prompt=ho"]).expect(0);
    assert!(forked.all().contains("export: 200"), "{}", forked.all());
    assert_eq!((spans(&env, "x.1").len(), spans(&env, "x.3").len()), (1, 1));
    assert_eq!(mine.received().len(), 2, "a fork is live");
}

const POSTS: &str = r#"
import os, ssl, sys, urllib.request
context = ssl.create_default_context()
for kind, name, body in [("application/json", "OTel-OTLP-Exporter-JavaScript/0.223.1", sys.argv[2].encode()),
                         ("application/x-protobuf", "any", bytes.fromhex(sys.argv[3]))]:
    fields = {"content-type": kind, "user-agent": name}
    request = urllib.request.Request(sys.argv[1] + "/v1/traces", body, fields)
    with urllib.request.urlopen(request, context=context) as answer:
        print(answer.status, answer.read().decode())
"#;

/// An exporter with an address of its own, over TLS.
#[test]
fn exports_over_tls_are_seen_through_interception() {
    let shop = Shop::open();
    let agent = shop.env.file("posts.py", POSTS).display().to_string();
    let json = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"b7ad6b7169203331","name":"json"}]}]}]}"#;
    let binary: String = protobuf("binary", &[]).iter().map(|byte| format!("{byte:02x}")).collect();
    let command = ["--", "python3", &agent, &shop.model, json, &binary];
    let ran =
        shop.env.retake([&["run", "--name", "tls", "--intercept"], command.as_slice()].concat()).expect(3);
    let said = "200 {\"host\": \"shop\"}\n";
    assert_eq!(ran.out, said.repeat(2), "it is the host that answers");
    assert_eq!(spans(&shop.env, "tls.1"), ["json", "binary"]);
    let alone = shop.env.retake([&["run", "--name", "past"], command.as_slice()].concat()).expect(3);
    assert_eq!(alone.out, ran.out, "without interception it goes by itself");
}
