//! Upstreams that speak WebSocket: a lamp seller that speaks Responses, and whatever a test scripts.

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};

/// One end of a session.
pub type Session = WebSocketStream<TcpStream>;

/// What was asked of an upstream.
#[derive(Default)]
pub struct Seen {
    /// Targets and headers of the openings.
    pub openings: Vec<(String, Vec<(String, String)>)>,
    /// Text messages, as JSON.
    pub messages: Vec<Value>,
}

/// A running upstream; its port stays until the test ends.
pub struct SocketModel {
    address: SocketAddr,
    pub seen: Arc<Mutex<Seen>>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
}

impl SocketModel {
    /// The lamp seller.
    pub fn lamps() -> SocketModel {
        SocketModel::with(|session, seen| async move { sell(session, seen).await })
    }

    /// One that listens to callers, and speaks Realtime or Gemini's Live API as they do.
    pub fn voice() -> SocketModel {
        SocketModel::with(|session, seen| async move { listen(session, seen).await })
    }

    /// One that does this with every session.
    pub fn with<F, D>(does: F) -> SocketModel
    where
        F: Fn(Session, Arc<Mutex<Seen>>) -> D + Send + Sync + 'static,
        D: Future<Output = ()> + Send + 'static,
    {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        listener.set_nonblocking(true).expect("sockets can be non-blocking");
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let shared = seen.clone();
        let (stop, mut stopped) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async move {
                let listener = TcpListener::from_std(listener).expect("a listener");
                loop {
                    let stream = tokio::select! {
                        accepted = listener.accept() => accepted.expect("a connection").0,
                        _ = &mut stopped => return,
                    };
                    let noted = shared.clone();
                    #[expect(clippy::result_large_err, reason = "the library wants it so")]
                    let note =
                        move |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
                            let fields = request.headers().iter();
                            let fields =
                                fields.map(|(n, v)| (n.to_string(), v.to_str().unwrap_or("").to_string()));
                            let target = request.uri().to_string();
                            noted.lock().expect("no panics").openings.push((target, fields.collect()));
                            Ok(response)
                        };
                    if let Ok(session) = tokio_tungstenite::accept_hdr_async(stream, note).await {
                        tokio::spawn(does(session, shared.clone()));
                    }
                }
            });
        });
        SocketModel { address, seen, stop: Some(stop) }
    }

    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Nobody is there any more.
    pub fn stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }

    pub fn openings(&self) -> usize {
        self.seen.lock().expect("no panics").openings.len()
    }

    pub fn messages(&self) -> Vec<Value> {
        self.seen.lock().expect("no panics").messages.clone()
    }
}

pub async fn say(session: &mut Session, event: Value) -> bool {
    session.send(Message::Text(event.to_string().into())).await.is_ok()
}

/// The next text, as JSON; none when it was closed.
pub async fn hear(session: &mut Session) -> Option<Value> {
    loop {
        match session.next().await?.ok()? {
            Message::Text(text) => return serde_json::from_str(&text).ok(),
            Message::Close(_) => return None,
            _ => {}
        }
    }
}

async fn sell(mut session: Session, seen: Arc<Mutex<Seen>>) {
    // What this connection knows, and no other.
    let mut known: HashMap<String, Vec<Value>> = HashMap::new();
    while let Some(asked) = hear(&mut session).await {
        let number = {
            let mut seen = seen.lock().expect("no panics");
            seen.messages.push(asked.clone());
            seen.messages.len()
        };
        if asked["type"] != "response.create" {
            continue;
        }
        let own = asked["input"].as_array().cloned().unwrap_or_default();
        let before = match asked["previous_response_id"].as_str() {
            None => Vec::new(),
            Some(id) => match known.get(id) {
                Some(before) => before.clone(),
                None => {
                    let error =
                        json!({"code": "previous_response_not_found", "message": format!("no {id} here")});
                    say(&mut session, json!({"type": "error", "status": 400, "error": error})).await;
                    continue;
                }
            },
        };
        let mut items = [before, own].concat();
        let output =
            if asked["generate"] == json!(false) { Vec::new() } else { vec![answer(&items, number)] };
        let response = |status: &str, output: &[Value]| {
            json!({"id": format!("resp_{number}"), "object": "response", "status": status, "model": "m", "output": output,
                "usage": {"input_tokens": items.len(), "output_tokens": 2}})
        };
        say(&mut session, json!({"type": "response.created", "response": response("in_progress", &[])}))
            .await;
        for (index, item) in output.iter().enumerate() {
            if let Some(text) = item["content"][0]["text"].as_str() {
                let (left, right) = text.split_at(text.len() / 2);
                for delta in [left, right] {
                    let at = json!({"type": "response.output_text.delta", "output_index": index, "content_index": 0, "delta": delta});
                    say(&mut session, at).await;
                }
            }
            say(
                &mut session,
                json!({"type": "response.output_item.done", "output_index": index, "item": item}),
            )
            .await;
        }
        say(&mut session, json!({"type": "response.completed", "response": response("completed", &output)}))
            .await;
        items.extend(output);
        known.insert(format!("resp_{number}"), items);
    }
}

