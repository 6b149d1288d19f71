//! The matcher against synthetic agents, and case by case.

mod cases;
mod forks;
mod pins;
mod program;
mod shuffled;
pub(in crate::replay) mod tape;
mod world;
