//! The listening side: accepts agents on the loopback interface, and stops in order.

use super::answer::answer;
use super::case::CaseBook;
use super::head::MOST_HEADERS;
use super::intercept::{self, Inside, Intercepting, Unseen};
use super::upstream::Upstreams;
use super::websocket::Later;
use super::wire::{Reads, Wire, WireState};
use super::{Answerer, Attach, AwsKey, ProxyConfig, Routes, Seat, SeenExport, Tape, route};
use crate::exchange::ExchangeId;
use bytes::Bytes;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// Bytes that are buffered for a connection: no head may be longer, and agents keep many connections open.
const MOST_BUFFERED: usize = 128 * 1024;

/// Connections that may wait to be accepted. A client that finds no place tries again after a second: with the usual 128
/// an agent that opens hundreds at once would notice the proxy. The system may allow fewer.
const MOST_WAITING: u32 = 4096;

/// How a connection of HTTP/2 begins (RFC 9113, section 3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n";
/// How often to look for the rest of that, a millisecond apart.
const LOOKS: u32 = 50;

/// What every connection shares.
pub(super) struct Shared {
    pub(super) routes: Routes,
    /// Where it listens.
    pub(super) address: SocketAddr,
    /// None: nothing but the routes is served.
    pub(super) intercepting: Option<Intercepting>,
    pub(super) tape: Option<Arc<dyn Tape>>,
    pub(super) answerer: Option<Arc<dyn Answerer>>,
    pub(super) attach: Option<Attach>,
    /// None when nothing may be asked of an upstream.
    pub(super) client: Option<Upstreams>,
    pub(super) markers: Arc<[Bytes]>,
    pub(super) aws_key: Option<AwsKey>,
    pub(super) cases: CaseBook,
    pub(super) exchanges: AtomicU32,
    /// Exchanges that end from now on end because the proxy does.
    pub(super) breaking: Arc<AtomicBool>,
}

impl Shared {
    /// True for a host that is to be passed on unseen, which is noted.
    pub(super) fn leaves(&self, inside: &Inside) -> bool {
        self.intercepting.as_ref().is_some_and(|intercepting| intercepting.leaves_plain(inside))
    }

    /// A request's place: in the run of this name, where there are many.
    ///
    /// # Errors
    /// Why no run can be called so.
    pub(super) async fn seat(&self, run: Option<&str>) -> Result<Seat, String> {
        let number = self.exchanges.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        match &self.attach {
            Some(attach) => attach.runs.seat(run).await,
            None => {
                Ok(Seat { id: ExchangeId(number), tape: self.tape.clone(), answerer: self.answerer.clone() })
            }
        }
    }
}

impl Shared {
    /// Keeps what was exported, in the name of a run where there are many.
    pub(super) async fn keep(&self, run: Option<&str>, seen: SeenExport) {
        match (&self.attach, &self.tape) {
            (Some(attach), _) => attach.runs.export(run, seen).await,
            (None, Some(tape)) => tape.export(seen).await,
            (None, None) => {}
        }
    }
}

/// A running proxy. Dropping it stops it without grace.
pub struct Proxy {
    shared: Arc<Shared>,
    dialed: Arc<AtomicU32>,
    stop: watch::Sender<Option<Duration>>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Listens on a free loopback port (or `port`).
    ///
    /// # Errors
    /// When the port is taken, or an upstream's origin is not an http or https URL.
    pub async fn start(config: ProxyConfig, port: u16) -> io::Result<Proxy> {
        Proxy::listen(config, (Ipv4Addr::LOCALHOST, port).into()).await
    }

    /// Listens on this address; port 0 is a free one. Whoever reaches it may use it, unless [`Attach::token`] is set.
    ///
    /// # Errors
    /// When the address is taken or not this machine's, or an upstream's origin is not an http or https URL.
    pub async fn listen(config: ProxyConfig, at: SocketAddr) -> io::Result<Proxy> {
        for upstream in &config.routes.upstreams {
            route::address(upstream, "/")
                .map_err(|what| io::Error::new(io::ErrorKind::InvalidInput, what))?;
        }
        let listener = bound(at)
            .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {at}: {error}")))?;
        let address = listener.local_addr()?;
        let dialed = Arc::new(AtomicU32::new(0));
        let shared = Arc::new(Shared {
            routes: config.routes,
            address,
            intercepting: config.interception.map(Intercepting::new),
            tape: config.tape,
            answerer: config.answerer,
            attach: config.attach,
            client: config.may_dial.then(|| Upstreams::new(&dialed)),
            markers: config.terminal_markers.into_iter().map(Bytes::from).collect(),
            aws_key: config.aws_key,
            cases: CaseBook::default(),
            exchanges: AtomicU32::new(0),
            breaking: Arc::new(AtomicBool::new(false)),
        });
        let (stop, stopped) = watch::channel(None);
        let accepting = tokio::spawn(accept(listener, shared.clone(), stopped));
        Ok(Proxy { shared, dialed, stop, accepting })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// `http://127.0.0.1:PORT`, without a trailing slash.
    pub fn origin(&self) -> String {
        format!("http://{}", self.shared.address)
    }

    /// Exchanges begun so far.
    pub fn exchanges(&self) -> u32 {
        self.shared.exchanges.load(Ordering::Relaxed)
    }

    /// Connections opened to upstreams so far.
    pub fn dialed(&self) -> u32 {
        self.dialed.load(Ordering::Relaxed)
    }

    /// Hosts whose traffic went through unseen, and why.
    pub fn unseen(&self) -> Vec<(String, Unseen)> {
        self.shared.intercepting.as_ref().map(Intercepting::unseen).unwrap_or_default()
    }

    /// Stops accepting, lets exchanges under way end for at most `grace`, then breaks them off (recorded as far as
    /// they got).
    pub async fn stop(self, grace: Duration) {
        // An error says that the accepting task is gone already.
        let _ = self.stop.send(Some(grace));
        let _ = self.accepting.await;
    }
}

fn bound(at: SocketAddr) -> io::Result<TcpListener> {
    let socket = if at.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(at)?;
    socket.listen(MOST_WAITING)
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, mut stop: watch::Receiver<Option<Duration>>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, shared.clone(), stop.clone()));
                }
                // Out of file descriptors, most likely: agents wait in the backlog until there are some again.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
            Some(_) = connections.join_next() => {}
            _ = stop.changed() => break,
        }
    }
    drop(listener);
    let grace = stop.borrow().unwrap_or_default();
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(grace, ended).await.is_err() {
        shared.breaking.store(true, Ordering::Relaxed);
        connections.shutdown().await;
    }
}

