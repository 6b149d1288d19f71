//! Spans by their ids.

use crate::span::claims::Claims;
use crate::span::{SpanKey, TraceId};
use std::collections::{HashMap, HashSet};

/// How far up ancestors are looked for.
pub(super) const MOST_HOPS: usize = 16;

/// Spans by key.
pub(super) struct Index {
    by_key: HashMap<SpanKey, usize>,
    parents: Vec<Option<usize>>,
    traces: HashSet<TraceId>,
}

impl Index {
    pub(super) fn new(spans: &[&Claims]) -> Index {
        let by_key: HashMap<SpanKey, usize> =
            spans.iter().enumerate().map(|(at, span)| (span.key, at)).collect();
        let parent = |span: &&Claims| {
            let key = SpanKey { trace: span.key.trace, span: span.parent? };
            by_key.get(&key).copied()
        };
        let parents = spans.iter().map(parent).collect();
        let traces = spans.iter().map(|span| span.key.trace).collect();
        Index { by_key, parents, traces }
    }

    pub(super) fn get(&self, key: SpanKey) -> Option<usize> {
        self.by_key.get(&key).copied()
    }

    pub(super) fn has_trace(&self, trace: TraceId) -> bool {
        self.traces.contains(&trace)
    }

    /// The parents of a span from the nearest on, as far as they are there. Ids may be in a ring.
    pub(super) fn ancestors(&self, span: usize) -> impl Iterator<Item = usize> {
        let above = |&at: &usize| self.parents.get(at).copied().flatten();
        std::iter::successors(above(&span), move |at| above(at)).take(MOST_HOPS)
    }

    /// True when one span is above the other.
    pub(super) fn is_above(&self, above: usize, below: usize) -> bool {
        above != below && self.ancestors(below).any(|at| at == above)
    }
}
