use super::*;
use proptest::prelude::*;

fn data(stream: &str) -> Vec<String> {
    events(stream.as_bytes()).into_iter().map(|e| e.data).collect()
}

#[test]
fn every_line_ending_is_read() {
    for end in ["\n", "\r", "\r\n"] {
        let stream = ["data: a", "", "event: e", "data:b", "data: c", "", "data", "", ""].join(end);
        let events = events(stream.as_bytes());
        let read: Vec<_> = events.iter().map(|e| (e.name.as_str(), e.data.as_str())).collect();
        assert_eq!(read, vec![("", "a"), ("e", "b\nc"), ("", "")], "{end:?}");
        assert!(events.iter().all(|e| e.ended));
    }
}

#[test]
fn mark_comments_and_unknown_fields_are_passed_over() {
    assert_eq!(
        data("\u{feff}data: a\n\n: ping\n\nretry: 3\nfoo: bar\n\n: c\ndata:  b\nid: 7\n\n"),
        vec!["a", " b"]
    );
    assert_eq!(data("event: only-a-name\n\ndata: x\n\n"), vec!["x"]);
}

#[test]
fn ranges_are_those_of_the_stream() {
    let stream = b"\xef\xbb\xbfdata: one\r\n\r\n: c\nevent: e\ndata: two\ndata:three\n\nrest";
    let events = events(stream);
    assert_eq!(&stream[events[0].data_spans[0].clone()], b"one");
    let lines: Vec<_> = events[1].data_spans.iter().map(|r| &stream[r.clone()]).collect();
    assert_eq!(lines, vec![&b"two"[..], b"three"]);
    assert_eq!(&stream[events[1].span.clone()], b": c\nevent: e\ndata: two\ndata:three\n\n");
    assert_eq!(events.len(), 2);
}

#[test]
fn an_event_without_its_empty_line_is_given_and_marked() {
    for stream in ["data: a\n\ndata: [DONE]", "data: a\n\ndata: [DONE]\n", "data: a\n\ndata: [DONE]\r"] {
        let events = events(stream.as_bytes());
        assert_eq!((events[1].data.as_str(), events[1].ended), ("[DONE]", false));
        assert_eq!(events[1].span, 9..stream.len());
    }
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    let pieces: [&[u8]; 12] = [
        b"data: ",
        b"data:{\"a\":1}",
        b"event: x",
        b": c",
        b"\n",
        b"\r",
        b"\r\n",
        b"\n\n",
        "é".as_bytes(),
        b"\xef\xbb\xbf",
        b"\xff",
        b"id",
    ];
    let piece = prop::sample::select(pieces.to_vec());
    prop::collection::vec(piece, 0..30).prop_map(|p| p.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn cuts_do_not_matter(stream in stream(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8)) {
        let mut at: Vec<usize> = cuts.iter().map(|c| c.index(stream.len() + 1)).collect();
        at.extend([0, stream.len()]);
        at.sort();
        let mut parser = Parser::default();
        let mut read = Vec::new();
        for w in at.windows(2) {
            read.extend(parser.push(&stream[w[0]..w[1]]));
        }
        read.extend(parser.finish());
        prop_assert_eq!(&read, &events(&stream));
        for event in &read {
            let lines: Vec<_> = event.data_spans.iter().map(|r| String::from_utf8_lossy(&stream[r.clone()])).collect();
            prop_assert_eq!(lines.join("\n"), event.data.clone());
            prop_assert!(event.data_spans.iter().all(|r| event.span.start <= r.start && r.end <= event.span.end));
        }
        prop_assert!(read.windows(2).all(|w| w[0].span.end <= w[1].span.start));
    }
}
