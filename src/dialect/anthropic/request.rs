//! Requests and messages into the normal form.

use crate::dialect::Malformed;
use crate::dialect::content::*;
use crate::dialect::conversation::{Block, Message, ModelRequest, Role};
use crate::exchange::json::{self, Kind, Node};
use serde_json::{Value, json};

/// Fields that do not decide the answer. `metadata` holds nothing but a `user_id`, which is new in every session.
const VOLATILE: [&str; 2] = ["metadata", "cache_control"];

/// How Claude Code begins a system block that bills the call; its text changes from call to call.
const BILLING: &str = "x-anthropic-billing-header";

pub(super) fn read(body: &[u8]) -> Result<ModelRequest, Malformed> {
    let root = json::parse(body)?;
    let list = messages(&root)?;
    let mut system = Vec::new();
    let mut tools = Vec::new();
    let mut params: Vec<(String, Value)> = Vec::new();
    for member in root.members() {
        match (&*member.key, &member.value.kind) {
            ("model" | "stream" | "messages", _) | (_, Kind::Null) => {}
            ("system", _) => system = content(&member.value, false),
            ("tools", Kind::Array(list)) => tools.extend(list.iter().map(plain_as_written)),
            (key, _) if VOLATILE.contains(&key) => {}
            (key, _) => params.push((key.to_string(), member.value.to_value_as_written())),
        }
    }
    params.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(ModelRequest {
        model: root.str_of("model").unwrap_or_default().to_string(),
        stream: root.get("stream").is_some_and(|s| s.kind == Kind::Bool(true)),
        system,
        tools,
        params: params.into_iter().collect(),
        messages: list.iter().map(message).collect::<Result<_, _>>()?,
        spans: list.iter().map(|m| m.span.clone()).collect(),
    })
}

/// The list of messages of a request.
pub(super) fn messages<'n, 'a>(root: &'n Node<'a>) -> Result<&'n [Node<'a>], Malformed> {
    match root.get("messages").map(|m| &m.kind) {
        Some(Kind::Array(list)) => Ok(list),
        _ => Err(Malformed { what: "a message request needs a list `messages`".into(), at: root.span.start }),
    }
}

/// True for a system block that bills the call.
pub(super) fn is_billing(block: &Node<'_>) -> bool {
    block.str_of("text").is_some_and(|t| t.starts_with(BILLING))
}

fn message(node: &Node<'_>) -> Result<Message, Malformed> {
    let Some(word) = node.str_of("role") else {
        return Err(Malformed { what: "a message needs a `role`".into(), at: node.span.start });
    };
    let mut blocks = node.get("content").map(|c| content(c, true)).unwrap_or_default();
    let role = match word {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "system" | "developer" => Role::System,
        _ => {
            // A role that is not known still counts: the message is told apart from a user's.
            blocks.push(Block::Other { value: json!({"role": word}) });
            Role::User
        }
    };
    Ok(Message { role, blocks })
}

/// The blocks of a content, which may be a string.
fn content(node: &Node<'_>, billing_counts: bool) -> Vec<Block> {
    match &node.kind {
        Kind::String(text) => text_block(text).into_iter().collect(),
        _ => placed(node)
            .filter(|(i, _)| billing_counts || !node.elements().get(*i).is_some_and(is_billing))
            .map(|(_, b)| b)
            .collect(),
    }
}

/// The blocks of a list, each with its index in it.
pub(super) fn placed<'n>(content: &'n Node<'_>) -> impl Iterator<Item = (usize, Block)> + 'n {
    content.elements().iter().enumerate().filter_map(|(i, e)| Some((i, block(e)?)))
}

/// One block; none for an empty text.
pub(super) fn block(node: &Node<'_>) -> Option<Block> {
    if let Some(text) = node.as_str() {
        return text_block(text);
    }
    let word = |k: &str| node.str_of(k).unwrap_or_default().to_string();
    Some(match node.str_of("type") {
        Some("text") => return text_block(node.str_of("text").unwrap_or_default()),
        Some("thinking" | "redacted_thinking") => reasoning_block(node),
        Some("tool_use") => {
            Block::ToolCall { id: word("id"), name: word("name"), args: arguments(node.get("input")) }
        }
        Some("tool_result") => {
            let (text, other) = result_of(node.get("content"));
            let is_error = node.get("is_error").is_some_and(|e| e.kind == Kind::Bool(true));
            Block::ToolResult { call_id: word("tool_use_id"), text, other, is_error }
        }
        _ => Block::Other { value: plain(node) },
    })
}
