//! The names of findings, and how much they matter.

use crate::run::spelling::nearest;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What kind of difference a finding is. The names are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE", try_from = "String")]
pub enum Code {
    /// A recorded call of a model or a tool does not happen any more.
    MissingCall,
    /// A call of a model or a tool that the recording does not have.
    NewCall,
    /// A call beside the conversations (a title, a guard) is missing, new, or made another number of times.
    SideCall,
    /// A tool is called with other arguments.
    ArgsChanged,
    /// The same calls in another order.
    OrderChanged,
    /// The agent sends other instructions, another user text or another history.
    PromptChanged,
    /// A model says something else.
    TextChanged,
    /// A tool returns something else.
    ToolResultChanged,
    /// Other tools are on offer, or they are described differently.
    ToolsChanged,
    /// Another model is asked.
    ModelChanged,
    /// A parameter of a request differs: temperature, max_tokens.
    ParamsChanged,
    /// A model call fails that did not, or the other way round, or fails differently.
    CallFailed,
    /// A request that nothing recorded is right for, and it cannot be told what differs.
    Unmatched,
    /// The run ends with another exit code, signal, or last answer.
    OutcomeChanged,
    /// It costs more.
    CostUp,
    /// It takes more tokens.
    TokensUp,
    /// It takes longer.
    Slower,
    /// The agent sends something that looks like a secret, and the recorded one did not.
    Secret,
    /// A call went to a live model.
    LiveCall,
    /// A request passed as the recorded one although it is not the same up to names: its class is told.
    LooseMatch,
}

/// Every code with its name, in the order in which they are told.
pub const CODES: [(Code, &str); 20] = [
    (Code::MissingCall, "MISSING_CALL"),
    (Code::NewCall, "NEW_CALL"),
    (Code::SideCall, "SIDE_CALL"),
    (Code::ArgsChanged, "ARGS_CHANGED"),
    (Code::OrderChanged, "ORDER_CHANGED"),
    (Code::PromptChanged, "PROMPT_CHANGED"),
    (Code::TextChanged, "TEXT_CHANGED"),
    (Code::ToolResultChanged, "TOOL_RESULT_CHANGED"),
    (Code::ToolsChanged, "TOOLS_CHANGED"),
    (Code::ModelChanged, "MODEL_CHANGED"),
    (Code::ParamsChanged, "PARAMS_CHANGED"),
    (Code::CallFailed, "CALL_FAILED"),
    (Code::Unmatched, "UNMATCHED"),
    (Code::OutcomeChanged, "OUTCOME_CHANGED"),
    (Code::CostUp, "COST_UP"),
    (Code::TokensUp, "TOKENS_UP"),
    (Code::Slower, "SLOWER"),
    (Code::Secret, "SECRET"),
    (Code::LiveCall, "LIVE_CALL"),
    (Code::LooseMatch, "LOOSE_MATCH"),
];

impl Code {
    /// Its name: `ARGS_CHANGED`.
    pub fn name(self) -> &'static str {
        CODES.iter().find(|(code, _)| *code == self).map_or("UNMATCHED", |(_, name)| name)
    }

    /// Reads a name, in either case.
    ///
    /// # Errors
    /// One sentence: what is no code, and which one it may have been meant to be.
    pub fn parse(text: &str) -> Result<Code, String> {
        if let Some((code, _)) = CODES.iter().find(|(_, name)| name.eq_ignore_ascii_case(text)) {
            return Ok(*code);
        }
        let names = || CODES.iter().map(|(_, name)| *name);
        Err(match nearest(text, names()) {
            Some(name) => format!("{text:?} is no code of a finding; did you mean {name}?"),
            None => {
                let all: Vec<&str> = names().collect();
                format!("{text:?} is no code of a finding; there are {}", all.join(", "))
            }
        })
    }

    /// How much it matters unless somebody said otherwise. `replayed`: every answer was a recorded one.
    pub fn default_severity(self, replayed: bool) -> Severity {
        match self {
            Code::TextChanged | Code::CostUp | Code::TokensUp | Code::LiveCall | Code::SideCall => {
                Severity::Warning
            }
            Code::LooseMatch => Severity::Note,
            // Recorded answers take no time, so that a replay's says nothing.
            Code::Slower if replayed => Severity::Off,
            Code::Slower => Severity::Note,
            _ => Severity::Error,
        }
    }
}

impl TryFrom<String> for Code {
    type Error = String;

    fn try_from(text: String) -> Result<Code, String> {
        Code::parse(&text)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How much a finding, or a check that fails, matters. The least comes first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", try_from = "String")]
pub enum Severity {
    /// Not at all: it is not told.
    Off,
    /// It is told.
    Note,
    /// It is told, and counted.
    Warning,
    /// The test fails.
    #[default]
    Error,
}

impl Severity {
    const NAMES: [(Severity, &'static str); 4] = [
        (Severity::Error, "error"),
        (Severity::Warning, "warning"),
        (Severity::Note, "note"),
        (Severity::Off, "off"),
    ];

    /// Its name: `warning`.
    pub fn name(self) -> &'static str {
        Severity::NAMES.iter().find(|(severity, _)| *severity == self).map_or("error", |(_, name)| name)
    }

    /// Reads a name.
    ///
    /// # Errors
    /// One sentence: what is no severity, and which there are.
    pub fn parse(text: &str) -> Result<Severity, String> {
        match Severity::NAMES.iter().find(|(_, name)| *name == text) {
            Some((severity, _)) => Ok(*severity),
            None => Err(format!("{text:?} is no severity; there are error, warning, note and off")),
        }
    }
}

impl TryFrom<String> for Severity {
    type Error = String;

    fn try_from(text: String) -> Result<Severity, String> {
        Severity::parse(&text)
    }
}

/// Whose doing a difference is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Drift {
    /// The agent asks something else.
    Code,
    /// A model answers differently.
    Model,
    /// A tool returns something else.
    World,
}

impl Drift {
    /// `code`, `model`, `world`.
    pub fn name(self) -> &'static str {
        match self {
            Drift::Code => "code",
            Drift::Model => "model",
            Drift::World => "world",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_name() {
        for (code, name) in CODES {
            assert_eq!(serde_json::to_value(code).unwrap(), name);
            assert_eq!(serde_json::from_value::<Code>(name.into()).unwrap(), code);
        }
        assert_eq!(Code::parse("slower"), Ok(Code::Slower));
        let wrong = Code::parse("ARG_CHANGED").unwrap_err();
        assert_eq!(wrong, "\"ARG_CHANGED\" is no code of a finding; did you mean ARGS_CHANGED?");
        assert!(Code::parse("x").unwrap_err().contains("there are MISSING_CALL, NEW_CALL"));
    }

    #[test]
    fn errors_are_worse_than_notes() {
        assert!(Severity::Error > Severity::Warning && Severity::Note > Severity::Off);
        assert_eq!(serde_json::from_value::<Severity>("note".into()).unwrap(), Severity::Note);
        assert!(Severity::parse("fatal").unwrap_err().contains("error, warning, note and off"));
    }
}
