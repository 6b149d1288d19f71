//! Files as tools write them, as nobody writes them, and there and back.

mod odd;

use super::*;
use crate::exchange::{
    BodyEnd, ExchangeId, Fault, FrameMark, HeaderList, RecordedRequest, RecordedResponse, RequestHead,
    ResponseHead, Source, Upstream,
};
use proptest::prelude::*;
use serde_json::{Value, json};

const VCR: &[u8] = include_bytes!("../../fixtures/import/vcr/groq-tool-error.yaml");
const BEDROCK: &[u8] = include_bytes!("../../fixtures/import/vcr/bedrock-stream.yaml");
const HAR: &[u8] = include_bytes!("../../fixtures/import/har/function-tool.har");
const FLOWS: &[u8] = include_bytes!("../../fixtures/import/mitmproxy/function-tool.mitm");
const RECORDINGS: &[u8] = include_bytes!("../../fixtures/import/llama-stack/recordings.jsonl");

fn one(kind: Kind, bytes: &[u8]) -> Foreign {
    let mut runs = read(kind, "file", bytes).unwrap();
    assert_eq!(runs.len(), 1);
    runs.remove(0)
}

fn lacks(run: &Foreign) -> Vec<&str> {
    run.lacks.iter().map(|lack| lack.what.as_str()).collect()
}

fn uses(run: &Foreign) -> String {
    run.uses().into_iter().map(Use::name).collect::<Vec<_>>().join(" ")
}

fn answer(run: &Foreign, index: usize) -> &RecordedResponse {
    run.exchanges[index].response.as_ref().unwrap()
}

#[test]
fn a_binary_stream_of_a_cassette_is_cut_into_its_messages() {
    let run = one(Kind::Vcr, BEDROCK);
    let exchange = &run.exchanges[0];
    assert_eq!(exchange.request.upstream.provider, "bedrock-runtime.us-east-1.amazonaws.com");
    assert_eq!(exchange.request.head.headers.get("x-amz-date"), Some("20240611T003439Z"));
    let (messages, damage) = crate::exchange::eventstream::read(&answer(&run, 0).body);
    assert!(damage.is_none());
    assert_eq!(answer(&run, 0).frames.len(), messages.len());
    assert_eq!(lacks(&run), ["the times of a stream's events", "how long answers took"]);
}

#[test]
fn a_cassette_of_ruby_is_one_too() {
    let run = one(
        Kind::Vcr,
        b"---\nhttp_interactions:\n- request:\n    method: post\n    uri: https://api.openai.com/v1/embeddings\n    body:\n      \
          encoding: UTF-8\n      string: '{\"input\":\"a\"}'\n    headers:\n      Content-Type:\n      - application/json\n  \
          response:\n    status:\n      code: 200\n      message: OK\n    headers:\n      Content-Encoding:\n      - gzip\n      \
          Content-Length:\n      - '99'\n    body:\n      encoding: UTF-8\n      string: '{\"data\":[]}'\n  \
          recorded_at: Tue, 01 Nov 2011 04:58:44 GMT\nrecorded_with: VCR 6.1.0\n",
    );
    assert_eq!((run.started_us, uses(&run).as_str()), (Some(1_320_123_524_000_000), "view diff replay fork"));
    assert_eq!(run.exchanges[0].request.head.method, "POST");
    let head = answer(&run, 0).head.as_ref().unwrap();
    assert_eq!(
        (head.headers.get("content-encoding"), head.headers.get("content-length")),
        (None, Some("11"))
    );
}

#[test]
fn what_is_wrong_with_a_cassette_has_a_number() {
    let with = |response: &str| {
        format!(
            "interactions:\n- request: {{method: GET, uri: 'https://h/'}}\n  response: {response}\n- {{}}\n"
        )
    };
    for (text, wanted) in [
        ("a: 1".to_string(), "it has no `interactions`"),
        (with("{status: {code: 200}}"), "interaction 2: no `request`"),
        (with("{status: {code: 12}}"), "interaction 1: no `response.status.code`"),
        (with("{status: {code: 200}, body: {string: [1]}}"), "interaction 1: response.body is neither"),
        (
            with("{status: {code: 200}, body: {base64_string: '%'}}"),
            "interaction 1: response.body.base64_string is no base64",
        ),
        (
            "interactions:\n- request: {uri: 'file:///etc/passwd'}\n  response: {status: {code: 200}}".into(),
            "interaction 1: its URL",
        ),
    ] {
        let error = read(Kind::Vcr, "x", text.as_bytes()).unwrap_err().what;
        assert!(error.starts_with(wanted), "{error}");
    }
}

