//! What runs used, and what they did over and over: what `retake stats` prints.

use super::style::{Ink, Style};
use super::table::{Cell, Column, table};
use super::words::{self, clip, count, line, many};
use crate::stats::{Calls, Stats};
use std::collections::BTreeMap;

/// A line that is narrower has no room for all columns.
const WIDE: usize = 100;
/// So many findings of a kind are shown.
const SHOWN: usize = 12;
/// Columns of a tool's arguments.
const ARGS: usize = 48;

/// Figures as tables, then findings.
pub fn stats(stats: &Stats, style: Style) -> String {
    let total = &stats.total;
    let mut facts = vec![
        many(stats.runs.into(), "run"),
        many(total.calls.into(), "model call"),
        words::spent(total.usage.input, total.usage.output, total.calls),
    ];
    if total.calls > 0 {
        facts.push(format!("cost {}", line(&total.cost.to_string())));
    }
    let mut out = String::new();
    for part in words::fold(&facts.join("   "), style.columns()) {
        out.push_str(&format!("{}\n", style.paint(Ink::Strong, &part)));
    }
    calls(&mut out, "model", &stats.models, style);
    let mut agents = stats.agents.clone();
    if let Some(unnamed) = &stats.unnamed {
        // Lanes are numbered run by run: those of several runs are nobody's.
        agents.insert(format!("no name ({})", many(unnamed.lanes.into(), "lane")), unnamed.calls.clone());
    }
    calls(&mut out, "agent", &agents, style);
    calls(&mut out, "tool", &stats.tools, style);
    if stats.tools.values().any(|calls| calls.latency.at_most) {
        out.push_str(&style.paint(Ink::Note, "<  at most: seen when the agent sent the result on"));
        out.push('\n');
    }
    if total.cost.is_partial() {
        out.push_str(&partial_footing(style));
    }
    let stuck = stats.stuck.iter().map(|stuck| {
        let tools: Vec<String> = stuck.tools.iter().map(|tool| line(tool)).collect();
        let (from, to) = stuck.steps;
        let what =
            format!("{} {} times in a row, same arguments, same result", tools.join(" + "), stuck.times);
        (format!("{}@{from}-{to}", stuck.run), lane(&what, &stuck.lane))
    });
    found(&mut out, "no progress", stuck.collect(), style);
    let repeated = stats.repeated.iter().map(|again| {
        let times = again.steps.len();
        let steps: Vec<String> = again.steps.iter().take(6).map(u32::to_string).collect();
        let more = if times > steps.len() { ",…" } else { "" };
        let what = match again.is_model {
            true => format!("{} asked the same {times} times", line(&again.name)),
            false => format!("{} {times} times with {}", line(&again.name), clip(&line(&again.args), ARGS)),
        };
        (format!("{}@{}{more}", again.run, steps.join(",")), what)
    });
    found(&mut out, "repeated", repeated.collect(), style);
    let breaks = stats.breaks.iter().map(|at| {
        let texts =
            at.text.as_ref().map(|(before, now)| format!(": …{}… is now …{}…", line(before), line(now)));
        let read = at.read.map(|(read, cached)| format!(" ({} of {} cached)", count(cached), count(read)));
        let what = format!("{}{}", line(&at.what.join(", ")), read.unwrap_or_default());
        (format!("{}@{}", at.run, at.step), format!("{}{}", lane(&what, &at.lane), texts.unwrap_or_default()))
    });
    found(&mut out, "prompt cache broken by", breaks.collect(), style);
    let mut grown: Vec<_> = stats.growth.iter().collect();
    grown.sort_by_key(|growth| std::cmp::Reverse(growth.last.saturating_sub(growth.first)));
    let growth = grown.into_iter().map(|growth| {
        let factor = growth.factor.map(|factor| format!(", x{factor:.1}")).unwrap_or_default();
        let (first, last) = (count(growth.first), count(growth.last));
        let turns = many(growth.turns.into(), "turn");
        (growth.run.clone(), lane(&format!("{first} -> {last} tokens{factor} in {turns}"), &growth.lane))
    });
    found(&mut out, "context grew", growth.collect(), style);
    out
}

/// A line below sums of which some lack a part.
pub fn partial_footing(style: Style) -> String {
    format!(
        "{}\n",
        style.paint(Ink::Note, "+  some calls have no price: [prices.\"MODEL\"] in retake.toml gives one")
    )
}

