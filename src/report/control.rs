//! What an unedited control replay showed, in a line before a fork.

use super::style::{Ink, Style};
use super::words::{self, line, many};
use serde::Serialize;
use std::collections::BTreeMap;

/// Where the knowledge of what varies by itself is from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "how")]
pub enum Made {
    /// From a control replay of this fork.
    Now,
    /// From an earlier replay of the run, so many microseconds ago.
    Kept {
        /// How long ago.
        age_us: u64,
    },
    /// There is none.
    None {
        /// Why not, in words: `--no-control`. Empty where nothing could have varied.
        why: String,
    },
}

/// What is known of tool results that vary by themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Control {
    /// How it is known.
    pub made: Made,
    /// The tools whose results vary, with how many do.
    pub varying: BTreeMap<String, u32>,
    /// Tools that ran for real for it, with how often.
    pub ran: BTreeMap<String, u32>,
    /// Where it stopped, in words: `before issue_refund`.
    pub stopped: Option<String>,
    /// Why it is of no use: the agent asked for something that was not recorded.
    pub missed: Option<String>,
}

/// `control replay: 2 tool results vary by themselves (lookup_clock, make_id)`; empty when there was none.
pub fn control(done: &Control, style: Style) -> String {
    let lead = match &done.made {
        Made::Now => "control replay: ".to_string(),
        Made::Kept { age_us } => format!("control replay, kept from {}: ", words::ago(0, *age_us)),
        Made::None { .. } => return String::new(),
    };
    let names = |tools: &BTreeMap<String, u32>| {
        let name = |(tool, n): (&String, &u32)| match n {
            1 => line(tool),
            n => format!("{} x{n}", line(tool)),
        };
        tools.iter().map(name).collect::<Vec<_>>().join(", ")
    };
    let varying = done.varying.values().map(|n| u64::from(*n)).sum::<u64>();
    let mut ink = Ink::Dim;
    let mut text = match (&done.missed, varying) {
        (Some(why), _) => {
            ink = Ink::Note;
            format!("it missed ({}), so nothing is pinned after the edit", line(why))
        }
        (None, 0) => "no tool result varies by itself".into(),
        (None, n) => {
            let verb = if n == 1 { "varies by itself" } else { "vary by themselves" };
            format!("{} {verb} ({})", many(n, "tool result"), names(&done.varying))
        }
    };
    if let Some(stopped) = &done.stopped {
        text.push_str(&format!(
            "; {}",
            format!("it stopped {}", line(stopped)).replace(' ', &words::GLUE.to_string())
        ));
    }
    if !done.ran.is_empty() {
        text.push_str(&format!("; ran for real for it: {}", names(&done.ran)));
    }
    let folded = words::fold(&format!("{lead}{text}"), style.columns());
    folded.iter().map(|part| format!("{}\n", style.paint(ink, part))).collect()
}
