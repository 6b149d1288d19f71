//! A process that outlives a killed suite just long enough to clean up behind it.
//!
//! `retake test` tells it of every process group that it starts and of its temporary directory. When the pipe between them
//! closes without a good-bye, retake was killed: what is still there is killed too, and the directory removed. What has left
//! its group is known by its mark, which is a directory in that one.

use super::super::warn;
use crate::agent::strays;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::io::{self, BufRead, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};

/// The hidden verb that it is.
pub(in crate::cli) const VERB: &str = "test-guard";

/// The guard, as the suite sees it.
pub(super) struct Guard {
    told: Mutex<Option<ChildStdin>>,
    child: Child,
}

impl Guard {
    /// Starts it. Where that cannot be done it is said, and matters only to a suite that is killed.
    pub(super) fn start(directory: &Path) -> Option<Guard> {
        let started = Guard::started(directory);
        if let Err(why) = &started {
            warn(&format!(
                "nothing would clean up behind this suite if it were killed: its guard cannot be started: {why}"
            ));
        }
        started.ok()
    }

    fn started(directory: &Path) -> io::Result<Guard> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(VERB)
            .arg(directory)
            // A suite that an agent of another one runs is killed with that agent; its guard is not.
            .env_remove(strays::MARK)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let told = Mutex::new(child.stdin.take());
        Ok(Guard { told, child })
    }

    /// Tells of a process group: that it is there, or that it is gone.
    pub(super) fn tell(&self, group: u32, is_there: bool) {
        let sign = if is_there { '+' } else { '-' };
        if let Some(pipe) = self.told.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            let _ = writeln!(pipe, "{sign}{group}");
        }
    }

    /// Says good-bye.
    pub(super) fn end(mut self) {
        if let Some(mut pipe) = self.told.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = writeln!(pipe, "done");
        }
        let _ = self.child.wait();
    }
}

/// The guard itself.
pub(in crate::cli) fn keep_watch(directory: PathBuf) -> i32 {
    let mut groups: BTreeSet<i32> = BTreeSet::new();
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let number = |text: &str| text.parse().ok().filter(|group: &i32| *group > 1);
        match (line.strip_prefix('+').and_then(number), line.strip_prefix('-').and_then(number)) {
            (Some(group), _) => drop(groups.insert(group)),
            (_, Some(group)) => drop(groups.remove(&group)),
            _ if line == "done" => return 0,
            _ => {}
        }
    }
    for group in groups {
        let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
    }
    strays::end(&format!("{}/", directory.display()));
    let _ = std::fs::remove_dir_all(directory);
    0
}
