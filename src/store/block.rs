//! A block: the parts of one side of an exchange, compressed together.
//!
//! Payload: number of entries; for each entry `length * 4 + kind`, and for a reference the number of the run that
//! holds the bytes and the ordinal there; 16 bytes of BLAKE3 for each entry; then the bytes of all entries that are
//! no references, one after the other, in the frame's coding. The frame's tag is the ordinal of the first entry.

use super::coding::{Expander, Squeezer};
use super::frame::Frame;
use super::varint::{Cursor, put};
use bytes::Bytes;
use std::sync::atomic::{AtomicBool, Ordering};

/// The first 128 bits of the BLAKE3 of a part.
pub type PartHash = [u8; 16];

/// The hash of some bytes.
pub fn hash(bytes: &[u8]) -> PartHash {
    let whole = blake3::hash(bytes);
    let mut half = [0; 16];
    half.copy_from_slice(&whole.as_bytes()[..16]);
    half
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// Bytes of a body.
    Content {
        /// How many.
        len: u32,
    },
    /// A node of a list (see [`super::list`]).
    Node {
        /// How many bytes.
        len: u32,
    },
    /// Bytes of a body that another run holds.
    Reference {
        /// How many.
        len: u32,
        /// Number of that run in this pack.
        ancestor: u32,
        /// The part there.
        ordinal: u32,
    },
}

impl Entry {
    /// Bytes that it has in this block.
    fn stored(&self) -> usize {
        match *self {
            Entry::Content { len } | Entry::Node { len } => len as usize,
            Entry::Reference { .. } => 0,
        }
    }
}

/// A block being filled.
#[derive(Default)]
pub struct BlockDraft {
    entries: Vec<Entry>,
    hashes: Vec<PartHash>,
    data: Vec<u8>,
}

impl BlockDraft {
    /// Adds an entry; `bytes` is empty for a reference.
    pub fn add(&mut self, entry: Entry, hash: PartHash, bytes: &[u8]) {
        self.entries.push(entry);
        self.hashes.push(hash);
        self.data.extend_from_slice(bytes);
    }

    /// True when nothing was added.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many entries it has.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The bytes so far.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// Appends the payload to `out`, returns the coding, and is empty again.
    pub fn finish(&mut self, squeezer: &mut Squeezer, out: &mut Vec<u8>) -> u8 {
        put(out, self.entries.len() as u64);
        for entry in &self.entries {
            match *entry {
                Entry::Content { len } => put(out, u64::from(len) << 2),
                Entry::Node { len } => put(out, u64::from(len) << 2 | 1),
                Entry::Reference { len, ancestor, ordinal } => {
                    put(out, u64::from(len) << 2 | 2);
                    put(out, u64::from(ancestor));
                    put(out, u64::from(ordinal));
                }
            }
        }
        for hash in &self.hashes {
            out.extend_from_slice(hash);
        }
        let coding = squeezer.squeeze(&self.data, out);
        self.entries.clear();
        self.hashes.clear();
        self.data.clear();
        self.data.shrink_to(1 << 20);
        coding
    }
}

/// A block, read: its entries always, its bytes when they were asked for.
#[derive(Debug)]
pub struct Block {
    /// Ordinal of the first entry.
    pub first: u32,
    /// The entries.
    pub entries: Vec<Entry>,
    hashes: Vec<PartHash>,
    data: Bytes,
    /// Entries whose bytes were found to be what was written.
    verified: Vec<AtomicBool>,
}

impl Block {
    /// Reads a payload whose checksum is right.
    ///
    /// # Errors
    /// In words, when it makes no sense.
    pub fn read(frame: &Frame, payload: &[u8], expander: &Expander) -> Result<Block, String> {
        let (mut block, rest) = Block::read_entries(frame, payload)?;
        let data = expander.expand(frame.coding, rest)?;
        if data.len() != block.entries.iter().map(Entry::stored).sum::<usize>() {
            return Err("the lengths of its parts do not add up".into());
        }
        block.data = Bytes::from(data);
        Ok(block)
    }

