//! Requests that hold one prompt instead of a conversation: Ollama's `/api/generate`, OpenAI's legacy completions,
//! Mistral's fill-in-the-middle. Their normal form is a conversation of one message.

use super::content::{plain, text_block};
use super::conversation::{Block, Message, Role};
use super::surgery::{self, Places, Splice, append_line, set_member};
use super::{EditError, Malformed, RequestEdit};
use crate::exchange::canon::quoted;
use crate::exchange::json::{self, Kind, Node};
use bytes::Bytes;
use serde_json::json;
use std::ops::Range;

/// True for a body that holds a prompt and no conversation.
pub(super) fn is_prompted(root: &Node<'_>) -> bool {
    root.get("messages").is_none() && root.get("prompt").is_some()
}

/// The prompt as a message, and where it stands: a text, a list of texts, or tokens.
pub(super) fn message(root: &Node<'_>) -> Option<(Message, Range<usize>)> {
    let prompt = root.get("prompt").filter(|p| !p.is_empty())?;
    let mut blocks: Vec<Block> = match &prompt.kind {
        Kind::Array(list) if list.iter().all(|p| p.as_str().is_some()) => {
            list.iter().filter_map(|p| text_block(p.as_str()?)).collect()
        }
        Kind::String(text) => text_block(text).into_iter().collect(),
        _ => vec![Block::Other { value: json!({"prompt": plain(prompt)}) }],
    };
    if let Some(images) = root.get("images").filter(|i| !i.is_empty()) {
        blocks.push(Block::Other { value: json!({"images": plain(images)}) });
    }
    Some((Message { role: Role::User, blocks }, prompt.span.clone()))
}

/// Changes a request's bytes. `set_field`: how this API sets a parameter.
pub(super) fn edit(
    body: &[u8],
    edits: &[RequestEdit],
    set_field: impl Fn(&Node<'_>, &str, &serde_json::Value) -> Vec<Splice>,
) -> Result<Bytes, EditError> {
    let mut body = body.to_vec();
    for edit in edits {
        let root = json::parse(&body).map_err(Malformed::from)?;
        let splices = match edit {
            RequestEdit::SetField { name, value } => set_field(&root, name, value),
            edit => splices(&root, edit)?,
        };
        body = surgery::apply(&body, splices);
    }
    Ok(body.into())
}

fn splices(root: &Node<'_>, edit: &RequestEdit) -> Result<Vec<Splice>, EditError> {
    let only = |message: usize| Places::new(1).message(std::slice::from_ref(root), message).map(drop);
    match edit {
        RequestEdit::SetSystem(text) => Ok(vec![set_member(root, "system", quoted(text))]),
        RequestEdit::AppendSystem(text) => Ok(vec![match root.get("system") {
            Some(system) if system.as_str().is_some() => append_line(system, text),
            _ => set_member(root, "system", quoted(text)),
        }]),
        RequestEdit::SetMessageText { message, text } => {
            only(*message)?;
            Ok(vec![set_member(root, "prompt", quoted(text))])
        }
        RequestEdit::SetToolResult { message, block, .. } => {
            Err(EditError::NotThere(format!("block {block} of message {message} is no tool result")))
        }
        RequestEdit::ReplaceMessage { message, json } => {
            only(*message)?;
            // What comes from another request of the kind is its prompt.
            let new = json::parse(json).map_err(Malformed::from)?;
            match (&new.kind, root.member("prompt")) {
                (Kind::String(_) | Kind::Array(_), Some(prompt)) => {
                    let text = json.get(new.span.clone()).unwrap_or_default();
                    Ok(vec![(prompt.value.span.clone(), String::from_utf8_lossy(text).into_owned())])
                }
                _ => Err(EditError::NotThere("the request holds a prompt, not messages".into())),
            }
        }
        RequestEdit::SetField { name, value } => Ok(surgery::set_field(root, name, value)),
        RequestEdit::RemoveTool(name) => surgery::remove_tool(root, name, false),
        RequestEdit::AddTool(tool) => Ok(vec![surgery::add_tool(root, tool)]),
        RequestEdit::DropReasoning { .. } => Ok(Vec::new()),
    }
}
