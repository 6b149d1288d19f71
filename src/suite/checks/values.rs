//! Values as checks compare and show them.

use crate::diff::excerpt;
use serde_json::{Number, Value};
use std::cmp::Ordering;

/// Two numbers of which one is no whole number are the same when they are no further apart than this share of the larger
/// one, or than this where both are below one. It is what is lost in some hundred additions of cents, and a thousandth
/// of a cent in a million: 49.99 is 4999 / 100, and 0.1 + 0.2 is 0.3. Whole numbers are compared as they are.
const APART: f64 = 1e-13;

/// Characters of a value that are shown.
const SHOWN: usize = 200;

/// True for equal values: numbers by what they are worth, texts by the letter, lists and objects by what is in them.
pub(super) fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(l), Value::Number(r)) => compare(l, r) == Ordering::Equal,
        (Value::Array(l), Value::Array(r)) => l.len() == r.len() && l.iter().zip(r).all(|(l, r)| same(l, r)),
        (Value::Object(l), Value::Object(r)) => {
            l.len() == r.len() && l.iter().all(|(key, l)| r.get(key).is_some_and(|r| same(l, r)))
        }
        _ => left == right,
    }
}

/// How two values stand in order; none when they are not both numbers or both texts.
pub(super) fn order(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Number(l), Value::Number(r)) => Some(compare(l, r)),
        (Value::String(l), Value::String(r)) => Some(l.cmp(r)),
        _ => None,
    }
}

fn compare(left: &Number, right: &Number) -> Ordering {
    let whole = |n: &Number| n.as_i64().map(i128::from).or_else(|| n.as_u64().map(i128::from));
    if let (Some(l), Some(r)) = (whole(left), whole(right)) {
        return l.cmp(&r);
    }
    let (l, r) = (left.as_f64().unwrap_or(f64::NAN), right.as_f64().unwrap_or(f64::NAN));
    if (l - r).abs() <= APART * l.abs().max(r.abs()).max(1.0) {
        return Ordering::Equal;
    }
    l.total_cmp(&r)
}

/// What kind of value it is: `a text`.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// A value in one line, cut in the middle when it is long.
pub(super) fn short(value: &Value) -> String {
    excerpt::middle(&value.to_string(), SHOWN)
}

/// Two values in one line each, cut so that what differs is seen.
pub(super) fn differing(left: &Value, right: &Value) -> (String, String) {
    excerpt::differing(&left.to_string(), &right.to_string(), SHOWN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn money_is_money() {
        for (l, r) in [
            (json!(49.99), json!(4999.0 / 100.0)),
            (json!(0.1 + 0.2), json!(0.3)),
            (json!(50), json!(50.0)),
            (json!([1, {"a": 0.1 + 0.2}]), json!([1.0, {"a": 0.3}])),
        ] {
            assert!(same(&l, &r), "{l} {r}");
        }
        for (l, r) in [
            (json!(4999), json!(49.99)),
            (json!(1_000_000_000_000_000_001u64), json!(1_000_000_000_000_000_002u64)),
            (json!(12_345_678_901.23), json!(12_345_678_901.24)),
            (json!(0.000001), json!(0.0000011)),
            (json!("50"), json!(50)),
            (json!(null), json!(0)),
            (json!(true), json!(1)),
            (json!({"a": 1}), json!({"a": 1, "b": 2})),
        ] {
            assert!(!same(&l, &r), "{l} {r}");
        }
    }

    proptest! {
        #[test]
        fn cents_divided_are_the_dollars_that_are_written(cents in 0u64..100_000_000_000) {
            let written: Value = serde_json::from_str(&format!("{}.{:02}", cents / 100, cents % 100)).unwrap();
            prop_assert!(same(&written, &json!(cents as f64 / 100.0)));
            prop_assert!(!same(&written, &json!((cents + 1) as f64 / 100.0)));
            prop_assert_eq!(order(&written, &json!((cents + 1) as f64 / 100.0)), Some(Ordering::Less));
        }
    }
}
