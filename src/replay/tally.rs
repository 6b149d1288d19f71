//! What a replay or a fork came to: counts, pins, misses.

pub mod servers;
mod stale;

pub use stale::Stale;

use super::fences::FencedBy;
use super::matcher::{Counters, MatchClass, Miss, Near, Pin, SentAsIs, Unpinned};
use super::policy::CLASSES;
use super::serve::Rewritten;
use crate::dialect::conversation::Usage;
use crate::run::{CallSite, Outline, StaleAt, StepKind};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// Counts of one replay or fork.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Tally {
    /// Model turns that were answered, by lane and turn, with their class.
    #[serde(skip)]
    pub served: BTreeMap<(u32, u32), MatchClass>,
    /// Requests for model turns that were answered, by class.
    #[serde(skip)]
    pub(super) fitted: BTreeMap<MatchClass, u32>,
    /// Requests that nothing recorded was right for.
    #[serde(skip)]
    pub(super) unfitted: u32,
    /// What the matcher had to do beside.
    pub matching: Matching,
    /// What servers of tools were asked.
    pub servers: servers::Servers,
    /// The match that the policy did not let pass.
    pub not_allowed: Option<NotAllowed>,
    /// Model turns that no request reached.
    #[serde(skip)]
    pub unasked: BTreeSet<(u32, u32)>,
    /// Requests answered from the recording (retries and side calls too).
    pub recorded: u32,
    /// Requests answered by an edit.
    pub edited: u32,
    /// Requests that went to a live upstream.
    pub live: u32,
    /// Requests that were refused.
    pub refused: u32,
    /// Tool results that came out differently and were pinned.
    pub pins: Vec<PinReport>,
    /// Where stale results stand in this run.
    #[serde(skip)]
    pub stale_at: Vec<StaleAt>,
    /// Tool results that differ from the recorded ones and went to the live model as they are.
    pub sent_as_is: Vec<SentResult>,
    /// What could not be matched; the first explains, the rest follow from it.
    pub misses: Vec<Miss>,
    /// A tool that a fence stopped, with the step that asked for it.
    pub fenced: Option<Fenced>,
    /// Steps that an edit names and that came to pass, so that it was applied.
    #[serde(skip)]
    pub edits_met: BTreeSet<u32>,
    /// True when the limit of live calls was reached.
    pub live_limit: bool,
    /// The step that `--to` stopped at.
    pub stopped_at: Option<u32>,
    /// Back-offs that were not slept again.
    pub back_offs: u32,
    /// Secrets of today put into answers.
    pub revealed: u32,
    /// Values of today (names, directories, dates) put into answers.
    pub values: u32,
    /// Stand-ins served because today's secret is not known.
    pub stand_ins: u32,
    /// What was left out of live requests so that the provider takes them.
    pub dropped: Vec<String>,
    /// Turns of a fork that no edit reached and that went live, as the agent asked otherwise than recorded.
    pub drifts: Vec<Near>,
    /// Live calls that the recording does not have, by lane and turn.
    #[serde(skip)]
    pub unrecorded: BTreeSet<(u32, u32)>,
    /// Attempts of live calls that failed, by lane and turn.
    #[serde(skip)]
    pub(super) live_attempts: BTreeMap<(u32, u32), Attempts>,
}

/// What the matcher had to do beside finding the place of each request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Matching {
    /// Results of equal calls of one answer that stood in each other's place.
    pub swapped: u32,
    /// Choices among lanes that nothing tells apart.
    pub symmetric: u32,
    /// Answers that were held until a twin of their lane had begun.
    pub gates: u32,
    /// Of those: released without, since nothing else happened.
    pub gate_timeouts: u32,
    /// Side calls that were answered again with the same.
    pub side_repeats: u32,
    /// Side calls that the recording does not have, answered with 404, and telemetry that it does not have.
    pub side_unknown: u32,
    /// Answers that were served again, because the first did not arrive.
    pub repeats: u32,
    /// Recorded attempts that were served after the first of their turn, without their waiting.
    pub retries: u32,
}

impl Matching {
    pub(super) fn of(counters: Counters, side_repeats: u32, side_unknown: u32) -> Matching {
        Matching {
            side_unknown,
            swapped: counters.swapped,
            symmetric: counters.symmetric,
            gates: counters.gates,
            gate_timeouts: counters.gate_timeouts,
            side_repeats: counters.side_repeats + side_repeats,
            repeats: counters.repeats,
            retries: counters.retries,
        }
    }
}

