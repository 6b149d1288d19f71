//! Faults reach the agent as they are, and the tape.

use crate::invisible::recording;
use crate::support::agent::Agent;
use crate::support::soon;
use crate::support::tape::{MemoryTape, Told, bytes_of, sent_of};
use crate::support::upstream::{Act, FakeUpstream, Gate, Script, head};
use retake::exchange::{BodyEnd, Fault};
use retake::proxy::Proxy;
use std::sync::Arc;
use std::time::Duration;

async fn set_up(origin: &str) -> (Arc<MemoryTape>, Proxy, Agent) {
    let tape = MemoryTape::new();
    let proxy = recording(origin, &tape).await;
    let agent = Agent::connect(&proxy.origin()).await;
    (tape, proxy, agent)
}

async fn faulted(acts: Vec<Act>) -> (Vec<u8>, Arc<MemoryTape>) {
    let upstream = FakeUpstream::always(Script::new(acts));
    let (tape, _proxy, mut agent) = set_up(&upstream.origin()).await;
    agent.post("/up/v1/x", b"{\"q\":1}").await;
    let (bytes, _) = soon("the connection to end", agent.rest()).await;
    assert_eq!(sent_of(&tape.requests()[0]), b"{\"q\":1}");
    assert_eq!(tape.told().len(), 2, "{:?}", tape.told());
    (bytes, tape)
}

#[tokio::test]
async fn an_upstream_that_refuses_is_a_connection_closed_without_an_answer() {
    let (tape, proxy, mut agent) = set_up(&FakeUpstream::refusing()).await;
    agent.post("/up/v1/x", b"{\"q\":1}").await;
    assert_eq!(soon("the connection to end", agent.rest()).await.0, b"");
    let seen = tape.response(1).await;
    assert!(
        matches!(&seen.fault, Some(Fault::Connect { what }) if what.contains("refused")),
        "{:?}",
        seen.fault
    );
    assert_eq!((seen.head, seen.frames.len()), (None, 0));
    assert!(matches!(tape.told().as_slice(), [Told::Request(_), Told::Response(_)]));
    assert_eq!((proxy.exchanges(), proxy.dialed()), (1, 0));
}

#[tokio::test]
async fn an_upstream_that_goes_away_before_its_head_is_a_reset() {
    for act in [Act::Reset, Act::Close] {
        let (bytes, tape) = faulted(vec![act]).await;
        assert_eq!(bytes, b"");
        let seen = &tape.responses()[0];
        assert!(matches!(&seen.fault, Some(Fault::Reset { what }) if !what.is_empty()), "{:?}", seen.fault);
    }
}

#[tokio::test]
async fn half_a_head_is_a_reset() {
    let (bytes, tape) = faulted(vec![Act::Raw(b"HTTP/1.1 200 OK\r\nContent-Ty".to_vec()), Act::Close]).await;
    assert_eq!(bytes, b"");
    assert!(matches!(tape.responses()[0].fault, Some(Fault::Reset { .. })));
}

#[tokio::test]
async fn a_stream_that_is_reset_breaks_off_after_the_same_bytes() {
    let gate = Gate::new();
    let acts =
        vec![Script::stream_head(), Act::Chunk(b"data: 1\n\n".to_vec()), Act::Hold(gate.clone()), Act::Reset];
    let upstream = FakeUpstream::always(Script::new(acts));
    let (tape, _proxy, mut agent) = set_up(&upstream.origin()).await;
    agent.post("/up/v1/x", b"{}").await;
    agent.head().await.unwrap();
    assert_eq!(soon("a frame", agent.chunk()).await.unwrap(), b"data: 1\n\n");
    gate.release();
    let (rest, _) = soon("the connection to end", agent.rest()).await;
    assert_eq!(rest, b"", "no last chunk: the agent must see that something is missing");
    let seen = &tape.responses()[0];
    assert!(matches!(&seen.end, BodyEnd::Error { what } if !what.is_empty()), "{:?}", seen.end);
    assert_eq!((bytes_of(seen).as_slice(), seen.fault.as_ref()), (&b"data: 1\n\n"[..], None));
}

