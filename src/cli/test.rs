//! `retake test`

mod add;
pub(super) mod check;
mod copy;
mod find;
pub(super) mod guard;
mod judge;
mod merge;
mod place;
mod play;
mod reports;
pub(super) mod review;

use super::args::{TestArgs, TestCommand};
use super::error::{CliError, exit};
use super::record::parse_upstreams;
use super::session::now_us;
use super::{Context, print};
use crate::report::suite;
use crate::report::words::many;
use crate::suite::case::Case;
use crate::suite::outcome::{CaseOutcome, FORMAT, SuiteOutcome, Verdict};
use guard::Guard;
use play::{Bench, Live};
use std::io::{IsTerminal, Write};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// What `git bisect run` skips.
const CANNOT_JUDGE: i32 = 125;

pub(super) fn test(context: &Context, args: &TestArgs) -> Result<i32, CliError> {
    match &args.verb {
        Some(TestCommand::Add(add)) => add::add(context, add),
        Some(TestCommand::Merge(merge)) => merge::merge(context, merge),
        None => run(context, args),
    }
}

fn run(context: &Context, args: &TestArgs) -> Result<i32, CliError> {
    let done = suite_of(context, args);
    if args.bisect_exit {
        // Whatever is wrong with the setup says nothing about the commit.
        return Ok(match done {
            Ok(outcome) => bisect_exit(outcome.verdict()),
            Err(error) => {
                error.tell();
                CANNOT_JUDGE
            }
        });
    }
    let outcome = done?;
    let code = exit_code(outcome.verdict());
    if args.check && code == exit::OK {
        let waiting = review::waiting(context)?;
        if let Some(first) = waiting.first() {
            let n = many(waiting.len() as u64, "case");
            return Err(CliError {
                code: exit::DIFFERS,
                ..CliError::broken(format!("{n} to be reviewed, the first: {}", first.name))
            }
            .hint("retake review"));
        }
    }
    Ok(code)
}

fn exit_code(verdict: Verdict) -> i32 {
    match verdict {
        Verdict::Passed => exit::OK,
        Verdict::Regression => exit::DIFFERS,
        Verdict::Inconclusive => exit::INCONCLUSIVE,
        Verdict::Broken => exit::BROKEN,
    }
}

fn bisect_exit(verdict: Verdict) -> i32 {
    match verdict {
        Verdict::Passed => 0,
        Verdict::Regression => 1,
        Verdict::Inconclusive | Verdict::Broken => CANNOT_JUDGE,
    }
}

fn suite_of(context: &Context, args: &TestArgs) -> Result<SuiteOutcome, CliError> {
    let (started_us, began) = (now_us(), Instant::now());
    let of = find::Suite::of(context)?;
    let (cases, left_out) = find::find(args, &of)?;
    let live = match args.update {
        true => Some(Live { upstreams: parse_upstreams(&args.upstreams)?, most: args.max_live }),
        false => None,
    };
    let scratch = tempfile::Builder::new().prefix("retake-test-").tempdir()?;
    let guard = Guard::start(scratch.path());
    let bench = Bench {
        context,
        config: &of.config,
        root: &of.root,
        scratch: scratch.path(),
        fences: &args.fences,
        command: &args.command,
        guard: guard.as_ref(),
        live,
        check: args.check,
        verbose: args.verbose,
    };
    let told = Telling { context, verbose: args.verbose, of: cases.len(), done: AtomicUsize::new(0) };
    let jobs = args.jobs.or(std::thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get);
    let quoting = reports::Quoting::start(context, &args.reports.reports)?;
    let (outcomes, ended) = play_all(&bench, &cases, jobs, &told);
    if let Some(guard) = guard {
        guard.end();
    }
    let scratch_path = scratch.path().to_path_buf();
    drop(scratch);
    let whole =
        args.paths.is_empty() && args.pattern.is_none() && args.shard.is_none_or(|shard| shard.index == 1);
    let mut outcomes = outcomes;
    if whole && !ended {
        let alone = find::left_alone(&of)?;
        alone.iter().for_each(|outcome| told.tell(outcome));
        outcomes.extend(alone);
        outcomes.sort_by(|a, b| a.name.cmp(&b.name));
    }
    let outcome = SuiteOutcome {
        format: FORMAT,
        retake: env!("CARGO_PKG_VERSION").into(),
        started_us,
        took_us: began.elapsed().as_micros() as u64,
        shards: args.shard.iter().map(|shard| format!("{}/{}", shard.index, shard.of)).collect(),
        left_out,
        cases: outcomes,
    };
    if ended {
        let done = outcome.cases.len();
        return Err(CliError::broken(format!("told to end after {done} of {} cases", cases.len())));
    }
    told.clear();
    tell(context, &outcome)?;
    drop(quoting);
    reports::write(context, &of.root, &scratch_path, &args.reports.reports, &outcome)?;
    Ok(outcome)
}

/// What a suite came to, where no report was asked for.
fn tell(context: &Context, outcome: &SuiteOutcome) -> Result<(), CliError> {
    match context.json {
        true => context.print_json(outcome),
        false => print(&suite::footing(outcome, context.style)),
    }
}

/// Plays all cases, so many at once; in order of their names. The flag: somebody asked retake to end.
fn play_all(bench: &Bench<'_>, cases: &[Case], jobs: usize, told: &Telling<'_>) -> (Vec<CaseOutcome>, bool) {
    let (next, stopping) = (AtomicUsize::new(0), AtomicBool::new(false));
    let outcomes: Mutex<Vec<(usize, CaseOutcome)>> = Mutex::default();
    let work = || {
        while !stopping.load(Ordering::Relaxed) {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(case) = cases.get(at) else { return };
            let (outcome, ended) = bench.play(case);
            if ended {
                stopping.store(true, Ordering::Relaxed);
                return;
            }
            told.tell(&outcome);
            outcomes.lock().unwrap_or_else(PoisonError::into_inner).push((at, outcome));
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..jobs.min(cases.len()) {
            scope.spawn(work);
        }
        work();
    });
    let mut outcomes = outcomes.into_inner().unwrap_or_else(PoisonError::into_inner);
    outcomes.sort_by_key(|(at, _)| *at);
    (outcomes.into_iter().map(|(_, outcome)| outcome).collect(), stopping.into_inner())
}

/// What a person sees while cases are played.
struct Telling<'a> {
    context: &'a Context,
    verbose: bool,
    of: usize,
    done: AtomicUsize,
}

impl Telling<'_> {
    fn tell(&self, outcome: &CaseOutcome) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        if self.context.json {
            return;
        }
        let told = suite::case(outcome, self.verbose, self.context.style);
        let mut out = std::io::stdout().lock();
        self.clear();
        let _ = out.write_all(told.as_bytes()).and_then(|()| out.flush());
        if done < self.of && std::io::stderr().is_terminal() {
            let _ = write!(std::io::stderr().lock(), "{done}/{} cases", self.of);
        }
    }

    /// Takes the line of progress away.
    fn clear(&self) {
        if std::io::stderr().is_terminal() && !self.context.json {
            let _ = write!(std::io::stderr().lock(), "\r\x1b[K");
        }
    }
}
