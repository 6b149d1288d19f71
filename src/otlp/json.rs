//! OTLP in JSON: lowerCamelCase, ids in hex, 64-bit integers as text or as numbers, enums as numbers.
//!
//! What real exporters send is wider than the specification (numeric `intValue`, empty values): all of it is read.
//! Fields that are not known are skipped.

use super::proto::{
    AnyValue, ArrayValue, Event, KeyValue, KeyValueList, Link, LogRecord, Logs, Resource, ResourceLogs,
    ResourceSpans, Scope, ScopeLogs, ScopeSpans, Span, Status, Traces, Value,
};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde_json::{Map, Value as Json, json};

type Read<T> = Result<T, String>;

/// Reads an `ExportTraceServiceRequest`.
///
/// # Errors
/// Says which field is not what it must be.
pub fn traces(text: &[u8]) -> Read<Traces> {
    let root = object(text)?;
    let resource_spans = each(&root, "resourceSpans", |of| {
        Ok(ResourceSpans {
            resource: resource(of)?,
            scope_spans: each(of, "scopeSpans", |of| {
                Ok(ScopeSpans {
                    scope: scope(of)?,
                    spans: each(of, "spans", span)?,
                    schema_url: text_of(of, "schemaUrl")?,
                })
            })?,
            schema_url: text_of(of, "schemaUrl")?,
        })
    })?;
    Ok(Traces { resource_spans })
}

/// Reads an `ExportLogsServiceRequest`.
///
/// # Errors
/// Says which field is not what it must be.
pub fn logs(text: &[u8]) -> Read<Logs> {
    let root = object(text)?;
    let resource_logs = each(&root, "resourceLogs", |of| {
        Ok(ResourceLogs {
            resource: resource(of)?,
            scope_logs: each(of, "scopeLogs", |of| {
                Ok(ScopeLogs {
                    scope: scope(of)?,
                    log_records: each(of, "logRecords", log_record)?,
                    schema_url: text_of(of, "schemaUrl")?,
                })
            })?,
            schema_url: text_of(of, "schemaUrl")?,
        })
    })?;
    Ok(Logs { resource_logs })
}

fn object(text: &[u8]) -> Read<Map<String, Json>> {
    match serde_json::from_slice(text) {
        Ok(Json::Object(root)) => Ok(root),
        Ok(_) => Err("the body is no JSON object".into()),
        Err(error) => Err(format!("the body is no JSON: {error}")),
    }
}

/// The elements of a list; none of a missing one.
fn each<T>(of: &Map<String, Json>, name: &str, read: impl Fn(&Map<String, Json>) -> Read<T>) -> Read<Vec<T>> {
    match of.get(name) {
        None | Some(Json::Null) => Ok(Vec::new()),
        Some(Json::Array(elements)) => elements
            .iter()
            .map(|element| {
                let fields = element.as_object().ok_or_else(|| format!("{name} holds what is no object"))?;
                read(fields)
            })
            .collect(),
        Some(_) => Err(format!("{name} is no list")),
    }
}

fn one<T>(
    of: &Map<String, Json>,
    name: &str,
    read: impl Fn(&Map<String, Json>) -> Read<T>,
) -> Read<Option<T>> {
    match of.get(name) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::Object(fields)) => read(fields).map(Some),
        Some(_) => Err(format!("{name} is no object")),
    }
}

fn text_of(of: &Map<String, Json>, name: &str) -> Read<String> {
    match of.get(name) {
        None | Some(Json::Null) => Ok(String::new()),
        Some(Json::String(text)) => Ok(text.clone()),
        Some(_) => Err(format!("{name} is no text")),
    }
}

/// A number that fits, as a number or as text.
fn number<T: TryFrom<i128> + Default>(of: &Map<String, Json>, name: &str) -> Read<T> {
    let wrong = || format!("{name} is no whole number that fits");
    let value = match of.get(name) {
        None | Some(Json::Null) => return Ok(T::default()),
        Some(Json::String(text)) if text.is_empty() => return Ok(T::default()),
        Some(value) => value,
    };
    T::try_from(whole(value).ok_or_else(wrong)?).map_err(|_| wrong())
}

