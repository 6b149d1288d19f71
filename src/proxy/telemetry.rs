//! Exports of spans and log records: what the agent's instrumentation sends is kept with the run, and passed on
//! unchanged to where it was to go.
//!
//! They come to `/otlp/v1/traces`, to the paths of vendors below their routes (`/langfuse/api/public/otel/v1/traces`), to
//! the bare `/v1/traces` of an exporter that was only told host and port, by gRPC, or inside an intercepted connection.

use super::answer::{Going, serve};
use super::listen::Shared;
use super::route::{self, Way};
use super::sent::SentBody;
use super::tee::{AnswerBody, BrokenOff, chain};
use super::{Canned, CannedEnd, Routes, SeenExport, answer, beside};
use crate::exchange::{HeaderList, ResponseHead, Source, encoding};
use crate::otlp::{Batch, Encoding, Reply, Signal, grpc, langsmith, openai_agents};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use std::time::Duration;

/// Name of the way for exporters.
pub const OTLP: &str = "otlp";
/// Name of the way for Logfire's clients.
pub const LOGFIRE: &str = "logfire";
/// Where exporters send what nobody told them to send elsewhere; whoever listens there is to have it.
pub const DEFAULT_COLLECTOR: &str = "http://localhost:4318";
/// The same by gRPC.
pub const DEFAULT_GRPC_COLLECTOR: &str = "http://localhost:4317";

/// An export is no longer than this, before and after decompression (section "OTLP/HTTP Request" leaves it to us).
const MOST: usize = 64 << 20;

/// A request that exports something.
pub(super) struct Export {
    signal: Signal,
    form: Form,
    /// Where it goes on to; none: nobody but the run gets it.
    way: Option<Way>,
}

/// How an export is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Form {
    Http(Encoding),
    Grpc,
    /// JSON of the OpenAI Agents SDK.
    Agents,
    /// Runs as LangSmith's own clients tell them.
    LangSmith(langsmith::Form),
}

/// An export, read.
struct Read {
    batches: Vec<Batch>,
    /// Length, decoded.
    bytes: usize,
    /// Of the decoded body: what compresses it may put the time into it.
    digest: [u8; 32],
}

/// The code of gRPC by which an exporter tries again, as by a 503.
const UNAVAILABLE: i32 = 14;

/// Where the OpenAI Agents SDK exports to, at a host that it has no setting for.
const INGEST: &str = "/v1/traces/ingest";

impl Export {
    /// Looks whether a request is an export. `way`: where it goes; `outside`: to a host that is not the proxy.
    pub(super) fn of<B>(
        routes: &Routes,
        way: Option<&Way>,
        outside: bool,
        request: &Request<B>,
    ) -> Option<Export> {
        if let Some(export) = way.and_then(|way| Export::of_langsmith(way, request)) {
            return Some(export);
        }
        if request.method() != Method::POST {
            return None;
        }
        let form = form(request.headers())?;
        let signal = |path: &str| match form {
            Form::Grpc => Signal::of_method(path),
            _ => Signal::of_path(path),
        };
        let path = request.uri().path();
        if let Some(export) = way.and_then(|way| Export::of_agents(&form, way)) {
            return Some(export);
        }
        if let (true, Some(way)) = (outside, way) {
            // Any service may have JSON at such a path.
            let sure = form != Form::Http(Encoding::Json) || is_exporter(request.headers());
            return Some(Export { signal: signal(path).filter(|_| sure)?, form, way: Some(way.clone()) });
        }
        let (first, rest) = first_segment(path);
        if let Some(signal) = first.strip_prefix(OTLP).and_then(signal_of_route) {
            let signal = signal.or_else(|| Signal::of_path(rest))?;
            return Some(Export { signal, form, way: way.cloned() });
        }
        if let Some(way) = way {
            let path = way.target.split('?').next().unwrap_or_default();
            return Some(Export { signal: signal(path)?, form, way: Some(way.clone()) });
        }
        if form == Form::Http(Encoding::Json) && path_behind_run(path) == INGEST {
            let way = format!("/openai{INGEST}").parse().ok().and_then(|to| route::resolve(routes, &to));
            return Some(Export { signal: Signal::Traces, form: Form::Agents, way });
        }
        let signal = signal(path)?;
        let to = format!("/{OTLP}{}", if form == Form::Grpc { path } else { signal.path() });
        let way = to.parse().ok().and_then(|to| route::resolve(routes, &to));
        Some(Export { signal, form, way })
    }

