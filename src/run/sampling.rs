//! Tail sampling: which runs stay, or are told of, now that it is known how they ended. Whole runs: no part of one is
//! ever taken away.
//!
//! Errors, forks and slow runs always stay, and so does what a run that stays was forked from. Of the rest a share
//! does. Whether a run is in it goes by its uuid alone: the same run is always in or always out, and one that is in
//! a share is in every larger one.

use super::outline::{Outline, StepKind};
use super::stop::was_not_asked;
use super::{Manifest, RunId, RunState};
use crate::exchange::canon::hash128;
use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

/// What stays of many runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sampling {
    /// So many of the runs about which nothing is special.
    pub share: Share,
    /// Runs that took longer; none: how long a run took does not matter.
    pub slow: Option<Slow>,
}

/// A share of runs, in millionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u32);

/// Which runs are slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slow {
    /// Those that took longer than so many microseconds.
    Than(u64),
    /// Those that took longer than so many thousandths of the runs that there are.
    Most(u16),
}

/// Why a run stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// It failed: how, in words.
    Error(String),
    /// It was forked from this run.
    Fork(RunId),
    /// It is a replay of this run that was kept.
    Replay(RunId),
    /// It took so many microseconds.
    Slow(u64),
    /// This run stays and was forked from it.
    Needed(RunId),
    /// It is one of the share.
    Share(Share),
}

/// Parts that a whole is divided into.
const MILLION: u32 = 1_000_000;

impl Share {
    /// True for a run that is in it, by its uuid.
    pub fn takes(self, uuid: &str) -> bool {
        let [a, b, c, d, e, f, g, h, ..] = hash128(uuid.as_bytes());
        let place = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
        (u128::from(place) * u128::from(MILLION)) >> 64 < u128::from(self.0)
    }
}

impl FromStr for Share {
    type Err = String;

    /// Reads `10%`.
    fn from_str(text: &str) -> Result<Share, String> {
        let bad = || format!("{text:?} is no share of runs: from 0% to 100%, for instance 10% or 0.5%");
        let percent = text.trim().strip_suffix('%').ok_or_else(bad)?.trim();
        let percent: f64 = percent.parse().map_err(|_| bad())?;
        if !(0.0..=100.0).contains(&percent) {
            return Err(bad());
        }
        Ok(Share((percent * f64::from(MILLION / 100)).round() as u32))
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", f64::from(self.0) / f64::from(MILLION / 100))
    }
}

impl FromStr for Slow {
    type Err = String;

    /// Reads `30s` or `p95`.
    fn from_str(text: &str) -> Result<Slow, String> {
        let bad = || format!("{text:?} is no time and no percentile: for instance 30s, 5m or p95");
        let text = text.trim();
        if let Some(percent) = text.strip_prefix('p').and_then(|percent| percent.parse::<f64>().ok()) {
            let fits = percent > 0.0 && percent < 100.0;
            return fits.then(|| Slow::Most((percent * 10.0).round() as u16)).ok_or_else(bad);
        }
        let time: jiff::SignedDuration = text.parse().map_err(|_| bad())?;
        let us = u64::try_from(time.as_micros()).map_err(|_| bad())?;
        Ok(Slow::Than(us))
    }
}

impl Sampling {
    /// A run is slow when it took longer than this, in microseconds; none: no run is. `runs`: those that there are.
    pub fn slow_from<'m>(&self, runs: impl Iterator<Item = &'m Manifest>) -> Option<u64> {
        match self.slow? {
            Slow::Than(us) => Some(us),
            Slow::Most(thousandths) => {
                let mut times: Vec<u64> = runs.filter_map(took_us).collect();
                times.sort_unstable();
                let rank = (times.len() * usize::from(thousandths)).div_ceil(1000);
                times.get(rank.checked_sub(1)?).copied()
            }
        }
    }

    /// Why a run stays; none: it goes. `failed`: see [`failure`]; `slow_from`: see [`Sampling::slow_from`].
    pub fn why(&self, run: &Manifest, failed: Option<String>, slow_from: Option<u64>) -> Option<Why> {
        if let Some(how) = failed {
            return Some(Why::Error(how));
        }
        if let Some(parent) = &run.parent {
            let of = parent.run.clone();
            return Some(if parent.replay { Why::Replay(of) } else { Why::Fork(of) });
        }
        let slow = took_us(run).filter(|took| slow_from.is_some_and(|from| *took > from));
        slow.map(Why::Slow).or_else(|| self.share.takes(&run.uuid).then_some(Why::Share(self.share)))
    }
}

