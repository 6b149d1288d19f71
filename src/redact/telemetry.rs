//! Secrets in exported spans and log records: every text in them, by shape, by value and by the name of its attribute.

use super::Redactor;
use crate::exchange::StandIn;
use crate::otlp::Batch;
use crate::otlp::proto::{AnyValue, KeyValue, LogRecord, Span, Value};
use std::collections::HashMap;

/// Texts of an export, each under the name that it has there.
type Texts<'a> = Vec<(&'a str, &'a mut String)>;

impl Redactor {
    /// Puts stand-ins in the place of the secrets of an export: what was replaced.
    pub fn telemetry(&self, batch: &mut Batch) -> Vec<StandIn> {
        let mut found = self.keys(batch);
        let mut texts = Vec::new();
        match batch {
            Batch::Traces(traces) => {
                for of in &mut traces.resource_spans {
                    of.resource.iter_mut().for_each(|of| attributes(&mut of.attributes, &mut texts));
                    for of in &mut of.scope_spans {
                        of.scope.iter_mut().for_each(|of| attributes(&mut of.attributes, &mut texts));
                        of.spans.iter_mut().for_each(|of| span(of, &mut texts));
                    }
                }
            }
            Batch::Logs(logs) => {
                for of in &mut logs.resource_logs {
                    of.resource.iter_mut().for_each(|of| attributes(&mut of.attributes, &mut texts));
                    for of in &mut of.scope_logs {
                        of.scope.iter_mut().for_each(|of| attributes(&mut of.attributes, &mut texts));
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
            if let Some(AnyValue { value: Some(Value::Bytes(bytes)) }) = &mut of.value {
                let redacted = self.bytes(bytes);
                if !redacted.stand_ins.is_empty() {
                    found.extend(redacted.stand_ins);
                    *bytes = redacted.bytes.into_owned();
                }
            }
        });
        found
    }

    /// As JSON, so that a name says what its value is, as in any body.
    fn named_texts(&self, texts: Texts<'_>) -> Vec<StandIn> {
        let texts: Texts<'_> = texts.into_iter().filter(|(_, text)| !text.is_empty()).collect();
        let mut json = String::from("[");
        for (name, text) in &texts {
            if json.len() > 1 {
                json.push(',');
            }
            json.push_str(&serde_json::json!({ *name: text.as_str() }).to_string());
        }
        json.push(']');
        let redacted = self.bytes(json.as_bytes());
        if redacted.stand_ins.is_empty() {
            return Vec::new();
        }
        let Ok(clean) =
            serde_json::from_slice::<Vec<serde_json::Map<String, serde_json::Value>>>(&redacted.bytes)
        else {
            // What cannot be read back must not be kept.
            texts.into_iter().for_each(|(_, text)| text.clear());
            return redacted.stand_ins;
        };
        for ((_, text), object) in texts.into_iter().zip(clean) {
            if let Some(serde_json::Value::String(clean)) = object.into_iter().next().map(|(_, value)| value)
            {
                *text = clean;
            }
        }
        redacted.stand_ins
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

fn span<'a>(of: &'a mut Span, texts: &mut Texts<'a>) {
    texts.push(("name", &mut of.name));
    texts.push(("tracestate", &mut of.trace_state));
    attributes(&mut of.attributes, texts);
    for event in &mut of.events {
        texts.push(("event", &mut event.name));
        attributes(&mut event.attributes, texts);
    }
    for link in &mut of.links {
        texts.push(("tracestate", &mut link.trace_state));
        attributes(&mut link.attributes, texts);
    }
    if let Some(status) = &mut of.status {
        texts.push(("message", &mut status.message));
    }
}

fn log_record<'a>(of: &'a mut LogRecord, texts: &mut Texts<'a>) {
    texts.push(("event", &mut of.event_name));
    texts.push(("severity", &mut of.severity_text));
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
        Some(Value::String(text)) if !text.is_empty() => texts.push((name, text)),
        Some(Value::Array(of)) => of.values.iter_mut().for_each(|of| value(name, of, texts)),
        Some(Value::Map(of)) => attributes(&mut of.values, texts),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::KnownSecret;
    use super::*;
    use crate::otlp::{Encoding, Signal};

    #[test]
    fn secrets_go_wherever_they_stand_and_nothing_else() {
        let known = KnownSecret { label: "SHOP_TOKEN".into(), value: "tok-5f0c9a1b2d3e".into() };
        let redactor = Redactor::new([7; 32], vec![known], &[]).unwrap();
        let body = r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"env","value":{"stringValue":"tok-5f0c9a1b2d3e"}}]},
            "scopeSpans":[{"spans":[{"name":"GET /x?token=tok-5f0c9a1b2d3e","attributes":[
                {"key":"api_key","value":{"stringValue":"a8f5f167f44f4964e6c998dee827110c"}},
                {"key":"plain","value":{"stringValue":"two \"words\"\nand a line"}},
                {"key":"input.value","value":{"stringValue":"{\"messages\":[{\"content\":\"my key is sk-proj-Abcdefghijklmnopqrstuvwxyz0123456789\"}]}"}},
                {"key":"list","value":{"arrayValue":{"values":[{"stringValue":"a"},{"stringValue":"tok-5f0c9a1b2d3e"}]}}}],
              "events":[{"name":"e","attributes":[{"key":"exception.message","value":{"stringValue":"bad tok-5f0c9a1b2d3e"}}]}],
              "status":{"code":2,"message":"tok-5f0c9a1b2d3e refused"}}]}]}]}"#;
        let mut batch = Batch::read(Signal::Traces, Encoding::Json, body.as_bytes()).unwrap();
        let before = format!("{batch:?}");
        let found = redactor.telemetry(&mut batch);
        let after = format!("{batch:?}");
        assert!(found.len() >= 7, "{found:?}");
        for secret in ["5f0c9a1b2d3e", "a8f5f167f44f", "Abcdefghijklmnop"] {
            assert!(before.contains(secret) && !after.contains(secret), "{secret} in {after}");
        }
        assert!(after.contains(r#"two \"words\"\nand a line"#) && after.contains(" refused"));
    }
}
