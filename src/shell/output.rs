//! What a command printed: in order, on which of the two outputs, and when.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// More output than this is passed through and not recorded, in bytes.
pub(super) const MOST: usize = 8 * 1024 * 1024;

/// What comes within this time is one piece, in milliseconds.
const AT_ONCE: u64 = 10;

/// Standard output.
pub(super) const OUT: u8 = 1;
/// Standard error.
pub(super) const ERR: u8 = 2;

/// A piece of output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    /// [`OUT`] or [`ERR`].
    pub stream: u8,
    /// Milliseconds since the command began.
    pub at: u64,
    /// What was printed.
    pub bytes: Vec<u8>,
}

/// All output of a command.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Output {
    pieces: Vec<Piece>,
    size: usize,
}

impl Output {
    /// Adds what was read. A line, and what comes at once, stay together: a secret that is cut in two is not known.
    pub fn add(&mut self, stream: u8, at: u64, bytes: &[u8]) {
        self.size = self.size.saturating_add(bytes.len());
        if self.size > MOST {
            self.pieces.clear();
            return;
        }
        match self.pieces.last_mut() {
            Some(last)
                if last.stream == stream
                    && (at.saturating_sub(last.at) < AT_ONCE || !last.bytes.ends_with(b"\n")) =>
            {
                last.bytes.extend_from_slice(bytes);
            }
            _ => self.pieces.push(Piece { stream, at, bytes: bytes.to_vec() }),
        }
    }

    /// True when there is more than is recorded.
    pub fn is_too_big(&self) -> bool {
        self.size > MOST
    }

    /// The pieces, in order.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// As it is told: `[[1, 3, "text"], [2, 5, {"base64": "…"}]]`.
    pub fn told(&self) -> Value {
        let told =
            self.pieces.iter().map(|piece| json!([piece.stream, piece.at, text_or_base64(&piece.bytes)]));
        Value::Array(told.collect())
    }

    /// Reads it as it was told; none when it is something else.
    pub fn read(told: &Value) -> Option<Output> {
        let mut output = Output::default();
        for piece in told.as_array()? {
            let [stream, at, content] = piece.as_array()?.as_slice() else { return None };
            let bytes = match content {
                Value::String(text) => text.clone().into_bytes(),
                other => STANDARD.decode(other.get("base64")?.as_str()?).ok()?,
            };
            let stream = u8::try_from(stream.as_u64()?).ok().filter(|stream| matches!(*stream, OUT | ERR))?;
            output.size = output.size.saturating_add(bytes.len());
            output.pieces.push(Piece { stream, at: at.as_u64()?, bytes });
        }
        Some(output)
    }
}

/// Bytes in JSON: as text where they are UTF-8.
pub(super) fn text_or_base64(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => json!({ "base64": STANDARD.encode(bytes) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_lines_or_what_comes_at_once() {
        let mut output = Output::default();
        for (stream, at, text) in [
            (OUT, 0, "a\n"),
            (OUT, 3, "b\n"),
            (ERR, 4, "x"),
            (OUT, 5, "c"),
            (OUT, 500, "d\n"),
            (OUT, 600, "e\n"),
        ] {
            output.add(stream, at, text.as_bytes());
        }
        assert_eq!(output.told(), json!([[1, 0, "a\nb\n"], [2, 4, "x"], [1, 5, "cd\n"], [1, 600, "e\n"]]));
        output.add(ERR, 700, b"\xff\0");
        assert_eq!(Output::read(&output.told()), Some(output.clone()));
        output.add(OUT, 701, &vec![b'x'; MOST]);
        assert!(output.is_too_big() && output.pieces().is_empty());
    }

    #[test]
    fn what_is_no_output_is_refused() {
        for bad in
            [json!({}), json!([1]), json!([[1, 2]]), json!([[3, 0, "x"]]), json!([[1, 0, {"base64": "%"}]])]
        {
            assert_eq!(Output::read(&bad), None, "{bad}");
        }
    }
}
