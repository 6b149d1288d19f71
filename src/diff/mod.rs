//! Where two runs part, and why. Pure: what it needs of a run comes through [`RunView`].
//!
//! [`compare()`] aligns lanes ([`lanes`]), turns and calls ([`align`]) and compares what is paired ([`field`], [`context`]);
//! [`mod@cause`] says why. Ids, times and latency are no differences; a number written differently is one.

pub mod align;
pub mod cause;
pub mod context;
pub mod excerpt;
pub mod field;
pub mod lanes;
pub mod levels;
pub mod outcome;
pub mod stop;
pub mod structure;
pub mod tools;
pub mod tree;
pub mod view;
pub mod volatile;

mod compare;
mod keys;
mod parting;
pub(crate) mod refused;
mod rejoin;
mod rows;
mod served;
mod worlds;

pub use cause::{Cause, Instead, Kin, Parting};
pub use compare::{Asked, Comparison, compare, compare_asked};
pub use context::{ContextDiff, context};
pub use field::FieldChange;
pub use levels::{Level, Levels};
pub use outcome::{Outcomes, Totals};
pub use rows::{Act, Call, PairKind, Status, StepPair, fenced};
pub use stop::Stop;
pub use structure::Structure;
pub use tools::ToolParting;
pub use view::{CarriedOut, Conversations, RunView, ServerTotals};

#[cfg(test)]
pub(crate) mod tests;
