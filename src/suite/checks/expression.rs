//! The expressions of checks: what they may use, and what they come to.

use super::functions::{self, LACKING, Steps, json, of_json};
use super::sentence::{Sentence, Sign};
use super::subject::Subject;
use super::tokens::{Kind, tokens};
use super::{Outcome, values};
use crate::run::spelling::nearest;
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, Value};
use serde_json::Value as Json;
use std::cmp::Ordering;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Characters that an expression may have.
const LONGEST: usize = 10_000;
/// Instructions that a part of an expression may take.
const FUEL: u64 = 100_000;

/// What an expression may name beside functions.
const NAMES: [&str; 12] = [
    "answer",
    "answer_json",
    "calls",
    "cost",
    "exit",
    "labels",
    "models",
    "run",
    "seconds",
    "signal",
    "steps",
    "tokens",
];
const FUNCTIONS: [&str; 9] =
    ["step", "steps", "first", "last", "count", "before", "matches", "schema", "range"];

/// Why an expression comes to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The run has not what is asked for.
    Lacking(String),
    /// The expression is wrong, or what it asks for is not known.
    Wrong(String),
}

impl Trouble {
    /// As the outcome of a check.
    pub(super) fn outcome(self) -> Outcome {
        match self {
            Trouble::Lacking(what) => Outcome::Failed { what },
            Trouble::Wrong(why) => Outcome::Broken { why },
        }
    }
}

/// True, or why not.
type Truth = Result<Result<(), String>, Trouble>;

/// Says what is wrong with an expression, whatever the run.
///
/// # Errors
/// One sentence.
pub(super) fn validate(source: &str) -> Result<(), String> {
    if source.len() > LONGEST {
        return Err(format!("the expression is longer than {LONGEST} characters; a command can say more"));
    }
    guarded(|| {
        let mut environment = empty();
        environment.set_debug(true);
        let compiled = environment.compile_expression(source).map_err(|error| syntax(source, &error))?;
        let mut unknown: Vec<String> = compiled.undeclared_variables(false).into_iter().collect();
        unknown.retain(|name| !NAMES.contains(&name.as_str()) && !FUNCTIONS.contains(&name.as_str()));
        unknown.sort();
        let Some(name) = unknown.first() else { return Ok(()) };
        let known = || NAMES.iter().chain(&FUNCTIONS).copied();
        Err(match nearest(name, known()) {
            Some(meant) => format!("there is no {name}; did you mean {meant}?"),
            None => format!("there is no {name}; there are {}", known().collect::<Vec<_>>().join(", ")),
        })
    })
    .unwrap_or_else(|| Err("the expression cannot be read".into()))
}

/// Finds out what a library's own mistake would otherwise end: an expression may not take the whole run of tests down.
fn guarded<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}

fn syntax(source: &str, error: &Error) -> String {
    let what = error.detail().map_or_else(|| error.kind().to_string(), str::to_string);
    let place = error.range().and_then(|range| source.get(range)).filter(|text| !text.is_empty());
    match place {
        Some(text) => format!("the expression cannot be read at `{text}`: {what}"),
        None => format!("the expression cannot be read: {what}"),
    }
}

/// An environment with nothing of a run in it.
fn empty<'e>() -> Environment<'e> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(32);
    for name in ["debug", "namespace", "dict"] {
        environment.remove_global(name);
    }
    // They are for writing templates, and can make much out of little.
    for name in
        ["pprint", "indent", "format", "batch", "slice", "safe", "escape", "e", "chain", "zip", "list"]
    {
        environment.remove_filter(name);
    }
    environment
}

/// A run, ready for expressions.
pub(super) struct Bench<'s> {
    environment: Environment<'static>,
    subject: &'s Subject,
    context: Value,
}

