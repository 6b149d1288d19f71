//! A call of a model as an event of Inspect has it: the provider's own request and answer, or Inspect's form of both.

use super::sample::Gathered;
use crate::dialect::conversation::Usage;
use crate::exchange::canon::text_of_value;
use crate::exchange::{BodyEnd, Exchange, ExchangeId, HeaderList, RecordedRequest, RequestHead, Upstream};
use crate::import::said;
use crate::import::transcript::{Builder, Call, content_type, response};
use bytes::Bytes;
use serde_json::{Map, Value, json};

/// Arguments of the providers' SDKs that are no fields of a body.
const NO_FIELDS: [&str; 4] = ["extra_headers", "extra_query", "extra_body", "timeout"];

/// The exchange of a model event.
///
/// # Errors
/// When the run would take too much.
pub(super) fn exchange(
    number: u32,
    event: &Map<String, Value>,
    times: (u64, u64),
    builder: &mut Builder,
    gathered: &mut Gathered,
) -> Result<Exchange, String> {
    let error = event.get("error").and_then(Value::as_str).filter(|text| !text.is_empty());
    let call = event.get("call").and_then(Value::as_object);
    let asked = call.and_then(|call| call.get("request")?.as_object());
    let answered = call.and_then(|call| call.get("response")).filter(|of| of.is_object());
    if let (Some(asked), Some(answered), None) = (asked, answered, error)
        && let Some(way) = Way::of(event, asked, answered)
    {
        gathered.as_sent(&way);
        return Ok(sent(number, asked, answered, times, way));
    }
    let output = event.get("output").and_then(Value::as_object);
    let choice = output.and_then(|output| output.get("choices")?.as_array()?.first()?.as_object());
    let answer = choice.and_then(|choice| choice.get("message"));
    let asked: Vec<String> = chat(event.get("input")).iter().map(text_of_value).collect();
    let answer = answer.and_then(|message| chat(Some(message)).pop()).map(|message| text_of_value(&message));
    gathered.as_told(number, error.is_some(), asked.is_empty() && answer.is_none() && error.is_none());
    let text = |of: Option<&Value>| of.and_then(Value::as_str).map(str::to_string);
    let call = Call {
        asked: &asked,
        answered: answer.as_deref(),
        model: text(event.get("model")),
        answering: text(output.and_then(|output| output.get("model"))),
        tools: event.get("tools").and_then(Value::as_array).and_then(|tools| definitions(tools)),
        parameters: event.get("config").and_then(Value::as_object).map(parameters).unwrap_or_default(),
        finish: text(choice.and_then(|choice| choice.get("stop_reason"))).filter(|word| word != "unknown"),
        usage: output.and_then(|output| usage(output.get("usage")?)),
        error: error.map(str::to_string),
        times: Some(times),
        ..Call::default()
    };
    builder.exchange(number, &call)
}

/// Messages of Inspect as those of the chat API. What went wrong in a tool is told beside its result, and the model saw it.
pub(super) fn chat(messages: Option<&Value>) -> Vec<Value> {
    let mut messages = messages.cloned().unwrap_or_default();
    let list = match &mut messages {
        Value::Array(list) => list.as_mut_slice(),
        one => std::slice::from_mut(one),
    };
    for message in list.iter_mut().filter_map(Value::as_object_mut) {
        let error = message.get("error").and_then(|error| error.get("message")?.as_str());
        let is_silent = message.get("content").is_none_or(|c| c.is_null() || c.as_str() == Some(""));
        if let Some(error) = error.filter(|_| is_silent).map(str::to_string) {
            message.insert("content".into(), error.into());
        }
    }
    said::messages(&messages, "user")
}

/// Where a provider's request went.
pub(super) struct Way {
    upstream: Upstream,
    target: String,
    /// True where the arguments of the SDK are the fields of the body.
    pub is_body: bool,
}

