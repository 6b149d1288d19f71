//! Where and when a run runs, as far as its values tell of it.

use super::portable;
use super::session::{now_us, own_environment};
use crate::holes::{Side, Surroundings};
use crate::run::Manifest;
use std::path::Path;

/// How long a run may go on, for what its clock may show.
const LONGEST_US: u64 = 24 * 3600 * 1_000_000;

/// This machine, now.
pub(super) fn here(directory: &Path) -> Side {
    let vars = own_environment();
    let of = |name: &str| vars.iter().find(|(k, v)| k == name && !v.is_empty()).map(|(_, v)| v.clone());
    let now = jiff::Timestamp::now();
    Side {
        directory: directory.display().to_string(),
        home: of("HOME").unwrap_or_default(),
        temp: of("TMPDIR").unwrap_or_else(|| std::env::temp_dir().display().to_string()),
        started_us: now_us(),
        ended_us: now_us().saturating_add(LONGEST_US),
        zone_s: jiff::tz::TimeZone::system().to_offset(now).seconds(),
    }
}

/// A recording and this machine; the agent runs in `directory`.
pub(super) fn of(manifest: &Manifest, directory: &Path) -> Surroundings {
    Surroundings { recorded: then(manifest), live: here(directory) }
}

/// Two recordings, the second in the place of a replay of the first.
pub(super) fn between(first: &Manifest, second: &Manifest) -> Surroundings {
    Surroundings { recorded: then(first), live: then(second) }
}

/// Where and when a recording was made.
fn then(manifest: &Manifest) -> Side {
    let ended = manifest.outcome.as_ref().map(|o| o.ended_us);
    // A file says of directories where they lie in a home, whosever that is.
    let homeless = portable::machine().homeless(&manifest.directory);
    let directory =
        match homeless.strip_prefix('~').filter(|_| manifest.imported && !manifest.home.is_empty()) {
            Some(rest) => format!("{}{rest}", manifest.home.trim_end_matches('/')),
            None => manifest.directory.clone(),
        };
    Side {
        directory,
        home: manifest.home.clone(),
        temp: manifest.temp.clone(),
        started_us: manifest.started_us,
        ended_us: ended.unwrap_or(manifest.started_us.saturating_add(LONGEST_US)),
        zone_s: manifest.zone_s,
    }
}
