//! Bodies to parts, cheaply: a request repeats the one before it, so only what is new is split, redacted and hashed.

use crate::exchange::StandIn;
use crate::exchange::parts::{self, Split};
use crate::redact::Redactor;
use crate::store::{BodyRef, PartId, RunWriter};
use bytes::Bytes;
use std::collections::VecDeque;

/// Bytes of earlier bodies that are kept for comparing.
const KEPT_BYTES: usize = 6 << 20;
/// Earlier bodies that are kept for comparing.
const KEPT_BODIES: usize = 32;
/// Bodies that share this many bytes at their start may be turns of one conversation.
const HEAD: usize = 48;

/// A body written to the pack.
pub(super) struct Written {
    pub body: BodyRef,
    pub stand_ins: Vec<StandIn>,
    pub untouched: u32,
}

struct Kept {
    raw: Bytes,
    split: Split,
    parts: Vec<PartId>,
    /// Stand-ins by part index; most parts have none.
    stand_ins: Vec<(usize, StandIn)>,
}

/// The last few request bodies.
#[derive(Default)]
pub(super) struct Bodies {
    kept: VecDeque<Kept>,
    bytes: usize,
}

impl Bodies {
    /// Writes a request body. `raw` holds secrets; what goes to the run does not.
    pub(super) fn write(&mut self, run: &mut RunWriter, redactor: &Redactor, raw: &Bytes) -> Written {
        let before = self.nearest(raw);
        let (split, prefix, suffix) = match before {
            Some(old) => {
                let again = parts::resplit(raw, &old.raw, &old.split);
                (again.split, again.same_prefix_parts, again.same_suffix_parts)
            }
            None => (parts::split(raw), 0, 0),
        };
        let count = split.cuts.len();
        let old_count = before.map_or(0, |old| old.parts.len());
        let mut ids = Vec::with_capacity(count);
        let mut stand_ins = Vec::new();
        let mut untouched = 0;
        for index in 0..count {
            let old_index = if index < prefix {
                Some(index)
            } else if count - index <= suffix {
                Some(old_count - (count - index))
            } else {
                None
            };
            if let (Some(old), Some(at)) = (before, old_index) {
                ids.push(old.parts[at]);
                let known = old.stand_ins.iter().filter(|(i, _)| *i == at);
                stand_ins.extend(known.map(|(_, s)| (index, s.clone())));
                continue;
            }
            let redacted = redactor.bytes(&raw[split.range(index)]);
            ids.push(run.put_part(&redacted.bytes));
            stand_ins.extend(redacted.stand_ins.into_iter().map(|s| (index, s)));
            untouched += redacted.untouched;
        }
        let body = run.put_body(&ids);
        let found = stand_ins.iter().map(|(_, s)| s.clone()).collect();
        self.keep(Kept { raw: raw.clone(), split, parts: ids, stand_ins });
        Written { body, stand_ins: found, untouched }
    }

    /// The kept body that shares most with this one, if any shares its head.
    fn nearest(&self, raw: &Bytes) -> Option<&Kept> {
        let head = raw.get(..HEAD)?;
        let candidates = self.kept.iter().rev().filter(|k| k.raw.starts_with(head));
        candidates.max_by_key(|k| common_prefix(&k.raw, raw))
    }

    fn keep(&mut self, body: Kept) {
        if body.raw.len() < 256 || body.raw.len() > KEPT_BYTES / 2 {
            return;
        }
        // A turn takes the place of the turn before it: that one will not be extended again.
        let extended = self.kept.iter().position(|k| {
            k.parts.len() <= body.parts.len() && k.parts.len() > 2 && {
                let shared = k.parts.iter().zip(&body.parts).take_while(|(a, b)| a == b).count();
                shared + 1 >= k.parts.len()
            }
        });
        if let Some(index) = extended
            && let Some(old) = self.kept.remove(index)
        {
            self.bytes -= old.raw.len();
        }
        self.bytes += body.raw.len();
        self.kept.push_back(body);
        while self.bytes > KEPT_BYTES || self.kept.len() > KEPT_BODIES {
            let Some(oldest) = self.kept.pop_front() else { break };
            self.bytes -= oldest.raw.len();
        }
    }
}

/// Length of the common prefix of two byte strings.
fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    const BLOCK: usize = 256;
    let blocks = a.chunks_exact(BLOCK).zip(b.chunks_exact(BLOCK)).take_while(|(x, y)| x == y).count() * BLOCK;
    blocks + a[blocks..].iter().zip(&b[blocks..]).take_while(|(x, y)| x == y).count()
}
