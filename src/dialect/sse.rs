//! Server-sent events (WHATWG HTML, section 9.2), with the byte ranges they stand in.
//!
//! A frame of HTTP is not an event: bytes go in however they were cut, and the same events come out.

use crate::exchange::messages::{self, Message};
use bytes::Bytes;
use std::ops::Range;

#[cfg(test)]
mod tests;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Value of its `event` field; empty when there is none.
    pub name: String,
    /// Its data: the values of its `data` fields, joined by line feeds. Bytes that are not UTF-8 become U+FFFD.
    pub data: String,
    /// Value of its `id` field.
    pub id: Option<String>,
    /// Where it stands in the stream, from its first line to the empty line that ends it (included).
    pub span: Range<usize>,
    /// Where the values of its `data` fields stand, one range per line.
    pub data_spans: Vec<Range<usize>>,
    /// False when the stream ended before the empty line.
    pub ended: bool,
}

/// Reads all events of a stream that is there whole, or as far as it got.
pub fn events(stream: &[u8]) -> Vec<Event> {
    let mut parser = Parser::default();
    let mut events = parser.push(stream);
    events.extend(parser.finish());
    events
}

/// The messages of a WebSocket, one a line, as events without a name. How the session ended is none.
pub fn messages(body: &[u8]) -> Vec<Event> {
    let mut events = Vec::new();
    for line in messages::lines(body) {
        let span = line.start..body.len().min(line.end + 1);
        let text = body.get(line.clone()).unwrap_or_default();
        let message = Message::of_line(Bytes::copy_from_slice(text));
        if matches!(message, Message::Close(_)) {
            continue;
        }
        let data = String::from_utf8_lossy(message.payload()).into_owned();
        events.push(Event { name: String::new(), data, id: None, span, data_spans: vec![line], ended: true });
    }
    events
}

/// Reads events from bytes as they come.
#[derive(Debug, Clone, Default)]
pub struct Parser {
    /// Bytes of the line that is not over yet.
    line: Vec<u8>,
    /// Offset in the stream of the first byte of `line`.
    line_at: usize,
    /// The last byte was a CR: a LF that follows belongs to it.
    after_cr: bool,
    /// The event that is being read.
    open: Option<Event>,
    /// Where the next event begins.
    next_at: usize,
}

impl Parser {
    /// Takes the next bytes; gives the events that they end. An event whose empty line ends in CR waits for the next
    /// byte, which may be its LF.
    pub fn push(&mut self, mut bytes: &[u8]) -> Vec<Event> {
        let mut events = Vec::new();
        if self.after_cr
            && let Some(&first) = bytes.first()
        {
            self.after_cr = false;
            let feed = usize::from(first == b'\n');
            bytes = &bytes[feed..];
            events.extend(self.end_line(1 + feed));
        }
        while let Some(end) = memchr::memchr2(b'\r', b'\n', bytes) {
            self.line.extend_from_slice(&bytes[..end]);
            let terminator = match bytes[end..] {
                [b'\r'] => {
                    self.after_cr = true;
                    return events;
                }
                [b'\r', b'\n', ..] => 2,
                _ => 1,
            };
            bytes = &bytes[end + terminator..];
            events.extend(self.end_line(terminator));
        }
        self.line.extend_from_slice(bytes);
        events
    }

    /// Ends the stream: gives what is left of an event that no empty line ended. A browser drops such an event, the
    /// providers' SDKs do not.
    pub fn finish(&mut self) -> Option<Event> {
        if self.after_cr {
            self.after_cr = false;
            if let Some(event) = self.end_line(1) {
                return Some(event);
            }
        }
        if !self.line.is_empty() {
            self.end_line(0);
        }
        let mut event = self.open.take().filter(|e| !e.data_spans.is_empty())?;
        event.ended = false;
        event.span.end = self.line_at;
        self.next_at = self.line_at;
        Some(event)
    }

    /// Takes the line in `line`, whose terminator is so many bytes long.
    fn end_line(&mut self, terminator: usize) -> Option<Event> {
        let line = std::mem::take(&mut self.line);
        let start = self.line_at;
        self.line_at += line.len() + terminator;
        // Only the very first line can begin with a byte order mark.
        let bom = if start == 0 && line.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        let text = &line[bom..];
        if text.is_empty() {
            let begun = std::mem::replace(&mut self.next_at, self.line_at);
            let mut event = self.open.take().filter(|e| !e.data_spans.is_empty())?;
            event.span = begun..self.line_at;
            return Some(event);
        }
        let colon = memchr::memchr(b':', text);
        let (field, value_at) = match colon {
            Some(0) => return None,
            Some(colon) => (&text[..colon], colon + 1 + usize::from(text.get(colon + 1) == Some(&b' '))),
            None => (text, text.len()),
        };
        let value = String::from_utf8_lossy(&text[value_at..]);
        let begun = self.next_at;
        let event = self.open.get_or_insert_with(|| Event {
            name: String::new(),
            data: String::new(),
            id: None,
            span: begun..begun,
            data_spans: Vec::new(),
            ended: true,
        });
        match field {
            b"event" => event.name = value.into_owned(),
            b"data" => {
                event.data.push_str(if event.data_spans.is_empty() { "" } else { "\n" });
                event.data.push_str(&value);
                event.data_spans.push(start + bom + value_at..start + line.len());
            }
            b"id" => event.id = Some(value.into_owned()),
            _ => {}
        }
        None
    }
}
