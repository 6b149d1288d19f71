//! An exchange as spans may speak of it.

use super::content::{self, Hash, Input};
use super::{SpanId, SpanKey, TraceId};
use crate::dialect::conversation::Role;
use crate::dialect::{self, Endpoint};
use crate::exchange::canon::hash128;
use crate::exchange::span::{TraceParent, baggage, parse_baggage, parse_traceparent, traceparents};
use crate::exchange::{Exchange, ExchangeId, HeaderList, SpanContext, encoding};
use crate::mcp::message::{Kind as Rpc, Message, messages};
use crate::proxy::shim::TOOL;
use serde_json::Value;

/// What an exchange is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A call of a model.
    Model,
    /// Texts to vectors.
    Embedding,
    /// A call of a tool: a message to its server, or a wrapped function.
    Tool,
    /// Anything else.
    Other,
}

/// What is known of an exchange by which a span may be known to be about it.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The exchange.
    pub id: ExchangeId,
    /// What it is.
    pub kind: Kind,
    /// When the request came: microseconds since the Unix epoch.
    pub started_us: u64,
    /// When its answer was whole or broke off; `started_us` when there was none.
    pub ended_us: u64,
    /// True when there was no answer, or an error.
    pub failed: bool,
    /// Spans that the request names as its parent: every valid header in order, then what stands in its messages.
    pub parents: Vec<SpanKey>,
    /// Hash of path and body.
    pub body: Hash,
    /// How often it was tried before.
    pub retries: u32,
    /// The provider's id of the answer.
    pub response_id: Option<String>,
    /// Ids of the request in the answer's headers.
    pub request_ids: Vec<String>,
    /// The model that was asked for.
    pub request_model: Option<String>,
    /// The model that answered.
    pub response_model: Option<String>,
    /// What the model answered.
    pub output: Option<Hash>,
    /// Ids of the calls in the answer.
    pub asked_ids: Vec<String>,
    /// What the model was asked last.
    pub input: Option<Input>,
    /// Of a tool: ids of the model's calls that it is for.
    pub call_ids: Vec<String>,
    /// Of a tool: its name.
    pub tool: Option<String>,
    /// Messages to a server of tools: method, and id.
    pub rpc: Vec<(String, String)>,
    /// Session with that server.
    pub rpc_session: Option<String>,
    /// Ids of the agent, or of its call.
    pub agent_ids: Vec<String>,
    /// Ids of conversation and session.
    pub sessions: Vec<String>,
}

/// Headers with the provider's id of the request.
const REQUEST_IDS: [&str; 5] =
    ["request-id", "x-request-id", "x-amzn-requestid", "apim-request-id", "x-goog-request-id"];
/// Baggage that names an agent or the call of one.
const AGENT_BAGGAGE: [&str; 2] = ["gen_ai.agent.call.id", "gen_ai.agent.id"];
/// Baggage that names a conversation or session.
const SESSION_BAGGAGE: [&str; 2] = ["gen_ai.conversation.id", "session.id"];
/// Headers that name a conversation or session.
const SESSION_HEADERS: [&str; 5] =
    ["x-claude-code-session-id", "x-session-id", "session_id", "session-id", "conversation_id"];

impl Asked {
    /// Reads an exchange.
    pub fn of(exchange: &Exchange) -> Asked {
        let request = &exchange.request;
        let headers = &request.head.headers;
        let context = SpanContext::from_headers(headers);
        let body = encoding::decode_what_is_there(headers.get("content-encoding"), &request.body).bytes;
        let path = request.head.path();
        let lasted = exchange.response.as_ref().map_or(0, |response| response.end_us);
        let head = exchange.response.as_ref().and_then(|response| response.head.as_ref());
        let mut asked = Asked {
            id: request.id,
            kind: Kind::Other,
            started_us: request.started_us,
            ended_us: request.started_us.saturating_add(lasted),
            failed: head.is_none_or(|head| head.status >= 400),
            parents: traceparents(headers).filter_map(key_of).collect(),
            body: hash128(&[path.as_bytes(), b"\0", &hash128(&body)].concat()),
            retries: context.retry_count,
            response_id: None,
            request_ids: Vec::new(),
            request_model: None,
            response_model: None,
            output: None,
            asked_ids: Vec::new(),
            input: None,
            call_ids: Vec::new(),
            tool: None,
            rpc: Vec::new(),
            rpc_session: headers.get("mcp-session-id").map(str::to_string),
            agent_ids: context.agent_id.into_iter().collect(),
            sessions: values(headers, &SESSION_HEADERS),
        };
        asked.carry(baggage(headers));
        if let Some(head) = head {
            asked.request_ids = values(&head.headers, &REQUEST_IDS);
            asked.rpc_session =
                asked.rpc_session.or_else(|| head.headers.get("mcp-session-id").map(str::to_string));
        }
        match dialect::recognise(&request.head) {
            Some((dialect, Endpoint::Model)) => asked.read_model(dialect, exchange, &body),
            Some((_, Endpoint::Side)) => asked.read_field_model(&body),
            None if request.upstream.provider == TOOL => asked.read_function(&body),
            None => asked.read_other(path, &body),
        }
        asked
    }

