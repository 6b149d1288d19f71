//! Results that name no call: providers refuse such a request, and a replay pairs calls and results by their places.

use super::totals::model_calls;
use super::{Code, Collected, Drift, Finding};
use crate::dialect::conversation::{Block, ModelRequest};
use crate::diff::RunView;
use std::collections::BTreeSet;

/// Tells of a result that names a call of nobody, or one that has a result already, where the recorded run has none such.
pub(super) fn told(out: &mut Collected, left: &RunView, right: &RunView) {
    let odd = |run: &RunView| {
        let calls = model_calls(run);
        let mut requests = calls.filter_map(|(number, turn)| Some((number, run.request_of(turn).ok()?)));
        requests.find_map(|(number, request)| Some((number, odd_result(&request)?)))
    };
    if odd(left).is_some() {
        return;
    }
    if let Some((step, what)) = odd(right) {
        out.at(0, Finding::new(Code::PromptChanged, Drift::Code, (None, Some(step)), what));
    }
}

fn odd_result(request: &ModelRequest) -> Option<String> {
    let (mut open, mut done): (BTreeSet<&str>, BTreeSet<&str>) = Default::default();
    for block in request.messages.iter().flat_map(|message| &message.blocks) {
        match block {
            Block::ToolCall { id, .. } => {
                open.insert(id);
            }
            Block::ToolResult { call_id, .. } if !call_id.is_empty() => {
                if !open.contains(call_id.as_str()) {
                    return Some(format!("a tool's result is for a call that nobody made ({call_id})"));
                }
                if !done.insert(call_id) {
                    return Some(format!("a call has two results ({call_id})"));
                }
            }
            _ => {}
        }
    }
    None
}
