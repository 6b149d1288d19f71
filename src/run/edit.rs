//! The grammar of edits, one for every command: `SCOPE:FIELD OP VALUE`.
//!
//! ```text
//! 7:result.risk="high"      the result of tool step 7, one field of it
//! 7:answer="…"              a model step's answer
//! 1:prompt="…"              the last user message of a model step
//! 6..:system+="…"           every model call from step 6 on
//! *:model=gpt-x             every model call
//! 7:result~=/low/high/      replace by pattern
//! *:tools-=issue_refund     take a tool away
//! 6..:temperature=0         any top-level field of the request
//! 9:fault=429               a fault: a status, `timeout`, or `cut:N` (the stream breaks off after N events)
//! ```

use super::outline::{CallSite, Outline, StepKind};
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::HashMap;

/// Which steps an edit is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// One step.
    Step(u32),
    /// A step and all after it, those that were never recorded too.
    From(u32),
    /// All steps between two, both included.
    Range(u32, u32),
    /// All steps.
    All,
}

impl Scope {
    /// True when a step of that number is meant. `None` is a step that the recording does not have.
    pub fn covers(self, step: Option<u32>) -> bool {
        match (self, step) {
            (Scope::All, _) | (Scope::From(_), None) => true,
            (Scope::Step(n), Some(s)) => n == s,
            (Scope::From(n), Some(s)) => s >= n,
            (Scope::Range(a, b), Some(s)) => (a..=b).contains(&s),
            (Scope::Step(_) | Scope::Range(..), None) => false,
        }
    }

    /// The first step that is meant.
    pub fn first(self) -> u32 {
        match self {
            Scope::Step(n) | Scope::From(n) | Scope::Range(n, _) => n,
            Scope::All => 1,
        }
    }
}

/// One step of a path into a JSON value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathStep {
    /// A field of an object.
    Key(String),
    /// An element of an array.
    Index(usize),
}

/// What is changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
    /// A tool's result, or a place in it.
    Result(Vec<PathStep>),
    /// A model's answer.
    Answer,
    /// The system prompt.
    System,
    /// The last user message.
    Prompt,
    /// The tool list.
    Tools,
    /// A fault instead of an answer.
    Fault,
    /// `model` or any other top-level field of the request.
    Param(String),
}

/// How it is changed.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Put this there.
    Set(Value),
    /// Add this at the end.
    Append(Value),
    /// Take this away.
    Remove(Value),
    /// Replace every match of a regular expression.
    Substitute {
        /// The expression.
        pattern: String,
        /// What to put there; `$1` is the first group.
        replacement: String,
    },
}

/// One edit.
#[derive(Debug, Clone, PartialEq)]
pub struct Edit {
    /// Which steps.
    pub scope: Scope,
    /// What.
    pub field: Field,
    /// How.
    pub change: Change,
    /// As it was written.
    pub text: String,
}

/// Why an edit cannot be read or cannot apply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{edit}: {why}")]
pub struct EditProblem {
    /// The edit as it was written.
    pub edit: String,
    /// What is wrong with it, and what would be right.
    pub why: String,
}

/// A fault to inject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// An HTTP error status.
    Status(u16),
    /// No answer: the connection is closed at once (a recorded hang is not waited out).
    Timeout,
    /// The answer breaks off after this many events (or, when it is not streamed, kilobytes).
    Cut(u32),
}

impl Edit {
    /// Reads an edit.
    ///
    /// # Errors
    /// [`EditProblem`] that says what was expected.
    pub fn parse(text: &str) -> Result<Edit, EditProblem> {
        let problem = |why: String| EditProblem { edit: text.to_string(), why };
        let (scope, rest) = text.split_once(':').ok_or_else(|| {
            problem("an edit is SCOPE:FIELD=VALUE, as in 7:result.risk=\"high\" or *:model=gpt-x".into())
        })?;
        let scope = parse_scope(scope.trim()).ok_or_else(|| {
            problem(format!("{scope:?} is no scope: a step (7), a step and all after it (7..), 3..5, or *"))
        })?;
        let (at, op) = find_operator(rest)
            .ok_or_else(|| problem("no operator: one of = += -= ~= must follow the field".into()))?;
        let field = parse_field(rest[..at].trim()).map_err(problem)?;
        let value = &rest[at + op.len()..];
        let change = match op {
            "=" => Change::Set(parse_value(value)),
            "+=" => Change::Append(parse_value(value)),
            "-=" => Change::Remove(parse_value(value)),
            _ => parse_substitution(value).map_err(problem)?,
        };
        let edit = Edit { scope, field, change, text: text.to_string() };
        edit.check_operator().map_err(problem)?;
        Ok(edit)
    }

