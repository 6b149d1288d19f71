//! The spans and log records of a run: exports as they came, redacted, in a file of their own.
//!
//! ```text
//! runs/refund.1/
//!   spans.seg    frames: kind TRACES or LOGS, the export in OTLP's protobuf, compressed; the tag counts what is in it;
//!                behind each of spans one of kind CLAIMS: what they claim, to be read instead of them
//! ```
//!
//! Nothing of it is needed to replay the run: the file may be missing or damaged.

use super::append::AppendFile;
use super::frame::{Found, Frame, Scan, kind, read_at};
use super::{StoreError, coding};
use crate::otlp::proto::{Logs, Traces};
use crate::otlp::{Batch, Encoding, Signal};
use crate::span::claims::{Claims, row};
use crate::span::spans;
use prost::Message;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Name of the file.
pub const SPANS: &str = "spans.seg";
/// Of so many exports the claims are read by several threads.
const MANY: usize = 32;
const MOST_THREADS: usize = 4;

/// Where the claims of one export are found: they, else the spans that make them.
#[derive(Clone, Copy)]
enum Export {
    Spans(Frame),
    Claims(Frame),
    Both { spans: Frame, claims: Frame },
}

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
        self.add(kind, &bytes, batch.len())?;
        if let Batch::Traces(traces) = batch {
            let claims = claims_of(traces);
            self.add(kind::CLAIMS, &row::write(&claims), claims.len())?;
        }
        self.file.write()
    }

    fn add(&mut self, kind: u8, bytes: &[u8], count: usize) -> Result<(), StoreError> {
        let (open, buffer) = self.file.open();
        let coding = self.squeezer.squeeze(bytes, buffer);
        self.file.close(open, kind, coding, u32::try_from(count).unwrap_or(u32::MAX))?;
        Ok(())
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
        let expander = coding::Expander::default();
        let mut damaged = 0;
        self.frames(|file, frame| {
            let Some(frame) = frame else {
                damaged += 1;
                return Ok(());
            };
            let Some(signal) = signal_of(&frame) else { return Ok(()) };
            match self.bytes(file, &frame, &expander)?.and_then(|bytes| batch(signal, &bytes)) {
                Some(batch) => take(batch),
                None => damaged += 1,
            }
            Ok(())
        })?;
        Ok(damaged)
    }

    /// What all spans claim, export by export in the order in which they came; what is damaged is left out.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn claims(&self) -> Result<Vec<Vec<Claims>>, StoreError> {
        let mut exports: Vec<Export> = Vec::new();
        self.frames(|_, frame| {
            let before = exports.last().copied();
            match (frame, before) {
                (Some(spans), _) if spans.kind == kind::TRACES => exports.push(Export::Spans(spans)),
                (Some(claims), Some(Export::Spans(spans))) if claims.kind == kind::CLAIMS => {
                    exports.pop();
                    exports.push(Export::Both { spans, claims });
                }
                (Some(claims), _) if claims.kind == kind::CLAIMS => exports.push(Export::Claims(claims)),
                _ => {}
            }
            Ok(())
        })?;
        let Some(file) = &self.file else { return Ok(Vec::new()) };
        let read = |exports: &[Export]| -> Result<Vec<Vec<Claims>>, StoreError> {
            let expander = coding::Expander::default();
            exports.iter().map(|export| self.claims_in(file, export, &expander)).collect()
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        if exports.len() < MANY || threads == 1 {
            return read(&exports);
        }
        std::thread::scope(|scope| {
            let parts = exports.chunks(exports.len().div_ceil(threads.min(MOST_THREADS)));
            let spawn = |part| std::thread::Builder::new().spawn_scoped(scope, move || read(part));
            let parts: Vec<_> =
                parts.map(spawn).collect::<Result<_, _>>().map_err(StoreError::io(&self.path))?;
            let mut all = Vec::with_capacity(exports.len());
            for part in parts {
                all.extend(part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
            }
            Ok(all)
        })
    }

    fn claims_in(
        &self,
        file: &File,
        export: &Export,
        expander: &coding::Expander,
    ) -> Result<Vec<Claims>, StoreError> {
        let (spans, claims) = match export {
            Export::Spans(spans) => (Some(spans), None),
            Export::Claims(claims) => (None, Some(claims)),
            Export::Both { spans, claims } => (Some(spans), Some(claims)),
        };
        if let Some(frame) = claims
            && let Some(claims) = self.bytes(file, frame, expander)?.and_then(|bytes| row::read(&bytes))
        {
            return Ok(claims);
        }
        let Some(frame) = spans else { return Ok(Vec::new()) };
        let bytes = self.bytes(file, frame, expander)?;
        Ok(match bytes.and_then(|bytes| batch(Signal::Traces, &bytes)) {
            Some(Batch::Traces(traces)) => claims_of(&traces),
            _ => Vec::new(),
        })
    }

    /// Hands every frame to `take`; none for a gap between them.
    fn frames(
        &self,
        mut take: impl FnMut(&File, Option<Frame>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let Some(file) = &self.file else { return Ok(()) };
        let io = StoreError::io(&self.path);
        let end = file.metadata().map_err(&io)?.len();
        let mut scan = Scan::new(file, 0, end);
        while let Some(found) = scan.next().map_err(&io)? {
            match found {
                Found::Frame(frame) => take(file, Some(frame))?,
                Found::Gap { .. } | Found::Tail { .. } => take(file, None)?,
            }
        }
        Ok(())
    }

    /// What a frame holds; none when it is damaged.
    fn bytes(
        &self,
        file: &File,
        frame: &Frame,
        expander: &coding::Expander,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let payload =
            read_at(file, frame.payload_at(), frame.len as usize).map_err(StoreError::io(&self.path))?;
        Ok(frame.holds(&payload).then(|| expander.expand(frame.coding, &payload).ok()).flatten())
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

/// What is exported in a frame; none for claims, and for kinds of a later version.
fn signal_of(frame: &Frame) -> Option<Signal> {
    match frame.kind {
        kind::TRACES => Some(Signal::Traces),
        kind::LOGS => Some(Signal::Logs),
        _ => None,
    }
}

fn batch(signal: Signal, bytes: &[u8]) -> Option<Batch> {
    Batch::read(signal, Encoding::Protobuf, bytes).ok()
}

fn claims_of(traces: &Traces) -> Vec<Claims> {
    spans(traces).iter().map(Claims::of).collect()
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
        writer.put(&batch("b", 5)).unwrap();
        let first = frames(directory.path())[0].end();
        let file = File::options().write(true).open(directory.path().join(SPANS)).unwrap();
        file.write_all_at(b"!", first - 1).unwrap();
        let mut read = Vec::new();
        let damaged = SpanReader::open(directory.path()).unwrap().each(|batch| read.push(batch)).unwrap();
        assert_eq!((read, damaged), (vec![batch("b", 5)], 1));
    }

    /// Claims of the spans as they would be read from the exports.
    fn claimed(directory: &Path) -> Vec<Claims> {
        claims_of(&SpanReader::open(directory).unwrap().all().unwrap().0)
    }

    /// Every frame of the file.
    fn frames(directory: &Path) -> Vec<Frame> {
        let mut all = Vec::new();
        let reader = SpanReader::open(directory).unwrap();
        let keep = |_: &File, frame| {
            all.extend(frame);
            Ok(())
        };
        reader.frames(keep).unwrap();
        all
    }

    #[test]
    fn claims_are_those_of_the_exports_whatever_is_missing() {
        let directory = tempfile::tempdir().unwrap();
        let mut writer = SpanWriter::new(directory.path()).unwrap();
        let names = ["a", "b", "c"];
        names.iter().for_each(|name| writer.put(&batch(name, 2)).unwrap());
        let path = directory.path().join(SPANS);
        let whole = std::fs::read(&path).unwrap();
        let wanted = claimed(directory.path());
        assert_eq!(
            wanted.iter().map(|of| of.name.as_str()).collect::<Vec<_>>(),
            ["a", "a", "b", "b", "c", "c"]
        );
        let claims = || SpanReader::open(directory.path()).unwrap().claims().unwrap().concat();
        assert_eq!(claims(), wanted);
        let all = frames(directory.path());
        assert_eq!(all.len(), 6);
        for frame in &all {
            // Of either half of a pair the other is enough.
            let mut damaged = whole.clone();
            damaged[frame.end() as usize - 1] ^= 1;
            std::fs::write(&path, &damaged).unwrap();
            assert_eq!(claims(), wanted, "{frame:?}");
        }
        // An earlier version kept no claims, and a crash may lose the last of them.
        std::fs::write(&path, &whole[..all[5].offset as usize]).unwrap();
        assert_eq!(claims(), wanted);
        std::fs::write(&path, &whole[..all[1].offset as usize]).unwrap();
        assert_eq!(claims(), wanted[..2]);
    }
}