#[tokio::test]
async fn a_stream_that_is_cut_without_its_last_chunk_breaks_off() {
    let (bytes, tape) =
        faulted(vec![Script::stream_head(), Act::Chunk(b"data: 1\n\n".to_vec()), Act::Close]).await;
    assert!(bytes.ends_with(b"data: 1\n\n\r\n"), "{}", String::from_utf8_lossy(&bytes));
    assert!(matches!(tape.responses()[0].end, BodyEnd::Error { .. }));
}

#[tokio::test]
async fn a_wrong_content_length_is_the_same_bytes_and_then_a_break() {
    let acts =
        vec![head("200 OK", &[("Content-Length", "100")]), Act::Raw(b"only this".to_vec()), Act::Close];
    let (bytes, tape) = faulted(acts).await;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    assert!(text.contains("Content-Length: 100\r\n") && text.ends_with("\r\n\r\nonly this"), "{text}");
    let seen = &tape.responses()[0];
    assert!(matches!(seen.end, BodyEnd::Error { .. }));
    assert_eq!(bytes_of(seen), b"only this");
    assert_eq!(seen.head.as_ref().unwrap().headers.get("content-length"), Some("100"));
}

#[tokio::test]
async fn errors_and_broken_json_are_answers_like_any_other() {
    let cases = [
        ("429 Too Many Requests", vec![("Retry-After", "1")], "{\"error\":{}}"),
        ("500 Internal Server Error", vec![], "oops"),
        ("200 OK", vec![("Content-Type", "application/json")], "{\"choices\":[{\"mess"),
    ];
    for (status, fields, text) in cases {
        let upstream = FakeUpstream::always(Script::body(status, &fields, text.as_bytes()));
        let (tape, _proxy, mut agent) = set_up(&upstream.origin()).await;
        agent.post("/up/v1/x", b"{}").await;
        let (head, body) = soon("an answer", agent.answer()).await.unwrap();
        assert_eq!((body.as_slice(), head.status.to_string().as_str()), (text.as_bytes(), &status[..3]));
        for (name, value) in fields {
            assert_eq!(head.header(name), Some(value));
        }
        assert_eq!(tape.responses()[0].end, BodyEnd::Complete);
        assert_eq!(bytes_of(&tape.responses()[0]), text.as_bytes());
    }
}

#[tokio::test]
async fn a_stream_without_its_terminal_event_is_whole_on_the_wire() {
    let upstream = FakeUpstream::always(Script::events(&["data: 1\n\n"]));
    let (tape, _proxy, mut agent) = set_up(&upstream.origin()).await;
    agent.post("/up/v1/x", b"{}").await;
    assert_eq!(soon("an answer", agent.answer()).await.unwrap().1, b"data: 1\n\n");
    assert_eq!(tape.responses()[0].end, BodyEnd::Complete);
}

#[tokio::test]
async fn an_agent_that_gives_up_waiting_is_noted_and_the_upstream_let_go() {
    let (reached, gone) = (Gate::new(), Gate::new());
    let script = Script::new(vec![Act::Reached(reached.clone()), Act::HangUntilGone(gone.clone())]);
    let upstream = FakeUpstream::always(script);
    let (tape, _proxy, mut agent) = set_up(&upstream.origin()).await;
    agent.post("/up/v1/x", b"{\"q\":1}").await;
    soon("the request to arrive", reached.pass()).await;
    drop(agent);
    soon("the upstream's connection to end", gone.pass()).await;
    let seen = tape.response(1).await;
    assert_eq!((seen.fault, seen.head), (Some(Fault::Abandoned), None));
    assert_eq!(tape.requests()[0].end, BodyEnd::Complete);
}

