//! A suite in a terminal: a line for each case, and why where one did not pass. Other forms are in rooms of their own.

pub mod github;
pub mod gitlab;
pub mod html;
pub mod junit;
mod kind;
pub mod markdown;
pub mod places;
mod sides;
mod told;

#[cfg(test)]
mod tests;

pub use kind::ReportKind;

use super::heading::command;
use super::style::{Ink, Style};
use super::words::{block, fold, line, many, pad};
use crate::diff::RunView;
use crate::run::StepKind;
use crate::suite::checks::{Judgement, Outcome};
use crate::suite::findings::{Difference, Finding, Severity};
use crate::suite::outcome::{CaseOutcome, SuiteOutcome, Verdict};

/// Where the lines below a case begin.
const INDENT: usize = 8;
/// Findings that are told of a case, unless all are asked for.
const FINDINGS: usize = 6;
/// Lines of what the agent printed, unless all are asked for.
const OUTPUT: usize = 12;
/// The same of one whose request was refused.
const REFUSED_OUTPUT: usize = 3;
/// A difference of one line is no longer than this; the changed part is in it.
const SIDE: usize = 2000;

fn ink(verdict: Verdict) -> Ink {
    match verdict {
        Verdict::Passed => Ink::Good,
        Verdict::Regression | Verdict::Broken => Ink::Bad,
        Verdict::Inconclusive => Ink::Note,
    }
}

fn mark(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "pass",
        Verdict::Regression => "FAIL",
        Verdict::Inconclusive => "OPEN",
        Verdict::Broken => "BROKEN",
    }
}

/// One case. `all`: every finding, and all that the agent printed.
pub fn case(of: &CaseOutcome, all: bool, style: Style) -> String {
    let steps = match (of.replayed, of.steps) {
        (_, 0) => String::new(),
        (replayed, steps) if replayed == steps => many(steps.into(), "step"),
        (replayed, steps) => format!("{replayed}/{steps} steps"),
    };
    let live = if of.live > 0 { many(of.live.into(), "live call") } else { String::new() };
    let drift = of.drift.filter(|_| of.verdict == Verdict::Regression);
    let drift = drift.map(|drift| format!("{} drift", drift.name())).unwrap_or_default();
    let is_as_recorded = of.verdict == Verdict::Passed && of.pending.is_empty();
    let matched = if is_as_recorded { of.matched.clone() } else { String::new() };
    let facts = [steps, matched, live, format!("{:.2} s", of.took_us as f64 / 1e6), drift];
    let facts: Vec<&str> = facts.iter().map(String::as_str).filter(|fact| !fact.is_empty()).collect();
    let (mark, ink) = match of.pending.is_empty() {
        true => (mark(of.verdict), ink(of.verdict)),
        false => ("NEW", Ink::Note),
    };
    let mut out = format!(
        "{} {}   {}\n",
        style.paint(ink, &pad(mark, INDENT - 1)),
        style.paint(Ink::Strong, &line(&of.name)),
        style.paint(Ink::Dim, &facts.join("   "))
    );
    let told: Vec<&Finding> = of.findings.iter().filter(|f| all || f.severity > Severity::Note).collect();
    let passed = of.verdict == Verdict::Passed;
    let judged = matches!(of.verdict, Verdict::Passed | Verdict::Regression);
    if !of.why.is_empty() && (!judged || of.first_error().is_none()) {
        say(&mut out, Ink::Plain, &of.why, style);
    }
    for text in block(&of.excerpt).lines() {
        out.push_str(&format!("{}{}\n", " ".repeat(INDENT + 2), style.paint(Ink::Dim, text)));
    }
    // What does not happen in a run that was cut off says nothing about the agent.
    let told: Vec<&Finding> = told.into_iter().filter(|_| judged || all).collect();
    let most = if all { usize::MAX } else { FINDINGS };
    for finding in told.iter().take(most) {
        out.push_str(&self::finding(finding, style));
    }
    if told.len() > most {
        say(&mut out, Ink::Dim, &format!("and {} more (--verbose shows all)", told.len() - most), style);
    }
    for check in &of.checks {
        out.push_str(&self::check(check, all, style));
    }
    if !of.tools_run.is_empty() && all {
        let tools = of
            .tools_run
            .iter()
            .map(|(name, times)| if *times > 1 { format!("{times}x {name}") } else { name.clone() });
        say(&mut out, Ink::Dim, &format!("ran for real: {}", tools.collect::<Vec<_>>().join(", ")), style);
    }
    if !of.pending.is_empty() {
        let next = format!("what it does now is in {}, next: retake review", of.pending);
        say(&mut out, Ink::Dim, &next, style);
    }
    of.warnings.iter().for_each(|warning| say(&mut out, Ink::Note, warning, style));
    if !passed || all {
        // An agent whose request was refused dies of it, and says so at length.
        let most = if of.miss.is_empty() { OUTPUT } else { REFUSED_OUTPUT };
        out.push_str(&printed(&of.output, if all { usize::MAX } else { most }, style));
    }
    if !passed {
        of.hints.iter().for_each(|hint| say(&mut out, Ink::Dim, &format!("next: {}", line(hint)), style));
    }
    out
}

