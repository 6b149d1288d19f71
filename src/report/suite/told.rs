//! What all reports say in the same words.

use super::super::words::{block, line, many};
use super::sides::{Row, rows};
use crate::suite::checks::{Judgement, Outcome};
use crate::suite::findings::{Difference, Finding, Severity};
use crate::suite::outcome::{CaseOutcome, SuiteOutcome, Verdict};

/// Lines of one difference in plain text.
const LINES: usize = 60;

/// What the suite came to in one line: `1 regression, 3 passed`.
pub(super) fn headline(of: &SuiteOutcome) -> String {
    let counts = of.counts();
    let mut parts = Vec::new();
    let mut some = |n: usize, text: String| {
        if n > 0 {
            parts.push(text);
        }
    };
    some(counts.regressions, many(counts.regressions as u64, "regression"));
    some(counts.broken, format!("{} broken", counts.broken));
    some(counts.inconclusive, format!("{} not to be judged", counts.inconclusive));
    some(counts.passed, format!("{} passed", counts.passed));
    match parts.is_empty() {
        true => "no case was run".into(),
        false => parts.join(", "),
    }
}

/// `3 cases`, with what was left out, the shard and the time.
pub(super) fn facts(of: &SuiteOutcome) -> Vec<String> {
    let mut facts = vec![many(of.cases.len() as u64, "case")];
    if of.left_out > 0 {
        facts.push(format!("{} left out", of.left_out));
    }
    match of.shards.as_slice() {
        [] => {}
        [one] => facts.push(format!("shard {one}")),
        several => facts.push(format!("shards {}", several.join(", "))),
    }
    let live: u32 = of.cases.iter().map(|case| case.live).sum();
    facts.push(many(live.into(), "live call"));
    facts.push(seconds(of.took_us));
    facts
}

/// `0.08 s`.
pub(super) fn seconds(us: u64) -> String {
    format!("{:.2} s", us as f64 / 1e6)
}

/// How a verdict is called where a person reads it.
pub(super) fn called(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Inconclusive => "not judged",
        other => other.word(),
    }
}

/// Cases that did not pass: regressions, then what is broken, then what is open.
pub(super) fn not_passed(of: &SuiteOutcome) -> Vec<&CaseOutcome> {
    let rank = |verdict| match verdict {
        Verdict::Regression => 0,
        Verdict::Broken => 1,
        Verdict::Inconclusive => 2,
        Verdict::Passed => 3,
    };
    let mut cases: Vec<&CaseOutcome> =
        of.cases.iter().filter(|case| case.verdict != Verdict::Passed).collect();
    cases.sort_by_key(|case| rank(case.verdict));
    cases
}

/// Why, in one line; never empty for a case that did not pass.
pub(super) fn why(of: &CaseOutcome) -> String {
    let why = line(&of.why);
    match (why.is_empty(), of.verdict) {
        (false, _) => why,
        (true, Verdict::Passed) => String::new(),
        (true, verdict) => called(verdict).into(),
    }
}

/// `step 7: issue_refund is called with another amount_usd`.
pub(super) fn sentence(of: &Finding) -> String {
    let what = line(&of.what);
    match (of.step, of.now) {
        (Some(step), _) => format!("step {step}: {what}"),
        (None, Some(now)) => format!("step {now} of this run: {what}"),
        (None, None) => what,
    }
}

/// What is told of a check: its word and why; none when it holds.
pub(super) fn failed(of: &Judgement) -> Option<(&'static str, String)> {
    match &of.outcome {
        Outcome::Passed => None,
        Outcome::Failed { what } => Some(("fails", line(what))),
        Outcome::Broken { why } => Some(("cannot be judged", line(why))),
    }
}

/// Differences of a finding, the smallest first.
pub(super) fn differences(of: &Finding) -> impl Iterator<Item = &Difference> {
    of.difference.iter().chain(&of.more)
}

/// Steps, live calls and time of a case.
pub(super) fn case_facts(of: &CaseOutcome) -> String {
    let mut facts = match (of.replayed, of.steps) {
        (_, 0) => Vec::new(),
        (replayed, steps) if replayed == steps => vec![many(steps.into(), "step")],
        (replayed, steps) => vec![format!("{replayed}/{steps} steps")],
    };
    if of.live > 0 {
        facts.push(many(of.live.into(), "live call"));
    }
    if let Some(drift) = of.drift.filter(|_| of.verdict == Verdict::Regression) {
        facts.push(format!("{} drift", drift.name()));
    }
    facts.push(seconds(of.took_us));
    facts.join(", ")
}

/// All that there is to say of a case, as plain text, without what the agent printed.
pub(super) fn plain(of: &CaseOutcome) -> String {
    let mut out = String::new();
    if !of.excerpt.is_empty() {
        out.push_str(&format!("{}\n", block(&of.excerpt)));
    }
    for finding in of.findings.iter().filter(|f| f.severity > Severity::Note) {
        let follows = if finding.follows { " (may follow from that)" } else { "" };
        out.push_str(&format!(
            "{} ({})  {}{follows}\n",
            finding.code,
            finding.severity.name(),
            sentence(finding)
        ));
        for difference in differences(finding) {
            if !difference.path.is_empty() {
                out.push_str(&format!("  {}\n", line(&difference.path)));
            }
            for row in rows(difference, LINES) {
                out.push_str(&format!("  {}\n", row.plain()));
            }
        }
    }
    for (check, (word, why)) in of.checks.iter().filter_map(|check| Some((check, failed(check)?))) {
        out.push_str(&format!("check {word} ({})  {}\n  {why}\n", check.severity.name(), line(&check.name)));
        if let Some(reason) = &check.why {
            out.push_str(&format!("  why it is asked: {}\n", line(reason)));
        }
    }
    if !of.miss.is_empty() {
        out.push_str(&format!("{}\n", block(of.miss.trim_end())));
    }
    of.warnings.iter().for_each(|warning| out.push_str(&format!("warning: {}\n", line(warning))));
    hints(of).for_each(|hint| out.push_str(&format!("next: {}\n", line(hint))));
    out
}

/// What to do next, unless the explanation of a miss has said it.
pub(super) fn hints(of: &CaseOutcome) -> impl Iterator<Item = &String> {
    of.hints.iter().filter(|_| of.miss.is_empty())
}

/// A difference as the lines of a diff, without colors.
pub(super) fn diff(of: &Difference, most: usize) -> String {
    rows(of, most).iter().map(Row::plain).collect::<Vec<_>>().join("\n")
}
