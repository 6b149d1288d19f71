//! Two runs of an agent: what differs, where it comes from, and whether a replay of the first would have gone on.

use super::findings::{Copes, Finding, Source, grouped};
use super::holes;
use super::kinds::{Part, ValueKind, parts};
use super::leaves::{Leaf, Place, differences, with_leaf};
use super::rehearsal::{Event, Rehearsal, events, question};
use super::translation::Translation;
use crate::dialect::conversation::{ModelAnswer, Role};
use crate::dialect::summary;
use crate::diff::field;
use crate::exchange::ExchangeId;
use crate::replay::matcher::{Ask, Decision, MatchClass, Matcher, Miss, Options, Recording};
use crate::run::likeness;
use crate::run::reading::readings;
use crate::run::{Outline, StepKind};
use serde::Serialize;
use std::collections::{BTreeSet, HashMap, HashSet};

/// What the second run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Second {
    /// Recorded like the first: its model answered anew.
    Recording,
    /// A replay of the first: its answers are the recorded ones. It may have been stopped, as at a fence.
    Replay {
        /// True when it was.
        stopped: bool,
    },
}

/// What two runs come to, laid side by side.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Comparison {
    /// What differs, by source.
    pub findings: Vec<Finding>,
    /// Model calls of the second run that were compared.
    pub compared: u32,
    /// Of these: the ones in which nothing differs.
    pub same: u32,
    /// Model calls of the second run that follow from another answer and were not compared.
    pub not_compared: u32,
}

impl Comparison {
    /// True when a replay would have gone on to the end.
    pub fn replays(&self) -> bool {
        self.findings.iter().all(|f| f.copes != Copes::No)
    }
}

/// Lays a second run beside the first: its requests are put to a matcher of the first in the order in which they came.
///
/// # Errors
/// A sentence, when a recording cannot be read.
pub fn compare<R: Recording + Clone, S: Recording>(
    first: &R,
    second: &S,
    kind: Second,
    options: &Options,
) -> Result<Comparison, String> {
    let matcher = Matcher::new(first.clone(), options.clone())?;
    let mut pair = Pair {
        first,
        second,
        kind,
        rehearsal: Rehearsal::new(matcher),
        lanes: second.outline().lanes.iter().map(|_| Talk::default()).collect(),
        translation: Translation::default(),
        numbers: first.outline().numbers(),
        findings: Vec::new(),
        met: Vec::new(),
        told: Comparison::default(),
    };
    for event in events(second.outline()) {
        match event {
            Event::Begin { lane, turn } => pair.begin(lane, turn)?,
            Event::End { lane, turn } => pair.end(lane, turn)?,
        }
    }
    pair.order();
    pair.unasked();
    Ok(Comparison { findings: grouped(pair.findings), ..pair.told })
}

/// A lane of the second run.
#[derive(Default)]
struct Talk {
    /// Its place in the first run: lane and turn.
    at: Option<(u32, u32)>,
    /// The first turn that follows from another answer.
    skip_from: Option<u32>,
    /// The request under way.
    open: Option<(Ask, ExchangeId)>,
    /// Differences that were told: they stay in the history.
    told: HashSet<(String, String, String)>,
}

struct Pair<'a, R, S> {
    first: &'a R,
    second: &'a S,
    kind: Second,
    rehearsal: Rehearsal<R>,
    lanes: Vec<Talk>,
    translation: Translation,
    numbers: HashMap<StepKind, u32>,
    findings: Vec<Finding>,
    /// Turns of the first run in the order in which the second asked for them.
    met: Vec<(u32, u32)>,
    told: Comparison,
}

