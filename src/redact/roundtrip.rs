//! Fields that a protocol must get back as it gave them: signatures, encrypted reasoning, ids.

use std::ops::Range;

/// Fields that are never touched.
const SEALED: [&str; 5] =
    ["signature", "encrypted_content", "thoughtSignature", "thought_signature", "redactedContent"];
/// Fields with ids, and how the ids that a provider makes begin.
const IDS: [&str; 10] = [
    "id",
    "tool_call_id",
    "tool_use_id",
    "toolUseId",
    "call_id",
    "item_id",
    "response_id",
    "previous_response_id",
    "message_id",
    "request_id",
];
const ID_PREFIXES: [&str; 15] = [
    "toolu_",
    "tooluse_",
    "srvtoolu_",
    "call_",
    "chatcmpl-",
    "req_",
    "msg_",
    "resp_",
    "rs_",
    "fc_",
    "ws_",
    "item_",
    "run_",
    "step_",
    "gen-",
];

const FARTHEST: usize = 200;

/// Which places of a text lie in a field that must round-trip. Asked from left to right it reads the text once; what is
/// written meanwhile must leave the quotes where they are.
#[derive(Debug, Default)]
pub(super) struct Fields {
    /// The text was read up to here.
    read: usize,
    /// The last quote before that.
    opening: Option<usize>,
    /// What was found out of the value behind this quote: for what rules found, and for what is surer.
    known: Option<(usize, [bool; 2])>,
}

impl Fields {
    /// True when a place lies in such a field. `shape` tells that a rule, and nothing surer, found it.
    pub(super) fn is_sealed(&mut self, text: &[u8], place: &Range<usize>, shape: bool) -> bool {
        if place.start < self.read {
            *self = Fields::default();
        }
        let new = text.get(self.read..place.start).unwrap_or_default();
        self.opening = memchr::memrchr(b'"', new).map(|at| self.read + at).or(self.opening);
        self.read = place.start;
        let Some(opening) = self.opening else { return false };
        let [of_rules, of_others] = match self.known {
            Some((known, sealed)) if known == opening => sealed,
            _ => {
                let sealed = sealed_behind(text, opening);
                self.known = Some((opening, sealed));
                sealed
            }
        };
        if shape { of_rules } else { of_others }
    }
}

/// Whether the value behind a quote must round-trip: for what rules find in it, and for what is surer.
fn sealed_behind(text: &[u8], opening: usize) -> [bool; 2] {
    let Some(name) = name_before(text, opening) else { return [false; 2] };
    let value = text.get(opening + 1..).unwrap_or_default();
    let thinks = name == b"data" && is_redacted_thinking(text, opening);
    [true, false].map(|shape| thinks || is_sealed_field(name, value, shape))
}

/// The same for a field whose name and value are known.
pub(super) fn is_sealed_field(name: &[u8], value: &[u8], shape: bool) -> bool {
    let among = |list: &[&str]| list.iter().any(|n| n.as_bytes() == name);
    let made = || ID_PREFIXES.iter().any(|p| value.starts_with(p.as_bytes()));
    among(&SEALED) || (among(&IDS) && (shape || made()))
}

/// The name of the field whose string value begins with this quote. The values of interest hold no quotes.
fn name_before(text: &[u8], opening: usize) -> Option<&[u8]> {
    let head = trim(text.get(..opening)?, |b| b == b'\\' || b.is_ascii_whitespace());
    let head = trim(head.strip_suffix(b":")?, |b| b.is_ascii_whitespace());
    let head = trim(head.strip_suffix(b"\"")?, |b| b == b'\\');
    let start = memchr::memrchr(b'"', head)? + 1;
    head.get(start..)
}

fn trim(text: &[u8], ends: impl Fn(u8) -> bool) -> &[u8] {
    let kept = text.iter().rposition(|b| !ends(*b)).map_or(0, |i| i + 1);
    text.get(..kept).unwrap_or_default()
}

fn is_redacted_thinking(text: &[u8], opening: usize) -> bool {
    let start = opening + 1;
    let end = start + text.get(start..).and_then(|t| memchr::memchr(b'"', t)).unwrap_or(0);
    let around =
        text.get(opening.saturating_sub(FARTHEST)..(end + FARTHEST).min(text.len())).unwrap_or_default();
    memchr::memmem::find(around, b"redacted_thinking").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(text: &str, shape: bool) -> bool {
        let at = text.find("HIT").unwrap();
        Fields::default().is_sealed(text.as_bytes(), &(at..at + 3), shape)
    }

    /// Were each asked by itself, these would read two terabytes.
    #[test]
    fn many_places_of_a_text_read_it_once() {
        for before in ["", "{\"signature\":\"", "{\"data\":\"", "{\"name\" :                      \""] {
            let text = [before, &"x".repeat(4 << 20)].concat();
            let mut fields = Fields::default();
            let places = (before.len()..text.len() - 4).step_by(4);
            let sealed = places.filter(|at| fields.is_sealed(text.as_bytes(), &(*at..at + 4), true)).count();
            assert_eq!(sealed > 0, before.contains("signature"), "{before}");
        }
        let mut fields = Fields::default();
        let text = br#"{"signature":"abc","text":"def"}"#;
        let mut ask = |place: Range<usize>| fields.is_sealed(text, &place, true);
        assert_eq!([ask(14..17), ask(27..30), ask(14..17)], [true, false, true], "in any order");
    }

    #[test]
    fn sealed_fields_are_known_at_every_depth() {
        assert!(sealed(r#"{"signature": "abcHIT"}"#, false));
        assert!(sealed(r#"{\"encrypted_content\":\"HIT\"}"#, false));
        assert!(sealed(r#"{"type":"redacted_thinking","data":"xxHITxx"}"#, false));
        assert!(sealed(r#"{"data":"xxHITxx","type":"redacted_thinking"}"#, false));
        assert!(sealed(r#"{"id":"toolu_01HIT"}"#, false));
        assert!(sealed(r#"{"id":"HIT"}"#, true));
        assert!(!sealed(r#"{"id":"HIT"}"#, false));
        assert!(!sealed(r#"{"data":"xxHITxx","type":"image"}"#, false));
        assert!(!sealed(r#"{"text":"the \"signature\" is HIT"}"#, false));
        assert!(!sealed("HIT", true));
    }
}
