//! A fork's own way to a server over HTTP. What the server was told when it was recorded it does not know today: before it
//! is asked anything for the agent, it is introduced to the agent as it introduced itself.

use crate::dialect::sse;
use crate::exchange::{HeaderList, Upstream};
use crate::mcp::message::{Kind, Message, messages};
use crate::mcp::tools::{Tool, changes, listed};
use crate::proxy::{Asked, Outbound};
use crate::replay::channels::{endpoint_in, resolved};
use bytes::Bytes;
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// The field that names a session.
pub(super) const SESSION: &str = "mcp-session-id";
const VERSION: &str = "mcp-protocol-version";

/// How long a server may take for one answer of an introduction.
const PATIENCE: Duration = Duration::from_secs(30);

/// How much of an error is told, in bytes.
const SHOWN: usize = 300;

/// A session as the server has it today.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    /// Fields that its requests are sent with.
    pub fields: HeaderList,
    /// How its tools differ from those that the agent was told of.
    pub changes: Vec<String>,
}

/// What the agent told a server of itself, and was told by the recording.
#[derive(Debug, Clone, Default)]
pub(super) struct Acquaintance {
    /// Its `initialize`.
    pub hello: Option<Message>,
    /// The tools that it knows of.
    pub tools: Option<Vec<Tool>>,
}

impl Acquaintance {
    /// Notes a request of the agent and the messages of its recorded answer.
    pub(super) fn note(&mut self, live: &Message, answer: &[Message]) {
        match live.method.as_str() {
            "initialize" => self.hello = Some(live.clone()),
            "tools/list" => {
                let answer = answer.iter().find(|message| message.kind == Kind::Response);
                let whole = answer.filter(|message| message.content.get("nextCursor").is_none());
                self.tools = whole.map(listed).filter(|tools| !tools.is_empty());
            }
            _ => {}
        }
    }
}

/// The way to a server.
pub(super) struct Way {
    outbound: Arc<Outbound>,
    upstream: Upstream,
    /// Path and query of what messages are posted to.
    target: String,
    fields: HeaderList,
    /// What comes on a stream of its own, over the older transport.
    heard: Option<Arc<Mutex<Heard>>>,
}

/// What a stream brings for others than the agent.
#[derive(Default)]
struct Heard {
    /// Who waits for the answer to retake's own request of this id.
    own: HashMap<String, oneshot::Sender<Message>>,
    /// Requests of the server that the agent is to answer.
    asked: HashSet<String>,
}

