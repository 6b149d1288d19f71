//! Two runs of an agent: what differs, where it comes from, and whether a replay of the first would have gone on.

mod judge;
mod order;

use super::findings::{Copes, Finding, Source, grouped};
use super::rehearsal::{Event, Rehearsal, events, question};
use super::translation::Translation;
use crate::dialect::conversation::ModelAnswer;
use crate::dialect::summary;
use crate::exchange::ExchangeId;
use crate::replay::matcher::{Ask, Decision, Matcher, Miss, Options, Recording};
use crate::run::StepKind;
use crate::run::likeness;
use serde::Serialize;
use std::collections::{HashMap, HashSet};

/// What the second run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Second {
    /// Recorded like the first: its model answered anew.
    Recording,
    /// A replay of the first: its answers are the recorded ones. It may have been stopped, as at a fence.
    Replay {
        /// True when it was, or when a request got no answer.
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
        if self.kind != Second::Recording && given.error.is_some() && served.error.is_none() {
            // The replay refused it: what the agent does then is no difference of its own.
            self.skip(lane, turn.saturating_add(1));
            return Ok(());
        }
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

    fn step(&self, (lane, turn): (u32, u32)) -> Option<u32> {
        self.numbers.get(&StepKind::Model { lane, turn }).copied()
    }
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
