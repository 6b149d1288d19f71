//! A run as one JSON document, for expressions and for commands.

use super::{Check, Judgement, Outcome};
use crate::diff::RunView;
use serde_json::Value;

/// A run, as checks see it.
#[derive(Debug, Clone, PartialEq)]
pub struct Subject {
    document: Value,
}

impl Subject {
    /// Reads a run.
    pub fn of(run: &RunView) -> Subject {
        let _ = run;
        Subject { document: Value::Null }
    }

    /// The run as JSON.
    pub fn document(&self) -> &Value {
        &self.document
    }

    /// Judges a run by checks. Commands are broken here: whoever runs them judges them.
    pub fn judge(&self, checks: &[Check]) -> Vec<Judgement> {
        let judged = checks.iter().map(|check| Judgement {
            name: check.name.clone(),
            severity: check.severity,
            why: check.why.clone(),
            outcome: Outcome::Broken { why: "not judged yet".into() },
        });
        judged.collect()
    }
}