    /// That of a client of LangSmith, if it is one. What is too long to be read passes by unread.
    fn of_langsmith<B>(way: &Way, request: &Request<B>) -> Option<Export> {
        let path = beside::langsmith_path(way)?;
        let text = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
        let length = text(CONTENT_LENGTH).and_then(|length| length.parse().ok()).unwrap_or(0usize);
        let form = langsmith::Form::of(request.method().as_str(), path, text(CONTENT_TYPE)?)?;
        (length <= MOST).then(|| Export {
            signal: Signal::Traces,
            form: Form::LangSmith(form),
            way: Some(way.clone()),
        })
    }

    /// That of the OpenAI Agents SDK, if it is one.
    fn of_agents(form: &Form, way: &Way) -> Option<Export> {
        let to_openai = way.upstream.provider == "openai" || way.upstream.origin == "https://api.openai.com";
        let ingests = way.target.split('?').next() == Some(INGEST);
        (*form == Form::Http(Encoding::Json) && to_openai && ingests).then(|| Export {
            signal: Signal::Traces,
            form: Form::Agents,
            way: Some(way.clone()),
        })
    }
}

/// The way of a request of Logfire's client, which keeps nothing of an address but host and port.
pub(super) fn way_of_logfire<B>(routes: &Routes, request: &Request<B>) -> Option<Way> {
    let says = |name, with: &str| {
        let value = request.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        value.is_some_and(|value| value.starts_with(with))
    };
    if !says(AUTHORIZATION, "pylf_") && !says(USER_AGENT, "logfire/") {
        return None;
    }
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    let to = format!("/{LOGFIRE}{}", path_behind_run(target)).parse().ok()?;
    route::resolve(routes, &to)
}

/// True for the exporters of OpenTelemetry, which say their name.
fn is_exporter(headers: &HeaderMap) -> bool {
    let name = headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    name.starts_with("OTel-OTLP-Exporter") || name.starts_with("OTel OTLP Exporter")
}

/// The first segment of a path behind `/r/NAME`, and what follows it.
pub(super) fn first_segment(path: &str) -> (&str, &str) {
    let rest = path_behind_run(path);
    let rest = rest.strip_prefix('/').unwrap_or(rest);
    rest.split_at(rest.find('/').unwrap_or(rest.len()))
}

/// A path without `/r/NAME` before it.
pub(super) fn path_behind_run(path: &str) -> &str {
    let behind = path.strip_prefix("/r/").and_then(|rest| rest.get(rest.find('/')?..));
    behind.unwrap_or(path)
}

/// What a way for exporters is for, by what its name has behind `otlp`: one signal (`-traces`), or, inside, any.
pub(super) fn signal_of_route(behind: &str) -> Option<Option<Signal>> {
    match behind {
        "" => Some(None),
        "-traces" => Some(Some(Signal::Traces)),
        "-logs" => Some(Some(Signal::Logs)),
        "-metrics" => Some(Some(Signal::Metrics)),
        _ => None,
    }
}

pub(super) fn form(headers: &HeaderMap) -> Option<Form> {
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    if value.starts_with("application/grpc") {
        return Some(Form::Grpc);
    }
    Encoding::of_content_type(value).map(Form::Http)
}

/// True where nobody said that somebody listens there: then it is no fault that nobody does.
pub(super) fn is_implied(way: &Way) -> bool {
    [DEFAULT_COLLECTOR, DEFAULT_GRPC_COLLECTOR].contains(&way.upstream.origin.as_str())
}

/// Whose an export is.
pub(super) enum Of {
    /// It is not to be kept.
    Nobody,
    /// The run of this name, where runs have names.
    Run(Option<String>),
}

/// Keeps an export, and answers it: with what its receiver says, where it has one.
pub(super) async fn receive(
    shared: &Shared,
    of: Of,
    going: impl Fn() -> Going,
    export: Export,
    request: Request<Incoming>,
) -> Result<Response<AnswerBody>, BrokenOff> {
    let (parts, body) = request.into_parts();
    let raw = match Limited::new(body, MOST).collect().await {
        Ok(whole) => whole.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            let why = format!("an export has at most {MOST} bytes");
            return Ok(serve(shared, going(), export.refusal(413, 8, &why), Vec::new()).await);
        }
        Err(error) => return Err(BrokenOff(chain(error.as_ref()))),
    };
    let read = export.read(&parts.headers, &raw).map(|Read { batches, bytes, digest }| {
        let clean = |mut batch: Batch| (batch.drop_nameless(), batch);
        (batches.into_iter().map(clean).collect::<Vec<_>>(), bytes, digest)
    });
    let read = match read {
        Err(refused) => Err(refused),
        Ok((batches, bytes, digest)) => {
            let rejected: usize = batches.iter().map(|(rejected, _)| rejected).sum();
            if let Of::Run(run) = of {
                for (_, batch) in batches {
                    shared.keep(run.as_deref(), SeenExport { batch, digest, bytes }).await;
                }
            }
            Ok(rejected)
        }
    };
    if let (Some(way), true) = (&export.way, shared.client.is_some()) {
        let body = SentBody::Whole((!raw.is_empty()).then_some(raw));
        let passed = answer::pass_unseen(shared, going(), parts, &way.upstream, &way.target, body).await;
        match passed {
            Ok(answer) => return Ok(answer),
            Err(broken) if !is_implied(way) => {
                let why = format!("{} cannot be reached: {}", way.upstream.origin, broken.0);
                return Ok(serve(shared, going(), export.refusal(503, UNAVAILABLE, &why), Vec::new()).await);
            }
            Err(_) => {}
        }
    }
    let canned = match read {
        Err((status, why)) => export.refusal(status, if status == 413 { 8 } else { 3 }, &why),
        Ok(0) => export.taken(),
        Ok(rejected) => export.partly(rejected),
    };
    Ok(serve(shared, going(), canned, Vec::new()).await)
}

