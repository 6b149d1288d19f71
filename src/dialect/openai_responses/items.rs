//! Items of an input or an output into blocks.

use crate::dialect::content::*;
use crate::dialect::conversation::{Block, Role};
use crate::exchange::json::{Kind, Node};
use serde_json::{Value, json};

/// Who an item is from, and what it says. None for what is no item: it has neither a type nor a role.
pub(super) fn read(item: &Node<'_>) -> Option<(Role, Vec<Block>)> {
    let one = |role, block| Some((role, vec![block]));
    let word = |key: &str| item.str_of(key).unwrap_or_default().to_string();
    let call = |name: &str, args: Value| {
        let id = item.str_of("call_id").or(item.str_of("id")).unwrap_or_default();
        one(Role::Assistant, Block::ToolCall { id: id.to_string(), name: name.to_string(), args })
    };
    let value = |key: &str| item.get(key).map(Node::to_value).unwrap_or_default();
    match kind(item)? {
        "message" => Some(message(item)),
        "reasoning" => one(Role::Assistant, reasoning(item)),
        "function_call" => call(&word("name"), arguments(item.get("arguments"))),
        "custom_tool_call" => call(&word("name"), Value::from(word("input"))),
        "local_shell_call" => call("local_shell", value("action")),
        "shell_call" => call("shell", value("action")),
        "apply_patch_call" => call("apply_patch", value("operation")),
        "computer_call" => {
            call("computer", if is_said(item, "action") { value("action") } else { value("actions") })
        }
        // A search that the agent runs has a name to answer to.
        "tool_search_call" if is_said(item, "call_id") => {
            call("tool_search", arguments(item.get("arguments")))
        }
        "tool_search_output" if is_said(item, "call_id") => one(
            Role::Tool,
            Block::ToolResult {
                call_id: word("call_id"),
                text: String::new(),
                other: item.get("tools").map(plain).into_iter().collect(),
                is_error: false,
            },
        ),
        name if is_result(name) => one(Role::Tool, result(item)),
        "additional_tools" => one(Role::System, other(item)),
        "mcp_approval_response" | "compaction_trigger" => one(Role::User, other(item)),
        // What the provider itself ran, asks, or points at.
        _ => one(Role::Assistant, other(item)),
    }
}

/// The type of an item; messages may go without.
pub(super) fn kind<'n>(item: &'n Node<'_>) -> Option<&'n str> {
    item.str_of("type").or(item.str_of("role").map(|_| "message"))
}

/// True for the result of a tool that the agent ran. Tool searches answer themselves.
pub(super) fn is_result(kind: &str) -> bool {
    kind.ends_with("_call_output")
}

/// The role of a message item; none for a word that is not known.
pub(super) fn role(item: &Node<'_>) -> Option<Role> {
    if kind(item) != Some("message") {
        return None;
    }
    match item.str_of("role")? {
        "system" | "developer" => Some(Role::System),
        "user" => Some(Role::User),
        "assistant" => Some(Role::Assistant),
        _ => None,
    }
}

fn message(item: &Node<'_>) -> (Role, Vec<Block>) {
    let mut blocks: Vec<Block> = match item.get("content").map(|c| (c, &c.kind)) {
        None | Some((_, Kind::Null)) => Vec::new(),
        Some((_, Kind::String(text))) => text_block(text).into_iter().collect(),
        Some((content, _)) => content.elements().iter().filter_map(part).collect(),
    };
    let role = role(item).unwrap_or_else(|| {
        // A role that is not known still counts: the message is told apart from a user's.
        blocks.push(Block::Other { value: json!({"role": item.str_of("role")}) });
        Role::User
    });
    (role, blocks)
}

fn part(node: &Node<'_>) -> Option<Block> {
    match node.str_of("type") {
        _ if is_text(node) => text_block(node.str_of("text").unwrap_or_default()),
        Some("refusal") => {
            let refusal = node.str_of("refusal").unwrap_or_default();
            Some(Block::Other { value: json!({"type": "refusal", "refusal": refusal}) })
        }
        Some("reasoning_text") => Some(Block::Reasoning {
            text: node.str_of("text").unwrap_or_default().to_string(),
            signed: false,
        }),
        _ => Some(Block::Other { value: plain(node) }),
    }
}

fn reasoning(item: &Node<'_>) -> Block {
    let texts = |key: &str| -> Vec<&str> {
        let parts = item.get(key).map(|l| l.elements()).unwrap_or_default();
        parts.iter().filter_map(|p| p.str_of("text")).filter(|t| !t.is_empty()).collect()
    };
    let summary = texts("summary");
    let said = if summary.is_empty() { texts("content") } else { summary };
    Block::Reasoning { text: said.join("\n"), signed: is_said(item, "encrypted_content") }
}

fn result(item: &Node<'_>) -> Block {
    let id = item.str_of("call_id").or(item.str_of("id")).unwrap_or_default();
    let output = item.get("output");
    let (text, other) = match output {
        Some(list) if list.elements().iter().any(is_shell_output) => shell_output(list),
        output => result_of(output),
    };
    Block::ToolResult {
        call_id: id.to_string(),
        text,
        other,
        is_error: item.str_of("status") == Some("failed"),
    }
}

/// True for what a command put out: `{"stdout": …, "stderr": …, "outcome": …}`.
pub(super) fn is_shell_output(part: &Node<'_>) -> bool {
    part.str_of("stdout").is_some()
}

fn shell_output(list: &Node<'_>) -> (String, Vec<Value>) {
    let said = |part: &Node<'_>| -> String {
        ["stdout", "stderr"].iter().filter_map(|k| part.str_of(k)).collect::<Vec<_>>().concat()
    };
    let texts: Vec<String> = list.elements().iter().map(said).collect();
    let ends = list.elements().iter().filter_map(|p| p.get("outcome")).map(Node::to_value);
    (texts.join("\n"), ends.collect())
}

/// An item as it is, without what clients and servers add for themselves.
fn other(item: &Node<'_>) -> Block {
    let mut value = plain(item);
    if let Some(members) = value.as_object_mut()
        && item.str_of("type") != Some("item_reference")
    {
        members.shift_remove("id");
        members.shift_remove("status");
    }
    Block::Other { value }
}
