//! One step in full: what `retake show RUN STEP` prints.

use super::steps::{self, From, changed_result, lane_name, tries};
use super::style::{Ink, Style};
use super::words::{self, block, clip, line};
use super::{Trouble, action};
use crate::dialect::conversation::{Block, ModelRequest};
use crate::diff::tree::Tree;
use crate::diff::view::StepNumbers;
use crate::diff::{ContextDiff, RunView, context};
use crate::run::{CallSite, StepKind, Turn};
use serde_json::Value;

/// Lines of a value that are shown unless all are asked for.
const LINES: usize = 40;
/// Columns of one line of a value that are shown unless all are asked for.
const COLUMNS: usize = 400;

/// What is wrong with a stale result.
pub(super) const WHY_STALE: &str =
    "stale: recorded behind another write than this one's; a real result may differ";

/// A step in full. `full` shows long values whole.
///
/// # Errors
/// [`Trouble`] when there is no such step or it cannot be read.
pub fn show_step(run: &RunView, step: u32, full: bool, style: Style) -> Result<String, Trouble> {
    match kind_of(run, step)? {
        StepKind::Model { lane, turn } => model(run, step, lane, turn, full, style),
        StepKind::Tool { site } => tool(run, step, site, full, style),
    }
}

/// What the model saw at a step, against what it saw at another (by default at the turn before in its lane).
///
/// # Errors
/// [`Trouble`] when there is no such step, it is no model call, or it cannot be read.
pub fn show_context(
    run: &RunView,
    step: u32,
    versus: Option<(&RunView, u32)>,
    full: bool,
    style: Style,
) -> Result<String, Trouble> {
    let (lane, turn) = model_at(run, step)?;
    let right = request(run, step, lane, turn)?;
    let (title, diff) = match versus {
        Some((other, number)) => {
            let (l, t) = model_at(other, number)?;
            let left = request(other, number, l, t)?;
            let name = |r: &RunView, n: u32| format!("{}@{n}", r.manifest.id);
            (format!("{} against {}", name(run, step), name(other, number)), context(&left, &right))
        }
        None if full => (format!("{}@{step}, all of it", run.manifest.id), all_new(&right)),
        None => {
            let before = turn
                .checked_sub(1)
                .and_then(|t| Some((t, StepNumbers::of(run.outline).model(lane as usize, t as usize)?)));
            match before {
                Some((t, number)) => {
                    let left = request(run, number, lane, t)?;
                    (
                        format!("{}@{step} against step {number}, the turn before", run.manifest.id),
                        context(&left, &right),
                    )
                }
                None => (format!("{}@{step}, the first turn of its lane", run.manifest.id), all_new(&right)),
            }
        }
    };
    let mut body = String::new();
    let system = crate::diff::context::say(&right.system);
    if !system.is_empty() && diff.system.is_none() {
        let room = if full { usize::MAX } else { style.columns().saturating_sub(21).max(24) };
        body.push_str(&format!("  = system prompt {}\n", clip(&line(&system), room)));
    }
    body.push_str(&super::context::context(&diff, full, style));
    let body = if body.is_empty() { "  = the same\n".into() } else { body };
    Ok(format!("{}\n{body}", style.paint(Ink::Strong, &title)))
}

/// The context diff as data, for `--json`.
///
/// # Errors
/// As [`show_context`].
pub fn context_of(left: (&RunView, u32), right: (&RunView, u32)) -> Result<ContextDiff, Trouble> {
    let load = |(run, step): (&RunView, u32)| {
        let (lane, turn) = model_at(run, step)?;
        request(run, step, lane, turn)
    };
    Ok(context(&*load(left)?, &*load(right)?))
}

/// A request against nothing: everything in it is new.
fn all_new(request: &ModelRequest) -> ContextDiff {
    let nothing = ModelRequest { messages: Vec::new(), spans: Vec::new(), ..request.clone() };
    context(&nothing, request)
}

fn kind_of(run: &RunView, step: u32) -> Result<StepKind, Trouble> {
    run.outline.step(step).ok_or_else(|| Trouble::NoStep {
        run: run.manifest.id.to_string(),
        asked: step,
        steps: run.outline.steps.len() as u32,
    })
}

