//! Clearing up: old runs by a person's rule, and what crashes left behind.

use super::removal::REMOVED;
use super::run_dir::{RESERVE, size};
use super::{Store, StoreError, atomic, index, lock};
use crate::run::sampling::{Sampling, Why, needed};
use crate::run::{Manifest, RunId, RunState};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// An unfinished file that is younger may still be written.
const ABANDONED: Duration = Duration::from_secs(600);

/// Which runs may go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GcPolicy {
    /// The newest runs stay, this many, with what they were forked from; none: it does not matter how many there are.
    pub keep_last: Option<usize>,
    /// Runs that began before go (microseconds since the Unix epoch); none: it does not matter when.
    pub older_than_us: Option<u64>,
    /// Of the runs that would go these stay; none: none of them.
    pub sampling: Option<Sampling>,
    /// Only say what would be done.
    pub dry_run: bool,
}

/// What was done, or would be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GcReport {
    /// Runs that were removed.
    pub removed: Vec<RunId>,
    /// Runs that should have been removed, and why they were not.
    pub kept: Vec<(RunId, String)>,
    /// Runs that the policy's other rules give up, and that sampling lets stay, newest first.
    pub spared: Vec<(RunId, Why)>,
    /// Other files and directories that were removed: damaged indexes, unfinished files.
    pub leftovers: Vec<PathBuf>,
    /// Bytes that the store is smaller by.
    pub bytes: u64,
}

/// What the rules come to.
#[derive(Default)]
struct GivenUp {
    /// Runs that go, and their bytes.
    runs: Vec<(RunId, u64)>,
    /// See [`GcReport::spared`].
    spared: Vec<(RunId, Why)>,
}

impl Store {
    /// Removes the runs that the policy gives up, and what crashes left behind. With neither rule set no run is
    /// removed; with both, those to which both apply.
    ///
    /// # Errors
    /// When the store cannot be read. A run that cannot be removed is kept and named.
    pub fn gc(&self, policy: &GcPolicy) -> Result<GcReport, StoreError> {
        let mut report = GcReport::default();
        let given_up = self.given_up(policy)?;
        report.spared = given_up.spared;
        for (id, bytes) in given_up.runs {
            if policy.dry_run {
                report.removed.push(id);
                report.bytes += bytes;
                continue;
            }
            match self.remove_run(&id) {
                Ok(removed) => {
                    report.bytes += removed.bytes;
                    report.removed.push(id);
                }
                Err(error) => report.kept.push((id, error.to_string())),
            }
        }
        for path in self.leftovers()? {
            let bytes =
                if path.is_dir() { deep_size(&path) } else { fs::metadata(&path).map_or(0, |m| m.len()) };
            if !policy.dry_run {
                let gone = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
                gone.map_err(StoreError::io(&path))?;
            }
            report.bytes += bytes;
            report.leftovers.push(path);
        }
        Ok(report)
    }

    /// Runs to which the policy's rules apply, newest first: a fork goes before what it was forked from, and then
    /// nothing needs to be moved into it. Of them stays what sampling picks, and what a run that stays was forked from.
    fn given_up(&self, policy: &GcPolicy) -> Result<GivenUp, StoreError> {
        if policy.keep_last.is_none() && policy.older_than_us.is_none() {
            return Ok(GivenUp::default());
        }
        let mut runs = self.runs()?;
        runs.reverse();
        let manifests: Vec<&Manifest> = runs.iter().map(|run| &run.manifest).collect();
        let slow_from = policy.sampling.and_then(|sampling| sampling.slow_from(manifests.iter().copied()));
        let first = policy.keep_last.unwrap_or_default();
        let (mut place, mut stays, mut spared) = (0, Vec::new(), Vec::new());
        for (at, run) in runs.iter().enumerate() {
            // A run whose manifest cannot be read has no age: it is a person's to remove.
            let counts = run.state != RunState::Recording && !run.manifest.uuid.is_empty();
            let is_old = policy.older_than_us.is_none_or(|limit| run.manifest.started_us < limit);
            let goes = counts && place >= first && is_old;
            place += usize::from(counts);
            let why = policy
                .sampling
                .filter(|_| goes)
                .and_then(|sampling| sampling.why(&run.manifest, self.failure_of(run), slow_from));
            stays.push(!goes || why.is_some());
            spared.extend(why.map(|why| (at, why)));
        }
        // A fork is read and compared by what it was forked from: the ancestors of what stays stay too.
        let id = |at: usize| manifests.get(at).map(|run| run.id.clone());
        for (copy, by) in needed(&manifests, &mut stays) {
            spared.extend(id(by).map(|by| (copy, Why::Needed(by))));
        }
        spared.sort_by_key(|(at, _)| *at);
        let leaves = runs.iter().zip(&stays).filter(|(_, stays)| !**stays);
        Ok(GivenUp {
            runs: leaves.map(|(run, _)| (run.manifest.id.clone(), run.bytes)).collect(),
            spared: spared.into_iter().filter_map(|(at, why)| Some((id(at)?, why))).collect(),
        })
    }

    fn leftovers(&self) -> Result<Vec<PathBuf>, StoreError> {
        let mut found: Vec<PathBuf> = entries(self.root())?
            .into_iter()
            .filter(|path| index::is_leftover(path) || (atomic::is_unfinished(path) && is_abandoned(path)))
            .collect();
        for path in entries(&self.runs_directory())? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with(REMOVED) {
                found.push(path);
            } else if RunId::parse(&name).is_ok() && !lock::is_recording(&path) {
                let is_left = |p: &PathBuf| {
                    (atomic::is_unfinished(p) || p.file_name().is_some_and(|n| n == RESERVE))
                        && is_abandoned(p)
                };
                found.extend(entries(&path)?.into_iter().filter(is_left));
                if entries(&path)?.is_empty() && is_abandoned(&path) {
                    found.push(path);
                }
            }
        }
        Ok(found)
    }
}

fn entries(directory: &Path) -> Result<Vec<PathBuf>, StoreError> {
    match fs::read_dir(directory) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(StoreError::io(directory)(e)),
        Ok(found) => Ok(found.flatten().map(|entry| entry.path()).collect()),
    }
}

fn is_abandoned(path: &Path) -> bool {
    let age = fs::metadata(path).and_then(|m| m.modified()).ok().and_then(|t| t.elapsed().ok());
    age.is_some_and(|age| age > ABANDONED)
}

fn deep_size(directory: &Path) -> u64 {
    let below: u64 =
        entries(directory).unwrap_or_default().iter().filter(|p| p.is_dir()).map(|p| deep_size(p)).sum();
    size(directory) + below
}
