//! `retake doctor RUN`: the agent once more, behind recorded answers, and what it asks compared with what it asked then.

use super::super::args::DoctorArgs;
use super::super::error::CliError;
use super::super::record::redactor;
use super::super::replay::{outcome_of, stopped_by};
use super::super::rerun::{Rerun, knowing};
use super::super::session::Session;
use super::super::view::Opened;
use super::super::{Context, fences, warn};
use super::{as_recorded, asked, compare_outcomes, options, outcome, tell};
use crate::record::Recorder;
use crate::replay::doctor::{Second, compare};
use crate::replay::player::{Player, PlayerOptions};
use crate::report::doctor::Examined;
use crate::report::tools_run::ToolsRun;
use crate::run::RunId;
use crate::store::Store;
use std::sync::Arc;

/// What a replay for the doctor is kept under while it is looked at.
const NAME: &str = "doctor";

pub(super) fn compared(
    context: &Context,
    store: &Store,
    opened: &Opened,
    args: &DoctorArgs,
) -> Result<i32, CliError> {
    let manifest = opened.reader.manifest();
    let config = context.config()?;
    let redactor = knowing(redactor(store, &args.command)?, opened);
    let rerun = Rerun::of(context, &config, opened, redactor, &asked(args))?;
    rerun.tell_misspelt();
    let lenient = PlayerOptions { lenient: true, ..rerun.options() };
    let player = Arc::new(Player::new(rerun.run(), lenient).map_err(CliError::broken)?);
    let writer = rerun.recording(store, NAME)?;
    let kept = Kept { store, id: writer.manifest().id.clone() };
    let recorder = Recorder::start(writer, rerun.redactor.clone(), |why| {
        warn(&format!("the replay is not written in full: {why}"))
    })?;
    let session = Session {
        tape: Some(recorder.clone()),
        json: true,
        answerer: Some(player.clone()),
        stop: Some(player.stopped()),
        ..rerun.session()
    };
    let landed = session.run();
    let tally = player.tally();
    recorder.finish(|m| m.outcome = landed.as_ref().ok().map(|landed| outcome_of(landed, &tally)))?;
    landed?;
    let replayed = Opened::by_id(store, &kept.id)?;
    // What comes after a request that got no answer follows from that.
    let stopped = stopped_by(&tally);
    let second = Second::Replay { stopped: stopped.is_some() };
    let run = rerun.run();
    let told = options(&run, &config, rerun.surroundings.clone());
    let mut comparison = compare(&run, &as_recorded(&replayed), second, &told).map_err(CliError::broken)?;
    if stopped.is_none() {
        compare_outcomes(&mut comparison, outcome(opened), outcome(&replayed));
    }
    let done = Examined {
        run: manifest.id.to_string(),
        second: None,
        comparison,
        stopped,
        go_on: fences::go_on(&rerun, &tally),
        risky: ToolsRun::new(tally.tools_run(&opened.outline), &rerun.fences).risky,
        discarded: true,
        warnings: rerun.start.warnings,
    };
    tell(context, &done)
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
