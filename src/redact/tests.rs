use super::*;
use crate::redact::coding::Coding;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use proptest::prelude::*;

const KNOWN: &str = "my-Secret/Value+42=zebra";
const SHAPE: &str = "sk-ant-api03-Qw3rTy7uIoP9aSdF1gHjK5lZxCvB-nM0";

fn redactor() -> Redactor {
    redactor_with(&[])
}

fn redactor_with(patterns: &[&str]) -> Redactor {
    let known = vec![
        KnownSecret { label: "MY_SECRET".into(), value: KNOWN.into() },
        KnownSecret { label: "QUOTED".into(), value: "p\"q\\r\ns-é-word".into() },
    ];
    Redactor::new([9; 32], known, &patterns.iter().map(|p| p.to_string()).collect::<Vec<_>>()).unwrap()
}

fn percent(text: &str, all: bool) -> String {
    text.bytes()
        .map(
            |b| {
                if all || !b.is_ascii_alphanumeric() {
                    format!("%{b:02X}")
                } else {
                    char::from(b).to_string()
                }
            },
        )
        .collect()
}

fn unicode(text: &str, every: usize) -> String {
    let escape = |(i, c): (usize, char)| {
        if i % every == 0 { format!("\\u{:04x}", u32::from(c)) } else { json_escaped(&c.to_string()) }
    };
    text.chars().enumerate().map(escape).collect()
}

/// The inside of a text's JSON string.
fn json_escaped(text: &str) -> String {
    let quoted = serde_json::json!(text).to_string();
    quoted[1..quoted.len() - 1].to_string()
}

/// The secret in one of many forms. Those of JSON escapes are meant to stand in a JSON string.
fn encoded(secret: &str, form: usize) -> String {
    match form % 12 {
        0 => secret.to_string(),
        1 => STANDARD.encode(secret),
        2 => STANDARD.encode(format!(".{secret} tail")),
        3 => URL_SAFE_NO_PAD.encode(format!("='{secret}")),
        4 => percent(secret, false),
        5 => percent(secret, true),
        6 => unicode(secret, 1),
        7 => unicode(secret, 3),
        8 => secret.replace('/', "\\/"),
        9 => percent(&STANDARD.encode(secret), false),
        10 => unicode(&STANDARD_NO_PAD.encode(format!("{{\"k\":\"{secret}\"}}")), 4),
        _ => STANDARD.encode(format!("a {} b", STANDARD.encode(secret))),
    }
}

/// Every text that the bytes stand for, down to a depth: an oracle that shares no search with the code.
fn readings(bytes: &[u8], depth: usize, out: &mut Vec<Vec<u8>>) {
    out.push(bytes.to_vec());
    if depth == 0 {
        return;
    }
    for coding in [Coding::Escapes, Coding::Percent] {
        let plain = coding.decode(bytes);
        if plain != bytes {
            readings(&plain, depth - 1, out);
        }
    }
    let is64 = |b: u8| b.is_ascii_alphanumeric() || b"+/-_".contains(&b);
    for run in bytes.split(|b| !is64(*b)).filter(|r| r.len() >= 24) {
        for phase in 0..4 {
            let standard: String = run[phase..]
                .iter()
                .map(|b| char::from(*b).to_string().replace('-', "+").replace('_', "/"))
                .collect();
            let whole = &standard[..standard.len() - usize::from(standard.len() % 4 == 1)];
            if let Ok(plain) = STANDARD_NO_PAD.decode(whole)
                && plain.is_ascii()
            {
                readings(&plain, depth - 1, out);
            }
        }
    }
}

fn shows(bytes: &[u8], secret: &str) -> bool {
    let mut out = Vec::new();
    readings(bytes, 3, &mut out);
    out.iter().any(|t| memchr::memmem::find(t, secret.as_bytes()).is_some())
}

