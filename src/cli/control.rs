//! The control arm of a fork: the agent once without the edits, to see which tool results vary by themselves.

use super::args::ControlArgs;
use super::error::CliError;
use super::rerun::Rerun;
use super::session::{Session, now_us};
use super::view::Opened;
use crate::agent::stdin::StdinFrom;
use crate::redact::Redactor;
use crate::replay::fences::{Fences, sounds_irreversible};
use crate::replay::matcher::{Unpin, Unpinned};
use crate::replay::plan::Plan;
use crate::replay::player::Player;
use crate::replay::tally::Tally;
use crate::replay::tools::{ToolClass, runs_anything};
use crate::report::control::{Control, Made};
use crate::report::results::SentAsIs;
use crate::report::tool_results::{Differing, ToolResults, by_tool};
use crate::run::spelling::nearest;
use crate::run::{CallSite, Outline, StepKind};
use crate::store::{Noise, Store};
use std::collections::HashSet;
use std::sync::Arc;

/// How long what a replay showed is taken for what a control replay would show now: tools may tell the day.
const FRESH_US: u64 = 24 * 3600 * 1_000_000;

/// What is known of results that vary by themselves.
pub(super) struct Known {
    pub told: Control,
    pub varying: HashSet<CallSite>,
    /// The calls of which it is known whether they do.
    seen: HashSet<CallSite>,
}

impl Known {
    fn nothing(why: impl Into<String>) -> Known {
        let told = Control {
            made: Made::None { why: why.into() },
            varying: Default::default(),
            ran: Default::default(),
            stopped: None,
            missed: None,
        };
        Known { told, varying: HashSet::new(), seen: HashSet::new() }
    }

    /// The results that went to the live model as they are, by the reason.
    pub(super) fn explain(&self, tally: &Tally, redactor: &Redactor) -> SentAsIs {
        let lives: Vec<String> = tally.sent_as_is.iter().map(|sent| redactor.text(&sent.live).0).collect();
        let of = |wanted: &dyn Fn(Unpinned, bool) -> bool| {
            // Today's secrets are no difference: the recorded result has stand-ins in their places.
            let all = tally.sent_as_is.iter().zip(&lives).filter(|(sent, live)| sent.recorded != **live);
            let all = all.filter(|(sent, _)| wanted(sent.why, self.seen.contains(&sent.site)));
            ToolResults::of(all.map(|(sent, live)| Differing {
                step: sent.step,
                tool: &sent.tool,
                recorded: &sent.recorded,
                live,
                by_itself: self.varying.contains(&sent.site),
                renamed: false,
            }))
        };
        let unknown = of(&|why, seen| why == Unpinned::Swapped || (why == Unpinned::Effect && !seen));
        let why_unknown = match (&self.told.made, &self.told.missed, &self.told.stopped) {
            _ if unknown.is_empty() => None,
            (Made::None { why }, ..) => Some(why.clone()).filter(|why| !why.is_empty()),
            (_, Some(_), _) => Some("the control replay missed".into()),
            (_, _, Some(stopped)) => Some(format!("the control replay stopped {stopped}")),
            _ => Some("the control replay did not come that far".into()),
        };
        SentAsIs {
            by_edit: of(&|why, seen| why == Unpinned::Effect && seen),
            after_write: of(&|why, _| why == Unpinned::AfterWrite),
            unwanted: of(&|why, _| why == Unpinned::Unwanted),
            unknown,
            why_unknown,
        }
    }
}

/// The pins of a replay or fork, by tool, those that are only told of too.
pub(super) fn pinned(tally: &Tally, redactor: &Redactor, varying: &HashSet<CallSite>) -> Vec<ToolResults> {
    let lives: Vec<String> = tally.pins.iter().map(|pin| redactor.text(&pin.live).0).collect();
    let all = tally.pins.iter().zip(&lives).filter(|(pin, live)| pin.recorded != **live);
    ToolResults::of(all.map(|(pin, live)| Differing {
        step: pin.step,
        tool: &pin.tool,
        recorded: &pin.recorded,
        live,
        by_itself: pin.renamed || varying.contains(&pin.site),
        renamed: pin.renamed,
    }))
}