fn model_at(run: &RunView, step: u32) -> Result<(u32, u32), Trouble> {
    match kind_of(run, step)? {
        StepKind::Model { lane, turn } => Ok((lane, turn)),
        StepKind::Tool { site } => {
            let numbers = StepNumbers::of(run.outline);
            let turn = |t: u32| numbers.model(site.lane as usize, t as usize);
            let models = [turn(site.turn), turn(site.turn + 1)].into_iter().flatten().collect();
            let tool = run.outline.call(site).map(|c| line(&c.name)).unwrap_or_default();
            Err(Trouble::NoModelStep { run: run.manifest.id.to_string(), step, tool, models })
        }
    }
}

fn request(run: &RunView, step: u32, lane: u32, turn: u32) -> Result<std::sync::Arc<ModelRequest>, Trouble> {
    let loaded = match run.outline.turn(lane, turn) {
        Some(turn) => run.request_of(turn),
        None => Err("its turn is missing from the outline".into()),
    };
    loaded.map_err(|why| Trouble::Unreadable { run: run.manifest.id.to_string(), step, why })
}

/// `label      text`, aligned with the other labels.
fn labelled(out: &mut String, label: &str, text: &str, style: Style) {
    out.push_str(&format!("{} {text}\n", style.paint(Ink::Dim, &words::pad(label, 10))));
}

/// A value under its label: pretty-printed, indented, cut unless all is asked for.
fn value(out: &mut String, label: &str, text: &str, full: bool, style: Style) {
    out.push_str(&format!("{}\n", style.paint(Ink::Dim, label)));
    let shown = Tree::parse_nested(text).map_or_else(|| block(text), |tree| block(&pretty(&tree)));
    let lines: Vec<&str> = shown.lines().collect();
    let keep = if full { lines.len() } else { LINES };
    for text in lines.iter().take(keep) {
        let text = if full { (*text).to_string() } else { clip(text, COLUMNS) };
        out.push_str(&format!("  {text}\n"));
    }
    let wide = lines.iter().take(keep).any(|l| words::width(l) > COLUMNS);
    match lines.len().saturating_sub(keep) {
        0 if !full && wide => out.push_str("  (long lines are cut: --full shows them)\n"),
        0 => {}
        n => out.push_str(&format!("  … {} (--full shows them)\n", words::many(n as u64, "more line"))),
    }
}

fn model(run: &RunView, step: u32, lane: u32, at: u32, full: bool, style: Style) -> Result<String, Trouble> {
    let row = steps::row(run, step);
    let Some(turn) = run.outline.turn(lane, at) else {
        return Err(Trouble::Unreadable {
            run: run.manifest.id.to_string(),
            step,
            why: "its turn is missing from the outline".into(),
        });
    };
    let mut out = head(run, step, "model call", style);
    let mut facts = vec![match run.sent_model(turn) {
        Some(sent) => format!("{} (edited; the agent named {})", line(&sent), line(&turn.model)),
        None => line(&turn.model),
    }];
    if run.outline.lanes.len() > 1 {
        facts.push(format!("lane {}", lane_name(run, lane)));
    }
    facts.push(format!("turn {}", at + 1));
    facts.extend(row.as_ref().and_then(|r| r.time_us).map(words::duration));
    facts.extend(turn.usage.map(|u| format!("{} tokens", words::tokens(u.input, u.output))));
    facts.extend(
        turn.usage
            .filter(|u| u.cache_read > 0)
            .map(|u| format!("{} of them cached", words::count(u.cache_read))),
    );
    if let Some(row) = row.as_ref().filter(|r| run.manifest.parent.is_some() || r.from != From::Live) {
        facts.push(row.from.word().into());
    }
    out.push_str(&format!("   {}\n", facts.join("   ")));
    if let Some(tries) = tries(run, turn) {
        labelled(&mut out, "tried", &tries, style);
    }
    match run.request_of(turn) {
        Ok(request) => asked(&mut out, run, &request, (lane, at), full, style),
        Err(why) => labelled(&mut out, "request", &format!("cannot be read: {}", line(&why)), style),
    }
    answered(&mut out, run, (step, turn), full, style);
    let numbers = StepNumbers::of(run.outline);
    let tools: Vec<u32> = (0..turn.calls.len() as u32)
        .filter_map(|call| numbers.tool(CallSite { lane, turn: at, call }))
        .collect();
    if !tools.is_empty() {
        let steps = if tools.len() == 1 { "step" } else { "steps" };
        labelled(&mut out, "results", &format!("{steps} {}", words::ranges(&tools)), style);
    }
    Ok(out)
}

