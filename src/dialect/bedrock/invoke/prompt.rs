//! Requests that are a prompt and parameters: Llama, Titan, older models of Mistral, Cohere, AI21 and Anthropic.

use crate::dialect::conversation::{Block, Message, ModelRequest, Role};
use crate::dialect::surgery::{self, Splice};
use crate::dialect::{EditError, Malformed, RequestEdit};
use crate::exchange::canon::quoted;
use crate::exchange::json::{self, Kind, Node};
use bytes::Bytes;

/// Fields that hold the prompt: Titan's and Command R's own, and everybody else's.
const PROMPTS: [&str; 3] = ["prompt", "inputText", "message"];

/// The prompt of a request.
pub(super) fn place<'n, 'a>(root: &'n Node<'a>) -> Option<&'n Node<'a>> {
    PROMPTS.iter().find_map(|key| root.get(key)).filter(|p| p.as_str().is_some())
}

fn needed<'n, 'a>(root: &'n Node<'a>) -> Result<&'n Node<'a>, Malformed> {
    place(root).ok_or(Malformed { what: "there is no prompt".into(), at: root.span.start })
}

pub(super) fn read(root: &Node<'_>) -> Result<ModelRequest, Malformed> {
    let prompt = needed(root)?;
    let text = prompt.as_str().unwrap_or_default().to_string();
    let others = root.members().iter().filter(|m| m.value.span != prompt.span && m.value.kind != Kind::Null);
    let mut params: Vec<_> = others.map(|m| (m.key.to_string(), m.value.to_value_as_written())).collect();
    params.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(ModelRequest {
        model: String::new(),
        stream: false,
        system: Vec::new(),
        tools: Vec::new(),
        params: params.into_iter().collect(),
        messages: vec![Message { role: Role::User, blocks: vec![Block::Text { text }] }],
        spans: vec![prompt.span.clone()],
    })
}

pub(super) fn edit(body: &[u8], edits: &[RequestEdit]) -> Result<Bytes, EditError> {
    let mut body = body.to_vec();
    for edit in edits {
        let root = json::parse(&body).map_err(Malformed::from)?;
        let splices = splices(&root, edit)?;
        body = surgery::apply(&body, splices);
    }
    Ok(body.into())
}

fn splices(root: &Node<'_>, edit: &RequestEdit) -> Result<Vec<Splice>, EditError> {
    let prompt = needed(root)?;
    let no = |what: &str| {
        EditError::NotThere(format!(
            "{what}: the request is one prompt, which `prompt` or a message edit changes"
        ))
    };
    match edit {
        RequestEdit::SetMessageText { message: 0, text } => Ok(vec![(prompt.span.clone(), quoted(text))]),
        RequestEdit::ReplaceMessage { message: 0, json } => {
            let read = json::parse(json).ok();
            let text = read.as_ref().and_then(Node::as_str).ok_or_else(|| no("the new prompt is no text"))?;
            Ok(vec![(prompt.span.clone(), quoted(text))])
        }
        RequestEdit::SetField { name, value } => Ok(surgery::set_field(root, name, value)),
        // There is none.
        RequestEdit::DropReasoning { .. } => Ok(Vec::new()),
        RequestEdit::SetMessageText { message, .. } | RequestEdit::ReplaceMessage { message, .. } => {
            Err(no(&format!("there is no message {message}")))
        }
        RequestEdit::SetSystem(_) | RequestEdit::AppendSystem(_) => Err(no("there is no system prompt")),
        RequestEdit::SetToolResult { .. } => Err(no("there is no tool result")),
        RequestEdit::RemoveTool(name) => Err(no(&format!("there is no tool {name:?}"))),
        RequestEdit::AddTool(_) => Err(no("there is no place for a tool")),
    }
}
