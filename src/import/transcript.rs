//! Exchanges put together from what was said: each as OpenAI's Chat Completions would have had it.
//!
//! No byte of them was ever on a wire. What is not known is left out: no model, no tokens, no times.

use super::{Lack, Use};
use crate::dialect::conversation::Usage;
use crate::exchange::canon::{quoted, text_of_value};
use crate::exchange::{
    BodyEnd, Exchange, ExchangeId, FrameMark, HeaderList, RecordedRequest, RecordedResponse, RequestHead,
    ResponseHead, Source, Upstream,
};
use bytes::Bytes;
use serde_json::{Value, json};

/// The most that the requests of one file may add up to, in bytes: each holds all messages before it, so that a small
/// file may stand for a large run.
const MOST: usize = 512 << 20;

/// One call of a model, as far as it is told.
#[derive(Debug, Clone, Default)]
pub(super) struct Call<'a> {
    /// Texts of the messages that were sent, in the form of the chat API.
    pub asked: &'a [String],
    /// Text of the message that was answered; none when it is not told.
    pub answered: Option<&'a str>,
    /// Name of the model that was asked for.
    pub model: Option<String>,
    /// Name of the model that answered.
    pub answering: Option<String>,
    /// Definitions of tools.
    pub tools: Option<Value>,
    /// Other parameters of the request.
    pub parameters: Vec<(String, Value)>,
    /// Id of the answer.
    pub id: Option<String>,
    /// Why the model stopped, in the provider's word.
    pub finish: Option<String>,
    /// Tokens.
    pub usage: Option<Usage>,
    /// What went wrong, where the call failed.
    pub error: Option<String>,
    /// Begin and end, in microseconds since the Unix epoch; none when they are not told.
    pub times: Option<(u64, u64)>,
    /// The span that the request belongs to, as a `traceparent` has it.
    pub span: Option<String>,
}

/// Puts exchanges together, and bounds what they may take.
#[derive(Debug, Default)]
pub(super) struct Builder {
    bytes: usize,
}

impl Builder {
    /// The exchange of a call. `number`: its place in the run, from 1.
    ///
    /// # Errors
    /// When all that was put together so far takes more than 512 MB.
    pub(super) fn exchange(&mut self, number: u32, call: &Call<'_>) -> Result<Exchange, String> {
        let body = request_body(call);
        let answer = response_body(call);
        self.bytes = self.bytes.saturating_add(body.len()).saturating_add(answer.len());
        if self.bytes > MOST {
            return Err(format!(
                "its model calls would take more than {} MB: each holds all messages before it",
                MOST >> 20
            ));
        }
        let (start, end) = call.times.unwrap_or_default();
        let took = end.saturating_sub(start);
        let mut headers = content_type();
        if let Some(span) = &call.span {
            headers.push("traceparent", span);
        }
        Ok(Exchange {
            request: RecordedRequest {
                id: ExchangeId(number),
                started_us: start,
                upstream: Upstream { provider: "openai".into(), origin: String::new() },
                head: RequestHead { method: "POST".into(), target: "/v1/chat/completions".into(), headers },
                body: Bytes::from(body),
                end: BodyEnd::Complete,
                sent: None,
                sent_target: None,
                stand_ins: Vec::new(),
            },
            response: Some(response(200, content_type(), Bytes::from(answer), took)),
        })
    }

    /// The exchanges of a conversation: one for each message of the assistant that something was said before. `told`
    /// fills in what is known of the call that the message at an index answers.
    ///
    /// # Errors
    /// See [`Builder::exchange`].
    pub(super) fn conversation(
        &mut self,
        messages: &[Value],
        told: impl for<'c> Fn(usize, Call<'c>) -> Call<'c>,
    ) -> Result<Vec<Exchange>, String> {
        let texts: Vec<String> = messages.iter().map(text_of_value).collect();
        let mut exchanges = Vec::new();
        let mut times = Vec::new();
        for (at, message) in messages.iter().enumerate() {
            // Greetings that open a conversation were asked of no model.
            if at == 0 || message.get("role").and_then(Value::as_str) != Some("assistant") {
                continue;
            }
            let call = Call {
                asked: texts.get(..at).unwrap_or_default(),
                answered: texts.get(at).map(String::as_str),
                ..Call::default()
            };
            let number = u32::try_from(exchanges.len() + 1).unwrap_or(u32::MAX);
            let call = told(at, call);
            times.push(call.times);
            exchanges.push(self.exchange(number, &call)?);
        }
        put_in_order(&mut exchanges, &times);
        Ok(exchanges)
    }
}

