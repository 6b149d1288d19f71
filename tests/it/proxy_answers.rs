//! Answers that are decided by somebody else than the upstream.

use crate::support::agent::Agent;
use crate::support::soon;
use crate::support::tape::{MemoryTape, Told, bytes_of, sent_of};
use crate::support::upstream::{Act, FakeUpstream, Gate, Script};
use bytes::Bytes;
use retake::exchange::{BodyEnd, ExchangeId, Fault, HeaderList, ResponseHead, Source, Upstream};
use retake::proxy::{
    Answer, Answerer, Asked, BoxFuture, Canned, CannedEnd, Proxy, ProxyConfig, Routes, SeenResponse, Tape,
};
use std::sync::{Arc, Mutex};
use std::time::Duration;

type Decide = dyn Fn(&Asked) -> Answer + Send + Sync;

struct Scripted {
    decide: Box<Decide>,
    /// Passed before an answer is given, if there is one.
    gate: Option<Gate>,
    notes: Mutex<Vec<String>>,
    delivered: Gate,
    asked: Gate,
}

impl Scripted {
    fn new(decide: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Arc<Scripted> {
        Scripted::behind(None, decide)
    }

    fn behind(
        gate: Option<Gate>,
        decide: impl Fn(&Asked) -> Answer + Send + Sync + 'static,
    ) -> Arc<Scripted> {
        let notes = Mutex::new(Vec::new());
        Arc::new(Scripted {
            decide: Box::new(decide),
            gate,
            notes,
            delivered: Gate::new(),
            asked: Gate::new(),
        })
    }

    fn note(&self, text: String) {
        self.notes.lock().unwrap().push(text);
    }

    fn notes(&self) -> Vec<String> {
        self.notes.lock().unwrap().clone()
    }
}

impl Answerer for Scripted {
    fn inspect(&self, _seen: &SeenResponse) -> Option<Canned> {
        None
    }

    fn answer(&self, asked: Asked) -> BoxFuture<'_, Answer> {
        self.note(format!(
            "{} {} {} {}",
            asked.id,
            asked.head.method,
            asked.head.target,
            String::from_utf8_lossy(&asked.body)
        ));
        self.asked.release();
        Box::pin(async move {
            if let Some(gate) = &self.gate {
                gate.pass().await;
            }
            (self.decide)(&asked)
        })
    }
    fn delivered(&self, id: ExchangeId) {
        self.note(format!("{id} delivered"));
        self.delivered.release();
    }
    fn answered(&self, seen: &SeenResponse) {
        self.note(format!("{} answered {:?} {:?}", seen.id, seen.end, seen.fault.is_some()));
    }
}

async fn set_up(
    answerer: &Arc<Scripted>,
    origin: &str,
    tape: Option<Arc<MemoryTape>>,
    may_dial: bool,
) -> (Proxy, Agent) {
    let config = ProxyConfig {
        interception: None,
        routes: Routes::to(vec![Upstream { provider: "up".into(), origin: origin.into() }]),
        tape: tape.map(|tape| tape as Arc<dyn Tape>),
        answerer: Some(answerer.clone()),
        attach: None,
        may_dial,
        terminal_markers: vec![b"data: [DONE]".to_vec()],
        aws_key: None,
    };
    let proxy = Proxy::start(config, 0).await.unwrap();
    let agent = Agent::connect(&proxy.origin()).await;
    (proxy, agent)
}

fn recorded() -> Source {
    Source::Recorded { run: "r.1".into(), exchange: ExchangeId(7) }
}

fn canned(fields: &[(&str, &str)], frames: &[&str], end: CannedEnd) -> Canned {
    let headers = HeaderList(fields.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect());
    Canned {
        source: recorded(),
        head: ResponseHead { status: 200, headers },
        frames: frames
            .iter()
            .map(|f| (Duration::from_millis(1), Bytes::copy_from_slice(f.as_bytes())))
            .collect(),
        end,
    }
}

