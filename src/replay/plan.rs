//! What comes from where in a fork: which turns an edit touches, and what goes upstream in place of what the agent sent.

mod answer;
mod reach;
mod signed;

use crate::dialect::conversation::{Block, ModelRequest, Role};
use crate::dialect::{Dialect, EditError, RequestEdit};
use crate::replay::matcher::{Pin, Recording};
use crate::replay::recording::RecordedRun;
use crate::run::edit::{Change, Edit, EditProblem, FaultKind, Field, Scope, result_sites};
use crate::run::reading::readings;
use crate::run::spelling::nearest;
use crate::run::{CallSite, Outline, StepKind};
use answer::edited_answer;
use bytes::Bytes;
use serde_json::Value;
use signed::signed_blocks;
use std::collections::{BTreeMap, BTreeSet, HashMap};

pub(super) use signed::reasoning_blocks;

/// The edits of a fork, worked out against its parent.
#[derive(Debug, Default)]
pub struct Plan {
    /// New texts of tool results, by the place of the call.
    results: BTreeMap<CallSite, String>,
    /// New answers, by lane and turn.
    answers: HashMap<(u32, u32), Vec<Block>>,
    /// New texts of user messages: lane, first turn that carries it, index of the message, text.
    prompts: Vec<(u32, u32, usize, String)>,
    /// Injected faults, by lane and turn.
    faults: HashMap<(u32, u32), FaultKind>,
    /// Edits of the request itself: system, tools, model, other fields.
    requests: Vec<Edit>,
    /// The first turn of each lane that cannot come from the recording.
    dirty: BTreeMap<u32, u32>,
    /// Turns whose request alone is changed: when the answer is the recorded one all the same, the lane goes on as recorded.
    alone: BTreeSet<(u32, u32)>,
    /// The last step that is shared with the parent.
    pub at_step: u32,
    /// Step numbers of turns.
    steps: HashMap<(u32, u32), u32>,
}

/// A request that is to go upstream.
pub struct LiveTurn<'a> {
    /// Lane and turn.
    pub place: (u32, u32),
    /// As the agent sent it, in normal form.
    pub request: &'a ModelRequest,
    /// The same, as (decoded) bytes, and the path and query it came under.
    pub body: &'a [u8],
    pub target: &'a str,
    /// Tool results of recorded calls that came out differently.
    pub pins: &'a [Pin],
    /// A recorded text with today's names and directories.
    pub today: &'a dyn Fn(&str) -> String,
    /// The edits of the parent, where that is a fork itself.
    pub inherited: Vec<RequestEdit>,
}

/// A request as it goes upstream.
#[derive(Debug)]
pub struct Outgoing {
    /// The body; none when it goes as the agent sent it.
    pub body: Option<Bytes>,
    /// Path and query; none when they are those of the agent's request.
    pub target: Option<String>,
    /// What had to be dropped so that the provider takes it, one line each.
    pub dropped: Vec<String>,
    /// The calls whose edited results are in it.
    pub results: Vec<CallSite>,
}

impl Plan {
    /// Works out edits against a recording. With `at`, everything after that step is asked again, edited or not.
    ///
    /// # Errors
    /// [`EditProblem`] for the first edit that cannot apply.
    pub fn new(recording: &RecordedRun, edits: &[Edit], at: Option<u32>) -> Result<Plan, EditProblem> {
        let outline = recording.outline();
        let mut plan = Plan { steps: step_numbers(outline), ..Plan::default() };
        for edit in edits {
            edit.check(outline)?;
            plan.add(recording, edit)?;
        }
        let first = edits.iter().map(|e| e.scope.first()).min();
        plan.at_step = at.or(first).unwrap_or_default();
        let asks = |step: &u32| plan.steps.values().any(|model| model == step);
        if let (Some(at), Some(first)) = (at, first)
            && first < at
            && (first..=at).any(|step| asks(&step))
        {
            let edit = edits.iter().find(|e| e.scope.first() == first).map_or("", |e| e.text.as_str());
            let why = format!(
                "step {first} comes before the checkpoint at step {at}: steps 1 to {at} are taken from the recording as \
                 they are. Leave --at out: an edit is forked from where it applies"
            );
            return Err(EditProblem { edit: edit.to_string(), why });
        }
        if let Some(after) = at {
            for (&(lane, turn), &step) in &plan.steps {
                if step > after {
                    let first = plan.dirty.entry(lane).or_insert(turn);
                    *first = turn.min(*first);
                }
            }
            for (index, lane) in outline.lanes.iter().enumerate() {
                plan.dirty.entry(index as u32).or_insert(lane.turns.len() as u32);
            }
        }
        Ok(plan)
    }

