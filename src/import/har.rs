//! HTTP archives: HAR 1.2, as browsers, proxies and HTTP clients write it. Bodies stand in it decoded.

mod archive;

pub use archive::write;

use super::socket::{self, Said, Session};
use super::wire::{Making, NOT_PLAYED, Told, ToldAnswer, in_latin1, in_order};
use super::{Foreign, Unreadable};
use crate::exchange::messages::{Closing, Message};
use crate::exchange::{BodyEnd, Fault, HeaderList};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::Value;

/// No exchange takes longer: ten years, in milliseconds.
const LONGEST_MS: f64 = 10.0 * 365.0 * 86_400_000.0;
/// The beginning of the year 10000, in milliseconds since the Unix epoch.
const LATEST_MS: f64 = 253_402_300_800_000.0;

/// See [`super::read`].
pub(super) fn read(name: &str, bytes: &[u8]) -> Result<Vec<Foreign>, Unreadable> {
    let archive: Value =
        serde_json::from_slice(bytes).map_err(|why| Unreadable::new(format!("it is no JSON: {why}")))?;
    let entries = archive.pointer("/log/entries").and_then(Value::as_array);
    let entries = entries.ok_or_else(|| Unreadable::new("it has no `log.entries`"))?;
    let mut run = Making::of("entry");
    let (mut all, mut has_sessions) = (Vec::new(), false);
    for (index, entry) in entries.iter().enumerate() {
        let number = index + 1;
        let wrong = |why: Unreadable| Unreadable::new(format!("entry {number}: {}", why.what));
        let told = told(&mut run, number, entry).map_err(wrong)?;
        match session(&mut run, number, entry).map_err(wrong)? {
            Some(session) => {
                let turns = socket::exchanges(&mut run, number, told, session);
                all.extend(turns.into_iter().map(|told| (number, told)));
                has_sessions = true;
            }
            None => all.push((number, told)),
        }
    }
    // What is said in a session and what is asked beside it take turns.
    for (number, told) in if has_sessions { in_order(all) } else { all } {
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

/// What was said over a WebSocket, as Chrome has it, and how it ended where that is told; none where there was none.
fn session(run: &mut Making, number: usize, entry: &Value) -> Result<Option<Session>, Unreadable> {
    let is_open = entry.pointer("/response/status").and_then(Value::as_u64) == Some(101);
    let Some(messages) = entry.get("_webSocketMessages").and_then(Value::as_array) else {
        if is_open {
            run.lacks("_webSocketMessages", &NOT_PLAYED, number);
        }
        return Ok(None);
    };
    if messages.is_empty() && !is_open {
        return Ok(None);
    }
    let (mut said, mut closing) = (Vec::new(), None);
    for (at, message) in messages.iter().enumerate() {
        let text = |name: &str| message.get(name).and_then(Value::as_str);
        let by_client = match text("type") {
            Some("send") => true,
            Some("receive") => false,
            // The browser gave the connection up.
            Some("error") => {
                closing = Some(Closing { by_agent: false, code: None, reason: String::new() });
                continue;
            }
            _ => {
                run.lacks("_webSocketMessages[].type", &NOT_PLAYED, number);
                continue;
            }
        };
        let data = text("data");
        let message = match (message.get("opcode").and_then(Value::as_i64).unwrap_or(1), data) {
            (1, Some(text)) => Message::Text(text.to_string().into()),
            (2, Some(coded)) => {
                let bytes = STANDARD.decode(coded.trim()).map_err(|why| {
                    Unreadable::new(format!("_webSocketMessages[{at}].data is no base64: {why}"))
                })?;
                Message::Binary(bytes.into())
            }
            (8, _) => {
                let code = message.get("code").and_then(Value::as_u64).and_then(|code| code.try_into().ok());
                closing = Some(Closing { by_agent: by_client, code, reason: String::new() });
                continue;
            }
            (9 | 10, _) => continue,
            (_, None) => {
                run.lacks("_webSocketMessages[].data", &NOT_PLAYED, number);
                continue;
            }
            _ => {
                run.lacks("_webSocketMessages[].opcode", &NOT_PLAYED, number);
                continue;
            }
        };
        said.push(Said { by_client, at_us: message_time(messages.get(at)), message });
    }
    Ok(Some(Session { said, closing }))
}

/// When a message came: seconds since the Unix epoch; some tools write milliseconds.
fn message_time(message: Option<&Value>) -> Option<u64> {
    let time = message?.get("time")?.as_f64().filter(|time| *time > 0.0)?;
    let ms = if time < 1e11 { time * 1e3 } else { time };
    (ms < LATEST_MS).then(|| (ms * 1e3).round() as u64)
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
    Ok(Some(ToldAnswer {
        status,
        headers,
        body: body.unwrap_or_default(),
        times: times(entry),
        frames: None,
        end,
    }))
}

/// When head and end of an answer came; archives have 0 or -1 where that is not known.
fn times(entry: &Value) -> Option<(u64, u64)> {
    let us = |ms: f64| if (0.0..LONGEST_MS).contains(&ms) { (ms * 1000.0).round() as u64 } else { 0 };
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
