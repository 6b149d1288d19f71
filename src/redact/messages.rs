//! Binary event streams: looked at as the text that their messages say, and written as messages again, with lengths and
//! checksums of their own.

use super::reveal::{self, Edits, Replaced};
use super::{Redacted, Redactor};
use crate::exchange::StandIn;
use crate::exchange::eventstream::{Transcript, framed, read};
use std::borrow::Cow;

/// Redacts a binary event stream. No length changes. Behind damage the bytes are looked at as they are.
pub(super) fn redact<'a>(redactor: &Redactor, stream: &'a [u8]) -> Redacted<'a> {
    let transcript = Transcript::of(stream);
    let said = redactor.event_stream(transcript.text());
    let mut stand_ins: Vec<StandIn> = said.stand_ins;
    let mut untouched = said.untouched;
    let mut bytes = Cow::Borrowed(stream);
    if !stand_ins.is_empty() {
        bytes = Cow::Owned(transcript.rewritten(stream, &said.bytes, &|at| at).0);
    }
    // The headers of a failure hold what the service says of it.
    for failure in read(stream).0.into_iter().filter(|message| message.is_failure()) {
        let headers = redactor.bytes(stream.get(failure.headers_span()).unwrap_or_default());
        let payload = bytes.get(failure.headers_span().end..failure.span.end.saturating_sub(4));
        let other = payload.and_then(|payload| framed(&headers.bytes, payload).ok());
        if let (false, Some(other)) = (headers.stand_ins.is_empty(), other)
            && let Some(place) = bytes.to_mut().get_mut(failure.span.clone())
            && place.len() == other.len()
        {
            place.copy_from_slice(&other);
            stand_ins.extend(headers.stand_ins);
        }
    }
    let rest = redactor.bytes(stream.get(transcript.read_to()..).unwrap_or_default());
    if !rest.stand_ins.is_empty() {
        bytes.to_mut().splice(transcript.read_to().., rest.bytes.iter().copied());
    }
    stand_ins.extend(rest.stand_ins);
    untouched += rest.untouched;
    Redacted { bytes, stand_ins, untouched }
}

/// As [`super::reveal`], in a binary event stream.
pub fn reveal(stream: &[u8], stand_in: &str, secret: &str) -> Option<Vec<u8>> {
    let transcript = Transcript::of(stream);
    let (text, list) = reveal::revealed(transcript.text(), true, stand_in, secret)?;
    Some(back(&transcript, stream, &text, &list).0)
}

/// As [`super::replace`], in a binary event stream. What was replaced are whole messages.
pub fn replace(stream: &[u8], edits: &Edits<'_>) -> Option<(Vec<u8>, Vec<Replaced>)> {
    let transcript = Transcript::of(stream);
    let (text, list) = reveal::replace(transcript.text(), true, edits)?;
    Some(back(&transcript, stream, &text, &list))
}

/// The stream whose text became another by these replacements.
fn back(transcript: &Transcript, stream: &[u8], text: &[u8], list: &[Replaced]) -> (Vec<u8>, Vec<Replaced>) {
    // No replacement goes beyond the message in which it stands.
    let now = |at: usize| {
        let before = list.iter().take_while(|part| part.was.end <= at);
        before.fold(at, |now, part| (now + part.now).saturating_sub(part.was.len()))
    };
    let (bytes, changed) = transcript.rewritten(stream, text, &now);
    (bytes, changed.into_iter().map(|c| Replaced { was: c.was, now: c.now }).collect())
}

#[cfg(test)]
mod tests {
    use super::super::KnownSecret;
    use super::*;
    use crate::exchange::eventstream::{HeaderValue, encode};
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde_json::{Value, json};

    const SECRET: &str = "sk-proj-Ab3dEf6hIj9lMn2pQr5tUv8x";

    fn redactor() -> Redactor {
        let known = KnownSecret { label: "OPENAI_API_KEY".into(), value: SECRET.into() };
        Redactor::new([1; 32], vec![known], &[]).unwrap()
    }

    fn message(kind: &str, name: &str, payload: &[u8]) -> Vec<u8> {
        let text = |text: &str| HeaderValue::Text(text.into());
        let headers = [(":event-type", text(name)), (":message-type", text(kind))];
        encode(&headers, payload).unwrap()
    }

    fn delta(text: &str) -> Value {
        json!({"contentBlockIndex": 0, "delta": {"text": text}, "p": "abcd"})
    }

    /// The pieces of a text, in the two ways in which the service sends them.
    fn streams(pieces: &[&str]) -> [Vec<u8>; 2] {
        let plain =
            pieces.iter().map(|p| message("event", "contentBlockDelta", delta(p).to_string().as_bytes()));
        let chunked = pieces.iter().map(|p| {
            let inner = json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": p}});
            let payload = json!({"bytes": STANDARD.encode(inner.to_string()), "p": "ab"});
            message("event", "chunk", payload.to_string().as_bytes())
        });
        [plain.collect::<Vec<_>>().concat(), chunked.collect::<Vec<_>>().concat()]
    }

