//! A binary event stream as text: what its messages say, as server-sent events would say it, and the way back into the
//! messages. What reads, redacts and rewrites text so works on either.

use super::{CRC, Message, framed, read};
use crate::exchange::json;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::ops::Range;

/// A stream as text: for each message the lines `event: NAME` and `data: PAYLOAD` and an empty line. Of a payload
/// `{"bytes": …}`, as a model's own events come in, it is what is in the Base64. Bytes that are no message are left out.
#[derive(Debug, Clone, Default)]
pub struct Transcript {
    text: Vec<u8>,
    pieces: Vec<Piece>,
    read_to: usize,
}

/// What one message says.
#[derive(Debug, Clone)]
struct Piece {
    /// Where it stands in the text.
    text: Range<usize>,
    /// Where its message stands in the stream.
    message: Range<usize>,
    headers: Range<usize>,
    /// Where the Base64 that it is written in stands, in the payload.
    coded: Option<Range<usize>>,
}

/// A message that was changed: where it stood, and how long it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Where it stood in the stream, in bytes.
    pub was: Range<usize>,
    /// Its length now.
    pub now: usize,
}

impl Transcript {
    /// Reads a stream, as far as it can be read.
    pub fn of(stream: &[u8]) -> Transcript {
        let mut transcript = Transcript::default();
        for message in read(stream).0 {
            transcript.add(&message);
        }
        transcript
    }

    fn add(&mut self, message: &Message) {
        let kind = if message.is_failure() { "exception:" } else { "" };
        self.text.extend_from_slice(format!("event: {kind}{}\ndata: ", message.name()).as_bytes());
        let (said, coded) = said(message);
        let start = self.text.len();
        // A line must not end early; in JSON white space is as good as a line feed.
        self.text.extend(said.iter().map(|b| if matches!(b, b'\n' | b'\r') { b' ' } else { *b }));
        let (text, headers) = (start..self.text.len(), message.headers_span());
        self.text.extend_from_slice(b"\n\n");
        self.read_to = message.span.end;
        self.pieces.push(Piece { text, message: message.span.clone(), headers, coded });
    }

    /// The text.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// Where the messages stand in the stream.
    pub fn messages(&self) -> impl Iterator<Item = Range<usize>> {
        self.pieces.iter().map(|piece| piece.message.clone())
    }

    /// How much of the stream could be read, in bytes.
    pub fn read_to(&self) -> usize {
        self.read_to
    }

    /// The stream, whose text is now another, and which of its messages are others by that. `now` tells where a place
    /// in the old text is in the new one. Messages that say what they said stay as they are, byte for byte.
    pub fn rewritten(
        &self,
        stream: &[u8],
        text: &[u8],
        now: &dyn Fn(usize) -> usize,
    ) -> (Vec<u8>, Vec<Changed>) {
        let mut out = Vec::with_capacity(stream.len());
        let mut changed = Vec::new();
        for piece in &self.pieces {
            let old = self.text.get(piece.text.clone()).unwrap_or_default();
            let new = text.get(now(piece.text.start)..now(piece.text.end)).unwrap_or_default();
            let message = stream.get(piece.message.clone()).unwrap_or_default();
            let other = if old == new { None } else { piece.with(stream, new) };
            if let Some(other) = &other {
                changed.push(Changed { was: piece.message.clone(), now: other.len() });
            }
            out.extend_from_slice(other.as_deref().unwrap_or(message));
        }
        out.extend_from_slice(stream.get(self.read_to..).unwrap_or_default());
        (out, changed)
    }
}

impl Piece {
    /// The message when it says something else; none when it would be too long.
    fn with(&self, stream: &[u8], said: &[u8]) -> Option<Vec<u8>> {
        let headers = stream.get(self.headers.clone())?;
        let Some(coded) = &self.coded else { return framed(headers, said).ok() };
        let payload = stream.get(self.headers.end..self.message.end - CRC)?;
        let inner = STANDARD.encode(said);
        let payload = [payload.get(..coded.start)?, inner.as_bytes(), payload.get(coded.end..)?].concat();
        framed(headers, &payload).ok()
    }
}

/// What a message says, and where in its payload the Base64 stands that it is written in.
fn said(message: &Message) -> (Vec<u8>, Option<Range<usize>>) {
    if let Some((inner, coded)) = inner(&message.payload) {
        return (inner, Some(coded));
    }
    (message.payload.clone(), None)
}

/// The JSON that is in the Base64 of a payload `{"bytes": …}`.
pub(super) fn inner(payload: &[u8]) -> Option<(Vec<u8>, Range<usize>)> {
    let root = json::parse(payload).ok()?;
    let node = root.get("bytes")?;
    let text = node.as_str()?;
    let coded = node.span.start + 1..node.span.end.checked_sub(1)?;
    let inner = STANDARD.decode(text).ok()?;
    // What is escaped, or would be written in another way, could not be put back into its place.
    let is_plain = coded.len() == text.len();
    (is_plain && inner.trim_ascii_start().starts_with(b"{")).then_some((inner, coded))
}
