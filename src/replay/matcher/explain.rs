//! Why nothing recorded is right, in words.

use super::decision::{Miss, Near};
use super::unify::{Difference, Unifier};
use super::{Bindings, Live, Matcher, Recording};
use crate::dialect::conversation::{Block, Role};
use crate::holes::Contradiction;
use crate::replay::doctor::{Field, rule_for};
use crate::run::reading::{Reading, readings};
use crate::run::{Outline, StepKind};

/// How many near turns a miss names, and among how many lanes they are looked for.
const NEAREST: usize = 3;
const LOOKED_AT: usize = 200;
/// Characters shown of a difference: before the part that differs, and in all.
const BEFORE: usize = 40;
const SHOWN: usize = 200;
/// Characters shown of the message that a request ends with.
const ASKED: usize = 80;

const PASTE: &str = "run the agent as it was recorded, or record again with `retake run`";
/// What there is to say of a conversation that goes on after its last recorded turn.
pub(super) const FINISHED: &str = "the recorded agent was finished here; yours asked again";
/// What there is to say of the nearest beginning when another request has had its answer.
const TAKEN: &str = "another request (already used by another request)";
const EDITED: &str = "to try the change against the model, fork: `retake fork RUN --at STEP`";

/// Cuts two texts so that the part that differs is seen.
pub(super) fn shown(recorded: &str, live: &str) -> (String, String) {
    let equal = recorded.chars().zip(live.chars()).take_while(|(a, b)| a == b).count();
    let skipped = equal.saturating_sub(BEFORE);
    let window = |text: &str| {
        let mut rest = text.chars().skip(skipped);
        let mut part: String = rest.by_ref().take(SHOWN).collect();
        if rest.next().is_some() {
            part.push('…');
        }
        if skipped > 0 { format!("…{part}") } else { part }
    };
    (window(recorded), window(live))
}

/// What would let a difference pass, as it goes into `retake.toml`: a rule for each field that differs.
pub(super) fn rule(difference: &Difference) -> Option<String> {
    let all = std::iter::once(difference).chain(&difference.more);
    let fields: Vec<Field<'_>> = all
        .map(|d| Field { path: &d.path, tool: d.tool.as_deref(), recorded: &d.recorded, live: &d.live })
        .collect();
    rule_for(&fields)
}

/// A refused turn.
pub(super) fn near(
    outline: &Outline,
    lane: u32,
    turn: u32,
    why: &str,
    difference: Option<Difference>,
) -> Near {
    let rule = difference.as_ref().and_then(rule);
    let Difference { path, recorded, live, .. } = difference.unwrap_or_else(|| Difference::new("", "", ""));
    let (recorded, live) = shown(&recorded, &live);
    let key = outline.lanes.get(lane as usize).map(|l| l.key.clone()).unwrap_or_default();
    let step = outline.turn(lane, turn).and_then(|_| outline.number_of(StepKind::Model { lane, turn }));
    Near { lane: key, turn, step, why: why.to_string(), path, recorded, live, rule }
}

/// A recording that cannot be read.
pub(super) fn unreadable(what: &str) -> String {
    format!("the recording cannot be read here: {what}")
}

/// Histories of different length.
pub(super) fn lengths(recorded: &[Reading<'_>], live: &[Reading<'_>]) -> Difference {
    let say = |r: &[Reading<'_>]| {
        let last = r.last().map(|l| format!(", the last from {}", role(l.role))).unwrap_or_default();
        format!("{} messages{last}", r.len())
    };
    Difference::new("messages", say(recorded), say(live))
}

fn role(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
    }
}

/// The beginning of a text, in quotes.
fn quoted(text: &str) -> String {
    let mut start: String = text.chars().take(ASKED).collect();
    if start.len() < text.len() {
        start.push('…');
    }
    format!("{start:?}")
}

/// What was asked, in one line.
pub(super) fn asked(live: &Live<'_>) -> String {
    let request = &live.ask.request;
    let last = request.messages.last().map(|m| {
        let text = m.blocks.iter().rev().find_map(|b| match b {
            Block::Text { text } => Some(quoted(text)),
            Block::ToolResult { text, .. } => Some(format!("result {}", quoted(text))),
            _ => None,
        });
        let text = text.map(|t| format!(": {t}")).unwrap_or_default();
        format!(", the last from {}{text}", role(m.role))
    });
    let n = request.messages.len();
    let messages = if n == 1 { "1 message".to_string() } else { format!("{n} messages") };
    format!("{} for {}: {messages}{}", live.ask.path, request.model, last.unwrap_or_default())
}

