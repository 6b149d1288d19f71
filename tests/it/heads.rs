//! What stands in the heads of messages, and where they go.

use crate::invisible::set_up;
use crate::support::agent::Agent;
use crate::support::soon;
use crate::support::upstream::{Act, FakeUpstream, Script, head};
use retake::exchange::{BodyEnd, HeaderList};

fn sorted(fields: &[(String, String)], but: &[&str]) -> Vec<(String, String)> {
    let mut fields: Vec<(String, String)> =
        fields.iter().filter(|(n, _)| !but.iter().any(|b| n.eq_ignore_ascii_case(b))).cloned().collect();
    fields.sort();
    fields
}

#[tokio::test]
async fn paths_and_queries_go_through_as_they_are() {
    let upstream = FakeUpstream::always(Script::json("{}"));
    let (tape, _proxy, mut agent) = set_up(&upstream).await;
    let targets =
        ["/v1/messages?beta=true&x=%2F+%20", "/openai/deployments/d?api-version=2024", "/", "/a//b/../c"];
    for target in targets {
        agent.post(&format!("/up{target}"), b"{}").await;
        soon("an answer", agent.answer()).await.unwrap();
    }
    agent.post("/r/some-run/up/v1?q", b"{}").await;
    soon("an answer", agent.answer()).await.unwrap();
    let received: Vec<String> = upstream.received().into_iter().map(|r| r.target).collect();
    assert_eq!(received, [&targets[..], &["/v1?q"]].concat());
    assert_eq!(tape.requests().into_iter().map(|r| r.head.target).collect::<Vec<_>>(), received);
    assert!(upstream.received().iter().all(|r| r.method == "POST" && r.connection == 1));
    assert_eq!(upstream.connections(), 1, "one agent connection, one upstream connection");
}

#[tokio::test]
async fn request_heads_arrive_in_order_and_case_less_hop_by_hop() {
    let upstream = FakeUpstream::always(Script::json("{}"));
    let (tape, _proxy, mut agent) = set_up(&upstream).await;
    agent
        .send(
            b"POST /up/v1 HTTP/1.1\r\nX-First: 1\r\nhOsT: proxy\r\nAuthorization: Bearer k\r\nConnection: keep-alive, X-Hop\r\n\
              X-Hop: 1\r\nTE: trailers\r\nx-two: a\r\nContent-Length: 2\r\nX-Two: b\r\nX-Byte: \xe9\r\nX-Empty:\r\n\
              traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n{}",
        )
        .await;
    soon("an answer", agent.answer()).await.unwrap();
    let received = upstream.received().remove(0);
    let host = upstream.origin().replace("http://", "");
    let want = [
        ("X-First", "1"),
        ("hOsT", host.as_str()),
        ("Authorization", "Bearer k"),
        ("x-two", "a"),
        // hyper writes repeated fields side by side.
        ("X-Two", "b"),
        ("Content-Length", "2"),
        ("X-Byte", "\u{e9}"),
        ("X-Empty", ""),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ];
    assert_eq!(received.headers, want.map(|(n, v)| (n.to_string(), v.to_string())));
    let recorded = &tape.requests()[0].head.headers;
    let names: Vec<&str> = recorded.iter().map(|(n, _)| n).collect();
    let sent = [
        "X-First",
        "hOsT",
        "Authorization",
        "Connection",
        "X-Hop",
        "TE",
        "x-two",
        "Content-Length",
        "X-Two",
        "X-Byte",
        "X-Empty",
        "traceparent",
    ];
    assert_eq!(names, sent, "the record has what the agent sent, hop-by-hop fields too");
    assert_eq!((recorded.get("host"), recorded.get("x-byte")), (Some("proxy"), Some("\u{e9}")));
}

#[tokio::test]
async fn response_heads_arrive_in_case_and_nothing_is_added() {
    let fields = [
        ("Content-Type", "application/json"),
        ("X-Request-ID", "req_1"),
        ("Set-Cookie", "a=1"),
        ("retry-after", "7"),
        ("Set-Cookie", "b=2"),
        ("Keep-Alive", "timeout=5"),
    ];
    let upstream = FakeUpstream::always(Script::body("429 Slow Down Please", &fields, b"{\"error\":1}"));
    let (tape, _proxy, mut agent) = set_up(&upstream).await;
    for _ in 0..2 {
        agent.get("/up/x").await;
        let (head, body) = soon("an answer", agent.answer()).await.unwrap();
        assert_eq!((head.status, body.as_slice()), (429, &b"{\"error\":1}"[..]));
        let mut want: Vec<(String, String)> =
            fields.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
        want.push(("Content-Length".into(), "11".into()));
        assert_eq!(sorted(&head.headers, &[]), sorted(&want, &["keep-alive"]));
    }
    for seen in tape.responses() {
        let HeaderList(recorded) = seen.head.unwrap().headers;
        assert_eq!(
            recorded[1..],
            fields.map(|(n, v)| (n.to_string(), v.to_string())),
            "order, case and hop-by-hop"
        );
    }
}

