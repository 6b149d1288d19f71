//! What a person declared: fields that do not count (`[[ignore]]`), and values that differ (`[[hole]]`).

use std::borrow::Cow;
use std::ops::Range;

/// How a declared hole is filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoleKind {
    /// Binds one to one for the whole run.
    Name,
    /// Any text that the pattern takes.
    Any,
}

/// Rules, ready to be used. The default has none.
#[derive(Debug, Clone, Default)]
pub struct Rules {}

/// A rule that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RuleError(pub String);

impl Rules {
    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        true
    }

    /// True when a whole field does not count. `path` is as a difference shows it: `messages[3].text`, `params.seed`.
    pub fn ignores(&self, _dialect: &str, _path: &str) -> bool {
        false
    }

    /// A text without the parts that do not count.
    pub fn without_ignored<'t>(&self, _dialect: &str, _path: &str, text: &'t str) -> Cow<'t, str> {
        Cow::Borrowed(text)
    }

    /// The declared holes in a text, in order, none overlapping.
    pub fn holes(&self, _dialect: &str, _path: &str, _text: &str) -> Vec<(Range<usize>, HoleKind)> {
        Vec::new()
    }
}
