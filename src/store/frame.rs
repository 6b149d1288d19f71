//! The frame: what segments and packs consist of.
//!
//! A header of 20 bytes, then the payload. Header and payload have checksums of their own, so that a reader steps over
//! a bad payload by its length and finds the next frame by its magic after a bad header. The header's checksum also
//! covers the frame's place in the file: a frame inside a recorded body is never taken for one of ours.
//!
//! | bytes | what |
//! | --- | --- |
//! | 0..2 | magic `A7 72` |
//! | 2 | kind |
//! | 3 | coding of the payload (see [`super::coding`]) |
//! | 4..8 | tag: an exchange id, or the ordinal of a block's first part |
//! | 8..12 | length of the payload |
//! | 12..16 | CRC-32 of the payload |
//! | 16..20 | CRC-32 of bytes 0..16 and of the frame's offset in the file (8 bytes) |
//!
//! All numbers are little-endian. A reader skips kinds that it does not know.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Length of a header.
pub const HEADER: usize = 20;
const MAGIC: [u8; 2] = [0xA7, b'r'];
/// How much a scan reads at once.
const WINDOW: usize = 64 * 1024;

/// What a frame holds. Numbers below 16 occur in both files.
pub mod kind {
    /// A dictionary; the tag is its number.
    pub const DICTIONARY: u8 = 1;
    /// Where everything is; written when a file is sealed.
    pub const FOOTER: u8 = 2;
    /// The last frame of a sealed file: the offset of the footer, 8 bytes.
    pub const TRAILER: u8 = 3;
    /// Parts (pack only); the tag is the ordinal of the first.
    pub const BLOCK: u8 = 16;
    /// A run whose parts are referred to (pack only); the tag is its number here.
    pub const ANCESTOR: u8 = 17;
    /// A request record (segment only); the tag is the exchange.
    pub const REQUEST: u8 = 32;
    /// A response record (segment only); the tag is the exchange.
    pub const RESPONSE: u8 = 33;
    /// An export of spans (spans only); the tag is how many.
    pub const TRACES: u8 = 48;
    /// An export of log records (spans only); the tag is how many.
    pub const LOGS: u8 = 49;
    /// What the spans of the frame before it claim (spans only); the tag is how many.
    pub const CLAIMS: u8 = 50;
}

/// A frame's header, read and checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// Where its header begins.
    pub offset: u64,
    /// See [`kind`].
    pub kind: u8,
    /// Coding of the payload.
    pub coding: u8,
    /// See [`kind`].
    pub tag: u32,
    /// Length of the payload.
    pub len: u32,
    crc: u32,
}

impl Frame {
    /// Where the payload begins.
    pub fn payload_at(&self) -> u64 {
        self.offset + HEADER as u64
    }

    /// Where the next frame begins.
    pub fn end(&self) -> u64 {
        self.payload_at() + u64::from(self.len)
    }

    /// True when these are the bytes that were written.
    pub fn holds(&self, payload: &[u8]) -> bool {
        payload.len() as u64 == u64::from(self.len) && crc32fast::hash(payload) == self.crc
    }

    /// Reads a header that stands at `offset`; none when it is damaged, or no header.
    pub fn parse(bytes: &[u8], offset: u64) -> Option<Frame> {
        let header: &[u8; HEADER] = bytes.get(..HEADER)?.try_into().ok()?;
        let word =
            |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        if header[..2] != MAGIC || word(16) != header_crc(header, offset) {
            return None;
        }
        Some(Frame { offset, kind: header[2], coding: header[3], tag: word(4), len: word(8), crc: word(12) })
    }
}

fn header_crc(header: &[u8; HEADER], offset: u64) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&header[..16]);
    crc.update(&offset.to_le_bytes());
    crc.finalize()
}

/// A header for `payload`, to stand at `offset`.
pub fn header(kind: u8, coding: u8, tag: u32, payload: &[u8], offset: u64) -> [u8; HEADER] {
    let mut header = [0u8; HEADER];
    header[..2].copy_from_slice(&MAGIC);
    header[2] = kind;
    header[3] = coding;
    header[4..8].copy_from_slice(&tag.to_le_bytes());
    header[8..12].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    header[12..16].copy_from_slice(&crc32fast::hash(payload).to_le_bytes());
    let crc = header_crc(&header, offset);
    header[16..20].copy_from_slice(&crc.to_le_bytes());
    header
}

/// What a scan comes upon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// A frame whose header is whole and whose payload is in the file (perhaps damaged).
    Frame(Frame),
    /// Bytes that are no frame, before one that is.
    Gap {
        /// Where they begin.
        from: u64,
        /// Where the next frame begins.
        to: u64,
    },
    /// Bytes at the end of the file that are no whole frame.
    Tail {
        /// Where they begin.
        from: u64,
    },
}

/// Walks over the headers of a file, without reading large payloads.
pub struct Scan<'a> {
    file: &'a File,
    end: u64,
    at: u64,
    window: Vec<u8>,
    window_at: u64,
}

impl<'a> Scan<'a> {
    /// Starts at `from` and ends at `end`, the length of the file as it was when the caller looked.
    pub fn new(file: &'a File, from: u64, end: u64) -> Scan<'a> {
        Scan { file, end, at: from, window: Vec::new(), window_at: 0 }
    }

    /// The next frame or damage; none at the end.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn next(&mut self) -> io::Result<Option<Found>> {
        let from = self.at;
        if from >= self.end {
            return Ok(None);
        }
        if let Some(frame) = self.frame_at(from)? {
            self.at = frame.end();
            return Ok(Some(Found::Frame(frame)));
        }
        let found = match self.resync(from + 1)? {
            Some(to) => Found::Gap { from, to },
            None => Found::Tail { from },
        };
        self.at = match found {
            Found::Gap { to, .. } => to,
            _ => self.end,
        };
        Ok(Some(found))
    }

