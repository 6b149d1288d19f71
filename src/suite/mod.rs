//! Runs as tests: what differs from the recorded run ([`findings`]), and what must hold of any run ([`checks`]).

pub mod checks;
pub mod findings;
