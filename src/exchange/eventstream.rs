//! The binary event stream of AWS (`application/vnd.amazon.eventstream`): messages one behind the other, each with
//! typed headers, a payload and checksums.
//!
//! ```text
//! total length u32 | headers length u32 | CRC-32 of these | headers | payload | CRC-32 of all before
//! ```

mod header;
mod transcript;

#[cfg(test)]
mod tests;

pub use header::HeaderValue;
pub use transcript::{Changed, Transcript};

use header::{read_headers, write_headers};
use std::ops::Range;

/// The media type of such a stream.
pub const CONTENT_TYPE: &str = "application/vnd.amazon.eventstream";
/// The longest message that is read, in bytes: 24 MB of payload are allowed, and 128 KB of headers.
pub const MAX_MESSAGE: usize = (24 << 20) + (128 << 10) + FRAMING;
/// The longest headers that are read, in bytes.
pub const MAX_HEADERS: usize = 128 << 10;

/// Two lengths and their checksum.
const PRELUDE: usize = 12;
/// A checksum.
const CRC: usize = 4;
/// What a message without headers and payload is long.
const FRAMING: usize = PRELUDE + CRC;

/// One message.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Its headers, in order: name and value.
    pub headers: Vec<(String, HeaderValue)>,
    /// Its payload.
    pub payload: Vec<u8>,
    /// Where it stands in the stream.
    pub span: Range<usize>,
    /// How long its headers are, in bytes.
    headers_length: usize,
}

impl Message {
    /// The text of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).and_then(|(_, value)| value.as_str())
    }

    /// What it tells of: the type of its event or of its exception, or the code of its error.
    pub fn name(&self) -> &str {
        let names = [":event-type", ":exception-type", ":error-code"];
        names.iter().find_map(|name| self.header(name)).unwrap_or_default()
    }

    /// True where it tells of a failure that ends the stream.
    pub fn is_failure(&self) -> bool {
        matches!(self.header(":message-type"), Some("exception" | "error"))
    }

    /// What it says as one line, for those who look for the end of a stream: `:event-type NAME`, `:chunk ` and what is
    /// in the chunk, `:failure NAME`.
    pub fn line(&self) -> Vec<u8> {
        let mut line = match (self.is_failure(), transcript::inner(&self.payload)) {
            (false, Some((inner, _))) => [b":chunk ".as_slice(), &inner].concat(),
            (true, _) => format!(":failure {}", self.name()).into_bytes(),
            (false, None) => format!(":event-type {}", self.name()).into_bytes(),
        };
        line.iter_mut().filter(|b| matches!(b, b'\n' | b'\r')).for_each(|b| *b = b' ');
        line.push(b'\n');
        line
    }

    /// Where its headers stand in the stream.
    pub fn headers_span(&self) -> Range<usize> {
        let start = self.span.start + PRELUDE;
        start..start + self.headers_length
    }
}

/// Why a stream cannot be read any further.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} (at byte {at} of the event stream)")]
pub struct Damage {
    /// What is wrong.
    pub what: &'static str,
    /// Where the message begins.
    pub at: usize,
}

/// A message that cannot be written: a name, a value, its headers or the whole are too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a message of an event stream would be too long")]
pub struct TooLong;

/// Reads messages from bytes as they come, however they were cut. Behind damage nothing is read any more: no message
/// tells where the next one begins but by its length.
#[derive(Debug, Clone, Default)]
pub struct Decoder {
    /// Bytes of the message that is not over yet.
    waiting: Vec<u8>,
    /// Offset of the first of these in the stream.
    at: usize,
    damage: Option<Damage>,
}

impl Decoder {
    /// Takes the next bytes; gives the messages that they end.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Message> {
        if self.damage.is_some() {
            return Vec::new();
        }
        self.waiting.extend_from_slice(bytes);
        let mut messages = Vec::new();
        let mut used = 0;
        while let Some(rest) = self.waiting.get(used..).filter(|rest| !rest.is_empty()) {
            match first(rest, self.at + used) {
                Ok(Some(message)) => {
                    used += message.span.len();
                    messages.push(message);
                }
                Ok(None) => break,
                Err(damage) => {
                    self.damage = Some(damage);
                    break;
                }
            }
        }
        self.at += used;
        self.waiting.drain(..used);
        if self.damage.is_some() {
            self.waiting = Vec::new();
        }
        messages
    }

    /// What is wrong with the stream when it ends here.
    pub fn finish(self) -> Option<Damage> {
        let cut = (!self.waiting.is_empty())
            .then_some(Damage { what: "the stream ends inside of a message", at: self.at });
        self.damage.or(cut)
    }
}

/// All messages of a stream that is there whole, or as far as it got, and why it cannot be read to its end.
pub fn read(stream: &[u8]) -> (Vec<Message>, Option<Damage>) {
    let mut decoder = Decoder::default();
    let messages = decoder.push(stream);
    (messages, decoder.finish())
}

/// Reads the message at the beginning of some bytes, which stand at this place in the stream; none when it is not
/// there whole.
fn first(bytes: &[u8], at: usize) -> Result<Option<Message>, Damage> {
    let damage = |what: &'static str| Damage { what, at };
    let Some(prelude) = bytes.get(..PRELUDE) else { return Ok(None) };
    let word = |from: usize| word(prelude, from).unwrap_or_default();
    let (total, headers_length) = (word(0) as usize, word(4) as usize);
    if word(8) != crc32fast::hash(prelude.get(..8).unwrap_or_default()) {
        return Err(damage("the lengths of a message do not agree with their checksum"));
    }
    if headers_length > MAX_HEADERS || !(headers_length + FRAMING..=MAX_MESSAGE).contains(&total) {
        return Err(damage("a message has an impossible length"));
    }
    let Some(message) = bytes.get(..total) else { return Ok(None) };
    let body_end = total - CRC;
    let (body, sum) = message.split_at(body_end);
    if self::word(sum, 0) != Some(crc32fast::hash(body)) {
        return Err(damage("a message does not agree with its checksum"));
    }
    let (headers, payload) = body.get(PRELUDE..).unwrap_or_default().split_at(headers_length);
    let headers = read_headers(headers).ok_or_else(|| damage("the headers of a message cannot be read"))?;
    Ok(Some(Message { headers, payload: payload.to_vec(), span: at..at + total, headers_length }))
}

fn word(bytes: &[u8], from: usize) -> Option<u32> {
    let bytes = bytes.get(from..from + 4)?;
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}

/// Writes a message.
///
/// # Errors
/// [`TooLong`], where no reader would take it.
pub fn encode(headers: &[(&str, HeaderValue)], payload: &[u8]) -> Result<Vec<u8>, TooLong> {
    framed(&write_headers(headers)?, payload)
}

/// Writes a message whose headers are written already.
///
/// # Errors
/// [`TooLong`], where no reader would take it.
pub fn framed(headers: &[u8], payload: &[u8]) -> Result<Vec<u8>, TooLong> {
    let total = headers.len() + payload.len() + FRAMING;
    if headers.len() > MAX_HEADERS || total > MAX_MESSAGE {
        return Err(TooLong);
    }
    let length = |n: usize| u32::try_from(n).map(u32::to_be_bytes).map_err(|_| TooLong);
    let mut out = Vec::with_capacity(total);
    out.extend_from_slice(&length(total)?);
    out.extend_from_slice(&length(headers.len())?);
    out.extend_from_slice(&crc32fast::hash(&out).to_be_bytes());
    out.extend_from_slice(headers);
    out.extend_from_slice(payload);
    out.extend_from_slice(&crc32fast::hash(&out).to_be_bytes());
    Ok(out)
}
