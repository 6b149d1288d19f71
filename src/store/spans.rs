//! The spans and log records of a run: exports as they came, redacted, in a file of their own.
//!
//! ```text
//! runs/refund.1/
//!   spans.seg    frames: kind TRACES or LOGS, the export in OTLP's protobuf, compressed; the tag counts what is in it
//! ```
//!
//! Nothing of it is needed to replay the run: the file may be missing or damaged.

use super::append::AppendFile;
use super::frame::{Found, Scan, kind, read_at};
use super::{StoreError, coding};
use crate::otlp::proto::{Logs, Traces};
use crate::otlp::{Batch, Encoding, Signal};
use prost::Message;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Name of the file.
pub const SPANS: &str = "spans.seg";

/// Adds exports to a run.
pub struct SpanWriter {
    file: AppendFile,
    squeezer: coding::Squeezer,
}

impl SpanWriter {
    /// Begins the file of the run in `directory`.
    ///
    /// # Errors
    /// When it is there already or cannot be made.
    pub fn new(directory: &Path) -> Result<SpanWriter, StoreError> {
        SpanWriter::open(directory, File::options().append(true).create_new(true))
    }

    /// Goes on with the file of a run that was sealed, which begins if there is none.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn append(directory: &Path) -> Result<SpanWriter, StoreError> {
        SpanWriter::open(directory, File::options().append(true).create(true))
    }

    fn open(directory: &Path, options: &mut OpenOptions) -> Result<SpanWriter, StoreError> {
        let path = directory.join(SPANS);
        let io = StoreError::io(&path);
        let file = options.mode(0o600).open(&path).map_err(&io)?;
        let written = file.metadata().map_err(&io)?.len();
        let file = AppendFile::behind(path.clone(), Box::new(file), written);
        Ok(SpanWriter { file, squeezer: coding::Squeezer::new() })
    }

    /// Adds an export; it has passed `write(2)` when this returns.
    ///
    /// # Errors
    /// When it could not be written. The file is as it was then.
    pub fn put(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let (kind, bytes) = match batch {
            Batch::Traces(traces) => (kind::TRACES, traces.encode_to_vec()),
            Batch::Logs(logs) => (kind::LOGS, logs.encode_to_vec()),
            Batch::Metrics => return Ok(()),
        };
        let count = u32::try_from(batch.len()).unwrap_or(u32::MAX);
        let (open, buffer) = self.file.open();
        let coding = self.squeezer.squeeze(&bytes, buffer);
        self.file.close(open, kind, coding, count)?;
        self.file.write()
    }

    /// Waits until everything would survive a power failure.
    ///
    /// # Errors
    /// When the system says that it may not.
    pub fn sync(&mut self) -> Result<(), StoreError> {
        self.file.sync()
    }
}

/// Reads the exports of a run, in the order in which they came.
pub struct SpanReader {
    path: PathBuf,
    file: Option<File>,
}

impl SpanReader {
    /// Opens the file of the run in `directory`. A run without one has no exports.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn open(directory: &Path) -> Result<SpanReader, StoreError> {
        let path = directory.join(SPANS);
        match File::open(&path) {
            Ok(file) => Ok(SpanReader { path, file: Some(file) }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(SpanReader { path, file: None }),
            Err(error) => Err(StoreError::io(&path)(error)),
        }
    }

    /// True when the run has no exports.
    pub fn is_empty(&self) -> bool {
        self.file.as_ref().and_then(|file| file.metadata().ok()).is_none_or(|about| about.len() == 0)
    }

    /// Hands every export to `take`; what is damaged is left out. Returns how many frames that were.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn each(&self, mut take: impl FnMut(Batch)) -> Result<usize, StoreError> {
        let Some(file) = &self.file else { return Ok(0) };
        let io = StoreError::io(&self.path);
        let end = file.metadata().map_err(&io)?.len();
        let mut scan = Scan::new(file, 0, end);
        let expander = coding::Expander::default();
        let mut damaged = 0;
        while let Some(found) = scan.next().map_err(&io)? {
            let Found::Frame(frame) = found else {
                damaged += 1;
                continue;
            };
            let signal = match frame.kind {
                kind::TRACES => Signal::Traces,
                kind::LOGS => Signal::Logs,
                // Of a later version.
                _ => continue,
            };
            let payload = read_at(file, frame.payload_at(), frame.len as usize).map_err(&io)?;
            let batch = frame
                .holds(&payload)
                .then(|| expander.expand(frame.coding, &payload).ok())
                .flatten()
                .and_then(|bytes| Batch::read(signal, Encoding::Protobuf, &bytes).ok());
            match batch {
                Some(batch) => take(batch),
                None => damaged += 1,
            }
        }
        Ok(damaged)
    }

    /// All spans' exports, then all logs'.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn all(&self) -> Result<(Traces, Logs), StoreError> {
        let (mut traces, mut logs) = (Traces::default(), Logs::default());
        self.each(|batch| match batch {
            Batch::Traces(mut more) => traces.resource_spans.append(&mut more.resource_spans),
            Batch::Logs(mut more) => logs.resource_logs.append(&mut more.resource_logs),
            Batch::Metrics => {}
        })?;
        Ok((traces, logs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::otlp::proto::{ResourceSpans, ScopeSpans, Span};
    use std::os::unix::fs::FileExt;

    fn batch(name: &str, spans: usize) -> Batch {
        let span = Span { name: name.into(), trace_id: vec![1; 16], span_id: vec![2; 8], ..Span::default() };
        let scope_spans = vec![ScopeSpans { spans: vec![span; spans], ..ScopeSpans::default() }];
        Batch::Traces(Traces {
            resource_spans: vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }],
        })
    }

    #[test]
    fn what_was_put_is_read_in_order_while_more_is_written() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(SpanReader::open(directory.path()).unwrap().all().unwrap(), Default::default());
        let mut writer = SpanWriter::new(directory.path()).unwrap();
        let mut wanted = Vec::new();
        for (name, spans) in [("a", 1), ("b", 300), ("c", 0)] {
            writer.put(&batch(name, spans)).unwrap();
            wanted.push(batch(name, spans));
            let mut read = Vec::new();
            let damaged = SpanReader::open(directory.path()).unwrap().each(|batch| read.push(batch)).unwrap();
            assert_eq!((read, damaged), (wanted.clone(), 0));
        }
    }

    #[test]
    fn a_damaged_export_costs_itself_alone() {
        let directory = tempfile::tempdir().unwrap();
        let mut writer = SpanWriter::new(directory.path()).unwrap();
        writer.put(&batch("a", 5)).unwrap();
        let first = std::fs::metadata(directory.path().join(SPANS)).unwrap().len();
        writer.put(&batch("b", 5)).unwrap();
        let file = File::options().write(true).open(directory.path().join(SPANS)).unwrap();
        file.write_all_at(b"!", first - 1).unwrap();
        let mut read = Vec::new();
        let damaged = SpanReader::open(directory.path()).unwrap().each(|batch| read.push(batch)).unwrap();
        assert_eq!((read, damaged), (vec![batch("b", 5)], 1));
    }
}
