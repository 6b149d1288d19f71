//! The wire: listens, routes, forwards or lets an [`Answerer`] answer, and tells a [`Tape`] what it saw.
//! Knows no store and no run.

mod answer;
mod attach;
mod beside;
mod case;
mod forward;
mod head;
mod intercept;
mod ledger;
mod listen;
mod marker;
mod no_export;
mod outbound;
mod refuse;
mod route;
mod sent;
mod serve;
pub mod shim;
mod signing;
mod tee;
mod telemetry;
mod upstream;
mod websocket;
mod wire;

pub use attach::{Attach, Place, RUN_HEADER, Runs, Seat};
pub use intercept::{Authority, Hosts, Interception, Passed, Unseen};
pub use listen::Proxy;
pub use outbound::{Outbound, Reply};
pub use route::MCP;
pub use signing::AwsKey;
pub use telemetry::{DEFAULT_COLLECTOR, DEFAULT_GRPC_COLLECTOR, LOGFIRE, OTLP};

use crate::exchange::{BodyEnd, ExchangeId, Fault, HeaderList, RequestHead, ResponseHead, Source, Upstream};
use bytes::Bytes;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

/// A boxed future, for the traits that are used as objects.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A request that was read to its end (or as far as it came).
#[derive(Debug, Clone)]
pub struct SeenRequest {
    pub id: ExchangeId,
    /// Microseconds since the Unix epoch.
    pub started_us: u64,
    pub upstream: Upstream,
    pub head: RequestHead,
    /// The reads it came in.
    pub body: Vec<Bytes>,
    pub end: BodyEnd,
    /// What goes upstream instead, when it differs.
    pub sent: Option<Bytes>,
    /// What it goes under instead, when that differs.
    pub sent_target: Option<String>,
}

/// A response that was read to its end (or as far as it came).
#[derive(Debug, Clone)]
pub struct SeenResponse {
    pub id: ExchangeId,
    pub source: Source,
    pub head: Option<ResponseHead>,
    pub fault: Option<Fault>,
    pub head_us: u64,
    /// The reads it came in, each with its time in microseconds since the exchange started.
    pub frames: Vec<(Bytes, u64)>,
    pub end: BodyEnd,
    pub end_us: u64,
}

/// What the agent's instrumentation exported, read.
#[derive(Debug, Clone)]
pub struct SeenExport {
    /// Spans, or log records.
    pub batch: crate::otlp::Batch,
    /// BLAKE3 of the request's body, decoded: an exporter that tries again sends the same.
    pub digest: [u8; 32],
    /// Length of the body, decoded.
    pub bytes: usize,
}

/// Who is told what went over the wire.
pub trait Tape: Send + Sync + 'static {
    /// Waits until there is room for more: nothing is ever dropped, the agent waits.
    fn room(&self) -> BoxFuture<'_, ()>;
    /// A request was read. Does not block.
    fn request(&self, seen: SeenRequest);
    /// A response came to its end, or (again, with more frames) went on after its terminal event. Does not block;
    /// `written` is answered (or dropped) when the exchange has passed `write(2)` or cannot be written.
    fn response(&self, seen: SeenResponse, written: oneshot::Sender<()>);
    /// Spans or log records were exported: done when they have passed `write(2)` or cannot be written.
    fn export(&self, seen: SeenExport) -> BoxFuture<'_, ()>;
}

/// A request that wants an answer.
#[derive(Debug, Clone)]
pub struct Asked {
    pub id: ExchangeId,
    pub upstream: Upstream,
    pub head: RequestHead,
    pub body: Bytes,
}

/// An answer that needs no upstream.
#[derive(Debug, Clone)]
pub struct Canned {
    pub source: Source,
    pub head: ResponseHead,
    /// Bytes with the time to wait before each.
    pub frames: Vec<(Duration, Bytes)>,
    pub end: CannedEnd,
}

/// How a canned answer ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CannedEnd {
    /// In order.
    Complete,
    /// With trailers.
    Trailers(HeaderList),
    /// The connection is broken off after the last byte.
    Broken,
}

