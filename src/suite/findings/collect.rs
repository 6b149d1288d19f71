//! What differs step by step.

use super::refused::asked;
use super::smallest::{difference, fields};
use super::{Code, Collected, Difference, Drift, Finding, Replayed, requests};
use crate::dialect::conversation::Role;
use crate::diff::refused::is_refused;
use crate::diff::{self, Act, Asked, Call, Comparison, PairKind, RunView, Status, StepPair};
use crate::holes::Rules;
use crate::run::likeness::Key;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

/// Finds what differs in the steps of two runs. `asked`: how their requests differ. True when a request was refused.
pub(super) fn steps(
    out: &mut Collected,
    (left, right): (&RunView, &RunView),
    (comparison, asked): (&Comparison, &[Asked]),
    replay: Option<Replayed<'_>>,
) -> bool {
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
        lacked: HashMap::new(),
        gone: HashSet::new(),
        new: HashSet::new(),
        recorded: Recorded::of(comparison),
        side: Default::default(),
        rules: replay.map(|replay| replay.rules.clone()).unwrap_or_default(),
        pinned: replay.map(|Replayed { tally, .. }| {
            tally.pins.iter().filter(|pin| !pin.renamed).filter_map(|pin| pin.step).collect()
        }),
        quoted: HashSet::new(),
    };
    walk.first_refused = comparison.rows.iter().position(|row| walk.is_refused(row));
    walk.lacked = walk.lacked();
    walk.quoted = walk.quoted();
    for (at, row) in comparison.rows.iter().enumerate() {
        match row.is_side && !walk.is_refused(row) {
            true => walk.side(at, row),
            false => walk.row(at, row),
        }
    }
    walk.unasked();
    walk.beside();
    walk.first_refused.is_some()
}

pub(super) struct Walk<'a, 'r> {
    pub(super) out: &'a mut Collected,
    pub(super) left: &'a RunView<'r>,
    pub(super) right: &'a RunView<'r>,
    pub(super) asked: HashMap<usize, &'a diff::ContextDiff>,
    pub(super) comparison: &'a Comparison,
    /// Differences of requests that were told: later requests hold them too.
    told: HashSet<(Code, String, Vec<Difference>)>,
    /// Lanes in which something differs already.
    lanes: HashSet<&'a str>,
    /// The row at which the replay had no answer, and the calls behind it that do not happen.
    refused: Option<(usize, Vec<String>)>,
    /// That row, before the walk has come to it.
    pub(super) first_refused: Option<usize>,
    /// Conversations that do not happen and that the refused request lacks the answer of: up to this row of each.
    lacked: HashMap<&'a str, usize>,
    /// Conversations that do not happen at all, and are told so.
    gone: HashSet<&'a str>,
    /// Keys of refused requests that are told as new ones.
    new: HashSet<Key>,
    /// What the recorded run has of each conversation.
    recorded: HashMap<&'a str, Recorded>,
    /// Calls beside the conversations that only the recorded run has, and that only this one has: numbers of their steps.
    side: (Vec<u32>, Vec<u32>),
    /// What is declared not to count.
    pub(super) rules: Rules,
    /// Of a replay: the recorded steps of tools whose results came out differently in a way that counts.
    pub(super) pinned: Option<HashSet<u32>>,
    /// Rows of tools whose results were told by the request that quotes them.
    quoted: HashSet<usize>,
}

