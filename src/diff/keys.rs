//! What a turn or a call does, as a text that is equal for equal actions: tool and canonical arguments, or what is
//! said. Ids, times and the wording beside a tool call are not in it.

use super::stop::wanted;
use super::tree::Tree;
use super::view::{RunView, cut_text};
use super::worlds::{Side, Worlds};
use crate::run::likeness::hex;
use crate::run::{Lane, ToolCallRef, Turn};
use std::collections::HashSet;
use std::ops::Range;

/// Stands before the hash of what is cut off.
const HASH: char = '\u{1}';

/// Keys of one lane's turns.
#[derive(Debug, Default)]
pub(super) struct LaneKeys {
    /// The whole action of each turn.
    pub strong: Vec<String>,
    /// Only the tools asked for; none for an answer, for any two of those look alike.
    pub weak: Vec<Option<String>>,
}

impl LaneKeys {
    /// Those of some turns, as [`super::align::align_loosely`] takes them.
    pub(super) fn some(&self, turns: Range<usize>) -> (&[String], &[Option<String>]) {
        let all = self.strong.get(turns.clone()).zip(self.weak.get(turns));
        all.unwrap_or_default()
    }

    pub(super) fn of(worlds: &Worlds, side: Side, run: &RunView, lane: &Lane) -> LaneKeys {
        let turns: Vec<_> = lane.turns.iter().map(|turn| wanted(run, turn)).collect();
        LaneKeys {
            strong: turns.iter().map(|turn| strong(worlds, side, turn)).collect(),
            weak: turns.iter().map(|turn| weak(turn)).collect(),
        }
    }
}

fn strong(worlds: &Worlds, side: Side, turn: &Turn) -> String {
    if turn.calls.is_empty() {
        return match (&turn.error, &turn.answer_key) {
            (Some(error), _) => worlds.keyed(side, format!("!{error}\n{}", turn.text)),
            (None, Some(key)) if cut_text(&turn.text) => {
                let said = worlds.key(side, &turn.text);
                // Where it is said in the run's own words, the hash tells nothing.
                match said == turn.text {
                    true => format!("\"{}{HASH}{}", turn.text, hex(key)),
                    false => format!("\"{said}"),
                }
            }
            _ => worlds.keyed(side, format!("\"{}", turn.text)),
        };
    }
    sorted(turn, |call| call_key(worlds, side, call))
}

/// Takes what may be another out of the keys that only one run has, so that they meet their like.
pub(super) fn loosen(worlds: &Worlds, left: &mut [LaneKeys], right: &mut [LaneKeys]) {
    let all = |side: &[LaneKeys]| side.iter().flat_map(|k| &k.strong).cloned().collect::<HashSet<_>>();
    let (lefts, rights) = (all(left), all(right));
    for (lanes, others, side) in [(left, &rights, Side::Left), (right, &lefts, Side::Right)] {
        for key in lanes.iter_mut().flat_map(|lane| &mut lane.strong).filter(|key| !others.contains(*key)) {
            let said = key.split(HASH).next().unwrap_or_default();
            let masked = worlds.masked(side, said);
            if masked != said {
                *key = masked;
            }
        }
    }
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
pub(super) fn call_key(worlds: &Worlds, side: Side, call: &ToolCallRef) -> String {
    worlds.keyed(side, format!("{}{}", call.name, args_tree(&call.args).canonical()))
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
