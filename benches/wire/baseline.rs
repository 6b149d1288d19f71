//! The frozen baselines. Do not make them better: figures are ratios to them.

use bytes::Bytes;
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::{Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::collections::HashMap;
use std::future::Future;
use std::io::Write;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite};

pub type Failure = Box<dyn std::error::Error + Send + Sync>;

pub enum Message {
    Data(Bytes),
    End(tokio::sync::oneshot::Sender<()>),
}

/// Appends frames to one file; whoever ends a body waits for `write(2)`.
fn append(path: String, inbox: mpsc::Receiver<Message>) {
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).expect("tee file");
    let mut buffer = Vec::with_capacity(1 << 20);
    while let Ok(message) = inbox.recv() {
        let mut waiting = Vec::new();
        let mut next = Some(message);
        while let Some(message) = next {
            match message {
                Message::Data(bytes) => {
                    buffer.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
                    buffer.extend_from_slice(&bytes);
                }
                Message::End(sender) => waiting.push(sender),
            }
            next = if buffer.len() < (1 << 20) { inbox.try_recv().ok() } else { None };
        }
        file.write_all(&buffer).expect("write");
        buffer.clear();
        for sender in waiting {
            let _ = sender.send(());
        }
    }
}

struct Tee {
    inner: Incoming,
    to_file: mpsc::Sender<Message>,
    left: Option<u64>,
    held: Option<(tokio::sync::oneshot::Receiver<()>, Option<Bytes>)>,
}

impl Tee {
    fn hold(&mut self, frame: Option<Bytes>) {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let _ = self.to_file.send(Message::End(sender));
        self.held = Some((receiver, frame));
    }
}

impl Body for Tee {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        loop {
            if let Some((receiver, frame)) = self.held.as_mut() {
                if Pin::new(receiver).poll(cx).is_pending() {
                    return Poll::Pending;
                }
                let frame = frame.take();
                self.held = None;
                return Poll::Ready(frame.map(|f| Ok(Frame::data(f))));
            }
            match Pin::new(&mut self.inner).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    let Some(data) = frame.data_ref() else { return Poll::Ready(Some(Ok(frame))) };
                    let data = data.clone();
                    let _ = self.to_file.send(Message::Data(data.clone()));
                    let length = data.len() as u64;
                    let last = self.left.as_mut().is_some_and(|left| {
                        *left = left.saturating_sub(length);
                        *left == 0
                    });
                    if last || data.ends_with(b"data: [DONE]\n\n") {
                        self.hold(Some(data));
                        continue;
                    }
                    return Poll::Ready(Some(Ok(frame)));
                }
                Poll::Ready(None) => {
                    if self.left == Some(0) {
                        return Poll::Ready(None);
                    }
                    self.left = Some(0);
                    self.hold(None);
                }
                other => return other,
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Passes requests on by a client that keeps its connections; with a file, bodies are appended to it.
pub struct Passing<C> {
    client: Client<C, BoxBody<Bytes, Failure>>,
    to_file: Option<mpsc::Sender<Message>>,
}

impl<C: Clone> Clone for Passing<C> {
    fn clone(&self) -> Passing<C> {
        Passing { client: self.client.clone(), to_file: self.to_file.clone() }
    }
}

impl<C: Connect + Clone + Send + Sync + 'static> Passing<C> {
    pub fn new(connector: C, tee: Option<String>) -> Passing<C> {
        let to_file = tee.map(|path| {
            let (sender, inbox) = mpsc::channel();
            std::thread::spawn(move || append(path, inbox));
            sender
        });
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(1024).build(connector);
        Passing { client, to_file }
    }

    /// Passes one request on to an origin (without a trailing slash).
    pub async fn pass(
        self,
        request: Request<Incoming>,
        origin: &str,
    ) -> Result<Response<BoxBody<Bytes, Failure>>, Failure> {
        let Passing { client, to_file } = self;
        let (mut parts, body) = request.into_parts();
        let path = parts.uri.path_and_query().map_or("/", |p| p.as_str());
        parts.uri = format!("{origin}{path}").parse()?;
        parts.headers.remove("host");
        let body: BoxBody<Bytes, Failure> = match to_file.clone() {
            None => body.map_err(Into::into).boxed(),
            Some(to_file) => body
                .map_frame(move |frame| {
                    if let Some(data) = frame.data_ref() {
                        let _ = to_file.send(Message::Data(data.clone()));
                    }
                    frame
                })
                .map_err(Into::into)
                .boxed(),
        };
        let (parts, body) = client.request(Request::from_parts(parts, body)).await?.into_parts();
        let body: BoxBody<Bytes, Failure> = match to_file {
            None => body.map_err(Into::into).boxed(),
            Some(to_file) => {
                let left = body.size_hint().exact();
                Tee { inner: body, to_file, left, held: None }.map_err(Into::into).boxed()
            }
        };
        Ok(Response::from_parts(parts, body))
    }
}

/// A plain hyper reverse proxy; with `tee`, the floor of any recorder.
pub fn floor(port: u16, upstream: &str, tee: Option<String>) {
    let upstream = Arc::new(upstream.to_string());
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let passing = Passing::new(connector, tee);
    serve(port, move |request: Request<Incoming>| {
        let (passing, upstream) = (passing.clone(), upstream.clone());
        async move { passing.pass(request, &upstream).await }
    });
}

/// Answers from a hash map by the bytes of the request: the floor of any replayer. `bodies` is a JSON Lines file of
/// the request's hash and the answer, as strings.
pub fn map(port: u16, bodies: &str) {
    let text = std::fs::read_to_string(bodies).expect("bodies");
    let answers: HashMap<String, Bytes> = text
        .lines()
        .map(|line| {
            let (request, answer): (String, String) = serde_json::from_str(line).expect("line");
            (request, Bytes::from(answer))
        })
        .collect();
    let answers = Arc::new(answers);
    serve(port, move |request: Request<Incoming>| {
        let answers = answers.clone();
        async move {
            let body = request.into_body().collect().await?.to_bytes();
            let found = answers.get(blake3::hash(&body).to_hex().as_str()).cloned();
            let status = if found.is_some() { 200 } else { 404 };
            let body = Full::new(found.unwrap_or_default()).map_err(|never| match never {}).boxed();
            let response = Response::builder().status(status).header("content-type", "application/json");
            Ok::<Response<BoxBody<Bytes, Failure>>, Failure>(response.body(body)?)
        }
    });
}

fn serve<F, Fut>(port: u16, handler: F)
where
    F: Fn(Request<Incoming>) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Result<Response<BoxBody<Bytes, Failure>>, Failure>> + Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("runtime");
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.expect("bind");
        println!("{}", listener.local_addr().expect("address").port());
        loop {
            let Ok((socket, _)) = listener.accept().await else { continue };
            let _ = socket.set_nodelay(true);
            tokio::spawn(connection(socket, handler.clone()));
        }
    });
}

/// Serves the requests of one connection.
pub async fn connection<S, F, Fut>(stream: S, handler: F)
where
    S: AsyncRead + AsyncWrite + Unpin,
    F: Fn(Request<Incoming>) -> Fut,
    Fut: Future<Output = Result<Response<BoxBody<Bytes, Failure>>, Failure>>,
{
    let service = hyper::service::service_fn(handler);
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}
