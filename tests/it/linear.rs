//! Parsers that see bytes from outside take time that grows with their number, not with its square: on megabytes of what
//! each of them likes least, an algorithm that looks back at every byte would not end within the day.

use retake::dialect::conversation::{Block, ModelAnswer};
use retake::dialect::{all, sse};
use retake::exchange::{HeaderList, ResponseHead, canon, eventstream, json, messages, parts};
use retake::holes::{Bindings, Holes, Rules, Side, Surroundings};
use retake::mcp::message;
use retake::otlp::{Batch, Encoding, Signal, langsmith};
use retake::redact::{KnownSecret, Redactor};
use std::collections::HashSet;

/// About so many bytes.
const MUCH: usize = 2 << 20;

/// A piece, again and again.
fn much(piece: &str) -> Vec<u8> {
    piece.repeat(MUCH / piece.len()).into_bytes()
}

/// With something before and behind.
fn within(before: &str, piece: &str, behind: &str) -> Vec<u8> {
    [before.as_bytes(), &much(piece), behind.as_bytes()].concat()
}

#[test]
fn events_in_chunks_of_one_byte() {
    for (stream, count) in [
        (within("data: ", "x", "\n\n"), 1),
        (within("", "data: x\n", "\n"), 1),
        (much("data:x\n\n"), MUCH / 8),
        (within("data: x", "\r", ""), 1),
        (within("", ": a comment\n", "data: x\n\n"), 1),
        (much("\n"), 0),
    ] {
        let mut parser = sse::Parser::default();
        let mut events: usize = stream.iter().map(|byte| parser.push(&[*byte]).len()).sum();
        events += usize::from(parser.finish().is_some());
        assert_eq!(events, count);
        assert_eq!(sse::events(&stream).len(), count);
    }
}

#[test]
fn json_that_is_deep_wide_or_says_a_name_twice() {
    for deep in [much("["), much(r#"{"a":"#), within("", "[", &"]".repeat(MUCH))] {
        // Refused or not: it is said, and soon.
        let _ = (json::parse(&deep).is_ok(), canon::canonical(&deep).is_ok());
        parts::split(&deep);
        message::Message::read(&deep);
    }
    let wide = within("[", "1,", "1]");
    assert_eq!(json::parse(&wide).expect("JSON").elements().len(), MUCH / 2 + 1);
    let twice = within("{", r#""a":1,"#, r#""a":2}"#);
    let read = json::parse(&twice).expect("JSON");
    read.to_value();
    canon::canonical(&twice).expect("JSON");
    let names: Vec<String> = (0..MUCH / 16).map(|n| format!("\"n{n}\":{n}")).collect();
    let names = format!("{{{}}}", names.join(","));
    json::parse(names.as_bytes()).expect("JSON").to_value();
    canon::canonical(names.as_bytes()).expect("JSON");
    for text in
        [within("\"", "\\\"", "\""), within("\"", "\\u00e4", "\""), within("\"", "\\ud800", "\""), much("\"")]
    {
        let _ = canon::canonical(&text);
        parts::split(&text);
    }
    let elements = within(r#"{"messages":["#, r#"{"role":"user","content":"x"},"#, "1]}");
    let split = parts::split(&elements);
    parts::resplit(&elements, &elements, &split);
}

#[test]
fn binary_events_in_chunks_of_one_byte() {
    let text = |text: &str| eventstream::HeaderValue::Text(text.into());
    let headers = [(":event-type", text("chunk")), (":message-type", text("event"))];
    let small = eventstream::encode(&headers, b"{}").expect("a message");
    let count = MUCH / small.len();
    let long = eventstream::encode(&headers, &vec![b'x'; MUCH]).expect("a message");
    for (stream, count) in [(small.repeat(count), count), (long, 1)] {
        let mut decoder = eventstream::Decoder::default();
        let read: usize = stream.iter().map(|byte| decoder.push(&[*byte]).len()).sum();
        assert_eq!((read, decoder.finish()), (count, None));
    }
}

/// How each dialect streams a piece of text, and of a call's arguments.
const STREAMS: [(&str, &str, &[&str]); 6] = [
    (
        "openai-chat",
        "text/event-stream",
        &[
            "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"}}]}\n\n",
            "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"c\",\"function\":{\"name\":\"f\",\"arguments\":\"[\"}}]}}]}\n\n",
        ],
    ),
    (
        "openai-responses",
        "text/event-stream",
        &[
            "data: {\"type\":\"response.output_text.delta\",\"item_id\":\"m\",\"output_index\":0,\"content_index\":0,\"delta\":\"x\"}\n\n",
            "data: {\"type\":\"response.function_call_arguments.delta\",\"item_id\":\"f\",\"output_index\":1,\"delta\":\"[\"}\n\n",
        ],
    ),
    (
        "anthropic",
        "text/event-stream",
        &[
            "data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
            "data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"x\"}}\n\n",
            "data: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"[\"}}\n\n",
        ],
    ),
    (
        "gemini",
        "text/event-stream",
        &[
            "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"x\"}],\"role\":\"model\"},\"index\":0}]}\n\n",
        ],
    ),
    ("gemini", "application/json", &[",{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"x\"}]}}]}"]),
    (
        "ollama",
        "application/x-ndjson",
        &["{\"message\":{\"role\":\"assistant\",\"content\":\"x\"},\"done\":false}\n"],
    ),
];

