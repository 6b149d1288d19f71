//! Whatever happens to the index or the files of a store: what is whole is there, and the rest says what is wrong.

use crate::durable::{place, random, record};
use crate::support::env::TestEnv;
use std::path::{Path, PathBuf};

fn files_under(path: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(files_under(&path)) } else { files.push(path) }
    }
    files
}

#[test]
fn a_damaged_index_is_made_again() {
    let (env, _upstream) = place();
    record(&env, "a");
    record(&env, "b");
    let index = env.store().join("index");
    let damages: [(&str, &dyn Fn()); 5] = [
        ("flipped", &|| {
            for file in files_under(&index) {
                let mut bytes = std::fs::read(&file).unwrap();
                bytes.iter_mut().step_by(13).for_each(|byte| *byte ^= 0x55);
                std::fs::write(&file, bytes).unwrap();
            }
        }),
        ("cut", &|| {
            for file in files_under(&index) {
                let bytes = std::fs::read(&file).unwrap();
                std::fs::write(&file, &bytes[..bytes.len() / 3]).unwrap();
            }
        }),
        ("zeroed", &|| {
            for file in files_under(&index) {
                let bytes = std::fs::read(&file).unwrap();
                std::fs::write(&file, vec![0; bytes.len()]).unwrap();
            }
        }),
        ("gone", &|| std::fs::remove_dir_all(&index).unwrap()),
        ("a file", &|| {
            std::fs::remove_dir_all(&index).unwrap();
            std::fs::write(&index, "no directory").unwrap();
        }),
    ];
    for (how, damage) in damages {
        for rebuild_first in [false, true] {
            env.retake(["ls"]).expect(0);
            if index.is_file() {
                std::fs::remove_file(&index).unwrap();
                env.retake(["ls"]).expect(0);
            }
            assert!(index.is_dir(), "{how}");
            damage();
            if rebuild_first {
                let rebuilt = env.retake(["index", "rebuild", "--json"]).expect(0);
                assert_eq!(rebuilt.json()["runs"], 2, "{how}");
            }
            let listed = env.retake(["ls", "--json"]).expect(0);
            assert_eq!(listed.json().as_array().map(Vec::len), Some(2), "{how}");
            assert!(!listed.err.contains("panicked"), "{how}: {}", listed.err);
            env.retake(["show", "a.1"]).expect(0);
        }
    }
}

/// Shows and replays a damaged run: no panic, the file named at least once.
#[track_caller]
fn names(env: &TestEnv, file: &str, how: &str) {
    let mut said = String::new();
    for args in [
        &["show", "a.1"][..],
        &["show", "a.1", "1", "--full"],
        &["show", "a.1", "2", "--context", "--json"],
        &["show", "a.1", "3"],
        &["replay", "a.1"],
        &["export", "a.1", "-"],
    ] {
        let ran = env.retake(args);
        assert!(ran.code != 101 && ran.code < 128, "{how}: {args:?}: {ran:?}");
        assert!(!ran.err.contains("panicked"), "{how}: {args:?}: {ran:?}");
        said.push_str(&format!("$ {args:?} = {}\n{}", ran.code, ran.err));
    }
    assert!(said.contains(file), "{how}: nobody names {file}:\n{said}");
}

#[test]
fn a_damaged_run_is_named_and_harms_no_other() {
    let (env, _upstream) = place();
    record(&env, "a");
    record(&env, "b");
    let whole = env.retake(["show", "b.1", "--json"]).expect(0).out;
    for name in ["exchanges.seg", "parts.pack"] {
        let path = env.store().join("runs/a.1").join(name);
        let bytes = std::fs::read(&path).unwrap();
        for tenth in 0..4 {
            let length = bytes.len() * tenth / 4;
            std::fs::write(&path, &bytes[..length]).unwrap();
            names(&env, name, &format!("{name} cut to {length} of {}", bytes.len()));
        }
        for eighth in 0..8 {
            let at =
                (bytes.len() * eighth / 8 + random(bytes.len() as u64 / 8) as usize).min(bytes.len() - 1);
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at % 8);
            std::fs::write(&path, &flipped).unwrap();
            names(&env, name, &format!("{name} flipped at {at} of {}", bytes.len()));
        }
        assert_eq!(env.retake(["show", "b.1", "--json"]).expect(0).out, whole);
        assert!(env.retake(["ls"]).expect(0).out.contains("b.1"));
        record(&env, "c");
        std::fs::write(&path, &bytes).unwrap();
    }
    let manifest = env.store().join("runs/a.1/manifest.json");
    let bytes = std::fs::read(&manifest).unwrap();
    std::fs::write(&manifest, &bytes[..bytes.len() / 2]).unwrap();
    let shown = env.retake(["show", "a.1"]).expect(3);
    assert!(shown.err.contains("manifest.json"), "{}", shown.err);
    assert!(env.retake(["ls"]).expect(0).out.contains("b.1"));
    env.retake(["show", "b.1"]).expect(0);
}

#[test]
fn a_cut_or_edited_export_is_refused() {
    let (env, _upstream) = place();
    record(&env, "a");
    env.retake(["export", "a.1", "a.retake"]).expect(0);
    let whole = std::fs::read(env.work().join("a.retake")).unwrap();
    let mut lines = whole.split_inclusive(|b| *b == b'\n').map(<[u8]>::len);
    let before_last: usize = whole.len() - lines.next_back().unwrap();
    for length in [0, 1, whole.len() / 3, whole.len() / 2, before_last, whole.len() - 2] {
        std::fs::write(env.work().join("cut"), &whole[..length]).unwrap();
        let refused = env.retake(["import", "cut"]).expect(3);
        assert!(refused.err.starts_with("retake: cut: "), "{length}: {}", refused.err);
        assert!(!refused.err.contains("panicked"));
    }
    let text = String::from_utf8(whole).unwrap();
    let edited = text.replacen("turn 1 of", "turn 7 of", 1);
    assert_ne!(text, edited);
    env.file("edited", &edited);
    let refused = env.retake(["import", "edited"]).expect(3);
    assert!(refused.err.contains("edited") && refused.err.contains("--allow-edited"), "{}", refused.err);
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let mut missing = lines.clone();
    missing.remove(lines.len() / 2);
    env.file("missing", &missing.concat());
    env.retake(["import", "missing"]).expect(3);
    env.file("garbage", "\u{0}\u{1}{]}\n\n\"");
    env.retake(["import", "garbage"]).expect(3);
    assert_eq!(env.retake(["ls", "--json"]).expect(0).json().as_array().map(Vec::len), Some(1));
    env.retake(["import", "edited", "--allow-edited"]).expect(0);
    env.retake(["import", "a.retake", "--name", "back"]).expect(0);
    env.retake(["export", "back.1", "again"]).expect(0);
}
