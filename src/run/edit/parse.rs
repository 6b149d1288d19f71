//! From the text of an edit to its parts.

use super::super::spelling::nearest;
use super::{Change, Field, PathStep, Scope};
use serde_json::Value;

pub(super) fn parse_scope(text: &str) -> Option<Scope> {
    if text == "*" {
        return Some(Scope::All);
    }
    match text.split_once("..") {
        None => text.parse().ok().map(Scope::Step),
        Some((first, "")) => first.parse().ok().map(Scope::From),
        Some((first, last)) => Some(Scope::Range(first.parse().ok()?, last.parse().ok()?)),
    }
}

/// Where the operator stands: the first `=` outside of brackets, with the sign before it.
pub(super) fn find_operator(text: &str) -> Option<(usize, &'static str)> {
    let mut in_quotes = false;
    for (i, b) in text.bytes().enumerate() {
        match b {
            b'"' => in_quotes = !in_quotes,
            b'=' if !in_quotes => {
                return Some(match i.checked_sub(1).map(|j| text.as_bytes()[j]) {
                    Some(b'+') => (i - 1, "+="),
                    Some(b'-') => (i - 1, "-="),
                    Some(b'~') => (i - 1, "~="),
                    _ => (i, "="),
                });
            }
            _ => {}
        }
    }
    None
}

pub(super) fn parse_field(text: &str) -> Result<Field, String> {
    let is_name =
        |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if let Some(raw) = text.strip_prefix("raw:") {
        if raw.starts_with("result.") || raw.starts_with("result[") {
            return parse_field(raw);
        }
        return match is_name(raw) {
            true => Ok(Field::Param(raw.to_string())),
            false => Err(format!("{raw:?} is no field name")),
        };
    }
    let name_end = text.find(['.', '[']).unwrap_or(text.len());
    let (name, path) = text.split_at(name_end);
    let path = parse_path(path)?;
    let field = match name {
        "result" => return Ok(Field::Result(path)),
        "answer" => Field::Answer,
        "system" => Field::System,
        "prompt" => Field::Prompt,
        "tools" => Field::ToolClasses,
        "fault" => Field::Fault,
        "messages" => return Err("messages cannot be set as a whole: edit prompt, answer or result".into()),
        "" => {
            return Err("the field is missing: result, answer, system, prompt, model, tools, fault, …".into());
        }
        other if is_name(other) => Field::Param(other.to_string()),
        other => return Err(format!("{other:?} is no field name")),
    };
    if path.is_empty() {
        return Ok(field);
    }
    let meant = nearest(name, ["result"]).map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
    Err(format!("only result takes a path, {name} does not{meant}"))
}

pub(super) fn parse_path(text: &str) -> Result<Vec<PathStep>, String> {
    let bad = |rest: &str| format!("cannot read the path at {rest:?}: write .name, [0] or [\"a name\"]");
    let mut steps = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        if let Some(tail) = rest.strip_prefix("[\"") {
            let (key, after) = tail.split_once("\"]").ok_or_else(|| bad(rest))?;
            steps.push(PathStep::Key(key.to_string()));
            rest = after;
        } else if let Some(tail) = rest.strip_prefix('[') {
            let (index, after) = tail.split_once(']').ok_or_else(|| bad(rest))?;
            steps.push(PathStep::Index(index.trim().parse().map_err(|_| bad(rest))?));
            rest = after;
        } else if let Some(tail) = rest.strip_prefix('.') {
            let end = tail.find(['.', '[']).unwrap_or(tail.len());
            if end == 0 {
                return Err(bad(rest));
            }
            steps.push(PathStep::Key(tail[..end].to_string()));
            rest = &tail[end..];
        } else {
            return Err(bad(rest));
        }
    }
    Ok(steps)
}

/// A value: JSON when it reads as JSON, else the text as it stands.
pub(super) fn parse_value(text: &str) -> Value {
    serde_json::from_str(text.trim()).unwrap_or_else(|_| Value::String(text.to_string()))
}

pub(super) fn parse_substitution(text: &str) -> Result<Change, String> {
    let form = || "a substitution is ~=/pattern/replacement/".to_string();
    let text = text.trim();
    let delimiter = text.chars().next().ok_or_else(form)?;
    let mut fields = text[delimiter.len_utf8()..].split(delimiter);
    let (Some(pattern), Some(replacement), Some(""), None) =
        (fields.next(), fields.next(), fields.next(), fields.next())
    else {
        return Err(form());
    };
    regex::Regex::new(pattern).map_err(|e| format!("/{pattern}/ is no regular expression: {e}"))?;
    Ok(Change::Substitute { pattern: pattern.to_string(), replacement: replacement.to_string() })
}