#[test]
fn answers_of_very_many_pieces() {
    for (_, kind, pieces) in STREAMS {
        let mut headers = HeaderList(Vec::new());
        headers.push("content-type", kind);
        let head = ResponseHead { status: 200, headers };
        for piece in pieces {
            let body = if piece.starts_with(',') { within("[{}", piece, "]") } else { much(piece) };
            // Each dialect reads what is meant for another as well, or begins to.
            for dialect in all() {
                dialect.read_answer(&head, &body);
            }
        }
    }
}

#[test]
fn messages_one_a_line() {
    let body = much("{}\n");
    assert_eq!(messages::lines(&body).len(), body.len() / 3);
    assert_eq!(messages::read(&body.clone().into()).len(), body.len() / 3);
    assert_eq!(sse::messages(&body).len(), body.len() / 3);
    let frames = much(r#"{"$ws":"binary","base64":"/w=="}"#);
    messages::read(&frames.into());
    message::messages(&much("data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\n"), true);
}

#[test]
fn texts_that_look_like_secrets() {
    let known = KnownSecret { label: "API_KEY".into(), value: "correct-horse-battery-staple-91".into() };
    let redactor = Redactor::new([7; 32], vec![known], &[]).expect("no patterns");
    // What follows `sk-` or `password=` is looked at for a kilobyte each time: that is slow here, and no square.
    for piece in [
        "eyJ",
        "eyJhbGciOiJ.",
        "correct-horse-battery-",
        "%25",
        "\\u0073",
        "\\\\\"",
        "-----BEGIN PRIVATE KEY-----\\n",
        "AKIA",
        "Bearer ",
        "://a:",
    ] {
        redactor.bytes(&within("{\"a\":\"", piece, "\"}"));
    }
    let deltas = much("data: {\"choices\":[{\"delta\":{\"content\":\"sk-\"}}]}\n\n");
    redactor.event_stream(&deltas);
}

#[test]
fn texts_that_look_like_names() {
    let side = |name: &str| Side {
        directory: format!("/srv/{name}/work"),
        home: format!("/home/{name}"),
        temp: "/tmp".into(),
        started_us: 1_760_000_000_000_000,
        ended_us: 1_760_000_900_000_000,
        zone_s: 7200,
    };
    let sides = Surroundings { recorded: side("a"), live: side("bob") };
    let holes = Holes::new(&HashSet::new(), Some(&sides), &Rules::default()).expect("no rules");
    for piece in ["/srv/a/work/", "/", "call_", "0123456789abcdef", "1", "\\", "{\"", "a\n"] {
        let text = String::from_utf8(much(piece)).expect("text");
        holes.name_pairs(&text, &text);
        holes.may_mean_another(text.as_bytes());
        let answer = ModelAnswer { blocks: vec![Block::Text { text }], ..ModelAnswer::default() };
        holes.rewrite(&answer, &Bindings::default(), &Bindings::default());
    }
}

/// A field of a message in protobuf.
fn field(tag: u8, inside: &[u8], out: &mut Vec<u8>) {
    out.push(tag << 3 | 2);
    let mut length = inside.len();
    while length > 0x7f {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend_from_slice(inside);
}

/// Fields around each other: the tags from the inside out.
fn around(tags: &[u8], inside: &[u8]) -> Vec<u8> {
    tags.iter().fold(inside.to_vec(), |inside, tag| {
        let mut out = Vec::new();
        field(*tag, &inside, &mut out);
        out
    })
}

fn all_of(tag: u8, inside: &[u8], count: usize) -> Vec<u8> {
    let one = around(&[tag], inside);
    one.repeat(count)
}

#[test]
fn exports_that_are_deep_wide_or_many() {
    let redactor = Redactor::new([7; 32], Vec::new(), &[]).expect("a redactor");
    // A request of one resource, one scope and one span with this in it.
    let of_span = |inside: &[u8]| around(&[2, 2, 1], inside);
    let (attribute, empty_span) = (around(&[9], b"\x0a\x01k"), around(&[2], b""));
    let ids = [around(&[1], &[1; 16]), around(&[2], &[1; 8])].concat();
    // Spans of as many traces, each of a place of its own.
    let spans: Vec<u8> = (0..MUCH as u64 / 64)
        .flat_map(|n| {
            let trace = [[0; 8], (n + 1).to_be_bytes()].concat();
            let span = [around(&[1], &trace), around(&[2], &(n + 1).to_be_bytes())].concat();
            around(&[2], &span)
        })
        .collect();
    let array = all_of(1, b"", MUCH / 2);
    for (body, count) in [
        (of_span(&attribute.repeat(MUCH / attribute.len())), Some(1)),
        (around(&[2, 1], &empty_span.repeat(MUCH / 2)), Some(MUCH / 2)),
        (around(&[2, 1], &spans), Some(MUCH / 64)),
        (all_of(1, b"", MUCH / 2), Some(0)),
        (of_span(&[ids, around(&[5, 2, 9], &array)].concat()), Some(1)),
        // Deeper than anybody means it: refused, and soon.
        (of_span(&around(&[1, 5].repeat(200), b"")), None),
        (around(&[5; 300], b""), Some(0)),
        // A length that says more than there is.
        (b"\x0a\xff\xff\xff\xff\x0f".repeat(MUCH / 6), None),
    ] {
        let read = Batch::read(Signal::Traces, Encoding::Protobuf, &body);
        let Some(count) = count else {
            assert!(read.is_err() || read.is_ok_and(|batch| batch.len() <= 1));
            continue;
        };
        let mut batch = read.expect("it is one");
        assert_eq!((batch.len(), batch.moments().len()), (count, count));
        let places: Vec<usize> = (0..count).map(|at| at % 7).collect();
        let parts = batch.clone().divide(&places);
        assert_eq!(parts.iter().map(|(_, part)| part.len()).sum::<usize>(), count);
        redactor.telemetry(&mut batch);
        batch.drop_nameless();
    }
    let json = |piece: &str| within("{\"resourceSpans\":[", piece, "{}]}");
    for body in [json("{},"), json(r#"{"scopeSpans":[{"spans":[{},{}]}]},"#), json("["), much("{\"a\":")] {
        drop(Batch::read(Signal::Traces, Encoding::Json, &body));
    }
    let form = langsmith::Form::Multipart("x".into());
    let part = "--x\r\nContent-Disposition: form-data; name=\"post.7.inputs\"\r\n\r\n{}\r\n";
    for piece in [part, "--x\r\n", "\r\n--", "--x--x", "\r\n\r\n"] {
        drop(langsmith::read(&form, &within("--x\r\n", piece, "")));
    }
    let many: String = (0..MUCH / 90).map(|n| part.replace("post.7", &format!("post.{n}"))).collect();
    let read = langsmith::read(&form, many.as_bytes()).expect("parts");
    assert_eq!(Batch::Traces(read).len(), MUCH / 90);
    let order = within("{\"id\":\"7\",\"dotted_order\":\"", "a.", "\"}");
    assert_eq!(Batch::Traces(langsmith::read(&langsmith::Form::One(None), &order).expect("a run")).len(), 1);
}
