//! The strings of a JSON text: where each lies, and a key that is the same for the pieces of one text in a stream.

use std::ops::Range;

/// Deeper nesting is not followed.
const DEEPEST: u8 = 64;
/// Fields that repeat in every event of a stream and are never cut into pieces.
const WHOLE: [&[u8]; 12] = [
    b"id",
    b"object",
    b"model",
    b"type",
    b"role",
    b"system_fingerprint",
    b"service_tier",
    b"obfuscation",
    b"item_id",
    b"event",
    b"finish_reason",
    b"done_reason",
];

/// Fields with what a tool is called with: in them a name says nothing.
const ARGUMENTS: [&[u8]; 4] = [b"input", b"arguments", b"args", b"partial_json"];
/// Fields with reasoning, its signatures and ciphertext.
const SEALED: [&[u8]; 14] = [
    b"thinking",
    b"thinking_blocks",
    b"signature",
    b"thought_signature",
    b"thoughtSignature",
    b"encrypted",
    b"encrypted_content",
    b"reasoning",
    b"reasoning_content",
    b"reasoningContent",
    b"reasoning_details",
    b"reasoning_text",
    b"reasoning_opaque",
    b"reasoning_signature",
];
/// Types of blocks that are reasoning as a whole.
const SEALED_TYPES: [&[u8]; 4] = [b"thinking", b"redacted_thinking", b"reasoning", b"reasoning.encrypted"];

/// One string. Its key has the type of the event in it, and no other `type`: that of a tool call is in its first piece
/// alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Leaf {
    /// Its path, with the `index` fields of the objects around it in place of array positions.
    pub(super) key: u64,
    /// Where its characters lie, without the quotes.
    pub(super) range: Range<usize>,
    /// The name of its field.
    pub(super) name: Range<usize>,
    /// True when it has JSON escapes.
    pub(super) escaped: bool,
    /// True in reasoning, which may be signed.
    pub(super) sealed: bool,
}

impl Leaf {
    /// True when it is JSON in a string: the arguments of a tool call, or a piece of them.
    pub(super) fn is_arguments(&self, text: &[u8]) -> bool {
        matches!(text.get(self.name.clone()), Some(b"arguments" | b"partial_json"))
    }

    /// True when it is what a tool is called with, as a text: JSON as Bedrock streams it, or anything.
    pub(super) fn is_input(&self, text: &[u8]) -> bool {
        text.get(self.name.clone()) == Some(b"input")
    }
}

/// What a value lies in.
#[derive(Clone, Copy, PartialEq)]
enum Around {
    Message,
    Arguments,
    Reasoning,
}

impl Around {
    /// What the value of a field lies in.
    fn field(self, name: &[u8]) -> Around {
        match self {
            Around::Message if ARGUMENTS.contains(&name) => Around::Arguments,
            Around::Message if SEALED.contains(&name) => Around::Reasoning,
            around => around,
        }
    }
}

/// The strings of a JSON text, in order; as far as the text is JSON. Fields that are never cut are left out.
pub(super) fn of_json(text: &[u8]) -> Vec<Leaf> {
    let mut leaves = Vec::new();
    collect(text, 0..text.len(), &mut leaves);
    leaves
}

/// All strings of the JSON text in this range, which is what a tool is called with.
pub(super) fn of_arguments(text: &[u8], range: Range<usize>) -> Vec<Leaf> {
    let mut leaves = Vec::new();
    let mut reader =
        Reader { text: text.get(..range.end).unwrap_or_default(), at: range.start, leaves: &mut leaves };
    let _ = reader.value(SEED, 0..0, Around::Arguments, 0);
    leaves
}

/// Appends the strings of the JSON text in this range.
pub(super) fn collect(text: &[u8], range: Range<usize>, leaves: &mut Vec<Leaf>) {
    let end = range.end.min(text.len());
    let mut reader = Reader { text: text.get(..end).unwrap_or_default(), at: range.start, leaves };
    let _ = reader.value(SEED, 0..0, Around::Message, 0);
}

const SEED: u64 = 0xcbf2_9ce4_8422_2325;

fn mix(key: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(key.rotate_left(5), |k, b| (k ^ u64::from(*b)).wrapping_mul(0x0000_0100_0000_01b3))
}

struct Reader<'t> {
    text: &'t [u8],
    at: usize,
    leaves: &'t mut Vec<Leaf>,
}

/// What a value was, as far as it matters to the object around it.
enum Value {
    Text(Range<usize>),
    Number(Range<usize>),
    Object { indexed: bool },
    Other,
}

