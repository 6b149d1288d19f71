//! Content encodings. The first line is the header's value, the rest the body.

use super::first_line;
use retake::exchange::encoding::{decode_up_to, decode_what_is_there};

const MOST: usize = 1 << 20;

/// No body grows beyond the bound, and one that stays below is what it is without one.
pub fn run(data: &[u8]) {
    let (name, body) = first_line(data);
    let name = String::from_utf8_lossy(name);
    let bounded = decode_up_to(MOST, Some(&name), body);
    assert!(bounded.bytes.len() <= MOST.max(body.len()));
    if bounded.broken.is_none() {
        let whole = decode_what_is_there(Some(&name), body);
        assert_eq!(whole, bounded);
    }
}
