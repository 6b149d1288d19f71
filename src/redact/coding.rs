//! Codings that are undone to read what is below them, and redone at the same length: JSON escapes and
//! percent-encoding.

use memchr::{memchr, memchr_iter, memmem, memrchr};
use std::ops::Range;

/// A coding whose units (a literal byte or one escape) each stand for a few bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    /// `\n`, `\"`, `\u0073` of a JSON string.
    Escapes,
    /// `%73` of a URL.
    Percent,
}

/// One unit: how many coded bytes it takes and which bytes it stands for.
struct Unit {
    coded: usize,
    plain: [u8; 4],
    length: usize,
}

impl Unit {
    fn byte(coded: usize, byte: u8) -> Unit {
        Unit { coded, plain: [byte, 0, 0, 0], length: 1 }
    }
}

impl Coding {
    /// The bytes that a coded text stands for. What is not a valid escape stands for itself.
    pub(super) fn decode(self, coded: &[u8]) -> Vec<u8> {
        let mut plain = Vec::with_capacity(coded.len());
        self.decode_into(coded, &mut plain);
        plain
    }

    /// Appends the bytes that a coded text stands for.
    pub(super) fn decode_into(self, coded: &[u8], plain: &mut Vec<u8>) {
        let mark = self.mark();
        let mut rest = coded;
        while let Some(at) = memchr(mark, rest) {
            let (before, from) = rest.split_at(at);
            plain.extend_from_slice(before);
            let unit = self.unit(from);
            plain.extend_from_slice(&unit.plain[..unit.length]);
            rest = from.get(unit.coded..).unwrap_or_default();
        }
        plain.extend_from_slice(rest);
    }

    /// For every byte that a coded text stands for, where its unit begins; and the length of the text.
    pub(super) fn places(self, coded: &[u8]) -> Vec<usize> {
        let mut places = Vec::with_capacity(coded.len() + 1);
        let mut at = 0;
        while let Some(rest) = coded.get(at..).filter(|rest| !rest.is_empty()) {
            let unit = self.unit(rest);
            places.extend(std::iter::repeat_n(at, unit.length));
            at += unit.coded;
        }
        places.push(coded.len());
        places
    }

    /// Writes changed bytes back over the coded text, unit by unit. `plain` must be as long as what
    /// [`Coding::decode`] returned; returns how many bytes of it were used.
    pub(super) fn rewrite(self, coded: &mut [u8], plain: &[u8]) -> usize {
        let (mut at, mut used) = (0, 0);
        while at < coded.len() {
            let unit = self.unit(&coded[at..]);
            let (Some(new), Some(place)) =
                (plain.get(used..used + unit.length), coded.get_mut(at..at + unit.coded))
            else {
                return used;
            };
            if new != &unit.plain[..unit.length] {
                self.rewrite_unit(place, new);
            }
            at += unit.coded;
            used += unit.length;
        }
        used
    }

    /// What a text stands for that was coded so many times over.
    pub(super) fn decode_levels(self, coded: &[u8], levels: u8) -> Vec<u8> {
        (0..levels).fold(coded.to_vec(), |text, _| self.decode(&text))
    }

    /// Writes changed bytes back over a text that was coded so many times over.
    pub(super) fn rewrite_levels(self, coded: &mut [u8], plain: &[u8], levels: u8) {
        if levels <= 1 {
            if levels == 0 && coded.len() == plain.len() {
                coded.copy_from_slice(plain);
            } else {
                self.rewrite(coded, plain);
            }
            return;
        }
        let mut below = self.decode(coded);
        self.rewrite_levels(&mut below, plain, levels - 1);
        self.rewrite(coded, &below);
    }

    fn mark(self) -> u8 {
        match self {
            Coding::Escapes => b'\\',
            Coding::Percent => b'%',
        }
    }