async fn connection(stream: TcpStream, shared: Arc<Shared>, stop: watch::Receiver<Option<Duration>>) {
    // Without it small frames wait for the agent's acknowledgements; a socket that refuses still works.
    let _ = stream.set_nodelay(true);
    match &shared.intercepting {
        None if speaks_http2(&stream, stop.clone()).await => serve_http2(stream, None, shared, stop).await,
        None => serve_http(stream, None, shared, stop).await,
        Some(intercepting) => intercept::welcome(stream, intercepting, shared.clone(), stop).await,
    }
}

/// True for a client that speaks HTTP/2 from its first byte on, as those of gRPC do.
async fn speaks_http2(stream: &TcpStream, mut stop: watch::Receiver<Option<Duration>>) -> bool {
    let mut seen = [0; PREFACE.len()];
    for _ in 0..LOOKS {
        let peeked = tokio::select! {
            peeked = stream.peek(&mut seen) => peeked,
            _ = stop.changed() => return false,
        };
        match peeked.map(|length| &seen[..length]) {
            Ok(PREFACE) => return true,
            Ok(begun) if !begun.is_empty() && PREFACE.starts_with(begun) => {
                // The rest is on its way; a peek returns at once while there is anything.
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            _ => return false,
        }
    }
    false
}

/// Serves the requests of a connection. `inside`: the host that it leads to, when that is not the proxy itself.
pub(super) async fn serve_http<S>(
    stream: S,
    inside: Option<Inside>,
    shared: Arc<Shared>,
    mut stop: watch::Receiver<Option<Duration>>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let wire = WireState::new(Reads::Requests);
    let stream = TokioIo::new(Wire::new(stream, wire.clone()));
    let inside = inside.map(Arc::new);
    let later = Later::default();
    let upgraded = later.clone();
    let service = service_fn(move |request| {
        answer(shared.clone(), inside.clone(), wire.clone(), later.clone(), request)
    });
    let serving = http1::Builder::new()
        .preserve_header_case(true)
        .auto_date_header(false)
        .max_headers(MOST_HEADERS)
        .max_buf_size(MOST_BUFFERED)
        .serve_connection(stream, service)
        .with_upgrades();
    let mut serving = std::pin::pin!(serving);
    // How a connection ends is told by its exchanges; a connection without one is nobody's concern.
    let ended = tokio::select! {
        biased;
        _ = serving.as_mut() => true,
        _ = stop.changed() => false,
    };
    if !ended {
        serving.as_mut().graceful_shutdown();
        let _ = serving.await;
    }
    if let Some(session) = upgraded.take() {
        session.await;
    }
}

/// Serves the requests of a connection of HTTP/2: that of a client behind TLS which speaks nothing else, or of gRPC.
pub(super) async fn serve_http2<S>(
    stream: S,
    inside: Option<Inside>,
    shared: Arc<Shared>,
    mut stop: watch::Receiver<Option<Duration>>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let wire = WireState::new(Reads::Streams);
    let stream = TokioIo::new(Wire::new(stream, wire.clone()));
    let inside = inside.map(Arc::new);
    // There is no upgrade in HTTP/2: nothing is to be done later.
    let service = service_fn(move |request| {
        answer(shared.clone(), inside.clone(), wire.clone(), Later::default(), request)
    });
    let serving = http2::Builder::new(TokioExecutor::new())
        .auto_date_header(false)
        .max_header_list_size(MOST_BUFFERED as u32)
        .serve_connection(stream, service);
    let mut serving = std::pin::pin!(serving);
    tokio::select! {
        biased;
        _ = serving.as_mut() => return,
        _ = stop.changed() => {}
    }
    serving.as_mut().graceful_shutdown();
    let _ = serving.await;
}
