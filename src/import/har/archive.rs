//! An HTTP archive of a run.

use crate::exchange::{BodyEnd, Exchange, HeaderList, RecordedRequest, RecordedResponse};
use crate::import::plain::{body_of, mime_type, reason, url};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

/// Writes exchanges as HAR 1.2: bodies decoded, headers as they were.
pub fn write<'a>(exchanges: impl IntoIterator<Item = &'a Exchange>) -> String {
    let entries: Vec<Value> = exchanges.into_iter().map(entry).collect();
    let creator = json!({ "name": "retake", "version": env!("CARGO_PKG_VERSION") });
    let archive = json!({ "log": { "version": "1.2", "creator": creator, "entries": entries } });
    format!("{archive:#}\n")
}

fn entry(exchange: &Exchange) -> Value {
    let (request, response) = (&exchange.request, exchange.response.as_ref());
    let started =
        i64::try_from(request.started_us).ok().and_then(|us| jiff::Timestamp::from_microsecond(us).ok());
    let (head_us, end_us) = response.map_or((0, 0), |response| (response.head_us, response.end_us));
    let ms = |us: u64| us as f64 / 1000.0;
    json!({
        "startedDateTime": started.unwrap_or_default().to_string(),
        "time": ms(end_us),
        "request": asked(request),
        "response": answered(response),
        "cache": {},
        "timings": { "send": 0, "wait": ms(head_us), "receive": ms(end_us.saturating_sub(head_us)) },
    })
}

fn asked(request: &RecordedRequest) -> Value {
    let body = body_of(&request.head.headers, &request.body);
    let query = request.head.target.split_once('?').map_or("", |(_, query)| query);
    let decoded = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        json!({ "name": decoded(name), "value": decoded(value) })
    });
    let mut value = json!({
        "method": request.head.method,
        "url": url(request),
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": headers(&request.head.headers),
        "queryString": pairs.collect::<Vec<_>>(),
        "headersSize": -1,
        "bodySize": request.body.len(),
    });
    if let (false, Some(members)) = (body.is_empty(), value.as_object_mut()) {
        members.insert("postData".into(), content(&request.head.headers, &body).into());
    }
    value
}

/// Where there was no answer the status is 0, and `_error` says why.
fn answered(response: Option<&RecordedResponse>) -> Value {
    let head = response.and_then(|response| response.head.as_ref());
    let none = HeaderList::default();
    let sent = head.map_or(&none, |head| &head.headers);
    let wire = response.map_or(&b""[..], |response| &response.body);
    let body = body_of(sent, wire);
    let mut content = content(sent, &body);
    content.insert("size".into(), body.len().into());
    let status = head.map_or(0, |head| head.status);
    let mut value = json!({
        "status": status,
        "statusText": reason(status),
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": headers(sent),
        "content": content,
        "redirectURL": sent.get("location").unwrap_or_default(),
        "headersSize": -1,
        "bodySize": wire.len(),
    });
    let broken = response.and_then(|response| match (&response.fault, &response.end) {
        (Some(fault), _) => Some(fault.to_string()),
        (None, BodyEnd::Error { what }) => Some(what.clone()),
        (None, BodyEnd::Interrupted) => Some("the recorder ended".into()),
        (None, BodyEnd::Complete | BodyEnd::Trailers { .. } | BodyEnd::Cancelled) => None,
    });
    if let (Some(why), Some(members)) = (broken, value.as_object_mut()) {
        members.insert("_error".into(), why.into());
    }
    value
}

fn headers(list: &HeaderList) -> Vec<Value> {
    list.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect()
}

fn content(headers: &HeaderList, body: &[u8]) -> Map<String, Value> {
    let mut content = Map::new();
    content.insert("mimeType".into(), mime_type(headers).into());
    match std::str::from_utf8(body) {
        Ok(text) => content.insert("text".into(), text.into()),
        Err(_) => {
            content.insert("text".into(), STANDARD.encode(body).into());
            content.insert("encoding".into(), "base64".into())
        }
    };
    content
}