/// A match that the policy did not let pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct NotAllowed {
    /// Its class.
    pub class: MatchClass,
    /// The model step that it is of.
    pub step: Option<u32>,
}

/// Attempts of one live call that failed.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Attempts {
    /// Why, in order.
    failed: Vec<String>,
    /// True when a later attempt had an answer.
    mended: bool,
}

/// A tool that was not run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fenced {
    /// Name of the tool.
    pub tool: String,
    /// Who fences it.
    pub by: FencedBy,
    /// The model step that asked for it, when it is a recorded one.
    pub step: Option<u32>,
    /// Tokens of the answer that asked for it, when it came from a live call; the agent never got it.
    pub asked_live: Option<Usage>,
}

/// One pinned tool result.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PinReport {
    /// Number of the tool step.
    pub step: Option<u32>,
    /// Name of the tool.
    pub tool: String,
    /// The recorded result, which was served on.
    pub recorded: String,
    /// What the tool returned this time.
    pub live: String,
    /// Only names and quantities differ: today's values were bound or let pass.
    pub renamed: bool,
    /// The write before it that was not as recorded.
    #[serde(skip)]
    pub stale: Option<CallSite>,
    /// The call.
    #[serde(skip)]
    pub site: CallSite,
}

/// A tool result that was not pinned.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SentResult {
    /// Number of the recorded tool step.
    pub step: Option<u32>,
    /// Name of the tool.
    pub tool: String,
    /// The recorded result.
    pub recorded: String,
    /// What the tool returned this time, which the model was sent.
    pub live: String,
    /// Why it is no pin.
    pub why: Unpinned,
    /// The call.
    #[serde(skip)]
    pub site: CallSite,
}

impl Tally {
    pub(super) fn rewritten(&mut self, what: Rewritten) {
        self.revealed += what.revealed;
        self.values += what.values;
        self.stand_ins += what.stand_ins;
        self.back_offs += u32::from(what.retry_after);
    }

    /// An attempt of a live call has ended: with an answer, or not, and why.
    pub(super) fn live_attempt(&mut self, place: (u32, u32), failure: Option<String>) {
        match failure {
            Some(why) => {
                let attempts = self.live_attempts.entry(place).or_default();
                attempts.failed.push(why);
                attempts.mended = false;
            }
            None => {
                if let Some(attempts) = self.live_attempts.get_mut(&place) {
                    attempts.mended = true;
                }
            }
        }
    }

    /// Live calls whose last attempt failed: why, and how many attempts there were.
    pub fn live_failures(&self) -> impl Iterator<Item = (&str, usize)> {
        let lost = self.live_attempts.values().filter(|a| !a.mended);
        lost.filter_map(|a| Some((a.failed.last()?.as_str(), a.failed.len())))
    }

    /// Attempts that failed and were made good by a retry of the agent's own: why, one each.
    pub fn live_mended(&self) -> impl Iterator<Item = &str> {
        self.live_attempts.values().filter(|a| a.mended).flat_map(|a| &a.failed).map(String::as_str)
    }

    pub(super) fn pin(&mut self, outline: &Outline, pin: &Pin) {
        if pin.swapped || self.pins.iter().any(|p| p.site == pin.site) {
            return;
        }
        self.pins.push(PinReport {
            step: outline.number_of(StepKind::Tool { site: pin.site }),
            tool: pin.tool.clone(),
            recorded: pin.recorded.clone(),
            live: pin.live.clone(),
            renamed: pin.renamed,
            stale: pin.stale,
            site: pin.site,
        });
    }

    /// Results that went to the live model as they are; answers of sub-agents are no results of tools.
    pub(super) fn sent_as_they_are(outline: &Outline, sent: &[SentAsIs]) -> Vec<SentResult> {
        let of_tools = sent.iter().filter(|sent| sent.why != Unpinned::Lane);
        let report = |SentAsIs { result, why }: &SentAsIs| SentResult {
            step: outline.number_of(StepKind::Tool { site: result.site }),
            tool: result.tool.clone(),
            recorded: result.recorded.clone(),
            live: result.live.clone(),
            why: *why,
            site: result.site,
        };
        of_tools.map(report).collect()
    }

