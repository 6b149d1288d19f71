//! Where ids of traces and spans lead: the line of a tool's log to the step that it is about.

use super::error::{CliError, exit};
use super::view::Opened;
use super::{Context, print, spans};
use crate::dialect::{self, Endpoint};
use crate::exchange::ExchangeId;
use crate::exchange::span::traceparents;
use crate::report::runs::FoundStep;
use crate::report::{self, words};
use crate::run::tree::Node;
use crate::run::tree::about::About;
use crate::run::{CallSite, RunId, StepKind};
use crate::span::asked::{Asked, key_of};
use crate::span::sought::Sought;
use crate::span::{SpanKey, TraceId};
use crate::store::{RunReader, Store};
use serde::Serialize;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// How a step was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Way {
    /// The span is the step's, or below it.
    Span,
    /// The request of the step names the span as its parent.
    Traceparent,
    /// The step is below the span.
    Above,
    /// The step is in the trace, of which nothing nearer is known.
    Trace,
}

impl Way {
    /// In a few words.
    fn words(self) -> &'static str {
        match self {
            Way::Span => "by its span",
            Way::Traceparent => "its request names the span",
            Way::Above => "below the span",
            Way::Trace => "in the trace",
        }
    }
}

/// What was found in a run.
#[derive(Debug, Default)]
pub(super) struct Traced {
    /// The steps, each with the surest way to it.
    pub steps: BTreeMap<u32, Way>,
    /// Exchanges that are no step.
    pub exchanges: BTreeSet<ExchangeId>,
    /// True when the span itself is known.
    pub knows_span: bool,
}

impl Traced {
    fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.exchanges.is_empty() && !self.knows_span
    }
}

/// `retake show --trace LINE`: the step itself when there is one, else a list. `run`: only in this one.
pub(super) fn show(
    context: &Context,
    store: &Store,
    run: Option<&str>,
    text: &str,
    full: bool,
) -> Result<i32, CliError> {
    let sought = Sought::parse(text).ok_or_else(|| {
        CliError::usage("--trace: there is no id in it").hint(
            "32 hex digits are a trace, 16 a span; or a line with traceparent, trace_id or span_id in it",
        )
    })?;
    let among = match run {
        Some(run) => vec![store.resolve(run)?],
        None => store.runs()?.into_iter().map(|run| run.manifest.id).collect(),
    };
    let mut found = Vec::new();
    for id in runs(store, &among, &sought) {
        let opened = Opened::by_id(store, &id)?.priced(context.prices());
        let traced = steps(&opened, &sought)?;
        found.extend((!traced.is_empty()).then_some((opened, traced)));
    }
    // Where the span itself is known somewhere, other runs of its trace are not meant.
    let is_sure = |traced: &Traced| traced.knows_span || traced.steps.values().any(|way| *way < Way::Trace);
    if found.iter().any(|(_, traced)| is_sure(traced)) {
        found.retain(|(_, traced)| is_sure(traced));
    }
    if found.is_empty() {
        let looked = words::many(among.len() as u64, "run");
        return Err(CliError::broken(format!("no request and no span is of this trace, in {looked}")).hint(
            "a tool's log line leads to a step when the agent sends traceparent, or exports its spans",
        ));
    }
    let only = match found.as_slice() {
        [(opened, traced)] if traced.exchanges.is_empty() && traced.steps.len() == 1 => {
            traced.steps.first_key_value().map(|(step, way)| (opened, *step, *way))
        }
        _ => None,
    };
    // A span that is no step is told itself, before the steps to which it leads.
    let mut told_spans = String::new();
    let mut spans_told = Vec::new();
    for (opened, traced) in found.iter().filter(|_| only.is_none() && !sought.spans.is_empty()) {
        let (all, logs) = spans::all(opened)?;
        let about = About::spans(&|key| sought.names_span(key), &all, &logs);
        if !about.is_empty() {
            let leads = !traced.steps.is_empty() || !traced.exchanges.is_empty();
            let whose = if leads { "the span" } else { "a span that is part of no step" };
            told_spans.push_str(&format!("{}: {whose}\n\n", opened.reader.manifest().id));
            told_spans.push_str(&report::spans::about(&about, None, full, context.style));
        }
        spans_told.extend((!about.is_empty()).then(|| report::spans::data(&about)));
    }
    if context.json {
        let mut told =
            json!({ "found": found.iter().map(|(opened, traced)| traced.data(opened)).collect::<Vec<_>>() });
        if let Some((opened, step, _)) = only {
            told["step"] = super::show::step_data(opened, step)?;
        }
        if let Some((spans, logs)) = spans_told.into_iter().next() {
            (told["spans"], told["logs"]) = (spans, logs);
        }
        context.print_json(&told)?;
    } else if let Some((opened, step, way)) = only {
        let shown = super::show::step_text(context, opened, step, full)?;
        print(&format!("{} is step {step}: {}\n\n{shown}", opened.reader.manifest().id, way.words()))?;
    } else {
        let rows: Vec<_> = found.iter().flat_map(|(opened, traced)| traced.rows(opened)).collect();
        let gap = if told_spans.is_empty() || rows.is_empty() { "" } else { "\n" };
        let rows = if rows.is_empty() { String::new() } else { report::runs::steps(&rows, context.style) };
        print(&format!("{told_spans}{gap}{rows}"))?;
    }
    Ok(exit::OK)
}

