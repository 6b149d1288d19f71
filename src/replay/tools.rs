//! What tools do to the world, as far as somebody has said so.

use super::matcher::{Options as MatcherOptions, Unpin};
use crate::run::CallSite;
use std::collections::{BTreeSet, HashSet};

/// What a tool does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ToolClass {
    /// It changes nothing.
    Read,
    /// Nobody has said: it may change something, and is taken to have done so when it was called otherwise than
    /// recorded, or answered otherwise than it does by itself.
    Unclassified,
    /// It changes something.
    Write,
    /// It changes something that cannot be taken back.
    Irreversible,
}

impl ToolClass {
    /// True when a call of it, made otherwise than recorded, may leave another world behind.
    pub fn may_write(self) -> bool {
        self != ToolClass::Read
    }

    /// True when it is known to change something.
    pub fn writes(self) -> bool {
        matches!(self, ToolClass::Write | ToolClass::Irreversible)
    }
}

/// The classes of tools, by name. A tool that stands in several has the strictest; one in none is unclassified.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ToolClasses {
    pub read: BTreeSet<String>,
    pub write: BTreeSet<String>,
    pub irreversible: BTreeSet<String>,
}

impl ToolClasses {
    /// The class of a tool.
    pub fn class_of(&self, tool: &str) -> ToolClass {
        if self.irreversible.contains(tool) {
            ToolClass::Irreversible
        } else if self.write.contains(tool) {
            ToolClass::Write
        } else if self.read.contains(tool) {
            ToolClass::Read
        } else {
            ToolClass::Unclassified
        }
    }
}

/// Words in a tool's name that say it runs commands or rewrites things. A guess, like [`super::tally::sounds_irreversible`].
const ANYTHING: [&str; 18] = [
    "bash", "shell", "exec", "run", "command", "terminal", "python", "code", "script", "eval", "edit",
    "patch", "save", "set", "add", "move", "commit", "computer",
];

/// True when a tool's name sounds as if a call of it could do anything.
pub fn runs_anything(tool: &str) -> bool {
    let name = tool.to_ascii_lowercase();
    let words = name.split(|c: char| !c.is_ascii_alphanumeric());
    // `setTimeout`, `runCommand`: the word that a camel begins with.
    words.into_iter().any(|word| ANYTHING.iter().any(|any| word.starts_with(any)))
}

/// When the recorded result of a tool stands for another one of today.
#[derive(Debug, Clone, Default)]
pub struct Pinning {
    /// In a fork, once something has gone live: the calls that also vary without an edit. None pins every call.
    pub noise: Option<HashSet<CallSite>>,
    /// Whose results are never pinned.
    pub unpin: Unpin,
    /// What tools do to the world.
    pub classes: ToolClasses,
}

impl Pinning {
    /// As the matcher takes it, all else left as it is by default.
    pub(super) fn matcher_options(&self) -> MatcherOptions {
        MatcherOptions {
            noise: self.noise.clone(),
            unpin: self.unpin.clone(),
            classes: self.classes.clone(),
            ..MatcherOptions::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strictest_class_counts() {
        let named = |name: &str| BTreeSet::from([name.to_string()]);
        let classes = ToolClasses { read: named("pay"), write: named("save"), irreversible: named("pay") };
        assert_eq!(classes.class_of("pay"), ToolClass::Irreversible);
        assert!(classes.class_of("save").writes());
        let unknown = classes.class_of("clock");
        assert_eq!(unknown, ToolClass::Unclassified);
        assert!(unknown.may_write() && !unknown.writes() && !ToolClass::Read.may_write());
    }
}
