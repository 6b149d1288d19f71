//! Requests into the normal form.

use crate::dialect::content::{plain_as_written, text_block};
use crate::dialect::conversation::{Message, ModelRequest};
use crate::dialect::openai_chat::request as chat;
use crate::dialect::{Malformed, prompted};
use crate::exchange::json::{self, Kind, Node};
use serde_json::Value;
use std::ops::Range;

/// Fields that do not decide the answer: how long the model stays loaded.
const VOLATILE: [&str; 1] = ["keep_alive"];

pub(super) fn read(body: &[u8]) -> Result<ModelRequest, Malformed> {
    let root = json::parse(body)?;
    let Some(model) = root.str_of("model") else {
        return Err(Malformed { what: "an Ollama request needs a `model`".into(), at: root.span.start });
    };
    let asked = asked(&root)?;
    if asked.is_empty() {
        // Loads the model, or unloads it.
        return Err(Malformed { what: "the request asks nothing of its model".into(), at: root.span.start });
    }
    let (mut tools, mut system) = (Vec::new(), Vec::new());
    let mut params: Vec<(String, Value)> = Vec::new();
    for member in root.members() {
        let mut param = |key: &str, node: &Node<'_>| {
            if node.kind != Kind::Null {
                params.push((key.to_string(), node.to_value_as_written()));
            }
        };
        match (&*member.key, &member.value.kind) {
            ("model" | "stream" | "messages", _) => {}
            ("prompt" | "images", _) if prompted::is_prompted(&root) => {}
            ("tools", Kind::Array(list)) => tools.extend(list.iter().map(plain_as_written)),
            ("system", Kind::String(text)) => system.extend(text_block(text)),
            ("options", Kind::Object(options)) => options.iter().for_each(|m| param(&m.key, &m.value)),
            (key, _) if VOLATILE.contains(&key) => {}
            (key, _) => param(key, &member.value),
        }
    }
    params.sort_by(|a, b| a.0.cmp(&b.0));
    let (messages, spans) = asked.into_iter().unzip();
    Ok(ModelRequest {
        model: model.to_string(),
        // A stream unless told otherwise.
        stream: root.get("stream").is_none_or(|s| s.kind != Kind::Bool(false)),
        system,
        tools,
        params: params.into_iter().collect(),
        messages,
        spans,
    })
}

fn asked(root: &Node<'_>) -> Result<Vec<(Message, Range<usize>)>, Malformed> {
    if root.get("messages").is_none() {
        return Ok(prompted::message(root).into_iter().collect());
    }
    let list = chat::messages(root)?;
    list.iter().map(|node| Ok((chat::message(node)?, node.span.clone()))).collect()
}
