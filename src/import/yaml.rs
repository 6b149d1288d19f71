//! YAML as programs write it into cassettes: a tree from the events of a parser.
//!
//! Plain scalars mean what YAML 1.1 says, which is what PyYAML and Psych write: `1e5` is a text there. A value that is
//! referred to by aliases is one value in memory; what it would take written out is counted where it is taken.

use super::Unreadable;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};
use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;

/// How deep lists and maps may be nested.
const MAX_DEPTH: usize = 100;

/// What aliases may make of any file, in bytes.
const LEAST_BUDGET: usize = 64 << 20;

/// A value.
#[derive(Debug, PartialEq)]
pub(super) enum Yaml {
    Null,
    Bool(bool),
    /// Written as JSON has it.
    Number(String),
    Text(String),
    Bytes(Vec<u8>),
    List(Vec<Rc<Yaml>>),
    Map(Vec<(Rc<Yaml>, Rc<Yaml>)>),
}

/// How many bytes may still be taken out of a document.
pub(super) struct Budget(Cell<usize>);

impl Budget {
    /// For a file of so many bytes.
    pub(super) fn of(file: usize) -> Budget {
        Budget(Cell::new(file.saturating_mul(4).max(LEAST_BUDGET)))
    }

    /// Takes some.
    ///
    /// # Errors
    /// When there are not so many left.
    pub(super) fn take(&self, bytes: usize) -> Result<(), Unreadable> {
        let left = self.0.get().checked_sub(bytes);
        self.0.set(left.ok_or_else(|| Unreadable::new("its aliases make far more of it than it is long"))?);
        Ok(())
    }
}

impl Yaml {
    /// The value of a key; of several the last.
    pub(super) fn get(&self, key: &str) -> Option<&Yaml> {
        let Yaml::Map(entries) = self else { return None };
        entries.iter().rev().find(|(k, _)| matches!(&**k, Yaml::Text(text) if text == key)).map(|(_, v)| &**v)
    }

    /// The value of a key, unless it is null.
    pub(super) fn said(&self, key: &str) -> Option<&Yaml> {
        self.get(key).filter(|value| **value != Yaml::Null)
    }

    /// The text of a scalar, of bytes as Latin-1; none of others.
    pub(super) fn text(&self) -> Option<Cow<'_, str>> {
        match self {
            Yaml::Text(text) | Yaml::Number(text) => Some(text.into()),
            Yaml::Bool(yes) => Some(if *yes { "true" } else { "false" }.into()),
            Yaml::Bytes(bytes) => Some(crate::exchange::headers::latin1(bytes).into()),
            _ => None,
        }
    }

    /// The elements of a list.
    pub(super) fn elements(&self) -> Option<&[Rc<Yaml>]> {
        match self {
            Yaml::List(elements) => Some(elements),
            _ => None,
        }
    }

    /// As JSON without white space, members in the order in which they stand.
    ///
    /// # Errors
    /// When it is longer than the budget has left.
    pub(super) fn json(&self, budget: &Budget) -> Result<Vec<u8>, Unreadable> {
        let mut out = Vec::new();
        self.write_json(&mut out, budget)?;
        Ok(out)
    }

    fn write_json(&self, out: &mut Vec<u8>, budget: &Budget) -> Result<(), Unreadable> {
        let before = out.len();
        match self {
            Yaml::Null => out.extend(b"null"),
            Yaml::Bool(yes) => out.extend(if *yes { &b"true"[..] } else { b"false" }),
            Yaml::Number(number) => out.extend(number.as_bytes()),
            Yaml::Text(text) => write_text(text, out),
            Yaml::Bytes(bytes) => write_text(&STANDARD.encode(bytes), out),
            Yaml::List(elements) => {
                budget.take(2 + elements.len())?;
                out.push(b'[');
                for (index, element) in elements.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    element.write_json(out, budget)?;
                }
                out.push(b']');
                return Ok(());
            }
            Yaml::Map(entries) => {
                budget.take(2 + 2 * entries.len())?;
                out.push(b'{');
                for (index, (key, value)) in entries.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    let key = key.text().unwrap_or_default();
                    budget.take(key.len())?;
                    write_text(&key, out);
                    out.push(b':');
                    value.write_json(out, budget)?;
                }
                out.push(b'}');
                return Ok(());
            }
        }
        budget.take(out.len() - before)
    }
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    // A text has no reason to fail, and nothing to say when it does.
    let _ = serde_json::to_writer(out, text);
}

