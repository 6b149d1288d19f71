//! WebSockets from the outside: recorded turn by turn, replayed without an upstream, forked.

use crate::invisible::recording;
use crate::support::agent::Agent;
use crate::support::env::{TestEnv, project};
use crate::support::socket_model::{Session, SocketModel, hear, say};
use crate::support::soon;
use crate::support::tape::{MemoryTape, bytes_of, sent_of};
use crate::support::upstream::{FakeUpstream, Gate, Script};
use futures_util::{SinkExt, StreamExt};
use retake::exchange::BodyEnd;
use retake::proxy::Proxy;
use serde_json::json;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

pub fn agent() -> Vec<String> {
    let script = project().join("tests/it/agents/socket_lamps.py").display().to_string();
    vec!["python3".into(), script]
}

/// A recording of the lamp agent as `lamp.1`: it warms up, looks, answers.
pub fn lamp() -> (TestEnv, SocketModel) {
    let (mut env, model) = (TestEnv::new(), SocketModel::lamps());
    env.upstream(&model.origin());
    let run = ["run", "--name", "lamp", "--"].map(String::from);
    let ran = env.retake([&run[..], &agent()].concat()).expect(0);
    assert_eq!(ran.out, "3 of desk left\n", "{}", ran.all());
    ran.says(&["lamp.1   3 steps (2 model, 1 tool)"]);
    (env, model)
}

#[test]
fn a_session_replays_without_its_upstream() {
    let (env, mut model) = lamp();
    model.stop();
    let ran = env.retake(["replay", "lamp.1"]).expect(0);
    assert_eq!(ran.out, "3 of desk left\n", "{}", ran.all());
    ran.says(&["replayed  3/3 steps   0 live calls", "same outcome"]);
    assert_eq!(model.openings(), 1);
}

#[test]
fn a_fork_asks_an_upstream_that_knows_nothing_of_the_recording() {
    let (env, model) = lamp();
    let known = model.messages().len();
    let ran = env.retake(["fork", "lamp.1", "--set", "2:result.stock=7"]).expect(0);
    assert_eq!(ran.out, "7 of desk left\n", "{}", ran.all());
    let live = model.messages().split_off(known);
    assert_eq!(live.len(), 1, "{live:?}");
    assert!(live[0].get("previous_response_id").is_none(), "{}", live[0]);
    assert_eq!(live[0]["input"].as_array().map(Vec::len), Some(3), "{}", live[0]);
    assert_eq!(live[0]["type"], "response.create");
    let again = env.retake(["replay", "lamp.2"]).expect(0);
    assert_eq!((again.out, model.messages().len()), (ran.out, known + 1), "a fork replays offline");
}

#[test]
fn answers_and_faults_are_edited_in_the_form_of_messages() {
    let (env, model) = lamp();
    let known = model.messages().len();
    let ran = env.retake(["fork", "lamp.1", "--set", "3:answer=Sold out."]).expect(0);
    assert_eq!(ran.out, "Sold out.\n", "{}", ran.all());
    let ran = env.retake(["fork", "lamp.1", "--set", "3:fault=429"]);
    ran.says(&["failed 429 injected by retake"]);
    assert_eq!(model.messages().len(), known);
}

#[test]
fn another_question_closes_the_session_and_is_explained() {
    let (mut env, model) = lamp();
    env.set("TASK", "Sell: chair");
    let ran = env.retake([&["replay", "lamp.1", "--"].map(String::from)[..], &agent()].concat()).expect(4);
    ran.says(&["failed 422 retake: ", "Sell: chair", "Look for: desk"]);
    assert_eq!(model.openings(), 1);
}