impl<'s> Bench<'s> {
    pub(super) fn of(subject: &'s Subject) -> Bench<'s> {
        let mut environment = empty();
        let all = Arc::new(subject.clone());
        functions::add(&mut environment, &all);
        let member = |name: &str| (name.to_string(), of_json(subject.member(name)));
        let answer =
            subject.member("answer").as_str().and_then(|text| serde_json::from_str::<Json>(text).ok());
        let calls: Vec<&Json> = subject.steps("tool").collect();
        let mut context: Vec<(String, Value)> =
            NAMES.iter().filter(|name| **name != "steps").map(|name| member(name)).collect();
        context.retain(|(name, _)| name != "calls" && name != "answer_json");
        let steps = subject.member("steps").as_array().map(Vec::as_slice).unwrap_or_default();
        let steps = Steps { all: steps.iter().map(of_json).collect(), of: all };
        context.push(("steps".into(), Value::from_object(steps)));
        context.push(("calls".into(), of_json(calls)));
        context.push(("answer_json".into(), of_json(answer)));
        Bench { environment, subject, context: Value::from_pairs(context) }
    }

    /// Judges an expression.
    pub(super) fn judge(&self, source: &str) -> Outcome {
        if let Err(why) = validate(source) {
            return Outcome::Broken { why };
        }
        let found = tokens(source);
        let sentence = match &found {
            Some(tokens) => Sentence::of(source, tokens),
            None => Sentence::Plain(source),
        };
        match self.truth(&sentence) {
            Ok(Ok(())) => Outcome::Passed,
            Ok(Err(what)) => Outcome::Failed { what },
            Err(trouble) => trouble.outcome(),
        }
    }

    fn truth(&self, sentence: &Sentence<'_>) -> Truth {
        match sentence {
            Sentence::Or(parts) => {
                let mut reasons = Vec::new();
                for part in parts {
                    match self.truth(part)? {
                        Ok(()) => return Ok(Ok(())),
                        Err(why) => reasons.push(why),
                    }
                }
                Ok(Err(reasons.join("; and ")))
            }
            Sentence::And(parts) => {
                for part in parts {
                    if let Err(why) = self.truth(part)? {
                        return Ok(Err(why));
                    }
                }
                Ok(Ok(()))
            }
            Sentence::Not(part) => Ok(match self.truth(part)? {
                Ok(()) => Err(format!("{} holds, and must not", told(part))),
                Err(_) => Ok(()),
            }),
            Sentence::If(parts) => {
                let [then, condition, otherwise] = parts.as_ref();
                self.truth(if self.truth(condition)?.is_ok() { then } else { otherwise })
            }
            Sentence::Compare(first, rest) => self.compared(first, rest),
            Sentence::Plain(source) => match self.value(source)? {
                Json::Bool(true) => Ok(Ok(())),
                Json::Bool(false) => Ok(Err(format!("{source} is false"))),
                other => Err(Trouble::Wrong(format!(
                    "{source} is {}: a check must come out true or false",
                    values::short(&other)
                ))),
            },
        }
    }

    fn compared(&self, first: &str, rest: &[(Sign, &str)]) -> Truth {
        let (mut left, mut l) = (first, self.value(first)?);
        for (sign, right) in rest {
            let r = self.value(right)?;
            if !holds(*sign, (left, &l), (right, &r))? {
                let (shown, other) = values::differing(&l, &r);
                return Ok(Err(format!(
                    "{left} {} {right}: {shown} {} {other}",
                    sign_text(*sign),
                    sign.is_not()
                )));
            }
            (left, l) = (right, r);
        }
        Ok(Ok(()))
    }

    /// What a part of an expression comes to.
    fn value(&self, source: &str) -> Result<Json, Trouble> {
        let value = self.raw(source)?;
        if value.is_undefined() {
            return Err(Trouble::Lacking(self.missing(source)));
        }
        if f64::try_from(value.clone()).is_ok_and(|n| value.is_number() && !n.is_finite()) {
            return Err(Trouble::Wrong(format!("{source} comes to no number")));
        }
        json(&value).map_err(|error| self.trouble(source, &error))
    }

    fn raw(&self, source: &str) -> Result<Value, Trouble> {
        let evaluated = guarded(|| {
            let expression = self.environment.compile_expression(source)?;
            for name in expression.undeclared_variables(false) {
                if let Some(why) = self.subject.unknown(&name) {
                    return Err(Error::new(ErrorKind::InvalidOperation, why.to_string()));
                }
            }
            expression.eval(self.context.clone())
        });
        match evaluated {
            Some(Ok(value)) => Ok(value),
            Some(Err(error)) => Err(self.trouble(source, &error)),
            None => Err(Trouble::Wrong(format!("{source} cannot be worked out"))),
        }
    }

    fn trouble(&self, source: &str, error: &Error) -> Trouble {
        let detail = error.detail().map_or_else(|| error.kind().to_string(), str::to_string);
        match error.kind() {
            // Functions of ours say it in their own words; the library says only that something is undefined.
            ErrorKind::UndefinedError if detail.starts_with(LACKING) => {
                Trouble::Lacking(detail.trim_start_matches(LACKING).to_string())
            }
            ErrorKind::UndefinedError => Trouble::Lacking(self.missing(source)),
            ErrorKind::InvalidOperation if detail.contains("undefined") => {
                Trouble::Lacking(self.missing(source))
            }
            ErrorKind::OutOfFuel => Trouble::Wrong(format!("{source} takes too long to work out")),
            _ => Trouble::Wrong(format!("{source}: {detail}")),
        }
    }

    /// Which member of which value is not there.
    fn missing(&self, source: &str) -> String {
        let plainly = || format!("{source}: something in it is not there");
        let Some(all) = tokens(source) else { return plainly() };
        for begin in 0..all.len() {
            let ends = chain(&all, begin);
            let mut before: Option<Value> = None;
            for end in ends {
                let range = all.get(begin).zip(all.get(end)).map(|(a, b)| a.range.start..b.range.end);
                let Some(text) = range.and_then(|range| source.get(range)) else { break };
                let evaluated =
                    guarded(|| self.environment.compile_expression(text)?.eval(self.context.clone()));
                let Some(Ok(value)) = evaluated else { break };
                if value.is_undefined() {
                    return match before {
                        Some(holder) => format!("{text} is not there: {}", members(&holder)),
                        None => format!("{text} is not there"),
                    };
                }
                before = Some(value);
            }
        }
        plainly()
    }
}

/// Where the names and brackets that hang together from a token on end, one by one: `a`, `a.b`, `a.b[0]`.
fn chain(tokens: &[super::tokens::Token<'_>], begin: usize) -> Vec<usize> {
    let Some(first) = tokens.get(begin).filter(|t| t.kind == Kind::Name) else { return Vec::new() };
    let behind = begin.checked_sub(1).and_then(|at| tokens.get(at));
    if behind.is_some_and(|t| t.is(".") || t.is("|") || t.is("is")) {
        return Vec::new();
    }
    let mut ends = Vec::new();
    // The name of a function is no value.
    if !tokens.get(begin + 1).is_some_and(|t| t.is("(")) {
        ends.push(begin);
    }
    let mut at = begin + 1;
    while let Some(token) = tokens.get(at) {
        let end = if token.is(".") {
            at + 1
        } else if token.is("(") || token.is("[") {
            let close = |t: &super::tokens::Token<'_>| t.kind == Kind::Close && t.depth == first.depth;
            match tokens.iter().skip(at).position(close) {
                Some(length) => at + length,
                None => break,
            }
        } else {
            break;
        };
        ends.push(end);
        at = end + 1;
    }
    ends
}

/// What a value has instead of what was asked for.
fn members(holder: &Value) -> String {
    match json(holder) {
        Ok(Json::Object(fields)) if fields.is_empty() => "there is nothing in it".into(),
        Ok(Json::Object(fields)) => {
            let names: Vec<&str> = fields.keys().take(20).map(String::as_str).collect();
            format!("there are {}", names.join(", "))
        }
        Ok(Json::Array(items)) => match items.len() {
            1 => "there is 1".into(),
            n => format!("there are {n}"),
        },
        Ok(other) => format!("it is looked for in {}", values::short(&other)),
        Err(_) => "it is looked for in something that has no members".into(),
    }
}

fn holds(sign: Sign, (left, l): (&str, &Json), (right, r): (&str, &Json)) -> Result<bool, Trouble> {
    let ordered = |fits: fn(Ordering) -> bool| {
        for (source, value) in [(left, l), (right, r)] {
            if value.is_null() {
                return Err(Trouble::Wrong(format!("{source} is not known (n/a)")));
            }
        }
        values::order(l, r).map(fits).ok_or_else(|| {
            let (a, b) = (values::kind(l), values::kind(r));
            Trouble::Lacking(format!("{left} is {a} and {right} is {b}: neither is more than the other"))
        })
    };
    match sign {
        Sign::Same => Ok(values::same(l, r)),
        Sign::Other => Ok(!values::same(l, r)),
        Sign::Less => ordered(Ordering::is_lt),
        Sign::AtMost => ordered(Ordering::is_le),
        Sign::More => ordered(Ordering::is_gt),
        Sign::AtLeast => ordered(Ordering::is_ge),
        Sign::In | Sign::NotIn => {
            let is_in = match (l, r) {
                (l, Json::Array(items)) => items.iter().any(|item| values::same(l, item)),
                (Json::String(key), Json::Object(fields)) => fields.contains_key(key),
                (Json::String(part), Json::String(text)) => text.contains(part.as_str()),
                _ => {
                    let (a, b) = (values::kind(l), values::kind(r));
                    let what = format!("{left} is {a} and {right} is {b}: one cannot be in the other");
                    return Err(Trouble::Lacking(what));
                }
            };
            Ok(is_in == (sign == Sign::In))
        }
    }
}

fn sign_text(sign: Sign) -> &'static str {
    match sign {
        Sign::Same => "==",
        Sign::Other => "!=",
        Sign::Less => "<",
        Sign::AtMost => "<=",
        Sign::More => ">",
        Sign::AtLeast => ">=",
        Sign::In => "in",
        Sign::NotIn => "not in",
    }
}

/// A sentence as it was written, as far as that is known.
fn told(sentence: &Sentence<'_>) -> String {
    match sentence {
        Sentence::Plain(source) => source.to_string(),
        Sentence::Compare(first, rest) => {
            let rest: Vec<String> =
                rest.iter().map(|(sign, right)| format!("{} {right}", sign_text(*sign))).collect();
            format!("{first} {}", rest.join(" "))
        }
        Sentence::Not(part) => format!("not {}", told(part)),
        Sentence::And(parts) => parts.iter().map(told).collect::<Vec<_>>().join(" and "),
        Sentence::Or(parts) => parts.iter().map(told).collect::<Vec<_>>().join(" or "),
        Sentence::If(parts) => {
            let [then, condition, otherwise] = parts.as_ref();
            format!("{} if {} else {}", told(then), told(condition), told(otherwise))
        }
    }
}
