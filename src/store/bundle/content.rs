//! The bytes of a part in a line: as JSON where a reader can take them back byte for byte, else text, else base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;

/// JSON nested deeper than this stays text: parsers in other languages give up at a few hundred levels.
const MOST_DEPTH: usize = 64;

/// JSON with a longer run of digits stays text: some parsers refuse such numbers.
const MOST_DIGITS: usize = 300;

/// How a part stands in its line.
pub(super) enum Content {
    /// `"json":` and the part's own bytes.
    Json(String),
    /// `"mixed":` and a list: strings are text, anything else is JSON and stands there byte for byte.
    Mixed(String),
    /// `"text":` and the part as a JSON string.
    Text(String),
    /// `"base64":` and the part, encoded.
    Base64(String),
}

impl Content {
    /// The most readable form that gives the same bytes back.
    pub(super) fn of(bytes: &[u8]) -> Content {
        let Ok(text) = std::str::from_utf8(bytes) else {
            return Content::Base64(format!("\"{}\"", STANDARD.encode(bytes)));
        };
        if embeds(text) {
            Content::Json(text.to_string())
        } else if let Some(list) = mixed(text) {
            Content::Mixed(list)
        } else {
            Content::Text(quoted(text))
        }
    }

    /// The member of the line: its name and its JSON.
    pub(super) fn member(&self) -> (&'static str, &str) {
        match self {
            Content::Json(json) => ("json", json),
            Content::Mixed(json) => ("mixed", json),
            Content::Text(json) => ("text", json),
            Content::Base64(json) => ("base64", json),
        }
    }
}

/// The bytes of a JSON value as it stands in the file.
pub(super) fn bytes_of_json(json: &RawValue) -> Vec<u8> {
    json.get().as_bytes().to_vec()
}

/// The bytes of a mixed list; none when a text of it is no JSON string.
pub(super) fn bytes_of_mixed(list: &[Box<RawValue>]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for item in list {
        if item.get().starts_with('"') {
            bytes.extend_from_slice(serde_json::from_str::<String>(item.get()).ok()?.as_bytes());
        } else {
            bytes.extend_from_slice(item.get().as_bytes());
        }
    }
    Some(bytes)
}

/// The bytes of base64 text; none when it is not base64.
pub(super) fn bytes_of_base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// True when a text is one JSON value that can stand in a line as it is, and that any JSON parser reads.
pub(super) fn embeds(text: &str) -> bool {
    let (Some(first), Some(last)) = (text.bytes().next(), text.bytes().last()) else { return false };
    if first.is_ascii_whitespace() || last.is_ascii_whitespace() {
        return false;
    }
    let (mut depth, mut digits, mut string, mut escaped) = (0usize, 0usize, false, false);
    for byte in text.bytes() {
        match byte {
            // A line feed ends the record; a carriage return may be changed on its way through git.
            b'\n' | b'\r' => return false,
            _ if escaped => escaped = false,
            b'\\' => escaped = string,
            b'"' => string = !string,
            _ if string => {}
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        digits = if byte.is_ascii_digit() && !string { digits + 1 } else { 0 };
        if depth > MOST_DEPTH || digits > MOST_DIGITS {
            return false;
        }
    }
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

/// A text as a JSON string.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Lines of JSON, bare or after `data:` (an event stream): a list of the text between and of each JSON object as it
/// is. None when there is no such line.
fn mixed(text: &str) -> Option<String> {
    let mut list = String::from("[");
    let mut between = String::new();
    let mut found = false;
    let mut put = |item: &str| {
        if list.len() > 1 {
            list.push(',');
        }
        list.push_str(item);
    };
    for line in text.split_inclusive('\n') {
        let value = line.trim_end_matches(['\n', '\r']);
        let value = value.strip_prefix("data:").unwrap_or(value);
        let value = value.strip_prefix(' ').unwrap_or(value);
        if !(value.starts_with('{') && embeds(value)) {
            between.push_str(line);
            continue;
        }
        found = true;
        let after = line.trim_end_matches(['\n', '\r']).len();
        let (head, tail) = (line.get(..after - value.len())?, line.get(after..)?);
        between.push_str(head);
        if !between.is_empty() {
            put(&quoted(&between));
        }
        put(value);
        between = tail.to_string();
    }
    if !between.is_empty() {
        put(&quoted(&between));
    }
    list.push(']');
    found.then_some(list)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn back(content: &Content) -> Vec<u8> {
        match content {
            Content::Json(json) => bytes_of_json(&serde_json::from_str::<Box<RawValue>>(json).unwrap()),
            Content::Mixed(json) => {
                bytes_of_mixed(&serde_json::from_str::<Vec<Box<RawValue>>>(json).unwrap()).unwrap()
            }
            Content::Text(json) => serde_json::from_str::<String>(json).unwrap().into_bytes(),
            Content::Base64(json) => bytes_of_base64(&serde_json::from_str::<String>(json).unwrap()).unwrap(),
        }
    }

    #[test]
    fn the_readable_form_is_taken_where_it_is_exact() {
        let deep = format!("{}{}", "[".repeat(65), "]".repeat(65));
        let long = "7".repeat(301);
        for (bytes, name) in [
            (br#"{"n":1.50e+3, "s":"\u00e9\ud800","big":9007199254740993}"#.as_slice(), "json"),
            (b"\"text\"", "json"),
            (b"{\"a\":1}\n", "mixed"),
            (b"{\"a\":\n1}", "text"),
            (b" 7", "text"),
            (deep.as_bytes(), "text"),
            (long.as_bytes(), "text"),
            (b"half {\"a\":", "text"),
            (b"event: x\ndata: {\"a\": 1}\n\ndata: [DONE]\n\n", "mixed"),
            (b"{\"a\":1}\r\n{\"a\":2}\r\n", "mixed"),
            (b"\xff\x00", "base64"),
        ] {
            let content = Content::of(bytes);
            assert_eq!(content.member().0, name, "{}", String::from_utf8_lossy(bytes));
            assert_eq!(back(&content), bytes);
            assert!(!content.member().1.contains('\n'));
        }
    }

    #[test]
    fn an_event_stream_shows_its_events() {
        let content = Content::of(b"event: a\ndata: {\"x\":\"1\"}\n\ndata: [DONE]\n\n");
        assert_eq!(content.member().1, r#"["event: a\ndata: ",{"x":"1"},"\n\ndata: [DONE]\n\n"]"#);
    }

    proptest! {
        #[test]
        fn any_bytes_come_back(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            prop_assert_eq!(back(&Content::of(&bytes)), bytes);
        }

        #[test]
        fn any_stream_comes_back(text in "(data: |data:|event: x\n)?([\\[\\]{}\":,1 ]|\\{\"a\":\\[1\\]\\}|\r?\n|\u{2028}){0,20}") {
            prop_assert_eq!(back(&Content::of(text.as_bytes())), text.as_bytes());
        }
    }
}
