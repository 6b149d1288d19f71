//! The footer of a sealed file.

use super::coding::Expander;
use super::frame::{HEADER, kind, read_at};
use super::segment::frame_at;
use std::fs::File;
use std::io;
use std::path::Path;

/// The trailer: a frame of 8 bytes.
const TRAILER: u64 = HEADER as u64 + 8;

/// The footer's payload; none when the file is not sealed or the footer is damaged (then its frames can be scanned).
///
/// # Errors
/// When the file cannot be read.
pub fn footer(file: &File) -> io::Result<Option<Vec<u8>>> {
    let Some(at) = file.metadata()?.len().checked_sub(TRAILER) else { return Ok(None) };
    let bytes = read_at(file, at, TRAILER as usize)?;
    let Some(trailer) = super::frame::Frame::parse(&bytes, at).filter(|f| f.kind == kind::TRAILER) else {
        return Ok(None);
    };
    let payload = bytes.get(HEADER..).filter(|p| trailer.holds(p)).and_then(|p| p.try_into().ok());
    let Some(offset) = payload.map(u64::from_le_bytes).filter(|&o| o < at) else { return Ok(None) };
    let Ok((frame, payload)) = frame_at(Path::new(""), file, offset) else { return Ok(None) };
    if frame.kind != kind::FOOTER || frame.end() != at {
        return Ok(None);
    }
    Ok(Expander::default().expand(frame.coding, &payload).ok())
}
