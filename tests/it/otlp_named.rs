//! Exports of agents with a name at a proxy that many share: exporters that speak gRPC drop the path with the name in it.

use crate::attach::{Attached, echo, led, place};
use crate::support::env::{TestEnv, ran};
use crate::support::exporting::{export, post, protobuf, span, spans};
use crate::support::upstream::{FakeUpstream, Script};
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use nix::sys::signal::Signal;
use retake::otlp::proto::Status;
use serde_json::json;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";
const OF_TRACES: &str = "OTEL_EXPORTER_OTLP_TRACES_HEADERS";
const PROTOBUF: &str = "Content-Type: application/x-protobuf\r\n";

fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_micros() as u64
}

/// An export of a span that failed.
fn failing(name: &str, from: u64) -> Vec<u8> {
    let status = Some(Status { message: "no shelf".into(), code: 2 });
    export(retake::otlp::proto::Span { status, ..span(name, [9; 16], (from, now_us())) })
}

/// A collector that speaks gRPC: where it is, and the fields of what it got.
async fn collector() -> (String, Arc<Mutex<Vec<HeaderMap>>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let origin = format!("http://{}", listener.local_addr().expect("an address"));
    let got = Arc::new(Mutex::new(Vec::new()));
    let seen = got.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let seen = seen.clone();
            let service = hyper::service::service_fn(move |request: Request<Incoming>| {
                let seen = seen.clone();
                async move {
                    let (parts, body) = request.into_parts();
                    body.collect().await?;
                    seen.lock().expect("no panics").push(parts.headers);
                    let answer = Response::builder().header("content-type", "application/grpc");
                    let answer = answer.header("grpc-status", "0").body(Empty::<Bytes>::new());
                    Ok::<_, hyper::Error>(answer.expect("an answer"))
                }
            });
            let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            tokio::spawn(async move { builder.serve_connection(TokioIo::new(stream), service).await });
        }
    });
    (origin, got)
}

