//! Hashes of what a conversation says: equal when two requests, answers or messages say the same.

use super::reading::{Piece, Reading, readings};
use crate::dialect::conversation::{Block, ModelAnswer, ModelRequest};
use crate::exchange::json::kept_number;
use serde_json::Value;
use std::borrow::Cow;

#[cfg(test)]
mod tests;

/// 128 bits of a BLAKE3 hash.
pub type Key = [u8; 16];

/// Feeds values into a hash, each framed, so that no two different sequences look alike.
struct Digest {
    hasher: blake3::Hasher,
    /// Numbers count by value, as floats: a program in JavaScript that reads 1.0 writes 1.
    by_value: bool,
}

impl Digest {
    fn new(kind: &str) -> Digest {
        let mut digest = Digest { hasher: blake3::Hasher::new(), by_value: false };
        digest.text(kind);
        digest
    }
    fn number(&mut self, n: usize) {
        self.hasher.update(&(n as u64).to_le_bytes());
    }
    fn text(&mut self, text: &str) {
        self.number(text.len());
        self.hasher.update(text.as_bytes());
    }
    fn float(&mut self, float: f64) {
        // Both zeros are one.
        self.hasher.update(&(float + 0.0).to_le_bytes());
    }
    fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.text("null"),
            Value::Bool(b) => self.text(if *b { "true" } else { "false" }),
            Value::Number(n) => {
                self.text("number");
                match n.as_f64().filter(|_| self.by_value) {
                    Some(float) => self.float(float),
                    None => self.text(&n.to_string()),
                }
            }
            Value::String(s) => {
                self.text("string");
                self.text(s);
            }
            Value::Array(items) => {
                self.text("array");
                self.number(items.len());
                items.iter().for_each(|v| self.value(v));
            }
            Value::Object(kept) if self.by_value && kept_float(kept).is_some() => {
                self.text("number");
                self.float(kept_float(kept).unwrap_or_default());
            }
            Value::Object(fields) => {
                self.text("object");
                self.number(fields.len());
                let mut sorted: Vec<_> = fields.iter().collect();
                sorted.sort_by_key(|(name, _)| name.as_str());
                for (name, v) in sorted {
                    self.text(name);
                    self.value(v);
                }
            }
        }
    }
    fn piece(&mut self, piece: &Piece<'_>) {
        match piece.block {
            Block::Text { text } => {
                self.text("text");
                self.text(text);
            }
            Block::Reasoning { .. } => {}
            Block::ToolCall { id, name, args } => {
                self.text("call");
                self.text(id);
                self.text(name);
                self.value(args);
            }
            Block::ToolResult { call_id, text, other, is_error } => {
                self.text("result");
                // A paired result is the same whatever its call is named.
                match piece.answers {
                    Some(call) => self.number(call),
                    None => self.text(call_id),
                }
                self.text(text);
                self.number(other.len());
                other.iter().for_each(|v| self.value(v));
                self.number(usize::from(*is_error));
            }
            Block::Other { value } => {
                self.text("other");
                self.value(value);
            }
        }
    }
    fn key(self) -> Key {
        let mut key = [0; 16];
        self.hasher.finalize_xof().fill(&mut key);
        key
    }
}

/// The value of a number that is kept as it was written.
fn kept_float(fields: &serde_json::Map<String, Value>) -> Option<f64> {
    kept_number(fields)?.parse().ok()
}

/// 32 hex digits.
pub fn hex(key: &Key) -> String {
    key.iter().map(|b| format!("{b:02x}")).collect()
}

/// The key of a request's path (without query) and the bytes of its body: equal keys need no comparison.
pub fn body_key(path: &str, body: &[u8]) -> Key {
    let mut digest = Digest::new("body");
    digest.text(path);
    digest.hasher.update(body);
    digest.key()
}

/// Keys in JSON: 32 hex digits.
pub mod hex_key {
    use super::Key;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};
    use std::borrow::Cow;

    /// Writes a key.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(key: &Key, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&super::hex(key))
    }

    /// Reads a key.
    ///
    /// # Errors
    /// When it is not 32 hex digits.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Key, D::Error> {
        let text = Cow::<str>::deserialize(from)?;
        super::unhex(&text).ok_or_else(|| D::Error::custom("a key is 32 hex digits"))
    }

    /// The same for a key that may be missing.
    pub mod optional {
        use super::{Cow, Deserialize, Deserializer, Error, Key, Serializer};

        /// Writes a key, or null.
        ///
        /// # Errors
        /// Those of the serializer.
        pub fn serialize<S: Serializer>(key: &Option<Key>, to: S) -> Result<S::Ok, S::Error> {
            match key {
                Some(key) => super::serialize(key, to),
                None => to.serialize_none(),
            }
        }

        /// Reads a key, or null.
        ///
        /// # Errors
        /// When it is neither.
        pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Key>, D::Error> {
            let Some(text) = Option::<Cow<str>>::deserialize(from)? else { return Ok(None) };
            let key = crate::run::likeness::unhex(&text);
            key.map(Some).ok_or_else(|| D::Error::custom("a key is 32 hex digits"))
        }
    }
}