#[tokio::test]
async fn a_canned_answer_is_served_and_taped_without_an_upstream() {
    let upstream = FakeUpstream::always(Script::json("{}"));
    let answerer = Scripted::new(|_| {
        let fields = [
            ("X-Request-ID", "req_1"),
            ("Transfer-Encoding", "chunked"),
            ("content-type", "text/event-stream"),
        ];
        Answer::Serve(canned(&fields, &["data: 1\n\n", "data: [DONE]\n\n"], CannedEnd::Complete))
    });
    let tape = MemoryTape::new();
    let (proxy, mut agent) = set_up(&answerer, &upstream.origin(), Some(tape.clone()), false).await;
    for id in 1..=2 {
        agent.post("/up/v1/x?y", b"{\"q\":1}").await;
        let head = soon("a head", agent.head()).await.unwrap();
        let names: Vec<&str> = head.headers.iter().map(|(n, _)| n.as_str()).collect();
        assert_eq!(names, ["X-Request-ID", "content-type", "Transfer-Encoding"]);
        assert_eq!(soon("a frame", agent.chunk()).await.unwrap(), b"data: 1\n\n");
        assert_eq!(soon("a frame", agent.chunk()).await.unwrap(), b"data: [DONE]\n\n");
        assert!(soon("the end", agent.chunk()).await.unwrap().is_empty());
        agent.exactly(2).await.unwrap();
        soon("the delivery", answerer.delivered.pass()).await;
        let seen = &tape.responses()[id - 1];
        assert_eq!((&seen.source, &seen.end), (&recorded(), &BodyEnd::Complete));
        assert_eq!(bytes_of(seen), b"data: 1\n\ndata: [DONE]\n\n");
        assert_eq!(sent_of(&tape.requests()[id - 1]), b"{\"q\":1}");
    }
    let want = ["x1 POST /v1/x?y {\"q\":1}", "x1 delivered", "x2 POST /v1/x?y {\"q\":1}", "x2 delivered"];
    assert_eq!(answerer.notes(), want);
    assert_eq!((upstream.connections(), proxy.dialed(), proxy.exchanges()), (0, 0, 2));
}

#[tokio::test]
async fn canned_answers_end_as_they_are_meant_to() {
    let trailers = HeaderList(vec![("x-sum".into(), "4".into())]);
    let long = [("content-length", "100")];
    let cases = [
        (canned(&[("content-length", "9")], &["ab", "cd"], CannedEnd::Complete), "abcd", true),
        (canned(&[("content-length", "0")], &[], CannedEnd::Complete), "", true),
        (canned(&long, &["ab", "cd"], CannedEnd::Broken), "abcd", false),
        (canned(&long, &[], CannedEnd::Broken), "", false),
        (canned(&[("trailer", "x-sum")], &["ab"], CannedEnd::Trailers(trailers)), "ab", true),
        (canned(&[], &[], CannedEnd::Complete), "", true),
    ];
    for (canned, text, whole) in cases {
        let answer = canned.clone();
        let answerer = Scripted::new(move |_| Answer::Serve(answer.clone()));
        let tape = MemoryTape::new();
        let (_proxy, mut agent) = set_up(&answerer, "http://h", Some(tape.clone()), false).await;
        agent.get("/up/x").await;
        if whole {
            assert_eq!(soon("an answer", agent.answer()).await.unwrap().1, text.as_bytes(), "{canned:?}");
        } else {
            let head = soon("a head", agent.head()).await.unwrap();
            assert_eq!(head.header("content-length"), Some("100"));
            assert_eq!(soon("a break", agent.rest()).await.0, text.as_bytes(), "{canned:?}");
        }
        soon("the delivery", answerer.delivered.pass()).await;
        assert_eq!(bytes_of(&tape.response(1).await), text.as_bytes());
        assert_eq!(tape.responses()[0].end.is_whole(), whole);
    }
}

#[tokio::test]
async fn a_recorded_fault_closes_the_connection() {
    let fault = Fault::Reset { what: "as recorded".into() };
    let answer = fault.clone();
    let answerer = Scripted::new(move |_| Answer::Close(recorded(), answer.clone()));
    let tape = MemoryTape::new();
    let (_proxy, mut agent) = set_up(&answerer, "http://h", Some(tape.clone()), false).await;
    agent.post("/up/x", b"{}").await;
    assert_eq!(soon("the connection to end", agent.rest()).await.0, b"");
    soon("the delivery", answerer.delivered.pass()).await;
    let seen = tape.response(1).await;
    assert_eq!((seen.fault, seen.source), (Some(fault), recorded()));
}

