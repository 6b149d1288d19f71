//! What a run does differently from the recorded one, in the order of cause and effect.

mod calls;
mod code;
mod collect;
mod refused;
mod requests;
mod results;
mod severities;
mod smallest;
mod totals;
mod unanswered;

pub use code::{CODES, Code, Drift, Severity};
pub use severities::{Severities, Threshold};

use crate::diff::{self, Comparison, Kin, RunView};
use crate::holes::{Rules, Surroundings};
use crate::replay::tally::Tally;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// The part that differs, whole.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Difference {
    /// Where: `issue_refund.amount_usd`, `system`, `messages[3].text`; empty for the whole.
    pub path: String,
    /// What the recorded run has there; none when it has nothing.
    pub before: Option<String>,
    /// What this run has there; none when it has nothing.
    pub after: Option<String>,
}

/// One thing that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What kind of difference it is.
    pub code: Code,
    /// How much it matters; never [`Severity::Off`].
    pub severity: Severity,
    /// Whose doing it is.
    pub drift: Drift,
    /// Number of the step in the recorded run.
    pub step: Option<u32>,
    /// Number of the step in this run.
    pub now: Option<u32>,
    /// What happened, in one sentence without a full stop: `issue_refund is called with another amount_usd`.
    pub what: String,
    /// The smallest part that differs.
    pub difference: Option<Difference>,
    /// What else differs in the same place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub more: Vec<Difference>,
    /// True when it comes after another finding and may follow from it.
    pub follows: bool,
}

/// All that differs, and how the runs compare.
#[derive(Debug, Clone, PartialEq)]
pub struct Findings {
    /// What differs, the first cause first.
    pub all: Vec<Finding>,
    /// Both runs, step by step.
    pub comparison: Comparison,
}

impl Findings {
    /// Whose doing the first difference is that is not a mere note; none when there is none.
    pub fn drift(&self) -> Option<Drift> {
        let told = self.all.iter().find(|f| f.severity > Severity::Note).or(self.all.first());
        told.map(|finding| finding.drift)
    }

    /// The worst severity; none when nothing differs.
    pub fn worst(&self) -> Option<Severity> {
        self.all.iter().map(|finding| finding.severity).max()
    }
}

/// What a replay came to.
#[derive(Debug, Clone, Copy)]
pub struct Replayed<'a> {
    /// What was matched, and what was not.
    pub tally: &'a Tally,
    /// What is declared not to count (`[[ignore]]`, `[[hole]]`).
    pub rules: &'a Rules,
    /// True when the agent was ended before it was done: what it did not come to is no difference, and neither is how it
    /// ended.
    pub cut_off: bool,
}

/// Compares the recorded run (left) with what the agent did now (right).
///
/// `surroundings`: where and when both ran, see [`crate::diff::compare()`]. `replay`: when it was one.
pub fn find(
    left: &RunView,
    right: &RunView,
    surroundings: &Surroundings,
    replay: Option<Replayed<'_>>,
    severities: &Severities,
) -> Findings {
    let (comparison, asked) = diff::compare_asked(left, right, surroundings);
    let replayed = matches!(comparison.kin, Kin::RightIsFork { replay: true, .. });
    let mut collected = Collected::default();
    let refused = collect::steps(&mut collected, (left, right), (&comparison, &asked), replay);
    if let Some(replay) = replay {
        unanswered::told(&mut collected, left, replay.tally);
    }
    calls::told(&mut collected, left, right);
    if replay.is_some_and(|replay| replay.cut_off) {
        // What a refused request shows the lack of did not happen before that.
        let is_missing = |of: &Found| {
            (of.finding.code == Code::MissingCall && !(of.lacked && refused)) || (of.beside && of.inherits)
        };
        collected.found.retain(|found| !is_missing(found));
    } else {
        totals::ended(&mut collected, &comparison, refused, severities);
    }
    totals::sent(&mut collected, left, right);
    Findings { all: collected.in_order(severities, replayed), comparison }
}

