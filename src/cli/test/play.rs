//! One case: its recording is put into a store of its own, the agent runs behind it, and what it did is judged.

use super::super::error::CliError;
use super::super::import::own::stored;
use super::super::portable::{Leave, exported, write_whole};
use super::super::record::redactor;
use super::super::replay::outcome_of;
use super::super::rerun::{Asked, Rerun, knowing};
use super::super::session::{Held, Landed, Session};
use super::super::view::Opened;
use super::super::{Context, surroundings};
use super::copy::copy;
use super::guard::Guard;
use super::judge::{Called, Ran, judge};
use crate::agent::base_url::UpstreamOverride;
use crate::config::{self, Config};
use crate::record::Recorder;
use crate::replay::matcher::Unpin;
use crate::replay::plan::Plan;
use crate::replay::player::Player;
use crate::replay::policy::Policy;
use crate::store::Store;
use crate::store::bundle::{self, BundleError, ImportOptions};
use crate::suite::case::{Beside, Case, limit};
use crate::suite::outcome::{CaseOutcome, Verdict};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// So much of the end of what an agent printed is kept.
const OUTPUT: usize = 16 * 1024;

/// What all cases of a suite have in common.
pub(super) struct Bench<'a> {
    pub context: &'a Context,
    pub config: &'a Config,
    /// Where `retake.toml` is, or where retake was called.
    pub root: &'a Path,
    /// For stores and copies; removed with everything in it.
    pub scratch: &'a Path,
    /// `--fence`
    pub fences: &'a [String],
    /// `-- COMMAND`
    pub command: &'a [String],
    pub guard: Option<&'a Guard>,
    /// With `--update`.
    pub live: Option<Live>,
    /// `--check`: what waits to be reviewed is not passed.
    pub check: bool,
    /// Keep what agents print, also of cases that pass.
    pub verbose: bool,
}

/// What does not come from a recording is asked live.
pub(super) struct Live {
    /// `--upstream`
    pub upstreams: Vec<UpstreamOverride>,
    /// `--max-live`
    pub most: Option<u32>,
}

/// A case and where it is played.
struct Place<'a> {
    called: Called<'a>,
    beside: &'a Beside,
    store: &'a Store,
    /// A directory of its own.
    own: &'a Path,
}

/// A case, as its two files have it.
struct Read {
    beside: Beside,
    run: bundle::ImportedRun,
}

