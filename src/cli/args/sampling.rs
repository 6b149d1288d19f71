//! Which of many runs are worth their place.

use crate::run::sampling::{Share, Slow};
use clap::Args;

/// The rules of a sampling; see [`crate::run::sampling`].
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct SamplingArgs {
    /// Of the runs that neither failed nor were forked nor are slow this share alone [default: as retake.toml says, else all]
    #[arg(long, value_name = "PERCENT", help_heading = "Sampling")]
    pub sample: Option<Share>,
    /// Slow is what took longer: a time (30s), or a percentile of the runs that there are (p95)
    #[arg(long, value_name = "TIME|PERCENTILE", help_heading = "Sampling")]
    pub slow: Option<Slow>,
    /// Without what retake.toml says of sampling
    #[arg(long, conflicts_with_all = ["sample", "slow"], help_heading = "Sampling")]
    pub no_sample: bool,
}
