//! What a command did, in two or three lines: `recorded`, `replayed`, `forked`.

use super::action;
use super::lines::Lines;
use super::matched::{Matched, matched, stale};
use super::secrets;
use super::style::{Ink, Style};
use super::tool_results::ToolResults;
use super::tools_run::{ToolsRun, ran};
use super::warnings::{self, pinned, sent_as_is, unasked, unasked_numbers};
use super::words::{self, line, many};
use crate::diff::{RunView, Totals};
use crate::prices::Spent;
use crate::replay::tally::Stale;
use serde::Serialize;
use std::collections::BTreeMap;

/// Tools that are named in one line.
const TOOLS: usize = 8;

/// What `retake run` did.
pub struct Recording<'a> {
    /// The run.
    pub run: RunView<'a>,
    /// Secrets left in fields that must round-trip: they block the export.
    pub untouched: u32,
    /// What its instrumentation exported: spans and log records.
    pub exported: (u64, u64),
    /// Requests that are no model calls, one line a kind: `2x GET /v1/models (openai), 404`.
    pub others: Vec<String>,
    /// What went wrong on the way to the models, one line each.
    pub warnings: Vec<String>,
    /// Tools that it called and that a replay had better not run.
    pub fences: Vec<String>,
}

/// How often answers came from where: requests in a replay, model steps in a fork.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Answers {
    /// From the recording.
    pub recorded: u32,
    /// From an edit.
    pub edited: u32,
    /// From the real upstream.
    pub live: u32,
    /// Refused: nothing recorded was right.
    pub refused: u32,
}

/// How the outcome compares with the recorded one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum Compared {
    /// Same exit code and last answer.
    Same,
    /// Another exit code or last answer.
    Differs {
        /// What differs, in words: `exit 1 instead of 0`.
        what: String,
    },
    /// The agent ended as recorded, but before it had asked for everything.
    Early,
    /// The replay was stopped before the end (a fence, `--to`, a miss).
    Stopped {
        /// By what, in words: `at the fence before issue_refund (step 9)`.
        by: String,
    },
}

/// What a replay did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Replay {
    /// The recording.
    pub run: String,
    /// Steps of the recording.
    pub steps: u32,
    /// Steps of it that were gone through again.
    pub replayed: u32,
    /// Where the answers came from.
    pub answers: Answers,
    /// How long it took, in microseconds.
    pub took_us: u64,
    /// Against the recorded outcome.
    pub outcome: Compared,
    /// Tool results that were pinned, by tool.
    pub pinned: Vec<ToolResults>,
    /// Of those: shown after a write that was not as recorded.
    pub stale: Vec<Stale>,
    /// How well requests fitted.
    #[serde(skip)]
    pub matched: Matched,
    /// Tools that the agent ran for real.
    #[serde(flatten)]
    pub tools: ToolsRun,
    /// After a fence: how to go on, in words.
    pub go_on: Option<String>,
    /// Recorded steps that were never asked for, with what they did.
    pub unasked: Vec<(u32, String)>,
    /// Recorded waiting (retries, `Retry-After`) that was not waited again: attempts and microseconds.
    pub backoff: (u32, u64),
    /// Places where today's secret was put for a stand-in, and where a stand-in was served.
    pub secrets: (u32, u32),
    /// Other things to be known, one line each.
    pub warnings: Vec<String>,
}

/// What a fork is going to do.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ForkPlan {
    /// The last step that is shared.
    pub shared: u32,
    /// Steps that an edit names.
    pub edited: Vec<u32>,
    /// Model calls that will be asked again at least, and at most.
    pub live_calls: (u32, u32),
    /// About how many tokens that takes.
    pub tokens: u64,
    /// Where `--at` was moved to and why, in words.
    pub moved: Option<String>,
    /// Where live calls go, by provider.
    pub to: Vec<LiveCalls>,
    /// Tools of servers and wrapped functions that no fence stops and that are not known only to read.
    pub may_run: Vec<String>,
}

/// Where the live calls of a provider go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LiveCalls {
    /// The provider: `openai`.
    pub provider: String,
    /// The address.
    pub origin: String,
    /// Who says so: `OPENAI_BASE_URL`, `--upstream`, `as recorded`.
    pub said: String,
    /// Where they went when recorded, if elsewhere.
    pub recorded: Option<String>,
}

fn in_words<S: serde::Serializer>(steps: &(u32, u32), to: S) -> Result<S::Ok, S::Error> {
    let (model, tool) = *steps;
    BTreeMap::from([("all", model + tool), ("model", model), ("tool", tool)]).serialize(to)
}

