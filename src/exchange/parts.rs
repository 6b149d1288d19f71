//! Byte-exact parts of a body: the same whatever provider it is for.
//!
//! A JSON object is cut before each element of the arrays that stand directly in it (`messages`, `tools`, `input`, …),
//! when the element is an object, an array or a string. Each part carries the separator in front of it:
//!
//! ```text
//! {"model":"m","messages":[ | {m0} | ,{m1} | ],"tools":[ | {t0} | ]}
//! ```
//!
//! so that a body with one more message has all earlier parts unchanged. Anything else is one part; a body that goes
//! wrong half-way keeps the cuts up to there. Whatever the bytes are, the parts add up to them.

use super::json::{skip_white, string_end};
use std::ops::Range;

#[cfg(test)]
mod tests;

/// The most cuts in one body; what follows the last one stays in one part.
pub const MAX_CUTS: usize = 1 << 16;

/// Where a part begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cut {
    /// Byte offset in the body.
    pub at: usize,
    /// The element that the part holds (behind its separator); none for what stands between arrays.
    pub element: Option<Element>,
}

/// An element of one of the arrays of a [`Split`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Element {
    /// Index into [`Split::arrays`].
    pub array: u32,
    /// Index of the element in its array.
    pub index: u32,
}

/// A body's cuts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Split {
    /// Rising; the first is at 0. Empty for an empty body only.
    pub cuts: Vec<Cut>,
    /// Names of the arrays that were cut, in order, as they are written (escapes and all).
    pub arrays: Vec<String>,
    /// Length of the body.
    pub len: usize,
}

impl Split {
    /// The byte ranges of the parts, in order. They touch, and add up to the body.
    pub fn ranges(&self) -> impl DoubleEndedIterator<Item = Range<usize>> + ExactSizeIterator {
        (0..self.cuts.len()).map(|i| self.range(i))
    }

    /// The byte range of a part; empty at the end of the body for a part that is not there.
    pub fn range(&self, part: usize) -> Range<usize> {
        let start_of = |i: usize| self.cuts.get(i).map_or(self.len, |c| c.at);
        start_of(part)..start_of(part + 1)
    }

    /// The name of the array that an element belongs to.
    pub fn array_of(&self, element: Element) -> &str {
        self.arrays.get(element.array as usize).map_or("", String::as_str)
    }
}

/// A [`Split`] and what of it is as it was in the body before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resplit {
    /// The new body's cuts; the same as [`split`] gives.
    pub split: Split,
    /// The first so many parts are byte for byte the first so many of the old body.
    pub same_prefix_parts: usize,
    /// The last so many parts are byte for byte the last so many of the old body. They do not overlap the first.
    pub same_suffix_parts: usize,
}

/// Cuts a body.
pub fn split(body: &[u8]) -> Split {
    let mut scan = Scan::new(body);
    if !body.is_empty() {
        scan.split.cuts.push(Cut { at: 0, element: None });
        let at = skip_white(body, 0);
        if body.get(at) == Some(&b'{') {
            scan.run(State::Members(at + 1), None);
        }
    }
    scan.split
}

/// Cuts a body that resembles one that was cut before. Costs little more than comparing the two when the new body is
/// the old one with something put in or appended.
pub fn resplit(new: &[u8], old: &[u8], old_split: &Split) -> Resplit {
    let prefix = common_prefix(new, old);
    let most = new.len().min(old.len()) - prefix;
    let suffix = common_suffix(&new[new.len() - most..], &old[old.len() - most..]);

    // A cut holds when all bytes were seen that it depends on: those up to the cut behind it.
    let resume = old_split.cuts.windows(2).rposition(|w| w[1].at <= prefix).filter(|&i| i > 0);
    let split = match resume.and_then(|i| Some((i, *old_split.cuts.get(i)?))) {
        None => split(new),
        Some((i, cut)) => {
            let mut scan = Scan::new(new);
            scan.split.cuts.extend_from_slice(&old_split.cuts[..i]);
            let arrays = old_split.cuts[..=i].iter().filter_map(|c| c.element).map(|e| e.array as usize + 1);
            let arrays = arrays.max().unwrap_or_default();
            scan.split.arrays.extend_from_slice(old_split.arrays.get(..arrays).unwrap_or_default());
            let tail = Tail { old: old_split, suffix };
            scan.run(State::of(cut), Some(tail));
            scan.split
        }
    };
    let same_prefix_parts =
        split.ranges().zip(old_split.ranges()).take_while(|(n, o)| n == o && n.end <= prefix).count();
    let room = split.cuts.len().min(old_split.cuts.len()) - same_prefix_parts;
    let same_suffix_parts = split
        .ranges()
        .rev()
        .zip(old_split.ranges().rev())
        .take(room)
        .take_while(|(n, o)| n.len() == o.len() && new.len() - n.start <= suffix)
        .count();
    Resplit { split, same_prefix_parts, same_suffix_parts }
}

