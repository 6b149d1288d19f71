//! Requests and messages into the normal form.

use crate::dialect::content::*;
use crate::dialect::conversation::{Block, Message, ModelRequest, Role};
use crate::dialect::{Malformed, prompted};
use crate::exchange::json::{self, Kind, Node};
use serde_json::{Value, json};
use std::ops::Range;

/// Fields that do not decide the answer: who asks, under which label it is kept, what of the cache it may use, and
/// whether a stream tells its usage (`stream_options`).
const VOLATILE: [&str; 9] = [
    "user",
    "metadata",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
    "session_id",
    "stream_options",
    "cache_control",
    "trace",
];

/// Fields of a message in which servers of this dialect put reasoning, signatures and ciphertext.
pub(super) const REASONING: [&str; 9] = [
    "reasoning",
    "reasoning_content",
    "reasoning_details",
    "reasoning_text",
    "reasoning_opaque",
    "thinking",
    "thinking_blocks",
    "encrypted_content",
    "encrypted",
];

/// Fields of a message that are read one by one, or that clients add for themselves.
const READ: [&str; 11] = [
    "role",
    "content",
    "refusal",
    "tool_calls",
    "function_call",
    "tool_call_id",
    "cache_control",
    "provider_specific_fields",
    "parsed",
    "id",
    "channel",
];

pub(super) fn read(body: &[u8]) -> Result<ModelRequest, Malformed> {
    let root = json::parse(body)?;
    let asked: Vec<(Message, Range<usize>)> = match prompted::is_prompted(&root) {
        true => prompted::message(&root).into_iter().collect(),
        false => {
            let list = messages(&root)?.iter();
            list.map(|m| Ok((message(m)?, m.span.clone()))).collect::<Result<_, Malformed>>()?
        }
    };
    let (messages, spans) = asked.into_iter().unzip();
    let mut tools: Vec<Value> = Vec::new();
    let mut params: Vec<(String, Value)> = Vec::new();
    for member in root.members() {
        match (&*member.key, &member.value.kind) {
            ("model" | "stream" | "messages" | "prompt", _) | (_, Kind::Null) => {}
            ("tools" | "functions", Kind::Array(list)) => tools.extend(list.iter().map(plain_as_written)),
            (key, _) if VOLATILE.contains(&key) => {}
            (key, _) => params.push((key.to_string(), member.value.to_value_as_written())),
        }
    }
    params.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(ModelRequest {
        // An agent that Mistral keeps has its own model.
        model: root.str_of("model").or(root.str_of("agent_id")).unwrap_or_default().to_string(),
        stream: root.get("stream").is_some_and(|s| s.kind == Kind::Bool(true)),
        system: Vec::new(),
        tools,
        params: params.into_iter().collect(),
        messages,
        spans,
    })
}

/// The list of messages of a request.
pub(in crate::dialect) fn messages<'n, 'a>(root: &'n Node<'a>) -> Result<&'n [Node<'a>], Malformed> {
    match root.get("messages").map(|m| &m.kind) {
        Some(Kind::Array(list)) => Ok(list),
        _ => Err(Malformed { what: "a chat completion needs a list `messages`".into(), at: root.span.start }),
    }
}

/// The role of a message; none for a word that is not known.
pub(super) fn role(node: &Node<'_>) -> Option<Role> {
    match node.str_of("role")? {
        "system" | "developer" => Some(Role::System),
        "user" => Some(Role::User),
        "assistant" => Some(Role::Assistant),
        "tool" | "function" => Some(Role::Tool),
        _ => None,
    }
}

