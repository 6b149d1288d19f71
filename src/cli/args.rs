//! The command line as it is typed.

mod attach;
mod carry;
mod removal;
mod run;
mod sampling;
mod test;

pub use attach::{EnvArgs, PORT, ProxyArgs, Shell};
pub use carry::{ExportArgs, ImportArgs, To};
pub use removal::{GcArgs, RmArgs};
pub use run::{McpArgs, RunArgs};
pub use sampling::SamplingArgs;
pub use test::{AddArgs, CheckArgs, MergeArgs, Report, ReviewArgs, TestArgs, TestCommand};

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

const RUN_EXAMPLES: &str = "\
Examples:
  retake run -- python agent.py \"refund order A123\"
  retake run --name refund --label model=small -- node agent.js
  retake run --upstream http://localhost:8000/v1 -- python agent.py   a model server of your own
  retake run --verify --fence issue_refund -- python agent.py         and is it reproducible?

The agent's output and exit code pass through. What retake says goes to standard error.";

const LS_EXAMPLES: &str = "\
Examples:
  retake ls          every run, the newest last
  retake ls refund   refund.1, refund.2, …
  retake ls --where 'tool=issue_refund status=error'
  retake ls --where 'model~gpt tokens>10000 label:task=refund'
  retake ls --where 'agent=\"tide researcher\" time>500ms'

A term is KEY OP VALUE, OP one of = != > < >= <= ~ (contains); a value with spaces stands in double
quotes. All terms must hold, those about steps in the same step.
Of steps:  tool, model, agent (the innermost that spans tell of, or its lane), span (its own or one
           above it), trace (an id, or a line with one), status (ok, error: by what came back, or
           by its span), text (of an answer or result), tokens, input, output, cost (US dollars, or
           n/a), time (seconds, or with a unit: 5ms, 2s, 1m)
Of runs:   name, exit, steps, label:KEY";

const SHOW_EXAMPLES: &str = "\
Examples:
  retake show refund.1                      every step
  retake show refund.1 7                    one step in full
  retake show refund.1 8 --context --vs 6   what the model saw that it had not seen at step 6
  retake show refund.1 7 --checkpoint       the state after step 7";

const REPLAY_EXAMPLES: &str = "\
Examples:
  retake replay refund.1                               the recorded command, input, environment
  retake replay refund.1 --fence issue_refund          stop before it issues a refund again
  retake replay refund.1 --strict                      not even a tool's clock may differ
  retake replay refund.1 -- python agent.py \"refund\"   does the new code ask for the same?

Exit codes: 0 the same, 1 another outcome or steps that were never asked for, 4 a request that the
recording has no right answer for (or a match that --strict or --allow does not let pass), 5 stopped
at a fence. Tools of the agent run for real, but for those that retake.toml calls irreversible.";

const FORK_EXAMPLES: &str = "\
Edits are SCOPE:FIELD OP VALUE; SCOPE is 7 (that step), 6.. (from there on) or * (everywhere).
  7:result.risk=\"high\"                    a field of a tool's result
  7:result~=/low/high/                    a part of it
  8:answer=\"Refused.\"                     what the model answers
  6..:system+=\"Amounts are in cents.\"     the system prompt
  *:model=gpt-x   6..:temperature=0       a parameter
  *:tools-=issue_refund                   the tools on offer
  8:fault=429                             or timeout, or cut:3 (events, then it breaks off); first try only
  7:result.files[0]=\"a\"                  an item of an array
  3..5 is a range of steps; *:raw:FIELD=1 sends a field that nobody knows.

Examples:
  retake fork refund.1 --set '7:result.risk=\"high\"' --fence issue_refund
  retake fork refund.1 --set '1..:system+=\"Amounts are in cents.\"' --note \"the fix\"
  retake fork refund.1 --at 6 --max-live 5    ask again from there, nothing edited
  retake fork refund.1 --at 7 --edit          edit step 7 by hand

Exit codes: 0 the fork was made, however the agent ended (`agent exit 1` in its line), 2 stopped at
--max-live or a live call failed, 4 a request that has no right answer, 5 stopped at a fence, 64 an
edit that cannot apply.";

const DOCTOR_EXAMPLES: &str = "\
Four questions about an agent, answered by trying:
  retake doctor -- python agent.py     what differs from run to run? records it twice
  retake doctor refund.1               what differs from the recording? replays it, offline
  retake doctor refund.1 --mutate      would a replay notice a change? runs no agent
  retake doctor refund.1 --shuffle 20  does the outcome depend on which answer comes first?

Differences are grouped by where they come from: the prompt (a clock, an id), a tool's result,
another request, the model's sampling, order. Each says whether a replay copes with it by itself;
where it does not, the lines to paste into retake.toml stand below it.

