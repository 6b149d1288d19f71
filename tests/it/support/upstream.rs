//! An upstream that does what its script says, byte by byte: streams with holds and gaps, lies about lengths, resets,
//! refuses, hangs. It speaks HTTP itself, so that it can also speak it badly, and notes requests as they came.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// Something to wait at until a test lets go: each [`Gate::release`] lets one through.
#[derive(Clone)]
pub struct Gate(Arc<Semaphore>);

impl Gate {
    pub fn new() -> Gate {
        Gate(Arc::new(Semaphore::new(0)))
    }
    pub fn release(&self) {
        self.0.add_permits(1);
    }
    pub async fn pass(&self) {
        self.0.acquire().await.expect("gates are never closed").forget();
    }
}

/// One thing that the upstream does.
#[derive(Clone)]
pub enum Act {
    /// Bytes as they are.
    Raw(Vec<u8>),
    /// Bytes as one chunk of a chunked body.
    Chunk(Vec<u8>),
    /// Waits at a gate.
    Hold(Gate),
    /// Tells a test that it got here.
    Reached(Gate),
    /// Waits.
    Gap(Duration),
    /// Reads the request's body only now (else it is read before the first act).
    ReadBody,
    /// Closes the connection in order.
    Close,
    /// Breaks the connection with a reset.
    Reset,
    /// Does nothing until the other side goes away, then passes the gate on.
    HangUntilGone(Gate),
}

/// What happens to one request.
#[derive(Clone)]
pub struct Script {
    acts: Vec<Act>,
    /// The body is read first, unless the script does it.
    reads_body: bool,
}

/// The head of a response, as bytes.
pub fn head(status: &str, fields: &[(&str, &str)]) -> Act {
    let mut text = format!("HTTP/1.1 {status}\r\n");
    for (name, value) in fields {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    Act::Raw(text.into_bytes())
}

impl Script {
    pub fn new(acts: Vec<Act>) -> Script {
        let reads_body = acts.iter().any(|act| matches!(act, Act::ReadBody));
        Script { acts, reads_body }
    }

    /// A body with a content-length.
    pub fn body(status: &str, fields: &[(&str, &str)], body: &[u8]) -> Script {
        let length = body.len().to_string();
        let mut all = vec![("Content-Length", length.as_str())];
        all.extend_from_slice(fields);
        Script::new(vec![head(status, &all), Act::Raw(body.to_vec())])
    }

    /// The same after something else.
    pub fn after(mut self, act: Act) -> Script {
        self.acts.insert(0, act);
        self
    }

    pub fn json(body: &str) -> Script {
        Script::body("200 OK", &[("Content-Type", "application/json")], body.as_bytes())
    }

    /// Chunked events, one chunk each, then the end of the stream.
    pub fn events(events: &[&str]) -> Script {
        let mut acts = vec![Script::stream_head()];
        acts.extend(events.iter().map(|event| Act::Chunk(event.as_bytes().to_vec())));
        acts.push(Act::Raw(b"0\r\n\r\n".to_vec()));
        Script::new(acts)
    }

    pub fn stream_head() -> Act {
        head(
            "200 OK",
            &[("Content-Type", "text/event-stream; charset=utf-8"), ("Transfer-Encoding", "chunked")],
        )
    }
}

/// A request as it came over the wire.
#[derive(Clone, Debug)]
pub struct Received {
    pub method: String,
    pub target: String,
    /// In order, names in their case, values trimmed.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Counted from 1.
    pub connection: u32,
}

impl Received {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }
}

type Scripts = dyn Fn(usize, &Received) -> Script + Send + Sync;

struct State {
    script: Box<Scripts>,
    /// The body of a request is read before its script is chosen.
    body_first: bool,
    asked: AtomicUsize,
    connections: AtomicU32,
    received: Mutex<Vec<Received>>,
}

/// The upstream. It runs on a thread of its own until the test process ends.
pub struct FakeUpstream {
    address: SocketAddr,
    state: Arc<State>,
}

impl FakeUpstream {
    /// Starts one that plays `script(n, head)` for the n-th request, counted from 0. The body of the request is not
    /// read yet when the script is chosen.
    pub fn start(script: impl Fn(usize, &Received) -> Script + Send + Sync + 'static) -> FakeUpstream {
        FakeUpstream::with(Box::new(script), false)
    }

    /// The same, but the script is chosen by the whole request, its body included.
    pub fn reading(script: impl Fn(usize, &Received) -> Script + Send + Sync + 'static) -> FakeUpstream {
        FakeUpstream::with(Box::new(script), true)
    }