fn miss(live: &Live<'_>, reason: String, mut nearest: Vec<Near>, hints: &[&str]) -> Miss {
    nearest.truncate(NEAREST);
    let mut hints: Vec<String> = hints.iter().map(|h| h.to_string()).collect();
    if let Some(rule) = nearest.first().and_then(|near| near.rule.as_ref()) {
        hints.push("or, if it varies without meaning, say so in retake.toml:".into());
        hints.extend(rule.lines().map(str::to_string));
    }
    Miss { asked: asked(live), reason, nearest, hints }
}

/// The conversation is known, its next request is another one.
pub(super) fn drift(live: &Live<'_>, refused: Vec<Near>, last_step: usize) -> Miss {
    if refused.iter().all(|near| near.why == FINISHED)
        && let Some(lane) = refused.first().map(|near| &near.lane)
    {
        let reason = format!("{FINISHED} (lane {lane}, after its last turn)");
        let hint = format!("to let it go on live, fork: `retake fork RUN --at {last_step}`");
        return miss(live, reason, Vec::new(), &[PASTE, &hint]);
    }
    let reason = match refused.first() {
        Some(near) if near.path.is_empty() => {
            format!("lane {} turn {}: {}", near.lane, near.turn + 1, near.why)
        }
        Some(near) => format!(
            "the request drifted at lane {} turn {}: {} at {}",
            near.lane,
            near.turn + 1,
            near.why,
            near.path
        ),
        None => "the request goes on from an answer whose lane is unknown".to_string(),
    };
    miss(live, reason, refused, &[PASTE, EDITED])
}

/// Several lanes begin with this request and answer it differently.
pub(super) fn ambiguous(live: &Live<'_>, outline: &Outline, lanes: &[u32]) -> Miss {
    let names: Vec<&str> =
        lanes.iter().filter_map(|l| outline.lanes.get(*l as usize)).map(|l| l.key.as_str()).collect();
    let reason =
        format!("identical requests with different answers: {} cannot be told apart", names.join(", "));
    let nearest = lanes.iter().map(|l| near(outline, *l, 0, "it fits as well as the others", None)).collect();
    let hints = [
        "send an `x-retake-lane` header, or agent ids, that tell these conversations apart, and record again",
    ];
    miss(live, reason, nearest, &hints)
}

/// A name stands for two values, now that it is certain which lane a conversation is.
pub(super) fn contradiction(outline: &Outline, (lane, turn): (u32, u32), what: &Contradiction) -> Miss {
    let why =
        format!("{} was recorded where {} stands now, and it is another elsewhere", what.recorded, what.live);
    let nearest = vec![near(outline, lane, turn, &why, None)];
    let key = nearest.first().map(|near| near.lane.clone()).unwrap_or_default();
    Miss {
        asked: format!("lane {key}, turn {}", turn + 1),
        reason: format!("a value stands for two: {why}"),
        nearest,
        hints: vec![PASTE.to_string()],
    }
}

/// The request begins a recorded lane, but the call that begins it has not been answered yet.
pub(super) fn not_enabled(live: &Live<'_>, outline: &Outline, lanes: &[u32]) -> Miss {
    let nearest = lanes
        .iter()
        .map(|l| near(outline, *l, 0, "the call that begins it has not been answered in this replay", None));
    let reason = "the request begins a recorded lane whose parent has not asked for it yet".to_string();
    miss(live, reason, nearest.collect(), &[PASTE])
}

/// The recording has this request, but not as often as it is asked.
pub(super) fn used_up(live: &Live<'_>, outline: &Outline, lanes: &[u32]) -> Miss {
    let n = lanes.len();
    let times = if n == 1 { "once".to_string() } else { format!("{n} times") };
    let nearest =
        lanes.iter().map(|l| near(outline, *l, 0, "its answer was served to an earlier request", None));
    miss(
        live,
        format!("the recording has this request {times}, the agent asks it once more"),
        nearest.collect(),
        &[PASTE],
    )
}