    fn check_operator(&self) -> Result<(), String> {
        let ok = match (&self.field, &self.change) {
            (Field::Fault, Change::Set(_)) => {
                self.fault()?;
                true
            }
            (Field::Fault, _) => false,
            (Field::Tools, Change::Append(v)) => v.is_object(),
            (Field::Tools, Change::Remove(v)) => v.is_string(),
            (Field::Tools, _) => false,
            (Field::Param(_), Change::Set(_)) => true,
            (Field::Param(_), _) => false,
            (_, Change::Remove(_)) => false,
            _ => true,
        };
        if ok {
            return Ok(());
        }
        Err(match self.field {
            Field::Fault => "a fault is set: fault=429, fault=timeout or fault=cut:3",
            Field::Tools => {
                "tools are taken away by name (tools-=NAME) or added as a JSON object (tools+={…})"
            }
            Field::Param(_) => "a field of the request can only be set (=)",
            _ => "-= is for tools only; use = or ~=/pattern/replacement/",
        }
        .to_string())
    }

    /// The fault to inject, for a `fault=` edit.
    ///
    /// # Errors
    /// A text that says which faults there are.
    pub fn fault(&self) -> Result<FaultKind, String> {
        let wanted = || "a fault is a status from 400 to 599, timeout, or cut:N".to_string();
        let Change::Set(value) = &self.change else { return Err(wanted()) };
        let word = match value {
            Value::String(s) => s.clone(),
            other => other.to_string(),
        };
        if word == "timeout" {
            return Ok(FaultKind::Timeout);
        }
        if let Some(n) = word.strip_prefix("cut:") {
            return n.parse().map(FaultKind::Cut).map_err(|_| wanted());
        }
        match word.parse() {
            Ok(status @ 400..=599) => Ok(FaultKind::Status(status)),
            _ => Err(wanted()),
        }
    }

    /// Refuses an edit that cannot apply to a run, naming what is at its step.
    ///
    /// # Errors
    /// [`EditProblem`].
    pub fn check(&self, outline: &Outline) -> Result<(), EditProblem> {
        let problem = |why: String| EditProblem { edit: self.text.clone(), why };
        let last = outline.steps.len() as u32;
        let (first, end) = match self.scope {
            Scope::Step(n) => (n, n),
            Scope::Range(a, b) => (a, b),
            Scope::From(n) => (n, last.max(n)),
            Scope::All => (1, last.max(1)),
        };
        if first == 0 || first > last || end < first {
            return Err(problem(format!("there is no step {first}: the run has steps 1 to {last}")));
        }
        let wants_tool = matches!(self.field, Field::Result(_));
        let fits = |kind: StepKind| matches!(kind, StepKind::Tool { .. }) == wants_tool;
        if (first..=end).filter_map(|n| outline.step(n)).any(fits) {
            if matches!(self.field, Field::Answer | Field::Prompt) && !matches!(self.scope, Scope::Step(_)) {
                return Err(problem("an answer or a prompt is edited at one step: give its number".into()));
            }
            return Ok(());
        }
        let here = outline.step(first).map_or_else(String::new, |k| describe(outline, k));
        let near = (1..=last)
            .filter(|n| outline.step(*n).is_some_and(fits))
            .min_by_key(|n| n.abs_diff(first))
            .map(|n| format!("; the nearest {} step is {n}", if wants_tool { "tool" } else { "model" }))
            .unwrap_or_default();
        Err(problem(format!("step {first} is {here}{near}")))
    }

    /// The edited form of a text (a result, an answer, a prompt).
    ///
    /// # Errors
    /// [`EditProblem`] when a path leads nowhere or a pattern matches nothing.
    pub fn apply(&self, current: &str) -> Result<String, EditProblem> {
        let problem = |why: String| EditProblem { edit: self.text.clone(), why };
        let path = match &self.field {
            Field::Result(path) => path.as_slice(),
            _ => &[],
        };
        if path.is_empty() {
            return change_text(&self.change, current).map_err(problem);
        }
        edit_json(current, path, &self.change).map_err(problem)
    }
}

