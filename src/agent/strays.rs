//! Processes that have left the agent's process group (`setsid`), known by a variable that they inherited.
//!
//! Only where there is a `/proc` as on Linux. A program that takes the variable away, or writes over its own environment, is
//! not found.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::time::Duration;

/// The variable that an agent under test and all that it starts have: a value that no other case has.
pub const MARK: &str = "RETAKE_CASE";

/// How often it is looked again: what is being killed may have started others.
const ROUNDS: usize = 50;
/// How long what was killed may take until then.
const PAUSE: Duration = Duration::from_millis(2);

/// Kills every process whose mark begins so. An empty beginning is nobody's.
pub fn end(mark: &str) {
    if mark.is_empty() {
        return;
    }
    let wanted = format!("{MARK}={mark}");
    for _ in 0..ROUNDS {
        let found = marked(wanted.as_bytes());
        if found.is_empty() {
            return;
        }
        for process in found {
            // One that is gone already is no error.
            let _ = kill(process, Signal::SIGKILL);
        }
        std::thread::sleep(PAUSE);
    }
}

/// Processes that live and have a variable that begins so; never this one.
fn marked(wanted: &[u8]) -> Vec<Pid> {
    let Ok(all) = std::fs::read_dir("/proc") else { return Vec::new() };
    let numbers = all.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let others = numbers.filter(|number| *number > 1 && *number != std::process::id() as i32);
    others
        .filter(|number| {
            // Those of other people cannot be read, and one that has ended has none.
            let variables = std::fs::read(format!("/proc/{number}/environ")).unwrap_or_default();
            variables.split(|byte| *byte == 0).any(|variable| variable.starts_with(wanted))
        })
        .map(Pid::from_raw)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Child, Command};

    fn sleeping(mark: Option<&str>) -> Child {
        let mut command = Command::new("sleep");
        command.arg("60").envs(mark.map(|mark| (MARK, mark))).spawn().unwrap()
    }

    #[test]
    fn only_what_is_marked_so_is_ended() {
        let ours = format!("/tmp/of-{}/", std::process::id());
        let mut marked = sleeping(Some(&format!("{ours}1")));
        let mut others = [sleeping(Some("/tmp/of-another/1")), sleeping(None)];
        end("");
        assert!(marked.try_wait().unwrap().is_none(), "nobody's");
        end(&ours);
        assert_eq!(marked.wait().unwrap().signal(), Some(9));
        for other in &mut others {
            assert!(other.try_wait().unwrap().is_none());
            other.kill().unwrap();
            other.wait().unwrap();
        }
    }
}
