//! Files in which a value is another than it should be: any value, anywhere, in a file of each kind.

use super::*;
use crate::import::tnetstring;
use crate::run::lanes;
use std::io::Write;

const SIMULATIONS: &str = r#"{"info":{"agent_info":{"llm":"m"},"environment_info":{"domain_name":"d"}},"simulations":[{"task_id":"1",
    "start_time":"2025-08-01T16:20:44","reward_info":{"reward":1.0},"messages":[
    {"role":"user","content":"hi","timestamp":"2025-08-01T16:20:45"},
    {"role":"assistant","content":null,"tool_calls":[{"id":"c","name":"find","arguments":{"n":1},"requestor":"assistant"}],
     "usage":{"prompt_tokens":3,"completion_tokens":4},"raw_data":{"finish_reason":"stop"},"timestamp":"2025-08-01T16:20:46"},
    {"role":"tool","id":"c","content":"x","requestor":"assistant","timestamp":"2025-08-01T16:20:47"}]}]}"#;

const CASSETTE: &str = r#"{"interactions":[{"request":{"method":"POST","uri":"https://api.openai.com/v1/chat/completions",
    "headers":{"content-type":["application/json"]},"body":{"string":"{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}"}},
    "response":{"status":{"code":200,"message":"OK"},"headers":{"date":["Tue, 01 Nov 2011 04:58:44 GMT"],"content-type":"text/event-stream"},
    "body":{"base64_string":"ZGF0YTogW0RPTkVdCgo="}},"recorded_at":"Tue, 01 Nov 2011 04:58:44 GMT"},
    {"request":{"method":"GET","uri":"http://h/","parsed_body":{"a":[1,null]}},"response":{"status":429,"body":"x"}}]}"#;

const SOCKET: &str = r#"{"log":{"entries":[{"startedDateTime":"2026-01-01T00:00:00Z","time":9000,"timings":{"receive":8990},
    "_webSocketMessages":[{"type":"send","time":1767225601.5,"opcode":1,"data":"{\"type\":\"response.create\",\"model\":\"m\",\"input\":[]}"},
    {"type":"receive","time":1767225602.5,"opcode":2,"data":"aGk="},{"type":"receive","time":1767225603.5,"opcode":1,"data":"{\"type\":\"error\"}"}],
    "request":{"method":"GET","url":"wss://api.openai.com/v1/responses","headers":[{"name":"Upgrade","value":"websocket"}]},
    "response":{"status":101,"headers":[],"content":{"size":0},"_error":""}}]}}"#;

const TRACE: &str = r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"s"}}]},"scopeSpans":[{"spans":[
    {"traceId":"00000000000000000000000000000001","spanId":"0000000000000001","name":"chat m","startTimeUnixNano":"1790000000000000000",
     "endTimeUnixNano":"1790000001000000000","attributes":[{"key":"gen_ai.operation.name","value":{"stringValue":"chat"}},
     {"key":"gen_ai.usage.input_tokens","value":{"intValue":"3"}},
     {"key":"gen_ai.input.messages","value":{"stringValue":"[{\"role\":\"user\",\"parts\":[{\"type\":\"text\",\"content\":\"hi\"}]}]"}},
     {"key":"gen_ai.output.messages","value":{"arrayValue":{"values":[{"kvlistValue":{"values":[{"key":"role","value":{"stringValue":"assistant"}},
      {"key":"content","value":{"stringValue":"yes"}}]}}]}}}],"events":[{"name":"x","timeUnixNano":"1790000000500000000"}],"status":{"code":1}}]}]}]}"#;

/// Small files of JSON, of each kind that can be.
fn files() -> Vec<(Kind, Value)> {
    let json = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let lines = |bytes: &[u8]| json(std::str::from_utf8(bytes).unwrap().lines().next().unwrap());
    let inspect = include_str!("../../../fixtures/import/inspect/security-guide.json");
    let trials = include_bytes!("../../../fixtures/import/tau-bench-airline/trials.jsonl");
    let mut inspect = json(inspect);
    inspect["samples"].as_array_mut().unwrap().truncate(1);
    vec![
        (Kind::Har, serde_json::from_slice(HAR).unwrap()),
        (Kind::Har, json(SOCKET)),
        (Kind::Vcr, json(CASSETTE)),
        (Kind::LlamaStack, lines(RECORDINGS)),
        (Kind::Inspect, inspect),
        (Kind::Messages, lines(trials)),
        (Kind::Messages, json(SIMULATIONS)),
        (Kind::Otlp, json(TRACE)),
    ]
}

/// What stands in the place of a value.
fn others() -> Vec<Value> {
    let text = |text: &str| Value::from(text);
    vec![
        Value::Null,
        json!(true),
        json!(-1),
        json!(0),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(1e300),
        json!(0.5),
        text(""),
        text("%"),
        text("\u{0}é\u{1F600}\n"),
        text("9999-12-31T23:59:59Z"),
        text("attachment://x"),
        json!([]),
        json!({}),
        json!([[[null]]]),
        json!({"type": {"role": [7]}, "role": "assistant"}),
    ]
}

/// How many values there are below one, itself included.
fn size(value: &Value) -> usize {
    1 + match value {
        Value::Array(of) => of.iter().map(size).sum(),
        Value::Object(of) => of.values().map(size).sum(),
        _ => 0,
    }
}

