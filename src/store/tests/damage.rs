//! Flipped bits and cut files: never a panic, only what was hit is lost, and it is named.

use super::*;
use crate::run::{RunId, RunState};
use proptest::prelude::*;
use std::fs;
use std::path::PathBuf;

fn file(room: &Room, id: &RunId, name: &str) -> PathBuf {
    room.store.run_directory(id).join(name)
}

/// A run with a dictionary, so that every kind of frame is there.
fn run(room: &Room, sealed: bool) -> (RunId, Vec<Exchange>) {
    let mut writer = room.store.create_run("hit", manifest).unwrap();
    let id = writer.manifest().id.clone();
    let mut dice = Dice(3);
    let mut all = Vec::new();
    for n in 1..=70 {
        let (asked, said) = (words(&mut dice, 400), words(&mut dice, 500));
        let one = exchange(n, asked.as_bytes(), Some(said.as_bytes()));
        record(&mut writer, &one, &[100, 100]);
        if n == 55 {
            writer.wait_for_dictionary();
        }
        all.push(one);
    }
    if sealed {
        writer.seal(None, |_| {}).unwrap();
    }
    (id, all)
}

/// Reads everything that can be read; each thing read must be right. Returns how many are lost.
fn lost(room: &Room, id: &RunId, all: &[Exchange]) -> (usize, Vec<String>) {
    let reader = room.store.open_run(id).unwrap();
    let mut told = reader.damage().to_vec();
    let mut lost = 0;
    for one in all {
        match reader.exchange(one.request.id) {
            Ok(read) if read == *one => {}
            // A response that is gone leaves the request.
            Ok(read) => {
                assert_eq!(read.request, one.request);
                assert_eq!(read.response, None);
                lost += 1;
            }
            Err(error) => {
                told.push(error.to_string());
                lost += 1;
            }
        }
    }
    told.extend(reader.verify().unwrap());
    (lost, told)
}

/// One run, its files as they were, and a way to break them again and again.
fn break_often(sealed: bool, cut: bool) {
    let room = room();
    let (id, all) = run(&room, sealed);
    let mut dice = Dice(sealed as u64 * 2 + cut as u64);
    for name in ["exchanges.seg", "parts.pack"] {
        let path = file(&room, &id, name);
        let whole = fs::read(&path).unwrap();
        for round in 0..120 {
            let at = dice.below(whole.len() as u64) as usize;
            let mut bytes = whole.clone();
            if cut {
                bytes.truncate(at);
            } else {
                bytes[at] ^= 1 << dice.below(8);
            }
            fs::write(&path, &bytes).unwrap();
            let (lost, told) = lost(&room, &id, &all);
            let what = format!("{name}, round {round}, byte {at}: {lost} lost, {told:?}");
            // A cut at the end of a frame of a run that was not sealed is no damage that can be seen.
            assert!(!told.is_empty() || (cut && !sealed), "{what}");
            assert!(told.iter().any(|t| t.contains(name)) || told.is_empty() || lost == 0, "{what}");
            if !cut {
                assert!(lost <= 1, "{what}");
            }
        }
        fs::write(&path, &whole).unwrap();
    }
    assert_eq!(lost(&room, &id, &all), (0, Vec::new()));
}

#[test]
fn a_flipped_bit_in_a_sealed_run_costs_one_exchange() {
    break_often(true, false);
}

#[test]
fn a_flipped_bit_in_an_interrupted_run_costs_one_exchange() {
    break_often(false, false);
}

#[test]
fn a_cut_sealed_run_is_read_up_to_there_and_says_so() {
    break_often(true, true);
}

#[test]
fn a_cut_interrupted_run_is_read_up_to_there() {
    break_often(false, true);
}

