//! One writing for every JSON value, for comparing and hashing; never for serving.
//!
//! Keys are sorted by their UTF-8 bytes, white space between tokens is gone, strings are escaped in one way only.
//! Numbers stay as they are written: RFC 8785 would make one of 9007199254740993 and 9007199254740992.

use super::json::{self, Kind, Node, NotJson};
use serde_json::Value;

/// The canonical text of a JSON text.
///
/// # Errors
/// [`NotJson`] when it is no JSON text.
pub fn canonical(bytes: &[u8]) -> Result<Vec<u8>, NotJson> {
    let node = json::parse(bytes)?;
    let mut out = Vec::with_capacity(bytes.len());
    write_node(&node, bytes, &mut out);
    Ok(out)
}

/// The canonical text of a value. Numbers that were kept as `{"$number": "…"}` come out as numbers.
pub fn canonical_value(value: &Value) -> String {
    let mut out = String::new();
    write_value(value, true, &mut out);
    out
}

/// The text of a value with its keys in their own order; numbers that were kept as `{"$number": "…"}` come out as
/// numbers. For writing bodies, where `Value::to_string` would write the object.
pub fn text_of_value(value: &Value) -> String {
    let mut out = String::new();
    write_value(value, false, &mut out);
    out
}

/// A JSON string with its quotes.
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    push_string(text, &mut out);
    out
}

/// 128 bits of blake3.
pub fn hash128(bytes: &[u8]) -> [u8; 16] {
    let mut out = [0; 16];
    let mut reader = blake3::Hasher::new().update(bytes).finalize_xof();
    reader.fill(&mut out);
    out
}

/// A hash as 32 lower-case hex digits.
pub fn hex(hash: &[u8; 16]) -> String {
    use std::fmt::Write;
    hash.iter().fold(String::with_capacity(32), |mut out, byte| {
        // Writing to a String cannot fail.
        let _ = write!(out, "{byte:02x}");
        out
    })
}

fn write_node(node: &Node<'_>, bytes: &[u8], out: &mut Vec<u8>) {
    match &node.kind {
        Kind::Null => out.extend_from_slice(b"null"),
        Kind::Bool(b) => out.extend_from_slice(if *b { b"true" } else { b"false" }),
        Kind::Number(digits) => out.extend_from_slice(digits.as_bytes()),
        Kind::String(text) => {
            // Half a surrogate pair has no text: such a string stays as it is written, so that two of them differ.
            let raw = bytes.get(node.span.clone()).unwrap_or_default();
            match text.contains(char::REPLACEMENT_CHARACTER) && memchr::memchr(b'\\', raw).is_some() {
                true => out.extend_from_slice(raw),
                false => out.extend_from_slice(quoted(text).as_bytes()),
            }
        }
        Kind::Array(elements) => {
            out.push(b'[');
            for (i, element) in elements.iter().enumerate() {
                out.extend_from_slice(if i > 0 { b"," } else { b"" });
                write_node(element, bytes, out);
            }
            out.push(b']');
        }
        Kind::Object(members) => {
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_by(|a, b| a.key.cmp(&b.key));
            out.push(b'{');
            for (i, member) in sorted.iter().enumerate() {
                out.extend_from_slice(if i > 0 { b"," } else { b"" });
                out.extend_from_slice(quoted(&member.key).as_bytes());
                out.push(b':');
                write_node(&member.value, bytes, out);
            }
            out.push(b'}');
        }
    }
}

fn write_value(value: &Value, sort: bool, out: &mut String) {
    match value {
        Value::String(text) => push_string(text, out),
        Value::Array(elements) => {
            out.push('[');
            for (i, element) in elements.iter().enumerate() {
                out.push_str(if i > 0 { "," } else { "" });
                write_value(element, sort, out);
            }
            out.push(']');
        }
        Value::Object(members) => {
            if let Some(digits) = json::kept_number(members) {
                return out.push_str(digits);
            }
            let mut order: Vec<_> = members.iter().collect();
            if sort {
                order.sort_by_key(|(key, _)| *key);
            }
            out.push('{');
            for (i, (key, member)) in order.into_iter().enumerate() {
                out.push_str(if i > 0 { "," } else { "" });
                push_string(key, out);
                out.push(':');
                write_value(member, sort, out);
            }
            out.push('}');
        }
        plain => out.push_str(&plain.to_string()),
    }
}

fn push_string(text: &str, out: &mut String) {
    use std::fmt::Write;
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn canon(text: &str) -> String {
        String::from_utf8(canonical(text.as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn key_order_space_and_escapes_do_not_matter() {
        assert_eq!(canon(r#"{ "b" : [1, 2], "a":"\u00e9\/" }"#), r#"{"a":"é/","b":[1,2]}"#);
    }

    #[test]
    fn digits_matter() {
        assert_ne!(canon("9007199254740993"), canon("9007199254740992"));
        assert_eq!(canon("1.00"), "1.00");
        let kept = json::parse(b"[123456789012345678901]").unwrap().to_value();
        assert_eq!(canonical_value(&kept), "[123456789012345678901]");
    }

    #[test]
    fn halves_of_pairs_stay_apart() {
        assert_ne!(canon(r#""\ud83d""#), canon(r#""\ud83e""#));
    }

    #[test]
    fn hashes_are_blake3() {
        assert_eq!(hex(&hash128(b"")), "af1349b9f5f9a1a6a0404dea36dcc949");
    }

    fn json_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::vec((any::<String>(), inner), 0..5)
                    .prop_map(|m| Value::Object(m.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn canonical_is_stable_and_means_the_same(value in json_value()) {
            let pretty = serde_json::to_vec_pretty(&value).unwrap();
            let once = canonical(&pretty).unwrap();
            prop_assert_eq!(&canonical(&once).unwrap(), &once);
            prop_assert_eq!(serde_json::from_slice::<Value>(&once).unwrap(), value.clone());
            prop_assert_eq!(canonical_value(&value).into_bytes(), once);
            prop_assert_eq!(serde_json::from_str::<Value>(&text_of_value(&value)).unwrap(), value);
        }
    }
}