/// Tool results that differ from the recorded ones and were sent to the live model as they are, by tool.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SentAsIs {
    /// They do not vary by themselves: an effect of the edit.
    pub by_edit: Vec<ToolResults>,
    /// They vary by themselves, and come after a write that was not as recorded.
    pub after_write: Vec<ToolResults>,
    /// `--unpin`
    pub unwanted: Vec<ToolResults>,
    /// Whether they vary by themselves is not known.
    pub unknown: Vec<ToolResults>,
    /// Why not, in words.
    pub why_unknown: Option<String>,
}

/// What a fork did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fork {
    /// The new run.
    pub run: String,
    /// The run it was forked from.
    pub parent: String,
    /// Steps of the new run: model calls, tool calls.
    #[serde(serialize_with = "in_words")]
    pub steps: (u32, u32),
    /// Where the answers of its model steps came from; what was refused is counted in requests.
    pub answers: Answers,
    /// How many steps of the parent an edit names.
    pub edited_steps: u32,
    /// Tokens of the live calls: in and out.
    pub tokens: (u64, u64),
    /// What these cost, in US dollars; `null` when one of them has no price.
    pub cost: Spent,
    /// How long it took, in microseconds.
    pub took_us: u64,
    /// The last answer and its step.
    pub answer: Option<(u32, String)>,
    /// Live calls that the recording does not have.
    pub unrecorded: u32,
    /// How the agent ended, when it ended by itself and not well: `exit 1`.
    pub agent: Option<String>,
    /// How it ended when not by itself: `at the fence before issue_refund`.
    pub stopped: Option<String>,
    /// Tool results that were pinned, by tool.
    pub pinned: Vec<ToolResults>,
    /// Of those: shown after a write that was not as recorded.
    pub stale: Vec<Stale>,
    /// Tool results that differ and were sent to the live model all the same.
    pub sent_as_is: SentAsIs,
    /// How well requests fitted.
    #[serde(skip)]
    pub matched: Matched,
    /// Tools that the agent ran for real.
    #[serde(flatten)]
    pub tools: ToolsRun,
    /// After a fence: how to go on, in words.
    pub go_on: Option<String>,
    /// What was dropped or repaired so that the provider takes the edited history, one line each.
    pub repaired: Vec<String>,
    /// Model calls that no edit meant to change and that were asked live, in words.
    pub drifted: Vec<String>,
    /// Other things to be known, one line each.
    pub warnings: Vec<String>,
}

/// The lines of `retake run`.
pub fn recording(done: &Recording, style: Style) -> String {
    let (run, totals) = (&done.run, Totals::of(&done.run));
    let id = run.manifest.id.to_string();
    let asked = totals.model_steps > 0;
    let others = many(run.outline.others.len() as u64, "other request");
    let plain = |text: String| (Ink::Plain, text);
    let facts = [
        (Ink::Strong, id.clone()),
        plain(steps(totals.model_steps, totals.tool_steps)),
        plain(if asked {
            words::spent(totals.tokens_in, totals.tokens_out, totals.model_steps)
        } else {
            others
        }),
        plain(totals.duration_us.map(words::seconds).unwrap_or_default()),
        plain(if asked { format!("cost {}", words::line(&totals.cost.to_string())) } else { String::new() }),
    ];
    let mut lines = Lines::new(style, "recorded", if asked { Ink::Good } else { Ink::Bad }, &facts);
    if let Some(why) = &run.manifest.incomplete {
        lines.say(Ink::Bad, &format!("INCOMPLETE: not everything could be written: {}", line(why)));
    }
    if let Some(secrets) = secrets::replaced(run.manifest) {
        lines.say(Ink::Dim, &secrets);
    }
    let servers = run.source.servers();
    if !servers.is_empty() {
        lines.say(Ink::Dim, &format!("tools recorded: {}", words::servers(&servers)));
    }
    let by_servers: u32 = servers.iter().map(|server| server.calls).sum();
    if totals.tool_steps > by_servers {
        lines.say(Ink::Dim, "tools seen through messages: results exact, side effects not visible to retake");
    }
    if done.untouched > 0 {
        let what = many(done.untouched.into(), "secret");
        lines.say(
            Ink::Bad,
            &format!(
                "warning: {what} left in signed or encrypted fields; `retake export` will refuse this run"
            ),
        );
    }
    warnings::others(&mut lines, Ink::Bad, &done.warnings);
    if asked {
        let fences: String = done.fences.iter().map(|tool| format!(" --fence {}", line(tool))).collect();
        let command = if run.manifest.command.is_empty() { " -- COMMAND" } else { "" };
        lines.next(&[format!("retake show {id}"), format!("retake replay {id}{fences}{command}")]);
    } else if !servers.is_empty() && done.others.is_empty() {
        lines.next(&[format!("retake replay {id}")]);
    } else {
        no_model_call(&mut lines, done, &id);
    }
    lines.out()
}

