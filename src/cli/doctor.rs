//! `retake doctor`

mod replayed;
mod shuffle;

use super::args::{DoctorArgs, RunArgs};
use super::error::{CliError, exit};
use super::precedent::{called, precedent};
use super::record::{recorded, run_name};
use super::replay::refuse_empty;
use super::rerun::Asked;
use super::start::recorded_stdin;
use super::view::Opened;
use super::{Context, fences, print, surroundings};
use crate::agent::stdin::StdinFrom;
use crate::config::Config;
use crate::holes::Surroundings;
use crate::replay::doctor::{Comparison, Copes, Finding, Second, Source, compare, mutants};
use crate::replay::fences::Fences;
use crate::replay::matcher::Options;
use crate::replay::recording::RecordedRun;
use crate::report::doctor as report;
use crate::report::doctor::Examined;
use crate::run::{Outcome, RunId};
use crate::store::Store;

pub(super) fn doctor(context: &Context, args: DoctorArgs) -> Result<i32, CliError> {
    let Some(run) = args.run.clone() else { return twice(context, args) };
    let store = context.store()?;
    let opened = Opened::open(&store, &run)?;
    refuse_empty(&opened)?;
    if args.mutate {
        return mutate(context, &opened, args.seed);
    }
    if !args.yes {
        let fences = fences::of(&context.config()?, &args.fences, &args.unfence, None)?;
        if let Some(tool) = called(&opened).into_iter().find(|name| fences.overlook(name)) {
            let id = &opened.reader.manifest().id;
            let why =
                format!("nothing was run: {id} called {tool}, and a replay would run it again, for real");
            return Err(refused(why, &opened, &tool));
        }
    }
    match args.shuffle {
        Some(times) => shuffle::shuffle(context, &store, &opened, &args, times),
        None => replayed::compared(context, &store, &opened, &args),
    }
}

/// What the matcher is told of a recording, and of the other side.
fn options(run: &RecordedRun, config: &Config, surroundings: Surroundings) -> Options {
    Options {
        secrets: run.stand_ins(),
        classes: config.tools.clone(),
        surroundings: Some(surroundings),
        rules: config.rules.clone(),
        ..Options::default()
    }
}

/// What was asked of the agent that runs again.
fn asked(args: &DoctorArgs) -> Asked<'_> {
    Asked {
        verb: "doctor",
        fences: &args.fences,
        unfence: &args.unfence,
        unpin: &[],
        added: &[],
        command: &args.command,
        yes: args.yes,
    }
}

fn as_recorded(opened: &Opened) -> RecordedRun {
    opened.recorded().clone()
}

/// Records the agent twice and compares.
fn twice(context: &Context, args: DoctorArgs) -> Result<i32, CliError> {
    // What is wrong with it is said before anything runs.
    let config = context.config()?;
    let fences = fences::of(&config, &[], &[], None)?;
    if let (Ok(store), false) = (context.store(), args.yes) {
        let names = [args.name.clone(), run_name(None, &args.command)?];
        if let Some(earlier) = precedent(context, &store, &names, &args.command)?
            && let Some(tool) = harmful(&earlier, &fences)
        {
            let id = &earlier.reader.manifest().id;
            let why = format!(
                "nothing was run: this command called {tool} in {id}, and would run it twice, for real"
            );
            return Err(refused(why, &earlier, &tool));
        }
    }
    // What the agent prints is not what is asked for here.
    let aside =
        Context { store: context.store.clone(), config: context.config.clone(), json: true, ..*context };
    let run = || RunArgs {
        shell: false,
        name: Some(args.name.clone()),
        labels: Vec::new(),
        note: Some("recorded by retake doctor".into()),
        verify: false,
        yes: false,
        fences: Vec::new(),
        upstreams: args.upstreams.clone(),
        intercept: false,
        only: Vec::new(),
        except: Vec::new(),
        port: 0,
        command: args.command.clone(),
    };
    let (first, _, _) = recorded(&aside, run(), StdinFrom::Caller)?;
    let store = context.store()?;
    let one = Opened::by_id(&store, &first)?;
    refuse_empty(&one)?;
    if let (Some(tool), false) = (harmful(&one, &fences), args.yes) {
        let why = format!("not compared: a second run would run {tool} again, for real");
        return Err(refused(why, &one, &tool));
    }
    let stdin = recorded_stdin(one.reader.manifest()).unwrap_or(StdinFrom::Caller);
    let (second, _, _) = recorded(&aside, run(), stdin)?;
    let two = Opened::by_id(&store, &second)?;
    let (left, right) = (as_recorded(&one), as_recorded(&two));
    let between = surroundings::between(one.reader.manifest(), two.reader.manifest());
    let told = options(&left, &config, between);
    let mut comparison = compare(&left, &right, Second::Recording, &told).map_err(CliError::broken)?;
    compare_outcomes(&mut comparison, outcome(&one), outcome(&two));
    if args.discard {
        remove(&store, &[first.clone(), second.clone()])?;
    }
    let done = Examined {
        run: first.to_string(),
        second: Some(second.to_string()),
        comparison,
        stopped: None,
        go_on: None,
        risky: Vec::new(),
        discarded: args.discard,
        warnings: Vec::new(),
    };
    tell(context, &done)
}