impl Export {
    /// What it says, and how many bytes that is; else the status and why not.
    fn read(&self, headers: &HeaderMap, raw: &Bytes) -> Result<Read, (u16, String)> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let (coding, body, encoding) = match &self.form {
            Form::Http(encoding) => (text(CONTENT_ENCODING.as_str()), raw.as_ref(), *encoding),
            Form::Agents | Form::LangSmith(_) => {
                (text(CONTENT_ENCODING.as_str()), raw.as_ref(), Encoding::Json)
            }
            Form::Grpc => {
                let (squeezed, message) = grpc::message(raw).map_err(|why| (400, why))?;
                (text("grpc-encoding").filter(|_| squeezed), message, Encoding::Protobuf)
            }
        };
        let decoded = encoding::decode_up_to(MOST, coding, body);
        if let Some(why) = decoded.broken {
            let status = if decoded.bytes.len() >= MOST { 413 } else { 400 };
            return Err((status, why));
        }
        let bytes = &decoded.bytes;
        let batches = match &self.form {
            Form::LangSmith(form) => langsmith::read(form, bytes).map(|traces| vec![Batch::Traces(traces)]),
            Form::Agents => openai_agents::read(bytes)
                .map(|(traces, logs)| vec![Batch::Traces(traces), Batch::Logs(logs)]),
            _ => Batch::read(self.signal, encoding, bytes).map(|batch| vec![batch]),
        };
        let batches = batches.map_err(|why| (400, why))?;
        Ok(Read { batches, bytes: bytes.len(), digest: *blake3::hash(bytes).as_bytes() })
    }

    fn taken(&self) -> Canned {
        if self.form == Form::Agents {
            return answered(204, HeaderList::default(), Vec::new());
        }
        if matches!(self.form, Form::LangSmith(_)) {
            return self.canned(Reply { status: 202, encoding: Encoding::Json, body: b"{}".to_vec() });
        }
        self.canned(Reply::taken(self.encoding()))
    }

    fn partly(&self, rejected: usize) -> Canned {
        let why = "spans without a trace id or a span id were left out";
        self.canned(Reply::partly(self.encoding(), rejected, "rejectedSpans", why))
    }

    fn refusal(&self, status: u16, code: i32, why: &str) -> Canned {
        match self.form {
            Form::Grpc => grpc_answer(code, why, None),
            _ => self.canned(Reply::refused(self.encoding(), status, code, why)),
        }
    }

    fn encoding(&self) -> Encoding {
        match self.form {
            Form::Http(encoding) => encoding,
            Form::Grpc => Encoding::Protobuf,
            Form::Agents | Form::LangSmith(_) => Encoding::Json,
        }
    }

    fn canned(&self, reply: Reply) -> Canned {
        if self.form == Form::Grpc {
            return grpc_answer(0, "", Some(reply.body));
        }
        framed(reply)
    }
}

/// A reply over HTTP.
pub(super) fn framed(reply: Reply) -> Canned {
    let headers = HeaderList(vec![
        ("content-type".into(), reply.encoding.content_type().into()),
        ("content-length".into(), reply.body.len().to_string()),
    ]);
    answered(reply.status, headers, reply.body)
}

/// A whole answer.
pub(super) fn answered(status: u16, headers: HeaderList, body: Vec<u8>) -> Canned {
    Canned {
        source: Source::Live,
        head: ResponseHead { status, headers },
        frames: vec![(Duration::ZERO, body.into())],
        end: CannedEnd::Complete,
    }
}

