//! What LangSmith's clients tell of themselves in its own form (`POST /runs/multipart`, `/runs/batch`, `/runs`,
//! `PATCH /runs/ID`), as spans with the attributes that LangSmith's own export by OTLP has.
//!
//! A run is told when it begins (`post`) and again when it has ended (`patch`): a span each, with the same ids, of which the
//! one with an end counts. Ids are uuids: that of a trace is its 16 bytes, that of a span is a hash of its own.

mod multipart;

use super::proto::{AnyValue, KeyValue, ResourceSpans, Scope, ScopeSpans, Span, Status, Traces};
use serde_json::{Map, Value as Json, json};

/// Name of the instrumentation that such spans are of.
pub const SCOPE: &str = "langsmith";

type Object = Map<String, Json>;

/// How runs are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// `/runs/multipart`: the boundary of its parts.
    Multipart(String),
    /// `/runs/batch`: lists of runs.
    Batch,
    /// `/runs`, and `/runs/ID`: one run, whose id may be in the path alone.
    One(Option<String>),
}

impl Form {
    /// The form of a request, by its path without what stands before `/runs` and its content type.
    pub fn of(method: &str, path: &str, content_type: &str) -> Option<Form> {
        let is_json = content_type.starts_with("application/json");
        match (method, path) {
            ("POST", "/runs/multipart") => Some(Form::Multipart(multipart::boundary(content_type)?)),
            ("POST", "/runs/batch") if is_json => Some(Form::Batch),
            ("POST", "/runs") if is_json => Some(Form::One(None)),
            ("PATCH", path) if is_json => {
                let id = path.strip_prefix("/runs/").filter(|id| !id.contains('/'))?;
                Some(Form::One(Some(id.to_string())))
            }
            _ => None,
        }
    }
}

/// Reads what is told, content encodings taken off.
///
/// # Errors
/// Says what it is not.
pub fn read(form: &Form, body: &[u8]) -> Result<Traces, String> {
    let no_json = |error| format!("the body is no JSON: {error}");
    let runs: Vec<Object> = match form {
        Form::Multipart(boundary) => gathered(multipart::parts(boundary, body)?),
        Form::Batch => {
            let root: Object = serde_json::from_slice(body).map_err(no_json)?;
            let lists = ["post", "patch"].into_iter().filter_map(|name| root.get(name)?.as_array());
            lists.flatten().filter_map(|run| run.as_object().cloned()).collect()
        }
        Form::One(id) => {
            let mut run: Object = serde_json::from_slice(body).map_err(no_json)?;
            if let Some(id) = id {
                run.entry("id").or_insert_with(|| json!(id));
            }
            vec![run]
        }
    };
    let spans = runs.iter().filter_map(span).collect();
    let scope = Some(Scope { name: SCOPE.into(), ..Scope::default() });
    let scope_spans = vec![ScopeSpans { scope, spans, ..ScopeSpans::default() }];
    Ok(Traces { resource_spans: vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }] })
}

/// Runs out of parts: `post.ID` is one, `post.ID.inputs` a member of it. Feedback and attachments are passed over.
fn gathered(parts: Vec<multipart::Part<'_>>) -> Vec<Object> {
    let mut order: Vec<&str> = Vec::new();
    let mut runs: std::collections::HashMap<&str, Object> = std::collections::HashMap::new();
    for part in &parts {
        let mut words = part.name.splitn(3, '.');
        let (Some("post" | "patch"), Some(id), member) = (words.next(), words.next(), words.next()) else {
            continue;
        };
        let Ok(value) = serde_json::from_slice::<Json>(part.body) else { continue };
        let key = part.name.get(..part.name.len() - member.map_or(0, |member| member.len() + 1));
        let Some(key) = key else { continue };
        let run = runs.entry(key).or_insert_with(|| {
            order.push(key);
            Object::from_iter([("id".to_string(), json!(id))])
        });
        match (member, value) {
            (None, Json::Object(members)) => run.extend(members),
            (None, _) => {}
            (Some(member), value) => drop(run.insert(member.to_string(), value)),
        }
    }
    order.into_iter().filter_map(|key| runs.remove(key)).collect()
}

fn text<'a>(of: &'a Object, name: &str) -> Option<&'a str> {
    of.get(name)?.as_str().filter(|text| !text.is_empty())
}

/// The bytes of a uuid.
fn uuid(text: &str) -> Option<[u8; 16]> {
    super::json::hex(&text.replace('-', ""))?.try_into().ok()
}

