//! What differs between two runs, which mutants went unnoticed, and whether the outcome depends on order: `retake doctor`.

use super::lines::Lines;
use super::style::{Ink, Style};
use super::table::{Cell, Column, table};
use super::words::{self, clip, line, many};
use crate::diff::excerpt;
use crate::replay::doctor::{Comparison, Copes, Count, Finding, Mutations, Source};
use serde::Serialize;

/// Findings of one source, and silent mutants, that are told in full.
const SHOWN: usize = 12;

/// Two runs, compared.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Examined {
    /// The recording.
    pub run: String,
    /// The second recording; none when it was replayed.
    pub second: Option<String>,
    /// What differs.
    #[serde(flatten)]
    pub comparison: Comparison,
    /// Why the replay ended early, as at a fence.
    pub stopped: Option<String>,
    /// How to go on from there.
    pub go_on: Option<String>,
    /// Tools that ran again for real and sound as if they changed something.
    pub risky: Vec<String>,
    /// True when the recordings made for this are gone.
    pub discarded: bool,
    /// Other things to be known, one line each.
    pub warnings: Vec<String>,
}

/// Replays of one recording in several orders.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Shuffles {
    /// The recording.
    pub run: String,
    /// How often it was replayed.
    pub replays: u32,
    /// The seed of the orders.
    pub seed: u64,
    /// How many different orders came out.
    pub orders: u32,
    /// What came of them, the first seen first.
    pub outcomes: Vec<OrderOutcome>,
    /// Why the first of those that ended early did, as at a fence.
    pub stopped: Option<String>,
    /// How to go on from there.
    pub go_on: Option<String>,
    /// True when the agent printed something else from time to time, and order was not the reason.
    pub prints_otherwise: bool,
    /// How long it took, in microseconds.
    pub took_us: u64,
}

/// One outcome of replays in several orders.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OrderOutcome {
    /// How it ended: `exit 0`, and what went wrong on the way; `stopped at the fence before order`.
    pub ended: String,
    /// The first request that nothing recorded was right for.
    pub miss: Option<String>,
    /// The beginning of what the agent printed, where that is all that differs.
    pub printed: Option<String>,
    /// True for the outcome of the recording: the recorded exit code, no miss, every step asked for.
    pub as_recorded: bool,
    /// How many replays came to it.
    pub replays: u32,
    /// Steps in the order in which the first of them was answered.
    pub order: Vec<u32>,
}

/// The report on two runs.
pub fn examined(done: &Examined, style: Style) -> String {
    let c = &done.comparison;
    let stops = c.findings.iter().filter(|f| f.copes == Copes::No).count() as u64;
    let whole = done
        .second
        .as_ref()
        .map_or(format!("{} and a replay of it", done.run), |two| format!("{} and {two}", done.run));
    let verdict = match (c.findings.len() as u64, stops) {
        (0, _) if done.stopped.is_some() => (Ink::Good, "nothing differs so far".to_string()),
        (0, _) => (Ink::Good, "nothing differs".to_string()),
        (n, 0) => (
            Ink::Good,
            format!(
                "{}; a replay copes with {}",
                many(n, "difference"),
                if n == 1 { "it" } else { "all of them" }
            ),
        ),
        (n, stops) if n == stops => (Ink::Bad, format!("{} that a replay stops at", many(n, "difference"))),
        (n, stops) => (Ink::Bad, format!("{}; a replay stops at {stops} of them", many(n, "difference"))),
    };
    let facts = [
        (Ink::Strong, whole),
        (Ink::Plain, format!("{} compared", many(c.compared.into(), "model call"))),
        verdict,
    ];
    let ink = if stops > 0 { Ink::Bad } else { Ink::Good };
    let mut lines = Lines::new(style, "examined", ink, &facts);
    if let Some(by) = &done.stopped {
        lines.say(
            Ink::Note,
            &format!("the replay was stopped {}: what comes after was not compared", line(by)),
        );
        done.go_on.iter().for_each(|how| lines.say(Ink::Note, how));
    }
    if c.not_compared > 0 {
        let calls = many(c.not_compared.into(), "model call");
        lines.say(
            Ink::Note,
            &format!(
                "{calls} of {} not compared: {}",
                done.second.as_deref().unwrap_or("the replay"),
                match done.second {
                    Some(_) => "they follow from another answer of the model",
                    None => "they follow from a request that got no answer",
                }
            ),
        );
    }
    done.warnings.iter().for_each(|w| lines.say(Ink::Note, &format!("warning: {}", line(w))));
    let mut out = lines.out();
    let mut offered: Vec<&str> = Vec::new();
    for source in [
        Source::Prompt,
        Source::ToolResult,
        Source::Request,
        Source::Outcome,
        Source::Sampling,
        Source::Order,
    ] {
        let own: Vec<&Finding> = c.findings.iter().filter(|f| f.source == source).collect();
        if own.is_empty() {
            continue;
        }
        out.push_str(&format!("\n{}\n", style.paint(Ink::Strong, title(source))));
        own.iter().take(SHOWN).for_each(|f| finding(&mut out, f, &mut offered, style));
        if own.len() > SHOWN {
            out.push_str(&format!("  and {} more (--json shows them)\n", own.len() - SHOWN));
        }
    }
    out.push_str(&ending(done, stops > 0, style));
    out
}

