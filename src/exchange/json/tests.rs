use super::*;
use proptest::prelude::*;

#[test]
fn nodes_know_where_they_stand() {
    let text = br#" {"a" : [1.50, "x\n\u00e9"], "b":null} "#;
    let node = parse(text).unwrap();
    let list = node.get("a").unwrap();
    assert_eq!(&text[list.span.clone()], br#"[1.50, "x\n\u00e9"]"#);
    assert_eq!(list.elements()[1].as_str(), Some("x\né"));
    assert_eq!(list.elements()[0].kind, Kind::Number("1.50"));
    assert_eq!(&text[node.member("b").unwrap().key_span.clone()], br#""b""#);
}

#[test]
fn numbers_keep_what_a_value_would_lose() {
    let value = |t: &str| parse(t.as_bytes()).unwrap().to_value();
    let written = |t: &str| parse(t.as_bytes()).unwrap().to_value_as_written();
    assert_eq!(value("49.90"), value("49.9"));
    assert_eq!(value("1e3"), serde_json::json!(1000.0));
    assert_ne!(written("49.90"), written("49.9"));
    assert_ne!(value("9007199254740993"), value("9007199254740992"));
    assert_ne!(value("123456789012345678901"), value("123456789012345678902"));
    assert_ne!(value("1e999999"), value("1e999998"));
    assert_eq!(value("0.10"), serde_json::json!(0.1));
    assert_eq!(value("100"), serde_json::json!(100));
}

#[test]
fn half_a_surrogate_pair_is_read() {
    assert_eq!(parse(br#""a\ud83d""#).unwrap().as_str(), Some("a\u{fffd}"));
    assert_eq!(parse(br#""\ud83d\ude00""#).unwrap().as_str(), Some("😀"));
    assert_eq!(parse(br#""\ud83d\u0041""#).unwrap().as_str(), Some("\u{fffd}A"));
}

#[test]
fn malformed_texts_say_where() {
    for (text, at) in [("{\"a\":}", 5), ("[1,]", 3), ("01", 1), ("{\"a\" 1}", 5), ("\"a", 0), ("", 0)] {
        assert_eq!(parse(text.as_bytes()).unwrap_err().at, at, "{text}");
    }
    let deep = "[".repeat(200_000);
    assert_eq!(parse(deep.as_bytes()).unwrap_err().what, "nested more than 128 levels deep");
}

proptest! {
    #[test]
    fn agrees_with_serde_json(text in r#"[\[\]{}",:0-9a-e\\ntrue.\-]{0,24}"#) {
        let ours = parse(text.as_bytes()).ok().map(|n| n.to_value());
        let theirs = serde_json::from_str::<Value>(&text).ok();
        if let Some(theirs) = theirs {
            prop_assert!(ours.is_some(), "{text}");
            if !text.contains(|c: char| c.is_ascii_digit()) {
                prop_assert_eq!(ours, Some(theirs));
            }
        } else if let Some(ours) = ours {
            // serde_json refuses numbers that are too large for a float; everything else must agree.
            prop_assert!(ours.to_string().contains(NUMBER_KEY), "{text}");
        }
    }

    #[test]
    fn strings_read_as_serde_json_reads_them(s in any::<String>()) {
        let text = serde_json::to_string(&s).unwrap();
        let node = parse(text.as_bytes()).unwrap();
        prop_assert_eq!(node.as_str(), Some(s.as_str()));
    }

    #[test]
    fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = parse(&bytes);
    }
}
