//! Those who take their time, on either side: a head that comes byte by byte, a handshake that never ends, an answer that
//! trickles. They hold up nobody else, and no end.

use crate::invisible::recording;
use crate::support::agent::Agent;
use crate::support::soon;
use crate::support::tape::{MemoryTape, bytes_of};
use crate::support::upstream::{Act, FakeUpstream, Script};
use retake::exchange::BodyEnd;
use std::time::Duration;

/// Says something byte by byte for as long as somebody listens.
async fn dribble(origin: String, beginning: &'static [u8]) {
    use tokio::io::AsyncWriteExt;
    let address = origin.trim_start_matches("http://");
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("it listens");
    stream.write_all(beginning).await.expect("it reads");
    while stream.write_all(b"a").await.is_ok() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn agents_that_dribble_hold_up_neither_others_nor_the_end() {
    let upstream = FakeUpstream::always(Script::json("{\"ok\":true}"));
    let tape = MemoryTape::new();
    let proxy = recording(&upstream.origin(), &tape).await;
    let slow: Vec<_> = [
        &b"P"[..],
        b"POST /up/v1/",
        b"POST /up/v1/x HTTP/1.1\r\nHost: x\r\nX-A: ",
        b"POST /up/v1/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0000",
        b"POST /up/v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n",
    ]
    .into_iter()
    .flat_map(|beginning| [beginning; 5])
    .map(|beginning| tokio::spawn(dribble(proxy.origin(), beginning)))
    .collect();
    for _ in 0..20 {
        let mut agent = Agent::connect(&proxy.origin()).await;
        agent.post("/up/v1/x", b"{}").await;
        let (head, body) = soon("an answer", agent.answer()).await.expect("an answer");
        assert_eq!((head.status, body.as_slice()), (200, &b"{\"ok\":true}"[..]));
    }
    soon("the end", proxy.stop(Duration::from_millis(300))).await;
    for one in slow {
        soon("the connection to be closed", one).await.expect("no panic");
    }
}

#[tokio::test]
async fn an_upstream_that_trickles_holds_up_nobody_else_and_is_recorded_as_it_came() {
    let upstream = FakeUpstream::start(|_, received| {
        if received.target.ends_with("/quick") {
            return Script::json("{}");
        }
        let mut acts = Vec::new();
        let text = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 26\r\n\r\n";
        for byte in format!("{text}data: slow\n\ndata: [DONE]\n\n").into_bytes() {
            acts.extend([Act::Raw(vec![byte]), Act::Gap(Duration::from_millis(2))]);
        }
        Script::new(acts)
    });
    let tape = MemoryTape::new();
    let proxy = recording(&upstream.origin(), &tape).await;
    let mut slow = Agent::connect(&proxy.origin()).await;
    slow.post("/up/v1/slow", b"{}").await;
    for _ in 0..5 {
        let mut agent = Agent::connect(&proxy.origin()).await;
        agent.post("/up/v1/quick", b"{}").await;
        assert_eq!(soon("an answer", agent.answer()).await.expect("an answer").1, b"{}");
    }
    let (_, body) = soon("the slow answer", slow.answer()).await.expect("an answer");
    assert_eq!(body, b"data: slow\n\ndata: [DONE]\n\n");
    soon("the last response", tape.response(6)).await;
    let seen = tape.responses().into_iter().find(|seen| bytes_of(seen) == body).expect("it is recorded");
    assert_eq!(seen.end, BodyEnd::Complete);
}

#[tokio::test]
async fn an_upstream_that_never_ends_does_not_keep_the_proxy_from_ending() {
    let upstream = FakeUpstream::always(Script::new(
        std::iter::once(Script::stream_head())
            .chain(
                (0..5000).flat_map(|_| [Act::Chunk(b": \n".to_vec()), Act::Gap(Duration::from_millis(20))]),
            )
            .collect(),
    ));
    let tape = MemoryTape::new();
    let proxy = recording(&upstream.origin(), &tape).await;
    let mut agent = Agent::connect(&proxy.origin()).await;
    agent.post("/up/v1/x", b"{}").await;
    soon("a frame", agent.head()).await.expect("a head");
    assert_eq!(soon("a frame", agent.chunk()).await.expect("a chunk"), b": \n");
    soon("the end", proxy.stop(Duration::from_millis(100))).await;
    let seen = tape.response(1).await;
    assert!(!seen.end.is_whole(), "{:?}", seen.end);
    assert!(bytes_of(&seen).starts_with(b": \n"));
}
