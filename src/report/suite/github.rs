//! Workflow commands of GitHub Actions: annotations of cases that did not pass.

use super::super::words::line;
use super::told;
use crate::suite::outcome::{CaseOutcome, SuiteOutcome, Verdict};

/// GitHub shows so many of a kind from one step.
const SHOWN: usize = 10;

/// A line for each case that did not pass: errors, and warnings for those that cannot be judged; at most as many as are
/// shown, the last of which says how many there are beside. `below`: see [`super::ReportKind::written`].
pub fn annotations(of: &SuiteOutcome, below: &str) -> String {
    let cases = told::not_passed(of);
    let (open, errors): (Vec<&CaseOutcome>, Vec<&CaseOutcome>) =
        cases.into_iter().partition(|case| case.verdict == Verdict::Inconclusive);
    let mut out = commands("error", &errors, below);
    out.push_str(&commands("warning", &open, below));
    if of.cases.is_empty() {
        out.push_str("::error title=retake::no case was run\n");
    }
    out
}

fn commands(level: &str, cases: &[&CaseOutcome], below: &str) -> String {
    let told = if cases.len() > SHOWN { SHOWN - 1 } else { cases.len() };
    let mut out = String::new();
    for case in cases.iter().take(told) {
        let mut text = told::why(case);
        let more = told::plain(case);
        if !more.is_empty() {
            text.push_str(&format!("\n{}", more.trim_end()));
        }
        let at = match case.file.as_str() {
            "" => String::new(),
            file => format!("file={},line={},", property(&format!("{below}{file}")), case.line()),
        };
        let title = property(&format!("{}: {}", told::called(case.verdict), line(&case.name)));
        out.push_str(&format!("::{level} {at}title={title}::{}\n", data(&text)));
    }
    if told < cases.len() {
        let more = cases.len() - told;
        out.push_str(&format!("::{level} title=retake::and {more} more cases; the summary has all\n"));
    }
    out
}

/// The message of a command.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A property of a command.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
