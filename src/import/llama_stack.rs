//! Recordings of llama-stack's tests: what an SDK was called with, and the objects that it returned.
//!
//! Each recording is a run of its own: they are kept by the hash of their request, and nothing says which of them belong
//! together. Objects are put back into what the provider had sent: JSON, events, or lines of JSON.

use super::wire::{Making, Told, ToldAnswer};
use super::{Foreign, Unreadable};
use crate::exchange::{BodyEnd, HeaderList};
use bytes::Bytes;
use serde_json::{Deserializer, Value};

/// See [`super::read`].
pub(super) fn read(name: &str, bytes: &[u8]) -> Result<Vec<Foreign>, Unreadable> {
    let mut runs = Vec::new();
    for recording in Deserializer::from_slice(bytes).into_iter::<Value>() {
        let recording = recording.map_err(|why| Unreadable::new(format!("it is no JSON: {why}")))?;
        // Several may stand in a list.
        match recording {
            Value::Array(list) => {
                for recording in &list {
                    let number = runs.len() + 1;
                    runs.push(run(name, number, recording)?);
                }
            }
            one => runs.push(run(name, runs.len() + 1, &one)?),
        }
    }
    Ok(runs)
}

fn run(name: &str, number: usize, recording: &Value) -> Result<Foreign, Unreadable> {
    let wrong = |what: &str| Unreadable::new(format!("recording {number}: {what}"));
    let text = |at: &str| recording.pointer(at).and_then(Value::as_str);
    let body = recording.pointer("/request/body").ok_or_else(|| wrong("no `request.body`"))?;
    let url = text("/request/url").ok_or_else(|| wrong("no `request.url`"))?;
    let said = recording.pointer("/response/body").ok_or_else(|| wrong("no `response.body`"))?;
    let is_streaming =
        recording.pointer("/response/is_streaming").and_then(Value::as_bool).unwrap_or(said.is_array());
    let objects = if is_streaming {
        said.as_array().map_or(std::slice::from_ref(said), Vec::as_slice)
    } else {
        std::slice::from_ref(said)
    };
    let objects = objects.iter().map(Object::of).collect::<Option<Vec<_>>>();
    let objects =
        objects.ok_or_else(|| wrong("an object of `response.body` has a `__type__` and no `__data__`"))?;
    let kind = objects.first().map_or("", |object| object.kind);

    let mut making = Making::of("recording");
    let (there, moved) = wire_url(url, text("/request/endpoint").unwrap_or_default(), kind, body);
    if moved {
        making.lacks("the path on the wire, which follows from the call", &[], 0);
    }
    making.lacks(
        "the request's headers, and its body as sent: what the SDK was called with stands for it",
        &[],
        0,
    );
    if objects.iter().any(|object| !object.kind.is_empty()) {
        making.lacks(
            "the answer as sent: the SDK's objects, with null for what was absent, stand for it",
            &[],
            0,
        );
    }
    let (content_type, sent) = wire_answer(kind, &objects, is_streaming);
    let json = || HeaderList(vec![("Content-Type".into(), "application/json".into())]);
    let mut headers = json();
    headers.set("content-type", content_type);
    let told = Told {
        method: text("/request/method").unwrap_or("POST").to_ascii_uppercase(),
        url: there,
        headers: json(),
        body: body.to_string().into(),
        started_us: None,
        answer: Some(ToldAnswer {
            status: Ok(200),
            headers,
            body: sent,
            times: None,
            frames: None,
            end: BodyEnd::Complete,
        }),
    };
    making.add(1, told).map_err(|why| wrong(&why.what))?;
    let named = ["/_file", "/id", "/request_hash"].iter().find_map(|at| text(at));
    let mut run = making.finish(named.map_or(name, |named| named.strip_suffix(".json").unwrap_or(named)));
    let labels = [
        ("endpoint", text("/request/endpoint")),
        ("model", text("/request/model")),
        ("test", text("/test_id")),
    ];
    run.labels =
        labels.into_iter().filter_map(|(label, value)| Some((label.into(), value?.into()))).collect();
    Ok(run)
}

/// An object that an SDK returned.
struct Object<'a> {
    /// `openai.types.chat.chat_completion.ChatCompletion`; empty: no object of an SDK.
    kind: &'a str,
    data: &'a Value,
}

impl<'a> Object<'a> {
    fn of(value: &'a Value) -> Option<Object<'a>> {
        match value.get("__type__").and_then(Value::as_str) {
            Some(kind) => Some(Object { kind, data: value.get("__data__")? }),
            None => Some(Object { kind: "", data: value }),
        }
    }
}

/// What a provider sends of which an SDK makes these objects, and its content type.
fn wire_answer(kind: &str, objects: &[Object<'_>], is_streaming: bool) -> (&'static str, Bytes) {
    let mut sent = String::new();
    if !is_streaming {
        objects.iter().for_each(|object| sent.push_str(&object.data.to_string()));
        return ("application/json", sent.into());
    }
    if kind.starts_with("ollama.") {
        objects.iter().for_each(|object| sent.push_str(&format!("{}\n", object.data)));
        return ("application/x-ndjson", sent.into());
    }
    objects.iter().for_each(|object| sent.push_str(&format!("data: {}\n\n", object.data)));
    sent.push_str("data: [DONE]\n\n");
    ("text/event-stream", sent.into())
}

/// Where the SDK's call went. The recorder joined a base URL and an endpoint that both had `/v1`, and took an endpoint by the
/// SDK's class, which is of the same name for both kinds of completions. True when that had to be put right.
fn wire_url(url: &str, endpoint: &str, kind: &str, body: &Value) -> (String, bool) {
    let Some(base) = url.strip_suffix(endpoint).filter(|_| !endpoint.is_empty()) else {
        return (url.to_string(), false);
    };
    let mut right = match endpoint {
        "/v1/completions" if body.get("messages").is_some() => "/v1/chat/completions",
        "/api/embeddings" if kind.ends_with(".EmbedResponse") => "/api/embed",
        other => other,
    };
    let base = base.trim_end_matches('/');
    if base.ends_with("/v1") {
        right = right.strip_prefix("/v1").unwrap_or(right);
    }
    let there = format!("{base}{right}");
    let moved = there != url;
    (there, moved)
}
