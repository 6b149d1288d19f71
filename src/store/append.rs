//! A file that grows by whole frames.

use super::{StoreError, frame};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Buffers longer than this are given back after they were written.
const KEEP: usize = 1 << 20;

/// What an [`AppendFile`] writes to: a file, or in tests something that fails.
pub trait Sink: Send {
    /// Appends all bytes.
    ///
    /// # Errors
    /// When not all of them could be written.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Waits until they would survive a power failure.
    ///
    /// # Errors
    /// When the system says that they may not.
    fn sync(&mut self) -> io::Result<()>;
    /// Cuts the file.
    ///
    /// # Errors
    /// When the system refuses.
    fn cut(&mut self, len: u64) -> io::Result<()>;
}

impl Sink for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }
    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }
}

/// Frames that were written, and frames that wait for the next write.
pub struct AppendFile {
    path: PathBuf,
    sink: Box<dyn Sink>,
    written: u64,
    pending: Vec<u8>,
}

/// A frame whose payload is being appended.
#[must_use]
pub struct OpenFrame(usize);

impl AppendFile {
    /// Appends to `sink`, which is empty and is the file at `path`.
    pub fn new(path: PathBuf, sink: Box<dyn Sink>) -> AppendFile {
        AppendFile { path, sink, written: 0, pending: Vec::new() }
    }

    /// Appends to `sink`, which is the file at `path` and has `written` bytes.
    pub fn behind(path: PathBuf, sink: Box<dyn Sink>, written: u64) -> AppendFile {
        AppendFile { path, sink, written, pending: Vec::new() }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the next frame will begin.
    pub fn end(&self) -> u64 {
        self.written + self.pending.len() as u64
    }

    /// Begins a frame; its payload is what is appended to the returned buffer until [`AppendFile::close`].
    pub fn open(&mut self) -> (OpenFrame, &mut Vec<u8>) {
        let begin = OpenFrame(self.pending.len());
        self.pending.extend_from_slice(&[0; frame::HEADER]);
        (begin, &mut self.pending)
    }

    /// Ends a frame; returns its offset. A payload of 4 GiB and more is an error.
    ///
    /// # Errors
    /// [`StoreError::Refused`]; the frame is gone then.
    pub fn close(&mut self, open: OpenFrame, kind: u8, coding: u8, tag: u32) -> Result<u64, StoreError> {
        let offset = self.written + open.0 as u64;
        let Some((head, payload)) =
            self.pending.get_mut(open.0..).and_then(|f| f.split_at_mut_checked(frame::HEADER))
        else {
            return Err(StoreError::Refused(format!("{}: a frame was closed twice", self.path.display())));
        };
        if u32::try_from(payload.len()).is_err() {
            let len = payload.len();
            self.pending.truncate(open.0);
            return Err(StoreError::Refused(format!(
                "{}: {len} bytes at once are more than a frame can hold (4 GiB)",
                self.path.display()
            )));
        }
        head.copy_from_slice(&frame::header(kind, coding, tag, payload, offset));
        Ok(offset)
    }

    /// Adds a whole frame; returns its offset.
    ///
    /// # Errors
    /// See [`AppendFile::close`].
    pub fn push(&mut self, kind: u8, coding: u8, tag: u32, payload: &[u8]) -> Result<u64, StoreError> {
        let (open, buffer) = self.open();
        buffer.extend_from_slice(payload);
        self.close(open, kind, coding, tag)
    }

    /// Ends the file: a footer, and a trailer that says where it is.
    ///
    /// # Errors
    /// See [`AppendFile::close`].
    pub fn push_footer(&mut self, footer: &[u8]) -> Result<(), StoreError> {
        let mut squeezed = Vec::new();
        let coding = super::coding::squeeze_alone(footer, &mut squeezed);
        let at = self.push(frame::kind::FOOTER, coding, 0, &squeezed)?;
        self.push(frame::kind::TRAILER, super::coding::PLAIN, 0, &at.to_le_bytes()).map(|_| ())
    }

    /// One write of all that waits. After a failure nothing of it is in the file.
    ///
    /// # Errors
    /// When it could not be written.
    pub fn write(&mut self) -> Result<(), StoreError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        if let Err(source) = self.sink.append(&self.pending) {
            // A torn frame would only be noted as damage, so this may fail too.
            let _ = self.sink.cut(self.written);
            self.forget();
            return Err(StoreError::Io { path: self.path.clone(), source });
        }
        self.written += self.pending.len() as u64;
        self.forget();
        Ok(())
    }

    /// Drops what waits.
    pub fn forget(&mut self) {
        self.pending.clear();
        self.pending.shrink_to(KEEP);
    }

    /// Waits until everything written would survive a power failure.
    ///
    /// # Errors
    /// When the system says that it may not.
    pub fn sync(&mut self) -> Result<(), StoreError> {
        self.sink.sync().map_err(StoreError::io(&self.path))
    }
}

#[cfg(test)]
impl AppendFile {
    /// Puts something else in the place of the file.
    pub fn replace_sink(&mut self, sink: Box<dyn Sink>) {
        self.sink = sink;
    }
}
