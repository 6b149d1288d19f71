//! Which of the agent's own tools ran for real, and what a fence held back.

use super::lines::Lines;
use super::style::Ink;
use super::words::{self, line};
use crate::mcp::message::is_name_of;
use crate::replay::commands::words::MARK;
use crate::replay::fences::{FencedBy, Fences, as_typed};
use crate::replay::shim::{SHELL, SHIM};
use crate::replay::tally::servers::{Calls, Servers};
use crate::replay::tools::ToolClass;
use serde::Serialize;
use std::collections::BTreeMap;

/// Tools that the agent ran for real.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ToolsRun {
    /// How often, by name.
    pub ran: BTreeMap<String, u32>,
    /// What is said of each.
    pub ran_classes: BTreeMap<String, ToolClass>,
    /// Of those: tools that sound as if they did harm, and that nobody has thought of.
    pub risky: Vec<String>,
    /// What their servers were asked instead.
    pub servers: Servers,
    /// Tools that `--fence` names and that the recording answered for.
    pub answered_fences: Vec<String>,
    #[serde(skip)]
    named: Vec<String>,
}

impl ToolsRun {
    /// With what is said of them.
    pub fn new(ran: BTreeMap<String, u32>, fences: &Fences) -> ToolsRun {
        let class = |name: &String| (name.clone(), fences.tools().class_of(name));
        let ran_classes = ran.keys().map(class).collect();
        let risky = ran.keys().filter(|name| fences.overlook(name)).cloned().collect();
        let named = fences.named().map(String::from).collect();
        ToolsRun { ran, ran_classes, risky, named, ..ToolsRun::default() }
    }

    /// With what servers of tools were asked. `held`: the fence that stopped the agent.
    pub fn with_servers(self, servers: Servers, held: Option<&str>) -> ToolsRun {
        let has = |calls: &Calls, name: &str| {
            calls.values().flat_map(|of| of.keys()).any(|tool| is_name_of(name, tool))
        };
        let shell_idle = servers.answered.contains_key(SHELL) && !servers.called.contains_key(SHELL);
        let is_shells = |name: &String| {
            name.starts_with(MARK) || servers.askers.contains(name) && !self.ran.contains_key(name)
        };
        let idle = |name: &&String| {
            held != Some(name.as_str())
                && (has(&servers.answered, name) && !has(&servers.called, name)
                    || shell_idle && is_shells(name))
        };
        let answered_fences = self.named.iter().filter(idle).cloned().collect();
        ToolsRun { servers, answered_fences, ..self }
    }

    /// Name and count, of one class or of all.
    fn named(&self, class: Option<ToolClass>) -> Vec<String> {
        let is_of = |name: &String| class.is_none() || self.ran_classes.get(name).copied() == class;
        let asked = self
            .ran
            .iter()
            .filter(|(name, _)| is_of(name) && (class.is_some() || !self.risky.contains(name)));
        asked.map(|(name, n)| if *n > 1 { format!("{} x{n}", line(name)) } else { line(name) }).collect()
    }
}

/// Says which tools ran: by class where any class is declared.
pub(super) fn ran(lines: &mut Lines, tools: &ToolsRun) {
    by_servers(lines, &tools.servers, &tools.ran);
    for tool in &tools.answered_fences {
        let (tool, typed) = (line(tool), glued(&line(tool)));
        let who = if tool.starts_with(MARK) { SHELL } else { &tool };
        let what = format!(
            "--fence{}{typed} had nothing to stop: {who} is answered from the recording",
            words::GLUE
        );
        lines.say(Ink::Dim, &what);
    }
    if !tools.risky.is_empty() {
        let names: Vec<String> = tools.risky.iter().map(|t| line(t)).collect();
        let fences: Vec<String> = names.iter().map(|t| format!("--fence{}{t}", words::GLUE)).collect();
        let (names, fences) = (names.join(", "), fences.join(" "));
        let before = if tools.risky.len() == 1 { "it" } else { "them" };
        lines.say(
            Ink::Note,
            &format!("warning: {names} ran for real in your process. Use {fences} to stop before {before}."),
        );
    }
    if tools.ran_classes.values().all(|class| *class == ToolClass::Unclassified) {
        let harmless = tools.named(None);
        if !harmless.is_empty() {
            lines.say(Ink::Dim, &format!("ran for real in your process: {}", harmless.join(", ")));
        }
        return;
    }
    let all = [ToolClass::Read, ToolClass::Write, ToolClass::Irreversible, ToolClass::Unclassified];
    let told: Vec<String> = all
        .into_iter()
        .filter_map(|class| {
            let names = tools.named(Some(class));
            let of = |name: &&String| tools.ran_classes.get(*name) == Some(&class);
            let count: u32 = tools.ran.keys().filter(of).filter_map(|name| tools.ran.get(name)).sum();
            (count > 0).then(|| format!("{count}{}{} ({})", words::GLUE, class.name(), names.join(", ")))
        })
        .collect();
    let harmless = tools.ran_classes.values().all(|class| *class == ToolClass::Read);
    let ink = if harmless { Ink::Dim } else { Ink::Note };
    lines.say(ink, &format!("ran for real in your process: {}", told.join(", ")));
}

