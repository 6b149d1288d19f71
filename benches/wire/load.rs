//! Closed-loop clients, and the bodies they send.

use crate::subject::now_us;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_rustls::TlsConnector;

/// Words that compress as prose does.
pub fn words(seed: u64, length: usize) -> String {
    const STEMS: [&str; 48] = [
        "order", "refund", "the", "of", "customer", "policy", "amount", "is", "in", "cents", "window",
        "days", "laptop", "broken", "please", "check", "status", "shipped", "to", "address", "and", "risk",
        "score", "low", "high", "function", "return", "value", "list", "index", "error", "while", "reading",
        "file", "path", "line", "number", "test", "failed", "with", "message", "expected", "found", "at",
        "module", "import", "class", "self",
    ];
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut out = String::with_capacity(length + 12);
    while out.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.push_str(STEMS[(state % 48) as usize]);
        if state.is_multiple_of(11) {
            out.push_str(&format!(" {}", state % 9973));
        }
        out.push(' ');
    }
    out
}

/// A chat request of about `size` bytes that ends with `nonce=N`.
pub fn request(nonce: u64, size: usize, stream: bool) -> Bytes {
    let filler = words(3, size.saturating_sub(240));
    Bytes::from(format!(
        "{{\"model\":\"bench\",\"stream\":{stream},\"messages\":[{{\"role\":\"system\",\"content\":\"{filler}\"}},{{\"role\":\"user\",\"content\":\"please nonce={nonce} \"}}]}}"
    ))
}

/// The last `nonce=…` of a body.
pub fn nonce_of(body: &[u8]) -> String {
    let start = memchr::memmem::rfind(body, b"nonce=").map_or(body.len(), |i| i + 6);
    body[start..].iter().take_while(|b| b.is_ascii_alphanumeric()).map(|b| char::from(*b)).collect()
}

/// How a subject is reached.
#[derive(Clone)]
pub struct Way {
    pub port: u16,
    pub path: String,
    pub secure: Option<Secure>,
}

/// TLS, to the subject itself or through it.
#[derive(Clone)]
pub struct Secure {
    pub host: String,
    /// The port of the host, where the subject is a proxy.
    pub through: Option<u16>,
    pub config: Arc<ClientConfig>,
}

impl Way {
    pub fn plain(port: u16, path: &str) -> Way {
        Way { port, path: path.to_string(), secure: None }
    }
}

/// One keep-alive connection.
pub struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    path: String,
}

impl Connection {
    pub async fn open(way: &Way) -> Connection {
        let mut socket = tokio::net::TcpStream::connect(("127.0.0.1", way.port)).await.expect("connect");
        let _ = socket.set_nodelay(true);
        let Some(secure) = &way.secure else { return Connection::over(socket, way).await };
        if let Some(port) = secure.through {
            let head = format!("CONNECT {0}:{port} HTTP/1.1\r\nhost: {0}:{port}\r\n\r\n", secure.host);
            socket.write_all(head.as_bytes()).await.expect("CONNECT");
            let mut read = Vec::with_capacity(512);
            while !read.ends_with(b"\r\n\r\n") {
                let n = socket.read_buf(&mut read).await.expect("answer to CONNECT");
                assert!(n > 0, "CONNECT was not answered: {}", String::from_utf8_lossy(&read));
            }
            assert!(read.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&read));
        }
        let name = ServerName::try_from(secure.host.clone()).expect("name");
        let stream = TlsConnector::from(secure.config.clone()).connect(name, socket).await;
        Connection::over(stream.expect("handshake"), way).await
    }

    async fn over(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, way: &Way) -> Connection {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("handshake");
        tokio::spawn(connection);
        Connection { sender, path: way.path.clone() }
    }

    /// Lets come in what the other side sends after the handshake, then hangs up.
    pub async fn settle(self) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    fn request(&self, body: Bytes) -> Request<Full<Bytes>> {
        let request = Request::post(&self.path)
            .header("host", "127.0.0.1")
            .header("content-type", "application/json")
            .header("authorization", "Bearer sk-bench-0123456789abcdef0123");
        request.body(Full::new(body)).expect("request")
    }

    /// Sends and reads to the end; the answer must hold the nonce that was asked for.
    pub async fn ask(&mut self, body: Bytes) -> f64 {
        let nonce = nonce_of(&body);
        let request = self.request(body);
        let start = Instant::now();
        self.sender.ready().await.expect("connection");
        let response = self.sender.send_request(request).await.expect("response");
        let status = response.status();
        let answer = response.into_body().collect().await.expect("body").to_bytes();
        let took = start.elapsed().as_secs_f64() * 1e6;
        let wanted = format!("nonce={nonce}:");
        let right = memchr::memmem::find(&answer, wanted.as_bytes()).is_some();
        assert!(
            right,
            "wrong answer ({status}): {}",
            String::from_utf8_lossy(&answer[..answer.len().min(400)])
        );
        took
    }

    /// Reads a stream: microseconds to the first byte, and the transit of every event.
    pub async fn stream(&mut self, body: Bytes) -> (f64, Vec<f64>) {
        let request = self.request(body);
        let start = Instant::now();
        self.sender.ready().await.expect("connection");
        let mut response = self.sender.send_request(request).await.expect("response");
        let mut first = None;
        let mut transits = Vec::new();
        while let Some(frame) = response.frame().await {
            let Ok(data) = frame.expect("frame").into_data() else { continue };
            let now = now_us();
            first.get_or_insert_with(|| start.elapsed().as_secs_f64() * 1e6);
            for at in memchr::memmem::find_iter(&data, b" t=") {
                let digits: String = data[at + 3..]
                    .iter()
                    .take_while(|b| b.is_ascii_digit())
                    .map(|b| char::from(*b))
                    .collect();
                if let Ok(sent) = digits.parse::<u64>() {
                    transits.push(now.saturating_sub(sent) as f64);
                }
            }
        }
        (first.unwrap_or(f64::NAN), transits)
    }
}