    /// The text that a stream spells.
    fn spelt(stream: &[u8]) -> String {
        assert_eq!(read(stream).1, None, "every checksum is right");
        let text = Transcript::of(stream);
        let events = String::from_utf8(text.text().to_vec()).unwrap();
        let data = events.lines().filter_map(|l| l.strip_prefix("data: "));
        data.map(|d| serde_json::from_str::<Value>(d).unwrap()["delta"]["text"].as_str().unwrap().to_string())
            .collect()
    }

    #[test]
    fn a_secret_split_over_messages_goes_and_comes_back() {
        let (left, right) = SECRET.split_at(15);
        for stream in streams(&["the key is ", left, right, " it is"]) {
            let redacted = redactor().streamed_messages(&stream);
            assert_eq!(redacted.bytes.len(), stream.len());
            assert_eq!(redacted.stand_ins.len(), 1);
            let shown = spelt(&redacted.bytes);
            assert!(shown.starts_with("the key is sk-proj-") && !shown.contains("Ab3dEf"), "{shown}");
            let told = reveal(&redacted.bytes, &redacted.stand_ins[0].text, "today's \"key\"").unwrap();
            assert_eq!(spelt(&told), "the key is today's \"key\" it is");
            assert!(reveal(&redacted.bytes, "nowhere", "x").is_none());
        }
    }

    #[test]
    fn nothing_to_redact_leaves_the_bytes() {
        for stream in streams(&["plain", " words"]) {
            assert!(matches!(redactor().streamed_messages(&stream).bytes, Cow::Borrowed(b) if b == stream));
        }
    }

    #[test]
    fn failures_and_what_is_cut_off_are_looked_at_too() {
        let said = HeaderValue::Text(format!("bad key {SECRET}"));
        let failure =
            encode(&[(":message-type", HeaderValue::Text("error".into())), (":error-message", said)], b"");
        let [whole, chunked] = streams(&[SECRET]);
        for cut in [&whole[..whole.len() - 3], &chunked[..chunked.len() - 3]] {
            let stream = [failure.clone().unwrap(), cut.to_vec()].concat();
            let redacted = redactor().streamed_messages(&stream);
            assert_eq!((redacted.bytes.len(), redacted.stand_ins.len()), (stream.len(), 2));
            assert!(memchr::memmem::find(&redacted.bytes, b"Ab3dEf").is_none());
            let (messages, damage) = read(&redacted.bytes);
            assert!(damage.is_some_and(|d| d.at == messages[0].span.end), "the failure is whole");
        }
    }

    #[test]
    fn names_are_replaced_in_the_first_message_that_spells_them() {
        let edits = |text: &str| -> Vec<_> {
            text.match_indices("/tmp/old")
                .map(|(at, m)| (at..at + m.len(), "/tmp/much newer".into()))
                .collect()
        };
        for stream in streams(&["in /tm", "p/ol", "d/a and", " more"]) {
            let (told, list) = replace(&stream, &edits).unwrap();
            assert_eq!(spelt(&told), "in /tmp/much newer/a and more");
            let lengths: Vec<usize> = read(&told).0.iter().map(|m| m.span.len()).collect();
            assert_eq!(list.iter().map(|r| r.now).collect::<Vec<_>>(), lengths[..3]);
            assert_eq!(list[1].was, read(&stream).0[1].span);
        }
        assert!(replace(&streams(&["nothing"])[0], &edits).is_none());
    }

    #[test]
    fn arguments_are_json_and_signed_reasoning_stays() {
        let edits = |text: &str| -> Vec<_> {
            text.match_indices("old").map(|(at, m)| (at..at + m.len(), "a\"b".to_string())).collect()
        };
        let event = |delta: Value| {
            let data = json!({"contentBlockIndex": 1, "delta": delta});
            message("event", "contentBlockDelta", data.to_string().as_bytes())
        };
        let call = [
            event(json!({"toolUse": {"input": ""}})),
            event(json!({"toolUse": {"input": "{\"path\": \"o"}})),
            event(json!({"toolUse": {"input": "ld\"}"}})),
            event(json!({"reasoningContent": {"text": "old"}})),
        ];
        let (told, list) = replace(&call.concat(), &edits).unwrap();
        let messages = read(&told).0;
        let inputs: String = messages[..3]
            .iter()
            .map(|m| {
                serde_json::from_slice::<Value>(&m.payload).unwrap()["delta"]["toolUse"]["input"]
                    .as_str()
                    .unwrap()
                    .to_string()
            })
            .collect();
        assert_eq!(serde_json::from_str::<Value>(&inputs).unwrap(), json!({"path": "a\"b"}));
        assert_eq!(list.len(), 2);
        assert!(String::from_utf8_lossy(&messages[3].payload).contains("\"old\""));
    }
}
