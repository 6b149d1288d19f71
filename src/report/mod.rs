//! Tells a person what is in a run, what a command did, and how two runs differ. Pure: data in, text out.
//!
//! Text that came from an agent, a model or a tool passes [`words::line`] or [`words::block`], so that nothing in it
//! can steer the terminal. Color only repeats what the words say.

pub mod action;
pub mod checkpoint;
pub mod context;
pub mod control;
pub mod difference;
pub mod doctor;
pub mod genai;
pub mod heading;
mod lines;
pub mod matched;
pub mod miss;
pub mod openinference;
pub mod outcome;
pub mod results;
pub mod runs;
pub mod sampling;
pub mod secrets;
pub mod sessions;
pub mod spans;
pub mod stats;
pub mod step;
pub mod steps;
mod structure;
pub mod style;
pub mod suite;
pub mod table;
pub mod tool_results;
pub mod tools_run;
pub mod tree;
mod warnings;
pub mod words;

pub use style::{Ink, Style};

/// What keeps something from being told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// There is no such step.
    #[error("{run} has no step {asked}: its steps are {}", range(*.steps))]
    NoStep {
        /// The run.
        run: String,
        /// The number that was asked for.
        asked: u32,
        /// How many steps it has.
        steps: u32,
    },
    /// The step is a tool call where a model call is needed.
    #[error("step {step} of {run} is a call of the tool {tool}; a context belongs to a model call{}", near(.models))]
    NoModelStep {
        /// The run.
        run: String,
        /// The step.
        step: u32,
        /// The tool.
        tool: String,
        /// The model steps before and after it.
        models: Vec<u32>,
    },
    /// Its exchange cannot be read.
    #[error("step {step} of {run} cannot be read: {why}")]
    Unreadable {
        /// The run.
        run: String,
        /// The step.
        step: u32,
        /// Why not.
        why: String,
    },
}

fn range(steps: u32) -> String {
    match steps {
        0 => "none (it recorded no model call)".into(),
        1 => "just 1".into(),
        n => format!("1 to {n}"),
    }
}

fn near(models: &[u32]) -> String {
    match models {
        [] => String::new(),
        [one] => format!(" (try step {one})"),
        many => {
            let numbers: Vec<String> = many.iter().map(u32::to_string).collect();
            format!(" (try step {})", numbers.join(" or "))
        }
    }
}

#[cfg(test)]
mod tests;