    /// Reads the entries and hashes alone, and gives the rest.
    ///
    /// # Errors
    /// In words, when they make no sense.
    pub fn read_entries<'a>(frame: &Frame, payload: &'a [u8]) -> Result<(Block, &'a [u8]), String> {
        parse(frame.tag, payload).ok_or_else(|| "its table of parts makes no sense".into())
    }

    /// Index of a part, if it is here.
    pub fn index_of(&self, ordinal: u32) -> Option<usize> {
        let index = ordinal.checked_sub(self.first)? as usize;
        (index < self.entries.len()).then_some(index)
    }

    /// Entry and hash by index.
    pub fn entry(&self, index: usize) -> Option<(Entry, PartHash)> {
        Some((*self.entries.get(index)?, *self.hashes.get(index)?))
    }

    /// The bytes of an entry; empty for a reference. Not yet verified.
    pub fn bytes(&self, index: usize) -> Bytes {
        let start: usize = self.entries.iter().take(index).map(Entry::stored).sum();
        let len = self.entries.get(index).map_or(0, Entry::stored);
        match start.checked_add(len) {
            Some(end) if end <= self.data.len() => self.data.slice(start..end),
            _ => Bytes::new(),
        }
    }

    /// The same, verified by the hash; none when they are not what was written.
    pub fn verified(&self, index: usize) -> Option<Bytes> {
        let bytes = self.bytes(index);
        let verified = self.verified.get(index)?;
        if !verified.load(Ordering::Relaxed) {
            if hash(&bytes) != *self.hashes.get(index)? {
                return None;
            }
            verified.store(true, Ordering::Relaxed);
        }
        Some(bytes)
    }

    /// Memory that it holds, for a cache to count.
    pub fn weight(&self) -> usize {
        self.data.len() + self.entries.len() * 32 + 128
    }
}

fn parse(first: u32, payload: &[u8]) -> Option<(Block, &[u8])> {
    let mut cursor = Cursor(payload);
    let count = cursor.number()?;
    // Every entry takes 17 bytes at least: a forged count cannot make this allocate more than the file is long.
    if count > payload.len() as u64 / 17 || u64::from(first) + count > u64::from(u32::MAX) {
        return None;
    }
    let mut entries = Vec::with_capacity(count as usize);
    for _ in 0..count {
        let word = cursor.number()?;
        let len = u32::try_from(word >> 2).ok()?;
        entries.push(match word & 3 {
            0 => Entry::Content { len },
            1 => Entry::Node { len },
            2 => Entry::Reference { len, ancestor: cursor.small()?, ordinal: cursor.small()? },
            _ => return None,
        });
    }
    let hashes =
        cursor.take(entries.len() * 16)?.chunks_exact(16).map(|c| c.try_into()).collect::<Result<_, _>>();
    let verified = entries.iter().map(|_| AtomicBool::new(false)).collect();
    Some((Block { first, entries, hashes: hashes.ok()?, data: Bytes::new(), verified }, cursor.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::frame;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn parts_come_back(parts in prop::collection::vec((0..3u8, prop::collection::vec(any::<u8>(), 0..90)), 1..20)) {
            let mut draft = BlockDraft::default();
            for (i, (kind, bytes)) in parts.iter().enumerate() {
                let len = bytes.len() as u32;
                match kind {
                    0 => draft.add(Entry::Content { len }, hash(bytes), bytes),
                    1 => draft.add(Entry::Node { len }, hash(bytes), bytes),
                    _ => draft.add(Entry::Reference { len, ancestor: 3, ordinal: i as u32 }, hash(bytes), b""),
                }
            }
            let mut payload = Vec::new();
            let coding = draft.finish(&mut Squeezer::new(), &mut payload);
            let header = frame::header(frame::kind::BLOCK, coding, 100, &payload, 0);
            let frame = Frame::parse(&header, 0).unwrap();
            let block = Block::read(&frame, &payload, &Expander::default()).unwrap();
            for (i, (kind, bytes)) in parts.iter().enumerate() {
                prop_assert_eq!(block.index_of(100 + i as u32), Some(i));
                prop_assert_eq!(block.entry(i).unwrap().1, hash(bytes));
                if *kind < 2 {
                    prop_assert_eq!(block.bytes(i), bytes.as_slice());
                }
            }
            prop_assert_eq!(block.index_of(99), None);
            prop_assert_eq!(block.index_of(100 + parts.len() as u32), None);
        }

        #[test]
        fn garbage_is_an_error(payload in prop::collection::vec(any::<u8>(), 0..200)) {
            let header = frame::header(frame::kind::BLOCK, 0, 0, &payload, 0);
            let frame = Frame::parse(&header, 0).unwrap();
            let _ = Block::read(&frame, &payload, &Expander::default());
        }
    }
}