fn unhex(text: &str) -> Option<Key> {
    u128::from_str_radix(text, 16).ok().filter(|_| text.len() == 32).map(u128::to_be_bytes)
}

/// The key of one reading.
pub fn reading_key(reading: &Reading<'_>) -> Key {
    let mut digest = Digest::new("reading");
    digest.number(reading.role as usize);
    digest.number(reading.pieces.len());
    reading.pieces.iter().for_each(|p| digest.piece(p));
    digest.key()
}

/// The key of each reading.
pub fn reading_keys(readings: &[Reading<'_>]) -> Vec<Key> {
    readings.iter().map(reading_key).collect()
}

/// The key of everything in a request but its messages: system blocks, tools.
pub fn head_key(request: &ModelRequest) -> Key {
    let mut digest = Digest::new("head");
    head(&mut digest, request);
    digest.key()
}

fn head(digest: &mut Digest, request: &ModelRequest) {
    digest.number(request.system.len());
    for (index, block) in request.system.iter().enumerate() {
        digest.piece(&Piece { block, message: 0, index, answers: None, tool: None });
    }
    digest.number(request.tools.len());
    request.tools.iter().for_each(|t| digest.value(t));
}

/// The key of a whole request: model, stream or not, parameters, system, tools, messages.
pub fn request_key(request: &ModelRequest) -> Key {
    request_key_of(request, &reading_keys(&readings(&request.messages)))
}

/// The same, where the readings' keys are known already.
pub fn request_key_of(request: &ModelRequest, keys: &[Key]) -> Key {
    request_keys_of(request, keys).1
}

/// The key of everything in a request but its messages, model and parameters included, and that of the whole request.
pub fn request_keys_of(request: &ModelRequest, keys: &[Key]) -> (Key, Key) {
    let mut digest = Digest::new("request");
    digest.text(&request.model);
    digest.number(usize::from(request.stream));
    head(&mut digest, request);
    digest.number(request.params.len());
    let mut params: Vec<_> = request.params.iter().collect();
    params.sort_by_key(|(name, _)| name.as_str());
    for (name, value) in params {
        digest.text(name);
        digest.value(value);
    }
    let settings = Digest { hasher: digest.hasher.clone(), by_value: false }.key();
    digest.number(keys.len());
    keys.iter().for_each(|k| {
        digest.hasher.update(k);
    });
    (settings, digest.key())
}

/// The key by which an answer is known again when the agent sends it back as history, in the ways agents do: reasoning
/// does not count (tagged in the text or not), nor do white space, quotes and backslashes (a call in plain text, read as
/// JSON and written as Python), the division into blocks, how a number is written, or arguments that are false or null. Blocks of other kinds count only
/// where there is neither text nor call.
pub fn echo_key<'a>(blocks: impl Iterator<Item = &'a Block> + Clone) -> Key {
    echo_key_of(blocks, Told::All)
}

/// What of an answer goes into a key.
#[derive(Clone, Copy, PartialEq)]
enum Told {
    All,
    /// Not the ids of its calls.
    WithoutIds,
    /// Nothing but its calls, of an answer that says nothing else.
    Calls,
    /// Nothing but its calls, though it says something.
    CallsOfMore,
}

fn echo_key_of<'a>(blocks: impl Iterator<Item = &'a Block> + Clone, told: Told) -> Key {
    let kind = if told == Told::CallsOfMore { "calls" } else { "echo" };
    let mut digest = Digest { by_value: true, ..Digest::new(kind) };
    let said = match told {
        Told::All | Told::WithoutIds => essence(blocks.clone()),
        Told::Calls | Told::CallsOfMore => String::new(),
    };
    digest.text(&said);
    let mut calls = 0;
    for block in blocks.clone() {
        if let Block::ToolCall { id, name, args } = block {
            calls += 1;
            digest.text(if told == Told::WithoutIds { "" } else { id });
            digest.text(name);
            digest.value(&without_defaults(args));
        }
    }
    if said.is_empty() && calls == 0 {
        for block in blocks {
            if let Block::Other { value } = block
                && value.get("choice").is_none()
            {
                digest.value(value);
            }
        }
    }
    digest.key()
}