/// What to say of a recording that cannot be replayed.
fn no_model_call(lines: &mut Lines, done: &Recording, id: &str) {
    let seen = &done.others;
    let (spans, logs) = (many(done.exported.0, "span"), many(done.exported.1, "log record"));
    if seen.is_empty() && done.exported != (0, 0) {
        let what =
            format!("no request was seen: {spans} and {logs} are kept, and there is nothing to replay");
        lines.say(Ink::Bad, &what);
        return lines.next(&[format!("retake show {id} --tree")]);
    }
    lines.say(
        Ink::Bad,
        "no model call was seen: a replay answers the other requests, and there is nothing to fork",
    );
    for request in seen.iter().take(5) {
        lines.say(Ink::Plain, &format!("seen: {}", line(request)));
    }
    if seen.len() > 5 {
        lines.say(Ink::Plain, &format!("and {} more kinds of requests", seen.len() - 5));
    }
    lines.say(
        Ink::Note,
        "check that the agent got as far as asking its model, and that it asks by a protocol that retake knows \
         (OpenAI, Anthropic, Gemini, Ollama, Bedrock): other requests are kept as bytes, not as steps",
    );
    let tree = if done.exported.0 > 0 { " --tree" } else { "" };
    lines.next(&[format!("retake show {id}{tree}")]);
}

/// `10 steps (5 model, 5 tool)`.
fn steps(model: u32, tool: u32) -> String {
    if model + tool == 0 {
        return "0 steps".into();
    }
    format!("{} ({model} model, {tool} tool)", many((model + tool).into(), "step"))
}

/// The lines of `retake replay`.
pub fn replay(done: &Replay, style: Style) -> String {
    let (same, outcome) = match &done.outcome {
        Compared::Same => (true, "same outcome".to_string()),
        Compared::Differs { what } => (false, format!("DIFFERENT outcome: {}", line(what))),
        Compared::Early => {
            (false, format!("STOPPED EARLY: {} never asked for", unasked_numbers(&done.unasked)))
        }
        Compared::Stopped { by } => (false, format!("stopped {}", line(by))),
    };
    let played = match done.steps {
        0 => {
            let all = done.answers.recorded + done.tools.servers.messages;
            format!("{}, no model call", many(all.into(), "request"))
        }
        steps => format!("{}/{steps} steps", done.replayed),
    };
    let whole = done.replayed == done.steps && done.unasked.is_empty() && done.answers.refused == 0;
    let facts = [
        (Ink::Plain, played),
        (Ink::Plain, many(done.answers.live.into(), "live call")),
        (Ink::Plain, words::seconds(done.took_us)),
        (if same { Ink::Good } else { Ink::Bad }, outcome),
    ];
    let mut lines = Lines::new(style, "replayed", if same && whole { Ink::Good } else { Ink::Bad }, &facts);
    if done.answers.edited + done.answers.refused > 0 {
        lines.say(Ink::Note, &format!("requests: {}", sources(done.answers)));
    }
    done.go_on.iter().for_each(|how| lines.say(Ink::Note, how));
    matched(&mut lines, &done.matched, done.backoff.0 > 0);
    pinned(&mut lines, &done.pinned, "renamed");
    stale(&mut lines, &done.stale);
    unasked(&mut lines, &done.unasked, done.outcome == Compared::Early);
    if done.backoff.0 > 0 {
        let tries = many(done.backoff.0.into(), "recorded retry").replace("retrys", "retries");
        lines.say(
            Ink::Dim,
            &format!("{tries} collapsed, {} of waiting skipped", words::duration(done.backoff.1)),
        );
    }
    match done.secrets {
        (0, 0) => {}
        (real, 0) => lines.say(Ink::Dim, &format!("{} bound to today's value", many(real.into(), "secret"))),
        (real, fake) => {
            let real = if real > 0 { format!(", {real} bound to today's value") } else { String::new() };
            lines.say(Ink::Dim, &format!("{} served as a stand-in{real}", many(fake.into(), "secret")));
        }
    }
    ran(&mut lines, &done.tools);
    warnings::others(&mut lines, Ink::Note, &done.warnings);
    lines.out()
}

