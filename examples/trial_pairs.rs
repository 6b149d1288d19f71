//! Where trials of one task part, by retake's diff: `cargo run --example trial_pairs -- FILE [--pairs]`.
//!
//! `scripts/trial_pairs.py` says the same of the file without retake.

use retake::dialect::conversation::{ModelAnswer, ModelRequest};
use retake::diff::{self, Conversations, RunView};
use retake::exchange::{Exchange, ExchangeId, Source};
use retake::holes::Surroundings;
use retake::import::{self, Foreign, Kind};
use retake::run::{Manifest, Outline, RunState, lanes};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

/// A trial, read.
struct Trial {
    manifest: Manifest,
    outline: Outline,
    exchanges: Vec<Exchange>,
}

impl Trial {
    fn new(run: Foreign) -> Result<Trial, String> {
        let label = |name: &str| run.labels.get(name).cloned().unwrap_or_default();
        let trial: u32 = label("trial").parse().map_err(|_| "a run has no trial")?;
        let manifest = serde_json::json!({
            "id": format!("task-{}.{}", label("task_id"), trial + 1), "uuid": "", "recorder": "", "started_us": 0,
            "labels": run.labels, "command": [], "directory": "", "environment": {}, "upstreams": [],
            "stand_ins": 0, "replaced": {},
        });
        let manifest = serde_json::from_value(manifest).map_err(|e| e.to_string())?;
        Ok(Trial { manifest, outline: lanes::outline(&run.exchanges), exchanges: run.exchanges })
    }

    fn task(&self) -> &str {
        self.manifest.labels.get("task_id").map_or("", String::as_str)
    }

    fn view(&self) -> RunView<'_> {
        RunView {
            manifest: &self.manifest,
            state: RunState::Complete,
            outline: &self.outline,
            ancestry: &[],
            source: self,
        }
    }

    fn exchange(&self, id: ExchangeId) -> Result<&Exchange, String> {
        self.exchanges.iter().find(|x| x.request.id == id).ok_or_else(|| format!("no exchange {id}"))
    }
}

impl Conversations for Trial {
    fn request(&self, id: ExchangeId) -> Result<Arc<ModelRequest>, String> {
        let request = &self.exchange(id)?.request;
        let (dialect, _) = retake::dialect::recognise(&request.head).ok_or("no model call")?;
        let read = dialect.read_request(&request.head.target, &request.body).map_err(|e| e.to_string())?;
        Ok(Arc::new(read))
    }

    fn answer(&self, id: ExchangeId) -> Result<Arc<ModelAnswer>, String> {
        let exchange = self.exchange(id)?;
        let (dialect, _) = retake::dialect::recognise(&exchange.request.head).ok_or("no model call")?;
        let response = exchange.response.as_ref().ok_or("no answer")?;
        let head = response.head.as_ref().ok_or("no answer")?;
        Ok(Arc::new(dialect.read_answer(head, &response.body)))
    }

    fn source(&self, _: ExchangeId) -> Source {
        Source::Live
    }
}

/// The figures of a file, as the script writes them. `pairs`: a line for each pair before them.
///
/// # Errors
/// When it cannot be read, or holds no two trials of one task.
pub fn figures(bytes: &[u8], pairs: bool) -> Result<String, String> {
    let mut tasks: BTreeMap<u64, BTreeMap<u32, Trial>> = BTreeMap::new();
    for run in import::read(Kind::Messages, "trials", bytes).map_err(|e| e.to_string())? {
        let trial = Trial::new(run)?;
        let task = trial.task().parse().map_err(|_| "a run has no task_id")?;
        tasks.entry(task).or_default().insert(trial.manifest.id.number() - 1, trial);
    }
    let (mut out, mut count, mut identical, mut total) = (String::new(), 0, 0, 0);
    for (task, trials) in &tasks {
        for (i, left) in trials {
            for (j, right) in trials.range(i + 1..) {
                let comparison = diff::compare(&left.view(), &right.view(), &Surroundings::default());
                let parting = comparison.tools;
                count += 1;
                let common = match &parting {
                    Some(parting) => parting.common,
                    None => left.outline.lanes.iter().flat_map(|l| &l.turns).map(|t| t.calls.len()).sum(),
                };
                total += common;
                identical += usize::from(parting.is_none());
                if pairs {
                    let said = match &parting {
                        Some(_) => format!("part at call {}", common + 1),
                        None => "the same".to_string(),
                    };
                    let _ = writeln!(out, "task {task} trials {i} {j}: {said}");
                }
            }
        }
    }
    if count == 0 {
        return Err("no two trials of one task".into());
    }
    let _ = writeln!(out, "pairs: {count}");
    let mean = total as f64 / count as f64;
    let _ = writeln!(out, "mean length of the common tool prefix: {mean:.4} ({total} calls)");
    let _ = writeln!(out, "identical tool sequences: {identical}");
    Ok(out)
}

fn main() -> Result<(), String> {
    let (flags, files): (Vec<String>, Vec<String>) = std::env::args().skip(1).partition(|a| a == "--pairs");
    let [file] = files.as_slice() else { return Err("usage: trial_pairs FILE [--pairs]".into()) };
    let bytes = std::fs::read(file).map_err(|e| format!("{file}: {e}"))?;
    print!("{}", figures(&bytes, !flags.is_empty())?);
    Ok(())
}
