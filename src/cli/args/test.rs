//! Recorded runs as tests.

use crate::report::suite::ReportKind;
use clap::{Args, Subcommand};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

pub(super) const TEST_EXAMPLES: &str = "\
Examples:
  retake test add refund.1            refund.1 becomes tests/retake/refund.retake
  retake test add refund.1 --as cents --check cents.toml
  retake test                         every case, offline, without a key
  retake test -k refund -j 4          those with `refund` in their names, four at once
  retake test --shard 1/3 --report shard1.json
  retake test merge shard*.json --report junit.xml --report report.html
  git bisect run retake test --bisect-exit

A case replays its recording with the agent's command as it is now: that of the case, else of
retake.toml ([test] command), else the recorded one. Nothing is asked of a model. Tools of the agent
run for real, but for those that retake.toml calls irreversible.

What must hold beside: [[check]] in retake.toml and in NAME.toml beside NAME.retake.

Exit codes: 0 all passed, 1 a regression, 2 not to be judged (a fence, a time limit), 3 broken or
empty: no case, or a case without a model call. The first of 1, 3, 2 that is there.";

/// `retake test`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct TestArgs {
    /// Something else than running cases
    #[command(subcommand)]
    pub verb: Option<TestCommand>,
    /// Cases, or directories of them [default: tests/retake beside retake.toml]
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Only cases with this in their names
    #[arg(short = 'k', long = "only", value_name = "PATTERN")]
    pub pattern: Option<String>,
    /// How many at once [default: one a core]
    #[arg(short, long, value_name = "N")]
    pub jobs: Option<NonZeroUsize>,
    /// Only the I-th of N parts of the suite: the same cases each time
    #[arg(long, value_name = "I/N", value_parser = shard)]
    pub shard: Option<Shard>,
    #[command(flatten)]
    pub reports: ReportArgs,
    /// Stop before the agent runs this tool; may be given several times
    #[arg(long = "fence", value_name = "TOOL")]
    pub fences: Vec<String>,
    /// Where an agent asks for something else than recorded, ask a model from there on, and write what it does now beside
    /// the case, for `retake review`
    #[arg(long, conflicts_with_all = ["check", "bisect_exit"], help_heading = "When the agent was changed on purpose")]
    pub update: bool,
    /// With --update: where the models are: URL for all providers, or PROVIDER=URL [default: as this environment says]
    #[arg(
        long = "upstream",
        value_name = "URL",
        requires = "update",
        help_heading = "When the agent was changed on purpose"
    )]
    pub upstreams: Vec<String>,
    /// With --update: stop a case at its N-th live call
    #[arg(
        long,
        value_name = "N",
        requires = "update",
        help_heading = "When the agent was changed on purpose"
    )]
    pub max_live: Option<u32>,
    /// Fail too when something waits to be reviewed; writes nothing but reports
    #[arg(long, help_heading = "When the agent was changed on purpose")]
    pub check: bool,
    /// Exit codes for `git bisect run`: 0 passed, 1 a regression, 125 cannot be judged
    #[arg(long)]
    pub bisect_exit: bool,
    /// Show what every agent printed, and every finding
    #[arg(short, long)]
    pub verbose: bool,
    /// Another command for every case
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// The verbs below `retake test`.
#[derive(Debug, Subcommand)]
pub enum TestCommand {
    /// Make a case of a recorded run
    Add(AddArgs),
    /// Put the reports of shards together; exits as the whole suite would have
    Merge(MergeArgs),
}

/// What reports to write.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Write a report: FILE.xml (JUnit), .md, .html, .json, or KIND=FILE with a kind of junit, markdown, html, json,
    /// gitlab (Code Quality), github; `github` alone prints annotations and fills the job's summary. Several times
    #[arg(long = "report", value_name = "FILE", value_parser = report)]
    pub reports: Vec<Report>,
}

/// `retake test merge`
#[derive(Debug, Args)]
pub struct MergeArgs {
    /// What `retake test --shard I/N --report FILE.json` wrote
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub reports: ReportArgs,
    /// Show every finding
    #[arg(short, long)]
    pub verbose: bool,
}

