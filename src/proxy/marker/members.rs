//! Members of the objects in a stream of JSON lines: `"done":true`, wherever in its line it stands.

use bytes::Bytes;

/// A scan over the lines of a stream of JSON objects.
pub(in crate::proxy) struct MemberScan {
    /// What a member begins with, without white space: `"done":true`.
    wanted: Vec<Bytes>,
    longest: usize,
    /// The member that the scan is in, of the line's own object, as far as one that is wanted can reach.
    member: Vec<u8>,
    depth: u32,
    in_string: bool,
    escaped: bool,
    /// A wanted member was found: clients act when its line is over.
    awaits_end: bool,
}

impl MemberScan {
    /// `markers`: each a brace and what a member begins with.
    pub(super) fn new(markers: Vec<Bytes>) -> MemberScan {
        let wanted: Vec<Bytes> = markers.iter().map(|m| m.slice(1.min(m.len())..)).collect();
        let longest = wanted.iter().map(Bytes::len).max().unwrap_or_default();
        MemberScan {
            wanted,
            longest,
            member: Vec::with_capacity(longest),
            depth: 0,
            in_string: false,
            escaped: false,
            awaits_end: false,
        }
    }

    /// Takes the next bytes; true when a line with a wanted member came to its end in them.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> bool {
        let mut found = false;
        let mut rest = bytes;
        while let Some((&byte, after)) = rest.split_first() {
            rest = after;
            if self.in_string {
                self.take(byte);
                match byte {
                    _ if std::mem::take(&mut self.escaped) => {}
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    // A long text is passed over at the speed of memory.
                    _ if self.is_full() => {
                        let end = memchr::memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
                        rest = rest.get(end..).unwrap_or_default();
                    }
                    _ => {}
                }
                continue;
            }
            match byte {
                // A line's end puts right whatever was broken before it.
                b'\n' => {
                    found |= std::mem::take(&mut self.awaits_end);
                    self.depth = 0;
                    self.member.clear();
                }
                b' ' | b'\t' | b'\r' => {}
                b'{' | b'[' => {
                    self.take(byte);
                    self.depth = self.depth.saturating_add(1);
                    if self.depth == 1 {
                        self.member.clear();
                    }
                }
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                b',' if self.depth == 1 => self.member.clear(),
                _ => {
                    self.in_string = byte == b'"';
                    self.take(byte);
                }
            }
        }
        found
    }

    /// True where nothing that follows can make a wanted member of this one.
    fn is_full(&self) -> bool {
        self.depth != 1 || self.member.len() >= self.longest
    }

    fn take(&mut self, byte: u8) {
        if !self.is_full() {
            self.member.push(byte);
            self.awaits_end |= self.wanted.iter().any(|w| !w.is_empty() && self.member == *w);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found_at(stream: &str, step: usize) -> Option<usize> {
        let markers = [&b"{\"done\":true"[..], b"{\"error\":\""];
        let mut scan = MemberScan::new(markers.map(Bytes::from_static).to_vec());
        let mut at = 0;
        stream.as_bytes().chunks(step).find_map(|chunk| {
            at += chunk.len();
            scan.feed(chunk).then_some(at)
        })
    }

    #[test]
    fn a_member_of_the_line_is_found_at_the_lines_end() {
        let first = "{\"message\":{\"content\":\"\\\"done\\\":true, {\\n\",\"done\":true},\"done\":false}\n";
        for last in [
            "{\"model\":\"m\",\"message\":{\"tool_calls\":[{\"done\":1}]},\"done_reason\":\"stop\",\"done\":true,\"eval_count\":3}\n",
            "{ \"done\" : true }\r\n",
            "{\"error\": \"out of memory\"}\n",
            "{\"a\":[1,{\"b\":\"}\"}],\"done\":true}\n",
        ] {
            let stream = format!("{first}{first}{last}");
            for step in [1, 7, stream.len()] {
                let at = found_at(&stream, step).unwrap_or_else(|| panic!("{last} by {step}"));
                assert!((stream.len()..stream.len() + step).contains(&(at + step - 1).max(stream.len())));
                assert!(at > 2 * first.len() || step == stream.len());
            }
            assert_eq!(found_at(stream.trim_end(), 5), None, "the line is not over");
        }
        assert_eq!(found_at(&first.repeat(3), 4), None);
        assert_eq!(found_at("{\"error\":null,\"done\":false}\n", 4), None);
        assert_eq!(found_at("{\"undone\":true}\n{\"done\":\"true\"}\n", 4), None);
    }

    #[test]
    fn a_broken_line_does_not_hide_the_next() {
        assert!(found_at("{\"a\":[[{\n{\"done\":true}\n", 3).is_some());
    }

    proptest! {
        #[test]
        fn junk_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), step in 1usize..9) {
            let mut scan = MemberScan::new(vec![Bytes::from_static(b"{\"done\":true"), Bytes::new()]);
            for chunk in bytes.chunks(step) {
                scan.feed(chunk);
            }
        }
    }
}
