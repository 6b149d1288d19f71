//! The process under the name of a shell: asks what is to be done with its command, and does it.

use super::INSIDE;
use super::command::{self, Came};
use super::directory::real;
use super::input::{Input, input};
use super::invocation::Invocation;
use super::output::{OUT, Output, text_or_base64};
use super::report::{Report, Told};
use crate::bridge::discovery;
use serde_json::{Map, Value};
use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::time::{Duration, Instant};

/// Exit code of a command that was not to run.
const REFUSED: i32 = 126;

/// Plays a shell; its exit code, where this process did not become the real one.
pub(super) fn main(shell: &'static str) -> i32 {
    let mut words = std::env::args_os();
    let own_name = words.next().unwrap_or_default();
    let words: Vec<OsString> = words.collect();
    let Some(path) = real(shell, &std::env::var_os("PATH").unwrap_or_default()) else {
        eprintln!("retake: there is no {shell} in PATH but the one that records");
        return 127;
    };
    // A path would be that of the link.
    let name =
        if Path::new(&own_name).components().count() > 1 { path.clone().into_os_string() } else { own_name };
    let asked = asked(shell, &words).and_then(|arguments| Some((arguments, run()?)));
    let played = asked.and_then(|(arguments, proxy)| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
        let code = runtime.block_on(play(&path, &name, &words, &arguments, &proxy));
        runtime.shutdown_background();
        code
    });
    if let Some(ended) = played {
        return ended;
    }
    let error = std::process::Command::new(&path).arg0(&name).args(&words).exec();
    eprintln!("retake: cannot start {}: {error}", path.display());
    REFUSED
}

/// What is asked for, when it is a command to be recorded.
fn asked(shell: &str, words: &[OsString]) -> Option<Value> {
    if std::env::var_os(INSIDE).is_some() || io::stdout().is_terminal() || io::stderr().is_terminal() {
        return None;
    }
    let invocation = Invocation::read(words)?;
    let directory = std::env::current_dir().ok()?;
    let mut arguments = Map::new();
    arguments.insert("command".into(), invocation.command.into());
    arguments.insert("directory".into(), directory.to_str()?.into());
    arguments.insert("shell".into(), shell.into());
    arguments.insert("options".into(), invocation.options.into());
    if !invocation.arguments.is_empty() {
        arguments.insert("arguments".into(), invocation.arguments.into());
    }
    match input() {
        Input::Nothing => {}
        Input::Whole(bytes) => drop(arguments.insert("stdin".into(), text_or_base64(&bytes))),
        Input::Unknown => return None,
    }
    Some(arguments.into())
}

/// The exit code; none when the command is not recorded after all.
async fn play(path: &Path, name: &OsStr, words: &[OsString], arguments: &Value, proxy: &str) -> Option<i32> {
    let report = Report::to(proxy);
    match report.ask(arguments).await? {
        Told::Run => {}
        Told::Result(result) => return Some(again(path, &result).await),
        Told::Refused(why) => {
            eprintln!("{why}");
            return Some(REFUSED);
        }
    }
    let came = match command::run(path, name, words).await {
        Ok(came) => came,
        Err(error) => {
            eprintln!("retake: cannot start {}: {error}", path.display());
            report.done("unrecordable", "it could not be started".into()).await;
            return Some(REFUSED);
        }
    };
    match came.output.is_too_big() {
        true => report.done("unrecordable", "it printed too much".into()).await,
        false => report.done("result", told(&came)).await,
    }
    Some(match came.status.signal() {
        Some(signal) => command::end_by(path, signal),
        None => came.status.code().unwrap_or(1),
    })
}

/// As it is told: `{"exit": 0, "ms": 12, "output": […]}`, or `signal` in the place of `exit`.
fn told(came: &Came) -> Value {
    let mut told = Map::new();
    match came.status.signal() {
        Some(signal) => told.insert("signal".into(), signal.into()),
        None => told.insert("exit".into(), came.status.code().into()),
    };
    told.insert("ms".into(), came.took.into());
    told.insert("output".into(), came.output.told());
    told.into()
}

/// Does what a command did, as seen from outside. With `pace` in it, it takes that part of the time.
async fn again(shell: &Path, result: &Value) -> i32 {
    let read = result.get("output").and_then(Output::read);
    let ended = |name: &str| result.get(name).and_then(Value::as_i64).and_then(|n| i32::try_from(n).ok());
    let (Some(output), true) = (read, ended("exit").or(ended("signal")).is_some()) else {
        eprintln!("retake: the recording has no readable answer to this command");
        return REFUSED;
    };
    let pace = result.get("pace").and_then(Value::as_f64).unwrap_or_default().clamp(0.0, 1e6);
    let began = Instant::now();
    let until = |ms: u64| Duration::from_secs_f64(ms as f64 / 1e3 * pace).saturating_sub(began.elapsed());
    for piece in output.pieces() {
        tokio::time::sleep(until(piece.at)).await;
        let written = match piece.stream {
            OUT => io::stdout().write_all(&piece.bytes).and_then(|()| io::stdout().flush()),
            _ => io::stderr().write_all(&piece.bytes),
        };
        if written.is_err() {
            // Nobody reads any more: a command would be ended by that.
            return command::end_by(shell, nix::sys::signal::Signal::SIGPIPE as i32);
        }
    }
    tokio::time::sleep(until(result.get("ms").and_then(Value::as_u64).unwrap_or_default())).await;
    match (ended("exit"), ended("signal")) {
        (_, Some(signal)) => command::end_by(shell, signal),
        (code, None) => code.unwrap_or(REFUSED),
    }
}

/// The proxy of the run around it.
fn run() -> Option<String> {
    match discovery::proxy() {
        discovery::Proxy::At(proxy) => Some(proxy),
        discovery::Proxy::Gone(_) | discovery::Proxy::Nowhere => None,
    }
}