fn entry(request: Value, response: Value) -> Vec<u8> {
    let mut entry = json!({ "startedDateTime": "2026-01-01T00:00:00.5+01:00", "time": 12.5, "timings": { "receive": 2.5 },
        "request": { "method": "POST", "url": "https://api.openai.com/v1/chat/completions", "headers": [
            { "name": ":authority", "value": "api.openai.com" }, { "name": "x", "value": "é→" }] },
        "response": { "status": 200, "headers": [{ "name": "Content-Encoding", "value": "br" }],
            "content": { "size": 2, "text": "aGk=", "encoding": "base64" } } });
    for (side, changes) in [("request", request), ("response", response)] {
        for (name, value) in changes.as_object().unwrap() {
            entry[side][name] = value.clone();
        }
    }
    json!({ "log": { "entries": [entry] } }).to_string().into_bytes()
}

#[test]
fn an_archive_says_what_it_left_out() {
    let asked =
        json!({ "postData": { "text": r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"# } });
    let whole = one(Kind::Har, &entry(asked.clone(), json!({})));
    assert_eq!((uses(&whole).as_str(), lacks(&whole).len()), ("view diff replay fork", 0));
    assert_eq!((whole.started_us, &answer(&whole, 0).body[..]), (Some(1_767_222_000_500_000), &b"hi"[..]));
    assert_eq!((answer(&whole, 0).head_us, answer(&whole, 0).end_us), (10_000, 12_500));
    assert_eq!(answer(&whole, 0).head.as_ref().unwrap().headers.0, []);
    let headers = &whole.exchanges[0].request.head.headers.0;
    assert_eq!(headers.len(), 1);
    assert_eq!(headers[0].1.chars().map(|c| c as u8).collect::<Vec<_>>(), "é→".as_bytes());
    for (request, response, wanted, sound) in [
        (asked.clone(), json!({ "content": { "size": 9 } }), "response.content.text of entry 1", "view"),
        (json!({ "bodySize": 7 }), json!({}), "request.postData.text of entry 1", "view"),
        (asked.clone(), json!({ "status": 0 }), "response of entry 1", "view diff"),
    ] {
        let run = one(Kind::Har, &entry(request, response));
        assert!(lacks(&run).contains(&wanted), "{:?}", run.lacks);
        assert_eq!(uses(&run), sound, "{wanted}");
    }
    let text = String::from_utf8(entry(asked.clone(), json!({}))).unwrap();
    let untimed = one(Kind::Har, text.replace("\"time\":12.5", "\"time\":-1").as_bytes());
    assert_eq!((lacks(&untimed), answer(&untimed, 0).end_us), (vec!["how long answers took"], 0));
    let broken = one(Kind::Har, &entry(asked, json!({ "status": 0, "_error": "net::ERR_FAILED" })));
    assert_eq!(answer(&broken, 0).fault, Some(Fault::Reset { what: "net::ERR_FAILED".into() }));
    assert_eq!(uses(&broken), "view diff replay fork");
}

/// A typed netstring.
fn t(kind: char, content: impl AsRef<[u8]>) -> Vec<u8> {
    let content = content.as_ref();
    [format!("{}:", content.len()).as_bytes(), content, &[kind as u8]].concat()
}

fn dict(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    t('}', entries.iter().flat_map(|(key, value)| [t(';', key), value.clone()].concat()).collect::<Vec<u8>>())
}

fn flow(path: &str, started: &str, rest: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let request = dict(&[
        ("method", t(',', "GET")),
        ("scheme", t(',', "https")),
        ("host", t(';', "10.0.0.1")),
        ("port", t('#', "443")),
        ("authority", t(',', "")),
        ("path", t(',', path)),
        ("content", t(',', "")),
        ("timestamp_start", t('^', started)),
        ("headers", t(']', t(']', [t(',', "Host"), t(',', "mcp.example.com")].concat()))),
    ]);
    dict(&[&[("type", t(';', "http")), ("version", t('#', "21")), ("request", request)], rest].concat())
}

#[test]
fn flows_are_in_the_order_in_which_they_began() {
    let said = |content: Vec<u8>| {
        dict(&[
            ("status_code", t('#', "200")),
            ("content", content),
            ("headers", t(']', "")),
            ("timestamp_start", t('^', "12.5")),
            ("timestamp_end", t('^', "12.75")),
        ])
    };
    let late = flow("/late", "12.0", &[("response", said(t('~', ""))), ("error", t('~', ""))]);
    let early = flow(
        "/early",
        "10.0",
        &[
            ("response", t('~', "")),
            ("error", dict(&[("msg", t(';', "reset")), ("timestamp", t('^', "11.0"))])),
        ],
    );
    let tcp = dict(&[("type", t(';', "tcp"))]);
    let run = one(Kind::Mitmproxy, &[late, tcp, early].concat());
    let targets: Vec<&str> = run.exchanges.iter().map(|e| e.request.head.target.as_str()).collect();
    assert_eq!(targets, ["/early", "/late"]);
    assert_eq!(
        run.exchanges[0].request.upstream.origin, "https://mcp.example.com",
        "not the address it went to"
    );
    assert_eq!(answer(&run, 0).fault, Some(Fault::Reset { what: "reset".into() }));
    assert_eq!((answer(&run, 1).head_us, answer(&run, 1).end_us), (500_000, 750_000));
    assert_eq!(lacks(&run), ["response.content of flow 1", "what went over tcp of flow 2"]);
    assert_eq!(uses(&run), "view diff");
    let error = read(Kind::Mitmproxy, "x", &[tcp_less(), b"5:x".to_vec()].concat()).unwrap_err().what;
    assert!(error.starts_with("flow 2, at byte "), "{error}");
}

fn tcp_less() -> Vec<u8> {
    flow("/", "1.0", &[("response", t('~', ""))])
}

#[test]
fn objects_of_an_sdk_go_back_on_the_wire() {
    let runs = read(Kind::LlamaStack, "file", RECORDINGS).unwrap();
    assert_eq!(runs.len(), 7);
    let find = |endpoint: &str, kind: &str| {
        let of = |run: &&Foreign| {
            let head = answer(run, 0).head.as_ref().unwrap();
            run.labels["endpoint"] == endpoint && head.headers.get("content-type") == Some(kind)
        };
        runs.iter().find(of).unwrap_or_else(|| panic!("{endpoint} {kind}"))
    };
    let stream = find("/v1/completions", "text/event-stream");
    assert_eq!(
        stream.exchanges[0].request.head.target, "/v1/chat/completions",
        "it has messages, and one /v1"
    );
    assert!(answer(stream, 0).body.ends_with(b"}\n\ndata: [DONE]\n\n"));
    let lines = find("/api/generate", "application/x-ndjson");
    assert_eq!(answer(lines, 0).frames.len(), answer(lines, 0).body.iter().filter(|b| **b == b'\n').count());
    assert_eq!(find("/api/embeddings", "application/json").exchanges[0].request.head.target, "/api/embed");
    // A file of llama-stack itself holds one, over several lines.
    let first: Value = serde_json::from_slice(RECORDINGS.split(|b| *b == b'\n').next().unwrap()).unwrap();
    let run = one(Kind::LlamaStack, format!("{first:#}").as_bytes());
    assert_eq!((&run.exchanges, &run.name), (&runs[0].exchanges, &runs[0].name));
    let error = read(Kind::LlamaStack, "x", b"{\"request\":\n{}}").unwrap_err().what;
    assert_eq!(error, "recording 1: no `request.body`");
}

#[test]
fn files_are_known_by_their_looks() {
    for (kind, bytes) in [
        (Kind::Vcr, VCR),
        (Kind::Vcr, BEDROCK),
        (Kind::Har, HAR),
        (Kind::Mitmproxy, FLOWS),
        (Kind::LlamaStack, RECORDINGS),
    ] {
        assert_eq!(looks_like(bytes), Some(kind));
    }
    assert_eq!(looks_like(br#"{"kind":"header","format":"retake"}"#), None);
}

fn exchanges() -> impl Strategy<Value = Vec<Exchange>> {
    let body = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        "\\PC{0,30}".prop_map(String::into_bytes),
        prop::collection::vec(any::<char>(), 0..20)
            .prop_map(|text| text.into_iter().collect::<String>().into_bytes()),
        Just(b"data: {\"a\":1}\n\ndata: [DONE]\n\n".to_vec()),
    ];
    let value = prop::collection::vec(0x20u8..=0xff, 0..12)
        .prop_map(|bytes| bytes.into_iter().filter(|b| *b != 0x7f).map(char::from).collect::<String>());
    let headers = prop::collection::vec(("x-[a-z]{1,6}", value), 0..4).prop_map(HeaderList);
    let target = "/[a-z0-9/]{0,12}(\\?[a-z]=[a-z%+]{0,4})?";
    let exchange = (
        target,
        headers.clone(),
        body.clone(),
        200u16..600,
        headers,
        body,
        0u64..4_000_000_000_000_000,
        0u64..9_000_000,
    );
    let exchange = exchange.prop_map(|(target, asked, sent, status, answered, body, at, took)| Exchange {
        request: RecordedRequest {
            id: ExchangeId(1),
            started_us: at,
            upstream: Upstream { provider: "h:8".into(), origin: "http://h:8".into() },
            head: RequestHead { method: "PUT".into(), target, headers: asked },
            body: sent.into(),
            end: BodyEnd::Complete,
            sent: None,
            sent_target: None,
            stand_ins: Vec::new(),
        },
        response: Some(RecordedResponse {
            source: Source::Live,
            head: Some(ResponseHead { status, headers: answered }),
            fault: None,
            head_us: took / 2,
            frames: vec![FrameMark(body.len() as u32, took)],
            body: body.into(),
            end: BodyEnd::Complete,
            end_us: took,
            stand_ins: Vec::new(),
        }),
    });
    prop::collection::vec(exchange, 1..4)
}

/// Breaks a file: bytes are changed, put in, taken out.
fn broken(bytes: &[u8], hits: &[(usize, u8, u8)]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for (at, how, byte) in hits {
        let at = at % bytes.len().max(1);
        match how % 4 {
            0 => bytes.insert(at, *byte),
            1 if at < bytes.len() => drop(bytes.remove(at)),
            2 => bytes.truncate(bytes.len() - at / 8),
            _ if at < bytes.len() => bytes[at] = *byte,
            _ => {}
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn what_is_written_is_read_again(exchanges in exchanges()) {
        for (kind, text) in [(Kind::Har, har::write(&exchanges)), (Kind::Vcr, vcr::write(&exchanges))] {
            let run = one(kind, text.as_bytes());
            prop_assert_eq!(run.exchanges.len(), exchanges.len());
            for (there, here) in run.exchanges.iter().zip(&exchanges) {
                let (request, wanted) = (&there.request, &here.request);
                prop_assert_eq!((&request.head.target, &request.body), (&wanted.head.target, &wanted.body));
                let (response, wanted) = (there.response.as_ref().unwrap(), here.response.as_ref().unwrap());
                prop_assert_eq!(response.body.clone(), wanted.body.clone(), "{}", text);
                let (head, wanted_head) = (response.head.as_ref().unwrap(), wanted.head.as_ref().unwrap());
                prop_assert_eq!(head.status, wanted_head.status);
                if kind == Kind::Har {
                    prop_assert_eq!(&head.headers, &wanted_head.headers);
                    prop_assert_eq!((there.request.started_us, response.head_us, response.end_us),
                        (here.request.started_us, wanted.head_us, wanted.end_us));
                } else {
                    let sorted = |list: &HeaderList| { let mut all = list.0.clone(); all.sort(); all };
                    prop_assert_eq!(sorted(&head.headers), sorted(&wanted_head.headers));
                }
            }
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), text in "[-:{}\\[\\]&*!|>'\"#?,a-c0-9 \n~]{0,80}") {
        for kind in [Kind::Vcr, Kind::Har, Kind::Mitmproxy, Kind::LlamaStack] {
            let _ = read(kind, "x", &bytes);
            let _ = read(kind, "x", text.as_bytes());
            let _ = read(kind, "x", format!("interactions:\n- {text}").as_bytes());
        }
        let _ = looks_like(&bytes);
    }

    #[test]
    fn no_broken_file_panics(hits in prop::collection::vec((any::<usize>(), any::<u8>(), any::<u8>()), 1..6)) {
        for (kind, bytes) in [(Kind::Vcr, VCR), (Kind::Vcr, BEDROCK), (Kind::Har, HAR), (Kind::Mitmproxy, FLOWS), (Kind::LlamaStack, RECORDINGS)] {
            let _ = read(kind, "x", &broken(bytes, &hits));
        }
    }
}
