//! Values that differ from run to run without meaning: names bind, quantities match by type, constants are computed.

mod place;
mod rewrite;
mod rules;
mod surroundings;

pub use rewrite::Rewrite;
pub use rules::{Hole, HoleKind, Ignore, RuleError, RuleField, Rules};
pub use surroundings::{Side, Surroundings};