/// What `--unpin` says. A misspelt name would unpin nothing.
pub(super) fn unpin(opened: &Opened, names: &[String], other_command: bool) -> Result<Unpin, CliError> {
    if names.is_empty() {
        return Ok(Unpin::Nothing);
    }
    if names.iter().any(String::is_empty) {
        return Ok(Unpin::Everything);
    }
    let known: Vec<&str> = calls(&opened.outline).map(|(_, name)| name).collect();
    for name in names.iter().filter(|name| !known.contains(&name.as_str())) {
        let meant = nearest(name, known.iter().copied());
        if other_command && meant.is_none() {
            continue;
        }
        let id = &opened.reader.manifest().id;
        let error = CliError::usage(format!("{id} calls no tool {name:?}. Nothing was run."));
        return Err(match meant {
            Some(meant) => error.hint(format!("did you mean --unpin {meant}?")),
            None => error.hint("--unpin without a name is for all tools"),
        });
    }
    Ok(Unpin::Tools(names.iter().cloned().collect()))
}

/// Keeps what a replay showed, if it came through: forks of the run can do without a control replay then.
pub(super) fn keep(store: &Store, opened: &Opened, tally: &Tally) {
    let outline = &opened.outline;
    let came_through = tally.misses.is_empty()
        && tally.fenced.is_none()
        && tally.stopped_at.is_none()
        && tally.unasked.is_empty()
        && !outline.lanes.is_empty();
    if came_through {
        let varying = tally.pins.iter().map(|pin| pin.site).collect();
        let noise = Noise { made_us: now_us(), varying };
        // It is derived: without it a fork looks for itself.
        let _ = store.keep_noise(&opened.reader.manifest().id, outline, &noise);
    }
}

/// Finds out which tool results vary by themselves, where a fork needs to know.
pub(super) fn known(
    store: &Store,
    fork: &Rerun<'_>,
    plan: &Plan,
    asked: &ControlArgs,
) -> Result<Known, CliError> {
    let outline = &fork.opened.outline;
    if asked.no_control {
        return Ok(Known::nothing("--no-control"));
    }
    let wanted = in_question(fork, plan);
    let kept = fork.opened.reader.noise(outline).filter(|_| fork.own_command && !asked.control);
    let age = |noise: &Noise| now_us().saturating_sub(noise.made_us);
    if let Some(noise) = kept.filter(|noise| age(noise) < FRESH_US) {
        let mut told = Known::nothing("").told;
        if !wanted.is_empty() {
            told.made = Made::Kept { age_us: age(&noise) };
            told.varying = named(outline, &noise.varying);
        }
        return Ok(Known {
            told,
            varying: noise.varying,
            seen: calls(outline).map(|(site, _)| site).collect(),
        });
    }
    if wanted.is_empty() && !asked.control {
        return Ok(Known::nothing(""));
    }
    let fences = fences(fork, asked.control);
    let numbers = outline.numbers();
    let step = |site: &CallSite| numbers.get(&StepKind::Tool { site: *site }).copied().unwrap_or(u32::MAX);
    let first_fenced = calls(outline)
        .filter(|(_, name)| fences.iter().any(|fence| fence == name))
        .min_by_key(|(site, _)| step(site));
    if let Some((fenced, name)) = first_fenced
        && !asked.control
        && wanted.iter().all(|site| step(site) >= step(&fenced))
    {
        return Ok(Known::nothing(format!(
            "no control replay, which would run {name} for real; --control asks for one"
        )));
    }
    replayed(store, fork, fences)
}

/// The calls whose results may come back once something has gone live, and could be pinned.
fn in_question(fork: &Rerun<'_>, plan: &Plan) -> Vec<CallSite> {
    let outline = &fork.opened.outline;
    let mut live: Vec<(u32, u32)> = plan.first_asked().into_iter().collect();
    live.extend(plan.edited_steps(outline).into_iter().filter_map(|step| match outline.step(step)? {
        // The results of an edited answer's calls are in question.
        StepKind::Model { lane, turn } => Some((lane, turn)),
        StepKind::Tool { .. } => None,
    }));
    live.retain(|(lane, turn)| outline.turn(*lane, *turn).is_some());
    let begins_lane = |site: &CallSite| outline.lanes.iter().any(|lane| lane.parent == Some(*site));
    let covered = |name: &str| fork.fences.stops(name).is_some() || fork.unpin.covers(name);
    calls(outline)
        .filter(|(site, name)| {
            !covered(name) && outline.call(*site).is_some_and(|call| call.result.is_some())
        })
        .map(|(site, _)| site)
        .filter(|site| !begins_lane(site) && live.iter().any(|place| !is_before(outline, *site, *place)))
        .collect()
}

