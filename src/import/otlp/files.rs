//! What stands in a file of exports: one, or several one behind the other, in JSON or protobuf.

use crate::import::{Unreadable, plain_bytes};
use crate::otlp::{Batch, Encoding, Signal};
use serde_json::Value;
use serde_json::value::RawValue;

/// The exports of a file, without metrics.
///
/// # Errors
/// When it is no file of exports: which line is none.
pub(super) fn batches(bytes: &[u8]) -> Result<Vec<Batch>, Unreadable> {
    let plain = plain_bytes(bytes)?;
    let text = plain.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&plain);
    match text.trim_ascii_start().first() {
        None => Err(Unreadable::new("it is empty")),
        Some(b'{' | b'[') => documents(text),
        Some(_) => protobuf(text).map_err(Unreadable::new),
    }
}

/// JSON documents one behind the other, on lines or not.
fn documents(text: &[u8]) -> Result<Vec<Batch>, Unreadable> {
    let mut found = Vec::new();
    let mut rest = serde_json::Deserializer::from_slice(text).into_iter::<Box<RawValue>>();
    loop {
        let at = rest.byte_offset();
        let line = || {
            let before = text.get(..at).unwrap_or_default();
            let blank = text.get(at..).unwrap_or_default().iter().take_while(|b| b.is_ascii_whitespace());
            1 + before.iter().chain(blank).filter(|b| **b == b'\n').count()
        };
        match rest.next() {
            None => return Ok(found),
            Some(Err(e)) => return Err(Unreadable::new(format!("line {}: it is no JSON: {e}", line()))),
            Some(Ok(document)) => document_of(document.get(), &mut found)
                .map_err(|what| Unreadable::new(format!("line {}: {what}", line())))?,
        }
    }
}

fn document_of(text: &str, found: &mut Vec<Batch>) -> Result<(), String> {
    if text.starts_with('[') {
        let all: Vec<Box<RawValue>> = serde_json::from_str(text).map_err(|e| e.to_string())?;
        return all.iter().try_for_each(|each| match each.get().starts_with('{') {
            true => document_of(each.get(), found),
            false => Err("it is a list of what are no exports".into()),
        });
    }
    let fields: Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let signals = [
        ("resourceSpans", Signal::Traces),
        ("resourceLogs", Signal::Logs),
        ("resourceMetrics", Signal::Metrics),
    ];
    let (_, signal) = signals
        .into_iter()
        .find(|(name, _)| fields.get(*name).is_some())
        .ok_or("no \"resourceSpans\" in it: it is no export of OpenTelemetry")?;
    let batch = Batch::read(signal, Encoding::Json, text.as_bytes())?;
    found.extend(Some(batch).filter(|batch| *batch != Batch::Metrics));
    Ok(())
}

/// Exports in protobuf: one, or several written one behind the other, for their lists then add up, or each behind its
/// length.
fn protobuf(bytes: &[u8]) -> Result<Vec<Batch>, String> {
    let whole = one(bytes);
    if let Ok(batch) = whole {
        return Ok(vec![batch]);
    }
    let mut found = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let length = rest.first_chunk::<4>().map(|length| u32::from_be_bytes(*length) as usize);
        let Some(body) = length.and_then(|length| rest.get(4..4 + length)) else {
            return whole.map(|batch| vec![batch]);
        };
        match one(body) {
            Ok(batch) => found.push(batch),
            Err(_) => return whole.map(|batch| vec![batch]),
        }
        rest = rest.get(4 + body.len()..).unwrap_or_default();
    }
    Ok(found)
}

/// One export, of spans or of log records: what is none of the one reads as no span that could be found again.
fn one(bytes: &[u8]) -> Result<Batch, String> {
    let mut first = None;
    for signal in [Signal::Traces, Signal::Logs] {
        match Batch::read(signal, Encoding::Protobuf, bytes) {
            Ok(mut batch) => {
                batch.drop_nameless();
                if !batch.is_empty() {
                    return Ok(batch);
                }
            }
            Err(what) => first = first.or(Some(what)),
        }
    }
    Err(first.unwrap_or_else(|| "it holds neither spans nor log records".into()))
}
