//! How runs ended, as sampling asks.

use super::run_dir::look;
use super::{RunSummary, SpanReader, Store, StoreError};
use crate::otlp::Batch;
use crate::run::sampling::failure;
use crate::run::{Manifest, RunId, RunState};

/// The code of a span that failed.
const ERROR: i32 = 2;

impl Store {
    /// How a run failed, in words; none when it did not. A step that failed counts, and a span that says so: where
    /// results of tools carry no mark, only instrumentation tells of a tool's failure.
    pub fn failure_of(&self, run: &RunSummary) -> Option<String> {
        match &run.problem {
            Some(problem) => Some(problem.clone()),
            None => self.failure_in(&run.manifest, run.state),
        }
    }

    /// The same of a run that was just sealed.
    pub fn failure_in(&self, run: &Manifest, state: RunState) -> Option<String> {
        if state == RunState::Recording {
            return None;
        }
        let outline = self.outline_of(&run.id).ok();
        failure(state, run, outline.as_deref()).or_else(|| {
            let mut failed = false;
            let reader = SpanReader::open(&self.run_directory(&run.id)).ok()?;
            let read = reader.each(|batch| failed = failed || has_failed(&batch));
            (failed && read.is_ok()).then(|| "a span failed".into())
        })
    }

    /// The first run here that was forked from the one with this uuid. Goes by the runs' files alone.
    ///
    /// # Errors
    /// When the store's directory cannot be read.
    pub fn fork_of(&self, uuid: &str) -> Result<Option<RunId>, StoreError> {
        let forked = |id: &RunId| {
            let run = look(&self.run_directory(id)).ok().map(|(file, _)| file.run);
            run.and_then(|run| run.parent).is_some_and(|parent| parent.uuid == uuid)
        };
        Ok(self.run_ids()?.into_iter().find(forked))
    }
}

fn has_failed(batch: &Batch) -> bool {
    let Batch::Traces(traces) = batch else { return false };
    let scopes = traces.resource_spans.iter().flat_map(|of| &of.scope_spans);
    scopes.flat_map(|of| &of.spans).any(|span| span.status.as_ref().is_some_and(|s| s.code == ERROR))
}