/// True when the result of a call is known to come back before a turn is asked: it is an earlier one of that lane, or
/// of one that this lane comes from, or one of theirs has waited for it. Of lanes that are not related, the times tell.
fn is_before(outline: &Outline, site: CallSite, place: (u32, u32)) -> bool {
    let line = |from: (u32, u32)| {
        let above = |(lane, _): &(u32, u32)| {
            let lane = outline.lanes.get(*lane as usize)?;
            lane.parent.map(|site| (site.lane, site.turn))
        };
        // A forged outline may go round in circles.
        std::iter::successors(Some(from), above).take(outline.lanes.len() + 1)
    };
    for (lane, turn) in line((site.lane, site.turn)) {
        if let Some((_, asked)) = line(place).find(|(other, _)| *other == lane) {
            return turn < asked;
        }
    }
    let began = line(place).last().and_then(|(lane, _)| outline.turn(lane, 0)).map_or(0, |t| t.started_us);
    outline.call(site).and_then(|call| call.result.as_ref()).is_some_and(|result| result.seen_us <= began)
}

/// The tools that a control replay stops before. Nobody asked for it to run anything: one that was not asked for stops
/// before all that might do hfork.
fn fences(fork: &Rerun<'_>, asked_for: bool) -> Vec<String> {
    let mut fences: Vec<String> = Vec::new();
    for (_, name) in calls(&fork.opened.outline) {
        let harmful = match fork.fences.tools().class_of(name) {
            _ if fork.fences.stops(name).is_some() => true,
            ToolClass::Irreversible => true,
            ToolClass::Write => !asked_for,
            ToolClass::Unclassified => !asked_for && (sounds_irreversible(name) || runs_anything(name)),
            ToolClass::Read => false,
        };
        if harmful && !fences.iter().any(|fence| fence == name) {
            fences.push(name.to_string());
        }
    }
    fences
}

fn replayed(store: &Store, fork: &Rerun<'_>, fences: Vec<String>) -> Result<Known, CliError> {
    let outline = &fork.opened.outline;
    let mut options = fork.options();
    options.fences = Fences::new(&fences, &[], fork.fences.tools().clone());
    let player = Arc::new(Player::new(fork.run(), options).map_err(CliError::broken)?);
    let session = Session {
        stdin: match &fork.start.stdin {
            // What the caller types is for the fork.
            StdinFrom::Caller | StdinFrom::Nothing => StdinFrom::Nothing,
            StdinFrom::Bytes(bytes) => StdinFrom::Bytes(bytes.clone()),
        },
        quiet: true,
        answerer: Some(player.clone()),
        stop: Some(player.stopped()),
        ..fork.session()
    };
    let landed = session.run()?;
    if landed.ended.told_to_end {
        let stopped = CliError::broken("stopped during the control replay; the fork was not begun");
        return Err(CliError { code: landed.ended.shell_code(), ..stopped });
    }
    let tally = player.tally();
    let missed = tally.misses.first().map(|miss| miss.reason.clone());
    let (varying, seen) = match missed {
        Some(_) => Default::default(),
        None => (tally.pins.iter().map(|pin| pin.site).collect(), tally.returned(outline)),
    };
    if fork.own_command {
        keep(store, fork.opened, &tally);
    }
    let told = Control {
        made: Made::Now,
        varying: named(outline, &varying),
        ran: tally.tools_run(outline),
        stopped: tally.fenced.as_ref().map(|fenced| format!("before {}", fenced.tool)),
        missed,
    };
    Ok(Known { told, varying, seen })
}

fn named(outline: &Outline, sites: &HashSet<CallSite>) -> std::collections::BTreeMap<String, u32> {
    by_tool(sites.iter().filter_map(|site| outline.call(*site)).map(|call| call.name.as_str()))
}

/// All calls of a run, with the names of their tools.
fn calls(outline: &Outline) -> impl Iterator<Item = (CallSite, &str)> {
    outline.lanes.iter().zip(0..).flat_map(|(lane, at)| {
        lane.turns.iter().zip(0..).flat_map(move |(turn, nth)| {
            let site = move |call| CallSite { lane: at, turn: nth, call };
            turn.calls.iter().zip(0..).map(move |(call, n)| (site(n), call.name.as_str()))
        })
    })
}

#[cfg(test)]
mod tests;
