//! `retake test add`

use super::super::args::AddArgs;
use super::super::error::{CliError, exit};
use super::super::portable::{self, Leave};
use super::super::replay::refuse_empty;
use super::super::view::Opened;
use super::super::{Context, print};
use super::find::Suite;
use super::judge::{ALONE, checked};
use crate::config::{self, Config};
use crate::report::heading;
use crate::run::Use;
use crate::run::lack::sound_for;
use crate::suite::case::{Beside, ENDING};
use crate::suite::checks::{Check, Outcome};
use std::path::Path;

pub(super) fn add(context: &Context, args: &AddArgs) -> Result<i32, CliError> {
    let suite = Suite::of(context)?;
    let (config, here) = (&suite.config, context.directory()?);
    let store = context.store()?;
    let opened = Opened::open(&store, &args.run)?;
    refuse_empty(&opened)?;
    let manifest = opened.reader.manifest();
    if let Some(why) = &manifest.incomplete {
        return Err(CliError::broken(format!("{} is incomplete and makes no test: {why}", manifest.id))
            .hint("record it again"));
    }
    if !sound_for(&manifest.lacks).contains(&Use::Replay) {
        return Err(CliError::broken(format!(
            "{} is not sound for a replay, and makes no test",
            manifest.id
        ))
        .hint(format!("retake show {} says what its file lacks", manifest.id)));
    }
    let name = args.name.as_deref().unwrap_or(manifest.id.name());
    let is_name = !name.is_empty() && name.split('/').all(|part| !part.is_empty() && !part.starts_with('.'));
    if !is_name {
        return Err(CliError::usage(format!("{name:?} is no name of a case: refund, billing/refund")));
    }
    let file = suite.directory().join(format!("{name}.{ENDING}"));
    let beside = file.with_extension("toml");
    let said = beside_of(args, manifest.directory.as_ref(), &suite.root, config)?;
    if let Some(directory) = file.parent() {
        std::fs::create_dir_all(directory)
            .map_err(|e| CliError::broken(format!("cannot make {}: {e}", directory.display())))?;
    }
    if said.is_some() {
        portable::refuse_to_replace(&beside, args.force)?;
    }
    portable::refuse_to_replace(&file, args.force)?;
    let text = portable::exported(&store, &opened, Leave { alone: true, allow_secrets: args.allow_secrets })?;
    portable::write_whole(&file, &text)?;
    if let Some(text) = &said {
        portable::write_whole(&beside, text.as_bytes())?;
    }
    let shown = |path: &Path| path.strip_prefix(&here).unwrap_or(path).display().to_string();
    let own = said.as_deref().and_then(|text| toml::from_str::<Beside>(text).ok()).unwrap_or_default();
    let checks: Vec<Check> = config.checks.iter().cloned().chain(own.check.iter().cloned()).collect();
    let command = own.command.as_ref().or(config.suite.command.as_ref()).unwrap_or(&manifest.command);
    let command = match command.as_slice() {
        [] => format!("the agent (say which in {}: command = [\"python\", \"agent.py\"])", shown(&beside)),
        words => heading::command(words),
    };
    // Commands are for the suite to run.
    let (commands, others): (Vec<Check>, Vec<Check>) =
        checks.into_iter().partition(|check| check.command().is_some());
    let judged = checked(&opened.view(), others, &suite.root, ALONE).into_iter();
    let judged: Vec<(String, Outcome)> = judged
        .map(|judgement| (judgement.name, judgement.outcome))
        .chain(commands.into_iter().map(|check| (check.name, Outcome::Passed)))
        .collect();
    if context.json {
        context.print_json(&serde_json::json!({ "case": name, "file": shown(&file), "run": manifest.id }))?;
        return Ok(exit::OK);
    }
    print(&crate::report::suite::added(
        &crate::report::suite::Added {
            name,
            file: &shown(&file),
            beside: said.as_ref().map(|_| shown(&beside)),
            run: &opened.view(),
            command: &command,
            checks: judged,
        },
        context.style,
    ))?;
    Ok(exit::OK)
}

/// What is to stand beside the case; none when there is nothing to say.
fn beside_of(
    args: &AddArgs,
    recorded: &Path,
    root: &Path,
    config: &Config,
) -> Result<Option<String>, CliError> {
    let mut text = String::new();
    // Where it ran, seen from here: another machine has this directory elsewhere.
    let below = recorded.strip_prefix(root).ok().filter(|below| *below != Path::new(""));
    if let Some(below) = below.filter(|_| config.suite.command.is_none()) {
        text.push_str(&format!("directory = {:?}\n", below.display().to_string()));
    }
    if let Some(path) = &args.check {
        let checks = std::fs::read_to_string(path)
            .map_err(|e| CliError::broken(format!("{}: {e}", path.display())))?;
        let read = config::beside(&checks, path)?;
        if read.check.is_empty() {
            let what = format!("{} has no [[check]] in it", path.display());
            return Err(CliError::broken(what).hint("for instance: [[check]]\nnever = \"delete_order\""));
        }
        if read.directory.is_some() {
            text.clear();
        }
        text.push_str(&checks);
    }
    Ok((!text.is_empty()).then_some(text))
}
