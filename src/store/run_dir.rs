//! The directory of a run, and the file that says what it is.
//!
//! ```text
//! runs/refund.1/
//!   manifest.json     who, when, with what; replaced when the run is sealed
//!   exchanges.seg     records of requests and responses, see segment
//!   parts.pack        parts of bodies, see pack
//!   outline           lanes, turns and steps; written when the run is sealed
//!   spans.seg         what the agent's instrumentation exported, see spans; only where there is any
//!   noise.json        which tool results vary by themselves; written by a replay, see noise_file
//!   lock              held by the recorder while it lives
//!   reserve           room for the manifest and the footers on a full disk; gone when the run is sealed
//! ```
//!
//! A directory can be read where it is. Before it is copied elsewhere, [`Store::adopt`] makes it independent of the
//! runs that it was forked from.

use super::pack::Ancestor;
use super::writer::RunWriter;
use super::{RunTotals, Store, StoreError, atomic, lock};
use crate::run::{Manifest, RunId, RunState};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Name of the manifest.
pub const MANIFEST: &str = "manifest.json";
/// Name of the segment.
pub const SEGMENT: &str = "exchanges.seg";
/// Name of the pack.
pub const PACK: &str = "parts.pack";
/// Name of the outline.
pub const OUTLINE: &str = "outline";
/// Name of what a replay found to vary.
pub const NOISE: &str = "noise.json";
/// Name of the room for a full disk.
pub const RESERVE: &str = "reserve";
/// Version of a run's files. 1: the first.
pub const FORMAT: u32 = 1;

/// The manifest's file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ManifestFile {
    /// Version of the run's files.
    pub format: u32,
    /// `recording` until it is sealed.
    pub state: RunState,
    /// What the run says of itself.
    pub run: Manifest,
    /// Runs whose parts it may refer to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uses: Vec<Ancestor>,
    /// What it amounts to; none before it is sealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub totals: Option<RunTotals>,
}

#[derive(Deserialize)]
struct FormatOnly {
    format: u32,
}

impl ManifestFile {
    /// Reads the manifest of the run in `directory`.
    ///
    /// # Errors
    /// When it is not there, is damaged, or was written by a newer retake.
    pub fn read(directory: &Path) -> Result<ManifestFile, StoreError> {
        let path = directory.join(MANIFEST);
        let bytes = fs::read(&path).map_err(StoreError::io(&path))?;
        if let Ok(FormatOnly { format }) = serde_json::from_slice(&bytes)
            && format > FORMAT
        {
            return Err(StoreError::Refused(format!(
                "{}: this run has format {format}, and this retake ({}) reads up to {FORMAT}: update retake",
                directory.display(),
                env!("CARGO_PKG_VERSION")
            )));
        }
        serde_json::from_slice(&bytes)
            .map_err(|e| StoreError::Damaged { path, what: format!("the manifest cannot be read: {e}") })
    }

    /// Puts it in the place of the one in `directory`, whole or not at all; durable when this has returned.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, directory: &Path) -> Result<(), StoreError> {
        self.put(directory, atomic::replace_durably)
    }

    /// The same, but a power failure may still take it: a run that has just begun need not wait for the disk.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_soon(&self, directory: &Path) -> Result<(), StoreError> {
        self.put(directory, atomic::replace)
    }

    fn put(&self, directory: &Path, replace: fn(&Path, &[u8]) -> io::Result<()>) -> Result<(), StoreError> {
        let path = directory.join(MANIFEST);
        let mut json = serde_json::to_vec_pretty(self)
            .map_err(|e| StoreError::Io { path: path.clone(), source: io::Error::other(e) })?;
        json.push(b'\n');
        replace(&path, &json).map_err(StoreError::io(&path))
    }
}

/// The manifest of a run and what the run is doing.
///
/// # Errors
/// When the manifest cannot be read.
pub fn look(directory: &Path) -> Result<(ManifestFile, RunState), StoreError> {
    let mut file = ManifestFile::read(directory)?;
    if file.state == RunState::Recording && !lock::is_recording(directory) {
        // It may have been sealed between the two looks.
        file = ManifestFile::read(directory)?;
    }
    let state = match file.state {
        RunState::Recording if !lock::is_recording(directory) => RunState::Interrupted,
        state => state,
    };
    // A person may have renamed the directory: its name is what the run goes by here.
    if let Some(id) = directory.file_name().and_then(|n| RunId::parse(n.to_str()?).ok()) {
        file.run.id = id;
    }
    Ok((file, state))
}

impl Store {
    /// The directory of a run, whether it is there or not.
    pub fn run_directory(&self, id: &RunId) -> PathBuf {
        self.runs_directory().join(id.as_str())
    }

    /// Begins a run `NAME.n` with the next free n (concurrent recorders get different ones).
    ///
    /// # Errors
    /// [`StoreError::Refused`] for a name that cannot be one; when the directory cannot be made or written.
    pub fn create_run(
        &self,
        name: &str,
        manifest: impl FnOnce(RunId) -> Manifest,
    ) -> Result<RunWriter, StoreError> {
        self.create_run_after(name, 0, manifest)
    }

    /// The same, with a number above this one too: runs that are not there any more may still be spoken of.
    ///
    /// # Errors
    /// As [`Store::create_run`].
    pub fn create_run_after(
        &self,
        name: &str,
        number: u32,
        manifest: impl FnOnce(RunId) -> Manifest,
    ) -> Result<RunWriter, StoreError> {
        let runs = self.runs_directory();
        atomic::ensure_directory(&runs).map_err(StoreError::io(&runs))?;
        let mut number = self.highest_number(name)?.max(number);
        loop {
            number = number.saturating_add(1);
            let id =
                RunId::parse(&format!("{name}.{number}")).map_err(|e| StoreError::Refused(e.to_string()))?;
            let directory = self.run_directory(&id);
            match atomic::make_directory(&directory) {
                Ok(()) => {
                    let begun = RunWriter::begin(directory.clone(), &runs, manifest(id));
                    if begun.is_err() {
                        // Half a run would take a number, and be listed as damaged.
                        let _ = fs::remove_dir_all(&directory);
                    }
                    return begun;
                }
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists && number < u32::MAX => {}
                Err(e) => return Err(StoreError::io(&directory)(e)),
            }
        }
    }

    fn highest_number(&self, name: &str) -> Result<u32, StoreError> {
        let ids = self.run_ids()?;
        Ok(ids.iter().filter(|id| id.name() == name).map(RunId::number).max().unwrap_or_default())
    }

    /// Ids of all run directories, by name and number.
    pub(super) fn run_ids(&self) -> Result<Vec<RunId>, StoreError> {
        let runs = self.runs_directory();
        let entries = match fs::read_dir(&runs) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(StoreError::io(&runs))?,
        };
        let mut ids = Vec::new();
        for entry in entries {
            let entry = entry.map_err(StoreError::io(&runs))?;
            // Anything else in there is not ours.
            ids.extend(entry.file_name().to_str().and_then(|n| RunId::parse(n).ok()));
        }
        ids.sort_by(|a, b| (a.name(), a.number()).cmp(&(b.name(), b.number())));
        Ok(ids)
    }
}

/// Bytes of the files in a directory.
pub fn size(directory: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(directory) else { return 0 };
    entries.flatten().filter_map(|e| e.metadata().ok()).filter(|m| m.is_file()).map(|m| m.len()).sum()
}
