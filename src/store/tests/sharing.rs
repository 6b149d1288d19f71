//! Forks that refer to their ancestors' parts, and what happens when those go.

use super::*;
use crate::run::{RunId, RunState};
use crate::store::{GcPolicy, StoreError};
use std::fs;

/// A run that says everything the parent said, in another order, and something of its own.
fn fork(store: &Store, parent: &RunId, own: &str, seal: bool) -> (RunId, Vec<Exchange>) {
    let ancestor = store.open_run(parent).unwrap();
    let mut writer = store.create_run("fork", |id| fork_of(ancestor.manifest(), id)).unwrap();
    writer.share_with(&ancestor).unwrap();
    let mut all = read_all(&ancestor);
    let n = all.len() as u32;
    all.push(exchange(n + 1, own.as_bytes(), Some(format!("{own} was said").as_bytes())));
    for one in &all {
        record(&mut writer, one, &[100, 100]);
    }
    let id = writer.manifest().id.clone();
    if seal {
        writer.seal(None, |_| {}).unwrap();
    }
    (id, all)
}

fn pack_size(store: &Store, id: &RunId) -> u64 {
    fs::metadata(store.run_directory(id).join("parts.pack")).unwrap().len()
}

#[test]
fn a_fork_costs_little_and_reads_as_a_whole() {
    let room = room();
    let (parent, _) = sealed_run(&room.store, "parent", 100);
    let (child, all) = fork(&room.store, &parent, "something else", true);
    let (grandchild, more) = fork(&room.store, &child, "and again", false);
    for (id, all) in [(&child, &all), (&grandchild, &more)] {
        let reader = room.store.open_run(id).unwrap();
        assert_reads(&reader, all);
        assert_eq!(reader.verify().unwrap(), Vec::<String>::new());
        assert!(
            pack_size(&room.store, id) * 3 < pack_size(&room.store, &parent),
            "{}",
            pack_size(&room.store, id)
        );
    }
    assert_eq!(room.store.forks_of(&room.store.open_run(&parent).unwrap().manifest().uuid).unwrap(), [child]);
}

#[test]
fn removing_an_ancestor_moves_what_is_used() {
    let room = room();
    let (parent, parents) = sealed_run(&room.store, "parent", 60);
    let (child, all) = fork(&room.store, &parent, "something else", true);
    let (cousin, others) = fork(&room.store, &parent, "cousin's own", false);
    let (grandchild, more) = fork(&room.store, &child, "and again", true);
    let open = room.store.open_run(&grandchild).unwrap();

    let removed = room.store.remove_run(&parent).unwrap();
    assert_eq!(removed.adopters, [child.clone(), cousin.clone(), grandchild.clone()]);
    assert!(removed.lost.is_empty());
    assert!(!room.store.run_directory(&parent).exists());
    // A reader that was open before finds what was moved.
    assert_reads(&open, &more);
    for (id, all) in [(&child, &all), (&cousin, &others), (&grandchild, &more)] {
        let reader = room.store.open_run(id).unwrap();
        assert_reads(&reader, all);
        assert_eq!(reader.damage(), Vec::<String>::new());
        assert_eq!(reader.verify().unwrap(), Vec::<String>::new());
    }
    // One of them has the bytes, the others refer to it.
    assert!(pack_size(&room.store, &cousin) * 2 < pack_size(&room.store, &child));
    let removed = room.store.remove_run(&child).unwrap();
    assert_eq!(removed.adopters, [cousin.clone(), grandchild.clone()]);
    for (id, all) in [(&cousin, &others), (&grandchild, &more)] {
        assert_reads(&room.store.open_run(id).unwrap(), all);
    }
    // The parent's bytes went from one to the next and are still those.
    let moved = read_all(&room.store.open_run(&cousin).unwrap());
    assert!(moved[..60] == parents[..]);
    assert!(matches!(room.store.remove_run(&parent), Err(StoreError::NoRun { .. })));
}

#[test]
fn a_run_without_dependents_goes_at_once() {
    let room = room();
    let (id, _) = sealed_run(&room.store, "alone", 5);
    let bytes = room.store.runs().unwrap()[0].bytes;
    let removed = room.store.remove_run(&id).unwrap();
    assert_eq!((removed.bytes, removed.adopters), (bytes, Vec::new()));
    assert!(room.store.runs().unwrap().is_empty());
    assert_eq!(fs::read_dir(room.store.root().join("runs")).unwrap().count(), 0);
}

#[test]
fn what_is_being_recorded_or_used_stays() {
    let room = room();
    let (parent, _) = sealed_run(&room.store, "parent", 3);
    let reader = room.store.open_run(&parent).unwrap();
    let mut writer = room.store.create_run("fork", |id| fork_of(reader.manifest(), id)).unwrap();
    writer.share_with(&reader).unwrap();
    let fork = writer.manifest().id.clone();
    for id in [&parent, &fork] {
        let error = room.store.remove_run(id).unwrap_err().to_string();
        assert!(error.contains("in use"), "{error}");
    }
    // The fork's hold on it does not make it look as if it were being recorded.
    assert_eq!(room.store.open_run(&parent).unwrap().state(), RunState::Complete);
    drop(writer);
    assert_eq!(room.store.remove_run(&parent).unwrap().adopters, [fork]);
}

