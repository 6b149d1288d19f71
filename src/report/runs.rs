//! The runs of a store: what `retake ls` prints.

use super::outcome::ended;
use super::style::{Ink, Style};
use super::table::{Cell, Column, table};
use super::words::{self, clip, line};
use crate::exchange::ExchangeId;
use crate::prices::Spent;
use crate::run::tree::NodeKind;
use crate::run::wanted::FoundSpan;
use crate::run::{Outline, RunId, RunState, StepKind};
use crate::store::RunSummary;
use std::collections::BTreeMap;

/// Runs as a table, in the order given. `spent`: what each costs, where that can be told. `names`: the name of every run of the store by its uuid. `now_us`: microseconds
/// since the Unix epoch.
pub fn list(
    runs: &[RunSummary],
    spent: &[Option<Spent>],
    names: &BTreeMap<String, RunId>,
    now_us: u64,
    style: Style,
) -> String {
    if runs.is_empty() {
        return "no runs yet: `retake run -- COMMAND` records one, `retake demo` shows how it goes\n".into();
    }
    let columns = [
        Column::left("run"),
        Column::left("when"),
        Column::left("outcome"),
        Column::right("steps"),
        Column::right("tokens"),
        Column::right("cost"),
        Column::flexible("what"),
    ];
    let rows: Vec<Vec<Cell>> =
        runs.iter().zip(spent).map(|(run, spent)| row(run, spent.as_ref(), names, now_us)).collect();
    table(&columns, &rows, style)
}

fn row(run: &RunSummary, spent: Option<&Spent>, names: &BTreeMap<String, RunId>, now_us: u64) -> Vec<Cell> {
    let manifest = &run.manifest;
    let good = manifest.outcome.as_ref().is_some_and(|o| o.exit_code == Some(0) || !o.is_told());
    let ink = match run.state {
        RunState::Complete if manifest.outcome.as_ref().is_some_and(|o| o.stopped.is_some()) => Ink::Note,
        RunState::Complete if good => Ink::Plain,
        RunState::Recording => Ink::Note,
        _ => Ink::Bad,
    };
    let mut what = Vec::new();
    if let Some(problem) = &run.problem {
        what.push(match run.state {
            RunState::Incomplete => format!("incomplete: {}", line(problem)),
            _ => format!("cannot be read: {}", line(problem)),
        });
    }
    if let Some(parent) = &manifest.parent {
        let edits = parent.edits.iter().map(|e| line(e)).collect::<Vec<_>>().join("  ");
        let edits = if edits.is_empty() { String::new() } else { format!(": {edits}") };
        let at = if parent.at_step == 0 { String::new() } else { format!("@{}", parent.at_step) };
        let here = names.get(&parent.uuid);
        let away = if here.is_some() { "" } else { " (not in this store)" };
        let run = here.unwrap_or(&parent.run);
        what.push(match parent.replay {
            true => format!("replay of {run}{away}"),
            false => format!("fork of {run}{at}{away}{edits}"),
        });
    }
    what.extend(manifest.imported.then(|| "imported".to_string()));
    what.extend(manifest.note.as_ref().map(|n| format!("\"{}\"", line(n))));
    what.extend(manifest.labels.iter().map(|(k, v)| format!("{}={}", line(k), line(v))));
    if manifest.parent.is_none() && run.problem.is_none() && !manifest.command.is_empty() {
        what.push(clip(&super::heading::command(&manifest.command), 200));
    }
    if manifest.parent.is_none() && manifest.command.is_empty() && !manifest.directory.is_empty() {
        what.push("through retake proxy".into());
    }
    vec![
        Cell::new(Ink::Strong, manifest.id.to_string()),
        Cell::new(Ink::Dim, words::ago(manifest.started_us, now_us)),
        Cell::new(ink, ended(manifest, run.state)),
        Cell::plain(run.steps.map_or_else(|| "?".into(), |s| words::count(s.into()))),
        Cell::new(
            Ink::Dim,
            match (run.usage.input, run.usage.output) {
                (0, 0) if run.steps.is_some_and(|n| n > 0) => "n/a".into(),
                (i, o) => words::tokens(i, o),
            },
        ),
        Cell::new(Ink::Dim, spent.filter(|spent| spent.priced > 0).map(Spent::narrow).unwrap_or_default()),
        Cell::new(if run.problem.is_some() { Ink::Bad } else { Ink::Plain }, what.join("   ")),
    ]
}