#[tokio::test]
async fn an_agent_that_gives_up_a_stream_is_noted_and_the_upstream_let_go() {
    let gone = Gate::new();
    let acts =
        vec![Script::stream_head(), Act::Chunk(b"data: 1\n\n".to_vec()), Act::HangUntilGone(gone.clone())];
    let upstream = FakeUpstream::always(Script::new(acts));
    let (tape, _proxy, mut agent) = set_up(&upstream.origin()).await;
    agent.post("/up/v1/x", b"{}").await;
    agent.head().await.unwrap();
    soon("a frame", agent.chunk()).await.unwrap();
    drop(agent);
    soon("the upstream's connection to end", gone.pass()).await;
    let seen = tape.response(1).await;
    assert_eq!((&seen.end, bytes_of(&seen).as_slice()), (&BodyEnd::Cancelled, &b"data: 1\n\n"[..]));
}

#[tokio::test]
async fn an_agent_that_breaks_off_its_request_is_noted() {
    let reached = Gate::new();
    let script = Script::new(vec![Act::Reached(reached.clone()), Act::ReadBody]);
    let upstream = FakeUpstream::always(script);
    let (tape, _proxy, mut agent) = set_up(&upstream.origin()).await;
    agent.send(b"POST /up/x HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nhalf").await;
    soon("the head to arrive", reached.pass()).await;
    drop(agent);
    let seen = tape.response(1).await;
    assert_eq!(seen.fault, Some(Fault::Abandoned));
    let request = &tape.requests()[0];
    assert!(!request.end.is_whole(), "{:?}", request.end);
    assert_eq!(sent_of(request), b"half");
    assert!(matches!(tape.told()[0], Told::Request(_)));
}

#[tokio::test]
async fn an_upstream_that_answers_early_still_comes_after_its_request() {
    let acts = vec![
        head("413 Too Large", &[("Content-Length", "3"), ("Connection", "close")]),
        Act::Raw(b"big".to_vec()),
        Act::HangUntilGone(Gate::new()),
        Act::ReadBody,
    ];
    let upstream = FakeUpstream::always(Script::new(acts));
    let (tape, _proxy, mut agent) = set_up(&upstream.origin()).await;
    agent.send(b"POST /up/x HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nhalf").await;
    let (head, body) = soon("an answer", agent.answer()).await.unwrap();
    assert_eq!((head.status, body.as_slice()), (413, &b"big"[..]));
    assert!(matches!(tape.told().as_slice(), [Told::Request(_), Told::Response(_)]), "{:?}", tape.told());
    assert_eq!(tape.requests()[0].end, BodyEnd::Cancelled);
}

#[tokio::test]
async fn stopping_waits_for_what_is_under_way_then_breaks_it_off() {
    let (reached, gate) = (Gate::new(), Gate::new());
    let (signal, held) = (reached.clone(), gate.clone());
    let upstream = FakeUpstream::start(move |_, request| {
        if request.target == "/ends" {
            let acts = vec![
                Script::stream_head(),
                Act::Chunk(b"1".to_vec()),
                Act::Hold(held.clone()),
                Act::Raw(b"0\r\n\r\n".to_vec()),
            ];
            Script::new(acts)
        } else {
            Script::new(vec![Act::Reached(signal.clone()), Act::HangUntilGone(Gate::new())])
        }
    });
    // In order: the stream is let go only after the stop began.
    let (tape, proxy, mut agent) = set_up(&upstream.origin()).await;
    let idle = Agent::connect(&proxy.origin()).await;
    agent.get("/up/ends").await;
    agent.head().await.unwrap();
    agent.chunk().await.unwrap();
    let stopping = tokio::spawn(proxy.stop(Duration::from_secs(600)));
    gate.release();
    assert!(soon("the end", agent.chunk()).await.unwrap().is_empty());
    soon("the proxy to stop", stopping).await.unwrap();
    assert_eq!(tape.responses()[0].end, BodyEnd::Complete);
    drop(idle);

    // Without grace: recorded as far as it got.
    let (tape, proxy, mut agent) = set_up(&upstream.origin()).await;
    agent.get("/up/hangs").await;
    soon("the request to arrive", reached.pass()).await;
    soon("the proxy to stop", proxy.stop(Duration::ZERO)).await;
    assert_eq!(tape.responses()[0].fault, Some(Fault::Interrupted));
    assert_eq!(soon("the connection to end", agent.rest()).await.0, b"");
}
