//! Finding runs.

use super::run_dir::{look, size};
use super::{RunReader, RunSummary, RunTotals, Store, StoreError, lock};
use crate::run::{Ancestor, Manifest, RunId, RunState, Step, StepKind};
use std::path::Path;
use std::time::Duration;

/// A directory without a manifest that is younger may be one that is being made.
const BEING_MADE: Duration = Duration::from_secs(5);
/// Shorter beginnings of a uuid are too easily typed by mistake.
const SHORTEST_PREFIX: usize = 4;
/// From this likeness on (of 1) a name may have been meant.
const NEAR: f32 = 0.6;

impl Store {
    /// Finds a run by what a person typed: `refund.1`, `refund` (the newest of that name), `last`, a uuid or a
    /// unique prefix of one.
    ///
    /// # Errors
    /// [`StoreError::NoRun`], or [`StoreError::Refused`] when several uuids begin like that.
    pub fn resolve(&self, text: &str) -> Result<RunId, StoreError> {
        let text = text.trim();
        let none = || self.no_run(text);
        let ids = self.run_ids()?;
        if let Some(id) = ids.iter().find(|id| id.as_str() == text) {
            return Ok(id.clone());
        }
        let manifests =
            || ids.iter().filter_map(|id| look(&self.run_directory(id)).ok().map(|(file, _)| file.run));
        if text == "last" {
            return manifests().max_by_key(|m| (m.started_us, m.id.number())).map(|m| m.id).ok_or_else(none);
        }
        if let Some(newest) = ids.iter().filter(|id| id.name() == text).max_by_key(|id| id.number()) {
            return Ok(newest.clone());
        }
        let prefix = text.to_ascii_lowercase();
        if prefix.len() < SHORTEST_PREFIX || !prefix.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-') {
            return Err(none());
        }
        let plain = prefix.replace('-', "");
        let fits = |m: &Manifest| m.uuid.starts_with(&prefix) || m.uuid.replace('-', "").starts_with(&plain);
        let mut fitting: Vec<Manifest> = manifests().filter(fits).collect();
        match (fitting.pop(), fitting.is_empty()) {
            (None, _) => Err(none()),
            (Some(only), true) => Ok(only.id),
            (Some(last), false) => {
                fitting.push(last);
                let names: Vec<String> = fitting.iter().map(|m| format!("{} ({})", m.id, m.uuid)).collect();
                Err(StoreError::Refused(format!(
                    "{text} is the beginning of several runs: {}",
                    names.join(", ")
                )))
            }
        }
    }

    /// The run of this uuid, if it is here. `likely`: the name that it had when its uuid was noted.
    pub fn run_of_uuid(&self, uuid: &str, likely: Option<&RunId>) -> Option<Manifest> {
        let of = |id: &RunId| {
            look(&self.run_directory(id)).ok().map(|(file, _)| file.run).filter(|m| m.uuid == uuid)
        };
        likely.and_then(of).or_else(|| self.run_ids().ok()?.iter().find_map(of))
    }

    /// What a run was forked from, the parent first, as far as the runs are here: the last one may not be.
    pub fn ancestry(&self, run: &Manifest) -> Vec<Ancestor> {
        let mut found: Vec<Ancestor> = Vec::new();
        let mut next = run.parent.clone();
        while let Some(mut parent) = next.take() {
            let known = parent.uuid == run.uuid || found.iter().any(|a| a.parent.uuid == parent.uuid);
            if known {
                break;
            }
            let here = self.run_of_uuid(&parent.uuid, Some(&parent.run));
            if let Some(here) = &here {
                parent.run = here.id.clone();
            }
            found.push(Ancestor { parent, is_here: here.is_some() });
            next = here.and_then(|run| run.parent);
        }
        found
    }

    /// No run is called like that; perhaps one nearly is.
    pub fn no_run(&self, asked: &str) -> StoreError {
        let ids = self.run_ids().unwrap_or_default();
        StoreError::NoRun { asked: asked.into(), near: nearest(asked, ids), store: self.root().to_path_buf() }
    }

    /// All runs, oldest first; a damaged one is listed with its problem. Sealed runs come from the index when it can
    /// be had; see [`Store::rebuild_index`].
    ///
    /// # Errors
    /// When the store's directory cannot be read.
    pub fn runs(&self) -> Result<Vec<RunSummary>, StoreError> {
        let mut found = self.catalogued_runs()?;
        found.sort_by(|a, b| {
            (a.manifest.started_us, &a.manifest.id).cmp(&(b.manifest.started_us, &b.manifest.id))
        });
        Ok(found)
    }

    /// One line of `ls`, from the run's files; none for a directory in which a run is just being made.
    pub(super) fn summary(&self, id: &RunId) -> Option<RunSummary> {
        let directory = self.run_directory(id);
        match look(&directory) {
            Ok((file, state)) => {
                let mut summary = RunSummary {
                    manifest: file.run,
                    state,
                    exchanges: 0,
                    steps: None,
                    model_steps: None,
                    usage: Default::default(),
                    bytes: size(&directory),
                    problem: None,
                };
                match file.totals {
                    Some(RunTotals { exchanges, steps, model_steps, usage }) => {
                        (summary.exchanges, summary.steps) = (exchanges, steps);
                        (summary.model_steps, summary.usage) = (model_steps, usage);
                    }
                    None => match RunReader::open(directory) {
                        Ok(reader) => {
                            summary.exchanges = reader.ids().len() as u32;
                            summary.problem = reader.damage().first().cloned();
                            if state == RunState::Interrupted {
                                let outline = reader.derive_outline();
                                let is_model = |step: &&Step| matches!(step.kind, StepKind::Model { .. });
                                summary.steps = Some(outline.steps.len() as u32);
                                summary.model_steps =
                                    Some(outline.steps.iter().filter(is_model).count() as u32);
                                summary.usage = outline.usage();
                            }
                        }
                        Err(error) => summary.problem = Some(error.to_string()),
                    },
                }
                summary.problem = summary.problem.or_else(|| summary.manifest.incomplete.clone());
                Some(summary)
            }
            Err(_) if is_being_made(&directory) => None,
            Err(error) => Some(RunSummary {
                manifest: nameless(id),
                state: if lock::is_recording(&directory) {
                    RunState::Recording
                } else {
                    RunState::Interrupted
                },
                exchanges: 0,
                steps: None,
                model_steps: None,
                usage: Default::default(),
                bytes: size(&directory),
                problem: Some(error.to_string()),
            }),
        }
    }
}

