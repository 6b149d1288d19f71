//! What goes wrong on the command line: a sentence, hints, an exit code.

use crate::config::ConfigError;
use crate::run::RunId;
use crate::store::StoreError;
use std::io::Write;
use std::path::Path;

/// Exit codes, as documented in `replay-format.md`.
pub mod exit {
    /// As expected.
    pub const OK: i32 = 0;
    /// Runs differ, or recorded steps were never asked for.
    pub const DIFFERS: i32 = 1;
    /// Cannot tell.
    pub const INCONCLUSIVE: i32 = 2;
    /// Broken setup, nothing recorded, unusable input.
    pub const BROKEN: i32 = 3;
    /// A request that the recording has no right answer for.
    pub const MISS: i32 = 4;
    /// Stopped at a fence.
    pub const FENCE: i32 = 5;
    /// The command line cannot be understood.
    pub const USAGE: i32 = 64;
}

/// An error as a person reads it.
#[derive(Debug)]
pub struct CliError {
    /// What happened, to what.
    pub message: String,
    /// The line of a file that is wrong, with a mark, as several lines; empty when it is about none.
    pub excerpt: String,
    /// What to do next.
    pub hints: Vec<String>,
    /// Exit code.
    pub code: i32,
}

impl CliError {
    /// Something is broken: the setup, a file, an input.
    pub fn broken(message: impl Into<String>) -> CliError {
        CliError { message: message.into(), excerpt: String::new(), hints: Vec::new(), code: exit::BROKEN }
    }

    /// The command line asks for something that cannot be.
    pub fn usage(message: impl Into<String>) -> CliError {
        CliError { message: message.into(), excerpt: String::new(), hints: Vec::new(), code: exit::USAGE }
    }

    /// For programs.
    pub fn json(&self) -> serde_json::Value {
        serde_json::json!({ "error": self.message, "hints": self.one_line_hints(), "exit": self.code })
    }

    /// The hints, each on one line however long it is.
    pub fn one_line_hints(&self) -> Vec<String> {
        self.hints.iter().map(|hint| hint.replace('\n', " ")).collect()
    }

    /// Tells a person, on standard error.
    pub fn tell(&self) {
        let mut text = format!("retake: {}\n", self.message);
        self.excerpt.lines().for_each(|line| text.push_str(&format!("        {line}\n")));
        for hint in &self.hints {
            text.push_str(&format!("        hint: {}\n", hint.replace('\n', "\n              ")));
        }
        let _ = std::io::stderr().lock().write_all(text.as_bytes());
    }

    /// Adds what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> CliError {
        self.hints.push(hint.into());
        self
    }
}

impl From<StoreError> for CliError {
    fn from(error: StoreError) -> CliError {
        let hint = match &error {
            StoreError::NoStore(_) => Some(
                "record something first: retake run -- python agent.py (or try: retake demo)".to_string(),
            ),
            StoreError::NoRun { near: Some(near), .. } => {
                Some(format!("did you mean {near}? retake ls shows the runs there are"))
            }
            StoreError::NoRun { .. } => Some("retake ls shows the runs there are".to_string()),
            StoreError::Damaged { path, .. } => Some(match run_of(path) {
                Some(id) => format!("retake show {id} says what can still be read"),
                None => "retake ls shows the runs that can still be read".to_string(),
            }),
            StoreError::NotCreated { .. } => {
                Some("--store DIR or RETAKE_STORE says where runs are kept".to_string())
            }
            StoreError::Io { .. } | StoreError::Refused(_) => None,
        };
        let error = CliError::broken(error.to_string());
        match hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

impl From<ConfigError> for CliError {
    fn from(error: ConfigError) -> CliError {
        let told = CliError { excerpt: error.excerpt().to_string(), ..CliError::broken(error.to_string()) };
        if error.hint().is_empty() { told } else { told.hint(error.hint()) }
    }
}

/// The run in whose directory a file is.
fn run_of(path: &Path) -> Option<RunId> {
    path.ancestors().filter_map(|p| p.file_name()?.to_str()).find_map(|name| RunId::parse(name).ok())
}

impl From<std::io::Error> for CliError {
    fn from(error: std::io::Error) -> CliError {
        CliError::broken(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_can_be_pasted() {
        let hint_for = |path: &str| {
            let error = StoreError::Damaged { path: path.into(), what: "short".into() };
            CliError::from(error).hints.concat()
        };
        assert_eq!(
            hint_for("/x/.retake/runs/refund.1/segment.0001"),
            "retake show refund.1 says what can still be read"
        );
        assert_eq!(hint_for("/x/.retake/format"), "retake ls shows the runs that can still be read");
    }
}