/// A step that was looked for.
pub struct FoundStep {
    place: String,
    who: String,
    said: String,
    failed: bool,
    tokens: String,
}

impl FoundStep {
    /// An exchange that is no step, as it is told when it was looked for.
    pub fn exchange(run: &RunId, id: ExchangeId, said: &str) -> FoundStep {
        let (place, who) = (run.to_string(), format!("exchange {id}"));
        FoundStep { place, who, said: line(said), failed: false, tokens: String::new() }
    }
}

/// A step, as it is told when it was looked for; none when there is no such step.
pub fn found_step(run: &RunId, outline: &Outline, step: u32) -> Option<FoundStep> {
    let place = format!("{run}@{step}");
    Some(match outline.step(step)? {
        StepKind::Model { lane, turn } => {
            let turn = outline.turn(lane, turn)?;
            let tools: Vec<&str> = turn.calls.iter().map(|call| call.name.as_str()).collect();
            let said = match (&turn.error, tools.is_empty()) {
                (Some(error), _) => error.clone(),
                (None, false) => format!("calls {}", tools.join(" + ")),
                (None, true) => turn.text.clone(),
            };
            let tokens = turn.usage.map(|usage| words::tokens(usage.input, usage.output));
            let (failed, tokens) = (turn.error.is_some(), tokens.unwrap_or_default());
            FoundStep { place, who: line(&turn.model), said: line(&said), failed, tokens }
        }
        StepKind::Tool { site } => {
            let call = outline.call(site)?;
            let result = call.result.as_ref();
            FoundStep {
                place,
                who: line(&call.name),
                said: result.map_or_else(|| "no result".into(), |result| line(&result.text)),
                failed: result.is_some_and(|result| result.is_error),
                tokens: String::new(),
            }
        }
    })
}

/// A span that is no step, as it is told when it was looked for: with the step that it is in, or those below it.
pub fn found_span(run: &RunId, span: &FoundSpan) -> FoundStep {
    let kind = match span.kind {
        NodeKind::Agent => "agent ",
        NodeKind::Workflow => "workflow ",
        NodeKind::Tool => "tool ",
        _ => "span ",
    };
    let steps = |steps: &[u32]| match steps {
        [step] => format!("step {step}"),
        steps => format!("steps {}", words::ranges(steps)),
    };
    let under = span.under.as_ref().map(|name| format!("under {}", clip(&line(name), 40)));
    let (place, under, stands) = match (span.within, span.around.as_slice()) {
        (Some(step), _) => (format!("{run}@{step}"), None, Some("part of this step".to_string())),
        (None, []) => {
            let stands = match (span.during.as_slice(), span.after, span.before) {
                // A run without any step.
                ([], None, None) => None,
                ([], None, Some(_)) => Some("before the first step".to_string()),
                ([], Some(step), _) => Some(format!("after step {step}")),
                (during, ..) => Some(format!("during {}", steps(during))),
            };
            (run.to_string(), under, stands)
        }
        (None, around) => (run.to_string(), None, Some(format!("around {}", steps(around)))),
    };
    let error = span.error.as_deref().map(line).filter(|error| !error.is_empty());
    let said = [span.took_us.map(words::duration), under, stands, error].into_iter().flatten();
    FoundStep {
        place,
        who: format!("{kind}{}", line(&span.name)),
        said: said.collect::<Vec<_>>().join(", "),
        failed: span.error.is_some(),
        tokens: match (span.input, span.output) {
            (0, 0) => String::new(),
            (input, output) => words::tokens(input, output),
        },
    }
}

/// Steps that were looked for, one line each.
pub fn steps(found: &[FoundStep], style: Style) -> String {
    let columns =
        [Column::left("step"), Column::left("who"), Column::flexible("what"), Column::right("tokens")];
    let rows = found.iter().map(|step| {
        vec![
            Cell::new(Ink::Strong, step.place.clone()),
            Cell::plain(clip(&step.who, 32)),
            Cell::new(if step.failed { Ink::Bad } else { Ink::Plain }, clip(&step.said, 400))
                .with_remark(if step.failed { "failed" } else { "" }),
            Cell::new(Ink::Dim, step.tokens.clone()),
        ]
    });
    table(&columns, &rows.collect::<Vec<_>>(), style)
}

/// What is said when no run or step is as asked.
pub fn none_found(runs: usize) -> String {
    format!("nothing found in {}\n", words::many(runs as u64, "run"))
}