/// The value with this number below one.
fn at(value: &mut Value, number: usize) -> &mut Value {
    let mut left = number;
    let mut here = value;
    while left > 0 {
        left -= 1;
        let below: Vec<&mut Value> = match here {
            Value::Array(of) => of.iter_mut().collect(),
            Value::Object(of) => of.values_mut().collect(),
            _ => unreachable!("counted before"),
        };
        let mut next = None;
        for child in below {
            match size(child) {
                size if size <= left => left -= size,
                _ => {
                    next = Some(child);
                    break;
                }
            }
        }
        here = next.unwrap();
    }
    here
}

/// Reads a file, and makes a run of what is in it.
fn taken(kind: Kind, bytes: &[u8]) {
    match read(kind, "odd", bytes) {
        Ok(runs) => {
            for run in runs {
                let outline = lanes::outline(&run.exchanges);
                crate::run::tree::derived(&outline, "odd.1");
                assert!(run.exchanges.iter().all(|e| e.request.started_us < 1 << 62), "{:?}", run.exchanges);
                assert_eq!(har::write(&run.exchanges).is_empty(), vcr::write(&run.exchanges).is_empty());
            }
        }
        Err(why) => assert!(!why.what.is_empty()),
    }
}

/// A typed netstring again.
fn written(value: &tnetstring::Value<'_>) -> Vec<u8> {
    use tnetstring::Value as V;
    match value {
        V::Null => t('~', ""),
        V::Bool(truth) => t('!', truth.to_string()),
        V::Integer(number) => t('#', number.to_string()),
        V::Float(number) => t('^', number.to_string()),
        V::Bytes(bytes) => t(',', bytes),
        V::List(of) => t(']', of.iter().flat_map(written).collect::<Vec<u8>>()),
        V::Dict(of) => t(
            '}',
            of.iter().flat_map(|(key, value)| [t(';', key), written(value)].concat()).collect::<Vec<u8>>(),
        ),
    }
}

fn flow_at<'v, 'a>(
    value: &'v mut tnetstring::Value<'a>,
    left: &mut usize,
) -> Option<&'v mut tnetstring::Value<'a>> {
    if *left == 0 {
        return Some(value);
    }
    *left -= 1;
    match value {
        tnetstring::Value::List(of) => of.iter_mut().find_map(|each| flow_at(each, left)),
        tnetstring::Value::Dict(of) => of.iter_mut().find_map(|(_, each)| flow_at(each, left)),
        _ => None,
    }
}

#[test]
fn a_file_may_be_packed_and_begin_with_a_mark() {
    let mut all: Vec<(Kind, Vec<u8>)> = files()
        .into_iter()
        .map(|(kind, file)| (kind, [b"\xef\xbb\xbf", file.to_string().as_bytes()].concat()))
        .collect();
    all.push((Kind::Mitmproxy, FLOWS.to_vec()));
    for (kind, bytes) in all {
        let plain = read(kind, "x", &bytes).unwrap();
        assert!(plain.iter().any(|run| !run.exchanges.is_empty()), "{kind:?}");
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&bytes).unwrap();
        let gzip = gzip.finish().unwrap();
        for packed in [&gzip, &zstd::encode_all(&bytes[..], 1).unwrap()] {
            let there = read(kind, "x", packed).unwrap();
            assert_eq!(
                there.iter().map(|run| &run.exchanges).collect::<Vec<_>>(),
                plain.iter().map(|run| &run.exchanges).collect::<Vec<_>>()
            );
        }
        let what = |bytes: &[u8]| read(kind, "x", bytes).unwrap_err().what;
        assert!(what(&gzip[..gzip.len() / 2]).starts_with("it is packed with gzip and cannot be unpacked: "));
        assert_eq!([what(b""), what(b" \n"), what(b"\xef\xbb\xbf\r\n")], ["it is empty"; 3]);
        assert_eq!(what(b"\xff\xfe{\0}\0"), "it is in UTF-16: write it in UTF-8");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_value_may_be_any_other(places in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..4)) {
        let others = others();
        for (kind, mut file) in files() {
            for (place, other) in &places {
                let place = place.index(size(&file));
                *at(&mut file, place) = other.get(&others).clone();
            }
            taken(kind, file.to_string().as_bytes());
        }
    }

    #[test]
    fn any_value_of_a_flow_may_be_any_other(place in 0usize..200, other in any::<prop::sample::Index>()) {
        use tnetstring::Value as V;
        let session = dict(&[("messages", t(']', t(']', [t('#', "1"), t('!', "true"), t(',', "{}"), t('^', "2.0"), t('!', "false")].concat()))),
            ("closed_by_client", t('!', "true")), ("close_code", t('#', "1000"))]);
        let opened = flow("/v1/responses", "1.0", &[("response", dict(&[("status_code", t('#', "101")), ("content", t(',', "")),
            ("timestamp_start", t('^', "1.5"))])), ("websocket", session)]);
        for bytes in [FLOWS, &opened] {
            let (mut flow, _) = tnetstring::read(bytes).unwrap();
            let others = [V::Null, V::Bool(true), V::Integer(-1), V::Integer(i64::MAX), V::Float(1e300), V::Float(f64::NAN),
                V::Float(-0.5), V::Bytes(b""), V::Bytes(b"\xff\n"), V::List(vec![]), V::Dict(vec![])];
            if let Some(value) = flow_at(&mut flow, &mut place.clone()) {
                *value = other.get(&others).clone();
            }
            taken(Kind::Mitmproxy, &written(&flow));
        }
    }
}
