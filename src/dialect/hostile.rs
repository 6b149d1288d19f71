//! Bad input, for every dialect: streams cut anywhere, events lost, repeated and in the wrong order, bytes that are no
//! text, members and events that nobody knows, events of many megabytes. On real traffic and on rendered answers.

mod answers;
mod requests;

use super::conversation::{Block, ModelAnswer};
use super::wire::{exchanges, head};
use super::{Dialect, all, sse};
use crate::exchange::{ResponseHead, eventstream};
use serde_json::json;

/// How a stream says its events.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Form {
    Events,
    Lines,
    Messages,
}

/// A stream, event by event.
struct Stream {
    name: String,
    dialect: &'static dyn Dialect,
    head: ResponseHead,
    form: Form,
    events: Vec<Vec<u8>>,
}

impl Stream {
    fn body(&self) -> Vec<u8> {
        self.events.concat()
    }

    fn answer(&self) -> ModelAnswer {
        self.read(&self.body())
    }

    fn read(&self, body: &[u8]) -> ModelAnswer {
        self.dialect.read_answer(&self.head, body)
    }

    /// An event that no dialect knows.
    fn foreign(&self) -> Vec<u8> {
        let data = r#"{"type":"x_novel","novel":{"deep":[1.50,"text"]},"index":3}"#;
        match self.form {
            Form::Events => format!("event: x_novel\ndata: {data}\n\n").into_bytes(),
            Form::Lines => format!("{data}\n").into_bytes(),
            Form::Messages => message("xNovel", data.as_bytes()),
        }
    }

    /// The data of an event with a member in front that no dialect knows; none where it is no object.
    fn with_novel_member(&self, event: &[u8]) -> Option<Vec<u8>> {
        let put = |data: &[u8]| -> Option<Vec<u8>> {
            let rest = data.trim_ascii().strip_prefix(b"{")?;
            let comma: &[u8] = if rest.trim_ascii().starts_with(b"}") { b"" } else { b"," };
            Some([br#"{"x_novel":{"a":[1.50]}"#, comma, rest].concat())
        };
        match self.form {
            Form::Lines => Some([put(event)?, b"\n".to_vec()].concat()),
            Form::Events => {
                let read = sse::events(event);
                let span = read.first()?.data_spans.first()?.clone();
                let data = put(&event[span.clone()])?;
                Some([&event[..span.start], &data, &event[span.end..]].concat())
            }
            Form::Messages => {
                let read = eventstream::read(event).0;
                let first = read.first()?;
                let headers = &event[first.headers_span()];
                eventstream::framed(headers, &put(&first.payload)?).ok()
            }
        }
    }
}

fn message(name: &str, data: &[u8]) -> Vec<u8> {
    let text = |text: &str| eventstream::HeaderValue::Text(text.into());
    let headers = [(":event-type", text(name)), (":message-type", text("event"))];
    eventstream::encode(&headers, data).unwrap()
}

fn form_of(head: &ResponseHead) -> Option<Form> {
    Some(match () {
        () if head.is_event_stream() => Form::Events,
        () if head.is_json_lines() => Form::Lines,
        () if head.is_message_stream() => Form::Messages,
        () => return None,
    })
}

fn cut_up(form: Form, body: &[u8]) -> Vec<Vec<u8>> {
    let spans: Vec<std::ops::Range<usize>> = match form {
        Form::Events => sse::events(body).into_iter().map(|e| e.span).collect(),
        Form::Messages => eventstream::read(body).0.into_iter().map(|m| m.span).collect(),
        Form::Lines => return body.split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec).collect(),
    };
    spans.into_iter().map(|span| body[span].to_vec()).collect()
}

/// Where each dialect is asked for a stream.
fn target(dialect: &dyn Dialect) -> &'static str {
    match dialect.name() {
        "gemini" => "/v1beta/models/m:streamGenerateContent?alt=sse",
        "ollama" => "/api/chat",
        "openai-chat" => "/v1/chat/completions",
        "openai-responses" => "/v1/responses",
        "anthropic-messages" => "/v1/messages",
        "bedrock-converse" => "/model/m/converse-stream",
        "bedrock-invoke" => "/model/anthropic.claude/invoke-with-response-stream",
        other => panic!("{other} has no target here"),
    }
}

fn said() -> Vec<Block> {
    let call = |id: &str, city: &str| Block::ToolCall {
        id: id.into(),
        name: "weather".into(),
        args: json!({"city": city, "list": [1, {"a": null}]}),
    };
    let text = "It is 21 °C in Zürich, \u{1F600} and \"fine\".\nSo it says.".repeat(3);
    vec![Block::Text { text }, call("call_1", "Zürich"), call("call_2", "Bern")]
}

/// Every stream of the fixtures, and one rendered by each dialect.
fn streams() -> Vec<Stream> {
    let mut streams = Vec::new();
    for exchange in exchanges() {
        let Some(form) = form_of(&exchange.head) else { continue };
        let events = cut_up(form, &exchange.response);
        let (name, dialect, head) = (exchange.name, exchange.dialect, exchange.head);
        streams.push(Stream { name, dialect, head, form, events });
    }
    for dialect in all() {
        let rendered = dialect.render_answer(target(*dialect), &said(), None, "m", true);
        let head = head(200, rendered.content_type);
        let form = form_of(&head).unwrap();
        let events = cut_up(form, &rendered.body);
        assert_eq!(events.concat(), rendered.body, "{}", dialect.name());
        streams.push(Stream {
            name: format!("{} rendered", dialect.name()),
            dialect: *dialect,
            head,
            form,
            events,
        });
    }
    for dialect in all() {
        assert!(streams.iter().any(|s| s.dialect.name() == dialect.name()));
    }
    streams
}

/// So many places, spread over a body, and all near its end.
fn places(length: usize, many: usize) -> impl Iterator<Item = usize> {
    let step = (length / many).max(1);
    (0..length).filter(move |at| at % step == 0 || length - at < many / 2)
}
