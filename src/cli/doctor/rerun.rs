//! `retake doctor RUN`: the agent once more, behind recorded answers, and what it asks compared with what it asked then.

use super::super::args::DoctorArgs;
use super::super::error::CliError;
use super::super::record::{manifest_of, redactor};
use super::super::replay::{Again, knowing, outcome_of, stopped_by};
use super::super::session::Session;
use super::super::view::Opened;
use super::super::{Context, fences, surroundings, warn};
use super::{as_recorded, compare_outcomes, options, outcome, tell};
use crate::config::Config;
use crate::holes::Surroundings;
use crate::record::Recorder;
use crate::redact::Redactor;
use crate::replay::doctor::{Second, compare};
use crate::replay::fences::Fences;
use crate::replay::player::{Player, PlayerOptions};
use crate::replay::policy::Policy;
use crate::replay::serve::Timing;
use crate::replay::tools::Pinning;
use crate::report::doctor::Examined;
use crate::report::tools_run::ToolsRun;
use crate::run::{Parent, RunId};
use crate::store::Store;
use std::sync::Arc;

/// What a replay for the doctor is kept under while it is looked at.
const NAME: &str = "doctor";

pub(super) fn rerun(
    context: &Context,
    store: &Store,
    opened: &Opened,
    args: &DoctorArgs,
) -> Result<i32, CliError> {
    let manifest = opened.reader.manifest();
    let config = context.config()?;
    let other = !args.command.is_empty() && args.command != manifest.command;
    fences::check(opened, "--fence", &args.fences, &[], other)?;
    fences::check(opened, "--unfence", &args.unfence, &[], other)?;
    let fences = fences::of(&config, &args.fences, &args.unfence)?;
    let again = Again::of(manifest, &args.command, "doctor", args.yes)?;
    let redactor = Arc::new(knowing(redactor(store, &args.command)?, opened));
    let run = as_recorded(opened);
    let directory = again.directory.clone().unwrap_or(context.directory()?);
    let surroundings = surroundings::of(manifest, &directory);
    let lenient = lenient(&fences, &config, surroundings.clone(), redactor.clone());
    let player = Arc::new(Player::new(run.clone(), lenient).map_err(CliError::broken)?);
    let mut writer = store.create_run(NAME, |id| {
        let mut own = manifest_of(id, &redactor, &again.command, &directory);
        own.upstreams = manifest.upstreams.clone();
        own.imported = manifest.imported;
        own.own_stand_ins.extend(manifest.own_stand_ins.iter().cloned());
        own.parent = Some(Parent {
            run: manifest.id.clone(),
            uuid: manifest.uuid.clone(),
            at_step: opened.outline.steps.len() as u32,
            edits: Vec::new(),
            replay: true,
        });
        own
    })?;
    writer.share_with(&opened.reader)?;
    let kept = Kept { store, id: writer.manifest().id.clone() };
    let recorder =
        Recorder::start(writer, redactor, |why| warn(&format!("the replay is not written in full: {why}")))?;
    let session = Session {
        command: again.command,
        directory: again.directory,
        stdin: again.stdin,
        overrides: &[],
        recorded: Some(&manifest.environment),
        restore: again.restore,
        own_recording: !manifest.imported,
        dummy_keys: true,
        run: None,
        port: 0,
        tape: Some(recorder.clone()),
        answerer: Some(player.clone()),
        may_dial: false,
        stop: Some(player.stopped()),
        json: true,
        quiet: false,
    };
    let landed = session.run();
    let tally = player.tally();
    recorder.finish(|m| m.outcome = landed.as_ref().ok().map(|landed| outcome_of(landed, &tally)))?;
    landed?;
    let replayed = Opened::by_id(store, &kept.id)?;
    let stopped = tally.fenced.is_some().then(|| stopped_by(&tally)).flatten();
    let second = Second::Replay { stopped: stopped.is_some() };
    let told = options(&run, &config, surroundings);
    let mut comparison = compare(&run, &as_recorded(&replayed), second, &told).map_err(CliError::broken)?;
    if stopped.is_none() {
        compare_outcomes(&mut comparison, outcome(opened), outcome(&replayed));
    }
    let done = Examined {
        run: manifest.id.to_string(),
        second: None,
        comparison,
        stopped,
        risky: ToolsRun::new(tally.tools_run(&opened.outline), &fences).risky,
        discarded: true,
        warnings: again.warnings,
    };
    tell(context, &done)
}

fn lenient(
    fences: &Fences,
    config: &Config,
    surroundings: Surroundings,
    redactor: Arc<Redactor>,
) -> PlayerOptions {
    PlayerOptions {
        timing: Timing::Fast,
        fences: fences.clone(),
        policy: Policy::default(),
        rules: config.rules.clone(),
        to_step: None,
        max_live: None,
        plan: None,
        upstream: None,
        surroundings: Some(surroundings),
        redactor,
        pinning: Pinning { classes: config.tools.clone(), ..Pinning::default() },
        lenient: true,
    }
}

/// A run that is removed again, whatever happens.
struct Kept<'a> {
    store: &'a Store,
    id: RunId,
}

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.store.remove_run(&self.id) {
            warn(&format!("{} was made to be looked at and could not be removed: {error}", self.id));
        }
    }
}
