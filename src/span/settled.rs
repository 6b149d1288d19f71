//! One telling of every span, and where each stands: spans come several times, and announced before they are real.

use super::claims::Claims;
use super::{SpanKey, TraceId};

/// Ancestors farther up than this are not looked for.
pub const MOST_HOPS: usize = 16;

/// What the spans of a run claim, each once, in order of their beginnings.
#[derive(Debug, Clone)]
pub struct Settled<'a> {
    claims: Vec<&'a Claims>,
    /// Ids with the places of those that have them, in order: few traces have the same, so a number tells nearly all.
    by_id: Vec<(u64, u32)>,
    /// In order.
    traces: Vec<TraceId>,
}

impl<'a> Settled<'a> {
    /// Of several that tell of one span, takes the one to believe (see [`Claims::weight`]); of equal ones the first.
    pub fn new(all: impl IntoIterator<Item = &'a Claims>) -> Settled<'a> {
        let all: Vec<&Claims> = all.into_iter().collect();
        // Numbers side by side, and spans in about the order in which they came: claims lie wide apart.
        let mut by_id: Vec<(u64, u32)> =
            all.iter().zip(0..).map(|(claims, at)| (id(&claims.key), at)).collect();
        by_id.sort_unstable();
        let mut is_kept = vec![true; all.len()];
        for same in by_id.chunk_by(|one, next| one.0 == next.0).filter(|same| same.len() > 1) {
            let mut same: Vec<usize> = same.iter().map(|(_, at)| *at as usize).collect();
            same.sort_by_key(|at| all[*at].key);
            for telling in same.chunk_by(|one, next| all[*one].key == all[*next].key) {
                let best = telling.iter().rev().max_by_key(|at| all[**at].weight());
                telling.iter().filter(|at| Some(*at) != best).for_each(|at| is_kept[*at] = false);
            }
        }
        let mut order: Vec<usize> = (0..all.len()).filter(|at| is_kept[*at]).collect();
        order.sort_by_key(|at| (all[*at].start_ns, all[*at].key));
        let mut place = vec![0; all.len()];
        (0..).zip(&order).for_each(|(to, from)| place[*from] = to);
        by_id.retain(|(_, at)| is_kept[*at as usize]);
        by_id.iter_mut().for_each(|(_, at)| *at = place[*at as usize]);
        let claims: Vec<&Claims> = order.into_iter().map(|at| all[at]).collect();
        let mut traces: Vec<TraceId> =
            claims.chunk_by(|one, next| one.key.trace == next.key.trace).map(|of| of[0].key.trace).collect();
        traces.sort_unstable();
        traces.dedup();
        Settled { claims, by_id, traces }
    }

    /// All of them.
    pub fn claims(&self) -> &[&'a Claims] {
        &self.claims
    }

    /// The place of a span among [`Settled::claims`].
    pub fn place(&self, key: SpanKey) -> Option<usize> {
        let id = id(&key);
        let first = self.by_id.partition_point(|(other, _)| *other < id);
        let same = self.by_id.get(first..)?.iter().take_while(|(other, _)| *other == id);
        same.map(|(_, at)| *at as usize)
            .find(|at| self.claims.get(*at).is_some_and(|claims| claims.key == key))
    }

    /// The place of a span's parent; none when it has none, or it has not come.
    pub fn parent(&self, place: usize) -> Option<usize> {
        let claims = self.claims.get(place)?;
        self.place(SpanKey { trace: claims.key.trace, span: claims.parent? })
    }

    /// The parents of a span from the nearest on, as far as they are there. Ids may be in a ring.
    pub fn ancestors(&self, place: usize) -> impl Iterator<Item = usize> {
        std::iter::successors(self.parent(place), |at| self.parent(*at)).take(MOST_HOPS)
    }

    /// True when one span is above the other.
    pub fn is_above(&self, above: usize, below: usize) -> bool {
        above != below && self.ancestors(below).any(|at| at == above)
    }

    /// True when a span is of this trace.
    pub fn has_trace(&self, trace: TraceId) -> bool {
        self.traces.binary_search(&trace).is_ok()
    }
}

fn id(key: &SpanKey) -> u64 {
    u64::from_be_bytes(key.span.0)
}

#[cfg(test)]
mod tests {
    use super::super::{Attributes, Side, Span, SpanId, Status};
    use super::*;
    use std::sync::Arc;

    fn claims(trace: u8, span: u8, start_ns: u64, end_ns: u64) -> Claims {
        Claims::of(&Span {
            key: SpanKey { trace: TraceId([trace; 16]), span: SpanId([span; 8]) },
            parent: Some(SpanId([9; 8])),
            name: "x".into(),
            side: Side::Client,
            start_ns,
            end_ns,
            status: Status::Unset,
            attributes: Attributes(vec![]),
            events: vec![],
            links: vec![],
            origin: Arc::default(),
        })
    }

    #[test]
    fn each_span_is_there_once_and_has_its_place() {
        let all = [
            claims(2, 9, 4, 5),
            claims(1, 3, 3, 4),
            claims(2, 3, 2, 6),
            claims(1, 3, 1, 9),
            claims(1, 1, 2, 2),
            claims(2, 3, 2, 6),
        ];
        let settled = Settled::new(&all);
        let of = |claims: &Claims| (claims.key.trace.0[0], claims.key.span.0[0], claims.start_ns);
        let order: Vec<_> = settled.claims().iter().map(|claims| of(claims)).collect();
        assert_eq!(order, [(1, 3, 1), (1, 1, 2), (2, 3, 2), (2, 9, 4)]);
        for (at, claims) in settled.claims().iter().enumerate() {
            assert_eq!(settled.place(claims.key), Some(at));
        }
        let key = |trace: u8, span: u8| SpanKey { trace: TraceId([trace; 16]), span: SpanId([span; 8]) };
        assert_eq!((settled.place(key(3, 3)), settled.place(key(1, 9))), (None, None));
        assert_eq!((settled.parent(2), settled.parent(0), settled.parent(9)), (Some(3), None, None));
        assert_eq!((settled.has_trace(TraceId([2; 16])), settled.has_trace(TraceId([3; 16]))), (true, false));
        assert_eq!(Settled::new(&[]).place(key(1, 1)), None);
    }
}