fn title(source: Source) -> &'static str {
    match source {
        Source::Sampling => "model sampling: the same request, another answer",
        Source::ToolResult => "tool results: the same call, another result",
        Source::Prompt => "prompt: a clock, an id or other text that changes",
        Source::Order => "order: the same calls, one before the other",
        Source::Request => "other requests",
        Source::Outcome => "outcome",
    }
}

fn copes(f: &Finding) -> (&'static str, Ink, &'static str) {
    match f.copes {
        Copes::No => ("STOPS", Ink::Bad, ""),
        Copes::Recorded => ("copes", Ink::Good, "a replay serves the recorded answer"),
        Copes::Matched if f.source == Source::Order => ("copes", Ink::Good, "a replay does not go by order"),
        Copes::Matched => ("copes", Ink::Good, "the same to a replay"),
        Copes::Renamed => ("copes", Ink::Good, "today's value stands for it"),
        Copes::Pinned => ("copes", Ink::Good, "pinned to the recorded result"),
        Copes::Masked => ("copes", Ink::Good, "under a rule of retake.toml"),
        Copes::Reordered => ("copes", Ink::Good, "the same lines in another order"),
    }
}

const LEAD: usize = 9;

/// `offered`: rules that stand above already; each is to be pasted once.
fn finding<'f>(out: &mut String, f: &'f Finding, offered: &mut Vec<&'f str>, style: Style) {
    let (word, ink, how) = copes(f);
    let steps = match f.steps.as_slice() {
        [] => String::new(),
        [one] => format!("step {one}   "),
        many => format!("steps {}   ", words::ranges(many)),
    };
    let place = match &f.tool {
        Some(tool) if f.path.is_empty() => line(tool),
        Some(tool) => format!("{}.{}", line(tool), line(&f.path)),
        None => line(&f.path),
    };
    let kind =
        f.kind.map(|k| k.words()).filter(|k| *k != "text").map(|k| format!("{k} in ")).unwrap_or_default();
    let what = match (f.source, place.is_empty()) {
        (Source::Order, _) => place,
        (Source::Request, true) if f.live.is_empty() => "never asked for again".to_string(),
        (Source::Request, true) if f.recorded.is_empty() => {
            "a request that the recording does not have".to_string()
        }
        (Source::Sampling, _) => String::new(),
        _ => format!("{kind}{place}"),
    };
    let how = if how.is_empty() { String::new() } else { format!("   {}", style.paint(Ink::Dim, how)) };
    let head = format!("{steps}{what}");
    out.push_str(
        format!("  {}{}{how}", style.paint(ink, &words::pad(word, LEAD - 2)), head.trim_end()).trim_end(),
    );
    out.push('\n');
    let indent = " ".repeat(LEAD);
    let room = style.columns().saturating_sub(LEAD + 2);
    let (l, r) = excerpt::differing(&line(&f.recorded), &line(&f.live), room);
    for (sign, ink, text) in [('-', Ink::Minus, l), ('+', Ink::Plus, r)] {
        if !text.is_empty() {
            out.push_str(&format!(
                "{indent}{}\n",
                style.paint(ink, &format!("{sign} {}", clip(&text, room)))
            ));
        }
    }
    if let Some(why) = f.why.as_ref().filter(|_| f.paste.is_none()) {
        out.push_str(&format!("{indent}{}\n", clip(&line(why), room)));
    }
    if let Some(paste) = &f.paste {
        if offered.contains(&paste.as_str()) {
            out.push_str(&format!("{indent}  {}\n", style.paint(Ink::Dim, "the rule above takes it too")));
            return;
        }
        offered.push(paste);
        for text in paste.trim_end().lines() {
            // Whole, however long: it is to be copied.
            out.push_str(&format!("{indent}  {}\n", style.paint(Ink::Note, text)));
        }
    }
}

