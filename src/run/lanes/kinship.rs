//! Whose child a lane is, and which lane it goes on after.

use super::ModelCall;
use super::placing::{LaneBuilder, OpenLane};
use crate::dialect::conversation::ModelAnswer;
use crate::run::likeness::Key;
use crate::run::outline::{CallSite, LaneKind};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Shortest argument that can be the prompt a child begins with, and shortest that can stand somewhere inside it.
const PROMPT: usize = 8;
const INNER_PROMPT: usize = 24;
/// A call can begin lanes until its own lane is this many turns further (tools that work in the background).
const OPEN_TURNS: u32 = 2;

/// A call that may begin a lane.
struct Offer {
    site: CallSite,
    prompts: Vec<String>,
    asked_us: u64,
    begun_us: u64,
}

/// Calls on one side, lanes that may be theirs on the other, and what joins say.
#[derive(Default)]
pub(super) struct Claims {
    offers: Vec<Offer>,
    /// The calls that fit a lane.
    possible: BTreeMap<u32, Vec<CallSite>>,
    /// Lanes that fit a call, so that a join looks at these alone.
    wanted: HashMap<CallSite, Vec<u32>>,
    /// Calls whose result has come, and when.
    resulted: HashMap<CallSite, u64>,
    /// Pairs of call and lane where the result carried the lane's last answer.
    joined: HashSet<(CallSite, u32)>,
}

impl Claims {
    /// Notes the calls of an answer.
    pub fn offer(&mut self, lane: u32, turn: u32, answer: &ModelAnswer, call: &ModelCall<'_>) {
        let ends = answer.tool_calls().next().is_none();
        let resulted = &self.resulted;
        self.offers.retain(|o| {
            let over =
                o.site.turn.saturating_add(OPEN_TURNS) <= turn || (ends && resulted.contains_key(&o.site));
            o.site.lane != lane || !over
        });
        for (index, (_, _, args)) in answer.tool_calls().enumerate() {
            let mut prompts = Vec::new();
            strings(args, &mut prompts);
            if !prompts.is_empty() {
                let site = CallSite { lane, turn, call: index as u32 };
                self.offers.push(Offer { site, prompts, asked_us: call.ended_us, begun_us: call.started_us });
            }
        }
    }

    /// Notes which calls may have begun this lane. Asked again for a retry: identical siblings that fail have each
    /// other's attempts, so that only the last attempt says who it is.
    pub fn begin(&mut self, lane: u32, texts: &[&str], call: &ModelCall<'_>, lanes: &[OpenLane]) {
        let fits = |how: &dyn Fn(&str, &str) -> bool| -> Vec<&Offer> {
            let fit = |o: &&Offer| o.prompts.iter().any(|p| texts.iter().any(|t| how(t, p)));
            self.offers.iter().filter(fit).collect()
        };
        let mut found = fits(&|text, prompt| text.trim_start().starts_with(prompt));
        if found.is_empty() {
            found = fits(&|text, prompt| prompt.len() >= INNER_PROMPT && text.contains(prompt));
        }
        // The last frame of an answer can be noted a moment after the agent has acted on it.
        let strict: Vec<&Offer> = found.iter().copied().filter(|o| o.asked_us <= call.started_us).collect();
        if strict.is_empty() {
            found.retain(|o| o.begun_us < call.started_us);
        } else {
            found = strict;
        }
        let agent_of = |o: &Offer| lanes.get(o.site.lane as usize).and_then(|l| l.agent_id.as_deref());
        if let Some(parent) = call.context.parent_agent_id.as_deref()
            && lanes.iter().any(|l| l.agent_id.as_deref() == Some(parent))
        {
            found.retain(|o| agent_of(o) == Some(parent));
        }
        for site in found.iter().map(|o| o.site) {
            let known = self.possible.entry(lane).or_default();
            if !known.contains(&site) {
                known.push(site);
                self.wanted.entry(site).or_default().push(lane);
            }
        }
    }

