//! Requests of `Converse` into the normal form.

use super::blocks::{blocks, is_cache_point};
use super::target;
use crate::dialect::Malformed;
use crate::dialect::conversation::{Block, Message, ModelRequest, Role};
use crate::exchange::json::{self, Kind, Node};
use serde_json::{Value, json};

/// Fields that do not decide the answer: labels for the log, and the version of a vendor's own body.
const VOLATILE: [&str; 2] = ["requestMetadata", "schemaVersion"];

pub(super) fn read(target: &str, body: &[u8]) -> Result<ModelRequest, Malformed> {
    let root = json::parse(body)?;
    let list = messages(&root)?;
    let mut system = Vec::new();
    let mut tools = Vec::new();
    let mut params: Vec<(String, Value)> = Vec::new();
    let mut param = |name: &str, node: &Node<'_>| {
        if node.kind != Kind::Null {
            params.push((name.to_string(), node.to_value_as_written()));
        }
    };
    for member in root.members() {
        match (&*member.key, &member.value) {
            ("messages", _) => {}
            ("system", value) => system = blocks(value),
            ("toolConfig", value) => {
                tools = value.get("tools").map(tools_of).unwrap_or_default();
                let others = value.members().iter().filter(|m| m.key != "tools");
                others.for_each(|m| param(&m.key, &m.value));
            }
            ("inferenceConfig", value) if matches!(value.kind, Kind::Object(_)) => {
                value.members().iter().for_each(|m| param(&m.key, &m.value));
            }
            (key, _) if VOLATILE.contains(&key) => {}
            (key, value) => param(key, value),
        }
    }
    params.sort_by(|a, b| a.0.cmp(&b.0));
    let (model, stream) = target::model_and_stream(target);
    Ok(ModelRequest {
        model,
        stream,
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
        // With a prompt of the provider's own there may be nothing to add.
        None if root.get("promptVariables").is_some() => Ok(&[]),
        _ => {
            Err(Malformed { what: "a Converse request needs a list `messages`".into(), at: root.span.start })
        }
    }
}

fn message(node: &Node<'_>) -> Result<Message, Malformed> {
    let Some(word) = node.str_of("role") else {
        return Err(Malformed { what: "a message needs a `role`".into(), at: node.span.start });
    };
    let mut blocks = node.get("content").map(blocks).unwrap_or_default();
    let role = match word {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "system" => Role::System,
        _ => {
            // A role that is not known still counts: the message is told apart from a user's.
            blocks.push(Block::Other { value: json!({"role": word}) });
            Role::User
        }
    };
    Ok(Message { role, blocks })
}

fn tools_of(list: &Node<'_>) -> Vec<Value> {
    list.elements().iter().filter(|t| !is_cache_point(t)).map(tool).collect()
}

/// A tool as its specification, so that it has a name as those of other providers have.
fn tool(node: &Node<'_>) -> Value {
    node.get("toolSpec").unwrap_or(node).to_value_as_written()
}
