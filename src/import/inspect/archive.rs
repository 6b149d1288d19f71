//! What is in an `.eval`: a zip with a header and a file for each sample.
//!
//! Sizes that an archive claims are not believed: everything is unpacked up to a bound, and all of it together too.

use crate::import::Unreadable;
use std::io::{Cursor, Read};
use zip::{CompressionMethod, ZipArchive};

/// The most that a file in an archive may unpack to, in bytes.
const MOST: u64 = 256 << 20;
/// The most that all files that are read may unpack to.
const MOST_TOGETHER: u64 = 1 << 30;
/// The most files.
const MOST_FILES: usize = 100_000;

/// True for the beginning of a zip.
pub(super) fn is_archive(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"PK\x05\x06")
}

/// The files whose names are wanted, with their names, in the order of the names.
///
/// # Errors
/// When it is no whole zip, when a file in it is damaged, or would unpack to too much.
pub(super) fn files(
    bytes: &[u8],
    wanted: impl Fn(&str) -> bool,
) -> Result<Vec<(String, Vec<u8>)>, Unreadable> {
    files_up_to(bytes, wanted, MOST, MOST_TOGETHER)
}

fn files_up_to(
    bytes: &[u8],
    wanted: impl Fn(&str) -> bool,
    most: u64,
    together: u64,
) -> Result<Vec<(String, Vec<u8>)>, Unreadable> {
    let mut archive = ZipArchive::new(Cursor::new(bytes))
        .map_err(|e| Unreadable::new(format!("the archive cannot be read: {e}")))?;
    if archive.len() > MOST_FILES {
        return Err(Unreadable::new(format!(
            "the archive has {} files, more than {MOST_FILES}",
            archive.len()
        )));
    }
    let mut found = Vec::new();
    let mut total = 0;
    for at in 0..archive.len() {
        let broken = |what: String| Unreadable::new(format!("file {at} of the archive: {what}"));
        let mut file = archive.by_index_raw(at).map_err(|e| broken(e.to_string()))?;
        let name = file.name().map_err(|e| broken(e.to_string()))?.to_string();
        if !wanted(&name) {
            continue;
        }
        let broken = |what: String| Unreadable::new(format!("{name} in the archive: {what}"));
        if file.encrypted() {
            return Err(broken("it is encrypted".into()));
        }
        let (method, sum) = (file.compression(), file.crc32());
        let mut packed = Vec::new();
        file.read_to_end(&mut packed).map_err(|e| broken(e.to_string()))?;
        let left = most.min(together - total);
        let unpacked = unpack(method, &packed, left).map_err(&broken)?;
        if crc32fast::hash(&unpacked) != sum {
            return Err(broken("it does not agree with its checksum".into()));
        }
        total += unpacked.len() as u64;
        found.push((name, unpacked));
    }
    found.sort();
    Ok(found)
}

fn unpack(method: CompressionMethod, packed: &[u8], most: u64) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let unpacked: std::io::Result<usize> = match method {
        CompressionMethod::STORE => packed.take(most + 1).read_to_end(&mut out),
        CompressionMethod::DEFLATE => {
            flate2::bufread::DeflateDecoder::new(packed).take(most + 1).read_to_end(&mut out)
        }
        CompressionMethod::ZSTD => zstd::stream::read::Decoder::with_buffer(packed)
            .and_then(|decoder| decoder.take(most + 1).read_to_end(&mut out)),
        other => return Err(format!("it is packed in a way that is not known here: {other}")),
    };
    unpacked.map_err(|e| e.to_string())?;
    match out.len() as u64 > most {
        true => Err(format!("it unpacks to more than {most} bytes")),
        false => Ok(out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    /// A zip of one file, written by hand: the library is built without writing.
    fn zip_of(name: &str, method: u16, packed: &[u8], content: &[u8]) -> Vec<u8> {
        let head = |out: &mut Vec<u8>| {
            out.extend(20u16.to_le_bytes());
            out.extend(0u16.to_le_bytes());
            out.extend(method.to_le_bytes());
            out.extend([0; 4]);
            out.extend(crc32fast::hash(content).to_le_bytes());
            out.extend((packed.len() as u32).to_le_bytes());
            out.extend((content.len() as u32).to_le_bytes());
            out.extend((name.len() as u16).to_le_bytes());
            out.extend(0u16.to_le_bytes());
        };
        let mut out = b"PK\x03\x04".to_vec();
        head(&mut out);
        out.extend(name.as_bytes());
        out.extend(packed);
        let central = out.len() as u32;
        out.extend(b"PK\x01\x02\x14\x00");
        head(&mut out);
        out.extend([0; 14]);
        out.extend(name.as_bytes());
        let length = out.len() as u32 - central;
        out.extend(b"PK\x05\x06\0\0\0\0\x01\0\x01\0");
        out.extend(length.to_le_bytes());
        out.extend(central.to_le_bytes());
        out.extend([0; 2]);
        out
    }

    fn deflated(bytes: &[u8]) -> Vec<u8> {
        let mut out = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
        out.write_all(bytes).unwrap();
        out.finish().unwrap()
    }

    #[test]
    fn every_way_of_packing_is_read() {
        let text = b"hello hello hello hello";
        let ways = [(0, text.to_vec()), (8, deflated(text)), (93, zstd::encode_all(&text[..], 3).unwrap())];
        for (method, packed) in ways {
            let zip = zip_of("samples/1.json", method, &packed, text);
            assert!(is_archive(&zip));
            assert_eq!(files(&zip, |_| true).unwrap(), [("samples/1.json".to_string(), text.to_vec())]);
            assert!(files(&zip, |name| name == "other").unwrap().is_empty());
        }
        let what = files(&zip_of("a", 12, b"x", text), |_| true).unwrap_err().what;
        assert!(what.starts_with("a in the archive: it is packed in a way"), "{what}");
    }

    #[test]
    fn a_bomb_and_a_wrong_sum_are_refused() {
        let zeros = vec![0; 4 << 20];
        let bomb = zip_of("bomb", 8, &deflated(&zeros), &zeros);
        assert!(bomb.len() < 8 << 10);
        let up_to = |most, together| files_up_to(&bomb, |_| true, most, together).unwrap_err().what;
        assert_eq!(up_to(1 << 20, 1 << 30), "bomb in the archive: it unpacks to more than 1048576 bytes");
        assert_eq!(up_to(1 << 30, 1000), "bomb in the archive: it unpacks to more than 1000 bytes");
        let wrong = zip_of("a", 8, &deflated(b"one"), b"two");
        assert!(files(&wrong, |_| true).unwrap_err().what.contains("checksum"));
    }
}
