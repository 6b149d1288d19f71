//! Which spans are about which exchanges.
//!
//! A pass over all exchanges and spans of a run, to be made again whenever late spans have come: it depends on what is
//! there, not on the order in which it came. An exchange may have several spans (two instrumentations, an SDK and the HTTP
//! client below it), a span several exchanges (attempts of one call). What cannot be told apart stays open.

mod attempts;
mod claimed;
mod climb;
mod pairs;
mod primary;
#[cfg(test)]
mod tests;
mod windows;

use super::SpanKey;
use super::asked::{Asked, Kind};
use super::claims::{Claims, Role};
use super::settled::Settled;
use crate::exchange::ExchangeId;
use std::collections::BTreeMap;

/// How a link was found, from the surest to the least sure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Method {
    /// The request names the span, or one below it, as its parent.
    Traceparent,
    /// Both have the provider's id of the answer.
    ResponseId,
    /// Both have the provider's id of the request.
    RequestId,
    /// Both have the id of a tool call.
    CallId,
    /// Both have the id of a message to a server of tools.
    RpcId,
    /// Both have the same answer.
    Output,
    /// An attempt of the same call has the span.
    Attempt,
    /// The request names the agent, conversation or session.
    Agent,
    /// Both go on from the same message, the only one of its kind.
    Input,
    /// The span is the only one around the exchange, and the exchange the only one in the span.
    Time,
}

/// What the span of a link is to its exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// The call of the model.
    Model,
    /// The tool that is carried out.
    Tool,
    /// The message to the tool's server.
    Mcp,
    /// The HTTP request.
    Http,
    /// A span that the request names, of no known kind.
    Caller,
    /// An agent, workflow or tool that the exchange belongs to.
    Ancestor,
}

/// One span of one exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// The exchange.
    pub exchange: ExchangeId,
    /// The span.
    pub span: SpanKey,
    /// The surest of the ways in which it was found.
    pub method: Method,
    /// What the span is to the exchange.
    pub part: Part,
    /// True for the one span that stands for the exchange: the innermost call of the model or of the tool, else the
    /// HTTP request.
    pub primary: bool,
    /// True when the span names another answer than that of the exchange.
    pub disputed: bool,
    /// True when the exchange is the one of its span that settled it: the last that succeeded, else the last.
    pub settles: bool,
}

impl Method {
    /// All of them.
    pub const ALL: [Method; 10] = [
        Method::Traceparent,
        Method::ResponseId,
        Method::RequestId,
        Method::CallId,
        Method::RpcId,
        Method::Output,
        Method::Attempt,
        Method::Agent,
        Method::Input,
        Method::Time,
    ];

    /// How sure it is, from 0 to 1.
    pub fn confidence(self) -> f64 {
        match self {
            Method::Traceparent => 1.0,
            Method::ResponseId | Method::RequestId => 0.98,
            Method::CallId | Method::RpcId => 0.95,
            Method::Output | Method::Attempt => 0.9,
            Method::Agent => 0.8,
            Method::Input => 0.7,
            Method::Time => 0.5,
        }
    }

    /// Its name: `response id`.
    pub fn name(self) -> &'static str {
        match self {
            Method::Traceparent => "traceparent",
            Method::ResponseId => "response id",
            Method::RequestId => "request id",
            Method::CallId => "call id",
            Method::RpcId => "message id",
            Method::Output => "answer",
            Method::Attempt => "attempt",
            Method::Agent => "agent",
            Method::Input => "input",
            Method::Time => "time",
        }
    }
}

/// Joins exchanges and spans. Links are in order of exchange,
/// the primary one first.
pub fn join(asked: &[Asked], spans: &Settled<'_>) -> Vec<Link> {
    join_by(asked, spans, &Method::ALL)
}

/// Like [`join`], by some of the methods only.
pub fn join_by(asked: &[Asked], spans: &Settled<'_>, methods: &[Method]) -> Vec<Link> {
    let mut pass = Pass::new(asked, spans);
    let by = |method| methods.contains(&method);
    if by(Method::Traceparent) {
        pass.by_traceparent();
    }
    for method in [Method::ResponseId, Method::RequestId] {
        if by(method) {
            pass.by_id(method);
        }
    }
    for method in [Method::CallId, Method::RpcId, Method::Output, Method::Input] {
        if by(method) {
            pass.by_claim(method);
        }
    }
    if by(Method::Attempt) {
        pass.by_attempt();
    }
    if by(Method::Time) {
        pass.by_time();
    }
    if by(Method::Agent) {
        pass.by_agent();
    }
    pass.links()
}

/// What has been found of one exchange and one span.
#[derive(Debug, Clone, Copy)]
struct Found {
    method: Method,
    part: Part,
}

/// One pass. Exchanges and spans go by their place in two sorted lists.
struct Pass<'a> {
    asked: Vec<&'a Asked>,
    settled: &'a Settled<'a>,
    /// Of each exchange: the first attempt of its call.
    call_of: Vec<usize>,
    /// Of each first attempt: all attempts, itself included.
    attempts: BTreeMap<usize, Vec<usize>>,
    /// Of each exchange: its spans.
    found: Vec<BTreeMap<usize, Found>>,
    /// Of each span: a call that it is linked to as what the call is.
    taken: Vec<Option<usize>>,
}

