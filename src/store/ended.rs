//! How runs ended, as sampling asks.

use super::{RunSummary, SpanReader, Store};
use crate::otlp::Batch;
use crate::run::RunState;
use crate::run::sampling::failure;

/// The code of a span that failed.
const ERROR: i32 = 2;

impl Store {
    /// How a run failed, in words; none when it did not. A step that failed counts, and a span that says so: where
    /// results of tools carry no mark, only instrumentation tells of a tool's failure.
    pub fn failure_of(&self, run: &RunSummary) -> Option<String> {
        if run.state == RunState::Recording {
            return None;
        }
        if let Some(problem) = &run.problem {
            return Some(problem.clone());
        }
        let id = &run.manifest.id;
        let outline = self.outline_of(id).ok();
        failure(run.state, &run.manifest, outline.as_deref()).or_else(|| {
            let mut failed = false;
            let reader = SpanReader::open(&self.run_directory(id)).ok()?;
            let read = reader.each(|batch| failed = failed || has_failed(&batch));
            (failed && read.is_ok()).then(|| "a span failed".into())
        })
    }
}

fn has_failed(batch: &Batch) -> bool {
    let Batch::Traces(traces) = batch else { return false };
    let scopes = traces.resource_spans.iter().flat_map(|of| &of.scope_spans);
    scopes.flat_map(|of| &of.spans).any(|span| span.status.as_ref().is_some_and(|s| s.code == ERROR))
}
