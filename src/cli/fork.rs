//! `retake fork`

use super::args::ForkArgs;
use super::destination::{Revived, live_calls};
use super::editor::edit_by_hand;
use super::error::{CliError, exit};
use super::record::{manifest_of, parse_upstreams, redacted, redactor, run_name};
use super::replay::{ended, outcome_of, refuse_empty, stopped_by, tell_miss};
use super::rerun::{Asked, Rerun, knowing};
use super::session::Session;
use super::view::Opened;
use super::{Context, control, fences, warn};
use crate::dialect::conversation::Usage;
use crate::diff::{Conversations, Totals};
use crate::exchange::Source;
use crate::prices::Spent;
use crate::record::Recorder;
use crate::replay::matcher::Near;
use crate::replay::plan::Plan;
use crate::replay::player::Player;
use crate::replay::tally::Tally;
use crate::report;
use crate::report::matched::Matched;
use crate::report::results::{self, Answers};
use crate::report::tools_run::ToolsRun;
use crate::run::checkpoint::snap;
use crate::run::edit::{Edit, EditProblem};
use crate::run::{Outline, Parent, StepKind};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) fn fork(context: &Context, args: ForkArgs) -> Result<i32, CliError> {
    let config = context.config()?;
    let store = context.store()?;
    let opened = Opened::open(&store, &args.run)?;
    let manifest = opened.reader.manifest().clone();
    refuse_empty(&opened)?;
    let run = opened.recorded().clone();
    let outline = opened.outline.clone();
    let redactor = knowing(redactor(&store, &args.command)?, &opened);
    // An edit may hold a secret, and what is told of it is kept in terminals and logs.
    let said = |problem: EditProblem, next: &str| {
        let [edit, why] = [problem.edit, problem.why].map(|text| redactor.text(&text).0);
        CliError::usage(format!("the edit {edit} cannot apply: {why}"))
            .hint(format!("nothing was run; retake {next}"))
    };
    let refused = |problem: EditProblem| said(problem, &format!("show {} lists the steps", manifest.id));
    let misspelt = |problem: EditProblem| said(problem, "fork --help shows how edits are spelt");
    let parsed = args.edits.iter().map(|text| Edit::parse(text)).collect::<Result<Vec<_>, _>>();
    let mut edits = parsed.map_err(misspelt)?;
    if let (true, Some(step)) = (args.edit, args.at) {
        edits.push(Edit::parse(&edit_by_hand(&run, &outline, step)?).map_err(refused)?);
    }
    if edits.is_empty() && args.at.is_none() {
        return Err(CliError::usage(
            "a fork needs an edit (--set) or a checkpoint to go on live from (--at)",
        )
        .hint("for instance: --set '7:result.risk=\"high\"' or --set '*:model=gpt-x'"));
    }
    let (at, moved) = snapped(&outline, args.at, !args.edit)?;
    let plan = Plan::new(&run, &edits, at).map_err(|mut problem| {
        // The checkpoint that it speaks of is not the one that was asked for.
        if let Some(moved) = moved.as_ref().filter(|_| problem.why.contains("the checkpoint")) {
            problem.why.push_str(&format!(" ({moved})"));
        }
        refused(problem)
    })?;
    let added: Vec<String> = edits.iter().filter_map(Edit::added_tool).collect();
    let asked = Asked {
        verb: "fork",
        fences: &args.fences,
        unfence: &args.unfence,
        unpin: &args.unpin,
        added: &added,
        command: &args.command,
        yes: args.yes,
    };
    let rerun = Rerun::of(context, &config, &opened, redactor, &asked)?;
    rerun.tell_misspelt();
    let redactor = rerun.redactor.clone();
    let revived = Revived::of(&manifest, args.upstream.as_deref())?;
    let mut overrides = parse_upstreams(args.upstream.as_slice())?;
    if let Some(revived) = &revived {
        overrides.push(revived.upstream()?);
    }
    let name = run_name(Some(args.name.as_deref().unwrap_or(manifest.id.name())), &[])?;
    let mut planned = plan_told(&plan, &outline, moved);
    let named = plan.edited_steps(&outline);
    let edited_steps = named.len() as u32;
    let at_step = plan.at_step.min(untouched(&plan, &outline));
    let mut session =
        Session { overrides: &overrides, may_dial: true, json: context.json, ..rerun.session() };
    let told = session.plan("", None);
    planned.may_run = fences::may_run(&rerun);
    planned.to = live_calls(&opened, &told.destinations, revived.is_some())?;
    eprint!("{}", results::fork_plan(&planned, context.err_style));
    let known = control::known(&store, &rerun, &plan, &args.control)?;
    eprint!("{}", report::control::control(&known.told, context.err_style));
    // What does not fit the recording goes live, so that nothing is to be stopped.
    let mut options = rerun.options();
    options.max_live = args.max_live;
    options.serve_commands = args.serve_commands;
    options.plan = Some(plan);
    options.pinning.noise = Some(known.varying.clone());
    options.pinning.unpin = rerun.unpin.clone();
    let player = Arc::new(Player::new(run, options).map_err(CliError::broken)?);
    session.answerer = Some(player.clone());
    session.stop = Some(player.stopped());
    let mut warnings = rerun.start.warnings.clone();
    let mut writer = store.create_run(&name, |id| {
        let mut own = manifest_of(id, &redactor, &rerun.start.command, &rerun.directory);
        let found = &mut own.own_stand_ins;
        found.extend(manifest.own_stand_ins.iter().cloned());
        own.note = args.note.as_ref().map(|note| redacted(&redactor, note, found));
        own.labels = manifest.labels.clone();
        if rerun.start.restore {
            // It ran with the recorded variables, whatever is set here.
            own.environment.extend(manifest.environment.clone());
        }
        for (variable, url) in told.base_urls {
            let url = redacted(&redactor, &url, found);
            own.environment.insert(variable, url);
        }
        let edits = edits.iter().map(|e| redacted(&redactor, &e.text, found)).collect();
        own.upstreams = told.upstreams;
        own.intercepted = manifest.intercepted.clone();
        own.shell = manifest.shell;
        own.stdin = manifest.stdin.clone();
        own.parent = Some(Parent {
            run: manifest.id.clone(),
            uuid: manifest.uuid.clone(),
            at_step,
            edits,
            replay: false,
        });
        own
    })?;
    writer.share_with(&opened.reader)?;
    let id = writer.manifest().id.clone();
    let recorder =
        Recorder::start(writer, redactor.clone(), |why| warn(&format!("the fork is incomplete: {why}")))?;
    session.run = Some(id.to_string());
    session.tape = Some(recorder.clone());
    let landed = session.run();
    let sealed = recorder.finish(|m| {
        let tally = player.tally();
        m.outcome = landed.as_ref().ok().map(|l| outcome_of(l, &tally));
        m.stale = tally.stale_at;
    })?;
    let landed = match landed {
        Ok(landed) => landed,
        Err(error) => {
            store.remove_run(&id)?;
            return Err(error);
        }
    };
    let tally = player.tally();
    if sealed.exchanges == 0 {
        store.remove_run(&id)?;
        return Err(CliError::broken("the agent made no request through retake: there is no fork"));
    }
    let new = Opened::by_id(&store, &id)?.priced(context.prices());
    warnings.extend(live_troubles(&tally));
    // A fork that was stopped did not get that far.
    let missed: Vec<u32> = match stopped_by(&tally) {
        None => named.into_iter().filter(|step| !tally.edits_met.contains(step)).collect(),
        Some(_) => Vec::new(),
    };
    warnings.extend(missed.iter().map(|step| {
        format!("the edit of step {step} was not applied: the agent went another way before it, and this fork says nothing of it")
    }));
    let totals = Totals::of(&new.view());
    let mut answers = Answers { refused: tally.refused, ..answered(&new) };
    let (mut tokens, mut cost) = live_tokens(&new);
    if let Some(usage) = tally.fenced.as_ref().and_then(|fenced| fenced.asked_live) {
        // The answer was paid for, though the agent never got it.
        answers.live += 1;
        cost.add("the answer that was held back", None);
        tokens = (tokens.0 + usage.input, tokens.1 + usage.output);
    }
    let code = if tally.fenced.is_some() {
        exit::FENCE
    } else if !tally.misses.is_empty() {
        exit::MISS
    } else if sealed.incomplete.is_some() {
        exit::BROKEN
    } else if tally.live_limit || tally.live_failures().next().is_some() || !missed.is_empty() {
        exit::INCONCLUSIVE
    } else {
        exit::OK
    };
    tell_miss(context, &tally, &rerun.typed);
    let stopped = stopped_by(&tally);
    if let (Some(by), true) =
        (&stopped, answers == (Answers { refused: answers.refused, ..Answers::default() }))
    {
        store.remove_run(&id)?;
        let why = format!("stopped {by}, before the first answer: there is no fork");
        return Err(CliError { code, ..CliError::broken(why) });
    }
    let done = results::Fork {
        run: id.to_string(),
        parent: manifest.id.to_string(),
        steps: (totals.model_steps, totals.tool_steps),
        answers,
        edited_steps,
        tokens,
        cost,
        took_us: landed.took_us,
        answer: last_answer(&new.outline),
        unrecorded: tally.unrecorded.len() as u32,
        agent: Some(ended(&landed)).filter(|end| stopped.is_none() && end != "exit 0"),
        stopped,
        pinned: control::pinned(&tally, &redactor, &known.varying),
        stale: tally.stale(&outline),
        sent_as_is: known.explain(&tally, &redactor),
        matched: Matched::of(&tally),
        tools: ToolsRun::new(ran(&new), &rerun.fences)
            .with_servers(tally.servers.clone(), tally.fenced.as_ref().map(|fenced| fenced.tool.as_str())),
        go_on: fences::go_on(&rerun, &tally),
        repaired: tally.dropped.clone(),
        drifted: tally.drifts.iter().map(drifted).collect(),
        warnings,
    };
    eprint!("{}", results::fork(&done, context.err_style));
    if context.json {
        context.print_json(&serde_json::json!({
            "fork": done, "plan": planned, "classes": tally.classes(), "matching": tally.matching,
            "misses": tally.misses, "fenced": tally.fenced, "control": known.told, "exit": code,
        }))?;
    }
    Ok(code)
}

