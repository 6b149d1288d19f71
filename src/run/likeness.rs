//! Hashes of what a conversation says: equal when two requests, answers or messages say the same.

use super::reading::{Piece, Reading, readings};
use crate::dialect::conversation::{Block, Message, ModelAnswer, ModelRequest};
use serde_json::Value;

/// 128 bits of a BLAKE3 hash.
pub type Key = [u8; 16];

/// Feeds values into a hash, each framed, so that no two different sequences look alike.
struct Digest(blake3::Hasher);

impl Digest {
    fn new(kind: &str) -> Digest {
        let mut digest = Digest(blake3::Hasher::new());
        digest.text(kind);
        digest
    }
    fn number(&mut self, n: usize) {
        self.0.update(&(n as u64).to_le_bytes());
    }
    fn text(&mut self, text: &str) {
        self.number(text.len());
        self.0.update(text.as_bytes());
    }
    fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.text("null"),
            Value::Bool(b) => self.text(if *b { "true" } else { "false" }),
            Value::Number(n) => {
                self.text("number");
                self.text(&n.to_string());
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
        self.0.finalize_xof().fill(&mut key);
        key
    }
}

/// 32 hex digits.
pub fn hex(key: &Key) -> String {
    key.iter().map(|b| format!("{b:02x}")).collect()
}

/// The key of a request's path (without query) and the bytes of its body: equal keys need no comparison.
pub fn body_key(path: &str, body: &[u8]) -> Key {
    let mut digest = Digest::new("body");
    digest.text(path);
    digest.0.update(body);
    digest.key()
}

/// Keys in JSON: hex digits, or nothing.
pub mod hex_key {
    use super::Key;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes a key as 32 hex digits.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(key: &Option<Key>, to: S) -> Result<S::Ok, S::Error> {
        match key {
            Some(key) => to.serialize_str(&super::hex(key)),
            None => to.serialize_none(),
        }
    }

    /// Reads a key.
    ///
    /// # Errors
    /// When it is not 32 hex digits.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Key>, D::Error> {
        let Some(text) = Option::<String>::deserialize(from)? else { return Ok(None) };
        let number = u128::from_str_radix(&text, 16).ok().filter(|_| text.len() == 32);
        let number = number.ok_or_else(|| D::Error::custom("a key is 32 hex digits"))?;
        Ok(Some(number.to_be_bytes()))
    }
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

/// The key of a message by itself (results are not paired with calls).
pub fn message_key(message: &Message) -> Key {
    readings(std::slice::from_ref(message)).first().map(reading_key).unwrap_or_default()
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
        digest.piece(&Piece { block, message: 0, index, answers: None });
    }
    digest.number(request.tools.len());
    request.tools.iter().for_each(|t| digest.value(t));
}

/// The key of a whole request: model, stream or not, parameters, system, tools, messages.
pub fn request_key(request: &ModelRequest) -> String {
    request_key_of(request, &reading_keys(&readings(&request.messages)))
}

/// The same, where the readings' keys are known already.
pub fn request_key_of(request: &ModelRequest, keys: &[Key]) -> String {
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
    digest.number(keys.len());
    keys.iter().for_each(|k| {
        digest.0.update(k);
    });
    hex(&digest.key())
}

/// The key by which an answer is known again when the agent sends it back as history. Reasoning does not count, nor
/// does white space: agents strip it, and join text blocks as they like.
pub fn echo_key<'a>(blocks: impl Iterator<Item = &'a Block> + Clone) -> Key {
    let mut digest = Digest::new("echo");
    for block in blocks.clone() {
        if let Block::Text { text } = block {
            text.split_whitespace().for_each(|word| {
                digest.0.update(word.as_bytes());
            });
        }
    }
    digest.0.update(&[0xff]);
    for block in blocks {
        match block {
            Block::ToolCall { id, name, args } => {
                digest.text(id);
                digest.text(name);
                digest.value(args);
            }
            Block::Other { value } => {
                digest.text(value.get("type").and_then(Value::as_str).unwrap_or("other"))
            }
            _ => {}
        }
    }
    digest.key()
}

/// The echo key of a reading.
pub fn reading_echo(reading: &Reading<'_>) -> Key {
    echo_key(reading.pieces.iter().map(|p| p.block))
}

/// The echo key of an answer as 32 hex digits; none when there is nothing in it.
pub fn answer_key(answer: &ModelAnswer) -> Option<String> {
    (!answer.blocks.is_empty()).then(|| hex(&echo_key(answer.blocks.iter())))
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
            other => digest.piece(&Piece { block: other, message: 0, index: 0, answers: None }),
        }
    }
    digest.key()
}

/// True when a message of a request is this answer, sent back.
pub fn same_assistant(answer: &ModelAnswer, message: &Message) -> bool {
    echo_key(answer.blocks.iter()) == echo_key(message.blocks.iter())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::conversation::Role;
    use serde_json::json;

    fn answer(blocks: Vec<Block>) -> ModelAnswer {
        ModelAnswer { blocks, whole: true, ..ModelAnswer::default() }
    }
    fn text(text: &str) -> Block {
        Block::Text { text: text.into() }
    }
    fn call(id: &str, args: Value) -> Block {
        Block::ToolCall { id: id.into(), name: "t".into(), args }
    }

    #[test]
    fn an_echo_survives_stripping_and_key_order_but_no_change() {
        let given = answer(vec![text("Well.\n"), text("Look:"), call("c1", json!({"a": 1, "b": [2]}))]);
        let echo =
            |t: &str, args: Value| Message { role: Role::Assistant, blocks: vec![text(t), call("c1", args)] };
        assert!(same_assistant(&given, &echo("Well. Look:", json!({"b": [2], "a": 1}))));
        assert!(!same_assistant(&given, &echo("Well. Look!", json!({"b": [2], "a": 1}))));
        assert!(!same_assistant(&given, &echo("Well. Look:", json!({"b": [2], "a": 2}))));
    }

    #[test]
    fn the_shape_knows_no_ids() {
        let one = answer(vec![call("c1", json!({"a": 1}))]);
        let two = answer(vec![call("c2", json!({"a": 1}))]);
        assert_eq!(shape_key(&one), shape_key(&two));
        assert_ne!(answer_key(&one), answer_key(&two));
        assert_ne!(shape_key(&one), shape_key(&answer(vec![call("c1", json!({"a": 1.5}))])));
    }

    #[test]
    fn neighbouring_values_do_not_run_together() {
        let message = |blocks| Message { role: Role::User, blocks };
        assert_ne!(
            message_key(&message(vec![text("ab"), text("c")])),
            message_key(&message(vec![text("a"), text("bc")]))
        );
    }
}
