//! Where things are in a store.
//!
//! ```text
//! .retake/               0700; every file 0600
//!   .gitignore           *
//!   format               version of this layout
//!   key                  32 bytes that stand-ins are made with; never exported
//!   index/  index.lock   sled; derived, can be deleted
//!   runs/refund.1/       one run, see run_dir
//! ```

use super::{Store, StoreError, atomic};
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Name of a store's directory.
pub const DIRECTORY: &str = ".retake";
/// Version of the layout. 1: the first.
const FORMAT: u32 = 1;
const FORMAT_FILE: &str = "format";
const FORMAT_WORDS: &str = "retake store ";

impl Store {
    /// Opens the store at `explicit`, else `.retake` in `cwd` or the nearest parent that has one.
    ///
    /// # Errors
    /// [`StoreError::NoStore`] when there is none, [`StoreError::Refused`] for one of a newer retake.
    pub fn find(explicit: Option<&Path>, cwd: &Path) -> Result<Store, StoreError> {
        let found = match explicit {
            Some(path) => [cwd.join(path), cwd.join(path).join(DIRECTORY)].into_iter().find(|p| is_store(p)),
            None => cwd.ancestors().map(|p| p.join(DIRECTORY)).find(|p| is_store(p)),
        };
        let hidden = || match explicit {
            Some(path) => {
                [cwd.join(path), cwd.join(path).join(DIRECTORY)].into_iter().find_map(|p| denied(&p))
            }
            None => cwd.ancestors().find_map(|p| denied(&p.join(DIRECTORY))),
        };
        // One that may not be looked into is not one that is not there.
        if let (None, Some(error)) = (&found, found.is_none().then(hidden).flatten()) {
            return Err(error);
        }
        match (found, explicit) {
            (Some(root), _) => Store::open(root),
            (None, None) => Err(StoreError::NoStore(cwd.to_path_buf())),
            (None, Some(path)) => Err(StoreError::Refused(format!(
                "{} is no retake store: record something with `retake run --store {} -- COMMAND` first, or name another",
                path.display(),
                path.display()
            ))),
        }
    }

    /// The same, but creates it when there is none: at `explicit` (inside it, when that is a directory with
    /// something else in it), else in `cwd`.
    ///
    /// # Errors
    /// When it cannot be made, or is of a newer retake.
    pub fn find_or_create(explicit: Option<&Path>, cwd: &Path) -> Result<Store, StoreError> {
        match Store::find(explicit, cwd) {
            Err(StoreError::NoStore(_)) => create(&cwd.join(DIRECTORY)),
            // Somebody else's, further up, is no reason not to record here.
            Err(StoreError::Io { source, .. })
                if explicit.is_none() && source.kind() == io::ErrorKind::PermissionDenied =>
            {
                create(&cwd.join(DIRECTORY))
            }
            // Another process made it meanwhile.
            Err(StoreError::Refused(_)) if explicit.is_some_and(|p| is_anywhere(&cwd.join(p))) => {
                Store::find(explicit, cwd)
            }
            Err(StoreError::Refused(_)) if explicit.is_some() => {
                let asked = explicit.map_or_else(|| cwd.to_path_buf(), |p| cwd.join(p));
                // Half made by another process, or by one that died: finish it.
                let is_ours = asked.file_name().is_some_and(|n| n == DIRECTORY);
                let has_something_else = asked.is_dir() && !is_ours && !is_store(&asked);
                create(&if has_something_else { asked.join(DIRECTORY) } else { asked })
            }
            other => other,
        }
    }

    fn open(root: PathBuf) -> Result<Store, StoreError> {
        let path = root.join(FORMAT_FILE);
        let text = fs::read_to_string(&path).map_err(StoreError::io(&path))?;
        match text.trim().strip_prefix(FORMAT_WORDS).and_then(|v| v.trim().parse::<u32>().ok()) {
            Some(version) if version <= FORMAT => Ok(Store { root, notes: Default::default() }),
            Some(version) => Err(StoreError::Refused(format!(
                "{}: this store has format {version}, and this retake ({}) reads up to {FORMAT}: update retake, or use another store with --store",
                root.display(),
                env!("CARGO_PKG_VERSION")
            ))),
            None => Err(StoreError::Damaged {
                path,
                what: format!(
                    "it should say `{FORMAT_WORDS}{FORMAT}`; if this is a retake store, write that into it"
                ),
            }),
        }
    }