--mutate changes one leaf of a recorded request at a time (a text, a result, an argument, a schema,
the model's name) and lists what is answered as if nothing had changed. --shuffle answers requests
that are open together in another order each time; what depends on an answer still comes after it.

Tools of the agent run for real, except with --mutate.

Exit codes: 0 nothing that a replay does not cope with; 1 something: it stops, a mutant was served
all the same, the outcome depends on order; 3 broken setup or nothing recorded.";

fn step(text: &str) -> Result<u32, String> {
    text.trim().parse().map_err(|_| "a step is a number, as `retake show RUN` lists them".to_string())
}

fn port(text: &str) -> Result<u16, String> {
    text.trim().parse().map_err(|_| "a port is a number from 1 to 65535, or 0 for a free one".to_string())
}

/// Record, replay, fork and diff the runs of LLM agents.
#[derive(Debug, Parser)]
#[command(
    name = "retake",
    version,
    about = "Record, replay, fork and diff the runs of LLM agents.",
    after_help = "Start here:\n  retake demo                    a failing agent, recorded, replayed and forked in seconds\n  retake run -- python agent.py  record your own\n\nExit codes: 0 as expected, 1 differs, 2 cannot tell, 3 broken setup or nothing recorded, 4 a request\nthat the recording has no right answer for, 5 stopped at a fence, 64 usage. `run` passes on the agent's own."
)]
pub struct Cli {
    /// Where the runs are kept [default: .retake, here or in the nearest parent that has one]
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "RETAKE_STORE",
        hide_env_values = true,
        help_heading = "Options everywhere"
    )]
    pub store: Option<PathBuf>,
    /// What is declared of the agent [default: retake.toml, here or in the nearest parent that has one]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Options everywhere")]
    pub config: Option<PathBuf>,
    /// Print data as JSON, on standard output; what an agent prints goes to standard error then
    #[arg(long, global = true, help_heading = "Options everywhere")]
    pub json: bool,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a command and record its model calls
    #[command(after_help = RUN_EXAMPLES)]
    Run(RunArgs),
    /// Record the agents that come to a port, for hours and many at once: a run for each name or pause
    #[command(after_help = attach::PROXY_EXAMPLES)]
    Proxy(ProxyArgs),
    /// Print the variables that lead agents to `retake proxy`
    #[command(after_help = attach::ENV_EXAMPLES)]
    Env(EnvArgs),
    /// List the recorded runs
    #[command(
        after_help = LS_EXAMPLES
    )]
    Ls(LsArgs),
    /// Show a run, a step, its context or its checkpoint
    #[command(after_help = SHOW_EXAMPLES)]
    Show(ShowArgs),
    /// Tokens, cost and time by model, tool and agent, and what is done over and over
    #[command(
        after_help = "Examples:\n  retake stats            of all runs of the store together\n  retake stats refund.1   of one, with its loops and what breaks the prompt cache\n\nPrices: retake's own list, and [prices.\"MODEL\"] in retake.toml before it."
    )]
    Stats(StatsArgs),
    /// Run the agent again with every answer from the recording; never goes live
    #[command(after_help = REPLAY_EXAMPLES)]
    Replay(ReplayArgs),
    /// Run the agent again with edited inputs, live from where they matter
    #[command(after_help = FORK_EXAMPLES)]
    Fork(ForkArgs),
    /// Compare two runs; exit code 1 when they differ in action or outcome
    #[command(
        after_help = "Examples:\n  retake diff refund.1 refund.2         where they part, and why\n  retake diff refund.1 refund.2 --all   with every step that is the same"
    )]
    Diff(DiffArgs),
    /// Find what keeps an agent from being replayed, and the rule to paste for it
    #[command(after_help = DOCTOR_EXAMPLES)]
    Doctor(DoctorArgs),
    /// Write a run to one readable file, for another machine; or runs as spans, for what shows traces
    #[command(override_usage = carry::EXPORT_USAGE, after_help = carry::EXPORT_EXAMPLES)]
    Export(ExportArgs),
    /// Read a run from a file that `export` wrote, or runs from files of other tools
    #[command(after_help = carry::IMPORT_EXAMPLES)]
    Import(ImportArgs),
    /// Replay recorded runs as tests, offline: does the agent still do what it did?
    #[command(after_help = test::TEST_EXAMPLES)]
    Test(TestArgs),
    /// Judge runs, forks too, by checks: those of retake.toml, and of files
    #[command(
        after_help = "Example:\n  retake check refund.1 refund.2 --check cents.toml   does the fork do what the recording did not?\n\nExit codes: 0 all hold, 1 one fails, 2 one cannot be judged, 3 there is none."
    )]
    Check(CheckArgs),
    /// Look at what agents do differently now (`retake test --update`), one case after the other, and accept it or not
    #[command(after_help = "Example:\n  retake test --update && retake review")]
    Review(ReviewArgs),
    /// Remove runs; forks keep what they share with them
    #[command(after_help = "Example:\n  retake rm refund.1 refund.2")]
    Rm(RmArgs),
    /// Remove old runs, and what crashes left behind
    #[command(after_help = removal::GC_EXAMPLES)]
    Gc(GcArgs),
    /// Repair the catalogue that makes `ls` quick
    #[command(subcommand)]
    Index(IndexCommand),
    /// A stdio server of the Model Context Protocol behind retake: put it in front of the server's command
    Mcp(McpArgs),
    /// A failing agent, recorded, replayed and forked before your eyes; no key, no network
    Demo(DemoArgs),
    /// Print a shell completion script
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
    /// Cleans up behind a suite that was killed
    #[command(hide = true, name = "test-guard")]
    TestGuard {
        /// What is removed
        directory: PathBuf,
    },
    /// The demo's agent
    #[command(hide = true, name = "demo-agent")]
    DemoAgent {
        /// Its task
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
}

