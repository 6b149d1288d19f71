//! Finds answers quoted inside later texts, without keeping the texts.

use crate::run::likeness::Key;
use std::collections::{HashMap, HashSet};

/// Shortest text that is looked for; shorter ones are found everywhere by chance.
const GRAM: usize = 12;
/// How many owners of one text are remembered.
const OWNERS: usize = 8;
const FILTER_BITS: usize = 1 << 16;

/// An index of texts by their first bytes.
pub struct QuoteIndex {
    /// One bit per hashed gram: most positions of a scanned text end here.
    filter: Vec<u64>,
    /// Lengths of the texts that begin with a gram.
    lengths: HashMap<[u8; GRAM], Vec<usize>>,
    owners: HashMap<Key, Vec<u32>>,
}

impl Default for QuoteIndex {
    fn default() -> QuoteIndex {
        QuoteIndex { filter: vec![0; FILTER_BITS / 64], lengths: HashMap::new(), owners: HashMap::new() }
    }
}

fn bit(gram: &[u8; GRAM]) -> (usize, u64) {
    let mut low = [0; 8];
    low.copy_from_slice(&gram[..8]);
    let mut high = [0; 4];
    high.copy_from_slice(&gram[8..]);
    let mixed = (u64::from_le_bytes(low) ^ (u64::from(u32::from_le_bytes(high)) << 17))
        .wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let at = (mixed >> 48) as usize % FILTER_BITS;
    (at / 64, 1 << (at % 64))
}

fn key(bytes: &[u8]) -> Key {
    let mut key = [0; 16];
    blake3::Hasher::new().update(bytes).finalize_xof().fill(&mut key);
    key
}

impl QuoteIndex {
    /// Shorter texts are not found.
    pub const SHORTEST: usize = GRAM;

    /// Adds a text that belongs to a lane.
    pub fn add(&mut self, text: &str, lane: u32) {
        let bytes = text.trim().as_bytes();
        let Some(gram) = bytes.first_chunk::<GRAM>() else { return };
        let (word, mask) = bit(gram);
        self.filter[word] |= mask;
        let lengths = self.lengths.entry(*gram).or_default();
        if !lengths.contains(&bytes.len()) {
            lengths.push(bytes.len());
        }
        let owners = self.owners.entry(key(bytes)).or_default();
        if owners.len() < OWNERS && !owners.contains(&lane) {
            owners.push(lane);
        }
    }

    /// Lanes of which a text stands somewhere in this one, each with the number of different texts of its own.
    pub fn scan(&self, text: &str) -> HashMap<u32, usize> {
        let mut found: HashMap<u32, usize> = HashMap::new();
        let mut seen: HashSet<Key> = HashSet::new();
        if self.owners.is_empty() {
            return found;
        }
        let bytes = text.as_bytes();
        for at in 0..bytes.len().saturating_sub(GRAM - 1) {
            let Some(gram) = bytes.get(at..).and_then(|rest| rest.first_chunk::<GRAM>()) else { break };
            let (word, mask) = bit(gram);
            if self.filter[word] & mask == 0 {
                continue;
            }
            for &length in self.lengths.get(gram).into_iter().flatten() {
                let Some(slice) = bytes.get(at..at.saturating_add(length)) else { continue };
                if !is_whole(bytes, at, length) {
                    continue;
                }
                let key = key(slice);
                if let Some(owners) = self.owners.get(&key)
                    && seen.insert(key)
                {
                    owners.iter().for_each(|lane| *found.entry(*lane).or_default() += 1);
                }
            }
        }
        found
    }
}

/// True when a place in a text is not part of a longer word.
fn is_whole(text: &[u8], at: usize, length: usize) -> bool {
    let word = |i: usize| text.get(i).is_some_and(|b| b.is_ascii_alphanumeric());
    let (end, before) = (at + length, at.checked_sub(1));
    let goes_on = word(end) && word(end - 1);
    let began_before = word(at) && before.is_some_and(word);
    !goes_on && !began_before
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_texts_are_found_whole_or_not_at_all() {
        let mut index = QuoteIndex::default();
        index.add("the first conclusion\n", 1);
        index.add("the first conclusion, extended", 2);
        index.add("short", 3);
        let found = index.scan("so: the first conclusion and a short one");
        assert_eq!(found, HashMap::from([(1, 1)]));
        let found = index.scan("the first conclusion, extended; the first conclusion");
        assert_eq!(found, HashMap::from([(1, 1), (2, 1)]));
        assert!(index.scan("the first conclusio").is_empty());
        assert!(index.scan("the first conclusions").is_empty());
    }
}