    fn read_model(&mut self, dialect: &dyn dialect::Dialect, exchange: &Exchange, body: &[u8]) {
        self.kind = Kind::Model;
        if let Ok(request) = dialect.read_request(&exchange.request.head.target, body) {
            self.input = content::input_of(content::of_messages(&request.messages));
            self.request_model = Some(request.model).filter(|model| !model.is_empty());
        }
        let Some(response) = &exchange.response else { return };
        let Some(head) = &response.head else { return };
        let encoded = head.headers.get("content-encoding");
        let answer =
            dialect.read_answer(head, &encoding::decode_what_is_there(encoded, &response.body).bytes);
        let turn = content::of_blocks(Role::Assistant, &answer.blocks);
        self.failed = self.failed || answer.error.is_some();
        self.output = content::hash_of(std::slice::from_ref(&turn));
        self.asked_ids = turn.call_ids;
        self.response_id = answer.id;
        self.response_model = answer.model;
    }

    fn read_field_model(&mut self, body: &[u8]) {
        let read: Option<Value> = serde_json::from_slice(body).ok();
        self.request_model = read.and_then(|body| body.get("model")?.as_str().map(str::to_string));
    }

    /// A function that was wrapped: its id of the model's call stands in its body.
    fn read_function(&mut self, body: &[u8]) {
        self.kind = Kind::Tool;
        let Ok(read) = serde_json::from_slice::<Value>(body) else { return };
        self.call_ids.extend(read.get("tool_call_id").and_then(|id| id.as_str()).map(str::to_string));
    }

    fn read_other(&mut self, path: &str, body: &[u8]) {
        let last = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        if matches!(last, "embeddings" | "embed")
            || last.ends_with("mbedContent")
            || last.ends_with("mbedContents")
        {
            self.kind = Kind::Embedding;
            return self.read_field_model(body);
        }
        for message in messages(body, false) {
            self.kind = Kind::Tool;
            self.read_message(&message);
        }
    }

    fn read_message(&mut self, message: &Message) {
        let meta = message.content.get("_meta");
        let text = |key: &str| meta.and_then(|meta| meta.get(key)?.as_str());
        self.parents.extend(text("traceparent").and_then(parse_traceparent).and_then(key_of));
        self.carry(text("baggage").map(parse_baggage).unwrap_or_default());
        self.call_ids.extend(message.made_for().map(str::to_string));
        if let Some((tool, _)) = message.call() {
            self.tool = Some(tool.to_string());
        }
        if message.kind == Rpc::Request {
            self.rpc.push((message.method.clone(), message.id.trim_matches('"').to_string()));
        }
    }

    fn carry(&mut self, pairs: Vec<(String, String)>) {
        for (key, value) in pairs.into_iter().filter(|(_, value)| !value.is_empty()) {
            if AGENT_BAGGAGE.contains(&key.as_str()) {
                self.agent_ids.push(value);
            } else if SESSION_BAGGAGE.contains(&key.as_str()) {
                self.sessions.push(value);
            }
        }
    }
}

/// The span that a `traceparent` names.
pub fn key_of(parent: TraceParent<'_>) -> Option<SpanKey> {
    Some(SpanKey { trace: TraceId::parse(parent.trace)?, span: SpanId::parse(parent.span)? })
}