    fn add(&mut self, recording: &RecordedRun, edit: &Edit) -> Result<(), EditProblem> {
        let outline = recording.outline();
        let problem = |why: String| EditProblem { edit: edit.text.clone(), why };
        match &edit.field {
            Field::Result(_) => self.add_results(recording, edit),
            Field::Answer => {
                let (lane, turn) =
                    model_at(outline, edit.scope).ok_or_else(|| problem("no such step".into()))?;
                let answer = recording.answer(lane, turn).map_err(problem)?;
                let blocks = edited_answer(edit, &answer, edit.scope.first())?;
                self.answers.insert((lane, turn), blocks);
                self.soil(lane, turn + 1);
                Ok(())
            }
            Field::Prompt => {
                let (lane, turn) =
                    model_at(outline, edit.scope).ok_or_else(|| problem("no such step".into()))?;
                let request = recording.request(lane, turn).map_err(problem)?;
                let message = request
                    .messages
                    .iter()
                    .rposition(|m| {
                        m.role == Role::User && m.blocks.iter().any(|b| matches!(b, Block::Text { .. }))
                    })
                    .ok_or_else(|| problem("this request has no user message with text".into()))?;
                let text = edit.apply(&request.messages[message].text())?;
                self.prompts.push((lane, turn, message, text));
                self.soil(lane, turn);
                Ok(())
            }
            Field::Fault => {
                let kind = edit.fault().map_err(problem)?;
                let places: Vec<(u32, u32)> = self.covered(edit.scope).collect();
                self.faults.extend(places.into_iter().map(|place| (place, kind)));
                Ok(())
            }
            Field::System | Field::ToolClasses | Field::Param(_) => {
                if let (Field::ToolClasses, Change::Remove(Value::String(name))) = (&edit.field, &edit.change)
                {
                    let offered: Vec<String> = self
                        .covered(edit.scope)
                        .filter_map(|(lane, turn)| recording.request(lane, turn).ok())
                        .flat_map(|r| r.tools.iter().map(tool_name).collect::<Vec<_>>())
                        .collect();
                    if !offered.iter().any(|tool| tool == name) {
                        let meant = nearest(name, offered.iter().map(String::as_str));
                        let meant = meant.map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
                        return Err(problem(format!("no model step in scope offers a tool {name:?}{meant}")));
                    }
                }
                let places: Vec<(u32, u32)> = self.covered(edit.scope).collect();
                edit.check_parameter(|name| {
                    let mut requests = places.iter().filter_map(|(l, t)| recording.request(*l, *t).ok());
                    requests.any(|request| request.params.contains_key(name))
                })
                .map_err(problem)?;
                let mut requests =
                    places.iter().filter_map(|(l, t)| recording.request(*l, *t).ok()).peekable();
                if requests.peek().is_some() && requests.all(|request| says_already(edit, &request)) {
                    return Err(problem(
                        "every step in scope says that already; nothing would change".into(),
                    ));
                }
                if matches!(edit.scope, Scope::Step(_) | Scope::Range(..)) {
                    self.alone.extend(places);
                } else {
                    for (lane, turn) in places {
                        self.soil(lane, turn);
                    }
                    for (index, lane) in outline.lanes.iter().enumerate() {
                        self.dirty.entry(index as u32).or_insert(lane.turns.len() as u32);
                    }
                }
                self.requests.push(edit.clone());
                Ok(())
            }
        }
    }

    fn add_results(&mut self, recording: &RecordedRun, edit: &Edit) -> Result<(), EditProblem> {
        let outline = recording.outline();
        let mut refused = None;
        let mut applied = false;
        for site in result_sites(edit, outline) {
            let current = match self.results.get(&site) {
                Some(text) => text.clone(),
                None => match recorded_result(recording, site) {
                    Ok(text) => text,
                    Err(why) => {
                        refused.get_or_insert(EditProblem { edit: edit.text.clone(), why });
                        continue;
                    }
                },
            };
            match edit.apply(&current) {
                Ok(text) if text == current => {
                    refused.get_or_insert(EditProblem {
                        edit: edit.text.clone(),
                        why: "the result says that already; nothing would change".into(),
                    });
                }
                Ok(text) => {
                    applied = true;
                    self.results.insert(site, text);
                    self.soil(site.lane, site.turn + 1);
                }
                Err(problem) => {
                    refused.get_or_insert(problem);
                }
            }
        }
        match refused {
            Some(problem) if !applied => Err(problem),
            _ => Ok(()),
        }
    }

    fn soil(&mut self, lane: u32, turn: u32) {
        let first = self.dirty.entry(lane).or_insert(turn);
        *first = turn.min(*first);
    }

