//! JSON as it is written: a tree whose nodes know their byte ranges and whose numbers keep their digits.
//!
//! `serde_json::Value` forgets both, and edits need the one and comparisons the other.

use serde_json::{Map, Number, Value};
use std::borrow::Cow;
use std::ops::Range;

#[cfg(test)]
mod tests;

/// How deep arrays and objects may be nested; as in serde_json.
const MAX_DEPTH: usize = 128;

/// The one key of the object that stands for a number which [`Value`] cannot hold as it is written.
pub const NUMBER_KEY: &str = "$number";

/// Bytes that are no JSON text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {at}")]
pub struct NotJson {
    /// What was expected and not found.
    pub what: &'static str,
    /// Byte offset.
    pub at: usize,
}

/// A JSON value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Node<'a> {
    /// Its bytes in the text it was read from, without the white space around it.
    pub span: Range<usize>,
    /// What it is.
    pub kind: Kind<'a>,
}

/// What a [`Node`] is.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind<'a> {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// The digits, as written.
    Number(&'a str),
    /// The text, unescaped; half a surrogate pair becomes U+FFFD.
    String(Cow<'a, str>),
    /// The elements.
    Array(Vec<Node<'a>>),
    /// The members in the order in which they are written; a key may repeat.
    Object(Vec<Member<'a>>),
}

/// A member of an object.
#[derive(Debug, Clone, PartialEq)]
pub struct Member<'a> {
    /// Its key, unescaped.
    pub key: Cow<'a, str>,
    /// Where the key stands, quotes included.
    pub key_span: Range<usize>,
    /// Its value.
    pub value: Node<'a>,
}

/// Reads a JSON text.
///
/// # Errors
/// [`NotJson`] when it is malformed, not UTF-8, nested deeper than 128 levels, or when something follows it.
pub fn parse(bytes: &[u8]) -> Result<Node<'_>, NotJson> {
    let text = std::str::from_utf8(bytes)
        .map_err(|e| NotJson { what: "the text is not UTF-8", at: e.valid_up_to() })?;
    let mut reader = Reader { text, at: 0, depth: 0 };
    reader.white();
    let node = reader.value()?;
    reader.white();
    if reader.at < bytes.len() {
        return Err(reader.fail("expected the end of the text"));
    }
    Ok(node)
}

impl<'a> Node<'a> {
    /// The member with this key; the last one when the key repeats, as most readers do.
    pub fn get(&self, key: &str) -> Option<&Node<'a>> {
        self.member(key).map(|m| &m.value)
    }

    /// Like [`Node::get`], with the member around it. A `null` is a member too.
    pub fn member(&self, key: &str) -> Option<&Member<'a>> {
        self.members().iter().rev().find(|m| m.key == key)
    }

    /// The members; none when it is no object.
    pub fn members(&self) -> &[Member<'a>] {
        match &self.kind {
            Kind::Object(members) => members,
            _ => &[],
        }
    }

    /// The elements; none when it is no array.
    pub fn elements(&self) -> &[Node<'a>] {
        match &self.kind {
            Kind::Array(elements) => elements,
            _ => &[],
        }
    }

    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match &self.kind {
            Kind::String(text) => Some(text),
            _ => None,
        }
    }

    /// The text of the string under this key.
    pub fn str_of(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_str()
    }

    /// The whole number under this key.
    pub fn u64_of(&self, key: &str) -> Option<u64> {
        match self.get(key)?.kind {
            Kind::Number(digits) => digits.parse().ok(),
            _ => None,
        }
    }

    /// True for `null`, `""`, `[]` and `{}`.
    pub fn is_empty(&self) -> bool {
        match &self.kind {
            Kind::Null => true,
            Kind::String(text) => text.is_empty(),
            Kind::Array(elements) => elements.is_empty(),
            Kind::Object(members) => members.is_empty(),
            _ => false,
        }
    }

    /// As a [`Value`]. A number that would lose its *value* on the way (more digits than a float has) becomes
    /// `{"$number": "…"}`; `49.90` and `49.9` are one.
    pub fn to_value(&self) -> Value {
        self.convert(&|digits| match digits.parse::<Number>() {
            Ok(n) if decimal(&n.to_string()) == decimal(digits) => Some(n),
            _ => None,
        })
    }

    /// As a [`Value`]. A number that would lose its *digits* on the way becomes `{"$number": "…"}`, so that `0.70`
    /// and `0.7` differ.
    pub fn to_value_as_written(&self) -> Value {
        self.convert(&|digits| digits.parse::<Number>().ok().filter(|n| n.to_string() == digits))
    }

    fn convert(&self, number: &impl Fn(&str) -> Option<Number>) -> Value {
        match &self.kind {
            Kind::Null => Value::Null,
            Kind::Bool(b) => Value::Bool(*b),
            Kind::Number(digits) => number(digits).map_or_else(
                || Value::Object(Map::from_iter([(NUMBER_KEY.to_string(), Value::from(*digits))])),
                Value::Number,
            ),
            Kind::String(text) => Value::String(text.to_string()),
            Kind::Array(elements) => Value::Array(elements.iter().map(|e| e.convert(number)).collect()),
            Kind::Object(members) => {
                Value::Object(members.iter().map(|m| (m.key.to_string(), m.value.convert(number))).collect())
            }
        }
    }
}

