//! What differs in the whole: how it ended, what it used, what was sent.

use super::smallest::difference;
use super::{Code, Collected, Drift, Finding, Severities};
use crate::dialect::conversation::{Block, ModelRequest};
use crate::diff::outcome::End;
use crate::diff::{Comparison, RunView};
use crate::exchange::{Source, StandIn};
use crate::run::StepKind;
use std::collections::BTreeSet;

/// A stand-in that is shorter stands by chance in what was sent.
const SHORTEST: usize = 8;

/// How the run ended and what it used.
///
/// `refused`: a request was.
pub(super) fn ended(out: &mut Collected, comparison: &Comparison, refused: bool, severities: &Severities) {
    let outcome = &comparison.outcome;
    if outcome.exit_differs {
        let (l, r) = (exit(&outcome.left), exit(&outcome.right));
        let why = if refused { ", after retake had refused its request (422)" } else { "" };
        let what = format!("the agent ends with {r} instead of {l}{why}");
        let differs = difference("exit", Some(&l), Some(&r));
        let finding = Finding::new(Code::OutcomeChanged, Drift::Code, (None, None), what).with(vec![differs]);
        let missing = |found: &super::Found| found.finding.code == Code::MissingCall;
        let broke_off =
            outcome.right.error.is_none() && out.found.iter().filter(|of| !of.beside).all(missing);
        match broke_off {
            // It ended by itself, before it had asked for everything: what does not happen follows from that.
            true => {
                out.found.iter_mut().filter(|of| !of.beside).for_each(|of| of.row += 1);
                out.at(0, finding);
            }
            false => out.following(comparison.rows.len(), finding),
        }
    }
    if outcome.answer_differs && out.found.is_empty() {
        let what = "the last answer is another one".to_string();
        let differs = difference("answer", outcome.left.answer.as_deref(), outcome.right.answer.as_deref());
        out.at(
            comparison.rows.len(),
            Finding::new(Code::TextChanged, Drift::Model, (None, None), what).with(vec![differs]),
        );
    }
    let (l, r) = (&comparison.left_totals, &comparison.right_totals);
    let mut more = |code: Code, name: &str, before: f64, after: f64, shown: (String, String)| {
        if severities.threshold(code).exceeded(before, after) {
            let what = format!("{} {name} instead of {}", shown.1, shown.0);
            let differs = difference(name, Some(&shown.0), Some(&shown.1));
            out.beside(Finding::new(code, Drift::Model, (None, None), what).with(vec![differs]), true);
        }
    };
    if let (Some(before), Some(after)) = (l.cost.whole(), r.cost.whole()) {
        let shown = (before.to_string(), after.to_string());
        more(Code::CostUp, "cost", before.dollars(), after.dollars(), shown);
    }
    let (before, after) = (l.tokens_in + l.tokens_out, r.tokens_in + r.tokens_out);
    // Without a single token nobody counted.
    if before > 0 && after > 0 {
        more(Code::TokensUp, "tokens", before as f64, after as f64, (before.to_string(), after.to_string()));
    }
    if let (Some(before), Some(after)) = (l.duration_us, r.duration_us) {
        let (before, after) = (before as f64 / 1e6, after as f64 / 1e6);
        let shown = (format!("{before:.2}"), format!("{after:.2}"));
        more(Code::Slower, "seconds", before, after, shown);
    }
}

fn exit(end: &End) -> String {
    match (end.exit_code, end.signal) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "no exit code".into(),
    }
}

/// Live calls, and secrets in what was sent.
pub(super) fn sent(out: &mut Collected, left: &RunView, right: &RunView) {
    // A run of its own is live throughout.
    if right.manifest.parent.is_some() {
        let live: Vec<u32> = model_calls(right)
            .filter(|(_, turn)| {
                turn.attempts.last().is_some_and(|id| right.source.source(*id) == Source::Live)
            })
            .map(|(number, _)| number)
            .collect();
        if let Some(first) = live.first() {
            let what = match live.len() {
                1 => "the call went to a live model".to_string(),
                n => format!("{n} calls went to a live model, this is the first"),
            };
            out.beside(Finding::new(Code::LiveCall, Drift::Model, (None, Some(*first)), what), false);
        }
    }
    let known = secrets(left);
    for (label, step) in secrets(right) {
        if known.iter().any(|(other, _)| *other == label) {
            continue;
        }
        let what = format!("what the agent sends holds something like a secret ({label}), and did not");
        out.beside(Finding::new(Code::Secret, Drift::Code, (None, Some(step)), what), false);
    }
}

pub(super) fn model_calls<'a>(run: &RunView<'a>) -> impl Iterator<Item = (u32, &'a crate::run::Turn)> {
    let outline = run.outline;
    (1u32..).zip(&outline.steps).filter_map(|(number, step)| match step.kind {
        StepKind::Model { lane, turn } => Some((number, outline.turn(lane, turn)?)),
        StepKind::Tool { .. } => None,
    })
}

/// The kinds of secrets that stand in what the models were sent, each with the first step: a stand-in tells where one
/// was. Keys in headers are none of them.
fn secrets(run: &RunView) -> BTreeSet<(String, u32)> {
    let all: Vec<&StandIn> = run.outline.stand_ins.iter().filter(|s| s.text.len() >= SHORTEST).collect();
    if all.is_empty() {
        return BTreeSet::new();
    }
    // A request holds those before it, so that the last one of a lane tells of all.
    let lasts = run.outline.lanes.iter().filter_map(|lane| run.request_of(lane.turns.last()?).ok());
    let lasts: Vec<_> = lasts.collect();
    let mut open: Vec<&StandIn> =
        all.into_iter().filter(|s| lasts.iter().any(|request| holds(request, &s.text))).collect();
    let mut found: BTreeSet<(String, u32)> = BTreeSet::new();
    for (number, turn) in model_calls(run) {
        if open.is_empty() {
            break;
        }
        let Ok(request) = run.request_of(turn) else { continue };
        open.retain(|stand_in| {
            let there = holds(&request, &stand_in.text);
            if there && !found.iter().any(|(label, _)| *label == stand_in.label) {
                found.insert((stand_in.label.clone(), number));
            }
            !there
        });
    }
    found
}

fn holds(request: &ModelRequest, text: &str) -> bool {
    let value = |v: &serde_json::Value| v.to_string().contains(text);
    let block = |block: &Block| match block {
        Block::Text { text: said }
        | Block::ToolResult { text: said, .. }
        | Block::Reasoning { text: said, .. } => said.contains(text),
        Block::ToolCall { args, .. } => value(args),
        Block::Other { value: other } => value(other),
    };
    request.system.iter().any(block)
        || request.messages.iter().flat_map(|m| &m.blocks).any(block)
        || request.tools.iter().any(value)
}
