//! What a case came to, from what the agent did.

use super::super::error::exit;
use super::super::replay::done;
use super::super::rerun::Rerun;
use super::super::session::{Held, Landed};
use super::super::view::Opened;
use super::place::lines;
use crate::agent::strays;
use crate::config::Config;
use crate::diff::RunView;
use crate::replay::matcher::Miss;
use crate::replay::player::Player;
use crate::replay::policy;
use crate::replay::tally::Tally;
use crate::report::heading::command;
use crate::report::results::{Compared, Replay};
use crate::report::words::many;
use crate::report::{Style, miss};
use crate::run::StepKind;
use crate::suite::case::{Beside, Case};
use crate::suite::checks::{self, Check, Judgement, Outcome, Subject};
use crate::suite::findings::{Finding, Replayed, Severity, find};
use crate::suite::outcome::{CaseOutcome, Verdict};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::io::{ErrorKind, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// Checks of runs that no suite plays may take so long.
pub(super) const ALONE: Held<'static> = Held { within: Duration::from_secs(60), watch: &|_, _| {}, mark: "" };

/// An agent that ran, and its recording.
pub(super) struct Ran<'a> {
    pub rerun: &'a Rerun<'a>,
    pub player: &'a Player,
    pub landed: &'a Landed,
    /// What it did now.
    pub now: &'a Opened,
    /// What was not recorded was asked live.
    pub live: bool,
    /// How its checks are held too.
    pub held: Held<'a>,
}

/// What a case is called.
pub(super) struct Called<'a> {
    pub case: &'a Case,
    pub file: &'a str,
}

/// Judges a case.
pub(super) fn judge(
    called: &Called<'_>,
    ran: &Ran<'_>,
    config: &Config,
    beside: &Beside,
    root: &Path,
) -> CaseOutcome {
    let tally = ran.player.tally();
    let ended = (ran.landed.ended.exit_code, ran.landed.ended.signal);
    let (replay, code) = done(ran.rerun, ran.player, Some(ended), ran.landed.took_us);
    let recorded = ran.rerun.opened;
    let severities = config.severities.clone().with(&beside.findings);
    let cut_off = code == exit::FENCE || ran.landed.timed_out || asked_nothing(&replay);
    let replayed = Replayed { tally: &tally, rules: &config.rules, cut_off };
    let views = (recorded.view(), ran.now.view());
    let found = find(&views.0, &views.1, &ran.rerun.surroundings, Some(replayed), &severities);
    let whole = code != exit::MISS && code != exit::FENCE && !ran.landed.timed_out;
    let wanted: Vec<Check> = config.checks.iter().chain(&beside.check).cloned().collect();
    // Of a run that was cut off a check would say what is not so.
    let checks = if whole { checked(&ran.now.view(), wanted, root, ran.held) } else { Vec::new() };
    let (verdict, why) = verdict(ran, &replay, code, &found.all, &checks);
    let misses = tally.misses.first();
    CaseOutcome {
        verdict,
        why,
        hints: hints(&tally, called.case, ran.live),
        drift: found.drift(),
        steps: replay.steps,
        replayed: replay.replayed,
        matched: matched(&tally),
        live: replay.answers.live,
        tools_run: replay.tools.ran.clone().into_iter().collect(),
        miss: misses
            .map(|of| Miss { hints: about_no_run(&of.hints).collect(), ..of.clone() })
            .map(|of| miss::miss(&of, Style::default()))
            .unwrap_or_default(),
        warnings: ran.rerun.misspelt.clone(),
        lines: lines(called.case, &recorded.outline, &found.all),
        findings: found.all,
        checks,
        agent_us: ran.landed.took_us,
        ..CaseOutcome::broken(&called.case.name, called.file, "")
    }
}

