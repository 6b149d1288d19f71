//! What a change makes of a text, or of one place in a JSON text.

use super::{Change, PathStep, nearest};
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::HashMap;

pub(super) fn as_text(value: &Value) -> String {
    match value {
        Value::String(s) => s.clone(),
        other => other.to_string(),
    }
}

pub(super) fn change_text(change: &Change, current: &str) -> Result<String, String> {
    match change {
        Change::Set(value) => Ok(as_text(value)),
        Change::Append(value) => Ok(format!("{current}{}", as_text(value))),
        Change::Remove(_) => Err("-= is for tools only".into()),
        Change::Substitute { pattern, replacement } => {
            let expression = regex::Regex::new(pattern).map_err(|e| e.to_string())?;
            if !expression.is_match(current) {
                return Err(format!("/{pattern}/ matches nothing in the text: {}", cut(current)));
            }
            Ok(expression.replace_all(current, replacement.as_str()).into_owned())
        }
    }
}

/// Changes one place of a JSON text and leaves every other byte as it is. What agents write behind the JSON (a reminder, a
/// note that it was cut) is left too. A field that is not there yet is only added where that is asked for (`adds`): most
/// often its name is misspelt.
pub(super) fn edit_json(
    text: &str,
    path: &[PathStep],
    change: &Change,
    adds: bool,
) -> Result<String, String> {
    let (json, rest) = leading(text);
    edit_value(json, path, change, adds).map(|edited| edited + rest)
}

/// The object or list that a text begins with, and what comes after it; all of the text where it begins with neither.
fn leading(text: &str) -> (&str, &str) {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
    let whole = text.trim_start().starts_with(['{', '[']) && matches!(values.next(), Some(Ok(_)));
    text.split_at_checked(values.byte_offset()).filter(|_| whole).unwrap_or((text, ""))
}

fn edit_value(text: &str, path: &[PathStep], change: &Change, adds: bool) -> Result<String, String> {
    let (parents, last) = path.split_at(path.len() - 1);
    let mut at: &str = text;
    for (depth, step) in parents.iter().enumerate() {
        at = child(at, step).ok_or_else(|| nothing_at(text, &path[..=depth]))?;
    }
    if let Some(old) = child(at, &last[0]) {
        let new = match change {
            Change::Set(value) => value.to_string(),
            change => {
                let old: Value = serde_json::from_str(old).map_err(|e| e.to_string())?;
                let Value::String(old) = old else {
                    return Err(format!("{} is {old}, no string: it can only be set (=)", show_path(path)));
                };
                Value::String(change_text(change, &old)?).to_string()
            }
        };
        // `old` is a slice of `text`, so the distance of their addresses is its offset.
        let start = old.as_ptr() as usize - text.as_ptr() as usize;
        return Ok(format!("{}{new}{}", &text[..start], &text[start + old.len()..]));
    }
    match (change, &last[0]) {
        (Change::Set(value), PathStep::Key(key)) if adds && at.trim_start().starts_with('{') => {
            let close = at.rfind('}').ok_or_else(|| nothing_at(text, path))?;
            let start = at.as_ptr() as usize - text.as_ptr() as usize + close;
            let empty = serde_json::from_str::<HashMap<Cow<str>, &RawValue>>(at).is_ok_and(|m| m.is_empty());
            let comma = if empty { "" } else { "," };
            let name = Value::String(key.clone());
            Ok(format!("{}{comma}{name}:{value}{}", &text[..start], &text[start..]))
        }
        (Change::Set(_), PathStep::Key(_)) if !adds && at.trim_start().starts_with('{') => {
            Err(format!("{} (raw:result{}=… adds it)", nothing_at(text, path), show_path(path)))
        }
        _ => Err(nothing_at(text, path)),
    }
}

/// What was probably meant by a name that an object does not have, or else the names that it has.
fn names_there(text: &str, path: &[PathStep]) -> Option<String> {
    let mut at = text;
    for step in path {
        match (child(at, step), step) {
            (Some(inner), _) => at = inner,
            (None, PathStep::Index(_)) => return None,
            (None, PathStep::Key(key)) => {
                let map: serde_json::Map<String, Value> = serde_json::from_str(at).ok()?;
                let names: Vec<&str> = map.keys().map(String::as_str).collect();
                return match nearest(key, names.iter().copied()) {
                    Some(name) => Some(format!("did you mean {name}?")),
                    None if names.is_empty() => None,
                    None => Some(format!("its fields: {}", cut(&names.join(", ")))),
                };
            }
        }
    }
    None
}

/// The text of a child of a JSON value, as a slice of the value's text.
pub(super) fn child<'a>(text: &'a str, step: &PathStep) -> Option<&'a str> {
    match step {
        PathStep::Key(key) => {
            let map: HashMap<Cow<str>, &'a RawValue> = serde_json::from_str(text).ok()?;
            map.get(key.as_str()).map(|raw| raw.get())
        }
        PathStep::Index(index) => {
            let list: Vec<&'a RawValue> = serde_json::from_str(text).ok()?;
            list.get(*index).map(|raw| raw.get())
        }
    }
}

pub(super) fn show_path(path: &[PathStep]) -> String {
    path.iter()
        .map(|s| match s {
            PathStep::Key(k) => format!(".{k}"),
            PathStep::Index(i) => format!("[{i}]"),
        })
        .collect()
}

pub(super) fn nothing_at(text: &str, path: &[PathStep]) -> String {
    if serde_json::from_str::<Value>(text).is_err() {
        return format!("{} needs a JSON result, and it is {}", show_path(path), cut(text));
    }
    let numbered = path.iter().any(|s| matches!(s, PathStep::Key(k) if k.parse::<usize>().is_ok()));
    let spelt = |s: &PathStep| match s {
        PathStep::Key(key) => key.parse().map_or_else(|_| s.clone(), PathStep::Index),
        PathStep::Index(_) => s.clone(),
    };
    let indexed: Vec<PathStep> = path.iter().map(spelt).collect();
    let hint = match numbered {
        true => format!("; an item of an array is {}", show_path(&indexed)),
        false => names_there(text, path).map(|names| format!("; {names}")).unwrap_or_default(),
    };
    format!("there is no {} in {}{hint}", show_path(path), cut(text))
}

pub(super) fn cut(text: &str) -> String {
    let one_line = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut short: String = one_line.take(120).collect();
    if text.chars().count() > 120 {
        short.push('…');
    }
    short
}
