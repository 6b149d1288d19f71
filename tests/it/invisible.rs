//! The agent cannot tell that there is a proxy, and what it saw is on the tape.

use crate::support::agent::Agent;
use crate::support::soon;
use crate::support::tape::{MemoryTape, Told, bytes_of, sent_of};
use crate::support::upstream::{Act, FakeUpstream, Gate, Received, Script, head};
use retake::exchange::{BodyEnd, Source, Upstream};
use retake::proxy::{Proxy, ProxyConfig, Routes};
use std::sync::Arc;
use std::time::Duration;

/// A proxy that records what goes to `origin` under `/up`.
pub async fn recording(origin: &str, tape: &Arc<MemoryTape>) -> Proxy {
    let routes = Routes::to(vec![Upstream { provider: "up".into(), origin: origin.into() }]);
    let config = ProxyConfig {
        interception: None,
        routes,
        tape: Some(tape.clone()),
        answerer: None,
        attach: None,
        may_dial: true,
        terminal_markers: vec![b"data: [DONE]".to_vec(), b"event: message_stop".to_vec()],
        aws_key: None,
    };
    Proxy::start(config, 0).await.expect("a free port")
}

pub async fn set_up(upstream: &FakeUpstream) -> (Arc<MemoryTape>, Proxy, Agent) {
    let tape = MemoryTape::new();
    let proxy = recording(&upstream.origin(), &tape).await;
    let agent = Agent::connect(&proxy.origin()).await;
    (tape, proxy, agent)
}

