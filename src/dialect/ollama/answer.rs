//! Answers into the normal form. A streamed and a plain one are the same objects, many or one.

use crate::dialect::content::{plain, text_block};
use crate::dialect::conversation::{Block, ModelAnswer, Usage};
use crate::dialect::openai_chat::request::blocks;
use crate::dialect::reply::{self, Reply};
use crate::exchange::ResponseHead;
use crate::exchange::json::{self, Kind, Node};
use serde_json::{Map, Value, json};

pub(super) fn read(head: &ResponseHead, body: &[u8]) -> ModelAnswer {
    let bytes = match reply::open(head, body) {
        Reply::Whole(bytes) => bytes,
        // A gateway that writes events instead of lines.
        Reply::Stream(events) => {
            let lines: Vec<String> = events.into_iter().map(|e| e.data.replace('\n', " ")).collect();
            lines.join("\n").into_bytes().into()
        }
    };
    if head.status >= 400 {
        let (error, whole) = reply::error_of(head.status, &bytes);
        return ModelAnswer { error: Some(error), whole, ..ModelAnswer::default() };
    }
    let mut growing = Growing::default();
    match json::parse(&bytes) {
        Ok(root) => growing.add(&root),
        Err(_) => {
            let lines = bytes.split(|b| *b == b'\n').filter(|line| !line.trim_ascii().is_empty());
            for chunk in lines.filter_map(|line| json::parse(line).ok()) {
                growing.add(&chunk);
            }
        }
    }
    growing.into_answer()
}

/// An answer under construction.
#[derive(Default)]
struct Growing {
    thinking: String,
    text: String,
    /// Calls, and fields that are not known, in the order in which they came.
    rest: Vec<Block>,
    answer: ModelAnswer,
}

/// Fields of a chunk of `/api/generate` and of one of `/api/chat` that are read one by one, or that say nothing.
const READ: [&str; 14] = [
    "model",
    "created_at",
    "message",
    "response",
    "thinking",
    "context",
    "done",
    "done_reason",
    "error",
    "prompt_eval_count",
    "prompt_eval_cached_count",
    "eval_count",
    "remote_model",
    "remote_host",
];

impl Growing {
    fn add(&mut self, chunk: &Node<'_>) {
        let answer = &mut self.answer;
        if chunk.get("error").is_some_and(|e| !e.is_empty()) {
            answer.error = reply::said_error(chunk);
            answer.whole = true;
            return;
        }
        if let Some(model) = chunk.str_of("model").filter(|m| !m.is_empty()) {
            answer.model = Some(model.to_string());
        }
        if let Some(reason) = chunk.str_of("done_reason").filter(|r| !r.is_empty()) {
            answer.stop_reason = Some(reason.to_string());
        }
        answer.whole |= chunk.get("done").is_some_and(|d| d.kind == Kind::Bool(true));
        answer.usage = usage(chunk).or(answer.usage);
        self.thinking.push_str(chunk.str_of("thinking").unwrap_or_default());
        self.text.push_str(chunk.str_of("response").unwrap_or_default());
        if let Some(message) = chunk.get("message") {
            self.message(message);
        }
        for member in chunk.members() {
            let key = &*member.key;
            if !READ.contains(&key) && !key.ends_with("_duration") && !member.value.is_empty() {
                self.field(key, plain(&member.value));
            }
        }
    }

    fn message(&mut self, message: &Node<'_>) {
        for block in blocks(message) {
            match block {
                Block::Reasoning { text, .. } => self.thinking.push_str(&text),
                Block::Text { text } => self.text.push_str(&text),
                Block::Other { value: Value::Object(fields) } if fields.len() == 1 => {
                    fields.into_iter().for_each(|(key, value)| self.field(&key, value));
                }
                block => self.rest.push(block),
            }
        }
    }

    /// A field that is not known: lists grow (`logprobs`), anything else is said again.
    fn field(&mut self, key: &str, value: Value) {
        let known = self.rest.iter_mut().find_map(|block| match block {
            Block::Other { value: Value::Object(fields) } => fields.get_mut(key),
            _ => None,
        });
        match (known, value) {
            (Some(Value::Array(list)), Value::Array(more)) => list.extend(more),
            (Some(place), value) => *place = value,
            (None, value) => {
                self.rest.push(Block::Other { value: json!(Map::from_iter([(key.to_string(), value)])) });
            }
        }
    }

    fn into_answer(mut self) -> ModelAnswer {
        let thinking = (!self.thinking.is_empty())
            .then(|| Block::Reasoning { text: std::mem::take(&mut self.thinking), signed: false });
        self.answer.blocks = thinking.into_iter().chain(text_block(&self.text)).chain(self.rest).collect();
        self.answer
    }
}

fn usage(chunk: &Node<'_>) -> Option<Usage> {
    let (input, output) = (chunk.u64_of("prompt_eval_count"), chunk.u64_of("eval_count"));
    if input.is_none() && output.is_none() {
        return None;
    }
    Some(Usage {
        input: input.unwrap_or_default(),
        output: output.unwrap_or_default(),
        cache_read: chunk.u64_of("prompt_eval_cached_count").unwrap_or_default(),
        ..Usage::default()
    })
}
