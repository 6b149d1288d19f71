//! What a person declared: fields that do not count (`[[ignore]]`), and values that differ (`[[hole]]`).

use super::paths::Paths;
use regex::Regex;
use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

/// How a declared hole is filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoleKind {
    /// Binds one to one for the whole run.
    Name,
    /// Any text that the pattern takes.
    Any,
}

/// Which part of a rule is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleField {
    Path,
    Pattern,
    /// The rule as it stands.
    Whole,
}

/// A rule that cannot be used: which part of it, and why, in a sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct RuleError {
    pub field: RuleField,
    pub why: String,
}

fn wrong(field: RuleField, why: impl Into<String>) -> RuleError {
    RuleError { field, why: why.into() }
}

/// Where a comparison takes place.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The dialect's name.
    pub dialect: &'a str,
    /// As a difference shows it: `messages[3].text`, `params.seed`.
    pub path: &'a str,
    /// The tool whose call or result it is in.
    pub tool: Option<&'a str>,
}

impl<'a> Place<'a> {
    /// Outside of calls and results.
    pub fn of(dialect: &'a str, path: &'a str) -> Place<'a> {
        Place { dialect, path, tool: None }
    }
}

/// Where a rule is declared to hold; none: everywhere.
#[derive(Debug, Clone, Copy, Default)]
pub struct Within<'a> {
    /// In this dialect.
    pub dialect: Option<&'a str>,
    /// In calls and results of this tool.
    pub tool: Option<&'a str>,
    /// At this path.
    pub path: Option<&'a str>,
}

/// Where a rule holds: in one dialect or all, with one tool or anything, at one place or anywhere.
#[derive(Debug, Clone)]
struct Scope {
    dialect: Option<String>,
    tool: Option<String>,
    place: Option<Paths>,
}

impl Scope {
    fn new(within: Within<'_>) -> Result<Scope, RuleError> {
        let place = within.path.map(Paths::parse).transpose().map_err(|why| wrong(RuleField::Path, why))?;
        let only = |name: Option<&str>| name.map(str::to_string);
        Ok(Scope { dialect: only(within.dialect), tool: only(within.tool), place })
    }

    fn covers(&self, at: &Place<'_>) -> bool {
        self.dialect.as_deref().is_none_or(|own| own == at.dialect)
            && self.tool.as_deref().is_none_or(|own| Some(own) == at.tool)
            && self.place.as_ref().is_none_or(|place| place.covers(at.path))
    }
}

/// A field, or a part of texts, that does not count.
#[derive(Debug, Clone)]
pub struct Ignore {
    scope: Scope,
    pattern: Option<Regex>,
}

impl Ignore {
    /// A rule for a path, for what a pattern takes, or for what a pattern takes at a path.
    ///
    /// # Errors
    /// When it has neither, when one of them cannot be read, and when it would let everything pass.
    pub fn new(within: Within<'_>, pattern: Option<&str>) -> Result<Ignore, RuleError> {
        let scope = Scope::new(within)?;
        let pattern = pattern.map(compiled).transpose()?;
        match (&scope.place, &pattern) {
            (None, None) => Err(wrong(RuleField::Whole, "an [[ignore]] needs a path, a pattern, or both")),
            (None, Some(pattern)) if takes_anything(pattern) => Err(wrong(
                RuleField::Pattern,
                "this pattern takes every text, so nothing would count any more: give it a path as well",
            )),
            (Some(place), None) if place.whole_messages => Err(wrong(
                RuleField::Path,
                "whole messages would not count any more: name what is in them, like messages[*].text, or give \
                 a pattern as well",
            )),
            _ => Ok(Ignore { scope, pattern }),
        }
    }
}

/// A value that differs from run to run.
#[derive(Debug, Clone)]
pub struct Hole {
    scope: Scope,
    pattern: Regex,
    kind: HoleKind,
}

impl Hole {
    /// What the first group of a pattern takes, or the whole pattern when it has none.
    ///
    /// # Errors
    /// When the path or the pattern cannot be read, when it has several groups, and when everything would be a hole.
    pub fn new(within: Within<'_>, pattern: &str, kind: HoleKind) -> Result<Hole, RuleError> {
        let scope = Scope::new(within)?;
        let pattern = compiled(pattern)?;
        if pattern.captures_len() > 2 {
            let why = "a hole is what one group takes, and this pattern has several: write (?:…) for the others, or \
                       a rule for each";
            return Err(wrong(RuleField::Pattern, why));
        }
        if scope.place.is_none() && takes_anything(&pattern) {
            let why = "this pattern takes every text, so everything would be a hole: give it a path as well";
            return Err(wrong(RuleField::Pattern, why));
        }
        Ok(Hole { scope, pattern, kind })
    }

