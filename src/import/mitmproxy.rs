//! Flows of mitmproxy, as `mitmdump -w FILE` writes them: dictionaries in tnetstrings, one behind the other. Bodies are
//! those of the wire.

use super::socket::{self, Said, Session};
use super::tnetstring::{self, Value};
use super::wire::{Making, NOT_PLAYED, Told, ToldAnswer, in_order};
use super::{Foreign, Unreadable};
use crate::exchange::headers::latin1;
use crate::exchange::messages::{Closing, Message};
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
            Some("http") => {
                let told = told(&mut run, number, &flow).map_err(|what| wrong(&what))?;
                match session(&mut run, number, &flow) {
                    Some(session) => {
                        let turns = socket::exchanges(&mut run, number, told, session);
                        flows.extend(turns.into_iter().map(|told| (number, told)));
                    }
                    None => flows.push((number, told)),
                }
            }
            // Before version 7 a session was a flow of its own.
            Some("websocket") => run.lacks("what went over websocket", &NOT_PLAYED, number),
            Some(other) => run.lacks(&format!("what went over {other}"), &[], number),
            None => return Err(wrong("no `type`")),
        }
    }
    // They stand in the order in which they ended.
    for (number, told) in in_order(flows) {
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
    let body = content(request);
    if body.is_none() {
        run.lacks("request.content", &NOT_PLAYED, number);
    }
    Ok(Told {
        method: text("method").ok_or_else(|| missing("method"))?,
        url: format!("{scheme}://{authority}{path}"),
        headers,
        body: body.unwrap_or_default(),
        started_us: started.map(|at| (at * 1e6).round() as u64),
        answer: answer(run, number, flow, started)?,
    })
}

/// What was said over a WebSocket, as its agent said and heard it, and how it ended where that is told; none where there
/// was none.
fn session(run: &mut Making, number: usize, flow: &Value<'_>) -> Option<Session> {
    let status = flow.said("response").and_then(|response| response.said("status_code")?.integer());
    let Some(session) = flow.said("websocket") else {
        if status == Some(101) {
            run.lacks("websocket.messages", &NOT_PLAYED, number);
        }
        return None;
    };
    let mut said = Vec::new();
    for message in session.said("messages").map(Value::elements).unwrap_or_default() {
        let [kind, by_client, content, at, rest @ ..] = message.elements() else {
            run.lacks("websocket.messages", &NOT_PLAYED, number);
            continue;
        };
        let (Some(by_client), Some(content)) = (by_client.truth(), content.bytes()) else {
            run.lacks("websocket.messages", &NOT_PLAYED, number);
            continue;
        };
        let content = Bytes::copy_from_slice(content);
        let message = match kind.integer() {
            Some(1) => Message::Text(content),
            Some(2) => Message::Binary(content),
            _ => {
                run.lacks("websocket.messages", &NOT_PLAYED, number);
                continue;
            }
        };
        let is = |index: usize| rest.get(index).and_then(Value::truth) == Some(true);
        let (dropped, injected) = (is(0), is(1));
        if dropped || injected {
            run.lacks("what each side said: messages were dropped or injected", &NOT_PLAYED, number);
        }
        // What came from elsewhere its agent did not say, what was dropped it did not hear.
        if !(if by_client { injected } else { dropped }) {
            let at_us = at.seconds().map(|at| (at * 1e6).round() as u64);
            said.push(Said { by_client, at_us, message });
        }
    }
    let closing = session.said("closed_by_client").and_then(Value::truth).map(|by_agent| {
        let code = session.said("close_code").and_then(Value::integer);
        let reason = session.said("close_reason").and_then(Value::text).unwrap_or_default();
        // 1005 and 1006 stand for what was never sent: no code, no closing.
        let code = code.and_then(|code| u16::try_from(code).ok()).filter(|code| !matches!(code, 1005 | 1006));
        Closing { by_agent, code, reason }
    });
    Some(Session { said, closing })
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
        Some(((at - started?).max(0.0) * 1e6).round() as u64)
    };
    let Some(response) = flow.said("response") else {
        let at = since(flow.said("error").and_then(|error| error.said("timestamp"))).unwrap_or_default();
        return Ok(error.map(|what| ToldAnswer {
            status: Err(Fault::Reset { what }),
            headers: HeaderList::default(),
            body: Bytes::new(),
            times: Some((at, at)).filter(|_| at > 0),
            frames: None,
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
        frames: None,
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