/// The first document.
///
/// # Errors
/// With the line when it is no YAML, has none, or is nested too deeply.
pub(super) fn read(bytes: &[u8]) -> Result<Rc<Yaml>, Unreadable> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line =
            bytes.get(..error.valid_up_to()).unwrap_or_default().iter().filter(|b| **b == b'\n').count();
        Unreadable::new(format!("line {}: no UTF-8", line + 1))
    })?;
    let mut parser = Parser::new_from_str(text);
    let mut tree = Tree::default();
    while let Some(next) = parser.next_event() {
        let (event, span) = next
            .map_err(|error| Unreadable::new(format!("line {}: {}", error.marker().line(), error.info())))?;
        if matches!(event, Event::DocumentEnd) {
            break;
        }
        tree.take(event, span)?;
    }
    tree.root.ok_or_else(|| Unreadable::new("it holds no YAML document"))
}

/// A list or map that is being filled.
struct Open {
    anchor: usize,
    fill: Fill,
}

enum Fill {
    List(Vec<Rc<Yaml>>),
    Map(Vec<(Rc<Yaml>, Rc<Yaml>)>, Option<Rc<Yaml>>),
}

#[derive(Default)]
struct Tree {
    open: Vec<Open>,
    anchors: HashMap<usize, Rc<Yaml>>,
    root: Option<Rc<Yaml>>,
}

impl Tree {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Unreadable> {
        let at = |what: &str| Unreadable::new(format!("line {}: {what}", span.start.line()));
        match event {
            Event::Alias(anchor) => {
                let known = self.anchors.get(&anchor).cloned();
                self.put(known.ok_or_else(|| at("an alias of a value that holds it"))?, 0);
            }
            Event::Scalar(text, style, anchor, tag) => {
                let scalar = scalar(text, style, tag.as_deref()).map_err(|why| at(&why))?;
                self.put(Rc::new(scalar), anchor);
            }
            Event::SequenceStart(anchor, _) => self.begin(anchor, Fill::List(Vec::new())),
            Event::MappingStart(anchor, _) => self.begin(anchor, Fill::Map(Vec::new(), None)),
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(Open { anchor, fill }) = self.open.pop() {
                    let value = match fill {
                        Fill::List(elements) => Yaml::List(elements),
                        Fill::Map(entries, _) => Yaml::Map(entries),
                    };
                    self.put(Rc::new(value), anchor);
                }
            }
            _ => {}
        }
        if self.open.len() > MAX_DEPTH {
            return Err(at(&format!("nested deeper than {MAX_DEPTH}")));
        }
        Ok(())
    }

    fn begin(&mut self, anchor: usize, fill: Fill) {
        self.open.push(Open { anchor, fill });
    }

    fn put(&mut self, value: Rc<Yaml>, anchor: usize) {
        if anchor > 0 {
            self.anchors.insert(anchor, value.clone());
        }
        match self.open.last_mut().map(|open| &mut open.fill) {
            None => self.root = Some(value),
            Some(Fill::List(elements)) => elements.push(value),
            Some(Fill::Map(entries, key)) => match key.take() {
                Some(key) => entries.push((key, value)),
                None => *key = Some(value),
            },
        }
    }
}

fn scalar(text: Cow<'_, str>, style: ScalarStyle, tag: Option<&Tag>) -> Result<Yaml, String> {
    let tag = tag.map(|tag| tag.suffix.rsplit(':').next().unwrap_or_default());
    match tag {
        Some("binary") => {
            let packed: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
            STANDARD
                .decode(packed)
                .map(Yaml::Bytes)
                .map_err(|error| format!("!!binary is no base64: {error}"))
        }
        Some("str") => Ok(Yaml::Text(text.into_owned())),
        _ if style == ScalarStyle::Plain => Ok(plain(text)),
        Some("int" | "float" | "bool" | "null") => Ok(plain(text)),
        _ => Ok(Yaml::Text(text.into_owned())),
    }
}

/// A scalar without quotes and tag, as YAML 1.1 reads it. Numbers of base sixty and dates stay texts: programs that have
/// such texts quote them, and have no other use for them.
fn plain(text: Cow<'_, str>) -> Yaml {
    match &*text {
        "" | "~" | "null" | "Null" | "NULL" => Yaml::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Yaml::Bool(true),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Yaml::Bool(false),
        other => match integer(other).or_else(|| float(other)) {
            Some(number) => Yaml::Number(number),
            None => Yaml::Text(text.into_owned()),
        },
    }
}

fn signed(text: &str) -> (&'static str, &str) {
    match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    }
}

