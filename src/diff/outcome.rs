//! How two runs ended, and what they used.

use super::view::RunView;
use super::volatile;
use crate::run::{RunState, StepKind};
use serde::Serialize;

/// How one run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct End {
    /// Exit code of the agent.
    pub exit_code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// What the run is doing.
    pub state: RunState,
    /// The last answer of the main lane, in full; none when there is none.
    pub answer: Option<String>,
    /// Why the last model call of the main lane failed.
    pub error: Option<String>,
}

/// How two runs ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outcomes {
    /// The left one.
    pub left: End,
    /// The right one.
    pub right: End,
    /// True when the exit codes or signals differ, or one run never ended.
    pub exit_differs: bool,
    /// True when the last answers differ in more than ids and clocks.
    pub answer_differs: bool,
}

impl End {
    fn of(run: &RunView) -> End {
        let last = run.last_turn();
        let outcome = run.manifest.outcome.as_ref();
        End {
            exit_code: outcome.and_then(|o| o.exit_code),
            signal: outcome.and_then(|o| o.signal),
            state: run.state,
            answer: last.map(|t| run.full_text(t)).filter(|t| !t.is_empty()),
            error: last.and_then(|t| t.error.clone()),
        }
    }
}

impl Outcomes {
    pub(super) fn of(left: &RunView, right: &RunView) -> Outcomes {
        let (l, r) = (End::of(left), End::of(right));
        let answer_differs = l.error.is_some() != r.error.is_some()
            || match (&l.answer, &r.answer) {
                (Some(a), Some(b)) => a != b && !volatile::text_varies(a, b),
                (a, b) => a.is_some() != b.is_some(),
            };
        Outcomes {
            exit_differs: (l.exit_code, l.signal) != (r.exit_code, r.signal),
            answer_differs,
            left: l,
            right: r,
        }
    }

    /// True when the runs ended differently.
    pub fn differ(&self) -> bool {
        self.exit_differs || self.answer_differs
    }
}

/// What one run used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Model and tool steps.
    pub steps: u32,
    /// Model steps.
    pub model_steps: u32,
    /// Tool steps.
    pub tool_steps: u32,
    /// Tokens read.
    pub tokens_in: u64,
    /// Tokens written.
    pub tokens_out: u64,
    /// From start to end in microseconds; none when nobody saw it.
    pub duration_us: Option<u64>,
    /// Cost in micro-dollars; none for a model without a price, never a guess.
    pub cost_microusd: Option<u64>,
}

impl Totals {
    /// Adds up a run.
    pub fn of(run: &RunView) -> Totals {
        let steps = run.outline.steps.len() as u32;
        let is_model = |kind: &StepKind| matches!(kind, StepKind::Model { .. });
        let model_steps = run.outline.steps.iter().filter(|s| is_model(&s.kind)).count() as u32;
        let usage = run.outline.usage();
        Totals {
            steps,
            model_steps,
            tool_steps: steps - model_steps,
            tokens_in: usage.input,
            tokens_out: usage.output,
            duration_us: run.duration_us(),
            cost_microusd: None,
        }
    }
}
