//! Runs of base64: found, read and changed in place.

use super::coding::escape_tail;
use std::ops::Range;

/// A shorter run cannot hold a secret of a known shape.
const SHORTEST: usize = 24;
/// A wrapped line is at least this long (MIME wraps at 76, PEM at 64).
const LINE: usize = 60;
/// Longer runs are read from their start only, not in all four phases.
const PHASED: usize = 4096;
/// Groups of four characters in a row that stand for ASCII, without which a run holds no text.
const ASCII_GROUPS: usize = 5;
/// How many groups around such a row are read with it, in a long run.
const MARGIN: usize = 64;

const NOT: u8 = 0xff;

/// The value of each character, of either alphabet.
const VALUE: [u8; 256] = {
    let mut table = [NOT; 256];
    let mut i = 0;
    while i < 64 {
        table[STANDARD[i] as usize] = i as u8;
        table[URL[i] as usize] = i as u8;
        i += 1;
    }
    table
};

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn is_base64(b: u8) -> bool {
    VALUE[b as usize] != NOT
}

/// A run that holds text: its pieces in the text (several when it is wrapped over lines).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Run {
    /// Byte ranges of characters, in order.
    pub(super) pieces: Vec<Range<usize>>,
    /// Which of its characters to read: from a group's start, all of it or what is around the text.
    pub(super) part: Range<usize>,
}

impl Run {
    /// The characters to read.
    pub(super) fn characters(&self, text: &[u8]) -> Vec<u8> {
        if let [piece] = self.pieces.as_slice() {
            let all = text.get(piece.clone()).unwrap_or_default();
            return all.get(self.part.clone()).unwrap_or_default().to_vec();
        }
        let all = joined(text, &self.pieces);
        all.get(self.part.clone()).unwrap_or_default().to_vec()
    }

    /// Writes changed characters back.
    pub(super) fn write(&self, text: &mut [u8], characters: &[u8]) {
        let places = self.pieces.iter().flat_map(|p| p.clone()).skip(self.part.start);
        for (place, c) in places.zip(characters) {
            if let Some(b) = text.get_mut(place) {
                *b = *c;
            }
        }
    }

    /// The bounds of the run in the text.
    pub(super) fn bounds(&self) -> Range<usize> {
        let start = self.pieces.first().map_or(0, |p| p.start);
        start..self.pieces.last().map_or(start, |p| p.end)
    }
}

fn joined(text: &[u8], pieces: &[Range<usize>]) -> Vec<u8> {
    pieces.iter().flat_map(|p| text.get(p.clone()).unwrap_or_default()).copied().collect()
}

/// The runs that hold text, once for each phase in which they do. Most text has none.
pub(super) fn runs(text: &[u8]) -> Vec<Run> {
    let mut found = Vec::new();
    let mut probe = SHORTEST - 1;
    let mut floor = 0;
    while let Some(&b) = text.get(probe) {
        if !is_base64(b) {
            floor = probe + 1;
            probe += SHORTEST;
            continue;
        }
        let head = text.get(floor..probe).unwrap_or_default();
        let start = probe - head.iter().rev().take_while(|b| is_base64(**b)).count();
        if probe - start < SHORTEST - 1 {
            // A run that begins at `start` is long enough only if it reaches this far; what lies between was seen.
            probe = start + SHORTEST - 1;
            floor = start;
            if probe_is_dead(text, start, probe) {
                continue;
            }
        }
        let end = end_of_run(text, probe);
        let end = if end - start >= SHORTEST { read_run(text, start..end, &mut found) } else { end };
        floor = end;
        probe = end + SHORTEST - 1;
    }
    found
}

/// True when the run that begins at `start` ends before `probe`.
fn probe_is_dead(text: &[u8], start: usize, probe: usize) -> bool {
    !text.get(start..=probe).is_some_and(|t| t.iter().rev().all(|b| is_base64(*b)))
}

fn end_of_run(text: &[u8], from: usize) -> usize {
    let tail = text.get(from..).unwrap_or_default();
    from + tail.iter().take_while(|b| is_base64(**b)).count()
}

/// Looks at one run of characters of both alphabets: splits it by alphabet, joins wrapped lines. Returns where it ends.
fn read_run(text: &[u8], mut run: Range<usize>, found: &mut Vec<Run>) -> usize {
    run.start += escape_tail(text, run.start);
    let slice = text.get(run.clone()).unwrap_or_default();
    let has = |a: u8, b: u8| memchr::memchr2(a, b, slice).is_some();
    let (standard, url) = (has(b'+', b'/'), has(b'-', b'_'));
    if !(standard && url) {
        let pieces = with_wrapped_lines(text, run);
        let end = pieces.last().map_or(0, |p| p.end);
        consider(text, pieces, found);
        return end;
    }
    for others in [[b'-', b'_'], [b'+', b'/']] {
        let mut start = run.start;
        for part in slice_split(slice, others) {
            let piece = start..start + part;
            start = piece.end + 1;
            consider(text, vec![piece], found);
        }
    }
    run.end
}

