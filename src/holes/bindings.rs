//! Values that differ between recording and replay, and what stands for them today.

use super::token::Kind;
use std::collections::{BTreeMap, BTreeSet};

/// A name that stands for two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contradiction {
    pub recorded: String,
    pub live: String,
}

/// Recorded values and the live ones in their place. Names and secrets are one to one.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Bindings {
    live_of: BTreeMap<String, String>,
    recorded_of: BTreeMap<String, String>,
    /// Stand-ins of secrets, apart: they are revealed, not renamed.
    secrets: BTreeMap<String, String>,
    /// How many names are another today.
    renamed: usize,
    /// Names that a person's rule found: texts of any shape.
    declared: BTreeSet<String>,
    /// Ports of servers on this machine: recorded to live, the last seen.
    ports: BTreeMap<String, String>,
    /// Directories (by index) and days that were another today, and those that were the recorded ones.
    moved_roots: BTreeSet<usize>,
    fixed_roots: BTreeSet<usize>,
    shift: Option<i64>,
    fixed_days: BTreeSet<i64>,
}

/// Bindings that take no room while there are none: a conversation that is a lane for certain has them in common with
/// all others.
#[derive(Debug, Clone, Default)]
pub(crate) struct Own(Option<Box<Bindings>>);

static NOTHING: Bindings = Bindings {
    live_of: BTreeMap::new(),
    recorded_of: BTreeMap::new(),
    secrets: BTreeMap::new(),
    renamed: 0,
    declared: BTreeSet::new(),
    ports: BTreeMap::new(),
    moved_roots: BTreeSet::new(),
    fixed_roots: BTreeSet::new(),
    shift: None,
    fixed_days: BTreeSet::new(),
};

impl From<Bindings> for Own {
    fn from(bound: Bindings) -> Own {
        Own((bound != NOTHING).then(|| Box::new(bound)))
    }
}

impl std::ops::Deref for Own {
    type Target = Bindings;

    fn deref(&self) -> &Bindings {
        self.0.as_deref().unwrap_or(&NOTHING)
    }
}

impl std::ops::DerefMut for Own {
    fn deref_mut(&mut self) -> &mut Bindings {
        self.0.get_or_insert_default()
    }
}

impl Bindings {
    /// What stands for a recorded name today.
    pub fn live(&self, recorded: &str) -> Option<&str> {
        self.live_of.get(recorded).map(String::as_str)
    }

    /// Stand-ins of secrets and today's secrets.
    pub fn secrets(&self) -> &BTreeMap<String, String> {
        &self.secrets
    }

    /// How many names are another today.
    pub fn renamed(&self) -> usize {
        self.renamed
    }

    /// True when something of the recording is another today.
    pub fn changes_anything(&self) -> bool {
        self.renamed > 0
            || self.shift.is_some_and(|s| s != 0)
            || !self.moved_roots.is_empty()
            || !self.ports.is_empty()
    }

    /// Binds a pair of names unless either side is bound to something else, here or in `below`. True when it holds now.
    pub fn bind(&mut self, below: &Bindings, recorded: &str, live: &str) -> bool {
        match self.is_bound(below, recorded, live) {
            Some(holds) => holds,
            None => {
                self.renamed += usize::from(recorded != live);
                self.live_of.insert(recorded.to_string(), live.to_string());
                self.recorded_of.insert(live.to_string(), recorded.to_string());
                true
            }
        }
    }

    /// The same for a value that a rule declared to be a name.
    pub fn bind_declared(&mut self, below: &Bindings, recorded: &str, live: &str) -> bool {
        let holds = self.bind(below, recorded, live);
        if holds && recorded != live {
            self.declared.insert(recorded.to_string());
        }
        holds
    }

    /// Declared names that are another today, with what they are.
    pub fn declared(&self) -> impl Iterator<Item = (&str, &str)> {
        self.declared.iter().filter_map(|name| Some((name.as_str(), self.live(name)?)))
    }

    /// Whether a pair of names holds; none when neither side is bound.
    pub fn is_bound(&self, below: &Bindings, recorded: &str, live: &str) -> Option<bool> {
        if let Some(bound) = self.live(recorded).or_else(|| below.live(recorded)) {
            return Some(bound == live);
        }
        let taken = self.recorded_of.contains_key(live) || below.recorded_of.contains_key(live);
        taken.then_some(false)
    }

    /// True when one of two names stands for a third one. A name that stands for itself is in no one's way: tools list
    /// what they know in any order.
    pub fn is_another(&self, below: &Bindings, recorded: &str, live: &str) -> bool {
        let now = self.live(recorded).or_else(|| below.live(recorded));
        let then = self.recorded_of.get(live).or_else(|| below.recorded_of.get(live)).map(String::as_str);
        now.is_some_and(|now| now != recorded && now != live)
            || then.is_some_and(|then| then != live && then != recorded)
    }

