//! The known secrets as byte strings to look for, as they are and in their encodings, all in one pass.

use super::base64_run;
use std::collections::BTreeMap;

/// Every needle is at least this long; the scan looks at windows of this length.
pub(super) const SHORTEST: usize = 8;
const BLOCK: usize = 3;
const BITS: u32 = 13;

/// How a needle holds its secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// As it is.
    Plain,
    /// In base64, with this many bytes (0 to 2) before it in its group.
    Base64(usize),
    /// As hexadecimal digits.
    Hex,
    /// With JSON escapes: says only that the string around it is worth decoding.
    Escaped,
}

#[derive(Debug)]
struct Needle {
    bytes: Vec<u8>,
    secret: usize,
    form: Form,
}

/// Where a known secret was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sighting {
    /// Byte offset.
    pub(super) at: usize,
    /// Length in bytes.
    pub(super) length: usize,
    /// Which secret, by its place in the list.
    pub(super) secret: usize,
    /// In which form.
    pub(super) form: Form,
}

/// Many strings searched for at once, by shifts over the last bytes of a window (Wu and Manber): most of a text is
/// never looked at, however many strings there are.
#[derive(Debug, Default)]
pub(super) struct Needles {
    needles: Vec<Needle>,
    shift: Vec<u8>,
    buckets: BTreeMap<usize, Vec<usize>>,
}

impl Needles {
    /// The needles of these secrets. Those that are too short are left out.
    pub(super) fn new<'a>(secrets: impl Iterator<Item = &'a str>) -> Needles {
        let mut all = Needles::default();
        for (secret, value) in secrets.enumerate() {
            if value.len() >= SHORTEST {
                all.add_forms(secret, value);
            }
        }
        if !all.needles.is_empty() {
            all.index();
        }
        all
    }

    fn add_forms(&mut self, secret: usize, value: &str) {
        let mut add = |bytes: Vec<u8>, form: Form| {
            if bytes.len() >= SHORTEST && !self.needles.iter().any(|n| n.bytes == bytes) {
                self.needles.push(Needle { bytes, secret, form });
            }
        };
        add(value.as_bytes().to_vec(), Form::Plain);
        for before in 0..3 {
            let (standard, url) = base64_run::needles(value.as_bytes(), before);
            add(standard, Form::Base64(before));
            add(url, Form::Base64(before));
        }
        let hex: String = value.bytes().map(|b| format!("{b:02x}")).collect();
        add(hex.to_ascii_uppercase().into_bytes(), Form::Hex);
        add(hex.into_bytes(), Form::Hex);
        for ascii in [false, true] {
            let mut escaped = value.to_string();
            for _ in 0..3 {
                escaped = escape(&escaped, ascii);
                add(escaped.clone().into_bytes(), Form::Escaped);
            }
        }
    }

    fn index(&mut self) {
        let furthest = SHORTEST - BLOCK;
        self.shift = vec![(furthest + 1) as u8; 1 << BITS];
        for (index, needle) in self.needles.iter().enumerate() {
            let Some(window) = needle.bytes.first_chunk::<SHORTEST>() else { continue };
            for (at, block) in window.windows(BLOCK).enumerate() {
                let slot = slot(u32::from_le_bytes([0, block[0], block[1], block[2]]));
                if let Some(shift) = self.shift.get_mut(slot) {
                    *shift = (*shift).min((furthest - at) as u8);
                }
                if at == furthest {
                    self.buckets.entry(slot).or_default().push(index);
                }
            }
        }
    }

    /// Every place of every needle, leftmost and longest first, none overlapping another.
    pub(super) fn find(&self, text: &[u8]) -> Vec<Sighting> {
        let mut found = Vec::new();
        if self.needles.is_empty() {
            return found;
        }
        let mut at = 0;
        while let Some(&last) = text.get(at + SHORTEST - 4..at + SHORTEST).and_then(<[u8]>::first_chunk::<4>)
        {
            let slot = slot(u32::from_le_bytes(last) & 0xffff_ff00);
            let shift = self.shift.get(slot).copied().unwrap_or(1);
            if shift > 0 {
                at += usize::from(shift);
                continue;
            }
            match self.longest_at(slot, text, at) {
                Some(sighting) => {
                    at += sighting.length;
                    found.push(sighting);
                }
                None => at += 1,
            }
        }
        found
    }

    fn longest_at(&self, slot: usize, text: &[u8], at: usize) -> Option<Sighting> {
        let tail = text.get(at..)?;
        let candidates = self.buckets.get(&slot)?.iter().filter_map(|i| self.needles.get(*i));
        let needle = candidates.filter(|n| tail.starts_with(&n.bytes)).max_by_key(|n| n.bytes.len())?;
        Some(Sighting { at, length: needle.bytes.len(), secret: needle.secret, form: needle.form })
    }
}

/// The slot of three bytes, which lie in the upper three bytes of the word.
fn slot(block: u32) -> usize {
    (block.wrapping_mul(0x9e37_79b1) >> (32 - BITS)) as usize
}

/// A text with the escapes that a JSON writer puts in.
fn escape(text: &str, ascii: bool) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' || (ascii && !c.is_ascii()) => {
                let mut units = [0u16; 2];
                for unit in c.encode_utf16(&mut units) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn longest_secret_wins() {
        let needles = Needles::new(["abcdefgh", "abcdefghij", "short"].into_iter());
        let found: Vec<_> =
            needles.find(b"..abcdefghij.abcdefghX").into_iter().map(|s| (s.at, s.secret)).collect();
        assert_eq!(found, vec![(2, 1), (13, 0)]);
    }

    proptest! {
        #[test]
        fn agrees_with_a_plain_search(
            secrets in proptest::collection::vec("[ab]{8,11}", 1..4),
            text in "[ab]{0,300}",
        ) {
            let needles = Needles::new(secrets.iter().map(String::as_str));
            let first = secrets.iter().filter_map(|s| text.find(s.as_str())).min();
            let plain = needles.find(text.as_bytes()).into_iter().find(|s| s.form == Form::Plain).map(|s| s.at);
            prop_assert_eq!(plain, first);
        }
    }
}
