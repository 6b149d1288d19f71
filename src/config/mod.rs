//! `retake.toml`: what a person declares of an agent, for every replay and fork of it.
//!
//! ```toml
//! [[ignore]]                                   # what does not count
//! path = "messages[*].result.updated_at"
//!
//! [[hole]]                                     # a value that differs from run to run
//! pattern = 'session ([0-9a-f]{8})'
//! kind = "name"
//!
//! [tools]
//! read = ["get_*", "lookup_order"]
//! irreversible = ["issue_refund"]
//!
//! [replay]
//! allow = ["renamed", "pinned"]
//!
//! [sampling]                                   # what `gc` keeps and `export --all` tells of
//! share = "10%"
//! slow = "30s"
//!
//! [test]                                       # what all cases of `retake test` have in common
//! command = ["python", "agent.py"]
//!
//! [findings]                                   # how much they matter
//! TEXT_CHANGED = "note"
//!
//! [[check]]                                    # what must hold of every case
//! never = "delete_order"
//!
//! [prices."my-model"]                         # US dollars for a million tokens
//! input = 0.5
//! output = 2
//! ```

mod error;
mod file;
#[cfg(test)]
mod tests;

pub use error::ConfigError;

use crate::holes::Rules;
use crate::prices::Prices;
use crate::replay::policy::Policy;
use crate::replay::tools::ToolClasses;
use crate::run::sampling::Sampling;
use crate::suite::case::{Beside, Common};
use crate::suite::checks::Check;
use crate::suite::findings::Severities;
use error::of_toml;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What stands in a file beside a case; its path is for what is told of it.
///
/// # Errors
/// [`ConfigError::Wrong`], as [`Config::parse`] has it.
pub fn beside(text: &str, path: &Path) -> Result<Beside, ConfigError> {
    toml::from_str(text).map_err(|error| ConfigError::wrong(path, text, of_toml(&error, text)))
}

/// Name of the file.
pub const NAME: &str = "retake.toml";

/// What is declared. The default declares nothing.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// The file; none when there is none.
    pub path: Option<PathBuf>,
    /// What does not count, and what differs.
    pub rules: Rules,
    /// What the tools do.
    pub tools: ToolClasses,
    /// Which matches pass in a replay; none where nothing is said.
    pub allow: Option<Policy>,
    /// What models cost, before retake's own list.
    pub prices: Prices,
    /// Of many runs, which are worth their place; none where nothing is said.
    pub sampling: Option<Sampling>,
    /// What `retake test` goes by.
    pub suite: Common,
    /// What must hold of every case.
    pub checks: Vec<Check>,
    /// How much findings matter.
    pub severities: Severities,
}

impl Config {
    /// The file of a directory or of the nearest one above it; the default when there is none. The search ends at the
    /// home directory and at one with a `.git`, both looked into.
    ///
    /// # Errors
    /// When there is one that cannot be used.
    pub fn find(directory: &Path, home: Option<&Path>) -> Result<Config, ConfigError> {
        for directory in directory.ancestors() {
            let path = directory.join(NAME);
            match std::fs::read_to_string(&path) {
                Ok(text) => return Config::parse(&text, &path),
                Err(error) if is_absent(&error) => {}
                Err(source) => return Err(ConfigError::Unreadable { path, source }),
            }
            if Some(directory) == home || directory.join(".git").exists() {
                break;
            }
        }
        Ok(Config::default())
    }

    /// This file.
    ///
    /// # Errors
    /// When it cannot be read or used.
    pub fn read(path: &Path) -> Result<Config, ConfigError> {
        let unreadable = |source| ConfigError::Unreadable { path: path.to_path_buf(), source };
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        Config::parse(&text, path)
    }

    /// The text of a file; its path is for what is told of it.
    ///
    /// # Errors
    /// [`ConfigError::Wrong`]: the line, what is wrong, and what to do.
    pub fn parse(text: &str, path: &Path) -> Result<Config, ConfigError> {
        let declared = file::read(text).map_err(|wrong| ConfigError::wrong(path, text, wrong))?;
        Ok(Config { path: Some(path.to_path_buf()), ..declared })
    }
}

/// A directory of that name, and a parent that may not be looked into, have no file either.
fn is_absent(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::NotFound
            | ErrorKind::NotADirectory
            | ErrorKind::IsADirectory
            | ErrorKind::PermissionDenied
    )
}