/// The digits of the number that an object `{"$number": "…"}` stands for.
pub fn kept_number(members: &Map<String, Value>) -> Option<&str> {
    let digits = members.get(NUMBER_KEY).filter(|_| members.len() == 1)?.as_str()?;
    let whole = parse(digits.as_bytes()).ok()?;
    (matches!(whole.kind, Kind::Number(_)) && whole.span == (0..digits.len())).then_some(digits)
}

/// Sign, digits without zeros at the ends, and exponent: equal for two writings of one number.
fn decimal(digits: &str) -> (bool, String, i64) {
    let (negative, rest) = digits.strip_prefix('-').map_or((false, digits), |r| (true, r));
    let (mantissa, exponent) = rest.split_once(['e', 'E']).unwrap_or((rest, "0"));
    // An exponent beyond i64 is no number that a Value could hold either; any value far off keeps the two apart.
    let exponent: i64 = exponent.parse().unwrap_or(i64::MIN / 2);
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    let short = all.trim_end_matches('0');
    let dropped = (all.len() - short.len()) as i64;
    let significant = short.trim_start_matches('0');
    if significant.is_empty() {
        return (negative, String::new(), 0);
    }
    (negative, significant.to_string(), exponent - fraction.len() as i64 + dropped)
}

/// Where a string that begins at `at` (on its opening quote) ends, just behind the closing one. None when it does
/// not end.
pub(crate) fn string_end(bytes: &[u8], at: usize) -> Option<usize> {
    let mut from = at + 1;
    loop {
        let quote = from + memchr::memchr(b'"', bytes.get(from..)?)?;
        // A run of backslashes is counted once: the quote that it escapes ends it.
        let escapes = bytes[from..quote].iter().rev().take_while(|&&b| b == b'\\').count();
        if escapes % 2 == 0 {
            return Some(quote + 1);
        }
        from = quote + 1;
    }
}

