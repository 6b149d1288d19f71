//! A check as it is written.

use super::{expression, functions, schema};
use crate::suite::findings::Severity;
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Something that must hold of a run.
///
/// ```toml
/// [[check]]
/// name = "amount in dollars"
/// that = "step('issue_refund').args.amount_usd == step('lookup_order').result.amount / 100"
/// why = "the order service counts in cents"
///
/// [[check]]
/// never = "delete_order"
///
/// [[check]]
/// before = ["lookup_order", "issue_refund"]
///
/// [[check]]
/// at_most = { call = "search", times = 3 }
///
/// [[check]]
/// answer_matches = "49\\.99"
///
/// [[check]]
/// answer_schema = "answer.schema.json"      # or the schema itself, as a table
///
/// [[check]]
/// exit = 0
///
/// [[check]]
/// command = ["python3", "check.py"]
/// severity = "warning"
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// What to call it; made from the rule where it has no name of its own.
    pub name: String,
    /// What must hold.
    pub rule: Rule,
    /// Why somebody wants it.
    pub why: Option<String>,
    /// How much it matters when it fails.
    pub severity: Severity,
}

/// What must hold.
#[derive(Debug, Clone, PartialEq)]
pub enum Rule {
    /// An expression that must come out true.
    That(String),
    /// A tool that must not be called.
    Never(String),
    /// A tool that must be called before another one is.
    Before(String, String),
    /// A tool that may be called so many times.
    AtMost {
        /// Name of the tool.
        call: String,
        /// How many times.
        times: u64,
    },
    /// A regular expression that must be found in the answer.
    AnswerMatches(String),
    /// A JSON schema that the answer, read as JSON, must meet.
    AnswerSchema(Schema),
    /// The exit code of the agent.
    Exit(i32),
    /// A command that gets the run as JSON ([`super::Subject`]) on its standard input and must end with exit code 0.
    /// It is run by whoever runs the checks.
    Command(Vec<String>),
}

/// A JSON schema.
#[derive(Debug, Clone, PartialEq)]
pub enum Schema {
    /// The schema itself.
    Here(Value),
    /// A file that holds it; see [`Check::schema_file`].
    File(PathBuf),
    /// A file that was asked for and is no schema: why, in one sentence.
    Unusable(String),
}

impl Check {
    /// An expression that must come out true, under a name.
    pub fn that(name: &str, expression: String) -> Check {
        let severity = Severity::default();
        Check { name: name.to_string(), rule: Rule::That(expression), why: None, severity }
    }

    /// The file whose text is to be given to [`Check::set_schema`] before the check is judged.
    pub fn schema_file(&self) -> Option<&Path> {
        match &self.rule {
            Rule::AnswerSchema(Schema::File(path)) => Some(path),
            _ => None,
        }
    }

    /// Puts the schema in the place of its file: the text of the file, or why it cannot be read, as the end of a sentence
    /// that the file begins (`is not there`).
    pub fn set_schema(&mut self, text: Result<Vec<u8>, String>) {
        let Some(path) = self.schema_file() else { return };
        let schema = text.and_then(|text| {
            let schema = serde_json::from_slice(&text).map_err(|e| format!("is no JSON: {e}"))?;
            schema::validate(&schema).map_err(|why| format!("cannot be used: {why}"))?;
            Ok(schema)
        });
        self.rule = Rule::AnswerSchema(match schema {
            Ok(schema) => Schema::Here(schema),
            Err(why) => Schema::Unusable(format!("the schema {} {why}", path.display())),
        });
    }

    /// The command to run, for a check that is one.
    pub fn command(&self) -> Option<&[String]> {
        match &self.rule {
            Rule::Command(words) => Some(words),
            _ => None,
        }
    }
}

