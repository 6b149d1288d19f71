//! How a run ended, in a few words.

use crate::run::{Manifest, RunState};

/// `exit 0`, `killed by signal 9`, `interrupted`, `recording`.
pub fn ended(manifest: &Manifest, state: RunState) -> String {
    let exit = manifest.outcome.as_ref().map(|o| match (o.exit_code, o.signal) {
        (Some(code), _) => format!("exit {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => "ended".into(),
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
