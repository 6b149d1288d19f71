//! Values that differ between recording and replay, bound one to one.

use std::collections::BTreeMap;

/// Recorded values and the live ones in their place.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Bindings {
    live_of: BTreeMap<String, String>,
    recorded_of: BTreeMap<String, String>,
}

impl Bindings {
    /// What stands for a recorded value today.
    pub fn live(&self, recorded: &str) -> Option<&str> {
        self.live_of.get(recorded).map(String::as_str)
    }

    /// All pairs, recorded to live.
    pub fn pairs(&self) -> &BTreeMap<String, String> {
        &self.live_of
    }

    /// True when nothing is bound.
    pub fn is_empty(&self) -> bool {
        self.live_of.is_empty()
    }

    /// Binds a pair unless either side is bound to something else, here or in `below`. True when it holds now.
    pub fn bind(&mut self, below: &Bindings, recorded: &str, live: &str) -> bool {
        let bound_to = self.live(recorded).or_else(|| below.live(recorded));
        if let Some(bound) = bound_to {
            return bound == live;
        }
        if self.recorded_of.contains_key(live) || below.recorded_of.contains_key(live) {
            return false;
        }
        self.live_of.insert(recorded.to_string(), live.to_string());
        self.recorded_of.insert(live.to_string(), recorded.to_string());
        true
    }

    /// Takes in all pairs of another set that do not conflict; false when one does.
    pub fn merge(&mut self, other: &Bindings) -> bool {
        let none = Bindings::default();
        other.live_of.iter().fold(true, |held, (r, l)| self.bind(&none, r, l) && held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_one_to_one_across_layers() {
        let mut base = Bindings::default();
        assert!(base.bind(&Bindings::default(), "r1", "l1"));
        let mut over = Bindings::default();
        assert!(over.bind(&base, "r1", "l1"));
        assert!(over.is_empty(), "known below: nothing new");
        assert!(!over.bind(&base, "r1", "l2"));
        assert!(!over.bind(&base, "r2", "l1"));
        assert!(over.bind(&base, "r2", "l2"));
        assert!(base.merge(&over));
        assert_eq!(base.live("r2"), Some("l2"));
    }
}