    /// Binds a stand-in to today's secret.
    pub fn bind_secret(&mut self, below: &Bindings, stand_in: &str, secret: &str) -> bool {
        let bound = self.secrets.get(stand_in).or_else(|| below.secrets.get(stand_in));
        match bound {
            Some(bound) => bound == secret,
            None if self.secrets.values().chain(below.secrets.values()).any(|s| s == secret) => false,
            None => {
                self.secrets.insert(stand_in.to_string(), secret.to_string());
                true
            }
        }
    }

    /// Notes where a server listens today.
    pub fn note_port(&mut self, recorded: &str, live: &str) {
        if recorded != live || self.ports.contains_key(recorded) {
            self.ports.insert(recorded.to_string(), live.to_string());
        }
    }

    /// The live port of a recorded one.
    pub fn port(&self, recorded: &str) -> Option<&str> {
        self.ports.get(recorded).map(String::as_str)
    }

    /// Notes that a directory (by index) is another today, or the recorded one all the same.
    pub fn note_root(&mut self, index: usize, moved: bool) {
        if moved {
            self.moved_roots.insert(index)
        } else {
            self.fixed_roots.insert(index)
        };
    }

    /// Notes by how many days a date was later today; none where it was the recorded one all the same.
    pub fn note_day(&mut self, day: i64, shift: Option<i64>) {
        match shift {
            Some(shift) => self.shift = Some(shift),
            None => {
                self.fixed_days.insert(day);
            }
        }
    }

    /// True when a directory is another today, or may be: nothing says otherwise.
    pub fn is_moved(&self, below: &Bindings, index: usize) -> bool {
        let any =
            |of: fn(&Bindings) -> &BTreeSet<usize>| of(self).contains(&index) || of(below).contains(&index);
        any(|b| &b.moved_roots) || !any(|b| &b.fixed_roots)
    }

    /// By how many days dates were later today, where one was seen.
    pub fn shift(&self, below: &Bindings) -> Option<i64> {
        self.shift.or(below.shift)
    }

    /// How many days later a recorded date is today; none when it stays.
    pub fn later(&self, below: &Bindings, day: i64) -> Option<i64> {
        let fixed = self.fixed_days.contains(&day) || below.fixed_days.contains(&day);
        self.shift.or(below.shift).filter(|shift| *shift != 0 && !fixed)
    }

    /// Takes in all pairs of another set that do not conflict; the first that does.
    pub fn merge(&mut self, other: &Bindings) -> Option<Contradiction> {
        let none = Bindings::default();
        let mut contradiction = None;
        for (recorded, live) in &other.live_of {
            if !self.bind(&none, recorded, live) && contradiction.is_none() {
                contradiction = Some(Contradiction { recorded: recorded.clone(), live: live.clone() });
            }
        }
        for (stand_in, secret) in &other.secrets {
            self.bind_secret(&none, stand_in, secret);
        }
        self.ports.extend(other.ports.iter().map(|(r, l)| (r.clone(), l.clone())));
        self.declared.extend(other.declared.iter().cloned());
        self.moved_roots.extend(&other.moved_roots);
        self.fixed_roots.extend(&other.fixed_roots);
        self.fixed_days.extend(&other.fixed_days);
        self.shift = other.shift.or(self.shift);
        contradiction
    }

    /// What stands for a recorded token today; none when it stays.
    pub(super) fn today(&self, below: &Bindings, kind: Kind, recorded: &str) -> Option<String> {
        let found = match kind {
            Kind::Name(_) => self.live(recorded).or_else(|| below.live(recorded)),
            Kind::Port => self.port(recorded).or_else(|| below.port(recorded)),
            Kind::Quantity(_) | Kind::Date(..) | Kind::Root(_) => None,
        };
        found.filter(|live| *live != recorded).map(str::to_string)
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
        assert_eq!(over, Bindings::default(), "known below: nothing new");
        assert!(!over.bind(&base, "r1", "l2"));
        assert!(!over.bind(&base, "r2", "l1"));
        assert!(over.bind(&base, "r2", "l2"));
        assert_eq!(base.merge(&over), None);
        assert_eq!(base.live("r2"), Some("l2"));
        assert_eq!(base.renamed(), 2);
        let mut other = Bindings::default();
        assert!(other.bind(&Bindings::default(), "r2", "l3"));
        let found = base.merge(&other).expect("a contradiction");
        assert_eq!((found.recorded.as_str(), found.live.as_str()), ("r2", "l3"));
        assert_eq!(base.live("r2"), Some("l2"));
    }

    #[test]
    fn a_directory_moves_unless_it_was_seen_to_stay() {
        let (mut bound, below) = (Bindings::default(), Bindings::default());
        assert!(bound.is_moved(&below, 0));
        bound.note_root(0, false);
        assert!(!bound.is_moved(&below, 0));
        bound.note_root(0, true);
        assert!(bound.is_moved(&below, 0));
        assert_eq!(bound.later(&below, 5), None);
        bound.note_day(5, Some(2));
        assert_eq!((bound.later(&below, 5), bound.later(&below, 6)), (Some(2), Some(2)));
        bound.note_day(6, None);
        assert_eq!(bound.later(&below, 6), None);
    }
}
