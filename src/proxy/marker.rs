//! Finds a stream's terminal event: one of a few byte strings at the start of a line, however the stream is cut.

use bytes::Bytes;
use std::sync::Arc;

/// A scan over the frames of one event stream.
pub(super) struct MarkerScan {
    markers: Arc<[Bytes]>,
    longest: usize,
    /// The start of the line that the stream is in, as far as a marker can reach.
    line: Vec<u8>,
    /// The rest of this line cannot hold a marker.
    past: bool,
}

impl MarkerScan {
    pub(super) fn new(markers: Arc<[Bytes]>) -> MarkerScan {
        let longest = markers.iter().map(Bytes::len).max().unwrap_or_default();
        MarkerScan { markers, longest, line: Vec::with_capacity(longest), past: false }
    }

    /// Takes the next frame; true when a marker came to its end in it.
    pub(super) fn feed(&mut self, frame: &[u8]) -> bool {
        let mut found = false;
        let mut rest = frame;
        while !rest.is_empty() {
            let end = memchr::memchr2(b'\n', b'\r', rest);
            let (text, after) = rest.split_at(end.unwrap_or(rest.len()));
            if !self.past {
                found |= self.extend_line(text);
            }
            if end.is_some() {
                self.line.clear();
                self.past = false;
            }
            rest = after.get(1..).unwrap_or_default();
        }
        found
    }

    fn extend_line(&mut self, text: &[u8]) -> bool {
        let room = self.longest - self.line.len();
        self.line.extend_from_slice(text.get(..room).unwrap_or(text));
        let found = self.markers.iter().any(|marker| !marker.is_empty() && self.line.starts_with(marker));
        self.past = found || self.line.len() >= self.longest;
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn scan() -> MarkerScan {
        MarkerScan::new(Arc::from(vec![
            Bytes::from_static(b"data: [DONE]"),
            Bytes::from_static(b"event: message_stop"),
        ]))
    }

    #[test]
    fn a_marker_counts_at_the_start_of_a_line_only() {
        assert!(scan().feed(b"data: {}\n\ndata: [DONE]\n\n"));
        assert!(scan().feed(b"data: {}\r\rdata: [DONE]"));
        assert!(scan().feed(b"event: message_stop\r\ndata: {}\r\n\r\n"));
        assert!(!scan().feed(b"data: {\"text\":\"data: [DONE]\"}\n\n data: [DONE]\n\ndata: [DONE"));
    }

    #[test]
    fn no_markers_never_match() {
        let mut none = MarkerScan::new(Arc::from(Vec::new()));
        assert!(!none.feed(b"data: [DONE]\n\n"));
        let mut empty = MarkerScan::new(Arc::from(vec![Bytes::new()]));
        assert!(!empty.feed(b"data: [DONE]\n\n"));
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter(lines in prop::collection::vec(prop_oneof![
            Just("data: [DONE]"), Just("event: message_stop"), Just("data: {\"a\":1}"), Just(""), Just("x data: [DONE]"),
        ], 0..8), cuts in prop::collection::vec(0usize..200, 0..10)) {
            let text = lines.join("\n") + "\n";
            let wanted = lines.iter().any(|l| l.starts_with("data: [DONE]") || l.starts_with("event: message_stop"));
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let mut scan = scan();
            let mut found = false;
            for pair in cuts.windows(2) {
                found |= scan.feed(&text.as_bytes()[pair[0]..pair[1]]);
            }
            prop_assert_eq!(found, wanted);
        }
    }
}