#[test]
fn an_agent_that_leaves_or_asks_by_http_gets_what_was_recorded() {
    let (mut env, _model) = lamp();
    env.set("LEAVES", "1");
    let replay = [&["replay", "lamp.1", "--"].map(String::from)[..], &agent()].concat();
    assert_eq!(env.retake(&replay).expect(0).out, "3 of desk left\n");
    // One that asks otherwise than it did is answered in the form it asked in.
    let script = "import os; os.environ['FALLS_BACK'] = '1'; import sockets\n\
                  def refuse(*_): raise sockets.Refused(426, '')\n\
                  sockets.Socket = refuse\nimport socket_lamps";
    env.set("PYTHONPATH", project().join("tests/it/agents").display().to_string());
    let ran = env.retake(["replay", "lamp.1", "--", "python3", "-c", script]).expect(0);
    assert_eq!(ran.out, "3 of desk left\n", "{}", ran.all());
}

#[test]
fn where_none_was_recorded_an_opening_is_answered_426() {
    let mut env = TestEnv::new();
    let events = |output: serde_json::Value| {
        let response =
            json!({"id": "r", "object": "response", "status": "completed", "model": "m", "output": output});
        format!("data: {}\n\n", json!({"type": "response.completed", "response": response}))
    };
    let part = json!({"type": "output_text", "text": "none left", "annotations": []});
    let said = events(json!([{"type": "message", "id": "m", "role": "assistant", "content": [part]}]));
    let model = FakeUpstream::reading(move |_, request| match request.method.as_str() {
        "GET" => Script::body("426 Upgrade Required", &[], b"no"),
        _ => Script::events(&[&said]),
    });
    env.upstream(&model.origin());
    env.set("FALLS_BACK", "1");
    let run = [&["run", "--name", "lamp", "--"].map(String::from)[..], &agent()].concat();
    let ran = env.retake(&run).expect(0);
    assert_eq!(ran.out, "none left\n", "{}", ran.all());
    ran.says(&["refused 426"]);
    let before = model.connections();
    let ran = env.retake(["replay", "lamp.1"]).expect(0);
    assert_eq!((ran.out.as_str(), model.connections()), ("none left\n", before), "{}", ran.all());
    ran.says(&["refused 426", "0 live calls"]);
}

#[test]
fn how_the_upstream_ended_a_session_is_replayed() {
    for (closes, said) in [(true, "closed 1011 tired"), (false, "closed None broken off")] {
        let mut model = SocketModel::with(move |mut session, seen| async move {
            warmed(&mut session).await;
            hear(&mut session).await;
            seen.lock().expect("no panics").messages.push(json!({}));
            say(&mut session, json!({"type": "response.created"})).await;
            if closes {
                let frame = CloseFrame { code: 1011.into(), reason: "tired".into() };
                let _ = session.close(Some(frame)).await;
                while session.next().await.is_some() {}
            }
        });
        let mut env = TestEnv::new();
        env.upstream(&model.origin());
        let run = [&["run", "--name", "lamp", "--"].map(String::from)[..], &agent()].concat();
        let ran = env.retake(&run);
        ran.says(&[said]);
        model.stop();
        let ran = env.retake(["replay", "lamp.1"]);
        ran.says(&[said, "0 live calls"]);
        assert_eq!(model.messages().len(), 1);
    }
}

/// Answers the warming up of the lamp agent.
async fn warmed(session: &mut Session) {
    hear(session).await;
    let response =
        json!({"id": "resp_0", "object": "response", "status": "completed", "model": "m", "output": []});
    say(session, json!({"type": "response.completed", "response": response})).await;
}

#[test]
fn a_kill_loses_nothing_that_the_agent_has() {
    let (mut env, model) = (TestEnv::new(), SocketModel::lamps());
    env.upstream(&model.origin());
    env.set("KILLS", "1");
    let run = [&["run", "--name", "lamp", "--"].map(String::from)[..], &agent()].concat();
    assert_ne!(env.retake(&run).code, 0);
    let shown = env.retake(["show", "lamp.1"]).expect(0).out;
    assert!(shown.contains("\"3 of desk left\""), "{shown}");
    env.unset("KILLS");
    let replay = [&["replay", "lamp.1", "--"].map(String::from)[..], &agent()].concat();
    let ran = env.retake(&replay);
    assert_eq!(ran.out, "3 of desk left\n", "{}", ran.all());
}

