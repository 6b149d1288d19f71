//! A sum over calls, of which some may have no price.

use super::Cost;
use serde::{Serialize, Serializer};
use std::collections::BTreeSet;
use std::fmt;

/// What several model calls cost together, as far as it is known. As JSON: US dollars, `null` unless all have a price.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spent {
    /// What those with a price cost.
    pub known: Cost,
    /// How many those are.
    pub priced: u32,
    /// The models of the others.
    pub unpriced: BTreeSet<String>,
}

/// Models without a price that are named in one line.
const NAMED: usize = 2;

impl Spent {
    /// Adds a call of a model.
    pub fn add(&mut self, model: &str, cost: Option<Cost>) {
        match cost {
            Some(cost) => {
                self.known += cost;
                self.priced += 1;
            }
            None => {
                if !self.unpriced.contains(model) {
                    self.unpriced.insert(model.to_string());
                }
            }
        }
    }

    /// The whole sum; none when a call has no price.
    pub fn whole(&self) -> Option<Cost> {
        self.unpriced.is_empty().then_some(self.known)
    }

    /// True when no call has a price.
    pub fn is_unknown(&self) -> bool {
        self.priced == 0 && !self.unpriced.is_empty()
    }

    /// True when some calls have a price and others have none.
    pub fn is_partial(&self) -> bool {
        self.priced > 0 && !self.unpriced.is_empty()
    }

    /// In a narrow column: `$0.0123`, `$0.0123+` when some calls have no price, `n/a` when none has.
    pub fn narrow(&self) -> String {
        match (self.is_unknown(), self.unpriced.is_empty()) {
            (true, _) => "n/a".into(),
            (_, true) => self.known.to_string(),
            (_, false) => format!("{}+", self.known),
        }
    }
}

impl fmt::Display for Spent {
    /// `$0.0123`; `$0.0123 + n/a (MODEL)` when some calls have no price; `n/a` when none has.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_unknown() {
            return f.write_str("n/a");
        }
        write!(f, "{}", self.known)?;
        if self.unpriced.is_empty() {
            return Ok(());
        }
        let named: Vec<&str> = self.unpriced.iter().take(NAMED).map(String::as_str).collect();
        let more = self.unpriced.len() - named.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        write!(f, " + n/a ({}{more})", named.join(", "))
    }
}

impl Serialize for Spent {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.whole().serialize(to)
    }
}

impl Serialize for Cost {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(self.dollars())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_said() {
        let mut spent = Spent::default();
        assert_eq!((spent.to_string(), spent.whole()), ("$0.00".into(), Some(Cost(0))));
        spent.add("b", None);
        assert_eq!((spent.to_string(), spent.narrow()), ("n/a".into(), "n/a".into()));
        spent.add("x", Some(Cost(12_300_000_000)));
        assert_eq!((spent.to_string(), spent.narrow()), ("$0.012 + n/a (b)".into(), "$0.012+".into()));
        assert!(spent.is_partial() && !Spent::default().is_partial());
        let mut other = spent.clone();
        ["c", "a", "d"].iter().for_each(|model| other.add(model, None));
        assert_eq!(other.to_string(), "$0.012 + n/a (a, b and 2 more)");
        assert_eq!(serde_json::to_string(&other).unwrap(), "null");
        other.unpriced.clear();
        assert_eq!(serde_json::to_string(&other).unwrap(), "0.0123");
    }
}
