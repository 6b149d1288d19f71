//! The first look at every byte: is there anything a rule should be asked about?

use aho_corasick::{AhoCorasick, MatchKind, packed};

/// Finds the places of a few dozen short strings, with SIMD where the machine has it.
pub(super) enum Triggers {
    Packed(packed::Searcher),
    Automaton(AhoCorasick),
}

impl Triggers {
    /// A finder of these strings; a string's number is its place in the list.
    pub(super) fn new(strings: &[&str]) -> Result<Triggers, String> {
        match packed::Config::new().builder().extend(strings).build() {
            Some(searcher) => Ok(Triggers::Packed(searcher)),
            None => AhoCorasick::builder()
                .match_kind(MatchKind::LeftmostFirst)
                .build(strings)
                .map(Triggers::Automaton)
                .map_err(|e| format!("the secret rules cannot be compiled: {e}")),
        }
    }

    /// Calls `on` with the place and the number of each string found, from left to right, none overlapping another.
    pub(super) fn each(&self, text: &[u8], mut on: impl FnMut(usize, usize)) {
        match self {
            Triggers::Packed(s) => s.find_iter(text).for_each(|m| on(m.start(), m.pattern().as_usize())),
            Triggers::Automaton(s) => s.find_iter(text).for_each(|m| on(m.start(), m.pattern().as_usize())),
        }
    }
}
