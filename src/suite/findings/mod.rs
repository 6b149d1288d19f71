//! What a run does differently from the recorded one, in the order of cause and effect.

mod code;
mod severities;

pub use code::{CODES, Code, Drift, Severity};
pub use severities::{Severities, Threshold};

use crate::diff::{Comparison, RunView};
use crate::holes::Surroundings;
use crate::replay::tally::Tally;
use serde::{Deserialize, Serialize};

/// The part that differs, whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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

/// Compares the recorded run (left) with what the agent did now (right).
///
/// `surroundings`: where and when both ran, see [`crate::diff::compare()`]. `tally`: what the replay came to, when it was one.
pub fn find(
    left: &RunView,
    right: &RunView,
    surroundings: &Surroundings,
    tally: Option<&Tally>,
    severities: &Severities,
) -> Findings {
    let _ = (tally, severities);
    Findings { all: Vec::new(), comparison: crate::diff::compare(left, right, surroundings) }
}
