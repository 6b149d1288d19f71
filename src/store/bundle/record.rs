//! The records of the file, member for member.

use super::list::Item;
use crate::exchange::{
    BodyEnd, ExchangeId, Fault, FrameMark, RequestHead, ResponseHead, Source, SpanContext, StandIn, Upstream,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

/// First line.
#[derive(Serialize, Deserialize)]
pub(super) struct Header {
    pub(super) format: String,
    pub(super) version: Version,
}

/// Version of the format.
#[derive(Serialize, Deserialize)]
pub(super) struct Version {
    pub(super) major: u32,
    #[serde(default)]
    pub(super) minor: u32,
}

/// The kind of a line, all that is read of one that is not known.
#[derive(Deserialize)]
pub(super) struct Kind {
    pub(super) kind: String,
}

/// Who the run is.
#[derive(Serialize, Deserialize)]
pub(super) struct Run<M> {
    pub(super) run: M,
}

/// That there is an outline, and how large it is.
#[derive(Serialize, Deserialize)]
pub(super) struct OutlineHead {
    pub(super) lanes: usize,
    pub(super) turns: usize,
    pub(super) steps: usize,
    pub(super) others: Vec<ExchangeId>,
}

/// A lane without its turns.
#[derive(Serialize, Deserialize)]
pub(super) struct LaneLine {
    pub(super) index: usize,
    pub(super) lane: Value,
}

/// A turn of a lane.
#[derive(Serialize, Deserialize)]
pub(super) struct TurnLine<T> {
    pub(super) lane: usize,
    pub(super) index: usize,
    pub(super) turn: T,
}

/// A step. `what` is for the eye: the model or the tool.
#[derive(Serialize, Deserialize)]
pub(super) struct StepLine<T> {
    pub(super) number: usize,
    pub(super) step: T,
    #[serde(default)]
    pub(super) what: String,
}

/// A stretch of a body. One of the four forms is there; `view` is for the eye.
#[derive(Deserialize)]
pub(super) struct PartLine {
    pub(super) id: u32,
    #[serde(default)]
    pub(super) json: Option<Box<RawValue>>,
    #[serde(default)]
    pub(super) mixed: Option<Vec<Box<RawValue>>>,
    #[serde(default)]
    pub(super) text: Option<String>,
    #[serde(default)]
    pub(super) base64: Option<String>,
    pub(super) sha256: String,
}

/// A body that is not empty.
#[derive(Serialize, Deserialize)]
pub(super) struct BodyList {
    pub(super) items: Vec<Item>,
    pub(super) bytes: u64,
    pub(super) sha256: String,
}

/// What was asked.
#[derive(Serialize, Deserialize)]
pub(super) struct RequestLine {
    pub(super) exchange: ExchangeId,
    pub(super) started_us: u64,
    pub(super) upstream: Upstream,
    pub(super) head: RequestHead,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) body: Option<BodyList>,
    pub(super) end: BodyEnd,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) sent: Option<BodyList>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) sent_target: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) stand_ins: Vec<StandIn>,
    /// Derived from the headers, for the eye.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) span: Option<Value>,
}

/// What came back.
#[derive(Serialize, Deserialize)]
pub(super) struct ResponseLine {
    pub(super) exchange: ExchangeId,
    pub(super) source: Source,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) head: Option<ResponseHead>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) fault: Option<Fault>,
    pub(super) head_us: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) body: Option<BodyList>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) frames: Vec<FrameMark>,
    pub(super) end: BodyEnd,
    pub(super) end_us: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) stand_ins: Vec<StandIn>,
}

/// What changed with a step.
#[derive(Serialize, Deserialize)]
pub(super) struct CheckpointLine {
    pub(super) checkpoint: Value,
}

/// Last line.
#[derive(Deserialize)]
pub(super) struct Footer {
    pub(super) records: u64,
    pub(super) sha256: String,
}

/// The line of a record, without its checksum.
pub(super) fn record(kind: &str, members: &impl Serialize) -> serde_json::Result<String> {
    let json = serde_json::to_string(members)?;
    Ok(format!("{{\"kind\":\"{kind}\",{}", json.strip_prefix('{').unwrap_or(&json)))
}

/// What the headers say about the sender; none when they say nothing.
pub(super) fn span(context: &SpanContext) -> Option<Value> {
    let mut members = serde_json::Map::new();
    let texts = [
        ("trace_id", &context.trace_id),
        ("span_id", &context.span_id),
        ("lane", &context.lane),
        ("agent_id", &context.agent_id),
        ("parent_agent_id", &context.parent_agent_id),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            members.insert(name.to_string(), Value::from(text.as_str()));
        }
    }
    if context.retry_count > 0 {
        members.insert("retry_count".to_string(), Value::from(context.retry_count));
    }
    (!members.is_empty()).then_some(Value::Object(members))
}
