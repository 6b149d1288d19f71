//! The outline that is kept with a sealed run.
//!
//! A frame (see [`super::frame`]) whose payload is JSON, compressed. Steps are three numbers each, because there are
//! as many as turns and calls and their names are all the same.

use super::coding::{self, Expander};
use super::frame::{self, Frame, HEADER};
use super::{StoreError, atomic};
use crate::exchange::{ExchangeId, StandIn};
use crate::run::{CallSite, Lane, Outline, Step, StepKind};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::Path;

const KIND: u8 = 48;
/// An outline of so many bytes at most is compressed as well as it can be: that takes some tens of milliseconds.
const THOROUGH: usize = 256 * 1024;

#[derive(Serialize)]
struct Written<'a> {
    lanes: &'a [Lane],
    /// Lane, turn, and call + 1 (0 for a model call) of each step.
    steps: Vec<u32>,
    others: &'a [ExchangeId],
    stand_ins: &'a [StandIn],
}

#[derive(Deserialize)]
struct Read {
    lanes: Vec<Lane>,
    steps: Vec<u32>,
    others: Vec<ExchangeId>,
    stand_ins: Vec<StandIn>,
}

/// Writes the outline.
///
/// # Errors
/// When it cannot be written.
pub fn write(path: &Path, outline: &Outline) -> Result<(), StoreError> {
    let mut steps = Vec::with_capacity(outline.steps.len() * 3);
    for step in &outline.steps {
        match step.kind {
            StepKind::Model { lane, turn } => steps.extend([lane, turn, 0]),
            StepKind::Tool { site } => steps.extend([site.lane, site.turn, site.call.saturating_add(1)]),
        }
    }
    let form =
        Written { lanes: &outline.lanes, steps, others: &outline.others, stand_ins: &outline.stand_ins };
    let io = StoreError::io(path);
    let json = serde_json::to_vec(&form).map_err(|e| io(io::Error::other(e)))?;
    let level = if json.len() <= THOROUGH { 19 } else { 6 };
    let squeezed = zstd::bulk::compress(&json, level).map_err(&io)?;
    let mut bytes = frame::header(KIND, coding::ZSTD, 0, &squeezed, 0).to_vec();
    bytes.extend_from_slice(&squeezed);
    atomic::replace(path, &bytes).map_err(io)
}

/// Reads the outline; none when there is none.
///
/// # Errors
/// When it is damaged.
pub fn read(path: &Path) -> Result<Option<Outline>, StoreError> {
    let bytes = match fs::read(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(StoreError::io(path))?,
    };
    let damaged = |what: String| StoreError::Damaged { path: path.to_path_buf(), what };
    let frame = Frame::parse(&bytes, 0).filter(|f| f.kind == KIND);
    let frame = frame.ok_or_else(|| damaged("this is no outline".into()))?;
    let payload = bytes.get(HEADER..).filter(|p| frame.holds(p));
    let payload = payload.ok_or_else(|| damaged("the outline's checksum does not match".into()))?;
    let json = Expander::default().expand(frame.coding, payload).map_err(damaged)?;
    let form: Read =
        serde_json::from_slice(&json).map_err(|e| damaged(format!("the outline cannot be read: {e}")))?;
    let steps = form.steps.chunks_exact(3).map(|s| match *s {
        [lane, turn, 0] => StepKind::Model { lane, turn },
        [lane, turn, call, ..] => {
            StepKind::Tool { site: CallSite { lane, turn, call: call.saturating_sub(1) } }
        }
        _ => StepKind::Model { lane: u32::MAX, turn: u32::MAX },
    });
    let steps = steps.map(|kind| Step { kind }).collect();
    Ok(Some(Outline { lanes: form.lanes, steps, others: form.others, stand_ins: form.stand_ins }))
}
