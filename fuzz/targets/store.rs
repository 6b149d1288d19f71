//! A run's files, as they may be found on a disk: manifest, segment, pack, outline and noise, each behind its
//! length (four bytes).

use retake::store::RunReader;
use std::cell::OnceCell;
use std::path::Path;

const FILES: [&str; 5] = ["manifest.json", "exchanges.seg", "parts.pack", "outline", "noise.json"];

thread_local! {
    static PLACE: OnceCell<tempfile::TempDir> = const { OnceCell::new() };
}

/// Opens it, reads all of it and verifies it: errors are told, nothing else happens. Once with the checksums as they are,
/// once with right ones.
pub fn run(data: &[u8]) {
    PLACE.with(|place| {
        let place = place.get_or_init(|| tempfile::tempdir().expect("a directory"));
        for mend in [false, true] {
            let mut rest = data;
            for name in FILES {
                let mut file = next(&mut rest).to_vec();
                if mend && !name.ends_with("json") {
                    mend_frames(&mut file);
                }
                std::fs::write(place.path().join(name), &file).expect("a file");
            }
            look(place.path());
        }
    });
}

fn next<'d>(rest: &mut &'d [u8]) -> &'d [u8] {
    let (length, after) = rest.split_at(rest.len().min(4));
    let length = length.iter().fold(0usize, |sum, b| sum << 8 | usize::from(*b));
    let (file, after) = after.split_at(length.min(after.len()));
    *rest = after;
    file
}

fn look(directory: &Path) {
    let Ok(reader) = RunReader::open(directory.to_path_buf()) else { return };
    for id in reader.ids().into_iter().take(64) {
        let _ = (reader.request(id), reader.response(id), reader.exchange(id), reader.answer(id));
    }
    if let Ok(outline) = reader.outline() {
        reader.noise(&outline);
    }
    let _ = (reader.sealed_outline(), reader.damage(), reader.verify());
}

/// Gives every frame that can be told apart right checksums.
fn mend_frames(file: &mut [u8]) {
    let mut at = 0;
    while let Some(header) = file.get(at..at + 20).filter(|h| h.starts_with(&[0xA7, b'r'])) {
        let length = u32::from_le_bytes([header[8], header[9], header[10], header[11]]) as usize;
        let Some(payload) = file.get(at + 20..).and_then(|after| after.get(..length)) else { return };
        let payload_sum = crc32fast::hash(payload).to_le_bytes();
        file[at + 12..at + 16].copy_from_slice(&payload_sum);
        let mut sum = crc32fast::Hasher::new();
        sum.update(&file[at..at + 16]);
        sum.update(&(at as u64).to_le_bytes());
        let sum = sum.finalize().to_le_bytes();
        file[at + 16..at + 20].copy_from_slice(&sum);
        at += 20 + length;
    }
}
