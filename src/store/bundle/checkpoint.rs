//! Checkpoints as the file has them: what each step changed.

use crate::dialect::conversation::Usage;
use crate::run::{Outline, StepKind};
use serde_json::{Value, json};

/// One value a step, in order. The checkpoint `refund.1@7` is what the first seven say together: every lane stands at
/// the turn that was named last for it, `usage` is what the run had used by then.
pub fn checkpoints(outline: &Outline) -> Vec<Value> {
    let mut usage = Usage::default();
    let mut values = Vec::with_capacity(outline.steps.len());
    for (index, step) in outline.steps.iter().enumerate() {
        let (lane, turn, call) = match step.kind {
            StepKind::Model { lane, turn } => (lane, turn, None),
            StepKind::Tool { site } => (site.lane, site.turn, Some(site)),
        };
        let key = outline.lanes.get(lane as usize).map(|lane| lane.key.as_str()).unwrap_or_default();
        let mut value = json!({"step": index + 1, "lane": key, "turn": turn});
        match call {
            None => {
                let turn = outline.turn(lane, turn);
                usage += turn.and_then(|turn| turn.usage).unwrap_or_default();
                value["exchange"] = json!(turn.and_then(|turn| turn.attempts.last()));
            }
            Some(site) => {
                value["call"] = json!(site.call);
                if let Some(result) = outline.call(site).and_then(|call| call.result.as_ref()) {
                    value["result"] = json!({"exchange": result.exchange, "message": result.message, "block": result.block});
                }
            }
        }
        value["usage"] = json!(usage);
        values.push(value);
    }
    values
}
