//! The state after a step: what `retake show RUN STEP --checkpoint` prints.

use super::style::{Ink, Style};
use super::table::{Cell, Column, table};
use super::words::{self, line};
use crate::dialect::conversation::Usage;
use serde::Serialize;

/// One lane at a checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LaneHead {
    /// Its name or key.
    pub lane: String,
    /// How many of its model calls have been answered.
    pub turns: u32,
    /// Number of messages at its head, the last answer included.
    pub messages: u32,
    /// Tools of its last answer whose result is not in yet.
    pub pending: Vec<String>,
    /// Number of its last step.
    pub last_step: Option<u32>,
}

/// A checkpoint, as far as telling goes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CheckpointView {
    /// The run and the step: `refund.1@7`.
    pub name: String,
    /// The lanes that have begun.
    pub lanes: Vec<LaneHead>,
    /// Values that differ from run to run: recorded, live.
    pub bindings: Vec<(String, String)>,
    /// Tokens so far.
    pub usage: Usage,
}

/// A checkpoint as text.
pub fn checkpoint(view: &CheckpointView, style: Style) -> String {
    let spent =
        format!("{} > {} tokens so far", words::count(view.usage.input), words::count(view.usage.output));
    let mut out = format!("{}   checkpoint   {spent}\n\n", style.paint(Ink::Strong, &view.name));
    let columns = [
        Column::left("lane"),
        Column::right("turns"),
        Column::right("messages"),
        Column::right("last step"),
        Column::flexible("waits for"),
    ];
    let rows: Vec<Vec<Cell>> = view
        .lanes
        .iter()
        .map(|lane| {
            let pending = lane.pending.iter().map(|t| line(t)).collect::<Vec<_>>().join(", ");
            vec![
                Cell::new(Ink::Strong, line(&lane.lane)),
                Cell::plain(lane.turns.to_string()),
                Cell::plain(lane.messages.to_string()),
                Cell::plain(lane.last_step.map(|s| s.to_string()).unwrap_or_default()),
                Cell::plain(if pending.is_empty() { "-".into() } else { pending }),
            ]
        })
        .collect();
    out.push_str(&table(&columns, &rows, style));
    if !view.bindings.is_empty() {
        out.push_str(&format!("\n{}\n", style.paint(Ink::Dim, "bound values (recorded -> live)")));
        for (recorded, live) in &view.bindings {
            out.push_str(&format!("  {} -> {}\n", line(recorded), line(live)));
        }
    }
    out
}
