//! Claims in the form in which a run keeps them beside its spans: small, and read without looking at the spans again. What
//! nothing is found by (tokens, say) is left out.
//!
//! Protobuf, so that a later version may add to it.

use super::{Claims, Role, Rpc};
use crate::span::content::{Hash, Input};
use crate::span::{Side, SpanId, SpanKey, TraceId};
use prost::Message;
use std::collections::HashMap;
use std::sync::Arc;

/// What stands before the rows.
#[derive(Clone, PartialEq, Message)]
struct Heading {
    /// Names of instrumentations.
    #[prost(string, repeated, tag = "1")]
    scopes: Vec<String>,
    /// How many rows there are.
    #[prost(uint32, tag = "2")]
    rows: u32,
}

/// Tags 19, 27 and 28 have been used for what is left out now.
#[derive(Clone, PartialEq, Message)]
struct Row {
    #[prost(fixed64, tag = "1")]
    trace_high: u64,
    #[prost(fixed64, tag = "2")]
    trace_low: u64,
    #[prost(fixed64, tag = "3")]
    span: u64,
    /// 0: a root.
    #[prost(fixed64, tag = "4")]
    parent: u64,
    #[prost(fixed64, tag = "5")]
    start_ns: u64,
    /// Since `start_ns`, which may lie behind it.
    #[prost(sint64, tag = "6")]
    took_ns: i64,
    #[prost(uint32, tag = "7")]
    scope: u32,
    #[prost(uint32, tag = "8")]
    side: u32,
    #[prost(uint32, tag = "9")]
    role: u32,
    #[prost(bool, tag = "10")]
    open: bool,
    #[prost(bool, tag = "11")]
    log: bool,
    #[prost(string, tag = "12")]
    name: String,
    #[prost(string, optional, tag = "13")]
    error: Option<String>,
    #[prost(message, repeated, tag = "14")]
    events: Vec<Event>,
    #[prost(string, optional, tag = "15")]
    response_id: Option<String>,
    #[prost(string, optional, tag = "16")]
    request_id: Option<String>,
    #[prost(string, optional, tag = "17")]
    request_model: Option<String>,
    #[prost(string, optional, tag = "18")]
    response_model: Option<String>,
    #[prost(string, optional, tag = "20")]
    tool: Option<String>,
    #[prost(string, repeated, tag = "21")]
    call_ids: Vec<String>,
    #[prost(string, repeated, tag = "22")]
    asked_ids: Vec<String>,
    #[prost(string, optional, tag = "23")]
    agent: Option<String>,
    #[prost(string, optional, tag = "24")]
    agent_id: Option<String>,
    #[prost(string, optional, tag = "25")]
    conversation: Option<String>,
    #[prost(string, optional, tag = "26")]
    session: Option<String>,
    #[prost(string, optional, tag = "29")]
    rpc_method: Option<String>,
    #[prost(string, optional, tag = "30")]
    rpc_id: Option<String>,
    #[prost(string, optional, tag = "31")]
    rpc_session: Option<String>,
    #[prost(message, optional, tag = "32")]
    output: Option<Halves>,
    #[prost(message, optional, tag = "33")]
    input: Option<Halves>,
    #[prost(uint64, tag = "34")]
    input_turns: u64,
}

#[derive(Clone, PartialEq, Message)]
struct Event {
    #[prost(uint64, tag = "1")]
    at_us: u64,
    #[prost(string, tag = "2")]
    name: String,
}

/// A hash.
#[derive(Clone, Copy, PartialEq, Message)]
struct Halves {
    #[prost(fixed64, tag = "1")]
    high: u64,
    #[prost(fixed64, tag = "2")]
    low: u64,
}

/// In the order of their numbers, which are kept.
const ROLES: [Role; 8] = [
    Role::Other,
    Role::Model,
    Role::Embedding,
    Role::Tool,
    Role::Agent,
    Role::Workflow,
    Role::Http,
    Role::Mcp,
];
/// In the order of their numbers, which are kept.
const SIDES: [Side; 6] =
    [Side::Unspecified, Side::Internal, Side::Server, Side::Client, Side::Producer, Side::Consumer];

/// More rows than this are not made room for before they are read.
const ROOM: usize = 4096;

/// Writes claims: a heading, then a row for each, all with their lengths before them.
pub fn write(all: &[Claims]) -> Vec<u8> {
    let mut heading = Heading { scopes: Vec::new(), rows: all.len() as u32 };
    let mut known: HashMap<Arc<str>, u32> = HashMap::new();
    let mut rows = Vec::new();
    for claims in all {
        let scope = *known.entry(claims.scope.clone()).or_insert_with(|| {
            heading.scopes.push(claims.scope.to_string());
            heading.scopes.len() as u32 - 1
        });
        rows.extend_from_slice(&row(claims, scope).encode_length_delimited_to_vec());
    }
    let mut bytes = heading.encode_length_delimited_to_vec();
    bytes.append(&mut rows);
    bytes
}

