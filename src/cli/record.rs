//! `retake run`

use super::args::{ReplayArgs, RunArgs};
use super::error::{CliError, exit};
use super::precedent::{called, precedent};
use super::session::{Session, now_us, own_environment};
use super::surroundings;
use super::unseen::{nothing_seen, unseen};
use super::view::Opened;
use super::{Context, warn};
use crate::agent::base_url::UpstreamOverride;
use crate::agent::providers::PROVIDERS;
use crate::agent::stdin::StdinFrom;
use crate::agent::{environment, git};
use crate::diff::Conversations;
use crate::exchange::{Fault, StandIn};
use crate::proxy::Unseen;
use crate::record::{Recorded, Recorder};
use crate::redact::Redactor;
use crate::replay::commands::words::MARK;
use crate::replay::fences::{as_typed, sounds_irreversible};
use crate::report::{Style, results};
use crate::run::spelling::nearest;
use crate::run::{Manifest, Outcome, RunId};
use crate::store::Store;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

pub(super) fn run(context: &Context, args: RunArgs) -> Result<i32, CliError> {
    let (_, code, data) = recorded(context, args, StdinFrom::Caller)?;
    if context.json {
        context.print_json(&data)?;
    }
    Ok(code)
}

/// Records and tells a person; the run, the exit code, and what to tell a program.
pub(super) fn recorded(
    context: &Context,
    args: RunArgs,
    stdin: StdinFrom,
) -> Result<(RunId, i32, Value), CliError> {
    let name = run_name(args.name.as_deref(), &args.command)?;
    let labels = parse_labels(&args.labels)?;
    let overrides = parse_upstreams(&args.upstreams)?;
    let store = context.store_or_new()?;
    if args.verify {
        verifiable(context, &store, &name, &args)?;
    }
    let redactor = Arc::new(redactor(&store, &args.command)?);
    let directory = context.directory()?;
    let mut session = Session {
        command: args.command.clone(),
        directory: None,
        stdin,
        overrides: &overrides,
        recorded: None,
        restore: false,
        own_recording: false,
        dummy_keys: false,
        run: None,
        intercepted: args.intercepted(),
        shell: args.shell,
        port: args.port,
        tape: None,
        answerer: None,
        may_dial: true,
        stop: None,
        json: context.json,
        quiet: false,
        held: None,
    };
    let planned = session.plan("", None);
    let writer = store.create_run(&name, |id| {
        let mut manifest = manifest_of(id, &redactor, &args.command, &directory);
        let found = &mut manifest.own_stand_ins;
        manifest.labels = labels.into_iter().map(|label| redacted_label(&redactor, label, found)).collect();
        manifest.note = args.note.as_ref().map(|note| redacted(&redactor, note, found));
        for (variable, url) in planned.base_urls {
            let url = redacted(&redactor, &url, found);
            manifest.environment.insert(variable, url);
        }
        manifest.upstreams = planned.upstreams;
        manifest.intercepted = args.intercepted();
        manifest.shell = args.shell;
        manifest
    })?;
    let id = writer.manifest().id.clone();
    let loudly = id.clone();
    let recorder = Recorder::start(writer, redactor.clone(), move |why| {
        warn(&format!("{loudly} is incomplete: {why}; the agent goes on without being recorded"));
    })?;
    session.run = Some(id.to_string());
    session.tape = Some(recorder.clone());
    let landed = session.run();
    let (outcome, stdin) = match &landed {
        Ok(landed) => {
            let ended = &landed.ended;
            let stdin = ended.stdin.as_ref().map(|text| redactor.text(text));
            let outcome = Outcome {
                exit_code: ended.exit_code,
                signal: ended.signal,
                ended_us: now_us(),
                stopped: None,
            };
            (Some(outcome), stdin)
        }
        Err(_) => (None, None),
    };
    let sealed = recorder.finish(|manifest| {
        manifest.outcome = outcome;
        manifest.stdin = stdin.filter(|(_, found)| found.is_empty()).map(|(text, _)| text);
    });
    let landed = match landed {
        Ok(landed) => landed,
        Err(error) => {
            store.remove_run(&id)?;
            return Err(error);
        }
    };
    let agent_code = landed.ended.shell_code();
    let own_failure = |error: CliError| {
        let code = if agent_code == 0 { error.code } else { agent_code };
        CliError { code, ..error }
    };
    let recorded = sealed.map_err(|e| own_failure(e.into()))?;
    let nothing_seen =
        |missing| nothing_seen(missing, &args.command, &landed.unseen, args.intercepted().is_some());
    if recorded.is_empty() {
        store.remove_run(&id)?;
        return Err(own_failure(nothing_seen("nothing")));
    }
    let opened = Opened::by_id(&store, &id).map_err(own_failure)?.priced(context.prices());
    eprint!("{}", result(&opened, &recorded, &landed.unseen, context.err_style));
    // A signal that ends only the agent at a terminal reaches retake too.
    let stopped = landed.ended.told_to_end || landed.ended.signal.is_some();
    let verified = args.verify.then(|| match stopped {
        true => Err(CliError::broken(format!("not verified: {id} was stopped by a signal"))),
        false => verify(context, &opened, &args),
    });
    let mut data = data(&recorded, Some(agent_code));
    if let Some(verified) = &verified {
        data["verify"] = match verified {
            Ok((_, data)) => data.clone(),
            Err(error) => error.json(),
        };
    }
    let own_code = match verified {
        Some(Ok((code, _))) => code,
        Some(Err(error)) => {
            error.tell();
            error.code
        }
        None if recorded.incomplete.is_some() => exit::BROKEN,
        None if recorded.exchanges == 0 => {
            let error = nothing_seen("no request");
            error.tell();
            error.code
        }
        None => exit::OK,
    };
    Ok((id, if agent_code == 0 { own_code } else { agent_code }, data))
}

