//! The texts in a piece of JSON, found without reading it as a value.

use serde_json::Value;
use std::borrow::Cow;

/// Shows every string in some bytes of JSON, field names included. What stands in a string as JSON is shown as well, so
/// that nothing in it is hidden by its escapes. The bytes need not be whole: an element of an array, or the beginning of
/// a body up to one. Of bytes that are no JSON some texts may be missing.
pub(super) fn of_json(bytes: &[u8], look: &mut dyn FnMut(&str)) {
    let mut rest = bytes;
    while let Some(start) = memchr::memchr(b'"', rest) {
        let inside = rest.get(start + 1..).unwrap_or_default();
        let length = end_of_string(inside);
        let raw = inside.get(..length).unwrap_or_default();
        if let Some(text) = unescaped(raw) {
            look(&text);
            if text.contains('\\')
                && text.trim_start().starts_with(['{', '['])
                && let Ok(value) = serde_json::from_str::<Value>(&text)
            {
                of_value(&value, look);
            }
        }
        rest = inside.get(length + 1..).unwrap_or_default();
    }
}

/// Where the quote is that ends a string; the length of all there is when there is none.
fn end_of_string(text: &[u8]) -> usize {
    let mut at = 0;
    while let Some(found) = text.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        at += found;
        if text.get(at) == Some(&b'"') {
            return at;
        }
        // The byte after a backslash ends nothing.
        at += 2;
    }
    text.len()
}

fn unescaped(raw: &[u8]) -> Option<Cow<'_, str>> {
    let text = std::str::from_utf8(raw).ok()?;
    if !text.contains('\\') {
        return Some(Cow::Borrowed(text));
    }
    let told = serde_json::from_str(&format!("\"{text}\"")).ok();
    Some(told.map_or(Cow::Borrowed(text), Cow::Owned))
}

fn of_value(value: &Value, look: &mut dyn FnMut(&str)) {
    match value {
        Value::String(text) => look(text),
        Value::Array(items) => items.iter().for_each(|v| of_value(v, look)),
        Value::Object(fields) => fields.values().for_each(|v| of_value(v, look)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::by_name;
    use crate::dialect::conversation::{Block, Message};
    use crate::exchange::parts;

    fn all(bytes: &[u8]) -> Vec<String> {
        let mut found = Vec::new();
        of_json(bytes, &mut |text| found.push(text.to_string()));
        found
    }

    #[test]
    fn strings_are_shown_without_their_escapes() {
        assert_eq!(all(br#"{"a":["b\"c\nd","\u00e9"],"#), ["a", "b\"c\nd", "é"]);
        let arguments = br#""{\"path\": \"x\\ny\"}""#;
        assert_eq!(all(arguments), [r#"{"path": "x\ny"}"#, "x\ny"]);
        assert_eq!(all(br#"no string, "an open \"one"#), [r#"an open "one"#]);
        assert_eq!(all(b"\"\\"), ["\\"]);
    }

    fn texts(block: &Block) -> Vec<String> {
        let mut found = Vec::new();
        let mut look = |text: &str| found.push(text.to_string());
        match block {
            Block::Text { text } => look(text),
            Block::ToolCall { args: value, .. } | Block::Other { value } => of_value(value, &mut look),
            Block::ToolResult { text, other, .. } => {
                look(text);
                other.iter().for_each(|v| of_value(v, &mut look));
            }
            Block::Reasoning { .. } => {}
        }
        found
    }

    /// Whatever a request says in normal form is found in its parts, line by line: results of several texts are joined.
    #[test]
    fn nothing_that_a_dialect_reads_is_missing() {
        let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/wire");
        let mut seen = 0;
        for dialect in ["anthropic-messages", "openai-chat"] {
            for folder in std::fs::read_dir(format!("{fixtures}/{dialect}")).unwrap().flatten() {
                for file in std::fs::read_dir(folder.path()).unwrap().flatten() {
                    if !file.file_name().to_string_lossy().ends_with(".request.json") {
                        continue;
                    }
                    let body = std::fs::read(file.path()).unwrap();
                    let request = by_name(dialect).unwrap().read_request(&body).unwrap();
                    let split = parts::split(&body);
                    let found =
                        split.ranges().flat_map(|range| all(&body[range])).collect::<Vec<_>>().join("\n");
                    let said = request.messages.iter().flat_map(|m: &Message| &m.blocks);
                    for text in request.system.iter().chain(said).flat_map(texts) {
                        seen += 1;
                        let lines: Vec<&str> = text.lines().collect();
                        assert!(lines.iter().all(|line| found.contains(line)), "{:?}: {text:?}", file.path());
                    }
                }
            }
        }
        assert!(seen > 50, "{seen}");
    }

    proptest::proptest! {
        #[test]
        fn what_serde_writes_is_read(text: String) {
            let json = serde_json::json!({ "k": [text, {"n": text}] }).to_string();
            let found = all(json.as_bytes());
            assert!(found.iter().filter(|t| **t == text).count() >= 2);
        }

        #[test]
        fn nothing_panics(bytes: Vec<u8>) {
            all(&bytes);
        }
    }
}
