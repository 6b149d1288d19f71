//! Answers of every dialect. The first line is the content type, the rest the body.

use super::first_line;
use retake::dialect::all;
use retake::dialect::histories::Histories;
use retake::exchange::{HeaderList, ResponseHead};

/// Reads it as every dialect's answer and error, whole and cut.
pub fn run(data: &[u8]) {
    let (kind, body) = first_line(data);
    let mut headers = HeaderList(Vec::new());
    headers.push("content-type", String::from_utf8_lossy(kind));
    for dialect in all() {
        for status in [200, 500] {
            let head = ResponseHead { status, headers: headers.clone() };
            let answer = dialect.read_answer(&head, body);
            let half = dialect.read_answer(&head, &body[..super::some_place(body)]);
            assert!(half.blocks.len() <= answer.blocks.len() + body.len());
            if status == 200 {
                let mut known = Histories::default();
                known.note(*dialect, br#"{"model":"m","input":"a","messages":[]}"#, &head, body);
            }
        }
    }
}