pub fn caller() -> Vec<String> {
    let script = project().join("tests/it/agents/socket_voice.py").display().to_string();
    vec!["python3".into(), script]
}

/// A recording of the caller as `call.1`.
pub fn call(live: bool) -> (TestEnv, SocketModel) {
    let (mut env, model) = (TestEnv::new(), SocketModel::voice());
    env.upstream(&model.origin());
    env.set("GEMINI_API_KEY", "made-up-key-0123456789");
    if live {
        env.set("LIVE", "1");
    }
    let run = [&["run", "--name", "call", "--"].map(String::from)[..], &caller()].concat();
    let ran = env.retake(&run).expect(0);
    assert_eq!(ran.out, "heard 3000 bytes\n", "{}", ran.all());
    (env, model)
}

#[test]
fn where_both_speak_when_they_like_a_session_replays_by_turn() {
    for live in [false, true] {
        let (mut env, mut model) = call(live);
        model.stop();
        // Audio counts by its bytes, however it is cut: the server spoke after 1200 of them.
        for chunk in ["400", "3000", "77", "1200"] {
            env.set("CHUNK", chunk);
            let ran =
                env.retake([&["replay", "call.1", "--"].map(String::from)[..], &caller()].concat()).expect(0);
            assert_eq!(ran.out, "heard 3000 bytes\n", "{}", ran.all());
            ran.says(&["0 live calls"]);
        }
        env.set("SAYS", "xy");
        let ran =
            env.retake([&["replay", "call.1", "--"].map(String::from)[..], &caller()].concat()).expect(4);
        ran.says(&["closed 4422 retake: WebSocket /", "bytes of audio"]);
        assert_eq!(model.openings(), 1);
    }
}

