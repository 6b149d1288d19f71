//! How two runs differ: what `retake diff A B` prints.

use super::action;
use super::context::{context, short_change};
use super::style::{Ink, Style};
use super::words::{self, clip, line, width};
use crate::diff::outcome::End;
use crate::diff::{
    Act, Cause, Comparison, FieldChange, Kin, PairKind, Parting, Status, StepPair, Totals, excerpt,
};
use crate::run::RunState;

/// Rows that are shown unless all are asked for.
const ROWS: usize = 60;
/// Fields of one row that are shown unless all are asked for.
const FIELDS: usize = 6;

/// What is wrong with a stale result.
const STALE: &str = "stale: recorded behind another write";

/// A comparison as text. `full` shows every row and cuts nothing.
pub fn difference(c: &Comparison, full: bool, style: Style) -> String {
    let mut page = Page { c, full, style, out: String::new(), lanes: several_lanes(c), numbers: 0 };
    page.numbers = [&c.left, &c.right].map(|name| width(name).clamp(5, 12)).into_iter().max().unwrap_or(5);
    page.heading();
    page.rows();
    page.ending();
    page.out
}

struct Page<'a> {
    c: &'a Comparison,
    full: bool,
    style: Style,
    out: String,
    lanes: bool,
    /// Width of the two columns of step numbers.
    numbers: usize,
}

fn several_lanes(c: &Comparison) -> bool {
    let first = c.rows.first().map(|r| &r.lane);
    c.rows.iter().any(|r| Some(&r.lane) != first)
}

