//! Where the spans of a list stand, by their keys.

use super::{SpanKey, TraceId};

/// Places by key: of numbers side by side, because a run may have very many spans.
#[derive(Debug, Clone)]
pub struct Places {
    keys: Vec<SpanKey>,
    /// Id of the span, and its place; in order.
    by_id: Vec<(u64, u32)>,
    traces: Vec<TraceId>,
}

impl Places {
    /// Of keys that are all different, in the order of their places.
    pub fn new(keys: Vec<SpanKey>) -> Places {
        let mut by_id: Vec<(u64, u32)> = keys.iter().zip(0..).map(|(key, at)| (id(key), at)).collect();
        by_id.sort_unstable();
        let mut traces: Vec<TraceId> = Vec::new();
        for key in &keys {
            if traces.last() != Some(&key.trace) {
                traces.push(key.trace);
            }
        }
        traces.sort_unstable();
        traces.dedup();
        Places { keys, by_id, traces }
    }

    /// The place of a key.
    pub fn get(&self, key: SpanKey) -> Option<usize> {
        let id = id(&key);
        let first = self.by_id.partition_point(|(other, _)| *other < id);
        // The same id in several traces is a rare thing.
        let same = self.by_id.get(first..)?.iter().take_while(|(other, _)| *other == id);
        same.map(|(_, at)| *at as usize).find(|at| self.keys.get(*at) == Some(&key))
    }

    /// True when a trace has a span here.
    pub fn has_trace(&self, trace: TraceId) -> bool {
        self.traces.binary_search(&trace).is_ok()
    }
}

fn id(key: &SpanKey) -> u64 {
    u64::from_be_bytes(key.span.0)
}

#[cfg(test)]
mod tests {
    use super::super::SpanId;
    use super::*;

    #[test]
    fn every_key_has_its_place() {
        let key = |trace: u8, span: u8| SpanKey { trace: TraceId([trace; 16]), span: SpanId([span; 8]) };
        let keys = vec![key(2, 9), key(1, 3), key(2, 3), key(1, 1)];
        let places = Places::new(keys.clone());
        for (at, of) in keys.into_iter().enumerate() {
            assert_eq!(places.get(of), Some(at));
        }
        assert_eq!((places.get(key(3, 3)), places.get(key(1, 9))), (None, None));
        assert_eq!((places.has_trace(TraceId([2; 16])), places.has_trace(TraceId([3; 16]))), (true, false));
        assert_eq!(Places::new(Vec::new()).get(key(1, 1)), None);
    }
}