/// The line before a fork: what it will do.
pub fn fork_plan(plan: &ForkPlan, style: Style) -> String {
    let shared = match plan.shared {
        0 => "nothing from the recording".to_string(),
        1 => "step 1 from the recording".into(),
        n => format!("steps 1-{n} from the recording"),
    };
    let mut parts = vec![shared];
    if !plan.edited.is_empty() {
        parts.push(format!("{} edited", words::ranges(&plan.edited)));
    }
    let tokens = match plan.tokens {
        0 => String::new(),
        n => format!(", ~{} tokens", words::count(n)),
    };
    parts.push(match plan.live_calls {
        (0, 0) => "no live call expected".into(),
        (a, b) if a == b => format!("then live: about {}{tokens}", many(a.into(), "call")),
        (a, b) => format!("then live: about {a}-{b} calls{tokens}"),
    });
    let mut out = String::new();
    let mut say = |ink: Ink, text: &str| {
        for part in words::fold(text, style.columns()) {
            out.push_str(&format!("{}\n", style.paint(ink, &part)));
        }
    };
    // What it explains comes after it.
    plan.moved.iter().for_each(|moved| say(Ink::Note, &line(moved)));
    say(Ink::Dim, &parts.join(" · "));
    if plan.live_calls.1 > 0 && !plan.may_run.is_empty() {
        let names: Vec<String> = plan.may_run.iter().take(TOOLS).map(|tool| line(tool)).collect();
        let more = plan.may_run.len() - names.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let what =
            format!("may run for real then: {}{more} (--fence TOOL stops before one)", names.join(", "));
        say(Ink::Note, &what);
    }
    for to in plan.to.iter().filter(|_| plan.live_calls.1 > 0) {
        let of = if plan.to.len() > 1 { format!(" of {}", line(&to.provider)) } else { String::new() };
        let recorded = to.recorded.as_ref().map(|r| format!("; recorded: {}", line(r))).unwrap_or_default();
        let ink = if recorded.is_empty() { Ink::Dim } else { Ink::Note };
        say(ink, &format!("live calls{of} go to {} ({}{recorded})", line(&to.origin), line(&to.said)));
    }
    out
}

/// The lines of `retake fork`.
pub fn fork(done: &Fork, style: Style) -> String {
    let (model, tool) = done.steps;
    let refused = done.answers.refused;
    let asked = Answers { refused: 0, ..done.answers };
    let spent = match done.tokens {
        (0, 0) if done.answers.live > 0 => "tokens n/a".to_string(),
        (0, 0) => "no tokens spent".to_string(),
        (i, o) => format!("{} > {} tokens spent", words::count(i), words::count(o)),
    };
    let facts = [
        (Ink::Strong, done.run.clone()),
        (
            Ink::Plain,
            format!(
                "{} ({model} model: {}; {tool} tool)",
                many((model + tool).into(), "step"),
                sources(asked)
            ),
        ),
        (
            Ink::Plain,
            if refused == 0 { String::new() } else { format!("{} refused", many(refused.into(), "request")) },
        ),
        (Ink::Plain, spent),
        (
            Ink::Plain,
            if done.answers.live > 0 && !done.cost.is_unknown() {
                format!("cost {}", line(&done.cost.to_string()))
            } else {
                String::new()
            },
        ),
        (Ink::Plain, words::seconds(done.took_us)),
        (Ink::Bad, done.agent.as_ref().map(|end| format!("agent {end}")).unwrap_or_default()),
    ];
    let ink = if done.stopped.is_some() || done.agent.is_some() { Ink::Note } else { Ink::Good };
    let mut lines = Lines::new(style, "forked", ink, &facts);
    if let Some(by) = &done.stopped {
        lines.say(Ink::Note, &format!("stopped {}", line(by)));
    }
    done.go_on.iter().for_each(|how| lines.say(Ink::Note, how));
    if let Some((step, text)) = &done.answer {
        let room = style.columns().saturating_sub(16);
        lines.say(Ink::Plain, &format!("{step}  {}", action::quoted(text, room)));
    }
    if done.unrecorded > 0 {
        let calls = many(done.unrecorded.into(), "live call");
        lines.say(Ink::Note, &format!("{calls} beyond the recording: the agent asked more than it did then"));
    }
    warnings::others(&mut lines, Ink::Bad, &done.drifted);
    done.repaired.iter().for_each(|r| lines.say(Ink::Note, &format!("repaired: {}", line(r))));
    matched(&mut lines, &done.matched, false);
    pinned(&mut lines, &done.pinned, "ids and clocks of today, sent as they are:");
    stale(&mut lines, &done.stale);
    sent_as_is(&mut lines, &done.sent_as_is);
    ran(&mut lines, &done.tools);
    warnings::others(&mut lines, Ink::Note, &done.warnings);
    lines.next(&[format!("retake diff {} {}", done.parent, done.run)]);
    lines.out()
}

/// `3 recorded, 1 edited, 2 live`; what did not occur is left out.
fn sources(answers: Answers) -> String {
    let counts = [
        (answers.recorded, "recorded"),
        (answers.edited, "edited"),
        (answers.live, "live"),
        (answers.refused, "refused"),
    ];
    let said: Vec<String> =
        counts.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")).collect();
    if said.is_empty() { "none".into() } else { said.join(", ") }
}
