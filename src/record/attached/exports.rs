//! What agents of a shared proxy export, into the runs that it belongs to. Nothing waits: an export begins a run as a
//! request does, and one that comes too late is added to the run that has ended.

use super::belonging::{Candidate, places};
use super::{After, Attached, MOST_OPEN, Open, lock};
use crate::otlp::Moment;
use crate::proxy::{SeenExport, Tape};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::task::spawn_blocking;

/// Runs that have ended and may still get something: so many, the last ones.
const MOST_ENDED: usize = MOST_OPEN;

type Name = Option<String>;

impl Attached {
    /// Keeps an export with the runs that it belongs to.
    pub(super) async fn take(&self, name: Option<&str>, SeenExport { batch, digest, bytes }: SeenExport) {
        if batch.is_empty() || !self.keeper.keeps_exports() {
            return;
        }
        let moments = batch.moments();
        let mut names: Vec<Name> = Vec::new();
        let whose: Vec<usize> = match name {
            Some(name) => {
                names.push(Some(name.to_string()));
                vec![0; moments.len()]
            }
            None => {
                let by_trace = self.names_of(&moments);
                let of = moments.iter().map(|of| of.trace.and_then(|trace| by_trace.get(&trace)?.clone()));
                of.map(|name| index(&mut names, name)).collect()
            }
        };
        for (name, batch) in batch.divide(&whose) {
            if let Some(name) = names.get(name) {
                self.take_named(name, SeenExport { batch, digest, bytes }).await;
            }
        }
    }

    /// The named run that knows a trace, when the unnamed ones do not and no other name does: an exporter that was told
    /// where the proxy is, and not the name.
    fn names_of(&self, moments: &[Moment]) -> HashMap<[u8; 16], Name> {
        let mut runs: Vec<Arc<Open>> = lock(&self.open).values().cloned().collect();
        runs.extend(lock(&self.ended).iter().cloned());
        let mut found: HashMap<[u8; 16], Name> = HashMap::new();
        for trace in moments.iter().filter_map(|of| of.trace) {
            found.entry(trace).or_insert_with(|| {
                let mut known = runs.iter().filter(|run| lock(&run.traces).has(&trace)).map(|run| &run.name);
                let first = known.next()?;
                known.all(|name| name == first).then(|| first.clone()).flatten()
            });
        }
        found
    }

    async fn take_named(&self, name: &Name, SeenExport { batch, digest, bytes }: SeenExport) {
        let moments = batch.moments();
        let runs = self.runs_of(name);
        let traces: HashSet<[u8; 16]> = moments.iter().filter_map(|of| of.trace).collect();
        let candidates: Vec<Candidate> = runs
            .iter()
            .map(|run| Candidate {
                began_us: run.began_us,
                ended_us: run.ended_us.get().copied(),
                known: traces.iter().filter(|trace| lock(&run.traces).has(trace)).copied().collect(),
            })
            .collect();
        for (place, batch) in batch.divide(&places(&candidates, &moments)) {
            let seen = SeenExport { batch, digest, bytes };
            let ended = place.and_then(|at| runs.get(at)).filter(|run| run.ended_us.get().is_some());
            let left = match ended {
                Some(run) => self.take_late(run, seen).await,
                None => Some(seen),
            };
            if let Some(seen) = left {
                self.take_now(name.as_deref(), seen).await;
            }
        }
    }

    /// The runs of a name: those that have ended, in the order in which they did, and the open one.
    fn runs_of(&self, name: &Name) -> Vec<Arc<Open>> {
        let open = lock(&self.open);
        let ended = lock(&self.ended);
        ended.iter().filter(|run| run.name == *name).chain(open.get(name)).cloned().collect()
    }

    /// Adds to a run that has ended; gives the export back when it is not there any more, though
    /// nobody decided so.
    async fn take_late(&self, run: &Arc<Open>, seen: SeenExport) -> Option<SeenExport> {
        let mut after = run.after.subscribe();
        let after = after.wait_for(|after| !matches!(after, After::Unknown)).await.map(|after| after.clone());
        let recorder = match after {
            Ok(After::Sealed(recorder)) => recorder,
            Ok(After::Dropped(begun)) => {
                let keeper = self.keeper.clone();
                // A keeper that panics has told nothing; there is nothing to keep either way.
                let _ = spawn_blocking(move || keeper.too_late(&begun, &seen)).await;
                return None;
            }
            _ => return Some(seen),
        };
        note(run, &seen);
        let again = seen.clone();
        let added = spawn_blocking(move || recorder.export_late(seen)).await;
        matches!(added, Ok(Ok(()))).then_some(()).map_or(Some(again), |()| None)
    }

    /// Adds to the open run, which begins if there is none.
    async fn take_now(&self, name: Option<&str>, seen: SeenExport) {
        let Some(myself) = self.myself.upgrade() else { return };
        let mut presence = self.enter(myself, name);
        // While nothing was asked yet, exports are all there is; later an agent that only exports has fallen silent.
        presence.counts = presence.open.numbered.load(Ordering::Acquire) == 0;
        match self.begun(&presence, name).await {
            Some(begun) => {
                note(&presence.open, &seen);
                if let Some(recorder) = begun.recorder {
                    recorder.export(seen).await;
                }
            }
            None => self.forget(&presence.open),
        }
    }

    /// Takes a run that has ended into the books, so that what comes late finds it.
    pub(super) fn retire(&self, run: &Arc<Open>, now_us: u64) {
        let _ = run.ended_us.set(now_us);
        let mut ended = lock(&self.ended);
        if ended.len() >= MOST_ENDED {
            ended.pop_front();
        }
        ended.push_back(run.clone());
    }
}

fn note(run: &Open, seen: &SeenExport) {
    let mut traces = lock(&run.traces);
    seen.batch.moments().iter().filter_map(|of| of.trace).for_each(|trace| traces.note(trace));
}

fn index(names: &mut Vec<Name>, name: Name) -> usize {
    names.iter().position(|known| *known == name).unwrap_or_else(|| {
        names.push(name);
        names.len() - 1
    })
}
