//! Markdown for a comment of a pull request, and for the summary of a job.

use super::super::words::{block, line, many};
use super::told;
use crate::suite::findings::{Finding, Severity};
use crate::suite::outcome::{CaseOutcome, SuiteOutcome, Verdict};

/// The most that GitHub takes as a comment. Counted in bytes, which are never fewer than characters.
pub const COMMENT: usize = 65_536;
/// The most that GitHub takes as the summary of a step, in bytes.
pub const SUMMARY: usize = 1024 * 1024;
/// What the comment of an earlier run is found by.
pub const MARKER: &str = "<!-- retake-report -->";

/// Rows of the table.
const ROWS: usize = 100;
/// Characters of a cell.
const CELL: usize = 200;
/// Findings of a case.
const FINDINGS: usize = 10;
/// Lines of a difference, and of what the agent printed.
const LINES: usize = 40;
/// Characters of a block.
const BLOCK: usize = 4_000;
/// Room for saying what was left out.
const REST: usize = 400;

/// A suite as Markdown of at most so many bytes: verdict, a table of what did not pass, and a fold-out for each of it, as
/// many as there is room for.
pub fn markdown(of: &SuiteOutcome, most: usize) -> String {
    let mark = match of.verdict() {
        Verdict::Passed => "✅",
        Verdict::Inconclusive => "⚠️",
        Verdict::Regression | Verdict::Broken => "❌",
    };
    let mut out =
        format!("{MARKER}\n## {mark} retake: {}\n\n{}\n", told::headline(of), told::facts(of).join(" · "));
    let cases = told::not_passed(of);
    if !cases.is_empty() {
        out.push_str("\n| case | verdict | why |\n| --- | --- | --- |\n");
    }
    let mut told_rows = 0;
    for case in cases.iter().take(ROWS) {
        let row = format!(
            "| {} | {} | {} |\n",
            code(&case.name),
            told::called(case.verdict),
            prose(&told::why(case))
        );
        if out.len() + row.len() + REST > most {
            break;
        }
        out.push_str(&row);
        told_rows += 1;
    }
    if told_rows < cases.len() {
        out.push_str(&format!(
            "\nand {} that did not pass\n",
            many((cases.len() - told_rows) as u64, "more case")
        ));
    }
    let mut left = 0;
    for case in &cases {
        let text = details(case);
        if left > 0 || out.len() + text.len() + REST > most {
            left += 1;
            continue;
        }
        out.push_str(&text);
    }
    if left > 0 {
        out.push_str(&format!(
            "\n_There is no room here for the details of {}: the HTML report and the JUnit file have them._\n",
            many(left, "more case")
        ));
    }
    out
}

fn details(of: &CaseOutcome) -> String {
    let mut out = format!(
        "\n<details>\n<summary>{} {}: {}</summary>\n\n",
        code(&of.name),
        told::called(of.verdict),
        prose(&told::case_facts(of))
    );
    let counts = of.findings.iter().filter(|finding| finding.severity > Severity::Note).count();
    for finding in of.findings.iter().filter(|finding| finding.severity > Severity::Note).take(FINDINGS) {
        out.push_str(&self::finding(finding));
    }
    if counts > FINDINGS {
        out.push_str(&format!("and {}\n\n", many((counts - FINDINGS) as u64, "more finding")));
    }
    if counts == 0 {
        out.push_str(&format!("{}\n\n", prose(&told::why(of))));
    }
    if !of.excerpt.is_empty() {
        out.push_str(&fenced("text", &of.excerpt));
    }
    for (check, (word, why)) in of.checks.iter().filter_map(|check| Some((check, told::failed(check)?))) {
        out.push_str(&format!("**check {word}** {}: {}\n\n", code(&check.name), prose(&why)));
    }
    if !of.miss.is_empty() {
        out.push_str(&fenced("text", &of.miss));
    }
    for warning in &of.warnings {
        out.push_str(&format!("warning: {}\n\n", prose(warning)));
    }
    if !of.output.is_empty() {
        let lines: Vec<&str> = of.output.lines().collect();
        let last = lines.get(lines.len().saturating_sub(LINES)..).unwrap_or_default().join("\n");
        out.push_str(&format!("the agent's last words:\n\n{}", fenced("text", &last)));
    }
    for hint in told::hints(of) {
        out.push_str(&format!("next: {}\n\n", prose(hint)));
    }
    out.push_str("</details>\n");
    out
}

fn finding(of: &Finding) -> String {
    let follows = if of.follows { " (may follow from that)" } else { "" };
    let mut out = format!("**{}** {}{follows}\n\n", of.code, prose(&told::sentence(of)));
    for difference in told::differences(of) {
        if !difference.path.is_empty() {
            out.push_str(&format!("{}\n\n", code(&difference.path)));
        }
        out.push_str(&fenced("diff", &told::diff(difference, LINES)));
    }
    out
}

/// A block that nothing in it ends: its fence is longer than any run of backticks in the text.
fn fenced(language: &str, text: &str) -> String {
    let text = block(text.trim_end());
    let text = match text.char_indices().nth(BLOCK) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text,
    };
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}{language}\n{text}\n{fence}\n\n")
}

/// Other people's text as code on one line. In `<code>` nobody is mentioned and no issue is linked.
fn code(text: &str) -> String {
    format!("<code>{}</code>", entities(&short(text)))
}

/// Other people's words in a sentence: no markup, no mention, no link.
fn prose(text: &str) -> String {
    // A space of no width parts the sign from the name behind it, as is usual in comments made by programs.
    let text = entities(&short(text)).replace("&#35;", "&#35;&#8203;");
    text.replace('@', "@&#8203;").replace("://", ":&#8203;//")
}

fn short(text: &str) -> String {
    let text = line(text);
    match text.char_indices().nth(CELL) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text,
    }
}

/// Every character that means something to Markdown or HTML, as an entity.
fn entities(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' | '<' | '>' | '"' | '|' | '`' | '*' | '_' | '[' | ']' | '\\' | '~' | '#' | '!' | '$' => {
                out.push_str(&format!("&#{};", c as u32));
            }
            c => out.push(c),
        }
    }
    out
}