/// The answer to a gRPC call: a message, and the status in the trailers.
pub(super) fn grpc_answer(status: i32, why: &str, message: Option<Vec<u8>>) -> Canned {
    let mut trailers = HeaderList(vec![("grpc-status".into(), status.to_string())]);
    if !why.is_empty() {
        let coded = percent_encoding::utf8_percent_encode(why, percent_encoding::CONTROLS);
        trailers.push("grpc-message", coded.to_string());
    }
    let framed = |message: Vec<u8>| {
        let mut bytes = vec![0];
        bytes.extend_from_slice(&(message.len() as u32).to_be_bytes());
        bytes.extend_from_slice(&message);
        (Duration::ZERO, bytes.into())
    };
    Canned {
        source: Source::Live,
        head: ResponseHead {
            status: 200,
            headers: HeaderList(vec![("content-type".into(), "application/grpc".into())]),
        },
        frames: message.map(framed).into_iter().collect(),
        end: CannedEnd::Trailers(trailers),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::Upstream;

    fn export(path: &str, content_type: &str) -> Option<(Signal, Option<(String, String)>)> {
        let to =
            |provider: &str| Upstream { provider: provider.into(), origin: format!("http://{provider}") };
        let routes = Routes::to(["otlp", "otlp-traces", "langfuse", "openai"].map(to).to_vec());
        let request = Request::post(path).header(CONTENT_TYPE, content_type).body(()).unwrap();
        let way = route::resolve(&routes, request.uri());
        let found = Export::of(&routes, way.as_ref(), false, &request)?;
        Some((found.signal, found.way.map(|way| (way.upstream.provider, way.target))))
    }

    #[test]
    fn exports_are_known_by_their_paths() {
        let to = |provider: &str, target: &str| Some((provider.to_string(), target.to_string()));
        let protobuf = "application/x-protobuf";
        for (path, signal, way) in [
            ("/otlp/v1/traces", Signal::Traces, to("otlp", "/v1/traces")),
            ("/r/fix/otlp/v1/logs", Signal::Logs, to("otlp", "/v1/logs")),
            ("/otlp-traces/custom", Signal::Traces, to("otlp-traces", "/custom")),
            ("/v1/metrics", Signal::Metrics, to("otlp", "/v1/metrics")),
            ("/r/fix/v1/traces", Signal::Traces, to("otlp", "/v1/traces")),
            ("/api/public/otel/v1/traces", Signal::Traces, to("otlp", "/v1/traces")),
            (
                "/langfuse/api/public/otel/v1/traces",
                Signal::Traces,
                to("langfuse", "/api/public/otel/v1/traces"),
            ),
        ] {
            assert_eq!(export(path, protobuf), Some((signal, way)), "{path}");
        }
        for path in ["/openai/v1/traces/ingest", "/r/fix/v1/traces/ingest", "/v1/traces/ingest"] {
            let way = to("openai", "/v1/traces/ingest");
            assert_eq!(export(path, "application/json"), Some((Signal::Traces, way)), "{path}");
        }
        for (path, kind) in [
            ("/langfuse/v1/traces/ingest", "application/json"),
            ("/openai/v1/chat/completions", "application/json"),
            ("/otlp/v1/traces", "text/plain"),
            ("/otlp/v1/nothing", protobuf),
            ("/otlpx/v1", protobuf),
        ] {
            assert_eq!(export(path, kind), None, "{path}");
        }
        let method = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
        assert_eq!(export(method, "application/grpc+proto"), Some((Signal::Traces, to("otlp", method))));
    }

    #[test]
    fn clients_of_logfire_are_known_by_their_token_or_name() {
        let to = |provider: &str| Upstream { provider: provider.into(), origin: "http://x".into() };
        let routes = Routes::to([OTLP, LOGFIRE].map(to).to_vec());
        let way = |routes: &Routes, path: &str, name: &str, value: &str| {
            let request = Request::get(path).header(name, value).body(()).unwrap();
            way_of_logfire(routes, &request).map(|way| (way.upstream.provider, way.target))
        };
        let found = |target: &str| Some((LOGFIRE.to_string(), target.to_string()));
        assert_eq!(way(&routes, "/v1/traces", "authorization", "pylf_v1_us_x"), found("/v1/traces"));
        assert_eq!(way(&routes, "/r/fix/v1/info?x=1", "user-agent", "logfire/5.2.0"), found("/v1/info?x=1"));
        assert_eq!(way(&routes, "/v1/traces", "authorization", "Bearer x"), None);
        let none = Routes::to(vec![to(OTLP)]);
        assert_eq!(way(&none, "/v1/traces", "authorization", "pylf_v1_us_x"), None);
    }
}
