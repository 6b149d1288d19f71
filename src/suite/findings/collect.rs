//! What differs step by step.

use super::smallest::{difference, fields};
use super::{Code, Collected, Difference, Drift, Finding, requests};
use crate::diff::{self, Act, Asked, Call, Comparison, PairKind, RunView, Status, StepPair};
use crate::exchange::Source;
use crate::run::StepKind;
use std::collections::{HashMap, HashSet};

/// Finds what differs in the steps of two runs. `asked`: how their requests differ.
pub(super) fn steps(
    out: &mut Collected,
    (left, right): (&RunView, &RunView),
    (comparison, asked): (&Comparison, &[Asked]),
    once_more: bool,
) {
    let asked: HashMap<usize, &diff::ContextDiff> = asked.iter().map(|a| (a.row, &a.diff)).collect();
    let mut walk = Walk {
        out,
        left,
        right,
        asked,
        comparison,
        told: HashSet::new(),
        lanes: HashSet::new(),
        refused: None,
        first_refused: None,
        once_more,
    };
    walk.first_refused = comparison.rows.iter().position(|row| !row.is_side && walk.is_refused(row));
    for (at, row) in comparison.rows.iter().enumerate().filter(|(_, row)| !row.is_side) {
        walk.row(at, row);
    }
    walk.unasked();
}

struct Walk<'a, 'r> {
    out: &'a mut Collected,
    left: &'a RunView<'r>,
    right: &'a RunView<'r>,
    asked: HashMap<usize, &'a diff::ContextDiff>,
    comparison: &'a Comparison,
    /// Differences of requests that were told: later requests hold them too.
    told: HashSet<(Code, String, Vec<Difference>)>,
    /// Lanes in which something differs already.
    lanes: HashSet<&'a str>,
    /// The row at which the replay had no answer, and the calls behind it that do not happen.
    refused: Option<(usize, Vec<String>)>,
    /// That row, before the walk has come to it.
    first_refused: Option<usize>,
    /// What was refused is a recorded request, made more often.
    once_more: bool,
}

