//! The functions that expressions may call.

use super::subject::Subject;
use super::{Outcome, schema, values};
use minijinja::value::{Enumerator, Object, ObjectRepr, Serde, ValueKind, from_args};
use minijinja::{Environment, Error, ErrorKind, State, Value};
use serde_json::Value as Json;
use std::sync::Arc;

/// Bytes that a compiled regular expression may take.
const PATTERN: usize = 1 << 20;

/// Gives an environment the functions that ask a run.
pub(super) fn add(environment: &mut Environment<'static>, all: &Arc<Subject>) {
    let of = all.clone();
    environment.add_function("step", move |which: Value| one_step(&of, &which));
    let of = all.clone();
    environment.add_function("count", move |name: String| of.calls(&name).len());
    let of = all.clone();
    environment.add_function("first", move |name: String| match of.calls(&name).first() {
        Some(step) => Ok(of_json(step)),
        None => Err(lacking(no_call(&of, &name))),
    });
    let of = all.clone();
    environment.add_function("last", move |name: String| match of.calls(&name).last() {
        Some(step) => Ok(of_json(step)),
        None => Err(lacking(no_call(&of, &name))),
    });
    let of = all.clone();
    environment.add_function("before", move |first: String, then: String| match before(&of, &first, &then) {
        Outcome::Passed => Ok(true),
        Outcome::Failed { what } => Err(lacking(what)),
        Outcome::Broken { why } => Err(Error::new(ErrorKind::InvalidOperation, why)),
    });
    environment.add_function("matches", |text: Value, pattern: String| {
        let Some(text) = text.as_str() else {
            let what = format!("matches wants a text, and this is {}", values::kind(&json(&text)?));
            return Err(lacking(what));
        };
        pattern_of(&pattern)
            .map(|pattern| pattern.is_match(text))
            .map_err(|why| Error::new(ErrorKind::InvalidOperation, why))
    });
    environment.add_function("schema", |value: Value, schema: Value| {
        match schema::judge(&json(&schema)?, &json(&value)?) {
            Outcome::Passed => Ok(true),
            Outcome::Failed { what } => Err(lacking(what)),
            Outcome::Broken { why } => Err(Error::new(ErrorKind::InvalidOperation, why)),
        }
    });
}

/// All steps, as a list; called with a name, the calls of that tool.
#[derive(Debug)]
pub(super) struct Steps {
    pub all: Vec<Value>,
    pub of: Arc<Subject>,
}

impl Object for Steps {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.all.get(key.as_usize()?).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.all.len())
    }

    fn call(self: &Arc<Self>, _: &mut State<'_, '_>, args: &[Value]) -> Result<Value, Error> {
        let (name,): (String,) = from_args(args)?;
        Ok(self.of.calls(&name).into_iter().map(of_json).collect())
    }
}

/// Marks what a function of ours says of a run.
pub(super) const LACKING: char = '\u{1}';

fn lacking(what: String) -> Error {
    Error::new(ErrorKind::UndefinedError, format!("{LACKING}{what}"))
}

/// JSON as a value of an expression.
pub(super) fn of_json(value: impl serde::Serialize) -> Value {
    Value::from(Serde(value))
}

/// A value of an expression as JSON.
pub(super) fn json(value: &Value) -> Result<Json, Error> {
    if value.kind() == ValueKind::Invalid {
        return Err(Error::new(ErrorKind::InvalidOperation, value.to_string()));
    }
    serde_json::to_value(value).map_err(|error| Error::new(ErrorKind::BadSerialization, error.to_string()))
}

fn no_call(subject: &Subject, name: &str) -> String {
    format!("{name} is not called: {}", subject.tools())
}

/// `step('lookup_order')`, `step(4)`.
fn one_step(subject: &Subject, which: &Value) -> Result<Value, Error> {
    if let Some(name) = which.as_str() {
        return match subject.calls(name).as_slice() {
            [] => Err(lacking(no_call(subject, name))),
            [one] => Ok(of_json(one)),
            many => Err(lacking(format!(
                "{name} is called {} times: say first({name:?}), last({name:?}) or steps({name:?})",
                many.len()
            ))),
        };
    }
    let all = subject.member("steps").as_array().map(Vec::as_slice).unwrap_or_default();
    let Some(number) = which.as_i64().filter(|_| which.is_integer()) else {
        return Err(Error::new(
            ErrorKind::InvalidOperation,
            "step wants the name of a tool or the number of a step",
        ));
    };
    let at = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
    match at.and_then(|at| all.get(at)) {
        Some(step) => Ok(of_json(step)),
        None => Err(lacking(format!("there is no step {number}: the run has {}", all.len()))),
    }
}

/// Whether the first call of `then` was asked for after the first one of `first`, in a later answer.
pub(super) fn before(subject: &Subject, first: &str, then: &str) -> Outcome {
    let number = |step: &Json, name: &str| step.get(name).and_then(Json::as_u64);
    let (firsts, thens) = (subject.calls(first), subject.calls(then));
    let (Some(a), Some(b)) = (firsts.first(), thens.first()) else {
        let missing = if firsts.is_empty() { first } else { then };
        return Outcome::Failed { what: no_call(subject, missing) };
    };
    let (at, asked) = (number(a, "step"), number(a, "asked_by"));
    let (later, asked_later) = (number(b, "step"), number(b, "asked_by"));
    let told = |n: Option<u64>| n.unwrap_or_default();
    if asked == asked_later {
        let what = format!("{first} and {then} are asked for in one answer (step {})", told(asked));
        return Outcome::Failed { what };
    }
    if asked < asked_later {
        return Outcome::Passed;
    }
    let what = format!("{then} is called at step {}, {first} not before step {}", told(later), told(at));
    Outcome::Failed { what }
}

/// A regular expression of limited size.
///
/// # Errors
/// One sentence.
pub(super) fn pattern_of(pattern: &str) -> Result<regex::Regex, String> {
    let built = regex::RegexBuilder::new(pattern).size_limit(PATTERN).dfa_size_limit(PATTERN).build();
    built.map_err(|error| {
        let why = error.to_string();
        let last = why.lines().last().unwrap_or_default().trim_start_matches("error: ").to_string();
        format!("{pattern:?} is no regular expression: {last}")
    })
}
