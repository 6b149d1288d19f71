//! Fences must name tools that there are: a fence with a misspelt name stops nothing.

use super::error::CliError;
use super::view::Opened;
use crate::diff::Conversations;
use crate::run::spelling::nearest;
use serde_json::Value;

/// Refuses a fence for a tool that the run neither calls nor offers. `added`: tools that an edit adds. With `changed`,
/// another command than the recorded one, only a name that looks like a misspelt one is refused.
pub(super) fn check(
    opened: &Opened,
    fences: &[String],
    added: &[String],
    changed: bool,
) -> Result<(), CliError> {
    let mut known = called(opened);
    if fences.iter().all(|fence| known.contains(fence)) {
        return Ok(());
    }
    for name in offered(opened).into_iter().chain(added.iter().cloned()) {
        if !known.contains(&name) {
            known.push(name);
        }
    }
    for fence in fences.iter().filter(|fence| !known.contains(fence)) {
        let meant = nearest(fence, known.iter().map(String::as_str));
        if changed && meant.is_none() {
            continue;
        }
        let id = &opened.reader.manifest().id;
        let tools =
            if known.is_empty() { "it has none".into() } else { format!("its tools: {}", known.join(", ")) };
        let error = CliError::broken(format!("no tool {fence:?} in {id}; {tools}. Nothing was run."));
        return Err(match meant {
            Some(meant) => error.hint(format!("did you mean --fence {meant}?")),
            None => error,
        });
    }
    Ok(())
}

/// Tools that the run calls, in order.
fn called(opened: &Opened) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for call in opened.outline.lanes.iter().flat_map(|l| &l.turns).flat_map(|t| &t.calls) {
        if !names.contains(&call.name) {
            names.push(call.name.clone());
        }
    }
    names
}

/// Tools that its requests offer, in order.
fn offered(opened: &Opened) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for turn in opened.outline.lanes.iter().flat_map(|l| &l.turns) {
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
