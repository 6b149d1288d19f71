//! A tree as spans of OpenTelemetry, so that a run opens in whatever shows traces.
//!
//! Spans that came are told as they came, with their steps; where none came one is made. All of a run is one trace: that
//! of its spans when they are of one, else one that is named after the run.

mod harmless;

use super::{Node, NodeKind};
use crate::exchange::canon::hash128;
use crate::otlp::proto::{
    AnyValue, Event, KeyValue, Link, Resource, ResourceSpans, Scope, ScopeSpans, Span, Status, Traces, Value,
};
use crate::run::Parent;
use harmless::is_harmless;
use std::collections::{BTreeSet, HashMap, HashSet};

/// Names of attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Convention {
    /// OpenTelemetry's for generative models.
    GenAi,
    /// These, and OpenInference's beside them.
    OpenInference,
}

/// What is told, and how.
pub struct Telling<'a> {
    /// Id of the run: 16 bytes.
    pub uuid: [u8; 16],
    /// Name of the run.
    pub run: &'a str,
    /// Names of attributes.
    pub convention: Convention,
    /// Texts of prompts, answers, arguments and results are told too.
    pub content: bool,
    /// Of a step: what the wire says of it beside its tokens, as attributes.
    pub known: &'a dyn Fn(u32) -> Vec<KeyValue>,
    /// Of a step: what it says, as attributes. Asked only when content is told.
    pub said: &'a dyn Fn(u32) -> Vec<(String, String)>,
    /// What the run was forked from.
    pub parent: Option<&'a Parent>,
    /// Where in that run's trace, when it is known.
    pub forked_at: Option<Link>,
}

/// Attribute with the number of a step.
const STEP: &str = "retake.step";
/// The code of a span that failed.
const ERROR: i32 = 2;

/// The spans of a tree. `came`: the exports that its spans came in.
pub fn told(tree: &Node, came: &Traces, of: &Telling<'_>) -> Traces {
    let mut known = HashMap::new();
    let mut traces = BTreeSet::new();
    for (origin, resource) in came.resource_spans.iter().enumerate() {
        for scope in &resource.scope_spans {
            for span in &scope.spans {
                traces.insert(span.trace_id.clone());
                known.insert((span.trace_id.clone(), span.span_id.clone()), (origin, scope, span));
            }
        }
    }
    let trace = match (traces.len(), traces.into_iter().next()) {
        (1, Some(only)) if is_id(&only, 16) => only,
        _ => of.uuid.to_vec(),
    };
    let (places, taken) = Default::default();
    let mut writer = Writer { of, known, trace, places, taken, out: Vec::new(), came };
    // A run with one root needs no other one around it.
    match tree.children.as_slice() {
        [only] if only.span.is_some() => writer.write(only, &[], &mut vec![0]),
        _ => writer.write(tree, &[], &mut Vec::new()),
    }
    Traces { resource_spans: writer.out }
}

/// The span of this step in an export, else its root: for a link to it.
pub fn place_of_step(traces: &Traces, step: u32) -> Option<Link> {
    let spans = || traces.resource_spans.iter().flat_map(|of| &of.scope_spans).flat_map(|of| &of.spans);
    let wanted = number(STEP, step.into());
    let at_step = spans().find(|span| span.attributes.contains(&wanted));
    let span = at_step.or_else(|| spans().find(|span| span.parent_span_id.is_empty()))?;
    Some(Link { trace_id: span.trace_id.clone(), span_id: span.span_id.clone(), ..Link::default() })
}

/// True for an id of so many bytes: one of zeros alone is none.
fn is_id(id: &[u8], bytes: usize) -> bool {
    id.len() == bytes && id.iter().any(|byte| *byte != 0)
}

type Known<'a> = HashMap<(Vec<u8>, Vec<u8>), (usize, &'a ScopeSpans, &'a Span)>;

