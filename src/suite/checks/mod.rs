//! What must hold of a run: predicates, as they are written in `retake.toml` and in the files of cases.

mod check;
mod expression;
mod functions;
mod judge;
mod schema;
mod sentence;
mod subject;
mod tokens;
mod values;

pub use check::{Check, Rule, Schema};
pub use judge::judge;
pub use subject::{Subject, VERSION};

use super::findings::Severity;
use serde::{Deserialize, Serialize};

/// What a check came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum Outcome {
    /// It holds.
    Passed,
    /// It does not hold.
    Failed {
        /// What is the case instead, in one sentence without a full stop.
        what: String,
    },
    /// It cannot be told whether it holds: the check is wrong, or what it asks for is not known.
    Broken {
        /// Why, in one sentence without a full stop.
        // A judgement, which this is flattened into, has a `why` of its own.
        #[serde(rename = "because")]
        why: String,
    },
}

/// A check and what it came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// Name of the check.
    pub name: String,
    /// How much it matters when it fails.
    pub severity: Severity,
    /// Why somebody wanted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What it came to.
    #[serde(flatten)]
    pub outcome: Outcome,
}

#[cfg(test)]
mod tests;
