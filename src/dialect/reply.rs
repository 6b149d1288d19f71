//! What the dialects share when they read an answer: stream or not, and an error's message.

use super::sse::{self, Event};
use crate::exchange::ResponseHead;
use crate::exchange::encoding::decode_what_is_there;
use crate::exchange::eventstream::Transcript;
use crate::exchange::json::{self, Node};
use std::borrow::Cow;

/// The most of an error body that is taken as its message when it is no JSON, in characters.
const MAX_ERROR: usize = 500;

/// The body of an answer.
pub(super) enum Reply<'a> {
    /// The events of a stream.
    Stream(Vec<Event>),
    /// Anything else.
    Whole(Cow<'a, [u8]>),
}

/// Opens a body. It may be decoded already or still be in the encoding that the head names. Servers that forget to
/// call a stream a stream are common enough to look.
pub(super) fn open<'a>(head: &ResponseHead, body: &'a [u8]) -> Reply<'a> {
    if head.is_websocket() {
        return Reply::Stream(sse::messages(body));
    }
    if head.is_message_stream() && !begins_with(body, &["{", "["]) {
        let bytes = decoded(head, body);
        return Reply::Stream(sse::events(Transcript::of(&bytes).text()));
    }
    let bytes = match looks_plain(body) {
        true => Cow::Borrowed(body),
        false => decoded(head, body),
    };
    let streamed = match head.is_event_stream() {
        true => !begins_with(&bytes, &["{", "["]),
        false => begins_with(&bytes, &["data:", "event:", "id:", ":"]),
    };
    match streamed {
        true => Reply::Stream(sse::events(&bytes)),
        false => Reply::Whole(bytes),
    }
}

/// Where nothing can be decoded, the body was decoded already, and is cut off inside of a letter or is no text.
fn decoded<'a>(head: &ResponseHead, body: &'a [u8]) -> Cow<'a, [u8]> {
    let decoded = decode_what_is_there(head.headers.get("content-encoding"), body);
    match decoded.broken {
        Some(_) if decoded.bytes.is_empty() => Cow::Borrowed(body),
        _ => decoded.bytes,
    }
}

fn looks_plain(body: &[u8]) -> bool {
    begins_with(body, &["{", "[", "data:", "event:", "id:", ":", "<"]) && std::str::from_utf8(body).is_ok()
}

fn begins_with(body: &[u8], starts: &[&str]) -> bool {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii_start();
    starts.iter().any(|s| body.starts_with(s.as_bytes()))
}

/// The message of an error body, and whether the body is whole.
pub(super) fn error_of(status: u16, body: &[u8]) -> (String, bool) {
    match json::parse(body) {
        Ok(root) => (said_error(&root).unwrap_or_else(|| unsaid(status)), true),
        Err(_) => {
            let text = String::from_utf8_lossy(body);
            let text = text.trim();
            let message = match text.is_empty() {
                true => unsaid(status),
                false => text.chars().take(MAX_ERROR).collect(),
            };
            (message, !text.starts_with('{'))
        }
    }
}

/// What stands for the message of a body that has none.
fn unsaid(status: u16) -> String {
    format!("HTTP status {status}")
}

/// An error with its status in front, told once.
pub fn with_status(status: u16, message: &str) -> String {
    let is_told = message.strip_prefix(&status.to_string()).is_some_and(|rest| rest.starts_with(' '));
    match message {
        _ if message == unsaid(status) => format!("{status} without a message"),
        _ if is_told => message.to_string(),
        _ => format!("{status} {message}"),
    }
}

/// The error that a JSON body tells of: `error.message`, `error`, `message` or `detail`.
pub(super) fn said_error(root: &Node<'_>) -> Option<String> {
    let error = root.get("error").filter(|e| !e.is_empty());
    let place =
        error.and_then(|e| e.get("message")).or(error).or(root.get("message")).or(root.get("detail"))?;
    Some(place.as_str().map_or_else(|| place.to_value().to_string(), str::to_string))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_told_once() {
        let silent = error_of(503, b"").0;
        assert_eq!(with_status(503, &silent), "503 without a message");
        assert_eq!(with_status(503, "503 Service Unavailable"), "503 Service Unavailable");
        assert_eq!(with_status(429, "slow down"), "429 slow down");
        assert_eq!(with_status(503, "5031 things"), "503 5031 things");
    }
}
