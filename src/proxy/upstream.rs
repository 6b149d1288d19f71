//! Connections to upstreams: http and https, pooled, and nothing clever (no redirects, no proxies of the
//! environment, no retries of what was sent).

use super::sent::SentBody;
use super::wire::{Reads, Wire, WireState};
use http::{Uri, Version, request};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connection, HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::error::Error;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tower_service::Service;

/// An idle connection is closed after this time: servers close theirs from five seconds on, and a request that
/// crosses that close fails.
const IDLE: Duration = Duration::from_secs(15);

type Stream = TokioIo<Wire<TokioIo<MaybeHttpsStream<TokioIo<TcpStream>>>>>;
type BoxError = Box<dyn Error + Send + Sync>;

pub(super) type UpstreamClient = Client<Dialer, SentBody>;

/// The clients for every upstream.
pub(super) struct Upstreams {
    /// For what came by HTTP/1.1, which it goes on by.
    plain: UpstreamClient,
    /// For what came by HTTP/2: by that where the upstream speaks it.
    either: UpstreamClient,
    /// For gRPC: by HTTP/2 from the first byte on, without asking.
    prior: UpstreamClient,
}

impl Upstreams {
    /// Counts the connections that are opened in `dialed`.
    pub(super) fn new(dialed: &Arc<AtomicU32>) -> Upstreams {
        let client = |http2, prior| client(dialed.clone(), http2, prior);
        Upstreams { plain: client(false, false), either: client(true, false), prior: client(true, true) }
    }

    /// That which speaks HTTP/1.1 alone.
    pub(super) fn plain(&self) -> &UpstreamClient {
        &self.plain
    }

    /// That for a request which came like this.
    pub(super) fn of(&self, request: &request::Parts, to: &Uri) -> &UpstreamClient {
        let kind = request.headers.get(http::header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let is_grpc = kind.is_some_and(|kind| kind.starts_with("application/grpc"));
        match request.version {
            Version::HTTP_2 if is_grpc && to.scheme() == Some(&http::uri::Scheme::HTTP) => &self.prior,
            Version::HTTP_2 => &self.either,
            _ => &self.plain,
        }
    }
}

fn client(dialed: Arc<AtomicU32>, http2: bool, prior: bool) -> UpstreamClient {
    let mut http = HttpConnector::new();
    http.set_nodelay(true);
    http.enforce_http(false);
    Client::builder(TokioExecutor::new())
        .pool_idle_timeout(IDLE)
        .http1_preserve_header_case(true)
        .http1_max_headers(super::head::MOST_HEADERS)
        .http2_only(prior)
        .build(Dialer { http, https: Arc::new(OnceCell::new()), dialed, http2 })
}

/// Opens connections. The certificates of the system are read at the first https one.
#[derive(Clone)]
pub(super) struct Dialer {
    http: HttpConnector,
    https: Arc<OnceCell<HttpsConnector<HttpConnector>>>,
    dialed: Arc<AtomicU32>,
    /// HTTP/2 may be spoken.
    http2: bool,
}

impl Dialer {
    async fn dial(mut self, to: Uri) -> Result<Stream, BoxError> {
        let stream = if to.scheme() == Some(&http::uri::Scheme::HTTPS) {
            let mut https =
                self.https.get_or_try_init(|| secured(self.http.clone(), self.http2)).await?.clone();
            https.call(to).await?
        } else {
            MaybeHttpsStream::Http(self.http.call(to).await?)
        };
        self.dialed.fetch_add(1, Ordering::Relaxed);
        let reads = if stream.connected().is_negotiated_h2() { Reads::Streams } else { Reads::Responses };
        Ok(TokioIo::new(Wire::new(TokioIo::new(stream), WireState::new(reads))))
    }
}

impl Service<Uri> for Dialer {
    type Response = Stream;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.http.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        Box::pin(self.clone().dial(to))
    }
}

async fn secured(http: HttpConnector, http2: bool) -> Result<HttpsConnector<HttpConnector>, BoxError> {
    let found = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs).await?;
    let mut roots = rustls::RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        let why = found.errors.first().map(|error| format!(" ({error})")).unwrap_or_default();
        let message =
            format!("no trusted certificates were found{why}: install ca-certificates or set SSL_CERT_FILE");
        return Err(io::Error::new(io::ErrorKind::NotFound, message).into());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http().enable_http1();
    Ok(if http2 { connector.enable_http2().wrap_connector(http) } else { connector.wrap_connector(http) })
}