/// True where there are calls, and each has an id: such an answer is known by them alone.
fn calls_tell<'a>(blocks: impl Iterator<Item = &'a Block>) -> bool {
    let mut calls = blocks.filter_map(|block| match block {
        Block::ToolCall { id, .. } => Some(!id.is_empty()),
        _ => None,
    });
    calls.next() == Some(true) && calls.all(|named| named)
}

/// Arguments without those that are false or null: clients fill in what the model left out (`"replace_all": false`).
fn without_defaults(args: &Value) -> Cow<'_, Value> {
    let plain = |v: &Value| matches!(v, Value::Null | Value::Bool(false));
    match args {
        Value::Object(fields) if fields.values().any(plain) => {
            let kept = fields.iter().filter(|(_, v)| !plain(v)).map(|(k, v)| (k.clone(), v.clone()));
            Cow::Owned(Value::Object(kept.collect()))
        }
        _ => Cow::Borrowed(args),
    }
}

/// All text without white space, quotes, backslashes and tagged reasoning.
fn essence<'a>(blocks: impl Iterator<Item = &'a Block>) -> String {
    let mut text = String::new();
    for block in blocks {
        if let Block::Text { text: more } = block {
            text.push_str(more);
        }
    }
    for (open, close) in [("<think>", "</think>"), ("<thinking>", "</thinking>")] {
        if text.contains(open) {
            text = without_tagged(&text, open, close);
        }
    }
    text.retain(|c| !c.is_whitespace() && !matches!(c, '"' | '\'' | '\\'));
    text
}

/// A text without what stands between two tags. A tag that is not closed stays.
fn without_tagged(text: &str, open: &str, close: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, tagged)) = rest.split_once(open) {
        let Some((_, after)) = tagged.split_once(close) else { break };
        out.push_str(before);
        rest = after;
    }
    out.push_str(rest);
    out
}

/// The keys by which a message may be known again as an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Echoes {
    /// As it is, and without the ids of its calls. Where an API gives none (Gemini before 3), clients make them up for
    /// themselves and send them back.
    pub whole: [Key; 2],
    /// By its calls alone, where they have ids: some clients put a text of their own beside calls that came without one,
    /// or leave the text out. Other things have to agree then.
    pub calls: Option<Key>,
}

impl Echoes {
    /// All keys, likeliest first.
    pub fn iter(&self) -> impl Iterator<Item = &Key> {
        self.whole.iter().chain(&self.calls)
    }
}

/// The keys by which a reading may be known again as an answer.
pub fn reading_echoes(reading: &Reading<'_>) -> Echoes {
    echoes(reading.pieces.iter().map(|p| p.block))
}

/// The same for the blocks of a message.
pub fn echoes<'a>(blocks: impl Iterator<Item = &'a Block> + Clone) -> Echoes {
    let whole = [Told::All, Told::WithoutIds].map(|told| echo_key_of(blocks.clone(), told));
    // Its own text was added to calls, or else theirs was dropped.
    let added = !essence(blocks.clone()).is_empty();
    let told = if added { Told::Calls } else { Told::CallsOfMore };
    let calls = calls_tell(blocks.clone()).then(|| echo_key_of(blocks, told));
    Echoes { whole, calls }
}

/// The key by which an answer of text and calls is known when its text is left out; none for other answers.
pub fn calls_key<'a>(blocks: impl Iterator<Item = &'a Block> + Clone) -> Option<Key> {
    let both = calls_tell(blocks.clone()) && !essence(blocks.clone()).is_empty();
    both.then(|| echo_key_of(blocks, Told::CallsOfMore))
}

/// The echo key of an answer; none when there is nothing in it.
pub fn answer_key(answer: &ModelAnswer) -> Option<Key> {
    (!answer.blocks.is_empty()).then(|| echo_key(answer.blocks.iter()))
}

/// The key of what an answer says and asks for, whatever its calls are named.
pub fn shape_key(answer: &ModelAnswer) -> Key {
    let mut digest = Digest::new("shape");
    digest.text(answer.error.as_deref().unwrap_or_default());
    digest.text(answer.stop_reason.as_deref().unwrap_or_default());
    for block in &answer.blocks {
        match block {
            Block::ToolCall { name, args, .. } => {
                digest.text("call");
                digest.text(name);
                digest.value(args);
            }
            other => digest.piece(&Piece { block: other, message: 0, index: 0, answers: None, tool: None }),
        }
    }
    digest.key()
}
