use super::*;
use proptest::prelude::*;

fn text(value: &str) -> HeaderValue {
    HeaderValue::Text(value.into())
}

fn event(name: &str, payload: &str) -> Vec<u8> {
    let headers = [
        (":event-type", text(name)),
        (":content-type", text("application/json")),
        (":message-type", text("event")),
    ];
    encode(&headers, payload.as_bytes()).unwrap()
}

/// The message of the protocol's own test suite: `{'foo':'bar'}` under `content-type: application/json`.
const KNOWN: [u8; 61] = [
    0x00, 0x00, 0x00, 0x3d, 0x00, 0x00, 0x00, 0x20, 0x07, 0xfd, 0x83, 0x96, 0x0c, b'c', b'o', b'n', b't',
    b'e', b'n', b't', b'-', b't', b'y', b'p', b'e', 0x07, 0x00, 0x10, b'a', b'p', b'p', b'l', b'i', b'c',
    b'a', b't', b'i', b'o', b'n', b'/', b'j', b's', b'o', b'n', b'{', b'\'', b'f', b'o', b'o', b'\'', b':',
    b'\'', b'b', b'a', b'r', b'\'', b'}', 0x8d, 0x9c, 0x08, 0xb1,
];

#[test]
fn a_message_is_as_amazon_writes_it() {
    let (messages, damage) = read(&KNOWN);
    assert_eq!(damage, None);
    assert_eq!(messages[0].header("content-type"), Some("application/json"));
    assert_eq!(messages[0].payload, b"{'foo':'bar'}");
    let written = encode(&[("content-type", text("application/json"))], b"{'foo':'bar'}").unwrap();
    assert_eq!(written, KNOWN);
}

#[test]
fn damage_is_named_with_its_place() {
    let whole = [event("a", "{}"), event("b", "{\"x\":1}")].concat();
    let first = event("a", "{}").len();
    let what = |stream: &[u8]| {
        let (messages, damage) = read(stream);
        (messages.len(), damage.map(|d| (d.at, d.what)))
    };
    assert_eq!(what(&whole), (2, None));
    let at_second = |what: &'static str| (1, Some((first, what)));
    assert_eq!(what(&whole[..whole.len() - 1]), at_second("the stream ends inside of a message"));
    assert_eq!(what(&whole[..first + 3]), at_second("the stream ends inside of a message"));
    let with = |at: usize| {
        let mut stream = whole.clone();
        stream[at] ^= 1;
        stream
    };
    let sum = "a message does not agree with its checksum";
    assert_eq!(what(&with(whole.len() - 1)), at_second(sum));
    assert_eq!(what(&with(first + 20)), at_second(sum));
    assert_eq!(what(&with(first)), at_second("the lengths of a message do not agree with their checksum"));
    let mut huge = [0xff_u8; 12];
    let sum = crc32fast::hash(&huge[..8]).to_be_bytes();
    huge[8..].copy_from_slice(&sum);
    assert_eq!(what(&huge), (0, Some((0, "a message has an impossible length"))));
    assert_eq!(
        what(&framed(&[3, b'a'], b"").unwrap()).1.unwrap().1,
        "the headers of a message cannot be read"
    );
    assert_eq!(what(&framed(&[1, b'a', 10], b"").unwrap()).1.unwrap().0, 0, "a type that is not known");
    assert_eq!(what(b""), (0, None));
}

#[test]
fn what_no_reader_would_take_is_not_written() {
    assert_eq!(encode(&[(&"n".repeat(256), text("v"))], b""), Err(TooLong));
    assert_eq!(encode(&[("n", text(&"v".repeat(65_536)))], b""), Err(TooLong));
    assert_eq!(framed(&vec![0; MAX_HEADERS + 1], b""), Err(TooLong));
    assert_eq!(framed(b"", &vec![0; MAX_MESSAGE - FRAMING + 1]), Err(TooLong));
    assert!(framed(b"", &vec![0; MAX_MESSAGE - FRAMING]).is_ok());
}

