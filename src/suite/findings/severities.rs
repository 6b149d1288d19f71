//! What a suite says of findings: the `[findings]` table of `retake.toml`.

use super::code::{Code, Severity};
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// From when on more is too much: both must be exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Threshold {
    /// So large a share of what the recorded run took: 0.1 is a tenth.
    pub share: f64,
    /// So much at least: US dollars, tokens, seconds.
    pub least: f64,
}

impl Threshold {
    /// True when `after` is more than `before` by more than both.
    pub fn exceeded(&self, before: f64, after: f64) -> bool {
        let more = after - before;
        more > 0.0 && more > before * self.share && more >= self.least
    }
}

/// How much each finding matters.
///
/// ```toml
/// [findings]
/// TEXT_CHANGED = "note"
/// COST_UP = { severity = "error", share = 0.2, least = 0.01 }   # a fifth more, and a cent at least
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Severities {
    said: BTreeMap<Code, Severity>,
    thresholds: BTreeMap<Code, Threshold>,
}

impl Severities {
    /// How much a finding matters. `replayed`: every answer was a recorded one.
    pub fn of(&self, code: Code, replayed: bool) -> Severity {
        self.said.get(&code).copied().unwrap_or_else(|| code.default_severity(replayed))
    }

    /// Says how much a finding matters.
    pub fn set(&mut self, code: Code, severity: Severity) {
        self.said.insert(code, severity);
    }

    /// From when on more is too much. Of COST_UP by default a tenth and a tenth of a cent, of TOKENS_UP a tenth and 100,
    /// of SLOWER a half and a second.
    pub fn threshold(&self, code: Code) -> Threshold {
        self.thresholds.get(&code).copied().unwrap_or(match code {
            Code::CostUp => Threshold { share: 0.1, least: 0.001 },
            Code::TokensUp => Threshold { share: 0.1, least: 100.0 },
            _ => Threshold { share: 0.5, least: 1.0 },
        })
    }

    /// These, with what `over` says put over them: a case's own over its suite's.
    #[must_use]
    pub fn with(mut self, over: &Severities) -> Severities {
        self.said.extend(&over.said);
        self.thresholds.extend(&over.thresholds);
        self
    }

    fn put(&mut self, name: &str, said: Said) -> Result<(), String> {
        let code = Code::parse(name)?;
        let (severity, share, least) = match said {
            Said::Severity(severity) => (Some(severity), None, None),
            Said::Table(table) => (table.severity, table.share, table.least),
        };
        if let Some(severity) = severity {
            self.said.insert(code, severity);
        }
        if share.is_none() && least.is_none() {
            return Ok(());
        }
        if !matches!(code, Code::CostUp | Code::TokensUp | Code::Slower) {
            return Err(format!(
                "{code} has no threshold: share and least are of COST_UP, TOKENS_UP and SLOWER"
            ));
        }
        let bad = |n: &f64| !n.is_finite() || *n < 0.0;
        if let Some(bad) = share.iter().chain(&least).find(|n| bad(n)) {
            return Err(format!("{bad} is no threshold of {code}: 0 or more"));
        }
        let before = self.threshold(code);
        let new = Threshold { share: share.unwrap_or(before.share), least: least.unwrap_or(before.least) };
        self.thresholds.insert(code, new);
        Ok(())
    }
}

/// What stands behind a code.
enum Said {
    Severity(Severity),
    Table(Table),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    severity: Option<Severity>,
    share: Option<f64>,
    least: Option<f64>,
}

impl<'de> Deserialize<'de> for Said {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Said, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Said;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a severity (error, warning, note, off) or { severity, share, least }")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Said, E> {
                Severity::parse(text).map(Said::Severity).map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Said, A::Error> {
                Table::deserialize(serde::de::value::MapAccessDeserializer::new(map)).map(Said::Table)
            }
        }
        from.deserialize_any(Either)
    }
}

impl<'de> Deserialize<'de> for Severities {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Severities, D::Error> {
        let written = BTreeMap::<String, Said>::deserialize(from)?;
        let mut severities = Severities::default();
        for (name, said) in written {
            severities.put(&name, said).map_err(D::Error::custom)?;
        }
        Ok(severities)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Severities, String> {
        toml::from_str(text).map_err(|error: toml::de::Error| error.message().to_string())
    }

    #[test]
    fn a_table_says_how_much_each_matters() {
        let read = read(
            "TEXT_CHANGED = \"off\"\nSLOWER = \"warning\"\nCOST_UP = { share = 0.5 }\n\
             TOKENS_UP = { severity = \"error\", least = 10 }",
        )
        .unwrap();
        assert_eq!(read.of(Code::TextChanged, true), Severity::Off);
        assert_eq!(read.of(Code::Slower, true), Severity::Warning);
        assert_eq!(read.of(Code::TokensUp, true), Severity::Error);
        assert_eq!(read.threshold(Code::CostUp), Threshold { share: 0.5, least: 0.001 });
        assert_eq!(read.threshold(Code::TokensUp), Threshold { share: 0.1, least: 10.0 });
        let none = Severities::default();
        assert_eq!(
            (none.of(Code::Slower, true), none.of(Code::Slower, false)),
            (Severity::Off, Severity::Note)
        );
        let mut over = Severities::default();
        over.set(Code::TextChanged, Severity::Error);
        assert_eq!(read.with(&over).of(Code::TextChanged, true), Severity::Error);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, said) in [
            ("PROMT_CHANGED = \"off\"", "did you mean PROMPT_CHANGED?"),
            ("PROMPT_CHANGED = \"fatal\"", "\"fatal\" is no severity"),
            ("PROMPT_CHANGED = 1", "a severity (error, warning, note, off)"),
            ("PROMPT_CHANGED = { share = 1 }", "PROMPT_CHANGED has no threshold"),
            ("COST_UP = { share = -1 }", "-1 is no threshold of COST_UP"),
            ("COST_UP = { shar = 1 }", "unknown field `shar`"),
        ] {
            let wrong = read(text).unwrap_err();
            assert!(wrong.contains(said), "{text}: {wrong}");
        }
    }

    #[test]
    fn more_must_be_much() {
        let tenth = Threshold { share: 0.1, least: 100.0 };
        assert!(!tenth.exceeded(1000.0, 1100.0) && tenth.exceeded(1000.0, 1101.0));
        assert!(!tenth.exceeded(10.0, 100.0), "ten times as much, and little all the same");
        assert!(!tenth.exceeded(1000.0, 10.0) && tenth.exceeded(0.0, 100.0));
    }
}