fn describe(outline: &Outline, kind: StepKind) -> String {
    match kind {
        StepKind::Model { lane, turn } => {
            let calls = outline.turn(lane, turn).map(|t| t.calls.as_slice()).unwrap_or_default();
            if calls.is_empty() {
                return "a model call (it answers with text)".into();
            }
            let names: Vec<&str> = calls.iter().map(|c| c.name.as_str()).collect();
            format!("a model call (it calls {})", names.join(", "))
        }
        StepKind::Tool { site } => {
            format!("a tool call ({})", outline.call(site).map_or("unknown", |c| c.name.as_str()))
        }
    }
}

/// Places of tool calls that an edit of results is for.
pub fn result_sites(edit: &Edit, outline: &Outline) -> Vec<CallSite> {
    let in_scope = (1..).zip(&outline.steps).filter(|(n, _)| edit.scope.covers(Some(*n)));
    in_scope
        .filter_map(|(_, s)| match s.kind {
            StepKind::Tool { site } => Some(site),
            StepKind::Model { .. } => None,
        })
        .collect()
}

fn parse_scope(text: &str) -> Option<Scope> {
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
fn find_operator(text: &str) -> Option<(usize, &'static str)> {
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

fn parse_field(text: &str) -> Result<Field, String> {
    let name_end = text.find(['.', '[']).unwrap_or(text.len());
    let (name, path) = text.split_at(name_end);
    let path = parse_path(path)?;
    let field = match name {
        "result" => return Ok(Field::Result(path)),
        "answer" => Field::Answer,
        "system" => Field::System,
        "prompt" => Field::Prompt,
        "tools" => Field::Tools,
        "fault" => Field::Fault,
        "messages" => return Err("messages cannot be set as a whole: edit prompt, answer or result".into()),
        "" => {
            return Err("the field is missing: result, answer, system, prompt, model, tools, fault, …".into());
        }
        other if other.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') => {
            Field::Param(other.to_string())
        }
        other => return Err(format!("{other:?} is no field name")),
    };
    if path.is_empty() { Ok(field) } else { Err(format!("only result takes a path, {name} does not")) }
}

fn parse_path(text: &str) -> Result<Vec<PathStep>, String> {
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
fn parse_value(text: &str) -> Value {
    serde_json::from_str(text.trim()).unwrap_or_else(|_| Value::String(text.to_string()))
}

fn parse_substitution(text: &str) -> Result<Change, String> {
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

fn as_text(value: &Value) -> String {
    match value {
        Value::String(s) => s.clone(),
        other => other.to_string(),
    }
}

fn change_text(change: &Change, current: &str) -> Result<String, String> {
    match change {
        Change::Set(value) => Ok(as_text(value)),
        Change::Append(value) => Ok(format!("{current}{}", as_text(value))),
        Change::Remove(_) => Err("-= is for tools only".into()),
        Change::Substitute { pattern, replacement } => {
            let expression = regex::Regex::new(pattern).map_err(|e| e.to_string())?;
            if !expression.is_match(current) {
                return Err(format!("/{pattern}/ matches nothing in {}", cut(current)));
            }
            Ok(expression.replace_all(current, replacement.as_str()).into_owned())
        }
    }
}

/// Changes one place of a JSON text and leaves every other byte as it is.
fn edit_json(text: &str, path: &[PathStep], change: &Change) -> Result<String, String> {
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
        (Change::Set(value), PathStep::Key(key)) if at.trim_start().starts_with('{') => {
            let close = at.rfind('}').ok_or_else(|| nothing_at(text, path))?;
            let start = at.as_ptr() as usize - text.as_ptr() as usize + close;
            let empty = serde_json::from_str::<HashMap<Cow<str>, &RawValue>>(at).is_ok_and(|m| m.is_empty());
            let comma = if empty { "" } else { "," };
            let name = Value::String(key.clone());
            Ok(format!("{}{comma}{name}:{value}{}", &text[..start], &text[start..]))
        }
        _ => Err(nothing_at(text, path)),
    }
}

/// The text of a child of a JSON value, as a slice of the value's text.
fn child<'a>(text: &'a str, step: &PathStep) -> Option<&'a str> {
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

fn show_path(path: &[PathStep]) -> String {
    path.iter()
        .map(|s| match s {
            PathStep::Key(k) => format!(".{k}"),
            PathStep::Index(i) => format!("[{i}]"),
        })
        .collect()
}

fn nothing_at(text: &str, path: &[PathStep]) -> String {
    if serde_json::from_str::<Value>(text).is_err() {
        return format!("{} needs a JSON result, and it is {}", show_path(path), cut(text));
    }
    format!("there is no {} in {}", show_path(path), cut(text))
}

fn cut(text: &str) -> String {
    let mut short: String = text.chars().take(120).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("{short:?}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parsed(text: &str) -> Edit {
        Edit::parse(text).unwrap_or_else(|e| panic!("{e}"))
    }

    #[test]
    fn reads_the_grammar() {
        let e = parsed(r#"7:result.risk="high""#);
        assert_eq!(e.scope, Scope::Step(7));
        assert_eq!(e.field, Field::Result(vec![PathStep::Key("risk".into())]));
        assert_eq!(e.change, Change::Set(json!("high")));
        assert_eq!(parsed("6..:system+=In cents = 100.").change, Change::Append(json!("In cents = 100.")));
        assert_eq!(parsed("*:model=gpt-x").field, Field::Param("model".into()));
        assert_eq!(parsed("*:tools-=issue_refund").change, Change::Remove(json!("issue_refund")));
        assert_eq!(parsed("3..5:temperature=0").change, Change::Set(json!(0)));
        assert_eq!(parsed("9:fault=429").fault(), Ok(FaultKind::Status(429)));
        assert_eq!(parsed("9:fault=cut:3").fault(), Ok(FaultKind::Cut(3)));
        assert_eq!(
            parsed(r#"7:result.a["x = y"][2]=1"#).field,
            Field::Result(vec![PathStep::Key("a".into()), PathStep::Key("x = y".into()), PathStep::Index(2)])
        );
        assert_eq!(
            parsed("7:result~=/low/high/").change,
            Change::Substitute { pattern: "low".into(), replacement: "high".into() }
        );
    }

    #[test]
    fn refuses_with_a_reason() {
        for (text, why) in [
            ("result=1", "an edit is SCOPE"),
            ("x:result=1", "is no scope"),
            ("7:result", "no operator"),
            ("7:result.=1", "cannot read the path"),
            ("7:model.x=1", "only result takes a path"),
            ("7:fault=200", "a fault is"),
            ("7:tools=[]", "tools are taken away"),
            ("7:result~=/(/x/", "no regular expression"),
            ("7:result~=/a/", "a substitution is"),
            ("7:temperature+=1", "can only be set"),
        ] {
            let error = Edit::parse(text).expect_err(text).to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn a_path_edit_changes_that_place_only() {
        let text = r#"{"amount": 49.90, "big": 9007199254740993, "risk" : "low", "l":[1, {"a":2}]}"#;
        let done = parsed(r#"7:result.risk="high""#).apply(text).unwrap();
        assert_eq!(done, text.replace("\"low\"", "\"high\""));
        let done = parsed("7:result.l[1].a=30").apply(text).unwrap();
        assert_eq!(done, text.replace("{\"a\":2}", "{\"a\":30}"));
        let done = parsed(r#"7:result.unit="cents""#).apply(text).unwrap();
        assert_eq!(done, text.replace("]}", r#"],"unit":"cents"}"#));
        let done = parsed("7:result.risk~=/^l/s/").apply(text).unwrap();
        assert_eq!(done, text.replace("\"low\"", "\"sow\""));
        assert_eq!(parsed("7:result.a=1").apply("{}").unwrap(), r#"{"a":1}"#);
        for (edit, on) in [
            ("7:result.l[9]=1", text),
            ("7:result.no.a=1", text),
            ("7:result.x=1", "plain"),
            ("7:result~=/zz/y/", text),
        ] {
            assert!(parsed(edit).apply(on).is_err(), "{edit}");
        }
    }

    #[test]
    fn a_from_scope_covers_steps_that_were_never_recorded() {
        assert!(Scope::From(6).covers(None) && Scope::All.covers(None));
        assert!(!Scope::Step(6).covers(None) && !Scope::Range(1, 9).covers(None));
        assert!(!Scope::From(6).covers(Some(5)));
    }
}
