//! Sessions over WebSockets as other tools keep them: a request, and all messages behind it. Here each turn is an exchange
//! of its own, so they are cut as the proxy cuts what it records.

use super::wire::{Making, NOT_PLAYED, Told, ToldAnswer, way};
use crate::dialect::websocket::Protocol;
use crate::exchange::messages::{Closing, Message};
use crate::exchange::{BodyEnd, FrameMark, HeaderList, RequestHead};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use std::collections::VecDeque;

/// A message, and who said it.
pub(super) struct Said {
    pub by_client: bool,
    /// Microseconds since the Unix epoch.
    pub at_us: Option<u64>,
    pub message: Message,
}

/// What was said in a session.
pub(super) struct Session {
    /// In the order in which it was said.
    pub said: Vec<Said>,
    /// How it ended, where the file says it.
    pub closing: Option<Closing>,
}

/// What tells the turns of one session from those of another.
const KEY: &str = "sec-websocket-key";

/// The exchanges of a session: its opening, then its turns. `number`: that of the thing in the file, from 1.
pub(super) fn exchanges(run: &mut Making, number: usize, mut opening: Told, session: Session) -> Vec<Told> {
    let Session { said, closing } = session;
    opening.method = "GET".into();
    let mut head = of_opening(run, number, &opening);
    opening.headers = std::mem::take(&mut head.headers);
    let protocol = Protocol::of(&head);
    let accepted = opening.answer.as_ref().map(|answer| answer.headers.clone()).unwrap_or_default();
    let mut turns = Turns::of(protocol, opening.started_us);
    for Said { by_client, at_us, message } in said {
        match by_client {
            true => turns.client_says(&message, at_us),
            false => turns.server_says(&message, at_us),
        }
    }
    let broke = match &closing {
        None => {
            run.lacks("how the session of a WebSocket ended", &[], number);
            BodyEnd::Interrupted
        }
        Some(closing) if closing.by_agent => BodyEnd::Cancelled,
        Some(_) => BodyEnd::Error { what: "the upstream closed the session".into() },
    };
    if turns.is_cut_off() && closing.is_none() {
        run.lacks("the end of an answer over a WebSocket", &NOT_PLAYED, number);
    }
    if let Some(closing) = closing {
        turns.server_says(&Message::Close(closing), None);
    }
    let (open, mut all) = (turns.open, turns.all.into_iter().enumerate());
    let end = |at: usize| match protocol.takes_turns() && open.contains(&at) {
        true => broke.clone(),
        false => BodyEnd::Complete,
    };
    let first = all.next().map(|(_, turn)| turn);
    let behind = all.map(|(at, turn)| Told {
        method: opening.method.clone(),
        url: opening.url.clone(),
        headers: opening.headers.clone(),
        body: turn.client.join(&b'\n').into(),
        started_us: turn.started_us,
        answer: Some(turn.answer(accepted.clone(), None, end(at))),
    });
    let behind: Vec<Told> = behind.collect();
    let times = opening.answer.and_then(|answer| answer.times);
    opening.body = Bytes::new();
    opening.answer = first.map(|turn| turn.answer(accepted, times, BodyEnd::Complete));
    std::iter::once(opening).chain(behind).collect()
}

/// The head of an opening that came to be: over HTTP/2 it is another, which a replay does not speak.
fn of_opening(run: &mut Making, number: usize, opening: &Told) -> RequestHead {
    let target = way(&opening.url).map(|(_, target)| target).unwrap_or_default();
    let mut head = RequestHead { method: "GET".into(), target, headers: opening.headers.clone() };
    if !head.is_websocket() {
        head.headers.set("upgrade", "websocket");
        head.headers.set("connection", "Upgrade");
    }
    if head.headers.get(KEY).is_none() {
        run.lacks("Sec-WebSocket-Key: another tells its session apart", &[], number);
        head.headers.set(KEY, STANDARD.encode(format!("{number:016}")));
    }
    head
}

/// An exchange in the making.
#[derive(Default)]
struct Turn {
    started_us: Option<u64>,
    client: Vec<Bytes>,
    server: Vec<(Bytes, Option<u64>)>,
}