/// What was found so far.
#[derive(Debug, Default)]
struct Collected {
    found: Vec<Found>,
    /// Recorded steps of tools whose results are told by another finding.
    results_told: HashSet<u32>,
}

/// A finding, and where in the order of cause and effect it stands.
#[derive(Debug)]
struct Found {
    /// Index of the row of the comparison; what belongs to none comes last.
    row: usize,
    finding: Finding,
    /// True for what tells of the whole run or how it was replayed: nothing follows from it.
    beside: bool,
    /// True for what the difference before it brings about, whoever's doing that is.
    inherits: bool,
    /// True for a call that does not happen and that what the agent asks later shows the lack of.
    lacked: bool,
}

impl Collected {
    fn in_order(mut self, severities: &Severities, replayed: bool) -> Vec<Finding> {
        // Where the agent asks otherwise, what does not happen comes of that, wherever branches stand.
        let asks = self.asks_otherwise();
        let comes_of = |found: &Found| asks && !found.lacked && found.finding.code == Code::MissingCall;
        let last = self.found.iter().filter(|found| !found.beside).map(|found| found.row).max().unwrap_or(0);
        for found in &mut self.found {
            if !found.beside && comes_of(found) {
                (found.row, found.inherits) = (last + 1, true);
            }
        }
        self.found.sort_by_key(|found| (found.beside, found.row));
        let cause =
            self.found.iter().find(|found| !found.beside).map(|found| (found.row, found.finding.drift));
        let told = self.found.into_iter().filter_map(|found| {
            let mut finding = found.finding;
            if let Some((row, drift)) = cause {
                finding.follows = if found.beside { found.inherits } else { found.row > row };
                if finding.follows && found.inherits {
                    finding.drift = drift;
                }
            }
            finding.severity = severities.of(finding.code, replayed);
            (finding.severity != Severity::Off).then_some(finding)
        });
        told.collect()
    }

    /// True when it was found how a request of the agent differs.
    fn asks_otherwise(&self) -> bool {
        let asks = |code| {
            use Code::{ModelChanged, NewCall, ParamsChanged, PromptChanged, ToolsChanged, Unmatched};
            matches!(code, PromptChanged | ToolsChanged | ModelChanged | ParamsChanged | NewCall | Unmatched)
        };
        self.found.iter().any(|of| !of.beside && of.finding.drift == Drift::Code && asks(of.finding.code))
    }

    /// True when calls do not happen that a refused request would have told of.
    fn lacks(&self) -> bool {
        self.found.iter().any(|of| of.lacked)
    }

    fn at(&mut self, row: usize, finding: Finding) {
        self.found.push(Found { row, finding, beside: false, inherits: false, lacked: false });
    }

    /// A call that does not happen, and that is why the agent asks otherwise.
    fn lacked(&mut self, row: usize, finding: Finding) {
        self.found.push(Found { row, finding, beside: false, inherits: false, lacked: true });
    }

    /// What follows from what differs before it.
    fn following(&mut self, row: usize, finding: Finding) {
        self.found.push(Found { row, finding, beside: false, inherits: true, lacked: false });
    }

    /// What is told of the whole run. `inherits`: it may come from whatever differs in it.
    fn beside(&mut self, finding: Finding, inherits: bool) {
        self.found.push(Found { row: usize::MAX, finding, beside: true, inherits, lacked: false });
    }
}

impl Finding {
    fn new(code: Code, drift: Drift, (step, now): (Option<u32>, Option<u32>), what: String) -> Finding {
        let severity = Severity::Error;
        Finding { code, severity, drift, step, now, what, difference: None, more: Vec::new(), follows: false }
    }

    fn with(mut self, mut differences: Vec<Difference>) -> Finding {
        if !differences.is_empty() {
            self.difference = Some(differences.remove(0));
            self.more = differences;
        }
        self
    }
}

#[cfg(test)]
mod tests;