impl<'a> Walk<'a, '_> {
    fn row(&mut self, at: usize, row: &'a StepPair) {
        if row.status == Status::NotRun {
            return;
        }
        let before = self.out.found.len();
        let steps = (row.left, row.right);
        match row.kind {
            PairKind::Model => self.model(at, row, steps),
            PairKind::Tool => self.tool(at, row, steps),
        }
        if self.out.found.len() > before || !matches!(row.status, Status::Same | Status::Varies) {
            self.lanes.insert(&row.lane);
        }
    }

    /// Tells how a request differs, but for what was told before. True when it does.
    fn request(&mut self, at: usize, diff: &diff::ContextDiff, row: &StepPair) -> bool {
        let history = !self.lanes.contains(row.lane.as_str());
        let mut any = false;
        for finding in requests::findings(diff, (row.left, row.right), history) {
            let all: Vec<Difference> = finding.difference.iter().chain(&finding.more).cloned().collect();
            any = true;
            if self.told.insert((finding.code, finding.what.clone(), all)) {
                self.out.at(at, finding);
            }
        }
        any
    }

    fn model(&mut self, at: usize, row: &StepPair, steps: (Option<u32>, Option<u32>)) {
        let differs = match self.asked.get(&at).copied() {
            Some(diff) => self.request(at, diff, row),
            None => false,
        };
        if self.is_refused(row) {
            let context = self.comparison.context.as_ref().filter(|_| {
                let acts = self.comparison.acts.as_ref().or(self.comparison.first.as_ref());
                !self.asked.contains_key(&at)
                    && acts.is_some_and(|p| p.row == at || p.right == row.right || p.left == row.left)
            });
            let differs = differs || context.is_some_and(|diff| self.request(at, diff, row));
            // What begins a conversation of its own may be the next request of a recorded one, told differently.
            let begun = !differs && !self.once_more && row.status == Status::OnlyRight;
            let next = if begun { self.next_recorded(row) } else { None };
            let differs = differs || next.is_some_and(|diff| self.request(at, &diff, row));
            if !differs && row.status == Status::OnlyRight && !self.lanes.contains(row.lane.as_str()) {
                let what = "the agent asks the model once more than recorded".to_string();
                self.out.at(at, Finding::new(Code::NewCall, Drift::Code, steps, what));
            }
            self.refused.get_or_insert_with(|| (at, Vec::new()));
            return;
        }
        match row.status {
            Status::Changed => self.answer(at, row, steps),
            Status::Moved => {
                let what =
                    format!("{} comes at another place", act(row.before.as_ref().or(row.after.as_ref())));
                let what =
                    if what.starts_with(' ') { "the same call comes at another place".into() } else { what };
                self.out.at(at, Finding::new(Code::OrderChanged, Drift::Model, steps, what));
            }
            // Where it called tools, the rows of these tell.
            Status::OnlyLeft if !is_calls(&row.before) => self.missing(at, row, "a model call", Drift::Code),
            Status::OnlyRight if !is_calls(&row.after) => {
                let what = format!("a model call is new: it {}", act(row.after.as_ref()));
                let finding = Finding::new(Code::NewCall, Drift::Code, steps, what);
                self.new_call(at, finding);
            }
            _ => {}
        }
    }

    /// A model answers something else.
    fn answer(&mut self, at: usize, row: &StepPair, steps: (Option<u32>, Option<u32>)) {
        if let (
            Some(Act::Calls { calls, .. } | Act::Fenced { calls }),
            Some(Act::Calls { .. } | Act::Fenced { .. }),
        ) = (&row.before, &row.after)
        {
            self.arguments(at, row, calls, steps);
            let words = fields(row.fields.iter().filter(|f| f.path == "text"), "");
            if !words.is_empty() {
                let what = "the model says something else beside its calls".to_string();
                self.out.at(at, Finding::new(Code::TextChanged, Drift::Model, steps, what).with(words));
            }
            return;
        }
        let finding = |code, what: &str| Finding::new(code, Drift::Model, steps, what.to_string());
        match (&row.before, &row.after) {
            (Some(Act::Says { text: l }), Some(Act::Says { text: r })) => {
                let told = fields(&row.fields, "answer");
                let told = if told.is_empty() { vec![difference("answer", Some(l), Some(r))] } else { told };
                self.out.at(at, finding(Code::TextChanged, "the model says something else").with(told));
            }
            (l, Some(Act::Fails { error })) => {
                let both = matches!(l, Some(Act::Fails { .. }));
                let before = match l {
                    Some(Act::Fails { error }) => Some(error.as_str()),
                    _ => None,
                };
                let what = if both { "the model call fails differently" } else { "the model call fails now" };
                let told = vec![difference("error", before, Some(error))];
                self.out.at(at, finding(Code::CallFailed, what).with(told));
            }
            (Some(Act::Fails { error }), _) => {
                let told = vec![difference("error", Some(error), None)];
                self.out
                    .at(at, finding(Code::CallFailed, "the model call does not fail any more").with(told));
            }
            // Calls instead of words, or the other way round: the calls are told, each by its own row.
            _ => {}
        }
    }

    fn arguments(&mut self, at: usize, row: &StepPair, calls: &[Call], steps: (Option<u32>, Option<u32>)) {
        let mut told: HashSet<&str> = HashSet::new();
        for tool in calls.iter().map(|call| call.tool.as_str()) {
            let of_tool = |path: &str| {
                let rest = path.strip_prefix(tool);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
            };
            if !told.insert(tool) {
                continue;
            }
            let changes = fields(row.fields.iter().filter(|f| of_tool(&f.path)), "");
            if changes.is_empty() {
                continue;
            }
            let what = format!("{tool} is called with another {}", names(&changes, tool));
            self.out.at(at, Finding::new(Code::ArgsChanged, Drift::Model, steps, what).with(changes));
        }
    }

    fn tool(&mut self, at: usize, row: &StepPair, steps: (Option<u32>, Option<u32>)) {
        let tool = match row.before.as_ref().or(row.after.as_ref()) {
            Some(Act::Returns { tool, .. }) => tool.as_str(),
            _ => "a tool",
        };
        match row.status {
            // Whether the model was asked and decided otherwise, or was not asked at all.
            Status::OnlyLeft => match self.decided(at) {
                Some(at) => self.missing(at, row, tool, Drift::Model),
                None => self.missing(at, row, tool, Drift::Code),
            },
            Status::OnlyRight => {
                let asked = self.decided(at);
                let drift = if asked.is_some() { Drift::Model } else { Drift::Code };
                let finding =
                    Finding::new(Code::NewCall, drift, steps, format!("{tool} is called, and was not"));
                self.new_call(asked.unwrap_or(at), finding);
            }
            Status::Changed => self.result(at, row, tool, steps),
            _ => {}
        }
    }

    fn result(&mut self, at: usize, row: &StepPair, tool: &str, steps: (Option<u32>, Option<u32>)) {
        let (
            Some(Act::Returns { text: Some(l), is_error: le, .. }),
            Some(Act::Returns { text: Some(r), is_error: re, .. }),
        ) = (&row.before, &row.after)
        else {
            let was_told = matches!(&row.before, Some(Act::Returns { text: Some(_), .. }));
            let (code, what) = match was_told {
                true => (Code::MissingCall, format!("the model is never told what {tool} returned")),
                false => (Code::ToolResultChanged, format!("the result of {tool} comes back, and did not")),
            };
            let finding = Finding::new(code, Drift::Code, steps, what);
            return match self.first_refused {
                Some(refused) => self.out.following(at.max(refused + 1), finding),
                None => self.out.at(at, finding),
            };
        };
        let changes = fields(&row.fields, tool);
        let what = match (le, re) {
            (false, true) => format!("{tool} fails now"),
            (true, false) => format!("{tool} does not fail any more"),
            _ if !changes.is_empty() && changes.iter().all(|of| of.after.is_none()) => {
                format!("{tool} returns no {} any more", names(&changes, tool))
            }
            _ if !changes.is_empty() && changes.iter().all(|of| of.before.is_none()) => {
                format!("{tool} returns {} too", names(&changes, tool))
            }
            _ => match names(&changes, tool).as_str() {
                "value" => format!("{tool} returns something else"),
                names => format!("{tool} returns another {names}"),
            },
        };
        let changes = if changes.is_empty() { vec![difference(tool, Some(l), Some(r))] } else { changes };
        self.out.at(at, Finding::new(Code::ToolResultChanged, Drift::World, steps, what).with(changes));
    }

    fn missing(&mut self, at: usize, row: &StepPair, who: &str, drift: Drift) {
        if let Some((_, behind)) = &mut self.refused {
            behind.push(who.to_string());
            return;
        }
        let what = match &row.before {
            Some(Act::Says { .. }) => {
                format!("the model is not asked any more; it {}", act(row.before.as_ref()))
            }
            _ => format!("{who} is not called any more"),
        };
        let finding = Finding::new(Code::MissingCall, drift, (row.left, row.right), what);
        self.new_call(at, finding);
    }

    /// A call that only one run has: where something differs before it in its lane, it follows from that.
    fn new_call(&mut self, at: usize, finding: Finding) {
        match self.lanes.iter().any(|lane| self.comparison.rows.get(at).is_some_and(|r| r.lane == **lane)) {
            true => self.out.following(at, finding),
            false => self.out.at(at, finding),
        }
    }

    /// What does not happen since the replay had no answer.
    fn unasked(&mut self) {
        let Some((at, behind)) = self.refused.take().filter(|(_, behind)| !behind.is_empty()) else { return };
        let mut names: Vec<&str> = Vec::new();
        for name in behind.iter().map(String::as_str) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let what = format!("the run ends here: {} not happen ({})", many(behind.len()), names.join(", "));
        self.out.following(at + 1, Finding::new(Code::MissingCall, Drift::Code, (None, None), what));
    }

    /// The row of the model call that a tool's row belongs to, when both runs have it.
    fn decided(&self, at: usize) -> Option<usize> {
        let row = self.comparison.rows.get(at)?;
        let mut before = self.comparison.rows.iter().enumerate().take(at).rev();
        let (model_at, model) = before.find(|(_, model)| {
            let is_there = if row.left.is_some() { model.left } else { model.right };
            model.kind == PairKind::Model && model.lane == row.lane && is_there.is_some()
        })?;
        (model.left.is_some() && model.right.is_some() && model.status != Status::Moved).then_some(model_at)
    }

    /// How a request that nothing recorded is right for differs from the first recorded one that was never made.
    fn next_recorded(&self, row: &StepPair) -> Option<diff::ContextDiff> {
        let is_next = |row: &&StepPair| {
            let missing = matches!(row.status, Status::OnlyLeft | Status::NotRun);
            missing && row.kind == PairKind::Model && !row.is_side
        };
        let next = self.comparison.rows.iter().find(is_next)?;
        let request = |run: &RunView, step: u32| {
            let StepKind::Model { lane, turn } = run.outline.step(step)? else { return None };
            run.source.request(*run.outline.turn(lane, turn)?.attempts.last()?).ok()
        };
        let (then, now) = (request(self.left, next.left?)?, request(self.right, row.right?)?);
        // Another conversation altogether is no telling of this one.
        let same = then.messages.iter().zip(&now.messages).filter(|(then, now)| then == now).count();
        (same > 0).then(|| diff::context::context(&then, &now))
    }

    /// True for a request that retake itself turned down.
    fn is_refused(&self, row: &StepPair) -> bool {
        let turn = row.right.and_then(|number| match self.right.outline.step(number) {
            Some(StepKind::Model { lane, turn }) => self.right.outline.turn(lane, turn),
            _ => None,
        });
        let refused = |id| self.right.source.source(id) == Source::Refused;
        turn.is_some_and(|turn| {
            turn.error.is_some()
                && turn.attempts.last().is_some_and(|id| refused(*id))
                && !is_fenced(&row.after)
        })
    }
}

