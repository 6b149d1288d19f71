//! The binary event stream of AWS.

use super::some_place;
use retake::exchange::eventstream::{Decoder, Transcript, read};

/// However a stream is cut into reads, it has the same messages; what says what it said is written as it was. A stream
/// whose checksums were broken by a mutation is looked at with right ones too.
pub fn run(data: &[u8]) {
    one(data);
    one(&mended(data));
}

fn one(data: &[u8]) {
    let (messages, damage) = read(data);
    let (first, second) = data.split_at(some_place(data));
    let mut decoder = Decoder::default();
    let mut cut = decoder.push(first);
    cut.extend(decoder.push(second));
    assert_eq!((&cut, &decoder.finish()), (&messages, &damage));
    for message in &messages {
        assert!(message.span.end <= data.len() && message.headers_span().end <= message.span.end);
        assert!(message.line().ends_with(b"\n"));
    }
    let transcript = Transcript::of(data);
    assert!(transcript.read_to() <= data.len());
    let (same, changed) = transcript.rewritten(data, transcript.text(), &|at| at);
    assert!(same == data && changed.is_empty());
}

/// The stream with right lengths and checksums where its messages can be told apart.
fn mended(data: &[u8]) -> Vec<u8> {
    let word =
        |at: usize| data.get(at..at + 4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]) as usize);
    let mut out = data.to_vec();
    let mut at = 0;
    while let Some(total) = word(at).filter(|total| (16..=data.len() - at).contains(total)) {
        let prelude = crc(&out[at..at + 8]);
        out[at + 8..at + 12].copy_from_slice(&prelude);
        let end = at + total;
        let whole = crc(&out[at..end - 4]);
        out[end - 4..end].copy_from_slice(&whole);
        at = end;
    }
    out
}

fn crc(bytes: &[u8]) -> [u8; 4] {
    crc32fast::hash(bytes).to_be_bytes()
}
