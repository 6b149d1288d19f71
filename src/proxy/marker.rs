//! Finds a stream's terminal event: one of a few byte strings at the start of a line, or a member of an object in a
//! stream of JSON lines, however the stream is cut and whether or not it is compressed.

mod members;

use crate::exchange::ResponseHead;
use crate::exchange::eventstream::Decoder;
use bytes::Bytes;
use members::MemberScan;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Room for what a decoder puts out at once.
const DECODED: usize = 4096;

/// A scan over the frames of one stream, as they come over the wire.
pub(super) enum MarkerScan {
    Plain(Scan),
    /// Clients hang up at the decoded event too, so that it has to be found as they find it.
    Coded {
        decoder: Box<dyn Write + Send>,
        found: Arc<AtomicBool>,
    },
    /// A binary event stream, whose messages are taken as lines.
    Messages {
        decoder: Decoder,
        scan: Scan,
    },
}

impl MarkerScan {
    /// A scan for the terminal event of this answer; none where there is none to find: no event stream, or one
    /// in a coding that is not known.
    pub(super) fn of(head: &ResponseHead, markers: &Arc<[Bytes]>) -> Option<MarkerScan> {
        let (members, lines): (Vec<Bytes>, Vec<Bytes>) =
            markers.iter().cloned().partition(|marker| marker.starts_with(b"{"));
        let by_line = head.is_event_stream() || head.is_message_stream();
        let scan = match head.is_json_lines() {
            true if !members.is_empty() => Scan::Members(MemberScan::new(members)),
            false if by_line && !lines.is_empty() => Scan::Lines(LineScan::new(lines)),
            _ => return None,
        };
        let coding = head.headers.get("content-encoding").unwrap_or_default().trim().to_ascii_lowercase();
        if head.is_message_stream() {
            // Nobody compresses these.
            let is_plain = coding.is_empty() || coding == "identity";
            return is_plain.then(|| MarkerScan::Messages { decoder: Decoder::default(), scan });
        }
        if coding.is_empty() || coding == "identity" {
            return Some(MarkerScan::Plain(scan));
        }
        let found = Arc::new(AtomicBool::new(false));
        let sink = Sink { scan, found: found.clone() };
        let decoder: Box<dyn Write + Send> = match coding.as_str() {
            "gzip" | "x-gzip" => Box::new(flate2::write::MultiGzDecoder::new(sink)),
            "deflate" => Box::new(flate2::write::ZlibDecoder::new(sink)),
            "br" => Box::new(brotli_decompressor::DecompressorWriter::new(sink, DECODED)),
            "zstd" => Box::new(zstd::stream::write::Decoder::new(sink).ok()?),
            _ => return None,
        };
        Some(MarkerScan::Coded { decoder, found })
    }

    /// Takes the next frame; true when a marker came to its end in it.
    pub(super) fn feed(&mut self, frame: &[u8]) -> bool {
        match self {
            MarkerScan::Plain(scan) => scan.feed(frame),
            MarkerScan::Messages { decoder, scan } => {
                let messages = decoder.push(frame);
                messages.iter().any(|message| scan.feed(&message.line()))
            }
            MarkerScan::Coded { decoder, found } => {
                // Bytes that do not decode hold no event that the agent could see.
                let _ = decoder.write_all(frame).and_then(|()| decoder.flush());
                found.swap(false, Ordering::Relaxed)
            }
        }
    }
}