impl<'a> Walk<'a, '_> {
    fn row(&mut self, at: usize, row: &'a StepPair) {
        if row.status == Status::NotRun || self.gone.contains(row.lane.as_str()) {
            return;
        }
        if let Some(finding) = self.gone(row) {
            self.gone.insert(&row.lane);
            self.lanes.insert(&row.lane);
            return self.out.lacked(at, finding);
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
        // What is refused is refused for what stands in it.
        let history = !self.lanes.contains(row.lane.as_str()) || self.is_refused(row);
        let undeclared =
            if self.is_refused(row) { Cow::Owned(self.undeclared(row, diff)) } else { Cow::Borrowed(diff) };
        let mut any = false;
        for finding in requests::findings(&undeclared, (row.left, row.right), history) {
            let all: Vec<Difference> = finding.difference.iter().chain(&finding.more).cloned().collect();
            any = true;
            if self.told.insert((finding.code, finding.what.clone(), all)) {
                self.out.at(at, finding);
            }
        }
        any
    }

    fn model(&mut self, at: usize, row: &StepPair, steps: (Option<u32>, Option<u32>)) {
        let asked = self.asked.get(&at).copied();
        let differs = asked.is_some_and(|diff| self.request(at, diff, row));
        if self.is_refused(row) {
            if !differs && row.status == Status::OnlyRight {
                // Some agents ask the same again and again.
                let request = row.right.and_then(|step| Some(self.right.model_call(step)?.request_key));
                if request.is_none_or(|key| self.new.insert(key)) {
                    let finding = self.not_recorded(row);
                    self.out.at(at, finding);
                }
            } else if let Some(finding) = self.only_names(row).filter(|_| !differs && self.lacked.is_empty())
            {
                self.out.at(at, finding);
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
            Status::OnlyLeft if !is_calls(&row.before) || self.is_lacked(at, row) => {
                self.missing(at, row, "a model call", Drift::Code)
            }
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
            _ if self.quoted.contains(&at) => {}
            // It was told by the model call that asked for it.
            Status::OnlyLeft if self.is_lacked(at, row) => {}
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
            Status::Changed if self.passed(row) => {}
            Status::Changed => match self.exchanged(at, row) {
                Some(other) if other < at => self.out.results_told.extend(row.left),
                Some(other) => self.crossed(at, row, tool, other),
                None => self.result(at, row, tool, steps),
            },
            _ => {}
        }
    }

    /// A whole conversation that does not happen, although nothing was refused that it could come of.
    fn gone(&self, row: &StepPair) -> Option<Finding> {
        let is_first = row.status == Status::OnlyLeft && row.kind == PairKind::Model;
        let comes_of = self.first_refused.is_some() && !self.lacked.contains_key(row.lane.as_str());
        let Recorded { calls, is_gone } = *self.recorded.get(row.lane.as_str())?;
        // One model call is told by what it did.
        if !is_first || comes_of || !is_gone || calls < 2 {
            return None;
        }
        let request = self.left.request_of(self.left.model_call(row.left?)?).ok()?;
        let begins = request.messages.iter().find(|message| message.role != Role::System)?.text();
        let what = format!(
            "a conversation does not happen any more: it begins {:?} and has {calls} model calls",
            diff::excerpt::middle(&begins, 60),
        );
        Some(Finding::new(Code::MissingCall, Drift::Code, (row.left, None), what))
    }

    fn missing(&mut self, at: usize, row: &StepPair, who: &str, drift: Drift) {
        if let Some((_, behind)) = &mut self.refused {
            behind.push(who.to_string());
            return;
        }
        let what = match &row.before {
            Some(Act::Says { .. } | Act::Calls { .. }) => {
                format!("the model is not asked any more; it {}", act(row.before.as_ref()))
            }
            _ => format!("{who} is not called any more"),
        };
        let finding = Finding::new(Code::MissingCall, drift, (row.left, row.right), what);
        match self.is_lacked(at, row) {
            true => self.out.lacked(at, finding),
            false => self.new_call(at, finding),
        }
    }

    /// True for what does not happen, and that is why a request is another one.
    fn is_lacked(&self, at: usize, row: &StepPair) -> bool {
        self.lacked.get(row.lane.as_str()).is_some_and(|last| at <= *last)
    }

    fn side(&mut self, at: usize, row: &StepPair) {
        match row.status {
            // What comes behind a refused request would not have happened anyway.
            Status::OnlyLeft if self.first_refused.is_some() => {}
            // What a run ends with is no matter beside it.
            Status::OnlyLeft if row.left == self.last_asked() => {
                self.missing(at, row, "a model call", Drift::Code)
            }
            Status::OnlyLeft => self.side.0.extend(row.left),
            Status::OnlyRight => self.side.1.extend(row.right),
            _ => {}
        }
    }

    /// The last model call of the recorded run.
    fn last_asked(&self) -> Option<u32> {
        let rows = self.comparison.rows.iter().filter(|row| row.kind == PairKind::Model);
        rows.filter_map(|row| row.left).max()
    }

    /// What is asked beside the conversations, and how often, is up to chance in some agents.
    fn beside(&mut self) {
        let (gone, new) = std::mem::take(&mut self.side);
        if let Some(first) = gone.first() {
            let what = match gone.len() {
                1 => "a side call does not happen any more".to_string(),
                n => format!("{n} side calls do not happen any more, this is the first"),
            };
            let told = asked(self.left, *first).map(|(path, text)| difference(&path, Some(&text), None));
            let finding = Finding::new(Code::SideCall, Drift::Code, (Some(*first), None), what);
            self.out.beside(finding.with(told.into_iter().collect()), true);
        }
        if let Some(first) = new.first() {
            let what = match new.len() {
                1 => "a side call is made that was not".to_string(),
                n => format!("{n} side calls are made that were not, this is the first"),
            };
            let told = asked(self.right, *first).map(|(path, text)| difference(&path, None, Some(&text)));
            let finding = Finding::new(Code::SideCall, Drift::Code, (None, Some(*first)), what);
            self.out.beside(finding.with(told.into_iter().collect()), false);
        }
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

    /// True for a request that retake itself turned down.
    fn is_refused(&self, row: &StepPair) -> bool {
        let turn = row.right.and_then(|step| self.right.model_call(step));
        turn.is_some_and(|turn| is_refused(self.right, turn))
    }
}

/// What a recorded run has of a conversation.
struct Recorded {
    /// Its model calls.
    calls: usize,
    /// True when nothing of it happens any more.
    is_gone: bool,
}

impl Recorded {
    /// By conversation.
    fn of(comparison: &Comparison) -> HashMap<&str, Recorded> {
        let mut all = HashMap::new();
        for row in comparison.rows.iter().filter(|row| row.left.is_some()) {
            let of: &mut Recorded =
                all.entry(row.lane.as_str()).or_insert(Recorded { calls: 0, is_gone: true });
            of.calls += usize::from(row.kind == PairKind::Model);
            of.is_gone &= row.status == Status::OnlyLeft;
        }
        all
    }
}

fn is_calls(act: &Option<Act>) -> bool {
    matches!(act, Some(Act::Calls { .. } | Act::Fenced { .. }))
}

fn many(n: usize) -> String {
    if n == 1 { "1 recorded call does".into() } else { format!("{n} recorded calls do") }
}

/// The names of what differs: `amount_usd and order_id`.
pub(super) fn names(changes: &[Difference], tool: &str) -> String {
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