impl Way {
    fn of(event: &Map<String, Value>, asked: &Map<String, Value>, answered: &Value) -> Option<Way> {
        let text = |key: &str| answered.get(key).and_then(Value::as_str).unwrap_or_default();
        let named = event.get("model").and_then(Value::as_str).unwrap_or_default();
        let (provider, model) = named.split_once('/').unwrap_or(("", named));
        let model = asked.get("model").and_then(Value::as_str).unwrap_or(model);
        let target = if text("object") == "response" && asked.contains_key("input") {
            "/v1/responses".to_string()
        } else if text("type") == "message" && asked.contains_key("messages") {
            "/v1/messages".to_string()
        } else if answered.get("choices").is_some_and(Value::is_array) && asked.contains_key("messages") {
            "/v1/chat/completions".to_string()
        } else if answered.get("candidates").is_some_and(Value::is_array) && asked.contains_key("contents") {
            format!("/v1beta/models/{model}:generateContent")
        } else {
            return None;
        };
        let origin = match provider {
            "openai" => "https://api.openai.com",
            "anthropic" => "https://api.anthropic.com",
            "google" => "https://generativelanguage.googleapis.com",
            _ => "",
        };
        let is_word = provider.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        let provider = if provider.is_empty() || !is_word { "openai" } else { provider };
        let is_body = !target.ends_with(":generateContent") && !asked.contains_key("model_name");
        Some(Way { upstream: Upstream { provider: provider.into(), origin: origin.into() }, target, is_body })
    }

    /// True where the log does not say at which server the provider is.
    pub(super) fn is_nowhere(&self) -> bool {
        self.upstream.origin.is_empty()
    }
}

/// An exchange of what the provider's SDK was given and gave.
fn sent(number: u32, asked: &Map<String, Value>, answered: &Value, times: (u64, u64), way: Way) -> Exchange {
    let mut headers: HeaderList = content_type();
    let extra = asked.get("extra_headers").and_then(Value::as_object);
    for (name, value) in extra.into_iter().flatten() {
        if let Some(value) = value.as_str() {
            headers.push(name, value);
        }
    }
    let is_field = |key: &str, value: &Value| !NO_FIELDS.contains(&key) && !value.is_null();
    let own = asked.iter().filter(|(key, value)| is_field(key, value));
    let extra = asked.get("extra_body").and_then(Value::as_object);
    let fields = own.chain(extra.into_iter().flatten());
    let body: Map<String, Value> = fields
        .map(|(key, value)| (if key == "model_name" { "model".into() } else { key.clone() }, value.clone()))
        .collect();
    let took = times.1.saturating_sub(times.0);
    Exchange {
        request: RecordedRequest {
            id: ExchangeId(number),
            started_us: times.0,
            upstream: way.upstream,
            head: RequestHead { method: "POST".into(), target: way.target, headers },
            body: Bytes::from(text_of_value(&Value::Object(body))),
            end: BodyEnd::Complete,
            sent: None,
            sent_target: None,
            stand_ins: Vec::new(),
        },
        response: Some(response(200, content_type(), Bytes::from(text_of_value(answered)), took)),
    }
}

fn definitions(tools: &[Value]) -> Option<Value> {
    let tool = |tool: &Value| {
        let kept =
            ["name", "description", "parameters"].iter().filter_map(|key| Some((*key, tool.get(*key)?)));
        let function: Map<String, Value> =
            kept.map(|(key, value)| (key.to_string(), value.clone())).collect();
        json!({"type": "function", "function": function})
    };
    (!tools.is_empty()).then(|| tools.iter().map(tool).collect())
}

/// What Inspect calls as the chat API does.
fn parameters(config: &Map<String, Value>) -> Vec<(String, Value)> {
    let same =
        ["temperature", "top_p", "max_tokens", "seed", "stop_seqs", "frequency_penalty", "presence_penalty"];
    let kept = config.iter().filter(|(key, value)| same.contains(&key.as_str()) && !value.is_null());
    kept.map(|(key, value)| (if key == "stop_seqs" { "stop".into() } else { key.clone() }, value.clone()))
        .collect()
}

/// Inspect counts what comes from the cache apart.
fn usage(of: &Value) -> Option<Usage> {
    let count = |key: &str| of.get(key).and_then(Value::as_u64);
    let (cache_read, cache_write) = (count("input_tokens_cache_read"), count("input_tokens_cache_write"));
    let (read, written) = (cache_read.unwrap_or_default(), cache_write.unwrap_or_default());
    let (input, output) = (count("input_tokens")?, count("output_tokens")?);
    let total = count("total_tokens").unwrap_or_default();
    // Where the total holds them too, they are not part of the input yet.
    let apart = total == input.saturating_add(output).saturating_add(read).saturating_add(written);
    let input = if apart { input.saturating_add(read).saturating_add(written) } else { input };
    let reasoning = count("reasoning_tokens").unwrap_or_default();
    Some(Usage { input, output, cache_read: read, cache_write: written, reasoning })
}
