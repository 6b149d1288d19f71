//! How a run ended, in a few words.

use super::words::line;
use crate::run::{Manifest, RunState, Stopped};

/// `exit 0`, `killed by signal 9`, `interrupted`, `recording`.
pub fn ended(manifest: &Manifest, state: RunState) -> String {
    let exit = manifest.outcome.as_ref().map(|o| match (&o.stopped, o.exit_code, o.signal) {
        // The agent's own exit code says nothing then.
        (Some(Stopped::Fence { tool }), ..) => format!("fenced before {}", line(tool)),
        (Some(Stopped::LiveLimit), ..) => "limit of live calls".into(),
        (None, Some(code), _) => format!("exit {code}"),
        (None, None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None, None) => "ended".into(),
    });
    match (state, exit) {
        (RunState::Recording, None) => "recording".into(),
        (RunState::Interrupted, _) => "interrupted".into(),
        (RunState::Incomplete, Some(exit)) => format!("{exit}, incomplete"),
        (RunState::Incomplete, None) => "incomplete".into(),
        (_, Some(exit)) => exit,
        (RunState::Complete, None) => "ended".into(),
    }
}
