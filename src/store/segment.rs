//! A segment: the records of a run's exchanges, in the order in which they were finished.

use super::append::{AppendFile, Sink};
use super::coding::{self, LEARNED, PLAIN};
use super::frame::{self, Found, Frame, Scan, kind};
use super::segment_index::SegmentIndex;
use super::{StoreError, sealed};
use crate::exchange::ExchangeId;
use std::fs::File;
use std::path::{Path, PathBuf};

/// Writes a segment.
pub struct SegmentWriter {
    file: AppendFile,
    index: SegmentIndex,
}

impl SegmentWriter {
    /// Begins a segment in an empty file.
    pub fn new(path: PathBuf, sink: Box<dyn Sink>) -> SegmentWriter {
        SegmentWriter { file: AppendFile::new(path, sink), index: SegmentIndex::default() }
    }

    /// The file.
    pub fn file(&mut self) -> &mut AppendFile {
        &mut self.file
    }

    /// Exchanges so far.
    pub fn exchanges(&self) -> usize {
        self.index.exchanges().len()
    }

    /// Adds a record; `fill` appends its payload and says in which coding.
    ///
    /// # Errors
    /// When it is larger than a frame can be.
    pub fn put(
        &mut self,
        kind: u8,
        id: ExchangeId,
        fill: impl FnOnce(&mut Vec<u8>) -> u8,
    ) -> Result<(), StoreError> {
        let (open, buffer) = self.file.open();
        let coding = fill(buffer);
        let offset = self.file.close(open, kind, coding, id.0)?;
        self.index.note(kind, id.0, offset);
        Ok(())
    }

    /// Adds a copy of the run's dictionary, so that damage to the pack's does not cost the records.
    ///
    /// # Errors
    /// When it is larger than a frame can be.
    pub fn put_dictionary(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let mut squeezed = Vec::new();
        let coding = coding::squeeze_alone(bytes, &mut squeezed);
        let offset = self.file.push(kind::DICTIONARY, coding, u32::from(LEARNED), &squeezed)?;
        self.index.dictionaries.push(offset);
        Ok(())
    }

    /// Adds the footer and writes what waits.
    ///
    /// # Errors
    /// When it could not be written.
    pub fn seal(&mut self) -> Result<(), StoreError> {
        self.file.push_footer(&self.index.encode())?;
        self.file.write()
    }

    /// Drops what waits; the index forgets it too.
    pub fn abandon(&mut self) {
        self.file.forget();
        self.index.forget_from(self.file.end());
    }
}

/// Reads a segment.
#[derive(Debug)]
pub struct SegmentReader {
    path: PathBuf,
    file: File,
    /// Where everything is.
    pub index: SegmentIndex,
    scanned: u64,
    sealed: bool,
    tail: Option<u64>,
    damage: Vec<String>,
}

