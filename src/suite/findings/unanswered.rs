//! What a replay could not answer, and what it let pass.

use super::smallest::{difference, join};
use super::{Code, Collected, Difference, Drift, Finding};
use crate::diff::{FieldChange, RunView, field};
use crate::replay::matcher::{MatchClass, Miss};
use crate::replay::policy;
use crate::replay::tally::{PinReport, Tally};
use crate::run::StepKind;

/// Differences of pinned results that are told.
const PINS: usize = 8;

/// Tells what a tally holds that the steps do not show.
pub(super) fn told(out: &mut Collected, left: &RunView, tally: &Tally) {
    // The first explains, the rest follow from it; and where the steps show what the agent asks, they say it better.
    if let Some(miss) = tally.misses.first().filter(|_| !out.asks_otherwise() && !out.lacks()) {
        out.at(0, of_miss(miss));
    }
    if let Some(not) = tally.not_allowed {
        let what =
            format!("the request fits only as {}, and that is not allowed to pass", policy::name(not.class));
        out.at(0, Finding::new(Code::Unmatched, Drift::Code, (not.step, None), what));
    }
    for pin in tally.pins.iter().filter(|pin| !pin.renamed) {
        let known =
            out.found.iter().any(|f| f.finding.code == Code::ToolResultChanged && f.finding.step == pin.step);
        if known || pin.step.is_some_and(|step| out.results_told.contains(&step)) {
            continue;
        }
        let changes = super::smallest::fields(&field::texts(&pin.recorded, &pin.live), &pin.tool);
        if changes.is_empty() {
            continue;
        }
        let what = format!("{} returns something else; the model was given the recorded result", pin.tool);
        let finding = Finding::new(Code::ToolResultChanged, Drift::World, (pin.step, None), what);
        out.beside(finding.with(changes), false);
    }
    for class in [MatchClass::Pinned, MatchClass::Masked, MatchClass::Reordered] {
        let mut steps: Vec<u32> = tally
            .served
            .iter()
            .filter(|(_, served)| **served == class)
            .filter_map(|((lane, turn), _)| {
                left.outline.number_of(StepKind::Model { lane: *lane, turn: *turn })
            })
            .collect();
        steps.sort_unstable();
        let Some(first) = steps.first() else { continue };
        let name = policy::name(class);
        let what = match steps.len() {
            1 => format!("the request passes as {name}"),
            n => format!("{n} requests pass as {name}, this is the first"),
        };
        let finding = Finding::new(Code::LooseMatch, Drift::Code, (Some(*first), None), what);
        let told = if class == MatchClass::Pinned { pinned(tally) } else { Vec::new() };
        out.beside(finding.with(told), false);
    }
}

/// What differs in the results that were served on as recorded.
fn pinned(tally: &Tally) -> Vec<Difference> {
    let of = |pin: &PinReport| {
        let changes = field::texts(&pin.recorded, &pin.live).into_iter();
        let told =
            |of: FieldChange| difference(&join(&pin.tool, &of.path), of.left.as_deref(), of.right.as_deref());
        changes.map(told).collect::<Vec<_>>()
    };
    tally.pins.iter().flat_map(of).take(PINS).collect()
}

/// True for a request that was recorded, and is made more often than that.
fn once_more_asked(miss: &Miss) -> bool {
    ["asked again", "asks it once more"].iter().any(|words| miss.reason.contains(words))
}

/// A request that nothing recorded is right for.
fn of_miss(miss: &Miss) -> Finding {
    let near = miss.nearest.first();
    let step = near.and_then(|near| near.step);
    let finding = |code: Code, what: String| Finding::new(code, Drift::Code, (step, None), what);
    let once_more = near.is_none() || near.is_some_and(|near| near.path.is_empty());
    let Some(near) = near.filter(|_| !once_more) else {
        let code = if once_more_asked(miss) { Code::NewCall } else { Code::Unmatched };
        return finding(code, miss.reason.clone());
    };
    let (code, what) = match near.path.split(['.', '[']).next().unwrap_or_default() {
        "model" => (Code::ModelChanged, "another model is asked"),
        "params" => (Code::ParamsChanged, "a parameter is another one"),
        "stream" => (Code::ParamsChanged, "whether the answer is streamed"),
        "tools" => (Code::ToolsChanged, "the tools on offer are others"),
        "system" => (Code::PromptChanged, "the system prompt is another one"),
        "messages" => (Code::PromptChanged, "the conversation that is sent is another one"),
        _ => (Code::Unmatched, "nothing recorded is right for the request"),
    };
    let differs = difference(&near.path, Some(&near.recorded), Some(&near.live));
    finding(code, what.into()).with(vec![differs])
}
