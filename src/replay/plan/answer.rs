//! What an edit makes of an answer.

use crate::dialect::conversation::{Block, ModelAnswer};
use crate::run::edit::{Change, Edit, EditProblem};
use serde_json::Value;

/// The blocks of an edited answer.
///
/// # Errors
/// [`EditProblem`] when the edit changes nothing, or what it makes is no answer.
pub(super) fn edited_answer(edit: &Edit, answer: &ModelAnswer, step: u32) -> Result<Vec<Block>, EditProblem> {
    let problem = |why: String| EditProblem { edit: edit.text.clone(), why };
    if let Change::Substitute { .. } = edit.change {
        let mut matched = false;
        let mut blocks: Vec<Block> = Vec::new();
        for block in &answer.blocks {
            match block {
                Block::Text { text } => {
                    let new = edit.apply(text).ok();
                    matched |= new.is_some();
                    blocks.push(Block::Text { text: new.unwrap_or_else(|| text.clone()) });
                }
                Block::ToolCall { id, name, args } => {
                    let new = edit.apply(&args.to_string()).ok();
                    matched |= new.is_some();
                    let args = match new {
                        Some(json) => serde_json::from_str(&json).map_err(|e| {
                            problem(format!("the arguments of {name} would no longer be JSON: {e}"))
                        })?,
                        None => args.clone(),
                    };
                    blocks.push(Block::ToolCall { id: id.clone(), name: name.clone(), args });
                }
                Block::Reasoning { .. } => {}
                other => blocks.push(other.clone()),
            }
        }
        if matched {
            return Ok(blocks);
        }
        return Err(problem(format!("the pattern matches nothing in the answer of step {step}")));
    }
    if let Change::Set(Value::Object(map)) = &edit.change
        && let Some(Value::Array(calls)) = map.get("calls")
    {
        let mut blocks = Vec::new();
        if let Some(text) = map.get("text").and_then(Value::as_str).filter(|t| !t.is_empty()) {
            blocks.push(Block::Text { text: text.to_string() });
        }
        for (index, call) in calls.iter().enumerate() {
            let name = call
                .get("name")
                .and_then(Value::as_str)
                .ok_or_else(|| problem("each of calls needs a name: {\"name\":…,\"args\":{…}}".into()))?;
            blocks.push(Block::ToolCall {
                id: format!("call_edited_{step}_{index}"),
                name: name.to_string(),
                args: call.get("args").cloned().unwrap_or_else(|| Value::Object(Default::default())),
            });
        }
        return Ok(blocks);
    }
    Ok(vec![Block::Text { text: edit.apply(&answer.text())? }])
}
