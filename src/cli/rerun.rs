//! A recorded run that is to be run again: what a replay, the doctor, a fork and its control replay have in common.

use super::error::CliError;
use super::record::manifest_of;
use super::session::Session;
use super::start::Start;
use super::view::Opened;
use super::{Context, control, fences, surroundings, warn};
use crate::config::Config;
use crate::holes::{Rules, Surroundings};
use crate::redact::Redactor;
use crate::replay::fences::Fences;
use crate::replay::matcher::Unpin;
use crate::replay::player::PlayerOptions;
use crate::replay::policy::Policy;
use crate::replay::recording::RecordedRun;
use crate::replay::serve::Timing;
use crate::replay::tools::Pinning;
use crate::report::heading;
use crate::run::lack::sound_for;
use crate::run::{Lack, Manifest, Parent, RunId, Use};
use crate::store::{RunWriter, Store};
use std::path::PathBuf;
use std::sync::Arc;

/// What a person said of it on the command line.
pub(super) struct Asked<'a> {
    /// The verb, for hints.
    pub verb: &'static str,
    /// `--fence`
    pub fences: &'a [String],
    /// `--unfence`
    pub unfence: &'a [String],
    /// `--unpin`
    pub unpin: &'a [String],
    /// Tools that an edit adds.
    pub added: &'a [String],
    /// Another command than the recorded one, or none.
    pub command: &'a [String],
    /// `--yes`
    pub yes: bool,
}

/// A recorded run and how it is to be run again.
pub(super) struct Rerun<'a> {
    pub opened: &'a Opened,
    /// The verb.
    pub verb: &'static str,
    /// What is wrong with names in `retake.toml`, a line each: to be said before the agent starts.
    pub misspelt: Vec<String>,
    /// The command that was given, as one types it; empty when it is the recorded one.
    pub typed: String,
    pub start: Start,
    /// Where the agent runs.
    pub directory: PathBuf,
    /// The command is the recorded one.
    pub own_command: bool,
    pub fences: Fences,
    pub unpin: Unpin,
    pub rules: Rules,
    pub surroundings: Surroundings,
    pub redactor: Arc<Redactor>,
}

impl<'a> Rerun<'a> {
    /// Nothing has run yet: what is wrong with what was asked for is said here.
    pub(super) fn of(
        context: &Context,
        config: &Config,
        opened: &'a Opened,
        redactor: Redactor,
        asked: &Asked<'_>,
    ) -> Result<Rerun<'a>, CliError> {
        let manifest = opened.reader.manifest();
        let wanted = if asked.verb == "fork" { Use::Fork } else { Use::Replay };
        refuse_unsound(manifest, wanted)?;
        let other = !asked.command.is_empty() && asked.command != manifest.command;
        let may_differ = other && asked.verb == "fork";
        fences::check(opened, "--fence", asked.fences, asked.added, may_differ)?;
        fences::check(opened, "--unfence", asked.unfence, asked.added, may_differ)?;
        let fences = fences::of(config, asked.fences, asked.unfence, Some(opened))?;
        let unpin = control::unpin(opened, asked.unpin, other)?;
        let start = Start::of(manifest, asked.command, asked.verb, asked.yes)?;
        let directory = start.directory.clone().unwrap_or(context.directory()?);
        let typed = redactor.command(asked.command).0;
        Ok(Rerun {
            opened,
            verb: asked.verb,
            misspelt: fences::misspelt(config, opened, asked.added),
            typed: if asked.command.is_empty() { String::new() } else { heading::command(&typed) },
            own_command: !other,
            fences,
            unpin,
            rules: config.rules.clone(),
            surroundings: surroundings::of(manifest, &directory),
            redactor: Arc::new(redactor),
            start,
            directory,
        })
    }

    /// Says what is wrong with `retake.toml`: nothing has run yet.
    pub(super) fn tell_misspelt(&self) {
        self.misspelt.iter().for_each(|line| warn(line));
    }

    /// As the matcher reads it.
    pub(super) fn run(&self) -> RecordedRun {
        self.opened.recorded().clone()
    }

    /// A replay as fast as it goes, to the end, in which every match passes and every result may be pinned.
    pub(super) fn options(&self) -> PlayerOptions {
        PlayerOptions {
            timing: Timing::Fast,
            fences: self.fences.clone(),
            policy: Policy::default(),
            same_agent: self.own_command,
            rules: self.rules.clone(),
            to_step: None,
            max_live: None,
            plan: None,
            upstream: None,
            surroundings: Some(self.surroundings.clone()),
            redactor: self.redactor.clone(),
            pinning: Pinning { classes: self.fences.tools().clone(), ..Pinning::default() },
            serve_commands: false,
            lenient: false,
        }
    }

    /// The agent on a free port, never live and not recorded. Who answers it is to be said.
    pub(super) fn session(&self) -> Session<'_> {
        let manifest = self.opened.reader.manifest();
        Session {
            command: self.start.command.clone(),
            directory: self.start.directory.clone(),
            stdin: self.start.stdin.clone(),
            overrides: &[],
            recorded: Some(&manifest.environment),
            restore: self.start.restore,
            own_recording: !manifest.imported,
            dummy_keys: true,
            run: None,
            port: 0,
            intercepted: manifest.intercepted.clone(),
            shell: manifest.shell,
            tape: None,
            answerer: None,
            may_dial: false,
            stop: None,
            json: false,
            quiet: false,
            held: None,
        }
    }

    /// A run of this name that a replay is recorded into.
    pub(super) fn recording(&self, store: &Store, name: &str) -> Result<RunWriter, CliError> {
        let mut writer = store.create_run(name, |id| self.manifest(id))?;
        writer.share_with(&self.opened.reader)?;
        Ok(writer)
    }

    fn manifest(&self, id: RunId) -> Manifest {
        let recorded = self.opened.reader.manifest();
        let mut own = manifest_of(id, &self.redactor, &self.start.command, &self.directory);
        own.upstreams = recorded.upstreams.clone();
        own.environment = recorded.environment.clone();
        own.imported = recorded.imported;
        own.intercepted = recorded.intercepted.clone();
        own.shell = recorded.shell;
        own.own_stand_ins.extend(recorded.own_stand_ins.iter().cloned());
        own.parent = Some(Parent {
            run: recorded.id.clone(),
            uuid: recorded.uuid.clone(),
            at_step: self.opened.outline.steps.len() as u32,
            edits: Vec::new(),
            replay: true,
        });
        own
    }
}

/// A run from a file of another tool may lack what this needs.
fn refuse_unsound(manifest: &Manifest, wanted: Use) -> Result<(), CliError> {
    let spoils = |lack: &&Lack| lack.spoils.contains(&wanted);
    let missing: Vec<&str> = manifest.lacks.iter().filter(spoils).map(|lack| lack.what.as_str()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let (id, wanted) = (&manifest.id, wanted.name());
    Err(CliError::broken(format!(
        "{id} is not sound for a {wanted}: the file that it was imported from does not have {}. Nothing was run.",
        missing.join("; ")
    ))
    .hint(format!("what it is sound for: {}", sound_for(&manifest.lacks).into_iter().map(Use::name).collect::<Vec<_>>().join(", "))))
}

/// A redactor that knows the stand-ins of a recording.
pub(super) fn knowing(redactor: Redactor, opened: &Opened) -> Redactor {
    let reader = &opened.reader;
    redactor.learn_stand_ins(&reader.manifest().own_stand_ins);
    redactor.learn_stand_ins(&opened.outline.stand_ins);
    redactor
}
