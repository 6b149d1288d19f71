//! `retake export`

use super::args::ExportArgs;
use super::error::{CliError, exit};
use super::record::redactor;
use super::rerun::knowing;
use super::view::Opened;
use super::{Context, archive, print, warn};
use crate::agent::environment::{self, Machine};
use crate::agent::providers::is_base_url_variable;
use crate::exchange::Exchange;
use crate::otlp::Batch;
use crate::redact::Redactor;
use crate::run::{Manifest, Outline};
use crate::store::bundle::{self, ExportSource};
use crate::store::{SpanReader, Store, StoreError};
use std::io::{BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
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
    if let Some(why) = &opened.reader.manifest().incomplete {
        warn(&format!("{} is incomplete, and so is what is exported: {why}", opened.reader.manifest().id));
    }
    let text = match archive::of(&opened, args.to, file)? {
        Some(written) => {
            let redactor = knowing(redactor(&store, &[])?, &opened);
            refuse_secrets(&redactor, &opened, written.as_bytes(), args.allow_secrets)?;
            written.into_bytes()
        }
        None => exported(&store, &opened, Leave { allow_secrets: args.allow_secrets, ..Leave::default() })?,
    };
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

/// How a run leaves.
#[derive(Clone, Copy, Default)]
pub(super) struct Leave {
    /// Without what it was forked from or is a replay of.
    pub alone: bool,
    /// With what still looks like a secret.
    pub allow_secrets: bool,
}

/// The file of a run, as it may leave this machine.
pub(super) fn exported(store: &Store, opened: &Opened, how: Leave) -> Result<Vec<u8>, CliError> {
    let redactor = knowing(redactor(store, &[])?, opened);
    let mut text = Vec::new();
    let mut run = Leaving { run: opened, manifest: leaving(opened.reader.manifest(), &machine()) };
    if how.alone {
        run.manifest.parent = None;
    }
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
    refuse_secrets(&redactor, opened, &text, how.allow_secrets)?;
    Ok(text)
}

/// Lets nothing leave that looks like a secret, unless that was asked for.
fn refuse_secrets(redactor: &Redactor, opened: &Opened, text: &[u8], allowed: bool) -> Result<(), CliError> {
    let found = secrets_left(redactor, opened, text);
    if !found.is_empty() {
        let what = format!(
            "{} still holds what looks like a secret: {}",
            opened.reader.manifest().id,
            found.join(", ")
        );
        if !allowed {
            return Err(CliError::broken(format!("nothing was written: {what}"))
                .hint("--allow-secrets writes it all the same"));
        }
        warn(&what);
    }
    Ok(())
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
    // As any other file: who may read it is for the umask to say.
    let mode = std::fs::Permissions::from_mode(0o666);
    let mut file = tempfile::Builder::new().permissions(mode).tempfile_in(directory).map_err(failed)?;
    let mut out = BufWriter::new(&mut file);
    out.write_all(bytes).and_then(|()| out.flush()).map_err(failed)?;
    drop(out);
    file.persist(path).map_err(|e| failed(e.error))?;
    Ok(())
}
