//! What servers of tools were asked in a replay or fork.

use super::Tally;
use crate::run::CallSite;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// How often each tool of each server was called.
pub type Calls = BTreeMap<String, BTreeMap<String, u32>>;

/// Messages to servers of the Model Context Protocol.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Servers {
    /// Messages that the recording answered.
    pub messages: u32,
    /// Calls of tools that the recording answered.
    pub answered: Calls,
    /// Calls of tools that a server carried out.
    pub called: Calls,
    /// Messages that went to a server, by server.
    pub live: BTreeMap<String, u32>,
    /// How the tools of servers that a fork started differ from those that the agent was told of, a line a tool.
    pub changed: BTreeMap<String, Vec<String>>,
    /// Recorded answers to calls behind one that a server carried out and that may have changed something.
    pub stale: Calls,
    /// Commands of shells that are recorded and ran all the same: they stand behind the checkpoint of a fork.
    pub behind: u32,
    /// Tools by which the model asked for commands that the recording answered.
    #[serde(skip)]
    pub askers: BTreeSet<String>,
    /// Recorded calls that the recording answered: their tools did not run.
    #[serde(skip)]
    pub(in crate::replay) sites: BTreeSet<CallSite>,
}

impl Servers {
    /// Notes a call of a tool.
    pub(in crate::replay) fn note(calls: &mut Calls, server: &str, tool: &str) {
        *calls.entry(server.to_string()).or_default().entry(tool.to_string()).or_default() += 1;
    }

    /// True when nothing was asked.
    pub fn is_empty(&self) -> bool {
        self.messages == 0 && self.live.is_empty() && self.called.is_empty()
    }
}

impl Tally {
    /// True when the tool of a recorded call did not run: its server's recorded answer was served.
    pub(super) fn answered_for_its_server(&self, site: CallSite) -> bool {
        self.servers.sites.contains(&site)
    }
}