#[tokio::test]
async fn a_body_with_a_content_length_is_recorded_whole() {
    let upstream = FakeUpstream::always(Script::json(r#"{"id":"chatcmpl-1","ok":true}"#));
    let (tape, proxy, mut agent) = set_up(&upstream).await;
    agent.post("/up/v1/chat/completions", br#"{"model":"m"}"#).await;
    let (head, body) = soon("an answer", agent.answer()).await.unwrap();
    assert_eq!((head.status, body.as_slice()), (200, &br#"{"id":"chatcmpl-1","ok":true}"#[..]));

    let told = tape.told();
    assert!(matches!(told.as_slice(), [Told::Request(_), Told::Response(_)]), "{told:?}");
    let (request, response) = (&tape.requests()[0], &tape.responses()[0]);
    assert_eq!((request.id, response.id), (retake::exchange::ExchangeId(1), request.id));
    assert_eq!(
        (request.head.method.as_str(), request.head.target.as_str()),
        ("POST", "/v1/chat/completions")
    );
    assert_eq!(sent_of(request), br#"{"model":"m"}"#);
    assert_eq!((&request.end, &response.end), (&BodyEnd::Complete, &BodyEnd::Complete));
    assert_eq!(bytes_of(response), body);
    assert_eq!(response.head.as_ref().unwrap().status, 200);
    assert_eq!(response.source, Source::Live);
    assert_eq!((proxy.exchanges(), proxy.dialed()), (1, 1));
}

#[tokio::test]
async fn a_client_that_hangs_up_at_the_end_mark_is_recorded_whole() {
    for mark in ["data: [DONE]\n\n", "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"] {
        let acts = vec![
            Script::stream_head(),
            Act::Chunk(b"data: {\"n\":1}\n\n".to_vec()),
            Act::Chunk(mark.into()),
            Act::HangUntilGone(Gate::new()),
        ];
        let upstream = FakeUpstream::always(Script::new(acts));
        let (tape, _proxy, mut agent) = set_up(&upstream).await;
        agent.post("/up/v1/x", b"{}").await;
        agent.head().await.unwrap();
        soon("the first event", agent.chunk()).await.unwrap();
        assert_eq!(soon("the end mark", agent.chunk()).await.unwrap(), mark.as_bytes());
        // The agent has its last byte: it must be on the tape by now, before anybody hangs up.
        let told = tape.responses();
        assert_eq!(told.len(), 1, "{mark}");
        assert_eq!(told[0].end, BodyEnd::Complete);
        assert_eq!(bytes_of(&told[0]), format!("data: {{\"n\":1}}\n\n{mark}").as_bytes());
        assert_eq!(told[0].frames.len(), 2);
        drop(agent);
    }
}

#[tokio::test]
async fn a_hang_up_at_the_end_mark_adds_nothing_to_the_tape() {
    let gone = Gate::new();
    let acts = vec![
        Script::stream_head(),
        Act::Chunk(b"data: [DONE]\n\n".to_vec()),
        Act::HangUntilGone(gone.clone()),
    ];
    let upstream = FakeUpstream::always(Script::new(acts));
    let (tape, proxy, mut agent) = set_up(&upstream).await;
    agent.post("/up/v1/x", b"{}").await;
    agent.head().await.unwrap();
    soon("the end mark", agent.chunk()).await.unwrap();
    drop(agent);
    soon("the upstream's connection to end", gone.pass()).await;
    proxy.stop(Duration::from_secs(60)).await;
    assert_eq!(tape.responses().len(), 1);
    assert_eq!(tape.responses()[0].end, BodyEnd::Complete);
}

#[tokio::test]
async fn the_first_frame_arrives_while_the_upstream_holds_the_second() {
    let gate = Gate::new();
    let acts = vec![
        Script::stream_head(),
        Act::Chunk(b"data: 1\n\n".to_vec()),
        Act::Hold(gate.clone()),
        Act::Chunk(b"data: 2\n\n".to_vec()),
        Act::Raw(b"0\r\n\r\n".to_vec()),
    ];
    let upstream = FakeUpstream::always(Script::new(acts));
    let (tape, _proxy, mut agent) = set_up(&upstream).await;
    agent.post("/up/v1/x", b"{}").await;
    agent.head().await.unwrap();
    assert_eq!(soon("the first frame", agent.chunk()).await.unwrap(), b"data: 1\n\n");
    assert!(tape.responses().is_empty());
    gate.release();
    assert_eq!(soon("the second frame", agent.chunk()).await.unwrap(), b"data: 2\n\n");
    assert!(soon("the end", agent.chunk()).await.unwrap().is_empty());
    let seen = &tape.responses()[0];
    assert_eq!(
        seen.frames.iter().map(|(b, _)| b.as_ref()).collect::<Vec<_>>(),
        [b"data: 1\n\n", b"data: 2\n\n"]
    );
    assert!(seen.frames[0].1 <= seen.frames[1].1 && seen.head_us <= seen.frames[0].1);
}

#[tokio::test]
async fn only_the_finishing_frame_waits_for_the_tape() {
    let upstream = FakeUpstream::start(|n, _| match n {
        0 => Script::json("{\"whole\":1}"),
        1 => Script::events(&["data: 1\n\n", "data: [DONE]\n\n", ": after\n\n"]),
        _ => Script::events(&["data: 1\n\n"]),
    });
    let tape = MemoryTape::held();
    let proxy = recording(&upstream.origin(), &tape).await;
    let mut agent = Agent::connect(&proxy.origin()).await;

    // With a content-length: its last byte.
    agent.get("/up/a").await;
    let head = soon("a head before anything is written", agent.head()).await.unwrap();
    tape.response(1).await;
    assert_eq!(agent.pending(), b"");
    tape.write();
    assert_eq!(soon("the body", agent.body(&head)).await.unwrap().0, b"{\"whole\":1}");

    // A stream with a terminal event: that one, and every frame after it.
    agent.get("/up/b").await;
    agent.head().await.unwrap();
    assert_eq!(soon("a frame in the middle", agent.chunk()).await.unwrap(), b"data: 1\n\n");
    assert_eq!(bytes_of(&tape.response(2).await), b"data: 1\n\ndata: [DONE]\n\n");
    assert_eq!(agent.pending(), b"");
    tape.write();
    assert_eq!(soon("the end mark", agent.chunk()).await.unwrap(), b"data: [DONE]\n\n");
    assert_eq!(bytes_of(&tape.response(3).await), b"data: 1\n\ndata: [DONE]\n\n: after\n\n");
    assert_eq!(agent.pending(), b"");
    tape.write();
    assert_eq!(soon("what follows", agent.chunk()).await.unwrap(), b": after\n\n");
    assert!(soon("the end", agent.chunk()).await.unwrap().is_empty());
    agent.exactly(2).await.unwrap();

    // A stream without one: its end.
    agent.get("/up/c").await;
    agent.head().await.unwrap();
    assert_eq!(soon("the only frame", agent.chunk()).await.unwrap(), b"data: 1\n\n");
    tape.response(4).await;
    assert_eq!(agent.pending(), b"");
    tape.write();
    assert!(soon("the end", agent.chunk()).await.unwrap().is_empty());
    assert_eq!(tape.responses().len(), 4);
}

#[tokio::test]
async fn an_answer_without_a_body_waits_as_a_whole() {
    let upstream = FakeUpstream::always(Script::new(vec![head("204 No Content", &[])]));
    let tape = MemoryTape::held();
    let proxy = recording(&upstream.origin(), &tape).await;
    let mut agent = Agent::connect(&proxy.origin()).await;
    agent.get("/up/a").await;
    assert_eq!(tape.response(1).await.end, BodyEnd::Complete);
    assert_eq!(agent.pending(), b"");
    tape.write();
    assert_eq!(soon("the head", agent.head()).await.unwrap().status, 204);
}

#[tokio::test]
async fn compressed_bodies_are_not_touched() {
    let packed: Vec<u8> = [0x1f, 0x8b, 8, 0].into_iter().chain((0..=255).cycle().take(5000)).collect();
    let body = packed.clone();
    let upstream =
        FakeUpstream::start(move |_, _| Script::body("200 OK", &[("Content-Encoding", "gzip")], &body));
    let (tape, _proxy, mut agent) = set_up(&upstream).await;
    let head = format!(
        "POST /up/x HTTP/1.1\r\nHost: h\r\nContent-Encoding: zstd\r\nContent-Length: {}\r\n\r\n",
        packed.len()
    );
    agent.send(head.as_bytes()).await;
    agent.send(&packed).await;
    let (head, body) = soon("an answer", agent.answer()).await.unwrap();
    assert_eq!(head.header("content-encoding"), Some("gzip"));
    assert_eq!(body, packed);
    assert_eq!(upstream.received()[0].body, packed);
    assert_eq!((sent_of(&tape.requests()[0]), bytes_of(&tape.responses()[0])), (packed.clone(), packed));
}

#[tokio::test]
async fn a_compressed_stream_ends_at_its_end() {
    // These bytes only look like an end mark: what they are is known after decoding.
    let fields =
        [("Content-Type", "text/event-stream"), ("Content-Encoding", "br"), ("Transfer-Encoding", "chunked")];
    let acts = vec![
        head("200 OK", &fields),
        Act::Chunk(b"data: [DONE]\n\n".to_vec()),
        Act::Chunk(b"more".to_vec()),
        Act::Raw(b"0\r\n\r\n".to_vec()),
    ];
    let upstream = FakeUpstream::always(Script::new(acts));
    let (tape, _proxy, mut agent) = set_up(&upstream).await;
    agent.get("/up/x").await;
    soon("an answer", agent.answer()).await.unwrap();
    assert_eq!(tape.responses().len(), 1);
}

#[tokio::test]
async fn a_request_of_20_mb_arrives_whole_and_with_its_length() {
    let upstream = FakeUpstream::always(Script::json("{}"));
    let (tape, _proxy, mut agent) = set_up(&upstream).await;
    let body: Vec<u8> = (0..20_000_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    agent.post("/up/v1/x", &body).await;
    soon("an answer", agent.answer()).await.unwrap();
    let received = upstream.received().remove(0);
    assert_eq!(received.header("content-length"), Some("20000000"));
    assert_eq!(received.header("transfer-encoding"), None);
    assert!(received.body == body && sent_of(&tape.requests()[0]) == body);
}

#[tokio::test]
async fn a_chunked_request_stays_chunked() {
    let upstream = FakeUpstream::always(Script::json("{}"));
    let (tape, _proxy, mut agent) = set_up(&upstream).await;
    agent.send(b"POST /up/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n").await;
    agent.send(b"2\r\nde\r\n0\r\n\r\n").await;
    soon("an answer", agent.answer()).await.unwrap();
    let received = upstream.received().remove(0);
    assert_eq!(
        (received.header("transfer-encoding"), received.header("content-length")),
        (Some("chunked"), None)
    );
    assert_eq!(
        (received.body.as_slice(), sent_of(&tape.requests()[0]).as_slice()),
        (&b"abcde"[..], &b"abcde"[..])
    );
}

#[tokio::test]
async fn a_request_goes_up_while_the_agent_still_sends_it() {
    let reached = Gate::new();
    let signal = reached.clone();
    let upstream = FakeUpstream::start(move |_, _| {
        Script::new(vec![Act::Reached(signal.clone()), Act::ReadBody, head("204 No Content", &[])])
    });
    let (_tape, _proxy, mut agent) = set_up(&upstream).await;
    agent.send(b"POST /up/x HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\nabc").await;
    soon("the head at the upstream before the body is whole", reached.pass()).await;
    agent.send(b"def").await;
    assert_eq!(soon("an answer", agent.head()).await.unwrap().status, 204);
    assert_eq!(upstream.received()[0].body, b"abcdef");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_streams_at_once_do_not_mix() {
    let gates: Arc<Vec<Gate>> = Arc::new((0..200).map(|_| Gate::new()).collect());
    let held = gates.clone();
    let upstream = FakeUpstream::start(move |_, request: &Received| {
        let number: usize = request.target.rsplit('/').next().unwrap().parse().unwrap();
        let event = |part: u32| Act::Chunk(format!("data: {number}.{part}\n\n").into_bytes());
        let acts = vec![
            Script::stream_head(),
            event(1),
            Act::Hold(held[number].clone()),
            Act::Gap(Duration::from_millis(1)),
            event(2),
            Act::Chunk(b"data: [DONE]\n\n".to_vec()),
            Act::Raw(b"0\r\n\r\n".to_vec()),
        ];
        Script::new(acts)
    });
    let tape = MemoryTape::new();
    let proxy = recording(&upstream.origin(), &tape).await;
    let mut agents = Vec::new();
    for number in 0..200 {
        let mut agent = Agent::connect(&proxy.origin()).await;
        agent.post(&format!("/up/{number}"), format!("{{\"n\":{number}}}").as_bytes()).await;
        agents.push(agent);
    }
    // All 200 have their first frame while all second ones are held back.
    for (number, agent) in agents.iter_mut().enumerate() {
        soon("a head", agent.head()).await.unwrap();
        assert_eq!(soon("a frame", agent.chunk()).await.unwrap(), format!("data: {number}.1\n\n").as_bytes());
    }
    gates.iter().rev().for_each(Gate::release);
    for (number, agent) in agents.iter_mut().enumerate() {
        assert_eq!(soon("a frame", agent.chunk()).await.unwrap(), format!("data: {number}.2\n\n").as_bytes());
        assert_eq!(soon("the mark", agent.chunk()).await.unwrap(), b"data: [DONE]\n\n");
    }
    let (requests, responses) = (tape.requests(), tape.responses());
    assert_eq!((requests.len(), proxy.exchanges()), (200, 200));
    for request in requests {
        let number = request.head.target.trim_start_matches('/');
        assert_eq!(sent_of(&request), format!("{{\"n\":{number}}}").as_bytes());
        let response = responses.iter().find(|r| r.id == request.id).unwrap();
        let want = format!("data: {number}.1\n\ndata: {number}.2\n\ndata: [DONE]\n\n");
        assert_eq!(bytes_of(response), want.as_bytes());
    }
}

#[tokio::test]
async fn a_request_waits_for_room_on_the_tape() {
    let upstream = FakeUpstream::always(Script::json("{}"));
    let room = Gate::new();
    let tape = MemoryTape::with_room(room.clone());
    let proxy = recording(&upstream.origin(), &tape).await;
    let mut agent = Agent::connect(&proxy.origin()).await;
    room.release();
    agent.post("/up/1", b"{}").await;
    soon("an answer", agent.answer()).await.unwrap();
    agent.post("/up/2", b"{}").await;
    let mut other = Agent::connect(&proxy.origin()).await;
    other.get("/nobody").await;
    soon("an answer to another", other.answer()).await.unwrap();
    assert_eq!(upstream.received().len(), 1);
    room.release();
    soon("an answer", agent.answer()).await.unwrap();
    assert_eq!(upstream.received().len(), 2);
}