/// No recorded lane begins like this.
pub(super) fn unknown_beginning(live: &Live<'_>, nearest: Vec<Near>, same_system: usize) -> Miss {
    let reason = match nearest.first() {
        // Where the nearest lane is still to be begun, this is that lane with another message.
        Some(near) if same_system > 0 && near.why == TAKEN && near.path.starts_with("messages") => {
            let lanes = match same_system {
                1 => "1 recorded lane starts".to_string(),
                n => format!("{n} recorded lanes start"),
            };
            format!("a new lane: {lanes} with the same system prompt, none with this message")
        }
        Some(near) => {
            format!("no recorded lane begins with this request; the nearest differs at {}", near.path)
        }
        None => "no recorded lane begins with this request".to_string(),
    };
    miss(live, reason, nearest, &[PASTE, EDITED])
}

impl<R: Recording> Matcher<R> {
    /// How many recorded lanes begin with the same settings, tools and system prompt as this request.
    pub(super) fn same_system(&self, live: &Live<'_>) -> usize {
        let lanes = 0..self.recording.outline().lanes.len().min(LOOKED_AT) as u32;
        let known = self.known(live.ask.dialect, &Bindings::default());
        let same = |lane: &u32| {
            let mut unifier = Unifier::new(known, Bindings::default());
            let recorded = self.recording.request(*lane, 0);
            let system = |blocks: &[crate::dialect::conversation::Message]| {
                blocks.iter().filter(|m| m.role == Role::System).map(|m| m.text()).collect::<Vec<_>>()
            };
            recorded.is_ok_and(|recorded| {
                unifier.head(&recorded, &live.ask.request).is_ok()
                    && system(&recorded.messages) == system(&live.ask.request.messages)
            })
        };
        lanes.filter(same).count()
    }

    /// The lanes whose first request is most like this one.
    pub(super) fn nearest_beginnings(&self, live: &Live<'_>) -> Vec<Near> {
        let outline = self.recording.outline();
        let mut lanes: Vec<(usize, usize)> = outline
            .lanes
            .iter()
            .enumerate()
            .filter_map(|(at, l)| l.turns.first().map(|t| (at, t)))
            .map(|(at, t)| ((t.messages as usize).abs_diff(live.ask.request.messages.len()), at))
            .collect();
        lanes.sort_unstable();
        let mut found = Vec::new();
        let known = self.known(live.ask.dialect, &Bindings::default());
        for (_, at) in lanes.into_iter().take(LOOKED_AT) {
            let lane = at as u32;
            let Ok(recorded) = self.recording.request(lane, 0) else { continue };
            let there = readings(&recorded.messages);
            let mut unifier = Unifier::new(known, Bindings::default());
            let mut differences: Vec<Difference> =
                unifier.head(&recorded, &live.ask.request).err().into_iter().collect();
            if there.len() != live.readings.len() {
                differences.push(lengths(&there, &live.readings));
            }
            for (a, b) in there.iter().zip(&live.readings) {
                differences.extend(
                    unifier.reading(a, b, &|_, _| false, &mut |_, _, difference| Err(difference)).err(),
                );
            }
            if self.recording.path(lane, 0).is_ok_and(|path| path != live.ask.path) {
                let path = self.recording.path(lane, 0).unwrap_or_default();
                differences.push(Difference::new("path", path, &live.ask.path));
            }
            // Among equals, the one whose texts part last.
            let shared =
                |d: &Difference| d.recorded.chars().zip(d.live.chars()).take_while(|(a, b)| a == b).count();
            let alike = differences.iter().map(shared).sum::<usize>();
            let count = differences.len();
            let Some(first) = differences.into_iter().next() else { continue };
            found.push((count, std::cmp::Reverse(alike), lane, first));
        }
        found.sort_by_key(|(count, alike, ..)| (*count, *alike));
        let told = |(_, _, lane, first)| {
            let taken = if self.is_free(lane) { "another request" } else { TAKEN };
            near(outline, lane, 0, taken, Some(first))
        };
        found.into_iter().take(NEAREST).map(told).collect()
    }
}