#[tokio::test]
async fn a_forwarded_request_can_carry_another_body() {
    let upstream = FakeUpstream::always(Script::json("{\"live\":1}"));
    let answerer = Scripted::new(|asked| Answer::Forward {
        body: (asked.head.target == "/other").then(|| Bytes::from_static(b"{\"edited\":true}")),
        target: None,
        upstream: None,
        fields: HeaderList::default(),
        hold: false,
    });
    let tape = MemoryTape::new();
    let (proxy, mut agent) = set_up(&answerer, &upstream.origin(), Some(tape.clone()), true).await;
    for target in ["other", "same"] {
        let head = format!(
            "POST /up/{target} HTTP/1.1\r\nHost: h\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\nX-Last: 1\r\n\r\nzip!"
        );
        agent.send(head.as_bytes()).await;
        assert_eq!(soon("an answer", agent.answer()).await.unwrap().1, b"{\"live\":1}");
        soon("the delivery", answerer.delivered.pass()).await;
    }
    let received = upstream.received();
    let names = |n: usize| received[n].headers.iter().map(|(n, _)| n.as_str()).collect::<Vec<_>>();
    assert_eq!(received[0].body, b"{\"edited\":true}");
    assert_eq!(names(0), ["Host", "Content-Length", "X-Last"]);
    assert_eq!(received[0].header("content-length"), Some("15"));
    assert_eq!(received[1].body, b"zip!");
    assert_eq!(names(1), ["Host", "Content-Encoding", "Content-Length", "X-Last"]);
    let requests = tape.requests();
    assert_eq!(requests[0].sent.as_deref(), Some(&b"{\"edited\":true}"[..]));
    assert_eq!((sent_of(&requests[0]).as_slice(), &requests[1].sent), (&b"zip!"[..], &None));
    assert_eq!(tape.responses()[0].source, Source::Live);
    let want = ["x1 POST /other zip!", "x1 answered Complete false", "x1 delivered"];
    assert_eq!(answerer.notes()[..3], want);
    assert_eq!((proxy.dialed(), proxy.exchanges()), (1, 2));
}

#[tokio::test]
async fn a_forwarded_request_can_go_elsewhere() {
    let upstream = FakeUpstream::always(Script::json("{}"));
    let other = Upstream { provider: "up".into(), origin: upstream.origin() };
    let elsewhere = other.clone();
    let answerer = Scripted::new(move |_| Answer::Forward {
        body: None,
        target: None,
        upstream: Some(elsewhere.clone()),
        fields: HeaderList::default(),
        hold: false,
    });
    let tape = MemoryTape::new();
    let (_proxy, mut agent) = set_up(&answerer, "http://127.0.0.1:1", Some(tape.clone()), true).await;
    agent.get("/up/x").await;
    assert_eq!(soon("an answer", agent.answer()).await.unwrap().0.status, 200);
    assert_eq!(tape.requests()[0].upstream, other);
}

#[tokio::test]
async fn an_answer_is_heard_of_once_and_before_the_agent_has_its_end() {
    let acts = vec![
        Script::stream_head(),
        Act::Chunk(b"data: 1\n\n".to_vec()),
        Act::Chunk(b"data: [DONE]\n\n".to_vec()),
        Act::Chunk(b": more\n\n".to_vec()),
        Act::Raw(b"0\r\n\r\n".to_vec()),
    ];
    let upstream = FakeUpstream::always(Script::new(acts));
    let answerer = Scripted::new(|_| Answer::Forward {
        body: None,
        target: None,
        upstream: None,
        fields: HeaderList::default(),
        hold: false,
    });
    // No tape: what is heard does not hang on it.
    let (_proxy, mut agent) = set_up(&answerer, &upstream.origin(), None, true).await;
    agent.get("/up/x").await;
    agent.head().await.unwrap();
    while agent.chunk().await.unwrap() != b"data: [DONE]\n\n" {}
    assert_eq!(answerer.notes()[1..2], ["x1 answered Complete false"]);
    while !agent.chunk().await.unwrap().is_empty() {}
    soon("the delivery", answerer.delivered.pass()).await;
    assert_eq!(answerer.notes().len(), 3, "{:?}", answerer.notes());
}

