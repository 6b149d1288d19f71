//! Where retake itself stops a run: what the agent is told in place of an answer, and what is kept of the answer.

use crate::dialect::conversation::{Block, ModelAnswer, Usage};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Member of an error's body that holds what was held back.
const HELD_BACK: &str = "retake";
/// What goes to the agent when no live call is left.
const LIMIT: &str = "retake: the limit of live calls is reached";
/// What goes to whoever asks after that, or after a fence.
const AFTER: [&str; 3] = [LIMIT, "retake: the replay has stopped at a fence", "retake: stopped after step "];

/// Why a run ended before its agent had ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "by")]
pub enum Stopped {
    /// A fence: this tool was about to run.
    Fence {
        /// Name of the tool.
        tool: String,
    },
    /// No live call was left.
    LiveLimit,
}

/// What the agent is told when a call would be one too many.
pub fn limit_message(max: u32) -> String {
    format!("{LIMIT} (--max-live {max})")
}

/// What a request is told that comes after a fence.
pub fn after_fence() -> &'static str {
    AFTER[1]
}

/// What a request is told that comes after the limit.
pub fn after_limit() -> &'static str {
    LIMIT
}

/// True for the error of a model call that was not made, since the run had been stopped on purpose.
pub fn was_not_asked(error: &str) -> bool {
    error.strip_prefix("422 ").is_some_and(|said| AFTER.iter().any(|text| said.starts_with(text)))
}

/// Puts an answer that is held back into the JSON body that goes out in its place; none when that is no object.
pub fn hold_back(body: &[u8], answer: &ModelAnswer) -> Option<Vec<u8>> {
    let Ok(Value::Object(mut body)) = serde_json::from_slice(body) else { return None };
    let said = answer.blocks.iter().filter(|b| matches!(b, Block::Text { .. } | Block::ToolCall { .. }));
    let mut held = serde_json::json!({ "answer": said.collect::<Vec<_>>() });
    if let (Some(usage), Some(held)) = (answer.usage, held.as_object_mut()) {
        held.insert("usage".into(), serde_json::json!(usage));
    }
    body.insert(HELD_BACK.into(), held);
    Some(Value::Object(body).to_string().into_bytes())
}

/// The answer that was held back, read from the body that went out in its place: its blocks, and its tokens.
pub fn held_back(body: &[u8]) -> (Vec<Block>, Option<Usage>) {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let of = |name: &str| body.get(HELD_BACK).and_then(|held| held.get(name)).cloned().unwrap_or_default();
    (serde_json::from_value(of("answer")).unwrap_or_default(), serde_json::from_value(of("usage")).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_back_is_read_again() {
        let call = Block::ToolCall { id: "1".into(), name: "pay".into(), args: serde_json::json!({}) };
        let usage = Some(Usage { input: 348, output: 48, ..Usage::default() });
        let answer = ModelAnswer { blocks: vec![call.clone()], usage, ..ModelAnswer::default() };
        let body = hold_back(br#"{"error":{"message":"no"}}"#, &answer).unwrap();
        assert_eq!(held_back(&body), (vec![call], usage));
        assert_eq!(held_back(b"oops"), (Vec::new(), None));
        assert_eq!(hold_back(b"oops", &answer), None);
    }

    #[test]
    fn what_was_not_asked_is_told_from_what_failed() {
        assert!(was_not_asked(&format!("422 {}", limit_message(2))));
        assert!(was_not_asked(&format!("422 {}", after_fence())));
        assert!(!was_not_asked("422 retake: stopped before pay would run (--fence pay)"));
        assert!(!was_not_asked("429 rate limited"));
    }
}
