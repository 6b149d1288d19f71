//! The command line: one file a verb, and the only place that prints.

mod archive;
mod args;
mod control;
mod demo;
mod destination;
mod diff;
mod doctor;
mod editor;
mod env;
mod error;
mod fences;
mod fork;
mod gc;
mod import;
mod mcp;
mod portable;
mod precedent;
mod proxy;
mod record;
mod replay;
mod rerun;
mod runs;
mod sampled;
mod session;
mod show;
mod spans;
mod start;
mod stats;
mod surroundings;
mod telling;
mod test;
mod traced;
mod unseen;
mod view;

use crate::config::Config;
use crate::prices::Prices;
use crate::report::Style;
use crate::store::Store;
use args::{Cli, Command};
use clap::{CommandFactory, Parser};
use error::{CliError, exit};
use std::io::{IsTerminal, Write};
use std::path::PathBuf;

/// What every verb gets.
#[derive(Clone)]
pub(crate) struct Context {
    store: Option<PathBuf>,
    config: Option<PathBuf>,
    json: bool,
    /// For standard output.
    style: Style,
    /// For standard error, where what retake says of itself goes while an agent runs.
    err_style: Style,
}

impl Context {
    fn directory(&self) -> Result<PathBuf, CliError> {
        std::env::current_dir().map_err(|e| CliError::broken(format!("the current directory: {e}")))
    }

    fn store(&self) -> Result<Store, CliError> {
        Ok(Store::find(self.store.as_deref(), &self.directory()?)?)
    }

    fn store_or_new(&self) -> Result<Store, CliError> {
        Ok(Store::find_or_create(self.store.as_deref(), &self.directory()?)?)
    }

    /// What is declared of the agent, in the file that is named or the nearest one.
    fn config(&self) -> Result<Config, CliError> {
        let config = match &self.config {
            Some(path) => Config::read(path),
            None => Config::find(&self.directory()?, std::env::var_os("HOME").map(PathBuf::from).as_deref()),
        };
        Ok(config?)
    }

    /// A person's own prices. What is wrong with the file is said; nothing that prices are for fails by it.
    fn prices(&self) -> Prices {
        self.config().map(|config| config.prices).unwrap_or_else(|error| {
            let error =
                CliError { message: format!("{}: the prices in it are not used", error.message), ..error };
            error.tell();
            Prices::default()
        })
    }

    /// Prints data, as JSON.
    fn print_json(&self, value: &impl serde::Serialize) -> Result<(), CliError> {
        let text = serde_json::to_string_pretty(value).map_err(|e| CliError::broken(e.to_string()))?;
        print(&format!("{text}\n"))
    }
}

/// Prints to standard output; a reader that has gone away (`| head`) is no error.
fn print(text: &str) -> Result<(), CliError> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

fn warn(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "retake: {text}");
}

fn style(terminal: bool) -> Style {
    let set = |name: &str| std::env::var_os(name).is_some_and(|v| !v.is_empty());
    let width = std::env::var("COLUMNS").ok().and_then(|c| c.parse().ok()).or_else(terminal_width);
    Style { color: terminal && !set("NO_COLOR"), width: width.unwrap_or(100).clamp(60, 240) }
}

fn terminal_width() -> Option<usize> {
    let output = std::io::stdout();
    if !output.is_terminal() {
        return None;
    }
    terminal_size::terminal_size().map(|(width, _)| usize::from(width.0))
}

/// The command line with `--` in front of the agent's command, where that was forgotten.
fn with_dashes(error: &clap::Error) -> Option<String> {
    use clap::error::{ContextKind, ContextValue, ErrorKind};
    let Some(ContextValue::String(odd)) = error.get(ContextKind::InvalidArg) else { return None };
    let words: Vec<String> = std::env::args().skip(1).collect();
    let takes_command = words
        .iter()
        .find(|w| !w.starts_with('-'))
        .is_some_and(|verb| matches!(verb.as_str(), "run" | "replay" | "fork" | "doctor"));
    let at = words.iter().position(|word| word == odd)?;
    let before = words.get(..at)?;
    let fits = error.kind() == ErrorKind::UnknownArgument && takes_command && !odd.starts_with('-');
    (fits && at > 0 && !before.iter().any(|word| word == "--")).then(|| {
        let command = crate::report::heading::command(words.get(at..).unwrap_or_default());
        format!("retake {} -- {command}", before.join(" "))
    })
}

/// Runs the command line of this process; its exit code.
pub fn main() -> i32 {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            if let Some(better) = with_dashes(&error) {
                let _ = writeln!(std::io::stderr().lock(), "retake: put -- before the command: {better}");
                return exit::USAGE;
            }
            let _ = error.print();
            if error.kind() == clap::error::ErrorKind::InvalidSubcommand
                && std::env::args().any(|word| word == "record")
            {
                let _ = writeln!(std::io::stderr().lock(), "\n  tip: retake run -- COMMAND records");
            }
            if error.use_stderr() {
                env::fail_unread();
            }
            return if error.use_stderr() { exit::USAGE } else { exit::OK };
        }
    };
    let context = Context {
        store: cli.store,
        config: cli.config,
        json: cli.json,
        style: style(std::io::stdout().is_terminal()),
        err_style: style(std::io::stderr().is_terminal()),
    };
    match run(&context, cli.command) {
        Ok(code) => code,
        Err(error) => {
            if context.json {
                let _ = print(&format!("{}\n", error.json()));
            }
            error.tell();
            error.code
        }
    }
}

fn run(context: &Context, command: Command) -> Result<i32, CliError> {
    match command {
        Command::Run(args) => record::run(context, args),
        Command::Proxy(args) => proxy::proxy(context, args),
        Command::Env(args) => env::env(context, &args),
        Command::Ls(args) => runs::ls(context, &args),
        Command::Show(args) => show::show(context, &args),
        Command::Stats(args) => stats::stats(context, &args),
        Command::Replay(args) => replay::replay(context, args),
        Command::Fork(args) => fork::fork(context, args),
        Command::Diff(args) => diff::diff(context, &args),
        Command::Doctor(args) => doctor::doctor(context, args),
        Command::Export(args) => portable::export(context, &args),
        Command::Import(args) => import::import(context, &args),
        Command::Test(args) => test::test(context, &args),
        Command::Check(args) => test::check::check(context, &args),
        Command::Review(args) => test::review::review(context, &args),
        Command::TestGuard { directory } => Ok(test::guard::keep_watch(directory)),
        Command::Rm(args) => runs::rm(context, &args),
        Command::Gc(args) => gc::gc(context, &args),
        Command::Index(args::IndexCommand::Rebuild) => runs::rebuild(context),
        Command::Mcp(args) => mcp::mcp(args),
        Command::Demo(args) => demo::demo(context, &args),
        Command::DemoAgent { args } => Ok(crate::demo::agent_main(&args)),
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "retake", &mut text);
            print(&String::from_utf8_lossy(&text))?;
            Ok(exit::OK)
        }
        Command::Man => {
            let mut text = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut text)?;
            print(&String::from_utf8_lossy(&text))?;
            Ok(exit::OK)
        }
    }
}
