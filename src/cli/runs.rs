//! `retake ls`, `rm` and `index rebuild`

use super::args::{LsArgs, RmArgs};
use super::error::{CliError, exit};
use super::session::now_us;
use super::view::Opened;
use super::{Context, print, spans, traced, warn};
use crate::prices::{Prices, Spent};
use crate::report::stats::partial_footing;
use crate::report::{runs, words};
use crate::run::wanted::{FoundSpan, Met, Told, Wanted};
use crate::run::{Outline, RunId, StepKind, Turn};
use crate::store::{RunSummary, Store};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) fn ls(context: &Context, args: &LsArgs) -> Result<i32, CliError> {
    let store = context.store()?;
    let mut found = store.runs()?;
    pass_on_notes(&store);
    let names: BTreeMap<String, RunId> =
        found.iter().map(|run| (run.manifest.uuid.clone(), run.manifest.id.clone())).collect();
    if let Some(name) = &args.name {
        found.retain(|run| run.manifest.id.name() == name || run.manifest.id.as_str() == name);
        if found.is_empty() && !names.is_empty() {
            return Err(store.no_run(name).into());
        }
    }
    let prices = context.prices();
    if let Some(terms) = &args.terms {
        let wanted = wanted(terms)?;
        let looked_at = found.len();
        found.retain(|run| wanted.fits(&run.manifest, run.steps));
        if wanted.is_about_steps() {
            return steps_where(context, &store, &found, looked_at, (&wanted, &prices));
        }
        if found.is_empty() && !context.json {
            print(&runs::none_found(looked_at))?;
            return Ok(exit::OK);
        }
    }
    let spent: Vec<Option<Spent>> = found.iter().map(|run| spent(&store, run, &prices)).collect();
    if context.json {
        let mut told = serde_json::to_value(&found).map_err(|e| CliError::broken(e.to_string()))?;
        for (run, spent) in told.as_array_mut().into_iter().flatten().zip(&spent) {
            run["cost"] = serde_json::json!(spent);
        }
        context.print_json(&told)?;
    } else {
        print(&runs::list(&found, &spent, &names, now_us(), context.style))?;
        if spent.iter().flatten().any(Spent::is_partial) {
            print(&partial_footing(context.style))?;
        }
    }
    Ok(exit::OK)
}

/// The terms of `--where`.
pub(super) fn wanted(terms: &str) -> Result<Wanted, CliError> {
    Wanted::parse(terms).map_err(|unclear| {
        let error = CliError::usage(format!("--where: {}", unclear.what));
        if unclear.hint.is_empty() { error } else { error.hint(unclear.hint) }
    })
}

/// What a run costs; none when it is not sealed, or its outline cannot be read.
fn spent(store: &Store, run: &RunSummary, prices: &Prices) -> Option<Spent> {
    run.steps?;
    if run.manifest.parent.as_ref().is_some_and(|parent| !parent.edits.is_empty()) {
        // An edit may have asked another model than the agent named.
        return Some(Opened::by_id(store, &run.manifest.id).ok()?.priced(prices.clone()).view().spent());
    }
    let outline = store.outline_of(&run.manifest.id).ok()?;
    let mut spent = Spent::default();
    for turn in outline.lanes.iter().flat_map(|lane| &lane.turns) {
        spent.add(&turn.model, turn.cost(prices));
    }
    Some(spent)
}

/// The steps in which all terms hold, one line each.
fn steps_where(
    context: &Context,
    store: &Store,
    found: &[RunSummary],
    looked_at: usize,
    (wanted, prices): (&Wanted, &Prices),
) -> Result<i32, CliError> {
    let mut all = Vec::new();
    let mut told = Vec::new();
    let mut met = Met::default();
    for run in found {
        let id = &run.manifest.id;
        let hits = match Hits::of(store, run, (wanted, &mut met), prices) {
            Ok(hits) => hits,
            Err(error) => {
                warn(&format!("{id} is left out: {}", error.message));
                continue;
            }
        };
        if !hits.is_empty() {
            let mut found = serde_json::json!({ "run": id, "steps": hits.steps });
            if !hits.spans.is_empty() {
                found["spans"] = serde_json::json!(hits.spans);
            }
            told.push(found);
        }
        // In order of the steps: a span before those below it, and behind the one that it is in.
        let first = |span: &FoundSpan| span.around.first().or(span.during.first()).copied();
        let place = |span: &FoundSpan| match (span.within.or(span.after), first(span)) {
            (Some(step), _) => (step, 2),
            (None, first) => (first.unwrap_or_default(), 0),
        };
        let mut rows: Vec<_> =
            hits.spans.iter().map(|span| (place(span), runs::found_span(id, span))).collect();
        let found = |step| Some(((step, 1), runs::found_step(id, &hits.outline, step)?));
        rows.extend(hits.steps.into_iter().filter_map(found));
        rows.sort_by_key(|(place, _)| *place);
        all.extend(rows.into_iter().map(|(_, row)| row));
    }
    if context.json {
        context.print_json(&told)?;
    } else if all.is_empty() {
        print(&runs::none_found(looked_at))?;
        told_meant(wanted, &met).into_iter().try_for_each(|told| print(&format!("{told}\n")))?;
    } else {
        print(&runs::steps(&all, context.style))?;
    }
    Ok(exit::OK)
}

