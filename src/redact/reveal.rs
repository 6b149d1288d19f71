//! The way back: today's secret in the place of a stand-in, in a body that is about to be served.

use super::coding::Coding;
use super::leaves::Leaf;
use super::{is_json, stream};

/// The body with `secret` wherever `stand_in` stood; none when it stands nowhere in clear. In an event stream it may
/// be spelled out by several events: the first of them gets the whole secret.
pub fn reveal(body: &[u8], is_stream: bool, stand_in: &str, secret: &str) -> Option<Vec<u8>> {
    if stand_in.is_empty() {
        return None;
    }
    if is_stream {
        return in_stream(body, stand_in.as_bytes(), secret);
    }
    let secret = if is_json(body) { escaped(secret) } else { secret.to_string() };
    let places: Vec<usize> = memchr::memmem::find_iter(body, stand_in.as_bytes()).collect();
    (!places.is_empty()).then(|| replaced(body, 0, &places, stand_in.len(), secret.as_bytes()))
}

fn in_stream(body: &[u8], stand_in: &[u8], secret: &str) -> Option<Vec<u8>> {
    let mut changed: Vec<(Leaf, Vec<u8>)> = Vec::new();
    for group in stream::groups(body) {
        let pieces: Vec<Vec<u8>> = group.iter().map(|leaf| plain(body, leaf)).collect();
        let whole = pieces.concat();
        let places: Vec<usize> = memchr::memmem::find_iter(&whole, stand_in).collect();
        if places.is_empty() {
            continue;
        }
        // The arguments of a tool call are JSON in themselves.
        let new = if is_json(&whole) { escaped(secret) } else { secret.to_string() };
        let mut at = 0;
        for (leaf, piece) in group.into_iter().zip(pieces) {
            let text = replaced(&piece, at, &places, stand_in.len(), new.as_bytes());
            at += piece.len();
            if text != piece {
                changed.push((leaf, text));
            }
        }
    }
    changed.sort_by_key(|(leaf, _)| leaf.range.start);
    let mut out = Vec::with_capacity(body.len());
    let mut done = 0;
    for (leaf, text) in &changed {
        out.extend_from_slice(body.get(done..leaf.range.start)?);
        match leaf.key {
            stream::PLAIN => out.extend_from_slice(text),
            _ => out.extend_from_slice(escaped(&String::from_utf8_lossy(text)).as_bytes()),
        }
        done = leaf.range.end;
    }
    out.extend_from_slice(body.get(done..)?);
    (!changed.is_empty()).then_some(out)
}

fn plain(body: &[u8], leaf: &Leaf) -> Vec<u8> {
    let coded = body.get(leaf.range.clone()).unwrap_or_default();
    if leaf.escaped { Coding::Escapes.decode(coded) } else { coded.to_vec() }
}

/// A piece of a text that begins at `start` in it. `places` are where `length` bytes of the whole text go; what begins
/// in this piece is put in here.
fn replaced(piece: &[u8], start: usize, places: &[usize], length: usize, new: &[u8]) -> Vec<u8> {
    let end = start + piece.len();
    let mut out = Vec::with_capacity(piece.len());
    let mut at = start;
    for &place in places.iter().filter(|place| **place < end && **place + length > start) {
        if place >= start {
            out.extend_from_slice(piece.get(at - start..place - start).unwrap_or_default());
            out.extend_from_slice(new);
        }
        at = (place + length).min(end);
    }
    out.extend_from_slice(piece.get(at - start..).unwrap_or_default());
    out
}

/// As it stands between the quotes of a JSON string.
fn escaped(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted.get(1..quoted.len() - 1).unwrap_or_default().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_of_a_plain_body() {
        assert_eq!(reveal(b"a-KEY-KEY", false, "KEY", "s").unwrap(), b"a-s-s");
        assert_eq!(reveal(b"abc", false, "KEY", "s"), None);
        assert_eq!(reveal(b"abc", false, "", "s"), None);
        assert_eq!(reveal(br#"{"a":"KEY"}"#, false, "KEY", "q\"q").unwrap(), br#"{"a":"q\"q"}"#);
    }

    #[test]
    fn the_first_of_the_events_that_spell_it_gets_it_whole() {
        let stream = |pieces: &[&str]| -> Vec<u8> {
            let events =
                pieces.iter().map(|p| format!("data: {}\n\n", serde_json::json!({"delta": {"text": p}})));
            events.collect::<String>().into_bytes()
        };
        let told = |pieces: &[&str], secret: &str| reveal(&stream(pieces), true, "STANDIN", secret);
        assert_eq!(told(&["a ST", "AND", "IN b"], "secret").unwrap(), stream(&["a secret", "", " b"]));
        assert_eq!(told(&["STANDINSTA", "NDIN"], "x").unwrap(), stream(&["xx", ""]));
        assert_eq!(told(&["é\n<STAN", "DIN>"], "l\"onger").unwrap(), stream(&["é\n<l\"onger", ">"]));
        assert_eq!(told(&["a ST", "AND"], "secret"), None);
        let args = told(&["{\"key\":\"STA", "NDIN\"}"], "q\"q").unwrap();
        assert_eq!(args, stream(&["{\"key\":\"q\\\"q", "\"}"]));
    }
}