/// A check as a table, before it is known to be one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: Option<String>,
    why: Option<String>,
    #[serde(default)]
    severity: Severity,
    that: Option<String>,
    never: Option<String>,
    before: Option<Vec<String>>,
    at_most: Option<AtMost>,
    answer_matches: Option<String>,
    answer_schema: Option<Value>,
    exit: Option<i32>,
    command: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AtMost {
    call: String,
    times: u64,
}

/// What a check may say; one of them.
const RULES: &str = "that, never, before, at_most, answer_matches, answer_schema, exit, command";

impl Written {
    fn rule(&mut self) -> Result<Rule, String> {
        let mut rules = Vec::new();
        rules.extend(self.that.take().map(Rule::That));
        rules.extend(self.never.take().map(Rule::Never));
        if let Some(names) = self.before.take() {
            let [first, then] = <[String; 2]>::try_from(names).map_err(|names| {
                format!(
                    "before takes two tools, the one that comes first and the other; these are {}",
                    names.len()
                )
            })?;
            rules.push(Rule::Before(first, then));
        }
        rules.extend(self.at_most.take().map(|AtMost { call, times }| Rule::AtMost { call, times }));
        rules.extend(self.answer_matches.take().map(Rule::AnswerMatches));
        rules.extend(self.answer_schema.take().map(|schema| {
            Rule::AnswerSchema(match schema {
                Value::String(path) => Schema::File(PathBuf::from(path)),
                schema => Schema::Here(schema),
            })
        }));
        rules.extend(self.exit.take().map(Rule::Exit));
        rules.extend(self.command.take().map(Rule::Command));
        let said = rules.len();
        match (rules.pop(), said) {
            (Some(rule), 1) => Ok(rule),
            (None, _) => Err(format!("a check says what must hold: one of {RULES}")),
            _ => Err(format!("a check says one thing, and this one {said}: one of {RULES}")),
        }
    }
}

impl Rule {
    /// Says what is wrong with it before any run is there.
    fn validate(&self) -> Result<(), String> {
        match self {
            Rule::That(expression) => expression::validate(expression),
            Rule::AnswerMatches(pattern) => functions::pattern_of(pattern).map(|_| ()),
            Rule::AnswerSchema(Schema::Here(schema)) => schema::validate(schema),
            Rule::Command(words) if words.is_empty() => Err("the command has no words".into()),
            Rule::Never(tool) | Rule::AtMost { call: tool, .. } if !is_tool(tool) => {
                Err(format!("{tool:?} is no tool: a name, or the beginning of names with one * at its end"))
            }
            Rule::Before(first, then) if first.trim().is_empty() || then.trim().is_empty() => {
                Err("before takes the names of two tools".into())
            }
            _ => Ok(()),
        }
    }

    /// A name for a check that has none.
    fn name(&self) -> String {
        match self {
            Rule::That(expression) => expression.clone(),
            Rule::Never(tool) => format!("never {tool}"),
            Rule::Before(first, then) => format!("{first} before {then}"),
            Rule::AtMost { call, times } => format!("{call} at most {times} times"),
            Rule::AnswerMatches(pattern) => format!("the answer matches {pattern}"),
            Rule::AnswerSchema(Schema::File(path)) => format!("the answer meets {}", path.display()),
            Rule::AnswerSchema(Schema::Here(_) | Schema::Unusable(_)) => "the answer meets its schema".into(),
            Rule::Exit(code) => format!("exit {code}"),
            Rule::Command(words) => words.join(" "),
        }
    }
}

fn is_tool(name: &str) -> bool {
    let beginning = name.strip_suffix('*').unwrap_or(name);
    !name.trim().is_empty() && !beginning.contains('*')
}

impl<'de> Deserialize<'de> for Check {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Check, D::Error> {
        let mut written = Written::deserialize(from)?;
        let rule = written.rule().map_err(D::Error::custom)?;
        let name = written.name.unwrap_or_else(|| rule.name());
        rule.validate().map_err(|why| D::Error::custom(format!("the check {name:?}: {why}")))?;
        Ok(Check { name, rule, why: written.why, severity: written.severity })
    }
}
