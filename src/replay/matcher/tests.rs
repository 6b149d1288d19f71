//! The matcher against synthetic agents, and case by case.
//!
//! [`program`] says what a synthetic agent may hold, [`maker`] makes one of a seed, [`agent`] runs it under a schedule,
//! [`answerers`] answer it, [`verdict`] judges what it got.

mod agent;
mod answerers;
mod cases;
mod claude_code;
mod clock;
mod dice;
mod figures;
mod forks;
mod history;
mod maker;
mod mutations;
mod pins;
mod program;
mod shuffled;
pub(in crate::replay) mod tape;
mod tau;
mod values;
mod verdict;
