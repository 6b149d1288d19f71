//! Fences must name tools that there are: a fence with a misspelt name stops nothing.

use super::error::CliError;
use super::precedent::called;
use super::rerun::Rerun;
use super::view::Opened;
use super::warn;
use crate::config::Config;
use crate::diff::Conversations;
use crate::proxy::shim::COMMAND;
use crate::replay::commands::words::{MARK, names};
use crate::replay::fences::{Fences, as_typed};
use crate::replay::tally::Tally;
use crate::replay::tools::ToolClass;
use crate::report::heading::command;
use crate::report::tools_run;
use crate::run::spelling::nearest;
use serde_json::Value;
use std::collections::BTreeSet;

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
    // What is let through in vain is a misspelt command.
    let commands = commands(rerun.opened);
    let in_vain = |name: &str| name.starts_with(MARK) && !commands.contains(name);
    let until = |words: &[String]| words.iter().position(|word| word == "--").unwrap_or(words.len());
    while let Some(at) = words
        .windows(2)
        .take(until(&words))
        .position(|pair| matches!(pair, [a, b] if a == "--unfence" && in_vain(b)))
    {
        words.drain(at..at + 2);
    }
    words.retain(|word| !word.strip_prefix("--unfence=").is_some_and(in_vain));
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
    let doubts = checked(opened, word, fences, added, changed)
        .map_err(|error| CliError { message: format!("{} Nothing was run.", error.message), ..error })?;
    doubts.iter().for_each(|doubt| warn(doubt));
    Ok(())
}

/// The same, of a run that is recorded already: what is to be warned of.
pub(super) fn checked(
    opened: &Opened,
    word: &str,
    fences: &[String],
    added: &[String],
    changed: bool,
) -> Result<Vec<String>, CliError> {
    let mut doubts = Vec::new();
    let mut known = called(opened);
    if fences.iter().all(|fence| known.contains(fence)) {
        return Ok(doubts);
    }
    let commands = commands(opened);
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
                doubts.extend(no_command(opened, word, fence, &commands));
                continue;
            }
            let id = &opened.reader.manifest().id;
            let why = format!(
                "{id} has no commands of a shell, so that {word} {} would stop nothing.",
                as_typed(fence)
            );
            return Err(CliError::broken(why).hint(
                "`retake run --shell` records them; else fence the tool by which the model asks for them",
            ));
        }
        let as_command = format!("{MARK}{}", fence.trim_start_matches('$').trim_start());
        let is_command = has_commands && (fence.starts_with('$') || commands.contains(&as_command));
        let meant = match is_command {
            true => Some(as_typed(&as_command)),
            false => nearest(fence, known.iter().map(String::as_str)).map(as_typed),
        };
        let id = &opened.reader.manifest().id;
        if changed && meant.is_none() {
            doubts.push(format!("{word} {fence}: {id} has no such tool; it counts if the agent offers one"));
            continue;
        }
        let tools =
            if known.is_empty() { "it has none".into() } else { format!("its tools: {}", known.join(", ")) };
        let error = CliError::usage(format!("no tool {fence:?} in {id}; {tools}."));
        return Err(match meant {
            Some(meant) => error.hint(format!("did you mean {word} {meant}?")),
            None if has_commands => error.hint(format!("for a command: {word} {}", as_typed(&as_command))),
            None => error,
        });
    }
    Ok(doubts)
}

/// What the commands of shells that a run recorded can be called.
fn commands(opened: &Opened) -> BTreeSet<String> {
    opened.tool_servers().commands().flat_map(names).collect()
}

/// The recorded command that a name is written most like.
fn nearest_command<'a>(name: &str, commands: &'a BTreeSet<String>) -> Option<&'a str> {
    let words = |name: &str| name.split_whitespace().count();
    let alike = commands.iter().filter(|known| words(known) == words(name));
    let bare = nearest(name.strip_prefix(MARK)?, alike.filter_map(|known| known.strip_prefix(MARK)))?;
    commands.iter().map(String::as_str).find(|known| known.strip_prefix(MARK) == Some(bare))
}

/// What is odd about a name for commands: none of the recorded ones has it.
fn no_command(opened: &Opened, word: &str, fence: &str, commands: &BTreeSet<String>) -> Option<String> {
    if commands.is_empty() || commands.contains(fence) {
        return None;
    }
    let (typed, id) = (as_typed(fence), &opened.reader.manifest().id);
    let meant = nearest_command(fence, commands).map(as_typed);
    let meant = meant.map_or_else(
        || "it counts if the agent gives one to a shell".to_string(),
        |meant| format!("did you mean {word} {meant}?"),
    );
    Some(format!("{word} {typed}: {id} has no such command; {meant}"))
}

/// Names in `retake.toml` that look like misspelt ones of this run's tools, one line each: a file may well be for other
/// agents too, but a class that a tool was meant to have and has not is told of.
pub(super) fn misspelt(config: &Config, opened: &Opened, added: &[String]) -> Vec<String> {
    let mut known = called(opened);
    let named = config.tools.names().map(|(name, _)| name).chain(config.rules.tools().map(|(_, tool)| tool));
    if named.into_iter().all(|name| known.iter().any(|known| known == name)) {
        return Vec::new();
    }
    known.extend(offered(opened, 1));
    known.extend(opened.tool_servers().callable().map(str::to_string));
    known.extend(added.iter().cloned());
    let unclassified: Vec<&str> = known
        .iter()
        .map(String::as_str)
        .filter(|name| config.tools.class_of(name) == ToolClass::Unclassified)
        .collect();
    let id = &opened.reader.manifest().id;
    let commands = commands(opened);
    let is_known = |name: &str| known.iter().any(|known| known == name) || commands.contains(name);
    let classes = config.tools.names().filter(|(name, _)| !is_known(name)).filter_map(|(name, class)| {
        let (what, meant) = match name.starts_with(MARK) {
            true => ("command", nearest_command(name, &commands)?),
            false => ("tool", nearest(name, unclassified.iter().copied())?),
        };
        let class = class.name();
        Some(format!(
            "retake.toml says that {name} is {class}, and {id} has no such {what}; did you mean {meant}?"
        ))
    });
    let rules = config.rules.tools().filter(|(_, tool)| !is_known(tool)).filter_map(|(rule, tool)| {
        let meant = nearest(tool, known.iter().map(String::as_str))?;
        Some(format!("retake.toml has {rule} for {tool}, and {id} has no such tool; did you mean {meant}?"))
    });
    classes.chain(rules).collect()
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
