//! What a person says of the agent's tools, and which of them may not run.

use serde::Serialize;
use std::collections::BTreeSet;

/// What running a tool does to the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolClass {
    /// It looks only.
    Read,
    /// It changes something, and may do so again.
    Write,
    /// It must not run again.
    Irreversible,
    /// Nobody has said.
    Unclassified,
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
}

/// Tools by what they do. The default knows none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tools {
    declared: Vec<(String, ToolClass)>,
}

impl Tools {
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

    /// True when nothing is declared.
    pub fn is_empty(&self) -> bool {
        self.declared.is_empty()
    }

    /// The class of a tool: as its whole name says, else the longest beginning that fits.
    pub fn class_of(&self, tool: &str) -> ToolClass {
        let fits = self.declared.iter().filter_map(|(declared, class)| {
            let rank = match declared.strip_suffix('*') {
                _ if declared == tool => usize::MAX,
                Some(beginning) if tool.starts_with(beginning) => beginning.len(),
                _ => return None,
            };
            Some((rank, *class))
        });
        fits.max_by_key(|(rank, _)| *rank).map_or(ToolClass::Unclassified, |(_, class)| class)
    }
}

/// Who put up a fence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FencedBy {
    /// `--fence`.
    Flag,
    /// The tool is declared irreversible.
    Irreversible,
}

/// Which tools may not run: those that are named, and the irreversible ones that are not let through by name.
#[derive(Debug, Clone, Default)]
pub struct Fences {
    named: BTreeSet<String>,
    lifted: BTreeSet<String>,
    tools: Tools,
}

impl Fences {
    /// Fences by name, names that are let through though irreversible, and what is said of the tools.
    pub fn new(named: &[String], lifted: &[String], tools: Tools) -> Fences {
        Fences { named: named.iter().cloned().collect(), lifted: lifted.iter().cloned().collect(), tools }
    }

    /// True when no tool can be fenced.
    pub fn is_empty(&self) -> bool {
        self.named.is_empty()
            && !self.tools.declared.iter().any(|(_, class)| *class == ToolClass::Irreversible)
    }

    /// Who fences a tool, if anyone does.
    pub fn stops(&self, tool: &str) -> Option<FencedBy> {
        if self.named.contains(tool) {
            return Some(FencedBy::Flag);
        }
        let irreversible = self.tools.class_of(tool) == ToolClass::Irreversible;
        (irreversible && !self.lifted.contains(tool)).then_some(FencedBy::Irreversible)
    }

    /// What is said of the tools.
    pub fn tools(&self) -> &Tools {
        &self.tools
    }

    /// True for a tool that may do harm when it runs again and that nobody has thought of: its name sounds so, and it
    /// is neither fenced nor let through nor declared.
    pub fn overlook(&self, tool: &str) -> bool {
        sounds_irreversible(tool)
            && self.stops(tool).is_none()
            && self.tools.class_of(tool) == ToolClass::Unclassified
            && !self.lifted.contains(tool)
    }
}

/// Words in a tool's name that say it changes the world. A guess, used for warnings only.
const CHANGES: [&str; 26] = [
    "refund", "pay", "charge", "transfer", "send", "email", "post", "publish", "delete", "remove", "drop",
    "write", "create", "update", "insert", "cancel", "book", "order_", "purchase", "buy", "deploy", "merge",
    "push", "submit", "approve", "issue",
];

/// True when a tool's name sounds as if running it again could do harm.
pub fn sounds_irreversible(tool: &str) -> bool {
    let name = tool.to_ascii_lowercase();
    let reads = ["get", "list", "lookup", "search", "find", "read", "fetch", "check", "show"];
    !reads.iter().any(|r| name.starts_with(r)) && CHANGES.iter().any(|w| name.contains(w))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(all: &[(&str, ToolClass)]) -> Tools {
        let mut tools = Tools::default();
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
    }

    #[test]
    fn irreversible_tools_are_fenced_unless_let_through() {
        let name = |names: &[&str]| names.iter().map(|n| n.to_string()).collect::<Vec<_>>();
        let tools = declared(&[("issue_*", ToolClass::Irreversible), ("send_mail", ToolClass::Write)]);
        let fences = Fences::new(&name(&["send_mail"]), &name(&["issue_ticket"]), tools);
        assert_eq!(fences.stops("issue_refund"), Some(FencedBy::Irreversible));
        assert_eq!(fences.stops("send_mail"), Some(FencedBy::Flag));
        assert_eq!(fences.stops("issue_ticket"), None);
        assert!(!fences.is_empty() && Fences::default().is_empty());
        assert!(!fences.overlook("issue_ticket") && fences.overlook("pay") && !fences.overlook("get_pay"));
        let mut declared = Tools::default();
        assert!(declared.declare("pay", ToolClass::Write));
        assert!(!Fences::new(&[], &[], declared).overlook("pay"), "somebody has thought of it");
    }

    #[test]
    fn harmless_names_are_left_alone() {
        assert!(sounds_irreversible("issue_refund") && sounds_irreversible("send_email"));
        assert!(!sounds_irreversible("lookup_order") && !sounds_irreversible("get_issue"));
    }
}