impl Traced {
    fn data(&self, opened: &Opened) -> serde_json::Value {
        let steps = self.steps.iter().map(|(step, way)| json!({ "step": step, "found_by": way }));
        json!({
            "run": opened.reader.manifest().id, "steps": steps.collect::<Vec<_>>(), "exchanges": self.exchanges,
        })
    }

    fn rows(&self, opened: &Opened) -> Vec<FoundStep> {
        let (run, view) = (&opened.reader.manifest().id, opened.view());
        let steps =
            self.steps.keys().filter_map(|step| report::runs::found_step(run, &opened.outline, *step));
        let others = self.exchanges.iter().map(|id| {
            let said = view.source.service(*id).unwrap_or_else(|| "no step".into());
            FoundStep::exchange(run, *id, &said)
        });
        steps.chain(others).collect()
    }
}

/// The runs of a store that have anything of it, without those that cannot be read.
fn runs(store: &Store, among: &[RunId], sought: &Sought) -> Vec<RunId> {
    let knows = |id: &&RunId| store.open_run(id).is_ok_and(|reader| is_known(&reader, sought));
    among.iter().filter(knows).cloned().collect()
}

/// True when a request or a span of a run is of such a trace.
pub(super) fn is_known(reader: &RunReader, sought: &Sought) -> bool {
    let is_meant = |key: SpanKey| sought.names_trace(key.trace) || sought.names_span(key);
    if reader.ids().into_iter().any(|id| parents(reader, id).into_iter().any(is_meant)) {
        return true;
    }
    spans::keys(reader).is_ok_and(|keys| keys.into_iter().any(is_meant))
}

/// The spans that a request names as its parents: in its headers, and where messages to tools have them.
pub(super) fn parents(reader: &RunReader, id: ExchangeId) -> Vec<SpanKey> {
    let Ok(record) = reader.request(id) else { return Vec::new() };
    match dialect::recognise(&record.head) {
        Some((_, Endpoint::Model)) => traceparents(&record.head.headers).filter_map(key_of).collect(),
        _ => reader.exchange(id).map(|exchange| Asked::of(&exchange).parents).unwrap_or_default(),
    }
}