impl<R: Recording + Clone, S: Recording> Pair<'_, R, S> {
    fn begin(&mut self, lane: u32, turn: u32) -> Result<(), String> {
        if self.is_skipped(lane, turn) {
            self.told.not_compared += 1;
            return Ok(());
        }
        let mut ask = question(self.second, lane, turn)?;
        ask.request = self.translation.of(lane, &ask.request);
        let decision = self.rehearsal.would(&ask);
        let place = match &decision {
            Some(Decision::Serve { lane, turn, .. }) => Some((*lane, *turn)),
            Some(Decision::Miss { miss, .. }) => self.meant(lane, miss),
            Some(Decision::Live { .. }) | None => None,
        };
        self.told.compared += 1;
        let before = self.findings.len();
        let Some(place) = place else {
            self.findings.push(self.unknown(decision.as_ref(), &ask));
            self.skip(lane, turn);
            return Ok(());
        };
        let recorded = question(self.first, place.0, place.1)?;
        let known = self.judge(lane, place, &recorded, &ask, decision.as_ref());
        if self.findings.len() == before && !known {
            self.told.same += 1;
        }
        let accepted = matches!(decision, Some(Decision::Serve { .. }));
        let asked = if accepted { ask } else { Ask { context: ask.context.clone(), ..recorded } };
        let id = self.rehearsal.ask(&asked);
        self.met.push(place);
        if let Some(talk) = self.lanes.get_mut(lane as usize) {
            talk.at = Some(place);
            talk.open = Some((asked, id));
        }
        Ok(())
    }

    fn end(&mut self, lane: u32, turn: u32) -> Result<(), String> {
        let Some((ask, id)) = self.lanes.get_mut(lane as usize).and_then(|t| t.open.take()) else {
            return Ok(());
        };
        let Some((id, Decision::Serve { lane: l, turn: t, rewrite, .. })) = self.rehearsal.decided(&ask, id)
        else {
            // What it stands for is taken: nothing that follows can be placed.
            self.skip(lane, turn.saturating_add(1));
            return Ok(());
        };
        let mut served = self.first.answer(l, t)?.as_ref().clone();
        if !rewrite.is_empty() {
            served = rewrite.answer(&served);
            self.rehearsal.matcher().served_as(id, &served);
        }
        self.rehearsal.delivered(id);
        let given = self.second.answer(lane, turn).unwrap_or_default();
        if self.kind == Second::Recording {
            if likeness::shape_key(&served) != likeness::shape_key(&given) {
                self.sampled((l, t), &served, &given);
            }
            let calls = |a: &ModelAnswer| {
                a.tool_calls().map(|(_, name, args)| (name.to_string(), args.clone())).collect::<Vec<_>>()
            };
            if calls(&served) != calls(&given) {
                self.skip(lane, turn.saturating_add(1));
            }
        }
        self.translation.note(lane, &given, &served);
        Ok(())
    }

    /// True for a turn that follows from an answer that the first run does not have.
    fn is_skipped(&mut self, lane: u32, turn: u32) -> bool {
        let outline = self.second.outline();
        let from = |talk: Option<&Talk>| talk.and_then(|t| t.skip_from);
        if turn == 0
            && let Some(own) = outline.lanes.get(lane as usize)
        {
            let by_call = own.parent.is_some_and(|site| {
                from(self.lanes.get(site.lane as usize)).is_some_and(|first| site.turn + 1 >= first)
            });
            let by_lane = own.continues.is_some_and(|old| from(self.lanes.get(old as usize)).is_some());
            let by_guess = own.parent_unknown && self.lanes.iter().any(|t| t.skip_from.is_some());
            if by_call || by_lane || by_guess {
                self.skip(lane, 0);
            }
        }
        from(self.lanes.get(lane as usize)).is_some_and(|first| first <= turn)
    }

    fn skip(&mut self, lane: u32, turn: u32) {
        if let Some(talk) = self.lanes.get_mut(lane as usize) {
            talk.skip_from = Some(talk.skip_from.map_or(turn, |first| first.min(turn)));
        }
    }

    /// The recorded turn that a refused request stands for.
    fn meant(&self, lane: u32, miss: &Miss) -> Option<(u32, u32)> {
        let outline = self.first.outline();
        if let Some((lane, turn)) = self.lanes.get(lane as usize).and_then(|t| t.at) {
            return outline.turn(lane, turn.checked_add(1)?).map(|_| (lane, turn + 1));
        }
        let free = |place: &(u32, u32)| !self.met.contains(place);
        let mut near = miss.nearest.iter().filter_map(|near| {
            let lane = outline.lanes.iter().position(|l| l.key == near.lane)? as u32;
            outline.turn(lane, near.turn).map(|_| (lane, near.turn))
        });
        near.find(free)
    }

    /// Tells every leaf that differs, and whether a replay copes with it alone. True when there are some that were told
    /// before.
    fn judge(
        &mut self,
        lane: u32,
        place: (u32, u32),
        recorded: &Ask,
        live: &Ask,
        decision: Option<&Decision>,
    ) -> bool {
        let step = self.step(place);
        let leaves = match differences(&recorded.request, &live.request) {
            Ok(leaves) => leaves,
            Err((recorded, live)) => {
                let why = reason(decision);
                let copes = if why.is_some() { Copes::No } else { Copes::Matched };
                self.findings.push(Finding { why, copes, ..other(step, "messages", &recorded, &live) });
                return false;
            }
        };
        let mut known = false;
        let mut explained = !matches!(decision, Some(Decision::Miss { .. }));
        for leaf in leaves {
            let fits = match decision {
                Some(Decision::Serve { class, pins, .. }) => {
                    Some((*class, pins.iter().any(|p| stands(&leaf, p.message, p.block))))
                }
                _ => {
                    let request = with_leaf(&recorded.request, &live.request, &leaf.place);
                    match self.rehearsal.would(&Ask {
                        context: live.context.clone(),
                        request,
                        ..recorded.clone()
                    }) {
                        Some(Decision::Serve { class, pins, .. }) => Some((class, !pins.is_empty())),
                        _ => None,
                    }
                }
            };
            let told = (leaf.path.clone(), leaf.recorded.clone(), leaf.live.clone());
            let fresh = self.lanes.get_mut(lane as usize).is_some_and(|t| t.told.insert(told));
            explained |= fits.is_none();
            known |= !fresh;
            if fresh {
                let copes = match fits {
                    None => Copes::No,
                    Some((_, true)) => Copes::Pinned,
                    Some((MatchClass::Renamed, _)) => Copes::Renamed,
                    Some((MatchClass::Masked, _)) => Copes::Masked,
                    Some((MatchClass::Reordered, _)) => Copes::Reordered,
                    Some((MatchClass::Pinned, _)) if leaf.is_result => Copes::Pinned,
                    Some(_) => Copes::Matched,
                };
                let why = (copes == Copes::No).then(|| reason(decision)).flatten();
                self.tell(place, recorded, leaf, copes, why);
            }
        }
        if !explained {
            // Each alone would do, not all of them at once: one name for two values, or lanes that are tied.
            let mut finding = other(step, "", "", "");
            if let Some(Decision::Miss { miss, .. }) = decision {
                finding.why = Some(miss.reason.clone());
                if let Some(near) = miss.nearest.first() {
                    finding.path = near.path.clone();
                    (finding.recorded, finding.live) = (near.recorded.clone(), near.live.clone());
                }
            }
            self.findings.push(finding);
        }
        if self.result_order(place, recorded, live) {
            known = true;
        }
        known
    }

    fn tell(&mut self, place: (u32, u32), recorded: &Ask, leaf: Leaf, copes: Copes, why: Option<String>) {
        let step = self.step(place);
        let no = copes == Copes::No;
        if leaf.is_result {
            return self.result(place, recorded, &leaf, copes, why);
        }
        let prompt = matches!(leaf.role, Some(Role::System | Role::User))
            && matches!(leaf.place, Place::System | Place::Block { recorded: (_, 0..usize::MAX), .. });
        if !prompt {
            let mut finding = Finding { copes, why, ..other(step, &leaf.path, &leaf.recorded, &leaf.live) };
            finding.paste = (no && matches!(leaf.place, Place::Param(_))).then(|| holes::ignore(&leaf.path));
            return self.findings.push(finding);
        }
        for part in parts(&leaf.recorded, &leaf.live) {
            let paste =
                no.then(|| holes::hole(&part).unwrap_or_else(|| holes::ignore_part(&leaf.path, &part)));
            self.findings.push(Finding {
                source: Source::Prompt,
                kind: Some(part.kind),
                steps: step.into_iter().collect(),
                tool: None,
                path: leaf.path.clone(),
                recorded: around(&part, &part.recorded),
                live: around(&part, &part.live),
                copes,
                why: why.clone(),
                paste,
            });
        }
    }

    fn result(&mut self, place: (u32, u32), recorded: &Ask, leaf: &Leaf, copes: Copes, why: Option<String>) {
        let call = self.call_of(place, recorded, leaf);
        let (step, tool) = call.unwrap_or((self.step(place), None));
        for change in field::texts(&leaf.recorded, &leaf.live) {
            let (l, r) = (change.left.unwrap_or_default(), change.right.unwrap_or_default());
            let name = change.path.rsplit(['.', ']']).next().unwrap_or_default();
            let all: Vec<Part> = parts(l.trim_matches('"'), r.trim_matches('"'))
                .into_iter()
                .map(|p| Part {
                    before: if p.before.is_empty() { format!("{name}: ") } else { p.before },
                    ..p
                })
                .collect();
            let kind = match all.as_slice() {
                [part] => super::kinds::kind_of(&part.recorded, &part.live, &part.before, &part.behind),
                _ => ValueKind::Other,
            };
            let paste = (copes == Copes::No).then(|| {
                // In a field of JSON the name stands in quotes; the value's own shape is what can be told.
                let rule =
                    all.first().filter(|_| all.len() == 1 && change.path.is_empty()).and_then(holes::hole);
                rule.unwrap_or_else(|| holes::ignore(&leaf.path))
            });
            self.findings.push(Finding {
                source: Source::ToolResult,
                kind: Some(kind),
                steps: step.into_iter().collect(),
                tool: tool.clone(),
                path: change.path,
                recorded: l,
                live: r,
                copes,
                why: why.clone(),
                paste,
            });
        }
    }

    /// The step and the name of the tool whose result stands at a leaf.
    fn call_of(
        &self,
        (lane, turn): (u32, u32),
        recorded: &Ask,
        leaf: &Leaf,
    ) -> Option<(Option<u32>, Option<String>)> {
        let Place::Block { recorded: (message, block), .. } = leaf.place else { return None };
        let there = readings(&recorded.request.messages);
        let answers = there
            .iter()
            .flat_map(|r| &r.pieces)
            .find(|p| (p.message, p.index) == (message, block))?
            .answers?;
        let outline: &Outline = self.first.outline();
        let turns = &outline.lanes.get(lane as usize)?.turns;
        // The last turn before this one that was asked with fewer messages than stand before the result.
        let of = (0..turn)
            .rev()
            .find(|t| turns.get(*t as usize).is_some_and(|t| t.messages as usize <= message))?;
        let site = crate::run::CallSite { lane, turn: of, call: answers as u32 };
        let call = outline.call(site)?;
        Some((self.numbers.get(&StepKind::Tool { site }).copied(), Some(call.name.clone())))
    }

    fn sampled(&mut self, place: (u32, u32), served: &ModelAnswer, given: &ModelAnswer) {
        let line = |answer: &ModelAnswer| match &answer.error {
            Some(error) => format!("failed: {error}"),
            None => summary::answer_line(&answer.blocks, usize::MAX),
        };
        self.findings.push(Finding {
            source: Source::Sampling,
            kind: None,
            steps: self.step(place).into_iter().collect(),
            tool: None,
            path: String::new(),
            recorded: line(served),
            live: line(given),
            copes: Copes::Recorded,
            why: None,
            paste: None,
        });
    }

    /// A request that stands for no recorded turn.
    fn unknown(&self, decision: Option<&Decision>, ask: &Ask) -> Finding {
        let last = ask.request.messages.last().map(|m| summary::message_line(&m.blocks, usize::MAX));
        let why = match decision {
            Some(Decision::Miss { miss, .. }) => Some(miss.reason.clone()),
            _ => None,
        };
        Finding { why, ..other(None, "", "", &last.unwrap_or_default()) }
    }

    /// Results of one message in another order. True when they are.
    fn result_order(&mut self, place: (u32, u32), recorded: &Ask, live: &Ask) -> bool {
        let order = |ask: &Ask| -> Vec<usize> {
            let there = readings(&ask.request.messages);
            let Some(last) = there.last() else { return Vec::new() };
            let mut placed: Vec<(usize, usize, usize)> =
                last.pieces.iter().filter_map(|p| Some((p.message, p.index, p.answers?))).collect();
            placed.sort_unstable();
            placed.into_iter().map(|(_, _, call)| call).collect()
        };
        let (a, b) = (order(recorded), order(live));
        if a == b || a.len() != b.len() {
            return false;
        }
        let of = place.1.checked_sub(1);
        let steps = |calls: &[usize]| -> Vec<u32> {
            let site =
                |call: &usize| Some(crate::run::CallSite { lane: place.0, turn: of?, call: *call as u32 });
            calls
                .iter()
                .filter_map(|c| self.numbers.get(&StepKind::Tool { site: site(c)? }).copied())
                .collect()
        };
        let (a, b) = (steps(&a), steps(&b));
        self.findings.push(in_order("results", &a, &b));
        true
    }

    /// Calls of several lanes in another order.
    fn order(&mut self) {
        let met: BTreeSet<(u32, u32)> = self.met.iter().copied().collect();
        let then: Vec<(u32, u32)> = events(self.first.outline())
            .into_iter()
            .filter_map(|event| match event {
                Event::Begin { lane, turn } => Some((lane, turn)),
                Event::End { .. } => None,
            })
            .filter(|place| met.contains(place))
            .collect();
        if then == self.met {
            return;
        }
        let steps = |places: &[(u32, u32)]| places.iter().filter_map(|p| self.step(*p)).collect::<Vec<u32>>();
        let (a, b) = (steps(&then), steps(&self.met));
        let head = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
        let tail = a
            .iter()
            .rev()
            .zip(b.iter().rev())
            .take(a.len().min(b.len()) - head)
            .take_while(|(x, y)| x == y)
            .count();
        let middle = |all: &[u32]| all.get(head..all.len() - tail).unwrap_or_default().to_vec();
        if a.len() == b.len() {
            self.findings.push(in_order("model calls", &middle(&a), &middle(&b)));
        }
    }

    /// Steps of the first run that the second did not ask for.
    fn unasked(&mut self) {
        let follows = self.lanes.iter().any(|t| t.skip_from.is_some());
        if follows || self.kind == (Second::Replay { stopped: true }) {
            return;
        }
        let outline = self.first.outline();
        let mut steps: Vec<u32> = Vec::new();
        for (lane, l) in (0..).zip(&outline.lanes) {
            let turns = (0..l.turns.len() as u32).map(|turn| (lane, turn));
            steps
                .extend(turns.filter(|place| !self.met.contains(place)).filter_map(|place| self.step(place)));
        }
        steps.sort_unstable();
        let Some(first) = steps.first().and_then(|n| outline.step(*n)) else { return };
        let StepKind::Model { lane, turn } = first else { return };
        let said = self
            .first
            .answer(lane, turn)
            .map(|a| summary::answer_line(&a.blocks, usize::MAX))
            .unwrap_or_default();
        let why = Some("the agent did not ask for it again".to_string());
        self.findings.push(Finding { steps, why, ..other(None, "", &said, "") });
    }

    fn step(&self, (lane, turn): (u32, u32)) -> Option<u32> {
        self.numbers.get(&StepKind::Model { lane, turn }).copied()
    }
}