impl Turn {
    /// `times`: of the head of an opening.
    fn answer(self, mut headers: HeaderList, times: Option<(u64, u64)>, end: BodyEnd) -> ToldAnswer {
        // Messages stand in files as they are.
        headers.remove("sec-websocket-extensions");
        let accepted = times.map(|(head, _)| head);
        let since = |at: Option<u64>| Some(at?.saturating_sub(self.started_us?));
        let mut last = accepted.unwrap_or_default();
        let mut frames = Vec::new();
        let mut body = Vec::new();
        let first = self.server.first().and_then(|(_, at)| since(*at));
        for (line, at) in &self.server {
            last = since(*at).unwrap_or(last).max(last);
            frames.push(FrameMark(u32::try_from(line.len()).unwrap_or(u32::MAX), last));
            body.extend_from_slice(line);
        }
        ToldAnswer {
            status: Ok(101),
            headers,
            body: body.into(),
            times: accepted.or(first).map(|head| (head, last)).filter(|_| last > 0),
            frames: Some(frames),
            end,
        }
    }
}

/// Where turns begin and end: as the proxy has it.
struct Turns {
    protocol: Protocol,
    all: Vec<Turn>,
    /// Those that are not over, in order.
    open: VecDeque<usize>,
    /// The one that was over last: what comes after it goes there.
    last: usize,
}

impl Turns {
    fn of(protocol: Protocol, started_us: Option<u64>) -> Turns {
        let first = Turn { started_us, ..Turn::default() };
        Turns { protocol, all: vec![first], open: VecDeque::new(), last: 0 }
    }

    fn client_says(&mut self, message: &Message, at_us: Option<u64>) {
        let front = self.open.front().and_then(|at| self.all.get_mut(*at));
        match front.filter(|turn| !self.protocol.takes_turns() && turn.server.is_empty()) {
            Some(turn) => turn.client.push(message.line()),
            None => {
                if !self.protocol.takes_turns() {
                    self.last = self.open.pop_front().unwrap_or(self.last);
                }
                if self.protocol.asks(message) {
                    self.open.push_back(self.all.len());
                }
                self.all.push(Turn { started_us: at_us, client: vec![message.line()], server: Vec::new() });
            }
        }
    }

    fn server_says(&mut self, message: &Message, at_us: Option<u64>) {
        let at = self.open.front().copied().unwrap_or(self.last);
        if let Some(turn) = self.all.get_mut(at) {
            let line = [&message.line()[..], b"\n"].concat();
            turn.server.push((line.into(), at_us));
        }
        if self.protocol.takes_turns() && self.protocol.ends(message) {
            self.last = self.open.pop_front().unwrap_or(self.last);
        }
    }