impl Page<'_> {
    fn heading(&mut self) {
        let c = self.c;
        let kin = match &c.kin {
            Kin::Strangers => String::new(),
            Kin::RightIsFork { replay: true, .. } => format!("   {} is a replay of {}", c.right, c.left),
            Kin::LeftIsFork { replay: true, .. } => format!("   {} is a replay of {}", c.left, c.right),
            Kin::RightIsFork { at_step, .. } => {
                format!("   {} is a fork of {} {}", c.right, c.left, after(*at_step))
            }
            Kin::LeftIsFork { at_step, .. } => {
                format!("   {} is a fork of {} {}", c.left, c.right, after(*at_step))
            }
            Kin::Siblings { parent, at_step, .. } => {
                format!("   both are forks of {parent} {}", after(*at_step))
            }
        };
        let title = format!("{} -> {}", c.left, c.right);
        self.out.push_str(&format!("{}{kin}\n", self.style.paint(Ink::Strong, &title)));
        for edit in c.kin.edits() {
            if self.names_a_row(edit) {
                continue;
            }
            self.out.push_str(&format!(
                "{} {}\n",
                self.style.paint(Ink::Note, &words::pad("edit", 9)),
                line(edit)
            ));
        }
        let (l, r) = (clip(&c.left, self.numbers), clip(&c.right, self.numbers));
        if !c.rows.is_empty() {
            let heads = format!("{:9} {} {}", "", words::pad(&l, self.numbers), r);
            self.out.push_str(&format!("\n{}\n", self.style.paint(Ink::Dim, &heads)));
        }
    }

    /// True when a row shows this edit, so that it needs no line of its own.
    fn names_a_row(&self, edit: &str) -> bool {
        self.c.rows.iter().any(|r| r.edit.as_deref() == Some(edit) && r.status != Status::Same)
    }

    fn rows(&mut self) {
        let acts = self.c.acts.as_ref().map(|p| p.row);
        let first = self.c.first.as_ref().map(|p| p.row);
        let mut same: Vec<&StepPair> = Vec::new();
        let mut shown = 0;
        let mut left_out = 0;
        for (i, row) in self.c.rows.iter().enumerate() {
            let parts_here = first == Some(i) || acts == Some(i);
            if row.status == Status::Same && !parts_here && row.after.is_none() && !row.pinned {
                same.push(row);
                continue;
            }
            if shown >= ROWS && !self.full {
                left_out += 1;
                continue;
            }
            self.same(&mut same);
            shown += 1;
            self.row(row, acts == Some(i));
            let parting = [&self.c.first, &self.c.acts].into_iter().flatten().find(|p| p.row == i);
            if let Some(parting) = parting.filter(|_| parts_here) {
                self.why(parting, row);
            }
        }
        if left_out > 0 {
            let text =
                format!("… {} (--full or --json shows them)", words::many(left_out, "more difference"));
            self.out.push_str(&format!("{}\n", self.style.paint(Ink::Dim, &text)));
        } else {
            self.same(&mut same);
        }
    }

    /// `same      1-6   1-6`.
    fn same(&mut self, rows: &mut Vec<&StepPair>) {
        if rows.is_empty() {
            return;
        }
        let numbers = |f: &dyn Fn(&StepPair) -> Option<u32>| {
            let mut all: Vec<u32> = rows.iter().filter_map(|r| f(r)).collect();
            all.sort_unstable();
            words::ranges(&all).replace(", ", ",")
        };
        let (l, r) = (numbers(&|r| r.left), numbers(&|r| r.right));
        let most = self.style.columns().saturating_sub(11) / 2;
        let (l, r) = (clip(&l, most), clip(&r, most));
        let text = format!("{:9} {} {}", "same", words::pad(&l, self.numbers), r);
        self.out.push_str(&format!("{}\n", self.style.paint(Ink::Dim, text.trim_end())));
        rows.clear();
    }

    fn row(&mut self, row: &StepPair, forks: bool) {
        let (word, ink) = match row.status {
            _ if forks => ("FORKS AT", Ink::Bad),
            _ if row.edit.is_some() => ("edited", Ink::Note),
            Status::Same | Status::Varies | Status::Changed if row.stale => ("stale", Ink::Bad),
            Status::Same if row.pinned => ("pinned", Ink::Note),
            Status::Same if row.asked_differently && row.after.is_none() => ("asked", Ink::Note),
            Status::Same => ("same", Ink::Dim),
            Status::Varies => ("varies", Ink::Dim),
            Status::Changed => ("changed", Ink::Note),
            Status::OnlyLeft => ("gone", Ink::Minus),
            Status::OnlyRight => ("new", Ink::Plus),
            Status::Moved => ("moved", Ink::Note),
            Status::NotRun => ("not run", Ink::Dim),
        };
        let number = |n: Option<u32>| words::pad(&n.map_or("-".into(), |n| n.to_string()), self.numbers);
        let kind = if row.kind == PairKind::Model { "model" } else { "tool " };
        let lane = if self.lanes {
            format!("  {}", words::pad(&clip(&line(&row.lane), 14), 14))
        } else {
            String::new()
        };
        let lead = format!("{:9} {} {}{lane}  {kind}  ", word, number(row.left), number(row.right));
        let indent = width(&lead);
        let room = if self.full { usize::MAX } else { self.style.columns().saturating_sub(indent).max(24) };
        let painted = lead.replacen(word, &self.style.paint(ink, word), 1);
        let mut said = self.said(row, forks, room);
        said.extend(row.stale.then(|| clip(STALE, room)));
        for (n, text) in said.into_iter().enumerate() {
            let lead = if n == 0 { painted.clone() } else { " ".repeat(indent) };
            self.out.push_str(&format!("{}\n", format!("{lead}{text}").trim_end()));
        }
    }

    /// What a row says, one line or more.
    fn said(&self, row: &StepPair, forks: bool, room: usize) -> Vec<String> {
        let style = self.style;
        let tool = match row.before.as_ref().or(row.after.as_ref()) {
            Some(Act::Returns { tool, .. }) => line(tool),
            _ => String::new(),
        };
        let one = |act: &Option<Act>| act.as_ref().map(|a| action::act(a, room)).unwrap_or_default();
        match (row.status, row.kind) {
            (Status::Same, PairKind::Tool) if row.stale && !row.pinned => vec![clip(&tool, room)],
            (Status::Same, _) if row.pinned => {
                vec![clip(&format!("{tool}: came out differently; the model got the recorded result"), room)]
            }
            (Status::Same, _) => vec![fenced_here(row, room).unwrap_or_else(|| "does the same".into())],
            (Status::NotRun, PairKind::Tool) => vec![clip(&tool, room)],
            (Status::NotRun, _) => vec![one(if row.before.is_some() { &row.before } else { &row.after })],
            (Status::OnlyLeft | Status::OnlyRight | Status::Moved, PairKind::Tool) => {
                let text = if row.status == Status::Moved {
                    String::new()
                } else {
                    format!("{}{}", one(&row.before), one(&row.after))
                };
                let arrow = if text.is_empty() { "" } else { " -> " };
                let ended = self.c.outcome.right.state == RunState::Complete;
                let remark =
                    if row.status == Status::OnlyLeft && ended { "  (no longer called)" } else { "" };
                vec![format!(
                    "{}{remark}",
                    clip(&format!("{tool}{arrow}{text}"), room.saturating_sub(remark.len()))
                )]
            }
            (Status::OnlyLeft | Status::OnlyRight, _) => self.alone(row, forks, room),
            (Status::Moved, _) => vec!["the same call at another place".into()],
            (Status::Varies, kind) => {
                let names: Vec<String> =
                    row.fields.iter().map(|f| line(&f.path)).filter(|p| !p.is_empty()).collect();
                let names = if names.is_empty() { "the text".into() } else { names.join(", ") };
                let who = if kind == PairKind::Tool { format!("{tool}: ") } else { String::new() };
                vec![clip(&format!("{who}only {names} (id or clock)"), room)]
            }
            (Status::Changed, PairKind::Tool) => self.result_change(row, &tool, room),
            (Status::Changed, PairKind::Model) => {
                let (l, r) = (uncut(&row.before), uncut(&row.after));
                let fits = |text: &str| self.full || width(text) + 2 <= room;
                let same_tools = match (&row.before, &row.after) {
                    (Some(Act::Calls { calls: l, .. }), Some(Act::Calls { calls: r, .. })) => {
                        l.len() == r.len() && l.iter().zip(r).all(|(l, r)| l.tool == r.tool)
                    }
                    _ => false,
                };
                if same_tools && !row.fields.is_empty() && !(fits(&l) && fits(&r)) {
                    // The whole calls do not fit: what differs in them does.
                    let mut lines = vec!["calls the same with other arguments".to_string()];
                    lines.extend(self.fields(&row.fields, "", room));
                    return lines;
                }
                let (l, r) =
                    if self.full { (l, r) } else { excerpt::differing(&l, &r, room.saturating_sub(2)) };
                vec![style.paint(Ink::Minus, &format!("- {l}")), style.paint(Ink::Plus, &format!("+ {r}"))]
            }
        }
    }

    /// A model call that only one run has; where the runs part, with what the other one did instead.
    fn alone(&self, row: &StepPair, forks: bool, room: usize) -> Vec<String> {
        let instead = self.c.acts.as_ref().filter(|_| forks).and_then(|p| p.instead.as_ref());
        let own = row.before.as_ref().or(row.after.as_ref());
        let Some((own, instead)) = own.zip(instead) else {
            return own.map(|act| action::act(act, room)).into_iter().collect();
        };
        let (l, r) = if row.before.is_some() { (own, &instead.act) } else { (&instead.act, own) };
        let text = |act: &Act| action::act(act, room.saturating_sub(2));
        vec![
            self.style.paint(Ink::Minus, &format!("- {}", text(l))),
            self.style.paint(Ink::Plus, &format!("+ {}", text(r))),
        ]
    }

    fn result_change(&self, row: &StepPair, tool: &str, room: usize) -> Vec<String> {
        let missing = |act: &Option<Act>| matches!(act, Some(Act::Returns { text: None, .. }) | None);
        if missing(&row.before) || missing(&row.after) {
            let side = if missing(&row.after) { "right" } else { "left" };
            return vec![format!("{tool}: no result in the {side} run, which ended before")];
        }
        let failed = |act: &Option<Act>| matches!(act, Some(Act::Returns { is_error: true, .. }));
        let mut lines = match (failed(&row.before), failed(&row.after)) {
            (false, true) => vec![format!("{tool} now fails")],
            (true, false) => vec![format!("{tool} no longer fails")],
            _ => Vec::new(),
        };
        lines.extend(self.fields(&row.fields, tool, room));
        lines
    }

    /// `check_fraud.risk  "low" -> "high"`; a value too long for that stands on two lines.
    fn fields(&self, fields: &[FieldChange], prefix: &str, room: usize) -> Vec<String> {
        let keep = if self.full { fields.len() } else { FIELDS };
        let mut lines = Vec::new();
        for change in fields.iter().take(keep) {
            let dot = if prefix.is_empty() || change.path.is_empty() || change.path.starts_with('[') {
                ""
            } else {
                "."
            };
            let path = clip(&format!("{prefix}{dot}{}", line(&change.path)), 60.min(room));
            let mark = if change.varies { "  (id or clock)" } else { "" };
            match short_change(change, room.saturating_sub(width(&path) + 2 + mark.len()).min(2_000)) {
                Some(text) => lines.push(format!("{path}  {text}{mark}")),
                None => {
                    let side = |v: &Option<String>| v.as_deref().map_or_else(|| "(none)".into(), line);
                    let (l, r) = (side(&change.left), side(&change.right));
                    let (l, r) =
                        if self.full { (l, r) } else { excerpt::differing(&l, &r, room.saturating_sub(2)) };
                    lines.push(format!("{path}{mark}"));
                    lines.push(self.style.paint(Ink::Minus, &format!("- {l}")));
                    lines.push(self.style.paint(Ink::Plus, &format!("+ {r}")));
                }
            }
        }
        if fields.len() > keep {
            lines.push(format!("… {}", words::many((fields.len() - keep) as u64, "more field")));
        }
        lines
    }

    fn why(&mut self, parting: &Parting, row: &StepPair) {
        let acts = self.c.acts.as_ref().is_some_and(|a| a.row == parting.row);
        // A row called `edited` says it already.
        if row.edit.is_some() && !acts && matches!(parting.cause, Cause::Edit { .. }) {
            return;
        }
        let text = format!("{:9} why: {}", "", cause(&parting.cause));
        self.out.push_str(&format!("{}\n", self.style.paint(Ink::Strong, &text)));
        let is_acts = self.c.acts.as_ref().is_none_or(|a| a.row == parting.row);
        let shows = self.full || matches!(parting.cause, Cause::Code { .. } | Cause::Unknown { .. });
        if let Some(diff) = self.c.context.as_ref().filter(|_| is_acts && shows) {
            for text in context(
                diff,
                self.full,
                Style { width: self.style.columns().saturating_sub(10), ..self.style },
            )
            .lines()
            {
                self.out.push_str(&format!("{:9} {text}\n", ""));
            }
        }
    }

    fn ending(&mut self) {
        let c = self.c;
        let mut told = super::structure::lines(c, self.full, self.style);
        told.extend(self.outcome());
        self.out.push('\n');
        for text in told {
            self.out.push_str(&format!("{text}\n"));
        }
        if let Some(calls) = self.calls() {
            self.out.push_str(&format!("{:9} {calls}\n", "tools"));
        }
        let facts = totals(&c.left_totals, &c.right_totals);
        for (n, part) in words::fold(&facts, self.style.columns() - 10).into_iter().enumerate() {
            self.out.push_str(&format!("{:9} {part}\n", if n == 0 { "totals" } else { "" }));
        }
        let verdict = match (c.differs(), c.levels.highest()) {
            (true, _) => {
                let place = c.acts.as_ref().map(|p| match (p.left, p.right) {
                    (Some(l), _) => format!("in action from step {l} on"),
                    (None, r) => format!("in action from step {} of the right run on", r.unwrap_or_default()),
                });
                let parts: Vec<String> =
                    place.into_iter().chain(c.levels.outcome.then(|| "in outcome".into())).collect();
                self.style.paint(Ink::Bad, &format!("they differ {}", parts.join(" and ")))
            }
            (false, _) if !self.stops().is_empty() => {
                let text = format!("the same as far as it was allowed to run ({})", self.stops().join(", "));
                self.style.paint(Ink::Good, &text)
            }
            (false, _) if c.structure.as_ref().is_some_and(|of| !of.is_empty()) => {
                self.style.paint(Ink::Note, "the same actions, the same outcome, in another trace tree")
            }
            (false, None) => self.style.paint(Ink::Good, "no difference"),
            (false, Some(_)) => self.style.paint(Ink::Good, "the same actions, the same outcome"),
        };
        self.out.push_str(&format!("{:9} {verdict}\n", "verdict"));
    }

    /// Where they first call another tool, or with other arguments, when they differ in words before that.
    fn calls(&self) -> Option<String> {
        let parting = self.c.tools.as_ref()?;
        let first = self.c.acts.as_ref().and_then(|acts| self.c.rows.get(acts.row))?;
        let in_words =
            matches!(first.before, Some(Act::Says { .. })) && matches!(first.after, Some(Act::Says { .. }));
        let step =
            |number: Option<u32>| number.map_or_else(|| "no more".to_string(), |n| format!("step {n}"));
        let common = words::many(parting.common as u64, "call");
        let place = format!("{} | {}", step(parting.left), step(parting.right));
        in_words.then(|| {
            format!("they call other tools, or with other arguments, from {place} on: {common} in common")
        })
    }

    /// `fenced at 8`, for each run that was stopped.
    fn stops(&self) -> Vec<String> {
        let c = self.c;
        let both = c.outcome.left.stopped.is_some() && c.outcome.right.stopped.is_some();
        let sides = [(&c.left, c.outcome.left.stopped), (&c.right, c.outcome.right.stopped)];
        let text = sides.into_iter().filter_map(|(run, stop)| {
            let stop = stop?;
            let who = if both { format!("{run} ") } else { String::new() };
            let why = if stop.fenced { "fenced" } else { "limit of live calls" };
            Some(format!("{who}{why} at {}", stop.step))
        });
        text.collect()
    }

    fn outcome(&self) -> Vec<String> {
        let o = &self.c.outcome;
        let label = format!("{:9} ", "outcome");
        let mut lines = Vec::new();
        if !self.stops().is_empty() {
            return vec![format!("{label}not compared: {}", self.stops().join(", "))];
        }
        if o.exit_differs {
            lines.push(format!("{label}{} -> {}", exit(&o.left), exit(&o.right)));
        }
        if o.answer_differs {
            let side = |end: &End| match (&end.error, &end.answer) {
                (Some(error), _) => format!("failed: {}", line(error)),
                (None, Some(text)) => format!("\"{}\"", line(text)),
                (None, None) => "no answer in words".into(),
            };
            let (l, r) = (side(&o.left), side(&o.right));
            let room = self.style.columns().saturating_sub(12);
            let (l, r) = if self.full { (l, r) } else { excerpt::differing(&l, &r, room) };
            let lead = if lines.is_empty() { label } else { " ".repeat(10) };
            lines.push(format!("{lead}{}", self.style.paint(Ink::Minus, &format!("- {l}"))));
            lines.push(format!("{:10}{}", "", self.style.paint(Ink::Plus, &format!("+ {r}"))));
        } else if lines.is_empty() {
            let answer =
                o.left.answer.as_deref().map(|a| action::quoted(a, 60)).unwrap_or_else(|| exit(&o.left));
            lines.push(format!("{label}the same: {answer}"));
        }
        lines
    }
}