/// True when a pin is for this leaf.
fn stands(leaf: &Leaf, message: usize, block: usize) -> bool {
    matches!(leaf.place, Place::Block { live, .. } if live == (message, block))
}

fn reason(decision: Option<&Decision>) -> Option<String> {
    match decision {
        Some(Decision::Miss { miss, .. }) => Some(
            miss.nearest
                .first()
                .filter(|n| !n.path.is_empty())
                .map_or(miss.reason.clone(), |n| n.why.clone()),
        ),
        _ => None,
    }
}

fn other(step: Option<u32>, path: &str, recorded: &str, live: &str) -> Finding {
    Finding {
        source: Source::Request,
        kind: None,
        steps: step.into_iter().collect(),
        tool: None,
        path: path.to_string(),
        recorded: recorded.to_string(),
        live: live.to_string(),
        copes: Copes::No,
        why: None,
        paste: None,
    }
}

fn in_order(what: &str, recorded: &[u32], live: &[u32]) -> Finding {
    let listed = |steps: &[u32]| steps.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
    let mut steps = recorded.to_vec();
    steps.sort_unstable();
    Finding {
        source: Source::Order,
        steps,
        path: what.to_string(),
        copes: Copes::Matched,
        ..other(None, "", &listed(recorded), &listed(live))
    }
}

/// A value with the words around it.
fn around(part: &Part, value: &str) -> String {
    let before: Vec<char> = part.before.chars().rev().take(24).collect();
    let cut = if before.len() < part.before.chars().count() { "…" } else { "" };
    let before: String = before.into_iter().rev().collect();
    format!("{cut}{before}{value}")
}
