//! How well a request must fit its recorded turn for the replay to go on.

use super::matcher::MatchClass;
use crate::run::spelling::nearest;

/// Every class with its name, best first.
pub const CLASSES: [(MatchClass, &str); 6] = [
    (MatchClass::Exact, "exact"),
    (MatchClass::Renamed, "renamed"),
    (MatchClass::Pinned, "pinned"),
    (MatchClass::Masked, "masked"),
    (MatchClass::Reordered, "reordered"),
    (MatchClass::Drift, "drift"),
];

/// The name of a class.
pub fn name(class: MatchClass) -> &'static str {
    CLASSES.iter().find(|(known, _)| *known == class).map_or("drift", |(_, name)| name)
}

/// Which classes pass. By default all but drift: each other class says that nothing differs but what is known to mean
/// nothing, or what was declared, and the result line counts it. Drift never passes, since its answer is another
/// question's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    allowed: Vec<MatchClass>,
    /// Who says so: `--strict`, `retake.toml`.
    said: String,
}

impl Default for Policy {
    fn default() -> Policy {
        let all = CLASSES.iter().map(|(class, _)| *class).filter(|class| *class != MatchClass::Drift);
        Policy { allowed: all.collect(), said: "by default".into() }
    }
}

impl Policy {
    /// Only what is the same up to names of its own passes.
    pub fn strict() -> Policy {
        Policy { allowed: vec![MatchClass::Exact, MatchClass::Renamed], said: "--strict".into() }
    }

    /// Exact passes, and these.
    ///
    /// # Errors
    /// One sentence: what is no class, and which there are.
    pub fn of<'a>(names: impl IntoIterator<Item = &'a str>, said: &str) -> Result<Policy, String> {
        let mut allowed = vec![MatchClass::Exact];
        for asked in names {
            let class = class_of(asked.trim())?;
            if !allowed.contains(&class) {
                allowed.push(class);
            }
        }
        allowed.sort();
        Ok(Policy { allowed, said: said.into() })
    }

    /// What either lets pass.
    #[must_use]
    pub fn or(mut self, other: &Policy) -> Policy {
        self.allowed.extend(other.allowed.iter().copied());
        self.allowed.sort();
        self.allowed.dedup();
        self.said = format!("{} {}", self.said, other.said);
        self
    }

    /// True when an exchange of this class passes.
    pub fn allows(&self, class: MatchClass) -> bool {
        self.allowed.contains(&class)
    }

    /// `exact and renamed pass (--strict)`.
    pub fn told(&self) -> String {
        let names: Vec<&str> = self.allowed.iter().map(|class| name(*class)).collect();
        match names.as_slice() {
            [only] => format!("only {only} passes ({})", self.said),
            _ => format!("only {} pass ({})", names.join(", "), self.said),
        }
    }

    /// The flag that would let this class pass too: `--allow renamed,pinned`.
    pub fn flag_for(&self, class: MatchClass) -> String {
        let mut wanted: Vec<MatchClass> = self.allowed.iter().copied().chain([class]).collect();
        wanted.retain(|class| *class != MatchClass::Exact);
        wanted.sort();
        wanted.dedup();
        let names: Vec<&str> = wanted.into_iter().map(name).collect();
        format!("--allow {}", names.join(","))
    }
}

fn class_of(asked: &str) -> Result<MatchClass, String> {
    match CLASSES.iter().find(|(_, name)| *name == asked) {
        Some((MatchClass::Drift, _)) => Err("drift never passes: its recorded answer belongs to another \
                                             request. An [[ignore]] or [[hole]] rule in retake.toml says what \
                                             may differ; a fork asks the model"
            .into()),
        Some((class, _)) => Ok(*class),
        None => {
            let known = CLASSES.iter().map(|(_, name)| *name).filter(|name| *name != "drift");
            let meant = nearest(asked, known.clone()).map(|name| format!("; did you mean {name}?"));
            let known: Vec<&str> = known.collect();
            Err(format!(
                "{asked:?} is no class; there are {}{}",
                known.join(", "),
                meant.unwrap_or_default()
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use MatchClass::{Drift, Exact, Masked, Pinned, Renamed, Reordered};

    #[test]
    fn drift_alone_stops_by_default() {
        let policy = Policy::default();
        assert!([Exact, Renamed, Pinned, Masked, Reordered].iter().all(|class| policy.allows(*class)));
        assert!(!policy.allows(Drift));
        assert!(Policy::of(["drift"], "--allow").unwrap_err().starts_with("drift never passes"));
    }

    #[test]
    fn a_policy_names_what_passes() {
        let strict = Policy::strict();
        assert!(strict.allows(Renamed) && !strict.allows(Pinned));
        assert_eq!(strict.told(), "only exact, renamed pass (--strict)");
        assert_eq!(strict.flag_for(Pinned), "--allow renamed,pinned");
        let own = Policy::of(["masked", " pinned", "masked"], "--allow").unwrap();
        assert!(own.allows(Exact) && own.allows(Masked) && !own.allows(Renamed));
        let both = strict.or(&own);
        assert!(both.allows(Renamed) && both.allows(Masked) && !both.allows(Reordered));
        assert_eq!(Policy::of([], "--allow").unwrap().told(), "only exact passes (--allow)");
        let wrong = Policy::of(["pined"], "--allow").unwrap_err();
        assert_eq!(
            wrong,
            "\"pined\" is no class; there are exact, renamed, pinned, masked, reordered; did you mean pinned?"
        );
    }

    #[test]
    fn every_class_has_its_name_in_the_format() {
        for (class, name) in CLASSES {
            assert_eq!(serde_json::to_value(class).unwrap(), name);
        }
    }
}
