//! The reading side of a pack.

use super::block::{Block, Entry, PartHash};
use super::coding::Expander;
use super::frame::{Found, Frame, Scan, kind};
use super::pack::{Ancestor, PackFooter};
use super::segment::{bad_payload, dictionary, frame_at, gap, torn, verify};
use super::{StoreError, list, sealed};
use bytes::Bytes;
use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Unpacked blocks that are kept, in bytes.
const CACHE: usize = 4 << 20;

/// A part as a pack knows it.
#[derive(Debug, Clone)]
pub enum Part {
    /// Bytes of a body, verified.
    Content(Bytes),
    /// A node of a list, verified.
    Node(Bytes),
    /// Bytes that another run holds.
    Elsewhere {
        /// Number of that run in this pack.
        ancestor: u32,
        /// The part there.
        ordinal: u32,
        /// What the bytes must hash to.
        hash: PartHash,
    },
}

/// Reads a pack.
#[derive(Debug)]
pub struct PackReader {
    path: PathBuf,
    file: File,
    index: PackFooter,
    ancestors: Vec<(u32, Ancestor)>,
    scanned: u64,
    sealed: bool,
    tail: Option<u64>,
    damage: Vec<String>,
    cache: Mutex<Cache>,
}

#[derive(Debug, Default)]
struct Cache {
    blocks: HashMap<u64, Arc<Block>>,
    order: VecDeque<u64>,
    weight: usize,
}

impl PackReader {
    /// Opens a pack: by its footer if it has one, else by scanning its headers. Adds its dictionaries to `expander`.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn open(path: &Path, expander: &mut Expander) -> Result<PackReader, StoreError> {
        let file = File::open(path).map_err(StoreError::io(path))?;
        let footer =
            sealed::footer(&file).map_err(StoreError::io(path))?.as_deref().and_then(PackFooter::decode);
        let mut reader = PackReader {
            path: path.to_path_buf(),
            file,
            sealed: footer.is_some(),
            index: footer.unwrap_or_default(),
            ancestors: Vec::new(),
            scanned: 0,
            tail: None,
            damage: Vec::new(),
            cache: Mutex::default(),
        };
        if reader.sealed {
            for offset in reader.index.others.clone() {
                reader.learn(offset, expander);
            }
        } else {
            reader.scan(expander)?;
        }
        Ok(reader)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// True when it has a footer.
    pub fn is_sealed(&self) -> bool {
        self.sealed
    }

