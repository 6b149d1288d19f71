//! Messages of WebSockets that are longer than is held: whoever sends one is told so, by the code that is there for it.

use crate::invisible::recording;
use crate::support::env::{TestEnv, project};
use crate::support::socket_model::{Session, SocketModel, hear, say};
use crate::support::soon;
use crate::support::tape::MemoryTape;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

/// One byte more than is taken.
const LONG: usize = (64 << 20) + 1;

/// The code that a session is closed with; none where it breaks off.
async fn closed(session: &mut Session) -> Option<u16> {
    loop {
        match session.next().await {
            Some(Ok(Message::Close(frame))) => return frame.map(|frame| frame.code.into()),
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return None,
        }
    }
}

/// Sends a long message when it is asked for one; notes how its sessions are closed.
fn upstream(codes: &Arc<Mutex<Vec<Option<u16>>>>) -> SocketModel {
    let codes = codes.clone();
    SocketModel::with(move |mut session, _| {
        let codes = codes.clone();
        async move {
            let code = match session.next().await {
                Some(Ok(Message::Close(frame))) => frame.map(|frame| frame.code.into()),
                Some(Ok(_)) => {
                    // It may be refused before it is out.
                    let _ = session.send(Message::Binary(vec![b'x'; LONG].into())).await;
                    closed(&mut session).await
                }
                Some(Err(_)) | None => None,
            };
            codes.lock().expect("no panics").push(code);
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_too_long_closes_the_session_with_1009() {
    for of_agent in [true, false] {
        let codes: Arc<Mutex<Vec<Option<u16>>>> = Arc::default();
        let upstream = upstream(&codes);
        let tape = MemoryTape::new();
        let proxy = recording(&upstream.origin(), &tape).await;
        let address = proxy.origin().replace("http://", "");
        let request = format!("ws://{address}/up/v1/realtime").into_client_request().expect("a request");
        let stream = TcpStream::connect(&address).await.expect("the proxy listens");
        let opened = soon("a session", tokio_tungstenite::client_async(request, stream)).await;
        let mut agent = opened.expect("a session").0;
        if of_agent {
            // It may be refused before it is out.
            let _ = agent.send(Message::Binary(vec![b'x'; LONG].into())).await;
        } else {
            agent.send(Message::Text(r#"{"type":"response.create"}"#.into())).await.expect("sent");
        }
        let code = soon("a closing", closed(&mut agent)).await;
        assert_eq!(code, Some(1009), "of the agent: {of_agent}");
        let told = async {
            loop {
                if let Some(code) = codes.lock().expect("no panics").first() {
                    return *code;
                }
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        };
        let code = soon("the upstream's closing", told).await;
        assert_eq!(code, Some(if of_agent { 1001 } else { 1009 }), "of the agent: {of_agent}");
    }
}

/// Says something, then a message of the length in LONG; prints how the session ended.
const AGENT: &str = r#"
import json, os
from sockets import Closed, Socket
socket = Socket(os.environ["OPENAI_BASE_URL"].replace("http", "ws", 1) + "/responses", {"Authorization": "Bearer none"})
try:
    if "LONG" in os.environ:
        socket.frame(1, b"x" * int(os.environ["LONG"]))
    socket.send(json.dumps({"type": "response.create", "model": "m", "input": []}))
    while True:
        print(len(socket.receive()))
except Closed as closed:
    print(closed)
"#;

#[test]
fn one_that_the_upstream_sent_is_recorded_and_replayed_as_that() {
    let mut model = SocketModel::with(|mut session, _| async move {
        hear(&mut session).await;
        say(&mut session, json!({"type": "response.created"})).await;
        let long: Value = "x".repeat(LONG).into();
        say(&mut session, json!({"type": "response.output_text.delta", "delta": long})).await;
        closed(&mut session).await;
    });
    let mut env = TestEnv::new();
    env.upstream(&model.origin());
    env.set("PYTHONPATH", project().join("tests/it/agents").display().to_string());
    env.set("PYTHONDONTWRITEBYTECODE", "1");
    env.file("agent.py", AGENT);
    let ran = env.retake(["run", "--name", "long", "--", "python3", "agent.py"]);
    assert_eq!(ran.out, "27\nclosed 1009 retake: a message is longer than 64 MiB\n", "{}", ran.err);
    model.stop();
    let replayed = env.retake(["replay", "long.1"]);
    assert_eq!(replayed.out, ran.out, "{}", replayed.err);
    // The agent's own is refused by a replay as well.
    env.set("LONG", LONG.to_string());
    let refused = env.retake(["replay", "long.1", "--", "python3", "agent.py"]);
    assert_eq!(refused.out, "closed 1009 retake: a message is longer than 64 MiB\n", "{}", refused.err);
}
