//! Answers to a prompt: every vendor has a word of its own for the text.

use crate::dialect::content::text_block;
use crate::dialect::conversation::{Block, ModelAnswer, Usage};
use crate::dialect::reply;
use crate::dialect::sse::Event;
use crate::exchange::ResponseHead;
use crate::exchange::json::{self, Kind, Node};

/// What the service measured of a stream, in its last chunk.
const METRICS: &str = "amazon-bedrock-invocationMetrics";

/// True for an answer of a chat in OpenAI's words; older models of Mistral have `choices` without a message.
pub(super) fn is_chat(root: &Node<'_>) -> bool {
    let first = root.get("choices").and_then(|c| c.elements().first());
    first.is_some_and(|choice| choice.get("message").or(choice.get("delta")).is_some())
}

/// The part of an answer that holds its text: itself, or the first of its list.
fn part<'n, 'a>(root: &'n Node<'a>) -> &'n Node<'a> {
    let lists = ["outputs", "results", "generations", "completions", "choices"];
    let list = lists.iter().find_map(|key| root.get(key).filter(|l| matches!(l.kind, Kind::Array(_))));
    let first = list.and_then(|l| l.elements().first()).unwrap_or(root);
    first.get("data").filter(|_| root.get("completions").is_some()).unwrap_or(first)
}

fn text<'n>(part: &'n Node<'_>) -> Option<&'n str> {
    ["completion", "generation", "text", "outputText"].iter().find_map(|key| part.str_of(key))
}

fn stop(part: &Node<'_>) -> Option<String> {
    let names = ["stop_reason", "completionReason", "finish_reason", "finishReason"];
    let said = names.iter().find_map(|key| part.get(key))?;
    said.as_str().or_else(|| said.str_of("reason")).map(str::to_string)
}

fn usage(root: &Node<'_>) -> Option<Usage> {
    let count = |names: &[&str], of: &Node<'_>| names.iter().find_map(|k| of.u64_of(k));
    let input = count(&["prompt_token_count", "inputTextTokenCount", "inputTokenCount"], root);
    let whole = ["generation_token_count", "totalOutputTextTokenCount", "outputTokenCount"];
    let output = count(&whole, root).or_else(|| count(&["tokenCount"], part(root)));
    let usage =
        Usage { input: input.unwrap_or_default(), output: output.unwrap_or_default(), ..Usage::default() };
    (input.is_some() || output.is_some()).then_some(usage)
}

/// An answer in one piece. One in no known form is shown as it is.
pub(super) fn whole(root: &Node<'_>) -> ModelAnswer {
    let part = part(root);
    let blocks = match text(part) {
        Some(text) => text_block(text).into_iter().collect(),
        None => vec![Block::Other { value: root.to_value() }],
    };
    let stop_reason = stop(part).or_else(|| stop(root));
    ModelAnswer { blocks, stop_reason, usage: usage(root), whole: true, ..ModelAnswer::default() }
}

/// A stream: the same in pieces.
pub(super) fn stream(events: &[Event]) -> ModelAnswer {
    let mut answer = ModelAnswer::default();
    let mut said = String::new();
    let mut counted = Usage::default();
    for event in events {
        let Ok(root) = json::parse(event.data.as_bytes()) else { continue };
        let part = part(&root);
        let piece = text(part).unwrap_or_default();
        // The last chunk of Command R repeats what the others said.
        if part.str_of("event_type") != Some("stream-end") {
            said.push_str(piece);
        }
        answer.stop_reason = stop(part).or_else(|| stop(&root)).or(answer.stop_reason);
        if let Some(usage) = usage(&root) {
            counted.input = counted.input.max(usage.input);
            counted.output = counted.output.max(usage.output);
            answer.usage = Some(counted);
        }
        answer.error = answer.error.or_else(|| reply::said_error(&root));
        answer.whole |= root.get(METRICS).is_some() || answer.stop_reason.is_some();
    }
    answer.blocks = text_block(&said).into_iter().collect();
    answer
}

/// The tokens that the service counted, in the head of an answer.
pub(super) fn counted(head: &ResponseHead) -> Option<Usage> {
    let count = |name: &str| head.headers.get(name).and_then(|v| v.trim().parse::<u64>().ok());
    let (input, output) =
        (count("x-amzn-bedrock-input-token-count")?, count("x-amzn-bedrock-output-token-count")?);
    Some(Usage { input, output, ..Usage::default() })
}

/// The tokens that the service counted, at the end of a stream.
pub(super) fn measured(events: &[Event]) -> Option<Usage> {
    events.iter().rev().find_map(|e| {
        let root = json::parse(e.data.as_bytes()).ok()?;
        root.get(METRICS).and_then(usage)
    })
}