    /// The unit at the start of a text that is not empty.
    fn unit(self, text: &[u8]) -> Unit {
        match (self, text) {
            (Coding::Percent, [b'%', high, low, ..]) => match (hex(*high), hex(*low)) {
                (Some(h), Some(l)) => Unit::byte(3, (h << 4 | l) as u8),
                _ => Unit::byte(1, b'%'),
            },
            (Coding::Escapes, [b'\\', kind, ..]) => match kind {
                b'n' => Unit::byte(2, b'\n'),
                b'r' => Unit::byte(2, b'\r'),
                b't' => Unit::byte(2, b'\t'),
                b'b' => Unit::byte(2, 8),
                b'f' => Unit::byte(2, 12),
                b'"' | b'\\' | b'/' => Unit::byte(2, *kind),
                b'u' => unicode(text).unwrap_or(Unit::byte(1, b'\\')),
                _ => Unit::byte(1, b'\\'),
            },
            (_, [first, ..]) => Unit::byte(1, *first),
            (_, []) => Unit { coded: 1, plain: [0; 4], length: 0 },
        }
    }

    fn rewrite_unit(self, place: &mut [u8], new: &[u8]) {
        match (self, place.len()) {
            (_, 1) => place.copy_from_slice(new),
            (Coding::Percent, _) => {
                let upper = place.iter().any(u8::is_ascii_uppercase);
                write_hex(&mut place[1..], u32::from(new[0]), upper);
            }
            (Coding::Escapes, 6 | 12) => {
                let Some(c) = std::str::from_utf8(new).ok().and_then(|s| s.chars().next()) else { return };
                let upper = place.iter().any(u8::is_ascii_uppercase);
                let mut units = [0u16; 2];
                for (escape, unit) in place.chunks_mut(6).zip(c.encode_utf16(&mut units)) {
                    write_hex(&mut escape[2..], u32::from(*unit), upper);
                }
            }
            // Two bytes, `\n` or `\"`: stand-ins keep such characters.
            _ => {}
        }
    }
}

/// `\uXXXX`, or two of them for one character beyond the basic plane; none when it is no character.
fn unicode(text: &[u8]) -> Option<Unit> {
    let code = |t: &[u8]| -> Option<u32> {
        let digits = t.strip_prefix(b"\\u")?.get(..4)?;
        digits.iter().try_fold(0, |n, d| Some(n << 4 | hex(*d)?))
    };
    let first = code(text)?;
    let (coded, c) = match char::from_u32(first) {
        Some(c) => (6, c),
        None => {
            let second = text.get(6..).and_then(code).filter(|s| (0xdc00..0xe000).contains(s))?;
            let high = first.checked_sub(0xd800).filter(|h| *h < 0x400)?;
            (12, char::from_u32(0x10000 + (high << 10) + (second - 0xdc00))?)
        }
    };
    let mut plain = [0; 4];
    let length = c.encode_utf8(&mut plain).len();
    Some(Unit { coded, plain, length })
}

fn hex(digit: u8) -> Option<u32> {
    char::from(digit).to_digit(16)
}

fn write_hex(place: &mut [u8], mut value: u32, upper: bool) {
    let digits = if upper { b"0123456789ABCDEF" } else { b"0123456789abcdef" };
    for digit in place.iter_mut().rev() {
        *digit = digits[(value & 15) as usize];
        value >>= 4;
    }
}

/// The windows of a text worth decoding: JSON strings with an escaped printable ASCII character (`\u0073`, `\/`) and
/// those around the given places. Sorted and disjoint.
pub(super) fn escaped_windows(text: &[u8], also: &[usize]) -> Vec<Range<usize>> {
    let printable = |at: &usize| matches!(text.get(at + 4), Some(b'2'..=b'7'));
    let mut places: Vec<usize> = memmem::find_iter(text, b"\\u00").filter(printable).collect();
    places.extend(memmem::find_iter(text, b"\\/"));
    places.extend_from_slice(also);
    places.sort_unstable();
    let mut windows: Vec<Range<usize>> = Vec::new();
    for place in places {
        let from = windows.last().map_or(0, |w| w.end);
        if place >= from {
            windows.push(string_around(text, place, from));
        }
    }
    windows
}

