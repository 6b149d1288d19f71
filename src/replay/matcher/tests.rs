//! The matcher against synthetic agents, and case by case.

mod cases;
mod forks;
mod pins;
mod program;
mod shuffled;
mod tape;
mod world;
