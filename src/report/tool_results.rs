//! Tool results that came out differently, one block a tool: `step 7 check_fraud (checked_at, trace differ: clock, id)`.

use super::lines::Lines;
use super::style::Ink;
use super::words::{self, line, many};
use crate::diff::volatile::{self, Volatile};
use crate::diff::{excerpt, field};
use serde::Serialize;
use std::collections::BTreeMap;

/// Tools that are told of one by one, and fields of one.
const MOST: usize = 5;

/// A result that differs from the recorded one of the same call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Differing<'a> {
    /// Number of the recorded step.
    pub step: Option<u32>,
    /// Name of the tool.
    pub tool: &'a str,
    /// The recorded result.
    pub recorded: &'a str,
    /// Today's.
    pub live: &'a str,
    /// It differs in an unedited control replay too.
    pub by_itself: bool,
    /// It differs in nothing but names and quantities.
    pub renamed: bool,
}

/// How the results of a tool differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ToolResults {
    /// The tool.
    pub tool: String,
    /// How many of its calls came out differently.
    pub calls: u32,
    /// Their steps.
    pub steps: Vec<u32>,
    /// All of them differ in an unedited control replay too.
    pub by_itself: bool,
    /// All of them differ in nothing but names and quantities: today's are bound or let pass, and stay.
    pub renamed: bool,
    /// What differs, each field once: as it did the first time.
    pub fields: Vec<ResultField>,
}

/// A field that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ResultField {
    /// Where: `risk`, `items[2].sku`; empty for the whole result.
    pub path: String,
    /// The recorded value as JSON, or a text that is no JSON as it is; none when only today's result has the field.
    pub recorded: Option<String>,
    /// Today's; none when only the recorded one has the field.
    pub live: Option<String>,
    /// What it is, when it is nothing but an id or a clock.
    pub varies: Option<Volatile>,
    /// In how many of the calls it differs.
    pub calls: u32,
}

impl ToolResults {
    /// Puts differences together, one block a tool, in the order in which they come.
    pub fn of<'a>(differing: impl IntoIterator<Item = Differing<'a>>) -> Vec<ToolResults> {
        let mut all: Vec<ToolResults> = Vec::new();
        for Differing { step, tool, recorded, live, by_itself, renamed } in differing {
            let at = all.iter().position(|known| known.tool == tool).unwrap_or_else(|| {
                let (tool, steps, fields) = (tool.to_string(), Vec::new(), Vec::new());
                all.push(ToolResults { tool, calls: 0, steps, by_itself: true, renamed: true, fields });
                all.len() - 1
            });
            let Some(results) = all.get_mut(at) else { continue };
            results.calls += 1;
            results.by_itself &= by_itself;
            results.renamed &= renamed;
            results.steps.extend(step);
            results.steps.sort_unstable();
            for change in field::texts(recorded, live) {
                let varies = match (&change.left, &change.right) {
                    (Some(left), Some(right)) => volatile::kind(&change.path, left, right),
                    _ => None,
                };
                match results.fields.iter_mut().find(|f| f.path == change.path) {
                    Some(known) => {
                        known.calls += 1;
                        // Content shows, wherever it differs first.
                        if known.varies.is_some() && varies.is_none() {
                            (known.recorded, known.live, known.varies) = (change.left, change.right, None);
                        }
                    }
                    None => results.fields.push(ResultField {
                        path: change.path,
                        recorded: change.left,
                        live: change.right,
                        varies,
                        calls: 1,
                    }),
                }
            }
        }
        all
    }

    /// True when nothing but ids and clocks differ, or what differs in a control replay too.
    pub fn varies(&self) -> bool {
        self.by_itself || self.fields.iter().all(|f| f.varies.is_some())
    }

    /// `step 7 check_fraud`, `lookup_clock (3 calls: steps 3, 5, 9)`.
    fn name(&self) -> String {
        let tool = line(&self.tool);
        match (self.calls, self.steps.as_slice()) {
            (1, [step]) => format!("step{GLUE}{step}{GLUE}{tool}", GLUE = words::GLUE),
            (1, _) => tool,
            (n, []) => format!("{n} calls of {tool}"),
            (n, steps) => format!("{n} calls of {tool}, steps {}", words::ranges(steps)),
        }
    }

    /// ` (checked_at, trace differ: clock, id)`; empty when all that differs is content.
    fn variation(&self) -> String {
        let varying: Vec<&ResultField> = self.fields.iter().filter(|f| f.varies.is_some()).collect();
        let mut names: Vec<String> = varying
            .iter()
            .map(|f| line(&f.path))
            .map(|p| if p.is_empty() { "text".into() } else { p })
            .collect();
        let more = names.len().saturating_sub(MOST);
        names.truncate(MOST);
        if more > 0 {
            names.push(format!("{more} more"));
        }
        let mut kinds: Vec<&str> = Vec::new();
        for kind in varying.iter().filter_map(|f| f.varies) {
            let words = match kind {
                Volatile::Clock => ["clock"].as_slice(),
                Volatile::Id => &["id"],
                Volatile::Both => &["clock", "id"],
            };
            kinds.extend(words.iter().filter(|word| !kinds.contains(*word)).copied().collect::<Vec<_>>());
        }
        let verb = if names.len() == 1 { "differs" } else { "differ" };
        match names.as_slice() {
            [] => String::new(),
            names => format!(" ({} {verb}: {})", names.join(", "), kinds.join(", ")),
        }
    }
}

