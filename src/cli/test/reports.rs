//! Writes the reports of a suite.

use super::super::args::Report;
use super::super::error::CliError;
use super::super::{Context, portable, print};
use crate::report::suite::places::{Place, without};
use crate::report::suite::{ReportKind, markdown};
use crate::suite::outcome::SuiteOutcome;
use std::io::Write;
use std::path::Path;

/// While it lives, GitHub takes nothing that is printed for a command: what agents, models and tools say is not retake's own.
pub(super) struct Quoting(String);

impl Quoting {
    /// Begins where annotations are going to be printed.
    pub(super) fn start(context: &Context, reports: &[Report]) -> Result<Option<Quoting>, CliError> {
        let printed = |report: &Report| report.kind == ReportKind::Github && report.file.is_none();
        if context.json || !reports.iter().any(printed) {
            return Ok(None);
        }
        // Nobody else may know the word that ends it.
        let word = uuid::Uuid::now_v7().simple().to_string();
        print(&format!("::stop-commands::{word}\n"))?;
        Ok(Some(Quoting(word)))
    }
}

impl Drop for Quoting {
    fn drop(&mut self) {
        let _ = print(&format!("::{}::\n", self.0));
    }
}

/// Writes all that are asked for, each whole or not at all. One that cannot be written keeps none of the others back.
pub(super) fn write(
    context: &Context,
    root: &Path,
    scratch: &Path,
    reports: &[Report],
    outcome: &SuiteOutcome,
) -> Result<(), CliError> {
    if reports.is_empty() {
        return Ok(());
    }
    let mut told = outcome.clone();
    without(&places(root, scratch), &mut told);
    let below = below(root);
    let written: Vec<Result<(), CliError>> =
        reports.iter().map(|report| one(context, report, &told, &below)).collect();
    written.into_iter().collect()
}

fn one(context: &Context, report: &Report, outcome: &SuiteOutcome, below: &str) -> Result<(), CliError> {
    let text =
        report.kind.written(outcome, below).map_err(|why| CliError::broken(format!("a report: {why}")))?;
    if report.kind == ReportKind::Github {
        summarize(outcome)?;
    }
    match &report.file {
        Some(file) => {
            if let Some(directory) = file.parent() {
                std::fs::create_dir_all(directory)
                    .map_err(|e| CliError::broken(format!("cannot make {}: {e}", directory.display())))?;
            }
            portable::write_whole(file, text.as_bytes())
        }
        // GitHub reads commands from both; what reads JSON does not.
        None if context.json => Ok(std::io::stderr().lock().write_all(text.as_bytes())?),
        None => print(&text),
    }
}

/// Adds to the summary of a step of GitHub Actions, if this runs in one, as much as there is room for.
fn summarize(outcome: &SuiteOutcome) -> Result<(), CliError> {
    let Some(path) = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|path| !path.is_empty()) else {
        return Ok(());
    };
    let failed = |e: std::io::Error| {
        CliError::broken(format!("the summary of the step, {}: {e}", Path::new(&path).display()))
    };
    let mut file = std::fs::OpenOptions::new().append(true).create(true).open(&path).map_err(failed)?;
    let there = file.metadata().map_err(failed)?.len();
    let room = markdown::SUMMARY.saturating_sub(usize::try_from(there).unwrap_or(usize::MAX));
    let text = markdown::markdown(outcome, room);
    if text.len() > room {
        return Ok(());
    }
    file.write_all(text.as_bytes()).map_err(failed)
}

/// What must not be told of this machine.
fn places(root: &Path, scratch: &Path) -> Vec<Place> {
    let mut places = Vec::new();
    let mut add = |path: &Path, stands| {
        // As it was named, and as the system calls it.
        for path in [Some(path.to_path_buf()), path.canonicalize().ok()].into_iter().flatten() {
            places.push(Place { path: path.display().to_string().trim_end_matches('/').into(), stands });
        }
    };
    add(root, ".");
    add(scratch, "TEMP");
    if let Some(home) = std::env::var_os("HOME") {
        add(Path::new(&home), "~");
    }
    places
}

/// Where the project is in its repository: `agents/refund/`; empty when it is its root, or in none.
fn below(root: &Path) -> String {
    let top = root.ancestors().find(|directory| directory.join(".git").exists());
    match top.and_then(|top| root.strip_prefix(top).ok()) {
        Some(below) if below != Path::new("") => format!("{}/", below.display()),
        _ => String::new(),
    }
}
