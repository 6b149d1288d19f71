//! Finding and making stores and runs; who may read them.

use super::*;
use crate::run::RunState;
use crate::store::StoreError;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn everything_is_private() {
    let room = room();
    sealed_run(&room.store, "refund", 2);
    room.store.key().unwrap();
    room.store.runs().unwrap();
    assert_eq!(mode(room.store.root()), 0o700);
    assert_eq!(fs::read_to_string(room.store.root().join(".gitignore")).unwrap(), "*\n");
    let mut open = vec![room.store.root().to_path_buf()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let inside_index = path.components().any(|c| c.as_os_str() == "index");
            if path.is_dir() {
                open.push(path.clone());
            }
            // What sled makes is shut off by the mode of its directory.
            if !inside_index || path.ends_with("index") {
                assert_eq!(mode(&path) & 0o077, 0, "{}", path.display());
            }
        }
    }
}

#[test]
fn a_store_is_found_from_below() {
    let room = room();
    let below = room.place.path().join("a/b");
    fs::create_dir_all(&below).unwrap();
    assert_eq!(Store::find(None, &below).unwrap().root(), room.place.path().join(".retake"));
    assert_eq!(Store::find_or_create(None, &below).unwrap().root(), room.place.path().join(".retake"));
}

#[test]
fn an_explicit_place_is_made_or_used() {
    let place = tempfile::tempdir().unwrap();
    let at =
        |name: &str| Store::find_or_create(Some(Path::new(name)), place.path()).unwrap().root().to_path_buf();
    // New: the store is there. A directory of something else: the store is inside it. A store: itself.
    assert_eq!(at("new/store"), place.path().join("new/store"));
    fs::create_dir(place.path().join("project")).unwrap();
    assert_eq!(at("project"), place.path().join("project/.retake"));
    assert_eq!(at("project"), place.path().join("project/.retake"));
    assert_eq!(at("project/.retake"), place.path().join("project/.retake"));
    assert_eq!(at("new/store"), place.path().join("new/store"));
    let missing = Store::find(Some(Path::new("nowhere")), place.path()).unwrap_err();
    assert!(missing.to_string().contains("nowhere is no retake store"), "{missing}");
}

#[test]
fn no_store_is_said_so() {
    let place = tempfile::tempdir().unwrap();
    assert!(matches!(Store::find(None, place.path()), Err(StoreError::NoStore(_))));
}

#[test]
fn a_newer_store_or_run_is_refused() {
    let room = room();
    let (id, _) = sealed_run(&room.store, "refund", 1);
    let manifest = room.store.run_directory(&id).join("manifest.json");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replacen("\"format\": 1", "\"format\": 2", 1)).unwrap();
    let error = room.store.open_run(&id).unwrap_err().to_string();
    assert!(error.contains("format 2") && error.contains("update retake"), "{error}");
    assert!(room.store.runs().unwrap()[0].problem.as_deref().unwrap().contains("format 2"));

    fs::write(room.store.root().join("format"), "retake store 7\n").unwrap();
    for found in [Store::find(None, room.place.path()), Store::find_or_create(None, room.place.path())] {
        let error = found.unwrap_err().to_string();
        assert!(error.contains("format 7") && error.contains("update retake"), "{error}");
    }
}

