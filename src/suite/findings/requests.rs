//! What differs in what the agent asks.

use super::smallest::{difference, fields, join};
use super::{Code, Difference, Drift, Finding};
use crate::dialect::conversation::{Block, ModelAnswer, ModelRequest};
use crate::diff::ContextDiff;
use crate::diff::context::{MessageChange, ToolChange};

/// The findings of one request. `history`: what differs in what the model said and the tools returned counts too, for
/// nothing before this request differs.
pub(super) fn findings(diff: &ContextDiff, steps: (Option<u32>, Option<u32>), history: bool) -> Vec<Finding> {
    let found = |code: Code, what: String, differences: Vec<Difference>| {
        Finding::new(code, Drift::Code, steps, what).with(differences)
    };
    let mut out = Vec::new();
    if let Some((l, r)) = &diff.api {
        let what = format!("{r} is spoken instead of {l}");
        out.push(found(Code::ModelChanged, what, vec![difference("api", Some(l), Some(r))]));
    }
    if let Some((l, r)) = &diff.model {
        let what = format!("{r} is asked instead of {l}");
        out.push(found(Code::ModelChanged, what, vec![difference("model", Some(l), Some(r))]));
    }
    if let Some((l, r)) = diff.system.as_ref().filter(|_| !diff.system_varies) {
        let some = |text: &'_ String| (!text.is_empty()).then(|| text.clone());
        let (l, r) = (some(l), some(r));
        let what = match (&l, &r) {
            (None, _) => "there is a system prompt now",
            (_, None) => "there is no system prompt any more",
            _ => "the system prompt is another one",
        };
        let differs = difference("system", l.as_deref(), r.as_deref());
        out.push(found(Code::PromptChanged, what.into(), vec![differs]));
    }
    let params = fields(&diff.params, "");
    if !params.is_empty() {
        let names: Vec<&str> = params.iter().map(|p| p.path.as_str()).collect();
        out.push(found(Code::ParamsChanged, format!("another {}", names.join(", ")), params.clone()));
    }
    let moved = in_another_order(&diff.tools);
    if !moved.is_empty() {
        let what = format!("the tools on offer stand in another order ({})", moved.join(", "));
        out.push(found(Code::ToolsChanged, what, Vec::new()));
    }
    let is_changed = |change: &ToolChange| matches!(change, ToolChange::Changed { .. });
    let is_told = |change: &&ToolChange| !change.varies() && (moved.is_empty() || is_changed(change));
    for change in diff.tools.iter().filter(is_told) {
        let (what, differences) = match change {
            ToolChange::Added { tool } => {
                (format!("the tool {tool} is on offer now"), vec![difference("tools", None, Some(tool))])
            }
            ToolChange::Dropped { tool } => (
                format!("the tool {tool} is not on offer any more"),
                vec![difference("tools", Some(tool), None)],
            ),
            ToolChange::Changed { tool, fields: changes } => {
                (format!("the tool {tool} is described differently"), fields(changes, tool))
            }
        };
        out.push(found(Code::ToolsChanged, what, differences));
    }
    let (many, messages) = a_history(&diff.messages, history);
    for (what, differences) in many {
        out.push(found(Code::PromptChanged, what, differences));
    }
    for change in messages {
        if let Some((what, differences)) = message(change, history) {
            out.push(found(Code::PromptChanged, what, differences));
        }
    }
    out
}

/// Several messages of the history that are missing, or new, are told as one; and the changes that are left.
fn a_history(
    changes: &[MessageChange],
    history: bool,
) -> (Vec<(String, Vec<Difference>)>, Vec<&MessageChange>) {
    let is_told = |who: &str| matches!(who, "assistant" | "tool");
    let dropped =
        |change: &&MessageChange| matches!(change, MessageChange::Dropped { who, .. } if is_told(who));
    let added = |change: &&MessageChange| matches!(change, MessageChange::Added { who, .. } if is_told(who));
    let side = |is: &dyn Fn(&&MessageChange) -> bool, verb: &str| {
        let all: Vec<&MessageChange> = changes.iter().filter(is).collect();
        let of = |change: &&MessageChange| message(change, true).map(|(_, differences)| differences);
        let told = || all.iter().filter_map(of).flatten().collect::<Vec<_>>();
        (history && all.len() > 1)
            .then(|| (format!("{} messages of the history are {verb}", all.len()), told()))
    };
    let (gone, new) = (side(&dropped, "missing"), side(&added, "new"));
    let is_left =
        |change: &&MessageChange| !(gone.is_some() && dropped(change) || new.is_some() && added(change));
    let left = changes.iter().filter(is_left).collect();
    (gone.into_iter().chain(new).collect(), left)
}

/// True for a request that holds what a model answered: its words, or one of its calls.
pub(super) fn tells(request: &ModelRequest, answer: &ModelAnswer) -> bool {
    let text = answer.text();
    let words = text.trim();
    let blocks = || request.system.iter().chain(request.messages.iter().flat_map(|message| &message.blocks));
    let says = |block: &Block| match block {
        Block::Text { text } | Block::ToolResult { text, .. } => !words.is_empty() && text.contains(words),
        Block::ToolCall { name, args, .. } => {
            answer.tool_calls().any(|(_, called, with)| called == name && with == args)
        }
        Block::Reasoning { .. } | Block::Other { .. } => false,
    };
    blocks().any(says)
}

/// The tools that are both taken away and added, when these are all: they have changed places.
fn in_another_order(changes: &[ToolChange]) -> Vec<&str> {
    let names = |wanted: bool| -> Vec<&str> {
        let name = |change: &'_ ToolChange| match change {
            ToolChange::Added { .. } => Some(true),
            ToolChange::Dropped { .. } => Some(false),
            ToolChange::Changed { .. } => None,
        };
        let mut names: Vec<&str> = Vec::new();
        for change in changes.iter().filter(|change| name(change) == Some(wanted)) {
            if let ToolChange::Added { tool } | ToolChange::Dropped { tool } = change {
                names.push(tool);
            }
        }
        names.sort_unstable();
        names
    };
    let (added, dropped) = (names(true), names(false));
    if added == dropped { added } else { Vec::new() }
}

fn message(change: &MessageChange, history: bool) -> Option<(String, Vec<Difference>)> {
    let counts = |who: &str| history || matches!(who, "system" | "user");
    let name = |who: &str| match who {
        "system" => "the system prompt".to_string(),
        "user" => "the user's message".to_string(),
        "tool" => "a tool's result in the history".to_string(),
        _ => "what the model said in the history".to_string(),
    };
    match change {
        MessageChange::Changed { left, who, fields: changes, .. } if counts(who) => {
            let differences = fields(changes, &format!("messages[{left}]"));
            (!differences.is_empty()).then(|| (format!("{} is another one", name(who)), differences))
        }
        MessageChange::Truncated { left, who, before, after, .. } if counts(who) => {
            let verb = if after.len() < before.len() { "is cut short" } else { "is longer" };
            let path = join(&format!("messages[{left}]"), "text");
            Some((format!("{} {verb}", name(who)), vec![difference(&path, Some(before), Some(after))]))
        }
        MessageChange::Added { index, who, text } if counts(who) => {
            let path = format!("messages[{index}]");
            Some((format!("{} is new", name(who)), vec![difference(&path, None, Some(text))]))
        }
        MessageChange::Dropped { index, who, text } if counts(who) => {
            let path = format!("messages[{index}]");
            Some((format!("{} is missing", name(who)), vec![difference(&path, Some(text), None)]))
        }
        _ => None,
    }
}
