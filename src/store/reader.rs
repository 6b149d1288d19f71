//! A run, read from its files alone.

use super::block::{Entry, PartHash, hash};
use super::coding::{Expander, STARTER, STARTER_BYTES};
use super::frame::kind;
use super::pack::Ancestor;
use super::pack_reader::{PackReader, Part};
use super::run_dir::{ManifestFile, OUTLINE, PACK, SEGMENT, look};
use super::segment::SegmentReader;
use super::{BodyRef, PartId, RequestRecord, ResponseRecord, Store, StoreError, outline_file};
use crate::exchange::{Exchange, ExchangeId, RecordedRequest, RecordedResponse, StandIn};
use crate::run::{Manifest, Outline, RunId, RunState};
use bytes::{Bytes, BytesMut};
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// A run, read from its files alone: while it is being recorded too, by any number of processes and threads.
#[derive(Debug)]
pub struct RunReader {
    directory: PathBuf,
    manifest: ManifestFile,
    state: RunState,
    files: RunFiles,
    damage: Vec<String>,
    elsewhere: Mutex<HashMap<u32, Arc<RunFiles>>>,
}

/// Segment and pack of a run.
#[derive(Debug)]
pub struct RunFiles {
    /// The records.
    pub segment: SegmentReader,
    /// The parts.
    pub pack: PackReader,
    /// The dictionaries of both.
    pub expander: Expander,
}

impl RunFiles {
    /// Opens both.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn open(directory: &Path) -> Result<RunFiles, StoreError> {
        // The segment first: whatever its records speak of is in the pack by then.
        let segment = SegmentReader::open(&directory.join(SEGMENT))?;
        let mut expander = Expander::default();
        let pack = PackReader::open(&directory.join(PACK), &mut expander)?;
        let mut files = RunFiles { segment, pack, expander };
        files.learn();
        Ok(files)
    }

    fn refresh(&mut self) -> Result<(), StoreError> {
        self.segment.refresh()?;
        self.pack.refresh(&mut self.expander)?;
        self.learn();
        Ok(())
    }

    /// What the pack could not give is taken from the segment's copy, or from this program's.
    fn learn(&mut self) {
        for (number, bytes) in self.segment.dictionaries() {
            self.expander.learn(number, &bytes);
        }
        self.expander.learn(STARTER, STARTER_BYTES);
    }
}

impl Store {
    /// Opens a run to read it.
    ///
    /// # Errors
    /// [`StoreError::NoRun`] when it is not there; when its manifest is damaged or its files cannot be read. Damage
    /// inside the files is no error here: see [`RunReader::damage`].
    pub fn open_run(&self, id: &RunId) -> Result<RunReader, StoreError> {
        let directory = self.run_directory(id);
        if !directory.is_dir() {
            return Err(self.no_run(id.as_str()));
        }
        RunReader::open(directory)
    }
}

impl RunReader {
    /// Opens the run in a directory, in a store or elsewhere.
    ///
    /// # Errors
    /// See [`Store::open_run`].
    pub fn open(directory: PathBuf) -> Result<RunReader, StoreError> {
        let (manifest, state) = look(&directory)?;
        let files = RunFiles::open(&directory)?;
        let mut reader =
            RunReader { directory, manifest, state, files, damage: Vec::new(), elsewhere: Mutex::default() };
        reader.note_damage();
        Ok(reader)
    }

    /// Looks for what was added since, and whether the run has ended. Cheap for a sealed run.
    ///
    /// # Errors
    /// When the files cannot be read.
    pub fn refresh(&mut self) -> Result<(), StoreError> {
        let (manifest, state) = look(&self.directory)?;
        self.files.refresh()?;
        (self.manifest, self.state) = (manifest, state);
        self.note_damage();
        Ok(())
    }

    fn note_damage(&mut self) {
        let writing = self.state == RunState::Recording;
        self.damage = self.files.segment.damage(writing);
        self.damage.extend(self.files.pack.damage(writing));
        if self.state == RunState::Complete {
            let unsealed = [(SEGMENT, self.files.segment.is_sealed()), (PACK, self.files.pack.is_sealed())];
            for (name, _) in unsealed.into_iter().filter(|u| !u.1) {
                let path = self.directory.join(name);
                self.damage.push(format!("{}: its end is missing (the file was cut off)", path.display()));
            }
        }
    }

