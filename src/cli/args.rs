//! The command line as it is typed.

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Record, replay, fork and diff the runs of LLM agents.
#[derive(Debug, Parser)]
#[command(
    name = "retake",
    version,
    about = "Record, replay, fork and diff the runs of LLM agents.",
    after_help = "Start here:\n  retake demo                    a failing agent, recorded, replayed and forked in seconds\n  retake run -- python agent.py  record your own\n\nExit codes: 0 as expected, 1 differs, 2 cannot tell, 3 broken setup or nothing recorded, 4 a request\nthat the recording has no right answer for, 5 stopped at a fence, 64 usage. `run` passes on the agent's own."
)]
pub struct Cli {
    /// Directory of the store [default: .retake here or in the nearest parent]
    #[arg(long, global = true, value_name = "DIR", env = "RETAKE_STORE")]
    pub store: Option<PathBuf>,
    /// Print data as JSON; what an agent prints goes to standard error then
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Record a command's model calls
    Run(RunArgs),
    /// List the recorded runs
    Ls(LsArgs),
    /// Show a run, a step, its context or its checkpoint
    Show(ShowArgs),
    /// Run the agent again with every answer from the recording; never goes live
    Replay(ReplayArgs),
    /// Run the agent again with edited inputs, live from where they matter
    Fork(ForkArgs),
    /// Compare two runs; exit code 1 when they differ in action or outcome
    Diff(DiffArgs),
    /// Write a run to one readable file
    Export(ExportArgs),
    /// Read a run from such a file
    Import(ImportArgs),
    /// Remove runs
    Rm(RmArgs),
    /// Remove old runs and leftovers
    Gc(GcArgs),
    /// The catalogue beside the runs
    #[command(subcommand)]
    Index(IndexCommand),
    /// A failing agent, recorded, replayed and forked before your eyes; no key, no network
    Demo(DemoArgs),
    /// Print a shell completion script
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
    /// The demo's agent
    #[command(hide = true, name = "demo-agent")]
    DemoAgent {
        /// Its task
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
}

/// `retake run`
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Name of the run; it gets a number: refund -> refund.1 [default: from the command]
    #[arg(long)]
    pub name: Option<String>,
    /// A label, k=v; may be given several times
    #[arg(long = "label", value_name = "K=V")]
    pub labels: Vec<String>,
    /// A remark
    #[arg(long)]
    pub note: Option<String>,
    /// Replay the recording at once and say whether the agent is reproducible
    #[arg(long)]
    pub verify: bool,
    /// With --verify: also when a tool that looks irreversible would run again
    #[arg(long)]
    pub yes: bool,
    /// With --verify: stop before the answer that asks for this tool
    #[arg(long = "fence", value_name = "TOOL")]
    pub fences: Vec<String>,
    /// Real base URL of a provider: PROVIDER=URL, or URL for all [default: the variables the SDKs read]
    #[arg(long = "upstream", value_name = "URL")]
    pub upstreams: Vec<String>,
    /// Port to listen on [default: a free one]
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    pub port: u16,
    /// The agent's command
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// `retake ls`
#[derive(Debug, Args)]
pub struct LsArgs {
    /// Only runs of this name
    pub name: Option<String>,
}

/// `retake show`
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The run: refund.1, refund (the newest), last
    pub run: String,
    /// A step: its number
    pub step: Option<u32>,
    /// The messages that the model saw at this step
    #[arg(long, requires = "step")]
    pub context: bool,
    /// With --context: compared with another step
    #[arg(long, value_name = "STEP", requires = "context")]
    pub vs: Option<u32>,
    /// The state after this step
    #[arg(long, requires = "step", conflicts_with = "context")]
    pub checkpoint: bool,
    /// Do not cut long values
    #[arg(long)]
    pub full: bool,
}

/// `retake replay`
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// The run: refund.1, refund (the newest), last
    pub run: String,
    /// Stop before the answer that asks for this tool is served
    #[arg(long = "fence", value_name = "TOOL")]
    pub fences: Vec<String>,
    /// How fast answers come: fast, recorded, or xN
    #[arg(long, default_value = "fast")]
    pub timing: String,
    /// Stop after this step
    #[arg(long, value_name = "STEP")]
    pub to: Option<u32>,
    /// Keep the replay as a run of its own
    #[arg(long)]
    pub record: bool,
    /// Port to listen on [default: a free one]
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    pub port: u16,
    /// Another command than the recorded one
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// `retake fork`
#[derive(Debug, Args)]
pub struct ForkArgs {
    /// The run: refund.1, refund (the newest), last
    pub run: String,
    /// Share the steps up to and including this one [default: the first edited step]
    #[arg(long, value_name = "STEP")]
    pub at: Option<u32>,
    /// An edit: 7:result.risk="high", 6..:system+="…", *:model=gpt-x, 8:answer="…"; may be given several times
    #[arg(long = "set", value_name = "EDIT")]
    pub edits: Vec<String>,
    /// Open $EDITOR on the step's content (with --at)
    #[arg(long, requires = "at")]
    pub edit: bool,
    /// A remark
    #[arg(long)]
    pub note: Option<String>,
    /// Where live calls go [default: where they went when recorded]
    #[arg(long, value_name = "URL")]
    pub upstream: Option<String>,
    /// Stop before more live calls than this
    #[arg(long, value_name = "N")]
    pub max_live: Option<u32>,
    /// Stop before the answer that asks for this tool is served
    #[arg(long = "fence", value_name = "TOOL")]
    pub fences: Vec<String>,
    /// Name of the new run [default: the parent's]
    #[arg(long)]
    pub name: Option<String>,
    /// Another command than the recorded one
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// `retake diff`
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// The one run
    pub left: String,
    /// The other
    pub right: String,
    /// Show what is the same too
    #[arg(long)]
    pub all: bool,
}

/// `retake export`
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The run
    pub run: String,
    /// The file to write; - for standard output
    pub file: PathBuf,
    /// Write although something in it still looks like a secret
    #[arg(long)]
    pub allow_secrets: bool,
}

/// `retake import`
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The file to read
    pub file: PathBuf,
    /// Name of the new run [default: as in the file]
    #[arg(long)]
    pub name: Option<String>,
    /// Accept a file that was edited by hand: checksums that no longer fit are made anew
    #[arg(long)]
    pub allow_edited: bool,
}

/// `retake rm`
#[derive(Debug, Args)]
pub struct RmArgs {
    /// The runs
    #[arg(required = true)]
    pub runs: Vec<String>,
}

/// `retake gc`
#[derive(Debug, Args)]
pub struct GcArgs {
    /// Keep only the newest N runs
    #[arg(long, value_name = "N")]
    pub keep: Option<u32>,
    /// Remove runs older than this many days
    #[arg(long, value_name = "DAYS")]
    pub older_than: Option<u32>,
    /// Only say what would be removed
    #[arg(long)]
    pub dry_run: bool,
}

/// `retake index`
#[derive(Debug, Subcommand)]
pub enum IndexCommand {
    /// Make the catalogue anew from the runs' files
    Rebuild,
}

/// `retake demo`
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Do not wait a moment between the scenes
    #[arg(long, hide = true)]
    pub no_pause: bool,
}
