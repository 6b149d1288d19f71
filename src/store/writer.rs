//! The one writer of a run.

use super::frame::kind;
use super::lock::RunLock;
use super::pack::{Ancestor, PackWriter};
use super::run_dir::{FORMAT, ManifestFile, OUTLINE, PACK, RESERVE, SEGMENT};
use super::segment::SegmentWriter;
use super::{
    BodyRef, PartId, RequestRecord, ResponseRecord, RunReader, RunTotals, StoreError, atomic, outline_file,
};
use crate::exchange::{Exchange, ExchangeId, RecordedRequest, RecordedResponse, parts};
use crate::run::{Manifest, Outline, RunState};
use serde::Serialize;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Enough for the manifest and the footers of some thousand exchanges.
const RESERVE_SIZE: usize = 64 * 1024;

/// The one writer of a run.
pub struct RunWriter {
    directory: PathBuf,
    runs: PathBuf,
    manifest: ManifestFile,
    pack: PackWriter,
    segment: SegmentWriter,
    failed: Option<Failure>,
    shared: Vec<RunLock>,
    /// What it is when it is sealed whole.
    end: RunState,
    _lock: RunLock,
}

/// A failure that is told again and again.
struct Failure {
    path: PathBuf,
    code: Option<i32>,
    kind: io::ErrorKind,
    text: String,
}

impl Failure {
    fn of(error: &StoreError, directory: &Path) -> Failure {
        match error {
            StoreError::Io { path, source } => Failure {
                path: path.clone(),
                code: source.raw_os_error(),
                kind: source.kind(),
                text: source.to_string(),
            },
            other => Failure {
                path: directory.to_path_buf(),
                code: None,
                kind: io::ErrorKind::Other,
                text: other.to_string(),
            },
        }
    }

    fn error(&self) -> StoreError {
        let source = match self.code {
            Some(code) => io::Error::from_raw_os_error(code),
            None => io::Error::new(self.kind, self.text.clone()),
        };
        StoreError::Io { path: self.path.clone(), source }
    }
}

impl RunWriter {
    /// Fills a new, empty run directory.
    pub(super) fn begin(
        directory: PathBuf,
        runs: &Path,
        manifest: Manifest,
    ) -> Result<RunWriter, StoreError> {
        let lock = RunLock::create(&directory)?;
        let file = |name: &str| {
            let path = directory.join(name);
            atomic::create(&path).map(|file| (path.clone(), Box::new(file))).map_err(StoreError::io(&path))
        };
        let (segment, segment_file) = file(SEGMENT)?;
        let (pack, pack_file) = file(PACK)?;
        let (reserve, mut reserve_file) = file(RESERVE)?;
        reserve_file.write_all(&[0; RESERVE_SIZE]).map_err(StoreError::io(&reserve))?;
        let manifest = ManifestFile {
            format: FORMAT,
            state: RunState::Recording,
            run: manifest,
            uses: Vec::new(),
            totals: None,
        };
        // Last: a directory with a manifest is a run.
        manifest.write_soon(&directory)?;
        Ok(RunWriter {
            runs: runs.to_path_buf(),
            manifest,
            pack: PackWriter::new(pack, pack_file),
            segment: SegmentWriter::new(segment, segment_file),
            failed: None,
            shared: Vec::new(),
            end: RunState::Complete,
            _lock: lock,
            directory,
        })
    }

