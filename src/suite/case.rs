//! A case: a recorded run in a file, and what its author says of it in another one beside it.

use super::checks::Check;
use super::findings::Severities;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What case files end in.
pub const ENDING: &str = "retake";

/// What stands behind that of a case that waits to be accepted.
pub const PENDING: &str = ".new";

/// A case that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// The path below the suite's directory, without the ending: `refund`, `billing/refund`.
    pub name: String,
    /// The recorded run.
    pub file: PathBuf,
}

impl Case {
    /// A case by its file. What is not below the suite's directory is called by its whole path.
    pub fn named(suite: &Path, file: &Path) -> Case {
        let suite = std::path::absolute(suite).unwrap_or_else(|_| suite.to_path_buf());
        let below = file.strip_prefix(&suite).unwrap_or(file).with_extension("");
        Case { name: below.to_string_lossy().replace('\\', "/"), file: file.to_path_buf() }
    }

    /// What it would be once somebody has accepted it; it need not be there.
    pub fn pending(&self) -> PathBuf {
        let mut name = self.file.clone().into_os_string();
        name.push(PENDING);
        PathBuf::from(name)
    }

    /// The file beside it in which its author says more; it need not be there.
    pub fn beside(&self) -> PathBuf {
        self.file.with_extension("toml")
    }
}

/// What `NAME.toml` beside `NAME.retake` may say. What it says goes before what `retake.toml` says.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Beside {
    /// The agent's command.
    pub command: Option<Vec<String>>,
    /// Where it runs, seen from the directory of `retake.toml`.
    pub directory: Option<PathBuf>,
    /// True: it runs in a copy of that directory, which is removed afterwards.
    pub copy: Option<bool>,
    /// How long the agent may take, in seconds.
    pub timeout: Option<f64>,
    /// What must hold of this case beside what `retake.toml` asks of all.
    pub check: Vec<Check>,
    /// How serious findings are in this case.
    pub findings: Severities,
}

/// What `[test]` in `retake.toml` says of all cases.
#[derive(Debug, Clone, PartialEq)]
pub struct Common {
    /// Where the cases are, seen from that file.
    pub directory: PathBuf,
    /// The agent's command; none: each case's own.
    pub command: Option<Vec<String>>,
    /// True: each agent runs in a copy of its directory.
    pub copy: bool,
    /// How long an agent may take.
    pub timeout: Duration,
}

/// How long an agent may take where nothing is said.
const TIMEOUT: Duration = Duration::from_secs(60);

impl Default for Common {
    fn default() -> Common {
        Common { directory: PathBuf::from("tests/retake"), command: None, copy: false, timeout: TIMEOUT }
    }
}

/// Seconds as a time limit; none when it is no such thing.
pub fn limit(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok().filter(|limit| !limit.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_called_by_where_they_are() {
        let name = |file: &str| Case::named(Path::new("/p/tests/retake"), Path::new(file)).name;
        assert_eq!(name("/p/tests/retake/refund.retake"), "refund");
        assert_eq!(name("/p/tests/retake/a/b.c.retake"), "a/b.c");
        assert_eq!(name("/q/refund.retake"), "/q/refund");
    }

    #[test]
    fn a_limit_is_a_time() {
        assert_eq!(limit(1.5), Some(Duration::from_millis(1500)));
        assert_eq!([limit(0.0), limit(-1.0), limit(f64::NAN), limit(1e300)], [None; 4]);
    }
}
