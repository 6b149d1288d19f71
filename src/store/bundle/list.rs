//! A body as a list: parts, short texts, and runs of the body of an earlier request. A turn lists only what is new.

use super::content::embeds;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

/// Text up to this length stands in the list itself.
const SHORT: usize = 128;

/// JSON shorter than this is text like what stands around it: a part costs a line.
const SMALL: usize = 24;

/// A run of fewer items than this is written out: it would not be shorter.
const RUN: usize = 3;

/// One item of a body in a line.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Item {
    /// A part, by its id.
    Part(u32),
    /// Text, as it is.
    Text(String),
    /// Items of the body of an earlier request, or of this exchange's own.
    Same { exchange: u32, from: usize, items: usize },
}

impl Serialize for Item {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Item::Part(id) => serializer.serialize_u32(*id),
            Item::Text(text) => serializer.serialize_str(text),
            Item::Same { exchange, from, items } => {
                json!({"exchange": exchange, "from": from, "items": items}).serialize(serializer)
            }
        }
    }
}

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Item, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let number = |name: &str| value.get(name).and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok());
        let item = match &value {
            Value::Number(id) => id.as_u64().and_then(|n| u32::try_from(n).ok()).map(Item::Part),
            Value::String(text) => Some(Item::Text(text.clone())),
            _ => match (number("exchange"), number("from"), number("items")) {
                (Some(exchange), Some(from), Some(items)) => {
                    Some(Item::Same { exchange, from: from as usize, items: items as usize })
                }
                _ => None,
            },
        };
        item.ok_or_else(|| {
            de::Error::custom("an item of a body is a part's number, a text, or {exchange, from, items}")
        })
    }
}

/// A stretch of a body.
#[derive(Debug, PartialEq)]
pub(super) enum Piece<'a> {
    /// Stands in the list.
    Short(&'a str),
    /// Gets a line of its own.
    Part(&'a [u8]),
}

/// Splits a body into pieces that cover it: those of these values that are JSON and not small are parts, so that a part
/// is the same wherever it stands; what is between them is text.
pub(super) fn pieces<'a>(body: &'a [u8], values: &[Range<usize>]) -> Vec<Piece<'a>> {
    let mut pieces = Vec::new();
    let mut at = 0;
    let between = |pieces: &mut Vec<Piece<'a>>, range: Range<usize>| {
        let bytes = body.get(range).unwrap_or_default();
        match std::str::from_utf8(bytes) {
            Ok("") => {}
            Ok(text) if text.len() <= SHORT => pieces.push(Piece::Short(text)),
            _ => pieces.push(Piece::Part(bytes)),
        }
    };
    for value in values {
        let bytes = body.get(value.clone()).unwrap_or_default();
        if bytes.len() >= SMALL && std::str::from_utf8(bytes).is_ok_and(embeds) {
            between(&mut pieces, at..value.start);
            pieces.push(Piece::Part(bytes));
            at = value.end;
        }
    }
    between(&mut pieces, at..body.len());
    pieces
}

/// What a list is made of: a number for every different part and text.
pub(super) type Handle = u32;

/// An item of a shortened list.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Op {
    /// This piece.
    One(Handle),
    /// These items of the base.
    Run { from: usize, items: usize },
}

/// Writes a list as runs of a base and what is new.
pub(super) fn shorten(list: &[Handle], base: &[Handle]) -> Vec<Op> {
    // Pieces that stand in the base once: there a run can begin anew after something was put in or taken out.
    let mut once: HashMap<Handle, Option<usize>> = HashMap::new();
    for (at, handle) in base.iter().enumerate() {
        once.entry(*handle).and_modify(|place| *place = None).or_insert(Some(at));
    }
    let mut ops = Vec::new();
    // Where the base would go on if the list did as the base does.
    let mut next = 0;
    let mut at = 0;
    while let Some(&handle) = list.get(at) {
        let from =
            if base.get(next) == Some(&handle) { Some(next) } else { once.get(&handle).copied().flatten() };
        let Some(from) = from else {
            ops.push(Op::One(handle));
            at += 1;
            continue;
        };
        let rest = list.get(at..).unwrap_or_default().iter();
        let items = rest.zip(base.get(from..).unwrap_or_default()).take_while(|(a, b)| a == b).count();
        if items < RUN {
            ops.extend(list.get(at..at + items).unwrap_or_default().iter().map(|&h| Op::One(h)));
        } else {
            ops.push(Op::Run { from, items });
        }
        next = from + items;
        at += items;
    }
    ops
}