/// Where a scan stands, at top level of the body.
#[derive(Clone, Copy)]
enum State {
    /// Before a member's key, or the object's end.
    Members(usize),
    /// In an array, where its element `index` is to begin, with or without its separator. `array`: once it was cut.
    Elements { at: usize, array: Option<u32>, index: u32, named: (usize, usize) },
    /// Behind the last element of an array that was cut.
    ArrayEnd(usize),
}

impl State {
    /// The state in which a scan was when it made this cut (not the first cut of a body).
    fn of(cut: Cut) -> State {
        match cut.element {
            Some(e) => State::Elements { at: cut.at, array: Some(e.array), index: e.index, named: (0, 0) },
            None => State::ArrayEnd(cut.at),
        }
    }
}

/// The body before, and how much of its end the new one shares.
struct Tail<'s> {
    old: &'s Split,
    suffix: usize,
}

struct Scan<'b> {
    body: &'b [u8],
    split: Split,
}

impl<'b> Scan<'b> {
    fn new(body: &'b [u8]) -> Scan<'b> {
        Scan { body, split: Split { cuts: Vec::new(), arrays: Vec::new(), len: body.len() } }
    }

    /// Scans until the end of the object, or until the body goes wrong.
    fn run(&mut self, mut state: State, tail: Option<Tail<'_>>) {
        while let Some(next) = self.step(state, tail.as_ref()) {
            state = next;
        }
    }

    fn step(&mut self, state: State, tail: Option<&Tail<'_>>) -> Option<State> {
        match state {
            State::Members(at) => self.member(at),
            State::Elements { at, array, index, named } => {
                let mut first = skip_white(self.body, at);
                if self.body.get(first) == Some(&b']') {
                    return Some(array.map_or(State::Members(first + 1), |_| State::ArrayEnd(at)));
                }
                if index > 0 {
                    if self.body.get(first) != Some(&b',') {
                        return None;
                    }
                    first = skip_white(self.body, first + 1);
                }
                let mut array = array;
                if matches!(self.body.get(first)?, b'{' | b'[' | b'"') {
                    let ordinal = array.unwrap_or_else(|| {
                        let name = self.body.get(named.0..named.1).unwrap_or_default();
                        self.split.arrays.push(String::from_utf8_lossy(name).into_owned());
                        self.split.arrays.len() as u32 - 1
                    });
                    array = Some(ordinal);
                    if !self.cut(Cut { at, element: Some(Element { array: ordinal, index }) }, tail) {
                        return None;
                    }
                }
                let end = value_end(self.body, first)?;
                Some(State::Elements { at: end, array, index: index + 1, named })
            }
            State::ArrayEnd(at) => {
                let end = skip_white(self.body, at);
                let cut = self.cut(Cut { at, element: None }, tail);
                cut.then_some(State::Members(end + 1))
            }
        }
    }

    fn member(&mut self, at: usize) -> Option<State> {
        let mut at = skip_white(self.body, at);
        if self.body.get(at) == Some(&b',') {
            at = skip_white(self.body, at + 1);
        }
        if self.body.get(at) != Some(&b'"') {
            return None;
        }
        let key_end = string_end(self.body, at)?;
        let colon = skip_white(self.body, key_end);
        if self.body.get(colon) != Some(&b':') {
            return None;
        }
        let value = skip_white(self.body, colon + 1);
        if self.body.get(value) == Some(&b'[') {
            let named = (at + 1, key_end - 1);
            return Some(State::Elements { at: value + 1, array: None, index: 0, named });
        }
        Some(State::Members(value_end(self.body, value)?))
    }

    /// Makes a cut. False when the scan is over: there are enough, or the rest was taken from the body before.
    fn cut(&mut self, cut: Cut, tail: Option<&Tail<'_>>) -> bool {
        if let Some(tail) = tail
            && self.take_tail(cut, tail).is_some()
        {
            return false;
        }
        self.split.cuts.push(cut);
        self.split.cuts.len() < MAX_CUTS
    }

    /// From a place on where the old scan stood as this one does, with the same bytes to come, its cuts are ours.
    fn take_tail(&mut self, cut: Cut, tail: &Tail<'_>) -> Option<()> {
        let rest = self.body.len() - cut.at;
        let old = tail.old;
        if rest > tail.suffix || old.cuts.len() >= MAX_CUTS {
            return None;
        }
        let at = old.len.checked_sub(rest)?;
        let from = old.cuts.binary_search_by_key(&at, |c| c.at).ok().filter(|&i| i > 0)?;
        let known = old.cuts[..from].iter().rev().find_map(|c| c.element).map_or(0, |e| e.array + 1);
        let (array, index, begun) = match (cut.element, old.cuts[from].element) {
            (Some(new), Some(old)) => (Some(old.array), new.index.checked_sub(old.index)?, old.array + 1),
            (None, None) => (None, 0, known),
            _ => return None,
        };
        let more = (self.split.arrays.len() as u32).checked_sub(begun)?;
        let room = MAX_CUTS - self.split.cuts.len();
        self.split.cuts.extend(old.cuts[from..].iter().take(room).map(|c| Cut {
            at: c.at + self.body.len() - old.len,
            element: c.element.map(|e| Element {
                array: e.array + more,
                index: if Some(e.array) == array { e.index + index } else { e.index },
            }),
        }));
        let used = self.split.cuts.iter().rev().find_map(|c| c.element).map_or(0, |e| e.array + 1 - more);
        self.split
            .arrays
            .extend_from_slice(old.arrays.get(begun as usize..used as usize).unwrap_or_default());
        Some(())
    }
}

/// Where the value that begins at `at` ends. None when it does not end. Brackets are counted, not checked.
fn value_end(body: &[u8], at: usize) -> Option<usize> {
    match body.get(at)? {
        b'"' => return string_end(body, at),
        b'{' | b'[' => {}
        _ => {
            let scalar = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'+' | b'.');
            let len = body[at..].iter().take_while(|b| scalar(b)).count();
            return (len > 0).then_some(at + len);
        }
    }
    let (mut at, mut depth) = (at, 0usize);
    loop {
        match body.get(at)? {
            b'"' => {
                at = string_end(body, at)?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
        at += 1;
    }
}

/// Length of what two slices have in common at their beginning.
fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    let most = a.len().min(b.len());
    let mut same = 0;
    // Whole blocks are compared by the C library's memcmp, which is as fast as memory.
    while same + BLOCK <= most && a[same..same + BLOCK] == b[same..same + BLOCK] {
        same += BLOCK;
    }
    same + a[same..].iter().zip(&b[same..]).take_while(|(x, y)| x == y).count()
}

/// Length of what two slices have in common at their end.
fn common_suffix(a: &[u8], b: &[u8]) -> usize {
    let most = a.len().min(b.len());
    let mut same = 0;
    let block = |s: &[u8], same: usize| s.len() - same - BLOCK..s.len() - same;
    while same + BLOCK <= most && a[block(a, same)] == b[block(b, same)] {
        same += BLOCK;
    }
    let (a, b) = (&a[..a.len() - same], &b[..b.len() - same]);
    same + a.iter().rev().zip(b.iter().rev()).take_while(|(x, y)| x == y).count()
}

const BLOCK: usize = 1024;