fn whole(value: &Json) -> Option<i128> {
    match value {
        Json::String(text) => text.trim().parse().ok(),
        Json::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(whole), ..) => Some(whole.into()),
            (_, Some(whole), _) => Some(whole.into()),
            // `5.0`: JavaScript has one kind of number.
            (.., Some(float)) if float.fract() == 0.0 && float.abs() < 1e15 => Some(float as i128),
            _ => None,
        },
        _ => None,
    }
}

/// An id in hex digits of either case.
fn id(of: &Map<String, Json>, name: &str) -> Read<Vec<u8>> {
    let text = text_of(of, name)?;
    hex(&text).ok_or_else(|| format!("{name} `{text}` is not written in hex digits"))
}

/// Bytes from hex digits of either case; none when they are none, or not pairs.
pub fn hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    let pairs = digits.chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|value| value as u8);
    pairs.map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

fn resource(of: &Map<String, Json>) -> Read<Option<Resource>> {
    one(of, "resource", |of| {
        Ok(Resource {
            attributes: attributes(of)?,
            dropped_attributes_count: number(of, "droppedAttributesCount")?,
        })
    })
}

fn scope(of: &Map<String, Json>) -> Read<Option<Scope>> {
    one(of, "scope", |of| {
        Ok(Scope {
            name: text_of(of, "name")?,
            version: text_of(of, "version")?,
            attributes: attributes(of)?,
            dropped_attributes_count: number(of, "droppedAttributesCount")?,
        })
    })
}

fn span(of: &Map<String, Json>) -> Read<Span> {
    Ok(Span {
        trace_id: id(of, "traceId")?,
        span_id: id(of, "spanId")?,
        trace_state: text_of(of, "traceState")?,
        parent_span_id: id(of, "parentSpanId")?,
        name: text_of(of, "name")?,
        kind: number(of, "kind")?,
        start_time_unix_nano: number(of, "startTimeUnixNano")?,
        end_time_unix_nano: number(of, "endTimeUnixNano")?,
        attributes: attributes(of)?,
        dropped_attributes_count: number(of, "droppedAttributesCount")?,
        events: each(of, "events", |of| {
            Ok(Event {
                time_unix_nano: number(of, "timeUnixNano")?,
                name: text_of(of, "name")?,
                attributes: attributes(of)?,
                dropped_attributes_count: number(of, "droppedAttributesCount")?,
            })
        })?,
        dropped_events_count: number(of, "droppedEventsCount")?,
        links: each(of, "links", |of| {
            Ok(Link {
                trace_id: id(of, "traceId")?,
                span_id: id(of, "spanId")?,
                trace_state: text_of(of, "traceState")?,
                attributes: attributes(of)?,
                dropped_attributes_count: number(of, "droppedAttributesCount")?,
                flags: number(of, "flags")?,
            })
        })?,
        dropped_links_count: number(of, "droppedLinksCount")?,
        status: one(of, "status", |of| {
            Ok(Status { message: text_of(of, "message")?, code: number(of, "code")? })
        })?,
        flags: number(of, "flags")?,
    })
}

fn log_record(of: &Map<String, Json>) -> Read<LogRecord> {
    Ok(LogRecord {
        time_unix_nano: number(of, "timeUnixNano")?,
        severity_number: number(of, "severityNumber")?,
        severity_text: text_of(of, "severityText")?,
        body: one(of, "body", any)?,
        attributes: attributes(of)?,
        dropped_attributes_count: number(of, "droppedAttributesCount")?,
        flags: number(of, "flags")?,
        trace_id: id(of, "traceId")?,
        span_id: id(of, "spanId")?,
        observed_time_unix_nano: number(of, "observedTimeUnixNano")?,
        event_name: text_of(of, "eventName")?,
    })
}

fn attributes(of: &Map<String, Json>) -> Read<Vec<KeyValue>> {
    each(of, "attributes", pair)
}

fn pair(of: &Map<String, Json>) -> Read<KeyValue> {
    Ok(KeyValue { key: text_of(of, "key")?, value: one(of, "value", any)? })
}

