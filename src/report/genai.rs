//! What a step says, in the attributes of OpenTelemetry's conventions for generative models.

use crate::dialect::conversation::{Block, Message, Role};
use crate::diff::RunView;
use crate::run::StepKind;
use serde_json::{Value, json};

/// Attributes with the texts of a step: messages of a model call, arguments and result of a tool. What cannot be read is
/// left out.
pub fn said(run: &RunView, step: u32) -> Vec<(String, String)> {
    let mut said = Vec::new();
    let mut tell = |name: &str, value: Value| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_string);
        said.push((name.to_string(), text));
    };
    match run.outline.step(step) {
        Some(StepKind::Model { lane, turn }) => {
            let Some(turn) = run.outline.turn(lane, turn) else { return said };
            if let Ok(request) = run.request_of(turn) {
                if !request.system.is_empty() {
                    tell("gen_ai.system_instructions", parts(&request.system));
                }
                tell("gen_ai.input.messages", request.messages.iter().map(message).collect());
            }
            if let Ok(answer) = run.answer_of(turn) {
                let own = Message { role: Role::Assistant, blocks: answer.blocks.clone() };
                tell("gen_ai.output.messages", json!([message(&own)]));
            }
        }
        Some(StepKind::Tool { site }) => {
            tell("gen_ai.tool.call.arguments", run.full_args(site).unwrap_or_default());
            let result = run.outline.call(site).and_then(|call| run.full_result(call).ok().flatten());
            if let Some(result) = result {
                tell("gen_ai.tool.call.result", result.text.into());
            }
        }
        None => {}
    }
    said
}

fn message(message: &Message) -> Value {
    let role = match message.role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
    };
    json!({ "role": role, "parts": parts(&message.blocks) })
}

fn parts(blocks: &[Block]) -> Value {
    let part = |block: &Block| match block {
        Block::Text { text } => json!({ "type": "text", "content": text }),
        Block::Reasoning { text, .. } => json!({ "type": "reasoning", "content": text }),
        Block::ToolCall { id, name, args } => {
            json!({ "type": "tool_call", "id": id, "name": name, "arguments": args })
        }
        Block::ToolResult { call_id, text, .. } => {
            json!({ "type": "tool_call_response", "id": call_id, "result": text })
        }
        Block::Other { value } => value.clone(),
    };
    blocks.iter().map(part).collect()
}
