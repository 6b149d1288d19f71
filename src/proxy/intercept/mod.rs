//! The forward proxy: clients that know no base URL send `CONNECT host:port`, and speak TLS or plain HTTP inside.
//!
//! TLS is ended here, with a certificate for the host that the run's own [`Authority`] signs, and what is inside is served
//! like any request. A host that is not to be seen, or whose client says that it does not take that certificate, is passed
//! on unseen and listed; one whose client only hangs up is listed.

mod authority;
mod hosts;
mod prefixed;

pub use authority::Authority;
pub use hosts::{Hosts, Passed, Unseen};

use super::attach::user_of;
use super::listen::{PREFACE, Shared, serve_http, serve_http2};
use super::refuse::error_json;
use bytes::{Bytes, BytesMut};
use hosts::Trials;
use http::Uri;
use http::uri::Authority as Address;
pub(super) use prefixed::Prefixed;
use rustls::{AlertDescription, Error as TlsError};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::TcpStream;
use tokio::sync::{OwnedMutexGuard, watch};
use tokio::time::timeout;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::rustls::server::Acceptor;

/// A longer head of a CONNECT is nobody's.
const LONGEST_HEAD: usize = 16 * 1024;
/// How long a client may take to say what it wants: a connection that says nothing is nobody's.
const PATIENCE: Duration = Duration::from_secs(60);
const TLS_HANDSHAKE: u8 = 0x16;

/// How a proxy treats hosts that have no route.
#[derive(Clone)]
pub struct Interception {
    pub authority: Arc<Authority>,
    pub hosts: Hosts,
    /// Where it is noted what could not be seen.
    pub passed: Passed,
}

/// Interception at work.
pub(super) struct Intercepting {
    pub(super) hosts: Hosts,
    authority: Arc<Authority>,
    passed: Passed,
    trials: Trials,
}

/// The host that a connection leads to, when that is not the proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Inside {
    pub(super) scheme: &'static str,
    /// `host:port` as the client wrote it; the port that goes with the scheme is left away.
    pub(super) authority: String,
    /// The run that the connection named.
    pub(super) run: Option<String>,
}

impl Inside {
    fn new(scheme: &'static str, address: &Address) -> Inside {
        let own = if scheme == "https" { 443 } else { 80 };
        let authority = match address.port_u16() {
            Some(port) if port != own => format!("{}:{port}", address.host()),
            _ => address.host().to_string(),
        };
        Inside { scheme, authority, run: None }
    }

    /// The host that a request names itself, if it is not the proxy.
    pub(super) fn of_request(own: SocketAddr, uri: &Uri) -> Option<Inside> {
        let address = uri.authority().filter(|address| !is_own(own, address))?;
        Some(Inside::new("http", address))
    }

    /// Without the port, and without the brackets of an IPv6 address.
    fn host(&self) -> &str {
        let ends_in_port = self.authority.rsplit_once(':').filter(|(_, port)| !port.ends_with(']'));
        ends_in_port.map_or(self.authority.as_str(), |(host, _)| host).trim_matches(['[', ']'])
    }

    pub(super) fn origin(&self) -> String {
        format!("{}://{}", self.scheme, self.authority)
    }
}

impl Intercepting {
    pub(super) fn new(interception: Interception) -> Intercepting {
        Intercepting {
            hosts: interception.hosts,
            authority: interception.authority,
            passed: interception.passed,
            trials: Trials::default(),
        }
    }

    /// Hosts whose traffic was passed on unseen, and why.
    pub(super) fn unseen(&self) -> Vec<(String, Unseen)> {
        self.passed.list()
    }

    /// A client asks something behind the certificate of its host.
    pub(super) fn asked(&self, inside: &Inside) {
        if inside.scheme == "https" {
            self.passed.asked(inside.run.as_deref(), inside.host());
        }
    }

    /// True for a host whose plain requests are not to be seen, which is noted.
    pub(super) fn leaves_plain(&self, inside: &Inside) -> bool {
        let host = inside.host();
        let left = !self.hosts.include(host);
        if left {
            self.passed.note(inside.run.as_deref(), host, Unseen::Left);
        }
        left
    }

    /// Why a host is not looked into.
    fn leaves(&self, host: &str) -> Option<Unseen> {
        let left = (!self.hosts.include(host)).then_some(Unseen::Left);
        left.or_else(|| self.passed.refused(host))
    }
}

/// True for an address that is the proxy's own.
fn is_own(own: SocketAddr, address: &Address) -> bool {
    let loopback = ["127.0.0.1", "localhost", "[::1]"].contains(&address.host());
    loopback && address.port_u16() == Some(own.port())
}

