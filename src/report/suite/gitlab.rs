//! Code Quality as GitLab reads it: an issue for each finding and check that counts.

use super::told;
use crate::suite::findings::Severity;
use crate::suite::outcome::{CaseOutcome, SuiteOutcome, Verdict};
use serde::Serialize;
use std::collections::BTreeMap;

/// Hexadecimal digits of a fingerprint.
const DIGITS: usize = 32;

#[derive(Serialize)]
struct Issue {
    description: String,
    check_name: String,
    fingerprint: String,
    severity: &'static str,
    location: Location,
}

#[derive(Serialize)]
struct Location {
    path: String,
    lines: Lines,
}

#[derive(Serialize)]
struct Lines {
    begin: u32,
}

/// A suite as a Code Quality report. `below`: see [`super::ReportKind::written`].
///
/// # Errors
/// In words, what the writer says.
pub fn code_quality(of: &SuiteOutcome, below: &str) -> Result<String, String> {
    let mut seen = BTreeMap::new();
    let mut issues = Vec::new();
    for case in &of.cases {
        let path = if case.file.is_empty() { "retake.toml" } else { &case.file };
        for Told { check_name, what, severity, place, line } in told_of(case) {
            // What it is about, not the values: the next run finds the same by it.
            let about = format!("{}\0{check_name}\0{place}", case.name);
            let times: &mut u32 = seen.entry(about.clone()).or_default();
            let hash = blake3::hash(format!("{about}\0{times}").as_bytes()).to_hex();
            *times += 1;
            issues.push(Issue {
                description: format!("{}: {what}", super::line(&case.name)),
                check_name,
                fingerprint: hash.as_str().chars().take(DIGITS).collect(),
                severity,
                location: Location { path: format!("{below}{path}"), lines: Lines { begin: line } },
            });
        }
    }
    let text = serde_json::to_string_pretty(&issues).map_err(|e| e.to_string())?;
    Ok(format!("{text}\n"))
}

/// What is told of a case.
struct Told {
    check_name: String,
    what: String,
    severity: &'static str,
    /// What of the case it is about.
    place: String,
    /// The line of its file.
    line: u32,
}

fn told_of(case: &CaseOutcome) -> Vec<Told> {
    let mut all = Vec::new();
    for finding in case.findings.iter().filter(|finding| finding.severity > Severity::Note) {
        let path = finding.difference.as_ref().map_or("", |difference| &difference.path);
        all.push(Told {
            check_name: finding.code.name().to_string(),
            what: told::sentence(finding),
            severity: graded(finding.severity),
            place: format!("{:?} {path}", finding.step),
            line: case.line_of(finding),
        });
    }
    for check in &case.checks {
        if let Some((word, why)) = told::failed(check) {
            all.push(Told {
                check_name: "CHECK".into(),
                what: format!("the check {word}: {}: {why}", super::line(&check.name)),
                severity: graded(check.severity),
                place: check.name.clone(),
                line: 1,
            });
        }
    }
    let graver = all.iter().any(|told| told.severity == graded(Severity::Error));
    if case.verdict != Verdict::Passed && !graver {
        all.push(Told {
            check_name: case.verdict.word().to_uppercase(),
            what: told::why(case),
            severity: if case.verdict == Verdict::Broken { "critical" } else { "major" },
            place: String::new(),
            line: 1,
        });
    }
    all
}

fn graded(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "major",
        Severity::Warning => "minor",
        Severity::Note | Severity::Off => "info",
    }
}
