//! Event streams: the text that the events spell out piece by piece, scanned whole and mapped back.

use super::Redacted;
use super::coding::Coding;
use super::leaves::{self, Leaf};
use super::scan::{Layer, Scan};
use super::{Redactor, roundtrip};
use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

/// The key of data that is not JSON; such pieces are one text.
pub(super) const PLAIN: u64 = 1;

/// Redacts a stream of server-sent events, or of JSON lines.
pub(super) fn redact<'a>(redactor: &Redactor, bytes: &'a [u8]) -> Redacted<'a> {
    let mut scan = Scan::new(redactor);
    let mut text = Cow::Borrowed(bytes);
    let mut skip: Vec<Range<usize>> = Vec::new();
    for group in groups(bytes) {
        if group.len() < 2 && redactor.patterns.is_empty() {
            continue;
        }
        assembled(&mut scan, &mut text, &group);
        if group.len() > 1 {
            skip.extend(group.into_iter().map(|l| l.range));
        }
    }
    skip.sort_by_key(|r| r.start);
    scan.layer(&mut text, Layer::body(true, &skip));
    let (stand_ins, untouched) = scan.stand_ins();
    Redacted { bytes: text, stand_ins, untouched }
}

/// Scans the text that some strings spell out together.
fn assembled(scan: &mut Scan<'_>, text: &mut Cow<'_, [u8]>, group: &[Leaf]) {
    let mut plain = Vec::new();
    for leaf in group {
        let coded = text.get(leaf.range.clone()).unwrap_or_default();
        match leaf.escaped {
            true => Coding::Escapes.decode_into(coded, &mut plain),
            false => plain.extend_from_slice(coded),
        }
    }
    let Some(first) = group.first() else { return };
    let sealed = roundtrip::is_sealed_field(text.get(first.name.clone()).unwrap_or_default(), &plain, true);
    let found = scan.found.len();
    let mut whole = Cow::Borrowed(plain.as_slice());
    if !scan.layer(&mut whole, Layer::within(first.range.start)) {
        return;
    }
    if sealed {
        scan.unfind(found);
        return;
    }
    let mut rest: &[u8] = &whole;
    for leaf in group {
        let Some(coded) = text.to_mut().get_mut(leaf.range.clone()) else { return };
        let used = match leaf.escaped {
            true => Coding::Escapes.rewrite(coded, rest),
            false => {
                let used = coded.len().min(rest.len());
                coded[..used].copy_from_slice(&rest[..used]);
                used
            }
        };
        rest = rest.get(used..).unwrap_or_default();
    }
}

/// The strings of all events, those of one text together, in the order of their first.
pub(super) fn groups(bytes: &[u8]) -> Vec<Vec<Leaf>> {
    let mut groups: Vec<Vec<Leaf>> = Vec::new();
    let mut places: HashMap<u64, usize> = HashMap::new();
    for leaf in leaves_of(bytes) {
        let place = *places.entry(leaf.key).or_insert(groups.len());
        match groups.get_mut(place) {
            Some(group) => group.push(leaf),
            None => groups.push(vec![leaf]),
        }
    }
    groups
}

fn leaves_of(bytes: &[u8]) -> Vec<Leaf> {
    let mut found = Vec::new();
    let mut event: Vec<Range<usize>> = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let tail = bytes.get(at..).unwrap_or_default();
        let length = memchr::memchr(b'\n', tail).unwrap_or(tail.len());
        let line = tail.get(..length).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if let Some(data) = line.strip_prefix(b"data:") {
            let data = data.strip_prefix(b" ").unwrap_or(data);
            let end = at + line.len();
            event.push(end - data.len()..end);
        } else if line.starts_with(b"{") {
            leaves::collect(bytes, at..at + line.len(), &mut found);
        } else if line.is_empty() {
            read_event(bytes, &event, &mut found);
            event.clear();
        }
        at += length + 1;
    }
    read_event(bytes, &event, &mut found);
    found
}

fn read_event(bytes: &[u8], lines: &[Range<usize>], found: &mut Vec<Leaf>) {
    let (Some(first), Some(last)) = (lines.first(), lines.last()) else { return };
    let head = bytes.get(first.clone()).unwrap_or_default();
    let is_json = matches!(head.trim_ascii_start().first(), Some(b'{' | b'[')) && head != b"[DONE]";
    if !is_json {
        let plain = lines.iter().filter(|l| bytes.get((*l).clone()) != Some(b"[DONE]"));
        found.extend(plain.map(|l| Leaf {
            key: PLAIN,
            range: l.clone(),
            name: 0..0,
            escaped: false,
            sealed: false,
        }));
    } else if lines.len() == 1 {
        leaves::collect(bytes, first.clone(), found);
    } else {
        // What stands between the lines of one JSON text is white space to it.
        let mut joined = vec![b' '; last.end];
        for line in lines {
            if let (Some(to), Some(from)) = (joined.get_mut(line.clone()), bytes.get(line.clone())) {
                to.copy_from_slice(from);
            }
        }
        leaves::collect(&joined, first.start..last.end, found);
    }
}