fn verdict(
    ran: &Ran<'_>,
    replay: &Replay,
    code: i32,
    findings: &[Finding],
    checks: &[Judgement],
) -> (Verdict, String) {
    // An agent that goes on asking after a request was refused is judged by that request.
    if ran.landed.timed_out && replay.answers.refused == 0 {
        let seconds = ran.landed.took_us as f64 / 1e6;
        let why = format!("the agent had not ended after {seconds:.0} s{}", last_done(&ran.now.view()));
        return (Verdict::Inconclusive, why);
    }
    if asked_nothing(replay) {
        let end = match (ran.landed.ended.exit_code, ran.landed.ended.signal) {
            (Some(0), _) => "it ended with exit 0".to_string(),
            (Some(code), _) => format!("it ended with exit {code}"),
            (None, signal) => format!("signal {} ended it", signal.unwrap_or_default()),
        };
        return (Verdict::Broken, format!("the agent asked for nothing: {end}"));
    }
    if code == exit::FENCE {
        let by = match &replay.outcome {
            Compared::Stopped { by } => by.clone(),
            _ => "at a fence".into(),
        };
        return (Verdict::Inconclusive, format!("the agent was stopped {by}"));
    }
    if ran.live {
        let tally = ran.player.tally();
        if let Some((why, _)) = tally.live_failures().next() {
            return (Verdict::Inconclusive, format!("a live call failed: {why}"));
        }
        if tally.live_limit {
            return (Verdict::Inconclusive, "the limit of live calls was reached (--max-live)".into());
        }
    }
    let worst = |finding: &&Finding| finding.severity == Severity::Error;
    // Live, the agent may do something else: whether it may, its checks say, and then whoever reviews it.
    if let Some(first) = findings.iter().find(worst).filter(|_| !ran.live) {
        return (Verdict::Regression, told(first));
    }
    let failed = |outcome: &Outcome| matches!(outcome, Outcome::Failed { .. });
    let serious = || checks.iter().filter(|check| check.severity == Severity::Error);
    if let Some(check) = serious().find(|check| failed(&check.outcome)) {
        return (Verdict::Regression, format!("the check fails: {}", check.name));
    }
    if let Some(check) = serious().find(|check| !matches!(check.outcome, Outcome::Passed)) {
        return (Verdict::Inconclusive, format!("a check cannot be judged: {}", check.name));
    }
    // What the replay itself says goes before how much anybody thinks that it matters, but where a finding says the same.
    match (&replay.outcome, code) {
        _ if ran.live => (Verdict::Passed, String::new()),
        (_, exit::OK) => (Verdict::Passed, String::new()),
        _ if !findings.is_empty() => (Verdict::Passed, String::new()),
        (_, exit::MISS) => (Verdict::Regression, "the agent asks something that was not recorded".into()),
        (Compared::Differs { what }, _) => (Verdict::Regression, what.clone()),
        _ => {
            let steps = many(replay.unasked.len() as u64, "recorded step");
            (Verdict::Regression, format!("{steps} never asked for"))
        }
    }
}

/// What an agent did last that does not end: `; step 5: get_order was called, and its result never came`.
fn last_done(now: &RunView) -> String {
    let Some(step) = u32::try_from(now.outline.steps.len()).ok().filter(|n| *n > 0) else {
        return "; it had asked for nothing".into();
    };
    let what = match now.outline.step(step) {
        Some(StepKind::Tool { site }) => match now.outline.call(site) {
            Some(call) if call.result.is_none() => {
                format!("{} was called, and its result never came", call.name)
            }
            _ => "a tool was called".into(),
        },
        _ => match now.model_call(step) {
            Some(turn) if turn.error.is_some() || turn.answer_key.is_none() => {
                "the model's answer never came".into()
            }
            _ => "the model had answered".into(),
        },
    };
    format!("; the last was step {step}: {what}")
}

/// True when it asked neither a model nor a server of tools for anything.
fn asked_nothing(replay: &Replay) -> bool {
    let answers = &replay.answers;
    let asked = answers.recorded + answers.edited + answers.refused + answers.live;
    asked == 0 && replay.tools.servers.is_empty()
}

/// What to do about a request that nothing recorded is right for: of the hints of a replay those that are not about the
/// run, which has no name here.
fn hints(tally: &Tally, case: &Case, live: bool) -> Vec<String> {
    let Some(miss) = tally.misses.first() else { return Vec::new() };
    let name = command(std::slice::from_ref(&case.name));
    let first = match (live, case.pending().is_file()) {
        (true, _) => None,
        (false, true) => Some("what it does now waits already: retake review".to_string()),
        (false, false) => {
            Some(format!("if it was changed on purpose: retake test --update -k {name}, then retake review"))
        }
    };
    first.into_iter().chain(about_no_run(&miss.hints)).collect()
}

