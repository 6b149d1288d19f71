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
//! 6..:raw:odd=1             one that neither the recording nor retake knows
//! 7:raw:result.note="x"     a field that the recorded result does not have
//! 8:fault=429               a fault: a status, `timeout`, or `cut:N` (the stream breaks off after N events)
//! ```

mod apply;
mod parameter;
mod parse;
#[cfg(test)]
mod tests;

use super::outline::{CallSite, Outline, StepKind};
use super::spelling::nearest;
use apply::{change_text, edit_json};
use parse::{find_operator, parse_field, parse_scope, parse_substitution, parse_value};
use serde_json::Value;

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
    ToolClasses,
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
            problem("an edit is SCOPE:FIELD OP VALUE, as in 7:result.risk=\"high\" or *:model=gpt-x".into())
        })?;
        let scope = parse_scope(scope.trim()).ok_or_else(|| {
            problem(format!("{scope:?} is no scope: a step (7), a step and all after it (7..), 3..5, or *"))
        })?;
        let (at, op) = find_operator(rest)
            .ok_or_else(|| problem("no operator: one of = += -= ~= must follow the field".into()))?;
        let field = parse_field(rest[..at].trim()).map_err(problem)?;
        let value = &rest[at + op.len()..];
        if op == "=" && value.starts_with('=') {
            return Err(problem(
                "= sets a value; one that begins with = is written in quotes, as in =\"=1\"".into(),
            ));
        }
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
            (Field::ToolClasses, Change::Append(v)) => v.is_object(),
            (Field::ToolClasses, Change::Remove(v)) => v.is_string(),
            (Field::ToolClasses, _) => false,
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
            Field::ToolClasses => {
                "tools are taken away by name (tools-=NAME) or added as a JSON object (tools+={…})"
            }
            Field::Param(_) => "a field of the request can only be set (=)",
            _ => "-= is for tools only; use = or ~=/pattern/replacement/",
        }
        .to_string())
    }

    /// The name of the tool that an edit adds to those on offer.
    pub fn added_tool(&self) -> Option<String> {
        let (Field::ToolClasses, Change::Append(tool)) = (&self.field, &self.change) else { return None };
        let name = tool.get("name").or_else(|| tool.get("function").and_then(|f| f.get("name")))?;
        name.as_str().map(str::to_string)
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
            _ => Err(match nearest(&word, ["timeout"]) {
                Some(meant) => format!("{}; did you mean {meant}?", wanted()),
                None => wanted(),
            }),
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
        if end < first {
            return Err(problem(format!("the range {first}..{end} ends before it begins")));
        }
        if first == 0 || first > last {
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
        if let (Field::Param(name), Some(StepKind::Tool { .. })) = (&self.field, outline.step(first))
            && let Some(meant) = nearest(name, ["result"])
        {
            return Err(problem(format!("no field {name:?} for a tool step; did you mean {meant}?")));
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
        edit_json(current, path, &self.change, self.is_raw()).map_err(problem)
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
