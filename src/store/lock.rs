//! Who is at work on a run: a lock on the file `lock` in its directory.
//!
//! A recorder holds it alone for as long as it lives, so that a reader can tell `recording` from `interrupted`. A
//! recorder of a fork holds those of the runs whose parts it refers to together with others: they cannot be removed
//! meanwhile. The system lets go of a lock when a process dies.

use super::{StoreError, atomic};
use std::fs::{File, TryLockError};
use std::path::Path;

const FILE: &str = "lock";

/// A lock that is held until this is dropped.
#[derive(Debug)]
pub struct RunLock(#[expect(dead_code, reason = "held, not read")] File);

impl RunLock {
    /// Makes the lock file of a new run, and takes it alone.
    ///
    /// # Errors
    /// When the file cannot be made or locked.
    pub fn create(directory: &Path) -> Result<RunLock, StoreError> {
        let path = directory.join(FILE);
        let file = atomic::create(&path).map_err(StoreError::io(&path))?;
        // Readers hold it for a moment when they look, so this may wait for a moment.
        file.lock().map_err(StoreError::io(&path))?;
        Ok(RunLock(file))
    }

    /// Takes it alone; none when somebody holds it.
    ///
    /// # Errors
    /// When the file is there but cannot be opened or locked.
    pub fn alone(directory: &Path) -> Result<Option<RunLock>, StoreError> {
        RunLock::take(directory, File::try_lock)
    }

    /// Takes it together with others; none when somebody holds it alone.
    ///
    /// # Errors
    /// When the file is there but cannot be opened or locked.
    pub fn together(directory: &Path) -> Result<Option<RunLock>, StoreError> {
        RunLock::take(directory, File::try_lock_shared)
    }

    fn take(
        directory: &Path,
        lock: fn(&File) -> Result<(), TryLockError>,
    ) -> Result<Option<RunLock>, StoreError> {
        let path = directory.join(FILE);
        let file = match File::open(&path) {
            // Lost, or left out by a copy: nobody holds it. Where it can be made, it is.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                atomic::create(&path).map_err(StoreError::io(&path))?
            }
            other => other.map_err(StoreError::io(&path))?,
        };
        match lock(&file) {
            Ok(()) => Ok(Some(RunLock(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(e)) => Err(StoreError::io(&path)(e)),
        }
    }
}

/// True when a recorder is at work on the run. Writes nothing.
pub fn is_recording(directory: &Path) -> bool {
    let Ok(file) = File::open(directory.join(FILE)) else { return false };
    matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
}