    /// The payload of a frame, from the window when it is there.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn payload(&mut self, frame: &Frame) -> io::Result<Vec<u8>> {
        let start = frame.payload_at().wrapping_sub(self.window_at) as usize;
        if let Some(bytes) = self.window.get(start..start.saturating_add(frame.len as usize)) {
            return Ok(bytes.to_vec());
        }
        read_at(self.file, frame.payload_at(), frame.len as usize)
    }

    fn frame_at(&mut self, offset: u64) -> io::Result<Option<Frame>> {
        if self.end - offset < HEADER as u64 {
            return Ok(None);
        }
        let inside =
            |w: &Scan, o: u64| o >= w.window_at && o + HEADER as u64 <= w.window_at + w.window.len() as u64;
        if !inside(self, offset) {
            self.fill(offset)?;
        }
        let start = offset.wrapping_sub(self.window_at) as usize;
        let header = self.window.get(start..).unwrap_or_default();
        Ok(Frame::parse(header, offset).filter(|f| f.end() <= self.end))
    }

    fn fill(&mut self, offset: u64) -> io::Result<()> {
        let want = (self.end - offset).min(WINDOW as u64) as usize;
        self.window = read_at(self.file, offset, want)?;
        self.window_at = offset;
        Ok(())
    }

    /// The first place from `from` on where a whole frame stands.
    fn resync(&mut self, mut from: u64) -> io::Result<Option<u64>> {
        while from + HEADER as u64 <= self.end {
            self.fill(from)?;
            let window = std::mem::take(&mut self.window);
            let hit = memchr::memmem::find_iter(&window, &MAGIC)
                .map(|i| (from + i as u64, i))
                .find(|&(at, i)| Frame::parse(&window[i..], at).is_some_and(|f| f.end() <= self.end));
            if let Some((at, _)) = hit {
                return Ok(Some(at));
            }
            // A header may straddle two windows: step back by all but one byte of it.
            from += (window.len().max(HEADER) - HEADER + 1) as u64;
        }
        Ok(None)
    }
}

/// Reads exactly `len` bytes at `offset`.
///
/// # Errors
/// When the file ends before, or cannot be read.
pub fn read_at(file: &File, offset: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(bytes)
}

/// Reads up to `len` bytes at `offset`: fewer when the file ends before.
///
/// # Errors
/// When the file cannot be read.
pub fn read_up_to(file: &File, offset: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|r| !r.is_empty()) {
        match file.read_at(rest, offset.saturating_add(filled as u64)) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    fn file_of(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn frames(payloads: &[Vec<u8>]) -> Vec<u8> {
        let mut out = Vec::new();
        for (i, payload) in payloads.iter().enumerate() {
            let head = header(kind::BLOCK, 0, i as u32, payload, out.len() as u64);
            out.extend_from_slice(&head);
            out.extend_from_slice(payload);
        }
        out
    }

    fn scan_all(bytes: &[u8]) -> (Vec<(u32, Vec<u8>)>, usize) {
        let file = file_of(bytes);
        let mut scan = Scan::new(&file, 0, bytes.len() as u64);
        let (mut good, mut bad) = (Vec::new(), 0);
        while let Some(found) = scan.next().unwrap() {
            match found {
                Found::Frame(frame) => match scan.payload(&frame).unwrap() {
                    payload if frame.holds(&payload) => good.push((frame.tag, payload)),
                    _ => bad += 1,
                },
                _ => bad += 1,
            }
        }
        (good, bad)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_flipped_bit_costs_one_frame(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..12),
            place in any::<prop::sample::Index>(), bit in 0..8u8,
        ) {
            let mut bytes = frames(&payloads);
            let whole = scan_all(&bytes);
            prop_assert_eq!(whole.0.len(), payloads.len());
            prop_assert_eq!(whole.1, 0);
            let at = place.index(bytes.len());
            bytes[at] ^= 1 << bit;
            let (good, bad) = scan_all(&bytes);
            prop_assert_eq!(good.len(), payloads.len() - 1);
            prop_assert_eq!(bad, 1);
            for (tag, payload) in good {
                prop_assert_eq!(&payloads[tag as usize], &payload);
            }
        }

        #[test]
        fn a_cut_costs_the_torn_frame(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..12),
            place in any::<prop::sample::Index>(),
        ) {
            let bytes = frames(&payloads);
            let at = place.index(bytes.len());
            let (good, bad) = scan_all(&bytes[..at]);
            let mut whole = 0;
            let mut length = 0;
            for payload in &payloads {
                length += HEADER + payload.len();
                if length <= at {
                    whole += 1;
                }
            }
            prop_assert_eq!(good.len(), whole);
            prop_assert!(bad <= 1);
        }
    }

    #[test]
    fn a_frame_inside_a_damaged_payload_is_not_taken_for_one() {
        let inner = frames(&[b"inner".to_vec()]);
        let mut bytes = frames(&[inner, b"after".to_vec()]);
        bytes[3] ^= 1;
        let (good, bad) = scan_all(&bytes);
        assert_eq!((good, bad), (vec![(1, b"after".to_vec())], 1));
    }

    #[test]
    fn the_scan_crosses_windows() {
        let payloads: Vec<Vec<u8>> = (0..40).map(|i| vec![i as u8; 7_000]).collect();
        let mut bytes = frames(&payloads);
        assert_eq!(scan_all(&bytes).0.len(), 40);
        // A bad header in front of a payload longer than a window.
        bytes = frames(&[vec![1; 200_000], vec![2; 10]]);
        bytes[0] = 0;
        assert_eq!(scan_all(&bytes), (vec![(1, vec![2; 10])], 1));
    }
}