/// Lengths of the parts between the given bytes.
fn slice_split(slice: &[u8], at: [u8; 2]) -> impl Iterator<Item = usize> {
    slice.split(move |b| at.contains(b)).map(<[u8]>::len)
}

/// The run with the lines that follow it, when it looks like the first line of wrapped base64.
fn with_wrapped_lines(text: &[u8], first: Range<usize>) -> Vec<Range<usize>> {
    let mut pieces = vec![first];
    while let Some(last) = pieces.last().cloned() {
        let tail = text.get(last.end..).unwrap_or_default();
        let breaks: [&[u8]; 4] = [b"\r\n", b"\n", b"\\r\\n", b"\\n"];
        let Some(gap) = breaks.iter().find(|b| tail.starts_with(b)).map(|b| b.len()) else { break };
        let start = last.end + gap;
        let end = end_of_run(text, start);
        if last.len() < LINE || last.len() % 4 != 0 || end == start {
            break;
        }
        pieces.push(start..end);
    }
    pieces
}

fn consider(text: &[u8], pieces: Vec<Range<usize>>, found: &mut Vec<Run>) {
    let together;
    let characters = match pieces.as_slice() {
        [one] => text.get(one.clone()).unwrap_or_default(),
        _ => {
            together = joined(text, &pieces);
            &together
        }
    };
    if characters.len() < SHORTEST {
        return;
    }
    let long = characters.len() > PHASED;
    for phase in 0..if long { 1 } else { 4 } {
        let parts = text_parts(characters.get(phase..).unwrap_or_default());
        if parts.is_empty() {
            continue;
        }
        let parts = if long { parts } else { std::iter::once(0..characters.len() - phase).collect() };
        let part_at = |p: Range<usize>| phase + p.start..(phase + p.end).min(characters.len());
        found.extend(parts.into_iter().map(|p| Run { pieces: pieces.clone(), part: part_at(p) }));
    }
}

/// Where enough groups in a row stand for ASCII bytes, with a margin; in characters, from a group's start.
fn text_parts(characters: &[u8]) -> Vec<Range<usize>> {
    let mut parts: Vec<Range<usize>> = Vec::new();
    let (groups, _) = characters.as_chunks::<4>();
    // A row has one group at a multiple of its length, so that most groups are never looked at.
    let mut probe = ASCII_GROUPS - 1;
    while let Some(group) = groups.get(probe) {
        if !is_ascii(group) {
            probe += ASCII_GROUPS;
            continue;
        }
        let (before, after) = groups.split_at(probe);
        let start = probe - before.iter().rev().take_while(|g| is_ascii(g)).count();
        let end = probe + after.iter().take_while(|g| is_ascii(g)).count();
        probe = end + ASCII_GROUPS;
        if end - start < ASCII_GROUPS {
            continue;
        }
        let (start, end) = (start.saturating_sub(MARGIN) * 4, (end + MARGIN) * 4);
        match parts.last_mut() {
            Some(last) if start <= last.end => last.end = end,
            _ => parts.push(start..end),
        }
    }
    parts
}

/// True when four characters stand for three bytes of ASCII: the highest bit of each is not set.
fn is_ascii(group: &[u8; 4]) -> bool {
    let [a, b, c, _] = group.map(|c| VALUE[usize::from(c)]);
    a & 0x20 | b & 8 | c & 2 == 0
}

/// The bytes that characters stand for; a tail of less than eight bits is dropped.
pub(super) fn decode(characters: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(characters.len() / 4 * 3 + 2);
    let (mut bits, mut held) = (0u32, 0);
    for c in characters {
        bits = bits << 6 | u32::from(VALUE[*c as usize] & 63);
        held += 6;
        if held >= 8 {
            held -= 8;
            plain.push((bits >> held) as u8);
        }
    }
    plain
}

/// Writes bytes over what characters stand for, from bit `bit` (even) on. Characters that are not there or not base64
/// are left.
pub(super) fn patch(characters: &mut [u8], bit: usize, bytes: &[u8]) {
    let alphabet = alphabet_of(characters);
    for (index, byte) in bytes.iter().enumerate() {
        set_byte_in(alphabet, characters, bit + index * 8, *byte);
    }
}

fn alphabet_of(characters: &[u8]) -> &'static [u8; 64] {
    if memchr::memchr2(b'-', b'_', characters).is_some() { URL } else { STANDARD }
}

fn set_byte_in(alphabet: &[u8; 64], characters: &mut [u8], bit: usize, byte: u8) {
    let (first, shift) = (bit / 6, bit % 6);
    // Sixteen bits less four: the two characters that the byte lies in.
    let mask = 0xffu16 << (4 - shift.min(4));
    let value = u16::from(byte) << (4 - shift.min(4));
    for (index, low) in [(first, 6), (first + 1, 0)] {
        let Some(c) = characters.get_mut(index).filter(|c| is_base64(**c)) else { continue };
        let keep = !((mask >> low) as u8) & 63;
        *c = alphabet[usize::from((VALUE[*c as usize] & keep) | ((value >> low) as u8 & 63))];
    }
}

