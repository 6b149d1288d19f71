//! Exchanges to lanes, turns and steps.

use super::outline::Outline;
use crate::exchange::{Exchange, ExchangeId};

/// Builds the outline of a run, one exchange after the other.
#[derive(Default)]
pub struct LaneBuilder;

impl LaneBuilder {
    /// Adds the next exchange. Exchanges come in order of arrival, each with its response if there was one.
    pub fn add(&mut self, _exchange: &Exchange) {
        unimplemented!()
    }
    /// Derives parents, continuations and the numbering.
    pub fn finish(self) -> Outline {
        unimplemented!()
    }
}

/// The outline of a list of exchanges.
pub fn outline<'a>(exchanges: impl IntoIterator<Item = &'a Exchange>) -> Outline {
    let mut builder = LaneBuilder::default();
    for exchange in exchanges {
        builder.add(exchange);
    }
    builder.finish()
}

/// Ids that no lane holds.
pub fn unplaced(outline: &Outline) -> &[ExchangeId] {
    &outline.others
}