/// Waits for a client to say something; none when it takes too long, or the proxy stops.
async fn patiently<T>(stop: &watch::Receiver<Option<Duration>>, what: impl Future<Output = T>) -> Option<T> {
    unless_stopped(stop, timeout(PATIENCE, what)).await?.ok()
}

async fn unless_stopped<T>(
    stop: &watch::Receiver<Option<Duration>>,
    what: impl Future<Output = T>,
) -> Option<T> {
    let mut stop = stop.clone();
    tokio::select! {
        done = what => Some(done),
        _ = stop.wait_for(Option::is_some) => None,
    }
}

/// Serves a connection of which nothing is known yet.
pub(super) async fn welcome(
    mut stream: TcpStream,
    intercepting: &Intercepting,
    shared: Arc<Shared>,
    stop: watch::Receiver<Option<Duration>>,
) {
    const CONNECT: &[u8] = b"CONNECT ";
    let mut read = BytesMut::with_capacity(1024);
    // As long as it is the beginning of one of the two, and not the whole of it.
    let undecided =
        |read: &[u8]| [CONNECT, PREFACE].iter().any(|of| of.len() > read.len() && of.starts_with(read));
    while undecided(&read) {
        // A client that hangs up, or never says anything, is nobody's concern.
        if !matches!(patiently(&stop, stream.read_buf(&mut read)).await, Some(Ok(1..))) {
            return;
        }
    }
    if read.starts_with(PREFACE) {
        return serve_http2(Prefixed::new(read.freeze(), stream), None, shared, stop).await;
    }
    if !read.starts_with(CONNECT) {
        return serve_http(Prefixed::new(read.freeze(), stream), None, shared, stop).await;
    }
    let Some(Ok(Some((head, rest)))) = patiently(&stop, read_head(&mut stream, read)).await else { return };
    // An error is the end of the connection, which is all that can be done about it.
    let _ = connect(Prefixed::new(rest, stream), &head, intercepting, shared, stop).await;
}

/// What a CONNECT says: where to, and for which run.
#[derive(Debug, PartialEq, Eq)]
struct ConnectHead {
    target: String,
    run: Option<String>,
}

impl ConnectHead {
    fn of(head: &[u8]) -> ConnectHead {
        let text = String::from_utf8_lossy(head);
        let mut lines = text.lines();
        let target = lines.next().unwrap_or_default().split_ascii_whitespace().nth(1).unwrap_or_default();
        let fields = lines.filter_map(|line| line.split_once(':'));
        let mut credentials = fields.filter(|(name, _)| name.eq_ignore_ascii_case("proxy-authorization"));
        let run = credentials.find_map(|(_, value)| user_of(value.trim()));
        ConnectHead { target: target.to_string(), run }
    }
}

/// Reads the head of a CONNECT, and what came after it. None when it is too long or cut off.
async fn read_head(stream: &mut TcpStream, mut read: BytesMut) -> io::Result<Option<(ConnectHead, Bytes)>> {
    loop {
        if let Some(end) = memchr::memmem::find(&read, b"\r\n\r\n") {
            let head = read.split_to(end + 4);
            return Ok(Some((ConnectHead::of(&head), read.freeze())));
        }
        if read.len() > LONGEST_HEAD || stream.read_buf(&mut read).await? == 0 {
            return Ok(None);
        }
    }
}

async fn connect(
    mut stream: Prefixed<TcpStream>,
    head: &ConnectHead,
    intercepting: &Intercepting,
    shared: Arc<Shared>,
    stop: watch::Receiver<Option<Duration>>,
) -> io::Result<()> {
    let target = &head.target;
    let Some(address) = target.parse::<Address>().ok().filter(|a| a.port_u16().is_some()) else {
        return refuse(stream, "400 Bad Request", &format!("CONNECT needs HOST:PORT, not {target}")).await;
    };
    let host = address.host().trim_matches(['[', ']']);
    let own = is_own(shared.address, &address);
    let turn = if own { None } else { intercepting.trials.turn(host).await };
    if !own && let Some(why) = intercepting.leaves(host) {
        drop(turn);
        return pass(stream, (&address, head.run.as_deref()), why, intercepting, &shared, &stop).await;
    }
    stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
    let Some(first) = patiently(&stop, stream.first()).await else { return Ok(()) };
    let inside = |scheme| Inside { run: head.run.clone(), ..Inside::new(scheme, &address) };
    match first? {
        None => {}
        Some(TLS_HANDSHAKE) if !own => {
            secured(stream, inside("https"), turn, intercepting, shared, stop).await?
        }
        Some(_) => {
            drop(turn);
            serve_http(stream, (!own).then(|| inside("http")), shared, stop).await;
        }
    }
    Ok(())
}