/// The run whose id, or whose name alone, is most like what was asked for; the newest of several.
fn nearest(asked: &str, ids: Vec<RunId>) -> Option<RunId> {
    let asked = asked.to_lowercase();
    let likeness = |text: &str| similar::TextDiff::from_chars(asked.as_str(), text).ratio();
    let rated = ids.into_iter().map(|id| {
        let (whole, name) = (id.as_str().to_lowercase(), id.name().to_lowercase());
        (likeness(&whole).max(likeness(&name)), id)
    });
    let near = rated.filter(|(likeness, _)| *likeness >= NEAR);
    near.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, id)| id)
}

/// True for a directory without a manifest that somebody may be filling.
fn is_being_made(directory: &Path) -> bool {
    let age = || std::fs::metadata(directory).and_then(|m| m.modified()).ok()?.elapsed().ok();
    !directory.join(super::run_dir::MANIFEST).exists()
        && (lock::is_recording(directory) || age().is_none_or(|age| age < BEING_MADE))
}

/// Stands in for a manifest that cannot be read.
fn nameless(id: &RunId) -> Manifest {
    Manifest {
        id: id.clone(),
        uuid: String::new(),
        recorder: String::new(),
        started_us: 0,
        home: String::new(),
        temp: String::new(),
        zone_s: 0,
        labels: Default::default(),
        note: None,
        command: Vec::new(),
        command_redacted: false,
        directory: String::new(),
        environment: Default::default(),
        secret_variables: Vec::new(),
        stdin: None,
        git: None,
        upstreams: Vec::new(),
        parent: None,
        imported: false,
        lacks: Vec::new(),
        stale: Vec::new(),
        intercepted: None,
        shell: false,
        outcome: None,
        incomplete: None,
        stand_ins: 0,
        replaced: Default::default(),
        own_stand_ins: Vec::new(),
    }
}