/// The checkpoint to go on from: moved to the next one from which a request can be sent. None when `--at` names a step
/// to edit by hand: what does not depend on that step keeps its recorded answer.
fn snapped(
    outline: &Outline,
    at: Option<u32>,
    resample: bool,
) -> Result<(Option<u32>, Option<String>), CliError> {
    let Some(asked) = at else { return Ok((None, None)) };
    let steps = outline.steps.len();
    if outline.step(asked).is_none() && asked != 0 {
        return Err(CliError::usage(format!("--at {asked}: the run has steps 1 to {steps}")));
    }
    if !resample {
        return Ok((None, None));
    }
    if asked == 0 {
        return Ok((at, None));
    }
    let Some(cut) = snap(outline, asked) else {
        return Err(CliError::usage(format!("--at {asked}: the recording ends before the next request"))
            .hint("fork at an earlier step"));
    };
    let moved = (cut.after_step != asked).then(|| {
        let calls = match outline.step(asked) {
            Some(StepKind::Tool { site }) => outline.turn(site.lane, site.turn),
            Some(StepKind::Model { lane, turn }) => outline.turn(lane, turn),
            None => None,
        };
        let why = match calls.map_or(0, |turn| turn.calls.len()) {
            0 | 1 => "the next request carries the result of the call",
            _ => "the results of parallel calls go out together",
        };
        format!("--at {asked} moved to {}: {why}", cut.after_step)
    });
    Ok((Some(cut.after_step), moved))
}

