//! What a turn or a call does, as a text that is equal for equal actions: tool and canonical arguments, or what is
//! said. Ids, times and the wording beside a tool call are not in it.

use super::stop::wanted;
use super::tree::Tree;
use super::view::{RunView, cut_text};
use crate::run::likeness::hex;
use crate::run::{Lane, ToolCallRef, Turn};
use std::collections::HashSet;

/// Keys of one lane's turns.
#[derive(Debug, Default)]
pub(super) struct LaneKeys {
    /// The whole action of each turn.
    pub strong: Vec<String>,
    /// Only the tools asked for; none for an answer, for any two of those look alike.
    pub weak: Vec<Option<String>>,
}

impl LaneKeys {
    pub(super) fn of(run: &RunView, lane: &Lane) -> LaneKeys {
        let turns: Vec<_> = lane.turns.iter().map(|turn| wanted(run, turn)).collect();
        LaneKeys {
            strong: turns.iter().map(|turn| strong(turn)).collect(),
            weak: turns.iter().map(|turn| weak(turn)).collect(),
        }
    }
}

fn strong(turn: &Turn) -> String {
    if turn.calls.is_empty() {
        return match (&turn.error, &turn.answer_key) {
            (Some(error), _) => format!("!{error}\n{}", turn.text),
            (None, Some(key)) if cut_text(&turn.text) => format!("\"{}\n{}", turn.text, hex(key)),
            _ => format!("\"{}", turn.text),
        };
    }
    sorted(turn, call_key)
}

fn weak(turn: &Turn) -> Option<String> {
    (!turn.calls.is_empty()).then(|| sorted(turn, |call| call.name.clone()))
}

/// True for two answers in words of which half are common.
pub(super) fn alike(left: &Turn, right: &Turn) -> bool {
    let words = |turn: &Turn| turn.text.split_whitespace().map(str::to_string).collect::<HashSet<_>>();
    let (l, r) = (words(left), words(right));
    let says = |turn: &Turn| turn.calls.is_empty() && turn.error.is_none() && !turn.text.is_empty();
    says(left) && says(right) && l.intersection(&r).count() * 4 >= l.len() + r.len()
}

/// Calls of one answer run in parallel, so that their order is no part of the action.
fn sorted(turn: &Turn, key: impl Fn(&ToolCallRef) -> String) -> String {
    let mut keys: Vec<String> = turn.calls.iter().map(key).collect();
    keys.sort_unstable();
    keys.join("\n")
}

/// Tool and canonical arguments of one call.
pub(super) fn call_key(call: &ToolCallRef) -> String {
    format!("{}{}", call.name, args_tree(&call.args).canonical())
}

/// Arguments as a tree; a string that holds JSON is that JSON.
pub(super) fn args_tree(args: &serde_json::Value) -> Tree {
    match args {
        serde_json::Value::String(text) => {
            Tree::parse_nested(text).unwrap_or_else(|| Tree::Text(text.clone()))
        }
        other => Tree::from(other),
    }
}
