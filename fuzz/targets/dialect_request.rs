//! Requests of every dialect. The first line is the target (path and query), the rest the body.

use super::first_line;
use retake::dialect::conversation::{ModelRequest, Role};
use retake::dialect::histories::Histories;
use retake::dialect::{Dialect, RequestEdit, all, recognise};
use retake::exchange::{HeaderList, RequestHead, ResponseHead};
use serde_json::json;

/// Reads, unfolds, edits.
pub fn run(data: &[u8]) {
    let (target, body) = first_line(data);
    let target = String::from_utf8_lossy(target);
    let head =
        RequestHead { method: "POST".into(), target: target.clone().into(), headers: HeaderList(Vec::new()) };
    if let Some((dialect, _)) = recognise(&head) {
        dialect.path(&head);
        one(dialect, &target, body);
    } else {
        all().iter().for_each(|dialect| one(*dialect, &target, body));
    }
}

fn one(dialect: &dyn Dialect, target: &str, body: &[u8]) {
    let mut known = Histories::default();
    known.unfold(dialect, body);
    dialect.conversation(body);
    let answer = ResponseHead { status: 200, headers: HeaderList(Vec::new()) };
    known.note(dialect, body, &answer, br#"{"id":"resp_1","output":[]}"#);
    known.unfold(dialect, body);
    let Ok(request) = dialect.read_request(target, body) else { return };
    holds_together(&request, body);
    if let Ok(same) = dialect.edit_request(body, &[]) {
        assert_eq!(same, body, "{}: nothing was to be edited", dialect.name());
    }
    for edit in edits(&request) {
        let Ok(edited) = dialect.edit_request(body, std::slice::from_ref(&edit)) else { continue };
        let again = dialect.read_request(target, &edited);
        let again = again.unwrap_or_else(|e| {
            panic!("{} after {edit:?}: {e}: {}", dialect.name(), String::from_utf8_lossy(&edited))
        });
        holds_together(&again, &edited);
        dialect.edit_target(target, &[edit]);
    }
}

fn holds_together(request: &ModelRequest, body: &[u8]) {
    assert_eq!(request.spans.len(), request.messages.len());
    for span in &request.spans {
        assert!(body.get(span.clone()).is_some(), "{span:?} of {}", body.len());
    }
}

fn edits(request: &ModelRequest) -> Vec<RequestEdit> {
    let text = || "two\n\"lines\"".to_string();
    let mut edits = vec![
        RequestEdit::SetSystem(text()),
        RequestEdit::AppendSystem(text()),
        RequestEdit::SetField { name: "temperature".into(), value: json!(0) },
        RequestEdit::DropReasoning { before: request.messages.len() },
    ];
    let tools = request.tools.iter().filter_map(|t| t.get("name")?.as_str());
    edits.extend(tools.take(2).map(|name| RequestEdit::RemoveTool(name.into())));
    for (message, said) in request.messages.iter().enumerate().take(4) {
        if said.role == Role::User {
            edits.push(RequestEdit::SetMessageText { message, text: text() });
        }
        for block in 0..said.blocks.len().min(3) {
            edits.push(RequestEdit::SetToolResult { message, block, text: text() });
        }
    }
    edits
}
