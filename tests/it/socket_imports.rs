//! Sessions over WebSockets in other tools' files: what retake has recorded is written as Chrome and mitmproxy write it,
//! imported, and replayed to the agent that was recorded.

use crate::support::env::TestEnv;
use crate::websocket::{agent, call, caller, lamp};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use retake::exchange::messages::{self, Message};
use retake::exchange::{Exchange, HeaderList};
use retake::run::RunId;
use retake::store::Store;
use serde_json::{Value, json};
use std::path::PathBuf;

fn exchanges(env: &TestEnv, run: &str) -> Vec<Exchange> {
    let store = Store::find(Some(&env.store()), &env.work()).unwrap();
    let reader = store.open_run(&RunId::parse(run).unwrap()).unwrap();
    reader.ids().into_iter().map(|id| reader.exchange(id).unwrap()).collect()
}

/// A message of a session: by the client, when in microseconds since the Unix epoch, what.
type Said = (bool, u64, Message);

/// All that was said in the only session of a run.
fn said(all: &[Exchange]) -> Vec<Said> {
    let mut said = Vec::new();
    for Exchange { request, response } in all {
        for message in messages::read(&request.body) {
            said.push((true, request.started_us, message));
        }
        let response = response.as_ref().unwrap();
        for (message, frame) in messages::read(&response.body).into_iter().zip(&response.frames) {
            said.push((false, request.started_us + frame.1, message));
        }
    }
    said
}

fn url(opening: &Exchange) -> String {
    format!("wss://api.openai.com{}", opening.request.head.target)
}

/// As Chrome exports it.
fn archive(all: &[Exchange]) -> String {
    let messages = said(all).into_iter().filter_map(|(by_client, at, message)| {
        let (opcode, data) = match &message {
            Message::Text(text) => (1, String::from_utf8(text.to_vec()).unwrap()),
            Message::Binary(bytes) => (2, STANDARD.encode(bytes)),
            Message::Close(_) => return None,
        };
        let kind = if by_client { "send" } else { "receive" };
        Some(json!({ "type": kind, "time": at as f64 / 1e6, "opcode": opcode, "data": data }))
    });
    let headers = |list: &HeaderList| -> Value {
        list.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect()
    };
    let opening = &all[0];
    let answer = opening.response.as_ref().unwrap().head.as_ref().unwrap();
    let started = jiff::Timestamp::from_microsecond(opening.request.started_us as i64).unwrap();
    let entry = json!({
        "_resourceType": "websocket", "_webSocketMessages": messages.collect::<Vec<_>>(),
        "startedDateTime": started.to_string(), "time": 250.0, "timings": { "send": 0, "wait": 5.0, "receive": 245.0 },
        "request": { "method": "GET", "url": url(opening), "headers": headers(&opening.request.head.headers), "bodySize": 0 },
        "response": { "status": 101, "headers": headers(&answer.headers), "content": { "size": 0, "mimeType": "x-unknown" } },
    });
    json!({ "log": { "version": "1.2", "creator": { "name": "WebInspector" }, "entries": [entry] } })
        .to_string()
}

/// A typed netstring.
fn net(kind: char, content: impl AsRef<[u8]>) -> Vec<u8> {
    let content = content.as_ref();
    [format!("{}:", content.len()).as_bytes(), content, &[kind as u8]].concat()
}

fn truth(yes: bool) -> Vec<u8> {
    net('!', yes.to_string())
}

fn seconds(us: u64) -> Vec<u8> {
    net('^', format!("{}", us as f64 / 1e6))
}

fn dict(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    net(
        '}',
        entries.iter().flat_map(|(key, value)| [net(';', key), value.clone()].concat()).collect::<Vec<u8>>(),
    )
}

/// As `mitmdump -w` writes it. `drops`: it held the last message of the server back.
fn flow(all: &[Exchange], drops: bool) -> Vec<u8> {
    let said = said(all);
    let texts: Vec<&Said> =
        said.iter().filter(|(.., message)| !matches!(message, Message::Close(_))).collect();
    let last = texts.iter().rposition(|(by_client, ..)| !by_client);
    let listed = texts.iter().enumerate().flat_map(|(index, (by_client, at, message))| {
        let kind = if matches!(message, Message::Text(_)) { "1" } else { "2" };
        let dropped = drops && Some(index) == last;
        let parts = [
            net('#', kind),
            truth(*by_client),
            net(',', message.payload()),
            seconds(*at),
            truth(dropped),
            truth(false),
        ];
        net(']', parts.concat())
    });
    let closing = said.iter().find_map(|(.., message)| match message {
        Message::Close(closing) => Some(closing),
        _ => None,
    });
    let closing = closing.unwrap();
    let websocket = dict(&[
        ("messages", net(']', listed.collect::<Vec<u8>>())),
        ("closed_by_client", truth(closing.by_agent)),
        ("close_code", closing.code.map_or(net('#', "1006"), |code| net('#', code.to_string()))),
        ("close_reason", net(';', &closing.reason)),
        ("timestamp_end", seconds(said.last().unwrap().1)),
    ]);
    let opening = &all[0];
    let headers = |list: &HeaderList| {
        net(
            ']',
            list.iter()
                .flat_map(|(name, value)| net(']', [net(',', name), net(',', value)].concat()))
                .collect::<Vec<u8>>(),
        )
    };
    let answer = opening.response.as_ref().unwrap();
    let begun = opening.request.started_us;
    let request = dict(&[
        ("method", net(',', "GET")),
        ("scheme", net(',', "https")),
        ("host", net(';', "api.openai.com")),
        ("port", net('#', "443")),
        ("authority", net(',', "api.openai.com")),
        ("path", net(',', &opening.request.head.target)),
        ("content", net(',', "")),
        ("timestamp_start", seconds(begun)),
        ("headers", headers(&opening.request.head.headers)),
    ]);
    let response = dict(&[
        ("status_code", net('#', "101")),
        ("content", net(',', "")),
        ("timestamp_start", seconds(begun + 5000)),
        ("timestamp_end", seconds(begun + 5000)),
        ("headers", headers(&answer.head.as_ref().unwrap().headers)),
    ]);
    let kind = [("type", net(';', "http")), ("version", net('#', "21"))];
    dict(&[&kind[..], &[("request", request), ("response", response), ("websocket", websocket)]].concat())
}

