//! `retake replay`

use super::args::ReplayArgs;
use super::error::{CliError, exit};
use super::record::redactor;
use super::rerun::{Asked, Rerun, knowing};
use super::session::{Landed, Session, now_us};
use super::view::Opened;
use super::{Context, control, fences, warn};
use crate::record::Recorder;
use crate::replay::player::Player;
use crate::replay::policy::{self, Policy};
use crate::replay::serve::Timing;
use crate::replay::tally::Tally;
use crate::report::matched::Matched;
use crate::report::results::{self, Answers, Compared};
use crate::report::tools_run::ToolsRun;
use crate::report::words::many;
use crate::report::{action, miss};
use crate::run::{Manifest, Outcome, Outline, StepKind, Stopped};
use serde_json::Value;
use std::sync::Arc;

pub(super) fn replay(context: &Context, args: ReplayArgs) -> Result<i32, CliError> {
    let (code, data) = played(context, args)?;
    if context.json {
        context.print_json(&data)?;
    }
    Ok(code)
}

/// Replays and tells a person; the exit code, and what to tell a program.
pub(super) fn played(context: &Context, args: ReplayArgs) -> Result<(i32, Value), CliError> {
    let config = context.config()?;
    let policy = policy(&args, config.allow.clone())?;
    let store = context.store()?;
    let opened = Opened::open(&store, &args.run)?;
    let timing = Timing::parse(&args.timing).map_err(CliError::usage)?;
    let manifest = opened.reader.manifest().clone();
    // Bodies of no known dialect are replayed as bytes.
    if opened.outline.others.is_empty() {
        refuse_empty(&opened)?;
    }
    if let Some(to) = args.to
        && opened.outline.step(to).is_none()
    {
        let steps = opened.outline.steps.len();
        return Err(CliError::usage(format!("--to {to}: {} has steps 1 to {steps}", manifest.id)));
    }
    let redactor = knowing(redactor(&store, &args.command)?, &opened);
    let asked = Asked {
        verb: "replay",
        fences: &args.fences,
        unfence: &args.unfence,
        unpin: &args.unpin,
        added: &[],
        command: &args.command,
        yes: args.yes,
    };
    let rerun = Rerun::of(context, &config, &opened, redactor, &asked)?;
    rerun.tell_misspelt();
    let mut options = rerun.options();
    options.timing = timing;
    options.policy = policy;
    options.to_step = args.to;
    options.pinning.unpin = rerun.unpin.clone();
    let player = Arc::new(Player::new(rerun.run(), options).map_err(CliError::broken)?);
    let recorder = if args.record {
        let writer = rerun.recording(&store, manifest.id.name())?;
        Some(Recorder::start(writer, rerun.redactor.clone(), |why| {
            warn(&format!("the replay is not kept: {why}"))
        })?)
    } else {
        None
    };
    let session = Session {
        port: args.port,
        tape: recorder.clone().map(|r| r as _),
        json: context.json,
        answerer: Some(player.clone()),
        stop: Some(player.stopped()),
        ..rerun.session()
    };
    let landed = session.run();
    let kept = match recorder {
        Some(recorder) => Some(recorder.finish(|m| {
            let tally = player.tally();
            m.outcome = landed.as_ref().ok().map(|landed| outcome_of(landed, &tally));
            m.stale = tally.stale_at;
        })?),
        None => None,
    };
    let landed = match (landed, &kept) {
        (Err(error), Some(kept)) => {
            store.remove_run(&kept.manifest.id)?;
            return Err(error);
        }
        (landed, _) => landed?,
    };
    let kept = kept.map(|kept| kept.manifest.id);
    let tally = player.tally();
    let asked = tally.recorded + tally.refused + u32::from(!tally.servers.is_empty());
    if opened.outline.lanes.is_empty() && asked == 0 {
        let why = format!("the agent asked for nothing of what {} recorded", manifest.id);
        return Err(CliError { code: exit::DIFFERS, ..CliError::broken(why) });
    }
    if rerun.own_command {
        control::keep(&store, &opened, &tally);
    }
    let ended = (landed.ended.exit_code, landed.ended.signal);
    let (done, code) = done(&rerun, &player, Some(ended), landed.took_us);
    tell_miss(context, &tally, &rerun.typed);
    eprint!("{}", results::replay(&done, context.err_style));
    if let Some(kept) = &kept {
        eprintln!("          kept as {kept}   next: retake diff {} {kept}", manifest.id);
    }
    let data = serde_json::json!({
        "replay": done, "classes": tally.classes(), "matching": tally.matching, "misses": tally.misses,
        "not_allowed": tally.not_allowed, "fenced": tally.fenced, "kept": kept, "exit": code,
    });
    Ok((code, data))
}

