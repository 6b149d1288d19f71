//! `retake export` and `import`

use super::args::{ExportArgs, ImportArgs};
use super::error::{CliError, exit};
use super::record::redactor;
use super::rerun::knowing;
use super::view::Opened;
use super::{Context, print, warn};
use crate::agent::environment::{self, Machine};
use crate::agent::providers::is_base_url_variable;
use crate::exchange::Exchange;
use crate::exchange::parts;
use crate::otlp::Batch;
use crate::redact::Redactor;
use crate::report::words;
use crate::run::{Manifest, Outline, RunId};
use crate::store::bundle::{self, ExportSource, ImportOptions, ImportedRun};
use crate::store::{
    BodyRef, RequestRecord, ResponseRecord, RunWriter, SpanReader, SpanWriter, Store, StoreError,
};
use bytes::Bytes;
use std::io::{BufReader, BufWriter, Write};
use std::path::Path;

/// A run as it leaves this machine.
struct Leaving<'a> {
    run: &'a Opened,
    manifest: Manifest,
}

impl ExportSource for Leaving<'_> {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn outline(&self) -> Option<&Outline> {
        Some(&self.run.outline)
    }

    fn exchanges(&self) -> Box<dyn Iterator<Item = Result<Exchange, StoreError>> + '_> {
        let reader = &self.run.reader;
        Box::new(reader.ids().into_iter().map(|id| reader.exchange(id)))
    }

    fn checkpoints(&self) -> Vec<serde_json::Value> {
        bundle::checkpoints(&self.run.outline)
    }

    fn has_exports(&self) -> bool {
        SpanReader::open(self.run.reader.directory()).is_ok_and(|reader| !reader.is_empty())
    }

    fn exports(&self, take: &mut dyn FnMut(&Batch)) -> Result<(), StoreError> {
        SpanReader::open(self.run.reader.directory())?.each(|batch| take(&batch)).map(drop)
    }
}

/// This machine, for what is bound to it.
pub(super) fn machine() -> Machine {
    let host = nix::unistd::gethostname().ok().and_then(|host| host.into_string().ok());
    Machine { home: std::env::var("HOME").unwrap_or_default(), host: host.unwrap_or_default() }
}

/// The manifest without what is bound to this machine, or belongs to its surroundings (older recordings kept more).
fn leaving(manifest: &Manifest, machine: &Machine) -> Manifest {
    let mut manifest = manifest.clone();
    manifest.environment.retain(|name, value| {
        is_base_url_variable(name) || (environment::is_for_the_agent(name) && !machine.binds(value))
    });
    manifest.directory = machine.homeless(&manifest.directory);
    manifest.home = String::new();
    manifest.temp = String::new();
    manifest.imported = false;
    manifest
}

pub(super) fn export(context: &Context, args: &ExportArgs) -> Result<i32, CliError> {
    if let Some(to) = &args.otlp {
        return super::telling::export(context, args, to);
    }
    if args.sampling.sample.is_some() || args.sampling.slow.is_some() || args.sampling.no_sample {
        return Err(CliError::usage("--sample is for many runs, which --otlp takes"));
    }
    let (asked, file) = match args.words.as_slice() {
        [run, file] => (run.to_string_lossy(), Path::new(file)),
        [_] => return Err(CliError::usage("export wants a file to write, or --otlp URL")),
        _ => {
            return Err(CliError::usage("a file holds one run")
                .hint("retake export RUN FILE, for each of them; --otlp takes many"));
        }
    };
    refuse_to_replace(file, args.force)?;
    let store = context.store()?;
    let opened = Opened::open(&store, &asked)?;
    let text = exported(&store, &opened, args.allow_secrets)?;
    if file == Path::new("-") {
        print(&String::from_utf8_lossy(&text))?;
        return Ok(exit::OK);
    }
    write_whole(file, &text)?;
    let size = super::runs::bytes(text.len() as u64);
    if context.json {
        let value =
            serde_json::json!({ "run": opened.reader.manifest().id, "file": file, "bytes": text.len() });
        context.print_json(&value)?;
    } else {
        print(&format!("exported  {}   {} ({size})\n", opened.reader.manifest().id, file.display()))?;
    }
    Ok(exit::OK)
}

