//! Judging a run by its checks.

use super::check::{Check, Rule, Schema};
use super::expression::Bench;
use super::{Judgement, Outcome, Subject, functions, schema, values};
use serde_json::Value;

/// Judges a run by checks. A command is broken here: whoever runs it judges it.
pub fn judge(subject: &Subject, checks: &[Check]) -> Vec<Judgement> {
    let bench = Bench::of(subject);
    let judged = checks.iter().map(|check| Judgement {
        name: check.name.clone(),
        severity: check.severity,
        why: check.why.clone(),
        outcome: outcome(subject, &bench, &check.rule),
    });
    judged.collect()
}

fn outcome(subject: &Subject, bench: &Bench<'_>, rule: &Rule) -> Outcome {
    match rule {
        Rule::That(source) => bench.judge(source),
        Rule::Never(tool) => match subject.calls(tool).first().and_then(|step| step.get("step")) {
            Some(step) => Outcome::Failed { what: format!("{tool} is called at step {step}") },
            None => Outcome::Passed,
        },
        Rule::Before(first, then) => functions::before(subject, first, then),
        Rule::AtMost { call, times } => match subject.calls(call).len() as u64 {
            called if called > *times => {
                let called = if called == 1 { "once".to_string() } else { format!("{called} times") };
                Outcome::Failed { what: format!("{call} is called {called}, and at most {times} is allowed") }
            }
            _ => Outcome::Passed,
        },
        Rule::AnswerMatches(pattern) => match (functions::pattern_of(pattern), answer(subject)) {
            (Err(why), _) => Outcome::Broken { why },
            (_, Err(what)) => Outcome::Failed { what },
            (Ok(found), Ok(text)) if found.is_match(text) => Outcome::Passed,
            (_, Ok(text)) => {
                let what = format!("the answer is {}", values::short(&Value::String(text.into())));
                Outcome::Failed { what: format!("{pattern:?} is not found in the answer: {what}") }
            }
        },
        Rule::AnswerSchema(Schema::File(path)) => {
            Outcome::Broken { why: format!("the schema {} was not read", path.display()) }
        }
        Rule::AnswerSchema(Schema::Unusable(why)) => Outcome::Broken { why: why.clone() },
        Rule::AnswerSchema(Schema::Here(of)) => match answer(subject).map(serde_json::from_str::<Value>) {
            Err(what) => Outcome::Failed { what },
            Ok(Err(_)) => Outcome::Failed { what: subject.unknown("answer_json").unwrap_or_default().into() },
            Ok(Ok(value)) => schema::judge(of, &value),
        },
        Rule::Exit(code) => match subject.member("exit").as_i64() {
            Some(exit) if exit == i64::from(*code) => Outcome::Passed,
            Some(exit) => {
                Outcome::Failed { what: format!("the agent ended with exit code {exit}, not {code}") }
            }
            None => Outcome::Failed { what: subject.unknown("exit").unwrap_or_default().into() },
        },
        Rule::Command(words) => {
            Outcome::Broken { why: format!("the command {} was not run", words.join(" ")) }
        }
    }
}

fn answer(subject: &Subject) -> Result<&str, String> {
    let why = || subject.unknown("answer").unwrap_or("there is no answer").to_string();
    subject.member("answer").as_str().ok_or_else(why)
}