/// Reads what [`write`] wrote; none when it is no such thing.
pub fn read(mut bytes: &[u8]) -> Option<Vec<Claims>> {
    let heading = Heading::decode_length_delimited(&mut bytes).ok()?;
    let scopes: Vec<Arc<str>> = heading.scopes.into_iter().map(Arc::from).collect();
    let mut all = Vec::with_capacity((heading.rows as usize).min(ROOM));
    for _ in 0..heading.rows {
        all.push(claims(Row::decode_length_delimited(&mut bytes).ok()?, &scopes)?);
    }
    bytes.is_empty().then_some(all)
}

fn row(of: &Claims, scope: u32) -> Row {
    let place = |at: Option<usize>| at.unwrap_or_default() as u32;
    let trace = u128::from_be_bytes(of.key.trace.0);
    let rpc = of.rpc.as_deref();
    Row {
        trace_high: (trace >> 64) as u64,
        trace_low: trace as u64,
        span: u64::from_be_bytes(of.key.span.0),
        parent: of.parent.map_or(0, |parent| u64::from_be_bytes(parent.0)),
        start_ns: of.start_ns,
        took_ns: of.end_ns.wrapping_sub(of.start_ns) as i64,
        scope,
        side: place(SIDES.iter().position(|side| *side == of.side)),
        role: place(ROLES.iter().position(|role| *role == of.role)),
        open: of.open,
        log: of.log,
        name: of.name.clone(),
        error: of.error.clone(),
        events: of.events.iter().map(|(at_us, name)| Event { at_us: *at_us, name: name.clone() }).collect(),
        response_id: of.response_id.clone(),
        request_id: of.request_id.clone(),
        request_model: of.request_model.clone(),
        response_model: of.response_model.clone(),
        tool: of.tool.clone(),
        call_ids: of.call_ids.clone(),
        asked_ids: of.asked_ids.clone(),
        agent: of.agent.clone(),
        agent_id: of.agent_id.clone(),
        conversation: of.conversation.clone(),
        session: of.session.clone(),
        rpc_method: rpc.and_then(|rpc| rpc.method.clone()),
        rpc_id: rpc.and_then(|rpc| rpc.id.clone()),
        rpc_session: rpc.and_then(|rpc| rpc.session.clone()),
        output: of.output.map(halves),
        input: of.input.map(|input| halves(input.last)),
        input_turns: of.input.map_or(0, |input| input.turns as u64),
    }
}

fn claims(row: Row, scopes: &[Arc<str>]) -> Option<Claims> {
    let trace = u128::from(row.trace_high) << 64 | u128::from(row.trace_low);
    let key =
        SpanKey { trace: TraceId::of(&trace.to_be_bytes())?, span: SpanId::of(&row.span.to_be_bytes())? };
    let turns = usize::try_from(row.input_turns).ok()?;
    let rpc = Rpc { method: row.rpc_method, id: row.rpc_id, session: row.rpc_session };
    Some(Claims {
        key,
        parent: SpanId::of(&row.parent.to_be_bytes()),
        start_ns: row.start_ns,
        end_ns: row.start_ns.wrapping_add(row.took_ns as u64),
        side: *SIDES.get(row.side as usize)?,
        name: row.name,
        scope: scopes.get(row.scope as usize)?.clone(),
        error: row.error,
        events: row.events.into_iter().map(|event| (event.at_us, event.name)).collect(),
        open: row.open,
        log: row.log,
        // A role of a later version is nothing that is known here.
        role: ROLES.get(row.role as usize).copied().unwrap_or_default(),
        response_id: row.response_id,
        request_id: row.request_id,
        request_model: row.request_model,
        response_model: row.response_model,
        tool: row.tool,
        call_ids: row.call_ids,
        asked_ids: row.asked_ids,
        agent: row.agent,
        agent_id: row.agent_id,
        conversation: row.conversation,
        session: row.session,
        rpc: (rpc != Rpc::default()).then(|| Box::new(rpc)),
        told: None,
        output: row.output.map(whole),
        input: row.input.map(|halves| Input { last: whole(halves), turns }),
    })
}

fn halves(hash: Hash) -> Halves {
    let hash = u128::from_be_bytes(hash);
    Halves { high: (hash >> 64) as u64, low: hash as u64 }
}

fn whole(of: Halves) -> Hash {
    (u128::from(of.high) << 64 | u128::from(of.low)).to_be_bytes()
}