/// Exports as SDKs do by gRPC: to host and port, with the pairs of a variable as metadata.
async fn call(origin: &str, pairs: &str, message: &[u8]) -> u16 {
    let stream =
        tokio::net::TcpStream::connect(origin.trim_start_matches("http://")).await.expect("it listens");
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .expect("HTTP/2");
    tokio::spawn(connection);
    let mut body = vec![0];
    body.extend_from_slice(&(message.len() as u32).to_be_bytes());
    body.extend_from_slice(message);
    let mut request = Request::post(format!("{origin}{EXPORT}")).header("content-type", "application/grpc");
    for (name, value) in pairs.split(',').filter_map(|pair| pair.split_once('=')) {
        request = request.header(name.trim(), value.trim());
    }
    let answer = sender.send_request(request.body(Full::new(Bytes::from(body))).expect("a request")).await;
    let answer = answer.expect("an answer");
    let status = answer.status().as_u16();
    answer.into_body().collect().await.expect("a body");
    status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_named_agent_exports_into_its_run() {
    let model = echo();
    let mut env = place(&model);
    let (by_grpc, got) = collector().await;
    env.set("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    env.set("OTEL_EXPORTER_OTLP_ENDPOINT", &by_grpc);
    let mine = FakeUpstream::always(Script::body("200 OK", &[], b""));
    env.set("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", mine.origin());
    env.set(HEADERS, "x-team=7");
    env.set(OF_TRACES, "x-team=8");
    let proxy = Attached::start(&env, &["--sample", "0%"]);
    let told = env.retake(["env", "--proxy", &proxy.here(), "--name", "pg", "--json"]).expect(0).json();
    let pairs = |name: &str| told[name].as_str().unwrap_or_default().to_string();
    assert_eq!(pairs(HEADERS), "x-team=7,x-retake-run=pg");
    assert_eq!(proxy.ask("/r/pg", "", "hi"), 200);
    assert_eq!(call(&proxy.here(), &pairs(OF_TRACES), &failing("root", now_us())).await, 200);
    let fields = format!("{PROTOBUF}x-retake-run: pg\r\n");
    assert_eq!(post(&proxy.here(), "/otlp-logs/v1/logs", &fields, b"").status, 200);
    // What failed is kept, which is known by the span alone.
    let ended = proxy.post("/r/pg/end?exit=0", "").1;
    assert_eq!((&ended["run"], ended.get("dropped")), (&json!("pg.1"), None), "{ended}");
    proxy.end(Signal::SIGTERM).expect(0);
    assert_eq!((env.listed(), spans(&env, "pg.1")), (vec!["pg.1".to_string()], vec!["root".to_string()]));
    // The collectors were told what the user tells them, and nothing of retake.
    let got = got.lock().expect("no panics");
    assert_eq!((got.len(), got[0].get("x-team")), (1, Some(&"8".parse().expect("a value"))));
    assert!(!got[0].contains_key("x-retake-run"), "{:?}", got[0]);
    let got = mine.received();
    assert_eq!((got.len(), got[0].header("x-retake-run")), (1, None));
}

/// A shell may be led again, to another name, and to none.
#[test]
fn a_shell_that_is_led_again_has_one_name() {
    let model = echo();
    let mut env = place(&model);
    env.set(OF_TRACES, "authorization=Basic%20YTpiPQ==");
    let proxy = Attached::start(&env, &[]);
    let retake = env!("CARGO_BIN_EXE_retake");
    let again = |flags: &str| format!("eval \"$('{retake}' env --proxy {} {flags})\"", proxy.here());
    let shown = "echo \"${OTEL_EXPORTER_OTLP_HEADERS-none} $OTEL_EXPORTER_OTLP_TRACES_HEADERS\"";
    let script = [shown, &again("--name a"), shown, &again("--name b"), shown, &again(""), shown].join("; ");
    let said = ran(led(&env, &proxy, "--name a", &script).output().expect("sh")).expect(0).out;
    let auth = "authorization=Basic%20YTpiPQ==";
    let named = |name: &str| format!("x-retake-run={name} {auth},x-retake-run={name}\n");
    assert_eq!(said, format!("{}{}{}none {auth}\n", named("a"), named("a"), named("b")));
    proxy.end(Signal::SIGTERM);
}

/// A run that sampling gave up is gone with all that comes for it, and its number with it.
#[test]
fn what_is_late_for_a_run_that_was_dropped_is_dropped() {
    let model = echo();
    let mut env: TestEnv = place(&model);
    let mine = FakeUpstream::always(Script::body("200 OK", &[], b""));
    env.set("OTEL_EXPORTER_OTLP_ENDPOINT", mine.origin());
    let proxy = Attached::start(&env, &["--sample", "0%"]);
    assert_eq!(proxy.ask("", "", "hi"), 200);
    let began = now_us();
    let late = failing("root", began);
    let ended = proxy.post("/retake/end?exit=0", "").1;
    assert_eq!((&ended["run"], &ended["dropped"]), (&json!("proxy.1"), &json!(true)), "{ended}");
    assert_eq!(post(&proxy.here(), "/v1/traces", PROTOBUF, &late).status, 200);
    assert!(env.listed().is_empty(), "{:?}", env.listed());
    assert_eq!(mine.received().len(), 1, "it is passed on all the same");
    assert_eq!(proxy.ask("", "", "hi"), 200);
    assert_eq!(post(&proxy.here(), "/v1/traces", PROTOBUF, &protobuf("timeless", &[])).status, 200);
    let ended = proxy.post("/retake/end?exit=3", "").1;
    assert_eq!(ended["run"], "proxy.2", "{ended}");
    let told = proxy.end(Signal::SIGTERM).expect(0);
    told.says(&["dropped    proxy.1   1 span that came after it, 1 of them failed\n"]);
    assert!(!told.err.contains("recorded  proxy.1"), "{}", told.err);
    assert_eq!((env.listed(), spans(&env, "proxy.2")), (vec!["proxy.2".into()], vec!["timeless".into()]));
}