    fn with(script: Box<Scripts>, body_first: bool) -> FakeUpstream {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound port has an address");
        listener.set_nonblocking(true).expect("sockets can be non-blocking");
        let state = Arc::new(State {
            script,
            body_first,
            asked: AtomicUsize::new(0),
            connections: AtomicU32::new(0),
            received: Mutex::new(Vec::new()),
        });
        let shared = state.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async move {
                let listener = TcpListener::from_std(listener).expect("a listener");
                while let Ok((stream, _)) = listener.accept().await {
                    let number = shared.connections.fetch_add(1, Ordering::SeqCst) + 1;
                    tokio::spawn(serve(stream, number, shared.clone()));
                }
            });
        });
        FakeUpstream { address, state }
    }

    /// One that plays the same script for every request.
    pub fn always(script: Script) -> FakeUpstream {
        FakeUpstream::start(move |_, _| script.clone())
    }

    /// The address of a port that refuses connections.
    pub fn refusing() -> String {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        format!("http://{}", listener.local_addr().expect("an address"))
    }

    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> u32 {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// The requests whose bodies were read, in the order in which they were.
    pub fn received(&self) -> Vec<Received> {
        self.state.received.lock().expect("no panics inside").clone()
    }
}

async fn serve(mut stream: TcpStream, connection: u32, state: Arc<State>) {
    let _ = stream.set_nodelay(true);
    let mut buffer = Vec::new();
    while let Ok(Some(mut request)) = read_head(&mut stream, &mut buffer, connection).await {
        let number = state.asked.fetch_add(1, Ordering::SeqCst);
        if state.body_first && note_body(&mut stream, &mut buffer, &mut request, &state).await.is_err() {
            return;
        }
        let script = (state.script)(number, &request);
        if !state.body_first
            && !script.reads_body
            && note_body(&mut stream, &mut buffer, &mut request, &state).await.is_err()
        {
            return;
        }
        for act in script.acts {
            let goes_on = match act {
                Act::ReadBody => note_body(&mut stream, &mut buffer, &mut request, &state).await.is_ok(),
                act => play(&mut stream, act).await,
            };
            if !goes_on {
                return;
            }
        }
    }
}

/// False when the connection is to be dropped.
async fn play(stream: &mut TcpStream, act: Act) -> bool {
    match act {
        Act::Raw(bytes) => stream.write_all(&bytes).await.is_ok(),
        Act::Chunk(bytes) => {
            let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
            chunk.extend_from_slice(&bytes);
            chunk.extend_from_slice(b"\r\n");
            stream.write_all(&chunk).await.is_ok()
        }
        Act::Hold(gate) => {
            gate.pass().await;
            true
        }
        Act::Reached(gate) => {
            gate.release();
            true
        }
        Act::Gap(time) => {
            tokio::time::sleep(time).await;
            true
        }
        Act::ReadBody => true,
        Act::Close => false,
        Act::Reset => {
            stream.set_zero_linger().expect("a socket can linger");
            false
        }
        Act::HangUntilGone(gate) => {
            let mut scrap = [0; 1024];
            while matches!(stream.read(&mut scrap).await, Ok(n) if n > 0) {}
            gate.release();
            false
        }
    }
}

async fn fill(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<()> {
    match stream.read_buf(buffer).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

async fn read_head(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
    connection: u32,
) -> io::Result<Option<Received>> {
    let end = loop {
        if let Some(at) = buffer.windows(4).position(|w| w == b"\r\n\r\n") {
            break at + 4;
        }
        if let Err(error) = fill(stream, buffer).await {
            return if buffer.is_empty() { Ok(None) } else { Err(error) };
        }
    };
    let head: Vec<u8> = buffer.drain(..end).collect();
    let text: String = head.iter().map(|&b| char::from(b)).collect();
    let mut lines = text.split("\r\n");
    let mut first = lines.next().unwrap_or_default().split(' ').map(str::to_string);
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_string(), value.trim().to_string()))
        .collect();
    Ok(Some(Received {
        method: first.next().unwrap_or_default(),
        target: first.next().unwrap_or_default(),
        headers,
        body: Vec::new(),
        connection,
    }))
}

async fn note_body(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
    request: &mut Received,
    state: &State,
) -> io::Result<()> {
    if request.header("transfer-encoding").is_some_and(|v| v.eq_ignore_ascii_case("chunked")) {
        loop {
            let line = loop {
                if let Some(at) = buffer.windows(2).position(|w| w == b"\r\n") {
                    break buffer.drain(..at + 2).collect::<Vec<u8>>();
                }
                fill(stream, buffer).await?;
            };
            let size = usize::from_str_radix(String::from_utf8_lossy(&line).trim(), 16).unwrap_or(0);
            while buffer.len() < size + 2 {
                fill(stream, buffer).await?;
            }
            request.body.extend(buffer.drain(..size));
            buffer.drain(..2);
            if size == 0 {
                break;
            }
        }
    } else {
        let length = request.header("content-length").and_then(|v| v.parse().ok()).unwrap_or(0);
        while buffer.len() < length {
            fill(stream, buffer).await?;
        }
        request.body = buffer.drain(..length).collect();
    }
    state.received.lock().expect("no panics inside").push(request.clone());
    Ok(())
}
