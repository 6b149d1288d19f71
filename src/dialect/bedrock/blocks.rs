//! Content blocks of `Converse`: each has one member, named after its kind.

use crate::dialect::content::text_block;
use crate::dialect::conversation::Block;
use crate::exchange::canon::canonical_value;
use crate::exchange::json::{Kind, Node};
use serde_json::{Map, Value};

/// True for a block that holds text and nothing else.
pub(super) fn is_text(block: &Node<'_>) -> bool {
    block.str_of("text").is_some()
}

/// True for a block that holds reasoning.
pub(super) fn is_reasoning(block: &Node<'_>) -> bool {
    block.get("reasoningContent").is_some()
}

/// True for a block that marks a place up to which the provider may cache. It moves from turn to turn and decides
/// nothing.
pub(super) fn is_cache_point(block: &Node<'_>) -> bool {
    block.get("cachePoint").is_some() && block.members().len() == 1
}

/// The blocks of a list, each with its index in it.
pub(super) fn placed<'n>(content: &'n Node<'_>) -> impl Iterator<Item = (usize, Block)> + 'n {
    content.elements().iter().enumerate().filter_map(|(i, e)| Some((i, block(e)?)))
}

/// The blocks of a list.
pub(super) fn blocks(content: &Node<'_>) -> Vec<Block> {
    placed(content).map(|(_, block)| block).collect()
}

fn block(node: &Node<'_>) -> Option<Block> {
    if let Some(text) = node.str_of("text") {
        return text_block(text);
    }
    if is_cache_point(node) {
        return None;
    }
    if let Some(call) = node.get("toolUse") {
        let word = |k: &str| call.str_of(k).unwrap_or_default().to_string();
        let args = call.get("input").filter(|i| i.kind != Kind::Null);
        let args = args.map_or_else(|| Value::Object(Map::new()), Node::to_value);
        return Some(Block::ToolCall { id: word("toolUseId"), name: word("name"), args });
    }
    if let Some(result) = node.get("toolResult") {
        let (text, other) = returned(result);
        let call_id = result.str_of("toolUseId").unwrap_or_default().to_string();
        let is_error = result.str_of("status") == Some("error");
        return Some(Block::ToolResult { call_id, text, other, is_error });
    }
    if let Some(reasoning) = node.get("reasoningContent") {
        return Some(thought(reasoning));
    }
    if let Some(cited) = node.get("citationsContent").and_then(|c| c.get("content")) {
        let texts = cited.elements().iter().filter_map(|t| t.str_of("text"));
        return text_block(&texts.collect::<String>());
    }
    Some(Block::Other { value: node.to_value() })
}

fn thought(reasoning: &Node<'_>) -> Block {
    let said = reasoning.get("reasoningText");
    let text = said.and_then(|s| s.str_of("text")).unwrap_or_default().to_string();
    let sealed = |node: Option<&Node<'_>>| node.is_some_and(|n| !n.is_empty());
    let signed = sealed(said.and_then(|s| s.get("signature"))) || sealed(reasoning.get("redactedContent"));
    Block::Reasoning { text, signed }
}

/// What a tool returned: its texts and JSON, joined by line feeds, and the parts that are neither.
fn returned(result: &Node<'_>) -> (String, Vec<Value>) {
    let parts = result.get("content").map(|c| c.elements()).unwrap_or_default();
    let mut texts: Vec<String> = Vec::new();
    let mut other = Vec::new();
    for part in parts {
        match (part.str_of("text"), part.get("json")) {
            (Some(text), _) => texts.push(text.to_string()),
            (None, Some(json)) => texts.push(canonical_value(&json.to_value_as_written())),
            (None, None) if is_cache_point(part) => {}
            (None, None) => other.push(part.to_value()),
        }
    }
    (texts.join("\n"), other)
}
