//! How the agent of a recording is started again.

use super::error::CliError;
use super::session::own_environment;
use crate::agent::git;
use crate::agent::providers::is_base_url_variable;
use crate::agent::stdin::StdinFrom;
use crate::report::heading;
use crate::run::Manifest;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// How the agent is started again.
pub(super) struct Start {
    pub command: Vec<String>,
    /// None: where retake was started.
    pub directory: Option<PathBuf>,
    pub stdin: StdinFrom,
    /// Give it the recorded variables.
    pub restore: bool,
    pub warnings: Vec<String>,
}

impl Start {
    /// The recorded command in its directory with its input, or another command as it is.
    pub(super) fn of(
        manifest: &Manifest,
        other: &[String],
        verb: &str,
        yes: bool,
    ) -> Result<Start, CliError> {
        let id = &manifest.id;
        let mut warnings = Vec::new();
        if !other.is_empty() {
            let stdin = recorded_stdin(manifest).unwrap_or_default();
            return Ok(Start { command: other.to_vec(), directory: None, stdin, restore: false, warnings });
        }
        if manifest.command.is_empty() {
            return Err(CliError::broken(format!("{id} does not say which command it recorded"))
                .hint(format!("give it: retake {verb} {id} -- COMMAND")));
        }
        let recorded = PathBuf::from(&manifest.directory);
        let here = std::env::current_dir()?;
        // What a file says of directories is that of another machine.
        let strange = manifest.imported && !(recorded.is_dir() && recorded.starts_with(&here));
        let directory = if strange { here } else { recorded };
        if manifest.imported && !yes {
            let command = heading::command(&manifest.command);
            return Err(CliError::broken(format!(
                "{id} was imported: its command comes from a file. Nothing was run. It is: {command}   in {}",
                directory.display()
            ))
            .hint(format!("--yes runs it as it is; your own: retake {verb} {id} -- COMMAND")));
        }
        if manifest.command_redacted {
            return Err(CliError::broken(format!(
                "{id} cannot be started as recorded: its command held a secret, which was not kept"
            ))
            .hint(format!("give the command: retake {verb} {id} -- COMMAND")));
        }
        if strange {
            warnings.push(format!(
                "it ran here, in {}: {id} was recorded in {}, which is not below here",
                directory.display(),
                manifest.directory
            ));
        }
        if !directory.is_dir() {
            return Err(CliError::broken(format!(
                "{id} was recorded in {}, which is not there",
                directory.display()
            ))
            .hint(format!("give the command from where it should run: retake {verb} {id} -- COMMAND")));
        }
        warnings.extend(moved_on(manifest, &directory));
        warnings.extend(other_environment(manifest));
        let stdin = recorded_stdin(manifest).unwrap_or(StdinFrom::Nothing);
        Ok(Start {
            command: manifest.command.clone(),
            directory: Some(directory),
            stdin,
            restore: true,
            warnings,
        })
    }
}

pub(super) fn recorded_stdin(manifest: &Manifest) -> Option<StdinFrom> {
    manifest
        .stdin
        .as_ref()
        .filter(|text| !text.is_empty())
        .map(|text| StdinFrom::Bytes(Bytes::from(text.clone())))
}

/// Variables of the recording that are otherwise today: the recorded values are used.
fn other_environment(manifest: &Manifest) -> Option<String> {
    let today: BTreeMap<String, String> = own_environment().into_iter().collect();
    let differs = |(name, then): &(&String, &String)| {
        today.get(*name).is_some_and(|now| now != *then) && !is_base_url_variable(name)
    };
    let names: Vec<&str> =
        manifest.environment.iter().filter(differs).map(|(name, _)| name.as_str()).take(6).collect();
    (!names.is_empty()).then(|| {
        format!(
            "{} as recorded, not as set here; give the command after -- to use today's environment",
            names.join(", ")
        )
    })
}

/// How the code differs from the recorded one, as far as git knows.
fn moved_on(manifest: &Manifest, directory: &Path) -> Option<String> {
    let then = manifest.git.as_ref()?;
    let now = git::state(directory)?;
    let short = |commit: &str| commit.chars().take(8).collect::<String>();
    if now.commit != then.commit {
        return Some(format!(
            "the code is at commit {}, it was recorded at {}",
            short(&now.commit),
            short(&then.commit)
        ));
    }
    match (then.dirty, now.dirty) {
        (false, true) => Some("the code has uncommitted changes that it had not when it was recorded".into()),
        (true, _) => Some("the code had uncommitted changes when it was recorded; it may differ now".into()),
        _ => None,
    }
}
