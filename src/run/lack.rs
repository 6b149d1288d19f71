//! What a run that was read from somebody else's file does not have.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A use of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Use {
    /// Reading it.
    View,
    /// Comparing it with another.
    Diff,
    /// Answering an agent from it.
    Replay,
    /// Going on from a step of it.
    Fork,
}

impl Use {
    /// All of them, the least demanding first.
    pub const ALL: [Use; 4] = [Use::View, Use::Diff, Use::Replay, Use::Fork];

    /// Its name: `replay`.
    pub fn name(self) -> &'static str {
        match self {
            Use::View => "view",
            Use::Diff => "diff",
            Use::Replay => "replay",
            Use::Fork => "fork",
        }
    }
}

/// Something that a file does not say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lack {
    /// What is missing, by the name that the file's format has for it: `response.body of interaction 3`.
    pub what: String,
    /// What the run is not sound for because of it. Nothing: it is only less than it might be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spoils: Vec<Use>,
}

/// What a run with these lacks is sound for.
pub fn sound_for(lacks: &[Lack]) -> BTreeSet<Use> {
    let spoilt: BTreeSet<Use> = lacks.iter().flat_map(|lack| lack.spoils.iter().copied()).collect();
    Use::ALL.into_iter().filter(|of| !spoilt.contains(of)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_lack_is_enough() {
        let lack = |spoils: &[Use]| Lack { what: "x".into(), spoils: spoils.to_vec() };
        assert_eq!(sound_for(&[]).len(), 4);
        assert_eq!(sound_for(&[lack(&[])]).len(), 4);
        let left = sound_for(&[lack(&[Use::Replay]), lack(&[Use::Fork, Use::Replay])]);
        assert_eq!(left, BTreeSet::from([Use::View, Use::Diff]));
    }
}