/// A report that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Its kind.
    pub kind: ReportKind,
    /// Where to; standard output when there is none.
    pub file: Option<PathBuf>,
}

fn report(text: &str) -> Result<Report, String> {
    if let Some((name, file)) = text.split_once('=')
        && let Some(kind) = ReportKind::named(name)
    {
        return match file {
            "" => Err(format!("which file? {name}=FILE")),
            file => Ok(Report { kind, file: Some(file.into()) }),
        };
    }
    match (ReportKind::named(text), Path::new(text).extension().and_then(|ending| ending.to_str())) {
        (Some(ReportKind::Github), _) => Ok(Report { kind: ReportKind::Github, file: None }),
        (Some(_), _) => Err(format!("which file? {text}=FILE")),
        (None, ending) => match ending.and_then(ReportKind::by_ending) {
            Some(kind) => Ok(Report { kind, file: Some(text.into()) }),
            None => Err("its ending says no kind of report: there are .xml (JUnit), .md, .html and .json, \
                         and KIND=FILE with a kind of junit, markdown, html, json, gitlab and github"
                .into()),
        },
    }
}

/// `retake test add`
#[derive(Debug, Args)]
pub struct AddArgs {
    /// Which run: refund.1, refund (the newest of that name), last (the newest of all)
    pub run: String,
    /// Name of the case [default: that of the run]
    #[arg(long = "as", value_name = "NAME")]
    pub name: Option<String>,
    /// A file of checks ([[check]]) that becomes NAME.toml
    #[arg(long, value_name = "FILE")]
    pub check: Option<PathBuf>,
    /// Replace a case of that name
    #[arg(long)]
    pub force: bool,
    /// Write although something in it still looks like a secret
    #[arg(long)]
    pub allow_secrets: bool,
}

/// `retake check`
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Which runs: refund.1, refund (the newest of that name), last (the newest of all)
    #[arg(required = true, value_name = "RUN")]
    pub runs: Vec<String>,
    /// Files of checks ([[check]]), beside those of retake.toml; may be given several times
    #[arg(long = "check", value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

/// `retake review`
#[derive(Debug, Args)]
pub struct ReviewArgs {
    /// Only these cases
    #[arg(value_name = "CASE")]
    pub cases: Vec<String>,
    /// Accept all that waits, without asking
    #[arg(long, conflicts_with = "reject")]
    pub accept: bool,
    /// Reject all that waits, without asking
    #[arg(long)]
    pub reject: bool,
}

/// A part of a suite: `2/3` is the second of three.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// From 1.
    pub index: usize,
    /// Of how many.
    pub of: usize,
}

impl Shard {
    /// True when the case at this place, from 0, is in it.
    pub fn has(self, place: usize) -> bool {
        place % self.of == self.index - 1
    }
}

fn shard(text: &str) -> Result<Shard, String> {
    let parts =
        text.split_once('/').and_then(|(i, n)| Some((i.trim().parse().ok()?, n.trim().parse().ok()?)));
    match parts {
        Some((index, of)) if (1..=of).contains(&index) => Ok(Shard { index, of }),
        _ => Err("a shard is I/N, as 1/3 for the first of three".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_known_by_ending_or_by_name() {
        let of = |kind, file: &str| Ok(Report { kind, file: Some(file.into()) });
        assert_eq!(report("out/junit.XML"), of(ReportKind::Junit, "out/junit.XML"));
        assert_eq!(report("gitlab=quality.json"), of(ReportKind::Gitlab, "quality.json"));
        assert_eq!(report("a=b.json"), of(ReportKind::Json, "a=b.json"));
        assert_eq!(report("github"), Ok(Report { kind: ReportKind::Github, file: None }));
        for (text, said) in
            [("junit", "junit=FILE"), ("gitlab=", "which file?"), ("x.txt", "KIND=FILE"), ("", "KIND")]
        {
            assert!(report(text).unwrap_err().contains(said), "{text}");
        }
    }
}
