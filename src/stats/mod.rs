//! What runs used and where it went: by model, tool and agent; and what an agent does over and over for nothing.
//! Pure: what it needs of a run comes through [`RunView`].

mod habits;
mod prefix;
#[cfg(test)]
mod tests;
mod told;

pub use habits::{Growth, Repeated, Stuck};
pub use prefix::Break;
pub use told::Told;

use crate::dialect::conversation::Usage;
use crate::diff::RunView;
use crate::diff::view::StepNumbers;
use crate::prices::{Cost, Spent};
use crate::run::{CallSite, Lane};
use serde::Serialize;
use std::collections::BTreeMap;

/// Figures of one run or of several together.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Stats {
    /// How many runs they are of.
    pub runs: u32,
    /// All model calls.
    pub total: Calls,
    /// Model calls by the model that was asked.
    pub models: BTreeMap<String, Calls>,
    /// Calls of tools by name.
    pub tools: BTreeMap<String, Calls>,
    /// Model calls by the agent that made them: by the name that spans or requests tell; of one run alone else by the key
    /// of its lane.
    pub agents: BTreeMap<String, Calls>,
    /// Of several runs: model calls of agents without a name, which have nothing in common.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unnamed: Option<Unnamed>,
    /// Those by lane, for the one run.
    #[serde(skip)]
    lanes: BTreeMap<(u32, String), Calls>,
    /// Those together, for several.
    #[serde(skip)]
    nameless: Calls,
    /// Calls that were made more than once in a run.
    pub repeated: Vec<Repeated>,
    /// Calls in a row that got the same result each time.
    pub stuck: Vec<Stuck>,
    /// How much more each lane read at its end.
    pub growth: Vec<Growth>,
    /// Requests that do not begin with the one before, so that a prompt cache does not help.
    pub breaks: Vec<Break>,
}

/// Agents without a name.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Unnamed {
    /// How many lanes of runs they are.
    pub lanes: u32,
    /// Their calls.
    #[serde(flatten)]
    pub calls: Calls,
}

/// Calls of one kind.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Calls {
    /// How many.
    pub calls: u32,
    /// Of these: failed.
    pub errors: u32,
    /// Attempts beyond the first.
    pub retries: u32,
    /// Tokens; none of them for tools.
    pub usage: Usage,
    /// What they cost, in US dollars; `null` where a call has no price.
    pub cost: Spent,
    /// How long they took.
    pub latency: Latency,
}

/// How long calls took; percentiles are times that were measured, of those calls that ended.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Latency {
    /// Half took no longer, in microseconds.
    pub p50_us: Option<u64>,
    /// Of a hundred 95 took no longer.
    pub p95_us: Option<u64>,
    /// Of a hundred 99 took no longer.
    pub p99_us: Option<u64>,
    /// A tool ran inside the agent: what is known is when its result was sent on, so it took at most that long.
    pub at_most: bool,
    #[serde(skip)]
    times: Vec<u64>,
}

impl Latency {
    fn add(&mut self, time: Option<u64>) {
        self.times.extend(time);
    }

    fn settle(&mut self) {
        self.times.sort_unstable();
        let rank = |of_hundred: usize| {
            let place = (self.times.len() * of_hundred).div_ceil(100);
            self.times.get(place.checked_sub(1)?).copied()
        };
        (self.p50_us, self.p95_us, self.p99_us) = (rank(50), rank(95), rank(99));
    }
}

impl Stats {
    /// Adds a run, and what its spans say.
    pub fn add(&mut self, run: &RunView, told: &Told) {
        self.runs += 1;
        let numbers = StepNumbers::of(run.outline);
        for (index, lane) in (0u32..).zip(&run.outline.lanes) {
            self.models_of(run, (index, lane), &numbers, told);
            self.tools_of(run, (index, lane), &numbers, told);
        }
        let lanes = told.lanes(run.outline, &numbers);
        self.repeated.extend(habits::repeated(run));
        self.stuck.extend(habits::stuck(run, &lanes));
        self.growth.extend(habits::growth(run, &lanes));
        self.breaks.extend(prefix::breaks(run, &lanes));
    }

    /// Works out the percentiles, after the last run.
    pub fn settle(&mut self) {
        let lanes = std::mem::take(&mut self.lanes);
        if self.runs > 1 && !lanes.is_empty() {
            let calls = std::mem::take(&mut self.nameless);
            self.unnamed = Some(Unnamed { lanes: lanes.len() as u32, calls });
        } else {
            for ((_, lane), calls) in lanes {
                let is_taken = self.agents.contains_key(&lane);
                self.agents.insert(if is_taken { format!("{lane} (no name)") } else { lane }, calls);
            }
        }
        let kinds = [&mut self.models, &mut self.tools, &mut self.agents];
        kinds.into_iter().flat_map(|kind| kind.values_mut()).for_each(|calls| calls.latency.settle());
        self.unnamed.iter_mut().for_each(|unnamed| unnamed.calls.latency.settle());
        self.total.latency.settle();
    }

    fn models_of(&mut self, run: &RunView, (index, lane): (u32, &Lane), numbers: &StepNumbers, told: &Told) {
        for (at, turn) in lane.turns.iter().enumerate() {
            let model = run.sent_model(turn).unwrap_or_else(|| turn.model.clone());
            let cost: Option<Cost> = run.cost_of(turn);
            let time = turn.took_us();
            let mut all = vec![&mut self.total, self.models.entry(model.clone()).or_default()];
            match told.agent(lane, numbers.model(index as usize, at)) {
                Some(agent) => all.push(self.agents.entry(agent).or_default()),
                None => {
                    all.push(self.lanes.entry((self.runs, lane.key.clone())).or_default());
                    all.push(&mut self.nameless);
                }
            }
            for calls in all {
                calls.calls += 1;
                calls.errors += u32::from(turn.error.is_some());
                calls.retries += (turn.attempts.len() as u32).saturating_sub(1);
                calls.usage += turn.usage.unwrap_or_default();
                calls.cost.add(&model, cost);
                calls.latency.add(time);
            }
        }
    }

    fn tools_of(&mut self, run: &RunView, (lane, of): (u32, &Lane), numbers: &StepNumbers, told: &Told) {
        for (at, turn) in (0u32..).zip(&of.turns) {
            for (call, asked) in (0u32..).zip(&turn.calls) {
                let site = CallSite { lane, turn: at, call };
                let told = told.step(numbers.tool(site));
                let calls = self.tools.entry(asked.name.clone()).or_default();
                calls.calls += 1;
                let came_as_error = asked.result.as_ref().is_some_and(|result| result.is_error);
                calls.errors += u32::from(came_as_error || told.is_some_and(|told| told.failed));
                let carried_out = || run.source.carried_out(site).and_then(|by| by.took_us);
                let exact = told.and_then(|told| told.took_us).or_else(carried_out);
                let most = turn.call_took_us(asked);
                calls.latency.at_most |= exact.is_none() && most.is_some();
                calls.latency.add(exact.or(most));
            }
        }
    }
}
