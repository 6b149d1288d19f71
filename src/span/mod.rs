//! Spans as instrumentations tell them, what they say of model and tool calls, and which exchanges they are about.

pub mod asked;
pub mod claims;
pub mod content;
pub mod join;
pub mod settled;
pub mod sought;
pub mod value;

use crate::otlp::json::hex_of;
use crate::otlp::proto;
use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use std::fmt;
use std::sync::Arc;
use value::{attributes_of, json_of};

/// The id of a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TraceId(pub [u8; 16]);

/// The id of a span in its trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpanId(pub [u8; 8]);

/// What names a span everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpanKey {
    /// Its trace.
    pub trace: TraceId,
    /// Its id there.
    pub span: SpanId,
}

/// Where a span stands among caller and called (`SpanKind`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Not said.
    Unspecified,
    /// Inside a program.
    Internal,
    /// Answers a request.
    Server,
    /// Makes a request.
    Client,
    /// Sends a message.
    Producer,
    /// Takes a message.
    Consumer,
}

/// How a span ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Status {
    /// Not said.
    #[default]
    Unset,
    /// Well.
    Ok,
    /// Not well: what went wrong, as far as it is said.
    Error(String),
}

/// Attributes by name, in order. A name that comes twice has its last value.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Attributes(pub Vec<(String, Value)>);

/// Who made a span: a resource, and the instrumentation in it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Origin {
    /// Attributes of the process or service.
    pub resource: Attributes,
    /// Name of the instrumentation: `openinference.instrumentation.openai`.
    pub scope: Arc<str>,
    /// Its version; often empty.
    pub version: String,
}

/// Something that happened in a span.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Nanoseconds since the Unix epoch.
    pub time_ns: u64,
    /// Its name.
    pub name: String,
    /// What is known of it.
    pub attributes: Attributes,
}

/// A span.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// What names it.
    pub key: SpanKey,
    /// Its parent, in the same trace; none for a root. It may never arrive.
    pub parent: Option<SpanId>,
    /// Its name.
    pub name: String,
    /// Where it stands among caller and called.
    pub side: Side,
    /// Nanoseconds since the Unix epoch.
    pub start_ns: u64,
    /// Nanoseconds since the Unix epoch.
    pub end_ns: u64,
    /// How it ended.
    pub status: Status,
    /// What is known of it.
    pub attributes: Attributes,
    /// What happened in it.
    pub events: Vec<Event>,
    /// Other spans that it has to do with.
    pub links: Vec<SpanKey>,
    /// Who made it.
    pub origin: Arc<Origin>,
}

impl Attributes {
    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().rev().find(|(own, _)| own == name).map(|(_, value)| value)
    }

    /// The value of a name, if it is text and not empty.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_str().filter(|text| !text.is_empty())
    }

    /// The first of these names that has text.
    pub fn first_text(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.text(name))
    }
}

impl TraceId {
    /// From 16 bytes that are not all zero.
    pub fn of(bytes: &[u8]) -> Option<TraceId> {
        bytes.try_into().ok().filter(|id| *id != [0; 16]).map(TraceId)
    }

    /// From 32 hex digits of either case.
    pub fn parse(text: &str) -> Option<TraceId> {
        TraceId::of(&crate::otlp::json::hex(text)?)
    }
}

impl SpanId {
    /// From 8 bytes that are not all zero.
    pub fn of(bytes: &[u8]) -> Option<SpanId> {
        bytes.try_into().ok().filter(|id| *id != [0; 8]).map(SpanId)
    }

    /// From 16 hex digits of either case.
    pub fn parse(text: &str) -> Option<SpanId> {
        SpanId::of(&crate::otlp::json::hex(text)?)
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex_of(&self.0))
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex_of(&self.0))
    }
}

impl Serialize for SpanKey {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut object = to.serialize_struct("SpanKey", 2)?;
        object.serialize_field("trace_id", &self.trace.to_string())?;
        object.serialize_field("span_id", &self.span.to_string())?;
        object.end()
    }
}

impl Side {
    fn of(kind: i32) -> Side {
        match kind {
            1 => Side::Internal,
            2 => Side::Server,
            3 => Side::Client,
            4 => Side::Producer,
            5 => Side::Consumer,
            _ => Side::Unspecified,
        }
    }
}

