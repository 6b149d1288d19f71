//! Moving parts that a run refers to into the run itself.

use super::append::AppendFile;
use super::block::{BlockDraft, Entry, PartHash};
use super::coding::Squeezer;
use super::frame::kind;
use super::lock::RunLock;
use super::pack::{Ancestor, PackFooter};
use super::reader::RunFiles;
use super::run_dir::{ManifestFile, PACK};
use super::segment::dictionary;
use super::{PartId, RunReader, Store, StoreError, atomic};
use crate::run::RunId;
use bytes::Bytes;
use std::fs;
use std::path::Path;

/// What becomes of a reference.
pub enum Fate {
    /// It stays.
    Stay,
    /// The bytes come here.
    Adopted(Bytes),
    /// It refers to another run from now on.
    Moved(Ancestor, u32),
}

/// A part that a run refers to.
pub struct Referred<'a> {
    /// The part here.
    pub part: u32,
    /// The run that holds it.
    pub owner: &'a Ancestor,
    /// Its hash.
    pub hash: PartHash,
}

impl Store {
    /// Makes a run independent of the runs that it was forked from, so that its directory can be copied. Returns by
    /// how many bytes it grew.
    ///
    /// # Errors
    /// [`StoreError::Refused`] while it is being recorded; when a part cannot be read any more.
    pub fn adopt(&self, id: &RunId) -> Result<u64, StoreError> {
        let reader = self.open_run(id)?;
        let directory = reader.directory();
        let _alone = RunLock::alone(directory)?.ok_or_else(|| in_use(id))?;
        let mut failed = None;
        let grown =
            rewrite(directory, reader.files(), |referred| match reader.part(PartId(referred.part)) {
                Ok(bytes) => Fate::Adopted(bytes),
                Err(error) => {
                    failed.get_or_insert(error);
                    Fate::Stay
                }
            })?;
        match failed {
            Some(error) => Err(error),
            None => Ok(grown.max(0) as u64),
        }
    }
}

/// A run cannot be changed now.
pub fn in_use(id: &RunId) -> StoreError {
    StoreError::Refused(format!(
        "{id} is in use: it is being recorded, or a fork of it is. Wait until that has ended, or stop it"
    ))
}

