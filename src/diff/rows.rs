//! One line of a comparison: two steps that belong together, or one that stands alone.

use super::field::{self, FieldChange};
use super::keys::args_tree;
use super::levels::Level;
use super::stop::wanted;
use super::structure::Elsewhere;
use super::view::{RunView, cut_args, cut_result, cut_text};
use super::worlds::{Verdict, Worlds};
use crate::exchange::Source;
use crate::run::{CallSite, ToolCallRef, Turn};
use serde::Serialize;
use serde_json::Value;

/// What two paired steps are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PairKind {
    /// Model calls.
    Model,
    /// Tool calls.
    Tool,
}

/// How two steps compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// No difference that means anything.
    Same,
    /// Only ids, clocks and the like differ.
    Varies,
    /// They differ.
    Changed,
    /// Only the left run has it.
    OnlyLeft,
    /// Only the right run has it.
    OnlyRight,
    /// Both have it, at another place of the lane.
    Moved,
    /// Only one run has it, for retake stopped the other one before: no difference.
    NotRun,
}

/// One tool call.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Call {
    /// Name of the tool.
    pub tool: String,
    /// Its arguments.
    pub args: Value,
}

/// What a step did.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "act")]
pub enum Act {
    /// A model asked for tools.
    Calls {
        /// The calls, in order.
        calls: Vec<Call>,
        /// What it said beside them.
        #[serde(skip_serializing_if = "String::is_empty")]
        text: String,
    },
    /// A model answered.
    Says {
        /// What it said.
        text: String,
    },
    /// A model asked for tools, and a fence stopped the agent before it got to know.
    Fenced {
        /// The calls, in order.
        calls: Vec<Call>,
    },
    /// A model call failed.
    Fails {
        /// Why.
        error: String,
    },
    /// A tool returned.
    Returns {
        /// Name of the tool.
        tool: String,
        /// The result; none when the run ended before.
        text: Option<String>,
        /// True when the tool said it failed.
        is_error: bool,
    },
}

/// Two steps that belong together, or one that stands alone.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepPair {
    /// Key of the lane (the left one's, when there are two).
    pub lane: String,
    /// Number of the left step.
    pub left: Option<u32>,
    /// Number of the right step.
    pub right: Option<u32>,
    /// Model or tool.
    pub kind: PairKind,
    /// How they compare.
    pub status: Status,
    /// The highest level at which they differ; none when they are the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
    /// The edit that made the difference, when an edit names this very step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edit: Option<String>,
    /// What the left step did; none when the steps are the same or there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Act>,
    /// What the right step did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Act>,
    /// The fields that differ: arguments (`issue_refund.amount_usd`) or parts of the result (`risk`).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldChange>,
    /// True when the requests of two model calls differ in normal form.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub asked_differently: bool,
    /// True for two tool results that are the same as the model saw them, though what the tool returned is not: the
    /// recorded result was put in its place.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub pinned: bool,
    /// True for two tool results of which one run has the recorded one, though a write before it was not as recorded.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub stale: bool,
    /// The spans above it, where they are others in the left run than in the right one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<Elsewhere>,
    #[serde(skip)]
    pub(super) places: (Option<Place>, Option<Place>),
    #[serde(skip)]
    pub(crate) is_side: bool,
}

/// Where a step stands in its outline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub lane: u32,
    pub turn: u32,
    /// None for the model call itself.
    pub call: Option<u32>,
}

impl Place {
    pub(super) fn turn<'a>(&self, run: &RunView<'a>) -> Option<&'a Turn> {
        run.outline.turn(self.lane, self.turn)
    }

    pub(super) fn site(&self) -> Option<CallSite> {
        Some(CallSite { lane: self.lane, turn: self.turn, call: self.call? })
    }
}

