//! JSON against JSON, field by field: `risk  "low" -> "high"`.

use super::align::align;
use super::tree::Tree;
use super::worlds::{Side, Verdict, Worlds};
use serde::Serialize;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

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
    texts_in(&Worlds::unknown(), left, right)
}

/// The same for texts of two runs.
pub(super) fn texts_in(worlds: &Worlds, left: &str, right: &str) -> Vec<FieldChange> {
    if left == right {
        return Vec::new();
    }
    if let (Some(l), Some(r)) = (Tree::parse_nested(left), Tree::parse_nested(right)) {
        return trees_in(worlds, &l, &r);
    }
    let whole = |varies| FieldChange {
        path: String::new(),
        left: Some(left.to_string()),
        right: Some(right.to_string()),
        varies,
    };
    match worlds.text(left, right) {
        Verdict::Same => Vec::new(),
        verdict => vec![whole(verdict == Verdict::Varies)],
    }
}

/// How two values of two runs differ.
pub(super) fn trees_in(worlds: &Worlds, left: &Tree, right: &Tree) -> Vec<FieldChange> {
    let mut walk = Walk { worlds, out: Vec::new() };
    walk.value("", "", left, right);
    walk.out
}

struct Walk<'w, 'a, 'r> {
    worlds: &'w Worlds<'a, 'r>,
    out: Vec<FieldChange>,
}

impl Walk<'_, '_, '_> {
    fn value(&mut self, path: &str, name: &str, left: &Tree, right: &Tree) {
        match (left, right) {
            (Tree::Fields(l), Tree::Fields(r)) => self.fields(path, l, r),
            (Tree::List(l), Tree::List(r)) => self.list(path, name, l, r),
            (Tree::Text(l), Tree::Text(r)) if l != r => {
                match (Tree::parse_nested(l), Tree::parse_nested(r)) {
                    (Some(l), Some(r)) => self.value(path, name, &l, &r),
                    _ => self.leaf(path, name, left, right),
                }
            }
            _ if left == right => {}
            _ => self.leaf(path, name, left, right),
        }
    }

    fn leaf(&mut self, path: &str, name: &str, left: &Tree, right: &Tree) {
        match self.worlds.leaf(name, left, right) {
            Verdict::Same => {}
            verdict => {
                self.out.push(change(path, Some(left), Some(right), verdict == Verdict::Varies));
            }
        }
    }

    fn fields(&mut self, path: &str, left: &[(String, Tree)], right: &[(String, Tree)]) {
        let of = |side: &[(String, Tree)], key: &str| side.iter().filter(|(k, _)| k == key).count();
        // A key that repeats has no one value; such objects are compared as a whole.
        let repeats =
            |side: &[(String, Tree)]| side.len() < 1000 && side.iter().any(|(k, _)| of(side, k) > 1);
        if repeats(left) || repeats(right) {
            if left != right {
                let whole = |side: &[(String, Tree)]| Tree::Fields(side.to_vec());
                self.out.push(change(path, Some(&whole(left)), Some(&whole(right)), false));
            }
            return;
        }
        let worlds = self.worlds;
        let rights: HashMap<Cow<'_, str>, &Tree> =
            right.iter().map(|(k, v)| (worlds.key(Side::Right, k), v)).collect();
        let mut lefts: HashSet<Cow<'_, str>> = HashSet::new();
        for (key, value) in left {
            let place = join(path, key);
            let found = worlds.key(Side::Left, key);
            match rights.get(&found) {
                Some(other) => self.value(&place, key, value, other),
                None => self.out.push(change(&place, Some(value), None, false)),
            }
            lefts.insert(found);
        }
        for (key, value) in right.iter().filter(|(k, _)| !lefts.contains(&worlds.key(Side::Right, k))) {
            self.out.push(change(&join(path, key), None, Some(value), false));
        }
    }

    /// Lists are aligned first, so that one inserted item does not mark the rest.
    fn list(&mut self, path: &str, name: &str, left: &[Tree], right: &[Tree]) {
        let keys = |side: Side, items: &[Tree]| {
            items.iter().map(|item| self.worlds.keyed(side, item.canonical())).collect::<Vec<_>>()
        };
        let (of_left, of_right) = (keys(Side::Left, left), keys(Side::Right, right));
        if of_left != of_right && is_reordered(&of_left, &of_right) {
            let whole = |items: &[Tree]| Tree::List(items.to_vec());
            self.out.push(change(path, Some(&whole(left)), Some(&whole(right)), false));
            return;
        }
        let pairs = align(&of_left, &of_right);
        let (mut l, mut r) = (Vec::new(), Vec::new());
        let mut flush = |l: &mut Vec<usize>, r: &mut Vec<usize>| {
            for i in 0..l.len().max(r.len()) {
                match (l.get(i), r.get(i)) {
                    (Some(a), Some(b)) => {
                        if let (Some(x), Some(y)) = (left.get(*a), right.get(*b)) {
                            self.value(&format!("{path}[{b}]"), name, x, y);
                        }
                    }
                    (Some(a), None) => {
                        self.out.push(change(&format!("{path}[{a}]"), left.get(*a), None, false));
                    }
                    (None, Some(b)) => {
                        self.out.push(change(&format!("{path}[{b}]"), None, right.get(*b), false));
                    }
                    (None, None) => {}
                }
            }
            l.clear();
            r.clear();
        };
        for pair in pairs {
            match pair {
                (Some(_), Some(_)) => flush(&mut l, &mut r),
                (Some(a), None) => l.push(a),
                (None, Some(b)) => r.push(b),
                (None, None) => {}
            }
        }
        flush(&mut l, &mut r);
    }
}

/// True when two lists have the same items.
fn is_reordered<K: Ord>(left: &[K], right: &[K]) -> bool {
    let sorted = |items: &[K]| {
        let mut order: Vec<usize> = (0..items.len()).collect();
        order.sort_by(|a, b| items[*a].cmp(&items[*b]));
        order
    };
    left.len() == right.len() && {
        let (l, r) = (sorted(left), sorted(right));
        l.iter().zip(&r).all(|(a, b)| left[*a] == right[*b])
    }
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
    fn another_order_is_told_as_one() {
        assert_eq!(lines("[1,2,3]", "[3,1,2]"), [" [1,2,3] -> [3,1,2]"]);
        assert_eq!(
            lines(r#"{"a":[{"x":1},{"x":2}]}"#, r#"{"a":[{"x":2},{"x":1}]}"#),
            [r#"a [{"x":1},{"x":2}] -> [{"x":2},{"x":1}]"#]
        );
        assert_eq!(lines("[1,1,2]", "[1,2,2]").len(), 2, "not the same items");
    }

    #[test]
    fn json_in_a_string_is_taken_apart_and_odd_keys_are_quoted() {
        assert_eq!(lines(r#"{"p":"{\"q\":1}"}"#, r#"{"p":"{\"q\":2}"}"#), ["p.q 1 -> 2"]);
        assert_eq!(lines(r#"{"a b":1}"#, r#"{"a b":2}"#), [r#"["a b"] 1 -> 2"#]);
        assert_eq!(lines(r#"{"a":1,"a":2}"#, r#"{"a":2,"a":1}"#).len(), 1);
    }
}
