//! The OpenTelemetry protocol: what exporters send, in protobuf and in JSON, and what they are answered.

mod division;
pub mod grpc;
pub mod json;
pub mod langsmith;
pub mod openai_agents;
pub mod proto;
mod reply;

pub use division::Moment;
pub use reply::Reply;

use prost::Message;
use proto::{Logs, Span, Traces};

/// The code of a span's status that says that it failed.
const FAILED: i32 = 2;

/// What an exporter sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Signal {
    /// Spans.
    Traces,
    /// Log records.
    Logs,
    /// Metrics; nothing of them is read.
    Metrics,
}

/// How it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// `application/x-protobuf`.
    Protobuf,
    /// `application/json`.
    Json,
}

/// One export, read.
#[derive(Debug, Clone, PartialEq)]
pub enum Batch {
    /// Spans.
    Traces(Traces),
    /// Log records.
    Logs(Logs),
    /// Metrics, unread.
    Metrics,
}

impl Signal {
    /// The signal that is exported to a path, whatever stands before it: `/v1/traces`, `/api/public/otel/v1/traces`.
    pub fn of_path(path: &str) -> Option<Signal> {
        let (before, last) = path.trim_end_matches('/').rsplit_once('/')?;
        let signal = match last {
            "traces" => Signal::Traces,
            "logs" => Signal::Logs,
            "metrics" => Signal::Metrics,
            _ => return None,
        };
        before.ends_with("/v1").then_some(signal)
    }

    /// Its path below an endpoint.
    pub fn path(self) -> &'static str {
        match self {
            Signal::Traces => "/v1/traces",
            Signal::Logs => "/v1/logs",
            Signal::Metrics => "/v1/metrics",
        }
    }

    /// The signal of a gRPC method: `/opentelemetry.proto.collector.trace.v1.TraceService/Export`.
    pub fn of_method(path: &str) -> Option<Signal> {
        match path.strip_prefix("/opentelemetry.proto.collector.")?.strip_suffix("/Export")? {
            "trace.v1.TraceService" => Some(Signal::Traces),
            "logs.v1.LogsService" => Some(Signal::Logs),
            "metrics.v1.MetricsService" => Some(Signal::Metrics),
            _ => None,
        }
    }
}

impl Encoding {
    /// By the media type of a request; none for another.
    pub fn of_content_type(value: &str) -> Option<Encoding> {
        match value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
            "application/x-protobuf" | "application/protobuf" => Some(Encoding::Protobuf),
            "application/json" => Some(Encoding::Json),
            _ => None,
        }
    }

    /// Its media type.
    pub fn content_type(self) -> &'static str {
        match self {
            Encoding::Protobuf => "application/x-protobuf",
            Encoding::Json => "application/json",
        }
    }
}

impl Batch {
    /// Reads an export whose content encoding has been taken off.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn read(signal: Signal, encoding: Encoding, body: &[u8]) -> Result<Batch, String> {
        let no_protobuf =
            |error: prost::DecodeError| format!("the body is no protobuf of this signal: {error}");
        match (signal, encoding) {
            (Signal::Traces, Encoding::Protobuf) => {
                Traces::decode(body).map(Batch::Traces).map_err(no_protobuf)
            }
            (Signal::Logs, Encoding::Protobuf) => Logs::decode(body).map(Batch::Logs).map_err(no_protobuf),
            (Signal::Traces, Encoding::Json) => json::traces(body).map(Batch::Traces),
            (Signal::Logs, Encoding::Json) => json::logs(body).map(Batch::Logs),
            (Signal::Metrics, _) => Ok(Batch::Metrics),
        }
    }

    /// Takes out spans that no one could ever find again, without a trace or span id: how many.
    pub fn drop_nameless(&mut self) -> usize {
        let Batch::Traces(traces) = self else { return 0 };
        let is_id = |id: &[u8], length: usize| id.len() == length && id.iter().any(|byte| *byte != 0);
        let mut dropped = 0;
        let scopes = traces.resource_spans.iter_mut().flat_map(|of| &mut of.scope_spans);
        for scope in scopes {
            let before = scope.spans.len();
            scope.spans.retain(|span| is_id(&span.trace_id, 16) && is_id(&span.span_id, 8));
            dropped += before - scope.spans.len();
        }
        dropped
    }

    /// Writes it, in protobuf; metrics are not kept, and are nothing.
    pub fn to_protobuf(&self) -> Vec<u8> {
        match self {
            Batch::Traces(traces) => traces.encode_to_vec(),
            Batch::Logs(logs) => logs.encode_to_vec(),
            Batch::Metrics => Vec::new(),
        }
    }

    /// How many spans or records it has.
    pub fn len(&self) -> usize {
        match self {
            Batch::Traces(of) => {
                of.resource_spans.iter().flat_map(|of| &of.scope_spans).map(|of| of.spans.len()).sum()
            }
            Batch::Logs(of) => {
                of.resource_logs.iter().flat_map(|of| &of.scope_logs).map(|of| of.log_records.len()).sum()
            }
            Batch::Metrics => 0,
        }
    }

    /// How many of its spans say that they failed.
    pub fn failed(&self) -> usize {
        let Batch::Traces(traces) = self else { return 0 };
        let scopes = traces.resource_spans.iter().flat_map(|of| &of.scope_spans);
        let failed = |span: &&Span| span.status.as_ref().is_some_and(|status| status.code == FAILED);
        scopes.flat_map(|of| &of.spans).filter(failed).count()
    }

    /// True when it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A value of JSON as that of an attribute: plain ones as they are, others as JSON in a text; none for null.
fn plain(value: &serde_json::Value) -> Option<proto::Value> {
    use serde_json::Value as Json;
    Some(match value {
        Json::Null => return None,
        Json::String(text) => proto::Value::String(text.clone()),
        Json::Bool(truth) => proto::Value::Bool(*truth),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => proto::Value::Int(whole),
            (None, other) => proto::Value::Double(other?),
        },
        other => proto::Value::String(other.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_say_what_is_exported() {
        for (path, signal) in [
            ("/v1/traces", Some(Signal::Traces)),
            ("/api/public/otel/v1/traces/", Some(Signal::Traces)),
            ("/otlp/v1/logs", Some(Signal::Logs)),
            ("/v1/metrics", Some(Signal::Metrics)),
            ("/v2/traces", None),
            ("/v1/traces/ingest", None),
            ("/traces", None),
            ("", None),
        ] {
            assert_eq!(Signal::of_path(path), signal, "{path}");
        }
        let method =
            |service: &str| Signal::of_method(&format!("/opentelemetry.proto.collector.{service}/Export"));
        assert_eq!(method("logs.v1.LogsService"), Some(Signal::Logs));
        assert_eq!(method("profiles.v1.ProfilesService"), None);
    }

    #[test]
    fn spans_without_ids_are_left_out() {
        let span = |trace: usize, id: u8| proto::Span {
            trace_id: vec![1; trace],
            span_id: vec![id; 8],
            ..Default::default()
        };
        let scope =
            proto::ScopeSpans { spans: vec![span(16, 1), span(15, 1), span(16, 0)], ..Default::default() };
        let resource = proto::ResourceSpans { scope_spans: vec![scope], ..Default::default() };
        let mut batch = Batch::Traces(Traces { resource_spans: vec![resource] });
        assert_eq!((batch.drop_nameless(), batch.len()), (2, 1));
    }
}
