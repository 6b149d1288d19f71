//! Exports with secrets in every place that they have.

use super::super::KnownSecret;
use super::*;
use crate::otlp::proto::{ArrayValue, ResourceSpans, ScopeSpans, Traces};
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

/// A message of OTLP, as `otlp/proto.rs` declares it.
#[derive(Default)]
struct Declared {
    fields: Vec<Declaration>,
    /// It is one of its fields, not all of them.
    is_choice: bool,
}

struct Declaration {
    tag: u64,
    /// `string`, `bytes = "vec"`, `message`, `oneof = "Value"`, `bool`, …
    kind: String,
    repeated: bool,
    /// Of a message: its name.
    of: String,
}

/// Reads the declarations: a field that is added there is a field here.
fn declared() -> HashMap<String, Declared> {
    let mut all: HashMap<String, Declared> = HashMap::new();
    let (mut message, mut field) = (String::new(), None);
    for line in include_str!("../../otlp/proto.rs").lines().map(str::trim) {
        let words: Vec<&str> = line.split(' ').collect();
        if let ["pub", kind @ ("struct" | "enum"), name, ..] = words.as_slice() {
            message = name.to_string();
            all.entry(message.clone()).or_default().is_choice = *kind == "enum";
        } else if let Some(inside) = line.strip_prefix("#[prost(") {
            let inside = inside.trim_end_matches(")]");
            let tag = inside.rsplit('"').nth(1).and_then(|tag| tag.parse().ok()).unwrap_or_default();
            let kind = inside.split(',').next().unwrap_or_default().to_string();
            field = Some((tag, kind, inside.contains("repeated")));
        } else if let (Some((tag, kind, repeated)), false) =
            (field.take_if(|_| !line.starts_with("//")), line.is_empty())
        {
            let mut names = line.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
            let of = names.next_back().unwrap_or_default().to_string();
            all.entry(message.clone()).or_default().fields.push(Declaration { tag, kind, repeated, of });
        }
    }
    all
}

fn delimited(tag: u64, bytes: &[u8], out: &mut Vec<u8>) {
    let mut varint = |mut value: u64| {
        while value > 0x7f {
            out.push(value as u8 | 0x80);
            value >>= 7;
        }
        out.push(value as u8);
    };
    varint(tag << 3 | 2);
    varint(bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// The wire forms of a message that has the secret in every text and every bytes of it; several where it holds a choice.
fn filled(
    all: &HashMap<String, Declared>,
    name: &str,
    secret: &[u8],
    depth: usize,
    places: &mut usize,
) -> Vec<Vec<u8>> {
    let mut forms: Vec<Vec<u8>> = vec![Vec::new()];
    let Some(message) = all.get(name) else { panic!("{name} is not declared") };
    for field in &message.fields {
        let inside: Vec<Vec<u8>> = match field.kind.split(' ').next().unwrap_or_default() {
            "string" | "bytes" => {
                *places += 1;
                vec![secret.to_vec()]
            }
            "message" if depth > 0 => filled(all, &field.of, secret, depth - 1, places),
            "oneof" => {
                // The field has no tag of its own.
                forms = filled(all, &field.of, secret, depth, places);
                continue;
            }
            _ => continue,
        };
        let mut written = inside.iter().map(|bytes| {
            let mut out = Vec::new();
            delimited(field.tag, bytes, &mut out);
            out
        });
        if message.is_choice {
            forms.extend(written);
        } else if field.repeated {
            let all: Vec<u8> = written.flatten().collect();
            forms.iter_mut().for_each(|form| form.extend_from_slice(&all));
        } else {
            let first = written.next().unwrap_or_default();
            let plain = forms.clone();
            forms.iter_mut().for_each(|form| form.extend_from_slice(&first));
            for other in written {
                forms.extend(plain.first().map(|form| [form.as_slice(), &other].concat()));
            }
        }
    }
    forms
}

fn times(bytes: &[u8], secret: &[u8]) -> usize {
    memchr::memmem::find_iter(bytes, secret).count()
}

#[test]
fn no_field_of_an_export_keeps_a_secret() {
    let all = declared();
    let value = "tok-5f0c9a1b2d3e4f5a6b7c";
    let known = KnownSecret { label: "SHOP_TOKEN".into(), value: value.into() };
    let redactor = Redactor::new([7; 32], vec![known], &[]).unwrap();
    let wrapped = [b"\xff\xfe", value.as_bytes(), b"\xff"].concat();
    for (name, signal, at_least) in [("Traces", Signal::Traces, 90), ("Logs", Signal::Logs, 60)] {
        // As text, and in bytes that are none: texts must be UTF-8, and are not read otherwise.
        let mut places = 0;
        let forms = filled(&all, name, value.as_bytes(), 12, &mut places);
        let bytes = forms.first().cloned().unwrap_or_default();
        assert!(places > at_least && times(&bytes, value.as_bytes()) > at_least, "{name}: {places}");
        let mut batch = Batch::read(signal, Encoding::Protobuf, &bytes).unwrap();
        assert_eq!(
            times(&batch.to_protobuf(), value.as_bytes()),
            times(&bytes, value.as_bytes()),
            "all of it is read"
        );
        let found = redactor.telemetry(&mut batch);
        assert_eq!(times(&batch.to_protobuf(), value.as_bytes()), 0, "{name}: {batch:?}");
        assert!(found.len() > at_least, "{name}: {}", found.len());
    }
    let of_bytes = |bytes: Vec<u8>| AnyValue { value: Some(Value::Bytes(bytes)) };
    let inside = ArrayValue { values: vec![of_bytes(wrapped), of_bytes(b"\xff kept".to_vec())] };
    let attribute = KeyValue { key: "k".into(), value: Some(AnyValue { value: Some(Value::Array(inside)) }) };
    let span = Span { attributes: vec![attribute], ..Span::default() };
    let scope_spans = vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
    let mut batch = Batch::Traces(Traces { resource_spans });
    redactor.telemetry(&mut batch);
    let kept = batch.to_protobuf();
    assert_eq!((times(&kept, value.as_bytes()), times(&kept, b"\xff kept")), (0, 1));
}

/// A name says that its value is a secret, whatever the value is of.
#[test]
fn names_tell_of_bytes_too() {
    let redactor = Redactor::new([7; 32], Vec::new(), &[]).unwrap();
    let secret = "a8f5f167f44f4964e6c998dee827110c";
    for value in [Value::String(secret.into()), Value::Bytes(secret.into())] {
        let attribute = KeyValue { key: "api_key".into(), value: Some(AnyValue { value: Some(value) }) };
        let span = Span { attributes: vec![attribute], ..Span::default() };
        let scope_spans = vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }];
        let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
        let mut batch = Batch::Traces(Traces { resource_spans });
        assert_eq!(redactor.telemetry(&mut batch).len(), 1);
        assert_eq!(times(&batch.to_protobuf(), secret.as_bytes()), 0);
    }
}