/// Ends the client's TLS and serves what is inside.
async fn secured(
    stream: Prefixed<TcpStream>,
    inside: Inside,
    turn: Option<OwnedMutexGuard<bool>>,
    intercepting: &Intercepting,
    shared: Arc<Shared>,
    stop: watch::Receiver<Option<Duration>>,
) -> io::Result<()> {
    let authority = inside.authority.parse::<Address>().map_err(io::Error::other)?;
    let host = authority.host().trim_matches(['[', ']']);
    let hello = LazyConfigAcceptor::new(Acceptor::default(), stream);
    let Some(hello) = patiently(&stop, hello).await else { return Ok(()) };
    let hello = hello?;
    let named = hello.client_hello().server_name().unwrap_or(host).to_string();
    let config = intercepting.authority.server(&named).map_err(io::Error::other)?;
    let run = inside.run.clone();
    intercepting.passed.shown(run.as_deref(), host);
    match patiently(&stop, hello.into_stream(config)).await {
        Some(Ok(stream)) => {
            if let Some(mut turn) = turn {
                *turn = true;
            }
            if stream.get_ref().1.alpn_protocol() == Some(authority::HTTP_2) {
                serve_http2(stream, Some(inside), shared, stop).await;
            } else {
                serve_http(stream, Some(inside), shared, stop).await;
            }
        }
        Some(Err(error)) => {
            if let Some(why) = reason(&error) {
                intercepting.passed.refuses(run.as_deref(), host, why);
            }
        }
        None => {}
    }
    Ok(())
}

/// Why a client did not go on with the handshake, if it said so: the next time its host is passed on. A connection that
/// only ended says nothing; clients open some that they do not need.
fn reason(error: &io::Error) -> Option<Unseen> {
    use AlertDescription as Alert;
    match error.get_ref().and_then(|e| e.downcast_ref::<TlsError>())? {
        TlsError::NoApplicationProtocol | TlsError::AlertReceived(Alert::NoApplicationProtocol) => {
            Some(Unseen::Foreign)
        }
        TlsError::AlertReceived(
            Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied
            | Alert::BadCertificateStatusResponse,
        ) => Some(Unseen::Pinned),
        _ => None,
    }
}

/// Passes a connection on as it is.
async fn pass(
    mut stream: Prefixed<TcpStream>,
    (address, run): (&Address, Option<&str>),
    why: Unseen,
    intercepting: &Intercepting,
    shared: &Shared,
    stop: &watch::Receiver<Option<Duration>>,
) -> io::Result<()> {
    if shared.client.is_none() {
        let what = format!("{address} is not in the recording, and a replay reaches nobody else");
        return refuse(stream, "502 Bad Gateway", &what).await;
    }
    let host = address.host().trim_matches(['[', ']']);
    intercepting.passed.note(run, host, why);
    match TcpStream::connect((host, address.port_u16().unwrap_or(443))).await {
        Ok(mut upstream) => {
            stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
            // How it ends is between the two.
            let _ = unless_stopped(stop, copy_bidirectional(&mut stream, &mut upstream)).await;
            Ok(())
        }
        Err(error) => {
            refuse(stream, "502 Bad Gateway", &format!("{address} cannot be reached: {error}")).await
        }
    }
}

async fn refuse(mut stream: Prefixed<TcpStream>, status: &str, what: &str) -> io::Result<()> {
    let body = error_json("retake_cannot_connect", &format!("retake: {what}"));
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&body).await?;
    stream.shutdown().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_connect_says() {
        let head = ConnectHead::of(
            b"CONNECT a.test:443 HTTP/1.1\r\nHost: a.test\r\nproxy-authorization: Basic Zml4Og==\r\n\r\n",
        );
        assert_eq!(head, ConnectHead { target: "a.test:443".into(), run: Some("fix".into()) });
        for (target, host) in
            [("a.test:8", "a.test"), ("a.test:443", "a.test"), ("[::1]:8", "::1"), ("[::1]:443", "::1")]
        {
            assert_eq!(Inside::new("https", &target.parse().unwrap()).host(), host);
        }
        assert_eq!(ConnectHead::of(b"CONNECT\r\n\r\n"), ConnectHead { target: String::new(), run: None });
    }
}
