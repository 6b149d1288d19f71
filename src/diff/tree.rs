//! JSON for comparing: numbers keep the way they are written, so that 9007199254740993 and 4.0 stay what they are.

use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use std::fmt;

/// How deep a value is taken apart; what is nested deeper is compared as text.
const DEPTH: usize = 64;

/// A JSON value whose numbers are texts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Tree {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number as it is written, or JSON nested too deep to take apart.
    Lexeme(String),
    /// A string.
    Text(String),
    /// An array.
    List(Vec<Tree>),
    /// An object, in the order in which it is written; a key may repeat.
    Fields(Vec<(String, Tree)>),
}

impl Tree {
    /// Reads JSON; none when the text is none.
    pub fn parse(text: &str) -> Option<Tree> {
        let raw: &RawValue = serde_json::from_str(text).ok()?;
        read(raw.get(), 0)
    }

    /// Reads JSON when the text is an object or an array: a plain text that happens to be a number stays a text.
    pub fn parse_nested(text: &str) -> Option<Tree> {
        let start = text.trim_start().as_bytes().first()?;
        matches!(start, b'{' | b'[').then(|| Tree::parse(text)).flatten()
    }

    /// The value in a form in which equal values have equal texts: keys sorted, no spaces.
    pub fn canonical(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, true);
        out
    }

    fn write(&self, out: &mut String, sorted: bool) {
        match self {
            Tree::Null => out.push_str("null"),
            Tree::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
            Tree::Lexeme(text) => out.push_str(text),
            Tree::Text(text) => out.push_str(&quoted(text)),
            Tree::List(items) => {
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    item.write(out, sorted);
                }
                out.push(']');
            }
            Tree::Fields(fields) => {
                let mut order: Vec<&(String, Tree)> = fields.iter().collect();
                if sorted {
                    order.sort_by(|a, b| a.0.cmp(&b.0));
                }
                out.push('{');
                for (i, (key, value)) in order.into_iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    out.push_str(&quoted(key));
                    out.push(':');
                    value.write(out, sorted);
                }
                out.push('}');
            }
        }
    }
}

/// The value as compact JSON, in the order in which it is written.
impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = String::new();
        self.write(&mut out, false);
        f.write_str(&out)
    }
}

impl From<&Value> for Tree {
    fn from(value: &Value) -> Tree {
        match value {
            Value::Null => Tree::Null,
            Value::Bool(b) => Tree::Bool(*b),
            Value::Number(n) => Tree::Lexeme(n.to_string()),
            Value::String(s) => Tree::Text(s.clone()),
            Value::Array(items) => Tree::List(items.iter().map(Tree::from).collect()),
            Value::Object(fields) => {
                Tree::Fields(fields.iter().map(|(k, v)| (k.clone(), Tree::from(v))).collect())
            }
        }
    }
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn read(text: &str, depth: usize) -> Option<Tree> {
    let text = text.trim();
    if depth > DEPTH {
        return Some(Tree::Lexeme(text.to_string()));
    }
    match text.as_bytes().first()? {
        b'n' => Some(Tree::Null),
        b't' => Some(Tree::Bool(true)),
        b'f' => Some(Tree::Bool(false)),
        b'"' => serde_json::from_str(text).ok().map(Tree::Text),
        b'[' => {
            let items: Vec<&RawValue> = serde_json::from_str(text).ok()?;
            items.into_iter().map(|i| read(i.get(), depth + 1)).collect::<Option<_>>().map(Tree::List)
        }
        b'{' => {
            let fields: Fields = serde_json::from_str(text).ok()?;
            let read_field = |(key, raw): (String, &RawValue)| Some((key, read(raw.get(), depth + 1)?));
            fields.0.into_iter().map(read_field).collect::<Option<_>>().map(Tree::Fields)
        }
        _ => Some(Tree::Lexeme(text.to_string())),
    }
}

/// The fields of an object in order, each with its JSON text.
struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Fields<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_keep_their_lexemes() {
        for (a, b) in
            [("4999", "49.99"), ("1", "1.0"), ("9007199254740993", "9007199254740992"), ("1e2", "100")]
        {
            assert_ne!(Tree::parse(a), Tree::parse(b), "{a} {b}");
        }
        let long = "123456789012345678901234567890.10";
        assert_eq!(Tree::parse(long).map(|t| t.to_string()).as_deref(), Some(long));
    }

    #[test]
    fn key_order_and_spaces_do_not_count() {
        let a = Tree::parse(r#"{"b": [1, {"y":2,"x":3}], "a":null}"#).map(|t| t.canonical());
        let b = Tree::parse(r#"{"a":null,"b":[1,{"x":3,"y":2}]}"#).map(|t| t.canonical());
        assert!(a.is_some());
        assert_eq!(a, b);
    }

    #[test]
    fn what_is_nested_deep_is_compared_as_text_and_nothing_overflows() {
        let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
        let other = format!("{}2{}", "[".repeat(100_000), "]".repeat(100_000));
        // serde_json may refuse this depth; either way nothing panics and the two are not called equal.
        if let (Some(a), Some(b)) = (Tree::parse(&deep), Tree::parse(&other)) {
            assert_ne!(a, b);
        }
        let ok = format!("{}1{}", "[".repeat(100), "]".repeat(100));
        assert!(Tree::parse(&ok).is_some());
    }

    #[test]
    fn a_plain_number_is_no_nested_json() {
        assert_eq!(Tree::parse_nested("42"), None);
        assert_eq!(Tree::parse_nested("{\"a\""), None);
        assert!(Tree::parse_nested(" [1]").is_some());
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in ".{0,200}") {
            let _ = Tree::parse(&text);
        }

        #[test]
        fn what_is_written_reads_back(keys in prop::collection::vec("[a-z\"\\\\é]{0,6}", 0..6), n in any::<i64>()) {
            let tree = Tree::Fields(
                keys.into_iter().map(|k| (k, Tree::List(vec![Tree::Lexeme(n.to_string()), Tree::Null]))).collect(),
            );
            prop_assert_eq!(Tree::parse(&tree.to_string()), Some(tree));
        }
    }
}