impl Reader<'_> {
    fn peek(&mut self) -> Option<u8> {
        while let Some(b) = self.text.get(self.at) {
            if !b.is_ascii_whitespace() {
                return Some(*b);
            }
            self.at += 1;
        }
        None
    }

    /// Reads one value; none at the end of the text or where it is no JSON.
    fn value(&mut self, key: u64, name: Range<usize>, around: Around, depth: u8) -> Option<Value> {
        match self.peek()? {
            b'"' => {
                let (range, escaped) = self.string()?;
                let field = self.text.get(name.clone()).unwrap_or_default();
                if around == Around::Arguments || !WHOLE.contains(&field) {
                    let sealed = around == Around::Reasoning;
                    self.leaves.push(Leaf { key, range: range.clone(), name, escaped, sealed });
                }
                Some(Value::Text(range))
            }
            b'{' if depth < DEEPEST => self.object(key, around, depth),
            b'[' if depth < DEEPEST => self.array(key, around, depth),
            b'{' | b'[' | b'}' | b']' | b',' | b':' => None,
            _ => {
                let start = self.at;
                let tail = self.text.get(start..).unwrap_or_default();
                self.at += tail.iter().take_while(|b| !b",]}\" \n\r\t".contains(b)).count();
                Some(Value::Number(start..self.at))
            }
        }
    }

    /// The inside of a string, and whether it has escapes. A string without an end ends with the text.
    fn string(&mut self) -> Option<(Range<usize>, bool)> {
        let start = self.at + 1;
        let mut escaped = false;
        let mut at = start;
        loop {
            match self.text.get(at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    at += 2;
                }
                Some(_) => at += 1,
                None => {
                    at = self.text.len();
                    break;
                }
            }
        }
        self.at = at + 1;
        (start <= at).then_some((start..at, escaped))
    }

    fn object(&mut self, key: u64, around: Around, depth: u8) -> Option<Value> {
        // Arguments that are no string come whole: those of another event are another call's.
        let key = match around {
            Around::Arguments => mix(key, &self.at.to_le_bytes()),
            _ => key,
        };
        self.at += 1;
        let first = self.leaves.len();
        let (mut index, mut indexed, mut sealed) = (SEED, false, false);
        let closed = loop {
            match self.peek() {
                Some(b'"') => {}
                Some(b',') => {
                    self.at += 1;
                    continue;
                }
                Some(b'}') => {
                    self.at += 1;
                    break true;
                }
                _ => break false,
            }
            let Some((name, _)) = self.string() else { break false };
            if self.peek() != Some(b':') {
                break false;
            }
            self.at += 1;
            let field = self.text.get(name.clone()).unwrap_or_default();
            let (is_type, is_index) =
                (field == b"type", field.ends_with(b"index") || field.ends_with(b"Index"));
            let path = mix(key, field);
            match self.value(path, name, around.field(field), depth + 1) {
                Some(Value::Text(range)) if is_type => {
                    let said = self.text.get(range).unwrap_or_default();
                    sealed = around == Around::Message && SEALED_TYPES.contains(&said);
                    if depth == 0 {
                        index = mix(index, said);
                    }
                }
                Some(Value::Number(range)) if is_index => {
                    index = mix(index, self.text.get(range).unwrap_or_default());
                    indexed = true;
                }
                Some(_) => {}
                None => break false,
            }
        };
        if index != SEED {
            for leaf in self.leaves.iter_mut().skip(first) {
                leaf.key = mix(leaf.key, &index.to_le_bytes());
            }
        }
        if sealed {
            self.leaves.iter_mut().skip(first).for_each(|leaf| leaf.sealed = true);
        }
        closed.then_some(Value::Object { indexed })
    }

    fn array(&mut self, key: u64, around: Around, depth: u8) -> Option<Value> {
        self.at += 1;
        let path = mix(key, b"[]");
        let mut position = 0u32;
        loop {
            match self.peek()? {
                b',' => self.at += 1,
                b']' => {
                    self.at += 1;
                    return Some(Value::Other);
                }
                _ => {
                    let first = self.leaves.len();
                    let value = self.value(path, 0..0, around, depth + 1);
                    if !matches!(value, Some(Value::Object { indexed: true })) {
                        for leaf in self.leaves.iter_mut().skip(first) {
                            leaf.key = mix(leaf.key, &position.to_le_bytes());
                        }
                    }
                    value?;
                    position += 1;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(json: &str) -> Vec<(u64, String)> {
        of_json(json.as_bytes()).into_iter().map(|l| (l.key, json[l.range].to_string())).collect()
    }

    #[test]
    fn pieces_of_one_text_have_one_key() {
        let a = texts(r#"{"id":"1","choices":[{"index":0,"delta":{"content":"a"}}]}"#);
        let b = texts(r#"{"choices":[{"delta":{"content":"b"},"index":0}],"id":"1"}"#);
        let other = texts(r#"{"choices":[{"delta":{"content":"b"},"index":1}],"id":"1"}"#);
        assert_eq!((a.len(), b.len()), (1, 1));
        assert_eq!(a[0].0, b[0].0);
        assert_ne!(a[0].0, other[0].0);
    }

    #[test]
    fn the_first_piece_of_a_tool_call_says_more_than_the_rest() {
        let call =
            |c: &str| texts(&format!(r#"{{"choices":[{{"index":0,"delta":{{"tool_calls":[{c}]}}}}]}}"#));
        let first = call(r#"{"index":1,"id":"call_1","type":"function","function":{"arguments":"a"}}"#);
        let next = call(r#"{"index":1,"function":{"arguments":"b"}}"#);
        assert_eq!(first[0].0, next[0].0);
    }

    #[test]
    fn order_in_an_array_is_a_key_only_without_an_index() {
        let both = texts(r#"[{"index":0,"t":"a"},{"index":1,"t":"b"}]"#);
        let swapped = texts(r#"[{"index":1,"t":"b"},{"index":0,"t":"a"}]"#);
        assert_eq!(both[0].0, swapped[1].0);
        let plain = texts(r#"["a","b"]"#);
        assert_ne!(plain[0].0, plain[1].0);
    }

    #[test]
    fn broken_json_is_read_as_far_as_it_goes() {
        assert_eq!(texts(r#"{"a":"x","b":{"c":"y\"z"#).len(), 2);
        for junk in ["", "{", "\"", "\"\\", "[[[", "{\"a\"", "}{", "{\"a\":,"] {
            texts(junk);
        }
        texts(&"[".repeat(100_000));
    }
}
