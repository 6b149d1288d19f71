//! Requests that do not begin with the request before: what a provider has cached of that one is of no use then.

use crate::dialect::conversation::{Block, Message, ModelRequest};
use crate::diff::context::{say, who};
use crate::diff::view::StepNumbers;
use crate::diff::{RunView, context};
use crate::run::{Lane, LaneKind, Turn};
use serde::Serialize;

/// Where the beginning that two turns of a lane should share is broken.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Break {
    /// The run.
    pub run: String,
    /// Name or key of the lane.
    pub lane: String,
    /// Number of the step whose request does not begin with the one before.
    pub step: u32,
    /// What changed, from the front: `the system prompt`, `tool look changed`, `message 2 (user)`.
    pub what: Vec<String>,
    /// Around the first place where a text differs: before, and now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<(String, String)>,
    /// Tokens that the step read, and those of them that came from the cache all the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read: Option<(u64, u64)>,
}

pub(super) fn breaks(run: &RunView, lanes: &[String]) -> Vec<Break> {
    let numbers = StepNumbers::of(run.outline);
    let mut found = Vec::new();
    for (index, lane) in run.outline.lanes.iter().enumerate() {
        if lane.kind == LaneKind::Side {
            continue;
        }
        let mut before = earlier(run, lane).and_then(|turn| run.request_of(turn).ok());
        for (at, turn) in lane.turns.iter().enumerate() {
            let Ok(now) = run.request_of(turn) else { continue };
            let changed = before.replace(now.clone()).and_then(|before| changed(&before, &now));
            if let Some((what, text)) = changed {
                found.push(Break {
                    run: run.manifest.id.to_string(),
                    lane: lanes.get(index).cloned().unwrap_or_default(),
                    step: numbers.model(index, at).unwrap_or_default(),
                    what,
                    text,
                    read: turn.usage.map(|usage| (usage.input, usage.cache_read)),
                });
            }
        }
    }
    found
}

/// The turn that a lane goes on after.
fn earlier<'a>(run: &RunView<'a>, lane: &Lane) -> Option<&'a Turn> {
    run.outline.lanes.get(lane.continues? as usize)?.turns.last()
}

type Changed = (Vec<String>, Option<(String, String)>);

/// What keeps a request from beginning with the one before; none when it does.
fn changed(before: &ModelRequest, now: &ModelRequest) -> Option<Changed> {
    let mut what = Vec::new();
    let mut text = None;
    if before.model != now.model {
        what.push(format!("the model: {} instead of {}", now.model, before.model));
    }
    if before.tools != now.tools {
        what.push(tools(before, now));
    }
    if before.system != now.system {
        what.push("the system prompt".to_string());
        text = parted(&say(&before.system), &say(&now.system));
    }
    let pairs = || before.messages.iter().zip(&now.messages);
    if let Some(at) = pairs().position(|(left, right)| !same(left, right)) {
        let pair = pairs().nth(at);
        what.push(format!("message {at} ({})", pair.map_or("?", |(left, _)| who(left))));
        text = text.or_else(|| pair.and_then(|(l, r)| parted(&say(&l.blocks), &say(&r.blocks))));
    } else if before.messages.len() > now.messages.len() {
        what.push(format!("messages from {} on are gone", now.messages.len()));
    }
    (!what.is_empty()).then_some((what, text))
}

/// Equal but for reasoning, which providers leave out of what they cache.
fn same(left: &Message, right: &Message) -> bool {
    let counts = |block: &&Block| !matches!(block, Block::Reasoning { .. });
    left.role == right.role && left.blocks.iter().filter(counts).eq(right.blocks.iter().filter(counts))
}

fn tools(before: &ModelRequest, now: &ModelRequest) -> String {
    use crate::diff::context::ToolChange;
    let bare =
        |request: &ModelRequest| ModelRequest { messages: Vec::new(), spans: Vec::new(), ..request.clone() };
    let changes = context(&bare(before), &bare(now)).tools;
    let told = changes.iter().map(|change| match change {
        ToolChange::Added { tool } => format!("tool {tool} added"),
        ToolChange::Dropped { tool } => format!("tool {tool} dropped"),
        ToolChange::Changed { tool, .. } => format!("tool {tool} changed"),
    });
    let told: Vec<String> = told.collect();
    if told.is_empty() { "the order of the tools".into() } else { told.join(", ") }
}

/// Characters that are shown before a difference, and from it on.
const AROUND: (usize, usize) = (16, 32);

/// Both texts around the first character that differs; none when they are equal.
fn parted(before: &str, now: &str) -> Option<(String, String)> {
    let at = before.chars().zip(now.chars()).take_while(|(a, b)| a == b).count();
    let from = at.saturating_sub(AROUND.0);
    let cut = |text: &str| text.chars().skip(from).take(at - from + AROUND.1).collect::<String>();
    (before != now).then(|| (cut(before), cut(now)))
}
