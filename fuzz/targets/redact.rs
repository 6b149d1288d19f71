//! Redaction, and the way back. The first line is a header's value and a target, the rest a body.

use super::first_line;
use retake::exchange::HeaderList;
use retake::redact::{
    KnownSecret, Redacted, Redactor, replace, replace_in_messages, reveal, reveal_in_messages,
};
use std::sync::LazyLock;

const SECRET: &str = "correct-horse-battery-staple-91";

static REDACTOR: LazyLock<Redactor> = LazyLock::new(|| {
    let known = KnownSecret { label: "API_KEY".into(), value: SECRET.into() };
    Redactor::new([7; 32], vec![known], &["internal-([0-9]{6})".into()]).expect("a good pattern")
});

/// No length changes, what is known does not stay in clear, and the way back does not fail.
pub fn run(data: &[u8]) {
    let (head, body) = first_line(data);
    let head = String::from_utf8_lossy(head);
    let mut headers = HeaderList(Vec::new());
    headers.push("authorization", head.clone());
    headers.push("x-other", head.clone());
    let (other, _) = REDACTOR.headers(&headers);
    assert_eq!(other.0.len(), 2);
    REDACTOR.target(&head);
    let plain = REDACTOR.bytes(body);
    kept(&plain, body);
    kept(&REDACTOR.event_stream(body), body);
    kept(&REDACTOR.streamed_messages(body), body);
    REDACTOR.scan_residual(body);
    for stand_in in plain.stand_ins.iter().take(3) {
        for is_stream in [false, true] {
            reveal(body, is_stream, &stand_in.text, SECRET);
        }
        reveal_in_messages(body, &stand_in.text, SECRET);
    }
    let edits = |text: &str| match text.find('a') {
        Some(at) => vec![(at..at + 1, "\"b\n".to_string())],
        None => Vec::new(),
    };
    replace(body, false, &edits);
    replace(body, true, &edits);
    replace_in_messages(body, &edits);
}

fn kept(redacted: &Redacted<'_>, body: &[u8]) {
    assert_eq!(redacted.bytes.len(), body.len());
}
