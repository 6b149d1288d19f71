//! One meaningful leaf of a request, changed.

use super::leaves::block_path;
use super::mutants::Leaf;
use crate::dialect::conversation::{Block, ModelRequest, Role};
use crate::replay::dice::Dice;
use serde_json::Value;

/// Leaves of one tool, of one call's arguments, or of one parameter that are changed.
const LEAVES: usize = 3;
/// Longest text in which places are looked for.
const LOOKED_AT: usize = 20_000;

/// A request with one leaf changed.
pub(super) struct Mutant {
    pub leaf: Leaf,
    /// As the matcher spells it: `messages[3].result`.
    pub path: String,
    /// The leaf, before and after.
    pub recorded: String,
    pub live: String,
    pub request: ModelRequest,
}

/// Requests with one leaf changed each: all of its messages from this one on, one of those before, and what stands
/// beside the messages.
pub(super) fn mutants_of(request: &ModelRequest, from: usize, dice: &mut Dice) -> Vec<Mutant> {
    let mut out = Vec::new();
    let mut push = |leaf: Leaf, path: String, recorded: String, live: String, request: ModelRequest| {
        out.push(Mutant { leaf, path, recorded, live, request });
    };
    let model = changed_word(&request.model, dice);
    push(
        Leaf::Model,
        "model".into(),
        request.model.clone(),
        model.clone(),
        ModelRequest { model, ..request.clone() },
    );
    for (i, block) in request.system.iter().enumerate() {
        let many = request.system.len() > 1;
        let path = if many { format!("system[{i}]") } else { "system".to_string() };
        for (recorded, live, block) in changed_block(block, dice) {
            let mut mutant = request.clone();
            mutant.system.splice(i..=i, [block]);
            push(Leaf::System, path.clone(), recorded, live, mutant);
        }
    }
    for (i, tool) in some_of(&request.tools, LEAVES, dice) {
        for (path, recorded, live, tool) in changed_value(tool, 1, dice) {
            let mut mutant = request.clone();
            mutant.tools.splice(i..=i, [tool]);
            push(Leaf::ToolSchema, format!("tools[{i}]{path}"), recorded, live, mutant);
        }
    }
    let params: Vec<(&String, &Value)> = request.params.iter().collect();
    for (_, (name, value)) in some_of(&params, LEAVES, dice) {
        for (path, recorded, live, value) in changed_value(value, 1, dice) {
            let mut mutant = request.clone();
            mutant.params.insert((*name).clone(), value);
            push(Leaf::Parameter, format!("params.{name}{path}"), recorded, live, mutant);
        }
    }
    let old = (from > 0).then(|| dice.below(from));
    for (m, message) in request.messages.iter().enumerate().filter(|(m, _)| *m >= from || Some(*m) == old) {
        for (b, block) in message.blocks.iter().enumerate() {
            let path = block_path(m, b, message.blocks.len() == 1, block);
            let leaf = match (block, message.role) {
                (Block::ToolResult { .. }, _) => Leaf::ToolResult,
                (Block::ToolCall { .. }, _) => Leaf::Argument,
                (_, Role::System) => Leaf::System,
                (_, Role::Assistant) => Leaf::AssistantText,
                _ => Leaf::UserText,
            };
            for (recorded, live, block) in changed_block(block, dice) {
                let mut mutant = request.clone();
                if let Some(old) = mutant.messages.get_mut(m).and_then(|message| message.blocks.get_mut(b)) {
                    *old = block;
                }
                push(leaf, path.clone(), recorded, live, mutant);
            }
        }
    }
    out
}

/// Some of a list, with their indices, in order.
fn some_of<'t, T>(all: &'t [T], most: usize, dice: &mut Dice) -> Vec<(usize, &'t T)> {
    let mut chosen: Vec<usize> = (0..all.len()).collect();
    while chosen.len() > most {
        chosen.remove(dice.below(chosen.len()));
    }
    chosen.into_iter().filter_map(|i| Some((i, all.get(i)?))).collect()
}

