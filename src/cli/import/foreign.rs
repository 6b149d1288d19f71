//! `retake import --from KIND`: runs that other tools have kept

use super::own::already_here;
use crate::agent::providers::PROVIDERS;
use crate::cli::args::ImportArgs;
use crate::cli::error::CliError;
use crate::cli::record::{redacted, redacted_label, redactor, run_name};
use crate::cli::session::now_us;
use crate::cli::{Context, print};
use crate::exchange::{Exchange, Upstream};
use crate::import::{self, Foreign, Kind, looks_like};
use crate::proxy::{SeenRequest, SeenResponse, Tape};
use crate::record::{Recorded, Recorder};
use crate::redact::Redactor;
use crate::report::secrets::replaced;
use crate::report::words::{self, many};
use crate::run::lack::sound_for;
use crate::run::{Intercepted, Lack, Manifest, Outcome, RunId, Use};
use crate::store::{SpanWriter, Store};
use bytes::Bytes;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::oneshot;

/// Imports the runs of a file and tells a person; what to tell a program, a run each.
pub(super) fn import(
    context: &Context,
    args: &ImportArgs,
    kind: Kind,
    path: &Path,
) -> Result<Vec<Value>, CliError> {
    let file = path.display();
    let bytes = std::fs::read(path).map_err(|e| CliError::broken(format!("{file}: {e}")))?;
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let runs = import::read(kind, &stem, &bytes).map_err(|why| {
        let error = CliError::broken(format!("{file} cannot be read as {}: {why}", kind.article()));
        error.hint(match looks_like(&bytes) {
            Some(plainly) if plainly == kind => {
                format!("it looks like {}, cut off or changed: export it again", kind.article())
            }
            Some(plainly) => format!("it looks like {}: --from {}", plainly.article(), plainly.name()),
            None => {
                "if it is cut off or changed, export it again; retake import --help lists what else there is"
                    .into()
            }
        })
    })?;
    if runs.iter().all(|run| run.exchanges.is_empty() && run.exports.is_empty()) {
        let mut lacks: Vec<&str> =
            runs.iter().flat_map(|run| &run.lacks).map(|lack| lack.what.as_str()).collect();
        lacks.dedup();
        let why = if lacks.is_empty() { "a run in it".to_string() } else { lacks.join("; ") };
        return Err(CliError::broken(format!("{file} holds nothing that could be imported: without {why}")));
    }
    let store = context.store_or_new()?;
    let mut told = Vec::new();
    let named = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    for (index, mut run) in runs.into_iter().enumerate() {
        run.labels.entry("file".into()).or_insert_with(|| named.clone());
        let uuid = uuid_of(kind, &run.name, index, &bytes);
        let known = store.run_of_uuid(&uuid, None).map(|known| known.id);
        if let (Some(known), false, None) = (&known, args.again, &args.name) {
            if !context.json {
                print(&already_here(known))?;
            }
            told.push(json!({ "run": known, "already_here": true, "file": file.to_string() }));
            continue;
        }
        let uuid = if known.is_some() { uuid::Uuid::now_v7().to_string() } else { uuid };
        let wanted = match &args.name {
            Some(name) => run_name(Some(name), &[])?,
            // As of a command: what can be no name of a run is left out.
            None => run_name(None, std::slice::from_ref(&run.name))?,
        };
        let (recorded, lacks) = written(&store, run, &wanted, uuid)?;
        let manifest = &recorded.manifest;
        let id = &manifest.id;
        let changed = changed_answers(&store, id)?;
        let steps = recorded.outline.steps.len();
        let sound: Vec<&str> = sound_for(&lacks).into_iter().map(Use::name).collect();
        if !context.json {
            print(&line(id, steps, &sound, &lacks))?;
            print(&secrets(manifest, changed))?;
        }
        told.push(json!({
            "run": id, "file": file.to_string(), "exchanges": recorded.exchanges, "steps": steps,
            "sound": sound, "lacks": lacks,
            "stand_ins": manifest.stand_ins, "replaced": manifest.replaced, "changed_answers": changed,
        }));
    }
    Ok(told)
}

/// `imported  shop.1   3 steps   view diff replay fork   without: when it was recorded`
fn line(id: &RunId, steps: usize, sound: &[&str], lacks: &[Lack]) -> String {
    let mut line = format!("imported  {id}   {}   {}", many(steps as u64, "step"), sound.join(" "));
    let told: Vec<String> = lacks.iter().map(|lack| words::line(&lack.what)).collect();
    if !told.is_empty() {
        line.push_str(&format!("   without: {}", told.join("; ")));
    }
    line.push('\n');
    line
}