/// `calls issue_refund(…)   fenced here`, where a fence kept one of two equal answers from its agent.
fn fenced_here(row: &StepPair, room: usize) -> Option<String> {
    let fenced = |act: &Option<Act>| matches!(act, Some(Act::Fenced { .. }));
    let (mark, act) = match (fenced(&row.before), fenced(&row.after)) {
        (false, false) => return None,
        (false, true) => ("fenced here", row.before.as_ref()),
        (true, false) => ("fenced in the left run", row.after.as_ref()),
        (true, true) => return row.after.as_ref().map(|act| action::act(act, room)),
    };
    Some(format!("{}   {mark}", action::act(act?, room.saturating_sub(mark.len() + 3))))
}

fn uncut(act: &Option<Act>) -> String {
    act.as_ref().map(|a| action::act(a, usize::MAX)).unwrap_or_default()
}

fn exit(end: &End) -> String {
    match (end.exit_code, end.signal, end.state) {
        (Some(code), _, _) => format!("exit {code}"),
        (None, Some(signal), _) => format!("killed by signal {signal}"),
        (None, None, RunState::Interrupted) => "interrupted".into(),
        (None, None, RunState::Recording) => "still recording".into(),
        (None, None, _) => "no exit code".into(),
    }
}

/// A cause in one sentence.
pub fn cause(cause: &Cause) -> String {
    match cause {
        Cause::Edit { edits } => match edits.as_slice() {
            [one] => format!("the edit {}", line(one)),
            many => format!("the edits {}", many.iter().map(|e| line(e)).collect::<Vec<_>>().join("  ")),
        },
        Cause::Answer => "the model answered the same request differently".into(),
        Cause::Failure { error } => format!("the same request failed on one side: {}", line(error)),
        Cause::ToolResult { left, right } => {
            let step = match (left, right) {
                (Some(l), Some(r)) if l != r => format!("step {l} (right: {r})"),
                (Some(n), _) | (None, Some(n)) => format!("step {n}"),
                (None, None) => "an earlier step".into(),
            };
            format!("the tool of {step} returned something else")
        }
        Cause::Code { what } => format!("the agent itself differs: {}", what.join(", ")),
        Cause::Ended { side } => format!("the {side} run has no more steps here"),
        Cause::Unknown { why } => format!("cannot be told ({})", line(why)),
    }
}

fn totals(left: &Totals, right: &Totals) -> String {
    let both = |name: &str, l: String, r: String| {
        if l == r { format!("{name} {l}") } else { format!("{name} {l} -> {r}") }
    };
    let time = |t: &Totals| t.duration_us.map_or_else(|| "unknown".into(), words::seconds);
    let tokens = |t: &Totals| match t.tokens_in + t.tokens_out {
        0 if t.model_steps > 0 => "n/a".into(),
        _ => words::tokens(t.tokens_in, t.tokens_out),
    };
    [
        both("steps", left.steps.to_string(), right.steps.to_string()),
        both("tokens", tokens(left), tokens(right)),
        both("time", time(left), time(right)),
        both("cost", left.cost.to_string(), right.cost.to_string()),
    ]
    .join("   ")
}

/// Where a fork begins.
fn after(step: u32) -> String {
    if step == 0 { "from the start".into() } else { format!("after step {step}") }
}
