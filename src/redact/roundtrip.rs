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

/// True when a place lies in a field that must round-trip. `shape` tells that a rule, and nothing surer, found it.
pub(super) fn is_sealed(text: &[u8], place: &Range<usize>, shape: bool) -> bool {
    let Some((name, value_start)) = field_around(text, place.start) else { return false };
    let value = text.get(value_start..).unwrap_or_default();
    is_sealed_field(name, value, shape) || (name == b"data" && is_redacted_thinking(text, place))
}

/// The same for a field whose name and value are known.
pub(super) fn is_sealed_field(name: &[u8], value: &[u8], shape: bool) -> bool {
    let among = |list: &[&str]| list.iter().any(|n| n.as_bytes() == name);
    let made = || ID_PREFIXES.iter().any(|p| value.starts_with(p.as_bytes()));
    among(&SEALED) || (among(&IDS) && (shape || made()))
}

/// The name of the field whose string value a place lies in, and where the value starts. The values of interest hold no
/// quotes.
fn field_around(text: &[u8], place: usize) -> Option<(&[u8], usize)> {
    let opening = memchr::memrchr(b'"', text.get(..place)?)?;
    let head = trim(text.get(..opening)?, |b| b == b'\\' || b.is_ascii_whitespace());
    let head = trim(head.strip_suffix(b":")?, |b| b.is_ascii_whitespace());
    let head = trim(head.strip_suffix(b"\"")?, |b| b == b'\\');
    let start = memchr::memrchr(b'"', head)? + 1;
    Some((head.get(start..)?, opening + 1))
}

fn trim(text: &[u8], ends: impl Fn(u8) -> bool) -> &[u8] {
    let kept = text.iter().rposition(|b| !ends(*b)).map_or(0, |i| i + 1);
    text.get(..kept).unwrap_or_default()
}

fn is_redacted_thinking(text: &[u8], place: &Range<usize>) -> bool {
    let end = place.end + text.get(place.end..).and_then(|t| memchr::memchr(b'"', t)).unwrap_or(0);
    let opening = text.get(..place.start).and_then(|t| memchr::memrchr(b'"', t)).unwrap_or(0);
    let around =
        text.get(opening.saturating_sub(FARTHEST)..(end + FARTHEST).min(text.len())).unwrap_or_default();
    memchr::memmem::find(around, b"redacted_thinking").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(text: &str, shape: bool) -> bool {
        let at = text.find("HIT").unwrap();
        is_sealed(text.as_bytes(), &(at..at + 3), shape)
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
