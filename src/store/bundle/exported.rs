//! What the agent's instrumentation exported: a record an export, in the JSON of OTLP.

use super::BundleError;
use super::record::record;
use crate::otlp::{Batch, Encoding, Signal, json};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::json;

const SPANS: &str = "spans";
const LOGS: &str = "logs";

/// An export that JSON cannot hold: it is nested deeper than parsers of JSON go.
#[derive(Deserialize)]
struct Coded {
    #[serde(default)]
    protobuf: Option<String>,
}

/// The signal of a kind of records, if it is one of these.
pub(super) fn signal(kind: &str) -> Option<Signal> {
    match kind {
        SPANS => Some(Signal::Traces),
        LOGS => Some(Signal::Logs),
        _ => None,
    }
}

/// The same by the beginning of a line, of which the rest may be damaged.
pub(super) fn signal_of_line(line: &[u8]) -> Option<Signal> {
    let kind = line.strip_prefix(b"{\"kind\":\"")?;
    let kind = kind.split(|byte| *byte == b'"').next()?;
    signal(std::str::from_utf8(kind).ok()?)
}

/// The record of an export; none for metrics.
///
/// # Errors
/// [`BundleError::Unfit`] for what cannot be written.
pub(super) fn written(batch: &Batch) -> Result<Option<String>, BundleError> {
    let (kind, value) = match batch {
        Batch::Traces(traces) => (SPANS, json::of_traces(traces)),
        Batch::Logs(logs) => (LOGS, json::of_logs(logs)),
        Batch::Metrics => return Ok(None),
    };
    let unfit = |error| BundleError::Unfit(format!("{kind}: {error}"));
    let line = record(kind, &value).map_err(unfit)?;
    let bytes = batch.to_protobuf();
    let same = signal(kind).and_then(|signal| Batch::read(signal, Encoding::Json, line.as_bytes()).ok());
    if same.is_some_and(|same| same.to_protobuf() == bytes) {
        return Ok(Some(line));
    }
    record(kind, &json!({ "protobuf": STANDARD.encode(bytes) })).map(Some).map_err(unfit)
}

/// The export of a record; none when it cannot be read.
pub(super) fn read(signal: Signal, record: &[u8]) -> Option<Batch> {
    match serde_json::from_slice::<Coded>(record) {
        Ok(Coded { protobuf: Some(text) }) => {
            Batch::read(signal, Encoding::Protobuf, &STANDARD.decode(text).ok()?).ok()
        }
        Ok(Coded { protobuf: None }) => Batch::read(signal, Encoding::Json, record).ok(),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::otlp::proto::{
        AnyValue, ArrayValue, KeyValue, ResourceSpans, ScopeSpans, Span, Traces, Value,
    };

    fn of(value: Option<AnyValue>) -> Batch {
        let attributes = vec![KeyValue { key: "0".into(), value }];
        let span = Span { name: "0".into(), attributes, ..Span::default() };
        let scope_spans = vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }];
        Batch::Traces(Traces {
            resource_spans: vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }],
        })
    }

    #[test]
    fn what_is_written_is_read_again() {
        let value = |value| Some(AnyValue { value: Some(value) });
        let nested = |depth: usize| {
            let empty = AnyValue { value: Some(Value::Array(ArrayValue::default())) };
            (0..depth).fold(empty, |inner, _| AnyValue {
                value: Some(Value::Array(ArrayValue { values: vec![inner] })),
            })
        };
        for (value, coded) in [
            (None, false),
            (Some(AnyValue::default()), false),
            (value(Value::Double(0.1 + 0.2)), false),
            (value(Value::Double(f64::NEG_INFINITY)), false),
            (value(Value::Int(i64::MIN)), false),
            (value(Value::Bytes(vec![0, 255])), false),
            (value(Value::String(String::new())), false),
            (Some(nested(20)), false),
            (Some(nested(44)), true),
        ] {
            let batch = of(value);
            let line = written(&batch).unwrap().unwrap();
            assert_eq!(line.contains("\"protobuf\""), coded, "{line}");
            assert_eq!(signal_of_line(line.as_bytes()), Some(Signal::Traces));
            assert_eq!(read(Signal::Traces, line.as_bytes()), Some(batch), "{line}");
        }
        assert!(written(&Batch::Metrics).unwrap().is_none());
    }

    #[test]
    fn what_cannot_be_read_is_none() {
        for line in ["", "{", r#"{"resourceSpans":5}"#, r#"{"protobuf":"*"}"#, r#"{"protobuf":"/w=="}"#] {
            assert_eq!(read(Signal::Traces, line.as_bytes()), None, "{line}");
        }
        assert_eq!(signal_of_line(br#"{"kind":"spanss""#), None);
        assert_eq!(signal_of_line(br#"{"kind":"logs","#), Some(Signal::Logs));
    }
}
