//! The way back: today's values in the place of recorded ones, in a body that is about to be served.

use super::coding::Coding;
use super::leaves::{self, Leaf};
use super::{is_json, stream};
use std::ops::Range;

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
    revealed(body, is_stream, stand_in, secret).map(|(body, _)| body)
}

/// As [`reveal`], with what was replaced.
pub(super) fn revealed(
    body: &[u8],
    is_stream: bool,
    stand_in: &str,
    secret: &str,
) -> Option<(Vec<u8>, Vec<Replaced>)> {
    if stand_in.is_empty() {
        return None;
    }
    let places = |text: &[u8], new: &str| -> Vec<Edit> {
        let found = memchr::memmem::find_iter(text, stand_in.as_bytes());
        found.map(|at| (at..at + stand_in.len(), new.as_bytes().to_vec())).collect()
    };
    if is_stream {
        let edits = |leaf: &Leaf, text: &[u8]| {
            let inside = leaf.key != stream::PLAIN && is_json(text);
            places(text, &if inside { escaped(secret) } else { secret.to_string() })
        };
        return in_leaves(body, stream::groups(body), &edits);
    }
    let secret = if is_json(body) { escaped(secret) } else { secret.to_string() };
    let edits = places(body, &secret);
    (!edits.is_empty()).then(|| (spliced(body, &edits), replaced(&edits)))
}

/// Says what goes where in a text.
pub type Edits<'a> = dyn Fn(&str) -> Vec<(Range<usize>, String)> + 'a;

/// The body with its texts edited, reasoning aside, and what was replaced, in order; none when nothing was. `edits`
/// gets a text and says what goes where in it; what a tool is called with is JSON in a string, and each string of that
/// is a text. In an event stream a text may be spelled out by several events: the first of those that hold a place
/// gets all of what goes there. Every other byte stays.
pub fn replace(body: &[u8], is_stream: bool, edits: &Edits<'_>) -> Option<(Vec<u8>, Vec<Replaced>)> {
    let groups = match is_stream {
        true => stream::groups(body),
        false => leaves::of_json(body).into_iter().map(|leaf| vec![leaf]).collect(),
    };
    let open = groups.into_iter().filter(|group| !group.iter().any(|leaf| leaf.sealed)).collect();
    in_leaves(body, open, &|leaf, text| match leaf.is_arguments(body) || leaf.is_input(body) && is_json(text)
    {
        true => in_arguments(text, edits),
        false => in_text(text, edits),
    })
}

fn in_text(text: &[u8], edits: &Edits<'_>) -> Vec<Edit> {
    let edits = std::str::from_utf8(text).map(edits).unwrap_or_default();
    // An answer may be JSON as a whole.
    let inside =
        !edits.is_empty() && is_json(text) && serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok();
    let new = |new: String| if inside { escaped(&new) } else { new };
    edits.into_iter().map(|(at, said)| (at, new(said).into_bytes())).collect()
}

/// The edits of JSON texts, one behind the other: some servers say several calls as if they were one.
fn in_arguments(text: &[u8], edits: &Edits<'_>) -> Vec<Edit> {
    let mut values = serde_json::Deserializer::from_slice(text).into_iter::<serde::de::IgnoredAny>();
    let mut found = Vec::new();
    loop {
        let start = values.byte_offset();
        match values.next() {
            None => return found,
            // It broke off: as good as it goes.
            Some(Err(_)) => {
                let edits = text.get(start..).and_then(|rest| std::str::from_utf8(rest).ok()).map(edits);
                let rest = edits.unwrap_or_default().into_iter();
                found.extend(
                    rest.map(|(at, new)| (at.start + start..at.end + start, escaped(&new).into_bytes())),
                );
                return found;
            }
            Some(Ok(_)) => {
                for leaf in leaves::of_arguments(text, start..values.byte_offset()) {
                    let edits = std::str::from_utf8(&plain(text, &leaf)).map(edits).unwrap_or_default();
                    let edits = edits.into_iter().map(|(at, new)| (at, new.into_bytes())).collect();
                    found.extend(coded(text, &leaf, edits));
                }
            }
        }
    }
}

/// Edits of the text that a string stands for, as edits of what it lies in.
fn coded(text: &[u8], leaf: &Leaf, edits: Vec<Edit>) -> Vec<Edit> {
    if edits.is_empty() {
        return edits;
    }
    let start = leaf.range.start;
    let places = match leaf.escaped {
        true => Coding::Escapes.places(text.get(leaf.range.clone()).unwrap_or_default()),
        false => Vec::new(),
    };
    let place =
        |at: usize| start + if leaf.escaped { places.get(at).copied().unwrap_or_default() } else { at };
    let verbatim = leaf.key == stream::PLAIN;
    let new = |new: Vec<u8>| match verbatim {
        true => new,
        false => escaped(&String::from_utf8_lossy(&new)).into_bytes(),
    };
    edits.into_iter().map(|(at, said)| (place(at.start)..place(at.end), new(said))).collect()
}

/// The body with the texts edited that some strings spell out together. `edits` gets the first of the strings and the
/// text.
fn in_leaves(
    body: &[u8],
    groups: Vec<Vec<Leaf>>,
    edits: &dyn Fn(&Leaf, &[u8]) -> Vec<Edit>,
) -> Option<(Vec<u8>, Vec<Replaced>)> {
    let mut all: Vec<Edit> = Vec::new();
    for group in groups {
        let Some(first) = group.first() else { continue };
        let pieces: Vec<Vec<u8>> = group.iter().map(|leaf| plain(body, leaf)).collect();
        let edits = edits(first, &pieces.concat());
        if edits.is_empty() {
            continue;
        }
        let mut at = 0;
        for (leaf, piece) in group.iter().zip(pieces) {
            let here = at..at + piece.len();
            all.extend(coded(body, leaf, within(&here, &edits)));
            at = here.end;
        }
    }
    all.sort_by_key(|(at, _)| at.start);
    (!all.is_empty()).then(|| (spliced(body, &all), replaced(&all)))
}

fn replaced(edits: &[Edit]) -> Vec<Replaced> {
    edits.iter().map(|(at, new)| Replaced { was: at.clone(), now: new.len() }).collect()
}

fn plain(body: &[u8], leaf: &Leaf) -> Vec<u8> {
    let coded = body.get(leaf.range.clone()).unwrap_or_default();
    if leaf.escaped { Coding::Escapes.decode(coded) } else { coded.to_vec() }
}

/// What edits of a whole text mean to the piece of it that lies here: what begins in it goes in, and what began before
/// goes out.
fn within(here: &Range<usize>, edits: &[Edit]) -> Vec<Edit> {
    let touching = edits.iter().filter(|(at, _)| at.start < here.end && at.end > here.start);
    let piece = touching.map(|(at, new)| {
        let begins = at.start >= here.start;
        let part = at.start.max(here.start) - here.start..at.end.min(here.end) - here.start;
        (part, if begins { new.clone() } else { Vec::new() })
    });
    piece.collect()
}

/// A text with parts of it replaced, in order.
fn spliced(text: &[u8], edits: &[Edit]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut done = 0;
    for (at, new) in edits {
        out.extend_from_slice(text.get(done..at.start).unwrap_or_default());
        out.extend_from_slice(new);
        done = at.end;
    }
    out.extend_from_slice(text.get(done..).unwrap_or_default());
    out
}

/// As it stands between the quotes of a JSON string.
fn escaped(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted.get(1..quoted.len() - 1).unwrap_or_default().to_string()
}

#[cfg(test)]
mod tests;
