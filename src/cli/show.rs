//! `retake show`

use super::args::ShowArgs;
use super::error::{CliError, exit};
use super::view::Opened;
use super::{Context, print, spans, traced, warn};
use crate::diff::RunView;
use crate::report::checkpoint::{CheckpointView, LaneHead};
use crate::report::stats::partial_footing;
use crate::report::steps::Notes;
use crate::report::{self, Trouble, sessions, step, steps};
use crate::run::StepKind;
use crate::run::checkpoint::{Checkpoint, checkpoint};
use crate::run::tree::Node;
use crate::span::Span;

impl From<Trouble> for CliError {
    fn from(trouble: Trouble) -> CliError {
        match trouble {
            Trouble::NoStep { .. } => CliError::usage(trouble.to_string()),
            _ => CliError::broken(trouble.to_string()),
        }
    }
}

pub(super) fn show(context: &Context, args: &ShowArgs) -> Result<i32, CliError> {
    let store = context.store()?;
    if let Some(text) = &args.trace {
        return traced::show(context, &store, args.run.as_deref(), text, args.full);
    }
    let run = args.run.as_deref().unwrap_or("last");
    let opened = Opened::open(&store, run)?.priced(context.prices());
    let view = opened.view();
    for line in opened.reader.damage() {
        warn(line);
    }
    if args.tree {
        let mut tree = spans::tree(&opened, args.full)?;
        tree.price(&|step| match opened.outline.step(step)? {
            StepKind::Model { lane, turn } => view.cost_of(opened.outline.turn(lane, turn)?),
            StepKind::Tool { .. } => None,
        });
        match context.json {
            true => context.print_json(&tree_data(&opened, &tree, args.full)?)?,
            false => {
                let partial = tree.spent().is_partial().then(|| partial_footing(context.style));
                let shown = report::tree::show(&view, &tree, args.full, context.style);
                print(&format!("{shown}{}", partial.unwrap_or_default()))?;
            }
        }
        spans::free(tree);
        return Ok(exit::OK);
    }
    let Some(number) = args.step else {
        let others = opened.outline.others.iter().filter_map(|id| opened.reader.exchange(*id).ok());
        let others: Vec<_> = others.filter(|exchange| exchange.request.head.is_websocket()).collect();
        let sessions = sessions::sessions(&others);
        // Where there is no step they are all there is.
        let spans = if opened.outline.steps.is_empty() { spans::count(&opened.reader)? } else { 0 };
        if context.json {
            let mut told = serde_json::json!({
                "manifest": view.manifest, "state": view.state,
                "steps": steps::rows(&view, &Notes::new()), "outline": view.outline, "cost": view.spent(),
            });
            if spans > 0 {
                told["spans"] = spans.into();
            }
            if !sessions.is_empty() {
                told["sessions"] = serde_json::json!(sessions);
            }
            context.print_json(&told)?;
        } else {
            let told = steps::show(&view, &Notes::new(), context.style);
            let id = view.manifest.id.to_string();
            let spans = if spans > 0 { report::spans::elsewhere(&id, spans) } else { String::new() };
            print(&format!("{told}{}{spans}", sessions::show(&sessions, context.style)))?;
        }
        return Ok(exit::OK);
    };
    if args.checkpoint {
        let state = checkpoint(&opened.outline, number).ok_or_else(|| no_step(&view, number))?;
        if context.json {
            context.print_json(&state)?;
        } else {
            print(&report::checkpoint::checkpoint(&checkpoint_view(&view, &state), context.style))?;
        }
    } else if args.context {
        if context.json {
            let other = args.vs.unwrap_or(number);
            context.print_json(&step::context_of((&view, other), (&view, number))?)?;
        } else {
            let versus = args.vs.map(|other| (&view, other));
            print(&step::show_context(&view, number, versus, args.full, context.style)?)?;
        }
    } else if context.json {
        context.print_json(&step_data(&opened, number)?)?;
    } else {
        print(&step_text(context, &opened, number, args.full)?)?;
    }
    Ok(exit::OK)
}