#[test]
fn every_form_in_every_place_is_found() {
    let redactor = redactor();
    for secret in [KNOWN, SHAPE] {
        for form in 0..12 {
            let coded = encoded(secret, form);
            let nested = format!("{{\"args\":\"{{\\\"q\\\":\\\"{}\\\"}}\"}}", coded.replace('\\', "\\\\"));
            for text in [
                format!("{{\"text\":\"see {coded} there\"}}"),
                format!("{{\"text\":\"line\\n{coded}\"}}"),
                nested,
                format!("plain {coded}"),
            ] {
                let redacted = redactor.bytes(text.as_bytes());
                let out = String::from_utf8_lossy(&redacted.bytes).into_owned();
                assert!(shows(text.as_bytes(), secret), "the oracle cannot read form {form}: {text}");
                assert!(!shows(&redacted.bytes, secret), "form {form}: {text}\n{out}");
                assert_eq!(out.len(), text.len());
                assert!(!redacted.stand_ins.is_empty());
                for stand_in in &redacted.stand_ins {
                    assert_eq!(
                        redactor.reveal(&stand_in.text).as_deref(),
                        Some(secret),
                        "form {form}: {text}"
                    );
                    assert!(shows(&redacted.bytes, &stand_in.text), "form {form}: {text}\n{out}");
                }
                if text.starts_with('{') {
                    serde_json::from_str::<serde_json::Value>(&out).unwrap();
                }
                let again = redactor.bytes(&redacted.bytes);
                assert!(matches!(again.bytes, Cow::Borrowed(_)), "form {form}: {out} {:?}", again.stand_ins);
                assert!(redactor.scan_residual(out.as_bytes()).is_empty());
                assert!(!redactor.scan_residual(text.as_bytes()).is_empty());
            }
        }
    }
}

#[test]
fn secrets_that_json_escapes_are_found() {
    let redactor = redactor();
    let once = serde_json::json!({"a": "is p\"q\\r\ns-é-word, yes"}).to_string();
    let twice = serde_json::json!({ "b": once }).to_string();
    let ascii = once.replace('é', "\\u00e9");
    for text in [once, twice, ascii] {
        let redacted = redactor.bytes(text.as_bytes());
        assert_eq!(redacted.stand_ins.len(), 1, "{text}");
        assert_eq!(redacted.stand_ins[0].label, "QUOTED");
        assert!(!String::from_utf8_lossy(&redacted.bytes).contains("-word"));
        serde_json::from_slice::<serde_json::Value>(&redacted.bytes).unwrap();
    }
}

#[test]
fn nothing_found_is_borrowed() {
    let text = br#"{"model":"m","messages":[{"role":"user","content":"caf\u00e9 & co \u003c 100%"}],"max_tokens":9}"#;
    let redacted = redactor().bytes(text);
    assert!(matches!(redacted.bytes, Cow::Borrowed(_)));
    assert_eq!((redacted.stand_ins.len(), redacted.untouched), (0, 0));
}

#[test]
fn hexadecimal_and_wrapped_base64_are_found() {
    let redactor = redactor();
    let hex: String = KNOWN.bytes().map(|b| format!("{b:02X}")).collect();
    assert_eq!(redactor.bytes(hex.as_bytes()).stand_ins.len(), 1);
    let file = format!("{}\nkey={SHAPE}\n", "line of a file\n".repeat(6));
    let coded = STANDARD.encode(&file);
    let wrapped: Vec<&str> = coded.as_bytes().chunks(76).map(|c| std::str::from_utf8(c).unwrap()).collect();
    let body = format!("{{\"out\":\"{}\\n\"}}", wrapped.join("\\n"));
    let redacted = redactor.bytes(body.as_bytes());
    assert_eq!(redacted.stand_ins.len(), 1);
    let out = String::from_utf8_lossy(&redacted.bytes).replace("\\n", "");
    assert!(!shows(out.as_bytes(), SHAPE));
}