impl Bench<'_> {
    /// Plays a case; whatever is wrong is its outcome. The flag: somebody asked retake to end.
    pub(super) fn play(&self, case: &Case) -> (CaseOutcome, bool) {
        let began = Instant::now();
        let file = self.shown(&case.file);
        let (mut outcome, ended) = self.played(case, &file).unwrap_or_else(|error| {
            let hints = error.one_line_hints();
            let mut broken = CaseOutcome::broken(&case.name, &file, error.message);
            (broken.excerpt, broken.hints) = (error.excerpt, hints);
            (broken, false)
        });
        if self.check && outcome.verdict == Verdict::Passed && case.pending().is_file() {
            outcome.verdict = Verdict::Regression;
            outcome.why = format!("what it does now waits to be reviewed: {}", self.shown(&case.pending()));
            outcome.hints = vec!["retake review".to_string()];
        }
        outcome.took_us = began.elapsed().as_micros() as u64;
        (outcome, ended)
    }

    /// A path as one would type it here.
    fn shown(&self, path: &Path) -> String {
        path.strip_prefix(self.root).unwrap_or(path).display().to_string()
    }

    fn read(&self, case: &Case) -> Result<Read, CliError> {
        let name = self.shown(&case.file);
        let unreadable = |e: std::io::Error| CliError::broken(format!("{name}: {e}"));
        let file = std::fs::File::open(&case.file).map_err(unreadable)?;
        let run = bundle::import(&mut BufReader::new(file), ImportOptions::default()).map_err(|e| {
            let error = CliError::broken(format!("{name}: {e}"));
            match e {
                BundleError::Edited { .. } => error.hint(format!(
                    "if it was edited on purpose: retake import --allow-edited {name}, then retake test add RUN"
                )),
                _ => error,
            }
        })?;
        let beside = said_of(case, &self.shown(&case.beside()))?;
        Ok(Read { beside, run })
    }

    fn played(&self, case: &Case, file: &str) -> Result<(CaseOutcome, bool), CliError> {
        let Read { beside, run } = self.read(case)?;
        let own = tempfile::tempdir_in(self.scratch)?;
        let store = Store::find_or_create(Some(&own.path().join("store")), own.path())?;
        let (manifest, _) = stored(&store, &run, "case")?;
        let opened = Opened::by_id(&store, &manifest.id)?.priced(self.config.prices.clone());
        if opened.outline.lanes.is_empty() {
            let why = "it holds no model call: an empty recording proves nothing";
            return Ok((CaseOutcome::broken(&case.name, file, why), false));
        }
        let place = Place { called: Called { case, file }, beside: &beside, store: &store, own: own.path() };
        let (outcome, ended, _) = self.attempt(&place, &opened, None)?;
        let (Some(live), false, Verdict::Regression) = (&self.live, ended, outcome.verdict) else {
            return Ok((outcome, ended));
        };
        if outcome.drift.is_none() && outcome.miss.is_empty() {
            // It does what it did: asking a model would change nothing about the check that fails.
            return Ok((outcome, ended));
        }
        let (mut outcome, ended, now) = self.attempt(&place, &opened, Some(live))?;
        if outcome.verdict == Verdict::Passed && !ended {
            let pending = case.pending();
            let text = exported(&store, &now, Leave { alone: true, allow_secrets: false })?;
            write_whole(&pending, &text)?;
            outcome.pending = self.shown(&pending);
        } else if !ended {
            let what = "nothing was written to be reviewed: mend the agent, or what the case says of it";
            outcome.hints.insert(0, what.to_string());
        }
        Ok((outcome, ended))
    }

    /// Runs the agent of a case: behind the recording alone or, where it asks for something else, live from there on.
    fn attempt(
        &self,
        place: &Place<'_>,
        opened: &Opened,
        live: Option<&Live>,
    ) -> Result<(CaseOutcome, bool, Opened), CliError> {
        let beside = place.beside;
        let common = &self.config.suite;
        let command = self.command_of(place, opened)?;
        let asked = Asked {
            verb: "test",
            fences: self.fences,
            unfence: &[],
            unpin: &[],
            added: &[],
            command: &command,
            yes: true,
        };
        let redactor = knowing(redactor(place.store, &command)?, opened);
        let mut rerun = Rerun::of(self.context, self.config, opened, redactor, &asked)?;
        let directory = self.directory(beside, place.own)?;
        rerun.surroundings = surroundings::of(opened.reader.manifest(), &directory);
        rerun.start.directory = Some(directory.clone());
        rerun.start.restore = true;
        rerun.directory = directory;
        // A case is the recording of this agent, whatever its command is called today.
        rerun.own_command = true;
        let mut options = rerun.options();
        options.policy = self.config.allow.clone().unwrap_or_default();
        if let Some(live) = live {
            let steps = opened.outline.steps.len() as u32;
            let plan =
                Plan::new(&rerun.run(), &[], Some(steps)).map_err(|problem| CliError::broken(problem.why))?;
            options.plan = Some(plan);
            options.policy = Policy::default();
            // A new recording must not have old answers to new results.
            options.pinning.unpin = Unpin::Everything;
            options.max_live = live.most;
        }
        let player = Arc::new(Player::new(rerun.run(), options).map_err(CliError::broken)?);
        let writer = rerun.recording(place.store, "now")?;
        let now = writer.manifest().id.clone();
        let recorder = Recorder::start(writer, rerun.redactor.clone(), |_| {})?;
        let tell = |group, is_there| {
            if let Some(guard) = self.guard {
                guard.tell(group, is_there);
            }
        };
        let mark = place.own.display().to_string();
        let within = beside.timeout.and_then(limit).unwrap_or(common.timeout);
        let held = Held { within, watch: &tell, mark: &mark };
        let session = Session {
            tape: Some(recorder.clone()),
            answerer: Some(player.clone()),
            stop: Some(player.stopped()),
            quiet: true,
            may_dial: live.is_some(),
            overrides: live.map(|live| live.upstreams.as_slice()).unwrap_or_default(),
            held: Some(held),
            ..rerun.session()
        };
        let landed = session.run();
        let tally = player.tally();
        let kept = recorder.finish(|m| {
            m.outcome = landed.as_ref().ok().map(|landed| outcome_of(landed, &tally));
            m.stale = tally.stale_at.clone();
        })?;
        let landed = landed?;
        // Judged by what could be written, an agent would seem to have asked for less.
        if let Some(why) = kept.incomplete {
            return Err(CliError::broken(format!("what the agent did could not be written: {why}")));
        }
        let replayed = Opened::by_id(place.store, &now)?.priced(self.config.prices.clone());
        let ran = Ran {
            rerun: &rerun,
            player: &player,
            landed: &landed,
            now: &replayed,
            live: live.is_some(),
            held,
        };
        let mut outcome = judge(&place.called, &ran, self.config, beside, self.root);
        if self.verbose || outcome.verdict != Verdict::Passed {
            outcome.output = tail(&landed, &rerun);
        }
        let ended = landed.ended.told_to_end;
        drop(rerun);
        Ok((outcome, ended, replayed))
    }

    /// The agent's command: the one that is given, else the case's own, that of all, the recorded one.
    fn command_of(&self, place: &Place<'_>, opened: &Opened) -> Result<Vec<String>, CliError> {
        let command = match (self.command, &place.beside.command, &self.config.suite.command) {
            ([], Some(own), _) => own.clone(),
            ([], None, Some(common)) => common.clone(),
            ([], None, None) => opened.reader.manifest().command.clone(),
            (given, ..) => given.to_vec(),
        };
        if command.is_empty() {
            let beside = self.shown(&place.called.case.beside());
            return Err(CliError::broken(format!(
                "{} does not say which command it recorded",
                place.called.file
            ))
            .hint(format!("say it in {beside}: command = [\"python\", \"agent.py\"]")));
        }
        Ok(command)
    }

    /// Where the agent of a case runs.
    fn directory(&self, beside: &Beside, own: &Path) -> Result<PathBuf, CliError> {
        let directory = match &beside.directory {
            Some(below) => self.root.join(below),
            None => self.root.to_path_buf(),
        };
        if !directory.is_dir() {
            return Err(CliError::broken(format!("there is no directory {}", directory.display())));
        }
        if !beside.copy.unwrap_or(self.config.suite.copy) {
            return Ok(directory);
        }
        // Its last part keeps its name: programs print it.
        let name = directory.file_name().map_or_else(|| "agent".into(), PathBuf::from);
        // Each attempt has one of its own: what the one before it changed is not there.
        let to = tempfile::tempdir_in(own)?.keep().join(name);
        copy(&directory, &to)
            .map_err(|e| CliError::broken(format!("cannot copy the agent's directory: {e}")))?;
        Ok(to)
    }
}

/// What the author of a case says of it; `shown`: how its file is called here.
pub(super) fn said_of(case: &Case, shown: &str) -> Result<Beside, CliError> {
    let beside = match std::fs::read_to_string(case.beside()) {
        Ok(text) => config::beside(&text, Path::new(shown))?,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Beside::default(),
        Err(e) => return Err(CliError::broken(format!("{shown}: {e}"))),
    };
    if let Some(wrong) = beside.timeout.filter(|seconds| limit(*seconds).is_none()) {
        let what = format!("{shown}: {wrong} is no time limit: seconds, more than 0");
        return Err(CliError::broken(what));
    }
    Ok(beside)
}

/// The end of what an agent printed, without secrets.
fn tail(landed: &Landed, rerun: &Rerun<'_>) -> String {
    let printed = landed.ended.stdout.as_deref().unwrap_or_default();
    let from = printed.len().saturating_sub(OUTPUT);
    let text = String::from_utf8_lossy(printed.get(from..).unwrap_or_default());
    rerun.redactor.text(&text).0
}
