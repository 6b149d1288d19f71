//! What goes wrong upstream goes wrong in the same way for the agent, when it is recorded and when it is replayed.

use crate::support::env::{Ran, TestEnv, project};
use crate::support::upstream::{Act, FakeUpstream, Gate, Script, head};
use serde_json::Value;
use std::time::Duration;

const GOOD: &str = r#"{"id":"c1","object":"chat.completion","model":"small","choices":[{"index":0,"message":{"role":"assistant","content":"hi there"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#;
const DELTA: &str = "data: {\"id\":\"c1\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"hi \"}}]}\n\n";

fn command(verb: &[&str]) -> Vec<String> {
    let agent = project().join("tests/it/agents/raw.py").display().to_string();
    verb.iter().copied().chain(["--", "python3", &agent]).map(str::to_string).collect()
}

/// Records the raw agent against an upstream, and gives back what it printed and the run as JSON.
fn record(env: &mut TestEnv, origin: &str) -> (Ran, Value) {
    env.upstream(origin);
    let ran = env.retake(command(&["run", "--name", "fault"])).expect(0);
    let shown = env.retake(["show", "fault.1", "--json"]).expect(0).json();
    (ran, shown)
}

/// The same again from the recording: same output, exit 0, no connection.
fn round(env: &mut TestEnv, upstream: &FakeUpstream) -> (Ran, Value) {
    let (ran, shown) = record(env, &upstream.origin());
    let before = upstream.connections();
    for _ in 0..2 {
        let replayed = env.retake(["replay", "fault.1"]).expect(0);
        assert_eq!(replayed.out, ran.out, "{}", replayed.err);
    }
    assert_eq!(upstream.connections(), before, "a replay never dials out");
    (ran, shown)
}

/// The marks of the only step.
#[track_caller]
fn marked(shown: &Value, word: &str) {
    let steps = &shown["steps"];
    assert_eq!(steps.as_array().map(Vec::len), Some(1), "{shown:#}");
    assert!(steps.to_string().to_lowercase().contains(word), "no {word:?} in {shown:#}");
}

#[test]
fn refused() {
    let mut env = TestEnv::new();
    let (ran, shown) = record(&mut env, &FakeUpstream::refusing());
    assert!(ran.out.contains("RemoteDisconnected") || ran.out.contains("ConnectionReset"), "{}", ran.out);
    marked(&shown, "refused");
    let replayed = env.retake(["replay", "fault.1"]).expect(0);
    assert_eq!(replayed.out, ran.out);
}

#[test]
fn reset_before_the_head() {
    let upstream = FakeUpstream::always(Script::new(vec![Act::Reset]));
    let (ran, shown) = round(&mut TestEnv::new(), &upstream);
    assert!(ran.out.contains("RemoteDisconnected") || ran.out.contains("ConnectionReset"), "{}", ran.out);
    marked(&shown, "reset");
}

#[test]
fn reset_in_the_stream() {
    let gap = Act::Gap(Duration::from_millis(100));
    let acts = vec![Script::stream_head(), Act::Chunk(DELTA.into()), gap, Act::Reset];
    let upstream = FakeUpstream::always(Script::new(acts));
    let mut env = TestEnv::new();
    env.set("STREAM", "1");
    let (ran, shown) = round(&mut env, &upstream);
    assert!(ran.out.contains(&format!("broken off after {DELTA}")), "{}", ran.out);
    marked(&shown, "broke");
}

#[test]
fn rate_limit_then_an_answer() {
    let limit = Script::body(
        "429 Too Many Requests",
        &[("Content-Type", "application/json"), ("Retry-After", "2")],
        br#"{"error":{"message":"slow down","type":"rate_limit_error"}}"#,
    );
    let upstream = FakeUpstream::start(move |n, _| if n == 0 { limit.clone() } else { Script::json(GOOD) });
    let mut env = TestEnv::new();
    env.set("TRIES", "2");
    let (ran, shown) = round(&mut env, &upstream);
    assert!(ran.out.contains("status 429") && ran.out.contains("hi there"), "{}", ran.out);
    marked(&shown, "hi there");
    assert_eq!(shown["outline"]["lanes"][0]["turns"][0]["attempts"].as_array().map(Vec::len), Some(2));

    env.set("SAY", "1");
    let replayed = env.retake(command(&["replay", "fault.1"])).expect(0);
    assert!(replayed.out.contains("waited 0\n"), "{}", replayed.out);
}

#[test]
fn server_error() {
    let upstream = FakeUpstream::always(Script::body(
        "500 Internal Server Error",
        &[("Content-Type", "application/json"), ("X-Request-Id", "r1")],
        br#"{"error":{"message":"oops"}}"#,
    ));
    let (ran, shown) = round(&mut TestEnv::new(), &upstream);
    assert!(ran.out.contains("status 500 r1") && ran.out.contains("oops"), "{}", ran.out);
    marked(&shown, "500");
}

#[test]
fn half_json() {
    let upstream = FakeUpstream::always(Script::json(&GOOD[..60]));
    let (ran, shown) = round(&mut TestEnv::new(), &upstream);
    assert!(ran.out.contains(&GOOD[..60]), "{}", ran.out);
    marked(&shown, "error");
}

#[test]
fn too_long_a_content_length() {
    let fields = [("Content-Type", "application/json"), ("Content-Length", "5000")];
    let acts = vec![head("200 OK", &fields), Act::Raw(GOOD.into()), Act::Close];
    let upstream = FakeUpstream::always(Script::new(acts));
    let (ran, shown) = round(&mut TestEnv::new(), &upstream);
    assert!(ran.out.contains(&format!("broken off after {GOOD}")), "{}", ran.out);
    marked(&shown, "broke");
}

#[test]
fn a_stream_without_its_end_mark() {
    let upstream = FakeUpstream::always(Script::events(&[DELTA]));
    let mut env = TestEnv::new();
    env.set("STREAM", "1");
    let (ran, shown) = round(&mut env, &upstream);
    assert!(ran.out.contains("status 200") && ran.out.contains(DELTA), "{}", ran.out);
    marked(&shown, "cut off");
}

#[test]
fn a_hang_until_the_agent_gives_up() {
    let upstream = FakeUpstream::always(Script::new(vec![Act::HangUntilGone(Gate::new())]));
    let mut env = TestEnv::new();
    env.set("PATIENCE", "1.5");
    env.set("VAGUE", "1");
    let (ran, shown) = round(&mut env, &upstream);
    assert_eq!(ran.out, "no answer\n");
    marked(&shown, "gave up");

    // With another environment: the command in full, so that today's variables count.
    env.set("VAGUE", "");
    let timed = env.retake(command(&["replay", "fault.1", "--timing", "recorded"])).expect(0);
    assert_eq!(timed.out, "TimeoutError\n");
    env.set("PATIENCE", "600");
    let at_once = env.retake(command(&["replay", "fault.1"])).expect(0);
    assert_ne!(at_once.out, "TimeoutError\n", "a hang is ended at once");
}

#[test]
fn an_injected_fault_is_called_one() {
    let refund = crate::support::refund::Refund::recorded();
    for (fault, said) in
        [("timeout", "injected by retake: timeout"), ("cut:3", "injected by retake: cut after 3 events")]
    {
        refund.retake(&["fork", "refund.1", "--set", &format!("8:fault={fault}")]);
        let shown = refund.retake(&["show", "last", "8"]).expect(0).out;
        assert!(shown.contains(said), "{shown}");
        assert!(!shown.contains("cannot be read") && !shown.contains("as recorded"), "{shown}");
    }
}
