//! What goes over the wire beside the conversations (tools' servers, bodies that no dialect knows), by the same holes.

use super::unify::Unifier;
use super::{Matcher, Recording};
use crate::dialect::conversation::{Block, ModelAnswer};
use crate::holes::{Bindings, Rewrite};
use serde_json::Value;

impl<R: Recording> Matcher<R> {
    /// True when two JSON bodies are the same up to holes; nothing is bound.
    pub fn same_body(&self, recorded: &[u8], live: &[u8]) -> bool {
        let read = |body: &[u8]| serde_json::from_slice::<Value>(body).ok();
        let (Some(recorded), Some(live)) = (read(recorded), read(live)) else { return false };
        self.same_value(None, &recorded, &live)
    }

    /// True when two values are the same up to holes; nothing is bound. `lane`: the recorded conversation that they
    /// belong to, where it is known, for the names that are bound in it.
    pub fn same_value(&self, lane: Option<u32>, recorded: &Value, live: &Value) -> bool {
        let bound = self.bound_in(lane);
        let mut unifier = Unifier::new(self.known("", &bound), bound.clone());
        unifier.value("", recorded, live).is_ok()
    }

    /// What is to be changed in a recorded value so that it speaks of today.
    pub fn todays(&self, lane: Option<u32>, recorded: &Value) -> Rewrite {
        let bound = self.bound_in(lane);
        if self.holes.is_same_world() && !self.bound.changes_anything() && !bound.changes_anything() {
            return Rewrite::default();
        }
        let blocks = vec![Block::Other { value: recorded.clone() }];
        self.holes.rewrite(&ModelAnswer { blocks, ..ModelAnswer::default() }, &bound, &self.bound)
    }

    fn bound_in(&self, lane: Option<u32>) -> Bindings {
        let thread = lane.and_then(|lane| self.threads.get(*self.on_lane.get(&lane)?));
        let hypothesis = thread.and_then(|t| t.hypotheses.iter().find(|h| h.lane == t.lane));
        hypothesis.map(|h| (*h.bound).clone()).unwrap_or_default()
    }
}
