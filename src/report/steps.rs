//! The steps of a run, one line each: what `retake show RUN` prints.

use super::action;
use super::heading::{footing, heading};
use super::style::{Ink, Style};
use super::table::{Cell, Column, table};
use super::words::{self, clip, line, width};
use crate::diff::view::FullResult;
use crate::diff::{Act, RunView};
use crate::exchange::{ExchangeId, Source};
use crate::prices::Cost;
use crate::run::edit::{Edit, FaultKind, Field};
use crate::run::{CallSite, RunState, StepKind, Turn};
use serde::Serialize;
use std::collections::BTreeMap;

/// Where a step's answer or result came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum From {
    /// The real upstream; of a tool: the agent itself.
    Live,
    /// The recording.
    Recorded,
    /// The recording, changed by an edit.
    Edited,
    /// The recorded tool result, in place of one that came out differently.
    Pinned,
    /// Nothing recorded was right, so retake refused to answer.
    Refused,
}

impl From {
    pub(super) fn word(self) -> &'static str {
        match self {
            From::Live => "live",
            From::Recorded => "recorded",
            From::Edited => "edited",
            From::Pinned => "pinned",
            From::Refused => "refused",
        }
    }
}

/// One step, as data: what `show --json` prints.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepRow {
    /// Its number.
    pub step: u32,
    /// Name or key of its lane.
    pub lane: String,
    /// The model's name; none for a tool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The tool's name; none for a model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// What it did.
    pub act: Act,
    /// How long it took in microseconds (of a tool: at most); none when it never ended, or when
    /// nobody said when.
    pub time_us: Option<u64>,
    /// Tokens read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_in: Option<u64>,
    /// Tokens written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_out: Option<u64>,
    /// What a model call costs, in US dollars; none for a tool, and where it is not known.
    pub cost: Option<Cost>,
    /// Where the answer or result came from.
    pub from: From,
    /// What else is to be known, in words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// For a tool that ran beside others: its place among them and their number.
    #[serde(skip)]
    pub(super) beside: (u32, u32),
}

/// Remarks of others about steps, by number: `changes every run`.
pub type Notes = BTreeMap<u32, String>;

/// Every step of a run, as data.
pub fn rows(run: &RunView, notes: &Notes) -> Vec<StepRow> {
    let steps = (1u32..).zip(&run.outline.steps);
    let mut rows: Vec<StepRow> = steps
        .filter_map(|(number, step)| match step.kind {
            StepKind::Model { lane, turn } => model_row(run, number, lane, turn),
            StepKind::Tool { site } => tool_row(run, number, site),
        })
        .collect();
    for row in &mut rows {
        row.notes.extend(notes.get(&row.step).cloned());
    }
    rows
}

/// One step, as data.
pub fn row(run: &RunView, step: u32) -> Option<StepRow> {
    match run.outline.step(step)? {
        StepKind::Model { lane, turn } => model_row(run, step, lane, turn),
        StepKind::Tool { site } => tool_row(run, step, site),
    }
}

/// Name or key of a lane.
pub fn lane_name(run: &RunView, lane: u32) -> String {
    let lane = run.outline.lanes.get(lane as usize);
    lane.map(|l| line(l.named.as_deref().unwrap_or(&l.key))).unwrap_or_default()
}

fn model_row(run: &RunView, step: u32, lane: u32, turn: u32) -> Option<StepRow> {
    let at = run.outline.turn(lane, turn)?;
    let last = at.attempts.last().copied();
    let from = match last.map(|id| run.source.source(id)) {
        None | Some(Source::Live) => From::Live,
        Some(Source::Recorded { .. }) => From::Recorded,
        Some(Source::Edited { .. }) => From::Edited,
        Some(Source::Refused) => From::Refused,
    };
    let act = match &at.error {
        _ if !at.calls.is_empty() => Act::Calls {
            calls: at
                .calls
                .iter()
                .map(|c| crate::diff::Call { tool: c.name.clone(), args: c.args.clone() })
                .collect(),
            text: at.text.clone(),
        },
        Some(error) if at.text.is_empty() => {
            crate::diff::fenced(run, at).unwrap_or_else(|| Act::Fails { error: error.clone() })
        }
        _ => Act::Says { text: at.text.clone() },
    };
    let mut notes = Vec::new();
    let sent = run.sent_model(at);
    let fault = injected(run, at, step);
    notes.extend(sent.is_some().then(|| "model edited".to_string()));
    let act = match (act, &fault) {
        (Act::Fails { .. }, Some(fault)) => Act::Fails { error: format!("injected by retake: {fault}") },
        (act, _) => act,
    };
    if fault.is_some() {
        // Said below.
    } else if let (Some(error), false) = (&at.error, matches!(act, Act::Fails { .. } | Act::Fenced { .. })) {
        notes.push(format!("cut off: {}", line(error)));
    }
    let fault = fault.filter(|_| !matches!(act, Act::Fails { .. }));
    notes.extend(fault.map(|fault| format!("injected: {fault}")));
    notes.extend(tries(run, at));
    Some(StepRow {
        step,
        lane: lane_name(run, lane),
        model: Some(line(sent.as_deref().unwrap_or(&at.model))),
        tool: None,
        act,
        time_us: at.took_us(),
        tokens_in: at.usage.map(|u| u.input),
        tokens_out: at.usage.map(|u| u.output),
        cost: run.cost_of(at),
        from,
        notes,
        beside: (0, 1),
    })
}

