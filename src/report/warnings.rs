//! What is to be known of a replay or a fork beside its outcome: results that were pinned, stale or sent as they are, steps
//! that were never asked for.

use super::lines::Lines;
use super::results::SentAsIs;
use super::style::Ink;
use super::tool_results::{self, ToolResults};
use super::words::{self, line};

/// Other things to be known, one line each.
pub(super) fn others(lines: &mut Lines, ink: Ink, warnings: &[String]) {
    warnings.iter().for_each(|warning| lines.say(ink, &format!("warning: {}", line(warning))));
}

/// `pinned 1 tool result: step 7 check_fraud (checked_at, trace differ: clock, id)`; a warning when it is not only ids
/// or clocks.
///
/// What differs in nothing but today's ids and clocks is no pin: `today` says what became of it.
pub(super) fn pinned(lines: &mut Lines, pinned: &[ToolResults], today: &str) {
    let (renamed, pinned): (Vec<ToolResults>, Vec<ToolResults>) =
        pinned.iter().cloned().partition(|results| results.renamed);
    stand_ins(lines, &pinned);
    if !renamed.is_empty() {
        let lead = format!("{today} {}", tool_results::counted(&renamed));
        tool_results::say(lines, Ink::Dim, &lead, &renamed);
    }
}

fn stand_ins(lines: &mut Lines, pinned: &[ToolResults]) {
    if pinned.is_empty() {
        return;
    }
    let changed: Vec<&ToolResults> = pinned.iter().filter(|results| !results.varies()).collect();
    let (ink, warning) = if !changed.is_empty() { (Ink::Bad, "warning: ") } else { (Ink::Note, "") };
    tool_results::say(lines, ink, &format!("{warning}pinned {}", tool_results::counted(pinned)), pinned);
    let tools: Vec<String> = changed.iter().map(|results| line(&results.tool)).collect();
    match tools.as_slice() {
        [] => {}
        [tool] => {
            lines.say(
                ink,
                &format!("  the model was shown the recorded result of {tool}; has {tool} changed?"),
            );
        }
        [all @ .., last] => lines.say(
            ink,
            &format!(
                "  the model was shown the recorded results of {} and {last}; have these tools changed?",
                all.join(", ")
            ),
        ),
    }
}

/// Tool results that the live model was sent as they are, by the reason.
pub(super) fn sent_as_is(lines: &mut Lines, sent: &SentAsIs) {
    let calls = |all: &[ToolResults]| tool_results::calls(all);
    let mut say = |ink: Ink, lead: String, all: &[ToolResults]| {
        if !all.is_empty() {
            tool_results::say(lines, ink, &lead, all);
        }
    };
    let lead = format!("tool results that changed by the edit, sent as they are ({})", calls(&sent.by_edit));
    say(Ink::Note, lead, &sent.by_edit);
    let lead = format!(
        "stale, after a write that is not as recorded: {} sent as {}",
        tool_results::counted(&sent.after_write),
        if calls(&sent.after_write) == 1 { "it is" } else { "they are" }
    );
    say(Ink::Note, lead, &sent.after_write);
    let lead = format!("not pinned, as asked (--unpin), sent as they are ({})", calls(&sent.unwanted));
    say(Ink::Note, lead, &sent.unwanted);
    let why = sent.why_unknown.as_ref().map(|why| format!(" ({})", line(why))).unwrap_or_default();
    let lead = format!(
        "tool results that differ, sent as they are; whether by the edit is not known{why} ({})",
        calls(&sent.unknown)
    );
    say(Ink::Note, lead, &sent.unknown);
}

/// `steps 3, 5`.
pub(super) fn unasked_numbers(steps: &[(u32, String)]) -> String {
    let numbers: Vec<u32> = steps.iter().map(|(n, _)| *n).collect();
    format!("step{} {}", if numbers.len() > 1 { "s" } else { "" }, words::ranges(&numbers))
}

/// The steps that were not asked for. `is_said`: their numbers stand above.
pub(super) fn unasked(lines: &mut Lines, steps: &[(u32, String)], is_said: bool) {
    if steps.is_empty() {
        return;
    }
    if !is_said {
        lines.say(Ink::Bad, &format!("never asked for: {} of the recording", unasked_numbers(steps)));
    }
    let numbers: Vec<u32> = steps.iter().map(|(n, _)| *n).collect();
    let wide = numbers.iter().take(3).map(|n| n.to_string().len()).max().unwrap_or(0);
    for (number, text) in steps.iter().take(3) {
        let room = lines.columns().saturating_sub(14 + wide);
        lines.say(Ink::Plain, &format!("  {number:>wide$}  {}", words::clip(&line(text), room)));
    }
}
