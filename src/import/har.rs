//! HTTP archives: HAR 1.2, as browsers, proxies and HTTP clients write it. Bodies stand in it decoded.

mod archive;

pub use archive::write;

use super::wire::{Making, NOT_PLAYED, Told, ToldAnswer, in_latin1};
use super::{Foreign, Unreadable};
use crate::exchange::{BodyEnd, Fault, HeaderList};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::Value;

/// See [`super::read`].
pub(super) fn read(name: &str, bytes: &[u8]) -> Result<Vec<Foreign>, Unreadable> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let archive: Value = serde_json::from_slice(bytes).map_err(|why| Unreadable::new(why.to_string()))?;
    let entries = archive.pointer("/log/entries").and_then(Value::as_array);
    let entries = entries.ok_or_else(|| Unreadable::new("it has no `log.entries`"))?;
    let mut run = Making::of("entry");
    for (index, entry) in entries.iter().enumerate() {
        let number = index + 1;
        let told = told(&mut run, number, entry)
            .map_err(|why| Unreadable::new(format!("entry {number}: {}", why.what)))?;
        run.add(number, told)?;
    }
    Ok(vec![run.finish(name)])
}

fn told(run: &mut Making, number: usize, entry: &Value) -> Result<Told, Unreadable> {
    let request = entry.get("request").ok_or_else(|| Unreadable::new("no `request`"))?;
    let url = request.get("url").and_then(Value::as_str);
    let url = url.ok_or_else(|| Unreadable::new("no `request.url`"))?.to_string();
    let method = request.get("method").and_then(Value::as_str).unwrap_or("GET").to_ascii_uppercase();
    let posted = request.get("postData").filter(|posted| !posted.is_null());
    let body = posted.map(|posted| text(posted, "request.postData")).transpose()?.flatten();
    let is_sent = posted.is_some() || request.get("bodySize").and_then(Value::as_i64).is_some_and(|n| n > 0);
    if body.is_none() && is_sent {
        run.lacks("request.postData.text", &NOT_PLAYED, number);
    }
    if entry.get("_webSocketMessages").is_some() {
        run.lacks("the messages of a WebSocket", &NOT_PLAYED, number);
    }
    let started_us = entry.get("startedDateTime").and_then(Value::as_str).and_then(|at| {
        let at: jiff::Timestamp = at.parse().ok()?;
        u64::try_from(at.as_microsecond()).ok()
    });
    let answer = match entry.get("response").filter(|response| !response.is_null()) {
        None => None,
        Some(response) => answer(run, number, entry, response)?,
    };
    let mut headers = headers(request);
    headers.remove("content-encoding");
    Ok(Told { method, url, headers, body: body.unwrap_or_default(), started_us, answer })
}

/// None where the request was given up before an answer came, and nothing says why.
fn answer(
    run: &mut Making,
    number: usize,
    entry: &Value,
    response: &Value,
) -> Result<Option<ToldAnswer>, Unreadable> {
    let status = response.get("status").and_then(Value::as_u64).unwrap_or_default();
    let status = match (u16::try_from(status), response.get("_error").and_then(Value::as_str)) {
        (Ok(status @ 100..=999), _) => Ok(status),
        (_, Some(what)) if !what.is_empty() => Err(Fault::Reset { what: what.to_string() }),
        _ => return Ok(None),
    };
    let content = response.get("content").filter(|content| !content.is_null());
    let body = content.map(|content| text(content, "response.content")).transpose()?.flatten();
    let size = content.and_then(|content| content.get("size")).and_then(Value::as_i64);
    if body.is_none() && size.is_some_and(|size| size > 0) {
        run.lacks("response.content.text", &NOT_PLAYED, number);
    }
    let end = match response.get("_error").and_then(Value::as_str) {
        Some(what) if !what.is_empty() => BodyEnd::Error { what: what.to_string() },
        _ => BodyEnd::Complete,
    };
    let mut headers = headers(response);
    headers.remove("content-encoding");
    Ok(Some(ToldAnswer { status, headers, body: body.unwrap_or_default(), times: times(entry), end }))
}

/// When head and end of an answer came; archives have 0 or -1 where that is not known.
fn times(entry: &Value) -> Option<(u64, u64)> {
    let us = |ms: f64| if ms.is_finite() && ms > 0.0 { (ms * 1000.0).round() as u64 } else { 0 };
    let end = us(entry.get("time")?.as_f64()?);
    if end == 0 {
        return None;
    }
    let receiving = entry.pointer("/timings/receive").and_then(Value::as_f64).unwrap_or_default();
    Some((end.saturating_sub(us(receiving)), end))
}

fn headers(of: &Value) -> HeaderList {
    let mut list = HeaderList::default();
    for header in of.get("headers").and_then(Value::as_array).into_iter().flatten() {
        let part = |name: &str| header.get(name).and_then(Value::as_str).unwrap_or_default();
        // Those with a colon are no headers, but the request line of HTTP/2.
        if !part("name").is_empty() && !part("name").starts_with(':') {
            list.push(part("name"), in_latin1(part("value")));
        }
    }
    list
}

fn text(of: &Value, place: &str) -> Result<Option<Bytes>, Unreadable> {
    let Some(text) = of.get("text").and_then(Value::as_str) else { return Ok(None) };
    if of.get("encoding").and_then(Value::as_str) != Some("base64") {
        return Ok(Some(text.to_string().into()));
    }
    let unpacked = STANDARD.decode(text.trim());
    unpacked
        .map(|bytes| Some(bytes.into()))
        .map_err(|why| Unreadable::new(format!("{place}.text is no base64: {why}")))
}