/// Asks for a look, then tells of it.
fn answer(items: &[Value], number: usize) -> Value {
    let result = items.iter().rev().find(|item| item["type"] == "function_call_output");
    match result.and_then(|item| serde_json::from_str::<Value>(item["output"].as_str()?).ok()) {
        Some(result) => {
            let text = format!("{} of {} left", result["stock"], result["item"].as_str().unwrap_or("?"));
            let part = json!({"type": "output_text", "text": text, "annotations": []});
            json!({"type": "message", "id": format!("msg_{number}"), "role": "assistant", "status": "completed", "content": [part]})
        }
        None => {
            let task = items.last().and_then(|item| item["content"].as_str()).unwrap_or_default();
            let item = task.rsplit(' ').next().unwrap_or_default();
            json!({"type": "function_call", "id": format!("fc_{number}"), "call_id": format!("call_{number}"), "name": "look",
                "arguments": json!({"item": item}).to_string(), "status": "completed"})
        }
    }
}

/// Hears audio, says when it begins to, and how much it was.
async fn listen(mut session: Session, seen: Arc<Mutex<Seen>>) {
    let target = seen.lock().expect("no panics").openings.last().map(|(t, _)| t.clone()).unwrap_or_default();
    let realtime = target.contains("/realtime");
    if realtime {
        say(&mut session, json!({"type": "session.created", "event_id": "e0", "session": {"id": "s"}})).await;
    }
    let mut heard = 0;
    while let Some(Ok(message)) = session.next().await {
        if message.is_close() {
            return;
        }
        let Ok(said) = serde_json::from_slice::<Value>(&message.into_data()) else { continue };
        seen.lock().expect("no panics").messages.push(said.clone());
        let audio = said["audio"].as_str().or(said["realtimeInput"]["audio"]["data"].as_str());
        if let Some(audio) = audio {
            let length = audio.len() / 4 * 3 - audio.bytes().rev().take_while(|b| *b == b'=').count();
            if realtime && heard < 1000 && heard + length >= 1000 {
                say(&mut session, json!({"type": "input_audio_buffer.speech_started"})).await;
            }
            heard += length;
        }
        let transcript = format!("heard {heard} bytes");
        // As Gemini has it: JSON with line feeds, in binary messages.
        let gemini = |value: Value| Message::Binary(format!("{value:#}\n").into_bytes().into());
        if said["type"] == "session.update" {
            say(&mut session, json!({"type": "session.updated", "session": said["session"]})).await;
        } else if said["type"] == "response.create" {
            say(
                &mut session,
                json!({"type": "response.output_audio_transcript.done", "transcript": transcript}),
            )
            .await;
            say(&mut session, json!({"type": "response.done", "response": {"status": "completed"}})).await;
        } else if said.get("setup").is_some() {
            let _ = session.send(gemini(json!({"setupComplete": {}}))).await;
        } else if said["realtimeInput"]["audioStreamEnd"] == json!(true) {
            let _ = session
                .send(gemini(json!({"serverContent": {"outputTranscription": {"text": transcript}}})))
                .await;
            let _ = session.send(gemini(json!({"serverContent": {"turnComplete": true}}))).await;
        }
    }
}
