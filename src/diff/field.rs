//! JSON against JSON, field by field: `risk  "low" -> "high"`.

use super::align::align;
use super::tree::Tree;
use super::volatile;
use serde::Serialize;

/// One field that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldChange {
    /// Where: `risk`, `items[2].sku`; empty for the whole value.
    pub path: String,
    /// The left value as JSON (a text that is no JSON as it is); none when only the right has the field.
    pub left: Option<String>,
    /// The right value; none when only the left has the field.
    pub right: Option<String>,
    /// True when both look like an id, a clock or a duration.
    pub varies: bool,
}

/// How two texts differ: as JSON when both are, else as a whole. Empty when they are the same, key order aside.
pub fn texts(left: &str, right: &str) -> Vec<FieldChange> {
    if left == right {
        return Vec::new();
    }
    match (Tree::parse_nested(left), Tree::parse_nested(right)) {
        (Some(l), Some(r)) => trees(&l, &r),
        _ => vec![FieldChange {
            path: String::new(),
            left: Some(left.to_string()),
            right: Some(right.to_string()),
            varies: volatile::text_varies(left, right),
        }],
    }
}

/// How two values differ.
pub fn trees(left: &Tree, right: &Tree) -> Vec<FieldChange> {
    let mut changes = Vec::new();
    walk("", "", left, right, &mut changes);
    changes
}

fn walk(path: &str, name: &str, left: &Tree, right: &Tree, out: &mut Vec<FieldChange>) {
    match (left, right) {
        (Tree::Fields(l), Tree::Fields(r)) => fields(path, l, r, out),
        (Tree::List(l), Tree::List(r)) => list(path, name, l, r, out),
        (Tree::Text(l), Tree::Text(r)) if l != r => {
            match (Tree::parse_nested(l), Tree::parse_nested(r)) {
                (Some(l), Some(r)) => walk(path, name, &l, &r, out),
                _ => {
                    let varies = volatile::varies(name, left, right) || volatile::text_varies(l, r);
                    out.push(change(path, Some(left), Some(right), varies));
                }
            };
        }
        _ if left == right => {}
        _ => out.push(change(path, Some(left), Some(right), volatile::varies(name, left, right))),
    }
}

fn fields(path: &str, left: &[(String, Tree)], right: &[(String, Tree)], out: &mut Vec<FieldChange>) {
    let of = |side: &[(String, Tree)], key: &str| side.iter().filter(|(k, _)| k == key).count();
    // A key that repeats has no one value; such objects are compared as a whole.
    let repeats = |side: &[(String, Tree)]| side.len() < 1000 && side.iter().any(|(k, _)| of(side, k) > 1);
    if repeats(left) || repeats(right) {
        if left != right {
            let whole = |side: &[(String, Tree)]| Tree::Fields(side.to_vec());
            out.push(change(path, Some(&whole(left)), Some(&whole(right)), false));
        }
        return;
    }
    let rights: std::collections::HashMap<&str, &Tree> = right.iter().map(|(k, v)| (k.as_str(), v)).collect();
    let lefts: std::collections::HashSet<&str> = left.iter().map(|(k, _)| k.as_str()).collect();
    for (key, value) in left {
        let place = join(path, key);
        match rights.get(key.as_str()) {
            Some(other) => walk(&place, key, value, other, out),
            None => out.push(change(&place, Some(value), None, false)),
        }
    }
    for (key, value) in right.iter().filter(|(k, _)| !lefts.contains(k.as_str())) {
        out.push(change(&join(path, key), None, Some(value), false));
    }
}