/// The bounds of the JSON string around a place, not before `from`; to the ends of the text where no quote is.
pub(super) fn string_around(text: &[u8], place: usize, from: usize) -> Range<usize> {
    let mut start = place;
    let start = loop {
        match text.get(from..start).and_then(|t| memrchr(b'"', t)) {
            None => break from,
            Some(at) if !is_escaped(text, from + at) => break from + at + 1,
            Some(at) => start = from + at,
        }
    };
    let tail = text.get(place..).unwrap_or_default();
    let end =
        memchr_iter(b'"', tail).map(|at| place + at).find(|at| !is_escaped(text, *at)).unwrap_or(text.len());
    start..end
}

/// True when an odd number of backslashes stands before a place.
pub(super) fn is_escaped(text: &[u8], at: usize) -> bool {
    let before = text.get(..at).unwrap_or_default();
    before.iter().rev().take_while(|b| **b == b'\\').count() % 2 == 1
}

/// How many characters at a place belong to a JSON escape that begins before it: `n` of `\n`, `u00e9` of `\u00e9`.
pub(super) fn escape_tail(text: &[u8], at: usize) -> usize {
    let before = at.checked_sub(1).and_then(|i| text.get(i));
    match (before, text.get(at)) {
        (Some(b'\\'), Some(b'n' | b'r' | b't' | b'b' | b'f')) => 1,
        (Some(b'\\'), Some(b'u')) => 5,
        _ => 0,
    }
}

/// The words of a text with percent-encoded bytes in them. Sorted and disjoint.
pub(super) fn percent_windows(text: &[u8]) -> Vec<Range<usize>> {
    let ends_word = |b: &u8| *b <= b' ' || matches!(b, b'"' | b'\'' | b'<' | b'>' | b'\\' | b'`');
    let mut windows: Vec<Range<usize>> = Vec::new();
    for at in memchr_iter(b'%', text) {
        let from = windows.last().map_or(0, |w| w.end);
        let coded =
            matches!(text.get(at + 1..at + 3), Some([h, l]) if hex(*h).is_some() && hex(*l).is_some());
        if !coded || at < from {
            continue;
        }
        let (before, after) = text.split_at(at);
        let back = before.get(from..).unwrap_or_default().iter().rev().take_while(|b| !ends_word(b)).count();
        let ahead = after.iter().take_while(|b| !ends_word(b)).count();
        let start = at - back + escape_tail(text, at - back);
        windows.push(start.min(at)..at + ahead);
    }
    windows
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn escapes_are_undone_and_redone() {
        let coded = br#"a\n\u0073\u004B\ud83d\ude00\q\u12"#.to_vec();
        let plain = Coding::Escapes.decode(&coded);
        assert_eq!(plain, "a\nsK\u{1f600}\\q\\u12".as_bytes());
        let mut changed = plain.clone();
        changed[2] = b'z';
        changed[3] = b'J';
        let mut out = coded;
        assert_eq!(Coding::Escapes.rewrite(&mut out, &changed), changed.len());
        assert_eq!(out, br#"a\n\u007a\u004A\ud83d\ude00\q\u12"#);
    }

    #[test]
    fn windows_are_strings_and_words() {
        let text = br#"{"a":"x \" \u0073k","b":"\u00e9"}"#;
        assert_eq!(escaped_windows(text, &[]), vec![6..18]);
        let text = b"see http://h/%73k now 100% or %zz";
        assert_eq!(percent_windows(text), vec![4..17]);
    }

    proptest! {
        #[test]
        fn rewriting_the_same_changes_nothing(text in proptest::collection::vec(
            proptest::sample::select(br#"\u0aDf8%n"/x"#.to_vec()), 0..60)) {
            for coding in [Coding::Escapes, Coding::Percent] {
                let plain = coding.decode(&text);
                let mut out = text.clone();
                prop_assert_eq!(coding.rewrite(&mut out, &plain), plain.len());
                prop_assert_eq!(&out, &text);
                let places = coding.places(&text);
                prop_assert_eq!(places.len(), plain.len() + 1);
                for (at, place) in places.iter().enumerate().filter(|(at, p)| *at == 0 || places[at - 1] != **p) {
                    prop_assert_eq!(coding.decode(&text[*place..]), &plain[at..]);
                }
            }
        }
    }
}
