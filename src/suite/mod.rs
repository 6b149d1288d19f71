//! Recorded runs as tests: what differs from them ([`findings`]), what must hold of any run ([`checks`]), cases, and what
//! became of them.

pub mod case;
pub mod checks;
pub mod findings;
pub mod outcome;