struct Writer<'a> {
    of: &'a Telling<'a>,
    came: &'a Traces,
    known: Known<'a>,
    trace: Vec<u8>,
    /// Where spans of an origin and scope are put.
    places: HashMap<(Option<usize>, String), (usize, usize)>,
    /// Ids of spans: two traces that become one may have the same.
    taken: HashSet<Vec<u8>>,
    out: Vec<ResourceSpans>,
}

impl Writer<'_> {
    fn write(&mut self, node: &Node, parent: &[u8], path: &mut Vec<u32>) {
        let came = node.span.and_then(|key| {
            let found = self.known.get(&(key.trace.0.to_vec(), key.span.0.to_vec()))?;
            Some((found.0, found.1.scope.clone().unwrap_or_default(), found.2.clone()))
        });
        let (origin, scope, mut span) = match came {
            Some((origin, scope, span)) => (Some(origin), scope, span),
            None => (None, own_scope(), self.made(node, path)),
        };
        let attributes = std::mem::take(&mut span.attributes);
        span.attributes = attributes.into_iter().filter(|one| self.may_leave(one)).collect();
        for event in &mut span.events {
            event.attributes.retain(|one| self.may_leave(one));
        }
        if !self.of.content
            && let Some(status) = &mut span.status
        {
            status.message.clear();
        }
        span.links.retain(|link| is_id(&link.trace_id, 16) && is_id(&link.span_id, 8));
        span.links.iter_mut().for_each(|link| link.attributes.clear());
        self.mend(node, path, &mut span);
        if span.trace_id != self.trace {
            span.attributes.push(text("retake.trace_id", crate::otlp::json::hex_of(&span.trace_id)));
            span.trace_id = self.trace.clone();
        }
        span.parent_span_id = parent.to_vec();
        let raised = raised(&span);
        self.add(node, raised.as_deref(), &mut span.attributes);
        if parent.is_empty() {
            self.add_parent(&mut span);
        }
        let id = span.span_id.clone();
        self.put(origin, scope, span);
        for (at, child) in (0u32..).zip(&node.children) {
            path.push(at);
            self.write(child, &id, path);
            path.pop();
        }
    }

    /// Makes of a span what every backend takes: an id of its own, an end that is not before its beginning, a status
    /// that says what the wire says.
    fn mend(&mut self, node: &Node, path: &[u32], span: &mut Span) {
        if !is_id(&span.span_id, 8) || self.taken.contains(&span.span_id) {
            span.span_id = self.id_of(path, b"again");
        }
        self.taken.insert(span.span_id.clone());
        if span.name.is_empty() {
            span.name = if node.name.is_empty() { "unnamed".into() } else { node.name.clone() };
        }
        if span.start_time_unix_nano == 0 {
            span.start_time_unix_nano = node.start_us.saturating_mul(1000);
        }
        if span.end_time_unix_nano < span.start_time_unix_nano {
            span.end_time_unix_nano = node.end_us.saturating_mul(1000).max(span.start_time_unix_nano);
        }
        if let (Some(error), Some(_)) = (&node.error, node.step) {
            let status = span.status.get_or_insert_default();
            status.code = ERROR;
            if self.of.content && status.message.is_empty() {
                status.message.clone_from(error);
            }
        }
    }

    /// Says of the root where the run comes from.
    fn add_parent(&self, root: &mut Span) {
        let Some(parent) = self.of.parent else { return };
        root.attributes.push(text("retake.parent.run.id", parent.run.as_str()));
        root.attributes.push(number("retake.parent.step", parent.at_step.into()));
        let mut link = self.of.forked_at.clone();
        if let Some(link) = &mut link {
            let kind = if parent.replay { "replay" } else { "fork" };
            link.attributes.push(text("retake.link", kind));
        }
        root.links.extend(link);
    }

    /// An id for the node at this place: the same each time.
    fn id_of(&self, path: &[u32], salt: &[u8]) -> Vec<u8> {
        let place: Vec<u8> = path.iter().flat_map(|at| at.to_be_bytes()).collect();
        let hash = hash128(&[self.of.uuid.as_slice(), &place, salt].concat());
        hash.iter().take(8).copied().collect()
    }

    /// A span for a node that has none.
    fn made(&self, node: &Node, path: &[u32]) -> Span {
        let events = node.events.iter().map(|(at, name)| Event {
            time_unix_nano: at.saturating_mul(1000),
            name: name.clone(),
            ..Event::default()
        });
        let (name, kind) = match node.kind {
            NodeKind::Run | NodeKind::Workflow => (format!("invoke_workflow {}", node.name), 1),
            NodeKind::Agent => (format!("invoke_agent {}", node.name), 1),
            NodeKind::Model => (format!("chat {}", node.name), 3),
            NodeKind::Tool => (format!("execute_tool {}", node.name), 1),
            NodeKind::Turn | NodeKind::Other => (node.name.clone(), 1),
        };
        let error = node.error.as_ref().map(|message| Status { code: ERROR, message: message.clone() });
        Span {
            trace_id: self.trace.clone(),
            span_id: self.id_of(path, b""),
            name,
            kind,
            start_time_unix_nano: node.start_us.saturating_mul(1000),
            end_time_unix_nano: node.end_us.saturating_mul(1000),
            attributes: vec![truth("retake.span.synthetic")],
            events: events.collect(),
            status: error,
            flags: 1,
            ..Span::default()
        }
    }

    /// Adds what retake knows: what the wire says goes before what an instrumentation says. `raised`: type of the exception
    /// that the span noted.
    fn add(&self, node: &Node, raised: Option<&str>, to: &mut Vec<KeyValue>) {
        let mut set = |one: KeyValue| {
            to.retain(|other| other.key != one.key);
            to.push(one);
        };
        set(text("retake.run.id", self.of.run));
        if let Some(step) = node.step {
            set(number(STEP, step.into()));
        }
        let (operation, name) = match node.kind {
            NodeKind::Run | NodeKind::Workflow => ("invoke_workflow", Some("gen_ai.workflow.name")),
            NodeKind::Agent => ("invoke_agent", Some("gen_ai.agent.name")),
            NodeKind::Model => ("chat", Some("gen_ai.request.model")),
            NodeKind::Tool => ("execute_tool", Some("gen_ai.tool.name")),
            NodeKind::Turn | NodeKind::Other => ("", None),
        };
        if let Some(name) = name.filter(|_| node.span.is_none() || node.step.is_some()) {
            set(text("gen_ai.operation.name", operation));
            set(text(name, &node.name));
        }
        if node.at_most {
            set(truth("retake.duration.upper_bound"));
        }
        if node.untimed {
            set(truth("retake.duration.unknown"));
        }
        node.step.map(|step| (self.of.known)(step)).into_iter().flatten().for_each(&mut set);
        if let Some(usage) = node.usage {
            let also = self.of.convention == Convention::OpenInference;
            for (tokens, name, other) in [
                (usage.input, "input_tokens", "prompt"),
                (usage.output, "output_tokens", "completion"),
                (usage.cache_read, "cache_read.input_tokens", "prompt_details.cache_read"),
                (usage.cache_write, "cache_write.input_tokens", "prompt_details.cache_write"),
                (usage.reasoning, "reasoning.output_tokens", "completion_details.reasoning"),
            ] {
                if tokens > 0 || matches!(other, "prompt" | "completion") {
                    set(number(&format!("gen_ai.usage.{name}"), tokens));
                    if also {
                        set(number(&format!("llm.token_count.{other}"), tokens));
                    }
                }
            }
        }
        if self.of.convention == Convention::OpenInference {
            let kind = match node.kind {
                NodeKind::Agent => "AGENT",
                NodeKind::Model => "LLM",
                NodeKind::Tool => "TOOL",
                _ => "CHAIN",
            };
            set(text("openinference.span.kind", kind));
            if node.kind == NodeKind::Model {
                set(text("llm.model_name", &node.name));
            }
        }
        if let (true, Some(step)) = (self.of.content, node.step) {
            for (name, said) in (self.of.said)(step) {
                set(text(&name, said));
            }
        }
        let is_typed = to.iter().any(|one| one.key == "error.type");
        if let (Some(error), false) = (&node.error, is_typed) {
            to.push(text("error.type", raised.unwrap_or_else(|| error_type(node.kind, error))));
        }
    }

    fn may_leave(&self, one: &KeyValue) -> bool {
        if self.of.content {
            return true;
        }
        let value = one.value.as_ref().and_then(|any| any.value.as_ref());
        let says_little = matches!(value, None | Some(Value::Bool(_) | Value::Int(_) | Value::Double(_)));
        says_little || is_harmless(&one.key)
    }

    fn put(&mut self, origin: Option<usize>, scope: Scope, span: Span) {
        let name = (origin, scope.name.clone());
        let place = self.places.get(&name).copied();
        let (resource, at) = place.unwrap_or_else(|| {
            let resource = origin.and_then(|at| self.came.resource_spans.get(at)?.resource.clone());
            let mut resource = resource.unwrap_or_else(|| own_resource(self.of.run));
            resource.attributes.retain(|one| self.may_leave(one));
            if !resource.attributes.iter().any(|one| one.key == SERVICE) {
                resource.attributes.extend(own_resource(self.of.run).attributes);
            }
            let scope_spans = vec![ScopeSpans { scope: Some(scope), ..ScopeSpans::default() }];
            self.out.push(ResourceSpans {
                resource: Some(resource),
                scope_spans,
                ..ResourceSpans::default()
            });
            self.places.insert(name, (self.out.len() - 1, 0));
            (self.out.len() - 1, 0)
        });
        if let Some(scope) = self.out.get_mut(resource).and_then(|of| of.scope_spans.get_mut(at)) {
            scope.spans.push(span);
        }
    }
}

