//! Too much of it: thousands of connections that say nothing, bodies that unpack to hundreds of megabytes, heads without
//! end.

use crate::attach::{Attached, echo, place};
use crate::invisible::recording;
use crate::support::agent::Agent;
use crate::support::raw::Raw;
use crate::support::soon;
use crate::support::tape::{MemoryTape, bytes_of};
use crate::support::upstream::{Act, FakeUpstream, Script};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;
use retake::exchange::encoding::MAX_DECODED;
use std::io::Write;
use std::net::TcpStream;

/// Connections to hold open: ten thousand, or what this machine allows.
fn many() -> usize {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, most, most).expect("it may be raised to its most");
    10_000.min(usize::try_from(most).unwrap_or(usize::MAX).saturating_sub(600))
}

/// Memory that a process has in use, in bytes.
fn resident(process: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a size");
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<usize>().ok()).expect("a number") << 10
}

/// As a test of its own, so that the reactor of the upstream is here.
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_idle_connections_leave_room_for_others_and_for_an_end_in_order() {
    let upstream = echo();
    let env = place(&upstream);
    let proxy = Attached::start(&env, &[]);
    assert_eq!(proxy.ask("/r/busy", "", "before"), 200);
    let (count, before) = (many(), resident(proxy.child.id()));
    let address = proxy.here();
    let address = address.trim_start_matches("http://");
    let mut idle = Vec::with_capacity(count);
    for number in 0..count {
        let mut stream = TcpStream::connect(address).unwrap_or_else(|e| panic!("connection {number}: {e}"));
        // Some have begun to say something.
        if number % 4 == 0 {
            stream.write_all(b"POST /r/idle/openai/v1/chat/comp").expect("it is read");
        }
        idle.push(stream);
    }
    // All of them have been accepted when a later one is answered.
    assert_eq!(proxy.ask("/r/busy", "", "beside them"), 200);
    let each = resident(proxy.child.id()).saturating_sub(before) / count;
    println!("{count} idle connections take {each} bytes each");
    assert!(each < 32 << 10, "{each} bytes for each of {count} connections");
    proxy.end(Signal::SIGTERM).expect(0);
    assert_eq!(env.listed(), ["busy.1"]);
}

/// So many zeros in a few kilobytes.
fn bomb(length: usize) -> Vec<u8> {
    let mut out = zstd::stream::write::Encoder::new(Vec::new(), 1).expect("an encoder");
    let zeros = vec![0; 1 << 20];
    for _ in 0..length >> 20 {
        out.write_all(&zeros).expect("memory");
    }
    out.finish().expect("memory")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bomb_goes_through_as_it_is_and_fills_no_memory() {
    let bomb = bomb(4 * MAX_DECODED);
    assert!(bomb.len() < 1 << 20);
    let fields = [("Content-Type", "application/json"), ("Content-Encoding", "zstd")];
    let upstream = FakeUpstream::always(Script::body("200 OK", &fields, &bomb));
    let env = place(&upstream);
    let proxy = Attached::start(&env, &[]);
    let mut raw = Raw::connect(&proxy.here()).expect("it listens");
    let head = format!(
        "POST /r/bomb/openai/v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Encoding: zstd\r\n\
         Content-Length: {}\r\n\r\n",
        bomb.len()
    );
    raw.send(head.as_bytes()).expect("sent");
    raw.send(&bomb).expect("sent");
    let head = raw.head().expect("a head");
    assert!(raw.body(&head, false).expect("a body") == bomb, "not the bytes that were sent");
    let used = resident(proxy.child.id());
    assert!(used < 3 * MAX_DECODED, "{} MB", used >> 20);
    proxy.end(Signal::SIGTERM).expect(0);
    assert!(upstream.received()[0].body == bomb, "not the bytes that were sent");
    env.retake(["show", "bomb.1"]).expect(0);
}

#[tokio::test]
async fn a_head_without_end_is_refused_and_disturbs_nobody() {
    let upstream = FakeUpstream::always(Script::json("{}"));
    let tape = MemoryTape::new();
    let proxy = recording(&upstream.origin(), &tape).await;
    let mut agent = Agent::connect(&proxy.origin()).await;
    agent.send(b"GET /up/v1/models HTTP/1.1\r\nX-Long: ").await;
    agent.send(&vec![b'a'; 200 << 10]).await;
    let (head, _) = soon("a refusal", agent.answer()).await.expect("an answer");
    assert_eq!(head.status, 431);
    let mut other = Agent::connect(&proxy.origin()).await;
    other.get("/up/v1/models").await;
    assert_eq!(soon("an answer", other.answer()).await.expect("an answer").0.status, 200);
}

#[tokio::test]
async fn an_upstream_whose_head_has_no_end_is_a_fault() {
    let line = format!("X-Long: {}\r\n", "a".repeat(8000));
    let mut acts = vec![Act::Raw(b"HTTP/1.1 200 OK\r\n".to_vec())];
    acts.extend((0..200).map(|_| Act::Raw(line.clone().into_bytes())));
    let upstream = FakeUpstream::always(Script::new(acts));
    let tape = MemoryTape::new();
    let proxy = recording(&upstream.origin(), &tape).await;
    let mut agent = Agent::connect(&proxy.origin()).await;
    agent.post("/up/v1/x", b"{}").await;
    let (said, _) = soon("the connection to end", agent.rest()).await;
    assert_eq!(said, b"");
    let seen = tape.response(1).await;
    assert!(seen.head.is_none() && seen.fault.is_some(), "{seen:?}");
}

#[tokio::test]
async fn an_event_of_many_megabytes_goes_through() {
    let event = [b"data: ".as_slice(), &vec![b'x'; 64 << 20], b"\n\n"].concat();
    let script = vec![
        Script::stream_head(),
        Act::Chunk(event.clone()),
        Act::Chunk(b"data: [DONE]\n\n".to_vec()),
        Act::Raw(b"0\r\n\r\n".to_vec()),
    ];
    let upstream = FakeUpstream::always(Script::new(script));
    let tape = MemoryTape::new();
    let proxy = recording(&upstream.origin(), &tape).await;
    let mut agent = Agent::connect(&proxy.origin()).await;
    agent.post("/up/v1/x", b"{}").await;
    let (_, body) = soon("an answer", agent.answer()).await.expect("an answer");
    assert!(body.starts_with(&event) && body.ends_with(b"[DONE]\n\n"), "{} bytes", body.len());
    assert!(bytes_of(&tape.response(1).await) == body);
}
