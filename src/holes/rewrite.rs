//! The way back: today's values in the place of the recorded ones, in an answer that is about to be served.

use super::lexer::stands_alone;
use crate::dialect::conversation::{Block, ModelAnswer};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

/// Recorded values and the live ones that take their place, as whole tokens. The default changes nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rewrite {
    pairs: BTreeMap<String, String>,
}

impl Rewrite {
    /// True when nothing is to be changed.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// Adds a pair.
    pub(super) fn put(&mut self, recorded: String, live: String) {
        self.pairs.insert(recorded, live);
    }

    /// A text with today's values.
    pub fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let edits = self.edits(text);
        if edits.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut out = String::with_capacity(text.len());
        let mut done = 0;
        for (range, live) in edits {
            out.push_str(text.get(done..range.start).unwrap_or_default());
            out.push_str(live);
            done = range.end;
        }
        out.push_str(text.get(done..).unwrap_or_default());
        Cow::Owned(out)
    }

    /// What is to be replaced in a text: places, in order, and today's values. Of two values at one place the longer
    /// one counts.
    pub fn edits(&self, text: &str) -> Vec<(Range<usize>, &str)> {
        let mut found: Vec<(Range<usize>, &str)> = Vec::new();
        for (recorded, live) in &self.pairs {
            let places = memchr::memmem::find_iter(text.as_bytes(), recorded.as_bytes());
            let ranges = places.map(|at| at..at + recorded.len()).filter(|r| stands_alone(text, r.clone()));
            found.extend(ranges.map(|range| (range, live.as_str())));
        }
        found.sort_by_key(|(range, _)| (range.start, std::cmp::Reverse(range.end)));
        let mut end = 0;
        found.retain(|(range, _)| {
            let free = range.start >= end;
            end = if free { range.end } else { end };
            free
        });
        found
    }

    /// An answer with today's values: in its texts and in the arguments of its calls, not in its reasoning.
    pub fn answer(&self, answer: &ModelAnswer) -> ModelAnswer {
        let mut answer = answer.clone();
        for block in &mut answer.blocks {
            match block {
                Block::Text { text } => self.replace(text),
                Block::ToolCall { args, .. } => self.value(args),
                Block::ToolResult { .. } | Block::Reasoning { .. } | Block::Other { .. } => {}
            }
        }
        answer
    }

    fn value(&self, value: &mut Value) {
        match value {
            Value::String(text) => self.replace(text),
            Value::Array(items) => items.iter_mut().for_each(|v| self.value(v)),
            Value::Object(fields) => fields.values_mut().for_each(|v| self.value(v)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn replace(&self, text: &mut String) {
        if let Cow::Owned(new) = self.text(text) {
            *text = new;
        }
    }
}
