//! The writing side of a pack: parts of bodies, each stored once.

use super::append::{AppendFile, Sink};
use super::block::{BlockDraft, Entry, PartHash, hash};
use super::coding::{self, LEARNED, STARTER, STARTER_BYTES, Squeezer, Trainer};
use super::frame::kind;
use super::varint::put;
use super::{PartId, StoreError, list};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::PathBuf;

/// A block is closed when it holds this many bytes.
const BLOCK: usize = 64 * 1024;
/// A shorter part costs less than a reference to it.
const WORTH_SHARING: usize = 8;

/// A run whose parts another run refers to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Ancestor {
    /// Its name in the store when the reference was made; a hint.
    pub run: String,
    /// Its uuid.
    pub uuid: String,
}

/// What a sealed pack says about itself.
#[derive(Debug, Default, Clone)]
pub struct PackFooter {
    /// First ordinal and offset of each block, ascending.
    pub blocks: Vec<(u32, u64)>,
    /// One more than the highest ordinal.
    pub parts: u32,
    /// Offsets of the frames that are neither blocks nor footer.
    pub others: Vec<u64>,
}

impl PackFooter {
    /// As it stands in the footer's payload.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.blocks.len() * 4 + 16);
        put(&mut out, u64::from(self.parts));
        put(&mut out, self.others.len() as u64);
        for &offset in &self.others {
            put(&mut out, offset);
        }
        put(&mut out, self.blocks.len() as u64);
        let mut before = (0, 0);
        for &(first, offset) in &self.blocks {
            put(&mut out, u64::from(first - before.0));
            put(&mut out, offset - before.1);
            before = (first, offset);
        }
        out
    }

    /// Reads a footer; none when it makes no sense.
    pub fn decode(bytes: &[u8]) -> Option<PackFooter> {
        let mut cursor = super::varint::Cursor(bytes);
        let parts = cursor.small()?;
        let count = cursor.number()?;
        if count > bytes.len() as u64 {
            return None;
        }
        let others = (0..count).map(|_| cursor.number()).collect::<Option<Vec<u64>>>()?;
        let count = cursor.number()?;
        if count > bytes.len() as u64 {
            return None;
        }
        let mut blocks = Vec::with_capacity(count as usize);
        let mut at = (0u32, 0u64);
        for _ in 0..count {
            at = (at.0.checked_add(cursor.small()?)?, at.1.checked_add(cursor.number()?)?);
            blocks.push(at);
        }
        Some(PackFooter { blocks, parts, others })
    }
}

/// Writes a pack.
pub struct PackWriter {
    file: AppendFile,
    footer: PackFooter,
    draft: BlockDraft,
    squeezer: Squeezer,
    trainer: Trainer,
    contents: HashMap<PartHash, u32>,
    nodes: HashMap<PartHash, u32>,
    ancestors: Vec<Ancestor>,
    shared: HashMap<PartHash, (u32, u32)>,
    refused: Option<StoreError>,
}

impl PackWriter {
    /// Begins a pack in an empty file.
    pub fn new(path: PathBuf, sink: Box<dyn Sink>) -> PackWriter {
        let mut writer = PackWriter {
            file: AppendFile::new(path, sink),
            footer: PackFooter::default(),
            draft: BlockDraft::default(),
            squeezer: Squeezer::new(),
            trainer: Trainer::new(),
            contents: HashMap::new(),
            nodes: HashMap::new(),
            ancestors: Vec::new(),
            shared: HashMap::new(),
            refused: None,
        };
        writer.add_dictionary(STARTER, STARTER_BYTES);
        writer
    }

    /// The file.
    pub fn file(&mut self) -> &mut AppendFile {
        &mut self.file
    }