    /// True when a question is not answered to its end.
    fn is_cut_off(&self) -> bool {
        self.protocol.takes_turns() && !self.open.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use crate::exchange::BodyEnd;
    use crate::import::{Foreign, Kind, read};
    use serde_json::{Value, json};

    fn archive(change: impl Fn(&mut Value)) -> String {
        let say = |kind: &str, time: f64, text: Value| json!({ "type": kind, "time": time, "opcode": 1, "data": text.to_string() });
        let ask = json!({ "type": "response.create", "model": "m", "input": [{ "type": "message", "role": "user", "content": "hi" }] });
        let mut entry = json!({ "startedDateTime": "2026-01-01T00:00:00Z", "time": 9000, "timings": { "receive": 8990 },
            "_webSocketMessages": [
                say("send", 1_767_225_601.0, ask), say("receive", 1_767_225_601.5, json!({ "type": "response.created" })),
                say("receive", 1_767_225_602.0, json!({ "type": "response.completed", "response": { "id": "r", "output": [] } })) ],
            "request": { "method": "GET", "url": "wss://api.openai.com/v1/responses", "headers": [
                { "name": "Upgrade", "value": "websocket" }, { "name": "Sec-WebSocket-Key", "value": "a2V5" }] },
            "response": { "status": 101, "headers": [{ "name": "Sec-WebSocket-Extensions", "value": "permessage-deflate" }] } });
        change(&mut entry);
        json!({ "log": { "entries": [entry] } }).to_string()
    }

    fn one(text: &str) -> Foreign {
        read(Kind::Har, "x", text.as_bytes()).unwrap().remove(0)
    }

    fn lacks(run: &Foreign) -> Vec<&str> {
        run.lacks.iter().map(|lack| lack.what.as_str()).collect()
    }

    const OPEN: &str = "how the session of a WebSocket ended of entry 1";

    #[test]
    fn times_are_those_of_the_messages() {
        let run = one(&archive(|_| {}));
        assert_eq!(lacks(&run), [OPEN]);
        let [opening, turn] =
            [0, 1].map(|at| (&run.exchanges[at].request, run.exchanges[at].response.as_ref().unwrap()));
        assert_eq!((opening.1.head_us, opening.1.end_us, opening.1.body.len()), (10_000, 10_000, 0));
        assert_eq!(turn.0.started_us - opening.0.started_us, 1_000_000);
        assert_eq!(turn.1.frames.iter().map(|frame| frame.1).collect::<Vec<_>>(), [500_000, 1_000_000]);
        assert_eq!((turn.1.head_us, turn.1.end_us, &turn.1.end), (500_000, 1_000_000, &BodyEnd::Complete));
        assert_eq!(turn.1.head.as_ref().unwrap().headers.0, [], "nothing is compressed here");
        let ms = archive(|entry| {
            for message in entry["_webSocketMessages"].as_array_mut().unwrap() {
                message["time"] = json!(message["time"].as_f64().unwrap() * 1000.0);
            }
        });
        assert_eq!(one(&ms).exchanges, run.exchanges);
    }

    #[test]
    fn what_a_session_lacks_is_named() {
        type Change = fn(&mut Value);
        let cases: [(Change, &str, usize); 6] = [
            (
                |e| drop(e["_webSocketMessages"].as_array_mut().unwrap().pop()),
                "the end of an answer over a WebSocket of entry 1",
                2,
            ),
            (
                |e| e["_webSocketMessages"][1]["opcode"] = json!(0),
                "_webSocketMessages[].opcode of entry 1",
                2,
            ),
            (
                |e| e["_webSocketMessages"][1]["type"] = json!("sent"),
                "_webSocketMessages[].type of entry 1",
                2,
            ),
            (|e| e["_webSocketMessages"][1]["data"] = json!(7), "_webSocketMessages[].data of entry 1", 2),
            (|e| e["_webSocketMessages"] = Value::Null, "_webSocketMessages of entry 1", 2),
            (
                |e| e["request"]["headers"] = json!([]),
                "Sec-WebSocket-Key: another tells its session apart of entry 1",
                4,
            ),
        ];
        for (change, wanted, uses) in cases {
            let run = one(&archive(change));
            assert!(lacks(&run).contains(&wanted), "{:?}", run.lacks);
            assert_eq!(run.uses().len(), uses, "{wanted}");
        }
        let bad = archive(|entry| entry["_webSocketMessages"][1]["opcode"] = json!(2));
        let error = read(Kind::Har, "x", bad.as_bytes()).unwrap_err().what;
        assert!(error.starts_with("entry 1: _webSocketMessages[1].data is no base64"), "{error}");
    }

    #[test]
    fn a_connection_that_failed_ends_in_the_middle() {
        let run = one(&archive(|entry| {
            entry["_webSocketMessages"][2] =
                json!({ "type": "error", "time": 1_767_225_602.0, "opcode": -1, "data": "reset" });
            // Over HTTP/2 an opening is another request.
            entry["request"]["method"] = json!("CONNECT");
            entry["request"]["headers"][0] = json!({ "name": ":protocol", "value": "websocket" });
            entry["response"]["status"] = json!(200);
        }));
        assert_eq!(lacks(&run), [""; 0]);
        let turn = &run.exchanges[1];
        assert!(
            turn.request.head.is_websocket()
                && turn.response.as_ref().unwrap().head.as_ref().unwrap().is_websocket()
        );
        let response = turn.response.as_ref().unwrap();
        assert!(response.body.ends_with(b"{\"$ws\":\"close\",\"by\":\"upstream\"}\n"));
        assert_eq!(response.end, BodyEnd::Error { what: "the upstream closed the session".into() });
    }
}
