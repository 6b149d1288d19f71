//! The subject: a run, its lanes, steps and checkpoints, the edits of a fork. Plain data and pure functions.

mod ancestry;
pub mod checkpoint;
pub mod edit;
mod ends;
pub mod lack;
pub mod lanes;
pub mod likeness;
pub mod manifest;
pub mod outline;
pub mod reading;
pub mod sampling;
pub mod spelling;
pub mod stop;
pub mod tree;
pub mod wanted;

pub use ancestry::Ancestor;
pub use checkpoint::Checkpoint;
pub use lack::{Lack, Use};
pub use manifest::{Intercepted, Manifest, Outcome, Parent, RunId, RunState, StaleAt};
pub use outline::{CallSite, Lane, LaneKind, Outline, Step, StepKind, ToolCallRef, Turn};
pub use stop::Stopped;
