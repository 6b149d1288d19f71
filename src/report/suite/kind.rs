//! The kinds of reports.

use super::{github, gitlab, html, junit, markdown};
use crate::suite::outcome::SuiteOutcome;

/// A form that a suite's outcome is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportKind {
    /// JUnit XML.
    Junit,
    /// Markdown, for a comment of a pull request.
    Markdown,
    /// One page that needs nothing else.
    Html,
    /// The outcome itself, which shards are merged from.
    Json,
    /// Workflow commands, which GitHub Actions makes annotations of.
    Github,
    /// Code Quality, which GitLab shows beside a merge request.
    Gitlab,
}

/// Every kind with its name and the ending of files that are of it unless said otherwise.
const KINDS: [(ReportKind, &str, &str); 6] = [
    (ReportKind::Junit, "junit", "xml"),
    (ReportKind::Markdown, "markdown", "md"),
    (ReportKind::Html, "html", "html"),
    (ReportKind::Json, "json", "json"),
    (ReportKind::Github, "github", ""),
    (ReportKind::Gitlab, "gitlab", ""),
];

impl ReportKind {
    /// The kind of this name: `junit`.
    pub fn named(name: &str) -> Option<ReportKind> {
        KINDS.iter().find(|(_, known, _)| *known == name).map(|(kind, ..)| *kind)
    }

    /// The kind of a file with this ending: `xml`.
    pub fn by_ending(ending: &str) -> Option<ReportKind> {
        let known = KINDS.iter().filter(|(.., known)| !known.is_empty());
        known.into_iter().find(|(.., known)| known.eq_ignore_ascii_case(ending)).map(|(kind, ..)| *kind)
    }

    /// The report as text. `below`: where the project is in its repository, with a slash at its end; empty for its root.
    ///
    /// # Errors
    /// In words: a report that cannot be put together, which would be a bug.
    pub fn written(self, outcome: &SuiteOutcome, below: &str) -> Result<String, String> {
        Ok(match self {
            ReportKind::Junit => junit::junit(outcome, below)?,
            ReportKind::Markdown => markdown::markdown(outcome, markdown::COMMENT),
            ReportKind::Html => html::html(outcome)?,
            ReportKind::Json => {
                let text = serde_json::to_string_pretty(outcome).map_err(|e| e.to_string())?;
                format!("{text}\n")
            }
            ReportKind::Github => github::annotations(outcome, below),
            ReportKind::Gitlab => gitlab::code_quality(outcome, below)?,
        })
    }
}
