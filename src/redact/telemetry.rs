//! Secrets in exported spans and log records: every text in them, by shape, by value and by the name of its attribute.

use super::Redactor;
use crate::exchange::StandIn;
use crate::otlp::Batch;
use crate::otlp::proto::{AnyValue, KeyValue, LogRecord, Scope, Span, Value};
use std::collections::HashMap;

/// Bytes of the id of a trace.
const TRACE_ID: usize = 16;
/// Bytes of the id of a span.
const SPAN_ID: usize = 8;

/// A text of an export.
enum Held<'a> {
    Text(&'a mut String),
    Bytes(&'a mut Vec<u8>),
}

impl Held<'_> {
    fn text(&self) -> Option<&str> {
        match self {
            Held::Text(text) => Some(text.as_str()),
            Held::Bytes(bytes) => std::str::from_utf8(bytes).ok(),
        }
    }

    fn put(&mut self, clean: String) {
        match self {
            Held::Text(text) => **text = clean,
            Held::Bytes(bytes) => **bytes = clean.into_bytes(),
        }
    }
}

/// Texts of an export, each under the name that it has there.
type Texts<'a> = Vec<(&'a str, Held<'a>)>;

impl Redactor {
    /// Puts stand-ins in the place of the secrets of an export: what was replaced.
    pub fn telemetry(&self, batch: &mut Batch) -> Vec<StandIn> {
        let mut found = self.keys(batch);
        let mut texts = Vec::new();
        match batch {
            Batch::Traces(traces) => {
                for of in &mut traces.resource_spans {
                    of.resource.iter_mut().for_each(|of| attributes(&mut of.attributes, &mut texts));
                    text("schema", &mut of.schema_url, &mut texts);
                    for of in &mut of.scope_spans {
                        of.scope.iter_mut().for_each(|of| scope(of, &mut texts));
                        text("schema", &mut of.schema_url, &mut texts);
                        of.spans.iter_mut().for_each(|of| span(of, &mut texts));
                    }
                }
            }
            Batch::Logs(logs) => {
                for of in &mut logs.resource_logs {
                    of.resource.iter_mut().for_each(|of| attributes(&mut of.attributes, &mut texts));
                    text("schema", &mut of.schema_url, &mut texts);
                    for of in &mut of.scope_logs {
                        of.scope.iter_mut().for_each(|of| scope(of, &mut texts));
                        text("schema", &mut of.schema_url, &mut texts);
                        of.log_records.iter_mut().for_each(|of| log_record(of, &mut texts));
                    }
                }
            }
            Batch::Metrics => {}
        }
        found.extend(self.named_texts(texts));
        found
    }

    /// The names of attributes: a few, again and again, and hardly ever with a secret in them.
    fn keys(&self, batch: &mut Batch) -> Vec<StandIn> {
        let mut known: HashMap<String, Option<String>> = HashMap::new();
        let mut found = Vec::new();
        each_attribute(batch, &mut |of| {
            let clean = known.entry(of.key.clone()).or_insert_with_key(|key| {
                let redacted = self.bytes(key.as_bytes());
                let changed = (!redacted.stand_ins.is_empty())
                    .then(|| String::from_utf8_lossy(&redacted.bytes).into_owned());
                found.extend(redacted.stand_ins);
                changed
            });
            if let Some(clean) = clean {
                of.key.clone_from(clean);
            }
        });
        found
    }

    /// As JSON, so that a name says what its value is, as in any body.
    fn named_texts(&self, texts: Texts<'_>) -> Vec<StandIn> {
        let mut found = Vec::new();
        let mut named = Vec::with_capacity(texts.len());
        let mut json = String::from("[");
        for (name, mut held) in texts {
            if let Some(text) = held.text() {
                if !text.is_empty() {
                    if json.len() > 1 {
                        json.push(',');
                    }
                    json.push_str(&serde_json::json!({ name: text }).to_string());
                    named.push(held);
                }
            } else if let Held::Bytes(bytes) = &mut held {
                let redacted = self.bytes(bytes);
                if !redacted.stand_ins.is_empty() {
                    found.extend(redacted.stand_ins);
                    **bytes = redacted.bytes.into_owned();
                }
            }
        }
        json.push(']');
        let redacted = self.bytes(json.as_bytes());
        if redacted.stand_ins.is_empty() {
            return found;
        }
        match serde_json::from_slice::<Vec<serde_json::Map<String, serde_json::Value>>>(&redacted.bytes) {
            Ok(clean) if clean.len() == named.len() => {
                for (mut held, object) in named.into_iter().zip(clean) {
                    match object.into_iter().next() {
                        Some((_, serde_json::Value::String(clean))) => held.put(clean),
                        _ => held.put(String::new()),
                    }
                }
            }
            // What cannot be read back must not be kept.
            _ => named.iter_mut().for_each(|held| held.put(String::new())),
        }
        found.extend(redacted.stand_ins);
        found
    }
}