/// The steps of a run to which ids lead: those of the span, where it is known, which may be none; else all of the trace.
///
/// # Errors
/// When its spans cannot be read.
pub(super) fn steps(opened: &Opened, sought: &Sought) -> Result<Traced, CliError> {
    let of_exchange = steps_of_exchanges(opened);
    let ids = opened.reader.ids();
    let named: Vec<(ExchangeId, Vec<SpanKey>)> =
        ids.into_iter().map(|id| (id, parents(&opened.reader, id))).collect();
    let tree = spans::tree(opened, true)?;
    let mut found = Traced { knows_span: holds(&tree, sought), ..Traced::default() };
    let by_request = |found: &mut Traced, way: Way, is: &dyn Fn(&SpanKey) -> bool| {
        for (id, _) in named.iter().filter(|(_, parents)| parents.iter().any(is)) {
            match of_exchange.get(id) {
                Some(steps) => steps.iter().for_each(|step| _ = found.steps.entry(*step).or_insert(way)),
                None => _ = found.exchanges.insert(*id),
            }
        }
    };
    if !sought.spans.is_empty() {
        by_span(&tree, sought, &mut found);
        let is_found = |found: &Traced| !found.steps.is_empty() || !found.exchanges.is_empty();
        if !is_found(&found) {
            by_request(&mut found, Way::Traceparent, &|key| sought.names_span(*key));
        }
        if !is_found(&found) {
            below_span(&tree, sought, &mut found);
        }
    }
    if found.is_empty() {
        by_request(&mut found, Way::Trace, &|key| sought.names_trace(key.trace));
        in_trace(&tree, None, sought, &mut found);
    }
    Ok(found)
}

/// The steps that an exchange is: model calls, and calls of tools that servers carried out.
pub(super) fn steps_of_exchanges(opened: &Opened) -> HashMap<ExchangeId, Vec<u32>> {
    let mut all: HashMap<ExchangeId, Vec<u32>> = HashMap::new();
    let servers = opened.tool_servers();
    for (number, step) in (1u32..).zip(&opened.outline.steps) {
        match step.kind {
            StepKind::Model { lane, turn } => {
                let turn = opened.outline.turn(lane, turn);
                let attempts = turn.map(|turn| turn.attempts.as_slice()).unwrap_or_default();
                attempts.iter().for_each(|id| all.entry(*id).or_default().push(number));
            }
            StepKind::Tool { site } => {
                let id = (!servers.is_empty()).then(|| carried_out(opened, site)).flatten();
                id.into_iter().for_each(|id| all.entry(id).or_default().push(number));
            }
        }
    }
    all
}

fn carried_out(opened: &Opened, site: CallSite) -> Option<ExchangeId> {
    Some(opened.tool_servers().carried_out(site)?.id)
}

/// Steps whose span it is, or below whose span it stands.
fn by_span(tree: &Node, sought: &Sought, found: &mut Traced) {
    fn walk(node: &Node, step: Option<u32>, sought: &Sought, found: &mut Traced) {
        let step = node.step.or(step);
        if let Some(step) = step.filter(|_| node.span.is_some_and(|span| sought.names_span(span))) {
            found.steps.insert(step, Way::Span);
        }
        node.children.iter().for_each(|child| walk(child, step, sought, found));
    }
    walk(tree, None, sought, found);
}

/// Steps that stand below it.
fn below_span(tree: &Node, sought: &Sought, found: &mut Traced) {
    fn walk(node: &Node, is_below: bool, sought: &Sought, found: &mut Traced) {
        let is_below = is_below || node.span.is_some_and(|span| sought.names_span(span));
        if let Some(step) = node.step.filter(|_| is_below) {
            found.steps.insert(step, Way::Above);
        }
        node.children.iter().for_each(|child| walk(child, is_below, sought, found));
    }
    walk(tree, false, sought, found);
}

/// True when the tree has the span.
fn holds(node: &Node, sought: &Sought) -> bool {
    node.span.is_some_and(|span| sought.names_span(span))
        || node.children.iter().any(|child| holds(child, sought))
}

/// Steps of the trace, and those of which no span tells that stand below one of it.
fn in_trace(node: &Node, above: Option<TraceId>, sought: &Sought, found: &mut Traced) {
    let trace = node.span.map(|span| span.trace).or(above);
    if let Some(step) = node.step.filter(|_| trace.is_some_and(|trace| sought.names_trace(trace))) {
        found.steps.entry(step).or_insert(Way::Trace);
    }
    node.children.iter().for_each(|child| in_trace(child, trace, sought, found));
}