/// All spans of an export that have ids.
pub fn spans(traces: &proto::Traces) -> Vec<Span> {
    let mut all = Vec::new();
    for of_resource in &traces.resource_spans {
        let resource =
            of_resource.resource.as_ref().map(|r| attributes_of(&r.attributes)).unwrap_or_default();
        for of_scope in &of_resource.scope_spans {
            let scope = of_scope.scope.clone().unwrap_or_default();
            let origin = Arc::new(Origin {
                resource: resource.clone(),
                scope: scope.name.into(),
                version: scope.version,
            });
            all.extend(of_scope.spans.iter().filter_map(|span| read(span, &origin)));
        }
    }
    all
}

fn read(span: &proto::Span, origin: &Arc<Origin>) -> Option<Span> {
    let trace = TraceId::of(&span.trace_id)?;
    let status = span.status.as_ref().map_or(Status::Unset, |status| match status.code {
        1 => Status::Ok,
        2 => Status::Error(status.message.clone()),
        _ => Status::Unset,
    });
    let event = |event: &proto::Event| Event {
        time_ns: event.time_unix_nano,
        name: event.name.clone(),
        attributes: attributes_of(&event.attributes),
    };
    let link = |link: &proto::Link| {
        Some(SpanKey { trace: TraceId::of(&link.trace_id)?, span: SpanId::of(&link.span_id)? })
    };
    Some(Span {
        key: SpanKey { trace, span: SpanId::of(&span.span_id)? },
        parent: SpanId::of(&span.parent_span_id),
        name: span.name.clone(),
        side: Side::of(span.kind),
        start_ns: span.start_time_unix_nano,
        end_ns: span.end_time_unix_nano,
        status,
        attributes: attributes_of(&span.attributes),
        events: span.events.iter().map(event).collect(),
        links: span.links.iter().filter_map(link).collect(),
        origin: origin.clone(),
    })
}

/// A log record that says where in a trace it belongs.
#[derive(Debug, Clone, PartialEq)]
pub struct Log {
    /// Nanoseconds since the Unix epoch.
    pub time_ns: u64,
    /// Its trace.
    pub trace: Option<TraceId>,
    /// Its span there.
    pub span: Option<SpanId>,
    /// `INFO`; may be empty.
    pub severity: String,
    /// Of an event: its name.
    pub event: String,
    /// What it says.
    pub body: Value,
    /// What is known of it.
    pub attributes: Attributes,
    /// Who made it.
    pub origin: Arc<Origin>,
}

/// All log records of an export.
pub fn logs(logs: &proto::Logs) -> Vec<Log> {
    let mut all = Vec::new();
    for of_resource in &logs.resource_logs {
        let resource =
            of_resource.resource.as_ref().map(|r| attributes_of(&r.attributes)).unwrap_or_default();
        for of_scope in &of_resource.scope_logs {
            let scope = of_scope.scope.clone().unwrap_or_default();
            let origin = Arc::new(Origin {
                resource: resource.clone(),
                scope: scope.name.into(),
                version: scope.version,
            });
            all.extend(of_scope.log_records.iter().map(|record| Log {
                time_ns: match record.time_unix_nano {
                    0 => record.observed_time_unix_nano,
                    time => time,
                },
                trace: TraceId::of(&record.trace_id),
                span: SpanId::of(&record.span_id),
                severity: record.severity_text.clone(),
                event: record.event_name.clone(),
                body: record.body.as_ref().map(json_of).unwrap_or_default(),
                attributes: attributes_of(&record.attributes),
                origin: origin.clone(),
            }));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_from_hex_and_zeros_are_none() {
        let id = TraceId::parse("0AF7651916cd43dd8448eb211c80319c").unwrap();
        assert_eq!(id.to_string(), "0af7651916cd43dd8448eb211c80319c");
        for none in ["", "00000000000000000000000000000000", "0af7", "zaf7651916cd43dd8448eb211c80319c"] {
            assert_eq!(TraceId::parse(none), None, "{none}");
        }
        assert_eq!(SpanId::parse("0000000000000000"), None);
    }

    #[test]
    fn a_name_that_comes_twice_has_its_last_value() {
        let attributes =
            Attributes(vec![("a".into(), 1.into()), ("b".into(), "".into()), ("a".into(), "x".into())]);
        assert_eq!(attributes.text("a"), Some("x"));
        assert_eq!((attributes.text("b"), attributes.text("c")), (None, None));
        assert_eq!(attributes.first_text(&["c", "b", "a"]), Some("x"));
    }
}