/// What a replay amounts to, and its exit code. `ended`: exit code and signal of the agent, where that is known.
pub(super) fn done(
    rerun: &Rerun<'_>,
    player: &Player,
    ended: Option<(Option<i32>, Option<i32>)>,
    took_us: u64,
) -> (results::Replay, i32) {
    let (manifest, outline) = (rerun.opened.reader.manifest(), &rerun.opened.outline);
    let tally = player.tally();
    let unasked = unasked_steps(outline, player, &tally);
    let outcome = match compared(manifest, ended, &tally) {
        Compared::Same if !unasked.is_empty() => Compared::Early,
        Compared::Same => uncalled(player, &tally).unwrap_or(Compared::Same),
        other => other,
    };
    let code = exit_code(&tally, &unasked, &outcome);
    let mut warnings = rerun.start.warnings.clone();
    if tally.recorded + tally.edited + tally.refused == 0 && tally.servers.is_empty() {
        let id = &manifest.id;
        warnings.push(format!(
            "the agent asked nothing; has it moved? retake replay {id} -- COMMAND runs it from here"
        ));
    }
    let untold = match &manifest.outcome {
        None => Some("it was interrupted"),
        Some(outcome) if !outcome.is_told() => Some("retake did not start it"),
        Some(_) => None,
    };
    if let Some(why) = untold {
        let id = &manifest.id;
        warnings.push(format!("how {id} ended is not known ({why}): only its steps were compared"));
    }
    let done = results::Replay {
        run: manifest.id.to_string(),
        steps: outline.steps.len() as u32,
        replayed: tally.steps_played(outline),
        answers: answers(&tally),
        took_us,
        outcome,
        pinned: control::pinned(&tally, &rerun.redactor, &Default::default()),
        stale: tally.stale(outline),
        matched: Matched::of(&tally),
        tools: ToolsRun::new(tally.tools_run(outline), &rerun.fences)
            .with_servers(tally.servers.clone(), tally.fenced.as_ref().map(|fenced| fenced.tool.as_str())),
        go_on: fences::go_on(rerun, &tally),
        unasked,
        backoff: (tally.back_offs, 0),
        secrets: (tally.revealed, tally.stand_ins),
        warnings,
    };
    (done, code)
}

/// Which matches pass: what the flags say, else `retake.toml`, else all but drift.
fn policy(args: &ReplayArgs, declared: Option<Policy>) -> Result<Policy, CliError> {
    let listed = (!args.allow.is_empty()).then(|| {
        let said = format!("--allow {}", args.allow.join(","));
        Policy::of(args.allow.iter().map(String::as_str), &said)
            .map_err(|why| CliError::usage(format!("--allow: {why}")))
    });
    Ok(match (args.strict, listed.transpose()?) {
        (true, Some(listed)) => Policy::strict().or(&listed),
        (true, None) => Policy::strict(),
        (false, Some(listed)) => listed,
        (false, None) => declared.unwrap_or_default(),
    })
}

pub(super) fn refuse_empty(opened: &Opened) -> Result<(), CliError> {
    if opened.outline.lanes.is_empty() {
        let id = &opened.reader.manifest().id;
        let error = CliError::broken(format!("{id} holds no model call: there is nothing to replay"))
            .hint("an empty recording proves nothing, so this is not a success");
        let has_spans = super::spans::count(&opened.reader).is_ok_and(|spans| spans > 0);
        let tree = if has_spans { " --tree" } else { "" };
        return Err(error.hint(format!("what it holds: retake show {id}{tree}")));
    }
    Ok(())
}

pub(super) fn outcome_of(landed: &Landed, tally: &Tally) -> Outcome {
    let stopped = match &tally.fenced {
        Some(fenced) => Some(Stopped::Fence { tool: fenced.tool.clone() }),
        None => tally.live_limit.then_some(Stopped::LiveLimit),
    };
    let ended = &landed.ended;
    Outcome { exit_code: ended.exit_code, signal: ended.signal, ended_us: now_us(), stopped }
}