/// What a model call did, in full.
pub(super) fn act_of(run: &RunView, place: Place) -> Option<Act> {
    let turn = place.turn(run)?;
    if let Some(site) = place.site() {
        return run.outline.call(site).map(|call| returns(run, site, call));
    }
    if !turn.calls.is_empty() {
        let calls = (0..turn.calls.len() as u32).zip(&turn.calls).map(|(i, call)| Call {
            tool: call.name.clone(),
            args: run
                .full_args(CallSite { lane: place.lane, turn: place.turn, call: i })
                .unwrap_or_else(|| call.args.clone()),
        });
        return Some(Act::Calls { calls: calls.collect(), text: run.full_text(turn) });
    }
    Some(match &turn.error {
        Some(error) => fenced(run, turn).unwrap_or_else(|| Act::Fails { error: error.clone() }),
        None => Act::Says { text: run.full_text(turn) },
    })
}

/// What the model would have called, where a fence kept its answer from the agent.
pub fn fenced(run: &RunView, turn: &Turn) -> Option<Act> {
    let id = *turn.attempts.last()?;
    if run.source.source(id) != Source::Refused {
        return None;
    }
    let answer = run.source.answer(id).ok()?;
    let calls: Vec<Call> = answer
        .tool_calls()
        .map(|(_, name, args)| Call { tool: name.to_string(), args: args.clone() })
        .collect();
    (!calls.is_empty()).then_some(Act::Fenced { calls })
}

/// A tool's result as the model saw it; read from the conversation where the outline's is cut.
fn returns(run: &RunView, site: CallSite, call: &ToolCallRef) -> Act {
    let short = call.result.as_ref();
    let full = run.sent_result(site).or_else(|| match short {
        Some(result) if cut_result(&result.text) => run.full_result(call).ok().flatten(),
        _ => None,
    });
    Act::Returns {
        tool: call.name.clone(),
        is_error: full.as_ref().map_or(short.is_some_and(|r| r.is_error), |f| f.is_error),
        text: full.map(|f| f.text).or_else(|| short.map(|r| r.text.clone())),
    }
}

/// How two acts differ: status, level, fields.
pub(super) type Difference = (Status, Option<Level>, Vec<FieldChange>);

const SAME: Difference = (Status::Same, None, Vec::new());

/// Compares two model calls by what they answered.
pub(super) fn compare_answers(
    worlds: &Worlds,
    left: (&RunView, Place),
    right: (&RunView, Place),
) -> Difference {
    let (Some(l), Some(r)) = (left.1.turn(left.0), right.1.turn(right.0)) else { return SAME };
    let (l, r) = (wanted(left.0, l), wanted(right.0, r));
    let (l, r): (&Turn, &Turn) = (&l, &r);
    // The outline's text and arguments may be cut. Equal hashes of the whole answers say that the rest is the same;
    // alone they do not say enough, for white space is not in them.
    let cut = |turn: &Turn| cut_text(&turn.text) || turn.calls.iter().any(|c| cut_args(&c.args));
    let whole = (!cut(l) && !cut(r)) || (l.answer_key.is_some() && l.answer_key == r.answer_key);
    if whole && l.text == r.text && l.error == r.error && same_calls(l, r) {
        return SAME;
    }
    match (act_of(left.0, left.1), act_of(right.0, right.1)) {
        (Some(a), Some(b)) => {
            let calls = super::lanes::calls(worlds, l, r);
            compare_acts(worlds, &unfenced(a, l), &unfenced(b, r), &calls)
        }
        _ => SAME,
    }
}

/// What a model wanted, whether it was let or not.
fn unfenced(act: Act, wanted: &Turn) -> Act {
    match act {
        Act::Fenced { calls } => Act::Calls { calls, text: wanted.text.clone() },
        other => other,
    }
}

fn same_calls(left: &Turn, right: &Turn) -> bool {
    let same = |(a, b): (&ToolCallRef, &ToolCallRef)| a.name == b.name && a.args == b.args;
    left.calls.len() == right.calls.len() && left.calls.iter().zip(&right.calls).all(same)
}

