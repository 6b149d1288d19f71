//! What the agent's instrumentation exports, on its way into the run: on a thread of its own, so that no exchange waits
//! for it.

use crate::exchange::StandIn;
use crate::otlp::Batch;
use crate::proxy::SeenExport;
use crate::redact::Redactor;
use crate::store::{RunReader, SpanWriter, StoreError};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// Kilobytes of exports that may wait to be written before exporters have to wait.
const QUEUE_KILOBYTES: u32 = 32 * 1024;

/// Exports added after the end that are known again at most.
const MOST_LATE: usize = 1024;

/// An export that waits.
struct Job {
    batch: Batch,
    /// See [`SeenExport::digest`].
    digest: [u8; 32],
    written: oneshot::Sender<()>,
    _room: OwnedSemaphorePermit,
}

/// What was exported into a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exported {
    /// Spans, those that came twice included.
    pub spans: u64,
    /// Log records.
    pub logs: u64,
    /// Why not everything could be written.
    pub incomplete: Option<String>,
    /// Stand-ins, with what they stand for.
    pub stand_ins: HashMap<String, String>,
}

/// Writes exports; starts with the first.
pub(super) struct SpanRecorder {
    directory: PathBuf,
    redactor: Arc<Redactor>,
    room: Arc<Semaphore>,
    work: Mutex<Work>,
}

#[derive(Default)]
struct Work {
    sender: Option<Sender<Job>>,
    thread: Option<JoinHandle<Exported>>,
    ended: bool,
    /// Digests of what was added after the end.
    late: HashSet<Digest>,
}

/// What an export is known by when it comes again.
type Digest = (std::mem::Discriminant<Batch>, [u8; 32]);

impl SpanRecorder {
    pub(super) fn new(directory: PathBuf, redactor: Arc<Redactor>) -> SpanRecorder {
        let room = Arc::new(Semaphore::new(QUEUE_KILOBYTES as usize));
        SpanRecorder { directory, redactor, room, work: Mutex::default() }
    }

    /// Takes an export; returns when it was written, or cannot be.
    pub(super) async fn take(&self, SeenExport { batch, digest, bytes }: SeenExport) {
        let size = u32::try_from(bytes / 1024).unwrap_or(u32::MAX).clamp(1, QUEUE_KILOBYTES);
        let Ok(room) = self.room.clone().acquire_many_owned(size).await else { return };
        let (written, done) = oneshot::channel();
        let sent = self
            .sender()
            .is_some_and(|sender| sender.send(Job { batch, digest, written, _room: room }).is_ok());
        if sent {
            // An error says that the thread is gone: there is nothing to wait for.
            let _ = done.await;
        }
    }

    fn sender(&self) -> Option<Sender<Job>> {
        let mut work = self.lock();
        if work.sender.is_none() && !work.ended {
            let (sender, jobs) = channel();
            let (directory, redactor) = (self.directory.clone(), self.redactor.clone());
            let thread = std::thread::Builder::new().name("spans".into());
            work.thread = thread.spawn(move || write(&directory, &redactor, &jobs)).ok();
            work.sender = work.thread.is_some().then_some(sender);
        }
        work.sender.clone()
    }

    /// Ends it, once all that waits was written; none when nothing came.
    pub(super) fn finish(&self) -> Option<Exported> {
        let thread = {
            let mut work = self.lock();
            work.ended = true;
            work.sender = None;
            work.thread.take()?
        };
        let broke_off = |_| Exported {
            incomplete: Some("the thread of the spans broke off".into()),
            ..Exported::default()
        };
        Some(thread.join().unwrap_or_else(broke_off))
    }

    /// Adds to the run with this uuid, which was sealed.
    ///
    /// # Errors
    /// When it is not there any more, or cannot be written.
    pub(super) fn add(&self, seen: SeenExport, uuid: &str) -> Result<(), StoreError> {
        let SeenExport { mut batch, digest, .. } = seen;
        let mut work = self.lock();
        let digest = (std::mem::discriminant(&batch), digest);
        if work.late.contains(&digest) {
            return Ok(());
        }
        // Another run may have got its name.
        let there = RunReader::open(self.directory.clone())?;
        if there.manifest().uuid != uuid {
            return Err(StoreError::Refused("the run was removed".into()));
        }
        let found = self.redactor.telemetry(&mut batch);
        let mut writer = SpanWriter::append(&self.directory)?;
        writer.put(&batch)?;
        if !found.is_empty() {
            there.note_stand_ins(found)?;
        }
        writer.sync()?;
        if work.late.len() >= MOST_LATE {
            work.late.clear();
        }
        work.late.insert(digest);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn write(directory: &Path, redactor: &Redactor, jobs: &Receiver<Job>) -> Exported {
    let mut all = Exported::default();
    let mut before: HashSet<Digest> = HashSet::new();
    let mut writer = None;
    while let Ok(Job { mut batch, digest, written, _room }) = jobs.recv() {
        // Exporters that got no answer send the same once more.
        if all.incomplete.is_none() && before.insert((std::mem::discriminant(&batch), digest)) {
            all.note(redactor.telemetry(&mut batch));
            let count = batch.len() as u64;
            let kept = put(&mut writer, directory, &batch);
            match (kept, &batch) {
                (Ok(()), Batch::Traces(_)) => all.spans += count,
                (Ok(()), Batch::Logs(_)) => all.logs += count,
                (Ok(()), Batch::Metrics) => {}
                (Err(error), _) => {
                    all.incomplete = Some(format!("spans could not be written: {error}"));
                }
            }
        }
        let _ = written.send(());
    }
    if let Some(Err(error)) = writer.as_mut().map(SpanWriter::sync) {
        all.incomplete.get_or_insert(format!("the spans could not be made durable: {error}"));
    }
    all
}

fn put(writer: &mut Option<SpanWriter>, directory: &Path, batch: &Batch) -> Result<(), StoreError> {
    if batch.is_empty() {
        return Ok(());
    }
    let writer = match writer {
        Some(writer) => writer,
        None => writer.insert(SpanWriter::new(directory)?),
    };
    writer.put(batch)
}

impl Exported {
    /// True when nothing came.
    pub fn is_empty(&self) -> bool {
        self.spans == 0 && self.logs == 0
    }

    fn note(&mut self, found: Vec<StandIn>) {
        self.stand_ins.extend(found.into_iter().map(|found| (found.text, found.label)));
    }
}
