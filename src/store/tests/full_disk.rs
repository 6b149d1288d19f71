//! A disk that fills up.

use super::*;
use crate::run::RunState;
use crate::store::StoreError;
use crate::store::append::Sink;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};

/// A file with so much room, and `/dev/full` behind it.
struct Small {
    file: File,
    room: usize,
}

impl Small {
    fn at(path: &std::path::Path, room: usize) -> Box<Small> {
        Box::new(Small { file: OpenOptions::new().append(true).open(path).unwrap(), room })
    }
}

impl Sink for Small {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let now = bytes.len().min(self.room);
        self.room -= now;
        self.file.write_all(&bytes[..now])?;
        if now < bytes.len() { Err(io::Error::from_raw_os_error(28)) } else { Ok(()) }
    }
    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }
    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }
}

fn fill(pack_room: usize, segment_room: usize) {
    let room = room();
    let mut writer = room.store.create_run("full", manifest).unwrap();
    let id = writer.manifest().id.clone();
    let directory = writer.directory().to_path_buf();
    writer.pack().file().replace_sink(Small::at(&directory.join("parts.pack"), pack_room));
    writer.segment().file().replace_sink(Small::at(&directory.join("exchanges.seg"), segment_room));
    let mut written = Vec::new();
    let mut failed = None;
    for n in 1..=400 {
        let text = words(&mut Dice(n), 500);
        let one = exchange(n as u32, text.as_bytes(), None);
        let body = put_body(&mut writer, text.as_bytes(), &[100]);
        writer.put_asked(&one.request, body);
        match writer.commit() {
            Ok(()) => written.push(one),
            Err(error) => {
                failed.get_or_insert(error);
            }
        }
    }
    let StoreError::Io { path, source } = failed.expect("it fills up") else { panic!() };
    assert!(path.ends_with("parts.pack") || path.ends_with("exchanges.seg"));
    assert_eq!(source.kind(), io::ErrorKind::StorageFull);
    // It keeps failing, and says the same.
    let again = writer.commit().unwrap_err().to_string();
    assert!(again.contains("No space left") && again.contains(path.to_str().unwrap()), "{again}");
    assert!(writer.sync().is_err());
    let manifest = writer.seal(None, |_| {}).unwrap();
    assert!(manifest.incomplete.as_deref().unwrap().contains("No space left"));

    let reader = room.store.open_run(&id).unwrap();
    assert_eq!(reader.state(), RunState::Incomplete);
    assert_reads(&reader, &written);
    assert!(!written.is_empty());
    let listed = &room.store.runs().unwrap()[0];
    assert_eq!((listed.state, listed.exchanges as usize), (RunState::Incomplete, written.len()));
    assert!(listed.problem.as_deref().unwrap().contains("No space left"));
}

#[test]
fn a_full_disk_keeps_what_was_written_before() {
    fill(20_000, usize::MAX);
    fill(usize::MAX, 5_000);
    fill(12_345, 12_345);
}

#[test]
fn dev_full_is_an_error_that_names_the_file() {
    let Ok(full) = OpenOptions::new().append(true).open("/dev/full") else { return };
    let room = room();
    let mut writer = room.store.create_run("full", manifest).unwrap();
    writer.pack().file().replace_sink(Box::new(full));
    writer.put_part(b"something");
    let error = writer.commit().unwrap_err().to_string();
    assert!(error.contains("parts.pack") && error.contains("No space left"), "{error}");
}

#[test]
fn the_reserve_is_given_back() {
    let room = room();
    let mut writer = room.store.create_run("full", manifest).unwrap();
    let reserve = writer.directory().join("reserve");
    assert!(std::fs::metadata(&reserve).unwrap().len() > 10_000);
    record(&mut writer, &exchange(1, b"asked", None), &[]);
    writer.seal(None, |_| {}).unwrap();
    assert!(!reserve.exists());
}