/// A tool that was called and had better not run again: an irreversible one, or one that sounds so.
fn harmful(opened: &Opened, fences: &Fences) -> Option<String> {
    called(opened).into_iter().find(|name| fences.stops(name).is_some() || fences.overlook(name))
}

/// Nothing is compared, since a second run would do harm.
fn refused(why: String, earlier: &Opened, tool: &str) -> CliError {
    let manifest = earlier.reader.manifest();
    // A command that held a secret has to be given again.
    let command = if manifest.command_redacted { " -- COMMAND" } else { "" };
    CliError::broken(why)
        .hint(format!("--yes runs it; retake doctor {} --fence {tool}{command} stops before it", manifest.id))
}

fn remove(store: &Store, runs: &[RunId]) -> Result<(), CliError> {
    for run in runs {
        store.remove_run(run)?;
    }
    Ok(())
}

fn outcome(opened: &Opened) -> Option<&Outcome> {
    opened.reader.manifest().outcome.as_ref().filter(|outcome| outcome.is_told())
}

/// Adds what the agent's exit says, where it differs.
fn compare_outcomes(comparison: &mut Comparison, left: Option<&Outcome>, right: Option<&Outcome>) {
    let (Some(left), Some(right)) = (left, right) else { return };
    if (left.exit_code, left.signal) == (right.exit_code, right.signal) {
        return;
    }
    let words = |o: &Outcome| match (o.exit_code, o.signal) {
        (Some(code), _) => format!("exit {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "no exit code".into(),
    };
    // Another answer of the model may well end otherwise.
    let sampled = comparison.findings.iter().any(|f| f.source == Source::Sampling);
    comparison.findings.push(Finding {
        source: Source::Outcome,
        kind: None,
        steps: Vec::new(),
        tool: None,
        path: "exit code".into(),
        recorded: words(left),
        live: words(right),
        copes: if sampled { Copes::Recorded } else { Copes::No },
        why: None,
        paste: None,
    });
}

fn tell(context: &Context, done: &Examined) -> Result<i32, CliError> {
    let code = match (done.comparison.replays(), &done.stopped) {
        (false, _) => exit::DIFFERS,
        // It did not come to the end: a fence, or else a request that got no answer.
        (true, Some(_)) if done.go_on.is_some() => exit::FENCE,
        (true, Some(_)) => exit::DIFFERS,
        (true, None) => exit::OK,
    };
    if context.json {
        let mut data = serde_json::to_value(done).map_err(|e| CliError::broken(e.to_string()))?;
        data["exit"] = code.into();
        context.print_json(&data)?;
    } else {
        print(&report::examined(done, context.style))?;
    }
    Ok(code)
}

fn mutate(context: &Context, opened: &Opened, seed: u64) -> Result<i32, CliError> {
    let run = as_recorded(opened);
    let config = context.config()?;
    let manifest = opened.reader.manifest();
    // The recording's own requests, put to it where and when they were made.
    let told = options(&run, &config, surroundings::between(manifest, manifest));
    let done = mutants(&run, &told, seed).map_err(CliError::broken)?;
    let id = opened.reader.manifest().id.to_string();
    let total = done.total();
    let code = match (total.mutants, total.silent) {
        (0, _) => exit::BROKEN,
        (_, 0) => exit::OK,
        _ => exit::DIFFERS,
    };
    if context.json {
        context.print_json(&serde_json::json!({
            "run": id, "seed": seed, "mutations": done, "total": total, "exit": code,
        }))?;
    } else {
        print(&report::mutations(&id, &done, seed, context.style))?;
    }
    Ok(code)
}
