//! The recorded unit: one request and its response on the wire, as plain data.
//!
//! Nothing here opens a socket or a file. Bodies are the bytes of the wire (still content-encoded); everything that
//! is read out of them is read elsewhere ([`crate::dialect`]).

pub mod canon;
pub mod encoding;
pub mod eventstream;
pub mod headers;
pub mod json;
pub mod messages;
pub mod multipart;
pub mod parts;
pub mod span;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub use headers::HeaderList;
pub use span::SpanContext;

/// The place of an exchange in its run: 1 for the first request that arrived, counted in order of arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ExchangeId(pub u32);

impl std::fmt::Display for ExchangeId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "x{}", self.0)
    }
}

/// Where a request goes: a provider's name as it stands in the proxy's path, and the base URL behind it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Upstream {
    /// Path prefix that names it on the proxy: `openai`, `anthropic`.
    pub provider: String,
    /// Origin of the real server, without a trailing slash: `https://api.openai.com`.
    pub origin: String,
}

/// The head of a request as the agent sent it, with the provider prefix removed from the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestHead {
    /// Method, as sent.
    pub method: String,
    /// Path and query as they go upstream: `/v1/messages?beta=true`.
    pub target: String,
    /// All headers, in order and with their case; the hop-by-hop ones included.
    pub headers: HeaderList,
}

impl RequestHead {
    /// The target without its query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// True for a request to go on as a WebSocket: its opening, and every turn of its session.
    pub fn is_websocket(&self) -> bool {
        let upgrades = self.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("upgrade"));
        let mut tokens = upgrades.flat_map(|(_, value)| value.split(','));
        self.method == "GET" && tokens.any(|token| token.trim().eq_ignore_ascii_case("websocket"))
    }
}

/// The head of a response as the upstream sent it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResponseHead {
    /// Status code.
    pub status: u16,
    /// All headers, in order and with their case; the hop-by-hop ones included.
    pub headers: HeaderList,
}

impl ResponseHead {
    /// True for a `text/event-stream` body.
    pub fn is_event_stream(&self) -> bool {
        self.is_of("text/event-stream")
    }

    /// True for the binary event stream of AWS.
    pub fn is_message_stream(&self) -> bool {
        self.is_of(eventstream::CONTENT_TYPE)
    }

    fn is_of(&self, media_type: &str) -> bool {
        self.headers.get("content-type").is_some_and(|v| v.trim_start().starts_with(media_type))
    }

    /// True for a body of JSON values, one a line.
    pub fn is_json_lines(&self) -> bool {
        const NAMES: [&str; 5] = ["x-ndjson", "ndjson", "jsonl", "x-jsonlines", "jsonlines"];
        let kind = self.headers.get("content-type").unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        kind.strip_prefix("application/").is_some_and(|name| NAMES.contains(&name))
    }

    /// True where the messages of a WebSocket follow, as [`messages`] has them.
    pub fn is_websocket(&self) -> bool {
        self.status == 101
    }

    /// True for a body that tells its answer piece by piece, so that several may spell out one text: events, lines of
    /// JSON, the messages of a WebSocket.
    pub fn is_stream(&self) -> bool {
        self.is_event_stream() || self.is_json_lines() || self.is_websocket()
    }
}

/// One read of a body: how many bytes it held and when it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameMark(
    /// Length in bytes.
    pub u32,
    /// Microseconds since the exchange started.
    pub u64,
);

/// How a body ended.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum BodyEnd {
    /// All of it arrived: the content-length was reached, or the stream was closed in order.
    #[default]
    Complete,
    /// It ended with trailers.
    Trailers {
        /// The trailer fields.
        fields: HeaderList,
    },
    /// The sender broke off: reset, a wrong content-length, a broken chunk.
    Error {
        /// What the HTTP library said.
        what: String,
    },
    /// The receiver of the bytes went away first (an agent that hung up).
    Cancelled,
    /// The recorder died before the end was seen.
    Interrupted,
}

impl BodyEnd {
    /// True when the body is whole.
    pub fn is_whole(&self) -> bool {
        matches!(self, BodyEnd::Complete | BodyEnd::Trailers { .. })
    }
}

/// Why there is no response head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Fault {
    /// No connection to the upstream: refused, unreachable, name not found, TLS failed.
    Connect {
        /// What the operating system or the TLS library said.
        what: String,
    },
    /// The upstream closed or reset the connection before a response head.
    Reset {
        /// What the HTTP library said.
        what: String,
    },
    /// The agent gave up before the upstream answered.
    Abandoned,
    /// The recorder died before an answer came.
    Interrupted,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fault::Connect { what } => write!(f, "no connection: {what}"),
            Fault::Reset { what } => write!(f, "the connection was closed before an answer: {what}"),
            Fault::Abandoned => f.write_str("the agent gave up before an answer came"),
            Fault::Interrupted => f.write_str("the recorder ended before an answer came"),
        }
    }
}

/// Where an answer came from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Source {
    /// The real upstream.
    #[default]
    Live,
    /// The recording of an earlier run.
    Recorded {
        /// The run it was recorded in, e.g. `refund.1`.
        run: String,
        /// The exchange there.
        exchange: ExchangeId,
    },
    /// The recording, changed by an edit of the fork (an answer edit, an injected fault).
    Edited {
        /// The run whose step was edited.
        run: String,
        /// The exchange there.
        exchange: ExchangeId,
    },
    /// retake itself: nothing recorded was right for the request.
    Refused,
}

/// A place where a secret stood: what was put there instead.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StandIn {
    /// Which rule or variable: `OPENAI_API_KEY`, `authorization`, `aws-access-key`.
    pub label: String,
    /// The text that stands in the recording; same length and shape as the secret.
    pub text: String,
}

/// The request side of an exchange.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedRequest {
    /// Place in the run.
    pub id: ExchangeId,
    /// When its head arrived: microseconds since the Unix epoch.
    pub started_us: u64,
    /// Where it went.
    pub upstream: Upstream,
    /// Method, target, headers; after redaction.
    pub head: RequestHead,
    /// The body of the wire, after redaction.
    pub body: Bytes,
    /// How the body ended.
    pub end: BodyEnd,
    /// What went upstream instead of `body`, when an edit or a pin changed it.
    pub sent: Option<Bytes>,
    /// Path and query under which it went, when an edit changed those: some protocols name the model there.
    pub sent_target: Option<String>,
    /// The secrets that were replaced in it.
    pub stand_ins: Vec<StandIn>,
}

/// The response side of an exchange.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedResponse {
    /// Who answered.
    pub source: Source,
    /// Status and headers, after redaction; none when there was a fault.
    pub head: Option<ResponseHead>,
    /// Why there is no head.
    pub fault: Option<Fault>,
    /// When the head arrived: microseconds since the exchange started.
    pub head_us: u64,
    /// The body of the wire, after redaction.
    pub body: Bytes,
    /// The reads it came in. Their lengths add up to the length of `body`.
    pub frames: Vec<FrameMark>,
    /// How it ended.
    pub end: BodyEnd,
    /// When it ended: microseconds since the exchange started.
    pub end_us: u64,
    /// The secrets that were replaced in it.
    pub stand_ins: Vec<StandIn>,
}

/// One request and its response on the wire.
#[derive(Debug, Clone, PartialEq)]
pub struct Exchange {
    /// What was asked.
    pub request: RecordedRequest,
    /// What came back; none while it is under way, or when the recorder died first.
    pub response: Option<RecordedResponse>,
}
