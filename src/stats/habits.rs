//! What an agent does again and again: equal calls, calls that bring nothing new, contexts that grow.

use crate::diff::RunView;
use crate::diff::tree::Tree;
use crate::diff::view::StepNumbers;
use crate::run::{CallSite, Lane, LaneKind};
use serde::Serialize;
use std::collections::BTreeMap;

/// A call that was made several times in one run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Repeated {
    /// The run.
    pub run: String,
    /// True for a model that was sent the same request, false for a tool that was called with the same arguments.
    pub is_model: bool,
    /// Name of the model or tool.
    pub name: String,
    /// A tool's arguments, as JSON.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub args: String,
    /// Numbers of the steps.
    pub steps: Vec<u32>,
}

/// Calls of a lane that stand in a row several times, with the same arguments and results each time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stuck {
    /// The run.
    pub run: String,
    /// Name or key of the lane.
    pub lane: String,
    /// The tools of one round, in order: most often one.
    pub tools: Vec<String>,
    /// How many times in a row.
    pub times: u32,
    /// Numbers of the first and the last step.
    pub steps: (u32, u32),
}

/// How a lane's context grew.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Growth {
    /// The run.
    pub run: String,
    /// Name or key of the lane.
    pub lane: String,
    /// How many of its turns say how many tokens they read.
    pub turns: u32,
    /// Tokens that the first of these read.
    pub first: u64,
    /// Tokens that the last of these read.
    pub last: u64,
    /// How many times as many that is; none when the first read none.
    pub factor: Option<f64>,
}

/// So many times in a row the same is no progress.
const STUCK: usize = 3;
/// The longest round of calls that is looked for.
const ROUND: usize = 4;

/// Every call of a lane, in order.
fn calls(index: u32, lane: &Lane) -> impl Iterator<Item = CallSite> {
    (0u32..).zip(&lane.turns).flat_map(move |(turn, of)| {
        (0..of.calls.len() as u32).map(move |call| CallSite { lane: index, turn, call })
    })
}

/// Name and arguments of a call, as one text, whatever the order of members.
fn asked(run: &RunView, site: CallSite) -> Option<(String, String)> {
    let name = run.outline.call(site)?.name.clone();
    Some((name, Tree::from(&run.full_args(site)?).canonical()))
}

/// What came back, as far as it can be read.
fn came(run: &RunView, site: CallSite) -> Option<String> {
    let call = run.outline.call(site)?;
    let short = &call.result.as_ref()?.text;
    let full = run.full_result(call).ok().flatten().map(|result| result.text);
    Some(full.unwrap_or_else(|| short.clone()))
}

pub(super) fn repeated(run: &RunView) -> Vec<Repeated> {
    let numbers = StepNumbers::of(run.outline);
    let mut models: BTreeMap<_, (String, Vec<u32>)> = BTreeMap::new();
    let mut tools: BTreeMap<(String, String), Vec<u32>> = BTreeMap::new();
    for (index, lane) in (0u32..).zip(&run.outline.lanes) {
        for (at, turn) in lane.turns.iter().enumerate() {
            let same = models.entry(turn.request_key).or_insert_with(|| (turn.model.clone(), Vec::new()));
            same.1.extend(numbers.model(index as usize, at));
        }
        for site in calls(index, lane) {
            if let Some(key) = asked(run, site) {
                tools.entry(key).or_default().extend(numbers.tool(site));
            }
        }
    }
    let id = run.manifest.id.to_string();
    let models = models.into_values().map(|(name, steps)| (true, name, String::new(), steps));
    let tools = tools.into_iter().map(|((name, args), steps)| (false, name, args, steps));
    let mut found: Vec<Repeated> = models
        .chain(tools)
        .filter(|(.., steps)| steps.len() > 1)
        .map(|(is_model, name, args, mut steps)| {
            steps.sort_unstable();
            Repeated { run: id.clone(), is_model, name, args, steps }
        })
        .collect();
    found.sort_by(|a, b| a.steps.cmp(&b.steps));
    found
}

pub(super) fn stuck(run: &RunView, lanes: &[String]) -> Vec<Stuck> {
    let mut found = Vec::new();
    let numbers = StepNumbers::of(run.outline);
    for (index, lane) in (0u32..).zip(&run.outline.lanes) {
        let sites: Vec<CallSite> = calls(index, lane).collect();
        let asked: Vec<_> = sites.iter().map(|site| asked(run, *site)).collect();
        // Results are read in full only where the calls are the same.
        let same = |a: usize, b: usize| {
            let (Some(x), Some(y)) = (sites.get(a), sites.get(b)) else { return false };
            asked.get(a) == asked.get(b) && came(run, *x).is_some_and(|x| came(run, *y) == Some(x))
        };
        let mut at = 0;
        while at < sites.len() {
            let round = (1..=ROUND).find_map(|length| {
                let equal = (at + length..sites.len()).take_while(|next| same(*next, next - length)).count();
                let times = 1 + equal / length;
                (times >= STUCK).then_some((length, times))
            });
            let Some((length, times)) = round else {
                at += 1;
                continue;
            };
            let here = sites.get(at..at + length * times).unwrap_or_default();
            let number =
                |site: Option<&CallSite>| site.and_then(|site| numbers.tool(*site)).unwrap_or_default();
            let tools = here.iter().take(length).filter_map(|site| run.outline.call(*site));
            found.push(Stuck {
                run: run.manifest.id.to_string(),
                lane: lanes.get(index as usize).cloned().unwrap_or_default(),
                tools: tools.map(|call| call.name.clone()).collect(),
                times: times as u32,
                steps: (number(here.first()), number(here.last())),
            });
            at += length * times;
        }
    }
    found
}

pub(super) fn growth(run: &RunView, lanes: &[String]) -> Vec<Growth> {
    let named = run.outline.lanes.iter().zip(lanes).filter(|(lane, _)| lane.kind != LaneKind::Side);
    let grown = named.filter_map(|(lane, name)| {
        let read: Vec<u64> =
            lane.turns.iter().filter_map(|turn| turn.usage.map(|usage| usage.input)).collect();
        let [first, .., last] = read[..] else { return None };
        Some(Growth {
            run: run.manifest.id.to_string(),
            lane: name.clone(),
            turns: read.len() as u32,
            first,
            last,
            factor: (first > 0).then(|| (last as f64 / first as f64 * 100.0).round() / 100.0),
        })
    });
    grown.collect()
}
