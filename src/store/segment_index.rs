//! Where the records of a segment are: what its footer says.

use super::frame::kind;
use super::varint::{Cursor, put, put_signed};
use crate::exchange::ExchangeId;

/// Where the records of an exchange are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExchangeAt {
    /// The exchange.
    pub id: u32,
    /// Offset of the request's frame.
    pub request: Option<u64>,
    /// Offset of the last response's frame.
    pub response: Option<u64>,
}

/// Exchanges by id, with the dictionaries of the segment.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct SegmentIndex {
    exchanges: Vec<ExchangeAt>,
    /// Offsets of the dictionaries.
    pub dictionaries: Vec<u64>,
}

impl SegmentIndex {
    /// All exchanges, by id.
    pub fn exchanges(&self) -> &[ExchangeAt] {
        &self.exchanges
    }

    /// The exchange of that id.
    pub fn get(&self, id: ExchangeId) -> Option<ExchangeAt> {
        let at = self.exchanges.binary_search_by_key(&id.0, |e| e.id).ok()?;
        self.exchanges.get(at).copied()
    }

    fn entry(&mut self, id: u32) -> Option<&mut ExchangeAt> {
        let at = match self.exchanges.last() {
            Some(last) if last.id >= id => self.exchanges.binary_search_by_key(&id, |e| e.id),
            _ => Err(self.exchanges.len()),
        };
        let at = match at {
            Ok(at) => at,
            Err(at) => {
                self.exchanges.insert(at, ExchangeAt { id, request: None, response: None });
                at
            }
        };
        self.exchanges.get_mut(at)
    }

    /// Takes note of a record. A later one of the same kind and exchange replaces the earlier.
    pub fn note(&mut self, kind: u8, id: u32, offset: u64) {
        match (kind, self.entry(id)) {
            (kind::REQUEST, Some(entry)) => entry.request = Some(offset),
            (kind::RESPONSE, Some(entry)) => entry.response = Some(offset),
            _ => {}
        }
    }

    /// Forgets what stands at this offset and behind it.
    pub fn forget_from(&mut self, end: u64) {
        for entry in &mut self.exchanges {
            entry.request = entry.request.filter(|&at| at < end);
            entry.response = entry.response.filter(|&at| at < end);
        }
        self.exchanges.retain(|e| e.request.is_some() || e.response.is_some());
        self.dictionaries.retain(|&at| at < end);
    }

    /// As it stands in the footer's payload.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.exchanges.len() * 6 + 16);
        put(&mut out, self.dictionaries.len() as u64);
        for &offset in &self.dictionaries {
            put(&mut out, offset);
        }
        put(&mut out, self.exchanges.len() as u64);
        let (mut id, mut offset) = (0u32, 0i64);
        for entry in &self.exchanges {
            put(&mut out, u64::from(entry.id - id));
            id = entry.id;
            // An offset of -1 says that there is none.
            for place in [entry.request, entry.response] {
                let place = place.map_or(-1, |p| p as i64);
                put_signed(&mut out, place - offset);
                offset = place;
            }
        }
        out
    }

    /// Reads a footer; none when it makes no sense.
    pub fn decode(bytes: &[u8]) -> Option<SegmentIndex> {
        let mut cursor = Cursor(bytes);
        let count = cursor.number().filter(|&c| c <= bytes.len() as u64)?;
        let dictionaries = (0..count).map(|_| cursor.number()).collect::<Option<Vec<u64>>>()?;
        let count = cursor.number().filter(|&c| c <= bytes.len() as u64)?;
        let mut exchanges = Vec::with_capacity(count as usize);
        let (mut id, mut offset) = (0u32, 0i64);
        for i in 0..count {
            let step = cursor.small()?;
            if step == 0 && i > 0 {
                return None;
            }
            id = id.checked_add(step)?;
            let mut places = [None, None];
            for place in &mut places {
                offset = offset.checked_add(cursor.signed()?)?;
                *place = u64::try_from(offset).ok();
            }
            exchanges.push(ExchangeAt { id, request: places[0], response: places[1] });
        }
        cursor.0.is_empty().then_some(SegmentIndex { exchanges, dictionaries })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_footer_comes_back(
            notes in prop::collection::vec((1..60u32, any::<bool>(), 0..1_000_000u64), 0..80),
            dictionaries in prop::collection::vec(0..1000u64, 0..3),
        ) {
            let mut index = SegmentIndex { dictionaries, ..SegmentIndex::default() };
            for (id, request, offset) in notes {
                index.note(if request { kind::REQUEST } else { kind::RESPONSE }, id, offset);
            }
            prop_assert!(index.exchanges().is_sorted_by_key(|e| e.id));
            prop_assert_eq!(SegmentIndex::decode(&index.encode()), Some(index));
        }

        #[test]
        fn garbage_is_no_footer(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = SegmentIndex::decode(&bytes);
        }
    }
}
