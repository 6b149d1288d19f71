//! Measured instead of guessed: what differs between two runs of an agent, and whether the matcher would notice a change.
//!
//! [`compare()`] puts the requests of one run to the matcher of another, in the order in which they came: a difference
//! that the matcher takes is one that a replay copes with. [`mutants`] changes a recording's own requests, one leaf at
//! a time, and sees whether they are served all the same.

mod compare;
mod findings;
mod holes;
mod kinds;
mod leaves;
mod mutants;
mod mutate;
mod rehearsal;
#[cfg(test)]
mod tests;
mod translation;

pub use compare::{Comparison, Second, compare};
pub use findings::{Copes, Finding, Source};
pub(in crate::replay) use holes::{Field, rule_for};
pub use kinds::ValueKind;
pub use mutants::{Count, Leaf, Mutation, Mutations, mutants};
