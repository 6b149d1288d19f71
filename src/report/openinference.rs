//! What a step says, in OpenInference's attributes, whose lists are flat.

use crate::dialect::conversation::{Block, Message, Role};
use crate::diff::RunView;
use crate::run::StepKind;

/// Attributes with the texts of a step; what cannot be read is left out. See [`super::genai::said`].
pub fn said(run: &RunView, step: u32) -> Vec<(String, String)> {
    let mut said = Vec::new();
    match run.outline.step(step) {
        Some(StepKind::Model { lane, turn }) => {
            let Some(turn) = run.outline.turn(lane, turn) else { return said };
            if let Ok(request) = run.request_of(turn) {
                let system = (!request.system.is_empty())
                    .then(|| Message { role: Role::System, blocks: request.system.clone() });
                let messages = system.iter().chain(&request.messages);
                for (at, message) in messages.enumerate() {
                    flat(&format!("llm.input_messages.{at}.message"), message, &mut said);
                }
                let last = request.messages.last().map(Message::text).unwrap_or_default();
                value("input", last, &mut said);
            }
            if let Ok(answer) = run.answer_of(turn) {
                let own = Message { role: Role::Assistant, blocks: answer.blocks.clone() };
                flat("llm.output_messages.0.message", &own, &mut said);
                value("output", own.text(), &mut said);
            }
        }
        Some(StepKind::Tool { site }) => {
            let args = run.full_args(site).unwrap_or_default().to_string();
            said.push(("input.mime_type".into(), "application/json".into()));
            value("input", args, &mut said);
            let result = run.outline.call(site).and_then(|call| run.full_result(call).ok().flatten());
            value("output", result.map(|result| result.text).unwrap_or_default(), &mut said);
        }
        None => {}
    }
    said
}

fn value(side: &str, text: String, said: &mut Vec<(String, String)>) {
    if !text.is_empty() {
        said.push((format!("{side}.value"), text));
    }
}

fn flat(at: &str, message: &Message, said: &mut Vec<(String, String)>) {
    let role = match message.role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
    };
    said.push((format!("{at}.role"), role.into()));
    let mut text = message.text();
    for (call, (id, name, args)) in message.tool_calls().enumerate() {
        let at = format!("{at}.tool_calls.{call}.tool_call");
        said.push((format!("{at}.id"), id.into()));
        said.push((format!("{at}.function.name"), name.into()));
        said.push((format!("{at}.function.arguments"), args.to_string()));
    }
    for block in &message.blocks {
        if let Block::ToolResult { call_id, text: result, .. } = block {
            said.push((format!("{at}.tool_call_id"), call_id.clone()));
            text.push_str(result);
        }
    }
    if !text.is_empty() {
        said.push((format!("{at}.content"), text));
    }
}
