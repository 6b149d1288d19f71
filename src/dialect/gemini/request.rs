//! Requests into the normal form.

use super::parts::{blocks, camel, field, items, member, parts_of};
use super::target;
use crate::dialect::Malformed;
use crate::dialect::content::{plain_as_written, text_block};
use crate::dialect::conversation::{Block, Message, ModelRequest, Role};
use crate::exchange::json::{self, Kind, Node};
use serde_json::{Map, Value, json};

/// Fields that do not decide the answer: labels of the bill.
const VOLATILE: [&str; 1] = ["labels"];

pub(super) fn read(target: &str, body: &[u8]) -> Result<ModelRequest, Malformed> {
    let root = json::parse(body)?;
    let list = contents(&root)?;
    let mut system = Vec::new();
    let mut tools = Vec::new();
    let mut params: Vec<(String, Value)> = Vec::new();
    let mut param = |name: String, node: &Node<'_>| {
        if node.kind != Kind::Null {
            params.push((name, node.to_value_as_written()));
        }
    };
    for given in root.members() {
        match camel(&given.key).as_str() {
            "contents" | "model" => {}
            "systemInstruction" => system = instruction(&given.value),
            "tools" => tools = items(&given.value).iter().flat_map(tools_of).collect(),
            "generationConfig" if matches!(given.value.kind, Kind::Object(_)) => {
                given.value.members().iter().for_each(|m| param(camel(&m.key), &m.value));
            }
            name if VOLATILE.contains(&name) => {}
            name => param(name.to_string(), &given.value),
        }
    }
    params.sort_by(|a, b| a.0.cmp(&b.0));
    let (mut model, stream) = target::model_and_stream(target);
    if model.is_empty() {
        let named = root.str_of("model").unwrap_or_default();
        model = named.rsplit('/').next().unwrap_or_default().to_string();
    }
    Ok(ModelRequest {
        model,
        stream,
        system,
        tools,
        params: params.into_iter().collect(),
        messages: list.iter().map(message).collect(),
        spans: list.iter().map(|m| m.span.clone()).collect(),
    })
}

/// The contents of a request: its messages.
pub(super) fn contents<'n, 'a>(root: &'n Node<'a>) -> Result<&'n [Node<'a>], Malformed> {
    match field(root, "contents") {
        Some(list) if matches!(list.kind, Kind::Array(_) | Kind::Object(_)) => Ok(items(list)),
        _ => Err(Malformed { what: "a Gemini request needs a list `contents`".into(), at: root.span.start }),
    }
}

fn message(node: &Node<'_>) -> Message {
    let mut blocks = match node.as_str() {
        Some(text) => text_block(text).into_iter().collect(),
        None => blocks(parts_of(node)),
    };
    let role = match node.str_of("role") {
        Some("model" | "assistant") => Role::Assistant,
        Some("function" | "tool") => Role::Tool,
        Some("system") => Role::System,
        Some("user" | "") | None => Role::User,
        Some(word) => {
            // A role that is not known still counts: the message is told apart from a user's.
            blocks.push(Block::Other { value: json!({"role": word}) });
            Role::User
        }
    };
    if role == Role::Assistant {
        blocks = joined(blocks);
    }
    Message { role, blocks }
}

/// What the model said, with texts that stand side by side as one: clients send a stream back in the pieces it came in.
fn joined(blocks: Vec<Block>) -> Vec<Block> {
    let mut out: Vec<Block> = Vec::with_capacity(blocks.len());
    for block in blocks {
        match (out.last_mut(), block) {
            (Some(Block::Text { text }), Block::Text { text: more }) => text.push_str(&more),
            (_, block) => out.push(block),
        }
    }
    out
}

/// The system prompt: a text, a content, a part, or several of these.
fn instruction(node: &Node<'_>) -> Vec<Block> {
    let each = |n: &Node<'_>| match field(n, "parts") {
        Some(parts) => blocks(items(parts)),
        None => blocks(std::slice::from_ref(n)),
    };
    items(node).iter().flat_map(each).collect()
}

/// The tools that one element of the list stands for: each function that it declares, and each tool of the provider's.
fn tools_of(node: &Node<'_>) -> Vec<Value> {
    let Some(declared) = member(node, "functionDeclarations") else { return vec![plain_as_written(node)] };
    let mut tools: Vec<Value> = items(&declared.value).iter().map(plain_as_written).collect();
    if let Value::Object(members) = plain_as_written(node) {
        let others: Map<String, Value> =
            members.into_iter().filter(|(k, v)| *k != declared.key && !v.is_null()).collect();
        if !others.is_empty() {
            tools.push(Value::Object(others));
        }
    }
    tools
}
