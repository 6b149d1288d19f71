//! Clients behind interception that speak HTTP/2 and nothing else.

use crate::support::soon;
use crate::support::tape::{MemoryTape, bytes_of, sent_of};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use retake::exchange::{BodyEnd, HeaderList, ResponseHead, Source};
use retake::proxy::{
    Answer, Answerer, Asked, Authority, BoxFuture, Canned, CannedEnd, Hosts, Interception, Passed, Proxy,
    ProxyConfig, Routes, SeenResponse, Tape,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

/// Answers by the path, and counts deliveries.
struct Library {
    delivered: watch::Sender<u32>,
}

impl Answerer for Library {
    fn answer(&self, asked: Asked) -> BoxFuture<'_, Answer> {
        let event_stream = [("Content-Type", "text/event-stream"), ("Transfer-Encoding", "chunked")];
        let (frames, end): (&[&str], CannedEnd) = match asked.head.target.as_str() {
            "/whole" => (&["data: 1\n\n", "data: [DONE]\n\n"], CannedEnd::Complete),
            "/broken" => (&["data: 1\n\n", "data: 2\n\n"], CannedEnd::Broken),
            "/trailers" => {
                (&["data: 1\n\n"], CannedEnd::Trailers(HeaderList(vec![("grpc-status".into(), "0".into())])))
            }
            _ => (&["data: 1\n\n"; 10_000], CannedEnd::Complete),
        };
        let headers = event_stream.map(|(name, value)| (name.to_string(), value.to_string()));
        let pause = Duration::from_millis(2);
        let canned = Canned {
            source: Source::Live,
            head: ResponseHead { status: 200, headers: HeaderList(headers.to_vec()) },
            frames: frames.iter().map(|frame| (pause, Bytes::copy_from_slice(frame.as_bytes()))).collect(),
            end,
        };
        Box::pin(async move { Answer::Serve(canned) })
    }
    fn inspect(&self, _: &SeenResponse) -> Option<Canned> {
        None
    }
    fn delivered(&self, _: retake::exchange::ExchangeId) {
        self.delivered.send_modify(|count| *count += 1);
    }
    fn answered(&self, _: &SeenResponse) {}
}

struct Desk {
    _proxy: Proxy,
    tape: Arc<MemoryTape>,
    library: Arc<Library>,
    sender: SendRequest<Full<Bytes>>,
}

impl Desk {
    /// A connection of HTTP/2 to `https://books.test` through the proxy.
    async fn open(tape: Arc<MemoryTape>) -> Desk {
        let authority = Arc::new(Authority::new().unwrap());
        let certificate = CertificateDer::from_pem_slice(authority.certificate().as_bytes()).unwrap();
        let library = Arc::new(Library { delivered: watch::Sender::new(0) });
        let config = ProxyConfig {
            interception: Some(Interception {
                authority,
                hosts: Hosts::default(),
                passed: Passed::default(),
            }),
            routes: Routes::default(),
            tape: Some(tape.clone() as Arc<dyn Tape>),
            answerer: Some(library.clone()),
            attach: None,
            may_dial: false,
            terminal_markers: vec![b"data: [DONE]".to_vec()],
            aws_key: None,
        };
        let proxy = Proxy::start(config, 0).await.unwrap();
        let mut line = TcpStream::connect(proxy.address()).await.unwrap();
        line.write_all(b"CONNECT books.test:443 HTTP/1.1\r\n\r\n").await.unwrap();
        let mut said = [0; 39];
        line.read_exact(&mut said).await.unwrap();
        assert!(said.starts_with(b"HTTP/1.1 200") && said.ends_with(b"\r\n\r\n"));
        let mut roots = rustls::RootCertStore::empty();
        roots.add(certificate).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"h2".to_vec()];
        let name = ServerName::try_from("books.test").unwrap();
        let stream = tokio_rustls::TlsConnector::from(Arc::new(tls)).connect(name, line).await.unwrap();
        let (sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Desk { _proxy: proxy, tape, library, sender }
    }

