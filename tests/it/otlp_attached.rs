//! Exports to a proxy that many agents share: into which run they go, before, beside and after its exchanges.

use crate::attach::{Attached, echo};
use crate::support::env::TestEnv;
use crate::support::exporting::{Exporting, export, post, protobuf, span, spans};
use crate::support::upstream::{FakeUpstream, Script};
use nix::sys::signal::Signal;
use std::time::{SystemTime, UNIX_EPOCH};

const PROTOBUF: &str = "Content-Type: application/x-protobuf\r\n";
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const TRACE: [u8; 16] = [0xab; 16];

fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_micros() as u64
}

#[track_caller]
fn send(proxy: &Attached, target: &str, body: &[u8]) {
    assert_eq!(post(&proxy.here(), target, PROTOBUF, body).status, 200, "{target}");
}

/// A proxy with a collector behind it that takes everything.
fn collected(env: &mut TestEnv) -> (FakeUpstream, Attached) {
    let collector = FakeUpstream::always(Script::body("200 OK", &[], b""));
    env.set(ENDPOINT, collector.origin());
    let proxy = Attached::start(env, &[]);
    (collector, proxy)
}

#[test]
fn what_comes_before_the_first_exchange_is_kept_with_it() {
    let (model, mut env) = (echo(), TestEnv::new());
    env.upstream(&model.origin());
    let (_collector, proxy) = collected(&mut env);
    send(&proxy, "/r/y/otlp/v1/traces", &protobuf("early", &[]));
    assert_eq!(spans(&env, "y.1"), ["early"], "it is on the disk when it is answered");
    assert_eq!(proxy.ask("/r/y", "", "hi"), 200);
    send(&proxy, "/r/y/otlp/v1/traces", &protobuf("late", &[]));
    proxy.end(Signal::SIGTERM).expect(0);
    assert_eq!(env.listed(), ["y.1"]);
    assert_eq!(spans(&env, "y.1"), ["early", "late"]);
    assert_eq!(env.retake(["ls", "--json"]).expect(0).json()[0]["exchanges"], 1);
}

#[test]
fn an_agent_that_only_exports_has_a_run() {
    let mut env = TestEnv::new();
    let (_collector, proxy) = collected(&mut env);
    send(&proxy, "/v1/metrics", b"whatever");
    send(&proxy, "/v1/traces", b"");
    send(&proxy, "/r/no.name/v1/traces", &protobuf("lost", &[]));
    assert!(env.listed().is_empty(), "nothing of it says anything: {:?}", env.listed());
    send(&proxy, "/v1/traces", &protobuf("local", &[]));
    proxy.end(Signal::SIGTERM).expect(0).says(&["1 span", "retake show proxy.1 --tree"]);
    assert_eq!((env.listed(), spans(&env, "proxy.1")), (vec!["proxy.1".to_string()], vec!["local".into()]));

    let mut recording = Exporting::start(&env, &[]);
    assert_eq!(recording.post("/otlp/v1/traces", PROTOBUF, &protobuf("alone", &[])).status, 200);
    assert_eq!(recording.end(), 3, "a client that goes past retake must not look like a recording");
    assert!(env.retake(["show", "x.1", "--tree"]).expect(0).out.contains("└ alone"));
    env.retake(["replay", "x.1"]).expect(3).says(&["holds no model call", "retake show x.1 --tree"]);
    let shown = env.retake(["show", "x.1"]).expect(0).out;
    assert!(shown.contains("1 span of it: retake show x.1 --tree"), "{shown}");
    env.retake(["export", "x.1", "x.retake"]).expect(0);
    let told = env.retake(["import", "x.retake", "--again"]).expect(0).out;
    assert!(told.contains("next: retake show x.2 --tree"), "{told}");
    let found = env.retake(["ls", "--where", "span=alone"]).expect(0).out;
    assert!(found.contains("span alone") && !found.contains("step,") && !found.contains("before"), "{found}");
}

#[test]
fn what_comes_late_is_added_to_the_run_that_it_is_of() {
    let (model, mut env) = (echo(), TestEnv::new());
    env.upstream(&model.origin());
    let (_collector, proxy) = collected(&mut env);
    let began = now_us();
    assert_eq!(proxy.ask("/r/y", "", "hi"), 200);
    assert_eq!(proxy.post("/r/y/end?exit=0", "").0, 200);
    let ended = now_us();
    let to = "/r/y/otlp/v1/traces";
    let root = export(span("root", TRACE, (began, ended + 1_000_000)));
    for _ in 0..3 {
        // Exporters try again.
        send(&proxy, to, &root);
    }
    send(&proxy, to, &export(span("behind", TRACE, (ended + 2_000_000, ended + 3_000_000))));
    send(&proxy, to, &export(span("another", [1; 16], (ended + 4_000_000, ended + 5_000_000))));
    assert_eq!(proxy.ask("/r/y", "", "again"), 200);
    send(&proxy, to, &export(span("root's own", TRACE, (began, ended))));
    proxy.end(Signal::SIGTERM).expect(0);
    assert_eq!(spans(&env, "y.1"), ["root", "behind", "root's own"]);
    assert_eq!(spans(&env, "y.2"), ["another"]);
    assert_eq!(env.listed().len(), 2);
}

#[test]
fn what_is_late_for_a_run_that_was_removed_is_not_lost() {
    let (model, mut env) = (echo(), TestEnv::new());
    env.upstream(&model.origin());
    let (_collector, proxy) = collected(&mut env);
    let began = now_us();
    assert_eq!(proxy.ask("/r/y", "", "hi"), 200);
    assert_eq!(proxy.post("/r/y/end", "").0, 200);
    std::fs::remove_dir_all(env.store().join("runs").join("y.1")).expect("it is there");
    send(&proxy, "/r/y/otlp/v1/traces", &export(span("root", TRACE, (began, now_us()))));
    proxy.end(Signal::SIGTERM).expect(0);
    let runs = env.listed();
    assert_eq!(runs.len(), 1, "{runs:?}");
    assert_eq!(spans(&env, &runs[0]), ["root"]);
}

/// An exporter was told where the proxy is, and not the name.
#[test]
fn exports_without_a_name_go_by_their_trace() {
    let (model, mut env) = (echo(), TestEnv::new());
    env.upstream(&model.origin());
    let (_collector, proxy) = collected(&mut env);
    let parent = "traceparent: 00-abababababababababababababababab-b7ad6b7169203331-01\r\n";
    assert_eq!(proxy.ask("/r/y", parent, "hi"), 200);
    assert_eq!(proxy.ask("/r/z", "", "hi"), 200);
    send(&proxy, "/v1/traces", &export(span("of y", TRACE, (now_us(), now_us()))));
    send(&proxy, "/v1/traces", &export(span("of nobody", [1; 16], (now_us(), now_us()))));
    // A trace that goes through two agents is no answer to whose a span is.
    assert_eq!(proxy.ask("/r/z", parent, "more"), 200);
    send(&proxy, "/v1/traces", &export(span("of either", TRACE, (now_us(), now_us()))));
    send(&proxy, "/r/z/v1/traces", &export(span("of z", TRACE, (now_us(), now_us()))));
    proxy.end(Signal::SIGTERM).expect(0);
    assert_eq!(spans(&env, "y.1"), ["of y"]);
    assert_eq!(spans(&env, "z.1"), ["of z"]);
    assert_eq!(spans(&env, "proxy.1"), ["of nobody", "of either"]);
}
