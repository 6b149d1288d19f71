//! A short round of the fuzz targets on a stable compiler: the corpus (`fuzz/corpus/`), and mutations of it, the same every
//! time. `RETAKE_FUZZ_ROUNDS` makes more of them, `RETAKE_FUZZ_SEED` others, `RETAKE_FUZZ_TARGET` runs one target alone.

mod mutator;
#[path = "../../fuzz/targets/mod.rs"]
mod targets;

use mutator::{Dice, mutated};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

/// Mutations of each target's corpus. Short: a build without optimisation runs them beside the other tests.
const ROUNDS: usize = 400;

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("a seed").path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} has no seeds", folder.display());
    paths.iter().map(|path| std::fs::read(path).expect("a seed")).collect()
}

fn number(variable: &str) -> Option<usize> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Runs one input; one that fails is kept in the directory for temporary files, and named.
fn try_one(name: &str, run: fn(&[u8]), data: &[u8]) {
    if catch_unwind(AssertUnwindSafe(|| run(data))).is_err() {
        let path = std::env::temp_dir().join(format!("retake-fuzz-{name}-{:08x}", crc32fast::hash(data)));
        let kept =
            std::fs::write(&path, data).map_or_else(|e| e.to_string(), |()| path.display().to_string());
        panic!("{name} fails on {} bytes: {kept}", data.len());
    }
}

#[test]
fn no_parser_fails_on_any_bytes() {
    let only = std::env::var("RETAKE_FUZZ_TARGET").ok();
    let rounds = number("RETAKE_FUZZ_ROUNDS").unwrap_or(ROUNDS);
    let seed = number("RETAKE_FUZZ_SEED").unwrap_or(1);
    let chosen = targets::ALL.iter().filter(|(name, _)| only.as_deref().is_none_or(|only| only == *name));
    std::thread::scope(|scope| {
        for (name, run) in chosen {
            scope.spawn(move || {
                let corpus = corpus(name);
                corpus.iter().for_each(|data| try_one(name, *run, data));
                let mut dice = Dice(seed as u64);
                for _ in 0..rounds {
                    let from = dice.below(corpus.len());
                    let data = mutated(&mut dice, &corpus[from], &corpus);
                    try_one(name, *run, &data);
                }
            });
        }
    });
}

#[test]
fn every_target_is_one_of_libfuzzer_too() {
    let fuzz = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let manifest = std::fs::read_to_string(fuzz.join("Cargo.toml")).expect("fuzz/Cargo.toml");
    for (name, _) in targets::ALL {
        let source = std::fs::read_to_string(fuzz.join(format!("fuzz_targets/{name}.rs"))).expect(name);
        assert!(source.contains(&format!("targets::{name}::run(data)")), "{name}");
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
    }
    assert_eq!(manifest.matches("[[bin]]").count(), targets::ALL.len());
}
