//! Fences must name tools that there are: a fence with a misspelt name stops nothing.

use super::error::CliError;
use super::precedent::called;
use super::rerun::Rerun;
use super::view::Opened;
use super::warn;
use crate::config::Config;
use crate::diff::Conversations;
use crate::proxy::shim::COMMAND;
use crate::replay::commands::words::MARK;
use crate::replay::fences::{Fences, as_typed};
use crate::replay::tally::Tally;
use crate::replay::tools::ToolClass;
use crate::report::heading::command;
use crate::report::tools_run;
use crate::run::spelling::nearest;
use serde_json::Value;

/// The fences of a replay or a fork: those that are named, and the irreversible tools that are not let through.
///
/// `recorded`: a run whose servers say what their tools do.
pub(super) fn of(
    config: &Config,
    named: &[String],
    lifted: &[String],
    recorded: Option<&Opened>,
) -> Result<Fences, CliError> {
    if let Some(both) = named.iter().find(|name| lifted.contains(name)) {
        return Err(CliError::usage(format!("--fence {both} and --unfence {both}: one or the other")));
    }
    let mut tools = config.tools.clone();
    if let Some(opened) = recorded.filter(|opened| !opened.tool_servers().is_empty()) {
        let servers = opened.tool_servers();
        let names: Vec<String> = called(opened).into_iter().chain(offered(opened, 1)).collect();
        for (name, effect) in servers.effects(&names) {
            tools.annotate(&name, effect);
        }
    }
    Ok(Fences::new(named, lifted, tools))
}

/// Tools of servers and wrapped functions that a live answer may ask for, in the order in which the recording names them:
/// those that neither a fence nor their class holds back. The recording answers for those that are called as in it.
pub(super) fn may_run(rerun: &Rerun<'_>) -> Vec<String> {
    let servers = rerun.opened.tool_servers();
    let tools = rerun.fences.tools();
    let mut names: Vec<String> = Vec::new();
    for name in servers.callable() {
        let held = rerun.fences.stops_call(name).is_some()
            || tools.class_of(tools.name_in_model(name)) == ToolClass::Read;
        if !held && !names.iter().any(|known| known == name) {
            names.push(name.to_string());
        }
    }
    names
}

/// The command line of today with a tool let through, as one types it; none when it was no such verb.
fn again(rerun: &Rerun<'_>, tool: &str) -> Option<String> {
    let mut words: Vec<String> =
        std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    let end = words.iter().position(|word| word == "--").unwrap_or(words.len());
    words.iter().take(end).find(|word| *word == rerun.verb)?;
    words.splice(end..end, ["--unfence".to_string(), tool.to_string()]);
    words.splice(..1, ["retake".to_string()]);
    Some(command(&rerun.redactor.command(&words).0))
}

/// How to go on from the fence that stopped a run.
pub(super) fn go_on(rerun: &Rerun<'_>, tally: &Tally) -> Option<String> {
    tally
        .fenced
        .as_ref()
        .map(|fenced| tools_run::go_on(&fenced.tool, fenced.by, again(rerun, &fenced.tool).as_deref()))
}

/// Refuses a fence (`word` is `--fence`, or what takes one away) for a tool that the run neither calls nor offers. `added`: tools that an edit adds. With `changed`,
/// a fork by another command than the recorded one, only a name that looks like a misspelt one is refused: a replay
/// has no answer that asks for a tool which the recording does not have.
pub(super) fn check(
    opened: &Opened,
    word: &str,
    fences: &[String],
    added: &[String],
    changed: bool,
) -> Result<(), CliError> {
    let mut known = called(opened);
    if fences.iter().all(|fence| known.contains(fence)) {
        return Ok(());
    }
    let by_servers = opened.tool_servers().spoken().iter().filter_map(|spoken| spoken.message.call());
    let by_servers: Vec<String> = by_servers.map(|(tool, _)| tool.to_string()).collect();
    let has_commands = by_servers.iter().any(|tool| tool == COMMAND);
    for name in offered(opened, usize::MAX).into_iter().chain(by_servers).chain(added.iter().cloned()) {
        if !known.contains(&name) {
            known.push(name);
        }
    }
    for fence in fences.iter().filter(|fence| !known.contains(fence)) {
        if fence.starts_with(MARK) {
            if has_commands || changed {
                // Which commands there will be nobody knows.
                continue;
            }
            let id = &opened.reader.manifest().id;
            let why = format!(
                "{id} has no commands of a shell, so that {word} {} would stop nothing. Nothing was run.",
                as_typed(fence)
            );
            return Err(CliError::broken(why).hint(
                "`retake run --shell` records them; else fence the tool by which the model asks for them",
            ));
        }
        let meant = nearest(fence, known.iter().map(String::as_str));
        let id = &opened.reader.manifest().id;
        if changed && meant.is_none() {
            warn(&format!("{word} {fence}: {id} has no such tool; it counts if the agent offers one"));
            continue;
        }
        let tools =
            if known.is_empty() { "it has none".into() } else { format!("its tools: {}", known.join(", ")) };
        let error = CliError::usage(format!("no tool {fence:?} in {id}; {tools}. Nothing was run."));
        return Err(match meant {
            Some(meant) => error.hint(format!("did you mean {word} {meant}?")),
            None => error,
        });
    }
    Ok(())
}

/// Names in `retake.toml` that look like misspelt ones of this run's tools, one line each: a file may well be for other
/// agents too, but a class that a tool was meant to have and has not is told of.
pub(super) fn misspelt(config: &Config, opened: &Opened, added: &[String]) -> Vec<String> {
    let mut known = called(opened);
    if config.tools.names().all(|(name, _)| known.iter().any(|known| known == name)) {
        return Vec::new();
    }
    known.extend(offered(opened, 1));
    known.extend(added.iter().cloned());
    let unclassified: Vec<&str> = known
        .iter()
        .map(String::as_str)
        .filter(|name| config.tools.class_of(name) == ToolClass::Unclassified)
        .collect();
    let unknown = config.tools.names().filter(|(name, _)| !known.iter().any(|known| known == name));
    unknown
        .filter_map(|(name, class)| {
            let meant = nearest(name, unclassified.iter().copied())?;
            let (class, id) = (class.name(), &opened.reader.manifest().id);
            Some(format!(
                "retake.toml says that {name} is {class}, and {id} has no such tool; did you mean {meant}?"
            ))
        })
        .collect()
}

/// Tools that its requests offer, in order; only the first `turns` of each lane are looked at.
fn offered(opened: &Opened, turns: usize) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for turn in opened.outline.lanes.iter().flat_map(|l| l.turns.iter().take(turns)) {
        let Some(id) = turn.attempts.last().copied() else { continue };
        let Ok(request) = opened.request(id) else { continue };
        for tool in &request.tools {
            let name = tool.get("name").or_else(|| tool.get("function").and_then(|f| f.get("name")));
            if let Some(name) = name.and_then(Value::as_str)
                && !names.iter().any(|known| known == name)
            {
                names.push(name.to_string());
            }
        }
    }
    names
}
