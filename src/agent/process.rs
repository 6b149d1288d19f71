//! The agent's process: started, passed what retake itself gets (input, output, signals), and waited for.

use super::signals::{Reach, Signals, at_a_terminal};
use super::stdin::{self, Feed, StdinFrom, StdinSeen};
use bytes::Bytes;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

/// How long the last output of an ended agent is waited for: a process it left behind may hold the pipe open.
const OUTPUT_GRACE: Duration = Duration::from_secs(1);

/// What to start.
#[derive(Debug, Clone, Default)]
pub struct Launch {
    /// Program and arguments.
    pub command: Vec<OsString>,
    /// Working directory; none: retake's own.
    pub directory: Option<PathBuf>,
    /// Variables to set over the inherited ones.
    pub set: Vec<(String, String)>,
    /// Variables to take away.
    pub unset: Vec<String>,
    /// Its standard input.
    pub stdin: StdinFrom,
    /// Keep this many bytes of its standard output, while passing it on; none: the output is inherited.
    pub keep_stdout: Option<usize>,
    /// Its standard output goes where standard error goes: retake's own output is for a program to read.
    pub stdout_aside: bool,
    /// Nothing of what it prints is passed on.
    pub quiet: bool,
    /// What is kept of its standard output has its standard error in it.
    pub keep_stderr: bool,
    /// It leads a process group of its own, at a terminal too.
    pub own_group: bool,
}

/// Why there is no agent.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Nothing to start.
    #[error("no command to run: give it after `--`, as in `retake run -- python agent.py`")]
    Empty,
    /// The working directory is not there.
    #[error("cannot start {command}: its directory {} does not exist", directory.display())]
    NoDirectory {
        /// The program.
        command: String,
        /// The missing directory.
        directory: PathBuf,
    },
    /// No such program.
    #[error(
        "cannot start {command}: no such program; check its spelling, or give its path (PATH was searched)"
    )]
    NotFound {
        /// The program.
        command: String,
    },
    /// It is there but cannot be run.
    #[error("cannot start {command}: {source}; is it executable, and does it begin with a `#!` line?")]
    NotExecutable {
        /// The program.
        command: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// Anything else.
    #[error("cannot start {command}: {source}")]
    Failed {
        /// The program.
        command: String,
        /// What the operating system said.
        source: io::Error,
    },
}

impl StartError {
    /// The exit code that a shell gives in this case: 127 or 126.
    pub fn shell_code(&self) -> i32 {
        match self {
            StartError::NotFound { .. } => 127,
            _ => 126,
        }
    }
}

/// How an agent ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Its exit code; none when a signal ended it.
    pub exit_code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// What was passed to its standard input, when that is known, whole, and text.
    pub stdin: Option<String>,
    /// The beginning of its standard output, when it was kept.
    pub stdout: Option<Bytes>,
    /// True when somebody asked retake to end (a signal that was passed on), whatever the agent made of it.
    pub told_to_end: bool,
}

impl Ended {
    /// The exit code to pass on, as shells do: 128 + n for signal n.
    pub fn shell_code(&self) -> i32 {
        match (self.exit_code, self.signal) {
            (Some(code), _) => code,
            (None, Some(signal)) => 128 + signal,
            (None, None) => 1,
        }
    }
}

/// A running agent. Dropping it leaves the process running.
pub struct Agent {
    child: Child,
    reach: Reach,
    signals: Signals,
    seen: StdinSeen,
    stdout: Option<KeptOutput>,
    ended: Option<Ended>,
    told_to_end: bool,
}

impl Agent {
    /// Starts it. Needs a tokio runtime; signals are passed on while [`Agent::wait`] is polled.
    ///
    /// # Errors
    /// [`StartError`] when there is nothing to start or the operating system refuses.
    pub fn start(launch: Launch) -> Result<Agent, StartError> {
        let shared = !launch.own_group && at_a_terminal();
        Agent::start_in(launch, shared)
    }