fn ending(done: &Examined, stops: bool, style: Style) -> String {
    let mut out = String::from("\n");
    let mut say = |text: &str| {
        for part in words::fold(text, style.columns()) {
            out.push_str(&format!("{part}\n"));
        }
    };
    let rules = done.comparison.findings.iter().any(|f| f.paste.is_some());
    if rules {
        say(
            "Paste what is indented above into retake.toml, next to where the agent is started, and ask again. A rule that takes too much hides a change: retake doctor RUN --mutate says whether one does.",
        );
    } else if stops {
        say("No rule would be right for these: record again when the agent has changed on purpose.");
    }
    if !done.risky.is_empty() {
        let tools: Vec<String> = done.risky.iter().map(|t| line(t)).collect();
        let fences: Vec<String> = tools.iter().map(|t| format!("--fence{}{t}", words::GLUE)).collect();
        say(&format!(
            "warning: {} ran for real in your process. Use {} to stop before.",
            tools.join(", "),
            fences.join(" ")
        ));
    }
    match &done.second {
        Some(second) if !done.discarded => {
            let (one, more) = (&done.run, &done.comparison);
            let next = if more.not_compared > 0 {
                format!("retake doctor {one}   (a replay: its answers are the recorded ones)")
            } else {
                format!("retake doctor {one} --mutate")
            };
            say(&format!("kept as {one} and {second} (--discard removes them)   next: {next}"));
        }
        _ => {}
    }
    if out == "\n" { String::new() } else { out }
}

/// The report on mutants.
pub fn mutations(run: &str, done: &Mutations, seed: u64, style: Style) -> String {
    let total = done.total();
    let verdict = match total.silent {
        0 if total.mutants == 0 => (Ink::Bad, "nothing could be changed".to_string()),
        0 => (Ink::Good, "none served as if nothing had changed".to_string()),
        n => (Ink::Bad, format!("{n} SERVED as if nothing had changed")),
    };
    let of = if done.mutated < done.turns {
        format!(" (of {}, seed {seed})", words::count(done.turns.into()))
    } else {
        String::new()
    };
    let facts = [
        (Ink::Strong, run.to_string()),
        (
            Ink::Plain,
            format!(
                "{} of {}{of}",
                many(total.mutants.into(), "mutant"),
                many(done.mutated.into(), "model call")
            ),
        ),
        verdict.clone(),
    ];
    let mut lines = Lines::new(style, "mutated", verdict.0, &facts);
    if !done.unanswered.is_empty() {
        let steps = words::ranges(&done.unanswered);
        lines.say(Ink::Note, &format!("not changed: step {steps}, which the recording does not answer even as it is (retake doctor {run})"));
    }
    let mut out = lines.out();
    let cells = |name: &str, count: &Count| {
        let number = |n: u32, ink: Ink| Cell::new(if n > 0 { ink } else { Ink::Dim }, words::count(n.into()));
        vec![
            Cell::plain(name),
            number(count.mutants, Ink::Plain),
            number(count.noticed, Ink::Good),
            number(count.pinned, Ink::Note),
            number(count.renamed, Ink::Note),
            number(count.masked, Ink::Note),
            number(count.silent, Ink::Bad),
        ]
    };
    let mut rows: Vec<Vec<Cell>> =
        done.by_leaf.iter().map(|(leaf, count)| cells(leaf.words(), count)).collect();
    if rows.len() > 1 {
        rows.push(cells("all", &total));
    }
    let columns = [
        Column::left("changed"),
        Column::right("mutants"),
        Column::right("noticed"),
        Column::right("pinned"),
        Column::right("renamed"),
        Column::right("masked"),
        Column::right("silent"),
    ];
    out.push_str(&format!("\n{}", table(&columns, &rows, style)));
    let legend = [
        (total.pinned, "pinned: another result of the same call; a replay serves on and reports it"),
        (total.renamed, "renamed: taken for an id or a clock, which may differ from run to run"),
        (total.masked, "masked: a parameter that a rule of retake.toml names"),
    ];
    let told: Vec<&str> = legend.iter().filter(|(n, _)| *n > 0).map(|(_, text)| *text).collect();
    if !told.is_empty() {
        out.push_str(&format!("\n{}\n", told.join("\n")));
    }
    if !done.silent.is_empty() {
        out.push_str(&format!("\n{}\n", style.paint(Ink::Bad, "served as if nothing had changed")));
    }
    for silent in done.silent.iter().take(SHOWN) {
        let step = silent.step.map(|s| format!("step {s}   ")).unwrap_or_default();
        let class = format!("{:?}", silent.class).to_lowercase();
        let text = format!(
            "{step}{} {}   {} -> {}   ({class})",
            silent.leaf.words(),
            line(&silent.path),
            line(&silent.recorded),
            line(&silent.live)
        );
        out.push_str(&format!("  {}\n", clip(&text, style.columns().saturating_sub(2))));
    }
    if done.silent.len() > SHOWN {
        out.push_str(&format!("  and {} more (--json shows them)\n", done.silent.len() - SHOWN));
    }
    if !done.silent.is_empty() {
        out.push_str(
            "\nA rule of retake.toml takes more than it should: name its path or its pattern more closely.\n",
        );
    }
    out
}