    /// Compresses something that does not go into the pack, with the run's dictionary.
    pub fn squeeze(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> u8 {
        self.trainer.show(bytes);
        self.squeezer.squeeze(bytes, out)
    }

    /// From now on a part that `ancestor` holds under this ordinal is referred to.
    pub fn share(&mut self, ancestor: &Ancestor, parts: impl IntoIterator<Item = (PartHash, u32)>) {
        let number = match self.ancestors.iter().position(|a| a.uuid == ancestor.uuid) {
            Some(at) => at as u32,
            None => {
                self.ancestors.push(ancestor.clone());
                let number = self.ancestors.len() as u32 - 1;
                let json = serde_json::to_vec(ancestor).unwrap_or_default();
                self.push_other(kind::ANCESTOR, coding::PLAIN, number, &json);
                number
            }
        };
        self.shared.extend(parts.into_iter().map(|(hash, ordinal)| (hash, (number, ordinal))));
    }

    /// Adds a part unless it is there already.
    pub fn put_part(&mut self, bytes: &[u8]) -> PartId {
        let hash = hash(bytes);
        if let Some(&known) = self.contents.get(&hash) {
            return PartId(known);
        }
        let Ok(len) = u32::try_from(bytes.len()) else {
            let text =
                format!("{}: a body of {} bytes is more than retake records", self.path_text(), bytes.len());
            self.refuse(StoreError::Refused(text));
            return PartId(0);
        };
        let ordinal = match self.shared.get(&hash) {
            Some(&(ancestor, ordinal)) if bytes.len() > WORTH_SHARING => {
                self.add(Entry::Reference { len, ancestor, ordinal }, hash, b"")
            }
            _ => self.add(Entry::Content { len }, hash, bytes),
        };
        self.contents.insert(hash, ordinal);
        PartId(ordinal)
    }

    /// Adds the list of a body's parts. A body of one part needs none.
    pub fn put_list(&mut self, parts: &[PartId]) -> PartId {
        if let [only] = parts {
            return *only;
        }
        let ordinals: Vec<u32> = parts.iter().map(|p| p.0).collect();
        PartId(list::build(&ordinals, |node| {
            let hash = hash(node);
            if let Some(&known) = self.nodes.get(&hash) {
                return known;
            }
            let ordinal = self.add(Entry::Node { len: node.len() as u32 }, hash, node);
            self.nodes.insert(hash, ordinal);
            ordinal
        }))
    }

    fn add(&mut self, entry: Entry, hash: PartHash, bytes: &[u8]) -> u32 {
        let ordinal = self.footer.parts;
        let Some(next) = ordinal.checked_add(1) else {
            let text = format!("{}: a run cannot hold more than {} parts", self.path_text(), u32::MAX);
            self.refuse(StoreError::Refused(text));
            return 0;
        };
        self.footer.parts = next;
        self.draft.add(entry, hash, bytes);
        if self.draft.data().len() >= BLOCK {
            self.close_block();
        }
        ordinal
    }

    /// Ends the block, so that the next part begins another: damage to one frame then costs one exchange.
    pub fn close_block(&mut self) {
        if self.draft.is_empty() {
            return;
        }
        self.trainer.show(self.draft.data());
        let first = self.footer.parts - self.draft.len() as u32;
        let (open, buffer) = self.file.open();
        let coding = self.draft.finish(&mut self.squeezer, buffer);
        match self.file.close(open, kind::BLOCK, coding, first) {
            Ok(offset) => self.footer.blocks.push((first, offset)),
            Err(error) => self.refuse(error),
        }
    }

    /// The dictionary of this run, at the moment it is ready; it is used from then on.
    pub fn take_dictionary(&mut self) -> Option<Vec<u8>> {
        let dictionary = self.trainer.ready()?;
        self.add_dictionary(LEARNED, &dictionary);
        Some(dictionary)
    }

    fn add_dictionary(&mut self, number: u8, bytes: &[u8]) {
        let mut squeezed = Vec::new();
        let coding = coding::squeeze_alone(bytes, &mut squeezed);
        self.push_other(kind::DICTIONARY, coding, u32::from(number), &squeezed);
        self.squeezer.learn(number, bytes);
    }

    fn push_other(&mut self, kind: u8, coding: u8, tag: u32, payload: &[u8]) {
        match self.file.push(kind, coding, tag, payload) {
            Ok(offset) => self.footer.others.push(offset),
            Err(error) => self.refuse(error),
        }
    }

    fn refuse(&mut self, error: StoreError) {
        self.refused.get_or_insert(error);
    }

    fn path_text(&self) -> String {
        self.file.path().display().to_string()
    }

    /// Writes what waits.
    ///
    /// # Errors
    /// When it could not be written, or something could not be added since the last time.
    pub fn write(&mut self) -> Result<(), StoreError> {
        self.close_block();
        match self.refused.take() {
            Some(error) => Err(error),
            None => self.file.write(),
        }
    }

    /// Adds the footer and writes what waits.
    ///
    /// # Errors
    /// See [`PackWriter::write`].
    pub fn seal(&mut self) -> Result<(), StoreError> {
        self.close_block();
        self.file.push_footer(&self.footer.encode())?;
        self.write()
    }

    /// Drops what waits and what it knows: after a failed write no part of it is there.
    pub fn abandon(&mut self) {
        self.file.forget();
        self.draft = BlockDraft::default();
        self.contents = HashMap::new();
        self.nodes = HashMap::new();
        self.shared = HashMap::new();
        let end = self.file.end();
        self.footer.blocks.retain(|b| b.1 < end);
        self.footer.others.retain(|&o| o < end);
    }
}

#[cfg(test)]
impl PackWriter {
    /// Waits for a dictionary that is being trained.
    pub fn wait_for_dictionary(&mut self) -> Option<Vec<u8>> {
        while matches!(self.trainer, Trainer::Training(_)) {
            if let Some(dictionary) = self.take_dictionary() {
                return Some(dictionary);
            }
            std::thread::yield_now();
        }
        None
    }
}
