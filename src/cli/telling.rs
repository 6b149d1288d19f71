//! `retake export --otlp`: runs as spans, for whatever shows traces.

mod sending;

use super::args::ExportArgs;
use super::error::{CliError, exit};
use super::portable::{refuse_to_replace, write_whole};
use super::sampled::{Chosen, chosen};
use super::view::Opened;
use super::{Context, print, spans, warn};
use crate::exchange::ExchangeId;
use crate::exchange::canon::hash128;
use crate::otlp::json;
use crate::otlp::proto::{Link, Traces};
use crate::report::{genai, openinference, sampling, words};
use crate::run::RunId;
use crate::run::tree::{self, Convention, Telling, told};
use crate::store::{SpanReader, Store};
use prost::Message;
use sending::Collector;
use serde_json::json;
use std::collections::HashMap;
use std::path::Path;

pub(super) fn export(context: &Context, args: &ExportArgs, to: &str) -> Result<i32, CliError> {
    let is_url = is_url(to)?;
    let file = Path::new(to);
    if !is_url && !args.dry_run {
        refuse_to_replace(file, args.force)?;
    }
    let store = context.store()?;
    let mut chosen = chosen(context, &store, args)?;
    if chosen.runs.is_empty() {
        return nothing(context, args, &chosen, to);
    }
    if args.dry_run {
        report(context, args, &chosen, &[])?;
        return Ok(exit::OK);
    }
    let mut teller = Teller { store: &store, args, places: HashMap::new() };
    let mut collector = if is_url { Some(Collector::at(to, &args.headers)?) } else { None };
    let mut whole = Traces::default();
    let mut counts = Vec::new();
    let asked = std::mem::take(&mut chosen.runs);
    let is_alone = asked.len() == 1;
    for (run, why) in asked {
        let traces = match Opened::by_id(&store, &run).and_then(|opened| teller.traces(&opened)) {
            Ok(traces) => traces,
            // Of many runs one that cannot be read does not hide the others.
            Err(error) if args.words.is_empty() => {
                warn(&format!("{run} is left out: {}", error.message));
                chosen.left_out.push(run);
                continue;
            }
            Err(error) => return Err(error),
        };
        counts.push(count(&traces));
        match &mut collector {
            Some(collector) => collector.send(&traces).map_err(|error| {
                let before = match chosen.runs.len() as u64 {
                    0 => String::new(),
                    sent => format!("; {} sent before it", words::many(sent, "run")),
                };
                let message = format!("{run}: {}{before}", error.message);
                if is_alone { error } else { CliError { message, ..error } }
            })?,
            None => whole.resource_spans.extend(traces.resource_spans),
        }
        chosen.runs.push((run, why));
    }
    if to == "-" {
        print(&format!("{}\n", json::of_traces(&whole)))?;
        return Ok(exit::OK);
    }
    if !is_url && file.extension().is_some_and(|kind| kind == "json") {
        write_whole(file, format!("{}\n", json::of_traces(&whole)).as_bytes())?;
    } else if !is_url {
        write_whole(file, &whole.encode_to_vec())?;
    }
    report(context, args, &chosen, &counts)?;
    Ok(exit::OK)
}

/// True for a collector's address, false for the name of a file.
///
/// # Errors
/// For what is most likely meant as an address, and is none that can be had.
fn is_url(to: &str) -> Result<bool, CliError> {
    if to.starts_with("http://") || to.starts_with("https://") {
        return Ok(true);
    }
    if let Some((scheme, rest)) = to.split_once("://") {
        return Err(CliError::usage(format!("--otlp {to}: spans go by http or https, not by {scheme:?}"))
            .hint(format!("OTLP over HTTP: --otlp http://{rest}; or the name of a file")));
    }
    let (host, behind) = to.split_once(':').unwrap_or_default();
    let port = behind.split('/').next().unwrap_or_default();
    let is_host = !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c));
    if is_host && port.parse::<u16>().is_ok() {
        return Err(CliError::usage(format!("--otlp {to}: is that an address, or a file?"))
            .hint(format!("an address: --otlp http://{to}; a file: --otlp ./{to}")));
    }
    Ok(false)
}

/// Says that there is no run to export. Nothing is sent, and no file is made.
fn nothing(context: &Context, args: &ExportArgs, chosen: &Chosen, to: &str) -> Result<i32, CliError> {
    let what = match (&args.terms, chosen.left_out.len()) {
        (Some(_), 0) => "nothing found: --where holds in no run that has ended".to_string(),
        (_, 0) => "there is no run that has ended".to_string(),
        (_, others) => format!("of {} none is in the sample", words::many(others as u64, "run")),
    };
    let told = format!("{what}; nothing is exported");
    if to == "-" && !args.dry_run {
        // Who reads spans gets what is none.
        print(&format!("{}\n", json::of_traces(&Traces::default())))?;
        warn(&told);
    } else if context.json {
        report(context, args, chosen, &[])?;
    } else {
        print(&format!("{told}\n"))?;
    }
    Ok(exit::OK)
}

