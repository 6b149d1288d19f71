//! Virtual environments of Python, made on first use.

use super::env::project;
use std::path::PathBuf;
use std::process::Command;

/// The Python of an environment in `target/` that has these packages.
pub fn python(folder: &str, pinned: &[&str]) -> PathBuf {
    let home = project().join("target").join(folder);
    let python = home.join("bin/python");
    let ready = home.join("ready");
    if std::fs::read_to_string(&ready).is_ok_and(|text| text == pinned.join(" ")) {
        return python;
    }
    let run = |command: &mut Command| {
        let output = command.output().expect("python3 is needed for these tests");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{command:?}: {text}");
    };
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&home));
    run(Command::new(&python).args(["-m", "pip", "install", "-q"]).args(pinned));
    std::fs::write(&ready, pinned.join(" ")).expect("write");
    python
}