/// `retake ls`
#[derive(Debug, Args)]
pub struct LsArgs {
    /// Only runs of this name: refund, or one: refund.1
    pub name: Option<String>,
    /// Only runs in which all of these hold, and the steps in which they do: tool, model, agent, span (one or above), trace
    /// (an id, or a log line), status, text, tokens, input, output, cost, time; of runs name, exit, steps, label:KEY
    #[arg(long = "where", value_name = "TERMS")]
    pub terms: Option<String>,
}

/// `retake stats`
#[derive(Debug, Args)]
pub struct StatsArgs {
    /// Which runs: refund.1, refund (the newest of that name), last (the newest of all) [default: all]
    pub runs: Vec<String>,
}

/// `retake show`
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// Which run: refund.1, refund (the newest of that name), last (the newest of all)
    #[arg(required_unless_present = "trace")]
    pub run: Option<String>,
    /// A step, by its number in `retake show RUN`
    #[arg(value_parser = step)]
    pub step: Option<u32>,
    /// The messages that the model saw at this step (a model step)
    #[arg(long, requires = "step")]
    pub context: bool,
    /// With --context: only what is new since this step
    #[arg(long, value_name = "STEP", requires = "context", value_parser = step)]
    pub vs: Option<u32>,
    /// The state after this step: where each conversation stands
    #[arg(long, requires = "step", conflicts_with = "context")]
    pub checkpoint: bool,
    /// The trace tree: agents, turns, model and tool calls with their times, and what held the rest up
    #[arg(long, conflicts_with = "step")]
    pub tree: bool,
    /// The step to which a trace leads: its id, a span's, or a line of a log with them in it
    #[arg(long, value_name = "LINE", conflicts_with_all = ["step", "tree"])]
    pub trace: Option<String>,
    /// Do not cut long values; with --context all messages, not only the new ones; with --tree all of it
    #[arg(long)]
    pub full: bool,
}