/// The first byte at or after `at` that is no white space.
pub(crate) fn skip_white(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
        at += 1;
    }
    at
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    fn fail(&self, what: &'static str) -> NotJson {
        NotJson { what, at: self.at }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn white(&mut self) {
        self.at = skip_white(self.text.as_bytes(), self.at);
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn value(&mut self) -> Result<Node<'a>, NotJson> {
        let start = self.at;
        let kind = match self.peek() {
            Some(b'{') => self.nested(Self::object)?,
            Some(b'[') => self.nested(Self::array)?,
            Some(b'"') => Kind::String(self.string()?),
            Some(b'-' | b'0'..=b'9') => Kind::Number(self.number()?),
            _ => self.word()?,
        };
        Ok(Node { span: start..self.at, kind })
    }

    fn nested(&mut self, read: fn(&mut Self) -> Result<Kind<'a>, NotJson>) -> Result<Kind<'a>, NotJson> {
        if self.depth == MAX_DEPTH {
            return Err(self.fail("nested more than 128 levels deep"));
        }
        self.depth += 1;
        self.at += 1;
        self.white();
        let kind = read(self)?;
        self.depth -= 1;
        Ok(kind)
    }

    fn array(&mut self) -> Result<Kind<'a>, NotJson> {
        let mut elements = Vec::new();
        if self.take(b']') {
            return Ok(Kind::Array(elements));
        }
        loop {
            elements.push(self.value()?);
            self.white();
            if self.take(b']') {
                return Ok(Kind::Array(elements));
            }
            if !self.take(b',') {
                return Err(self.fail("expected `,` or `]`"));
            }
            self.white();
        }
    }

    fn object(&mut self) -> Result<Kind<'a>, NotJson> {
        let mut members = Vec::new();
        if self.take(b'}') {
            return Ok(Kind::Object(members));
        }
        loop {
            let start = self.at;
            if self.peek() != Some(b'"') {
                return Err(self.fail("expected a key"));
            }
            let key = self.string()?;
            let key_span = start..self.at;
            self.white();
            if !self.take(b':') {
                return Err(self.fail("expected `:`"));
            }
            self.white();
            members.push(Member { key, key_span, value: self.value()? });
            self.white();
            if self.take(b'}') {
                return Ok(Kind::Object(members));
            }
            if !self.take(b',') {
                return Err(self.fail("expected `,` or `}`"));
            }
            self.white();
        }
    }

    fn word(&mut self) -> Result<Kind<'a>, NotJson> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        for (word, kind) in [("null", Kind::Null), ("true", Kind::Bool(true)), ("false", Kind::Bool(false))] {
            if rest.starts_with(word) {
                self.at += word.len();
                return Ok(kind);
            }
        }
        Err(self.fail("expected a value"))
    }

    fn number(&mut self) -> Result<&'a str, NotJson> {
        let start = self.at;
        self.take(b'-');
        if !self.take(b'0') && self.digits() == 0 {
            return Err(self.fail("expected a digit"));
        }
        if self.take(b'.') && self.digits() == 0 {
            return Err(self.fail("expected a digit"));
        }
        if self.take(b'e') || self.take(b'E') {
            let _signed = self.take(b'+') || self.take(b'-');
            if self.digits() == 0 {
                return Err(self.fail("expected a digit"));
            }
        }
        Ok(self.text.get(start..self.at).unwrap_or_default())
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        self.at - start
    }

    fn string(&mut self) -> Result<Cow<'a, str>, NotJson> {
        let end =
            string_end(self.text.as_bytes(), self.at).ok_or_else(|| self.fail("a string without an end"))?;
        let raw = self.text.get(self.at + 1..end - 1).unwrap_or_default();
        if let Some(control) = raw.bytes().position(|b| b < 0x20) {
            return Err(NotJson { what: "a control character in a string", at: self.at + 1 + control });
        }
        let text = if memchr::memchr(b'\\', raw.as_bytes()).is_none() {
            Cow::Borrowed(raw)
        } else {
            Cow::Owned(unescape(raw).map_err(|at| NotJson { what: "a bad escape", at: self.at + 1 + at })?)
        };
        self.at = end;
        Ok(text)
    }
}

/// The text of a string's inside; the error is the offset of an escape that is none.
fn unescape(raw: &str) -> Result<String, usize> {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(slash) = memchr::memchr(b'\\', rest.as_bytes()) {
        let at = raw.len() - rest.len() + slash;
        out.push_str(&rest[..slash]);
        let escape = *rest.as_bytes().get(slash + 1).ok_or(at)?;
        let mut used = slash + 2;
        match escape {
            b'"' => out.push('"'),
            b'\\' => out.push('\\'),
            b'/' => out.push('/'),
            b'b' => out.push('\u{8}'),
            b'f' => out.push('\u{c}'),
            b'n' => out.push('\n'),
            b'r' => out.push('\r'),
            b't' => out.push('\t'),
            b'u' => {
                let unit = hex4(rest, used).ok_or(at)?;
                used += 4;
                let low = (0xd800..0xdc00).contains(&unit) && rest[used..].starts_with("\\u");
                let low =
                    low.then(|| hex4(rest, used + 2)).flatten().filter(|l| (0xdc00..0xe000).contains(l));
                let code = low.map_or(unit, |l| 0x10000 + ((unit - 0xd800) << 10) + (l - 0xdc00));
                used += if low.is_some() { 6 } else { 0 };
                out.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            _ => return Err(at),
        }
        rest = rest.get(used..).ok_or(at)?;
    }
    out.push_str(rest);
    Ok(out)
}

fn hex4(text: &str, at: usize) -> Option<u32> {
    let digits = text.get(at..at + 4).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))?;
    u32::from_str_radix(digits, 16).ok()
}
