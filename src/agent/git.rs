//! The commit an agent's code is at, asked of `git` itself.

use crate::run::manifest::GitState;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// Longest time that git may take. A huge checkout on a slow disk is not worth a wait before every run.
const PATIENCE: Duration = Duration::from_secs(2);

/// Commit and cleanness of a directory; none when it is no checkout, has no commit yet, or git is not there or slow.
///
/// Blocks for up to two seconds. It changes nothing: no index refresh is written and no file monitor started.
pub fn state(directory: &Path) -> Option<GitState> {
    asked(Command::new("git").arg("-C").arg(directory), PATIENCE)
}

/// Runs `git status` on top of `command`, which names the program and the directory.
fn asked(command: &mut Command, patience: Duration) -> Option<GitState> {
    let mut child = command
        .args(["-c", "core.fsmonitor=false", "status", "--porcelain=v2", "--branch"])
        .args(["--untracked-files=no", "--ignore-submodules=dirty", "--no-ahead-behind"])
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let mut output = child.stdout.take()?;
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        let mut text = Vec::new();
        let whole = output.read_to_end(&mut text).is_ok();
        // Nobody listens any more when git was too slow.
        let _ = send.send(whole.then_some(text));
    });
    let text = receive.recv_timeout(patience).ok().flatten();
    if text.is_none() {
        let _ = child.kill();
    }
    let ended = child.wait().ok()?;
    if !ended.success() {
        return None;
    }
    read_status(&String::from_utf8_lossy(&text?))
}

/// Reads `git status --porcelain=v2 --branch`: header lines begin with `#`, every other line is a changed file.
fn read_status(text: &str) -> Option<GitState> {
    let commit = text.lines().find_map(|line| line.strip_prefix("# branch.oid "))?;
    let is_hash = commit.len() >= 40 && commit.bytes().all(|b| b.is_ascii_hexdigit());
    let dirty = text.lines().any(|line| !line.is_empty() && !line.starts_with('#'));
    is_hash.then(|| GitState { commit: commit.to_string(), dirty })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    fn git(directory: &Path, arguments: &[&str]) {
        let identity = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"];
        let done =
            Command::new("git").arg("-C").arg(directory).args(identity).args(arguments).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    #[test]
    fn a_checkout_and_its_changes() {
        let room = tempfile::tempdir().unwrap();
        assert_eq!(state(room.path()), None);
        git(room.path(), &["init", "-q"]);
        assert_eq!(state(room.path()), None, "no commit yet");
        std::fs::write(room.path().join("agent.py"), "1").unwrap();
        git(room.path(), &["add", "."]);
        git(room.path(), &["commit", "-qm", "one"]);
        let clean = state(room.path()).unwrap();
        assert!(!clean.dirty && clean.commit.len() == 40);
        std::fs::write(room.path().join("notes"), "untracked").unwrap();
        assert_eq!(state(room.path()), Some(clean.clone()));
        std::fs::write(room.path().join("agent.py"), "22").unwrap();
        assert_eq!(state(room.path()), Some(GitState { dirty: true, ..clean }));
    }

    #[test]
    fn a_slow_git_is_not_waited_for() {
        let started = Instant::now();
        let mut slow = Command::new("sh");
        slow.args(["-c", "exec sleep 30", "sh"]);
        assert_eq!(asked(&mut slow, Duration::from_millis(50)), None);
        assert!(started.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn no_git_at_all() {
        assert_eq!(asked(&mut Command::new("no-such-git-here"), PATIENCE), None);
    }
}