    fn covered(&self, scope: Scope) -> impl Iterator<Item = (u32, u32)> + '_ {
        let mut places: Vec<_> =
            self.steps.iter().filter(move |(_, step)| scope.covers(Some(**step))).collect();
        places.sort();
        places.into_iter().map(|(place, _)| *place)
    }

    /// The first turn of each lane from which on nothing comes from the recording.
    pub fn dirty(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.dirty.iter().map(|(lane, turn)| (*lane, *turn))
    }

    /// Turns that cannot come from the recording, though what follows may.
    pub fn alone(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.alone.iter().copied()
    }

    /// The calls whose results are edited.
    pub fn edited_results(&self) -> impl Iterator<Item = CallSite> + '_ {
        self.results.keys().copied()
    }

    /// The first turn of each lane that cannot come from the recording.
    pub fn first_asked(&self) -> BTreeMap<u32, u32> {
        let mut first = self.dirty.clone();
        for (lane, turn) in &self.alone {
            let known = first.entry(*lane).or_insert(*turn);
            *known = (*turn).min(*known);
        }
        first
    }

    /// The edited answer of a turn.
    pub fn answer(&self, lane: u32, turn: u32) -> Option<&[Block]> {
        self.answers.get(&(lane, turn)).map(Vec::as_slice)
    }

    /// The fault to inject at a turn.
    pub fn fault(&self, lane: u32, turn: u32) -> Option<FaultKind> {
        self.faults.get(&(lane, turn)).copied()
    }

    /// Steps whose content an edit changes: numbers, in order.
    pub fn edited_steps(&self, outline: &Outline) -> Vec<u32> {
        let mut steps: Vec<u32> = self
            .results
            .keys()
            .filter_map(|site| outline.number_of(StepKind::Tool { site: *site }))
            .chain(self.answers.keys().chain(self.faults.keys()).filter_map(|p| self.steps.get(p).copied()))
            .collect();
        steps.sort_unstable();
        steps.dedup();
        steps
    }

    /// The first step that is not as recorded, be it edited or asked again; none when there is no such step.
    pub fn first_new_step(&self, outline: &Outline) -> Option<u32> {
        let again = self.first_asked();
        let again = again.iter().filter_map(|(lane, turn)| self.steps.get(&(*lane, *turn)).copied());
        again.chain(self.edited_steps(outline)).min()
    }

    /// Builds what goes upstream for a live turn.
    ///
    /// # Errors
    /// [`EditError`] when the request does not have what an edit or a pin is for.
    pub fn outgoing(
        &self,
        outline: &Outline,
        dialect: &dyn Dialect,
        live: LiveTurn<'_>,
    ) -> Result<Outgoing, EditError> {
        let LiveTurn { place, request, body, target, pins, today, inherited } = live;
        let (lane, turn) = place;
        let step = self.steps.get(&place).copied();
        let mut edits = Vec::new();
        let mut results = Vec::new();
        let edited = |site: &CallSite| self.results.contains_key(site);
        for pin in pins.iter().filter(|pin| !pin.renamed && !edited(&pin.site)) {
            edits.push(RequestEdit::SetToolResult {
                message: pin.message,
                block: pin.block,
                text: today(&pin.recorded),
            });
        }
        edits.extend(inherited);
        for (site, text) in self.results.iter().filter(|(site, _)| site.lane == lane && site.turn < turn) {
            let (message, block) = find_result(outline, request, *site).ok_or_else(|| {
                let name = outline.call(*site).map_or("the tool", |c| c.name.as_str());
                EditError::NotThere(format!(
                    "the agent's request no longer carries the edited result of {name}"
                ))
            })?;
            edits.push(RequestEdit::SetToolResult { message, block, text: today(text) });
            results.push(*site);
        }
        for (_, _, message, text) in self.prompts.iter().filter(|p| p.0 == lane && p.1 <= turn) {
            edits.push(RequestEdit::SetMessageText { message: *message, text: text.clone() });
        }
        let mut dropped = Vec::new();
        for edit in self.requests.iter().filter(|e| e.scope.covers(step)) {
            request_edit(edit, request, &mut edits)?;
        }
        let foreign = self.foreign_until(outline, place, request);
        if foreign.is_some() || self.answers.keys().any(|(l, t)| *l == lane && *t < turn) {
            let before = foreign.unwrap_or_default();
            edits.push(RequestEdit::DropReasoning { before });
            let signed = signed_blocks(request, before);
            if signed > 0 {
                let model = self.model_at(outline, place, request);
                dropped.push(format!(
                    "{} of another model left out: {model} would refuse what it has not signed",
                    reasoning_blocks(signed)
                ));
            }
        }
        if edits.is_empty() {
            return Ok(Outgoing { body: None, target: None, dropped, results });
        }
        let edited = dialect.edit_request(body, &edits)?;
        let other_target = dialect.edit_target(target, &edits);
        let thinks = |r: &ModelRequest| r.params.contains_key("thinking");
        let asked_to =
            self.requests.iter().any(|e| matches!(&e.field, Field::Param(name) if name == "thinking"));
        if thinks(request) && !asked_to && !dialect.read_request(target, &edited).is_ok_and(|r| thinks(&r)) {
            dropped.push(
                "thinking is off while the turn goes on: the turn no longer begins with its reasoning".into(),
            );
        }
        Ok(Outgoing { body: Some(edited), target: other_target, dropped, results })
    }
}