    /// The directory of the store.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The directory that holds the runs.
    pub(super) fn runs_directory(&self) -> PathBuf {
        self.root.join("runs")
    }

    /// The key of this store's stand-ins (mode 0600; made on first use; never exported).
    ///
    /// # Errors
    /// When it cannot be read or made, or has another length than 32 bytes.
    pub fn key(&self) -> Result<[u8; 32], StoreError> {
        let path = self.root.join("key");
        if let Some(key) = read_key(&path)? {
            return Ok(key);
        }
        let mut key = [0; 32];
        getrandom::fill(&mut key)
            .map_err(|e| StoreError::Io { path: path.clone(), source: io::Error::other(e.to_string()) })?;
        let unfinished = atomic::unfinished(&path);
        let written = atomic::create(&unfinished)
            .and_then(|mut file| file.write_all(&key).and_then(|()| file.sync_data()));
        // A link, not a rename: who comes second must not replace the key of who came first.
        let linked = written.and_then(|()| fs::hard_link(&unfinished, &path));
        let _ = fs::remove_file(&unfinished);
        match linked {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(StoreError::Io { path, source: e }),
            _ => {
                read_key(&path)?.ok_or_else(|| StoreError::Damaged { path, what: "the key has gone".into() })
            }
        }
    }
}

fn read_key(path: &Path) -> Result<Option<[u8; 32]>, StoreError> {
    let mut bytes = Vec::new();
    match fs::File::open(path).and_then(|file| file.take(64).read_to_end(&mut bytes)) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(StoreError::io(path)(e)),
        Ok(_) => {}
    }
    let damaged = || StoreError::Damaged {
        path: path.to_path_buf(),
        what: format!(
            "{} bytes instead of the 32 of a key; remove it to get a new one (secrets get other stand-ins then)",
            bytes.len()
        ),
    };
    bytes.as_slice().try_into().map(Some).map_err(|_| damaged())
}

fn is_store(path: &Path) -> bool {
    path.join(FORMAT_FILE).is_file()
}

/// The error of a directory that there is and that may not be looked into.
fn denied(path: &Path) -> Option<StoreError> {
    let error = fs::metadata(path.join(FORMAT_FILE)).err()?;
    (error.kind() == io::ErrorKind::PermissionDenied).then(|| StoreError::io(path)(error))
}

fn is_anywhere(path: &Path) -> bool {
    is_store(path) || is_store(&path.join(DIRECTORY))
}

fn create(root: &Path) -> Result<Store, StoreError> {
    let failed = |result: io::Result<()>| {
        result.map_err(|source| StoreError::NotCreated { path: root.to_path_buf(), source })
    };
    if root.exists() {
        failed(fill(root))?;
        return Store::open(root.to_path_buf());
    }
    if let Some(above) = root.parent() {
        failed(fs::create_dir_all(above))?;
    }
    // Made beside it and moved, so that nobody ever sees half a store.
    let unfinished = atomic::unfinished(root);
    let made = atomic::make_directory(&unfinished).and_then(|()| fill(&unfinished));
    let moved = made.and_then(|()| fs::rename(&unfinished, root));
    if moved.is_err() {
        let _ = fs::remove_dir_all(&unfinished);
        if !is_store(root) {
            failed(moved)?;
        }
    }
    Store::open(root.to_path_buf())
}

fn fill(root: &Path) -> io::Result<()> {
    atomic::ensure_directory(&root.join("runs"))?;
    let ignore = root.join(".gitignore");
    if !ignore.exists() {
        atomic::replace(&ignore, b"*\n")?;
    }
    // Last: a directory with this file is a store.
    let format = root.join(FORMAT_FILE);
    if !format.exists() {
        atomic::replace(&format, format!("{FORMAT_WORDS}{FORMAT}\n").as_bytes())?;
    }
    Ok(())
}