#[test]
fn what_is_said_in_a_session_is_shown() {
    let (env, _model) = call(false);
    let shown = env.retake(["show", "call.1"]).expect(0).out;
    for said in [
        "websocket /v1/realtime",
        "the session is set up",
        "sets up the session",
        "s audio",
        "\"heard 3000 bytes\"",
        "asks for an answer",
        "the agent closes (1000)",
    ] {
        assert!(shown.contains(said), "no {said} in\n{shown}");
    }
    let told = env.retake(["show", "call.1", "--json"]).expect(0).json();
    assert_eq!(told["sessions"][0]["path"], "/v1/realtime", "{told}");
    let (env, _model) = call(true);
    let shown = env.retake(["show", "call.1"]).expect(0).out;
    assert!(shown.contains("\"heard 3000 bytes\"") && shown.contains("0.1 s audio"), "{shown}");
    let file = env.work().join("call.retake").display().to_string();
    env.retake(["export", "call.1", &file]).expect(0);
    let text = std::fs::read_to_string(&file).expect("a file");
    assert!(!text.contains("made-up-key-0123456789"), "the key is in the target, and is replaced");
    assert!(text.contains(r#"{"$ws":"binary","text":"{\n  \"setupComplete\": {}\n}\n"}"#), "{text}");
}

/// A session of an agent with a proxy before this upstream.
async fn session(tape: &Arc<MemoryTape>, origin: &str, target: &str) -> (Proxy, Session) {
    let proxy = recording(origin, tape).await;
    let address = proxy.origin().replace("http://", "");
    let request = format!("ws://{address}/up{target}").into_client_request().expect("a request");
    let stream = TcpStream::connect(&address).await.expect("the proxy listens");
    let opened = soon("a session", tokio_tungstenite::client_async(request, stream)).await;
    (proxy, opened.expect("a session").0)
}

fn text(text: &str) -> Message {
    Message::Text(text.to_string().into())
}

async fn next(session: &mut Session) -> Option<Message> {
    soon("a message", session.next()).await.and_then(Result::ok)
}

/// Sends back what it hears.
fn echo() -> SocketModel {
    SocketModel::with(|mut session, _| async move {
        while let Some(Ok(message)) = session.next().await {
            let said = matches!(message, Message::Text(_) | Message::Binary(_));
            if said && session.send(message).await.is_err() {
                return;
            }
        }
    })
}

#[tokio::test]
async fn a_terminal_message_waits_until_it_was_written() {
    let upstream = SocketModel::with(|mut session, _| async move {
        while hear(&mut session).await.is_some() {
            say(&mut session, json!({"type": "response.created"})).await;
            say(&mut session, json!({"type": "response.completed"})).await;
        }
    });
    let tape = MemoryTape::held();
    let writing = tape.clone();
    // The opening is an exchange too, and waits as well.
    let opener = tokio::spawn(async move {
        writing.response(1).await;
        writing.write();
    });
    let (_proxy, mut agent) = session(&tape, &upstream.origin(), "/v1/responses").await;
    opener.await.expect("the opening is written");
    agent.send(text(r#"{"type":"response.create"}"#)).await.expect("sent");
    assert_eq!(next(&mut agent).await, Some(text(r#"{"type":"response.created"}"#)));
    let seen = tape.response(2).await;
    assert_eq!(bytes_of(&seen), b"{\"type\":\"response.created\"}\n{\"type\":\"response.completed\"}\n");
    let early = tokio::time::timeout(std::time::Duration::from_millis(50), agent.next()).await;
    assert!(early.is_err(), "it was passed on before it was written: {early:?}");
    tape.write();
    assert_eq!(next(&mut agent).await, Some(text(r#"{"type":"response.completed"}"#)));
}

#[tokio::test]
async fn every_kind_and_size_of_message_goes_through_and_is_noted() {
    let upstream = echo();
    let tape = MemoryTape::new();
    let (_proxy, mut agent) = session(&tape, &upstream.origin(), "/socket?x=1").await;
    let big = Message::Binary(vec![7u8; 5 << 20].into());
    let sent = [text("two\nlines"), Message::Binary(vec![0, 255, 10].into()), text(""), big];
    for message in &sent {
        agent.send(message.clone()).await.expect("sent");
        assert_eq!(next(&mut agent).await.as_ref(), Some(message));
    }
    agent.send(Message::Ping(vec![1, 2].into())).await.expect("sent");
    assert_eq!(next(&mut agent).await, Some(Message::Pong(vec![1, 2].into())));
    agent.close(None).await.expect("closed");
    while next(&mut agent).await.is_some() {}
    let last = soon("the end", async {
        loop {
            if let Some(last) =
                tape.responses().last().filter(|r| bytes_of(r).ends_with(b"\"by\":\"agent\"}\n"))
            {
                return last.clone();
            }
            tokio::task::yield_now().await;
        }
    });
    assert_eq!(last.await.end, BodyEnd::Complete);
    let requests = tape.requests();
    assert_eq!(requests.len(), 5, "the opening, and a turn for each message");
    assert_eq!((requests[0].head.method.as_str(), requests[0].head.target.as_str()), ("GET", "/socket?x=1"));
    let bodies: Vec<_> =
        requests.iter().map(|r| retake::exchange::messages::read(&sent_of(r).into())).collect();
    assert!(bodies[0].is_empty());
    for (body, message) in bodies[1..].iter().zip(&sent) {
        assert_eq!(body.len(), 1);
        assert_eq!(body[0].payload(), &message.clone().into_data()[..]);
        let is_text = matches!(body[0], retake::exchange::messages::Message::Text(_));
        assert_eq!(is_text, message.is_text());
    }
}

#[tokio::test]
async fn compression_is_not_offered_and_all_else_of_the_opening_is() {
    let upstream = echo();
    let tape = MemoryTape::new();
    let proxy = recording(&upstream.origin(), &tape).await;
    let mut agent = Agent::connect(&proxy.origin()).await;
    agent
        .send(
            b"GET /up/socket HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Own: 1\r\n\
              Authorization: Bearer k\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
              Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
        )
        .await;
    let head = soon("an answer", agent.head()).await.expect("a head");
    assert_eq!(
        (head.status, head.header("sec-websocket-accept")),
        (101, Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="))
    );
    let (target, fields) = upstream.seen.lock().expect("no panics").openings[0].clone();
    let names: Vec<&str> = fields.iter().map(|(n, _)| n.as_str()).collect();
    assert_eq!(target, "/socket");
    assert!(names.contains(&"x-own") && names.contains(&"authorization"), "{names:?}");
    assert!(!names.contains(&"sec-websocket-extensions"), "{names:?}");
}

#[tokio::test]
async fn an_upstream_that_goes_away_is_noted_and_passed_on() {
    for closes in [true, false] {
        let upstream = SocketModel::with(move |mut session, _| async move {
            hear(&mut session).await;
            say(&mut session, json!({"type": "response.created"})).await;
            if closes {
                let frame = CloseFrame { code: 1011.into(), reason: "tired".into() };
                let _ = session.close(Some(frame)).await;
                while session.next().await.is_some() {}
            }
        });
        let tape = MemoryTape::new();
        let (_proxy, mut agent) = session(&tape, &upstream.origin(), "/v1/responses").await;
        agent.send(text(r#"{"type":"response.create"}"#)).await.expect("sent");
        assert_eq!(next(&mut agent).await, Some(text(r#"{"type":"response.created"}"#)));
        let end = next(&mut agent).await;
        let seen = tape.response(2).await;
        assert!(matches!(seen.end, BodyEnd::Error { .. }), "{:?}", seen.end);
        let body = String::from_utf8(bytes_of(&seen)).expect("text");
        let close = if closes {
            r#"{"$ws":"close","by":"upstream","code":1011,"reason":"tired"}"#
        } else {
            r#"{"$ws":"close","by":"upstream"}"#
        };
        assert!(body.ends_with(&format!("{close}\n")), "{body}");
        match (closes, end) {
            (true, Some(Message::Close(Some(frame)))) => {
                assert_eq!((u16::from(frame.code), frame.reason.as_str()), (1011, "tired"))
            }
            (false, None) => {}
            (_, other) => panic!("{closes}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn an_agent_that_hangs_up_in_a_turn_is_noted() {
    let gone = Gate::new();
    let told = gone.clone();
    let upstream = SocketModel::with(move |mut session, _| {
        let told = told.clone();
        async move {
            hear(&mut session).await;
            say(&mut session, json!({"type": "response.created"})).await;
            while session.next().await.is_some_and(|next| next.is_ok()) {}
            told.release();
        }
    });
    let tape = MemoryTape::new();
    let (_proxy, mut agent) = session(&tape, &upstream.origin(), "/v1/responses").await;
    agent.send(text(r#"{"type":"response.create"}"#)).await.expect("sent");
    next(&mut agent).await;
    drop(agent);
    assert_eq!(tape.response(2).await.end, BodyEnd::Cancelled);
    soon("the upstream is let go", gone.pass()).await;
}

#[tokio::test]
async fn a_refused_opening_is_passed_on_and_noted_as_it_is() {
    let upstream = FakeUpstream::always(Script::body("401 Unauthorized", &[("X-Why", "key")], b"who?"));
    let tape = MemoryTape::new();
    let proxy = recording(&upstream.origin(), &tape).await;
    let mut agent = Agent::connect(&proxy.origin()).await;
    agent
        .send(
            b"GET /up/v1/responses HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
              Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        )
        .await;
    let (head, body) = soon("an answer", agent.answer()).await.expect("an answer");
    assert_eq!((head.status, head.header("x-why"), &body[..]), (401, Some("key"), &b"who?"[..]));
    let seen = tape.response(1).await;
    assert_eq!((seen.head.clone().map(|h| h.status), bytes_of(&seen)), (Some(401), b"who?".to_vec()));
}
