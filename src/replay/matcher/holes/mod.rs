//! Values that differ from run to run without meaning: names bind, quantities match by type, constants are computed.

mod rewrite;
mod rules;
mod surroundings;

pub use rewrite::Rewrite;
pub use rules::{HoleKind, RuleError, Rules};
pub use surroundings::{Side, Surroundings};