/// One message.
pub(in crate::dialect) fn message(node: &Node<'_>) -> Result<Message, Malformed> {
    let Some(word) = node.str_of("role") else {
        return Err(Malformed { what: "a message needs a `role`".into(), at: node.span.start });
    };
    let Some(role) = role(node) else {
        // A role that is not known still counts: the message is told apart from a user's.
        let mut blocks = blocks(node);
        blocks.push(Block::Other { value: json!({"role": word}) });
        return Ok(Message { role: Role::User, blocks });
    };
    if role != Role::Tool {
        return Ok(Message { role, blocks: blocks(node) });
    }
    let (text, mut other) = result_of(node.get("content"));
    // Ollama's images stand beside the content.
    other.extend(node.get("images").filter(|i| !i.is_empty()).map(|i| json!({"images": plain(i)})));
    let id = node.str_of("tool_call_id").or(node.str_of("name")).unwrap_or_default();
    let result = Block::ToolResult { call_id: id.to_string(), text, other, is_error: false };
    Ok(Message { role, blocks: vec![result] })
}

/// The blocks of a message that is no tool result, of a request or of an answer.
pub(in crate::dialect) fn blocks(node: &Node<'_>) -> Vec<Block> {
    let mut blocks = Vec::new();
    blocks.extend(reasoning(node));
    match node.get("content").map(|c| (c, &c.kind)) {
        None | Some((_, Kind::Null)) => {}
        Some((_, Kind::String(text))) => blocks.extend(text_block(text)),
        Some((_, Kind::Array(parts))) => blocks.extend(parts.iter().filter_map(part)),
        Some((other, _)) => blocks.push(Block::Other { value: plain(other) }),
    }
    if let Some(refusal) = node.str_of("refusal").filter(|r| !r.is_empty()) {
        blocks.push(Block::Other { value: json!({"type": "refusal", "refusal": refusal}) });
    }
    blocks.extend(node.get("tool_calls").iter().flat_map(|c| c.elements()).map(tool_call));
    if let Some(call) = node.get("function_call").filter(|c| !c.is_empty()) {
        let name = call.str_of("name").unwrap_or_default().to_string();
        blocks.push(Block::ToolCall { id: String::new(), name, args: arguments(call.get("arguments")) });
    }
    for member in node.members() {
        let key = &*member.key;
        if !READ.contains(&key) && !REASONING.contains(&key) && !member.value.is_empty() {
            blocks.push(Block::Other { value: json!({key: member.value.to_value()}) });
        }
    }
    blocks
}

fn reasoning(node: &Node<'_>) -> Option<Block> {
    if !REASONING.iter().any(|k| is_said(node, k)) {
        return None;
    }
    let strings = ["reasoning_content", "reasoning", "reasoning_text", "thinking"];
    let text = strings.iter().find_map(|k| node.str_of(k)).unwrap_or_default().to_string();
    let opaque = ["reasoning_opaque", "encrypted_content", "encrypted"].iter().any(|k| is_said(node, k));
    let parts = ["reasoning_details", "thinking_blocks"];
    let mut parts = parts.iter().filter_map(|k| node.get(k)).flat_map(|l| l.elements());
    let signed = parts.any(|p| matches!(reasoning_block(p), Block::Reasoning { signed: true, .. }));
    Some(Block::Reasoning { text, signed: opaque || signed })
}

fn part(node: &Node<'_>) -> Option<Block> {
    match node {
        _ if is_text(node) => text_block(node.str_of("text").unwrap_or_default()),
        _ if is_reasoning(node) => Some(reasoning_block(node)),
        _ => match node.as_str() {
            Some(text) => text_block(text),
            None => Some(Block::Other { value: plain(node) }),
        },
    }
}

fn tool_call(node: &Node<'_>) -> Block {
    let (inner, args) = match (node.get("function"), node.get("custom")) {
        (Some(function), _) => (Some(function), arguments(function.get("arguments"))),
        (None, Some(custom)) => (Some(custom), Value::from(custom.str_of("input").unwrap_or_default())),
        (None, None) => (None, arguments(None)),
    };
    Block::ToolCall {
        id: node.str_of("id").unwrap_or_default().to_string(),
        name: inner.and_then(|i| i.str_of("name")).unwrap_or_default().to_string(),
        args,
    }
}