/// The file of a run, as it may leave this machine.
pub(super) fn exported(store: &Store, opened: &Opened, allow_secrets: bool) -> Result<Vec<u8>, CliError> {
    if let Some(why) = &opened.reader.manifest().incomplete {
        warn(&format!("{} is incomplete, and so is what is exported: {why}", opened.reader.manifest().id));
    }
    let redactor = knowing(redactor(store, &[])?, opened);
    let mut text = Vec::new();
    let mut run = Leaving { run: opened, manifest: leaving(opened.reader.manifest(), &machine()) };
    bundle::export(&run, &mut text).map_err(|e| CliError::broken(e.to_string()))?;
    // Directories that the conversation speaks of must be known where it is replayed; others stay here.
    let Manifest { home, temp, .. } = opened.reader.manifest();
    let said: Vec<u8> = text.splitn(3, |b| *b == b'\n').nth(2).unwrap_or_default().to_vec();
    let spoken_of =
        |place: &str| !place.is_empty() && memchr::memmem::find(&said, place.as_bytes()).is_some();
    let (home_leaves, temp_leaves) = (spoken_of(home), spoken_of(temp));
    if home_leaves || temp_leaves {
        run.manifest.home = if home_leaves { home.clone() } else { String::new() };
        run.manifest.temp = if temp_leaves { temp.clone() } else { String::new() };
        text.clear();
        bundle::export(&run, &mut text).map_err(|e| CliError::broken(e.to_string()))?;
    }
    let found = secrets_left(&redactor, opened, &text);
    if !found.is_empty() {
        let what = format!(
            "{} still holds what looks like a secret: {}",
            opened.reader.manifest().id,
            found.join(", ")
        );
        if !allow_secrets {
            return Err(CliError::broken(format!("nothing was written: {what}"))
                .hint("--allow-secrets writes it all the same"));
        }
        warn(&what);
    }
    Ok(text)
}

/// A file that is there stays there unless it is to be replaced.
pub(super) fn refuse_to_replace(file: &Path, force: bool) -> Result<(), CliError> {
    if force || !file.is_file() {
        return Ok(());
    }
    let what = format!("{} is there already: nothing was written", file.display());
    Err(CliError::broken(what).hint("--force replaces it"))
}

/// Labels of what still looks like a secret: in every line of the file as it stands, and in whole bodies, which are
/// in parts there.
fn secrets_left(redactor: &Redactor, opened: &Opened, file: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for line in file.split(|byte| *byte == b'\n') {
        found.extend(redactor.scan_residual(line));
    }
    for id in opened.reader.ids() {
        let Ok(exchange) = opened.reader.exchange(id) else { continue };
        found.extend(redactor.scan_residual(&exchange.request.body));
        if let Some(response) = &exchange.response {
            found.extend(redactor.scan_residual(&response.body));
        }
    }
    found.sort();
    found.dedup();
    found
}

/// Writes a file whole or not at all.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), CliError> {
    let failed = |e: std::io::Error| CliError::broken(format!("cannot write {}: {e}", path.display()));
    let directory = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !directory.is_dir() {
        return Err(CliError::broken(format!(
            "cannot write {}: there is no directory {}",
            path.display(),
            directory.display()
        )));
    }
    let mut file = tempfile::NamedTempFile::new_in(directory).map_err(failed)?;
    let mut out = BufWriter::new(&mut file);
    out.write_all(bytes).and_then(|()| out.flush()).map_err(failed)?;
    drop(out);
    file.persist(path).map_err(|e| failed(e.error))?;
    Ok(())
}

