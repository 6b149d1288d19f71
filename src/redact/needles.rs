//! The known secrets as byte strings to look for, as they are and in their encodings, all in one pass.

use super::base64_run;

/// Every needle is at least this long.
pub(super) const SHORTEST: usize = 8;
/// A longer window would not make the scan faster.
const LONGEST_WINDOW: usize = 32;
const BLOCK: usize = 4;
const BITS: u32 = 15;

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

/// Many strings searched for at once. Only every n-th block of four bytes of a text is looked at, so that each needle
/// has exactly one of them in its first bytes (its window); a bitmap of the blocks of all windows tells most of them
/// apart. The longer the shortest secret, the faster.
#[derive(Debug, Default)]
pub(super) struct Needles {
    needles: Vec<Needle>,
    /// How far apart the blocks that are looked at are.
    stride: usize,
    bitmap: Vec<u64>,
    /// Needles and how far in them the block is, by slot: `starts[slot]..starts[slot + 1]`.
    entries: Vec<(u32, u8)>,
    starts: Vec<u32>,
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
        let shortest = self.needles.iter().map(|n| n.bytes.len()).min().unwrap_or(SHORTEST);
        self.stride = shortest.clamp(SHORTEST, LONGEST_WINDOW) - BLOCK + 1;
        self.bitmap = vec![0; (1 << BITS) / 64];
        let mut slots: Vec<(usize, (u32, u8))> = Vec::new();
        for (index, needle) in self.needles.iter().enumerate() {
            for (at, block) in needle.bytes.windows(BLOCK).take(self.stride).enumerate() {
                let slot = block.first_chunk().map_or(0, slot);
                slots.push((slot, (index as u32, at as u8)));
                if let Some(word) = self.bitmap.get_mut(slot / 64) {
                    *word |= 1 << (slot % 64);
                }
            }
        }
        slots.sort_unstable();
        self.starts = vec![0; (1 << BITS) + 1];
        for (slot, _) in &slots {
            if let Some(count) = self.starts.get_mut(slot + 1) {
                *count += 1;
            }
        }
        let mut sum = 0;
        for start in &mut self.starts {
            sum += *start;
            *start = sum;
        }
        self.entries = slots.into_iter().map(|(_, entry)| entry).collect();
    }

    /// Every place of every needle, leftmost and longest first, none overlapping another.
    pub(super) fn find(&self, text: &[u8]) -> Vec<Sighting> {
        let mut found = Vec::new();
        if self.needles.is_empty() {
            return found;
        }
        let mut at = 0;
        while let Some(block) = text.get(at..at + BLOCK).and_then(<[u8]>::first_chunk) {
            let slot = slot(block);
            if self.bitmap.get(slot / 64).is_some_and(|word| word >> (slot % 64) & 1 == 1) {
                self.verify(slot, text, at, &mut found);
            }
            at += self.stride;
        }
        if found.len() > 1 {
            found.sort_unstable_by_key(|s| (s.at, std::cmp::Reverse(s.length)));
            let mut end = 0;
            found.retain(|s| {
                let apart = s.at >= end;
                end = if apart { s.at + s.length } else { end };
                apart
            });
        }
        found
    }

    #[cold]
    fn verify(&self, slot: usize, text: &[u8], at: usize, found: &mut Vec<Sighting>) {
        let bound = |slot: usize| self.starts.get(slot).map_or(0, |s| *s as usize);
        for (index, offset) in self.entries.get(bound(slot)..bound(slot + 1)).unwrap_or_default() {
            let Some(needle) = self.needles.get(*index as usize) else { continue };
            let Some(at) = at.checked_sub(usize::from(*offset)) else { continue };
            if text.get(at..).is_some_and(|t| t.starts_with(&needle.bytes)) {
                let (length, secret, form) = (needle.bytes.len(), needle.secret, needle.form);
                found.push(Sighting { at, length, secret, form });
            }
        }
    }
}

/// The slot of a block in the bitmap.
fn slot(block: &[u8; BLOCK]) -> usize {
    (u32::from_le_bytes(*block).wrapping_mul(0x9e37_79b1) >> (32 - BITS)) as usize
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
            secrets in proptest::collection::vec("[ab]{8,40}", 1..4),
            filler in proptest::collection::vec("[ab]{0,20}", 1..6),
        ) {
            let text: String = filler.iter().enumerate().map(|(i, f)| format!("{f}{}", secrets[i % secrets.len()])).collect();
            let needles = Needles::new(secrets.iter().map(String::as_str));
            let first = secrets.iter().filter_map(|s| text.find(s.as_str())).min();
            let plain = needles.find(text.as_bytes()).into_iter().find(|s| s.form == Form::Plain).map(|s| s.at);
            prop_assert!(first.is_some());
            prop_assert_eq!(plain, first);
        }
    }
}
