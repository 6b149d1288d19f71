//! The messages of a WebSocket as a body: one a line, so that a body is as readable as the messages are, and says by
//! itself where each of them ends.
//!
//! A text message is its own line. One that holds a line feed, is empty, or begins as a marked line does, and every binary
//! one, is written as a marked line, a JSON object that begins with `{"$ws":`:
//!
//! ```text
//! {"$ws":"text","text":"two\nlines"}
//! {"$ws":"binary","text":"{\n  \"setupComplete\": {}\n}\n"}
//! {"$ws":"binary","base64":"/wAB"}
//! {"$ws":"close","by":"upstream","code":1000,"reason":"bye"}
//! ```

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// What a marked line begins with.
const MARK: &[u8] = b"{\"$ws\":";

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Text: UTF-8, unless a file was edited by hand.
    Text(Bytes),
    /// Bytes.
    Binary(Bytes),
    /// The end of the session.
    Close(Closing),
}

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closing {
    /// Who closed it: the agent, or the upstream.
    pub by_agent: bool,
    /// The status code; none when there was none, or the connection broke off.
    pub code: Option<u16>,
    /// The reason; often empty.
    pub reason: String,
}

#[derive(Serialize, Deserialize)]
struct Marked {
    #[serde(rename = "$ws")]
    kind: Kind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<By>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    code: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

#[derive(Serialize, Deserialize, Clone, Copy, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Text,
    Binary,
    Close,
}

#[derive(Serialize, Deserialize, Clone, Copy, PartialEq)]
#[serde(rename_all = "lowercase")]
enum By {
    Agent,
    Upstream,
}

impl Message {
    /// The line that stands for it, without a line feed at its end.
    pub fn line(&self) -> Bytes {
        let empty = Marked { kind: Kind::Text, text: None, base64: None, by: None, code: None, reason: None };
        let marked = match self {
            Message::Text(text) => {
                let plain = !text.is_empty() && !text.contains(&b'\n') && !text.starts_with(MARK);
                match std::str::from_utf8(text) {
                    Ok(said) if !plain => Marked { text: Some(said.to_string()), ..empty },
                    _ => return text.clone(),
                }
            }
            Message::Binary(bytes) => match std::str::from_utf8(bytes) {
                Ok(said) => Marked { kind: Kind::Binary, text: Some(said.to_string()), ..empty },
                Err(_) => Marked { kind: Kind::Binary, base64: Some(STANDARD.encode(bytes)), ..empty },
            },
            Message::Close(closing) => Marked {
                kind: Kind::Close,
                by: Some(if closing.by_agent { By::Agent } else { By::Upstream }),
                code: closing.code,
                reason: (!closing.reason.is_empty()).then(|| closing.reason.clone()),
                ..empty
            },
        };
        // Strings and numbers alone: it cannot fail.
        serde_json::to_vec(&marked).unwrap_or_default().into()
    }

    /// The message that a line stands for. A marked line that cannot be read is a text.
    pub fn of_line(line: Bytes) -> Message {
        let marked = line.starts_with(MARK).then(|| serde_json::from_slice::<Marked>(&line).ok()).flatten();
        let Some(marked) = marked else { return Message::Text(line) };
        let text = marked.text.map(Bytes::from);
        match marked.kind {
            Kind::Text => Message::Text(text.unwrap_or_default()),
            Kind::Binary => {
                let bytes = marked.base64.and_then(|coded| STANDARD.decode(coded).ok()).map(Bytes::from);
                Message::Binary(text.or(bytes).unwrap_or_default())
            }
            Kind::Close => Message::Close(Closing {
                by_agent: marked.by == Some(By::Agent),
                code: marked.code,
                reason: marked.reason.unwrap_or_default(),
            }),
        }
    }

    /// What it says: its text or bytes; nothing for the end of a session.
    pub fn payload(&self) -> &[u8] {
        match self {
            Message::Text(bytes) | Message::Binary(bytes) => bytes,
            Message::Close(_) => &[],
        }
    }
}

/// Where the lines of a body stand, without their line feeds. A line feed at the end begins no further one.
pub fn lines(body: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = 0;
    for end in memchr::memchr_iter(b'\n', body).chain([body.len()]) {
        if start < body.len() {
            found.push(start..end);
        }
        start = end + 1;
    }
    found
}

/// The messages of a body.
pub fn read(body: &Bytes) -> Vec<Message> {
    lines(body).into_iter().map(|range| Message::of_line(body.slice(range))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn closing(by_agent: bool, code: Option<u16>, reason: &str) -> Message {
        Message::Close(Closing { by_agent, code, reason: reason.into() })
    }

    #[test]
    fn lines_are_as_documented() {
        let text = |text: &'static str| Message::Text(Bytes::from_static(text.as_bytes()));
        let cases = [
            (text(r#"{"type":"response.create"}"#), r#"{"type":"response.create"}"#),
            (text("two\nlines"), r#"{"$ws":"text","text":"two\nlines"}"#),
            (text(""), r#"{"$ws":"text","text":""}"#),
            (Message::Binary(Bytes::from_static(b"{}")), r#"{"$ws":"binary","text":"{}"}"#),
            (Message::Binary(Bytes::from_static(b"\xff\0\x01")), r#"{"$ws":"binary","base64":"/wAB"}"#),
            (
                closing(false, Some(1000), "bye"),
                r#"{"$ws":"close","by":"upstream","code":1000,"reason":"bye"}"#,
            ),
            (closing(true, None, ""), r#"{"$ws":"close","by":"agent"}"#),
        ];
        for (message, line) in cases {
            assert_eq!(message.line(), line);
            assert_eq!(Message::of_line(line.as_bytes().into()), message);
        }
    }

    fn message() -> impl Strategy<Value = Message> {
        prop_oneof![
            any::<String>().prop_map(|text| Message::Text(text.into())),
            "\\{\"\\$ws\":\"(text|binary|close)\".{0,9}".prop_map(|text| Message::Text(text.into())),
            any::<Vec<u8>>().prop_map(|bytes| Message::Binary(bytes.into())),
            (any::<bool>(), any::<Option<u16>>(), any::<String>())
                .prop_map(|(by_agent, code, reason)| closing(by_agent, code, &reason)),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(messages in prop::collection::vec(message(), 0..6), ends in any::<bool>()) {
            let mut body: Vec<u8> = Vec::new();
            for (at, message) in messages.iter().enumerate() {
                body.extend(if at > 0 { "\n" } else { "" }.bytes());
                body.extend_from_slice(&message.line());
            }
            if ends && !body.is_empty() {
                body.push(b'\n');
            }
            prop_assert_eq!(read(&body.into()), messages);
        }

        #[test]
        fn any_bytes_are_read(body in any::<Vec<u8>>()) {
            read(&body.into());
        }
    }
}
