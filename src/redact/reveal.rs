//! The way back: today's values in the place of recorded ones, in a body that is about to be served.

use super::coding::Coding;
use super::leaves::{self, Leaf};
use super::{is_json, stream};
use std::ops::Range;

/// Fields of reasoning, which may be signed: never touched.
const SEALED: [&[u8]; 7] = [
    b"thinking",
    b"signature",
    b"encrypted_content",
    b"reasoning",
    b"reasoning_content",
    b"reasoning_details",
    b"thought_signature",
];

/// A part of a body that was replaced: where it lay, and how long it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaced {
    pub was: Range<usize>,
    pub now: usize,
}

/// A place in a text, and what goes there.
type Edit = (Range<usize>, Vec<u8>);

/// The body with `secret` wherever `stand_in` stood; none when it stands nowhere in clear. In an event stream it may
/// be spelled out by several events: the first of them gets the whole secret.
pub fn reveal(body: &[u8], is_stream: bool, stand_in: &str, secret: &str) -> Option<Vec<u8>> {
    if stand_in.is_empty() {
        return None;
    }
    let places = |text: &[u8], new: &str| -> Vec<Edit> {
        let found = memchr::memmem::find_iter(text, stand_in.as_bytes());
        found.map(|at| (at..at + stand_in.len(), new.as_bytes().to_vec())).collect()
    };
    if is_stream {
        return in_leaves(body, stream::groups(body), &|text| places(text, secret)).map(|(body, _)| body);
    }
    let secret = if is_json(body) { escaped(secret) } else { secret.to_string() };
    let edits = places(body, &secret);
    (!edits.is_empty()).then(|| replaced(body, 0, &edits))
}

/// Says what goes where in a text.
pub type Edits<'a> = dyn Fn(&str) -> Vec<(Range<usize>, String)> + 'a;

/// The body with its texts edited, reasoning aside, and what was replaced, in order; none when nothing was. `edits`
/// gets a text and says what goes where in it. In an event stream a text may be spelled out by several events: the
/// first of those that hold a place gets all of what goes there.
pub fn replace(body: &[u8], is_stream: bool, edits: &Edits<'_>) -> Option<(Vec<u8>, Vec<Replaced>)> {
    let groups = match is_stream {
        true => stream::groups(body),
        false => leaves::of_json(body).into_iter().map(|leaf| vec![leaf]).collect(),
    };
    let sealed = |leaf: &Leaf| SEALED.contains(&body.get(leaf.name.clone()).unwrap_or_default());
    let open = groups.into_iter().filter(|group| !group.iter().any(sealed)).collect();
    in_leaves(body, open, &|text| {
        let edits = std::str::from_utf8(text).map(edits).unwrap_or_default();
        edits.into_iter().map(|(at, new)| (at, new.into_bytes())).collect()
    })
}

fn in_leaves(
    body: &[u8],
    groups: Vec<Vec<Leaf>>,
    edits: &dyn Fn(&[u8]) -> Vec<Edit>,
) -> Option<(Vec<u8>, Vec<Replaced>)> {
    let mut changed: Vec<(Leaf, Vec<u8>)> = Vec::new();
    for group in groups {
        let pieces: Vec<Vec<u8>> = group.iter().map(|leaf| plain(body, leaf)).collect();
        let whole = pieces.concat();
        let mut edits = edits(&whole);
        if edits.is_empty() {
            continue;
        }
        // The arguments of a tool call are JSON in themselves.
        if is_json(&whole) {
            for (_, new) in &mut edits {
                *new = escaped(&String::from_utf8_lossy(new)).into_bytes();
            }
        }
        let mut at = 0;
        for (leaf, piece) in group.into_iter().zip(pieces) {
            let text = replaced(&piece, at, &edits);
            at += piece.len();
            if text != piece {
                changed.push((leaf, text));
            }
        }
    }
    changed.sort_by_key(|(leaf, _)| leaf.range.start);
    let mut out = Vec::with_capacity(body.len());
    let mut list = Vec::with_capacity(changed.len());
    let mut done = 0;
    for (leaf, text) in &changed {
        out.extend_from_slice(body.get(done..leaf.range.start)?);
        let start = out.len();
        match leaf.key {
            stream::PLAIN => out.extend_from_slice(text),
            _ => out.extend_from_slice(escaped(&String::from_utf8_lossy(text)).as_bytes()),
        }
        list.push(Replaced { was: leaf.range.clone(), now: out.len() - start });
        done = leaf.range.end;
    }
    out.extend_from_slice(body.get(done..)?);
    (!changed.is_empty()).then_some((out, list))
}

fn plain(body: &[u8], leaf: &Leaf) -> Vec<u8> {
    let coded = body.get(leaf.range.clone()).unwrap_or_default();
    if leaf.escaped { Coding::Escapes.decode(coded) } else { coded.to_vec() }
}

/// A piece of a text that begins at `start` in it. `edits` are those of the whole text; what begins in this piece is
/// put in here.
fn replaced(piece: &[u8], start: usize, edits: &[Edit]) -> Vec<u8> {
    let end = start + piece.len();
    let mut out = Vec::with_capacity(piece.len());
    let mut at = start;
    for (place, new) in edits.iter().filter(|(place, _)| place.start < end && place.end > start) {
        if place.start >= start {
            out.extend_from_slice(piece.get(at - start..place.start - start).unwrap_or_default());
            out.extend_from_slice(new);
        }
        at = place.end.min(end);
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
    fn texts_are_edited_and_reasoning_is_not() {
        let edits = |text: &str| -> Vec<(Range<usize>, String)> {
            text.match_indices("/old").map(|(at, m)| (at..at + m.len(), "/new/one".to_string())).collect()
        };
        let body = br#"{"a":"see /old/x","thinking":"/old","n":1,"b":["/old\n"]}"#;
        let (new, list) = replace(body, false, &edits).unwrap();
        assert_eq!(new, br#"{"a":"see /new/one/x","thinking":"/old","n":1,"b":["/new/one\n"]}"#);
        assert_eq!(list, [Replaced { was: 6..16, now: 14 }, Replaced { was: 48..54, now: 10 }]);
        assert_eq!(replace(br#"{"a":"x"}"#, false, &edits), None);
        let stream = b"data: {\"delta\":{\"partial_json\":\"{\\\"p\\\":\\\"/o\"}}\n\ndata: {\"delta\":{\"partial_json\":\"ld\\\"}\"}}\n\n";
        let (new, _) = replace(stream, true, &edits).unwrap();
        let told = String::from_utf8(new).unwrap();
        assert!(
            told.contains(r#"{\"p\":\"/new/one"}}"#) && told.contains(r#""partial_json":"\"}""#),
            "{told}"
        );
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
