//! One meaningful leaf of one replayed request is changed: that must be noticed.

use super::agent::run;
use super::answerers::{Matched, Mutation, record};
use super::maker::program;
use super::program::Menu;
use super::shuffled::{PLAIN, cases, is_recorded, today};
use crate::dialect::conversation::{Block, ModelRequest};
use proptest::prelude::*;
use serde_json::Value;

/// What a text becomes.
#[derive(Clone, Copy, Debug)]
enum Change {
    Longer,
    /// Its last digit is another; a text without digits gets longer.
    Digit,
}

impl Change {
    fn apply(self, text: &mut String) {
        let digit = text.rfind(|c: char| c.is_ascii_digit());
        match (self, digit) {
            (Change::Digit, Some(at)) => {
                let other = if text.as_bytes()[at] == b'9' { "0" } else { "9" };
                text.replace_range(at..=at, other);
            }
            _ => text.push_str(" changed"),
        }
    }

    /// Changes the leaf with this number; the leaves of a request are counted round and round.
    fn leaf(self, request: &mut ModelRequest, number: usize) {
        let mut left = number % leaves(request);
        let mut here = |text: &mut String| {
            if left == 0 {
                self.apply(text);
            }
            left = left.wrapping_sub(1);
        };
        here(&mut request.model);
        for tool in &mut request.tools {
            each_text(tool, &mut here);
        }
        for block in request.system.iter_mut().chain(request.messages.iter_mut().flat_map(|m| &mut m.blocks))
        {
            match block {
                Block::Text { text } | Block::ToolResult { text, .. } => here(text),
                Block::ToolCall { name, args, .. } => {
                    here(name);
                    each_text(args, &mut here);
                }
                Block::Reasoning { .. } | Block::Other { .. } => {}
            }
        }
    }
}

fn leaves(request: &ModelRequest) -> usize {
    let texts = |value: &Value| {
        let mut count = 0;
        each_text(&mut value.clone(), &mut |_| count += 1);
        count
    };
    let blocks = request.system.iter().chain(request.messages.iter().flat_map(|m| &m.blocks));
    let of_block = |block: &Block| match block {
        Block::Text { .. } | Block::ToolResult { .. } => 1,
        Block::ToolCall { args, .. } => 1 + texts(args),
        Block::Reasoning { .. } | Block::Other { .. } => 0,
    };
    1 + request.tools.iter().map(texts).sum::<usize>() + blocks.map(of_block).sum::<usize>()
}

fn each_text(value: &mut Value, here: &mut dyn FnMut(&mut String)) {
    match value {
        Value::String(text) => here(text),
        Value::Array(items) => items.iter_mut().for_each(|v| each_text(v, here)),
        Value::Object(fields) => fields.values_mut().for_each(|v| each_text(v, here)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn check(menu: Menu, change: Change, seed: u64, schedules: (u64, u64), request: usize, leaf: usize) {
    let program = program(seed, menu);
    let recorded = record(&program, schedules.0);
    if !is_recorded(&program, &recorded, schedules.1) {
        return;
    }
    let replayed = |mutation: Option<(u32, Mutation<'static>)>| {
        let mut values = today(schedules.1);
        let mut matched = Matched { mutation, ..Matched::new(&recorded, &values.side.clone()) };
        let outcome = run(&program, schedules.1, false, &mut values, &mut matched);
        (outcome, matched.matcher.counters())
    };
    let (unchanged, _) = replayed(None);
    if unchanged.refused.is_some() {
        // Whether that is right is another property's question.
        return;
    }
    let at = (request % unchanged.log.len()) as u32;
    let (outcome, counters) = replayed(Some((at, Box::new(move |r| change.leaf(r, leaf)))));
    let entry = &outcome.log[at as usize];
    assert!(
        outcome.refused.is_some() || counters.pins > 0,
        "not noticed: request {at} ({} turn {}), leaf {leaf}, {change:?}",
        entry.path,
        entry.turn
    );
}

macro_rules! noticed {
    ($($(#[$attribute:meta])* $name:ident: $menu:expr, $change:expr;)*) => {
        proptest! {
            #![proptest_config(cases(48))]
            $(
                #[test]
                $(#[$attribute])*
                fn $name(
                    seed: u64, a in 0u64..1 << 60, b in 0u64..1 << 60, request: usize, leaf: usize
                ) {
                    check($menu, $change, seed, (a, b), request, leaf);
                }
            )*
        }
    };
}

const HISTORIES: Menu = Menu {
    compaction: true,
    rewinds: true,
    votes: true,
    rewrites: true,
    distinct: true,
    retries: true,
    ..PLAIN
};

noticed! {
    a_longer_text_is_noticed: PLAIN, Change::Longer;
    another_digit_is_noticed: PLAIN, Change::Digit;
    a_change_in_a_rewritten_history_is_noticed: HISTORIES, Change::Longer;
    a_change_in_plain_chat_is_noticed: Menu { chat: true, distinct: true, ..PLAIN }, Change::Digit;
    a_change_of_a_side_call_is_noticed: Menu { sides: true, ..PLAIN }, Change::Longer;
    a_change_in_joined_results_is_noticed:
        Menu { chat: true, flattened: true, compaction: true, ..PLAIN }, Change::Digit;
    a_change_beside_values_is_noticed:
        Menu { names: true, quantities: true, dates: true, paths: true, ..PLAIN }, Change::Longer;
}
