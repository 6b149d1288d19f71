//! What runs used and where it went: by model, tool and agent; and what an agent does over and over for nothing.
//! Pure: what it needs of a run comes through [`RunView`].

mod habits;
mod prefix;
#[cfg(test)]
mod tests;

pub use habits::{Growth, Repeated, Stuck};
pub use prefix::Break;

use crate::dialect::conversation::Usage;
use crate::diff::RunView;
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
    /// Model calls by the name or key of their lane.
    pub agents: BTreeMap<String, Calls>,
    /// Calls that were made more than once in a run.
    pub repeated: Vec<Repeated>,
    /// Calls in a row that got the same result each time.
    pub stuck: Vec<Stuck>,
    /// How much more each lane read at its end.
    pub growth: Vec<Growth>,
    /// Requests that do not begin with the one before, so that a prompt cache does not help.
    pub breaks: Vec<Break>,
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
    /// Adds a run.
    pub fn add(&mut self, run: &RunView) {
        self.runs += 1;
        for (index, lane) in (0u32..).zip(&run.outline.lanes) {
            self.models_of(run, lane);
            self.tools_of(run, index, lane);
        }
        self.repeated.extend(habits::repeated(run));
        self.stuck.extend(habits::stuck(run));
        self.growth.extend(habits::growth(run));
        self.breaks.extend(prefix::breaks(run));
    }

    /// Works out the percentiles, after the last run.
    pub fn settle(&mut self) {
        let kinds = [&mut self.models, &mut self.tools, &mut self.agents];
        kinds.into_iter().flat_map(|kind| kind.values_mut()).for_each(|calls| calls.latency.settle());
        self.total.latency.settle();
    }

    fn models_of(&mut self, run: &RunView, lane: &Lane) {
        for turn in &lane.turns {
            let model = run.sent_model(turn).unwrap_or_else(|| turn.model.clone());
            let cost: Option<Cost> = run.cost_of(turn);
            let time = turn.ended_us.checked_sub(turn.started_us).filter(|_| turn.ended_us > 0);
            let of_model = self.models.entry(model.clone()).or_default();
            let of_agent = self.agents.entry(lane_name(lane)).or_default();
            for calls in [&mut self.total, of_model, of_agent] {
                calls.calls += 1;
                calls.errors += u32::from(turn.error.is_some());
                calls.retries += (turn.attempts.len() as u32).saturating_sub(1);
                calls.usage += turn.usage.unwrap_or_default();
                calls.cost.add(&model, cost);
                calls.latency.add(time);
            }
        }
    }

    fn tools_of(&mut self, run: &RunView, lane: u32, of: &Lane) {
        for (at, turn) in (0u32..).zip(&of.turns) {
            for (call, asked) in (0u32..).zip(&turn.calls) {
                let calls = self.tools.entry(asked.name.clone()).or_default();
                calls.calls += 1;
                calls.errors += u32::from(asked.result.as_ref().is_some_and(|result| result.is_error));
                let exact =
                    run.source.carried_out(CallSite { lane, turn: at, call }).and_then(|by| by.took_us);
                let most = asked.result.as_ref().map(|result| result.seen_us.saturating_sub(turn.ended_us));
                calls.latency.at_most |= exact.is_none() && most.is_some();
                calls.latency.add(exact.or(most));
            }
        }
    }
}

/// The name of a lane, or its key.
fn lane_name(lane: &Lane) -> String {
    lane.named.clone().unwrap_or_else(|| lane.key.clone())
}