/// A block changed in one place: before, after, the block.
fn changed_block(block: &Block, dice: &mut Dice) -> Vec<(String, String, Block)> {
    match block {
        Block::Text { text } => {
            changed_text(text, dice).into_iter().map(|(a, b, text)| (a, b, Block::Text { text })).collect()
        }
        Block::ToolResult { call_id, text, other, is_error } => changed_text(text, dice)
            .into_iter()
            .map(|(a, b, text)| {
                let (call_id, other) = (call_id.clone(), other.clone());
                (a, b, Block::ToolResult { call_id, text, other, is_error: *is_error })
            })
            .collect(),
        Block::ToolCall { id, name, args } => changed_value(args, LEAVES, dice)
            .into_iter()
            .map(|(_, a, b, args)| (a, b, Block::ToolCall { id: id.clone(), name: name.clone(), args }))
            .collect(),
        Block::Reasoning { .. } => Vec::new(),
        Block::Other { value } => changed_value(value, 1, dice)
            .into_iter()
            .map(|(_, a, b, value)| (a, b, Block::Other { value }))
            .collect(),
    }
}

/// Some leaves of a value, one changed at a time: path, before, after, the whole value.
fn changed_value(value: &Value, most: usize, dice: &mut Dice) -> Vec<(String, String, String, Value)> {
    let mut all = Vec::new();
    leaves(value, String::new(), String::new(), &mut all);
    let chosen: Vec<(String, String)> = some_of(&all, most, dice)
        .into_iter()
        .map(|(_, (pointer, path))| (pointer.clone(), path.clone()))
        .collect();
    let mut out = Vec::new();
    for (pointer, path) in chosen {
        let mut changed = value.clone();
        let Some(leaf) = changed.pointer_mut(&pointer) else { continue };
        let before = leaf.to_string();
        *leaf = match &*leaf {
            Value::String(text) => {
                Value::from(changed_text(text, dice).pop().map_or("x".into(), |(.., text)| text))
            }
            Value::Bool(b) => Value::from(!b),
            Value::Number(n) => match (n.as_i64(), n.as_f64()) {
                (Some(n), _) => Value::from(n.wrapping_add(1)),
                (None, Some(f)) => Value::from(f * 2.0 + 1.0),
                (None, None) => Value::from(1),
            },
            Value::Null | Value::Array(_) | Value::Object(_) => Value::from("x"),
        };
        let after = leaf.to_string();
        out.push((path, before, after, changed));
    }
    out
}

/// The scalars of a value, as JSON pointers and as paths. An empty list or object is one.
fn leaves(value: &Value, pointer: String, path: String, out: &mut Vec<(String, String)>) {
    match value {
        Value::Array(items) if !items.is_empty() => {
            for (i, item) in items.iter().enumerate() {
                leaves(item, format!("{pointer}/{i}"), format!("{path}[{i}]"), out);
            }
        }
        Value::Object(fields) if !fields.is_empty() => {
            for (name, field) in fields {
                let key = name.replace('~', "~0").replace('/', "~1");
                leaves(field, format!("{pointer}/{key}"), format!("{path}.{name}"), out);
            }
        }
        _ => out.push((pointer, path)),
    }
}

/// A text with another digit in it, and with another letter: before, after, the text. A text with neither gets longer.
fn changed_text(text: &str, dice: &mut Dice) -> Vec<(String, String, String)> {
    let mut out = Vec::new();
    let places = |is: &dyn Fn(&u8) -> bool| -> Vec<usize> {
        text.bytes().enumerate().take(LOOKED_AT).filter(|(_, b)| is(b)).map(|(i, _)| i).collect()
    };
    for places in [places(&u8::is_ascii_digit), places(&u8::is_ascii_alphabetic)] {
        let Some(at) = places.get(dice.below(places.len())).copied() else { continue };
        let Some(old) = text.as_bytes().get(at).copied() else { continue };
        let new = match old {
            b'9' => '0',
            b'z' => 'a',
            b'Z' => 'A',
            old => char::from(old + 1),
        };
        let mut changed = text.to_string();
        changed.replace_range(at..=at, new.encode_utf8(&mut [0; 4]));
        out.push((word_at(text, at), word_at(&changed, at), changed));
    }
    if out.is_empty() {
        let longer = format!("{text}x");
        out.push((text.to_string(), longer.clone(), longer));
    }
    out
}

fn changed_word(text: &str, dice: &mut Dice) -> String {
    changed_text(text, dice).pop().map_or("x".into(), |(.., text)| text)
}

/// The word around a byte that is no part of a longer character.
fn word_at(text: &str, at: usize) -> String {
    let from = text.get(..at).and_then(|t| t.rfind(char::is_whitespace)).map_or(0, |i| i + 1);
    let rest = text.get(from..).unwrap_or_default().trim_start();
    rest.split_whitespace().next().unwrap_or_default().chars().take(60).collect()
}
