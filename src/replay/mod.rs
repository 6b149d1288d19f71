//! Out again: which recorded answer is the right one, and serving it.
//!
//! [`matcher`] decides, purely; [`plan`] works out what the edits of a fork touch; [`player`] answers the proxy.

pub mod channels;
pub mod commands;
mod dice;
pub mod doctor;
pub mod fences;
mod inherited;
pub mod matcher;
pub mod plan;
pub mod player;
pub mod policy;
pub mod recalled;
pub mod recording;
pub mod serve;
pub mod servers;
pub mod shim;
pub mod shuffle;
mod talk;
pub mod tally;
mod telemetry;
pub mod tools;
mod transport;