/// Who made the spans, as every backend asks.
const SERVICE: &str = "service.name";

/// The type of the last exception that a span notes.
fn raised(span: &Span) -> Option<String> {
    let noted = span.events.iter().rev().flat_map(|event| &event.attributes).chain(&span.attributes);
    let mut types = noted.filter(|one| one.key == "exception.type");
    types.find_map(|one| match one.value.as_ref()?.value.as_ref()? {
        Value::String(name) if !name.is_empty() => Some(name.clone()),
        _ => None,
    })
}

/// The kind of an error, in few words: the status of a model's server, where one was told.
fn error_type(kind: NodeKind, error: &str) -> &str {
    let status = error.split(' ').next().filter(|word| word.len() == 3 && word.parse::<u16>().is_ok());
    match kind {
        NodeKind::Tool => "tool_error",
        _ => status.unwrap_or("_OTHER"),
    }
}

fn own_scope() -> Scope {
    Scope { name: "retake".into(), version: env!("CARGO_PKG_VERSION").into(), ..Scope::default() }
}

fn own_resource(run: &str) -> Resource {
    let service = run.rsplit_once('.').map_or(run, |(name, _)| name);
    Resource { attributes: vec![text(SERVICE, service)], ..Resource::default() }
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_string(), value: Some(AnyValue { value: Some(value) }) }
}

fn text(key: &str, value: impl Into<String>) -> KeyValue {
    attribute(key, Value::String(value.into()))
}

fn number(key: &str, value: u64) -> KeyValue {
    attribute(key, Value::Int(i64::try_from(value).unwrap_or(i64::MAX)))
}

fn truth(key: &str) -> KeyValue {
    attribute(key, Value::Bool(true))
}

#[cfg(test)]
mod tests;
