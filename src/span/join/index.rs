//! Spans by their ids.

use crate::span::claims::Claims;
use crate::span::{SpanKey, TraceId};

/// How far up ancestors are looked for.
pub(super) const MOST_HOPS: usize = 16;

/// Spans by key.
pub(super) struct Index<'a> {
    /// In order, each once.
    spans: Vec<&'a Claims>,
    /// Theirs, side by side: what is searched is small.
    keys: Vec<SpanKey>,
}

impl<'a> Index<'a> {
    /// Of spans in order of their keys.
    pub(super) fn new(spans: Vec<&'a Claims>) -> Index<'a> {
        Index { keys: spans.iter().map(|span| span.key).collect(), spans }
    }

    pub(super) fn spans(&self) -> &[&'a Claims] {
        &self.spans
    }

    pub(super) fn get(&self, key: SpanKey) -> Option<usize> {
        self.keys.binary_search(&key).ok()
    }

    pub(super) fn has_trace(&self, trace: TraceId) -> bool {
        let first = self.keys.partition_point(|key| key.trace < trace);
        self.keys.get(first).is_some_and(|key| key.trace == trace)
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