    /// Notes a call's result: which of the lanes that fit it have their last answer in it.
    pub fn join(&mut self, site: CallSite, text: &str, seen_us: u64, lanes: &[OpenLane]) {
        if self.resulted.contains_key(&site) {
            return;
        }
        self.resulted.insert(site, seen_us);
        for &lane in self.wanted.get(&site).into_iter().flatten() {
            let last = tail(lane, lanes).map(|l| l.last_text.trim()).unwrap_or_default();
            if !last.is_empty() && text.contains(last) {
                self.joined.insert((site, lane));
            }
        }
    }
}

/// The last lane of a chain of continuations and of steps back.
fn tail(mut lane: u32, lanes: &[OpenLane]) -> Option<&OpenLane> {
    let mut open = lanes.get(lane as usize)?;
    // A continuation begins after what it continues, so this walk only goes forward.
    while let Some(next) = open.continued_by.max(open.rewound_by).filter(|next| *next > lane) {
        lane = next;
        open = lanes.get(lane as usize)?;
    }
    Some(open)
}

fn strings(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::String(s) if s.trim().len() >= PROMPT => out.push(s.trim().to_string()),
        Value::Array(items) => items.iter().for_each(|v| strings(v, out)),
        Value::Object(fields) => fields.values().for_each(|v| strings(v, out)),
        _ => {}
    }
}

/// Calls beside the agent's own conversations (titles, summaries for a status line): one turn, no tools on offer though
/// other conversations have some, and an answer that nothing quotes.
pub(super) fn tell_side_calls(builder: &mut LaneBuilder) {
    if !builder.lanes.iter().any(|l| l.has_tools) {
        return;
    }
    for (index, open) in builder.lanes.iter_mut().enumerate() {
        let lane = &mut open.lane;
        let alone = lane.kind == LaneKind::Root
            && lane.named.is_none()
            && open.continued_by.max(open.rewound_by).is_none();
        let [turn] = lane.turns.as_slice() else { continue };
        let answered = turn.error.is_none() && turn.calls.is_empty() && !open.last_text.trim().is_empty();
        if alone && answered && !open.has_tools && !builder.heard.contains(&(index as u32)) {
            lane.kind = LaneKind::Side;
        }
    }
}

/// The lane that a new one goes on after, its history replaced by a summary: the new lane quotes an answer S that was
/// asked about the old lane (or by it), and begins like the old one.
pub(super) fn continued(
    new: &OpenLane,
    first_text: Option<&str>,
    quotes: &BTreeMap<u32, usize>,
    lanes: &[OpenLane],
) -> Option<u32> {
    let text = first_text?;
    let begins_like = |old: &OpenLane| {
        let first = old.first_text.trim();
        old.continued_by.is_none()
            && first.len() >= PROMPT
            && old.head == new.head
            && old.path == new.path
            && text.trim_start().starts_with(first)
    };
    let mut best: Option<(usize, u32)> = None;
    for &quoted in quotes.keys() {
        let Some(summary) = lanes.get(quoted as usize) else { continue };
        // Either the summary was asked for inside the old lane, or in a lane of its own that quotes the old one.
        let own = (summary.lane.turns.len() > 1).then_some(quoted);
        for old in own.into_iter().chain(summary.quotes.iter().copied()) {
            if !lanes.get(old as usize).is_some_and(begins_like) {
                continue;
            }
            let weight = quotes.get(&old).copied().unwrap_or_default();
            if best.is_none_or(|(w, l)| (weight, old) > (w, l)) {
                best = Some((weight, old));
            }
        }
    }
    best.map(|b| b.1)
}