/// The id of the span of a run.
pub fn span_id(id: &str) -> Vec<u8> {
    let hash = blake3::hash(id.replace('-', "").to_ascii_lowercase().as_bytes());
    hash.as_bytes().iter().copied().take(8).collect()
}

/// Nanoseconds since the Unix epoch: a time with or without a zone (UTC), or milliseconds.
fn time(of: &Object, name: &str) -> u64 {
    let at = match of.get(name) {
        Some(Json::String(text)) => {
            let with_zone = text.parse::<jiff::Timestamp>();
            with_zone.or_else(|_| format!("{text}Z").parse()).map(|at| at.as_nanosecond()).ok()
        }
        Some(Json::Number(ms)) => ms.as_i64().map(|ms| i128::from(ms) * 1_000_000),
        _ => None,
    };
    at.and_then(|at| u64::try_from(at).ok()).unwrap_or_default()
}

/// Ids in `dotted_order`, from the root on: a time and a uuid each.
fn lineage(run: &Object) -> Vec<&str> {
    let order = text(run, "dotted_order").unwrap_or_default();
    order.split('.').filter_map(|word| word.get(word.len().checked_sub(36)?..)).collect()
}

fn span(run: &Object) -> Option<Span> {
    let id = text(run, "id")?;
    let lineage = lineage(run);
    let trace = text(run, "trace_id").or(lineage.first().copied()).unwrap_or(id);
    let above = lineage.len().checked_sub(2).and_then(|at| lineage.get(at).copied());
    let parent = text(run, "parent_run_id").or(above);
    let mut of = Known::default();
    let kind = text(run, "run_type").unwrap_or("chain");
    let name = text(run, "name").unwrap_or(kind);
    of.put("langsmith.span.kind", &json!(kind));
    of.put("langsmith.run.id", &json!(id));
    of.put("langsmith.trace.name", &json!(name));
    of.put_all(
        run,
        &[("session_name", "langsmith.trace.session_name"), ("session_id", "langsmith.trace.session_id")],
    );
    let operation = match kind {
        "llm" => "chat",
        "tool" => "execute_tool",
        "embedding" => "embeddings",
        other => other,
    };
    of.put("gen_ai.operation.name", &json!(operation));
    of.about(run);
    let outputs = run.get("outputs").filter(|of| !of.is_null());
    if let Some(inputs) = run.get("inputs").filter(|inputs| !inputs.is_null()) {
        of.put("gen_ai.prompt", inputs);
    }
    if let Some(outputs) = outputs.filter(|of| of.as_object().is_none_or(|of| !of.is_empty())) {
        match kind {
            "llm" => of.answer(outputs),
            "tool" => of.result(outputs),
            _ => {}
        }
        of.put("gen_ai.completion", outputs);
    }
    if kind == "tool" {
        of.put("gen_ai.tool.name", &json!(name));
    }
    let status = text(run, "error").map(|error| Status { code: 2, message: error.into() });
    Some(Span {
        trace_id: uuid(trace)
            .map_or_else(|| blake3::hash(trace.as_bytes()).as_bytes()[..16].to_vec(), Vec::from),
        span_id: span_id(id),
        parent_span_id: parent.map(span_id).unwrap_or_default(),
        name: name.into(),
        kind: 1,
        start_time_unix_nano: time(run, "start_time"),
        end_time_unix_nano: time(run, "end_time"),
        attributes: of.0,
        status,
        ..Span::default()
    })
}

/// What is known of a run.
#[derive(Default)]
struct Known(Vec<KeyValue>);