fn locked(heard: &Mutex<Heard>) -> MutexGuard<'_, Heard> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Way {
    /// To where the agent posts.
    pub(super) fn posting(outbound: Arc<Outbound>, asked: &Asked) -> Way {
        let mut fields = asked.head.headers.clone();
        fields.remove(SESSION);
        fields.remove(VERSION);
        let target = asked.head.target.clone();
        Way { outbound, upstream: asked.upstream.clone(), target, fields, heard: None }
    }

    /// Over a stream of its own, opened as the agent opened its (`stream`); messages go as it posts them. What is for
    /// the agent comes through `feed`.
    ///
    /// # Errors
    /// Why the server opens none.
    pub(super) async fn streaming(
        outbound: Arc<Outbound>,
        stream: &Asked,
        posted: &Asked,
        feed: mpsc::UnboundedSender<(Duration, Bytes)>,
    ) -> Result<Way, String> {
        let mut reply =
            outbound.send(&stream.upstream, &stream.head.target, &stream.head.headers, None).await?;
        if reply.head.status != 200 {
            return Err(format!("it answers {} to {}", reply.head.status, stream.head.target));
        }
        let mut parser = sse::Parser::default();
        let (target, rest) = loop {
            let Some(bytes) = within(reply.next()).await? else {
                return Err("its stream ends before it says where to post".into());
            };
            let mut events = parser.push(&bytes).into_iter();
            if let Some(told) = events.find_map(|event| endpoint_in(&event).map(str::to_string)) {
                break (resolved(&told, &stream.head.target), events.collect::<Vec<_>>());
            }
        };
        let heard = Arc::new(Mutex::new(Heard::default()));
        let hears = heard.clone();
        tokio::spawn(async move {
            let mut events = rest;
            loop {
                for event in events {
                    hear(&hears, &event, &feed);
                }
                // It may end when it likes: the agent's own stays open, as the recorded one did.
                let Ok(Some(bytes)) = reply.next().await else { break };
                events = parser.push(&bytes);
            }
            locked(&hears).own.clear();
        });
        let fields = posted.head.headers.clone();
        Ok(Way { outbound, upstream: stream.upstream.clone(), target, fields, heard: Some(heard) })
    }

    /// Introduces the agent.
    ///
    /// # Errors
    /// What the server says, or that it says nothing.
    pub(super) async fn introduce(&mut self, agent: &Acquaintance) -> Result<Known, String> {
        let Some(hello) = &agent.hello else { return Ok(Known::default()) };
        let (told, session) = self.ask("initialize", &hello.content).await?;
        let version = told.content.get("protocolVersion").and_then(Value::as_str).map(str::to_string);
        let mut known = Known::default();
        if self.heard.is_none() {
            let fields = [(SESSION, session.unwrap_or_default()), (VERSION, version.unwrap_or_default())];
            for (name, value) in fields {
                known.fields.push(name, value.clone());
                if !value.is_empty() {
                    self.fields.set(name, value);
                }
            }
        }
        let ready = br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
        self.post(Bytes::from_static(ready)).await?;
        if let Some(before) = &agent.tools {
            let (told, _) = self.ask("tools/list", &Value::Object(serde_json::Map::new())).await?;
            if told.content.get("tools").is_some() && told.content.get("nextCursor").is_none() {
                known.changes = changes(before, &listed(&told));
            }
        }
        Ok(known)
    }

    /// Asks something of retake's own; the response, and the session that its head names.
    async fn ask(&self, method: &str, params: &Value) -> Result<(Message, Option<String>), String> {
        let id = format!("\"retake-introduction-{method}\"");
        let text = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#);
        let waits = self.heard.as_ref().map(|heard| {
            let (tell, told) = oneshot::channel();
            locked(heard).own.insert(id.clone(), tell);
            told
        });
        let mut reply = self.send(text.into()).await?;
        let session = reply.head.headers.get(SESSION).map(str::to_string);
        let told = match waits {
            Some(waits) => within(async { waits.await.map_err(|_| "its stream ended".to_string()) }).await?,
            None => {
                let streams = reply.head.is_event_stream();
                let mut body = Vec::new();
                loop {
                    let bytes = within(reply.next()).await?;
                    body.extend_from_slice(bytes.as_deref().unwrap_or_default());
                    let ended = bytes.is_none();
                    // A stream may stay open behind its answer.
                    let read = if streams || ended { messages(&body, streams) } else { Vec::new() };
                    let found = read.into_iter().find(|m| m.kind == Kind::Response && m.id == id);
                    match found {
                        Some(message) => break message,
                        None if ended => return Err(format!("it does not answer {method}")),
                        None => {}
                    }
                }
            }
        };
        if told.content.get("code").is_some_and(Value::is_number) {
            return Err(format!("it answers {method} with {}", told.content));
        }
        Ok((told, session))
    }

    /// Posts a message, and reads what the server says to that to its end.
    ///
    /// # Errors
    /// When it does not take it.
    pub(super) async fn post(&self, message: Bytes) -> Result<(), String> {
        let mut reply = self.send(message).await?;
        while within(reply.next()).await?.is_some() {}
        Ok(())
    }

    async fn send(&self, message: Bytes) -> Result<crate::proxy::Reply, String> {
        let sent = self.outbound.send(&self.upstream, &self.target, &self.fields, Some(message));
        let mut reply = within(sent).await?;
        if reply.head.status < 400 {
            return Ok(reply);
        }
        let mut said = Vec::new();
        while let Some(bytes) = within(reply.next()).await? {
            said.extend_from_slice(&bytes);
        }
        let said = String::from_utf8_lossy(said.get(..SHOWN).unwrap_or(&said)).into_owned();
        Err(format!("it answers {}: {said}", reply.head.status))
    }

    /// True when the server asked this of the agent today.
    pub(super) fn asked_back(&self, id: &str) -> bool {
        self.heard.as_ref().is_some_and(|heard| locked(heard).asked.remove(id))
    }
}

/// Passes on what came on a stream: to whoever waits for it, else to the agent.
fn hear(heard: &Mutex<Heard>, event: &sse::Event, feed: &mpsc::UnboundedSender<(Duration, Bytes)>) {
    let Some(message) = Message::read(event.data.as_bytes()) else { return };
    let mut heard = locked(heard);
    if message.kind == Kind::Response
        && let Some(waits) = heard.own.remove(&message.id)
    {
        // Whoever waited may have given up.
        let _ = waits.send(message);
        return;
    }
    if message.kind == Kind::Request {
        heard.asked.insert(message.id);
    }
    let text = format!("event: message\r\ndata: {}\r\n\r\n", event.data.replace(['\n', '\r'], " "));
    // The agent may have left.
    let _ = feed.send((Duration::ZERO, text.into()));
}

async fn within<T>(answer: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let late = || format!("no answer within {} seconds", PATIENCE.as_secs());
    tokio::time::timeout(PATIENCE, answer).await.unwrap_or_else(|_| Err(late()))
}