/// The lists of the requests so far, to find the one that a new request goes on from.
#[derive(Default)]
pub(super) struct Lists {
    /// By exchange.
    lists: HashMap<u32, Vec<Handle>>,
    /// The last exchange that a piece stood in.
    last: HashMap<Handle, u32>,
}

impl Lists {
    /// The earlier request that shares most with this one, and was the last to do so.
    pub(super) fn base_of(&self, list: &[Handle]) -> Option<(u32, &[Handle])> {
        let mut shared: BTreeMap<u32, usize> = BTreeMap::new();
        for exchange in list.iter().filter_map(|handle| self.last.get(handle)) {
            *shared.entry(*exchange).or_default() += 1;
        }
        let (exchange, _) = shared.into_iter().max_by_key(|(exchange, count)| (*count, *exchange))?;
        self.list(exchange).map(|base| (exchange, base))
    }

    /// The list of an exchange's request.
    pub(super) fn list(&self, exchange: u32) -> Option<&[Handle]> {
        self.lists.get(&exchange).map(Vec::as_slice)
    }

    /// Adds a request's list.
    pub(super) fn add(&mut self, exchange: u32, list: Vec<Handle>) {
        for handle in &list {
            self.last.insert(*handle, exchange);
        }
        self.lists.insert(exchange, list);
    }
}

#[cfg(test)]
mod tests {
    use super::super::cut::cut;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn messages_are_parts_and_commas_are_text() {
        let one = r#"{"role":"user","content":"hello"}"#;
        let two = r#"{"role":"assistant","content":"hi"}"#;
        let body = format!(r#"{{"messages":[{one}, {two}],"n":1}}"#);
        assert_eq!(
            pieces(body.as_bytes(), &cut(body.as_bytes())),
            [
                Piece::Short(r#"{"messages":["#),
                Piece::Part(one.as_bytes()),
                Piece::Short(", "),
                Piece::Part(two.as_bytes()),
                Piece::Short(r#"],"n":1}"#)
            ]
        );
    }

    #[test]
    fn many_small_elements_are_one_text() {
        let numbers: Vec<String> = (0..500).map(|n| n.to_string()).collect();
        let body = format!("{{\"input\":[{}]}}", numbers.join(","));
        assert_eq!(pieces(body.as_bytes(), &cut(body.as_bytes())), [Piece::Part(body.as_bytes())]);
    }

    #[test]
    fn a_turn_lists_what_is_new_and_the_tail_again() {
        // head m0 , m1 tail tool tool end
        let base = [0, 1, 9, 2, 7, 5, 6, 8];
        let list = [0, 1, 9, 2, 9, 3, 9, 4, 7, 5, 6, 8];
        assert_eq!(
            shorten(&list, &base),
            [
                Op::Run { from: 0, items: 4 },
                Op::One(9),
                Op::One(3),
                Op::One(9),
                Op::One(4),
                Op::Run { from: 4, items: 4 }
            ]
        );
    }

    proptest! {
        #[test]
        fn a_shortened_list_gives_the_list(list in proptest::collection::vec(0u32..12, 0..40), base in proptest::collection::vec(0u32..12, 0..40)) {
            let mut back = Vec::new();
            for op in shorten(&list, &base) {
                match op {
                    Op::One(handle) => back.push(handle),
                    Op::Run { from, items } => back.extend_from_slice(&base[from..from + items]),
                }
            }
            prop_assert_eq!(back, list);
        }

        #[test]
        fn pieces_cover_any_body(body in proptest::collection::vec(any::<u8>(), 0..400)) {
            let mut back = Vec::new();
            for piece in pieces(&body, std::slice::from_ref(&(0..body.len()))) {
                match piece {
                    Piece::Short(text) => back.extend_from_slice(text.as_bytes()),
                    Piece::Part(bytes) => back.extend_from_slice(bytes),
                }
            }
            prop_assert_eq!(back, body);
        }
    }
}