/// Writes changed bytes back over the characters that stand for them.
pub(super) fn rewrite(characters: &mut [u8], old: &[u8], new: &[u8]) {
    let alphabet = alphabet_of(characters);
    for (index, (was, is)) in old.iter().zip(new).enumerate() {
        if was != is {
            set_byte_in(alphabet, characters, index * 8, *is);
        }
    }
}

/// The characters that a text is sure to have in base64 when `before` bytes (0 to 2) stand before it in its group, in
/// both alphabets, and at which bit of the first character's group the text begins.
pub(super) fn needles(text: &[u8], before: usize) -> (Vec<u8>, Vec<u8>) {
    let padded: Vec<u8> = std::iter::repeat_n(0, before).chain(text.iter().copied()).collect();
    let first = (before * 8).div_ceil(6);
    let last = padded.len() * 8 / 6;
    let sure = |alphabet: &[u8; 64]| {
        let bit = |at: usize| padded.get(at / 8).map_or(0, |b| b >> (7 - at % 8) & 1);
        (first..last).map(|c| alphabet[(0..6).fold(0, |v, i| v << 1 | usize::from(bit(c * 6 + i)))]).collect()
    };
    (sure(STANDARD), sure(URL))
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD as ENGINE, URL_SAFE_NO_PAD};
    use proptest::prelude::*;

    #[test]
    fn prose_and_short_ids_have_no_runs() {
        assert!(runs(b"the quick brown fox jumps over the lazy dog and goes on").is_empty());
        assert!(runs(b"/usr/local/lib/python3.12/site-packages/openai/resources/chat").is_empty());
    }

    #[test]
    fn runs_are_found_wherever_they_lie() {
        let secret = "this text is hidden in base64, somewhere";
        for before in 0..60 {
            for glue in ["x ", "\\n", "=", "\\u00e9"] {
                let text = format!("{}{glue}{} tail", "ab ".repeat(before), ENGINE.encode(secret));
                let found = runs(text.as_bytes());
                let read: Vec<Vec<u8>> =
                    found.iter().map(|run| decode(&run.characters(text.as_bytes()))).collect();
                assert!(read.contains(&secret.as_bytes().to_vec()), "{text}");
            }
        }
    }

    #[test]
    fn wrapped_lines_are_one_run() {
        let secret = "0123456789 abcdefghij ".repeat(12);
        let lines: Vec<String> =
            ENGINE.encode(&secret).as_bytes().chunks(76).map(|c| String::from_utf8_lossy(c).into()).collect();
        for gap in ["\n", "\r\n", "\\n"] {
            let text = lines.join(gap);
            let found = runs(text.as_bytes());
            assert_eq!(decode(&found[0].characters(text.as_bytes())), secret.as_bytes());
        }
    }

    #[test]
    fn of_a_long_run_only_the_text_is_read() {
        let mut bytes: Vec<u8> =
            (0..30_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8 | 0x80).collect();
        bytes[15_000..15_030].copy_from_slice(b"a text of thirty bytes, hidden");
        let text = ENGINE.encode(&bytes);
        let found = runs(text.as_bytes());
        assert_eq!(found.len(), 1);
        let mut read = found[0].characters(text.as_bytes());
        assert!(read.len() < 1000);
        assert!(memchr::memmem::find(&decode(&read), b"a text of thirty bytes, hidden").is_some());
        read.fill(b'A');
        let mut changed = text.clone().into_bytes();
        found[0].write(&mut changed, &read);
        assert_eq!(found[0].characters(&changed), read);
        assert_eq!(changed.len(), text.len());
        assert_eq!(changed[..10_000], text.as_bytes()[..10_000]);
    }

    proptest! {
        #[test]
        fn decoding_agrees_with_the_crate(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            prop_assert_eq!(decode(URL_SAFE_NO_PAD.encode(&bytes).as_bytes()), bytes);
        }

        #[test]
        fn a_byte_can_be_set(bytes in proptest::collection::vec(any::<u8>(), 1..40), at in any::<usize>(), byte: u8) {
            let mut characters = ENGINE.encode(&bytes).into_bytes();
            let at = at % bytes.len();
            patch(&mut characters, at * 8, &[byte]);
            let mut expected = bytes;
            expected[at] = byte;
            prop_assert_eq!(ENGINE.decode(&characters).unwrap(), expected);
        }

        #[test]
        fn needles_occur(text in proptest::collection::vec(any::<u8>(), 8..30), before in proptest::collection::vec(any::<u8>(), 0..7)) {
            let all: Vec<u8> = before.iter().chain(&text).copied().chain(*b"tail").collect();
            let (standard, url) = needles(&text, before.len() % 3);
            let found = |h: String, n: &[u8]| memchr::memmem::find(h.as_bytes(), n).is_some();
            prop_assert!(found(ENGINE.encode(&all), &standard));
            prop_assert!(found(URL_SAFE_NO_PAD.encode(&all), &url));
        }
    }
}
