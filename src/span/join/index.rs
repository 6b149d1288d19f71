//! Spans by their ids.

use crate::span::claims::Claims;
use crate::span::places::Places;
use crate::span::{SpanKey, TraceId};

/// How far up ancestors are looked for.
pub(super) const MOST_HOPS: usize = 16;

/// Spans by key.
pub(super) struct Index<'a> {
    spans: Vec<&'a Claims>,
    places: Places,
}

impl<'a> Index<'a> {
    /// Of spans that are all different.
    pub(super) fn new(spans: Vec<&'a Claims>) -> Index<'a> {
        Index { places: Places::new(spans.iter().map(|span| span.key).collect()), spans }
    }

    pub(super) fn spans(&self) -> &[&'a Claims] {
        &self.spans
    }

    pub(super) fn get(&self, key: SpanKey) -> Option<usize> {
        self.places.get(key)
    }

    pub(super) fn has_trace(&self, trace: TraceId) -> bool {
        self.places.has_trace(trace)
    }

    fn parent(&self, span: usize) -> Option<usize> {
        let claims = self.spans.get(span)?;
        self.get(SpanKey { trace: claims.key.trace, span: claims.parent? })
    }

    /// The parents of a span from the nearest on, as far as they are there. Ids may be in a ring.
    pub(super) fn ancestors(&self, span: usize) -> impl Iterator<Item = usize> {
        std::iter::successors(self.parent(span), |at| self.parent(*at)).take(MOST_HOPS)
    }

    /// True when one span is above the other.
    pub(super) fn is_above(&self, above: usize, below: usize) -> bool {
        above != below && self.ancestors(below).any(|at| at == above)
    }
}