fn say(out: &mut String, ink: Ink, text: &str, style: Style) {
    for part in fold(&line(text), style.columns().saturating_sub(INDENT)) {
        out.push_str(&format!("{}{}\n", " ".repeat(INDENT), style.paint(ink, &part)));
    }
}

/// A finding, with its smallest difference.
fn finding(of: &Finding, style: Style) -> String {
    let ink = match of.severity {
        Severity::Error if !of.follows => Ink::Bad,
        Severity::Error | Severity::Warning => Ink::Note,
        Severity::Note | Severity::Off => Ink::Dim,
    };
    let step = match (of.step, of.now) {
        (Some(step), _) => format!("step {step}: "),
        (None, Some(now)) => format!("step {now} of this run: "),
        (None, None) => String::new(),
    };
    let follows = if of.follows { "   (may follow from that)" } else { "" };
    let head = format!("{}  {step}{}", style.paint(ink, of.code.name()), line(&of.what));
    let mut out = format!("{}{head}{}\n", " ".repeat(INDENT), style.paint(Ink::Dim, follows));
    for difference in of.difference.iter().chain(&of.more) {
        out.push_str(&sides(difference, style));
    }
    out
}

fn sides(of: &Difference, style: Style) -> String {
    let indent = " ".repeat(INDENT + 2);
    let mut out = String::new();
    if !of.path.is_empty() {
        out.push_str(&format!("{indent}{}\n", style.paint(Ink::Dim, &of.path)));
    }
    for (sign, ink, text) in [("-", Ink::Minus, &of.before), ("+", Ink::Plus, &of.after)] {
        let Some(text) = text else { continue };
        let short: String = as_it_is(text).chars().take(SIDE).collect();
        out.push_str(&format!("{indent}{} {}\n", style.paint(ink, sign), style.paint(ink, &short)));
    }
    out
}

/// A text on one line with all its white space: what differs may be a space.
fn as_it_is(text: &str) -> String {
    let escaped = text.chars().flat_map(|c| match c {
        '\n' | '\t' | '\r' => c.escape_default().collect::<Vec<char>>(),
        c => vec![c],
    });
    let text: String = escaped.collect();
    if line(&text) == text { text } else { format!("{text:?}") }
}

fn check(of: &Judgement, all: bool, style: Style) -> String {
    let (mark, ink, why) = match &of.outcome {
        Outcome::Passed if !all => return String::new(),
        Outcome::Passed => ("holds", Ink::Good, ""),
        Outcome::Failed { what } => ("fails", Ink::Bad, what.as_str()),
        Outcome::Broken { why } => ("cannot be judged", Ink::Note, why.as_str()),
    };
    let mut out =
        format!("{}{}  {}\n", " ".repeat(INDENT), style.paint(ink, &format!("check {mark}")), line(&of.name));
    let mut below = |text: &str| {
        for part in fold(&line(text), style.columns().saturating_sub(INDENT + 2)) {
            out.push_str(&format!("{}{part}\n", " ".repeat(INDENT + 2)));
        }
    };
    if !why.is_empty() {
        below(why);
    }
    if let Some(reason) = of.why.as_ref().filter(|_| of.outcome != Outcome::Passed) {
        below(&format!("why it is asked: {reason}"));
    }
    out
}

/// What the agent printed: its end.
fn printed(output: &str, most: usize, style: Style) -> String {
    let lines: Vec<&str> = output.lines().collect();
    let from = lines.len().saturating_sub(most);
    let mut out = String::new();
    if lines.is_empty() {
        return out;
    }
    say(&mut out, Ink::Dim, if from > 0 { "the agent's last words:" } else { "the agent said:" }, style);
    for text in lines.iter().skip(from) {
        out.push_str(&format!("{}{} {}\n", " ".repeat(INDENT), style.paint(Ink::Dim, "│"), line(text)));
    }
    out
}