/// Hints but for those that name the run: it is in no store.
fn about_no_run(hints: &[String]) -> impl Iterator<Item = String> {
    hints.iter().filter(|hint| !hint.contains("`retake ")).cloned()
}

fn matched(tally: &Tally) -> String {
    let classes = tally.classes().into_iter().filter(|(_, count)| *count > 0);
    let classes: Vec<String> =
        classes.map(|(class, count)| format!("{count} {}", policy::name(class))).collect();
    if classes.len() == 1 && classes.iter().all(|of| of.ends_with(" exact")) {
        String::new()
    } else {
        classes.join(", ")
    }
}

/// A finding in one line.
fn told(finding: &Finding) -> String {
    match finding.step {
        Some(step) => format!("{}, step {step}: {}", finding.code, finding.what),
        None => format!("{}: {}", finding.code, finding.what),
    }
}

/// The checks of a run; those that are commands are run.
pub(super) fn checked(
    run: &RunView<'_>,
    mut checks: Vec<Check>,
    root: &Path,
    held: Held<'_>,
) -> Vec<Judgement> {
    let subject = Subject::of(run);
    for check in &mut checks {
        let Some(path) = check.schema_file().map(|path| root.join(path)) else { continue };
        check.set_schema(std::fs::read(&path).map_err(|e| match e.kind() {
            ErrorKind::NotFound => format!("is not there, seen from {}", root.display()),
            _ => format!("cannot be read: {e}"),
        }));
    }
    let mut judged = checks::judge(&subject, &checks);
    for (check, judgement) in checks.iter().zip(&mut judged) {
        if let Some(words) = check.command() {
            judgement.outcome = by_command(words, &subject, root, held);
        }
    }
    judged
}

/// A program of the author's own gets the run as JSON: exit code 0 is that it holds.
fn by_command(words: &[String], subject: &Subject, root: &Path, held: Held<'_>) -> Outcome {
    let broken = |why: String| Outcome::Broken { why };
    let Some((program, arguments)) = words.split_first() else { return broken("it has no words".into()) };
    let child = Command::new(program)
        .args(arguments)
        .current_dir(root)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .envs((!held.mark.is_empty()).then_some((strays::MARK, held.mark)))
        .process_group(0)
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => return broken(format!("{program} cannot be started: {error}")),
    };
    let document = subject.document().to_string();
    // It may end before it has read all of it.
    let feed =
        child.stdin.take().map(|mut pipe| std::thread::spawn(move || pipe.write_all(document.as_bytes())));
    let group = child.id();
    (held.watch)(group, true);
    let (done, gone) = mpsc::channel::<()>();
    let (within, mark) = (held.within, held.mark.to_string());
    // A check that hangs is ended with all that it has started.
    let timer = std::thread::spawn(move || {
        let late = gone.recv_timeout(within) == Err(mpsc::RecvTimeoutError::Timeout);
        if late {
            let _ = killpg(Pid::from_raw(group as i32), Signal::SIGKILL);
            strays::end(&mark);
        }
        late
    });
    let ended = child.wait_with_output();
    drop(done);
    let late = timer.join().unwrap_or_default();
    (held.watch)(group, false);
    if late {
        return broken(format!("{program} had not ended after {:.0} s", within.as_secs_f64()));
    }
    if let Some(feed) = feed {
        let _ = feed.join();
    }
    match ended {
        Ok(ended) if ended.status.success() => Outcome::Passed,
        Ok(ended) => {
            let said =
                [&ended.stdout, &ended.stderr].map(|text| String::from_utf8_lossy(text).trim().to_string());
            let last = said.iter().flat_map(|text| text.lines()).last().unwrap_or_default().to_string();
            let what = if last.is_empty() { format!("{program}: {}", ended.status) } else { last };
            Outcome::Failed { what }
        }
        Err(error) => broken(format!("{program}: {error}")),
    }
}