fn is_fenced(act: &Option<Act>) -> bool {
    matches!(act, Some(Act::Fenced { .. }))
}

fn is_calls(act: &Option<Act>) -> bool {
    matches!(act, Some(Act::Calls { .. } | Act::Fenced { .. }))
}

fn many(n: usize) -> String {
    if n == 1 { "1 recorded step does".into() } else { format!("{n} recorded steps do") }
}

/// The names of what differs: `amount_usd and order_id`.
fn names(changes: &[Difference], tool: &str) -> String {
    let mut names: Vec<&str> = Vec::new();
    for change in changes {
        let name = change.path.strip_prefix(tool).unwrap_or(&change.path).trim_start_matches('.');
        let name = if name.is_empty() { "value" } else { name };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    match names.as_slice() {
        [] => "value".into(),
        [one] => one.to_string(),
        [first, second] => format!("{first} and {second}"),
        [first, second, rest @ ..] => format!("{first}, {second} and {} more", rest.len()),
    }
}

/// What a step did, in a few words.
fn act(act: Option<&Act>) -> String {
    match act {
        Some(Act::Says { text }) => format!("says {:?}", diff::excerpt::middle(text, 60)),
        Some(Act::Calls { calls, .. } | Act::Fenced { calls }) => {
            let names: Vec<&str> = calls.iter().map(|call| call.tool.as_str()).collect();
            format!("calls {}", names.join(" and "))
        }
        Some(Act::Fails { .. }) => "fails".into(),
        Some(Act::Returns { tool, .. }) => format!("returns from {tool}"),
        None => "does the same".into(),
    }
}