/// `retake replay`
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// Which run: refund.1, refund (the newest of that name), last (the newest of all)
    pub run: String,
    /// Stop before the agent runs this tool (exit code 5); may be given several times
    #[arg(long = "fence", value_name = "TOOL")]
    pub fences: Vec<String>,
    /// Let this tool run, though retake.toml says that it is irreversible; may be given several times
    #[arg(long = "unfence", value_name = "TOOL")]
    pub unfence: Vec<String>,
    /// Only exact and renamed matches pass: no tool result may differ, no rule may hide anything
    #[arg(long)]
    pub strict: bool,
    /// Which matches pass beside exact ones: renamed, pinned, masked, reordered [default: all of them]
    #[arg(long, value_name = "CLASS,…", value_delimiter = ',')]
    pub allow: Vec<String>,
    /// How fast answers come: fast, recorded, or a factor: x10
    #[arg(long, default_value = "fast")]
    pub timing: String,
    /// Stop when this step is done
    #[arg(long, value_name = "STEP", value_parser = step)]
    pub to: Option<u32>,
    /// Do not put the recorded result of a tool in the place of another one: of this tool, or of all
    #[arg(long, value_name = "TOOL", num_args = 0..=1, default_missing_value = "")]
    pub unpin: Vec<String>,
    /// Run the command of an imported run, which comes from a file
    #[arg(long)]
    pub yes: bool,
    /// Keep the replay as a run of its own, to compare it
    #[arg(long)]
    pub record: bool,
    /// Port to listen on [default: a free one]
    #[arg(long, default_value_t = 0, hide_default_value = true, value_parser = port)]
    pub port: u16,
    /// Another command than the recorded one; it runs here, with today's environment
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// `retake fork`
#[derive(Debug, Args)]
pub struct ForkArgs {
    /// Which run: refund.1, refund (the newest of that name), last (the newest of all)
    pub run: String,
    /// Ask everything after this step again [default: only what depends on the edits]; with --edit, the step to edit
    #[arg(long, value_name = "STEP", value_parser = step)]
    pub at: Option<u32>,
    /// An edit, SCOPE:FIELD OP VALUE (see below); may be given several times
    #[arg(long = "set", value_name = "EDIT")]
    pub edits: Vec<String>,
    /// Edit the result or answer of the step given by --at in $EDITOR
    #[arg(long, requires = "at")]
    pub edit: bool,
    /// A remark, shown by `ls` and `show`
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
    /// Base URL for live calls [default: as OPENAI_BASE_URL and its like say, else where they went when recorded]
    #[arg(long, value_name = "URL")]
    pub upstream: Option<String>,
    /// Stop before asking the model more often than this
    #[arg(long, value_name = "N")]
    pub max_live: Option<u32>,
    /// Stop before the agent runs this tool (exit code 5); may be given several times
    #[arg(long = "fence", value_name = "TOOL")]
    pub fences: Vec<String>,
    /// Let this tool run, though retake.toml says that it is irreversible; may be given several times
    #[arg(long = "unfence", value_name = "TOOL")]
    pub unfence: Vec<String>,
    /// Do not put the recorded result of a tool in the place of another one: of this tool, or of all
    #[arg(long, value_name = "TOOL", num_args = 0..=1, default_missing_value = "")]
    pub unpin: Vec<String>,
    /// Which tool results vary without the edit
    #[command(flatten)]
    pub control: ControlArgs,
    /// Run the command of an imported run, which comes from a file
    #[arg(long)]
    pub yes: bool,
    /// Answer commands of a shell that are equal to recorded ones from the recording, also when a live answer asks for them
    #[arg(long)]
    pub serve_commands: bool,
    /// Name of the new run [default: the parent's]
    #[arg(long)]
    pub name: Option<String>,
    /// Another command than the recorded one; it runs here, with today's environment
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// The control replay of a fork.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct ControlArgs {
    /// Run the agent once without the edits first, to see which tool results vary by themselves [default: where that
    /// matters, is not known from a replay of the last day, and no tool would run that may do harm]
    #[arg(long, conflicts_with = "no_control")]
    pub control: bool,
    /// Do not: after the edit no tool result is pinned then
    #[arg(long)]
    pub no_control: bool,
}

/// `retake diff`
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// The run to compare with: refund.1, refund (the newest of that name), last
    pub left: String,
    /// The other run
    pub right: String,
    /// Show what is the same too
    #[arg(long)]
    pub all: bool,
}

/// `retake doctor`
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Which run: refund.1, refund (the newest of that name), last; none: record COMMAND twice
    #[arg(required_unless_present = "command")]
    pub run: Option<String>,
    /// Change one leaf of each recorded request at a time: would a replay notice?
    #[arg(long, requires = "run", conflicts_with_all = ["shuffle", "command"])]
    pub mutate: bool,
    /// Replay N times with answers in another order each time
    #[arg(long, value_name = "N", requires = "run", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub shuffle: Option<u32>,
    /// Which mutants, which orders; the same seed makes the same ones
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,
    /// Name of the two recordings
    #[arg(long, default_value = "doctor", conflicts_with = "run")]
    pub name: String,
    /// Remove the two recordings when they were compared
    #[arg(long, conflicts_with = "run")]
    pub discard: bool,
    /// Stop before the agent runs this tool; may be given several times
    #[arg(long = "fence", value_name = "TOOL", requires = "run")]
    pub fences: Vec<String>,
    /// Let this tool run, though retake.toml says that it is irreversible; may be given several times
    #[arg(long = "unfence", value_name = "TOOL", requires = "run")]
    pub unfence: Vec<String>,
    /// Go on although a tool that sounds irreversible will run again, or the command comes from an imported file
    #[arg(long)]
    pub yes: bool,
    /// Where the models are: URL for all providers, or PROVIDER=URL [default: as this environment says]
    #[arg(long = "upstream", value_name = "URL", conflicts_with = "run")]
    pub upstreams: Vec<String>,
    /// The agent's command; with RUN another one than the recorded, run here with today's environment
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// `retake index`
#[derive(Debug, Subcommand)]
pub enum IndexCommand {
    /// Make the catalogue anew from the runs' files; nothing is lost by it
    Rebuild,
}

/// `retake demo`
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Do not wait a moment between the scenes
    #[arg(long, hide = true)]
    pub no_pause: bool,
}