    /// The calls whose results came back.
    pub fn returned(&self, outline: &Outline) -> HashSet<CallSite> {
        let sites = outline.steps.iter().filter_map(|step| match step.kind {
            StepKind::Tool { site } => Some(site),
            StepKind::Model { .. } => None,
        });
        let has_result = |site: &CallSite| outline.call(*site).is_some_and(|call| call.result.is_some());
        sites.filter(has_result).filter(|site| self.came_back(outline, *site)).collect()
    }

    /// Steps of the recording that were played: model steps served, and tool steps whose result came back.
    pub fn steps_played(&self, outline: &Outline) -> u32 {
        let played = outline.steps.iter().filter(|step| match step.kind {
            StepKind::Model { lane, turn } => self.was_served((lane, turn)),
            StepKind::Tool { site } => {
                let never_back = outline.call(site).is_none_or(|c| c.result.is_none());
                self.was_served((site.lane, site.turn)) && (never_back || self.came_back(outline, site))
            }
        });
        played.count() as u32
    }

    fn was_served(&self, place: (u32, u32)) -> bool {
        // Identical branches are served as one of them until they differ; what was asked for tells how many there were.
        let stopped = self.fenced.is_some() || self.stopped_at.is_some() || !self.misses.is_empty();
        self.served.contains_key(&place) || (!stopped && !self.unasked.contains(&place))
    }

    /// True when the result of a call that was served is in a request of this replay, answered or stopped.
    fn came_back(&self, outline: &Outline, site: CallSite) -> bool {
        self.was_served((site.lane, site.turn + 1)) || self.came_back_before_the_stop(outline, site)
    }

    /// True for a tool step whose result was in the request that was stopped.
    fn came_back_before_the_stop(&self, outline: &Outline, site: CallSite) -> bool {
        let fence = self.fenced.as_ref().and_then(|fenced| outline.step(fenced.step?));
        let asked = StepKind::Model { lane: site.lane, turn: site.turn + 1 };
        let mut missed = self.misses.iter().filter_map(|miss| outline.step(miss.nearest.first()?.step?));
        let to = self.stopped_at.zip(outline.number_of(StepKind::Tool { site }));
        fence == Some(asked) || missed.any(|step| step == asked) || to.is_some_and(|(to, step)| step <= to)
    }

    /// Tools that ran again in the agent's own process, with how often.
    pub fn tools_run(&self, outline: &Outline) -> BTreeMap<String, u32> {
        let mut ran = BTreeMap::new();
        for step in &outline.steps {
            let StepKind::Tool { site } = step.kind else { continue };
            let Some(call) = outline.call(site).filter(|call| call.result.is_some()) else { continue };
            // What the agent was told to run and did not is not to be warned of. `--to` stops at the request that brings
            // the results of the last answer, though their steps are beyond it.
            let back = self.stopped_at.is_some() || self.came_back(outline, site);
            if self.was_served((site.lane, site.turn)) && back && !self.answered_for_its_server(site) {
                *ran.entry(call.name.clone()).or_default() += 1;
            }
        }
        ran
    }

    /// How many requests fell into each class, all classes told. Those that nothing recorded was right for are drift.
    pub fn classes(&self) -> BTreeMap<MatchClass, u32> {
        let drift = self.unfitted + self.drifts.len() as u32;
        let count = |class| match class {
            MatchClass::Drift => drift,
            class => self.fitted.get(&class).copied().unwrap_or_default(),
        };
        CLASSES.iter().map(|(class, _)| (*class, count(*class))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diff::tests::fake::refund;

    /// A tally of the refund run: these turns were served, those were never asked for.
    fn tally(served: u32) -> Tally {
        let mut tally = Tally::default();
        tally.served.extend((0..served).map(|turn| ((0, turn), MatchClass::Exact)));
        tally.unasked.extend((served..5).map(|turn| (0, turn)));
        tally
    }

    #[test]
    fn a_tool_ran_when_its_result_came_back() {
        let outline = refund("refund.1").outline;
        let all = tally(5).tools_run(&outline);
        assert_eq!((all.len(), all.get("issue_refund")), (5, Some(&1)));
        let early = tally(4);
        assert_eq!(early.tools_run(&outline).get("issue_refund"), None, "the agent ended before");
        assert_eq!(early.steps_played(&outline), 8);
        let to = Tally { stopped_at: Some(8), ..tally(4) };
        assert_eq!(
            to.tools_run(&outline).get("issue_refund"),
            Some(&1),
            "its result was in the stopped request"
        );
    }
}