#[tokio::test]
async fn answers_without_a_body_keep_their_heads() {
    let cases = [
        ("HEAD", "200 OK", vec![("content-length", "1234"), ("x", "1")]),
        ("GET", "304 Not Modified", vec![("Content-Length", "77"), ("etag", "e")]),
        ("GET", "204 No Content", vec![("x", "1")]),
        ("GET", "204 No Content", vec![("content-length", "0")]),
        ("POST", "200 OK", vec![("Content-Length", "0"), ("x", "1")]),
    ];
    let scripts = cases.clone();
    let upstream = FakeUpstream::start(move |n, _| Script::new(vec![head(scripts[n].1, &scripts[n].2)]));
    let (tape, _proxy, mut agent) = set_up(&upstream).await;
    for (method, status, fields) in &cases {
        agent.send(format!("{method} /up/x HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes()).await;
        let head = soon("a head", agent.head()).await.unwrap();
        assert!(status.starts_with(&head.status.to_string()));
        let want: Vec<_> = fields.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
        assert_eq!(head.headers, want, "{method} {status}");
    }
    assert_eq!(tape.responses().len(), cases.len());
    assert!(tape.responses().iter().all(|seen| seen.end == BodyEnd::Complete && seen.frames.is_empty()));
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn trailers_that_were_announced_go_through() {
    let fields = [("Trailer", "x-sum"), ("Transfer-Encoding", "chunked")];
    let acts = vec![
        head("200 OK", &fields),
        Act::Chunk(b"abc".to_vec()),
        Act::Raw(b"0\r\nx-sum: 42\r\n\r\n".to_vec()),
    ];
    let upstream = FakeUpstream::always(Script::new(acts));
    let (tape, _proxy, mut agent) = set_up(&upstream).await;
    // hyper sends trailers to who says that it takes them.
    agent.send(b"GET /up/x HTTP/1.1\r\nHost: h\r\nTE: trailers\r\nConnection: TE\r\n\r\n").await;
    let head = soon("a head", agent.head()).await.unwrap();
    let (body, trailers) = soon("a body", agent.body(&head)).await.unwrap();
    assert_eq!((body.as_slice(), trailers), (&b"abc"[..], vec![("x-sum".to_string(), "42".to_string())]));
    let fields = HeaderList(vec![("x-sum".into(), "42".into())]);
    assert_eq!(tape.responses()[0].end, BodyEnd::Trailers { fields });
}

#[tokio::test]
async fn large_heads_go_through() {
    let value = "v".repeat(60_000);
    let upstream = FakeUpstream::always(Script::body("200 OK", &[("x-big", &value.clone())], b"{}"));
    let (tape, _proxy, mut agent) = set_up(&upstream).await;
    let many: String = (0..150).map(|n| format!("x-{n}: {n}\r\n")).collect();
    agent.send(format!("GET /up/x HTTP/1.1\r\nHost: h\r\nX-Big: {value}\r\n{many}\r\n").as_bytes()).await;
    let (head, _) = soon("an answer", agent.answer()).await.unwrap();
    assert_eq!(head.header("x-big"), Some(value.as_str()));
    assert_eq!(upstream.received()[0].headers.len(), 152);
    assert_eq!(tape.requests()[0].head.headers.0[1], ("X-Big".to_string(), value));
}

#[tokio::test]
async fn an_unknown_path_is_told_the_known_ones_and_is_no_exchange() {
    let upstream = FakeUpstream::always(Script::json("{}"));
    let (tape, proxy, mut agent) = set_up(&upstream).await;
    agent.post("/nobody/v1/x", b"{}").await;
    let (head, body) = soon("an answer", agent.answer()).await.unwrap();
    assert_eq!((head.status, head.header("x-should-retry")), (404, Some("false")));
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    insta::assert_snapshot!(body["error"]["message"].as_str().unwrap(), @"retake has no upstream for the path /nobody/v1/x: it must start with one of /up. Point the SDK's base URL at one of them.");
    assert_eq!((proxy.exchanges(), proxy.dialed(), tape.told().len()), (0, 0, 0));
}

#[tokio::test]
async fn a_websocket_is_answered_426_and_other_upgrades_are_ignored() {
    let upstream = FakeUpstream::always(Script::json("{}"));
    let (tape, _proxy, mut agent) = set_up(&upstream).await;
    agent
        .send(
            b"GET /up/v1/responses HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        )
        .await;
    assert_eq!(soon("an answer", agent.answer()).await.unwrap().0.status, 426);
    assert_eq!((upstream.connections(), tape.told().len()), (0, 0));

    let mut agent = Agent::connect(&_proxy.origin()).await;
    agent.send(b"GET /up/x HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: A\r\n\r\n").await;
    assert_eq!(soon("an answer", agent.answer()).await.unwrap().0.status, 200);
    assert_eq!(upstream.received()[0].headers.len(), 1, "{:?}", upstream.received()[0]);
}