/// Hands every attribute to `take`, those inside of others included.
fn each_attribute(batch: &mut Batch, take: &mut dyn FnMut(&mut KeyValue)) {
    fn all(of: &mut [KeyValue], take: &mut dyn FnMut(&mut KeyValue)) {
        for attribute in of {
            take(attribute);
            attribute.value.iter_mut().for_each(|held| within(held, take));
        }
    }
    fn within(of: &mut AnyValue, take: &mut dyn FnMut(&mut KeyValue)) {
        match &mut of.value {
            Some(Value::Array(of)) => of.values.iter_mut().for_each(|of| within(of, take)),
            Some(Value::Map(of)) => all(&mut of.values, take),
            _ => {}
        }
    }
    match batch {
        Batch::Traces(traces) => {
            for of in &mut traces.resource_spans {
                of.resource.iter_mut().for_each(|of| all(&mut of.attributes, take));
                for of in &mut of.scope_spans {
                    of.scope.iter_mut().for_each(|of| all(&mut of.attributes, take));
                    for of in &mut of.spans {
                        all(&mut of.attributes, take);
                        of.events.iter_mut().for_each(|of| all(&mut of.attributes, take));
                        of.links.iter_mut().for_each(|of| all(&mut of.attributes, take));
                    }
                }
            }
        }
        Batch::Logs(logs) => {
            for of in &mut logs.resource_logs {
                of.resource.iter_mut().for_each(|of| all(&mut of.attributes, take));
                for of in &mut of.scope_logs {
                    of.scope.iter_mut().for_each(|of| all(&mut of.attributes, take));
                    for of in &mut of.log_records {
                        all(&mut of.attributes, take);
                        of.body.iter_mut().for_each(|of| within(of, take));
                    }
                }
            }
        }
        Batch::Metrics => {}
    }
}

fn text<'a>(name: &'a str, of: &'a mut String, texts: &mut Texts<'a>) {
    texts.push((name, Held::Text(of)));
}

/// Takes away what cannot be an id: it may be anything.
fn id(of: &mut Vec<u8>, length: usize) {
    if of.len() != length {
        of.clear();
    }
}

fn scope<'a>(of: &'a mut Scope, texts: &mut Texts<'a>) {
    text("scope", &mut of.name, texts);
    text("version", &mut of.version, texts);
    attributes(&mut of.attributes, texts);
}

fn span<'a>(of: &'a mut Span, texts: &mut Texts<'a>) {
    id(&mut of.trace_id, TRACE_ID);
    id(&mut of.span_id, SPAN_ID);
    id(&mut of.parent_span_id, SPAN_ID);
    text("name", &mut of.name, texts);
    text("tracestate", &mut of.trace_state, texts);
    attributes(&mut of.attributes, texts);
    for event in &mut of.events {
        text("event", &mut event.name, texts);
        attributes(&mut event.attributes, texts);
    }
    for link in &mut of.links {
        id(&mut link.trace_id, TRACE_ID);
        id(&mut link.span_id, SPAN_ID);
        text("tracestate", &mut link.trace_state, texts);
        attributes(&mut link.attributes, texts);
    }
    if let Some(status) = &mut of.status {
        text("message", &mut status.message, texts);
    }
}

fn log_record<'a>(of: &'a mut LogRecord, texts: &mut Texts<'a>) {
    id(&mut of.trace_id, TRACE_ID);
    id(&mut of.span_id, SPAN_ID);
    text("event", &mut of.event_name, texts);
    text("severity", &mut of.severity_text, texts);
    attributes(&mut of.attributes, texts);
    if let Some(body) = &mut of.body {
        value("body", body, texts);
    }
}

fn attributes<'a>(of: &'a mut [KeyValue], texts: &mut Texts<'a>) {
    for KeyValue { key, value: held } in of {
        if let Some(held) = held {
            value(key, held, texts);
        }
    }
}

fn value<'a>(name: &'a str, of: &'a mut AnyValue, texts: &mut Texts<'a>) {
    match &mut of.value {
        Some(Value::String(of)) => text(name, of, texts),
        Some(Value::Bytes(of)) => texts.push((name, Held::Bytes(of))),
        Some(Value::Array(of)) => of.values.iter_mut().for_each(|of| value(name, of, texts)),
        Some(Value::Map(of)) => attributes(&mut of.values, texts),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
