//! One answer in the dress of another transport: the events of a stream are the messages of a WebSocket. An agent that
//! was recorded over one may ask over the other, and an edited answer is written as a stream of events.

use crate::dialect::sse;
use crate::exchange::HeaderList;
use crate::exchange::messages::{self, Message};
use crate::proxy::{Answer, Canned};
use bytes::{Bytes, BytesMut};
use std::time::Duration;

/// The answer as it is given over a WebSocket, or not over one.
pub fn fitting(answer: Answer, websocket: bool) -> Answer {
    match answer {
        Answer::Serve(canned) if websocket && canned.head.is_event_stream() && canned.head.status < 300 => {
            Answer::Serve(as_messages(canned))
        }
        Answer::Serve(canned) if !websocket && canned.head.is_websocket() => Answer::Serve(as_events(canned)),
        other => other,
    }
}

fn as_messages(mut canned: Canned) -> Canned {
    let mut parser = sse::Parser::default();
    let mut frames = Vec::new();
    let mut wait = Duration::ZERO;
    let mut note = |wait: &mut Duration, event: sse::Event| {
        if event.data != "[DONE]" {
            let mut line = Vec::from(Message::Text(event.data.into()).line());
            line.push(b'\n');
            frames.push((std::mem::take(wait), line.into()));
        }
    };
    for (delay, bytes) in std::mem::take(&mut canned.frames) {
        wait += delay;
        parser.push(&bytes).into_iter().for_each(|event| note(&mut wait, event));
    }
    parser.finish().into_iter().for_each(|event| note(&mut wait, event));
    canned.frames = frames;
    canned.head.status = 101;
    for field in ["content-type", "content-length", "content-encoding"] {
        canned.head.headers.remove(field);
    }
    canned
}

fn as_events(mut canned: Canned) -> Canned {
    let mut frames = Vec::new();
    let mut wait = Duration::ZERO;
    let mut open = BytesMut::new();
    for (delay, bytes) in std::mem::take(&mut canned.frames) {
        wait += delay;
        open.extend_from_slice(&bytes);
        let Some(end) = memchr::memrchr(b'\n', &open) else { continue };
        let whole = open.split_to(end + 1).freeze();
        frames.push((std::mem::take(&mut wait), events(&whole)));
    }
    if !open.is_empty() {
        frames.push((wait, events(&open.freeze())));
    }
    canned.frames = frames;
    canned.head.status = 200;
    let named = |name: &str| name.to_ascii_lowercase().starts_with("sec-websocket-");
    canned.head.headers = HeaderList(canned.head.headers.0.into_iter().filter(|(n, _)| !named(n)).collect());
    canned.head.headers.set("content-type", "text/event-stream; charset=utf-8");
    canned
}

/// Messages as events, named as their `type`.
fn events(body: &Bytes) -> Bytes {
    let mut out = Vec::with_capacity(body.len() + 64);
    for message in messages::read(body) {
        if matches!(message, Message::Close(_)) {
            continue;
        }
        let text = String::from_utf8_lossy(message.payload()).into_owned();
        let kind = serde_json::from_str::<serde_json::Value>(&text)
            .ok()
            .and_then(|value| Some(format!("event: {}\n", value.get("type")?.as_str()?)));
        out.extend(kind.unwrap_or_default().bytes());
        for line in text.lines() {
            out.extend_from_slice(format!("data: {line}\n").as_bytes());
        }
        out.push(b'\n');
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::{ResponseHead, Source};
    use crate::proxy::CannedEnd;

    fn canned(status: u16, fields: &[(&str, &str)], frames: &[&'static str]) -> Canned {
        let headers = fields.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
        let ms = Duration::from_millis;
        Canned {
            source: Source::Live,
            head: ResponseHead { status, headers: HeaderList(headers) },
            frames: frames.iter().map(|f| (ms(2), Bytes::from_static(f.as_bytes()))).collect(),
            end: CannedEnd::Complete,
        }
    }

    fn served(answer: Answer) -> Canned {
        match answer {
            Answer::Serve(canned) => canned,
            _ => panic!("it is served"),
        }
    }

    #[test]
    fn events_become_messages_and_messages_events() {
        let fields = [("content-type", "text/event-stream"), ("x-id", "1")];
        let stream = canned(200, &fields, &["event: a\ndata: {\"type\":\"a\"", "}\n\ndata: [DONE]\n\n"]);
        let told = served(fitting(Answer::Serve(stream), true));
        let frames: Vec<_> = told.frames.iter().map(|(d, f)| (d.as_millis(), &f[..])).collect();
        assert_eq!(frames, [(4, &b"{\"type\":\"a\"}\n"[..])]);
        assert_eq!((told.head.status, told.head.headers.0.len()), (101, 1));

        let fields = [("Sec-WebSocket-Accept", "x"), ("x-id", "1")];
        let lines = ["{\"type\":\"a\"}\n{\"ty", "pe\":\"b\"}\n{\"$ws\":\"close\",\"by\":\"agent\"}\n"];
        let told = served(fitting(Answer::Serve(canned(101, &fields, &lines)), false));
        let text: Vec<u8> = told.frames.iter().flat_map(|(_, f)| f.to_vec()).collect();
        let want = "event: a\ndata: {\"type\":\"a\"}\n\nevent: b\ndata: {\"type\":\"b\"}\n\n";
        assert_eq!(String::from_utf8(text).unwrap(), want);
        assert_eq!(
            (told.head.status, told.head.is_event_stream(), told.head.headers.0.len()),
            (200, true, 2)
        );
    }

    #[test]
    fn what_fits_stays() {
        for (status, websocket) in [(426, true), (101, true), (200, false)] {
            let told = served(fitting(Answer::Serve(canned(status, &[], &["x"])), websocket));
            assert_eq!((told.head.status, &told.frames[0].1[..]), (status, &b"x"[..]));
        }
    }
}
