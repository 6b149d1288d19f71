//! Answers into the normal form. A stream is first put together to the response that it stands for, so that both are
//! read by the same code.

use super::{items, stream};
use crate::dialect::conversation::{ModelAnswer, Usage};
use crate::dialect::reply::{self, Reply};
use crate::exchange::ResponseHead;
use crate::exchange::canon::text_of_value;
use crate::exchange::json::{self, Node};

pub(super) fn read(head: &ResponseHead, body: &[u8]) -> ModelAnswer {
    match reply::open(head, body) {
        Reply::Whole(bytes) if head.status >= 400 => {
            let (error, whole) = reply::error_of(head.status, &bytes);
            ModelAnswer { error: Some(error), whole, ..ModelAnswer::default() }
        }
        Reply::Whole(bytes) => json::parse(&bytes).map(|root| response(&root)).unwrap_or_default(),
        Reply::Stream(events) => {
            let put = stream::assemble(&events);
            let text = text_of_value(&put.response);
            let mut answer = json::parse(text.as_bytes()).map(|root| response(&root)).unwrap_or_default();
            answer.whole = put.ended;
            if !put.ended {
                answer.stop_reason = None;
            }
            answer.error = put.error.or(answer.error);
            answer
        }
    }
}

/// Reads a response that is there whole.
fn response(root: &Node<'_>) -> ModelAnswer {
    let output = root.get("output").map(|o| o.elements()).unwrap_or_default();
    let status = root.str_of("status");
    let why = root.get("incomplete_details").and_then(|d| d.str_of("reason"));
    let error = root.get("error").filter(|e| !e.is_empty()).and_then(|_| reply::said_error(root));
    let failed = || (status == Some("failed")).then(|| "the response failed".to_string());
    ModelAnswer {
        blocks: output.iter().filter_map(items::read).flat_map(|(_, blocks)| blocks).collect(),
        stop_reason: why.or(status).map(str::to_string),
        usage: root.get("usage").and_then(usage),
        model: root.str_of("model").map(str::to_string),
        id: root.str_of("id").map(str::to_string),
        error: error.or_else(failed),
        whole: true,
    }
}

fn usage(node: &Node<'_>) -> Option<Usage> {
    if node.is_empty() {
        return None;
    }
    let count = |n: Option<&Node<'_>>, k: &str| n.and_then(|n| n.u64_of(k)).unwrap_or_default();
    let details = node.get("input_tokens_details");
    Some(Usage {
        input: count(Some(node), "input_tokens"),
        output: count(Some(node), "output_tokens"),
        cache_read: count(details, "cached_tokens"),
        cache_write: count(details, "cache_write_tokens"),
        reasoning: count(node.get("output_tokens_details"), "reasoning_tokens"),
    })
}