#[test]
fn an_adopted_run_can_be_copied() {
    let room = room();
    let (parent, _) = sealed_run(&room.store, "parent", 20);
    let (child, all) = fork(&room.store, &parent, "something else", true);
    let far = tempfile::tempdir().unwrap();
    let copy = |to: &str| {
        let to = far.path().join(to);
        fs::create_dir(&to).unwrap();
        for entry in fs::read_dir(room.store.run_directory(&child)).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
        RunReader::open(to).unwrap()
    };
    let early = copy("fork.1");
    let error = early.exchange(ExchangeId(1)).unwrap_err().to_string();
    assert!(error.contains("needs parts of parent.1"), "{error}");
    assert!(room.store.adopt(&child).unwrap() > 0);
    assert_eq!(room.store.adopt(&child).unwrap(), 0);
    assert_reads(&copy("fork.2"), &all);
}

#[test]
fn a_parent_under_another_name_is_found() {
    let room = room();
    let (parent, _) = sealed_run(&room.store, "parent", 5);
    let (child, all) = fork(&room.store, &parent, "something else", true);
    fs::rename(room.store.run_directory(&parent), room.store.root().join("runs/elder.4")).unwrap();
    assert_reads(&room.store.open_run(&child).unwrap(), &all);
}

#[test]
fn damage_in_an_ancestor_is_told_with_its_file() {
    let room = room();
    let (parent, _) = sealed_run(&room.store, "parent", 5);
    let (child, all) = fork(&room.store, &parent, "something else", true);
    let path = room.store.run_directory(&parent).join("parts.pack");
    let mut bytes = fs::read(&path).unwrap();
    let block = memchr::memmem::find(&bytes, &[0xA7, b'r', 16]).unwrap();
    bytes[block + 40] ^= 1;
    fs::write(&path, bytes).unwrap();
    let reader = room.store.open_run(&child).unwrap();
    let error = reader.exchange(ExchangeId(1)).unwrap_err().to_string();
    assert!(error.contains("parent.1/parts.pack"), "{error}");
    assert_reads(&reader, &all[1..]);
    // What cannot be read cannot be moved; the rest is.
    let removed = room.store.remove_run(&parent).unwrap();
    assert!(!removed.lost.is_empty());
    assert_reads(&room.store.open_run(&child).unwrap(), &all[1..]);
}

#[test]
fn gc_follows_the_rules_and_clears_up() {
    let room = room();
    let ids: Vec<RunId> = (0..5).map(|_| sealed_run(&room.store, "old", 2).0).collect();
    let writer = room.store.create_run("busy", manifest).unwrap();
    let root = room.store.root();
    fs::create_dir(root.join("index.bad-123")).unwrap();
    fs::write(root.join("index.bad-123/db"), vec![0; 1000]).unwrap();
    fs::create_dir(root.join("runs/.removed-0")).unwrap();
    fs::write(root.join("runs/.removed-0/parts.pack"), vec![0; 500]).unwrap();
    let abandoned = root.join("runs/old.5/manifest.json.0.unfinished");
    fs::write(&abandoned, b"{").unwrap();
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(7200);
    fs::File::options().append(true).open(&abandoned).unwrap().set_modified(long_ago).unwrap();
    fs::write(root.join("key.1.unfinished"), b"young").unwrap();

    let policy = GcPolicy { keep_last: Some(2), dry_run: true, ..GcPolicy::default() };
    let dry = room.store.gc(&policy).unwrap();
    assert_eq!(dry.removed, [ids[2].clone(), ids[1].clone(), ids[0].clone()]);
    assert_eq!(room.store.runs().unwrap().len(), 6);
    let wet = room.store.gc(&GcPolicy { dry_run: false, ..policy }).unwrap();
    assert_eq!(wet, dry);
    assert_eq!(wet.leftovers.len(), 3);
    assert!(wet.bytes > 1500);
    let left: Vec<String> = room.store.runs().unwrap().iter().map(|r| r.manifest.id.to_string()).collect();
    assert_eq!(left, ["old.4", "old.5", "busy.1"]);
    assert!(
        !root.join("index.bad-123").exists() && root.join("key.1.unfinished").exists() && !abandoned.exists()
    );

    // Both rules: only what is beyond the count and old.
    let never = GcPolicy { keep_last: Some(1), older_than_us: Some(1), sampling: None, dry_run: false };
    assert!(room.store.gc(&never).unwrap().removed.is_empty());
    let all = GcPolicy { older_than_us: Some(u64::MAX), ..GcPolicy::default() };
    assert_eq!(room.store.gc(&all).unwrap().removed.len(), 2);
    assert!(room.store.gc(&GcPolicy::default()).unwrap().removed.is_empty());
    drop(writer);
}