fn head(run: &RunView, step: u32, what: &str, style: Style) -> String {
    format!("{}   {what}", style.paint(Ink::Strong, &format!("{}@{step}", run.manifest.id)))
}

fn asked(out: &mut String, run: &RunView, request: &ModelRequest, at: (u32, u32), full: bool, style: Style) {
    let mut settings: Vec<String> = Vec::new();
    if request.stream {
        settings.push("streamed".into());
    }
    for (name, value) in &request.params {
        settings.push(format!("{} {}", line(name), clip(&line(&Tree::from(value).to_string()), 60)));
    }
    if !settings.is_empty() {
        labelled(out, "settings", &settings.join(" · "), style);
    }
    if !request.tools.is_empty() {
        let name = |tool: &Value| {
            let name = tool.get("name").or_else(|| tool.get("function").and_then(|f| f.get("name")));
            line(name.and_then(Value::as_str).unwrap_or("(no name)"))
        };
        let names = request.tools.iter().map(name).collect::<Vec<_>>().join(", ");
        let text = format!("{} offered: {names}", request.tools.len());
        let room = if full { usize::MAX } else { style.columns().saturating_sub(11) };
        labelled(out, "tools", &clip(&text, room), style);
    }
    let before = at.1.checked_sub(1).and_then(|t| run.outline.turn(at.0, t)).map(|t| run.request_of(t));
    let room = if full { usize::MAX } else { style.columns().saturating_sub(11) };
    let system = crate::diff::context::say(&request.system);
    if !system.is_empty() {
        labelled(out, "system", &clip(&line(&system), room), style);
    }
    let diff = match &before {
        Some(Ok(before)) => context(before, request),
        _ => all_new(request),
    };
    let total = words::many(request.messages.len() as u64, "message");
    labelled(
        out,
        "sees",
        &format!("{total}{}", if before.is_some() { ", against the turn before:" } else { ":" }),
        style,
    );
    out.push_str(&super::context::context(&diff, full, style));
}

fn answered(out: &mut String, run: &RunView, (step, turn): (u32, &Turn), full: bool, style: Style) {
    let injected = steps::injected(run, turn, step);
    if let Some(fault) = &injected {
        labelled(out, "fault", &style.paint(Ink::Note, &format!("injected by retake: {fault}")), style);
    }
    let answer = match run.answer_of(turn) {
        Ok(answer) => answer,
        // There is none, and the outline knows why.
        Err(_) if turn.error.is_some() => {
            if injected.is_some() {
                return;
            }
            let why = turn.error.as_deref().map(line).unwrap_or_default();
            return labelled(out, "failed", &style.paint(Ink::Bad, &why), style);
        }
        Err(why) => return labelled(out, "answers", &format!("cannot be read: {}", line(&why)), style),
    };
    let fenced = crate::diff::fenced(run, turn).is_some();
    for part in &answer.blocks {
        match part {
            Block::Text { text } => value(out, "answers", text, full, style),
            Block::Reasoning { text, signed } => {
                let mark = if *signed { " (signed)" } else { "" };
                match text.is_empty() {
                    true => labelled(out, "reasons", &format!("(not readable){mark}"), style),
                    false => value(out, &format!("reasons{mark}"), text, full, style),
                }
            }
            Block::ToolCall { name, args, .. } => {
                let one = action::call(name, args, style.columns().saturating_sub(15));
                let label = if fenced { "would call" } else { "calls" };
                labelled(out, label, &one, style);
                if one.contains('…') {
                    value(out, "arguments", &Tree::from(args).to_string(), full, style);
                }
            }
            other => labelled(
                out,
                "answers",
                &line(&crate::diff::context::say(std::slice::from_ref(other))),
                style,
            ),
        }
    }
    let broke_off = turn.error.as_ref().filter(|_| injected.is_none());
    if let Some(error) = answer.error.as_ref().or(broke_off) {
        let label = if fenced { "fenced" } else { "failed" };
        labelled(out, label, &style.paint(Ink::Bad, &line(error)), style);
    } else if !answer.whole && injected.is_none() {
        labelled(out, "failed", &style.paint(Ink::Bad, "the answer broke off before its end"), style);
    } else if answer.blocks.is_empty() {
        labelled(out, "answers", "nothing", style);
    }
    if let Some(reason) = &answer.stop_reason {
        labelled(out, "stops", &line(reason), style);
    }
}