/// Tells which runs were exported, with how many spans each, and why; with no counts, which would be.
fn report(context: &Context, args: &ExportArgs, chosen: &Chosen, counts: &[usize]) -> Result<(), CliError> {
    let to = args.otlp.as_deref().unwrap_or_default();
    let is_one = args.words.len() == 1 && chosen.sampling.is_none();
    let rows = || chosen.runs.iter().enumerate().map(|(at, (run, why))| (run, why, counts.get(at)));
    if context.json {
        let told = |(run, why, spans): (&RunId, &Option<_>, Option<&usize>)| {
            let mut told = json!({ "run": run });
            if let Some(spans) = spans {
                told["spans"] = json!(spans);
            }
            if let Some(why) = why {
                told["why"] = json!(sampling::why(why));
                told["rule"] = json!(why.rule());
            }
            told
        };
        if is_one && !args.dry_run {
            let mut told = rows().map(told).next().unwrap_or_default();
            told["to"] = json!(to);
            return context.print_json(&told);
        }
        return context.print_json(&json!({
            "to": to, "exported": rows().map(told).collect::<Vec<_>>(), "left_out": chosen.left_out,
            "dry_run": args.dry_run,
        }));
    }
    let without = if args.content { "" } else { ", without what was said (--content tells it)" };
    let did = if args.dry_run { "would export" } else { "exported" };
    let total: usize = counts.iter().sum();
    let spans = |count: usize| words::many(count as u64, "span");
    let mut text = String::new();
    for (run, why, count) in rows() {
        let why = why.as_ref().map(|why| format!("   {}", sampling::why(why))).unwrap_or_default();
        match count {
            Some(count) if is_one => {
                text.push_str(&format!("exported  {run}   {} to {to}{without}\n", spans(*count)));
            }
            Some(count) => text.push_str(&format!("exported  {run}   {}{why}\n", spans(*count))),
            None => text.push_str(&format!("{did}   {run}{why}\n")),
        }
    }
    if !is_one {
        let (runs, others) = (chosen.runs.len(), chosen.left_out.len());
        let of = if others > 0 { format!("{} of ", words::count(runs as u64)) } else { String::new() };
        let runs = words::many((runs + others) as u64, "run");
        let spans = if args.dry_run { String::new() } else { format!(", {}{without}", spans(total)) };
        text.push_str(&format!("{did} {of}{runs} to {to}{spans}\n"));
    }
    print(&text)
}

/// Makes spans of runs.
struct Teller<'a> {
    store: &'a Store,
    args: &'a ExportArgs,
    /// Where forks went off, by the uuid of the run and the step.
    places: HashMap<(String, u32), Option<Link>>,
}

impl Teller<'_> {
    /// The spans of a run, as it is asked for.
    fn traces(&mut self, opened: &Opened) -> Result<Traces, CliError> {
        let parent = self.place_of_fork(opened);
        self.told(opened, parent)
    }

    fn told(&self, opened: &Opened, parent: Option<Link>) -> Result<Traces, CliError> {
        let (came, _) = SpanReader::open(opened.reader.directory())?.all()?;
        let tree = spans::tree(opened, true)?;
        let view = opened.view();
        let manifest = opened.reader.manifest();
        let server = |id: ExchangeId| opened.reader.request(id).ok().map(|request| request.upstream);
        let is_openinference = self.args.openinference;
        let said = |step: u32| {
            let mut said = genai::said(&view, step);
            said.extend(is_openinference.then(|| openinference::said(&view, step)).into_iter().flatten());
            said
        };
        let of = Telling {
            uuid: uuid::Uuid::parse_str(&manifest.uuid)
                .map_or_else(|_| hash128(manifest.uuid.as_bytes()), uuid::Uuid::into_bytes),
            run: manifest.id.as_str(),
            convention: if is_openinference { Convention::OpenInference } else { Convention::GenAi },
            content: self.args.content,
            known: &|step| genai::known(&view, step, &server),
            said: &said,
            parent: manifest.parent.as_ref(),
            forked_at: parent,
        };
        Ok(told(&tree, &came, &of))
    }

    /// The span of the run that a fork was forked from, at the step up to which they are one; none where that run is
    /// not here.
    fn place_of_fork(&mut self, opened: &Opened) -> Option<Link> {
        let parent = opened.reader.manifest().parent.as_ref()?;
        let place = (parent.uuid.clone(), parent.at_step);
        if let Some(known) = self.places.get(&place) {
            return known.clone();
        }
        let here = self.store.run_of_uuid(&parent.uuid, Some(&parent.run));
        let found = here.and_then(|run| {
            let traces = self.told(&Opened::by_id(self.store, &run.id).ok()?, None).ok()?;
            tree::place_of_step(&traces, parent.at_step)
        });
        self.places.insert(place, found.clone());
        found
    }
}

fn count(traces: &Traces) -> usize {
    traces.resource_spans.iter().flat_map(|of| &of.scope_spans).map(|of| of.spans.len()).sum()
}
