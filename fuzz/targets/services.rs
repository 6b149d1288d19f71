//! Other calls of providers, as lines. The first line is the target, the second the content type, then comes the request's
//! body, an empty line, the answer's body.

use super::first_line;
use retake::dialect::services::{Call, line};
use retake::exchange::{HeaderList, RequestHead, ResponseHead};

/// One line, whatever they say.
pub fn run(data: &[u8]) {
    let (target, rest) = first_line(data);
    let (kind, rest) = first_line(rest);
    let at = rest.windows(2).position(|two| two == b"\n\n").unwrap_or(rest.len());
    let (body, answer) = rest.split_at(at);
    let mut headers = HeaderList(Vec::new());
    headers.push("content-type", String::from_utf8_lossy(kind));
    let came = ResponseHead { status: 200, headers: headers.clone() };
    for method in ["POST", "GET"] {
        let head = RequestHead {
            method: method.into(),
            target: String::from_utf8_lossy(target).into(),
            headers: headers.clone(),
        };
        let call = Call { head: &head, body, answer: Some((&came, answer)) };
        if let Some(line) = line(&call, 120) {
            assert!(!line.contains('\n'), "{line:?}");
        }
    }
}
