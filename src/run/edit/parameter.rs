//! Top-level fields of a request by name: which there are, and what they hold. A misspelt one would go live unnoticed.

use super::{Change, Edit, Field};
use crate::run::spelling::nearest;

/// Fields that hold a number.
const NUMBERS: [&str; 13] = [
    "temperature",
    "top_p",
    "top_k",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "seed",
    "n",
    "presence_penalty",
    "frequency_penalty",
    "repetition_penalty",
    "min_p",
    "top_logprobs",
];

/// Other fields that providers know.
const OTHERS: [&str; 28] = [
    "model",
    "stream",
    "stream_options",
    "stop",
    "stop_sequences",
    "tool_choice",
    "parallel_tool_calls",
    "response_format",
    "output_config",
    "logprobs",
    "logit_bias",
    "reasoning",
    "reasoning_effort",
    "thinking",
    "effort",
    "verbosity",
    "metadata",
    "user",
    "safety_identifier",
    "prompt_cache_key",
    "service_tier",
    "store",
    "modalities",
    "audio",
    "prediction",
    "web_search_options",
    "functions",
    "function_call",
];

/// Fields of the grammar that are not the provider's.
const OWN: [&str; 6] = ["answer", "result", "system", "prompt", "tools", "fault"];

/// What to write instead of a field name, if it looks like a known one.
pub(super) fn meant(name: &str) -> String {
    let known = OWN.iter().chain(&NUMBERS).chain(&OTHERS).copied();
    nearest(name, known).map(|meant| format!("; did you mean {meant}?")).unwrap_or_default()
}

impl Edit {
    /// True for `raw:NAME=…`, which is sent whatever it is called.
    pub(super) fn is_raw(&self) -> bool {
        self.text.split_once(':').is_some_and(|(_, rest)| rest.trim_start().starts_with("raw:"))
    }

    /// Refuses a field of the request that nobody knows, or that cannot hold the value. `is_recorded` says whether a
    /// recorded request has a field.
    ///
    /// # Errors
    /// What is wrong, and what would be right.
    pub fn check_parameter(&self, is_recorded: impl Fn(&str) -> bool) -> Result<(), String> {
        let (Field::Param(name), Change::Set(value)) = (&self.field, &self.change) else { return Ok(()) };
        if self.is_raw() {
            return Ok(());
        }
        let is_number = NUMBERS.contains(&name.as_str());
        if is_number && !value.is_number() && !value.is_null() {
            return Err(format!("{name} is a number, {value} is none (raw:{name}=… sends it anyway)"));
        }
        if is_number || OTHERS.contains(&name.as_str()) || is_recorded(name) {
            return Ok(());
        }
        Err(format!(
            "{name:?} is not in the recorded request and is no known field{} (raw:{name}=… sends it anyway)",
            meant(name)
        ))
    }
}
