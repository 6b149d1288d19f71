//! JSON schemas. Nothing is fetched: a reference to anything outside of the schema is an error.

use super::{Outcome, values};
use serde_json::Value;

/// How many things that are wrong are told.
const TOLD: usize = 3;

/// Says what is wrong with a schema.
///
/// # Errors
/// One sentence.
pub(super) fn validate(schema: &Value) -> Result<(), String> {
    jsonschema::validator_for(schema).map(|_| ()).map_err(|error| format!("this is no JSON schema: {error}"))
}

/// Judges a value.
pub(super) fn judge(schema: &Value, value: &Value) -> Outcome {
    let validator = match jsonschema::validator_for(schema) {
        Ok(validator) => validator,
        Err(error) => return Outcome::Broken { why: format!("this is no JSON schema: {error}") },
    };
    let mut errors = validator.iter_errors(value).map(|error| {
        let place = error.instance_path().to_string();
        let place = if place.is_empty() { "the whole".to_string() } else { place };
        let what = error.masked_with(values::short(error.instance())).to_string();
        format!("{place}: {what}")
    });
    let mut told: Vec<String> = errors.by_ref().take(TOLD).collect();
    if told.is_empty() {
        return Outcome::Passed;
    }
    let more = errors.count();
    if more > 0 {
        told.push(format!("and {more} more"));
    }
    Outcome::Failed { what: told.join("; ") }
}
