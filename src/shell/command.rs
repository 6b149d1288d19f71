//! The process of a recorded command: the real shell, which does not outlive the shim, with what it prints read on the way.

use super::directory::{is_link, without_links};
use super::output::{ERR, OUT, Output};
use super::{BEFORE, INSIDE};
use crate::agent::signals::{Signals, at_a_terminal};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getppid};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe::Receiver;

/// Name of the process that becomes a command.
pub(super) const STARTER: &str = "retake-shell-command";
/// Name of the process that passes on what is printed behind a command's end.
pub(super) const REST: &str = "retake-shell-rest";
/// How long what stands in a pipe is waited for, when the command has ended.
const LAST_OUTPUT: Duration = Duration::from_millis(20);

/// What came of a command.
pub(super) struct Came {
    /// How it ended.
    pub status: ExitStatus,
    /// How long it took, in milliseconds.
    pub took: u64,
    /// What it printed.
    pub output: Output,
}

/// One of the two outputs.
struct Stream {
    number: u8,
    /// None when there is nothing more, or nobody who reads it.
    from: Option<Receiver>,
    buffer: Vec<u8>,
}

impl Stream {
    fn new(number: u8, from: Option<io::PipeReader>) -> io::Result<Stream> {
        let from = from.map(|from| Receiver::from_owned_fd(OwnedFd::from(from))).transpose()?;
        Ok(Stream { number, from, buffer: vec![0; 64 * 1024] })
    }

    /// Reads once; how much. Waits for ever where there is nothing more. Safe to cancel.
    async fn read(&mut self) -> usize {
        let Some(from) = &mut self.from else { return std::future::pending().await };
        from.read(&mut self.buffer).await.unwrap_or_default()
    }

    /// Passes on what was read.
    async fn pass_on(&mut self, length: usize) {
        let bytes = self.buffer.get(..length).unwrap_or_default();
        let written = match self.number {
            OUT => write(&mut tokio::io::stdout(), bytes).await,
            _ => write(&mut tokio::io::stderr(), bytes).await,
        };
        if length == 0 || written.is_err() {
            // Where nobody reads, the command is to see that.
            self.from = None;
        }
    }

    /// Leaves what is yet to come to a process of its own: somebody may still write, as in `server &`.
    fn leave(self) -> io::Result<()> {
        let Some(from) = self.from else { return Ok(()) };
        let mut rest = Command::new(std::env::current_exe()?);
        rest.arg0(REST).stdin(from.into_blocking_fd()?);
        if self.number == ERR {
            rest.stdout(io::stderr().as_fd().try_clone_to_owned()?);
        }
        rest.spawn().map(drop)
    }
}

async fn write(to: &mut (impl AsyncWriteExt + Unpin), bytes: &[u8]) -> io::Result<()> {
    to.write_all(bytes).await?;
    to.flush().await
}

enum Event {
    Printed(usize),
    Complained(usize),
    Ended(ExitStatus),
    Signal(Signal),
}

