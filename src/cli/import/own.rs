//! `retake import` of retake's own files

use crate::cli::args::ImportArgs;
use crate::cli::error::CliError;
use crate::cli::portable::machine;
use crate::cli::record::{redactor, run_name};
use crate::cli::{Context, print, warn};
use crate::import::{Kind, looks_like};
use crate::otlp::Batch;
use crate::report::words;
use crate::run::{Manifest, Outline, RunId};
use crate::store::bundle::{self, BundleError, ImportOptions, ImportedRun};
use crate::store::{RunWriter, SpanWriter, Store};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

/// How much of a file tells whose it is.
const BEGINNING: u64 = 4096;

/// Imports one file and tells a person; what to tell a program.
pub(super) fn import(context: &Context, args: &ImportArgs, path: &Path) -> Result<Value, CliError> {
    let name = path.display();
    let file = File::open(path).map_err(|e| CliError::broken(format!("{name}: {e}")))?;
    let options = ImportOptions { allow_edited: args.allow_edited, ..ImportOptions::default() };
    let run = bundle::import(&mut BufReader::new(file), options).map_err(|e| {
        let error = CliError::broken(format!("{name}: {e}"));
        match e {
            BundleError::Edited { .. } => {
                error.hint("if it was edited on purpose: --allow-edited makes its checksums anew")
            }
            BundleError::Truncated { .. } => error.hint("copy or export it again"),
            _ => match theirs(path) {
                Some(kind) => error.hint(format!(
                    "it looks like {}: retake import --from {} {name}",
                    kind.article(),
                    kind.name()
                )),
                None => error,
            },
        }
    })?;
    let store = context.store_or_new()?;
    let known = store.run_of_uuid(&run.manifest.uuid, None).map(|known| known.id);
    // A name of its own says that a copy is wanted.
    if let (Some(known), false, None) = (&known, args.again || !run.edited.is_empty(), &args.name) {
        if !context.json {
            print(&already_here(known))?;
        }
        return Ok(json!({ "run": known, "already_here": true }));
    }
    let redactor = redactor(&store, &[])?;
    redactor.learn_stand_ins(&run.manifest.own_stand_ins);
    for exchange in &run.exchanges {
        redactor.learn_stand_ins(&exchange.request.stand_ins);
        if let Some(response) = &exchange.response {
            redactor.learn_stand_ins(&response.stand_ins);
        }
    }
    let wanted = args.name.as_deref().unwrap_or(run.manifest.id.name());
    let wanted = run_name(Some(wanted), &[])?;
    let (manifest, outline) = stored(&store, &run, &wanted)?;
    if !run.edited.is_empty() {
        warn(&format!(
            "{name} was edited by hand ({} lines); its checksums were made anew",
            run.edited.len()
        ));
    }
    if run.damaged_exports > 0 {
        let what = words::many(run.damaged_exports as u64, "export");
        warn(&format!("{name}: {what} of spans or logs damaged and left out; the run itself is whole"));
    }
    if !context.json {
        let is_spans = |batch: &Batch| matches!(batch, Batch::Traces(_));
        let is_spans_alone = outline.steps.is_empty() && run.exports.iter().any(is_spans);
        print(&format!(
            "imported  {}   {}{}\n          next: retake show {}{}\n",
            manifest.id,
            words::many(outline.steps.len() as u64, "step"),
            known
                .map(|known| if run.edited.is_empty() {
                    format!("   the same run as {known}")
                } else {
                    format!("   the run {known}, edited by hand")
                })
                .unwrap_or_default(),
            manifest.id,
            if is_spans_alone { " --tree" } else { "" }
        ))?;
    }
    Ok(json!({ "run": manifest.id, "exchanges": run.exchanges.len() }))
}

/// What is said of a run that need not be imported.
pub(super) fn already_here(known: &RunId) -> String {
    format!("already here as {known}: nothing was imported (--again imports it once more)\n")
}

/// Whose file it is, when that is plain.
fn theirs(path: &Path) -> Option<Kind> {
    let mut beginning = Vec::new();
    File::open(path).ok()?.take(BEGINNING).read_to_end(&mut beginning).ok()?;
    looks_like(&beginning)
}

/// Puts a run into a store, under this name.
pub(in crate::cli) fn stored(
    store: &Store,
    run: &ImportedRun,
    name: &str,
) -> Result<(Manifest, Outline), CliError> {
    let mut source = run.manifest.clone();
    source.directory = machine().at_home(&source.directory);
    source.imported = true;
    let writer = store.create_run(name, |id| Manifest { id, ..source })?;
    let id = writer.manifest().id.clone();
    let outline = crate::run::lanes::outline(&run.exchanges);
    match written(writer, run, &outline) {
        Ok(manifest) => Ok((manifest, outline)),
        Err(error) => {
            store.remove_run(&id)?;
            Err(error)
        }
    }
}

/// Everything of an imported run, sealed. Half of it would be no import: an error then.
fn written(mut writer: RunWriter, run: &ImportedRun, outline: &Outline) -> Result<Manifest, CliError> {
    if run.manifest.outcome.is_none() {
        writer.copies_interrupted();
    }
    for exchange in &run.exchanges {
        writer.put_exchange(exchange);
        writer.commit()?;
    }
    writer.sync()?;
    if !run.exports.is_empty() {
        let mut spans = SpanWriter::new(writer.directory())?;
        run.exports.iter().try_for_each(|batch| spans.put(batch))?;
        spans.sync()?;
    }
    let manifest = writer.seal(Some(outline), |_| ())?;
    match &manifest.incomplete {
        Some(why) if run.manifest.incomplete.is_none() => Err(CliError::broken(why.clone())),
        _ => Ok(manifest),
    }
}
