//! The directory with the links, first in the agent's PATH; and the way past it to the real shells.

use super::{BEFORE, INSIDE, NAMES};
use crate::agent::environment::AgentEnvironment;
use std::env::{join_paths, split_paths};
use std::ffi::{OsStr, OsString};
use std::fs::Permissions;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// Beginning of the directory's name, by which each of them is passed over.
const PREFIX: &str = "retake-shell-";

/// A directory that is removed when this is dropped.
pub struct Directory(tempfile::TempDir);

impl Directory {
    /// Links those shells that are there to this program, in a directory that nobody else enters.
    ///
    /// # Errors
    /// When there is no place for temporary files, or this program does not know where it is.
    pub fn new() -> io::Result<Directory> {
        let directory =
            tempfile::Builder::new().prefix(PREFIX).permissions(Permissions::from_mode(0o700)).tempdir()?;
        let own = std::env::current_exe()?;
        let path = std::env::var_os("PATH").unwrap_or_default();
        for name in NAMES.iter().filter(|name| real(name, &path).is_some()) {
            symlink(&own, directory.path().join(name))?;
        }
        Ok(Directory(directory))
    }

    /// Puts it before everything else in the variables of an agent; `caller` is what they are without it.
    pub fn tell(&self, caller: &[(String, String)], told: &mut AgentEnvironment) {
        let (set, unset) = (&mut told.set, &mut told.unset);
        let known = |name: &str| {
            let own = set.get(name).cloned();
            own.or_else(|| caller.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone()))
        };
        let (path, shell) = (known("PATH").unwrap_or_default(), known("SHELL"));
        let place = self.0.path().display();
        set.insert(
            "PATH".into(),
            if path.is_empty() { place.to_string() } else { format!("{place}:{path}") },
        );
        unset.push(INSIDE.into());
        unset.push(BEFORE.into());
        let Some(shell) = shell else { return };
        let linked = Path::new(&shell).file_name().map(|name| self.0.path().join(name));
        if let Some(linked) = linked.filter(|link| link.is_symlink()) {
            unset.retain(|name| name != BEFORE);
            set.insert(BEFORE.into(), shell);
            set.insert("SHELL".into(), linked.display().to_string());
        }
    }
}

fn is_ours(directory: &Path) -> bool {
    directory.file_name().is_some_and(|name| name.as_bytes().starts_with(PREFIX.as_bytes()))
}

/// True for one of the links.
pub(super) fn is_link(shell: &Path) -> bool {
    shell.parent().is_some_and(is_ours)
}

/// The real shell of this name: the first program in PATH that is not this one.
pub(super) fn real(name: &str, path: &OsStr) -> Option<PathBuf> {
    let own = std::env::current_exe().and_then(|exe| exe.canonicalize()).ok();
    // Where PATH leads nowhere, as a shell itself would have it.
    let fallback = ["/usr/local/bin", "/usr/bin", "/bin"].map(PathBuf::from);
    split_paths(path).chain(fallback).filter(|directory| !is_ours(directory)).find_map(|directory| {
        let found = directory.join(name);
        let resolved = found.canonicalize().ok().filter(|resolved| Some(resolved) != own.as_ref())?;
        let data = resolved.metadata().ok()?;
        (data.is_file() && data.permissions().mode() & 0o111 != 0).then_some(found)
    })
}

/// PATH without the links.
pub(super) fn without_links(path: &OsStr) -> OsString {
    let kept: Vec<PathBuf> = split_paths(path).filter(|directory| !is_ours(directory)).collect();
    // What was split can be joined.
    join_paths(kept).unwrap_or_else(|_| path.to_os_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_links_come_first_and_are_passed_over() {
        let directory = Directory::new().unwrap();
        let place = directory.0.path().to_path_buf();
        assert_eq!(place.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        let caller =
            [("PATH", "/usr/bin:/bin"), ("SHELL", "/bin/sh")].map(|(k, v)| (k.to_string(), v.to_string()));
        let mut told = AgentEnvironment::default();
        directory.tell(&caller, &mut told);
        let (set, unset) = (told.set, told.unset);
        assert_eq!(set["PATH"], format!("{}:/usr/bin:/bin", place.display()));
        assert_eq!(
            (set["SHELL"].clone(), set["RETAKE_SHELL"].clone()),
            (place.join("sh").display().to_string(), "/bin/sh".into())
        );
        assert_eq!(unset, ["RETAKE_SHELL_COMMAND"]);
        let path = OsString::from(set["PATH"].clone());
        assert!(["/usr/bin/sh", "/bin/sh"].map(PathBuf::from).contains(&real("sh", &path).unwrap()));
        assert_eq!(without_links(&path), "/usr/bin:/bin");
        assert_eq!(real("no-such-shell", &path), None);
        drop(directory);
        assert!(!place.exists());
    }

    #[test]
    fn another_shell_stays_as_it_is() {
        let directory = Directory::new().unwrap();
        let mut told = AgentEnvironment::default();
        directory.tell(&[("SHELL".into(), "/usr/bin/fish".into())], &mut told);
        let (set, unset) = (told.set, told.unset);
        assert!(!set.contains_key("SHELL") && !set.contains_key("RETAKE_SHELL"));
        assert_eq!(unset, ["RETAKE_SHELL_COMMAND", "RETAKE_SHELL"]);
    }
}