/// Lists are aligned first, so that one inserted item does not mark the rest.
fn list(path: &str, name: &str, left: &[Tree], right: &[Tree], out: &mut Vec<FieldChange>) {
    let keys = |side: &[Tree]| side.iter().map(Tree::canonical).collect::<Vec<_>>();
    let (mut l, mut r) = (Vec::new(), Vec::new());
    let mut flush = |l: &mut Vec<usize>, r: &mut Vec<usize>| {
        for i in 0..l.len().max(r.len()) {
            match (l.get(i), r.get(i)) {
                (Some(a), Some(b)) => {
                    if let (Some(x), Some(y)) = (left.get(*a), right.get(*b)) {
                        walk(&format!("{path}[{b}]"), name, x, y, out);
                    }
                }
                (Some(a), None) => out.push(change(&format!("{path}[{a}]"), left.get(*a), None, false)),
                (None, Some(b)) => out.push(change(&format!("{path}[{b}]"), None, right.get(*b), false)),
                (None, None) => {}
            }
        }
        l.clear();
        r.clear();
    };
    for pair in align(&keys(left), &keys(right)) {
        match pair {
            (Some(_), Some(_)) => flush(&mut l, &mut r),
            (Some(a), None) => l.push(a),
            (None, Some(b)) => r.push(b),
            (None, None) => {}
        }
    }
    flush(&mut l, &mut r);
}

fn change(path: &str, left: Option<&Tree>, right: Option<&Tree>, varies: bool) -> FieldChange {
    FieldChange {
        path: path.to_string(),
        left: left.map(ToString::to_string),
        right: right.map(ToString::to_string),
        varies,
    }
}

fn join(path: &str, key: &str) -> String {
    let plain = !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '$'));
    match (path.is_empty(), plain) {
        (true, true) => key.to_string(),
        (false, true) => format!("{path}.{key}"),
        (_, false) => format!("{path}[{}]", serde_json::Value::from(key)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(left: &str, right: &str) -> Vec<String> {
        let side = |v: &Option<String>| v.clone().unwrap_or_else(|| "-".into());
        let mark = |c: &FieldChange| if c.varies { " varies" } else { "" };
        texts(left, right)
            .iter()
            .map(|c| format!("{} {} -> {}{}", c.path, side(&c.left), side(&c.right), mark(c)))
            .collect()
    }

    #[test]
    fn one_field_of_many() {
        let left = r#"{"risk":"low","score":0.07,"checked_at":1795224754.6}"#;
        let right = r#"{"score":0.07,"checked_at":1795224790.1,"risk":"high"}"#;
        assert_eq!(
            lines(left, right),
            [r#"risk "low" -> "high""#, "checked_at 1795224754.6 -> 1795224790.1 varies"]
        );
    }

    #[test]
    fn money_is_a_difference_and_key_order_is_none() {
        assert_eq!(lines(r#"{"amount":4999}"#, r#"{"amount":49.99}"#), ["amount 4999 -> 49.99"]);
        assert_eq!(lines(r#"{"n":9007199254740993}"#, r#"{"n":9007199254740992}"#).len(), 1);
        assert_eq!(lines(r#"{"a":1,"b":2}"#, r#"{"b":2, "a":1}"#), Vec::<String>::new());
        assert_eq!(lines("Refunded $4,999.00", "Refunded $49.99").len(), 1);
    }

    #[test]
    fn an_inserted_item_does_not_mark_the_rest() {
        assert_eq!(lines("[1,2,3,4]", "[1,9,2,3,4]"), ["[1] - -> 9"]);
        assert_eq!(lines(r#"{"a":[{"x":1},{"x":2}]}"#, r#"{"a":[{"x":1},{"x":3}]}"#), ["a[1].x 2 -> 3"]);
    }

    #[test]
    fn json_in_a_string_is_taken_apart_and_odd_keys_are_quoted() {
        assert_eq!(lines(r#"{"p":"{\"q\":1}"}"#, r#"{"p":"{\"q\":2}"}"#), ["p.q 1 -> 2"]);
        assert_eq!(lines(r#"{"a b":1}"#, r#"{"a b":2}"#), [r#"["a b"] 1 -> 2"#]);
        assert_eq!(lines(r#"{"a":1,"a":2}"#, r#"{"a":2,"a":1}"#).len(), 1);
    }
}