/// How many answers have other bodies than in the file, since secrets in them were replaced.
fn changed_answers(store: &Store, id: &RunId) -> Result<u64, CliError> {
    let run = store.open_run(id)?;
    let mut changed = 0;
    for exchange in run.ids() {
        let Some(answer) = run.response(exchange)? else { continue };
        // What stood in a header goes by the name of that.
        let in_head =
            |label: &str| answer.head.as_ref().is_some_and(|head| head.headers.get(label).is_some());
        changed += u64::from(answer.stand_ins.iter().any(|of| !in_head(&of.label)));
    }
    Ok(changed)
}

/// What was replaced, and what an agent gets of it; empty when nothing was.
fn secrets(manifest: &Manifest, changed: u64) -> String {
    let Some(replaced) = replaced(manifest) else { return String::new() };
    let served = match changed {
        0 => String::new(),
        _ => format!(
            "; the body of {} is not as in the file: a replay serves stand-ins there, unless the agent sends the secret \
             itself",
            many(changed, "answer")
        ),
    };
    format!("          {replaced}{served}\n")
}

/// A file has the same runs whenever it is imported: one that is here already is known again.
fn uuid_of(kind: Kind, name: &str, index: usize, bytes: &[u8]) -> String {
    let mut hash = blake3::Hasher::new();
    hash.update(kind.name().as_bytes()).update(&[0]).update(name.as_bytes()).update(&[0]);
    hash.update(&(index as u64).to_le_bytes()).update(bytes);
    let mut id = [0; 16];
    hash.finalize_xof().fill(&mut id);
    uuid::Builder::from_bytes(id)
        .with_version(uuid::Version::Custom)
        .with_variant(uuid::Variant::RFC4122)
        .into_uuid()
        .to_string()
}

/// Everything of a run, redacted as a recording is, and sealed. Half of it would be no import: an error then.
fn written(
    store: &Store,
    mut run: Foreign,
    name: &str,
    uuid: String,
) -> Result<(Recorded, Vec<Lack>), CliError> {
    let redactor = Arc::new(redactor(store, &[])?);
    named_as_here(&mut run.exchanges);
    let lacks = put_in_time(&mut run);
    let mut stand_ins = Vec::new();
    let lacks: Vec<Lack> = lacks
        .into_iter()
        .map(|lack| Lack { what: redacted(&redactor, &lack.what, &mut stand_ins), ..lack })
        .collect();
    let mut labels: BTreeMap<String, String> = std::mem::take(&mut run.labels)
        .into_iter()
        .map(|label| redacted_label(&redactor, label, &mut stand_ins))
        .collect();
    if let Some(succeeded) = run.succeeded {
        labels.entry("succeeded".into()).or_insert(succeeded.to_string());
    }
    let writer = store.create_run(name, |id| manifest(id, uuid, &run, labels, &lacks))?;
    let id = writer.manifest().id.clone();
    let recorded = kept(&run, writer, redactor, stand_ins);
    match recorded {
        Ok(recorded) => Ok((recorded, lacks)),
        Err(error) => {
            store.remove_run(&id)?;
            Err(error)
        }
    }
}

/// What came through a proxy and what came from a file is written in the same way.
fn kept(
    run: &Foreign,
    writer: crate::store::RunWriter,
    redactor: Arc<Redactor>,
    mut stand_ins: Vec<crate::exchange::StandIn>,
) -> Result<Recorded, CliError> {
    if !run.exports.is_empty() {
        let mut spans = SpanWriter::new(writer.directory())?;
        for batch in &run.exports {
            let mut batch = batch.clone();
            stand_ins.extend(redactor.telemetry(&mut batch));
            spans.put(&batch)?;
        }
        spans.sync()?;
    }
    let recorder = Recorder::start(writer, redactor, |_| ())?;
    for exchange in &run.exchanges {
        tell(&recorder, exchange);
    }
    let recorded = recorder.finish(|manifest| manifest.note_stand_ins(stand_ins))?;
    match &recorded.incomplete {
        Some(why) => Err(CliError::broken(why.clone())),
        None => Ok(recorded),
    }
}