/// What a recording amounts to, for a person.
pub(super) fn result(
    opened: &Opened,
    recorded: &Recorded,
    passed: &[(String, Unseen)],
    style: Style,
) -> String {
    let done = results::Recording {
        run: opened.view(),
        untouched: recorded.untouched,
        exported: (recorded.exported.spans, recorded.exported.logs),
        others: other_requests(opened),
        warnings: [unseen(passed), unreachable(opened)].concat(),
        fences: irreversible(opened),
    };
    results::recording(&done, style)
}

/// The same for a program.
pub(super) fn data(recorded: &Recorded, exit_code: Option<i32>) -> Value {
    let manifest = &recorded.manifest;
    serde_json::json!({
        "run": manifest.id, "exchanges": recorded.exchanges, "spans": recorded.exported.spans, "steps": recorded.outline.steps.len(),
        "secrets_replaced": manifest.stand_ins, "replaced": manifest.replaced, "usage": recorded.outline.usage(),
        "exit_code": exit_code, "incomplete": recorded.incomplete,
    })
}

/// Replays a fresh recording, unless that would do harm; the exit code, and what to tell a program.
fn verify(context: &Context, opened: &Opened, args: &RunArgs) -> Result<(i32, Value), CliError> {
    let mut turns = opened.outline.lanes.iter().flat_map(|l| &l.turns).peekable();
    if turns.peek().is_some() && turns.all(|turn| turn.answer_key.is_none()) {
        return Err(CliError::broken(
            "not verified: no model call was answered, so there is nothing to reproduce",
        )
        .hint("see that the model can be reached and takes the key, and record again"));
    }
    // A fence that is not one of its tools was told of before, if that could be known.
    super::fences::checked(opened, "--fence", &args.fences, &[], false)
        .map_err(|error| CliError { message: format!("not verified: {}", error.message), ..error })?;
    if let (Some(tool), false) = (overlooked(context, opened, args)?, args.yes) {
        return Err(CliError::broken(format!("not verified: a replay would run {tool} again, for real"))
            .hint(format!("--fence {tool} stops before it; --yes runs it")));
    }
    eprintln!();
    let replay = ReplayArgs {
        run: opened.reader.manifest().id.to_string(),
        fences: args.fences.clone(),
        unfence: Vec::new(),
        strict: false,
        allow: Vec::new(),
        timing: "fast".into(),
        to: None,
        unpin: Vec::new(),
        record: false,
        yes: true,
        port: 0,
        command: args.command.clone(),
    };
    let (code, mut data) = super::replay::played(context, replay)?;
    let verdict = match code {
        exit::OK => "reproducible: the agent asked for the same and ended the same",
        exit::FENCE => "reproducible up to the fence",
        _ => "not reproducible: see above",
    };
    eprintln!("verified  {verdict}");
    data["verdict"] = verdict.into();
    Ok((if code == exit::FENCE { exit::OK } else { code }, data))
}

