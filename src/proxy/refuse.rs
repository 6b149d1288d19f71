//! Answers of retake's own: what cannot be routed, upgraded or sent.

use super::Routes;
use super::tee::AnswerBody;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Method, Response, StatusCode};

/// The body of an error, in the form that the SDKs of most providers show to their users.
pub(super) fn error_json(kind: &str, message: &str) -> Bytes {
    let body = serde_json::json!({ "type": "error", "error": { "type": kind, "message": message } });
    Bytes::from(body.to_string())
}

/// An error response. No SDK should try again: it would be refused again.
pub(super) fn refusal(status: StatusCode, kind: &str, message: &str) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::Plain(Some(error_json(kind, message))));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert("x-should-retry", HeaderValue::from_static("false"));
    response
}

/// No route has the name that the path starts with.
pub(super) fn unknown_route(routes: &Routes, path: &str) -> Response<AnswerBody> {
    let known: Vec<String> =
        routes.upstreams.iter().map(|upstream| format!("/{}", upstream.provider)).collect();
    let known = if known.is_empty() { "none".to_string() } else { known.join(", ") };
    let message = format!(
        "retake has no upstream for the path {path}: it must start with one of {known}. \
         Point the SDK's base URL at one of them."
    );
    refusal(StatusCode::NOT_FOUND, "retake_unknown_upstream", &message)
}

/// True for a request that wants to go on as a WebSocket.
pub(super) fn wants_websocket(headers: &HeaderMap) -> bool {
    headers
        .get_all(http::header::UPGRADE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.split(',').any(|token| token.trim().eq_ignore_ascii_case("websocket")))
}

/// A WebSocket that is asked for in a way that is not understood; clients that get a 426 fall back to HTTP at once.
pub(super) fn no_websocket() -> Response<AnswerBody> {
    let message = "this is no opening of a WebSocket that retake understands (RFC 6455, version 13, over HTTP/1.1): \
                   use HTTP (most clients now do so by themselves)";
    refusal(StatusCode::UPGRADE_REQUIRED, "retake_no_websocket", message)
}

/// False where HTTP allows no body in an answer, whatever its head says.
pub(super) fn has_body(method: &Method, status: StatusCode) -> bool {
    let bodyless = [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&status);
    method != Method::HEAD && !bodyless && !status.is_informational()
}