fn compare_acts(worlds: &Worlds, left: &Act, right: &Act, calls: &[super::align::Pair]) -> Difference {
    match (left, right) {
        (Act::Calls { calls: l, text: lt }, Act::Calls { calls: r, text: rt }) => {
            let mut fields = Vec::new();
            let mut unpaired = false;
            for (a, b) in calls {
                match (a.and_then(|a| l.get(a)), b.and_then(|b| r.get(b))) {
                    (Some(a), Some(b)) => {
                        let changes = field::trees_in(worlds, &args_tree(&a.args), &args_tree(&b.args));
                        fields.extend(changes.into_iter().map(|mut c| {
                            let dot = if c.path.is_empty() || c.path.starts_with('[') { "" } else { "." };
                            c.path = format!("{}{dot}{}", a.tool, c.path);
                            c
                        }));
                    }
                    _ => unpaired = true,
                }
            }
            if unpaired || fields.iter().any(|c| !c.varies) {
                return (Status::Changed, Some(Level::Action), fields);
            }
            let mut wording = field::texts_in(worlds, lt, rt);
            wording.iter_mut().for_each(|c| c.path = "text".into());
            let status = match wording.iter().all(|c| c.varies) {
                true if fields.is_empty() && wording.is_empty() => return SAME,
                true => Status::Varies,
                false => Status::Changed,
            };
            fields.extend(wording);
            (status, Some(Level::Json), fields)
        }
        (Act::Says { text: l }, Act::Says { text: r }) => match worlds.text(l, r) {
            Verdict::Same => SAME,
            Verdict::Varies => (Status::Varies, Some(Level::Json), field::texts_in(worlds, l, r)),
            Verdict::Differs => (Status::Changed, Some(Level::Action), field::texts_in(worlds, l, r)),
        },
        (Act::Fails { error: l }, Act::Fails { error: r }) => match worlds.text(l, r) {
            Verdict::Same => SAME,
            Verdict::Varies => (Status::Varies, Some(Level::Json), Vec::new()),
            Verdict::Differs => (Status::Changed, Some(Level::Action), Vec::new()),
        },
        (l, r) if l == r => SAME,
        _ => (Status::Changed, Some(Level::Action), Vec::new()),
    }
}

/// Compares two tool calls by what the model saw of what came back.
pub(super) fn compare_results(
    worlds: &Worlds,
    left: (&RunView, Place),
    right: (&RunView, Place),
) -> (Difference, Option<Act>, Option<Act>) {
    let of = |(run, place): (&RunView, Place)| {
        let site = place.site()?;
        Some(returns(run, site, run.outline.call(site)?))
    };
    let same_short = || {
        let of = |(run, place): (&RunView<'_>, Place)| {
            let result = place.site().and_then(|s| run.outline.call(s)).and_then(|c| c.result.as_ref())?;
            (!cut_result(&result.text)).then(|| (result.text.clone(), result.is_error))
        };
        of(left).is_some_and(|l| Some(l) == of(right))
    };
    let own = |run: &RunView| run.manifest.parent.is_none();
    if own(left.0) && own(right.0) && same_short() {
        return (SAME, None, None);
    }
    let (before, after) = (of(left), of(right));
    let difference = match (&before, &after) {
        (
            Some(Act::Returns { text: Some(l), is_error: le, .. }),
            Some(Act::Returns { text: Some(r), is_error: re, .. }),
        ) => {
            let fields = field::texts_in(worlds, l, r);
            match (fields.iter().all(|f| f.varies), le == re) {
                (true, true) if fields.is_empty() => SAME,
                (true, true) => (Status::Varies, Some(Level::Json), fields),
                _ => (Status::Changed, Some(Level::Json), fields),
            }
        }
        (Some(Act::Returns { text: None, .. }), Some(Act::Returns { text: None, .. })) => SAME,
        _ => (Status::Changed, Some(Level::Json), Vec::new()),
    };
    (difference, before, after)
}

/// True when two tools returned different things to their agents, whatever the models were given.
pub(super) fn own_results_differ(worlds: &Worlds, left: (&RunView, Place), right: (&RunView, Place)) -> bool {
    let sent = |(run, place): (&RunView, Place)| place.site().and_then(|s| run.sent_result(s)).is_some();
    if !sent(left) && !sent(right) {
        return false;
    }
    let of = |(run, place): (&RunView<'_>, Place)| {
        let result = place.site().and_then(|s| run.outline.call(s)).and_then(|c| c.result.as_ref())?;
        Some((result.text.clone(), result.is_error))
    };
    match (of(left), of(right)) {
        (Some((l, le)), Some((r, re))) => le != re || !field::texts_in(worlds, &l, &r).is_empty(),
        (l, r) => l.is_some() != r.is_some(),
    }
}