pub(super) fn import(context: &Context, args: &ImportArgs) -> Result<i32, CliError> {
    let name = args.file.display();
    let file = std::fs::File::open(&args.file).map_err(|e| CliError::broken(format!("{name}: {e}")))?;
    let options = ImportOptions { allow_edited: args.allow_edited, ..ImportOptions::default() };
    let run = bundle::import(&mut BufReader::new(file), options).map_err(|e| {
        let error = CliError::broken(format!("{name}: {e}"));
        match e {
            bundle::BundleError::Edited { .. } => {
                error.hint("if it was edited on purpose: --allow-edited makes its checksums anew")
            }
            bundle::BundleError::Truncated { .. } => error.hint("copy or export it again"),
            _ => error,
        }
    })?;
    let store = context.store_or_new()?;
    let known = store.run_of_uuid(&run.manifest.uuid, None).map(|known| known.id);
    // A name of its own says that a copy is wanted.
    if let (Some(known), false, None) = (&known, args.again || !run.edited.is_empty(), &args.name) {
        if context.json {
            context.print_json(&serde_json::json!({ "run": known, "already_here": true }))?;
        } else {
            print(&format!(
                "already here as {known}: nothing was imported (--again imports it once more)\n"
            ))?;
        }
        return Ok(exit::OK);
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
    let wanted = super::record::run_name(Some(wanted), &[])?;
    let mut source = run.manifest.clone();
    source.directory = machine().at_home(&source.directory);
    source.imported = true;
    let writer = store.create_run(&wanted, |id| Manifest { id, ..source })?;
    let id = writer.manifest().id.clone();
    let outline = crate::run::lanes::outline(&run.exchanges);
    let manifest = match written(writer, &run, &outline) {
        Ok(manifest) => manifest,
        Err(error) => {
            store.remove_run(&id)?;
            return Err(error);
        }
    };
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
    if context.json {
        context.print_json(&serde_json::json!({ "run": manifest.id, "exchanges": run.exchanges.len() }))?;
    } else {
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
    Ok(exit::OK)
}

/// Puts a run into a store, under this name: what it is called there.
pub(super) fn stored(store: &Store, run: &ImportedRun, name: &str) -> Result<RunId, CliError> {
    let mut source = run.manifest.clone();
    source.directory = machine().at_home(&source.directory);
    source.imported = true;
    let writer = store.create_run(name, |id| Manifest { id, ..source })?;
    let outline = crate::run::lanes::outline(&run.exchanges);
    Ok(written(writer, run, &outline)?.id)
}

/// Everything of an imported run, sealed. Half of it would be no import: an error then.
fn written(mut writer: RunWriter, run: &ImportedRun, outline: &Outline) -> Result<Manifest, CliError> {
    if run.manifest.outcome.is_none() {
        writer.copies_interrupted();
    }
    for exchange in &run.exchanges {
        write_exchange(&mut writer, exchange)?;
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

fn write_exchange(writer: &mut RunWriter, exchange: &Exchange) -> Result<(), StoreError> {
    let request = &exchange.request;
    let body = write_body(writer, &request.body);
    let sent = request.sent.as_ref().map(|sent| write_body(writer, sent));
    writer.put_request(&RequestRecord {
        id: request.id,
        started_us: request.started_us,
        upstream: request.upstream.clone(),
        head: request.head.clone(),
        body,
        end: request.end.clone(),
        sent,
        sent_target: request.sent_target.clone(),
        stand_ins: request.stand_ins.clone(),
    });
    if let Some(response) = &exchange.response {
        let part = writer.put_part(&response.body);
        let body = writer.put_body(&[part]);
        writer.put_response(&ResponseRecord {
            id: request.id,
            source: response.source.clone(),
            head: response.head.clone(),
            fault: response.fault.clone(),
            head_us: response.head_us,
            body,
            frames: response.frames.clone(),
            end: response.end.clone(),
            end_us: response.end_us,
            stand_ins: response.stand_ins.clone(),
        });
    }
    writer.commit()
}

fn write_body(writer: &mut RunWriter, body: &Bytes) -> BodyRef {
    let ids: Vec<_> = parts::split(body).ranges().map(|range| writer.put_part(&body[range])).collect();
    writer.put_body(&ids)
}
