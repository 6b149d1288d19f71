//! Batches: several messages in one body. Each is answered as if it had come alone, and all of them together.

use super::{Player, onward, unreadable};
use crate::dialect::sse;
use crate::exchange::json::{self, Kind as Json};
use crate::exchange::{BodyEnd, ExchangeId, FrameMark, HeaderList, RecordedResponse, Source, encoding};
use crate::mcp::message::{Kind, Message};
use crate::mcp::stamp;
use crate::proxy::{Answer, Asked, Canned, CannedEnd, Gate};
use crate::replay::matcher::Miss;
use crate::replay::serve;
use crate::replay::servers::Spoken;
use bytes::Bytes;
use std::time::Duration;

/// True for a body that is an array.
pub(super) fn is_batch(body: &[u8]) -> bool {
    body.trim_ascii_start().starts_with(b"[")
}

impl Player {
    /// Answers a batch: from the recording, or in a fork all of it by the server.
    pub(super) async fn batch_of(&self, asked: &Asked, server: &str, batch: &[Message]) -> Answer {
        let (requests, others): (Vec<&Message>, Vec<&Message>) =
            batch.iter().partition(|message| message.kind == Kind::Request);
        let mut last = None;
        for told in others {
            let answer = self.told_to(asked, server, told);
            if matches!(&answer, Answer::Serve(canned) if canned.head.status != 202) {
                return answer;
            }
            last = Some(answer);
        }
        if let Some(answer) = last.filter(|_| requests.is_empty()) {
            return answer;
        }
        let mut found: Vec<(&Message, &Spoken)> = Vec::new();
        let mut unknown: Vec<&Message> = Vec::new();
        for live in &requests {
            match self.nearest_unused(server, live, None) {
                Some(spoken) => {
                    self.state().said.note_used(spoken);
                    found.push((live, spoken));
                }
                None => unknown.push(live),
            }
        }
        match (unknown.first(), &self.options.plan) {
            (None, _) => self.together(asked.id, server, &requests, &found),
            (Some(live), None) => self.batch_miss(&requests, self.explain(server, live)),
            (Some(_), Some(_)) if found.is_empty() => self.batch_live(asked, server, &requests).await,
            (Some(live), Some(_)) => {
                let mut miss = self.explain(server, live);
                miss.reason = format!(
                    "{}; the rest of its batch is recorded, and no batch is asked in parts",
                    miss.reason
                );
                self.batch_miss(&requests, miss)
            }
        }
    }

    async fn batch_live(&self, asked: &Asked, server: &str, requests: &[&Message]) -> Answer {
        if let Some(why) = requests.iter().find_map(|live| self.stopped_by_fence(live)) {
            return refused(requests, &why);
        }
        match self.introduced(asked, server).await {
            Ok(fields) => {
                requests.iter().for_each(|live| self.note_live(server, live));
                onward(fields)
            }
            Err(why) => self.batch_miss(requests, super::unacquainted(server, &why)),
        }
    }

    fn batch_miss(&self, requests: &[&Message], miss: Miss) -> Answer {
        refused(requests, &self.server_refused(miss))
    }

    /// The recorded answers of several messages as one.
    fn together(
        &self,
        id: ExchangeId,
        server: &str,
        requests: &[&Message],
        found: &[(&Message, &Spoken)],
    ) -> Answer {
        let mut parts: Vec<(Canned, Vec<Gate>)> = Vec::new();
        for (live, spoken) in found {
            let recorded = match self.run.reader().answer(spoken.id) {
                Ok(recorded) => recorded.map(|recorded| self.own_part(spoken, recorded)),
                Err(error) => return self.batch_miss(requests, unreadable(&error.to_string())),
            };
            self.note_answered(id, server, spoken);
            match self.with_todays(spoken, server, live, recorded.as_ref()) {
                Answer::Serve(canned) if canned.head.status < 300 => parts.push((canned, Vec::new())),
                Answer::ServeGated(canned, gates) if canned.head.status < 300 => parts.push((canned, gates)),
                // One that failed failed for all.
                other => return other,
            }
        }
        match parts.iter().any(|(canned, _)| canned.head.is_event_stream()) {
            true => streamed(parts),
            false => listed(parts),
        }
    }

    /// What of a recorded answer is that of one message of its batch.
    pub(super) fn own_part(&self, spoken: &Spoken, mut recorded: RecordedResponse) -> RecordedResponse {
        let siblings = self.run.servers().spoken().iter().filter(|s| s.id == spoken.id);
        let requests = siblings.filter(|s| s.message.kind == Kind::Request);
        let (first, count) = (requests.clone().map(|s| s.part).min(), requests.count());
        let Some(head) = &mut recorded.head else { return recorded };
        let coding = head.headers.get("content-encoding");
        let Ok(body) = encoding::decode(coding, &recorded.body) else {
            return recorded;
        };
        if count < 2 && !is_batch(&body) {
            return recorded;
        }
        let body = body.into_owned();
        let is_own = |message: &Message| {
            let token = message.content.get("progressToken");
            match message.kind {
                Kind::Response => message.id == spoken.message.id,
                _ if token.is_some() => token == spoken.message.progress_token(),
                _ => Some(spoken.part) == first,
            }
        };
        let own: Vec<Vec<u8>> = texts(&body, head.is_event_stream())
            .into_iter()
            .filter(|text| Message::read(text).is_some_and(|message| is_own(&message)))
            .collect();
        let is_answered = own.iter().filter_map(|text| Message::read(text)).any(|m| m.kind == Kind::Response);
        head.headers.remove("content-encoding");
        head.headers.remove("content-length");
        let body = match own.as_slice() {
            [only] if is_answered => {
                head.headers.set("content-type", "application/json");
                only.clone()
            }
            several => {
                head.headers.set("content-type", "text/event-stream");
                several.iter().flat_map(|text| event(text)).collect()
            }
        };
        if is_answered {
            recorded.end = BodyEnd::Complete;
        }
        let stands = |text: &str| memchr::memmem::find(&body, text.as_bytes()).is_some();
        recorded.stand_ins.retain(|stand_in| stands(&stand_in.text));
        let when = recorded.frames.last().map_or(0, |frame| frame.1);
        recorded.frames = vec![FrameMark(body.len() as u32, when)];
        recorded.body = body.into();
        recorded
    }
}