#[test]
fn a_private_key_is_replaced_between_its_lines() {
    let redactor = redactor();
    let key = format!(
        "-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----\n",
        "MIIEow9BAAKCAQEA7x\n".repeat(8)
    );
    for text in [
        key.clone(),
        serde_json::json!({ "k": key }).to_string(),
        serde_json::json!({"a": serde_json::json!({ "k": key }).to_string()}).to_string(),
    ] {
        let redacted = redactor.bytes(text.as_bytes());
        let out = String::from_utf8_lossy(&redacted.bytes).into_owned();
        assert!(!out.contains("MIIEow9BAAKCAQEA7x"), "{out}");
        assert!(
            out.contains("-----BEGIN RSA PRIVATE KEY-----") && out.contains("-----END RSA PRIVATE KEY-----"),
            "{out}"
        );
        assert!(!text.starts_with('{') || serde_json::from_str::<serde_json::Value>(&out).is_ok(), "{out}");
        assert!(redactor.scan_residual(out.as_bytes()).is_empty(), "{out}");
    }
}

#[test]
fn sealed_fields_are_counted_and_left() {
    let redactor = redactor();
    let hidden = STANDARD.encode(format!("......{SHAPE}......"));
    for text in [
        format!(r#"{{"type":"thinking","thinking":"x","signature":"{SHAPE}"}}"#),
        format!(r#"{{"type":"redacted_thinking","data":"{hidden}"}}"#),
        format!(r#"{{"encrypted_content":"{hidden}"}}"#),
        format!(r#"{{"tool_call_id":"{SHAPE}"}}"#),
        format!(r#"{{"id":"toolu_{KNOWN}"}}"#),
    ] {
        let redacted = redactor.bytes(text.as_bytes());
        assert_eq!(redacted.bytes, Cow::Borrowed(text.as_bytes()));
        assert!(redacted.untouched > 0 && redacted.stand_ins.is_empty(), "{text}");
        assert!(!redactor.scan_residual(text.as_bytes()).is_empty());
    }
    let deltas: String = SHAPE
        .as_bytes()
        .chunks(7)
        .map(|c| {
            format!(
                "data: {{\"index\":0,\"delta\":{{\"signature\":\"{}\"}}}}\n\n",
                String::from_utf8_lossy(c)
            )
        })
        .collect();
    let redacted = redactor.event_stream(deltas.as_bytes());
    assert_eq!((redacted.bytes, redacted.untouched), (Cow::Borrowed(deltas.as_bytes()), 1));
}

#[test]
fn patterns_of_the_user_count_in_decoded_strings() {
    let redactor = redactor_with(&[r"customer (\w+ \w+)", r"\b\d{3}-\d{2}-\d{4}\b"]);
    let text = r#"{"a":"the customer Jos\u00e9 Smith, 123-45-6789","n":{"b":1}}"#;
    let redacted = redactor.bytes(text.as_bytes());
    let out = String::from_utf8_lossy(&redacted.bytes).into_owned();
    assert_eq!(redacted.stand_ins.len(), 2, "{out}");
    assert!(!out.contains("Smith") && !out.contains("123-45"), "{out}");
    assert!(out.contains("the customer ") && out.ends_with(r#","n":{"b":1}}"#), "{out}");
    serde_json::from_str::<serde_json::Value>(&out).unwrap();
    assert!(Redactor::new([0; 32], Vec::new(), &["(".to_string()]).err().unwrap().contains("`(`"));
}

#[test]
fn stand_ins_of_a_recording_are_not_secrets() {
    let elsewhere = Redactor::new([3; 32], vec![], &[]).unwrap();
    let text = format!("use {SHAPE} now");
    let recorded = elsewhere.bytes(text.as_bytes());
    let here = redactor();
    assert!(!here.scan_residual(&recorded.bytes).is_empty());
    here.learn_stand_ins(&recorded.stand_ins);
    assert!(here.scan_residual(&recorded.bytes).is_empty());
    assert!(matches!(here.bytes(&recorded.bytes).bytes, Cow::Borrowed(_)));
    assert_eq!(here.reveal(&recorded.stand_ins[0].text), None);
    let named = StandIn { label: "MY_SECRET".into(), text: "made-under-another-key".into() };
    here.learn_stand_ins(std::slice::from_ref(&named));
    assert_eq!(here.reveal(&named.text).as_deref(), Some(KNOWN));
}

#[test]
fn a_redactor_can_be_shared() {
    fn shared<T: Send + Sync>() {}
    shared::<Redactor>();
}

#[test]
fn text_made_to_be_slow_is_not() {
    let redactor = redactor();
    let known = format!("\"{KNOWN}\",");
    for part in [
        "sk-",
        "eyJ-",
        "-----BEGIN PRIVATE KEY-----",
        "password=",
        "a@",
        "%25",
        "\\u0073",
        "://a:b",
        "{\"",
        "[",
        "\\",
        &known,
    ] {
        let text = part.repeat(20_000 / part.len());
        assert_eq!(redactor.bytes(text.as_bytes()).bytes.len(), text.len());
        assert_eq!(redactor.event_stream(text.as_bytes()).bytes.len(), text.len());
    }
}

/// Cuts a text into pieces at these places and writes each as an event of a chat stream.
fn chat_stream(text: &str, cuts: &[usize], escape: usize) -> String {
    let mut places: Vec<usize> =
        cuts.iter().map(|c| c % (text.len() + 1)).filter(|c| text.is_char_boundary(*c)).collect();
    places.extend([0, text.len()]);
    places.sort_unstable();
    places
        .windows(2)
        .enumerate()
        .map(|(i, w)| {
            let piece = &text[w[0]..w[1]];
            let coded = if i % 3 == escape { unicode(piece, 2) } else { json_escaped(piece) };
            let other = format!("data: {{\"id\":\"chatcmpl-1\",\"choices\":[{{\"index\":1,\"delta\":{{\"content\":\"w{i} \"}}}}]}}\n\n");
            format!("{other}data: {{\"id\":\"chatcmpl-1\",\"choices\":[{{\"delta\":{{\"content\":\"{coded}\"}},\"index\":0}}]}}\n\n")
        })
        .collect::<String>()
        + "data: [DONE]\n\n"
}

/// What the first choice of a chat stream says.
fn said(stream: &[u8]) -> String {
    let text = String::from_utf8_lossy(stream).into_owned();
    text.lines()
        .filter_map(|l| serde_json::from_str::<serde_json::Value>(l.strip_prefix("data: ")?).ok())
        .filter(|v| v["choices"][0]["index"] == 0)
        .map(|v| v["choices"][0]["delta"]["content"].as_str().unwrap_or_default().to_string())
        .collect()
}

#[test]
fn plain_and_anthropic_deltas_are_assembled() {
    let redactor = redactor();
    let pieces = |wrap: &dyn Fn(&str) -> String| -> String {
        SHAPE.as_bytes().chunks(5).map(|c| wrap(std::str::from_utf8(c).unwrap())).collect()
    };
    let plain = pieces(&|p| format!("data: {p}\n\n"));
    let tool = pieces(&|p| {
        format!(
            "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":2,\"delta\":{{\"type\":\"input_json_delta\",\"partial_json\":\"{p}\"}}}}\n\n"
        )
    });
    let lines = pieces(&|p| format!("{{\"response\":\"{p}\",\"done\":false}}\n"));
    let split = pieces(&|p| format!("data: {{\ndata: \"delta\":\"{p}\"}}\r\n\r\n"));
    for stream in [plain, tool, lines, split] {
        let redacted = redactor.event_stream(stream.as_bytes());
        assert_eq!(redacted.stand_ins.len(), 1, "{stream}");
        assert_eq!(redacted.bytes.len(), stream.len());
        let again = redactor.event_stream(&redacted.bytes);
        assert!(matches!(again.bytes, Cow::Borrowed(_)), "{:?}", again.stand_ins);
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic_or_change_length(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let redactor = redactor_with(&["(x+)y"]);
        prop_assert_eq!(redactor.bytes(&bytes).bytes.len(), bytes.len());
        prop_assert_eq!(redactor.event_stream(&bytes).bytes.len(), bytes.len());
        redactor.scan_residual(&bytes);
    }

    #[test]
    fn nor_does_nearly_valid_text(parts in proptest::collection::vec(proptest::sample::select(vec![
        "{", "}", "\"", "\\", "\\u00", "73", "%", "%7", "sk-", "eyJ", "-----BEGIN ", "PRIVATE KEY-----", "password", ":", "=",
        "@", "://", "a:b", "data: ", "\n", "[", "]", ",", "1", "index", "AKIA", "Ab3dEf6hIj9lMn2pQr5tUv8x", "é", "\\ud83d",
        "signature", "c2stYW50LWFwaTAzLVF3M3JUeTd1SW9Q", "/", "\\/", "'", " ",
    ]), 0..40)) {
        let text = parts.concat();
        let redactor = redactor_with(&["(x+)y"]);
        let out = redactor.bytes(text.as_bytes());
        prop_assert_eq!(out.bytes.len(), text.len());
        prop_assert!(std::str::from_utf8(&out.bytes).is_ok());
        prop_assert_eq!(redactor.event_stream(text.as_bytes()).bytes.len(), text.len());
        redactor.target(&text);
    }

    #[test]
    fn planted_secrets_are_gone(
        before in "[a-zA-Z ,.\\n\"é]{0,40}",
        after in "[a-zA-Z ,.\\n\"é]{0,40}",
        known: bool, form in 0usize..12,
        key in proptest::array::uniform32(any::<u8>()),
    ) {
        let secret = if known { KNOWN } else { SHAPE };
        let text = format!("{{\"t\":\"{} {} {}\"}}", json_escaped(&before), encoded(secret, form), json_escaped(&after));
        let known = vec![KnownSecret { label: "MY_SECRET".into(), value: KNOWN.into() }];
        let redactor = Redactor::new(key, known, &[]).unwrap();
        let redacted = redactor.bytes(text.as_bytes());
        prop_assert!(!shows(&redacted.bytes, secret), "{}", String::from_utf8_lossy(&redacted.bytes));
        prop_assert!(matches!(redactor.bytes(&redacted.bytes).bytes, Cow::Borrowed(_)));
    }

    #[test]
    fn secrets_cut_over_deltas_are_gone(
        before in "[a-z \"\\n]{0,20}", known: bool, form in proptest::sample::select(vec![0usize, 1, 2, 3, 4, 5, 9, 11]),
        cuts in proptest::collection::vec(any::<usize>(), 1..20), escape in 0usize..4,
    ) {
        let secret = if known { KNOWN } else { SHAPE };
        let text = format!("{before} {} end", encoded(secret, form));
        let stream = chat_stream(&text, &cuts, escape);
        prop_assert_eq!(said(stream.as_bytes()), text);
        let redactor = redactor();
        let redacted = redactor.event_stream(stream.as_bytes());
        let after = said(&redacted.bytes);
        prop_assert!(!shows(after.as_bytes(), secret), "{}", after);
        prop_assert!(!shows(&redacted.bytes, secret));
        prop_assert_eq!(redacted.stand_ins.len(), 1);
        prop_assert_eq!(redacted.bytes.len(), stream.len());
        prop_assert!(shows(after.as_bytes(), &redacted.stand_ins[0].text), "{}", after);
        let again = redactor.event_stream(&redacted.bytes);
        prop_assert!(matches!(again.bytes, Cow::Borrowed(_)), "{:?}", again.stand_ins);
    }
}
