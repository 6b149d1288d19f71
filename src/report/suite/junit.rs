//! JUnit XML, as GitHub's and GitLab's readers and Jenkins read it.
//!
//! A test suite for each directory of cases. A regression is a failure. What is broken, and what cannot be judged, is an
//! error, not skipped: readers show what was skipped as well.

use super::super::words::{block, line};
use super::told;
use crate::suite::outcome::{CaseOutcome, SuiteOutcome, Verdict};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use std::collections::BTreeMap;
use std::time::Duration;

/// The suite of cases that are in no directory, and above all others.
const ROOT: &str = "retake";

/// A suite as JUnit XML. `below`: see [`super::ReportKind::written`].
///
/// # Errors
/// In words, what the writer says.
pub fn junit(of: &SuiteOutcome, below: &str) -> Result<String, String> {
    let mut report = Report::new(ROOT);
    report.set_time(Duration::from_micros(of.took_us));
    let mut suites: BTreeMap<&str, Vec<&CaseOutcome>> = BTreeMap::new();
    for case in &of.cases {
        let directory = case.name.rsplit_once('/').map_or("", |(directory, _)| directory);
        suites.entry(directory).or_default().push(case);
    }
    for (directory, cases) in suites {
        let name = match directory {
            "" => ROOT.to_string(),
            below => format!("{ROOT}.{}", block(below).replace('/', ".")),
        };
        let mut suite = TestSuite::new(name.as_str());
        suite.set_time(Duration::from_micros(cases.iter().map(|case| case.took_us).sum()));
        if let Some(at) = timestamp(of.started_us) {
            suite.extra.insert("timestamp".into(), at.into());
        }
        suite.add_property(("retake.version", line(&of.retake).as_str()));
        suite.add_test_cases(cases.into_iter().map(|case| test_case(&name, case, below)));
        report.add_test_suite(suite);
    }
    report.to_string().map_err(|e| e.to_string())
}

fn test_case(suite: &str, of: &CaseOutcome, below: &str) -> TestCase {
    let failed = |kind| {
        let mut status = TestCaseStatus::non_success(kind);
        let kind = of.first_error().map_or(of.verdict.word(), |finding| finding.code.name());
        status.set_message(told::why(of)).set_type(kind).set_description(told::plain(of));
        status
    };
    let status = match of.verdict {
        Verdict::Passed => TestCaseStatus::success(),
        Verdict::Regression => failed(NonSuccessKind::Failure),
        Verdict::Broken | Verdict::Inconclusive => failed(NonSuccessKind::Error),
    };
    let name = of.name.rsplit('/').next().unwrap_or(&of.name);
    let mut case = TestCase::new(block(name), status);
    case.set_classname(suite).set_time(Duration::from_micros(of.took_us));
    if !of.file.is_empty() {
        case.extra.insert("file".into(), format!("{below}{}", block(&of.file)).into());
    }
    if !of.output.is_empty() {
        case.set_system_out(block(&of.output));
    }
    // Of a case that passed this is all that tells of what differs.
    let beside = if of.verdict == Verdict::Passed { told::plain(of) } else { String::new() };
    if !beside.is_empty() {
        case.set_system_err(beside);
    }
    case
}

/// As the schema wants it: UTC, seconds, no zone.
fn timestamp(us: u64) -> Option<String> {
    let at = jiff::Timestamp::from_microsecond(i64::try_from(us).ok()?).ok()?;
    Some(at.strftime("%Y-%m-%dT%H:%M:%S").to_string())
}
