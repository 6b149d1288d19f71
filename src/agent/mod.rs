//! The program under test: what it is told through its environment, and the process it runs in.

pub mod base_url;
pub mod environment;
pub mod git;
pub mod process;
pub mod providers;
pub mod signals;
pub mod stdin;
pub mod strays;
pub mod trust;