fn imported(env: &TestEnv, kind: &str, file: &str) -> Value {
    env.retake(["import", "--from", kind, file, "--name", kind, "--json"]).expect(0).json()["runs"][0].clone()
}

/// The bodies of what was said, with the end of the session where the file has it.
fn bodies(all: &[Exchange], closes: bool) -> Vec<(String, String, usize)> {
    let text = |body: &[u8]| String::from_utf8(body.to_vec()).unwrap();
    let mut bodies = Vec::new();
    for Exchange { request, response } in all {
        let response = response.as_ref().unwrap();
        let lines = text(&response.body);
        let kept: Vec<&str> = lines
            .split_inclusive('\n')
            .filter(|line| closes || !line.starts_with(r#"{"$ws":"close""#))
            .collect();
        bodies.push((text(&request.body), kept.concat(), kept.len()));
    }
    bodies
}

fn replays(env: &TestEnv, run: &str, agent: &[String], says: &str) {
    let ran = env.retake([&["replay", run, "--"].map(String::from)[..], agent].concat()).expect(0);
    assert_eq!(ran.out, says, "{run}: {}", ran.all());
    ran.says(&["0 live calls"]);
}

fn all_replay(env: &TestEnv, name: &str, agent: &[String], says: &str) {
    let original = exchanges(env, &format!("{name}.1"));
    env.file("chrome.har", &archive(&original));
    let run = imported(env, "har", "chrome.har");
    assert_eq!(run["sound"].as_array().unwrap().len(), if name == "lamp" { 4 } else { 2 }, "{run}");
    assert!(run["lacks"].to_string().contains("how the session of a WebSocket ended"), "{run}");
    let there = exchanges(env, "har.1");
    assert_eq!(bodies(&there, false), bodies(&original, false));
    assert!(there.iter().skip(1).all(|e| e.response.as_ref().unwrap().end_us > 0));
    replays(env, "har.1", agent, says);
    let file: PathBuf = env.work().join("session.mitm");
    std::fs::write(&file, flow(&original, false)).unwrap();
    let run = imported(env, "mitmproxy", "session.mitm");
    assert!(!run["lacks"].to_string().contains("WebSocket"), "{run}");
    let there = exchanges(env, "mitmproxy.1");
    assert_eq!(bodies(&there, true), bodies(&original, true));
    replays(env, "mitmproxy.1", agent, says);
}

#[test]
fn a_session_of_questions_and_answers_comes_in_by_turns() {
    let (env, mut model) = lamp();
    model.stop();
    all_replay(&env, "lamp", &agent(), "3 of desk left\n");
    let shown = |run: &str| env.retake(["show", run, "--json"]).expect(0).json()["steps"].clone();
    let acts = |steps: Value| -> Vec<Value> {
        steps.as_array().unwrap().iter().map(|step| step["act"].clone()).collect()
    };
    assert_eq!(acts(shown("har.1")), acts(shown("lamp.1")));
}

#[test]
fn a_session_in_which_both_speak_when_they_like_comes_in_too() {
    for live in [false, true] {
        let (env, mut model) = call(live);
        model.stop();
        all_replay(&env, "call", &caller(), "heard 3000 bytes\n");
    }
}

#[test]
fn what_a_file_leaves_out_of_a_session_is_told() {
    let (env, mut model) = lamp();
    model.stop();
    let original = exchanges(&env, "lamp.1");
    std::fs::write(env.work().join("drops.mitm"), flow(&original, true)).unwrap();
    let run = imported(&env, "mitmproxy", "drops.mitm");
    assert_eq!(run["sound"], json!(["view", "diff"]), "{run}");
    assert!(run["lacks"].to_string().contains("messages were dropped or injected"), "{run}");
    // An export of another browser has the opening alone.
    let mut opening: Value = serde_json::from_str(&archive(&original)).unwrap();
    opening["log"]["entries"][0].as_object_mut().unwrap().shift_remove("_webSocketMessages");
    env.file("firefox.har", &opening.to_string());
    let run = imported(&env, "har", "firefox.har");
    assert!(run["lacks"].to_string().contains("_webSocketMessages of entry 1"), "{run}");
    assert!(!run["sound"].to_string().contains("replay"), "{run}");
}