/// How many calls there are in all.
pub fn calls(all: &[ToolResults]) -> u32 {
    all.iter().map(|results| results.calls).sum()
}

/// `1 tool result`
pub fn counted(all: &[ToolResults]) -> String {
    many(calls(all).into(), "tool result")
}

/// The blocks under a line that begins with `lead`: on that line where there is one block.
pub(super) fn say(lines: &mut Lines, ink: Ink, lead: &str, all: &[ToolResults]) {
    let apart = all.len() > 1;
    if apart {
        lines.say(ink, &format!("{lead}:"));
    }
    let room = lines.columns().saturating_sub(14);
    for results in all.iter().take(MOST) {
        let head = format!("{}{}", results.name(), results.variation());
        lines.say(ink, &if apart { format!("  {head}") } else { format!("{lead}: {head}") });
        let content: Vec<&ResultField> = results.fields.iter().filter(|f| f.varies.is_none()).collect();
        for field in content.iter().take(MOST) {
            field_line(lines, ink, field, results.calls, room);
        }
        if content.len() > MOST {
            lines.say(ink, &format!("    and {}", many((content.len() - MOST) as u64, "more field")));
        }
    }
    if all.len() > MOST {
        lines.say(ink, &format!("  and {}", many((all.len() - MOST) as u64, "more tool")));
    }
}

/// `    amount  4999 -> 49.99`
fn field_line(lines: &mut Lines, ink: Ink, field: &ResultField, of: u32, room: usize) {
    let side = |value: &Option<String>| value.as_deref().map_or_else(|| "(absent)".to_string(), line);
    let (recorded, live) = (side(&field.recorded), side(&field.live));
    let path = if field.path.is_empty() { String::new() } else { format!("{}  ", line(&field.path)) };
    let often = match (field.calls, of) {
        (1, 1) => String::new(),
        (n, of) if n < of => format!("   (in {n} of {of})"),
        (_, of) => format!("   (first of {of})"),
    };
    let each = room.saturating_sub(words::width(&path) + words::width(&often) + 4) / 2;
    let (recorded, live) = excerpt::differing(&recorded, &live, each);
    // Values are kept whole: a fold inside one would look like its end.
    let text = format!("    {path}{recorded} -> {live}{often}").replace(' ', &words::GLUE.to_string());
    lines.say(ink, &format!("    {}", text.trim_start_matches(words::GLUE)));
}

/// The tools by name, with how often each was called.
pub fn by_tool<'a>(tools: impl IntoIterator<Item = &'a str>) -> BTreeMap<String, u32> {
    let mut counted = BTreeMap::new();
    for tool in tools {
        *counted.entry(tool.to_string()).or_default() += 1;
    }
    counted
}