/// Goes as deep as the parser went, which has a limit.
fn any(of: &Map<String, Json>) -> Read<AnyValue> {
    let Some((name, held)) = of.iter().find(|(name, _)| name.ends_with("Value")) else {
        return Ok(AnyValue::default());
    };
    let wrong = || format!("{name} does not hold such a value");
    let inside = || held.as_object().ok_or_else(wrong);
    let value = match name.as_str() {
        "stringValue" => held.as_str().map(|text| Value::String(text.into())).ok_or_else(wrong)?,
        "boolValue" => Value::Bool(held.as_bool().ok_or_else(wrong)?),
        "intValue" => Value::Int(whole(held).and_then(|whole| i64::try_from(whole).ok()).ok_or_else(wrong)?),
        "doubleValue" => Value::Double(double(held).ok_or_else(wrong)?),
        "bytesValue" => {
            let text = held.as_str().ok_or_else(wrong)?;
            let bytes = STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text));
            Value::Bytes(bytes.map_err(|_| wrong())?)
        }
        "arrayValue" => Value::Array(ArrayValue { values: each(inside()?, "values", any)? }),
        "kvlistValue" => Value::Map(KeyValueList { values: each(inside()?, "values", pair)? }),
        // Of a later version.
        _ => return Ok(AnyValue::default()),
    };
    Ok(AnyValue { value: Some(value) })
}

fn double(value: &Json) -> Option<f64> {
    match value {
        Json::Number(number) => number.as_f64(),
        Json::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            other => other.parse().ok(),
        },
        _ => None,
    }
}

/// Writes spans; fields that hold nothing are left out.
pub fn of_traces(traces: &Traces) -> Json {
    let resources = traces.resource_spans.iter().map(|of| {
        let scopes = of.scope_spans.iter().map(|of| {
            written([
                ("scope", of.scope.as_ref().map(of_scope).unwrap_or_default()),
                ("spans", of.spans.iter().map(of_span).collect()),
                ("schemaUrl", of.schema_url.as_str().into()),
            ])
        });
        written([
            ("resource", of.resource.as_ref().map(of_resource).unwrap_or_default()),
            ("scopeSpans", scopes.collect()),
            ("schemaUrl", of.schema_url.as_str().into()),
        ])
    });
    json!({ "resourceSpans": resources.collect::<Vec<_>>() })
}

/// Writes log records; fields that hold nothing are left out.
pub fn of_logs(logs: &Logs) -> Json {
    let resources = logs.resource_logs.iter().map(|of| {
        let scopes = of.scope_logs.iter().map(|of| {
            written([
                ("scope", of.scope.as_ref().map(of_scope).unwrap_or_default()),
                ("logRecords", of.log_records.iter().map(of_log_record).collect()),
                ("schemaUrl", of.schema_url.as_str().into()),
            ])
        });
        written([
            ("resource", of.resource.as_ref().map(of_resource).unwrap_or_default()),
            ("scopeLogs", scopes.collect()),
            ("schemaUrl", of.schema_url.as_str().into()),
        ])
    });
    json!({ "resourceLogs": resources.collect::<Vec<_>>() })
}

/// An object of the members that hold something.
fn written<const N: usize>(members: [(&str, Json); N]) -> Json {
    let holds = |value: &Json| match value {
        Json::Null => false,
        Json::String(text) => !text.is_empty(),
        Json::Array(elements) => !elements.is_empty(),
        Json::Number(number) => number.as_i64() != Some(0),
        _ => true,
    };
    let kept = members.into_iter().filter(|(_, value)| holds(value));
    Json::Object(kept.map(|(name, value)| (name.to_string(), value)).collect())
}

/// Nanoseconds as text; nothing for a time that is not known.
fn time(ns: u64) -> Json {
    if ns == 0 { Json::Null } else { ns.to_string().into() }
}

fn of_resource(of: &Resource) -> Json {
    written([
        ("attributes", of_attributes(&of.attributes)),
        ("droppedAttributesCount", of.dropped_attributes_count.into()),
    ])
}

fn of_scope(of: &Scope) -> Json {
    written([
        ("name", of.name.as_str().into()),
        ("version", of.version.as_str().into()),
        ("attributes", of_attributes(&of.attributes)),
        ("droppedAttributesCount", of.dropped_attributes_count.into()),
    ])
}