/// What an agent does differently now and nobody has accepted yet. `place`: the how manyth of how many; `steps`: before, now.
pub fn pending(
    name: &str,
    (at, of): (usize, usize),
    steps: (usize, usize),
    findings: &[Finding],
    style: Style,
) -> String {
    let count = match steps {
        (before, now) if before == now => many(now as u64, "step"),
        (before, now) => format!("{now} steps, {before} before"),
    };
    let mut out = format!(
        "\n{} {}   {}\n",
        style.paint(Ink::Dim, &pad(&format!("{at}/{of}"), INDENT - 1)),
        style.paint(Ink::Strong, &line(name)),
        style.paint(Ink::Dim, &count)
    );
    findings.iter().for_each(|finding| out.push_str(&self::finding(finding, style)));
    if steps.0 != steps.1 {
        say(
            &mut out,
            Ink::Note,
            "the number of steps differs: retake review shows all of them with [d]iff",
            style,
        );
    } else if findings.is_empty() {
        say(&mut out, Ink::Dim, "nothing differs but ids, clocks and the like", style);
    }
    out
}

/// A run and what checks say of it.
pub fn judged(run: &str, checks: &[Judgement], style: Style) -> String {
    let mut out = format!("{}\n", style.paint(Ink::Strong, run));
    checks.iter().for_each(|check| out.push_str(&self::check(check, true, style)));
    out
}

/// What the suite came to.
pub fn footing(of: &SuiteOutcome, style: Style) -> String {
    let counts = of.counts();
    if of.cases.is_empty() && of.shards.is_empty() {
        return "no case: an empty suite proves nothing (retake test add RUN makes a recorded run one)\n"
            .into();
    }
    let mut parts = vec![(Ink::Good, format!("{} passed", counts.passed))];
    let mut some = |ink, n: usize, text: String| {
        if n > 0 {
            parts.push((ink, text));
        }
    };
    let new = of.cases.iter().filter(|case| !case.pending.is_empty()).count();
    some(Ink::Note, new, format!("{new} of them to be reviewed"));
    some(Ink::Bad, counts.regressions, many(counts.regressions as u64, "regression"));
    some(Ink::Bad, counts.broken, format!("{} broken", counts.broken));
    some(Ink::Note, counts.inconclusive, format!("{} not to be judged", counts.inconclusive));
    some(Ink::Dim, of.left_out, format!("{} left out", of.left_out));
    let live: u32 = of.cases.iter().map(|case| case.live).sum();
    let parts: Vec<String> = parts.iter().map(|(ink, text)| style.paint(*ink, text)).collect();
    let shard = of.shards.first().map(|shard| format!(" of shard {shard}")).unwrap_or_default();
    format!(
        "\n{}{shard}   {}   {}   {:.2} s\n",
        many(of.cases.len() as u64, "case"),
        parts.join("   "),
        many(live.into(), "live call"),
        of.took_us as f64 / 1e6
    )
}

/// A case that was added.
pub struct Added<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its file.
    pub file: &'a str,
    /// The file beside it, when one was written.
    pub beside: Option<String>,
    /// The recorded run.
    pub run: &'a RunView<'a>,
    /// The agent's command, as it is typed.
    pub command: &'a str,
    /// Names of checks, and what each says of the recorded run.
    pub checks: Vec<(String, Outcome)>,
}

/// What a new case asserts.
pub fn added(of: &Added<'_>, style: Style) -> String {
    let mut out = format!(
        "{} {}   from {}\n",
        style.paint(Ink::Good, &pad("added", INDENT + 1)),
        of.file,
        of.run.manifest.id
    );
    let mut say = |text: String| {
        for part in fold(&text, style.columns().saturating_sub(INDENT + 2)) {
            out.push_str(&format!("{}{part}\n", " ".repeat(INDENT + 2)));
        }
    };
    let outline = of.run.outline;
    let models = outline.steps.iter().filter(|step| matches!(step.kind, StepKind::Model { .. })).count();
    let tools = outline.steps.len() - models;
    let calls = many(models as u64, "model call");
    let results = if tools > 0 { format!(", {}", many(tools as u64, "tool result")) } else { String::new() };
    say(format!(
        "asserts: {} asks for the same, up to ids, clocks and what retake.toml lets differ: {calls}{results}",
        of.command
    ));
    let end = of
        .run
        .manifest
        .outcome
        .as_ref()
        .filter(|outcome| outcome.is_told())
        .and_then(|outcome| outcome.exit_code);
    if let Some(code) = end {
        say(format!("asserts: it ends with exit {code}"));
    }
    for (check, outcome) in &of.checks {
        say(match outcome {
            Outcome::Passed => format!("checks:  {check}"),
            Outcome::Failed { what } => {
                format!("checks:  {check}   fails in the recorded run: {}", line(what))
            }
            Outcome::Broken { why } => format!("checks:  {check}   cannot be judged: {}", line(why)),
        });
    }
    if let Some(beside) = &of.beside {
        say(format!("beside:  {beside}"));
    }
    say(format!("next: retake test -k {}", command(&[of.name.to_string()])));
    out
}