/// Runs a shell's command, passing on what it prints and the signals that come. `name`: what it is to call itself.
///
/// # Errors
/// When it cannot be started.
pub(super) async fn run(shell: &Path, name: &OsStr, words: &[OsString]) -> io::Result<Came> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg0(STARTER).arg(std::process::id().to_string()).arg(shell).arg(name).args(words);
    restore(&mut command, shell);
    let (out, to) = io::pipe()?;
    let mut out = Stream::new(OUT, Some(out))?;
    let mut err = if goes_to_one_place()? {
        // So their order is known.
        command.stderr(to.try_clone()?);
        Stream::new(ERR, None)?
    } else {
        let (from, to) = io::pipe()?;
        command.stderr(to);
        Stream::new(ERR, Some(from))?
    };
    command.stdout(to);
    let mut signals = Signals::listen(at_a_terminal())?;
    let began = Instant::now();
    let mut command = tokio::process::Command::from(command);
    let mut child = command.spawn()?;
    // With its ends of the pipes open here, they would never end.
    drop(command);
    let process = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
    let tell = |signal| process.map(|process| kill(process, signal));
    let mut output = Output::default();
    let status = loop {
        let event = tokio::select! {
            length = out.read() => Event::Printed(length),
            length = err.read() => Event::Complained(length),
            status = child.wait() => Event::Ended(status?),
            signal = signals.next() => Event::Signal(signal),
        };
        let (stream, length) = match event {
            Event::Printed(length) => (&mut out, length),
            Event::Complained(length) => (&mut err, length),
            Event::Ended(status) => break status,
            Event::Signal(signal) => {
                tell(signal);
                continue;
            }
        };
        output.add(stream.number, milliseconds(began), stream.buffer.get(..length).unwrap_or_default());
        let mut passing = std::pin::pin!(stream.pass_on(length));
        loop {
            tokio::select! {
                () = &mut passing => break,
                signal = signals.next() => drop(tell(signal)),
            }
        }
    };
    let took = milliseconds(began);
    for mut stream in [out, err] {
        while let Ok(length) = tokio::time::timeout(LAST_OUTPUT, stream.read()).await {
            output.add(stream.number, took, stream.buffer.get(..length).unwrap_or_default());
            stream.pass_on(length).await;
        }
        stream.leave()?;
    }
    Ok(Came { status, took, output })
}

fn milliseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Variables as they would be without the shim.
fn restore(command: &mut Command, shell: &Path) {
    let path = std::env::var_os("PATH").unwrap_or_default();
    command.env("PATH", without_links(&path)).env_remove(BEFORE).env(INSIDE, "1");
    let own = std::env::var_os("SHELL").filter(|shell| is_link(Path::new(shell)));
    if own.is_some() {
        command.env("SHELL", std::env::var_os(BEFORE).unwrap_or_else(|| shell.into()));
    }
}

/// True when both outputs are one and the same.
fn goes_to_one_place() -> io::Result<bool> {
    let place = |output: std::os::fd::BorrowedFd<'_>| {
        let data = File::from(output.try_clone_to_owned()?).metadata()?;
        io::Result::Ok((data.dev(), data.ino(), data.file_type().is_char_device()))
    };
    let (out, err) = (place(io::stdout().as_fd())?, place(io::stderr().as_fd())?);
    // Nothing is seen of what goes to /dev/null, and the two may be told apart all the same.
    Ok(out == err && !out.2)
}

/// Becomes the command: a shell that ends when the shim is killed. Words: the shim, the shell, its name, its own.
pub(super) fn become_command() -> i32 {
    let mut words = std::env::args_os().skip(1);
    let (shim, shell, name) = (words.next(), words.next(), words.next());
    let (Some(shim), Some(shell), Some(name)) = (shim, shell, name) else { return 126 };
    #[cfg(target_os = "linux")]
    if nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).is_err() {
        return 126;
    }
    if shim.to_str() != Some(getppid().to_string().as_str()) {
        // It is gone already.
        return 137;
    }
    let error = Command::new(&shell).arg0(name).args(words).exec();
    eprintln!("retake: cannot start {}: {error}", shell.to_string_lossy());
    126
}

/// Passes on what comes until nobody writes any more.
pub(super) fn pass_on_the_rest() -> i32 {
    i32::from(io::copy(&mut io::stdin(), &mut io::stdout()).is_err())
}

/// Ends this process as a command ended: by its signal. A fresh shell has no handler of it.
pub(super) fn end_by(shell: &Path, signal: i32) -> i32 {
    // One dump of the command's memory is enough.
    let script = format!("ulimit -c 0; kill -{signal} $$");
    let error = Command::new(shell).arg("-c").arg(script).exec();
    eprintln!("retake: cannot start {}: {error}", shell.display());
    128 + signal
}
