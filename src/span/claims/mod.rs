//! What a span says of itself, whoever made it: one family of instrumentations a file.
//!
//! Claims are for finding what belongs together. Numbers in them are the instrumentation's; what was really used stands
//! on the wire.

mod calls;
mod coding;
mod genai;
mod langfuse;
mod langsmith;
mod openinference;
pub mod row;
#[cfg(test)]
mod tests;
mod traceloop;
mod vercel;

use super::content::{self, Hash, Input, Turn};
use super::value::structured;
use super::{Side, Span, SpanId, SpanKey, Status};
use crate::dialect::conversation::Usage;
use serde_json::Value;
use std::sync::Arc;

/// What a span stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Role {
    /// A call of a model.
    Model,
    /// Texts to vectors.
    Embedding,
    /// A tool that is carried out.
    Tool,
    /// An agent at work; it may ask models many times.
    Agent,
    /// Steps one after another: a workflow, a chain.
    Workflow,
    /// An HTTP request, at the side that makes it.
    Http,
    /// A message to a server of tools, by the Model Context Protocol.
    Mcp,
    /// Anything else.
    #[default]
    Other,
}

/// What a span says of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Claims {
    /// What names it.
    pub key: SpanKey,
    /// Its parent, in the same trace.
    pub parent: Option<SpanId>,
    /// Nanoseconds since the Unix epoch.
    pub start_ns: u64,
    /// Nanoseconds since the Unix epoch.
    pub end_ns: u64,
    /// Where it stands among caller and called.
    pub side: Side,
    /// Its name.
    pub name: String,
    /// Name of the instrumentation that made it.
    pub scope: Arc<str>,
    /// What went wrong, where it says that something did; empty when it does not say what.
    pub error: Option<String>,
    /// What happened in it: microseconds since the Unix epoch, and its name.
    pub events: Vec<(u64, String)>,
    /// True while it has only been announced (Logfire's pending spans): the real one takes its place.
    pub open: bool,
    /// True for a record without length that tells how another span went on (Logfire's streams).
    pub log: bool,
    /// What it stands for.
    pub role: Role,
    /// The provider's id of the answer.
    pub response_id: Option<String>,
    /// The id that the provider gave the request, in a header of its answer.
    pub request_id: Option<String>,
    /// The model that was asked for.
    pub request_model: Option<String>,
    /// The model that answered.
    pub response_model: Option<String>,
    /// Name of the tool that is carried out.
    pub tool: Option<String>,
    /// Of a tool: ids of the calls that it carries out.
    pub call_ids: Vec<String>,
    /// Of a model: ids of the calls that its answer asks for.
    pub asked_ids: Vec<String>,
    /// Name of the agent.
    pub agent: Option<String>,
    /// Id of the agent, or of its call.
    pub agent_id: Option<String>,
    /// Id of the conversation.
    pub conversation: Option<String>,
    /// Id of the session.
    pub session: Option<String>,
    /// Of a message to a server of tools.
    pub rpc: Option<Box<Rpc>>,
    /// Of a call of a model: what else it tells. Not kept beside the spans of a run.
    pub told: Option<Box<Told>>,
    /// What the model answered.
    pub output: Option<Hash>,
    /// What it was asked last.
    pub input: Option<Input>,
}

/// What a span says of a message to a server of tools.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rpc {
    /// Method: `tools/call`.
    pub method: Option<String>,
    /// Id of the message.
    pub id: Option<String>,
    /// Session with the server.
    pub session: Option<String>,
}

/// What a span says of a call of a model that nothing is found by.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Told {
    /// Whose model it is: `openai`.
    pub provider: Option<String>,
    /// Tokens, as the instrumentation counts them.
    pub usage: Option<Usage>,
    /// Why the model stopped.
    pub finish_reasons: Vec<String>,
}

/// Namespaces of attributes that a span has.
#[derive(Debug, Clone, Copy, Default)]
struct Spaces {
    genai: bool,
    openinference: bool,
    langfuse: bool,
    langsmith: bool,
    traceloop: bool,
    vercel: bool,
    logfire: bool,
    calls: bool,
}

impl Spaces {
    fn of(span: &Span) -> Spaces {
        let mut spaces = Spaces::default();
        for (name, _) in &span.attributes.0 {
            match name.split('.').next().unwrap_or_default() {
                "gen_ai" => spaces.genai = true,
                "openinference" => spaces.openinference = true,
                "langfuse" => spaces.langfuse = true,
                "langsmith" => spaces.langsmith = true,
                "traceloop" | "lmnr" | "llm" => spaces.traceloop = true,
                "ai" => spaces.vercel = true,
                "logfire" => spaces.logfire = true,
                "http" | "url" | "mcp" | "jsonrpc" | "rpc" => spaces.calls = true,
                _ => {}
            }
        }
        spaces
    }
}

impl Claims {
    /// Reads a span. What a family of instrumentations says in its own words goes before what the conventions say.
    pub fn of(span: &Span) -> Claims {
        let spaces = Spaces::of(span);
        let mut claims = Claims::bare(span);
        if spaces.logfire {
            claims.read_logfire(span);
        }
        if spaces.openinference {
            openinference::read(span, &mut claims);
        }
        if spaces.langfuse {
            langfuse::read(span, &mut claims);
        }
        if spaces.langsmith {
            langsmith::read(span, &mut claims);
        }
        if spaces.vercel {
            vercel::read(span, &mut claims);
        }
        if spaces.traceloop || span.origin.scope.contains("instrumentation.mcp") {
            traceloop::read(span, &mut claims);
        }
        coding::read(span, &mut claims);
        if spaces.calls {
            calls::read_mcp(span, &mut claims);
        }
        if spaces.genai {
            genai::read(span, &mut claims);
        }
        if spaces.calls {
            calls::read_http(span, &mut claims);
        }
        claims.fill(|c| &mut c.session, span, &["session.id"]);
        claims.rpc = claims.rpc.filter(|rpc| **rpc != Rpc::default());
        claims.told = claims.told.filter(|told| **told != Told::default());
        if claims.response_id == claims.request_id {
            claims.response_id = None;
        }
        for ids in [&mut claims.asked_ids, &mut claims.call_ids] {
            ids.sort_unstable();
            ids.dedup();
        }
        claims
    }