    fn start_in(launch: Launch, shared: bool) -> Result<Agent, StartError> {
        let (program, arguments) = launch.command.split_first().ok_or(StartError::Empty)?;
        let name = program.to_string_lossy().into_owned();
        let failed = |source| StartError::Failed { command: name.clone(), source };
        let mut command = Command::new(program);
        command.args(arguments).envs(launch.set);
        for variable in &launch.unset {
            command.env_remove(variable);
        }
        if let Some(directory) = launch.directory {
            if !directory.is_dir() {
                return Err(StartError::NoDirectory { command: name, directory });
            }
            command.current_dir(directory);
        }
        if !shared {
            command.process_group(0);
        }
        let signals = Signals::listen(shared).map_err(failed)?;
        let (stdio, seen, pump) = Feed::open(launch.stdin).map_err(failed)?.split();
        command.stdin(stdio);
        let mut output = None;
        if launch.stdout_aside {
            command.stdout(io::stderr());
        }
        if launch.keep_stdout.is_some() {
            let (ours, theirs) = io::pipe().map_err(failed)?;
            if launch.keep_stderr {
                command.stderr(theirs.try_clone().map_err(failed)?);
            }
            command.stdout(theirs);
            output = Some(ours);
        }
        if launch.quiet && !launch.keep_stderr {
            command.stderr(std::process::Stdio::null());
        }
        if launch.quiet && output.is_none() {
            command.stdout(std::process::Stdio::null());
        }
        let child = command.spawn().map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => StartError::NotFound { command: name.clone() },
            io::ErrorKind::PermissionDenied => StartError::NotExecutable { command: name.clone(), source },
            _ if source.raw_os_error() == Some(nix::errno::Errno::ENOEXEC as i32) => {
                StartError::NotExecutable { command: name.clone(), source }
            }
            _ => failed(source),
        })?;
        // The command holds copies of the agent's ends of the pipes: with them open, nobody would see an end of file.
        drop(command);
        stdin::start(pump);
        let pid = Pid::from_raw(child.id().and_then(|id| i32::try_from(id).ok()).unwrap_or(i32::MAX));
        let reach = if shared { Reach::Shared(pid) } else { Reach::Group(pid) };
        let stdout = output.zip(launch.keep_stdout).map(|(pipe, most)| keep(pipe, most, launch.quiet));
        Ok(Agent { child, reach, signals, seen, stdout, ended: None, told_to_end: false })
    }

    /// Process id; none when it has ended.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits for its end, passing on the signals that come. Safe to cancel and to call again.
    ///
    /// # Errors
    /// When the operating system cannot say how it ended.
    pub async fn wait(&mut self) -> io::Result<Ended> {
        if let Some(ended) = &self.ended {
            return Ok(ended.clone());
        }
        let status = loop {
            tokio::select! {
                status = self.child.wait() => break status?,
                signal = self.signals.next() => {
                    self.told_to_end |= !matches!(signal, Signal::SIGUSR1 | Signal::SIGUSR2);
                    self.reach.send(signal);
                }
            }
        };
        self.note_end(status).await
    }

    /// Ends it and, when it leads a group of its own, every process it left behind: asks first, then kills what is
    /// still there after `grace`.
    ///
    /// # Errors
    /// When the operating system cannot say how it ended.
    pub async fn end(&mut self, grace: Duration) -> io::Result<Ended> {
        // A leader that was waited for frees its number; as a group's number it stays taken while the group has members.
        let gone = matches!(self.reach, Reach::Shared(_)) && self.ended.is_some();
        if !gone && self.reach.is_alive() {
            self.reach.send(Signal::SIGTERM);
            let deadline = Instant::now() + grace;
            while Instant::now() < deadline {
                // Reaping the leader is what lets its group disappear.
                let left = self.child.try_wait()?.is_none();
                if !left && (matches!(self.reach, Reach::Shared(_)) || !self.reach.is_alive()) {
                    break;
                }
                sleep(Duration::from_millis(5)).await;
            }
            let left = self.child.try_wait()?.is_none();
            if left || (matches!(self.reach, Reach::Group(_)) && self.reach.is_alive()) {
                self.reach.send(Signal::SIGKILL);
            }
        }
        if let Some(ended) = &self.ended {
            return Ok(ended.clone());
        }
        let status = self.child.wait().await?;
        self.note_end(status).await
    }

    async fn note_end(&mut self, status: ExitStatus) -> io::Result<Ended> {
        let stdout = match &mut self.stdout {
            Some(kept) => {
                // An error is a sender that is gone: the output is complete either way.
                let _ = timeout(OUTPUT_GRACE, &mut kept.complete).await;
                Some(Bytes::from(kept.bytes.lock().unwrap_or_else(PoisonError::into_inner).clone()))
            }
            None => None,
        };
        let ended = Ended {
            exit_code: status.code(),
            signal: status.signal(),
            stdin: self.seen.text(),
            stdout,
            told_to_end: self.told_to_end,
        };
        self.ended = Some(ended.clone());
        Ok(ended)
    }
}

/// What is kept of an output.
struct KeptOutput {
    bytes: Arc<Mutex<Vec<u8>>>,
    /// Closed when there is no more to come.
    complete: oneshot::Receiver<()>,
}

/// Passes an output on (unless `quiet`) and keeps its beginning, until the end of the pipe or until nobody reads on the
/// other side.
fn keep(mut pipe: io::PipeReader, most: usize, quiet: bool) -> KeptOutput {
    let (ending, complete) = oneshot::channel::<()>();
    let bytes = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&bytes);
    let pass = move || {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let bytes = match pipe.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => buffer.get(..n).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => break,
            };
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            let room = most.saturating_sub(kept.len());
            kept.extend(bytes.iter().take(room));
            drop(kept);
            if quiet {
                continue;
            }
            let mut out = io::stdout().lock();
            if out.write_all(bytes).and_then(|()| out.flush()).is_err() {
                break;
            }
        }
        drop(ending);
    };
    // Without a thread the pipe closes, and the agent sees that nobody reads.
    drop(std::thread::Builder::new().name("stdout".to_string()).spawn(pass));
    KeptOutput { bytes, complete }
}

#[cfg(test)]
mod tests;