fn plan_told(plan: &Plan, outline: &Outline, moved: Option<String>) -> results::ForkPlan {
    let again = plan.asked_again(outline) as u32;
    let mut tokens = Usage::default();
    for (lane, first) in plan.reach(outline) {
        let turns = outline.lanes.get(lane as usize).map(|l| l.turns.as_slice()).unwrap_or_default();
        for turn in turns.iter().skip(first as usize) {
            tokens += turn.usage.unwrap_or_default();
        }
    }
    let first_new = plan.first_new_step(outline).unwrap_or(outline.steps.len() as u32 + 1);
    results::ForkPlan {
        shared: first_new.saturating_sub(1),
        edited: plan.edited_steps(outline),
        live_calls: (again.min(1), again),
        tokens: tokens.input + tokens.output,
        moved,
        to: Vec::new(),
        may_run: Vec::new(),
    }
}

/// A model call that was to come from the recording and went live, in words.
fn drifted(near: &Near) -> String {
    let step = near.step.map_or_else(|| "a model call".to_string(), |step| format!("step {step}"));
    let at = if near.path.is_empty() { near.why.clone() } else { near.path.clone() };
    format!("{step} no longer matches the recording ({at}); asked live, and all that follows from it")
}

/// The last step before the first model call that an edit makes go live.
fn untouched(plan: &Plan, outline: &Outline) -> u32 {
    let first = plan.first_asked().into_iter();
    let live = first.filter_map(|(lane, turn)| outline.number_of(StepKind::Model { lane, turn }));
    live.min().map_or(outline.steps.len() as u32, |first| first.saturating_sub(1))
}