fn integer(text: &str) -> Option<String> {
    let (sign, digits) = signed(text);
    let with_base = |digits: &str, base: u32| {
        let number = u128::from_str_radix(&digits.replace('_', ""), base).ok()?;
        digits.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_').then(|| format!("{sign}{number}"))
    };
    if digits == "0" {
        return Some(format!("{sign}0"));
    }
    if let Some(digits) = digits.strip_prefix("0x") {
        return with_base(digits, 16);
    }
    if let Some(digits) = digits.strip_prefix("0b") {
        return with_base(digits, 2);
    }
    if let Some(digits) = digits.strip_prefix('0') {
        return with_base(digits, 8);
    }
    let is_number = digits.starts_with(|c: char| c.is_ascii_digit())
        && digits.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    is_number.then(|| format!("{sign}{}", digits.replace('_', "")))
}

fn float(text: &str) -> Option<String> {
    let (sign, rest) = signed(text);
    let (whole, behind) = rest.split_once('.')?;
    let (part, exponent) = match behind.find(['e', 'E']) {
        Some(at) => behind.split_at(at),
        None => (behind, ""),
    };
    let is_digits = |digits: &str| digits.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    let is_exponent = exponent.is_empty()
        || matches!(exponent.as_bytes(), [_, b'+' | b'-', digits @ ..]
            if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit));
    let begins = |digits: &str| digits.starts_with(|c: char| c.is_ascii_digit());
    if !is_digits(whole) || !is_digits(part) || !is_exponent || !(begins(whole) || begins(part)) {
        return None;
    }
    let [whole, part] = [whole, part].map(|digits| digits.replace('_', ""));
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        whole => whole,
    };
    let part = if part.is_empty() { "0" } else { &part };
    Some(format!("{sign}{whole}.{part}{exponent}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> String {
        String::from_utf8(read(text.as_bytes()).unwrap().json(&Budget::of(0)).unwrap()).unwrap()
    }

    #[test]
    fn scalars_are_those_of_pyyaml() {
        for (yaml, wanted) in [
            ("[1, -1, +1, 1_000, 0, 0x1f, 0b11, 017]", "[1,-1,1,1000,0,31,3,15]"),
            (
                "[1.5, 1.0e-05, .5, 2., -0.25, 1e5, 0o17, 1.5e3]",
                r#"[1.5,1.0e-05,0.5,2.0,-0.25,"1e5","0o17","1.5e3"]"#,
            ),
            ("[yes, No, on, 'yes', ~, null, '', Nope]", r#"[true,false,true,"yes",null,null,"","Nope"]"#),
            (
                "[2026-01-01, 1:30, a b, 12345678901234567890123]",
                r#"["2026-01-01","1:30","a b",12345678901234567890123]"#,
            ),
            ("{b: 1, a: {d: !!str 2, c: !!float '3.5'}}", r#"{"b":1,"a":{"d":"2","c":3.5}}"#),
            ("'it''s\n  folded\n\n  here'", r#""it's folded\nhere""#),
            ("\"tab\\t \\u00e9 \\U0001F600\"", "\"tab\\t é 😀\""),
        ] {
            assert_eq!(json(yaml), wanted, "{yaml}");
        }
        assert_eq!(*read(b"!!binary |\n  AAEC\n  /w==\n").unwrap(), Yaml::Bytes(vec![0, 1, 2, 255]));
    }

    #[test]
    fn what_is_wrong_has_a_line() {
        for (yaml, wanted) in [
            (&b"a: 1\nb: [1"[..], "line"),
            (b"a: 1\nb: \xff", "line 2: no UTF-8"),
            (b"a: 1\nb: !!binary '%'", "line 2: !!binary is no base64"),
            (b"a: &x [*x]", "line 1: an alias of a value that holds it"),
            (b"", "no YAML document"),
            (&[b"- ".repeat(200), b"a".to_vec()].concat(), "line 1: nested deeper than 100"),
            (&b"[".repeat(5000), "recursion limit"),
        ] {
            let error = read(yaml).unwrap_err().what;
            assert!(error.contains(wanted), "{error}");
        }
    }

    #[test]
    fn aliases_that_multiply_take_no_memory_and_end() {
        let mut text = "a0: &a0 [xxxxxxxxxx, xxxxxxxxxx]\n".to_string();
        for n in 1..60 {
            text.push_str(&format!("a{n}: &a{n} [*a{}, *a{}, *a{}]\n", n - 1, n - 1, n - 1));
        }
        let bomb = read(text.as_bytes()).unwrap();
        let error = bomb.json(&Budget::of(text.len())).unwrap_err();
        assert!(error.what.contains("aliases"), "{error}");
    }
}
