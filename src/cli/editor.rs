//! An edit made by hand, in `$EDITOR`.

use super::error::CliError;
use crate::dialect::conversation::ModelAnswer;
use crate::replay::plan::recorded_result;
use crate::replay::recording::RecordedRun;
use crate::run::{Outline, StepKind};
use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;

/// What a calling answer looks like in the editor.
const CALLS: &str = r#"an answer that calls tools is edited as {"text":…,"calls":[{"name":…,"args":{…}}]}"#;

/// Opens `$VISUAL` or `$EDITOR` on what a step said, and gives back the edit that the change comes to, as text.
///
/// # Errors
/// [`CliError`] when there is no such step, the editor fails, or what it leaves is no edit. Nothing was run then.
pub(super) fn edit_by_hand(run: &RecordedRun, outline: &Outline, step: u32) -> Result<String, CliError> {
    match outline.step(step) {
        Some(StepKind::Tool { site }) => {
            let new = changed(&recorded_result(run, site).map_err(CliError::broken)?)?;
            Ok(format!("{step}:result={}", Value::String(new)))
        }
        Some(StepKind::Model { lane, turn }) => {
            let id = run.exchange_of(lane, turn).map_err(CliError::broken)?;
            let answer = run.model_answer(id).map_err(CliError::broken)?;
            let value = match calling(&answer) {
                Some(calling) => read_calling(&changed(&calling)?)?,
                None => Value::String(changed(&answer.text())?),
            };
            Ok(format!("{step}:answer={value}"))
        }
        None => {
            let last = outline.steps.len();
            Err(CliError::usage(format!("--at {step}: the run has steps 1 to {last}")))
        }
    }
}

/// An answer that calls tools, in the form that the grammar of edits has for it.
fn calling(answer: &ModelAnswer) -> Option<String> {
    let calls: Vec<Value> =
        answer.tool_calls().map(|(_, name, args)| json!({"name": name, "args": args})).collect();
    if calls.is_empty() {
        return None;
    }
    let whole = match answer.text() {
        text if text.is_empty() => json!({"calls": calls}),
        text => json!({"text": text, "calls": calls}),
    };
    serde_json::to_string_pretty(&whole).ok()
}

fn read_calling(text: &str) -> Result<Value, CliError> {
    let wrong = |why: String| {
        CliError::broken(format!("what the editor left is no answer: {why}; nothing was run")).hint(CALLS)
    };
    let value: Value = serde_json::from_str(text).map_err(|e| wrong(e.to_string()))?;
    match value.get("calls") {
        Some(Value::Array(_)) => Ok(value),
        _ => Err(wrong("it has no list of calls".into())),
    }
}

fn editor() -> String {
    std::env::var("VISUAL").or_else(|_| std::env::var("EDITOR")).unwrap_or_else(|_| "vi".into())
}

/// Opens a file in the person's editor.
///
/// # Errors
/// When it cannot be started, or gives up.
pub(super) fn open(path: &Path) -> Result<(), CliError> {
    let editor = editor();
    let status = std::process::Command::new("sh")
        .arg("-c")
        .arg(format!("{editor} \"$1\""))
        .arg("sh")
        .arg(path)
        .status()
        .map_err(|e| CliError::broken(format!("cannot start the editor {editor}: {e}")))?;
    if !status.success() {
        return Err(CliError::broken(format!("the editor {editor} gave up ({status}); nothing was run"))
            .hint("EDITOR or VISUAL says which editor to use"));
    }
    Ok(())
}

/// What the person makes of a text.
fn changed(text: &str) -> Result<String, CliError> {
    let mut file = tempfile::Builder::new().prefix("retake-").suffix(".txt").tempfile()?;
    file.write_all(text.as_bytes())?;
    open(file.path())?;
    let mut new = std::fs::read_to_string(file.path()).map_err(|e| {
        CliError::broken(format!("what the editor {} left cannot be read: {e}; nothing was run", editor()))
    })?;
    // Editors end a file with a line feed that the text had not.
    if !text.ends_with('\n') && new.ends_with('\n') {
        new.pop();
    }
    if new == text {
        return Err(CliError::broken("nothing was changed in the editor; nothing was run"));
    }
    Ok(new)
}
