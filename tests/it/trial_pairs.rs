//! Where trials of one task part: retake's diff says what a script without it says. Another file can be named in
//! `RETAKE_TRIALS`.

use crate::support::env::project;
use std::path::PathBuf;
use std::process::Command;

#[path = "../../examples/trial_pairs.rs"]
#[expect(dead_code, reason = "its `main` is for people")]
mod example;

#[test]
fn diff_and_a_script_without_it_agree_on_every_pair() {
    let sample = project().join("fixtures/import/tau-bench-airline/trials.jsonl");
    let path = std::env::var_os("RETAKE_TRIALS").map_or(sample, PathBuf::from);
    let script = Command::new("python3")
        .arg(project().join("scripts/trial_pairs.py"))
        .arg(&path)
        .arg("--pairs")
        .output()
        .expect("python3 is needed");
    assert!(script.status.success(), "{}", String::from_utf8_lossy(&script.stderr));
    let script = String::from_utf8(script.stdout).expect("text");
    let diff = example::figures(&std::fs::read(&path).expect("trials"), true).expect("figures");
    println!("{diff}");
    assert_eq!(diff, script);
    assert!(diff.contains("part at call ") && diff.contains(": the same\n"), "{diff}");
}