    /// What the run says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest.run
    }

    /// The run's directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Copies a run whose recorder died: what is sealed is `interrupted` as well.
    pub fn copies_interrupted(&mut self) {
        self.end = RunState::Interrupted;
    }

    /// From now on parts that `ancestor` has are referred to instead of stored again. Those that it refers to itself
    /// are referred to where they are. While this writer lives none of these runs can be removed. Does nothing when
    /// `ancestor` is in another store, is still being recorded, or is being removed: the parts are stored then.
    ///
    /// # Errors
    /// When the ancestor's pack cannot be read, or the manifest not be written.
    pub fn share_with(&mut self, ancestor: &RunReader) -> Result<(), StoreError> {
        if ancestor.directory().parent() != Some(self.runs.as_path()) {
            return Ok(());
        }
        let mut locks = Vec::new();
        let mut owners = Vec::new();
        for (owner, directory, parts) in ancestor.shareable()? {
            if let Some(lock) = RunLock::together(&directory)? {
                locks.push(lock);
                owners.push((owner, parts));
            }
        }
        let uses: Vec<Ancestor> = owners.iter().map(|o| o.0.clone()).collect();
        let mut manifest = self.manifest.clone();
        manifest.uses.extend(uses.into_iter().filter(|u| !self.manifest.uses.contains(u)));
        // Before the first reference is written: who removes a run looks here.
        manifest.write(&self.directory)?;
        self.manifest = manifest;
        for (owner, parts) in owners {
            self.pack.share(&owner, parts);
        }
        self.shared.append(&mut locks);
        Ok(())
    }

    /// Adds a part unless its bytes are there already. Buffered until [`RunWriter::commit`].
    pub fn put_part(&mut self, bytes: &[u8]) -> PartId {
        if self.failed.is_some() { PartId(0) } else { self.pack.put_part(bytes) }
    }

    /// Adds a body: its parts in order.
    pub fn put_body(&mut self, parts: &[PartId]) -> BodyRef {
        BodyRef(if self.failed.is_some() { PartId(0) } else { self.pack.put_list(parts) })
    }

    /// Adds the record of a request. Buffered until [`RunWriter::commit`].
    pub fn put_request(&mut self, record: &RequestRecord) {
        self.put_record(kind::REQUEST, record.id, record);
    }

    /// Adds the record of a response, or replaces the one that was added before for the same exchange. Buffered until
    /// [`RunWriter::commit`].
    pub fn put_response(&mut self, record: &ResponseRecord) {
        self.put_record(kind::RESPONSE, record.id, record);
    }

    /// Adds a whole exchange, as it is. Buffered until [`RunWriter::commit`].
    pub fn put_exchange(&mut self, exchange: &Exchange) {
        let body = self.put_split(&exchange.request.body);
        self.put_asked(&exchange.request, body);
        if let Some(response) = &exchange.response {
            self.put_answered(exchange.request.id, response);
        }
    }

    /// Adds a request whose body was added before.
    pub(super) fn put_asked(&mut self, request: &RecordedRequest, body: BodyRef) {
        let sent = request.sent.as_ref().map(|sent| self.put_split(sent));
        self.put_request(&RequestRecord {
            id: request.id,
            started_us: request.started_us,
            upstream: request.upstream.clone(),
            head: request.head.clone(),
            body,
            end: request.end.clone(),
            sent,
            sent_target: request.sent_target.clone(),
            stand_ins: request.stand_ins.clone(),
        });
    }

    /// Adds the response to a request.
    pub(super) fn put_answered(&mut self, id: ExchangeId, response: &RecordedResponse) {
        let part = self.put_part(&response.body);
        let body = self.put_body(&[part]);
        self.put_response(&ResponseRecord {
            id,
            source: response.source.clone(),
            head: response.head.clone(),
            fault: response.fault.clone(),
            head_us: response.head_us,
            body,
            frames: response.frames.clone(),
            end: response.end.clone(),
            end_us: response.end_us,
            stand_ins: response.stand_ins.clone(),
        });
    }

    /// A body, in parts that others may share.
    fn put_split(&mut self, body: &[u8]) -> BodyRef {
        let ids: Vec<PartId> = parts::split(body).ranges().map(|range| self.put_part(&body[range])).collect();
        self.put_body(&ids)
    }

    fn put_record(&mut self, kind: u8, id: ExchangeId, record: &impl Serialize) {
        if self.failed.is_some() {
            return;
        }
        self.pack.close_block();
        let pack = &mut self.pack;
        let put = serde_json::to_vec(record)
            .map_err(|e| StoreError::Io { path: self.directory.join(SEGMENT), source: io::Error::other(e) })
            .and_then(|json| self.segment.put(kind, id, |out| pack.squeeze(&json, out)));
        if let Err(error) = put {
            self.fail(&error);
        }
    }

    /// `write(2)` of everything buffered: pack first, then segment. After a failure this and every later call fail,
    /// and nothing is kept in memory.
    ///
    /// # Errors
    /// When it could not be written (a full disk); says which file.
    pub fn commit(&mut self) -> Result<(), StoreError> {
        if let Some(failure) = &self.failed {
            return Err(failure.error());
        }
        let written = self.write();
        if let Err(error) = &written {
            self.fail(error);
        }
        written
    }

    fn write(&mut self) -> Result<(), StoreError> {
        self.pack.close_block();
        if let Some(dictionary) = self.pack.take_dictionary() {
            self.segment.put_dictionary(&dictionary)?;
        }
        self.pack.write()?;
        self.segment.file().write()
    }

    fn fail(&mut self, error: &StoreError) {
        self.failed.get_or_insert_with(|| Failure::of(error, &self.directory));
        self.pack.abandon();
        self.segment.abandon();
        // Room for what the seal still has to write.
        let _ = fs::remove_file(self.directory.join(RESERVE));
    }

    /// `fdatasync` of pack and segment.
    ///
    /// # Errors
    /// When the system says that something may be lost.
    pub fn sync(&mut self) -> Result<(), StoreError> {
        if let Some(failure) = &self.failed {
            return Err(failure.error());
        }
        self.pack.file().sync()?;
        self.segment.file().sync()
    }

    /// Ends the run: outline, footers, manifest, `fdatasync`. After a failed write the run is marked `incomplete`
    /// and keeps what was written before.
    ///
    /// # Errors
    /// When not even that could be written; the run is `interrupted` then.
    pub fn seal(
        mut self,
        outline: Option<&Outline>,
        finish: impl FnOnce(&mut Manifest),
    ) -> Result<Manifest, StoreError> {
        let _ = self.commit();
        let _ = fs::remove_file(self.directory.join(RESERVE));
        if self.failed.is_none() {
            let sealed = self.seal_files(outline);
            if let Err(error) = sealed {
                self.fail(&error);
            }
        } else {
            // Without footers a reader scans: slower, and all the same.
            let _ = self.seal_files(outline);
        }
        let mut file = self.manifest.clone();
        finish(&mut file.run);
        if let Some(failure) = &self.failed {
            file.run.incomplete.get_or_insert_with(|| failure.error().to_string());
        }
        file.state = if file.run.incomplete.is_some() { RunState::Incomplete } else { self.end };
        file.totals = Some(RunTotals::of(self.segment.exchanges() as u32, outline));
        file.write(&self.directory)?;
        Ok(file.run)
    }

    fn seal_files(&mut self, outline: Option<&Outline>) -> Result<(), StoreError> {
        self.pack.seal()?;
        self.segment.seal()?;
        if let Some(outline) = outline {
            outline_file::write(&self.directory.join(OUTLINE), outline)?;
        }
        self.pack.file().sync()?;
        self.segment.file().sync()
    }
}

#[cfg(test)]
impl RunWriter {
    /// The pack, to break it or to wait for it.
    pub fn pack(&mut self) -> &mut PackWriter {
        &mut self.pack
    }

    /// The segment, to break it.
    pub fn segment(&mut self) -> &mut SegmentWriter {
        &mut self.segment
    }

    /// Waits for the dictionary that is being trained, and uses it.
    pub fn wait_for_dictionary(&mut self) {
        if let Some(dictionary) = self.pack.wait_for_dictionary() {
            self.segment.put_dictionary(&dictionary).unwrap();
        }
    }
}
