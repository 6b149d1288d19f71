//! Files and directories of a store: private, and never half written.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Ends the name of a file that is being written.
pub const UNFINISHED: &str = ".unfinished";

/// Makes a directory that only its owner can enter; an error when it is there.
///
/// # Errors
/// When it cannot be made.
pub fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}

/// Makes a directory that only its owner can enter, unless it is there.
///
/// # Errors
/// When it cannot be made.
pub fn ensure_directory(path: &Path) -> io::Result<()> {
    match make_directory(path) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        other => other,
    }
}

/// Makes a file that only its owner can read; an error when it is there.
///
/// # Errors
/// When it cannot be made.
pub fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).read(true).create_new(true).mode(0o600).open(path)
}

/// Puts `bytes` in the place of the file at `path`, whole or not at all.
///
/// # Errors
/// When they cannot be written; the file is as it was then.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace_with(path, |file| file.write_all(bytes))
}

/// The same, and waits until a power failure would not take them.
///
/// # Errors
/// When they cannot be written; the file is as it was then.
pub fn replace_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace_with(path, |file| file.write_all(bytes).and_then(|()| file.sync_data()))
}

fn replace_with(path: &Path, fill: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let unfinished = unfinished(path);
    let written =
        create(&unfinished).and_then(|mut file| fill(&mut file)).and_then(|()| fs::rename(&unfinished, path));
    if written.is_err() {
        let _ = fs::remove_file(&unfinished);
    }
    written
}

/// A name beside `path` that nobody else uses.
pub fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}{UNFINISHED}", uuid::Uuid::now_v7().simple()));
    path.with_file_name(name)
}

/// True for the names that [`unfinished`] makes.
pub fn is_unfinished(path: &Path) -> bool {
    path.file_name().is_some_and(|n| n.to_string_lossy().ends_with(UNFINISHED))
}