#[test]
fn a_transcript_reads_like_server_sent_events() {
    let chunk = r#"{"bytes":"eyJ0eXBlIjoicGluZyJ9","p":"abc"}"#;
    let failed = encode(
        &[(":exception-type", text("throttlingException")), (":message-type", text("exception"))],
        b"{\"message\":\n\"slow\"}",
    );
    let stream = [event("messageStart", r#"{"role":"assistant"}"#), event("chunk", chunk), failed.unwrap()];
    let transcript = Transcript::of(&[stream.concat(), b"\0\0".to_vec()].concat());
    let lines = "event: messageStart\ndata: {\"role\":\"assistant\"}\n\nevent: chunk\ndata: {\"type\":\"ping\"}\n\n\
                 event: exception:throttlingException\ndata: {\"message\": \"slow\"}\n\n";
    assert_eq!(String::from_utf8_lossy(transcript.text()), lines);
    assert_eq!(transcript.read_to(), stream.concat().len());
}

#[test]
fn what_is_rewritten_has_new_lengths_and_checksums() {
    let chunk = r#"{"bytes":"eyJ0eXBlIjoicGluZyJ9","p":"abc"}"#;
    let stream = [event("a", r#"{"text":"ping"}"#), event("b", "{}"), event("chunk", chunk)].concat();
    let (old, behind) = (stream.as_slice(), [stream.clone(), vec![0; 5]].concat());
    let transcript = Transcript::of(&behind);
    let text = String::from_utf8(transcript.text().to_vec()).unwrap();
    let places: Vec<usize> = text.match_indices("ping").map(|(at, _)| at).collect();
    let now = |at: usize| at + 3 * places.iter().filter(|p| **p < at).count();
    let (new, changed) = transcript.rewritten(&behind, text.replace("ping", "pongpon").as_bytes(), &now);
    let (messages, damage) = read(&new[..new.len() - 5]);
    assert_eq!(damage, None);
    assert_eq!(messages[0].payload, br#"{"text":"pongpon"}"#);
    assert_eq!(new[messages[1].span.clone()], old[read(old).0[1].span.clone()], "unchanged bytes");
    assert_eq!(messages[2].payload, br#"{"bytes":"eyJ0eXBlIjoicG9uZ3BvbiJ9","p":"abc"}"#);
    assert_eq!(changed.len(), 2);
    assert_eq!(changed[1].now, messages[2].span.len());
    let (same, none) = transcript.rewritten(&behind, transcript.text(), &|at| at);
    assert!(same == behind && none.is_empty());
}

fn value() -> impl Strategy<Value = HeaderValue> {
    prop_oneof![
        any::<bool>().prop_map(HeaderValue::Bool),
        any::<i8>().prop_map(HeaderValue::Byte),
        any::<i16>().prop_map(HeaderValue::Short),
        any::<i32>().prop_map(HeaderValue::Int),
        any::<i64>().prop_map(HeaderValue::Long),
        prop::collection::vec(any::<u8>(), 0..20).prop_map(HeaderValue::Bytes),
        ".{0,10}".prop_map(HeaderValue::Text),
        any::<i64>().prop_map(HeaderValue::Timestamp),
        any::<[u8; 16]>().prop_map(HeaderValue::Uuid),
    ]
}

type Plain = (Vec<(String, HeaderValue)>, Vec<u8>);

fn messages() -> impl Strategy<Value = Vec<Plain>> {
    let headers = prop::collection::vec((".{0,8}", value()), 0..4);
    prop::collection::vec((headers, prop::collection::vec(any::<u8>(), 0..60)), 0..5)
}

fn written(messages: &[Plain]) -> Vec<u8> {
    let each = messages.iter().map(|(headers, payload)| {
        let headers: Vec<_> = headers.iter().map(|(n, v)| (n.as_str(), v.clone())).collect();
        encode(&headers, payload).unwrap()
    });
    each.collect::<Vec<_>>().concat()
}

proptest! {
    #[test]
    fn what_is_written_reads_as_it_was(given in messages(), cuts in prop::collection::vec(0usize..400, 0..12)) {
        let stream = written(&given);
        let (whole, damage) = read(&stream);
        prop_assert_eq!(damage, None);
        let plain: Vec<Plain> = whole.iter().map(|m| (m.headers.clone(), m.payload.clone())).collect();
        prop_assert_eq!(plain, given);
        prop_assert_eq!(whole.last().map_or(0, |m| m.span.end), stream.len());
        let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(stream.len())).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let mut decoder = Decoder::default();
        let read: Vec<Message> = cuts.windows(2).flat_map(|w| decoder.push(&stream[w[0]..w[1]])).collect();
        prop_assert_eq!(read, whole);
        prop_assert_eq!(decoder.finish(), None);
    }

    #[test]
    fn mutated_bytes_are_damage_and_nothing_else(
        given in messages(), at in any::<prop::sample::Index>(), flip in 1u8..=255, cut in any::<prop::sample::Index>(),
    ) {
        let stream = written(&given);
        prop_assume!(!stream.is_empty());
        let at = at.index(stream.len());
        let mut other = stream.clone();
        other[at] ^= flip;
        let (before, damage) = read(&other);
        let whole = read(&stream).0;
        prop_assert!(damage.is_some());
        prop_assert_eq!(&whole[..before.len()], &before[..]);
        prop_assert!(before.iter().all(|m| m.span.end <= at));
        let transcript = Transcript::of(&other[..cut.index(other.len())]);
        let (same, _) = transcript.rewritten(&other, transcript.text(), &|at| at);
        prop_assert_eq!(same, other);
    }

    #[test]
    fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let (messages, _) = read(&bytes);
        prop_assert!(messages.iter().all(|m| bytes.get(m.span.clone()).is_some()));
        Transcript::of(&bytes);
    }
}