/// Says before anything runs what an earlier run of the same command tells: that a replay would do harm, that a fence
/// is misspelt.
fn verifiable(context: &Context, store: &Store, name: &str, args: &RunArgs) -> Result<(), CliError> {
    context.config()?;
    if let Some(fence) = args.fences.iter().find(|fence| fence.starts_with(MARK) && !args.shell) {
        let fence = as_typed(fence);
        return Err(CliError::usage(format!(
            "--fence {fence} is for commands of a shell, which are not recorded without --shell. Nothing was run."
        )));
    }
    let Some(earlier) = precedent(context, store, &[name.to_string()], &args.command)? else { return Ok(()) };
    super::fences::check(&earlier, "--fence", &args.fences, &[], true)?;
    match overlooked(context, &earlier, args)? {
        Some(tool) if !args.yes => {
            let id = &earlier.reader.manifest().id;
            Err(CliError::broken(format!(
                "nothing was run: this command called {tool} in {id}, and the replay would run it again, for real"
            ))
            .hint(format!("--fence {tool} stops before it; --yes runs it")))
        }
        _ => Ok(()),
    }
}

/// A tool that a run called, sounds irreversible, and that nobody has spoken of.
fn overlooked(context: &Context, opened: &Opened, args: &RunArgs) -> Result<Option<String>, CliError> {
    let fences = super::fences::of(&context.config()?, &args.fences, &[], None)?;
    let by_servers = carried_out(opened);
    Ok(called(opened).into_iter().find(|name| fences.overlook(name) && !by_servers.contains(name)))
}

/// Servers that could not be reached by the last attempt of a model call, one line each.
fn unreachable(opened: &Opened) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let failed = opened.outline.lanes.iter().flat_map(|l| &l.turns).filter(|t| t.answer_key.is_none());
    for id in failed.filter_map(|turn| turn.attempts.last().copied()) {
        let Ok(Some(response)) = opened.reader.response(id) else { continue };
        let (Some(Fault::Connect { what }), Ok(request)) = (response.fault, opened.reader.request(id)) else {
            continue;
        };
        let line = format!("{} could not be reached: {what}", request.upstream.origin);
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines
}

/// Tools that servers carried out: a replay does not run them.
fn carried_out(opened: &Opened) -> BTreeSet<String> {
    let sites = opened.tool_servers().spoken().iter().filter_map(|spoken| spoken.site);
    sites.filter_map(|site| Some(opened.outline.call(site)?.name.clone())).collect()
}

/// Tools that were called and sound as if they changed something.
fn irreversible(opened: &Opened) -> Vec<String> {
    let by_servers = carried_out(opened);
    let own = called(opened).into_iter().filter(|name| !by_servers.contains(name));
    own.filter(|name| sounds_irreversible(name)).collect()
}

/// The requests that are no model calls, one line a kind, in order of the first of each.
fn other_requests(opened: &Opened) -> Vec<String> {
    let mut kinds: Vec<(String, u32)> = Vec::new();
    for id in &opened.outline.others {
        if opened.tool_servers().holds(*id) {
            continue;
        }
        let Ok(exchange) = opened.reader.exchange(*id) else { continue };
        let head = &exchange.request.head;
        let path = head.target.split('?').next().unwrap_or_default();
        let status = exchange.response.as_ref().and_then(|r| r.head.as_ref()).map(|head| head.status);
        let status = status.map_or("no answer".to_string(), |status| status.to_string());
        let plain = || format!("{} {path} ({}), {status}", head.method, exchange.request.upstream.provider);
        let kind = opened.service(*id).unwrap_or_else(plain);
        match kinds.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, count)) => *count += 1,
            None => kinds.push((kind, 1)),
        }
    }
    let line = |(kind, count): (String, u32)| if count > 1 { format!("{count}x {kind}") } else { kind };
    kinds.into_iter().map(line).collect()
}

/// The redactor of a store: its key, and the secrets in this process's environment and in the agent's command.
pub(super) fn redactor(store: &Store, command: &[String]) -> Result<Redactor, CliError> {
    let mut secrets = Redactor::secrets_of_environment(&own_environment());
    for secret in Redactor::secrets_of_command(command) {
        if !secrets.iter().any(|known| known.value == secret.value) {
            secrets.push(secret);
        }
    }
    Redactor::new(store.key()?, secrets, &[]).map_err(CliError::broken)
}