fn tool(run: &RunView, step: u32, site: CallSite, full: bool, style: Style) -> Result<String, Trouble> {
    let unreadable = |why: String| Trouble::Unreadable { run: run.manifest.id.to_string(), step, why };
    let call =
        run.outline.call(site).ok_or_else(|| unreadable("its call is missing from the outline".into()))?;
    let numbers = StepNumbers::of(run.outline);
    let mut out = head(run, step, "tool call", style);
    let mut facts = vec![style.paint(Ink::Strong, &line(&call.name))];
    facts.extend(
        numbers.model(site.lane as usize, site.turn as usize).map(|n| format!("asked for by step {n}")),
    );
    let turn = run.outline.turn(site.lane, site.turn);
    let by_server = run.source.carried_out(site);
    if let Some(by) = &by_server {
        facts.push(format!("by {}", line(&by.server)));
        facts.extend(by.ended.clone());
    }
    if let Some(took) = by_server.and_then(|by| by.took_us) {
        facts.push(words::duration(took));
    } else if let Some(most) = turn.and_then(|turn| turn.call_took_us(call)) {
        facts.push(format!("at most {}", words::duration(most)));
    }
    if run.outline.lanes.len() > 1 {
        facts.push(format!("lane {}", lane_name(run, site.lane)));
    }
    out.push_str(&format!("   {}\n", facts.join("   ")));
    let args = run.full_args(site).unwrap_or_else(|| call.args.clone());
    value(&mut out, "arguments", &Tree::from(&args).to_string(), full, style);
    if run.is_stale(site) {
        out.push_str(&format!("{}\n", style.paint(Ink::Note, WHY_STALE)));
    }
    let (changed, from) = changed_result(run, step, site);
    if let (Some(sent), Some(own)) = (&changed, &call.result) {
        let label = if from == From::Edited {
            "result (edited: what the model saw)"
        } else {
            "result (pinned: what the model saw)"
        };
        value(&mut out, label, &sent.text, full, style);
        value(&mut out, "result that the agent holds", &own.text, full, style);
        return Ok(out);
    }
    match run.full_result(call).map_err(unreadable)? {
        None => labelled(&mut out, "result", "none: the run ended before it was seen", style),
        Some(result) => {
            let label = if result.is_error { "result (the tool says it failed)" } else { "result" };
            value(&mut out, label, &result.text, full, style);
            if result.other > 0 {
                labelled(&mut out, "and", &words::many(result.other as u64, "part that is not text"), style);
            }
        }
    }
    Ok(out)
}

/// JSON over several lines, two spaces a level; numbers as they are written.
fn pretty(tree: &Tree) -> String {
    let mut out = String::new();
    write_pretty(tree, 0, &mut out);
    out
}

fn write_pretty(tree: &Tree, depth: usize, out: &mut String) {
    let indent = |depth: usize| "  ".repeat(depth);
    let short = tree.to_string();
    match tree {
        Tree::List(items) if short.len() > 60 && !items.is_empty() => {
            out.push_str("[\n");
            for (i, item) in items.iter().enumerate() {
                out.push_str(&indent(depth + 1));
                write_pretty(item, depth + 1, out);
                out.push_str(if i + 1 < items.len() { ",\n" } else { "\n" });
            }
            out.push_str(&format!("{}]", indent(depth)));
        }
        Tree::Fields(fields) if (depth == 0 || short.len() > 60) && !fields.is_empty() => {
            out.push_str("{\n");
            for (i, (key, item)) in fields.iter().enumerate() {
                out.push_str(&format!("{}{}: ", indent(depth + 1), Value::from(key.as_str())));
                write_pretty(item, depth + 1, out);
                out.push_str(if i + 1 < fields.len() { ",\n" } else { "\n" });
            }
            out.push_str(&format!("{}}}", indent(depth)));
        }
        _ => out.push_str(&short),
    }
}
