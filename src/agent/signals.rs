//! Signals that reach retake while the agent runs, and who else gets them.

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{Pid, getpgrp, tcgetpgrp};
use std::fs::File;
use std::io::{self, IsTerminal};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// How the agent's processes are reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// The agent shares retake's process group: keys like Ctrl-C reach both, only the agent itself can be signalled.
    Shared(Pid),
    /// The agent leads a group of its own.
    Group(Pid),
}

impl Reach {
    /// Sends a signal. A process that is gone already is no error.
    pub fn send(self, signal: Signal) {
        let _ = match self {
            Reach::Shared(pid) => kill(pid, signal),
            Reach::Group(group) => killpg(group, signal),
        };
    }

    /// True while there is a process left to signal.
    pub fn is_alive(self) -> bool {
        match self {
            Reach::Shared(pid) => kill(pid, None).is_ok(),
            Reach::Group(group) => killpg(group, None).is_ok(),
        }
    }
}

/// True when keys typed at a terminal reach retake: its standard input is one, or it runs in the foreground of one.
/// The agent must then stay in the same group, or it could not read from that terminal.
pub fn at_a_terminal() -> bool {
    let foreground = || {
        let terminal = File::open("/dev/tty").ok()?;
        Some(tcgetpgrp(&terminal).ok()? == getpgrp())
    };
    io::stdin().is_terminal() || foreground().unwrap_or(false)
}

/// The signals that came and are for the agent.
pub struct Signals(mpsc::Receiver<Signal>);

impl Signals {
    /// Listens from now on; retake itself no longer dies of these signals. Needs a tokio runtime.
    ///
    /// With `shared`, those that a terminal sends to the whole group are swallowed, since the agent has them already.
    /// What was ignored when retake started stays so, for the agent too (`nohup retake run …`).
    pub fn listen(shared: bool) -> io::Result<Signals> {
        let (send, receive) = mpsc::channel(16);
        let ignored = ignored_signals();
        let all = [
            (Signal::SIGINT, shared),
            (Signal::SIGQUIT, shared),
            (Signal::SIGTERM, false),
            (Signal::SIGHUP, false),
            (Signal::SIGUSR1, false),
            (Signal::SIGUSR2, false),
        ];
        for (which, swallowed) in all {
            if ignored & (1 << (which as i32 - 1)) != 0 {
                continue;
            }
            let mut stream = signal(SignalKind::from_raw(which as i32))?;
            let send = send.clone();
            tokio::spawn(async move {
                while stream.recv().await.is_some() {
                    if !swallowed && send.send(which).await.is_err() {
                        return;
                    }
                }
            });
        }
        Ok(Signals(receive))
    }

    /// The next signal for the agent; waits for ever when none comes. Safe to cancel.
    pub async fn next(&mut self) -> Signal {
        match self.0.recv().await {
            Some(signal) => signal,
            None => std::future::pending().await,
        }
    }
}

/// The signals that are ignored by this process, as a bit mask; 0 where that cannot be read.
fn ignored_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    ignored_in(&status)
}

fn ignored_in(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_of_ignored_signals() {
        assert_eq!(ignored_in("Name:\tx\nSigIgn:\t0000000000001001\nSigCgt:\t0\n"), 0x1001);
        assert_eq!(ignored_in("SigIgn:\tzz\n"), 0);
        assert_eq!(ignored_in(""), 0);
    }
}