impl SegmentReader {
    /// Opens a segment: by its footer if it has one, else by scanning its headers.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn open(path: &Path) -> Result<SegmentReader, StoreError> {
        let file = File::open(path).map_err(StoreError::io(path))?;
        let mut reader = SegmentReader {
            path: path.to_path_buf(),
            file,
            index: SegmentIndex::default(),
            scanned: 0,
            sealed: false,
            tail: None,
            damage: Vec::new(),
        };
        let footer = sealed::footer(&reader.file).map_err(StoreError::io(path))?;
        match footer.as_deref().and_then(SegmentIndex::decode) {
            Some(index) => {
                reader.index = index;
                reader.sealed = true;
            }
            None => reader.scan()?,
        }
        Ok(reader)
    }

    /// True when it has a footer.
    pub fn is_sealed(&self) -> bool {
        self.sealed
    }

    /// Looks for records that were added since.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn refresh(&mut self) -> Result<(), StoreError> {
        if self.sealed { Ok(()) } else { self.scan() }
    }

    fn scan(&mut self) -> Result<(), StoreError> {
        let io = StoreError::io(&self.path);
        let end = self.file.metadata().map_err(&io)?.len();
        let mut scan = Scan::new(&self.file, self.scanned, end);
        self.tail = None;
        while let Some(found) = scan.next().map_err(&io)? {
            match found {
                Found::Frame(frame) => {
                    self.scanned = frame.end();
                    let payload = scan.payload(&frame).map_err(&io)?;
                    if !frame.holds(&payload) {
                        self.damage.push(bad_payload(&self.path, &frame));
                        continue;
                    }
                    match frame.kind {
                        kind::DICTIONARY => self.index.dictionaries.push(frame.offset),
                        kind::REQUEST | kind::RESPONSE => {
                            self.index.note(frame.kind, frame.tag, frame.offset)
                        }
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
        Ok(())
    }

    /// What could not be read so far, in words. A torn tail is none while somebody may still be writing it.
    pub fn damage(&self, being_written: bool) -> Vec<String> {
        let tail = self.tail.filter(|_| !being_written).map(|from| torn(&self.path, from));
        self.damage.iter().cloned().chain(tail).collect()
    }

    /// The frame at an offset, and its payload, verified.
    ///
    /// # Errors
    /// When it cannot be read, or is not what was written.
    pub fn frame(&self, offset: u64) -> Result<(Frame, Vec<u8>), StoreError> {
        frame_at(&self.path, &self.file, offset)
    }

    /// The dictionaries that can be read: number and bytes.
    pub fn dictionaries(&self) -> Vec<(u8, Vec<u8>)> {
        self.index.dictionaries.iter().filter_map(|&at| dictionary(&self.frame(at).ok()?)).collect()
    }

    /// Checks every frame; returns what is wrong with them, in words.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn verify(&self) -> Result<Vec<String>, StoreError> {
        verify(&self.path, &self.file)
    }
}

/// Checks every frame of a file; returns what is wrong with them, in words.
///
/// # Errors
/// When the file cannot be read.
pub fn verify(path: &Path, file: &File) -> Result<Vec<String>, StoreError> {
    let io = StoreError::io(path);
    let mut scan = Scan::new(file, 0, file.metadata().map_err(&io)?.len());
    let mut wrong = Vec::new();
    while let Some(found) = scan.next().map_err(&io)? {
        match found {
            Found::Frame(frame) if frame.holds(&scan.payload(&frame).map_err(&io)?) => {}
            Found::Frame(frame) => wrong.push(bad_payload(path, &frame)),
            Found::Gap { from, to } => wrong.push(gap(path, from, to)),
            Found::Tail { from } => wrong.push(torn(path, from)),
        }
    }
    Ok(wrong)
}

/// Number and bytes of a dictionary's frame.
pub fn dictionary((frame, payload): &(Frame, Vec<u8>)) -> Option<(u8, Vec<u8>)> {
    let number = u8::try_from(frame.tag).ok().filter(|_| frame.kind == kind::DICTIONARY)?;
    let alone = coding::Expander::default();
    let bytes =
        if frame.coding == PLAIN { payload.clone() } else { alone.expand(frame.coding, payload).ok()? };
    Some((number, bytes))
}

/// How much is read at first; most frames are shorter.
const GUESS: usize = 4096;

/// The frame at an offset of a file, and its payload, verified.
///
/// # Errors
/// When it cannot be read, or is not what was written.
pub fn frame_at(path: &Path, file: &File, offset: u64) -> Result<(Frame, Vec<u8>), StoreError> {
    let damaged = |what: String| StoreError::Damaged { path: path.to_path_buf(), what };
    let mut bytes = frame::read_up_to(file, offset, GUESS).map_err(StoreError::io(path))?;
    let frame = Frame::parse(&bytes, offset).ok_or_else(|| {
        damaged(format!("there is no readable frame at byte {offset}, where one should be"))
    })?;
    let len = frame.len as usize;
    bytes.drain(..frame::HEADER);
    if bytes.len() >= len {
        bytes.truncate(len);
    } else {
        let end = file.metadata().map_err(StoreError::io(path))?.len();
        if frame.end() > end {
            return Err(damaged(format!("the frame at byte {offset} is cut off")));
        }
        bytes = frame::read_at(file, frame.payload_at(), len).map_err(StoreError::io(path))?;
    }
    if !frame.holds(&bytes) {
        return Err(damaged(format!(
            "the checksum of the frame at byte {offset} does not match ({len} bytes)"
        )));
    }
    Ok((frame, bytes))
}

/// In words: a payload is not what was written.
pub fn bad_payload(path: &Path, frame: &Frame) -> String {
    let what = match frame.kind {
        kind::REQUEST => format!("the request of exchange x{}", frame.tag),
        kind::RESPONSE => format!("the response of exchange x{}", frame.tag),
        kind::BLOCK => format!("body parts from {} on", frame.tag),
        kind::DICTIONARY => format!("dictionary {}", frame.tag),
        kind::FOOTER | kind::TRAILER => "the footer".to_string(),
        other => format!("a frame of kind {other}"),
    };
    format!("{}: {what} at byte {} is damaged ({} bytes)", path.display(), frame.offset, frame.len)
}

/// In words: bytes that are no frame.
pub fn gap(path: &Path, from: u64, to: u64) -> String {
    format!("{}: {} bytes at byte {from} are damaged and were skipped", path.display(), to - from)
}

/// In words: the file ends inside a frame.
pub fn torn(path: &Path, from: u64) -> String {
    format!("{}: cut off inside a record at byte {from}; everything before it is whole", path.display())
}