#[tokio::test]
async fn what_may_not_be_sent_is_refused_and_counted() {
    let upstream = FakeUpstream::always(Script::json("{}"));
    let answerer = Scripted::new(|_| Answer::Forward {
        body: None,
        target: None,
        upstream: None,
        fields: HeaderList::default(),
        hold: false,
    });
    let tape = MemoryTape::new();
    let (proxy, mut agent) = set_up(&answerer, &upstream.origin(), Some(tape.clone()), false).await;
    agent.post("/up/x", b"{}").await;
    let (head, body) = soon("an answer", agent.answer()).await.unwrap();
    assert_eq!((head.status, head.header("x-should-retry")), (500, Some("false")));
    assert!(String::from_utf8_lossy(&body).contains("answers from the recording alone"));
    assert_eq!((upstream.connections(), proxy.dialed(), proxy.exchanges()), (0, 0, 1));
    assert_eq!(tape.responses()[0].source, Source::Refused);
}

#[tokio::test]
async fn an_agent_that_gives_up_is_delivered_once_and_taped() {
    let answerer = Scripted::behind(Some(Gate::new()), |_| Answer::Forward {
        body: None,
        target: None,
        upstream: None,
        fields: HeaderList::default(),
        hold: false,
    });
    let tape = MemoryTape::new();
    let (_proxy, mut agent) = set_up(&answerer, "http://h", Some(tape.clone()), true).await;
    agent.post("/up/x", b"{\"q\":1}").await;
    soon("the question", answerer.asked.pass()).await;
    drop(agent);
    soon("the delivery", answerer.delivered.pass()).await;
    assert_eq!(tape.response(1).await.fault, Some(Fault::Abandoned));
    let told = tape.told();
    assert!(
        matches!(&told[0], Told::Request(seen) if seen.end == BodyEnd::Complete && sent_of(seen) == b"{\"q\":1}")
    );
    assert_eq!(told.len(), 2);

    // In the middle of a forwarded stream: heard of as cut off.
    let gone = Gate::new();
    let acts =
        vec![Script::stream_head(), Act::Chunk(b"data: 1\n\n".to_vec()), Act::HangUntilGone(gone.clone())];
    let upstream = FakeUpstream::always(Script::new(acts));
    let answerer = Scripted::new(|_| Answer::Forward {
        body: None,
        target: None,
        upstream: None,
        fields: HeaderList::default(),
        hold: false,
    });
    let (_proxy, mut agent) = set_up(&answerer, &upstream.origin(), Some(MemoryTape::new()), true).await;
    agent.get("/up/x").await;
    agent.head().await.unwrap();
    agent.chunk().await.unwrap();
    drop(agent);
    soon("the delivery", answerer.delivered.pass()).await;
    soon("the upstream's connection to end", gone.pass()).await;
    assert_eq!(answerer.notes()[1..], ["x1 answered Cancelled false", "x1 delivered"]);
}

#[tokio::test]
async fn a_live_fault_is_heard_of() {
    let answerer = Scripted::new(|_| Answer::Forward {
        body: None,
        target: None,
        upstream: None,
        fields: HeaderList::default(),
        hold: false,
    });
    let (_proxy, mut agent) = set_up(&answerer, &FakeUpstream::refusing(), None, true).await;
    agent.post("/up/x", b"{}").await;
    assert_eq!(soon("the connection to end", agent.rest()).await.0, b"");
    soon("the delivery", answerer.delivered.pass()).await;
    assert_eq!(answerer.notes()[1..], ["x1 answered Complete true", "x1 delivered"]);
}

#[tokio::test]
async fn a_delivery_waits_until_a_slow_agent_has_taken_the_bytes() {
    let big = "x".repeat(32 << 20);
    let length = big.len().to_string();
    let answerer = Scripted::new(move |_| {
        Answer::Serve(canned(&[("content-length", &length)], &[&big], CannedEnd::Complete))
    });
    let tape = MemoryTape::held();
    let (_proxy, mut agent) = set_up(&answerer, "http://h", Some(tape.clone()), false).await;
    agent.get("/up/x").await;
    tape.response(1).await;
    tape.write();
    let head = soon("a head", agent.head()).await.unwrap();
    assert_eq!(answerer.notes().len(), 1, "most of it cannot have been taken yet");
    assert_eq!(soon("the body", agent.body(&head)).await.unwrap().0.len(), 32 << 20);
    soon("the delivery", answerer.delivered.pass()).await;
}
