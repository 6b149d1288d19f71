//! The index can be lost at any time.

use super::*;
use crate::store::{RunSummary, StoreError};
use std::fs;

fn listed(store: &Store) -> Vec<RunSummary> {
    store.runs().unwrap()
}

fn filled() -> (Room, Vec<RunSummary>) {
    let room = room();
    for _ in 0..6 {
        sealed_run(&room.store, "refund", 2);
    }
    // Without the index, to compare with.
    let truth = listed(&room.store);
    (room, truth)
}

#[test]
fn the_index_says_what_the_files_say() {
    let (room, truth) = filled();
    assert!(room.store.root().join("index").is_dir());
    assert_eq!(listed(&room.store), truth);
    let held = fs::File::open(room.store.root().join("index.lock")).unwrap();
    held.lock().unwrap();
    assert_eq!(listed(&room.store), truth);
    assert!(matches!(room.store.rebuild_index(), Err(StoreError::Refused(_))));
    drop(held);
    assert!(room.store.take_notes().is_empty());
    assert_eq!(room.store.runs_labelled("suite", "refunds").unwrap().len(), 6);
    assert!(room.store.runs_labelled("suite", "refund").unwrap().is_empty());
    let rebuilt = room.store.rebuild_index().unwrap();
    assert_eq!((rebuilt.runs, rebuilt.rows), (6, 6));
    assert_eq!(listed(&room.store), truth);
}

#[test]
fn a_lost_index_is_made_again() {
    let (room, truth) = filled();
    fs::remove_dir_all(room.store.root().join("index")).unwrap();
    assert_eq!(listed(&room.store), truth);
    assert!(room.store.root().join("index").is_dir());
}

#[test]
fn runs_that_come_change_and_go_are_seen() {
    let (room, truth) = filled();
    let gone = truth[0].manifest.id.clone();
    room.store.remove_run(&gone).unwrap();
    let (added, _) = sealed_run(&room.store, "later", 3);
    let path = room.store.run_directory(&truth[1].manifest.id).join("manifest.json");
    let text = fs::read_to_string(&path).unwrap().replace("\"suite\": \"refunds\"", "\"suite\": \"changed\"");
    fs::write(&path, text).unwrap();
    let now = listed(&room.store);
    assert_eq!(now.len(), 6);
    assert_eq!(now[5].manifest.id, added);
    assert_eq!(now[0].manifest.labels["suite"], "changed");
    assert_eq!(room.store.runs_labelled("suite", "changed").unwrap().len(), 1);
    assert_eq!(room.store.runs_labelled("suite", "refunds").unwrap().len(), 5);
}

#[test]
fn flipped_bytes_are_noticed_or_do_not_matter() {
    let (room, truth) = filled();
    let database = room.store.root().join("index/db");
    let (mut dice, mut moved) = (Dice(11), 0);
    for round in 0..25 {
        let mut bytes = fs::read(&database).unwrap();
        let used = bytes.iter().rposition(|&b| b != 0).unwrap() as u64;
        for _ in 0..1 + round % 3 {
            bytes[dice.below(used) as usize] ^= 1 << dice.below(8);
        }
        fs::write(&database, bytes).unwrap();
        assert_eq!(listed(&room.store), truth, "round {round}");
        assert_eq!(room.store.runs_labelled("suite", "refunds").unwrap().len(), 6, "round {round}");
        moved += room.store.take_notes().len();
    }
    assert!(moved > 0, "none of 25 damaged indexes was noticed");
    let aside = fs::read_dir(room.store.root()).unwrap();
    let aside = aside.filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().starts_with("index.bad-"));
    assert_eq!(aside.count(), moved);
}

#[test]
fn rubbish_in_place_of_the_index_is_moved_aside() {
    let (room, truth) = filled();
    let index = room.store.root().join("index");
    fs::remove_dir_all(&index).unwrap();
    fs::write(&index, b"not a directory").unwrap();
    assert_eq!(listed(&room.store), truth);
    let notes = room.store.take_notes();
    assert!(notes.len() == 1 && notes[0].contains("index.bad-"), "{notes:?}");
    for entry in fs::read_dir(&index).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::write(path, vec![0xAB; 5000]).unwrap();
        }
    }
    assert_eq!(listed(&room.store), truth);
}

#[test]
fn a_long_manifest_is_listed_all_the_same() {
    let room = room();
    let mut dice = Dice(4);
    let stdin: String = (0..20_000).map(|_| char::from(b'!' + dice.below(90) as u8)).collect();
    let writer = room.store.create_run("long", |id| Manifest { stdin: Some(stdin), ..manifest(id) }).unwrap();
    writer.seal(None, |_| {}).unwrap();
    let first = listed(&room.store);
    assert_eq!(first[0].manifest.stdin.as_ref().unwrap().len(), 20_000);
    assert_eq!(listed(&room.store), first);
}

#[test]
fn only_one_file_knows_of_sled() {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut open = vec![directory];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("store/index.rs") {
                let text = fs::read_to_string(&path).unwrap();
                let uses = ["sled", "::"].concat();
                assert!(!text.contains(&uses), "{} uses sled", path.display());
            }
        }
    }
}