/// `no run has get_stok; did you mean get_stock?`
pub(super) fn told_meant(wanted: &Wanted, met: &Met) -> Option<String> {
    let (asked, meant) = wanted.meant(met)?;
    Some(format!("no run has {}; did you mean {}?", words::line(asked), words::line(meant)))
}

/// What terms hold of in a run.
pub(super) struct Hits {
    outline: Arc<Outline>,
    steps: Vec<u32>,
    /// Spans that are no steps.
    spans: Vec<FoundSpan>,
}

impl Hits {
    /// Looks for the steps and spans of a run in which all terms hold. `met`: its names are noted there.
    pub(super) fn of(
        store: &Store,
        run: &RunSummary,
        (wanted, met): (&Wanted, &mut Met),
        prices: &Prices,
    ) -> Result<Hits, CliError> {
        let id = &run.manifest.id;
        let outline = store.outline_of(id)?;
        let is_edited = run.manifest.parent.as_ref().is_some_and(|parent| !parent.edits.is_empty());
        let has_spans = || spans::has_any(&store.run_directory(id));
        let looks = wanted.traces().next().is_some() || wanted.needs_spans() && has_spans();
        let opened = if is_edited || looks { Opened::by_id(store, id).ok() } else { None };
        let opened = opened.map(|opened| opened.priced(prices.clone()));
        let cost = |turn: &Turn| match &opened {
            Some(opened) => opened.view().cost_of(turn),
            None => turn.cost(prices),
        };
        let of_spans = match &opened {
            Some(opened) if looks => told_by_spans(opened, wanted)?,
            _ => Told::default(),
        };
        wanted.meet(&outline, &of_spans, met);
        let steps = wanted.steps(&outline, &cost, &of_spans);
        let spans = wanted.spans(&of_spans).into_iter().cloned().collect();
        Ok(Hits { outline, steps, spans })
    }

    /// True when they hold nowhere.
    pub(super) fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.spans.is_empty()
    }
}

/// What spans say of a run, as far as terms ask.
fn told_by_spans(opened: &Opened, wanted: &Wanted) -> Result<Told, CliError> {
    let mut told = Told::default();
    if wanted.needs_spans() {
        let joined = spans::joined(opened)?;
        if !joined.is_empty() {
            let (view, mut tree) = (opened.view(), joined.tree(opened, true));
            tree.price(&|step| match opened.outline.step(step)? {
                StepKind::Model { lane, turn } => view.cost_of(opened.outline.turn(lane, turn)?),
                StepKind::Tool { .. } => None,
            });
            told = Told::of(&tree, &joined.names(), &|names| wanted.asks_for_span(names));
        }
    }
    for sought in wanted.traces() {
        let steps = match traced::is_known(&opened.reader, sought) {
            true => traced::steps(opened, sought)?.steps.into_keys().collect(),
            false => Default::default(),
        };
        told.trace(sought.clone(), steps);
    }
    Ok(told)
}

pub(super) fn rm(context: &Context, args: &RmArgs) -> Result<i32, CliError> {
    let store = context.store()?;
    // All names are looked up before anything is removed.
    let mut ids = Vec::new();
    for run in &args.runs {
        let id = store.resolve(run)?;
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    let mut removed = Vec::new();
    for id in ids {
        let done = store.remove_run(&id)?;
        if !context.json {
            let mut line = format!("removed   {id}   {} freed", bytes(done.bytes));
            if !done.adopters.is_empty() {
                let forks = match done.adopters.as_slice() {
                    [one] => format!("its fork {one}"),
                    many => format!("its {} forks", many.len()),
                };
                line.push_str(&format!("; what they shared moved to {forks}"));
            }
            print(&format!("{line}\n"))?;
        }
        removed.push(serde_json::json!({ "run": id, "bytes": done.bytes }));
    }
    pass_on_notes(&store);
    if context.json {
        context.print_json(&removed)?;
    }
    Ok(exit::OK)
}

pub(super) fn rebuild(context: &Context) -> Result<i32, CliError> {
    let store = context.store()?;
    let rebuilt = store.rebuild_index()?;
    pass_on_notes(&store);
    if context.json {
        context.print_json(&serde_json::json!({ "runs": rebuilt.runs, "rows": rebuilt.rows }))?;
    } else {
        print(&format!("rebuilt the index: {}\n", words::many(rebuilt.runs as u64, "run")))?;
    }
    Ok(exit::OK)
}

/// Passes on what reading the store has to tell.
pub(super) fn pass_on_notes(store: &Store) {
    for note in store.take_notes() {
        warn(&note);
    }
}

/// A number of bytes for people.
pub(super) fn bytes(n: u64) -> String {
    match n {
        0..1_000 => format!("{n} bytes"),
        1_000..1_000_000 => format!("{:.1} KB", n as f64 / 1e3),
        _ => format!("{:.1} MB", n as f64 / 1e6),
    }
}