/// Clients that do not number their retries: a lane of one failed turn, and the next lane that begins with the same
/// request after it, are attempts of one turn.
pub(super) fn merge_undeclared_retries(builder: &mut LaneBuilder) {
    if builder.retries_are_declared {
        return;
    }
    let mut gone: HashMap<u32, u32> = HashMap::new();
    let mut heirs: HashSet<u32> = HashSet::new();
    let mut later: HashMap<Key, Vec<u32>> = HashMap::new();
    for (index, open) in builder.lanes.iter().enumerate() {
        later.entry(open.first_key).or_default().push(index as u32);
    }
    for (index, open) in builder.lanes.iter().enumerate() {
        let [turn] = open.lane.turns.as_slice() else { continue };
        if turn.error.is_none() {
            continue;
        }
        let next = later.get(&open.first_key).into_iter().flatten().copied().find(|&other| {
            other > index as u32
                && !heirs.contains(&other)
                && builder.lanes.get(other as usize).is_some_and(|l| {
                    l.path == open.path
                        && l.agent_id == open.agent_id
                        && l.lane.turns.first().is_some_and(|t| t.started_us >= turn.ended_us)
                })
        });
        if let Some(next) = next {
            heirs.insert(next);
            gone.insert(index as u32, next);
        }
    }
    if gone.is_empty() {
        return;
    }
    let mut merged: Vec<u32> = gone.keys().copied().collect();
    merged.sort_unstable();
    for index in merged {
        let Some(&next) = gone.get(&index) else { continue };
        let first = builder.lanes.get(index as usize).and_then(|l| l.lane.turns.first());
        let Some((earlier, start)) = first.map(|t| (t.attempts.clone(), t.started_us)) else { continue };
        if let Some(turn) = builder.lanes.get_mut(next as usize).and_then(|l| l.lane.turns.first_mut()) {
            turn.attempts.splice(0..0, earlier);
            if turn.took_us().is_none() {
                turn.ended_us = start;
            }
            turn.started_us = start;
        }
    }
    renumber(builder, &gone);
}

/// Drops lanes and closes the gaps in every place that names a lane.
fn renumber(builder: &mut LaneBuilder, gone: &HashMap<u32, u32>) {
    let survivor = |mut lane: u32| {
        while let Some(next) = gone.get(&lane) {
            lane = *next;
        }
        lane
    };
    // The merged lane stands where its first attempt stood.
    let mut order: Vec<(u32, u32)> = Vec::new();
    let mut placed = HashSet::new();
    for old in 0..builder.lanes.len() as u32 {
        let kept = survivor(old);
        if placed.insert(kept) {
            order.push((kept, order.len() as u32));
        }
    }
    let new_of: HashMap<u32, u32> = order.iter().copied().collect();
    let renamed = |lane: u32| new_of.get(&survivor(lane)).copied().unwrap_or(lane);
    let site = |s: CallSite| CallSite { lane: renamed(s.lane), ..s };
    let mut lanes: Vec<Option<OpenLane>> = std::mem::take(&mut builder.lanes).into_iter().map(Some).collect();
    for (kept, _) in &order {
        if let Some(mut open) = lanes.get_mut(*kept as usize).and_then(Option::take) {
            open.lane.continues = open.lane.continues.map(renamed);
            open.lane.rewinds = open.lane.rewinds.map(renamed);
            open.continued_by = open.continued_by.map(renamed);
            open.rewound_by = open.rewound_by.map(renamed);
            builder.lanes.push(open);
        }
    }
    let claims = std::mem::take(&mut builder.claims);
    let survives = |lane: &u32| !gone.contains_key(lane);
    builder.claims.possible = claims
        .possible
        .into_iter()
        .filter(|(lane, _)| survives(lane))
        .map(|(lane, sites)| (renamed(lane), sites.into_iter().map(site).collect()))
        .collect();
    builder.claims.resulted = claims.resulted.into_iter().map(|(s, at)| (site(s), at)).collect();
    builder.claims.joined = claims
        .joined
        .into_iter()
        .filter(|(_, lane)| survives(lane))
        .map(|(s, lane)| (site(s), renamed(lane)))
        .collect();
}

