//! Runs that go.

use super::SamplingArgs;
use clap::Args;

pub(super) const GC_EXAMPLES: &str = "\
Examples:
  retake gc --keep 20 --dry-run           what would go
  retake gc --older-than 30               runs of more than 30 days ago
  retake gc --older-than 7 --sample 10%   of these stays what failed, was forked or is slow, and 10%
  retake gc                               leftovers alone: no run is removed

Whole runs stay or go, and what a run that stays was forked from stays. Which runs are in the share
goes by their ids: next time it is the same ones. retake.toml may say it once: [sampling]
share = \"10%\", slow = \"30s\". A percentile (--slow p95) is one of the runs that are there now; a
time says the same when others are gone.";

/// `retake rm`
#[derive(Debug, Args)]
pub struct RmArgs {
    /// Which runs: refund.1, refund (the newest of that name), last (the newest of all)
    #[arg(required = true)]
    pub runs: Vec<String>,
}

/// `retake gc`
#[derive(Debug, Args)]
pub struct GcArgs {
    /// Remove all but the newest N runs, and what these were forked from
    #[arg(long, value_name = "N")]
    pub keep: Option<u32>,
    /// Remove runs that are older than this
    #[arg(long, value_name = "DAYS")]
    pub older_than: Option<u32>,
    /// Which of them stay
    #[command(flatten)]
    pub sampling: SamplingArgs,
    /// Only say what would be removed, and what stays and why
    #[arg(long)]
    pub dry_run: bool,
    /// Remove every run there is, as --keep 0 asks
    #[arg(long)]
    pub yes: bool,
}
