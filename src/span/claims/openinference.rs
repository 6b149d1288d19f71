//! OpenInference: Arize's and Phoenix's instrumentations. Lists are spread over attributes, and any index may be missing.

use super::{Claims, Role, usage, words};
use crate::span::Span;
use crate::span::content::{Turn, Who};
use crate::span::value::structured;
use serde_json::Value;
use std::collections::BTreeMap;

pub(super) fn read(span: &Span, claims: &mut Claims) {
    claims.role(match span.attributes.text("openinference.span.kind") {
        Some("LLM") => Role::Model,
        Some("EMBEDDING") => Role::Embedding,
        Some("TOOL") => Role::Tool,
        Some("AGENT") => Role::Agent,
        Some("CHAIN") => Role::Workflow,
        _ => return,
    });
    claims.fill(|c| &mut c.tool, span, &["tool.name"]);
    claims.fill(|c| &mut c.agent, span, &["agent.name"]);
    claims.fill(|c| &mut c.told().provider, span, &["llm.provider", "llm.system"]);
    if claims.role == Role::Tool {
        claims.call_ids.extend(span.attributes.first_text(&["tool.id", "tool_call.id"]).map(str::to_string));
    }
    if !matches!(claims.role, Role::Model | Role::Embedding) {
        return;
    }
    // `llm.model_name` is the model that answered where there is an answer, else the one that was asked for.
    claims.fill(|c| &mut c.request_model, span, &["llm.request.model_name"]);
    claims.fill(
        |c| &mut c.response_model,
        span,
        &["llm.response.model_name", "llm.model_name", "embedding.model_name"],
    );
    claims.told().finish_reasons = span.attributes.get("llm.finish_reason").map(words).unwrap_or_default();
    claims.told().usage = usage(
        span,
        [
            &["llm.token_count.prompt"],
            &["llm.token_count.completion"],
            &["llm.token_count.prompt_details.cache_read"],
            &["llm.token_count.prompt_details.cache_write"],
            &["llm.token_count.completion_details.reasoning"],
        ],
    );
    // No attribute has the id of the answer; it stands in the answer itself.
    let answer = span.attributes.get("output.value").and_then(structured);
    claims.response_id = answer.as_ref().and_then(|answer| answer.get("id")?.as_str().map(str::to_string));
    claims.answered(&flat(span, "llm.output_messages."));
    claims.asked(flat(span, "llm.input_messages."));
}

/// A message whose fields are spread over attributes.
#[derive(Default)]
struct Spread<'a> {
    role: &'a str,
    content: &'a str,
    texts: BTreeMap<usize, &'a str>,
    calls: BTreeMap<usize, [Option<&'a Value>; 3]>,
}

fn flat(span: &Span, prefix: &str) -> Vec<Turn> {
    let mut found: BTreeMap<usize, Spread<'_>> = BTreeMap::new();
    for (name, value) in &span.attributes.0 {
        let Some((at, field)) = name.strip_prefix(prefix).and_then(|rest| rest.split_once(".message."))
        else {
            continue;
        };
        if let Ok(at) = at.parse() {
            found.entry(at).or_default().take(field, value);
        }
    }
    found.into_values().map(Spread::turn).collect()
}

impl<'a> Spread<'a> {
    fn take(&mut self, field: &str, value: &'a Value) {
        let text = value.as_str().unwrap_or_default();
        let indexed = |list: &str| {
            let (at, rest) = field.strip_prefix(list)?.split_once('.')?;
            Some((at.parse::<usize>().ok()?, rest))
        };
        if field == "role" {
            self.role = text;
        } else if field == "content" {
            self.content = text;
        } else if let Some((at, "message_content.text")) = indexed("contents.") {
            self.texts.insert(at, text);
        } else if let Some((at, rest)) = indexed("tool_calls.") {
            let [id, name, arguments] = self.calls.entry(at).or_default();
            match rest {
                "tool_call.id" => *id = Some(value),
                "tool_call.function.name" => *name = Some(value),
                "tool_call.function.arguments" => *arguments = Some(value),
                _ => {}
            }
        }
    }

    fn turn(self) -> Turn {
        let mut turn = Turn::new(match self.role {
            "system" | "developer" => Who::System,
            "assistant" | "model" => Who::Model,
            "tool" | "function" => Who::Tool,
            _ => Who::User,
        });
        // Some write a message both ways.
        match self.content.is_empty() {
            true => self.texts.values().for_each(|text| turn.say(text)),
            false => turn.say(self.content),
        }
        for [id, name, arguments] in self.calls.into_values() {
            let text = |value: Option<&'a Value>| value.and_then(Value::as_str);
            turn.call(text(id), text(name).unwrap_or_default(), arguments);
        }
        turn
    }
}