/// A frame of a canned answer that is held back until something else has happened.
#[derive(Debug, Clone)]
pub struct Gate {
    /// Index of the frame; that of none holds back the end.
    pub frame: usize,
    /// Opens when this is true, or when nobody can make it so any more.
    pub open: watch::Receiver<bool>,
}

/// Bytes that become known while an answer goes out, with the time to wait before each.
pub type Feed = mpsc::UnboundedReceiver<(Duration, Bytes)>;

/// What to do with a request.
pub enum Answer {
    /// Answer without an upstream.
    Serve(Canned),
    /// The same, with frames that wait for what other requests bring. Gates are in the order of their frames.
    ServeGated(Canned, Vec<Gate>),
    /// The same, and then what comes through the feed, until that is closed.
    ServeFed(Canned, Feed),
    /// Close the connection without an answer: a recorded refusal or reset.
    Close(Source, Fault),
    /// Send it upstream; `body` when other bytes are to go than the agent sent.
    Forward {
        /// Goes in the place of the agent's body.
        body: Option<Bytes>,
        /// Path and query, when not those of the agent's request.
        target: Option<String>,
        /// Where it goes, when not where the agent's path says.
        upstream: Option<Upstream>,
        /// Fields of the head that take the place of the agent's; one that is empty takes that away.
        fields: HeaderList,
        /// True to read the whole answer and let [`Answerer::inspect`] see it before the agent has any of it.
        hold: bool,
    },
}

/// Who answers instead of the upstream.
pub trait Answerer: Send + Sync + 'static {
    /// Decides. The request is complete.
    fn answer(&self, asked: Asked) -> BoxFuture<'_, Answer>;
    /// Decides on a turn of a WebSocket: the head of the opening, and what the client said since the last answer. None
    /// when it has not said all of it yet: then it is asked again, with the next message, under the same id.
    fn turn(&self, asked: Asked) -> BoxFuture<'_, Option<Answer>> {
        Box::pin(async { Some(self.answer(asked).await) })
    }
    /// The agent has the last byte of this exchange's answer, or hung up.
    fn delivered(&self, id: ExchangeId);
    /// A forwarded answer that was held back, before the agent has any of it; another answer to give instead, if any.
    fn inspect(&self, seen: &SeenResponse) -> Option<Canned>;
    /// A forwarded answer came to its end (whole or not), before the agent has its last byte.
    fn answered(&self, seen: &SeenResponse);
}

/// Which upstream a path prefix stands for.
#[derive(Debug, Clone, Default)]
pub struct Routes {
    pub upstreams: Vec<Upstream>,
    /// Paths that begin in another way at the upstream than the agent's do.
    pub moved: Vec<Moved>,
}

/// A beginning of paths, and what stands there instead at the upstream of a provider: `/v1` and `/team/v1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    pub provider: String,
    pub from: String,
    pub to: String,
}

impl Routes {
    /// Routes to these, with paths as the agent has them.
    pub fn to(upstreams: Vec<Upstream>) -> Routes {
        Routes { upstreams, moved: Vec::new() }
    }
}

/// How a proxy is set up.
pub struct ProxyConfig {
    pub routes: Routes,
    /// None: nothing but the routes is served.
    pub interception: Option<Interception>,
    pub tape: Option<Arc<dyn Tape>>,
    /// None: everything is forwarded (recording).
    pub answerer: Option<Arc<dyn Answerer>>,
    /// Many agents share it: their runs have tapes and answerers of their own, in the place of these two.
    pub attach: Option<Attach>,
    /// False: no upstream client is built and [`Answer::Forward`] is refused.
    pub may_dial: bool,
    /// Byte strings of which one stands at the start of a line where an event stream has its terminal event
    /// (`data: [DONE]`): the frame that completes one is held until the exchange was written.
    pub terminal_markers: Vec<Vec<u8>>,
    /// Signs requests for Amazon again that go out changed.
    pub aws_key: Option<AwsKey>,
}