/// What retake put in the place of an answer of this step: `timeout`, `cut after 3 events`; none when nothing.
pub(super) fn injected(run: &RunView, turn: &Turn, step: u32) -> Option<String> {
    let edited = |id: &ExchangeId| matches!(run.source.source(*id), Source::Edited { .. });
    if !turn.attempts.iter().any(edited) {
        return None;
    }
    let edits = run.manifest.parent.iter().flat_map(|p| &p.edits);
    let faults = edits.filter_map(|text| Edit::parse(text).ok()).filter(|e| e.field == Field::Fault);
    let mut here = faults.filter(|e| e.scope.covers(Some(step))).filter_map(|e| e.fault().ok());
    Some(match here.next()? {
        FaultKind::Status(status) => format!("status {status}"),
        FaultKind::Timeout => "timeout".into(),
        FaultKind::Cut(events) => format!("cut after {}", words::many(events.into(), "event")),
    })
}

/// `2 tries: 429 rate limited first`.
pub(super) fn tries(run: &RunView, turn: &Turn) -> Option<String> {
    let (_, failed) = turn.attempts.split_last().filter(|(_, failed)| !failed.is_empty())?;
    let why = failed.first().and_then(|id| run.source.answer(*id).ok()).and_then(|a| a.error.clone());
    let why = why.map_or_else(|| "failed".into(), |e| clip(&line(&e), 40));
    Some(match failed.len() {
        1 => format!("2 tries: first {why}"),
        n => format!("{} tries: {n} times {why}", n + 1),
    })
}

fn tool_row(run: &RunView, step: u32, site: CallSite) -> Option<StepRow> {
    let turn = run.outline.turn(site.lane, site.turn)?;
    let call = turn.calls.get(site.call as usize)?;
    let seen = call.result.as_ref();
    let (changed, from) = changed_result(run, step, site);
    let text = changed.as_ref().map(|c| c.text.clone()).or_else(|| seen.map(|r| r.text.clone()));
    let mut notes = Vec::new();
    if run.outline.lanes.iter().any(|l| l.parent == Some(site)) {
        let begun = run.outline.lanes.iter().filter(|l| l.parent == Some(site));
        let names: Vec<String> = begun.map(|l| line(l.named.as_deref().unwrap_or(&l.key))).collect();
        notes.push(format!("began lane {}", names.join(", ")));
    }
    let by_server = run.source.carried_out(site);
    notes.extend(by_server.iter().map(|by| format!("by {}", line(&by.server))));
    notes.extend(run.is_stale(site).then(|| STALE.to_string()));
    notes.extend(by_server.iter().filter_map(|by| by.ended.clone()));
    let took_us = by_server.and_then(|by| by.took_us);
    Some(StepRow {
        step,
        lane: lane_name(run, site.lane),
        model: None,
        tool: Some(line(&call.name)),
        act: Act::Returns {
            tool: call.name.clone(),
            text,
            is_error: changed.map_or(seen.is_some_and(|r| r.is_error), |c| c.is_error),
        },
        time_us: took_us.or_else(|| turn.call_took_us(call)),
        tokens_in: None,
        tokens_out: None,
        cost: None,
        from,
        notes,
        beside: (site.call, turn.calls.len() as u32),
    })
}

/// What the model saw in place of the result that the agent sent: an edit, or a pin.
pub(super) fn changed_result(run: &RunView, step: u32, site: CallSite) -> (Option<FullResult>, From) {
    let Some(sent) = run.sent_result(site) else { return (None, From::Live) };
    let edits = run.manifest.parent.iter().flat_map(|p| &p.edits);
    let mut edits = edits.filter_map(|text| Edit::parse(text).ok());
    let edited = edits.any(|e| matches!(e.field, Field::Result(_)) && e.scope.covers(Some(step)));
    (Some(sent), if edited { From::Edited } else { From::Pinned })
}

/// The steps of a run as a table, with who it is above and what is odd about it below.
pub fn show(run: &RunView, notes: &Notes, style: Style) -> String {
    let rows = rows(run, notes);
    let mut out = heading(run, style);
    if rows.is_empty() {
        out.push_str(&style.paint(Ink::Bad, "no steps"));
        out.push_str(match run.state {
            RunState::Recording => ": no model call has been seen yet\n",
            _ => ": no model call was seen, so there is nothing to fork\n",
        });
    } else {
        out.push_str(&steps_table(run, &rows, style));
    }
    out.push_str(&footing(run, legend(&rows), style));
    out
}

/// The remark at a result that is stale.
const STALE: &str = "stale";