/// The report on replays in several orders.
pub fn shuffles(done: &Shuffles, style: Style) -> String {
    let good = done.outcomes.len() == 1 && done.outcomes.iter().all(|o| o.as_recorded);
    let verdict = match (done.outcomes.len(), good) {
        (1, true) if done.stopped.is_some() => {
            (Ink::Good, "up to the fence, the outcome does not depend on order".to_string())
        }
        (1, true) => (Ink::Good, "the outcome does not depend on order".to_string()),
        (1, false) => (Ink::Bad, "the same outcome each time, but not the recorded one".to_string()),
        (n, _) => (Ink::Bad, format!("{n} outcomes: the outcome DEPENDS ON ORDER")),
    };
    let facts = [
        (Ink::Strong, done.run.clone()),
        (
            Ink::Plain,
            format!("{} in {}", many(done.replays.into(), "replay"), many(done.orders.into(), "order")),
        ),
        (Ink::Plain, words::seconds(done.took_us)),
        verdict.clone(),
    ];
    let mut lines = Lines::new(style, "shuffled", verdict.0, &facts);
    if let Some(by) = &done.stopped {
        lines.say(Ink::Note, &format!("stopped {}: what comes after was not tried", line(by)));
        done.go_on.iter().for_each(|how| lines.say(Ink::Note, how));
    }
    if done.orders == 1 && done.replays > 1 {
        lines.say(Ink::Dim, "no two requests were open at the same time: there is only one order");
    }
    if done.prints_otherwise {
        lines.say(
            Ink::Dim,
            "what it printed differs from replay to replay, also in the same order: a clock or an id",
        );
    }
    if good {
        return lines.out();
    }
    let mut out = lines.out();
    for outcome in &done.outcomes {
        let ink = if outcome.as_recorded { Ink::Good } else { Ink::Bad };
        let recorded = if outcome.as_recorded { ", as recorded" } else { "" };
        out.push_str(&format!(
            "\n  {}   {}\n",
            style.paint(ink, &format!("{}{recorded}", line(&outcome.ended))),
            many(outcome.replays.into(), "replay")
        ));
        let steps: Vec<String> = outcome.order.iter().map(u32::to_string).collect();
        let room = style.columns().saturating_sub(11);
        let mut say = |label: &str, text: &str| {
            out.push_str(&format!(
                "    {} {}\n",
                style.paint(Ink::Dim, &format!("{label:<7}")),
                clip(text, room)
            ))
        };
        say("order", &steps.join(" "));
        if let Some(miss) = &outcome.miss {
            say("because", &line(miss));
        }
        if let Some(printed) = &outcome.printed {
            say("printed", &line(printed));
        }
    }
    out.push_str(&format!(
        "\nthe same orders again: retake doctor {} --shuffle {} --seed {}\n",
        done.run, done.replays, done.seed
    ));
    out
}