impl<'a> Pass<'a> {
    fn new(asked: &'a [Asked], settled: &'a Settled<'a>) -> Pass<'a> {
        let mut asked: Vec<&Asked> = asked.iter().collect();
        asked.sort_by_key(|of| of.id);
        asked.dedup_by_key(|of| of.id);
        let attempts = attempts::attempts(&asked);
        let mut call_of: Vec<usize> = (0..asked.len()).collect();
        for (first, all) in &attempts {
            all.iter().for_each(|&at| call_of[at] = *first);
        }
        Pass {
            found: vec![BTreeMap::new(); asked.len()],
            taken: vec![None; settled.claims().len()],
            settled,
            asked,
            call_of,
            attempts,
        }
    }

    fn spans(&self) -> &[&'a Claims] {
        self.settled.claims()
    }

    /// Keeps a link; of two for the same pair the surer one.
    fn link(&mut self, exchange: usize, span: usize, method: Method, part: Part) {
        let found = self.found[exchange].entry(span).or_insert(Found { method, part });
        found.method = found.method.min(method);
        found.part = found.part.min(part);
        if matches!(found.part, Part::Model | Part::Tool | Part::Mcp) {
            self.taken[span].get_or_insert(self.call_of[exchange]);
        }
    }

    /// What a span is to an exchange that it was found for.
    fn part(&self, exchange: usize, span: usize) -> Part {
        let is_tool = self.asked[exchange].kind == Kind::Tool;
        match self.spans()[span].role {
            Role::Model | Role::Embedding if !is_tool => Part::Model,
            Role::Tool if is_tool => Part::Tool,
            Role::Mcp if is_tool => Part::Mcp,
            Role::Http => Part::Http,
            Role::Other => Part::Caller,
            _ => Part::Ancestor,
        }
    }

    /// True when an exchange has a span that is what it is.
    fn is_linked(&self, exchange: usize) -> bool {
        self.found[exchange].values().any(|of| matches!(of.part, Part::Model | Part::Tool | Part::Mcp))
    }

    /// True when a span's claims say that it is about another answer.
    fn is_of_another(&self, exchange: usize, span: usize) -> bool {
        let (asked, span) = (self.asked[exchange], self.spans()[span]);
        match (&asked.response_id, &span.response_id) {
            (Some(ours), Some(theirs)) => ours != theirs && !asked.request_ids.contains(theirs),
            _ => false,
        }
    }

    /// True when kind, model, ids and trace allow that a span is what an exchange is.
    fn may_be(&self, exchange: usize, span: usize) -> bool {
        let (asked, claims) = (self.asked[exchange], self.spans()[span]);
        let role = match asked.kind {
            Kind::Model => claims.role == Role::Model,
            Kind::Embedding => claims.role == Role::Embedding,
            Kind::Tool => matches!(claims.role, Role::Tool | Role::Mcp),
            Kind::Other => false,
        };
        role && is_model(asked, claims)
            && is_message(asked, claims)
            && !self.is_of_another(exchange, span)
            && self.is_in_trace(exchange, span)
    }

    /// True unless the request names traces that have spans, and the span is of none of them.
    fn is_in_trace(&self, exchange: usize, span: usize) -> bool {
        let parents = &self.asked[exchange].parents;
        let trace = self.spans()[span].key.trace;
        parents.iter().any(|parent| parent.trace == trace)
            || !parents.iter().any(|parent| self.settled.has_trace(parent.trace))
    }

    /// Microseconds since the Unix epoch: when a call's first attempt began, and its last ended.
    fn window_of_call(&self, call: usize) -> (u64, u64) {
        let all = self.attempts.get(&call).map_or(std::slice::from_ref(&call), Vec::as_slice);
        let start = all.iter().map(|&at| self.asked[at].started_us).min();
        let end = all.iter().map(|&at| self.asked[at].ended_us).max();
        (start.unwrap_or_default(), end.unwrap_or_default())
    }

    fn attempts_of(&self, call: usize) -> Vec<usize> {
        self.attempts.get(&call).cloned().unwrap_or_else(|| vec![call])
    }
}

/// Microseconds since the Unix epoch: the time of a span.
fn window(span: &Claims) -> (u64, u64) {
    (span.start_ns / 1000, span.end_ns.max(span.start_ns).div_ceil(1000))
}

/// Names of models without the provider's before them, to be compared.
fn models(of: [&Option<String>; 2]) -> impl Iterator<Item = &[u8]> + Clone {
    of.into_iter().flatten().map(|name| name.rsplit('/').next().unwrap_or_default().as_bytes())
}

/// True unless both sides say a model, and none is the other or its longer name.
fn is_model(asked: &Asked, claims: &Claims) -> bool {
    let ours = models([&asked.request_model, &asked.response_model]);
    let theirs = models([&claims.request_model, &claims.response_model]);
    let begins = |long: &[u8], short: &[u8]| {
        long.get(..short.len()).is_some_and(|start| start.eq_ignore_ascii_case(short))
    };
    let mut pairs = ours.clone().flat_map(|a| theirs.clone().map(move |b| (a, b))).peekable();
    pairs.peek().is_none() || pairs.any(|(a, b)| begins(a, b) || begins(b, a))
}

/// True unless tool, method or session of a message differ.
fn is_message(asked: &Asked, claims: &Claims) -> bool {
    let may = |ours: &Option<String>, theirs: Option<&String>| match (ours, theirs) {
        (Some(ours), Some(theirs)) => ours == theirs,
        _ => true,
    };
    let rpc = claims.rpc.as_deref();
    let by_method = match rpc.and_then(|rpc| rpc.method.as_ref()) {
        Some(method) if !asked.rpc.is_empty() => asked.rpc.iter().any(|(ours, _)| ours == method),
        _ => true,
    };
    by_method
        && may(&asked.rpc_session, rpc.and_then(|rpc| rpc.session.as_ref()))
        && (asked.kind != Kind::Tool || may(&asked.tool, claims.tool.as_ref()))
}