/// What remarks at steps mean, one line each.
fn legend(rows: &[StepRow]) -> Vec<String> {
    let has = |is: &dyn Fn(&str) -> bool| rows.iter().any(|row| row.notes.iter().any(|note| is(note)));
    let all = [
        (
            has(&|note| note.starts_with("by ")),
            "by NAME: carried out there, and recorded; a replay runs nothing of it",
        ),
        (has(&|note| note == STALE), super::step::WHY_STALE),
    ];
    all.into_iter().filter(|(is, _)| *is).map(|(_, what)| format!("~ {what}")).collect()
}

fn steps_table(run: &RunView, rows: &[StepRow], style: Style) -> String {
    let several = |f: &dyn Fn(&StepRow) -> Option<String>| {
        let mut seen = rows.iter().filter_map(f);
        seen.next().is_some_and(|first| seen.any(|other| other != first))
    };
    let (lanes, models) = (several(&|r| Some(r.lane.clone())), several(&|r| r.model.clone()));
    let marked = run.manifest.parent.is_some() || rows.iter().any(|r| r.from != From::Live);
    let columns = [
        Column::right("#"),
        Column::left("who"),
        Column::left("lane"),
        Column::flexible("what"),
        Column::left("from"),
        Column::right("time"),
        Column::right("tokens"),
        Column::right("cost"),
    ];
    let names = names_beside(rows);
    let cells: Vec<Vec<Cell>> = rows
        .iter()
        .zip(names)
        .flat_map(|(row, tool_width)| {
            let who = match &row.model {
                Some(model) if models => clip(model, 24),
                Some(_) => "model".into(),
                None => "tool".into(),
            };
            let what = match &row.act {
                Act::Returns { .. } => tool_words(row, tool_width),
                other => action::act(other, style.columns()),
            };
            let from = match (&row.act, row.from) {
                (Act::Returns { .. }, From::Live) => String::new(),
                (_, from) if marked => from.word().into(),
                _ => String::new(),
            };
            let tokens = row.tokens_in.zip(row.tokens_out).map(|(i, o)| words::tokens(i, o));
            // Not cut with the call.
            let (what, fenced) = match what.strip_suffix("   fenced") {
                Some(call) => (call.to_string(), Some("fenced".to_string())),
                None => (what, None),
            };
            let notes = row
                .notes
                .iter()
                .map(|n| format!("~ {}", line(n)))
                .chain(fenced)
                .collect::<Vec<_>>()
                .join("  ");
            // A long remark gets a line of its own, so that it does not push the step out of sight.
            let (inline, below) =
                if width(&notes) <= 24 { (notes, String::new()) } else { (String::new(), notes) };
            let below = (!below.is_empty()).then(|| {
                vec![
                    Cell::default(),
                    Cell::default(),
                    Cell::default(),
                    Cell::new(Ink::Note, format!("  {below}")),
                ]
            });
            let failed = matches!(&row.act, Act::Fails { .. } | Act::Returns { is_error: true, .. });
            let cells = vec![
                Cell::new(Ink::Dim, row.step.to_string()),
                Cell::new(if row.model.is_some() { Ink::Strong } else { Ink::Plain }, who),
                Cell::plain(if lanes { clip(&row.lane, 20) } else { String::new() }),
                Cell::new(if failed { Ink::Bad } else { Ink::Plain }, what).with_remark(inline),
                Cell::new(if row.from == From::Live { Ink::Plain } else { Ink::Note }, from),
                Cell::new(Ink::Dim, row.time_us.map(words::duration).unwrap_or_else(|| "-".into())),
                Cell::new(Ink::Dim, tokens.unwrap_or_default()),
                Cell::new(Ink::Dim, row.cost.map(|cost| cost.to_string()).unwrap_or_default()),
            ];
            std::iter::once(cells).chain(below)
        })
        .collect();
    table(&columns, &cells, style)
}

/// For each row the width of the names of the tools that ran beside it.
fn names_beside(rows: &[StepRow]) -> Vec<usize> {
    let mut widths = vec![0; rows.len()];
    let mut at = 0;
    while at < rows.len() {
        let group = rows.get(at).map_or(1, |r| if r.tool.is_some() { r.beside.1.max(1) as usize } else { 1 });
        let names = rows.iter().skip(at).take(group).filter_map(|r| r.tool.as_deref());
        let wide = names.map(width).max().unwrap_or(0).min(32);
        widths.iter_mut().skip(at).take(group).for_each(|w| *w = wide);
        at += group;
    }
    widths
}

/// `├ get_policy   -> {"refundable":true}`; the flexible column cuts it.
fn tool_words(row: &StepRow, name_width: usize) -> String {
    let tool = row.tool.as_deref().unwrap_or_default();
    let arrow = match &row.act {
        Act::Returns { text: Some(_), is_error: false, .. } => "-> ",
        _ => "",
    };
    let said = action::act(&row.act, 400);
    match row.beside {
        (_, 0 | 1) => format!("{tool} {arrow}{said}"),
        (i, n) => {
            let glyph = if i + 1 == n { '└' } else { '├' };
            format!("{glyph} {} {arrow}{said}", words::pad(tool, name_width))
        }
    }
}