/// The messages of a body as they are written.
fn texts(body: &[u8], is_event_stream: bool) -> Vec<Vec<u8>> {
    let elements = |text: &[u8]| -> Vec<Vec<u8>> {
        let Ok(root) = json::parse(text) else { return Vec::new() };
        match &root.kind {
            Json::Array(several) => {
                several.iter().filter_map(|one| Some(text.get(one.span.clone())?.to_vec())).collect()
            }
            _ => vec![text.to_vec()],
        }
    };
    match is_event_stream {
        true => sse::events(body).iter().flat_map(|event| elements(event.data.as_bytes())).collect(),
        false => elements(body),
    }
}

fn event(text: &[u8]) -> Vec<u8> {
    [b"event: message\ndata: ".as_slice(), text, b"\n\n"].concat()
}

fn whole(canned: &Canned) -> Vec<u8> {
    canned.frames.iter().flat_map(|(_, bytes)| bytes.iter().copied()).collect()
}

/// Answers as an array.
fn listed(parts: Vec<(Canned, Vec<Gate>)>) -> Answer {
    let bodies: Vec<Vec<u8>> = parts.iter().map(|(canned, _)| whole(canned)).collect();
    let wait = parts.iter().flat_map(|(canned, _)| &canned.frames).map(|(wait, _)| *wait).max();
    let body = Bytes::from([b"[".as_slice(), &bodies.join(&b","[..]), b"]"].concat());
    let Some((mut canned, _)) = parts.into_iter().next() else {
        return Answer::Serve(serve::own(500, Bytes::new(), Source::Refused));
    };
    canned.head.headers.set("content-type", "application/json");
    canned.head.headers.set("content-length", body.len().to_string());
    canned.frames = vec![(wait.unwrap_or_default(), body)];
    canned.end = CannedEnd::Complete;
    Answer::Serve(canned)
}

/// Answers as one stream, one behind the other.
fn streamed(parts: Vec<(Canned, Vec<Gate>)>) -> Answer {
    let mut all: Option<Canned> = None;
    let (mut frames, mut gates): (Vec<(Duration, Bytes)>, Vec<Gate>) = (Vec::new(), Vec::new());
    let mut end = CannedEnd::Complete;
    for (canned, own) in parts {
        let before = frames.len();
        gates.extend(own.into_iter().map(|gate| Gate { frame: gate.frame + before, ..gate }));
        if canned.end != CannedEnd::Complete {
            end = canned.end.clone();
        }
        match canned.head.is_event_stream() {
            true => frames.extend(canned.frames.iter().cloned()),
            false => frames.push((Duration::ZERO, event(&whole(&canned)).into())),
        }
        if all.is_none() || canned.head.is_event_stream() {
            all = Some(canned);
        }
    }
    let Some(mut canned) = all else {
        return Answer::Serve(serve::own(500, Bytes::new(), Source::Refused));
    };
    let mut headers: HeaderList = canned.head.headers.clone();
    headers.remove("content-length");
    canned.head.headers = headers;
    canned.frames = frames;
    canned.end = end;
    Answer::ServeGated(canned, gates)
}

/// The errors that answer a batch.
fn refused(requests: &[&Message], why: &str) -> Answer {
    let errors: Vec<Vec<u8>> = requests.iter().map(|live| stamp::refusal(live, why)).collect();
    let body = [b"[".as_slice(), &errors.join(&b","[..]), b"]"].concat();
    let mut canned = serve::own(200, Bytes::from(body), Source::Refused);
    canned.head.headers.remove("x-should-retry");
    Answer::Serve(canned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_messages_of_a_body_are_told_apart() {
        assert!(is_batch(b" [1]") && !is_batch(b"{}"));
        assert_eq!(texts(b"[{\"a\": 1}, 2]", false), [b"{\"a\": 1}".to_vec(), b"2".to_vec()]);
        assert_eq!(texts(b"{}", false), [b"{}".to_vec()]);
        assert_eq!(texts(b"data: [1,2]\n\ndata: 3\n\n", true), [b"1", b"2", b"3"]);
    }

    #[test]
    fn a_refused_batch_has_an_error_for_each_request() {
        let asked = |id: u32| {
            Message::read(format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"m"}}"#).as_bytes()).unwrap()
        };
        let Answer::Serve(canned) = refused(&[&asked(1), &asked(2)], "no") else { panic!("it is served") };
        let errors: serde_json::Value = serde_json::from_slice(&whole(&canned)).unwrap();
        assert_eq!((&errors[0]["id"], &errors[1]["id"]), (&1.into(), &2.into()));
    }
}