fn of_span(of: &Span) -> Json {
    let events = of.events.iter().map(|of| {
        written([
            ("timeUnixNano", time(of.time_unix_nano)),
            ("name", of.name.as_str().into()),
            ("attributes", of_attributes(&of.attributes)),
            ("droppedAttributesCount", of.dropped_attributes_count.into()),
        ])
    });
    let links = of.links.iter().map(|of| {
        written([
            ("traceId", hex_of(&of.trace_id).into()),
            ("spanId", hex_of(&of.span_id).into()),
            ("traceState", of.trace_state.as_str().into()),
            ("attributes", of_attributes(&of.attributes)),
            ("droppedAttributesCount", of.dropped_attributes_count.into()),
            ("flags", of.flags.into()),
        ])
    });
    let status = of
        .status
        .as_ref()
        .map(|of| written([("message", of.message.as_str().into()), ("code", of.code.into())]));
    written([
        ("traceId", hex_of(&of.trace_id).into()),
        ("spanId", hex_of(&of.span_id).into()),
        ("traceState", of.trace_state.as_str().into()),
        ("parentSpanId", hex_of(&of.parent_span_id).into()),
        ("flags", of.flags.into()),
        ("name", of.name.as_str().into()),
        ("kind", of.kind.into()),
        ("startTimeUnixNano", time(of.start_time_unix_nano)),
        ("endTimeUnixNano", time(of.end_time_unix_nano)),
        ("attributes", of_attributes(&of.attributes)),
        ("droppedAttributesCount", of.dropped_attributes_count.into()),
        ("events", events.collect()),
        ("droppedEventsCount", of.dropped_events_count.into()),
        ("links", links.collect()),
        ("droppedLinksCount", of.dropped_links_count.into()),
        ("status", status.unwrap_or_default()),
    ])
}

fn of_log_record(of: &LogRecord) -> Json {
    written([
        ("timeUnixNano", time(of.time_unix_nano)),
        ("observedTimeUnixNano", time(of.observed_time_unix_nano)),
        ("severityNumber", of.severity_number.into()),
        ("severityText", of.severity_text.as_str().into()),
        ("body", of.body.as_ref().map(of_any).unwrap_or_default()),
        ("attributes", of_attributes(&of.attributes)),
        ("droppedAttributesCount", of.dropped_attributes_count.into()),
        ("flags", of.flags.into()),
        ("traceId", hex_of(&of.trace_id).into()),
        ("spanId", hex_of(&of.span_id).into()),
        ("eventName", of.event_name.as_str().into()),
    ])
}

fn of_attributes(of: &[KeyValue]) -> Json {
    of.iter().map(of_pair).collect()
}

fn of_pair(of: &KeyValue) -> Json {
    match &of.value {
        Some(value) => json!({ "key": of.key, "value": of_any(value) }),
        None => json!({ "key": of.key }),
    }
}

fn of_any(of: &AnyValue) -> Json {
    match &of.value {
        None => json!({}),
        Some(Value::String(text)) => json!({ "stringValue": text }),
        Some(Value::Bool(value)) => json!({ "boolValue": value }),
        Some(Value::Int(value)) => json!({ "intValue": value.to_string() }),
        Some(Value::Double(value)) if value.is_finite() => json!({ "doubleValue": value }),
        Some(Value::Double(value)) => {
            let name = if value.is_nan() {
                "NaN"
            } else if *value > 0.0 {
                "Infinity"
            } else {
                "-Infinity"
            };
            json!({ "doubleValue": name })
        }
        Some(Value::Bytes(bytes)) => json!({ "bytesValue": STANDARD.encode(bytes) }),
        Some(Value::Array(of)) => {
            json!({ "arrayValue": { "values": of.values.iter().map(of_any).collect::<Vec<_>>() } })
        }
        Some(Value::Map(of)) => {
            json!({ "kvlistValue": { "values": of.values.iter().map(of_pair).collect::<Vec<_>>() } })
        }
    }
}

/// Bytes as lower-case hex digits.
pub fn hex_of(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests;
