//! Runs that leave, and come back.

use super::SamplingArgs;
use crate::import::Kind;
use clap::{Args, ValueEnum};
use std::ffi::OsString;
use std::path::PathBuf;

pub(super) const EXPORT_USAGE: &str = "retake export [OPTIONS] RUN FILE
       retake export [OPTIONS] --otlp <URL|FILE> [RUN]...";

pub(super) const EXPORT_EXAMPLES: &str = "\
Examples:
  retake export refund.1 refund.retake
  retake export refund.1 - | less
  retake export refund.1 refund.har      an HTTP archive; .yaml: a cassette of vcrpy
  retake export refund.1 refund.2 --otlp http://localhost:6006   to Phoenix, Jaeger, Langfuse, …
  retake export --otlp URL --all --sample 10% --slow p95         those that tell something
  retake export --otlp URL --where 'tool=issue_refund' --dry-run

With --sample: every run that failed (by its exit code, a step, a span), was cut off, forked or
replayed, or is slow, with what it was forked from; and this share of all others. Which ones goes by
the run's id: the same run is always in, and in every larger share. retake.toml may say it once:
[sampling] share = \"10%\", slow = \"30s\". Runs that are named are told of whatever that file says; a
--sample beside their names holds for them too.";

/// `retake export`
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Which run: refund.1, refund (the newest of that name), last (the newest of all), and the file to write (- for
    /// standard output). With --otlp: which runs, and no file
    #[arg(value_name = "RUN FILE", required_unless_present_any = ["terms", "all"])]
    pub words: Vec<OsString>,
    /// Spans instead, with OpenTelemetry's names for generative models: sent to this URL, or written to this file (JSON when it
    /// ends in .json, else protobuf; - for JSON on standard output)
    #[arg(long, value_name = "URL|FILE", conflicts_with = "allow_secrets")]
    pub otlp: Option<String>,
    /// A file for other tools instead [default: by the file's name: .har, .yaml; else retake's own]
    #[arg(long, value_name = "KIND", conflicts_with = "otlp")]
    pub to: Option<To>,
    /// With --otlp: every run in which these terms hold, as `retake ls --where` has them
    #[arg(long = "where", value_name = "TERMS", requires = "otlp", conflicts_with = "words")]
    pub terms: Option<String>,
    /// With --otlp: every run there is
    #[arg(long, requires = "otlp", conflicts_with = "words")]
    pub all: bool,
    /// Of many runs
    #[command(flatten)]
    pub sampling: SamplingArgs,
    /// With --otlp: only say which runs would be exported
    #[arg(long, requires = "otlp")]
    pub dry_run: bool,
    /// With --otlp: prompts, answers, arguments and results too
    #[arg(long, requires = "otlp")]
    pub content: bool,
    /// With --otlp: OpenInference's names beside those of OpenTelemetry
    #[arg(long, requires = "otlp")]
    pub openinference: bool,
    /// With --otlp URL: a field of the request, as Authorization: Bearer …; may be given several times [default: those of
    /// OTEL_EXPORTER_OTLP_HEADERS]
    #[arg(long = "header", value_name = "NAME: VALUE", requires = "otlp")]
    pub headers: Vec<String>,
    /// Replace the file if it is there
    #[arg(long)]
    pub force: bool,
    /// Write although something in it still looks like a secret
    #[arg(long)]
    pub allow_secrets: bool,
}

pub(super) const IMPORT_EXAMPLES: &str = "\
Examples:
  retake import refund.retake                 as refund.N, the next free number
  retake import refund.retake --name theirs   as theirs.1
  retake import --from vcr tests/cassettes/*.yaml
  retake import --from har session.har --name checkout
  retake import --from mitmproxy flows.mitm

Each run is told with what it is sound for (view, diff, replay, fork) and what its file does not say.
What looks like a secret is replaced, as in a recording. Such a run has no command: retake replay RUN
-- COMMAND runs one against it.";

/// For whom a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum To {
    /// retake's own: everything
    Retake,
    /// An HTTP archive
    Har,
    /// A cassette of vcrpy (YAML)
    Vcr,
}

/// Whose file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum From {
    /// Cassettes of VCR and vcrpy (YAML)
    Vcr,
    /// HTTP archives of browsers, proxies and clients
    Har,
    /// Flows of mitmproxy
    Mitmproxy,
    /// Recordings of llama-stack's tests (JSON, or one a line)
    LlamaStack,
    /// Logs of Inspect (.eval, .json)
    Inspect,
    /// OTLP traces with the content of model calls (protobuf or JSON)
    Otlp,
    /// Lists of messages in OpenAI's form, one a line
    Messages,
}

impl From {
    /// As the readers have it.
    pub fn kind(self) -> Kind {
        match self {
            From::Vcr => Kind::Vcr,
            From::Har => Kind::Har,
            From::Mitmproxy => Kind::Mitmproxy,
            From::LlamaStack => Kind::LlamaStack,
            From::Inspect => Kind::Inspect,
            From::Otlp => Kind::Otlp,
            From::Messages => Kind::Messages,
        }
    }
}

/// `retake import`
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The files to read
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// What kind of file it is [default: retake's own]
    #[arg(long, value_name = "KIND")]
    pub from: Option<From>,
    /// Name of the new runs [default: as in the file]
    #[arg(long)]
    pub name: Option<String>,
    /// Accept a file that was edited by hand: checksums that no longer fit are made anew
    #[arg(long)]
    pub allow_edited: bool,
    /// Import a run that is here already once more (--name does too)
    #[arg(long)]
    pub again: bool,
}