/// Adds what an edit of the request itself does to a body.
fn request_edit(edit: &Edit, request: &ModelRequest, edits: &mut Vec<RequestEdit>) -> Result<(), EditError> {
    match (&edit.field, &edit.change) {
        (Field::System, Change::Set(value)) => edits.push(RequestEdit::SetSystem(plain(value))),
        (Field::System, Change::Append(value)) => edits.push(RequestEdit::AppendSystem(plain(value))),
        (Field::System, _) => {
            let current = request.system_text();
            let text = edit.apply(&current).map_err(|p| EditError::NotThere(p.to_string()))?;
            edits.push(RequestEdit::SetSystem(text));
        }
        (Field::ToolClasses, Change::Remove(value)) => {
            let name = plain(value);
            if request.tools.iter().any(|tool| tool_name(tool) == name) {
                edits.push(RequestEdit::RemoveTool(name));
            }
        }
        (Field::ToolClasses, Change::Append(tool)) => edits.push(RequestEdit::AddTool(tool.clone())),
        (Field::Param(name), Change::Set(value)) => {
            edits.push(RequestEdit::SetField { name: name.clone(), value: value.clone() });
        }
        _ => {}
    }
    Ok(())
}

/// True when a request has the value that an edit would set.
fn says_already(edit: &Edit, request: &ModelRequest) -> bool {
    match (&edit.field, &edit.change) {
        (Field::Param(name), Change::Set(value)) if name == "model" => request.model == plain(value),
        (Field::Param(name), Change::Set(value)) => request.params.get(name) == Some(value),
        (Field::System, Change::Set(value)) => request.system_text() == plain(value),
        (Field::System, Change::Append(value)) => plain(value).is_empty(),
        _ => false,
    }
}

fn step_numbers(outline: &Outline) -> HashMap<(u32, u32), u32> {
    let numbered = (1..).zip(&outline.steps);
    numbered
        .filter_map(|(n, step)| match step.kind {
            StepKind::Model { lane, turn } => Some(((lane, turn), n)),
            StepKind::Tool { .. } => None,
        })
        .collect()
}

fn model_at(outline: &Outline, scope: Scope) -> Option<(u32, u32)> {
    match outline.step(scope.first())? {
        StepKind::Model { lane, turn } => Some((lane, turn)),
        StepKind::Tool { .. } => None,
    }
}

/// The recorded text of a tool's result.
///
/// # Errors
/// Why it cannot be had, in words.
pub fn recorded_result(recording: &RecordedRun, site: CallSite) -> Result<String, String> {
    let outline = recording.outline();
    let call = outline.call(site).ok_or("there is no such call")?;
    let seen = call.result.as_ref().ok_or_else(|| {
        format!("the run ended before the result of {} came back: there is nothing to edit", call.name)
    })?;
    let id = recording.exchange_of(site.lane, site.turn + 1)?;
    let asked = recording.model_request(id)?;
    // In a fork of a fork the model has seen what the first edit made of it.
    let sent = recording.sent(id, &|_| None)?.map(|(_, sent)| sent);
    let request = sent.as_ref().unwrap_or(&asked);
    // A system message may have been put in front.
    let moved = request.messages.len().saturating_sub(asked.messages.len());
    let message = request.messages.get(moved + seen.message as usize);
    let block = message.and_then(|m| m.blocks.get(seen.block as usize));
    match block {
        Some(Block::ToolResult { text, .. }) => Ok(text.clone()),
        _ => Ok(seen.text.clone()),
    }
}

/// Where a request of a lane carries the result of an earlier call: by its place, an id is only a hint to it.
fn find_result(outline: &Outline, request: &ModelRequest, site: CallSite) -> Option<(usize, usize)> {
    let turn = outline.turn(site.lane, site.turn)?;
    turn.calls.get(site.call as usize)?;
    let asked = turn.messages as usize;
    let all = readings(&request.messages);
    let after = all.iter().skip_while(|r| r.pieces.iter().all(|p| p.message < asked));
    let until_next = after.skip(1).take_while(|r| r.role != Role::Assistant);
    let mut results = until_next.flat_map(|r| &r.pieces);
    let found = results.find(|p| p.answers.is_some_and(|call| call as u32 == site.call))?;
    Some((found.message, found.index))
}

fn tool_name(tool: &Value) -> String {
    let named = tool.get("name").or_else(|| tool.get("function").and_then(|f| f.get("name")));
    named.and_then(Value::as_str).unwrap_or_default().to_string()
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(s) => s.clone(),
        other => other.to_string(),
    }
}