/// Calls whose times are not told stand behind the one before them, at the beginning right before the first that is
/// told: requests are one behind the other.
pub(super) fn put_in_order(exchanges: &mut [Exchange], times: &[Option<(u64, u64)>]) {
    let leading = times.iter().take_while(|times| times.is_none()).count() as u64;
    let mut next = times.iter().flatten().next().map_or(0, |(start, _)| start.saturating_sub(leading));
    for (exchange, times) in exchanges.iter_mut().zip(times) {
        match times {
            Some((_, end)) => next = *end,
            None => {
                exchange.request.started_us = next;
                next = next.saturating_add(1);
            }
        }
    }
}

/// A response that came as a whole, `took` microseconds after its request.
pub(super) fn response(status: u16, headers: HeaderList, body: Bytes, took: u64) -> RecordedResponse {
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    let frames = if body.is_empty() { Vec::new() } else { vec![FrameMark(length, took)] };
    RecordedResponse {
        source: Source::Live,
        head: Some(ResponseHead { status, headers }),
        fault: None,
        head_us: took,
        body,
        frames,
        end: BodyEnd::Complete,
        end_us: took,
        stand_ins: Vec::new(),
    }
}

/// Says that a body is JSON.
pub(super) fn content_type() -> HeaderList {
    HeaderList(vec![("content-type".into(), "application/json".into())])
}

/// What runs lack whose bodies are of retake's own making.
pub(super) fn no_bytes() -> Lack {
    Lack {
        what: "bodies of requests and answers: they were put together from the messages".into(),
        spoils: vec![Use::Replay, Use::Fork],
    }
}

/// What a conversation lacks that goes on behind the last answer in it: no request carries that.
pub(super) fn unsent(messages: &[Value]) -> Option<Lack> {
    let behind = messages.iter().rev().take_while(|message| message["role"] != "assistant").count();
    let what = "a call of the model behind the last answer: what follows it in the file is in no step";
    (behind > 0 && behind < messages.len()).then(|| missing(what))
}

/// Something that is missing and takes nothing from the run.
pub(super) fn missing(what: impl Into<String>) -> Lack {
    Lack { what: what.into(), spoils: Vec::new() }
}

fn request_body(call: &Call<'_>) -> String {
    let length: usize = call.asked.iter().map(|text| text.len() + 1).sum();
    let mut body = String::with_capacity(length + 256);
    body.push('{');
    if let Some(model) = &call.model {
        body.push_str("\"model\":");
        body.push_str(&quoted(model));
        body.push(',');
    }
    body.push_str("\"messages\":[");
    body.push_str(&call.asked.join(","));
    body.push(']');
    let tools = call.tools.as_ref().map(|tools| ("tools", tools));
    let parameters = call.parameters.iter().map(|(name, value)| (name.as_str(), value));
    for (name, value) in tools.into_iter().chain(parameters) {
        body.push(',');
        body.push_str(&quoted(name));
        body.push(':');
        body.push_str(&text_of_value(value));
    }
    body.push('}');
    body
}

fn response_body(call: &Call<'_>) -> String {
    let mut members = Vec::new();
    let mut member = |name: &str, text: String| members.push(format!("{}:{text}", quoted(name)));
    if let Some(id) = &call.id {
        member("id", quoted(id));
    }
    if let Some(model) = call.answering.as_ref().or(call.model.as_ref()) {
        member("model", quoted(model));
    }
    let finish = call.finish.as_ref().map(|word| format!(",\"finish_reason\":{}", quoted(word)));
    let choice = call
        .answered
        .map(|text| format!("{{\"index\":0,\"message\":{text}{}}}", finish.unwrap_or_default()))
        .unwrap_or_default();
    member("choices", format!("[{choice}]"));
    if let Some(usage) = &call.usage {
        member("usage", usage_of(usage).to_string());
    }
    if let Some(error) = &call.error {
        member("error", json!({"message": error}).to_string());
    }
    format!("{{{}}}", members.join(","))
}

fn usage_of(usage: &Usage) -> Value {
    let mut told = json!({"prompt_tokens": usage.input, "completion_tokens": usage.output});
    if usage.cache_read > 0 || usage.cache_write > 0 {
        told["prompt_tokens_details"] =
            json!({"cached_tokens": usage.cache_read, "cache_write_tokens": usage.cache_write});
    }
    if usage.reasoning > 0 {
        told["completion_tokens_details"] = json!({"reasoning_tokens": usage.reasoning});
    }
    told
}
