//! A tree as spans of OpenTelemetry, so that a run opens in whatever shows traces.
//!
//! Spans that came are told as they came, with their steps; where none came one is made. All of a run is one trace: that
//! of its spans when they are of one, else one that is named after the run.

use super::{Node, NodeKind};
use crate::exchange::canon::hash128;
use crate::otlp::proto::{
    AnyValue, Event, KeyValue, Resource, ResourceSpans, Scope, ScopeSpans, Span, Status, Traces, Value,
};
use std::collections::{BTreeSet, HashMap};

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
    /// Of a model step: the provider (`openai`) and the server behind the proxy.
    pub server: &'a dyn Fn(u32) -> Option<(String, String)>,
    /// Of a step: what it says, as attributes. Asked only when content is told.
    pub said: &'a dyn Fn(u32) -> Vec<(String, String)>,
}

/// Attributes that say what a span is, not what is said in it: their names, or beginnings of them.
const HARMLESS: [&str; 30] = [
    "gen_ai.operation.name",
    "gen_ai.provider.name",
    "gen_ai.system",
    "gen_ai.request.",
    "gen_ai.response.",
    "gen_ai.usage.",
    "gen_ai.tool.name",
    "gen_ai.tool.type",
    "gen_ai.tool.call.id",
    "gen_ai.agent.",
    "gen_ai.conversation.id",
    "gen_ai.workflow.name",
    "gen_ai.output.type",
    "gen_ai.data_source.id",
    "openinference.span.kind",
    "llm.model_name",
    "llm.system",
    "llm.provider",
    "llm.token_count.",
    "tool.name",
    "session.id",
    "http.",
    "server.",
    "network.",
    "url.scheme",
    "mcp.method.name",
    "rpc.",
    "error.type",
    "service.",
    "telemetry.",
];

/// The names of a harmless beginning that are not harmless.
const HARMFUL: [&str; 4] =
    ["http.request.body", "http.response.body", "http.request.header", "http.response.header"];

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
        (1, Some(only)) => only,
        _ => of.uuid.to_vec(),
    };
    let mut writer = Writer { of, known, trace, places: HashMap::new(), out: Vec::new(), came };
    // A run with one root needs no other one around it.
    match tree.children.as_slice() {
        [only] if only.span.is_some() => writer.write(only, &[], &mut vec![0]),
        _ => writer.write(tree, &[], &mut Vec::new()),
    }
    Traces { resource_spans: writer.out }
}

type Known<'a> = HashMap<(Vec<u8>, Vec<u8>), (usize, &'a ScopeSpans, &'a Span)>;