/// What went wrong with live calls, one line each.
fn live_troubles(tally: &Tally) -> Vec<String> {
    let mut lines: Vec<String> = tally
        .live_failures()
        .map(|(why, attempts)| match attempts {
            1 => format!("a live call failed: {why}"),
            n => format!("a live call failed in {n} attempts: {why}"),
        })
        .collect();
    let mended: Vec<&str> = tally.live_mended().collect();
    if let Some(why) = mended.first() {
        let (attempts, were) = match mended.len() {
            1 => ("1 attempt".to_string(), "was"),
            n => (format!("{n} attempts"), "were"),
        };
        lines.push(format!("{attempts} of live calls failed and {were} made good by a retry: {why}"));
    }
    lines
}

/// Tools that ran in the agent's own process, with how often: those whose results came back.
fn ran(new: &Opened) -> BTreeMap<String, u32> {
    let mut ran = BTreeMap::new();
    for step in &new.outline.steps {
        let StepKind::Tool { site } = step.kind else { continue };
        let by_itself = new.outline.call(site).filter(|call| call.result.is_some());
        if let Some(call) = by_itself.filter(|_| {
            let servers = new.tool_servers();
            servers.carried_out(site).is_none_or(|spoken| servers.ran_here(spoken))
        }) {
            *ran.entry(call.name.clone()).or_default() += 1;
        }
    }
    ran
}

/// Where the answers of the model steps came from; of a call with retries the last one counts.
fn answered(new: &Opened) -> Answers {
    let mut answers = Answers::default();
    for turn in new.outline.lanes.iter().flat_map(|l| &l.turns) {
        match turn.attempts.last().map(|id| new.source(*id)) {
            Some(Source::Live) => answers.live += 1,
            Some(Source::Edited { .. }) => answers.edited += 1,
            Some(Source::Recorded { .. }) => answers.recorded += 1,
            Some(Source::Refused) | None => {}
        }
    }
    answers
}

/// Tokens in and out of what was asked live, and what it costs.
fn live_tokens(new: &Opened) -> ((u64, u64), Spent) {
    let view = new.view();
    let mut spent = Spent::default();
    let mut usage = Usage::default();
    for turn in new.outline.lanes.iter().flat_map(|l| &l.turns) {
        let live = turn.attempts.last().is_some_and(|id| new.source(*id) == Source::Live);
        if live {
            usage += turn.usage.unwrap_or_default();
            let model = view.sent_model(turn);
            spent.add(model.as_deref().unwrap_or(&turn.model), view.cost_of(turn));
        }
    }
    ((usage.input, usage.output), spent)
}

/// The last answer of a run, with its step.
fn last_answer(outline: &Outline) -> Option<(u32, String)> {
    let (lane, turn) = outline.ends().pop()?;
    let text = outline.turn(lane, turn)?.text.clone();
    let number = outline.number_of(StepKind::Model { lane, turn })?;
    (!text.is_empty()).then_some((number, text))
}