    /// Where it is in a text.
    fn found<'t>(&'t self, text: &'t str) -> impl Iterator<Item = Range<usize>> + 't {
        let group = usize::from(self.pattern.captures_len() > 1);
        let taken = self.pattern.captures_iter(text).filter_map(move |c| c.get(group).map(|m| m.range()));
        taken.filter(|range| !range.is_empty())
    }
}

fn compiled(pattern: &str) -> Result<Regex, RuleError> {
    Regex::new(pattern).map_err(|error| {
        // The last line says what is wrong, those before it draw where.
        let told = error.to_string();
        let last = told.lines().last().unwrap_or_default().trim();
        let last = last.strip_prefix("error: ").unwrap_or(last);
        wrong(RuleField::Pattern, format!("`{pattern}` is no pattern: {last}"))
    })
}

/// True when texts that have nothing in common are taken whole.
fn takes_anything(pattern: &Regex) -> bool {
    let whole = |text: &&str| pattern.find(text).is_some_and(|m| m.len() == text.len());
    ["4999", "The sea is blue.", "{\"a\": []}"].iter().all(whole)
}

#[derive(Debug, Default)]
struct Declared {
    ignores: Vec<Ignore>,
    holes: Vec<Hole>,
}

/// Rules, ready to be used. The default has none.
#[derive(Debug, Clone, Default)]
pub struct Rules(Arc<Declared>);

impl Rules {
    /// All rules of a run.
    pub fn new(ignores: Vec<Ignore>, holes: Vec<Hole>) -> Rules {
        Rules(Arc::new(Declared { ignores, holes }))
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.0.ignores.is_empty() && self.0.holes.is_empty()
    }

    /// The tools that rules are for, with the kind of the rule as it is written.
    pub fn tools(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let ignores = self.0.ignores.iter().map(|rule| ("an [[ignore]]", &rule.scope));
        let holes = self.0.holes.iter().map(|rule| ("a [[hole]]", &rule.scope));
        ignores.chain(holes).filter_map(|(kind, scope)| Some((kind, scope.tool.as_deref()?)))
    }

    /// True when a whole field does not count.
    pub fn ignores(&self, at: &Place<'_>) -> bool {
        self.0.ignores.iter().any(|rule| rule.pattern.is_none() && rule.scope.covers(at))
    }

    /// A text without the parts that do not count; empty when none of it does.
    pub fn without_ignored<'t>(&self, at: &Place<'_>, text: &'t str) -> Cow<'t, str> {
        let mut cut: Vec<Range<usize>> = Vec::new();
        for rule in self.0.ignores.iter().filter(|rule| rule.scope.covers(at)) {
            match &rule.pattern {
                None => return Cow::Borrowed(""),
                // Every rule looks at the text as it is, so that their order says nothing.
                Some(pattern) => cut.extend(pattern.find_iter(text).map(|m| m.range())),
            }
        }
        cut.retain(|range| !range.is_empty());
        if cut.is_empty() {
            return Cow::Borrowed(text);
        }
        cut.sort_by_key(|range| range.start);
        let mut kept = String::with_capacity(text.len());
        let mut done = 0;
        for range in cut {
            kept.push_str(text.get(done..range.start).unwrap_or_default());
            done = done.max(range.end);
        }
        kept.push_str(text.get(done..).unwrap_or_default());
        Cow::Owned(kept)
    }

    /// The declared holes in a text, in order, none overlapping: of two that do, the one that begins first, else the
    /// longer, else the one declared first.
    pub fn holes(&self, at: &Place<'_>, text: &str) -> Vec<(Range<usize>, HoleKind)> {
        self.found(text, |scope| scope.covers(at))
    }

    /// A text with one sign for everything that is declared to differ, wherever it was declared to.
    pub fn masked<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let found = self.found(text, |_| true);
        if found.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut out = String::with_capacity(text.len());
        let mut done = 0;
        for (range, _) in found {
            out.push_str(text.get(done..range.start).unwrap_or_default());
            out.push_str("\u{0}declared\u{0}");
            done = range.end;
        }
        out.push_str(text.get(done..).unwrap_or_default());
        Cow::Owned(out)
    }

    fn found(&self, text: &str, covers: impl Fn(&Scope) -> bool) -> Vec<(Range<usize>, HoleKind)> {
        let rules = self.0.holes.iter().filter(|rule| covers(&rule.scope));
        let mut found: Vec<(Range<usize>, HoleKind)> =
            rules.flat_map(|rule| rule.found(text).map(|range| (range, rule.kind))).collect();
        found.sort_by_key(|(range, _)| (range.start, std::cmp::Reverse(range.end)));
        let mut free = 0;
        found.retain(|(range, _)| {
            let fits = range.start >= free;
            if fits {
                free = range.end;
            }
            fits
        });
        found
    }
}

#[cfg(test)]
mod tests;