pub(super) fn answers(tally: &Tally) -> Answers {
    Answers { recorded: tally.recorded, edited: tally.edited, live: tally.live, refused: tally.refused }
}

/// Why the agent was stopped, if it was.
pub(super) fn stopped_by(tally: &Tally) -> Option<String> {
    if let Some(fenced) = &tally.fenced {
        let step = fenced.step.map(|n| format!(" (step {n})")).unwrap_or_default();
        return Some(format!("at the fence before {}{step}", fenced.tool));
    }
    if tally.live_limit {
        return Some(format!("at the limit of {} (--max-live)", many(tally.live.into(), "live call")));
    }
    if let Some(step) = tally.stopped_at {
        return Some(format!("after step {step}, as asked"));
    }
    if let Some(refused) = tally.not_allowed {
        let step = refused.step.map(|n| format!("step {n}, ")).unwrap_or_default();
        return Some(format!(
            "at {step}a match that is not allowed to pass ({})",
            policy::name(refused.class)
        ));
    }
    (!tally.misses.is_empty()).then(|| "at a request that the recording has no right answer for".into())
}

fn compared(manifest: &Manifest, ended: Option<(Option<i32>, Option<i32>)>, tally: &Tally) -> Compared {
    if let Some(by) = stopped_by(tally) {
        return Compared::Stopped { by };
    }
    let Some(then) = manifest.outcome.as_ref().filter(|then| then.is_told()) else { return Compared::Same };
    let Some((code, signal)) = ended.filter(|now| *now != (then.exit_code, then.signal)) else {
        return Compared::Same;
    };
    let then = in_words(then.exit_code, then.signal);
    Compared::Differs { what: format!("{} instead of {then}", in_words(code, signal)) }
}

/// How the agent ended: `exit 1`, `signal 9`.
pub(super) fn ended(landed: &Landed) -> String {
    in_words(landed.ended.exit_code, landed.ended.signal)
}

fn in_words(code: Option<i32>, signal: Option<i32>) -> String {
    match (code, signal) {
        (Some(code), _) => format!("exit {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "no exit code".into(),
    }
}

/// Calls of servers' tools that no model asked for, and that were not made again.
fn uncalled(player: &Player, tally: &Tally) -> Option<Compared> {
    let missing = player.uncalled();
    let first = missing.first().filter(|_| stopped_by(tally).is_none())?;
    let what = format!("{} never made again, the first: {first}", many(missing.len() as u64, "call"));
    Some(Compared::Differs { what })
}

fn unasked_steps(outline: &Outline, player: &Player, tally: &Tally) -> Vec<(u32, String)> {
    if stopped_by(tally).is_some() {
        return Vec::new();
    }
    let numbers = outline.numbers();
    let mut steps: Vec<(u32, String)> = player
        .unasked()
        .into_iter()
        .filter_map(|(lane, turn)| {
            let number = *numbers.get(&StepKind::Model { lane, turn })?;
            let turn = outline.turn(lane, turn)?;
            if turn.calls.is_empty() {
                return Some((number, action::quoted(&turn.text, 60)));
            }
            let calls = turn.calls.iter().map(|c| (c.name.as_str(), &c.args));
            Some((number, action::calls(calls, &turn.text, 60)))
        })
        .collect();
    steps.sort();
    steps
}

fn exit_code(tally: &Tally, unasked: &[(u32, String)], outcome: &Compared) -> i32 {
    if tally.fenced.is_some() {
        exit::FENCE
    } else if !tally.misses.is_empty() {
        exit::MISS
    } else if !unasked.is_empty() || matches!(outcome, Compared::Differs { .. } | Compared::Early) {
        exit::DIFFERS
    } else {
        exit::OK
    }
}

/// Explains the first miss, once. `typed`: the command that was given after `--`, which hints are to carry on.
pub(super) fn tell_miss(context: &Context, tally: &Tally, typed: &str) {
    if let Some(mut first) = tally.misses.first().cloned() {
        first.hints.iter_mut().for_each(|hint| *hint = miss::with_command(hint, typed));
        let tell = if tally.not_allowed.is_some() { miss::not_allowed } else { miss::miss };
        eprint!("{}", tell(&first, context.err_style));
    }
}
