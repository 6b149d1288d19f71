//! Flows of mitmproxy, as `mitmdump -w FILE` writes them: dictionaries in tnetstrings, one behind the other. Bodies are
//! those of the wire.

use super::tnetstring::{self, Value};
use super::wire::{Making, NOT_PLAYED, Told, ToldAnswer};
use super::{Foreign, Unreadable};
use crate::exchange::headers::latin1;
use crate::exchange::{BodyEnd, Fault, HeaderList};
use bytes::Bytes;

/// See [`super::read`].
pub(super) fn read(name: &str, bytes: &[u8]) -> Result<Vec<Foreign>, Unreadable> {
    let mut run = Making::of("flow");
    let mut flows: Vec<(usize, Told)> = Vec::new();
    let (mut rest, mut number) = (bytes, 0);
    while !rest.is_empty() {
        number += 1;
        let at = bytes.len() - rest.len();
        let wrong = |what: &str| Unreadable::new(format!("flow {number}, at byte {at}: {what}"));
        let (flow, behind) = tnetstring::read(rest).map_err(|what| wrong(&what))?;
        rest = behind;
        if !matches!(flow, Value::Dict(_)) {
            return Err(wrong("no dictionary"));
        }
        match flow.get("type").and_then(Value::text).as_deref() {
            Some("http") => flows.push((number, told(&mut run, number, &flow).map_err(|what| wrong(&what))?)),
            Some(other) => run.lacks(&format!("what went over {other}"), &[], number),
            None => return Err(wrong("no `type`")),
        }
    }
    // They stand in the order in which they ended.
    flows.sort_by_key(|(_, told)| told.started_us);
    for (number, told) in flows {
        run.add(number, told)?;
    }
    Ok(vec![run.finish(name)])
}

fn told(run: &mut Making, number: usize, flow: &Value<'_>) -> Result<Told, String> {
    let request = flow.said("request").ok_or("no `request`")?;
    let text = |name: &str| request.said(name).and_then(Value::text);
    let missing = |name: &str| format!("no `request.{name}`");
    let scheme = text("scheme").filter(|scheme| !scheme.is_empty()).ok_or_else(|| missing("scheme"))?;
    let host = text("host").filter(|host| !host.is_empty()).ok_or_else(|| missing("host"))?;
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    let port = request.said("port").and_then(Value::integer).ok_or_else(|| missing("port"))?;
    let path = text("path").unwrap_or_else(|| "/".into());
    // A proxy that was not asked by name knows an address only: what the client said is the host.
    let named = text("authority").filter(|authority| !authority.is_empty());
    let headers = headers(request);
    let named = named.or_else(|| headers.get("host").map(str::to_string));
    let authority = named.unwrap_or_else(|| format!("{host}:{port}"));
    let started = request.said("timestamp_start").and_then(Value::seconds);
    if flow.said("websocket").is_some() {
        run.lacks("the messages of a WebSocket", &NOT_PLAYED, number);
    }
    let body = content(request);
    if body.is_none() {
        run.lacks("request.content", &NOT_PLAYED, number);
    }
    Ok(Told {
        method: text("method").ok_or_else(|| missing("method"))?,
        url: format!("{scheme}://{authority}{path}"),
        headers,
        body: body.unwrap_or_default(),
        started_us: started.map(|at| (at * 1e6) as u64),
        answer: answer(run, number, flow, started)?,
    })
}

fn answer(
    run: &mut Making,
    number: usize,
    flow: &Value<'_>,
    started: Option<f64>,
) -> Result<Option<ToldAnswer>, String> {
    let error = flow.said("error").map(|error| error.said("msg").and_then(Value::text).unwrap_or_default());
    let since = |at: Option<&Value<'_>>| {
        let at = at.and_then(Value::seconds)?;
        Some(((at - started?).max(0.0) * 1e6) as u64)
    };
    let Some(response) = flow.said("response") else {
        let at = since(flow.said("error").and_then(|error| error.said("timestamp"))).unwrap_or_default();
        return Ok(error.map(|what| ToldAnswer {
            status: Err(Fault::Reset { what }),
            headers: HeaderList::default(),
            body: Bytes::new(),
            times: Some((at, at)),
            end: BodyEnd::Complete,
        }));
    };
    let status = response.said("status_code").and_then(Value::integer);
    let status =
        status.and_then(|status| u16::try_from(status).ok()).filter(|status| (100..1000).contains(status));
    let body = content(response);
    if body.is_none() {
        run.lacks("response.content", &NOT_PLAYED, number);
    }
    let head_us = since(response.said("timestamp_start"));
    let end_us = since(response.said("timestamp_end")).or(head_us);
    Ok(Some(ToldAnswer {
        status: Ok(status.ok_or("no `response.status_code`")?),
        headers: headers(response),
        body: body.unwrap_or_default(),
        times: head_us.zip(end_us),
        end: error.map_or(BodyEnd::Complete, |what| BodyEnd::Error { what }),
    }))
}

/// None: mitmproxy passed it on without keeping it.
fn content(of: &Value<'_>) -> Option<Bytes> {
    of.said("content").and_then(Value::bytes).map(Bytes::copy_from_slice)
}

fn headers(of: &Value<'_>) -> HeaderList {
    let mut list = HeaderList::default();
    for pair in of.said("headers").map(Value::elements).unwrap_or_default() {
        if let [name, value] = pair.elements()
            && let (Some(name), Some(value)) = (name.bytes(), value.bytes())
            && !name.starts_with(b":")
        {
            list.push(latin1(name), latin1(value));
        }
    }
    list
}