/// Takes what a decoder puts out.
struct Sink {
    scan: Scan,
    found: Arc<AtomicBool>,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.scan.feed(bytes) {
            self.found.store(true, Ordering::Relaxed);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A scan over what a stream says, decoded.
pub(super) enum Scan {
    Lines(LineScan),
    Members(MemberScan),
}

impl Scan {
    fn feed(&mut self, bytes: &[u8]) -> bool {
        match self {
            Scan::Lines(scan) => scan.feed(bytes),
            Scan::Members(scan) => scan.feed(bytes),
        }
    }
}

/// A scan over the lines of an event stream.
pub(super) struct LineScan {
    markers: Vec<Bytes>,
    longest: usize,
    /// The start of the line that the stream is in, as far as a marker can reach.
    line: Vec<u8>,
    /// The rest of this line cannot hold a marker.
    past: bool,
    /// A marker was found that stands for its whole event: the empty line that ends it is to come.
    awaits_end: bool,
    /// The last byte was a CR: a LF that follows belongs to it.
    after_cr: bool,
}

/// What a marker that stands for its whole event ends in.
const WHOLE_EVENT: &[u8] = b"\n\n";

impl LineScan {
    fn new(markers: Vec<Bytes>) -> LineScan {
        let longest = markers.iter().map(Bytes::len).max().unwrap_or_default();
        let line = Vec::with_capacity(longest);
        LineScan { markers, longest, line, past: false, awaits_end: false, after_cr: false }
    }

    fn feed(&mut self, bytes: &[u8]) -> bool {
        let mut found = false;
        let mut rest = bytes;
        while !rest.is_empty() {
            let end = memchr::memchr2(b'\n', b'\r', rest);
            let (text, after) = rest.split_at(end.unwrap_or(rest.len()));
            let second_half =
                std::mem::take(&mut self.after_cr) && text.is_empty() && after.starts_with(b"\n");
            if !self.past {
                found |= self.extend_line(text);
            }
            if end.is_some() && !second_half {
                if self.line.is_empty() {
                    found |= std::mem::take(&mut self.awaits_end);
                }
                self.line.clear();
                self.past = false;
            }
            self.after_cr = after.starts_with(b"\r");
            rest = after.get(1..).unwrap_or_default();
        }
        found
    }

    fn extend_line(&mut self, text: &[u8]) -> bool {
        let room = self.longest - self.line.len();
        self.line.extend_from_slice(text.get(..room).unwrap_or(text));
        let stands = |start: &[u8]| !start.is_empty() && self.line.starts_with(start);
        let mut found = false;
        for marker in self.markers.iter() {
            match marker.strip_suffix(WHOLE_EVENT) {
                Some(start) => self.awaits_end |= stands(start),
                None => found |= stands(marker),
            }
        }
        self.past = found || self.line.len() >= self.longest;
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::HeaderList;
    use proptest::prelude::*;

    fn markers() -> Arc<[Bytes]> {
        let markers = [&b"data: [DONE]"[..], b"event: message_stop"];
        markers.into_iter().map(Bytes::from_static).collect()
    }

    fn scan() -> LineScan {
        LineScan::new(markers().to_vec())
    }

    fn coded(coding: &str) -> Option<MarkerScan> {
        let fields = [("Content-Type", "text/event-stream"), ("Content-Encoding", coding)];
        let headers = HeaderList(fields.map(|(n, v)| (n.to_string(), v.to_string())).to_vec());
        MarkerScan::of(&ResponseHead { status: 200, headers }, &markers())
    }

    const FIRST: &[u8] = b"data: {\"n\":1}\n\n";
    const LAST: &[u8] = b"data: [DONE]\n\n";

    const BROTLI_1: &[u8] = &[11, 7, 128, 100, 97, 116, 97, 58, 32, 123, 34, 110, 34, 58, 49, 125, 10, 10];
    const BROTLI_2: &[u8] = &[104, 0, 128, 95, 82, 97, 171, 43, 9, 81, 68, 147, 18, 96, 37, 42, 131, 31, 3];

    /// Two events, flushed after each.
    fn packed<W: Write>(mut encoder: W, take: impl Fn(&mut W) -> Vec<u8>) -> [Vec<u8>; 2] {
        [FIRST, LAST].map(|event| {
            encoder.write_all(event).unwrap();
            encoder.flush().unwrap();
            take(&mut encoder)
        })
    }

    #[test]
    fn a_marker_is_found_in_compressed_streams() {
        let fast = flate2::Compression::fast();
        let gzip = packed(flate2::write::GzEncoder::new(Vec::new(), fast), |e| std::mem::take(e.get_mut()));
        let zlib = packed(flate2::write::ZlibEncoder::new(Vec::new(), fast), |e| std::mem::take(e.get_mut()));
        let zstd = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        let zstd = packed(zstd, |e| std::mem::take(e.get_mut()));
        let brotli = [BROTLI_1.to_vec(), BROTLI_2.to_vec()];
        for (coding, [first, last]) in [("gzip", gzip), ("Deflate", zlib), ("zstd", zstd), ("br", brotli)] {
            let mut scan = coded(coding).unwrap();
            assert!(!scan.feed(&first), "{coding}");
            let (left, right) = last.split_at(last.len() / 2);
            let found = (scan.feed(left), scan.feed(right));
            assert!(found.0 || found.1, "{coding}");
            assert!(!scan.feed(b"what does not decode"), "{coding}");
        }
        assert!(coded("compress").is_none());
        assert!(coded("identity").unwrap().feed(LAST));
    }

    #[test]
    fn a_marker_counts_at_the_start_of_a_line_only() {
        assert!(scan().feed(b"data: {}\n\ndata: [DONE]\n\n"));
        assert!(scan().feed(b"data: {}\r\rdata: [DONE]"));
        assert!(scan().feed(b"event: message_stop\r\ndata: {}\r\n\r\n"));
        assert!(!scan().feed(b"data: {\"text\":\"data: [DONE]\"}\n\n data: [DONE]\n\ndata: [DONE"));
    }

    #[test]
    fn a_marker_for_a_whole_event_is_found_at_its_empty_line() {
        for feed in ["\n", "\r\n", "\r"] {
            let stream = ["event: end", "data: {", "data: }", "", "event: more", ""].join(feed);
            let over = stream.find("event: more").unwrap();
            for step in [1, 3, stream.len()] {
                let mut scan = LineScan::new(vec![Bytes::from_static(b"event: end\n\n")]);
                let mut at = 0;
                let found = stream.as_bytes().chunks(step).find_map(|chunk| {
                    at += chunk.len();
                    scan.feed(chunk).then_some(at)
                });
                let (least, most) = (over - if feed == "\r\n" { 1 } else { 0 }, over + step);
                assert!(found.is_some_and(|at| (least..=most).contains(&at)), "{feed:?} {step} {found:?}");
            }
        }
        let mut scan = LineScan::new(vec![Bytes::from_static(b"event: end\n\n")]);
        assert!(!scan.feed(b"event: en\n\nevent: end\ndata: 1\n") && scan.feed(b"\n"));
    }

    #[test]
    fn messages_are_lines() {
        let text = |text: &str| crate::exchange::eventstream::HeaderValue::Text(text.into());
        let message = |name: &str, kind: &str, payload: &[u8]| {
            let headers = [(":event-type", text(name)), (":message-type", text(kind))];
            crate::exchange::eventstream::encode(&headers, payload).unwrap()
        };
        let markers: Vec<Bytes> = crate::dialect::all()
            .iter()
            .flat_map(|d| d.terminal_markers())
            .map(|m| Bytes::from_static(m))
            .collect();
        let fields = vec![("content-type".to_string(), "application/vnd.amazon.eventstream".to_string())];
        let head = ResponseHead { status: 200, headers: HeaderList(fields) };
        let quiet = [
            message("contentBlockDelta", "event", b"{\"delta\":{\"text\":\"\n:event-type messageStop\n\"}}"),
            message("chunk", "event", b"{\"bytes\":\"eyJ0eXBlIjoicGluZyJ9\"}"),
        ];
        let last = [
            message("messageStop", "event", b"{}"),
            message("metadata", "event", b"{}"),
            message("throttlingException", "exception", b"{}"),
            // {"type":"message_stop"}
            message("chunk", "event", b"{\"bytes\":\"eyJ0eXBlIjoibWVzc2FnZV9zdG9wIn0=\"}"),
        ];
        for last in last {
            let stream = [quiet.concat(), last].concat();
            for step in [1, 7, stream.len()] {
                let mut scan = MarkerScan::of(&head, &Arc::from(markers.clone())).unwrap();
                let mut at = 0;
                let found = stream.chunks(step).find_map(|chunk| {
                    at += chunk.len();
                    scan.feed(chunk).then_some(at)
                });
                assert_eq!(found, Some(stream.len()), "{step}");
            }
        }
        let mut scan = MarkerScan::of(&head, &Arc::from(markers)).unwrap();
        assert!(!scan.feed(&quiet.concat()));
    }

    #[test]
    fn no_markers_never_match() {
        let mut none = LineScan::new(Vec::new());
        assert!(!none.feed(b"data: [DONE]\n\n"));
        let mut empty = LineScan::new(vec![Bytes::new()]);
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
