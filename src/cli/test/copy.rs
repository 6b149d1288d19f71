//! A directory of an agent's own, made like the recorded one.

use std::io;
use std::path::Path;

/// What is never copied: what belongs to git and to retake.
const LEFT: [&str; 2] = [".git", ".retake"];

/// Copies a directory with everything in it; links stay links.
pub(super) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let failed = |path: &Path| {
        let path = path.display().to_string();
        move |e: io::Error| io::Error::new(e.kind(), format!("{path}: {e}"))
    };
    std::fs::create_dir_all(to).map_err(failed(to))?;
    for entry in std::fs::read_dir(from).map_err(failed(from))? {
        let entry = entry.map_err(failed(from))?;
        if LEFT.iter().any(|name| entry.file_name() == *name) {
            continue;
        }
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().map_err(failed(&source))?;
        if kind.is_dir() {
            copy(&source, &target)?;
        } else if kind.is_symlink() {
            let aim = std::fs::read_link(&source).map_err(failed(&source))?;
            std::os::unix::fs::symlink(aim, &target).map_err(failed(&source))?;
        } else if kind.is_file() {
            std::fs::copy(&source, &target).map_err(failed(&source))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_has_what_the_agent_needs_and_no_more() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::create_dir_all(from.path().join("src/deep")).unwrap();
        std::fs::create_dir_all(from.path().join(".git")).unwrap();
        std::fs::write(from.path().join("src/deep/a.txt"), "x").unwrap();
        std::os::unix::fs::symlink("src", from.path().join("link")).unwrap();
        copy(from.path(), &to.path().join("own")).unwrap();
        assert_eq!(std::fs::read_to_string(to.path().join("own/link/deep/a.txt")).unwrap(), "x");
        assert!(!to.path().join("own/.git").exists());
        let error = copy(&from.path().join("none"), &to.path().join("other")).unwrap_err();
        assert!(error.to_string().contains("none"), "{error}");
    }
}