/// What was found, with the lane where it is not the only one one thinks of.
fn lane(what: &str, lane: &str) -> String {
    if lane == "main" { what.into() } else { format!("{what} ({})", line(lane)) }
}

fn calls(out: &mut String, title: &'static str, kinds: &BTreeMap<String, Calls>, style: Style) {
    if kinds.is_empty() {
        return;
    }
    let is_wide = style.columns() >= WIDE;
    let none = |number: u64| if number == 0 { String::new() } else { count(number) };
    let mut columns = vec![
        Column::flexible(title),
        Column::right("calls"),
        Column::right("failed"),
        Column::right("retried"),
        Column::right("tokens"),
        Column::right("cached"),
        Column::right("cost"),
        Column::right("p50"),
        Column::right("p95"),
    ];
    if is_wide {
        columns.push(Column::right("p99"));
    }
    let mut sorted: Vec<(&String, &Calls)> = kinds.iter().collect();
    sorted.sort_by_key(|(name, calls)| (std::cmp::Reverse(calls.usage.input + calls.usage.output), *name));
    let rows = sorted.iter().map(|(name, calls)| {
        let usage = &calls.usage;
        let asked = calls.cost.priced > 0 || calls.cost.is_unknown();
        let tokens = match (usage.input, usage.output) {
            (0, 0) if asked => "n/a".into(),
            (0, 0) => String::new(),
            (input, output) => words::tokens(input, output),
        };
        let sign = if calls.latency.at_most { "< " } else { "" };
        let time =
            |us: Option<u64>| us.map(|us| format!("{sign}{}", words::duration(us))).unwrap_or_default();
        let failed = Cell::new(Ink::Bad, none(calls.errors.into()));
        let mut cells = vec![
            Cell::plain(line(name)),
            Cell::plain(count(calls.calls.into())),
            failed,
            Cell::plain(none(calls.retries.into())),
            Cell::plain(tokens),
            Cell::plain(if is_wide { none(usage.cache_read) } else { String::new() }),
            Cell::plain(if asked { calls.cost.narrow() } else { String::new() }),
            Cell::new(Ink::Dim, time(calls.latency.p50_us)),
            Cell::new(Ink::Dim, time(calls.latency.p95_us)),
        ];
        if is_wide {
            cells.push(Cell::new(Ink::Dim, time(calls.latency.p99_us)));
        }
        cells
    });
    let rows: Vec<Vec<Cell>> = rows.collect();
    out.push('\n');
    out.push_str(&table(&columns, &rows, style));
    if title == "model" {
        sorted.iter().filter_map(|(name, calls)| kinds_of_tokens(name, calls)).for_each(|told| {
            for part in words::fold(&told, style.columns()) {
                out.push_str(&format!("{}\n", style.paint(Ink::Dim, &part)));
            }
        });
    }
}

/// `gpt-5: of what it read 1,000 from the cache; of what it wrote 40 reasoning`; none when there is nothing of it.
fn kinds_of_tokens(name: &str, calls: &Calls) -> Option<String> {
    let usage = &calls.usage;
    let told = [
        (usage.cache_read, "read from the cache"),
        (usage.cache_write, "put into the cache"),
        (usage.reasoning, "reasoning"),
    ];
    let told: Vec<String> = told
        .iter()
        .filter(|(tokens, _)| *tokens > 0)
        .map(|(tokens, what)| format!("{} {what}", count(*tokens)))
        .collect();
    (!told.is_empty()).then(|| format!("{}: of these tokens {}", line(name), told.join(", ")))
}

/// Findings of one kind under a heading: where, and what.
fn found(out: &mut String, title: &str, found: Vec<(String, String)>, style: Style) {
    if found.is_empty() {
        return;
    }
    out.push_str(&format!("\n{}\n", style.paint(Ink::Strong, title)));
    let rows: Vec<Vec<Cell>> = found
        .iter()
        .take(SHOWN)
        .map(|(place, what)| vec![Cell::new(Ink::Dim, format!("  {place}")), Cell::plain(what.clone())])
        .collect();
    out.push_str(&table(&[Column::left(""), Column::flexible("")], &rows, style));
    if found.len() > SHOWN {
        let more = count((found.len() - SHOWN) as u64);
        out.push_str(&format!("  and {more} more (--json has all)\n"));
    }
}
