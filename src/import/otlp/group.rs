//! Which traces are of one run: those that spans put into one session or conversation.

use crate::span::TraceId;
use crate::span::claims::Claims;
use std::collections::HashMap;

/// Traces by run, in the order in which they began.
#[derive(Debug, Default)]
pub(super) struct Groups {
    of: HashMap<TraceId, usize>,
    /// How many there are.
    pub count: usize,
}

impl Groups {
    /// Sorts the traces of spans.
    pub(super) fn new(claims: &[Claims]) -> Groups {
        let mut order: Vec<&Claims> = claims.iter().collect();
        order.sort_by_key(|of| of.start_ns);
        let mut chiefs: HashMap<TraceId, TraceId> = HashMap::new();
        let mut sessions: HashMap<(bool, &str), TraceId> = HashMap::new();
        for of in &order {
            chiefs.entry(of.key.trace).or_insert(of.key.trace);
            for (kind, id) in [(false, &of.session), (true, &of.conversation)] {
                let Some(id) = id else { continue };
                let other = *sessions.entry((kind, id)).or_insert(of.key.trace);
                let (a, b) = (chief(&mut chiefs, other), chief(&mut chiefs, of.key.trace));
                chiefs.insert(b, a);
            }
        }
        let mut groups = Groups::default();
        let mut numbers: HashMap<TraceId, usize> = HashMap::new();
        for of in &order {
            let chief = chief(&mut chiefs, of.key.trace);
            let fresh = numbers.len();
            let number = *numbers.entry(chief).or_insert(fresh);
            groups.of.insert(of.key.trace, number);
        }
        groups.count = numbers.len();
        groups
    }

    /// The run of a trace; what says no trace belongs to a run where there is but one.
    pub(super) fn of(&self, trace: Option<TraceId>) -> Option<usize> {
        match trace {
            Some(trace) => self.of.get(&trace).copied(),
            None => (self.count == 1).then_some(0),
        }
    }
}

/// The trace that stands for all that belong together with this one.
fn chief(chiefs: &mut HashMap<TraceId, TraceId>, trace: TraceId) -> TraceId {
    let mut top = trace;
    while let Some(above) = chiefs.get(&top).copied().filter(|above| *above != top) {
        top = above;
    }
    let mut at = trace;
    while let Some(above) = chiefs.insert(at, top).filter(|above| *above != at) {
        at = above;
    }
    top
}