impl Why {
    /// In one word, for programs: `error`, `fork`, `replay`, `slow`, `needed`, `share`.
    pub fn rule(&self) -> &'static str {
        match self {
            Why::Error(_) => "error",
            Why::Fork(_) => "fork",
            Why::Replay(_) => "replay",
            Why::Slow(_) => "slow",
            Why::Needed(_) => "needed",
            Why::Share(_) => "share",
        }
    }
}

/// How long a run took, in microseconds; none when that is not known: it has not ended, or was imported from a file
/// that does not say.
pub fn took_us(run: &Manifest) -> Option<u64> {
    run.outcome.as_ref()?.ended_us.checked_sub(run.started_us).filter(|us| *us > 0)
}

/// How a run failed, in words; none when it did not: it never came to its end, its agent said so by its exit code, or
/// a step of it failed. `outline`: none when it cannot be read.
pub fn failure(state: RunState, run: &Manifest, outline: Option<&Outline>) -> Option<String> {
    match state {
        RunState::Interrupted => return Some("interrupted".into()),
        RunState::Incomplete => return Some("incomplete".into()),
        RunState::Recording | RunState::Complete => {}
    }
    // An agent that retake stopped on purpose did not choose how it ended.
    if let Some(outcome) = run.outcome.as_ref().filter(|outcome| outcome.stopped.is_none()) {
        match (outcome.exit_code, outcome.signal) {
            (_, Some(signal)) => return Some(format!("signal {signal}")),
            (Some(code), None) if code != 0 => return Some(format!("exit {code}")),
            _ => {}
        }
    }
    let Some(outline) = outline else { return Some("its steps cannot be read".into()) };
    let failed = |kind: &StepKind| match *kind {
        StepKind::Model { lane, turn } => {
            let error = outline.turn(lane, turn)?.error.as_deref()?;
            (!was_not_asked(error)).then(|| "a model call failed".to_string())
        }
        StepKind::Tool { site } => {
            let call = outline.call(site)?;
            call.result.as_ref()?.is_error.then(|| format!("{} failed", call.name))
        }
    };
    let mut steps = (1u32..).zip(&outline.steps);
    steps.find_map(|(number, step)| Some(format!("step {number}: {}", failed(&step.kind)?)))
}

/// Lets stay what the runs that stay were forked from, over all generations; of several copies of one run, one. Gives
/// back which runs that are, each with the one that was forked from it.
pub fn needed(runs: &[&Manifest], stays: &mut [bool]) -> Vec<(usize, usize)> {
    let mut copies: HashMap<&str, Vec<usize>> = HashMap::new();
    for (at, run) in runs.iter().enumerate() {
        copies.entry(run.uuid.as_str()).or_default().push(at);
    }
    let mut found = Vec::new();
    let mut left: Vec<usize> =
        stays.iter().enumerate().filter(|(_, stays)| **stays).map(|(at, _)| at).collect();
    while let Some(by) = left.pop() {
        let Some(parent) = runs.get(by).and_then(|run| run.parent.as_ref()) else { continue };
        let Some(copies) = copies.get(parent.uuid.as_str()) else { continue };
        if copies.iter().any(|copy| stays.get(*copy) == Some(&true)) {
            continue;
        }
        let named = |copy: &&usize| runs.get(**copy).is_some_and(|run| run.id == parent.run);
        let Some(&copy) = copies.iter().find(named).or_else(|| copies.first()) else { continue };
        if let Some(stays) = stays.get_mut(copy) {
            *stays = true;
            found.push((copy, by));
            left.push(copy);
        }
    }
    found
}

#[cfg(test)]
mod tests;