/// A manifest of a run that begins now in this environment.
pub(super) fn manifest_of(id: RunId, redactor: &Redactor, command: &[String], directory: &Path) -> Manifest {
    let vars = own_environment();
    let secrets = Redactor::secrets_of_environment(&vars);
    let is_secret = |name: &str, value: &str| {
        secrets.iter().any(|s| s.label == name) || !redactor.text(value).1.is_empty()
    };
    let (kept, secret_variables) = environment::kept(&vars, is_secret);
    let (command, stand_ins) = redactor.command(command);
    let mut found = Vec::new();
    note_stand_ins(stand_ins, &mut found);
    let command_redacted = !found.is_empty();
    let directory_text = redacted(redactor, &directory.display().to_string(), &mut found);
    let here = surroundings::here(directory);
    let environment = kept.into_iter().map(|(k, v)| (k, redacted(redactor, &v, &mut found))).collect();
    Manifest {
        id,
        uuid: uuid::Uuid::now_v7().to_string(),
        recorder: env!("CARGO_PKG_VERSION").into(),
        started_us: now_us(),
        home: redacted(redactor, &here.home, &mut found),
        temp: redacted(redactor, &here.temp, &mut found),
        zone_s: here.zone_s,
        labels: BTreeMap::new(),
        note: None,
        command_redacted,
        command,
        directory: directory_text,
        environment,
        secret_variables,
        stdin: None,
        git: git::state(directory),
        upstreams: Vec::new(),
        parent: None,
        imported: false,
        lacks: Vec::new(),
        stale: Vec::new(),
        intercepted: None,
        shell: false,
        outcome: None,
        incomplete: None,
        stand_ins: 0,
        replaced: BTreeMap::new(),
        own_stand_ins: found,
    }
}

/// A text of the manifest without its secrets; what stands for them is noted.
pub(super) fn redacted(redactor: &Redactor, text: &str, found: &mut Vec<StandIn>) -> String {
    let (text, stand_ins) = redactor.text(text);
    note_stand_ins(stand_ins, found);
    text
}

fn note_stand_ins(stand_ins: Vec<StandIn>, found: &mut Vec<StandIn>) {
    for stand_in in stand_ins {
        if !found.contains(&stand_in) {
            found.push(stand_in);
        }
    }
}

/// What names the newest run of all.
const LAST: &str = "last";

/// The name of a run: as given, else from the command (`python agent.py` is `agent`).
pub(super) fn run_name(given: Option<&str>, command: &[String]) -> Result<String, CliError> {
    if let Some(name) = given {
        if name == LAST {
            let why = "\"last\" is the newest run of all, whatever its name: no run can be called so";
            return Err(CliError::usage(why).hint("give another name: --name NAME"));
        }
        if RunId::is_name(name) {
            return Ok(name.to_string());
        }
        return Err(CliError::usage(format!(
            "{name:?} is no run name: letters, digits, - and _, at most 48; the number comes by itself"
        )));
    }
    let stem = |word: &str| Path::new(word).file_stem().map(|s| s.to_string_lossy().into_owned());
    let script = command.iter().skip(1).find(|word| {
        let extension = Path::new(word.as_str()).extension().and_then(|e| e.to_str());
        matches!(extension, Some("py" | "js" | "mjs" | "cjs" | "ts" | "sh" | "rb" | "php" | "lua" | "jar"))
    });
    let from = script.or(command.first()).and_then(|word| stem(word)).unwrap_or_default();
    let clean: String =
        from.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' }).take(40).collect();
    let clean = clean.trim_matches('-').to_string();
    Ok(if RunId::is_name(&clean) && clean != LAST { clean } else { "run".into() })
}

fn parse_labels(labels: &[String]) -> Result<BTreeMap<String, String>, CliError> {
    let pairs = labels.iter().map(|label| {
        let pair = label.split_once('=').filter(|(key, _)| !key.trim().is_empty());
        let (key, value) =
            pair.ok_or_else(|| CliError::usage(format!("--label {label:?}: a label is key=value")))?;
        Ok((key.trim().to_string(), value.to_string()))
    });
    pairs.collect()
}

/// The name of a label helps to tell whether its value is a secret.
pub(super) fn redacted_label(
    redactor: &Redactor,
    (name, value): (String, String),
    found: &mut Vec<StandIn>,
) -> (String, String) {
    let (text, stand_ins) = redactor.command(&[format!("{name}={value}")]);
    note_stand_ins(stand_ins, found);
    let text = text.concat();
    let pair = text.split_once('=').map(|(name, value)| (name.to_string(), value.to_string()));
    pair.unwrap_or((text, String::new()))
}

pub(super) fn parse_upstreams(texts: &[String]) -> Result<Vec<UpstreamOverride>, CliError> {
    let parsed = texts.iter().map(|text| {
        let one = UpstreamOverride::parse(text).map_err(|e| CliError::usage(format!("--upstream: {e}")))?;
        match &one.provider {
            Some(name) if !PROVIDERS.iter().any(|known| known.name == name) => {
                let known: Vec<&str> = PROVIDERS.iter().map(|known| known.name).collect();
                let meant = nearest(name, known.iter().copied());
                let meant = meant.map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
                Err(CliError::usage(format!("--upstream: there is no provider {name:?}{meant}"))
                    .hint(format!("providers: {}; or --upstream URL for all of them", known.join(", "))))
            }
            _ => Ok(one),
        }
    });
    parsed.collect()
}