    /// What the run says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest.run
    }

    /// Notes stand-ins in the manifest of a sealed run, of exports that came late.
    ///
    /// # Errors
    /// When the manifest cannot be written.
    pub fn note_stand_ins(&self, found: Vec<StandIn>) -> Result<(), StoreError> {
        let mut manifest = self.manifest.clone();
        manifest.run.note_stand_ins(found);
        manifest.write(&self.directory)
    }

    /// What it is doing, as of the last look.
    pub fn state(&self) -> RunState {
        self.state
    }

    /// The run's directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Segment and pack.
    pub(super) fn files(&self) -> &RunFiles {
        &self.files
    }

    /// Ids of all exchanges whose request can be read, in order.
    pub fn ids(&self) -> Vec<ExchangeId> {
        let with_request = |e: &&super::segment_index::ExchangeAt| e.request.is_some();
        self.files.segment.index.exchanges().iter().filter(with_request).map(|e| ExchangeId(e.id)).collect()
    }

    /// The record of a request.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when it is not there or cannot be read.
    pub fn request(&self, id: ExchangeId) -> Result<RequestRecord, StoreError> {
        let place = self.files.segment.index.get(id).and_then(|e| e.request);
        let offset =
            place.ok_or_else(|| self.damaged(SEGMENT, format!("there is no readable request {id}")))?;
        let record: RequestRecord = self.record(kind::REQUEST, id, offset)?;
        if record.id == id {
            Ok(record)
        } else {
            Err(self.damaged(SEGMENT, format!("{id} is stored as {}", record.id)))
        }
    }

    /// The record of a response; none when there is none (yet).
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when it cannot be read.
    pub fn response(&self, id: ExchangeId) -> Result<Option<ResponseRecord>, StoreError> {
        let place = self.files.segment.index.get(id).and_then(|e| e.response);
        place.map(|offset| self.record(kind::RESPONSE, id, offset)).transpose()
    }

    fn record<T: DeserializeOwned>(&self, kind: u8, id: ExchangeId, offset: u64) -> Result<T, StoreError> {
        let (frame, payload) = self.files.segment.frame(offset)?;
        if frame.kind != kind || frame.tag != id.0 {
            return Err(
                self.damaged(SEGMENT, format!("byte {offset} holds another record than that of {id}"))
            );
        }
        let json = self.files.expander.expand(frame.coding, &payload);
        let json = json
            .map_err(|what| self.damaged(SEGMENT, format!("the record of {id} at byte {offset}: {what}")))?;
        serde_json::from_slice(&json).map_err(|e| {
            self.damaged(SEGMENT, format!("the record of {id} at byte {offset} cannot be read: {e}"))
        })
    }

    fn damaged(&self, file: &str, what: String) -> StoreError {
        StoreError::Damaged { path: self.directory.join(file), what }
    }

    /// The parts of a body, in order.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when its list cannot be read.
    pub fn parts(&self, body: BodyRef) -> Result<Vec<PartId>, StoreError> {
        let list = self.files.pack.list(body.0.0, &self.files.expander)?;
        Ok(list.into_iter().map(PartId).collect())
    }

    /// The bytes of a part, verified by their hash.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when they are not there or not what was written, here or in the run that holds them.
    pub fn part(&self, part: PartId) -> Result<Bytes, StoreError> {
        self.part_as_indexed(part).or_else(|error| {
            if self.files.pack.ancestors().is_empty() {
                return Err(error);
            }
            // The run that held it may have been removed since this one was opened: then its part was moved.
            RunReader::open(self.directory.clone())
                .and_then(|now| now.part_as_indexed(part))
                .map_err(|_| error)
        })
    }

    fn part_as_indexed(&self, part: PartId) -> Result<Bytes, StoreError> {
        match self.files.pack.part(part.0, &self.files.expander)? {
            Part::Content(bytes) => Ok(bytes),
            Part::Node(_) => {
                Err(self.damaged(PACK, format!("part {} is a list, not bytes of a body", part.0)))
            }
            Part::Elsewhere { ancestor, ordinal, hash } => self.part_elsewhere(ancestor, ordinal, hash),
        }
    }

    fn part_elsewhere(&self, number: u32, ordinal: u32, expected: PartHash) -> Result<Bytes, StoreError> {
        let cached = self.elsewhere.lock().unwrap_or_else(PoisonError::into_inner).get(&number).cloned();
        let files = match cached {
            Some(files) => files,
            None => {
                let ancestor = self.files.pack.ancestor(number);
                let ancestor = ancestor.ok_or_else(|| {
                    self.damaged(PACK, format!("it refers to a run (number {number}) that it does not name"))
                })?;
                let files = Arc::new(RunFiles::open(&self.find(ancestor)?)?);
                let mut known = self.elsewhere.lock().unwrap_or_else(PoisonError::into_inner);
                known.insert(number, files.clone());
                files
            }
        };
        match files.pack.part(ordinal, &files.expander)? {
            Part::Content(bytes) if hash(&bytes) == expected => Ok(bytes),
            _ => Err(StoreError::Damaged {
                path: files.pack.path().to_path_buf(),
                what: format!("part {ordinal} is not what {} refers to", self.manifest.run.id),
            }),
        }
    }

    /// The directory of a run that this one refers to.
    fn find(&self, ancestor: &Ancestor) -> Result<PathBuf, StoreError> {
        let beside = |name: &str| self.directory.parent().map(|runs| runs.join(name));
        let is_it =
            |directory: &PathBuf| ManifestFile::read(directory).is_ok_and(|m| m.run.uuid == ancestor.uuid);
        let by_name = RunId::parse(&ancestor.run).ok().and_then(|id| beside(id.as_str())).filter(is_it);
        // It may have another name: one that was exported and imported again.
        let by_uuid = || {
            let runs = self.directory.parent().and_then(|runs| std::fs::read_dir(runs).ok())?;
            runs.flatten().map(|entry| entry.path()).find(is_it)
        };
        by_name.or_else(by_uuid).ok_or_else(|| {
            self.damaged(
                PACK,
                format!(
                    "it needs parts of {} (uuid {}), which is not beside it in the store",
                    ancestor.run, ancestor.uuid
                ),
            )
        })
    }

    /// A whole body.
    ///
    /// # Errors
    /// See [`RunReader::parts`] and [`RunReader::part`].
    pub fn body(&self, body: BodyRef) -> Result<Bytes, StoreError> {
        let parts = self.parts(body)?;
        if let [only] = parts[..] {
            return self.part(only);
        }
        let mut whole = BytesMut::new();
        for part in parts {
            whole.extend_from_slice(&self.part(part)?);
        }
        Ok(whole.freeze())
    }

    /// One exchange with its bodies.
    ///
    /// # Errors
    /// When something of it cannot be read.
    pub fn exchange(&self, id: ExchangeId) -> Result<Exchange, StoreError> {
        let (request, response) = (self.request(id)?, self.response(id)?);
        let request = RecordedRequest {
            body: self.body(request.body)?,
            sent: request.sent.map(|sent| self.body(sent)).transpose()?,
            sent_target: request.sent_target,
            id: request.id,
            started_us: request.started_us,
            upstream: request.upstream,
            head: request.head,
            end: request.end,
            stand_ins: request.stand_ins,
        };
        let response = response.map(|response| self.with_body(response)).transpose()?;
        Ok(Exchange { request, response })
    }

    /// What came back for an exchange, with its body; none when there was no response. Its request is not read.
    ///
    /// # Errors
    /// When something of it cannot be read.
    pub fn answer(&self, id: ExchangeId) -> Result<Option<RecordedResponse>, StoreError> {
        self.response(id)?.map(|response| self.with_body(response)).transpose()
    }

    fn with_body(&self, response: ResponseRecord) -> Result<RecordedResponse, StoreError> {
        Ok(RecordedResponse {
            body: self.body(response.body)?,
            source: response.source,
            head: response.head,
            fault: response.fault,
            head_us: response.head_us,
            frames: response.frames,
            end: response.end,
            end_us: response.end_us,
            stand_ins: response.stand_ins,
        })
    }

    /// The outline kept at the seal; none when the run was not sealed or has none.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when it cannot be read; it can be derived again then.
    pub fn sealed_outline(&self) -> Result<Option<Outline>, StoreError> {
        outline_file::read(&self.directory.join(OUTLINE))
    }

    /// What could not be read, in words, one line each (bad frames that were skipped, a torn tail). A sealed run is
    /// opened by its footers alone, so that damage inside is noticed when it is read, or by [`RunReader::verify`].
    pub fn damage(&self) -> &[String] {
        &self.damage
    }

    /// Reads everything; returns what is wrong, in words, one line each.
    ///
    /// # Errors
    /// When the files cannot be read.
    pub fn verify(&self) -> Result<Vec<String>, StoreError> {
        let mut wrong = self.files.segment.verify()?;
        wrong.extend(self.files.pack.verify(&self.files.expander)?);
        for id in self.ids() {
            wrong.extend(self.exchange(id).err().map(|e| format!("{id}: {e}")));
        }
        wrong.extend(self.sealed_outline().err().map(|e| e.to_string()));
        Ok(wrong)
    }

    /// What a fork can refer to: for each run that holds bytes its name, directory and parts.
    pub(super) fn shareable(&self) -> Result<Vec<Shareable>, StoreError> {
        let run = &self.manifest.run;
        let own = Ancestor { run: run.id.to_string(), uuid: run.uuid.clone() };
        let mut owners: Vec<Shareable> = vec![(own, self.directory.clone(), Vec::new())];
        let mut numbers: HashMap<u32, Option<usize>> = HashMap::new();
        for offset in self.files.pack.block_offsets() {
            // What cannot be read is not shared, and so stored again.
            let Ok(block) = self.files.pack.entries(offset) else { continue };
            for index in 0..block.entries.len() {
                let (holder, part) = match block.entry(index) {
                    Some((Entry::Content { .. }, hash)) => {
                        (Some(0), (hash, block.first.saturating_add(index as u32)))
                    }
                    Some((Entry::Reference { ancestor, ordinal, .. }, hash)) => {
                        let known = numbers.entry(ancestor).or_insert_with(|| {
                            let named = self.files.pack.ancestor(ancestor)?;
                            owners.push((named.clone(), self.find(named).ok()?, Vec::new()));
                            Some(owners.len() - 1)
                        });
                        (*known, (hash, ordinal))
                    }
                    _ => continue,
                };
                if let Some((_, _, parts)) = holder.and_then(|h| owners.get_mut(h)) {
                    parts.push(part);
                }
            }
        }
        Ok(owners)
    }
}

/// A run that holds bytes, its directory, and its parts by hash.
type Shareable = (Ancestor, PathBuf, Vec<(PartHash, u32)>);