/// Writes the pack of a run anew, with every reference as `decide` says. Who calls holds the run's lock alone.
/// Returns by how many bytes the pack grew.
///
/// # Errors
/// When the new pack cannot be written; the old one is as it was then.
pub fn rewrite(
    directory: &Path,
    files: &RunFiles,
    mut decide: impl FnMut(Referred<'_>) -> Fate,
) -> Result<i64, StoreError> {
    if files.pack.ancestors().is_empty() {
        return Ok(0);
    }
    let path = directory.join(PACK);
    let unfinished = atomic::unfinished(&path);
    let file = atomic::create(&unfinished).map_err(StoreError::io(&unfinished))?;
    let mut copy = Copy::new(AppendFile::new(unfinished.clone(), Box::new(file)));
    let written = copy
        .all(files, &mut decide)
        .and_then(|()| fs::rename(&unfinished, &path).map_err(StoreError::io(&path)))
        .and_then(|()| {
            let mut manifest = ManifestFile::read(directory)?;
            manifest.uses = copy.ancestors.clone();
            manifest.write(directory)
        });
    if written.is_err() {
        let _ = fs::remove_file(&unfinished);
    }
    written.map(|()| copy.file.end() as i64 - copy.before as i64)
}

struct Copy {
    file: AppendFile,
    before: u64,
    footer: PackFooter,
    ancestors: Vec<Ancestor>,
    squeezer: Squeezer,
}

impl Copy {
    fn new(file: AppendFile) -> Copy {
        Copy {
            file,
            before: 0,
            footer: PackFooter::default(),
            ancestors: Vec::new(),
            squeezer: Squeezer::new(),
        }
    }

    fn all(
        &mut self,
        files: &RunFiles,
        decide: &mut dyn FnMut(Referred<'_>) -> Fate,
    ) -> Result<(), StoreError> {
        self.before = fs::metadata(files.pack.path()).map_or(0, |m| m.len());
        for &offset in files.pack.other_offsets() {
            // What cannot be read is left out: the copy in the segment serves.
            let Ok(read) = files.pack.frame(offset) else { continue };
            if let Some((number, bytes)) = dictionary(&read) {
                self.squeezer.learn(number, &bytes);
                let at = self.file.push(kind::DICTIONARY, read.0.coding, read.0.tag, &read.1)?;
                self.footer.others.push(at);
            }
        }
        for offset in files.pack.block_offsets() {
            // Damage stays what it was: parts that are not there.
            let Ok(entries) = files.pack.entries(offset) else { continue };
            let refers = entries.entries.iter().any(|e| matches!(e, Entry::Reference { .. }));
            if refers {
                self.block(files, offset, decide)?
            } else {
                self.block_as_it_is(files, offset)?
            }
            self.footer.parts =
                self.footer.parts.max(entries.first.saturating_add(entries.entries.len() as u32));
            self.file.write()?;
        }
        self.file.push_footer(&self.footer.encode())?;
        self.file.write()?;
        self.file.sync()
    }

    fn block_as_it_is(&mut self, files: &RunFiles, offset: u64) -> Result<(), StoreError> {
        let (frame, payload) = files.pack.frame(offset)?;
        let at = self.file.push(kind::BLOCK, frame.coding, frame.tag, &payload)?;
        self.footer.blocks.push((frame.tag, at));
        Ok(())
    }

    fn block(
        &mut self,
        files: &RunFiles,
        offset: u64,
        decide: &mut dyn FnMut(Referred<'_>) -> Fate,
    ) -> Result<(), StoreError> {
        let Ok(block) = files.pack.block(offset, &files.expander) else {
            return self.block_as_it_is(files, offset);
        };
        let mut draft = BlockDraft::default();
        for index in 0..block.entries.len() {
            let Some((entry, hash)) = block.entry(index) else { continue };
            let Entry::Reference { len, ancestor: number, ordinal } = entry else {
                draft.add(entry, hash, &block.bytes(index));
                continue;
            };
            // A reference to a run without a name cannot be resolved; it is kept, so that ordinals stay what they are.
            let nameless = Ancestor { run: String::new(), uuid: String::new() };
            let owner = files.pack.ancestor(number).unwrap_or(&nameless);
            let part = block.first.saturating_add(index as u32);
            match decide(Referred { part, owner, hash }) {
                Fate::Adopted(bytes) => draft.add(Entry::Content { len: bytes.len() as u32 }, hash, &bytes),
                Fate::Stay => {
                    let ancestor = self.number_of(owner)?;
                    draft.add(Entry::Reference { len, ancestor, ordinal }, hash, b"");
                }
                Fate::Moved(owner, ordinal) => {
                    let ancestor = self.number_of(&owner)?;
                    draft.add(Entry::Reference { len, ancestor, ordinal }, hash, b"");
                }
            }
        }
        let (open, buffer) = self.file.open();
        let coding = draft.finish(&mut self.squeezer, buffer);
        let at = self.file.close(open, kind::BLOCK, coding, block.first)?;
        self.footer.blocks.push((block.first, at));
        Ok(())
    }

    fn number_of(&mut self, owner: &Ancestor) -> Result<u32, StoreError> {
        if let Some(at) = self.ancestors.iter().position(|a| a.uuid == owner.uuid) {
            return Ok(at as u32);
        }
        let number = self.ancestors.len() as u32;
        self.ancestors.push(owner.clone());
        let json = serde_json::to_vec(owner).unwrap_or_default();
        let at = self.file.push(kind::ANCESTOR, super::coding::PLAIN, number, &json)?;
        self.footer.others.push(at);
        Ok(number)
    }
}

/// The run whose directory this is, by the name that others refer to it.
pub fn as_ancestor(reader: &RunReader) -> Ancestor {
    Ancestor { run: reader.manifest().id.to_string(), uuid: reader.manifest().uuid.clone() }
}
