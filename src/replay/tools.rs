//! What tools do to the world, as far as somebody has said so.

use super::matcher::{Options as MatcherOptions, Unpin};
use crate::mcp::message::is_name_of;
use crate::mcp::tools::Effect;
use crate::run::CallSite;
use serde::Serialize;
use std::collections::{BTreeMap, HashSet};

/// What running a tool does to the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolClass {
    /// It changes nothing.
    Read,
    /// Nobody has said: it may change something, and is taken to have done so when it was called otherwise than
    /// recorded, or answered otherwise than it does by itself.
    Unclassified,
    /// It changes something, and may do so again.
    Write,
    /// It changes something that cannot be taken back: it must not run again.
    Irreversible,
}

impl ToolClass {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            ToolClass::Read => "read",
            ToolClass::Write => "write",
            ToolClass::Irreversible => "irreversible",
            ToolClass::Unclassified => "unclassified",
        }
    }

    /// True when a call of it, made otherwise than recorded, may leave another world behind.
    pub fn may_write(self) -> bool {
        self != ToolClass::Read
    }

    /// True when it is known to change something.
    pub fn writes(self) -> bool {
        matches!(self, ToolClass::Write | ToolClass::Irreversible)
    }
}

/// Tools by what they do. The default knows none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ToolClasses {
    declared: Vec<(String, ToolClass)>,
    /// What servers say of theirs: by the name that the model knows, or the server's own.
    annotated: BTreeMap<String, ToolClass>,
}

impl ToolClasses {
    /// Declares a tool, or with `*` at the end of the name all that begin so. False when the name has another class
    /// already.
    #[must_use]
    pub fn declare(&mut self, name: &str, class: ToolClass) -> bool {
        let known = self.declared.iter().find(|(declared, _)| declared == name).map(|(_, class)| *class);
        if known.is_none() {
            self.declared.push((name.to_string(), class));
        }
        known.is_none_or(|known| known == class)
    }

    /// Notes what a server says of a tool. What a person declared counts more.
    pub fn annotate(&mut self, name: &str, effect: Effect) {
        let class = match effect {
            Effect::Reads => ToolClass::Read,
            Effect::Writes => ToolClass::Write,
            Effect::Destroys => ToolClass::Irreversible,
        };
        self.annotated.insert(name.to_string(), class);
    }

    /// The name under which the model knows a server's tool, where something is said of it.
    pub fn name_in_model<'n>(&'n self, tool: &'n str) -> &'n str {
        let declared =
            self.declared.iter().map(|(name, _)| name.as_str()).filter(|name| !name.ends_with('*'));
        let mut known = declared.chain(self.annotated.keys().map(String::as_str));
        if self.is_declared(tool) { tool } else { known.find(|name| is_name_of(name, tool)).unwrap_or(tool) }
    }

    /// True when nothing is declared.
    pub fn is_empty(&self) -> bool {
        self.declared.is_empty() && self.annotated.is_empty()
    }

    /// The whole names that are declared, with their classes; no beginnings of names.
    pub fn names(&self) -> impl Iterator<Item = (&str, ToolClass)> {
        let whole = self.declared.iter().filter(|(name, _)| !name.ends_with('*'));
        whole.map(|(name, class)| (name.as_str(), *class))
    }

    /// True when something is declared to be of this class.
    pub fn any(&self, class: ToolClass) -> bool {
        let declared = self.declared.iter().map(|(_, class)| class);
        declared.chain(self.annotated.values()).any(|said| *said == class)
    }

    /// The class of a tool: as a person says of its whole name, else of the longest beginning that fits; else as its
    /// server says.
    pub fn class_of(&self, tool: &str) -> ToolClass {
        let said = self.declared_class(tool).or_else(|| self.annotated.get(tool).copied());
        said.unwrap_or(ToolClass::Unclassified)
    }

    /// True when a person said something of a tool.
    pub fn is_declared(&self, tool: &str) -> bool {
        self.declared_class(tool).is_some()
    }

    fn declared_class(&self, tool: &str) -> Option<ToolClass> {
        let fits = self.declared.iter().filter_map(|(declared, class)| {
            let rank = match declared.strip_suffix('*') {
                _ if declared == tool => usize::MAX,
                Some(beginning) if tool.starts_with(beginning) => beginning.len(),
                _ => return None,
            };
            Some((rank, *class))
        });
        fits.max_by_key(|(rank, _)| *rank).map(|(_, class)| class)
    }
}

/// Words in a tool's name that say it runs commands or rewrites things. A guess, like
/// [`super::fences::sounds_irreversible`].
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

    fn declared(all: &[(&str, ToolClass)]) -> ToolClasses {
        let mut tools = ToolClasses::default();
        assert!(all.iter().all(|(name, class)| tools.declare(name, *class)));
        tools
    }

    #[test]
    fn the_whole_name_counts_before_the_longest_beginning() {
        use ToolClass::{Irreversible, Read, Unclassified, Write};
        let tools =
            declared(&[("crm_*", Write), ("crm_get_*", Read), ("crm_get_rid", Irreversible), ("pay", Write)]);
        for (tool, class) in [
            ("crm_put", Write),
            ("crm_get_all", Read),
            ("crm_get_rid", Irreversible),
            ("pay", Write),
            ("payout", Unclassified),
            ("crm", Unclassified),
        ] {
            assert_eq!(tools.class_of(tool), class, "{tool}");
        }
        assert!(!tools.clone().declare("pay", Read) && tools.clone().declare("pay", Write));
        assert_eq!(declared(&[("*", Read)]).class_of("anything"), Read);
        assert!(
            Unclassified.may_write() && !Unclassified.writes() && Irreversible.writes() && !Read.may_write()
        );
    }
}
