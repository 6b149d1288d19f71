//! The floors of ARCHITECTURE.md: a room uses rooms below it and beside it, never above.

use crate::support::env::project;
use std::path::{Path, PathBuf};

/// Rooms from the ground up; those of one floor may use each other.
const FLOORS: [&[&str]; 5] = [
    &["exchange", "dialect", "mcp", "otlp"],
    &["run", "span", "prices", "redact", "holes", "proxy"],
    &["store", "diff", "stats", "import"],
    &["record", "replay", "config", "agent", "bridge", "shell", "report", "suite"],
    &["cli", "demo"],
];

/// Rooms that neither wait nor touch sockets, files or clocks.
const PURE: [&str; 15] = [
    "exchange",
    "import",
    "dialect",
    "mcp",
    "otlp",
    "span",
    "run",
    "redact",
    "holes",
    "diff",
    "stats",
    "prices",
    "replay/matcher",
    "suite/findings",
    "suite/checks",
];

fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).expect("directory").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    found
}

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

/// The code of a file without its tests.
fn code(path: &Path) -> String {
    let text = std::fs::read_to_string(path).expect("source");
    text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_string()
}

fn is_test(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    // `dialect/wire.rs` holds the tests on captured traffic.
    path.components().any(|c| c.as_os_str() == "tests") || name == "tests.rs" || name == "wire.rs"
}

#[test]
fn nothing_runs_back_up() {
    let src = project().join("src");
    for path in sources(&src).into_iter().filter(|p| !is_test(p)) {
        let name = path.strip_prefix(&src).expect("below src").display().to_string();
        let room = name.split(['/', '.']).next().unwrap_or_default();
        let Some(own) = floor(room) else { continue };
        for used in code(&path).split("crate::").skip(1) {
            let used =
                used.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default();
            if let Some(other) = floor(used) {
                assert!(other <= own, "{name} uses crate::{used}, which is above it");
            }
        }
    }
}

#[test]
fn pure_rooms_stay_pure() {
    let src = project().join("src");
    for path in sources(&src).into_iter().filter(|p| !is_test(p)) {
        let name = path.strip_prefix(&src).expect("below src").display().to_string();
        if !PURE.iter().any(|room| name.starts_with(&format!("{room}/")) || name == format!("{room}.rs")) {
            continue;
        }
        let code = code(&path);
        for word in ["tokio::", "std::fs", "std::net", "std::process", "SystemTime::now", "Instant::now"] {
            assert!(!code.contains(word), "{name} is pure and says {word}");
        }
    }
}

#[test]
fn sled_is_behind_one_wall() {
    let src = project().join("src");
    for path in sources(&src) {
        let name = path.strip_prefix(&src).expect("below src").display().to_string();
        let uses = std::fs::read_to_string(&path).expect("source").contains("sled::");
        assert!(!uses || name == "store/index.rs" || name.starts_with("store/tests"), "{name} uses sled");
    }
}

#[test]
fn every_test_file_is_run() {
    let main = std::fs::read_to_string(project().join("tests/it/main.rs")).expect("main");
    for entry in std::fs::read_dir(project().join("tests/it")).expect("tests").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Some(module) = name.strip_suffix(".rs").filter(|m| *m != "main") {
            assert!(main.contains(&format!("mod {module};")), "{name} is not in tests/it/main.rs");
        }
    }
}
