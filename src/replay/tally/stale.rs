//! Recorded results that no longer say how the world is: a write before them was not as recorded.

use super::Tally;
use crate::exchange::ExchangeId;
use crate::run::{CallSite, Outline, StaleAt, StepKind};
use serde::Serialize;

/// A recorded result that was shown to the model although a write before it was not as recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stale {
    /// Number of the tool step.
    pub step: Option<u32>,
    /// The tool.
    pub tool: String,
    /// Number of the write's step.
    pub after_step: Option<u32>,
    /// The tool that wrote; empty where the recording has no call at that place.
    pub after: String,
}

impl Tally {
    /// Notes a recorded result that is given to the agent or the model, though it is stale.
    pub(in crate::replay) fn note_stale(&mut self, exchange: ExchangeId, block: Option<(u32, u32)>) {
        self.stale_at.push(StaleAt { exchange, block });
    }

    /// The pins that are stale, as the matcher found them.
    pub fn stale(&self, outline: &Outline) -> Vec<Stale> {
        let numbers = outline.numbers();
        let number = |site: CallSite| numbers.get(&StepKind::Tool { site }).copied();
        let stale = self.pins.iter().filter_map(|pin| {
            let write = pin.stale?;
            Some(Stale {
                step: pin.step,
                tool: pin.tool.clone(),
                after_step: number(write),
                after: outline.call(write).map(|call| call.name.clone()).unwrap_or_default(),
            })
        });
        stale.collect()
    }
}
