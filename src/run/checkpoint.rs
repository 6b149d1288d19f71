//! The state after a step: a turn for every lane, the conversation at each head, usage so far.

use super::outline::{CallSite, Outline, StepKind};
use crate::dialect::conversation::Usage;
use crate::exchange::ExchangeId;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap, HashSet};

/// The state of a run after one of its steps: every step up to that one has happened, no later one has. Since steps
/// are numbered by the time they begin, whatever caused a step is in the cut with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Number of the last step in it (from 1).
    pub after_step: u32,
    /// The lanes that have begun, in the order of [`Outline::lanes`].
    pub lanes: Vec<LaneState>,
    /// Values that differ from run to run, recorded to live. Empty in a recording itself.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub bindings: BTreeMap<String, String>,
    /// Tokens of the model calls in it.
    pub usage: Usage,
}

/// One lane at a checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LaneState {
    /// Its key.
    pub lane: String,
    /// Index into [`Outline::lanes`].
    pub index: u32,
    /// How many of its turns have been answered.
    pub turns: u32,
    /// The conversation at its head.
    pub head: Head,
    /// Calls of its last answer whose result is not in yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pending: Vec<CallSite>,
}

/// Where a lane's conversation is to be found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Head {
    /// The exchange whose request holds the conversation; its answer is the last message.
    pub exchange: ExchangeId,
    /// Number of messages, the answer included.
    pub messages: u32,
}

/// The checkpoint after a step; none when there is no such step.
pub fn checkpoint(outline: &Outline, step: u32) -> Option<Checkpoint> {
    let cut = usize::try_from(step).ok().filter(|s| *s > 0)?;
    let done = outline.steps.get(..cut)?;
    let mut turns: BTreeMap<u32, u32> = BTreeMap::new();
    let mut called: HashSet<CallSite> = HashSet::new();
    for step in done {
        match step.kind {
            StepKind::Model { lane, turn } => {
                let count = turns.entry(lane).or_default();
                *count = (*count).max(turn.saturating_add(1));
            }
            StepKind::Tool { site } => {
                called.insert(site);
            }
        }
    }
    let begun_by = children(outline);
    // A lane's share in the result of the call that began it: background work goes on after the result.
    let finished = |lane: &u32, seen_us: u64| {
        let all = outline.lanes.get(*lane as usize).map(|l| l.turns.as_slice()).unwrap_or_default();
        let share = all.iter().filter(|t| t.ended_us <= seen_us).count();
        turns.get(lane).is_some_and(|n| *n as usize >= share)
    };
    let mut usage = Usage::default();
    let mut lanes = Vec::new();
    for (&index, &count) in &turns {
        let Some(lane) = outline.lanes.get(index as usize) else { continue };
        let Some(last) = count.checked_sub(1).and_then(|t| lane.turns.get(t as usize)) else { continue };
        for turn in lane.turns.iter().take(count as usize) {
            usage += turn.usage.unwrap_or_default();
        }
        let site = |call: usize| CallSite { lane: index, turn: count - 1, call: call as u32 };
        let pending = last
            .calls
            .iter()
            .enumerate()
            .map(|(call, asked)| (site(call), asked))
            .filter(|(site, asked)| {
                let Some(result) = &asked.result else { return true };
                let lanes = begun_by.get(site).map(Vec::as_slice).unwrap_or_default();
                !called.contains(site) || !lanes.iter().all(|lane| finished(lane, result.seen_us))
            })
            .map(|(site, _)| site)
            .collect();
        let exchange = last.attempts.last().copied().unwrap_or(ExchangeId(0));
        let answered = u32::from(last.answer_key.is_some());
        let head = Head { exchange, messages: last.messages.saturating_add(answered) };
        lanes.push(LaneState { lane: lane.key.clone(), index, turns: count, head, pending });
    }
    Some(Checkpoint { after_step: step, lanes, bindings: BTreeMap::new(), usage })
}

/// The first checkpoint at or after a step from which that step's lane can send its next request: all results of its
/// last answer are in. None when there is no such step, or when the recording ends before.
pub fn snap(outline: &Outline, step: u32) -> Option<Checkpoint> {
    let lane = match outline.step(step)? {
        StepKind::Model { lane, .. } => lane,
        StepKind::Tool { site } => site.lane,
    };
    let mut cut = checkpoint(outline, step)?;
    let begun_by = children(outline);
    loop {
        let state = cut.lanes.iter().find(|l| l.index == lane)?;
        // What is missing comes with a step of its own: a call, or the last turn of a lane that a call began.
        let missing = |site: &CallSite| {
            let result = outline.call(*site)?.result.as_ref()?;
            let own = outline.number_of(StepKind::Tool { site: *site })?;
            let lanes = begun_by.get(site).map(Vec::as_slice).unwrap_or_default();
            let ends = lanes.iter().filter_map(|lane| {
                let turns = &outline.lanes.get(*lane as usize)?.turns;
                let share = turns.iter().filter(|t| t.ended_us <= result.seen_us).count();
                let turn = share.checked_sub(1)? as u32;
                outline.number_of(StepKind::Model { lane: *lane, turn })
            });
            Some(ends.fold(own, u32::max))
        };
        if state.pending.is_empty() {
            return Some(cut);
        }
        let mut next = cut.after_step;
        for site in &state.pending {
            next = next.max(missing(site)?);
        }
        if next <= cut.after_step {
            return None;
        }
        cut = checkpoint(outline, next)?;
    }
}

/// Lanes by the call that began them, each with all that began under it or goes on after it.
fn children(outline: &Outline) -> HashMap<CallSite, Vec<u32>> {
    let mut all: HashMap<CallSite, Vec<u32>> = HashMap::new();
    for index in 0..outline.lanes.len() as u32 {
        let mut at = index;
        // Origins come before what they began; anything else would be a circle.
        while let Some(lane) = outline.lanes.get(at as usize) {
            if let Some(site) = lane.parent {
                all.entry(site).or_default().push(index);
            }
            match lane.continues.or(lane.parent.map(|site| site.lane)).filter(|up| *up < at) {
                Some(up) => at = up,
                None => break,
            }
        }
    }
    all
}