impl Known {
    /// Plain values as they are, others as JSON.
    fn put(&mut self, key: &str, value: &Json) {
        if let Some(value) = super::plain(value) {
            self.0.push(KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }) });
        }
    }

    fn put_all(&mut self, of: &Object, members: &[(&str, &str)]) {
        for (member, key) in members {
            if let Some(value) = of.get(*member) {
                self.put(key, value);
            }
        }
    }

    fn has(&self, key: &str) -> bool {
        self.0.iter().any(|of| of.key == key)
    }

    /// Metadata, the model, and who the model is of.
    fn about(&mut self, run: &Object) {
        let Some(extra) = run.get("extra").and_then(Json::as_object) else { return };
        let metadata = extra.get("metadata").and_then(Json::as_object);
        for (name, value) in metadata.into_iter().flatten() {
            self.put(&format!("langsmith.metadata.{name}"), value);
        }
        let asked = extra.get("invocation_params");
        let model = metadata.and_then(|of| text(of, "ls_model_name"));
        let model =
            model.or_else(|| ["model", "model_name"].iter().find_map(|name| asked?.get(name)?.as_str()));
        if let Some(model) = model {
            self.put("gen_ai.request.model", &json!(model));
        }
        if let Some(provider) = metadata.and_then(|of| text(of, "ls_provider")) {
            self.put("gen_ai.system", &json!(provider));
        }
        for name in ["thread_id", "session_id", "conversation_id"] {
            if let Some(id) =
                metadata.and_then(|of| text(of, name)).filter(|_| !self.has("gen_ai.conversation.id"))
            {
                self.put("gen_ai.conversation.id", &json!(id));
            }
        }
        if let Some(id) = extra.get("tool_call_id") {
            self.put("gen_ai.tool.call.id", id);
        }
        if let Some(usage) = metadata.and_then(|of| of.get("usage_metadata")) {
            self.usage(usage);
        }
    }

    /// What a model answered: as its API says it, or as LangChain does.
    fn answer(&mut self, outputs: &Json) {
        let generation = outputs.pointer("/generations/0/0").or_else(|| outputs.pointer("/generations/0"));
        let message = generation.and_then(|of| of.get("message")).map(|of| of.get("kwargs").unwrap_or(of));
        let told = message.and_then(|of| of.get("response_metadata"));
        let at = |of: Option<&Json>, name: &str| {
            of.and_then(|of| of.get(name)).filter(|of| of.is_string()).cloned()
        };
        let is_theirs =
            |id: &Json| !id.as_str().is_some_and(|id| id.starts_with("run-") || id.starts_with("lc_run-"));
        let id = at(Some(outputs), "id").or_else(|| at(told, "id"));
        let id = id.or_else(|| at(outputs.get("llm_output"), "id")).or_else(|| at(message, "id"));
        if let Some(id) = id.filter(is_theirs) {
            self.put("gen_ai.response.id", &id);
        }
        let model =
            at(Some(outputs), "model").or_else(|| at(told, "model_name")).or_else(|| at(told, "model"));
        if let Some(model) = model {
            self.put("gen_ai.response.model", &model);
        }
        let usage = outputs.get("usage_metadata").or_else(|| message?.get("usage_metadata"));
        if let Some(usage) = usage {
            self.usage(usage);
        }
        if let Some(message) = message {
            self.put("gen_ai.output.messages", &json!([said(message)]));
        }
    }

    /// What a tool returned, and which call asked for it.
    fn result(&mut self, outputs: &Json) {
        let message = outputs.get("output").unwrap_or(outputs);
        let message = message.get("kwargs").unwrap_or(message);
        if let Some(id) = message.get("tool_call_id").filter(|_| !self.has("gen_ai.tool.call.id")) {
            self.put("gen_ai.tool.call.id", id);
        }
    }

    fn usage(&mut self, usage: &Json) {
        for (pointer, key) in [
            ("/input_tokens", "gen_ai.usage.input_tokens"),
            ("/output_tokens", "gen_ai.usage.output_tokens"),
            ("/input_token_details/cache_read", "gen_ai.usage.cache_read.input_tokens"),
            ("/input_token_details/cache_creation", "gen_ai.usage.cache_write.input_tokens"),
            ("/output_token_details/reasoning", "gen_ai.usage.reasoning.output_tokens"),
        ] {
            if let Some(count) = usage.pointer(pointer).filter(|_| !self.has(key)) {
                self.put(key, count);
            }
        }
    }
}

/// A message of LangChain as one of `gen_ai.*`.
fn said(message: &Json) -> Json {
    let mut parts = Vec::new();
    match message.get("content") {
        Some(Json::String(content)) if !content.is_empty() => {
            parts.push(json!({ "type": "text", "content": content }));
        }
        Some(Json::Array(blocks)) => {
            let texts = blocks.iter().filter_map(|block| block.get("text"));
            parts.extend(texts.map(|text| json!({ "type": "text", "content": text })));
        }
        _ => {}
    }
    for call in message.get("tool_calls").and_then(Json::as_array).into_iter().flatten() {
        let at = |name: &str| call.get(name).cloned().unwrap_or_default();
        let (id, name, arguments) = (at("id"), at("name"), at("args"));
        parts.push(json!({ "type": "tool_call", "id": id, "name": name, "arguments": arguments }));
    }
    json!({ "role": "assistant", "parts": parts })
}

#[cfg(test)]
mod tests;
