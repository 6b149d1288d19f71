//! Shells that agents start: `retake run --shell` puts links named `bash`, `sh`, … before the real ones, and under such a
//! name this program is the shim. It asks the proxy, as a wrapped function does; the answer is what came of the command
//! when it was recorded, or that it is to run, in the real shell.

mod command;
mod directory;
mod input;
mod invocation;
mod output;
mod report;
mod shim;

pub use directory::Directory;

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Shells that are linked.
const NAMES: [&str; 4] = ["bash", "sh", "zsh", "dash"];

/// Variable of the agent with the `SHELL` that it would have had.
const BEFORE: &str = "RETAKE_SHELL";

/// Variable of a recorded command: the shells that it starts are not recorded again.
pub const INSIDE: &str = "RETAKE_SHELL_COMMAND";

/// What this process is, by the name that it was started under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// A shell.
    Shell(&'static str),
    /// The start of a recorded command, which becomes the real shell.
    Command,
    /// Passes on what the processes print that a command left behind.
    Rest,
}

impl Part {
    /// Reads `argv[0]`; none for the `retake` command itself.
    pub fn called(name: &OsString) -> Option<Part> {
        let name = Path::new(name).file_name()?.as_bytes();
        match name {
            name if name == command::STARTER.as_bytes() => Some(Part::Command),
            name if name == command::REST.as_bytes() => Some(Part::Rest),
            // A login shell is called `-bash`.
            name => {
                let name = name.strip_prefix(b"-").unwrap_or(name);
                NAMES.into_iter().find(|known| known.as_bytes() == name).map(Part::Shell)
            }
        }
    }

    /// Does it; the exit code.
    pub fn play(&self) -> i32 {
        match self {
            Part::Shell(name) => shim::main(name),
            Part::Command => command::become_command(),
            Part::Rest => command::pass_on_the_rest(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_says_what_it_is() {
        let called = |name: &str| Part::called(&name.into());
        assert_eq!(called("/tmp/retake-shell-x/bash"), Some(Part::Shell("bash")));
        assert_eq!(called("-zsh"), Some(Part::Shell("zsh")));
        assert_eq!(called("retake-shell-command"), Some(Part::Command));
        for other in ["retake", "/usr/bin/retake", "bashful", "", "/"] {
            assert_eq!(called(other), None, "{other}");
        }
    }
}