#[test]
fn a_cut_segment_keeps_what_stands_before() {
    let room = room();
    let (id, all) = run(&room, false);
    let path = file(&room, &id, "exchanges.seg");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 3]).unwrap();
    let reader = room.store.open_run(&id).unwrap();
    assert_eq!(reader.state(), RunState::Interrupted);
    let read = read_all(&reader);
    assert_eq!(read.len(), 70);
    assert_eq!(read[..69], all[..69]);
    assert_eq!(read[69].response, None);
    assert_eq!(reader.damage().len(), 1);
    assert!(reader.damage()[0].contains("exchanges.seg: cut off inside a record"), "{:?}", reader.damage());
}

#[test]
fn a_lost_dictionary_is_taken_from_the_other_file() {
    let room = room();
    let (id, all) = run(&room, true);
    let path = file(&room, &id, "parts.pack");
    let mut bytes = fs::read(&path).unwrap();
    // The starter dictionary is the first frame; break it, and the learned one wherever it is.
    let starts: Vec<usize> = memchr::memmem::find_iter(&bytes, &[0xA7, b'r', 1]).collect();
    assert_eq!(starts.len(), 2, "starter and learned dictionary");
    for start in starts {
        bytes[start + 30] ^= 0xff;
    }
    fs::write(&path, &bytes).unwrap();
    let reader = room.store.open_run(&id).unwrap();
    assert_reads(&reader, &all);
    assert_eq!(reader.damage().len(), 2, "{:?}", reader.damage());
}

#[test]
fn missing_files_are_named() {
    let room = room();
    let (id, _) = sealed_run(&room.store, "hit", 2);
    for name in ["exchanges.seg", "parts.pack", "manifest.json"] {
        let path = file(&room, &id, name);
        let kept = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert!(room.store.open_run(&id).unwrap_err().to_string().contains(name));
        fs::write(&path, b"").unwrap();
        match room.store.open_run(&id) {
            Err(error) => assert!(error.to_string().contains(name)),
            Ok(reader) => assert!(reader.damage().iter().any(|d| d.contains(name)), "{:?}", reader.damage()),
        }
        fs::write(&path, kept).unwrap();
    }
    assert!(room.store.open_run(&id).unwrap().damage().is_empty());
}

#[test]
fn unknown_frames_are_passed_over() {
    use crate::store::frame;
    let room = room();
    let (id, all) = run(&room, false);
    for name in ["exchanges.seg", "parts.pack"] {
        let path = file(&room, &id, name);
        let mut bytes = fs::read(&path).unwrap();
        let head = frame::header(99, 77, 5, b"from the future", bytes.len() as u64);
        bytes.extend_from_slice(&head);
        bytes.extend_from_slice(b"from the future");
        fs::write(&path, &bytes).unwrap();
    }
    assert_eq!(lost(&room, &id, &all), (0, Vec::new()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn forged_files_never_panic(
        segment in prop::collection::vec(any::<u8>(), 0..300),
        frames in prop::collection::vec((any::<u8>(), 0..4u8, 0..5u32, prop::collection::vec(any::<u8>(), 0..60)), 0..8),
    ) {
        use crate::store::frame;
        let room = room();
        let (id, _) = sealed_run(&room.store, "forged", 1);
        fs::write(file(&room, &id, "exchanges.seg"), &segment).unwrap();
        let mut pack = Vec::new();
        for (kind, coding, tag, payload) in &frames {
            let kind = [1, 2, 3, 16, 17, 32, 33, *kind][*kind as usize % 8];
            let head = frame::header(kind, *coding, *tag, payload, pack.len() as u64);
            pack.extend_from_slice(&head);
            pack.extend_from_slice(payload);
        }
        for name in ["parts.pack", "exchanges.seg"] {
            fs::write(file(&room, &id, name), &pack).unwrap();
            if let Ok(reader) = room.store.open_run(&id) {
                let _ = reader.verify();
                for part in 0..6 {
                    let _ = reader.body(BodyRef(crate::store::PartId(part)));
                    let _ = reader.exchange(ExchangeId(part));
                }
            }
        }
    }
}
