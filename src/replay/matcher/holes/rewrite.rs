//! The way back: today's values in the place of the recorded ones, in an answer that is about to be served.

use crate::dialect::conversation::{Block, ModelAnswer};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeMap;

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

    /// A text with today's values.
    pub fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        Cow::Borrowed(text)
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