    /// Looks for blocks that were added since.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn refresh(&mut self, expander: &mut Expander) -> Result<(), StoreError> {
        if self.sealed { Ok(()) } else { self.scan(expander) }
    }

    fn scan(&mut self, expander: &mut Expander) -> Result<(), StoreError> {
        let io = StoreError::io(&self.path);
        let end = self.file.metadata().map_err(&io)?.len();
        let mut others = Vec::new();
        let mut scan = Scan::new(&self.file, self.scanned, end);
        self.tail = None;
        while let Some(found) = scan.next().map_err(&io)? {
            match found {
                Found::Frame(frame) => {
                    self.scanned = frame.end();
                    let is_end = matches!(frame.kind, kind::FOOTER | kind::TRAILER);
                    if is_end && !frame.holds(&scan.payload(&frame).map_err(&io)?) {
                        self.damage.push(bad_payload(&self.path, &frame));
                        continue;
                    }
                    match frame.kind {
                        kind::BLOCK => self.index.blocks.push((frame.tag, frame.offset)),
                        kind::DICTIONARY | kind::ANCESTOR => others.push(frame.offset),
                        kind::TRAILER => self.sealed = true,
                        _ => {}
                    }
                }
                Found::Gap { from, to } => {
                    self.scanned = to;
                    self.damage.push(gap(&self.path, from, to));
                }
                Found::Tail { from } => self.tail = Some(from),
            }
        }
        // A writer makes them ascending; a forged file need not.
        self.index.blocks.sort_unstable();
        for offset in others {
            self.index.others.push(offset);
            self.learn(offset, expander);
        }
        Ok(())
    }

    fn learn(&mut self, offset: u64, expander: &mut Expander) {
        let read = match frame_at(&self.path, &self.file, offset) {
            Ok(read) => read,
            Err(error) => return self.damage.push(error.to_string()),
        };
        if let Some((number, bytes)) = dictionary(&read) {
            expander.learn(number, &bytes);
        } else if let Some(ancestor) = ancestor(&read) {
            self.ancestors.push((read.0.tag, ancestor));
        }
    }

    /// What could not be read so far, in words. A torn tail is none while somebody may still be writing it.
    pub fn damage(&self, being_written: bool) -> Vec<String> {
        let tail = self.tail.filter(|_| !being_written).map(|from| torn(&self.path, from));
        self.damage.iter().cloned().chain(tail).collect()
    }

    /// The runs that it refers to, with their numbers.
    pub fn ancestors(&self) -> &[(u32, Ancestor)] {
        &self.ancestors
    }

    /// The run of that number.
    pub fn ancestor(&self, number: u32) -> Option<&Ancestor> {
        self.ancestors.iter().find(|a| a.0 == number).map(|a| &a.1)
    }

    /// A part, its bytes verified by their hash.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when it is not there or not what was written.
    pub fn part(&self, ordinal: u32, expander: &Expander) -> Result<Part, StoreError> {
        let missing = || self.damaged(format!("body part {ordinal} is not there"));
        let at = self.index.blocks.partition_point(|b| b.0 <= ordinal).checked_sub(1);
        let &(_, offset) = at.and_then(|i| self.index.blocks.get(i)).ok_or_else(missing)?;
        let block = self.block(offset, expander)?;
        let index = block.index_of(ordinal).ok_or_else(missing)?;
        let (entry, expected) = block.entry(index).ok_or_else(missing)?;
        if let Entry::Reference { ancestor, ordinal, .. } = entry {
            return Ok(Part::Elsewhere { ancestor, ordinal, hash: expected });
        }
        let bytes = block.verified(index).ok_or_else(|| {
            self.damaged(format!(
                "body part {ordinal}, in the block at byte {offset}, is not what was written"
            ))
        })?;
        Ok(if matches!(entry, Entry::Node { .. }) { Part::Node(bytes) } else { Part::Content(bytes) })
    }

    /// The parts of a list.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when a node of it cannot be read.
    pub fn list(&self, root: u32, expander: &Expander) -> Result<Vec<u32>, StoreError> {
        let broken = |node: u32| self.damaged(format!("part {node} is no list of parts"));
        match self.part(root, expander)? {
            Part::Content(_) | Part::Elsewhere { .. } => Ok(vec![root]),
            Part::Node(_) => list::expand(
                root,
                |node| match self.part(node, expander)? {
                    Part::Node(bytes) => Ok(bytes),
                    _ => Err(broken(node)),
                },
                broken,
            ),
        }
    }

    fn damaged(&self, what: String) -> StoreError {
        StoreError::Damaged { path: self.path.clone(), what }
    }

    /// A block with its bytes.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn block(&self, offset: u64, expander: &Expander) -> Result<Arc<Block>, StoreError> {
        let lock = || self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(block) = lock().blocks.get(&offset) {
            return Ok(block.clone());
        }
        let (frame, payload) = self.block_frame(offset)?;
        let block = Block::read(&frame, &payload, expander)
            .map_err(|what| self.damaged(format!("the block at byte {offset}: {what}")))?;
        let block = Arc::new(block);
        let mut cache = lock();
        if block.weight() < CACHE / 4 && cache.blocks.insert(offset, block.clone()).is_none() {
            cache.order.push_back(offset);
            cache.weight += block.weight();
            while cache.weight > CACHE {
                let Some(oldest) = cache.order.pop_front() else { break };
                if let Some(gone) = cache.blocks.remove(&oldest) {
                    cache.weight = cache.weight.saturating_sub(gone.weight());
                }
            }
        }
        Ok(block)
    }

    fn block_frame(&self, offset: u64) -> Result<(Frame, Vec<u8>), StoreError> {
        let (frame, payload) = frame_at(&self.path, &self.file, offset)?;
        if frame.kind != kind::BLOCK {
            return Err(self.damaged(format!("the frame at byte {offset} is no block of parts")));
        }
        Ok((frame, payload))
    }

    /// Offsets of all blocks.
    pub fn block_offsets(&self) -> impl Iterator<Item = u64> + '_ {
        self.index.blocks.iter().map(|b| b.1)
    }

    /// A block without its bytes: what it holds, and what it refers to.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn entries(&self, offset: u64) -> Result<Block, StoreError> {
        let (frame, payload) = self.block_frame(offset)?;
        let read = Block::read_entries(&frame, &payload);
        read.map(|r| r.0).map_err(|what| self.damaged(format!("the block at byte {offset}: {what}")))
    }

    /// The frame of a block as it stands, or of another frame of the pack.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn frame(&self, offset: u64) -> Result<(Frame, Vec<u8>), StoreError> {
        frame_at(&self.path, &self.file, offset)
    }

    /// Offsets of the dictionaries and ancestors.
    pub fn other_offsets(&self) -> &[u64] {
        &self.index.others
    }

    /// Checks every frame and every part; returns what is wrong, in words.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn verify(&self, expander: &Expander) -> Result<Vec<String>, StoreError> {
        let mut wrong = verify(&self.path, &self.file)?;
        for offset in self.block_offsets() {
            let Ok(block) = self.entries(offset) else { continue };
            let parts = (0..block.entries.len() as u32).map(|i| block.first.saturating_add(i));
            wrong.extend(parts.filter_map(|p| self.part(p, expander).err()).map(|e| e.to_string()));
        }
        Ok(wrong)
    }
}

/// The run that a frame names.
fn ancestor((frame, payload): &(Frame, Vec<u8>)) -> Option<Ancestor> {
    (frame.kind == kind::ANCESTOR).then(|| serde_json::from_slice(payload).ok()).flatten()
}