/// Says what the recording answered for tools' servers, and what they carried out themselves.
fn by_servers(lines: &mut Lines, servers: &Servers, ran: &BTreeMap<String, u32>) {
    let names = |calls: &BTreeMap<String, u32>| {
        let named =
            calls.iter().map(|(tool, n)| if *n > 1 { format!("{} x{n}", line(tool)) } else { line(tool) });
        named.collect::<Vec<_>>().join(", ")
    };
    by_shells(lines, servers);
    let others = |calls: &'_ Calls| calls.clone().into_iter().filter(|(server, _)| server != SHELL);
    for (server, calls) in &others(&servers.answered).collect::<Calls>() {
        let who = line(server);
        lines.say(Ink::Dim, &format!("not run, {who} is answered from the recording: {}", names(calls)));
    }
    for (server, calls) in &others(&servers.called).collect::<Calls>() {
        let who = line(server);
        if server == SHIM {
            // What ran in the agent's own process is told of below.
            let calls: BTreeMap<String, u32> =
                calls.clone().into_iter().filter(|(tool, _)| !ran.contains_key(tool)).collect();
            if !calls.is_empty() {
                let what = format!("ran for real, as the recording has no result of it: {}", names(&calls));
                lines.say(Ink::Note, &what);
            }
            continue;
        }
        lines.say(
            Ink::Note,
            &format!("{who} ran for real: {}. What it did when recorded it has not done again", names(calls)),
        );
    }
    for (server, changes) in &servers.changed {
        let (who, what) = (line(server), changes.iter().map(|c| line(c)).collect::<Vec<_>>().join(", "));
        lines.say(Ink::Bad, &format!("warning: the tools of {who} are not those that were recorded: {what}"));
    }
    for (server, calls) in &others(&servers.stale).collect::<Calls>() {
        let who = line(server);
        lines.say(
            Ink::Note,
            &format!("stale: {who} was answered from the recording behind a call that may have changed something: {}", names(calls)),
        );
    }
}

/// Says the same of commands of shells.
fn by_shells(lines: &mut Lines, servers: &Servers) {
    let count = |calls: &Calls| calls.get(SHELL).map_or(0, |calls| calls.values().sum::<u32>());
    let commands = |n: u32| words::many(n.into(), "command");
    let (answered, ran, stale) = (count(&servers.answered), count(&servers.called), count(&servers.stale));
    if answered > 0 {
        let of = if stale > 0 { format!(", {stale} of them behind one that ran") } else { String::new() };
        lines.say(
            Ink::Dim,
            &format!("not run, {SHELL} is answered from the recording: {}{of}", commands(answered)),
        );
    }
    if ran > 0 {
        let beside =
            if answered > 0 { "; what those that were not run did to files is not done" } else { "" };
        let behind = match servers.behind {
            0 => String::new(),
            n if n == ran => " behind the checkpoint, as recorded (--serve-commands answers them)".into(),
            n => format!(", {n} of them recorded so behind the checkpoint (--serve-commands answers those)"),
        };
        let (odd, ran) = (if servers.behind == 0 { ", not recorded so" } else { "" }, commands(ran));
        lines.say(Ink::Note, &format!("{SHELL} ran for real{odd}: {ran}{behind}{beside}"));
    }
}

/// A name as it is typed, in one piece.
fn glued(tool: &str) -> String {
    as_typed(tool).replace(' ', &words::GLUE.to_string())
}

/// How to go on after a fence. `again`: the whole command that lets the tool through, where it is known.
pub fn go_on(tool: &str, by: FencedBy, again: Option<&str>) -> String {
    let tool = line(tool);
    let typed = glued(&tool);
    let flag = format!("--unfence{}{typed}", words::GLUE);
    // Kept whole, so that it can be pasted.
    let how = again.map_or(flag, |again| line(again).replace(' ', &words::GLUE.to_string()));
    match by {
        FencedBy::Flag => format!("to let it run for real: the same without --fence{}{typed}", words::GLUE),
        FencedBy::Annotated => {
            format!("{tool} is destructive, as its server says; to let it run for real: {how}")
        }
        FencedBy::Irreversible => {
            format!("{tool} is irreversible in retake.toml; to let it run for real: {how}")
        }
    }
}
