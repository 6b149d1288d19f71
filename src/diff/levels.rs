//! How deep a difference goes.

use super::rows::StepPair;
use serde::Serialize;

/// The level of a difference; each includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Other bytes, the same meaning: key order, spaces, ids that the normal form leaves out.
    Bytes,
    /// Another value somewhere: an id, a clock, a tool result, the wording beside a tool call, a parameter.
    Json,
    /// Another action: tool, arguments, answer.
    Action,
    /// Another exit code or another last answer.
    Outcome,
}

/// A pair of step numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct At {
    /// The left step.
    pub left: Option<u32>,
    /// The right step.
    pub right: Option<u32>,
}

/// Where two runs first part, level by level. None where they never do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Levels {
    /// In bytes (none also when bytes were not at hand).
    pub bytes: Option<At>,
    /// In a value.
    pub json: Option<At>,
    /// In what was done.
    pub action: Option<At>,
    /// True when they end differently.
    pub outcome: bool,
}

impl Levels {
    pub(super) fn of(rows: &[StepPair], bytes: Option<At>, outcome: bool) -> Levels {
        let first = |level: Level| {
            let row = rows.iter().find(|r| !r.is_side && r.level.is_some_and(|l| l >= level))?;
            Some(At { left: row.left, right: row.right })
        };
        Levels {
            bytes: bytes.or_else(|| first(Level::Bytes)),
            json: first(Level::Json),
            action: first(Level::Action),
            outcome,
        }
    }

    /// The highest level at which the runs differ; none when they do not.
    pub fn highest(&self) -> Option<Level> {
        match self {
            Levels { outcome: true, .. } => Some(Level::Outcome),
            Levels { action: Some(_), .. } => Some(Level::Action),
            Levels { json: Some(_), .. } => Some(Level::Json),
            Levels { bytes: Some(_), .. } => Some(Level::Bytes),
            _ => None,
        }
    }
}
