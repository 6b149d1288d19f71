//! Answers of `Converse` into the normal form. A stream is first put together to the answer that it stands for, so that
//! both are read by the same code.

use super::blocks::blocks;
use super::stream::Growing;
use crate::dialect::conversation::{ModelAnswer, Usage};
use crate::dialect::reply::{self, Reply};
use crate::dialect::sse::Event;
use crate::exchange::ResponseHead;
use crate::exchange::canon::text_of_value;
use crate::exchange::json::{self, Node};

pub(super) fn read(head: &ResponseHead, body: &[u8]) -> ModelAnswer {
    match reply::open(head, body) {
        Reply::Whole(bytes) if head.status >= 400 => failed(head.status, &bytes),
        Reply::Whole(bytes) => json::parse(&bytes).map(|root| whole(&root)).unwrap_or_default(),
        Reply::Stream(events) => stream(&events),
    }
}

/// An answer that is none.
pub(super) fn failed(status: u16, bytes: &[u8]) -> ModelAnswer {
    let (mut error, whole) = reply::error_of(status, bytes);
    // The gates in front of the service write their messages with a capital.
    if let Ok(root) = json::parse(bytes)
        && let (None, Some(message)) = (reply::said_error(&root), root.str_of("Message"))
    {
        error = message.to_string();
    }
    ModelAnswer { error: Some(error), whole, ..ModelAnswer::default() }
}

/// Reads an answer that is there whole.
pub(super) fn whole(root: &Node<'_>) -> ModelAnswer {
    let message = root.get("output").and_then(|o| o.get("message"));
    let content = message.and_then(|m| m.get("content"));
    ModelAnswer {
        blocks: content.map(blocks).unwrap_or_default(),
        stop_reason: root.str_of("stopReason").map(str::to_string),
        usage: root.get("usage").and_then(usage),
        model: None,
        id: None,
        error: if message.is_none() { reply::said_error(root) } else { None },
        whole: true,
    }
}

/// Amazon counts what came from or went to the cache beside the input.
fn usage(node: &Node<'_>) -> Option<Usage> {
    if node.is_empty() {
        return None;
    }
    let count = |names: &[&str]| names.iter().find_map(|k| node.u64_of(k)).unwrap_or_default();
    let read = count(&["cacheReadInputTokens", "cacheReadInputTokenCount"]);
    let written = count(&["cacheWriteInputTokens", "cacheWriteInputTokenCount"]);
    Some(Usage {
        input: count(&["inputTokens"]).saturating_add(read).saturating_add(written),
        output: count(&["outputTokens"]),
        cache_read: read,
        cache_write: written,
        reasoning: 0,
    })
}

/// Puts a stream together.
pub(super) fn stream(events: &[Event]) -> ModelAnswer {
    let mut growing = Growing::default();
    for event in events {
        growing.add(&event.name, &event.data);
    }
    let (done, error) = (growing.done, growing.error.take());
    let text = text_of_value(&growing.into_value());
    let mut answer = json::parse(text.as_bytes()).map(|root| whole(&root)).unwrap_or_default();
    answer.whole = done || error.is_some();
    answer.error = error;
    answer
}