struct Writer<'a> {
    of: &'a Telling<'a>,
    came: &'a Traces,
    known: Known<'a>,
    trace: Vec<u8>,
    /// Where spans of an origin and scope are put.
    places: HashMap<(Option<usize>, String), (usize, usize)>,
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
        span.links.iter_mut().for_each(|link| link.attributes.clear());
        if span.trace_id != self.trace {
            span.attributes.push(text("retake.trace_id", crate::otlp::json::hex_of(&span.trace_id)));
            span.trace_id = self.trace.clone();
        }
        span.parent_span_id = parent.to_vec();
        self.add(node, &mut span.attributes);
        let id = span.span_id.clone();
        self.put(origin, scope, span);
        for (at, child) in (0u32..).zip(&node.children) {
            path.push(at);
            self.write(child, &id, path);
            path.pop();
        }
    }

    /// A span for a node that has none.
    fn made(&self, node: &Node, path: &[u32]) -> Span {
        let place: Vec<u8> = path.iter().flat_map(|at| at.to_be_bytes()).collect();
        let hash = hash128(&[self.of.uuid.as_slice(), &place].concat());
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
        let error = node.error.as_ref().map(|message| Status { code: 2, message: message.clone() });
        Span {
            trace_id: self.trace.clone(),
            span_id: hash.iter().take(8).copied().collect(),
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

    /// Adds what retake knows: what the wire says goes before what an instrumentation says.
    fn add(&self, node: &Node, to: &mut Vec<KeyValue>) {
        let mut set = |one: KeyValue| {
            to.retain(|other| other.key != one.key);
            to.push(one);
        };
        set(text("retake.run.id", self.of.run));
        if let Some(step) = node.step {
            set(number("retake.step", step.into()));
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
        if let Some((provider, server)) = node.step.and_then(|step| (self.of.server)(step)) {
            set(text("gen_ai.provider.name", provider));
            set(text("server.address", server));
        }
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

fn is_harmless(key: &str) -> bool {
    let begins = |with: &str| key == with || with.ends_with('.') && key.starts_with(with);
    HARMLESS.iter().any(|name| begins(name)) && !HARMFUL.iter().any(|name| key.starts_with(name))
}

fn own_scope() -> Scope {
    Scope { name: "retake".into(), version: env!("CARGO_PKG_VERSION").into(), ..Scope::default() }
}

fn own_resource(run: &str) -> Resource {
    let service = run.rsplit_once('.').map_or(run, |(name, _)| name);
    Resource { attributes: vec![text("service.name", service)], ..Resource::default() }
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
mod tests {
    use super::*;
    use crate::dialect::conversation::Usage;
    use crate::otlp::json::traces;
    use crate::span::{SpanId, SpanKey, TraceId};

    const CAME: &str = r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}},
        {"key":"process.command_args","value":{"stringValue":"secret plan"}}]},"scopeSpans":[{"scope":{"name":"lib"},"spans":[
        {"traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"b7ad6b7169203331","name":"ChatCompletion","kind":1,
         "status":{"code":2,"message":"said so"},"attributes":[
            {"key":"input.value","value":{"stringValue":"what a user said"}},{"key":"llm.model_name","value":{"stringValue":"m"}},
            {"key":"gen_ai.usage.input_tokens","value":{"intValue":999}},{"key":"x","value":{"intValue":1}}]}]}]}]}"#;

    fn exported(content: bool, spanned: bool) -> (Traces, String) {
        let came = if spanned { traces(CAME.as_bytes()).unwrap() } else { Traces::default() };
        let key = SpanKey {
            trace: TraceId::parse("0af7651916cd43dd8448eb211c80319c").unwrap(),
            span: SpanId::parse("b7ad6b7169203331").unwrap(),
        };
        let mut model = Node::new(NodeKind::Model, "gpt", 1, 2);
        model.step = Some(1);
        model.usage = Some(Usage { input: 10, output: 2, ..Usage::default() });
        model.span = spanned.then_some(key);
        let mut tool = Node::new(NodeKind::Tool, "look", 2, 3);
        tool.step = Some(2);
        let mut run = Node::new(NodeKind::Run, "fix.1", 1, 3);
        run.children = vec![model, tool];
        let of = Telling {
            uuid: [7; 16],
            run: "fix.1",
            convention: Convention::OpenInference,
            content,
            server: &|step| (step == 1).then(|| ("openai".into(), "api.openai.com".into())),
            said: &|step| vec![("gen_ai.output.messages".into(), format!("said in {step}"))],
        };
        let told = told(&run, &came, &of);
        let json = crate::otlp::json::of_traces(&told).to_string();
        (told, json)
    }

    fn all(traces: &Traces) -> Vec<&Span> {
        traces.resource_spans.iter().flat_map(|of| &of.scope_spans).flat_map(|of| &of.spans).collect()
    }

    #[test]
    fn a_run_is_one_trace_and_one_tree() {
        for spanned in [false, true] {
            let (told, _) = exported(false, spanned);
            let spans = all(&told);
            assert_eq!(spans.len(), 3);
            let roots: Vec<_> = spans.iter().filter(|span| span.parent_span_id.is_empty()).collect();
            assert_eq!(roots.len(), 1);
            assert!(spans.iter().all(|span| span.trace_id == roots[0].trace_id && span.span_id.len() == 8));
            let below = spans.iter().filter(|span| span.parent_span_id == roots[0].span_id);
            assert_eq!(below.count(), 2);
        }
    }

    #[test]
    fn nothing_that_was_said_leaves_unasked() {
        let (_, json) = exported(false, true);
        for said in ["what a user said", "said so", "said in", "secret plan"] {
            assert!(!json.contains(said), "{said} in {json}");
        }
        for told in ["openinference.span.kind", "shop", "retake.step", "api.openai.com", "ChatCompletion"] {
            assert!(json.contains(told), "no {told} in {json}");
        }
        assert!(!json.contains("999"), "what the wire says of tokens goes before what the span says");
        let (_, json) = exported(true, true);
        for said in ["what a user said", "said so", "said in 1"] {
            assert!(json.contains(said), "no {said} in {json}");
        }
    }

    #[test]
    fn the_same_run_gives_the_same_ids() {
        assert_eq!(exported(false, false).0, exported(false, false).0);
    }
}
