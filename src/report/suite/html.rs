//! One page that needs nothing else: no network, no script.

use super::super::words::{block, line, many};
use super::sides::{Row, Sign, rows};
use super::told;
use crate::suite::findings::{Finding, Severity};
use crate::suite::outcome::{CaseOutcome, SuiteOutcome, Verdict};
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment};
use serde::Serialize;

/// Lines of a difference.
const LINES: usize = 400;
/// Cases that did not pass and are shown unfolded.
const OPEN: usize = 20;

#[derive(Serialize)]
struct Page {
    headline: String,
    verdict: &'static str,
    facts: Vec<String>,
    retake: String,
    at: String,
    failed: usize,
    total: usize,
    /// Those that did not pass first.
    cases: Vec<Case>,
}

#[derive(Serialize)]
struct Case {
    id: String,
    /// What stands above the first of those that did not pass, and of those that did.
    heading: &'static str,
    failed: bool,
    name: String,
    file: String,
    verdict: &'static str,
    word: &'static str,
    why: String,
    excerpt: String,
    facts: String,
    told: String,
    open: bool,
    findings: Vec<Found>,
    checks: Vec<Checked>,
    tools: Vec<String>,
    miss: String,
    output: String,
    warnings: Vec<String>,
    hints: Vec<String>,
}

#[derive(Serialize)]
struct Found {
    code: &'static str,
    severity: &'static str,
    what: String,
    follows: bool,
    sides: Vec<Sides>,
}

#[derive(Serialize)]
struct Sides {
    path: String,
    rows: Vec<Shown>,
}

#[derive(Serialize)]
struct Shown {
    kind: &'static str,
    sign: &'static str,
    parts: Vec<(bool, String)>,
}

#[derive(Serialize)]
struct Checked {
    name: String,
    word: &'static str,
    severity: &'static str,
    what: String,
    reason: String,
}

/// A suite as a page.
///
/// # Errors
/// In words, what the template engine says.
pub fn html(of: &SuiteOutcome) -> Result<String, String> {
    let failed = told::not_passed(of);
    let passed = of.cases.iter().filter(|case| case.verdict == Verdict::Passed);
    let page = Page {
        headline: told::headline(of),
        verdict: of.verdict().word(),
        facts: told::facts(of),
        retake: line(&of.retake),
        at: at(of.started_us),
        failed: failed.len(),
        total: of.cases.len(),
        cases: failed
            .iter()
            .copied()
            .chain(passed)
            .enumerate()
            .map(|(n, case)| shown(n, failed.len(), case))
            .collect(),
    };
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.add_template("page", include_str!("page.html")).map_err(|e| e.to_string())?;
    let template = environment.get_template("page").map_err(|e| e.to_string())?;
    template.render(Serde(&page)).map(|text| format!("{text}\n")).map_err(|e| e.to_string())
}

fn at(us: u64) -> String {
    let at = i64::try_from(us).ok().and_then(|us| jiff::Timestamp::from_microsecond(us).ok());
    at.map_or_else(String::new, |at| at.strftime("%Y-%m-%d %H:%M UTC").to_string())
}

/// The case in this place; the first so many did not pass.
fn shown(n: usize, failed: usize, of: &CaseOutcome) -> Case {
    Case {
        heading: match n {
            _ if n == failed => "Passed",
            0 => "Case by case",
            _ => "",
        },
        failed: n < failed,
        id: format!("case-{}", n + 1),
        name: line(&of.name),
        file: line(&of.file),
        verdict: of.verdict.word(),
        word: told::called(of.verdict),
        why: told::why(of),
        excerpt: block(&of.excerpt),
        facts: told::case_facts(of),
        told: match of.findings.len() {
            0 => String::new(),
            n => many(n as u64, "finding"),
        },
        open: n < failed.min(OPEN),
        findings: of.findings.iter().map(found).collect(),
        checks: of
            .checks
            .iter()
            .map(|check| {
                let failed = told::failed(check);
                Checked {
                    name: line(&check.name),
                    word: failed.as_ref().map_or("holds", |(word, _)| word),
                    severity: check.severity.name(),
                    reason: check.why.as_deref().filter(|_| failed.is_some()).map(line).unwrap_or_default(),
                    what: failed.map(|(_, why)| why).unwrap_or_default(),
                }
            })
            .collect(),
        tools: of
            .tools_run
            .iter()
            .map(|(name, times)| match times {
                1 => line(name),
                _ => format!("{} ({})", line(name), many(u64::from(*times), "time")),
            })
            .collect(),
        miss: block(of.miss.trim_end()),
        output: block(of.output.trim_end()),
        warnings: of.warnings.iter().map(|warning| line(warning)).collect(),
        hints: told::hints(of).map(|hint| line(hint)).collect(),
    }
}

fn found(of: &Finding) -> Found {
    Found {
        code: of.code.name(),
        severity: match of.severity {
            Severity::Off => Severity::Note.name(),
            other => other.name(),
        },
        what: told::sentence(of),
        follows: of.follows,
        sides: told::differences(of)
            .map(|difference| Sides {
                path: line(&difference.path),
                rows: rows(difference, LINES).into_iter().map(row).collect(),
            })
            .collect(),
    }
}

fn row(of: Row) -> Shown {
    let (kind, sign) = match of.sign {
        Sign::Same => ("same", " "),
        Sign::Minus => ("minus", "-"),
        Sign::Plus => ("plus", "+"),
        Sign::Gap => ("gap", " "),
    };
    Shown { kind, sign, parts: of.parts }
}
