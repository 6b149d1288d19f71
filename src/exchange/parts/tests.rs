use super::*;
use proptest::prelude::*;

fn texts(body: &str) -> Vec<String> {
    split(body.as_bytes()).ranges().map(|r| body[r].to_string()).collect()
}

#[test]
fn the_picture_of_the_module_holds() {
    assert_eq!(
        texts(r#"{"model":"m","messages":[{"a":"]"}, {"b":[1]} ],"tools":[{}]}"#),
        vec![r#"{"model":"m","messages":["#, r#"{"a":"]"}"#, r#", {"b":[1]}"#, r#" ],"tools":["#, "{}", "]}"]
    );
}

#[test]
fn elements_have_names_and_numbers() {
    let body = br#"{"n":[1,2],"e":[],"m":["x",7,{"y":"\\"},null],"t":[[]]}"#;
    let split = split(body);
    let named: Vec<_> = split
        .cuts
        .iter()
        .zip(split.ranges())
        .filter_map(|(c, r)| {
            c.element.map(|e| (split.array_of(e), e.index, std::str::from_utf8(&body[r]).unwrap()))
        })
        .collect();
    assert_eq!(named, vec![("m", 0, r#""x",7"#), ("m", 2, r#",{"y":"\\"},null"#), ("t", 0, "[]")]);
}

#[test]
fn what_is_no_object_is_one_part() {
    for body in ["[{},{}]", "hello", "\"x\"", "{", "{]", "  "] {
        assert_eq!(texts(body), vec![body], "{body}");
    }
    assert!(texts("").is_empty());
}

#[test]
fn a_cut_off_body_keeps_its_cuts() {
    assert_eq!(texts(r#"{"m":[{"a":1},{"b":"#), vec![r#"{"m":["#, r#"{"a":1}"#, r#",{"b":"#]);
}

#[test]
fn appending_a_message_leaves_the_rest() {
    let old = br#"{"m":[{"a":1},{"b":2}],"tools":[{"t":1},{"t":2}],"x":1}"#;
    let new = br#"{"m":[{"a":1},{"b":2},{"c":3},{"d":4}],"tools":[{"t":1},{"t":2}],"x":1}"#;
    let re = resplit(new, old, &split(old));
    assert_eq!(re.split, split(new));
    assert_eq!((re.same_prefix_parts, re.same_suffix_parts), (3, 4));
    let same = resplit(old, old, &split(old));
    assert_eq!((same.same_prefix_parts, same.same_suffix_parts), (same.split.cuts.len(), 0));
}

fn element() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("{}".to_string()),
        Just("[]".to_string()),
        Just("1".to_string()),
        Just("null".to_string()),
        r#"[a-c\]\[{}, ]{0,4}"#.prop_map(|s| format!("\"{s}\"")),
        r#"[a-c]{0,3}"#.prop_map(|s| format!("{{\"k\": [\"{s}\", 1]}}")),
        Just(r#""\"\\""#.to_string()),
    ]
}

fn body() -> impl Strategy<Value = String> {
    let array = prop::collection::vec(element(), 0..5).prop_map(|e| format!("[{}]", e.join(", ")));
    let member = (r"[a-c]{1,2}", prop_oneof![array, element()]).prop_map(|(k, v)| format!("\"{k}\":{v}"));
    prop::collection::vec(member, 0..4).prop_map(|m| format!("{{{}}}", m.join(",")))
}

/// The new body: the old one with a range replaced by other text.
fn pair() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let piece = prop_oneof![
        element().prop_map(|e| format!(",{e}")),
        element().prop_map(|e| format!("{e},")),
        Just(String::new()),
        r#"[\[\]{},:"\\ 1a]{0,4}"#,
    ];
    (body(), any::<prop::sample::Index>(), any::<prop::sample::Index>(), piece).prop_map(
        |(old, a, b, piece)| {
            let old = old.into_bytes();
            let (a, b) = (a.index(old.len() + 1), b.index(old.len() + 1));
            let mut new = old.clone();
            let short = (a.max(b) - a.min(b)).min(3);
            new.splice(a.min(b)..a.min(b) + short, piece.into_bytes());
            (old, new)
        },
    )
}

fn check(split: &Split, body: &[u8]) -> Result<(), TestCaseError> {
    let glued: Vec<u8> = split.ranges().flat_map(|r| body[r].to_vec()).collect();
    prop_assert_eq!(glued, body);
    prop_assert!(split.ranges().all(|r| !r.is_empty()));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn parts_add_up(body in body(), bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        check(&split(body.as_bytes()), body.as_bytes())?;
        check(&split(&bytes), &bytes)?;
    }

    #[test]
    fn resplit_is_split((old, new) in pair()) {
        let before = split(&old);
        let re = resplit(&new, &old, &before);
        prop_assert_eq!(&re.split, &split(&new), "{} -> {}", String::from_utf8_lossy(&old), String::from_utf8_lossy(&new));
        check(&re.split, &new)?;
        prop_assert!(re.same_prefix_parts + re.same_suffix_parts <= before.cuts.len().min(re.split.cuts.len()));
        for i in 0..re.same_prefix_parts {
            prop_assert_eq!(&new[re.split.range(i)], &old[before.range(i)]);
        }
        for i in 1..=re.same_suffix_parts {
            let (n, o) = (re.split.cuts.len() - i, before.cuts.len() - i);
            prop_assert_eq!(&new[re.split.range(n)], &old[before.range(o)]);
        }
    }

    #[test]
    fn ends_are_found_at_any_length(a in prop::collection::vec(0u8..2, 0..3000), at in any::<prop::sample::Index>()) {
        let mut b = a.clone();
        if !a.is_empty() {
            let at = at.index(a.len());
            b[at] = 7;
            prop_assert_eq!(common_prefix(&a, &b), at);
            prop_assert_eq!(common_suffix(&a, &b), a.len() - at - 1);
        }
        prop_assert_eq!(common_prefix(&a, &a), a.len());
        prop_assert_eq!(common_suffix(&a, &a), a.len());
    }
}