    async fn ask(&mut self, path: &str) -> Response<Incoming> {
        let request = Request::post(format!("https://books.test{path}"))
            .header("x-Shelf", "7")
            .body(Full::new(Bytes::from_static(b"{\"q\":1}")))
            .unwrap();
        soon("a head", self.sender.send_request(request)).await.unwrap()
    }

    async fn delivered(&self, count: u32) {
        let mut changes = self.library.delivered.subscribe();
        soon("the delivery", changes.wait_for(|seen| *seen >= count)).await.unwrap();
    }
}

/// What of a body comes, and whether it ends in order.
async fn read(mut body: Incoming) -> (String, bool, Option<String>) {
    let (mut text, mut status) = (String::new(), None);
    loop {
        match soon("a frame", body.frame()).await {
            None => return (text, true, status),
            Some(Err(_)) => return (text, false, status),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => text.push_str(std::str::from_utf8(&data).unwrap()),
                Err(frame) => {
                    let value = frame.trailers_ref().and_then(|fields| fields.get("grpc-status").cloned());
                    status = value.map(|value| value.to_str().unwrap().to_string());
                }
            },
        }
    }
}

#[tokio::test]
async fn requests_and_answers_are_recorded_as_those_of_http_1() {
    let mut desk = Desk::open(MemoryTape::new()).await;
    let answer = desk.ask("/whole").await;
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    assert_eq!(read(answer.into_body()).await, ("data: 1\n\ndata: [DONE]\n\n".into(), true, None));
    desk.delivered(1).await;
    let (asked, seen) = (desk.tape.requests().remove(0), desk.tape.response(1).await);
    assert_eq!((asked.head.target.as_str(), sent_of(&asked)), ("/whole", b"{\"q\":1}".to_vec()));
    assert_eq!(
        (asked.head.headers.get("host"), asked.head.headers.get("x-shelf")),
        (Some("books.test"), Some("7"))
    );
    assert_eq!(asked.upstream.origin, "https://books.test");
    assert_eq!((bytes_of(&seen), seen.end), (b"data: 1\n\ndata: [DONE]\n\n".to_vec(), BodyEnd::Complete));

    let answer = desk.ask("/trailers").await;
    assert_eq!(read(answer.into_body()).await, ("data: 1\n\n".into(), true, Some("0".into())));
    desk.delivered(2).await;
}

/// All that came before the break reaches the client, and then the break: the connection goes on.
#[tokio::test]
async fn an_answer_that_breaks_off_does_so_behind_its_last_byte() {
    let mut desk = Desk::open(MemoryTape::new()).await;
    for count in 1..=3 {
        let answer = desk.ask("/broken").await;
        assert_eq!(read(answer.into_body()).await, ("data: 1\n\ndata: 2\n\n".into(), false, None));
        desk.delivered(count).await;
    }
    assert!(read(desk.ask("/whole").await.into_body()).await.1);
}

#[tokio::test]
async fn the_last_event_waits_until_the_exchange_is_written() {
    let mut desk = Desk::open(MemoryTape::held()).await;
    let mut body = desk.ask("/whole").await.into_body();
    let first = soon("a frame", body.frame()).await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(first, "data: 1\n\n");
    desk.tape.response(1).await;
    assert!(
        tokio::time::timeout(Duration::from_millis(50), body.frame()).await.is_err(),
        "it is not written yet"
    );
    desk.tape.write();
    assert_eq!(read(body).await, ("data: [DONE]\n\n".into(), true, None));
}

/// A stream that its client resets is an answer that the agent did not want to the end; others go on.
#[tokio::test]
async fn a_stream_that_is_reset_is_recorded_as_cancelled() {
    let mut desk = Desk::open(MemoryTape::new()).await;
    let mut body = desk.ask("/long").await.into_body();
    soon("a frame", body.frame()).await.unwrap().unwrap();
    drop(body);
    let seen = desk.tape.response(1).await;
    assert_eq!(seen.end, BodyEnd::Cancelled);
    desk.delivered(1).await;
    assert!(read(desk.ask("/whole").await.into_body()).await.1);
}
