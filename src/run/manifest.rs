//! Who a run is: its id, command, surroundings, parent and outcome.

use super::lack::Lack;
use super::stop::Stopped;
use crate::exchange::{ExchangeId, StandIn, Upstream};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A run's name in its store: `refund.1`, a name and a number.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(String);

impl TryFrom<String> for RunId {
    type Error = BadRunId;

    fn try_from(text: String) -> Result<RunId, BadRunId> {
        RunId::parse(&text)
    }
}

impl From<RunId> for String {
    fn from(id: RunId) -> String {
        id.0
    }
}

/// A text that is no run id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a run name: letters, digits, `-` and `_`, then a dot and a number, as in `refund.1` (64 characters at most)"
)]
pub struct BadRunId(pub String);

impl RunId {
    /// Reads an id.
    ///
    /// # Errors
    /// [`BadRunId`] unless it is a name and a number: nothing that could leave a directory.
    pub fn parse(text: &str) -> Result<RunId, BadRunId> {
        let bad = || BadRunId(text.to_string());
        let (name, number) = text.rsplit_once('.').ok_or_else(bad)?;
        let number_ok = !number.starts_with('0') && number.parse::<u32>().is_ok();
        if !RunId::is_name(name) || !number_ok || text.len() > 64 {
            return Err(bad());
        }
        Ok(RunId(text.to_string()))
    }

    /// True for a text that can stand before the number: letters, digits, `-`, `_`.
    pub fn is_name(name: &str) -> bool {
        !name.is_empty()
            && name.len() <= 48
            && !name.starts_with('-')
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name before the number.
    pub fn name(&self) -> &str {
        self.0.rsplit_once('.').map_or(self.0.as_str(), |(n, _)| n)
    }

    /// The number.
    pub fn number(&self) -> u32 {
        self.0.rsplit_once('.').and_then(|(_, n)| n.parse().ok()).unwrap_or_default()
    }
}

impl std::fmt::Display for RunId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_zero(n: &i32) -> bool {
    *n == 0
}

/// Where a fork comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// The run it was forked from.
    pub run: RunId,
    /// That run's uuid, which stays when it is exported and imported elsewhere.
    pub uuid: String,
    /// The fork shares the parent's steps up to and including this one.
    pub at_step: u32,
    /// The edits, in the grammar of the command line.
    pub edits: Vec<String>,
    /// True for a replay that was kept: every answer came from the parent.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replay: bool,
}

/// Which hosts were recorded of those that the agent reached by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intercepted {
    /// Nothing but these; empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<String>,
    /// None of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<String>,
}

/// What a run is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// A recorder is at work on it.
    Recording,
    /// It ended and was sealed.
    Complete,
    /// The recorder died; what was written is there.
    Interrupted,
    /// It ended, but not everything could be written (a full disk).
    Incomplete,
}

/// How the agent ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Exit code of the agent; none when a signal ended it, or when there was no process.
    pub exit_code: Option<i32>,
    /// The signal that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// When: microseconds since the Unix epoch.
    pub ended_us: u64,
    /// Why retake stopped it before; none when it ended by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<Stopped>,
}

impl Manifest {
    /// Notes stand-ins among its own that are not there yet.
    pub fn note_stand_ins(&mut self, mut found: Vec<StandIn>) {
        found.sort();
        found.dedup();
        found.retain(|stand_in| !self.own_stand_ins.contains(stand_in));
        self.own_stand_ins.append(&mut found);
    }
}

impl Outcome {
    /// False when retake saw no process end, and nobody told: there is nothing to compare an exit code with.
    pub fn is_told(&self) -> bool {
        self.exit_code.is_some() || self.signal.is_some() || self.stopped.is_some()
    }
}

/// What is known of a run beside its exchanges. Secrets were replaced before it was written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Its name in this store.
    pub id: RunId,
    /// Its name everywhere (UUID version 7).
    pub uuid: String,
    /// Version of retake that recorded it.
    pub recorder: String,
    /// When it began: microseconds since the Unix epoch.
    pub started_us: u64,
    /// Home directory of whoever ran it; empty when it is not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub home: String,
    /// Directory for temporary files; empty when it is not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub temp: String,
    /// What local time was ahead of UTC, in seconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub zone_s: i32,
    /// Labels, `k=v`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// A person's remark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The agent's command; empty when retake did not start it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// True when a secret in the command was replaced, so that it cannot be run again as it stands.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub command_redacted: bool,
    /// Working directory of the agent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub directory: String,
    /// Environment variables that were set for the agent rather than by its surroundings, without secrets.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// Names of variables that held secrets; their values are nowhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secret_variables: Vec<String>,
    /// What the agent read on its standard input, when it was a pipe or a file of at most 1 MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdin: Option<String>,
    /// Commit and cleanness of the working directory, when it is a git checkout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git: Option<GitState>,
    /// Real servers behind the proxy's prefixes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub upstreams: Vec<Upstream>,
    /// Hosts that were recorded though the agent reached them by itself; none when only base URLs led to the proxy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intercepted: Option<Intercepted>,
    /// True when commands of shells were recorded: a replay puts the shims of shells before the real ones, too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shell: bool,
    /// Where it was forked from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Parent>,
    /// True when it was read from a file: it was recorded elsewhere, perhaps by somebody else. Never exported.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub imported: bool,
    /// What the file of another tool, from which it was read, did not say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lacks: Vec<Lack>,
    /// Recorded results in a fork that a write before them, which was not as recorded, has made stale.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stale: Vec<StaleAt>,
    /// How it ended; none while it is being recorded and after a crash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Why not everything could be written, when the state is `incomplete`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incomplete: Option<String>,
    /// How many different secrets were replaced.
    #[serde(default)]
    pub stand_ins: u32,
    /// What they were: label (a header, a variable, a shape) and how many. Empty where it was not noted.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub replaced: BTreeMap<String, u32>,
    /// The stand-ins in this manifest itself (command, environment, labels, note, edits) and in what was exported beside
    /// the exchanges. Those of an exchange are with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub own_stand_ins: Vec<StandIn>,
}

/// Where a stale result stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StaleAt {
    /// The exchange that carried it: a model call, or the call of a tool's server or wrapped function.
    pub exchange: ExchangeId,
    /// Message and block of a model call; none for another exchange, whose answer it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block: Option<(u32, u32)>,
}

/// State of a git checkout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GitState {
    /// Commit hash of HEAD.
    pub commit: String,
    /// True when tracked files differ from it.
    pub dirty: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_is_read_is_checked() {
        assert_eq!(serde_json::from_str::<RunId>("\"refund.1\"").unwrap().as_str(), "refund.1");
        assert_eq!(serde_json::to_string(&RunId::parse("refund.1").unwrap()).unwrap(), "\"refund.1\"");
        for bad in ["", "refund", "../../etc.1", "a/b.1", "refund.0", "refund.01", "refund.x"] {
            let read = serde_json::from_value::<RunId>(bad.into());
            assert!(read.is_err_and(|e| e.to_string().contains("is not a run name")), "{bad}");
        }
    }

    #[test]
    fn a_manifest_of_before_is_read() {
        let old = r#"{"id":"a.1","uuid":"u","recorder":"0.1.0","started_us":1,"stand_ins":2,
            "environment":{"SSL_CERT_FILE":"/x","CI":"1"}}"#;
        let manifest: Manifest = serde_json::from_str(old).unwrap();
        assert_eq!((manifest.stand_ins, manifest.replaced.len(), manifest.environment.len()), (2, 0, 2));
    }
}