/// A tree as data. `full`: with the attributes of its spans and of their events.
fn tree_data(opened: &Opened, tree: &Node, full: bool) -> Result<serde_json::Value, CliError> {
    let mut told = serde_json::to_value(tree).map_err(|e| CliError::broken(e.to_string()))?;
    if full {
        let (all, _) = spans::all(opened)?;
        let id = |span: &Span| format!("{}{}", span.key.trace, span.key.span);
        report::spans::complete(&mut told, &all.iter().map(|span| (id(span), span)).collect());
    }
    Ok(told)
}

/// A step in full, with what spans and log records tell of it.
pub(super) fn step_text(
    context: &Context,
    opened: &Opened,
    number: u32,
    full: bool,
) -> Result<String, CliError> {
    let mut text = step::show_step(&opened.view(), number, full, context.style)?;
    let told =
        spans::about(opened, number, |about, path| report::spans::about(about, path, full, context.style))?;
    text.push_str(&told.unwrap_or_default());
    Ok(text)
}

/// The same as data.
pub(super) fn step_data(opened: &Opened, number: u32) -> Result<serde_json::Value, CliError> {
    let view = opened.view();
    let row = steps::row(&view, number).ok_or_else(|| no_step(&view, number))?;
    let mut told = serde_json::json!({ "step": row, "detail": detail(&view, number) });
    let about = spans::about(opened, number, |about, path| (report::spans::data(about), path.cloned()))?;
    if let Some(((spans, logs), path)) = about {
        told["spans"] = spans;
        told["logs"] = logs;
        told["under"] = serde_json::json!(path.map(|path| path.levels));
    }
    Ok(told)
}

fn no_step(view: &RunView, asked: u32) -> CliError {
    let steps = view.outline.steps.len() as u32;
    Trouble::NoStep { run: view.manifest.id.to_string(), asked, steps }.into()
}

/// What a step is made of, in full.
fn detail(view: &RunView, number: u32) -> serde_json::Value {
    match view.outline.step(number) {
        Some(StepKind::Model { lane, turn }) => {
            let Some(turn) = view.outline.turn(lane, turn) else { return serde_json::Value::Null };
            let request = view.request_of(turn).ok();
            let answer = view.answer_of(turn).ok();
            let sources: Vec<_> = turn.attempts.iter().map(|id| view.source.source(*id)).collect();
            serde_json::json!({
                "exchanges": turn.attempts, "sources": sources,
                "messages": request.as_ref().map(|r| &r.messages),
                "system": request.as_ref().map(|r| &r.system),
                "params": request.as_ref().map(|r| &r.params),
                "answer": answer.as_ref().map(|a| &a.blocks), "usage": turn.usage, "cost": view.cost_of(turn), "error": turn.error,
            })
        }
        Some(StepKind::Tool { site }) => {
            let Some(call) = view.outline.call(site) else { return serde_json::Value::Null };
            let result = view.full_result(call).ok().flatten().map(|r| r.text);
            serde_json::json!({ "tool": call.name, "args": view.full_args(site), "result": result })
        }
        None => serde_json::Value::Null,
    }
}

fn checkpoint_view(view: &RunView, state: &Checkpoint) -> CheckpointView {
    let lanes = state.lanes.iter().map(|lane| {
        let pending = lane.pending.iter().filter_map(|site| view.outline.call(*site));
        LaneHead {
            lane: lane.lane.clone(),
            turns: lane.turns,
            messages: lane.head.messages,
            pending: pending.map(|call| call.name.clone()).collect(),
            last_step: lane
                .turns
                .checked_sub(1)
                .and_then(|turn| view.outline.number_of(StepKind::Model { lane: lane.index, turn })),
        }
    });
    CheckpointView {
        name: format!("{}@{}", view.manifest.id, state.after_step),
        lanes: lanes.collect(),
        bindings: state.bindings.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
        usage: state.usage,
    }
}