fn tell(recorder: &Recorder, exchange: &Exchange) {
    let request = &exchange.request;
    recorder.request(SeenRequest {
        id: request.id,
        started_us: request.started_us,
        upstream: request.upstream.clone(),
        head: request.head.clone(),
        body: vec![request.body.clone()],
        end: request.end.clone(),
        sent: request.sent.clone(),
        sent_target: request.sent_target.clone(),
    });
    let Some(response) = &exchange.response else { return };
    let mut rest: Bytes = response.body.clone();
    let frames = response.frames.iter().map(|mark| {
        let length = rest.len().min(mark.0 as usize);
        (rest.split_to(length), mark.1)
    });
    let mut frames: Vec<(Bytes, u64)> = frames.collect();
    if !rest.is_empty() {
        frames.push((rest, response.end_us));
    }
    let seen = SeenResponse {
        id: request.id,
        source: response.source.clone(),
        head: response.head.clone(),
        fault: response.fault.clone(),
        head_us: response.head_us,
        frames,
        end: response.end.clone(),
        end_us: response.end_us,
    };
    recorder.response(seen, oneshot::channel().0);
}

/// A provider that is known here goes by its name here, so that base URLs lead to it in a replay.
fn named_as_here(exchanges: &mut [Exchange]) {
    for exchange in exchanges {
        let upstream = &mut exchange.request.upstream;
        let local = upstream.origin.replace("//localhost", "//127.0.0.1").replace("//0.0.0.0", "//127.0.0.1");
        if let Some(known) = PROVIDERS.iter().find(|provider| provider.origin == Some(local.as_str())) {
            *upstream = Upstream { provider: known.name.into(), origin: local };
        }
    }
}

/// A run whose time is not known is of now. What it lacks, with what only shows here.
fn put_in_time(run: &mut Foreign) -> Vec<Lack> {
    if run.started_us.is_none() {
        let first = run.exchanges.iter().map(|e| e.request.started_us).min().unwrap_or_default();
        let now = now_us();
        for exchange in &mut run.exchanges {
            let started = &mut exchange.request.started_us;
            *started = started.saturating_sub(first).saturating_add(now);
        }
    }
    let mut lacks = std::mem::take(&mut run.lacks);
    let outline = crate::run::lanes::outline(&run.exchanges);
    if outline.lanes.is_empty() && !run.exchanges.is_empty() {
        lacks.push(Lack { what: "a model call".into(), spoils: vec![Use::Diff, Use::Fork] });
    }
    lacks
}

fn manifest(
    id: RunId,
    uuid: String,
    run: &Foreign,
    labels: BTreeMap<String, String>,
    lacks: &[Lack],
) -> Manifest {
    let mut upstreams: Vec<Upstream> = Vec::new();
    let mut hosts: Vec<String> = Vec::new();
    let (mut began, mut ended_us) = (run.started_us, 0);
    for Exchange { request, response } in &run.exchanges {
        let is_known = PROVIDERS.iter().any(|provider| provider.name == request.upstream.provider);
        if is_known && !upstreams.contains(&request.upstream) {
            upstreams.push(request.upstream.clone());
        }
        if !is_known && !hosts.contains(&request.upstream.provider) {
            hosts.push(request.upstream.provider.clone());
        }
        let took = response.as_ref().map_or(0, |response| response.end_us);
        began = began.or(Some(request.started_us));
        ended_us = ended_us.max(request.started_us.saturating_add(took));
    }
    let started_us = began.unwrap_or_else(now_us);
    Manifest {
        id,
        uuid,
        recorder: env!("CARGO_PKG_VERSION").into(),
        started_us,
        home: String::new(),
        temp: String::new(),
        zone_s: 0,
        labels,
        note: None,
        command_redacted: false,
        command: Vec::new(),
        directory: String::new(),
        environment: BTreeMap::new(),
        secret_variables: Vec::new(),
        stdin: None,
        git: None,
        upstreams,
        // Nothing else leads a client of theirs to a replay.
        intercepted: (!hosts.is_empty()).then(|| Intercepted { only: hosts, except: Vec::new() }),
        shell: false,
        parent: None,
        imported: true,
        lacks: lacks.to_vec(),
        stale: Vec::new(),
        outcome: Some(Outcome {
            exit_code: None,
            signal: None,
            // A run whose time is not known has no length.
            ended_us: run.started_us.map_or(started_us, |_| ended_us.max(started_us)),
            stopped: None,
        }),
        incomplete: None,
        stand_ins: 0,
        replaced: BTreeMap::new(),
        own_stand_ins: Vec::new(),
    }
}