fn values(headers: &HeaderList, names: &[&str]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for name in names {
        found.extend(headers.get(name).map(str::trim).filter(|v| !v.is_empty()).map(str::to_string));
    }
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::{
        BodyEnd, RecordedRequest, RecordedResponse, RequestHead, ResponseHead, Source, Upstream,
    };
    use bytes::Bytes;
    use std::io::Write;

    fn list(pairs: &[(&str, &str)]) -> HeaderList {
        HeaderList(pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect())
    }

    fn exchange(provider: &str, target: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Exchange {
        let head = RequestHead { method: "POST".into(), target: target.into(), headers: list(headers) };
        Exchange {
            request: RecordedRequest {
                id: ExchangeId(3),
                started_us: 100,
                upstream: Upstream { provider: provider.into(), origin: "http://x".into() },
                head,
                body: body.into(),
                end: BodyEnd::Complete,
                sent: None,
                sent_target: None,
                stand_ins: vec![],
            },
            response: None,
        }
    }

    fn gzip(text: &str) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    const CHAT: &str = r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;

    #[test]
    fn a_call_of_a_model_is_read_through_its_encoding() {
        let plain = Asked::of(&exchange("openai", "/v1/chat/completions", &[], CHAT));
        assert_eq!((plain.kind, plain.failed, plain.ended_us), (Kind::Model, true, 100));
        assert_eq!((plain.request_model.as_deref(), plain.input.map(|of| of.turns)), (Some("m"), Some(1)));
        let head = [("content-encoding", "gzip")];
        let mut zipped = exchange("openai", "/v1/chat/completions", &head, gzip(CHAT));
        let answer = r#"{"id":"chatcmpl-1","model":"m-1","choices":[{"message":{"role":"assistant","content":"ho","tool_calls":[{"id":"c","type":"function","function":{"name":"t","arguments":"{}"}}]}}]}"#;
        zipped.response = Some(RecordedResponse {
            source: Source::Live,
            head: Some(ResponseHead {
                status: 200,
                headers: list(&[
                    ("content-type", "application/json"),
                    ("Content-Encoding", "gzip"),
                    ("X-Request-Id", "req_1"),
                ]),
            }),
            fault: None,
            head_us: 1,
            body: gzip(answer).into(),
            frames: vec![],
            end: BodyEnd::Complete,
            end_us: 50,
            stand_ins: vec![],
        });
        let zipped = Asked::of(&zipped);
        assert_eq!((zipped.input, zipped.body), (plain.input, plain.body));
        assert_eq!((zipped.failed, zipped.ended_us), (false, 150));
        assert_eq!(zipped.response_id.as_deref(), Some("chatcmpl-1"));
        assert_eq!(
            (zipped.request_ids, zipped.asked_ids),
            (vec!["req_1".to_string()], vec!["c".to_string()])
        );
        assert!(zipped.output.is_some());
    }

    #[test]
    fn who_asks_stands_in_headers_whether_the_trace_is_sampled_or_not() {
        let headers = [
            ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"),
            ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-zzzzzzzzzzzzzzzz-01"),
            ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01"),
            ("baggage", "gen_ai.agent.call.id=a%201,gen_ai.conversation.id=c,other=x"),
            ("X-Claude-Code-Agent-Id", "b"),
            ("x-stainless-retry-count", "2"),
        ];
        let asked = Asked::of(&exchange("openai", "/v1/chat/completions", &headers, CHAT));
        let parents: Vec<String> = asked.parents.iter().map(|key| key.span.to_string()).collect();
        assert_eq!(parents, ["b7ad6b7169203331", "00f067aa0ba902b7"]);
        assert_eq!(
            (asked.agent_ids, asked.sessions),
            (vec!["b".into(), "a 1".into()], vec!["c".to_string()])
        );
        assert_eq!(asked.retries, 2);
    }

    #[test]
    fn tools_vectors_and_nonsense() {
        let wrapped = Asked::of(&exchange(
            TOOL,
            "/look",
            &[],
            r#"{"call":"1","tool_call_id":"call_7","arguments":{}}"#,
        ));
        assert_eq!((wrapped.kind, wrapped.call_ids.as_slice()), (Kind::Tool, &["call_7".to_string()][..]));
        let message = r#"{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"t","_meta":{
            "traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01","baggage":"session.id=s","callId":"call_8"}}}"#;
        let message = Asked::of(&exchange("mcp", "/mcp", &[("mcp-session-id", "m")], message));
        assert_eq!(
            (message.kind, message.parents.len(), message.tool.as_deref()),
            (Kind::Tool, 1, Some("t"))
        );
        assert_eq!(message.rpc, [("tools/call".to_string(), "a".to_string())]);
        assert_eq!(
            (message.call_ids, message.sessions, message.rpc_session),
            (vec!["call_8".to_string()], vec!["s".to_string()], Some("m".into()))
        );
        let embeds = Asked::of(&exchange("openai", "/v1/embeddings", &[], r#"{"model":"e","input":"x"}"#));
        assert_eq!((embeds.kind, embeds.request_model.as_deref()), (Kind::Embedding, Some("e")));
        for (target, body) in [("/v1/chat/completions", "{"), ("/mcp", "[[["), ("/x", ""), ("", "\u{0}")] {
            assert_eq!(
                Asked::of(&exchange("openai", target, &[("baggage", "=,;=%")], body)).response_id,
                None
            );
        }
        assert_eq!(Asked::of(&exchange(TOOL, "/look", &[], "no JSON")).call_ids, Vec::<String>::new());
    }
}