    fn bare(span: &Span) -> Claims {
        Claims {
            key: span.key,
            parent: span.parent,
            start_ns: span.start_ns,
            end_ns: span.end_ns,
            side: span.side,
            name: span.name.clone(),
            scope: span.origin.scope.clone(),
            error: match &span.status {
                Status::Error(message) => Some(message.clone()),
                _ => None,
            },
            events: span.events.iter().map(|event| (event.time_ns / 1000, event.name.clone())).collect(),
            open: false,
            log: false,
            role: Role::Other,
            response_id: None,
            request_id: None,
            request_model: None,
            response_model: None,
            tool: None,
            call_ids: Vec::new(),
            asked_ids: Vec::new(),
            agent: None,
            agent_id: None,
            conversation: None,
            session: None,
            rpc: None,
            told: None,
            output: None,
            input: None,
        }
    }

    /// Logfire announces a span by one with an id of its own below it, which has the real parent in an attribute.
    fn read_logfire(&mut self, span: &Span) {
        match span.attributes.text("logfire.span_type") {
            Some("pending_span") => {
                let Some(real) = span.parent else { return };
                self.open = true;
                self.key.span = real;
                self.parent = span.attributes.text("logfire.pending_parent_id").and_then(SpanId::parse);
            }
            Some("log") => self.log = true,
            _ => {}
        }
    }

    /// True at the side that answers: what is above it is in another program.
    pub fn is_answering(&self) -> bool {
        matches!(self.side, Side::Server | Side::Consumer)
    }

    /// Sets the role unless a family in its own words has.
    fn role(&mut self, role: Role) {
        if self.role == Role::Other {
            self.role = role;
        }
    }

    /// Takes the first of these attributes that has text, if nothing is known yet.
    fn fill(&mut self, slot: impl Fn(&mut Claims) -> &mut Option<String>, span: &Span, names: &[&str]) {
        let slot = slot(self);
        if slot.is_none() {
            *slot = names.iter().find_map(|name| span.attributes.get(name).and_then(plain));
        }
    }

    fn rpc(&mut self) -> &mut Rpc {
        self.rpc.get_or_insert_default()
    }

    fn told(&mut self) -> &mut Told {
        self.told.get_or_insert_default()
    }

    /// Takes what the model answered, if nothing is known yet.
    fn answered(&mut self, turns: &[Turn]) {
        if self.output.is_none() {
            self.output = content::hash_of(turns);
            self.asked_ids.extend(turns.iter().flat_map(|turn| turn.call_ids.iter().cloned()));
        }
    }

    /// Takes what the model was asked, if nothing is known yet.
    fn asked(&mut self, turns: Vec<Turn>) {
        if self.input.is_none() {
            self.input = content::input_of(turns);
        }
    }

    /// Where two tellings of one span differ, the one to believe: the real one, that which ended later, that which says
    /// more.
    pub(super) fn weight(&self) -> impl Ord + use<> {
        let told = [&self.response_id, &self.request_id, &self.request_model, &self.response_model];
        let told = told.iter().filter(|slot| slot.is_some()).count();
        (
            !self.open,
            self.end_ns,
            told,
            self.output,
            self.input,
            self.response_id.clone(),
            self.scope.clone(),
            self.start_ns,
        )
    }
}

/// A text or a number as text.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The words of a list, which may stand as JSON in a text.
fn words(value: &Value) -> Vec<String> {
    match structured(value).as_ref().unwrap_or(value) {
        Value::Array(of) => of.iter().filter_map(plain).collect(),
        one => plain(one).into_iter().collect(),
    }
}

/// Messages in an attribute: JSON in a text, structured, or plain words.
fn messages(value: &Value) -> Vec<Turn> {
    let Some(read) = structured(value) else { return content::read(value) };
    let turns = content::read(&read);
    // JSON that is no message is what the model said: an answer in a schema.
    if content::hash_of(&turns).is_none() && value.is_string() { content::read(value) } else { turns }
}

/// Tokens under these names; none when none of them is known.
fn tokens(of: &impl Fn(&str) -> Option<u64>, names: [&[&str]; 5]) -> Option<Usage> {
    let [input, output, cache_read, cache_write, reasoning] =
        names.map(|names| names.iter().find_map(|name| of(name)));
    (input.is_some() || output.is_some()).then(|| Usage {
        input: input.unwrap_or_default(),
        output: output.unwrap_or_default(),
        cache_read: cache_read.unwrap_or_default(),
        cache_write: cache_write.unwrap_or_default(),
        reasoning: reasoning.unwrap_or_default(),
    })
}

/// Tokens in attributes.
fn usage(span: &Span, names: [&[&str]; 5]) -> Option<Usage> {
    let number = |name: &str| match span.attributes.get(name)? {
        Value::String(text) => text.parse().ok(),
        value => value.as_u64().or_else(|| value.as_f64().filter(|n| *n >= 0.0).map(|n| n as u64)),
    };
    tokens(&number, names)
}
