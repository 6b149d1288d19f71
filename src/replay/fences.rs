//! Which tools may not run.

use super::tools::{ToolClass, ToolClasses};
use crate::mcp::message::is_name_of;
use serde::Serialize;
use std::collections::BTreeSet;

/// Who put up a fence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FencedBy {
    /// `--fence`.
    Flag,
    /// The tool is declared irreversible.
    Irreversible,
    /// Its server says that it destroys.
    Annotated,
}

/// Which tools may not run: those that are named, and the irreversible ones that are not let through by name.
#[derive(Debug, Clone, Default)]
pub struct Fences {
    named: BTreeSet<String>,
    lifted: BTreeSet<String>,
    tools: ToolClasses,
}

impl Fences {
    /// Fences by name, names that are let through though irreversible, and what is said of the tools.
    pub fn new(named: &[String], lifted: &[String], tools: ToolClasses) -> Fences {
        Fences { named: named.iter().cloned().collect(), lifted: lifted.iter().cloned().collect(), tools }
    }

    /// The fences by name.
    pub fn named(&self) -> impl Iterator<Item = &str> {
        self.named.iter().map(String::as_str)
    }

    /// True when no tool can be fenced.
    pub fn is_empty(&self) -> bool {
        self.named.is_empty() && !self.tools.any(ToolClass::Irreversible)
    }

    /// Who fences a tool, if anyone does.
    pub fn stops(&self, tool: &str) -> Option<FencedBy> {
        if self.named.contains(tool) {
            return Some(FencedBy::Flag);
        }
        let irreversible = self.tools.class_of(tool) == ToolClass::Irreversible;
        let by = if self.tools.is_declared(tool) { FencedBy::Irreversible } else { FencedBy::Annotated };
        (irreversible && !self.lifted.contains(tool)).then_some(by)
    }

    /// Who fences a tool under the name that its server gives it; people name it as the model does.
    pub fn stops_call(&self, tool: &str) -> Option<FencedBy> {
        let named = |names: &BTreeSet<String>| names.iter().find(|name| is_name_of(name, tool)).cloned();
        match (named(&self.named), named(&self.lifted)) {
            (Some(_), _) => Some(FencedBy::Flag),
            (None, Some(_)) => None,
            (None, None) => self.stops(self.tools.name_in_model(tool)),
        }
    }

    /// Which of the names of a command is fenced, and by whom. One that is let through lets the command through.
    pub fn stops_command(&self, names: Vec<String>) -> Option<(String, FencedBy)> {
        let lifted = names.iter().any(|name| self.lifted.contains(name));
        let by = |name: String| Some((self.stops(&name)?, name)).map(|(by, name)| (name, by));
        names.into_iter().filter_map(by).find(|(_, by)| *by == FencedBy::Flag || !lifted)
    }

    /// What is said of the tools.
    pub fn tools(&self) -> &ToolClasses {
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

/// A name as it is to be typed in a shell: `$ git push` in quotes.
pub fn as_typed(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':' | '/' | '*');
    if name.chars().all(plain) { name.to_string() } else { format!("'{}'", name.replace('\'', "'\\''")) }
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

    fn declared(all: &[(&str, ToolClass)]) -> ToolClasses {
        let mut tools = ToolClasses::default();
        assert!(all.iter().all(|(name, class)| tools.declare(name, *class)));
        tools
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
        let mut declared = ToolClasses::default();
        assert!(declared.declare("pay", ToolClass::Write));
        assert!(!Fences::new(&[], &[], declared).overlook("pay"), "somebody has thought of it");
    }

    #[test]
    fn names_are_quoted_where_a_shell_would_split_them() {
        assert_eq!(as_typed("issue_refund"), "issue_refund");
        assert_eq!(as_typed("$ git push"), "'$ git push'");
        assert_eq!(as_typed("$ echo 'a"), "'$ echo '\\''a'");
    }

    #[test]
    fn harmless_names_are_left_alone() {
        assert!(sounds_irreversible("issue_refund") && sounds_irreversible("send_email"));
        assert!(!sounds_irreversible("lookup_order") && !sounds_irreversible("get_issue"));
    }
}
