//! Exchanges as other tools want them: with an address, decoded.

use crate::exchange::{Exchange, HeaderList, RecordedRequest, encoding};
use std::borrow::Cow;

/// Where a request went.
pub(super) fn url(request: &RecordedRequest) -> String {
    format!("{}{}", request.upstream.origin.trim_end_matches('/'), request.head.target)
}

/// A body without its content encoding; as it is when that is unknown or damaged.
pub(super) fn body_of<'a>(headers: &HeaderList, body: &'a [u8]) -> Cow<'a, [u8]> {
    encoding::decode(headers.get("content-encoding"), body).unwrap_or(Cow::Borrowed(body))
}

/// The value of `content-type`.
pub(super) fn mime_type(headers: &HeaderList) -> &str {
    headers.get("content-type").unwrap_or_default()
}

/// What a status is called.
pub(super) fn reason(status: u16) -> &'static str {
    http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or_default()
}

/// Why other tools have no place for an exchange; none when they have.
pub fn left_out(exchange: &Exchange, wants_answer: bool) -> Option<&'static str> {
    let head = exchange.response.as_ref().and_then(|response| response.head.as_ref());
    if exchange.request.head.is_websocket() || head.is_some_and(|head| head.is_websocket()) {
        Some("a turn of a WebSocket")
    } else if !exchange.request.upstream.origin.starts_with("http") {
        Some("a call that did not go over HTTP")
    } else if wants_answer && head.is_none() {
        Some("a request without an answer")
    } else {
        None
    }
}