#[test]
fn threads_make_one_store_with_one_key() {
    let place = tempfile::tempdir().unwrap();
    let keys: Vec<[u8; 32]> = std::thread::scope(|scope| {
        let make = || {
            let store = Store::find_or_create(Some(Path::new("shared")), place.path()).unwrap();
            assert_eq!(store.root(), place.path().join("shared"));
            store.key().unwrap()
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(make)).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert!(keys.iter().all(|key| *key == keys[0] && *key != [0; 32]));
    let left: Vec<_> = fs::read_dir(place.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["shared"]);
}

#[test]
fn a_damaged_key_is_named() {
    let room = room();
    fs::write(room.store.root().join("key"), b"short").unwrap();
    assert!(room.store.key().unwrap_err().to_string().contains("/key: 5 bytes instead of the 32"));
}

#[test]
fn eight_recorders_get_eight_runs() {
    let room = room();
    let mut ids: Vec<String> = std::thread::scope(|scope| {
        let make = || {
            (0..4)
                .map(|_| {
                    let mut writer = room.store.create_run("refund", manifest).unwrap();
                    record(&mut writer, &exchange(1, b"asked", Some(b"said")), &[]);
                    room.store.runs().unwrap();
                    writer.seal(None, |_| {}).unwrap().id.to_string()
                })
                .collect::<Vec<_>>()
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(make)).collect();
        threads.into_iter().flat_map(|t| t.join().unwrap()).collect()
    });
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 32);
    let listed = room.store.runs().unwrap();
    assert_eq!(listed.len(), 32);
    assert!(listed.iter().all(|r| r.state == RunState::Complete && r.problem.is_none() && r.exchanges == 1));
    assert_eq!(room.store.create_run("refund", manifest).unwrap().manifest().id.as_str(), "refund.33");
}

#[test]
fn a_bad_name_is_refused() {
    let room = room();
    for name in ["", "../x", "a b", "a/b"] {
        assert!(matches!(room.store.create_run(name, manifest), Err(StoreError::Refused(_))), "{name}");
    }
    assert!(room.store.runs().unwrap().is_empty());
}

#[test]
fn runs_are_found_by_what_a_person_types() {
    let room = room();
    let (first, _) = sealed_run(&room.store, "refund", 1);
    let (second, _) = sealed_run(&room.store, "refund", 1);
    let (third, _) = sealed_run(&room.store, "other", 1);
    let find = |text: &str| room.store.resolve(text).map(|id| id.to_string());
    assert_eq!(find("refund.1").unwrap(), first.to_string());
    assert_eq!(find("refund").unwrap(), second.to_string());
    assert_eq!(find("last").unwrap(), third.to_string());
    let uuid = room.store.open_run(&first).unwrap().manifest().uuid.clone();
    assert_eq!(find(&uuid).unwrap(), first.to_string());
    assert_eq!(find(&uuid.replace('-', "").to_uppercase()).unwrap(), first.to_string());
    assert_eq!(find(&uuid[..uuid.len() - 1]).unwrap(), first.to_string());
    // Uuids begin with the time.
    let ambiguous = find(&uuid[..6]).unwrap_err().to_string();
    assert!(ambiguous.contains("several runs") && ambiguous.contains("other.1"), "{ambiguous}");
    for text in ["refund.9", "nothing", "", "..", "0"] {
        assert!(matches!(room.store.resolve(text), Err(StoreError::NoRun { .. })), "{text}");
    }
}

#[test]
fn a_renamed_directory_is_a_renamed_run() {
    let room = room();
    let (id, all) = sealed_run(&room.store, "refund", 2);
    fs::rename(room.store.run_directory(&id), room.store.root().join("runs/kept.7")).unwrap();
    let found = room.store.resolve("last").unwrap();
    assert_eq!(found.as_str(), "kept.7");
    assert_reads(&room.store.open_run(&found).unwrap(), &all);
    assert_eq!(room.store.runs().unwrap()[0].manifest.id, found);
}

#[test]
fn a_store_that_cannot_be_written_can_be_read() {
    let room = room();
    let (sealed, all) = sealed_run(&room.store, "refund", 3);
    let mut writer = room.store.create_run("cut", manifest).unwrap();
    record(&mut writer, &all[0], &[]);
    let cut = writer.manifest().id.clone();
    drop(writer);
    let set = |bits: u32| {
        for directory in ["", "runs", "runs/refund.1", "runs/cut.1"] {
            let path = room.store.root().join(directory);
            fs::set_permissions(path, fs::Permissions::from_mode(bits)).unwrap();
        }
    };
    set(0o500);
    let store = Store::find(None, room.place.path()).unwrap();
    assert_eq!(store.runs().unwrap().len(), 2);
    assert_reads(&store.open_run(&sealed).unwrap(), &all);
    let reader = store.open_run(&cut).unwrap();
    assert_eq!((reader.state(), reader.ids().len()), (RunState::Interrupted, 1));
    set(0o700);
}

#[test]
fn a_directory_without_a_manifest_is_told_or_passed_over() {
    let room = room();
    let half = room.store.root().join("runs/half.1");
    fs::create_dir(&half).unwrap();
    // Just made: somebody may be filling it.
    assert!(room.store.runs().unwrap().is_empty());
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(60);
    fs::File::open(&half).unwrap().set_modified(long_ago).unwrap();
    let listed = room.store.runs().unwrap();
    assert_eq!(listed[0].manifest.id.as_str(), "half.1");
    assert!(listed[0].problem.as_deref().unwrap().contains("manifest.json"));
    fs::write(half.join("manifest.json"), b"{\"format\": 1, \"st").unwrap();
    assert!(room.store.runs().unwrap()[0].problem.as_deref().unwrap().contains("cannot be read"));
}
