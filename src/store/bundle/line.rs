//! One record a line, its checksum at the end.

use sha2::{Digest, Sha256};
use std::io::{self, Write};

/// The end of a line: `,"crc":"` and eight hex digits and `"}`.
const TAIL: usize = 18;

/// Writes lines, and counts and hashes them for the footer.
pub(super) struct LineWriter<'a> {
    out: &'a mut dyn Write,
    hash: Sha256,
    records: u64,
}

impl<'a> LineWriter<'a> {
    pub(super) fn new(out: &'a mut dyn Write) -> LineWriter<'a> {
        LineWriter { out, hash: Sha256::new(), records: 0 }
    }

    /// Writes a record: a JSON object with at least one member, on one line.
    pub(super) fn put(&mut self, record: &str) -> io::Result<()> {
        let line = sealed(record);
        self.hash.update(line.as_bytes());
        self.records += 1;
        self.out.write_all(line.as_bytes())
    }

    /// Writes the footer and flushes.
    pub(super) fn finish(self) -> io::Result<()> {
        let footer = format!(
            "{{\"kind\":\"footer\",\"records\":{},\"sha256\":\"{}\"}}",
            self.records,
            hex(&self.hash.finalize())
        );
        self.out.write_all(sealed(&footer).as_bytes())?;
        self.out.flush()
    }
}

/// A record with its checksum and line feed.
fn sealed(record: &str) -> String {
    let open = record.strip_suffix('}').unwrap_or(record);
    format!("{open},\"crc\":\"{:08x}\"}}\n", crc32fast::hash(open.as_bytes()))
}

/// True when a line (without its line feed) carries the checksum of what stands before it.
pub(super) fn verifies(line: &[u8]) -> bool {
    let Some(at) = line.len().checked_sub(TAIL) else { return false };
    let (open, tail) = line.split_at(at);
    tail == format!(",\"crc\":\"{:08x}\"}}", crc32fast::hash(open)).as_bytes()
}

/// Bytes as lower-case hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// SHA-256 as lower-case hex.
pub(super) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_changed_bit_does_not_verify() {
        let line = sealed(r#"{"kind":"part","id":1}"#);
        let line = line.trim_end().as_bytes();
        assert!(verifies(line));
        for at in 0..line.len() * 8 {
            let mut bad = line.to_vec();
            bad[at / 8] ^= 1 << (at % 8);
            assert!(!verifies(&bad), "bit {at}");
        }
        assert!(!verifies(b""));
    }
}
