//! Which tool results of a run vary by themselves, as its last unedited replay has shown. Derived: a run without the
//! file is whole, and so is one whose file nobody can read.

use super::run_dir::NOISE;
use super::{RunReader, Store, StoreError, atomic};
use crate::run::{CallSite, Outline, RunId};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::fs;
use std::io;

/// Version of the file. 1: the first.
const VERSION: u32 = 1;

/// The calls whose results came out differently in a replay that had every answer from the recording and reached its
/// end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noise {
    /// When that was, in microseconds since the Unix epoch.
    pub made_us: u64,
    pub varying: HashSet<CallSite>,
}

#[derive(Serialize, Deserialize)]
struct NoiseFile {
    version: u32,
    made_us: u64,
    /// How many steps the run had: places are those of its outline, which is derived.
    steps: usize,
    varying: Vec<Varying>,
}

#[derive(Serialize, Deserialize)]
struct Varying {
    lane: u32,
    turn: u32,
    call: u32,
    tool: String,
}

impl Store {
    /// Keeps it with a run, in the place of what was kept before.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep_noise(&self, id: &RunId, outline: &Outline, noise: &Noise) -> Result<(), StoreError> {
        let path = self.run_directory(id).join(NOISE);
        let mut sites: Vec<CallSite> = noise.varying.iter().copied().collect();
        sites.sort_unstable();
        let varying = sites.into_iter().filter_map(|site| {
            let tool = outline.call(site)?.name.clone();
            Some(Varying { lane: site.lane, turn: site.turn, call: site.call, tool })
        });
        let file = NoiseFile {
            version: VERSION,
            made_us: noise.made_us,
            steps: outline.steps.len(),
            varying: varying.collect(),
        };
        let json = serde_json::to_vec(&file).map_err(|e| StoreError::io(&path)(io::Error::other(e)))?;
        atomic::replace(&path, &json).map_err(StoreError::io(&path))
    }
}

impl RunReader {
    /// What is kept of the last unedited replay; none when there is nothing that fits this outline.
    pub fn noise(&self, outline: &Outline) -> Option<Noise> {
        let bytes = fs::read(self.directory().join(NOISE)).ok()?;
        let file: NoiseFile = serde_json::from_slice(&bytes).ok()?;
        if file.version != VERSION || file.steps != outline.steps.len() {
            return None;
        }
        let mut varying = HashSet::new();
        for Varying { lane, turn, call, tool } in file.varying {
            let site = CallSite { lane, turn, call };
            if outline.call(site).is_none_or(|known| known.name != tool) {
                return None;
            }
            varying.insert(site);
        }
        Some(Noise { made_us: file.made_us, varying })
    }
}
