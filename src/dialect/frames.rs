//! What the dialects share when they write an answer: events, and how text is cut into deltas.

use super::RenderedAnswer;
use crate::exchange::canon::text_of_value;
use crate::exchange::eventstream::{self, HeaderValue};
use serde_json::Value;

/// Characters of text in one delta.
const PIECE: usize = 24;

/// A stream under construction.
#[derive(Default)]
pub(super) struct Frames {
    body: String,
    cuts: Vec<usize>,
}

impl Frames {
    /// An event without a name.
    pub(super) fn data(&mut self, data: &Value) {
        self.text(&format!("data: {}\n\n", text_of_value(data)));
    }

    /// An event named as its data's `type`.
    pub(super) fn named(&mut self, data: &Value) {
        let name = data.get("type").and_then(Value::as_str).unwrap_or_default();
        self.text(&format!("event: {name}\ndata: {}\n\n", text_of_value(data)));
    }

    /// An event as it is.
    pub(super) fn text(&mut self, event: &str) {
        self.body.push_str(event);
        self.cuts.push(self.body.len());
    }

    /// A line of JSON.
    pub(super) fn line(&mut self, value: &Value) {
        self.text(&format!("{}\n", text_of_value(value)));
    }

    /// A stream of JSON lines.
    pub(super) fn into_lines(self) -> RenderedAnswer {
        RenderedAnswer { content_type: "application/x-ndjson", ..self.into_answer() }
    }

    pub(super) fn into_answer(self) -> RenderedAnswer {
        RenderedAnswer {
            content_type: "text/event-stream; charset=utf-8",
            body: self.body.into(),
            cuts: self.cuts,
        }
    }
}

/// A binary event stream under construction.
#[derive(Default)]
pub(super) struct MessageFrames {
    body: Vec<u8>,
    cuts: Vec<usize>,
}

impl MessageFrames {
    /// An event of this type. One that is too long to be written is left out.
    pub(super) fn event(&mut self, name: &str, data: &Value) {
        let text = |text: &str| HeaderValue::Text(text.into());
        let headers = [
            (":event-type", text(name)),
            (":content-type", text("application/json")),
            (":message-type", text("event")),
        ];
        if let Ok(message) = eventstream::encode(&headers, text_of_value(data).as_bytes()) {
            self.body.extend_from_slice(&message);
            self.cuts.push(self.body.len());
        }
    }

    pub(super) fn into_answer(self) -> RenderedAnswer {
        RenderedAnswer { content_type: eventstream::CONTENT_TYPE, body: self.body.into(), cuts: self.cuts }
    }
}

impl RenderedAnswer {
    /// A body in one frame.
    pub(super) fn whole(content_type: &'static str, body: String) -> RenderedAnswer {
        RenderedAnswer { content_type, cuts: vec![body.len()], body: body.into() }
    }
}

/// Cuts a text into deltas.
pub(super) fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let end = rest.char_indices().nth(PIECE).map_or(rest.len(), |(at, _)| at);
        let (piece, after) = rest.split_at_checked(end)?;
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}