/// How well a call fits a lane.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Evidence {
    /// The result carried the lane's last answer.
    Joined,
    /// No result came, or it came before the lane ended.
    Unproven,
}

/// Gives each lane its call: one call begins one lane; joins first, then what nothing speaks against.
pub(super) fn settle_parents(builder: &mut LaneBuilder) {
    let LaneBuilder { lanes, claims, .. } = builder;
    let evidence = |site: CallSite, lane: u32| -> Option<Evidence> {
        if claims.joined.contains(&(site, lane)) {
            return Some(Evidence::Joined);
        }
        let open = lanes.get(lane as usize)?;
        let ended = tail(lane, lanes).and_then(|l| l.lane.turns.last()).map_or(0, |t| t.ended_us);
        match claims.resulted.get(&site) {
            // Background work: the result came before the lane was done, so it proves nothing.
            Some(at) if *at >= ended => None,
            _ => open.has_tools.then_some(Evidence::Unproven),
        }
    };
    let mut edges: BTreeMap<u32, Vec<(Evidence, CallSite)>> = BTreeMap::new();
    for (&lane, sites) in &claims.possible {
        let mut fitting: Vec<_> = sites.iter().filter_map(|s| evidence(*s, lane).map(|e| (e, *s))).collect();
        fitting.sort_unstable();
        edges.insert(lane, fitting);
    }
    let mut taken: HashMap<CallSite, u32> = HashMap::new();
    let mut settled: HashSet<u32> = HashSet::new();
    for weakest in [Evidence::Joined, Evidence::Unproven] {
        for &lane in edges.keys() {
            if !settled.contains(&lane) && augment(lane, weakest, &edges, &mut taken, &mut HashSet::new()) {
                settled.insert(lane);
            }
        }
    }
    let site_of: HashMap<u32, CallSite> = taken.iter().map(|(site, lane)| (*lane, *site)).collect();
    let begins_unproven: HashSet<CallSite> = taken
        .iter()
        .filter(|(site, lane)| !claims.joined.contains(&(**site, **lane)))
        .map(|(site, _)| *site)
        .collect();
    for (&lane, fitting) in &edges {
        let parent = site_of.get(&lane).copied();
        // Nothing tells this lane's call from one of another message that is as free: better unknown than wrong.
        let doubtful = parent.is_some_and(|site| {
            begins_unproven.contains(&site)
                && fitting.iter().any(|(e, other)| {
                    *e == Evidence::Unproven
                        && (other.lane, other.turn) != (site.lane, site.turn)
                        && taken.get(other).is_none_or(|_| begins_unproven.contains(other))
                })
        });
        let Some(open) = lanes.get_mut(lane as usize) else { continue };
        if parent.is_some() && !doubtful {
            open.lane.parent = parent;
            open.lane.kind = LaneKind::Child;
        } else if open.has_tools {
            open.lane.parent_unknown = true;
            open.lane.kind = LaneKind::Child;
        }
    }
    for open in lanes.iter_mut().filter(|o| o.lane.continues.is_some()) {
        open.lane.kind = LaneKind::Continuation;
    }
}

/// Kuhn's augmenting path: finds the lane a call, moving others aside where they have another of their own.
fn augment(
    lane: u32,
    weakest: Evidence,
    edges: &BTreeMap<u32, Vec<(Evidence, CallSite)>>,
    taken: &mut HashMap<CallSite, u32>,
    tried: &mut HashSet<CallSite>,
) -> bool {
    for &(evidence, site) in edges.get(&lane).into_iter().flatten() {
        if evidence > weakest || !tried.insert(site) {
            continue;
        }
        let free = match taken.get(&site).copied() {
            None => true,
            Some(holder) => augment(holder, weakest, edges, taken, tried),
        };
        if free {
            taken.insert(site, lane);
            return true;
        }
    }
    false
}
