//! What the client of a session says, compared with what it said when it was recorded, where both sides speak when they
//! like: message by message, and audio by its bytes, however it is cut into messages.

use crate::dialect::websocket::{Said, said};
use crate::exchange::messages::Message;

/// How far a client has come with what it said in a recorded turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// Not all of it yet.
    More,
    /// All of it, and the beginning of what comes next: bytes of audio.
    All(Vec<u8>),
    /// Something else.
    Other {
        /// Index of the message today.
        at: usize,
        /// What was said when it was recorded; empty when there was nothing more.
        recorded: String,
        /// What is said today.
        live: String,
    },
}

/// Compares what a client said in a turn. `begun`: audio that was said already, beyond the turn before. `same` compares
/// two messages that are not audio.
pub fn heard(
    recorded: &[Message],
    begun: &[u8],
    live: &[Message],
    same: &dyn Fn(&[u8], &[u8]) -> bool,
) -> Heard {
    let mut expected = stretches(&[], recorded).into_iter();
    let mut told = stretches(begun, live).into_iter().peekable();
    loop {
        let (want, got) = match (expected.next(), told.next()) {
            (None, None) => return Heard::All(Vec::new()),
            (Some(_), None) => return Heard::More,
            (None, Some(got)) => return got.other(None),
            (Some(want), Some(got)) => (want, got),
        };
        match (&want.what, &got.what) {
            (What::Audio(want_bytes), What::Audio(got_bytes)) => {
                let last = told.peek().is_none();
                if got_bytes == want_bytes {
                    continue;
                }
                if last && want_bytes.starts_with(got_bytes) {
                    return Heard::More;
                }
                if last && expected.len() == 0 && got_bytes.starts_with(want_bytes) {
                    return Heard::All(got_bytes.get(want_bytes.len()..).unwrap_or_default().to_vec());
                }
                return got.other(Some(&want));
            }
            (What::Message(want_text), What::Message(got_text)) if same(want_text, got_text) => {}
            _ => return got.other(Some(&want)),
        }
    }
}

/// Messages as they are compared: audio that follows on audio is one.
struct Stretch {
    what: What,
    /// Index of its first message.
    at: usize,
}

enum What {
    Audio(Vec<u8>),
    Message(Vec<u8>),
}

/// Characters of a message that are shown.
const SHOWN: usize = 160;

impl Stretch {
    fn shown(&self) -> String {
        match &self.what {
            What::Audio(bytes) => format!("{} bytes of audio", bytes.len()),
            What::Message(bytes) => {
                crate::dialect::summary::shorten(String::from_utf8_lossy(bytes).trim(), SHOWN)
            }
        }
    }

    fn other(&self, recorded: Option<&Stretch>) -> Heard {
        let recorded = recorded.map(Stretch::shown).unwrap_or_default();
        Heard::Other { at: self.at, recorded, live: self.shown() }
    }
}

fn stretches(begun: &[u8], messages: &[Message]) -> Vec<Stretch> {
    let mut out: Vec<Stretch> = Vec::new();
    if !begun.is_empty() {
        out.push(Stretch { what: What::Audio(begun.to_vec()), at: 0 });
    }
    for (at, message) in messages.iter().enumerate() {
        let what = match said(message) {
            Said::Audio(bytes) => match out.last_mut() {
                Some(Stretch { what: What::Audio(before), .. }) => {
                    before.extend_from_slice(&bytes);
                    continue;
                }
                _ => What::Audio(bytes),
            },
            Said::Message(bytes) => What::Message(bytes),
        };
        out.push(Stretch { what, at });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde_json::json;

    fn audio(bytes: &[u8]) -> Message {
        let event = json!({"type": "input_audio_buffer.append", "audio": STANDARD.encode(bytes)});
        Message::Text(event.to_string().into())
    }

    fn text(kind: &str) -> Message {
        Message::Text(json!({"type": kind, "event_id": kind.len()}).to_string().into())
    }

    fn told(recorded: &[Message], begun: &[u8], live: &[Message]) -> Heard {
        heard(recorded, begun, live, &|a, b| a == b)
    }

    #[test]
    fn audio_counts_by_its_bytes() {
        let recorded = [audio(b"abc"), audio(b"def")];
        assert_eq!(told(&recorded, b"", &[audio(b"ab")]), Heard::More);
        assert_eq!(told(&recorded, b"", &[audio(b"ab"), audio(b"cdef")]), Heard::All(Vec::new()));
        assert_eq!(told(&recorded, b"", &[audio(b"abcdefgh")]), Heard::All(b"gh".to_vec()));
        assert_eq!(told(&recorded, b"abcde", &[audio(b"f")]), Heard::All(Vec::new()));
        let other =
            Heard::Other { at: 0, recorded: "6 bytes of audio".into(), live: "3 bytes of audio".into() };
        assert_eq!(told(&recorded, b"", &[audio(b"abx")]), other);
    }

    #[test]
    fn messages_come_in_their_order() {
        let recorded = [text("a"), audio(b"xy"), text("bb")];
        assert_eq!(told(&recorded, b"", &[text("a")]), Heard::More);
        assert_eq!(told(&recorded, b"", &[text("a"), audio(b"xy")]), Heard::More);
        assert_eq!(told(&recorded, b"", &[text("a"), audio(b"xy"), text("bb")]), Heard::All(Vec::new()));
        assert!(matches!(told(&recorded, b"", &[text("bb")]), Heard::Other { at: 0, .. }));
        let early = told(&recorded, b"", &[text("a"), audio(b"x"), text("bb")]);
        assert!(matches!(early, Heard::Other { at: 1, .. }), "{early:?}");
        assert!(matches!(told(&[], b"", &[text("a")]), Heard::Other { at: 0, .. }));
    }
}
