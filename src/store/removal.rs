//! Removing a run without taking from others what they use of it.

use super::adopt::{Fate, as_ancestor, in_use, rewrite};
use super::block::PartHash;
use super::coding::Expander;
use super::lock::RunLock;
use super::pack::Ancestor;
use super::pack_reader::PackReader;
use super::run_dir::{ManifestFile, PACK, size};
use super::{PartId, RunReader, Store, StoreError};
use crate::run::RunId;
use std::collections::HashMap;
use std::fs;
use std::path::Path;

/// Begins the name of a directory that is being removed.
pub const REMOVED: &str = ".removed-";

/// What a removal did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removed {
    /// Bytes that the store is smaller by.
    pub bytes: u64,
    /// Runs that referred to parts of it, and have them now.
    pub adopters: Vec<RunId>,
    /// Parts that those runs needed and that could not be read any more, in words.
    pub lost: Vec<String>,
}

impl Store {
    /// Removes a run. Parts that other runs refer to are moved into them first.
    ///
    /// # Errors
    /// [`StoreError::NoRun`]; [`StoreError::Refused`] while it, or a run that refers to it, is being recorded; when
    /// something cannot be written. The run is still there then.
    pub fn remove_run(&self, id: &RunId) -> Result<Removed, StoreError> {
        let directory = self.run_directory(id);
        if !directory.is_dir() {
            return Err(self.no_run(id.as_str()));
        }
        let _alone = RunLock::alone(&directory)?.ok_or_else(|| in_use(id))?;
        let mut removed = Removed::default();
        let before = size(&directory);
        let mut grown = 0;
        let dependents = self.dependents(id, &directory)?;
        // All locks first: nothing is changed when one of the runs cannot be.
        let locks = dependents
            .iter()
            .map(|(id, directory)| RunLock::alone(directory)?.ok_or_else(|| in_use(id)))
            .collect::<Result<Vec<RunLock>, StoreError>>()?;
        let mut moved: HashMap<PartHash, (Ancestor, u32)> = HashMap::new();
        for (dependent, directory) in &dependents {
            grown += self.hand_over(id, directory, &mut moved, &mut removed.lost)?;
            removed.adopters.push(dependent.clone());
        }
        drop(locks);
        let gone = self.runs_directory().join(format!("{REMOVED}{}", uuid::Uuid::now_v7().simple()));
        fs::rename(&directory, &gone).map_err(StoreError::io(&directory))?;
        fs::remove_dir_all(&gone).map_err(StoreError::io(&gone))?;
        removed.bytes = (before as i64 - grown).max(0) as u64;
        Ok(removed)
    }

    /// Moves into the run in `directory` what it uses of `victim`. What another run has adopted before (`moved`) is
    /// referred to there instead.
    fn hand_over(
        &self,
        victim: &RunId,
        directory: &Path,
        moved: &mut HashMap<PartHash, (Ancestor, u32)>,
        lost: &mut Vec<String>,
    ) -> Result<i64, StoreError> {
        let reader = RunReader::open(directory.to_path_buf())?;
        let heir = as_ancestor(&reader);
        let victim_directory = self.run_directory(victim);
        let uuid = ManifestFile::read(&victim_directory).map(|m| m.run.uuid).unwrap_or_default();
        rewrite(directory, reader.files(), |referred| {
            let of_victim =
                referred.owner.uuid == uuid || (uuid.is_empty() && referred.owner.run == victim.as_str());
            if !of_victim {
                return Fate::Stay;
            }
            if let Some((owner, ordinal)) = moved.get(&referred.hash) {
                return Fate::Moved(owner.clone(), *ordinal);
            }
            match reader.part(PartId(referred.part)) {
                Ok(bytes) => {
                    moved.insert(referred.hash, (heir.clone(), referred.part));
                    Fate::Adopted(bytes)
                }
                Err(error) => {
                    lost.push(format!("{}: {error}", heir.run));
                    Fate::Stay
                }
            }
        })
    }

    /// The runs that refer to parts of this one, oldest first.
    fn dependents(
        &self,
        id: &RunId,
        directory: &Path,
    ) -> Result<Vec<(RunId, std::path::PathBuf)>, StoreError> {
        let uuid = ManifestFile::read(directory).map(|m| m.run.uuid).unwrap_or_default();
        let names_it = |a: &Ancestor| a.uuid == uuid || (uuid.is_empty() && a.run == id.as_str());
        let mut found = Vec::new();
        for other in self.run_ids()?.into_iter().filter(|other| other != id) {
            let directory = self.run_directory(&other);
            match ManifestFile::read(&directory) {
                Ok(file) if file.uses.iter().any(names_it) => {
                    found.push((file.run.started_us, other, directory))
                }
                Ok(_) => {}
                // A manifest that cannot be read must not cost the run its parts as well.
                Err(_) => {
                    let pack = PackReader::open(&directory.join(PACK), &mut Expander::default());
                    if pack.is_ok_and(|p| p.ancestors().iter().any(|a| names_it(&a.1))) {
                        return Err(StoreError::Refused(format!(
                            "{other} uses parts of {id}, and its manifest cannot be read, so they cannot be moved there: remove {other} first"
                        )));
                    }
                }
            }
        }
        found.sort();
        Ok(found.into_iter().map(|(_, id, directory)| (id, directory)).collect())
    }
}
