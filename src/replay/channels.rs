//! The older transport over HTTP, as recorded: an event stream whose first event says where messages are posted, and on
//! which their answers come.

use super::servers::Spoken;
use crate::dialect::sse;
use crate::exchange::{
    BodyEnd, ExchangeId, FrameMark, RecordedResponse, ResponseHead, Source, StandIn, encoding,
};
use crate::mcp::message::{Kind, Message};
use crate::store::RequestRecord;
use bytes::Bytes;
use std::ops::Range;

/// Name of the event that says where messages are posted.
const ENDPOINT: &str = "endpoint";

/// A stream of a server, with the messages that came on it.
#[derive(Debug)]
pub struct Channel {
    /// Its exchange.
    pub id: ExchangeId,
    /// Name of the server: host and path of the stream.
    pub server: String,
    /// Head of its answer, without a content-encoding.
    pub head: ResponseHead,
    /// When it was asked for, in microseconds since the Unix epoch.
    pub opened_us: u64,
    /// The server closed it, not the agent.
    pub is_closed: bool,
    /// What came on it, in order; the first is where messages are posted.
    pub told: Vec<Told>,
    host: String,
    endpoint: String,
    body: Bytes,
    stand_ins: Vec<StandIn>,
}

/// An event of a stream, with the comments in front of it; comments behind the last event.
#[derive(Debug)]
pub struct Told {
    span: Range<usize>,
    /// When it was there, in microseconds since the Unix epoch.
    pub at_us: u64,
    /// The message in it.
    pub message: Option<Message>,
    /// What it waits for.
    pub after: After,
}

/// What an event waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// The agent's request at this place of [`super::servers::Servers::spoken`], which it answers or belongs to.
    Request(usize),
    /// So many messages of the agent over this channel.
    Count(usize),
}

/// Host and port of an origin.
pub fn host_of(origin: &str) -> &str {
    origin.split_once("://").map_or(origin, |(_, host)| host).trim_end_matches('/')
}

/// Path and query of an endpoint as a server tells it, seen from the path of its stream.
pub fn resolved(endpoint: &str, stream: &str) -> String {
    if let Some((_, after)) = endpoint.split_once("://") {
        return after.find('/').and_then(|at| after.get(at..)).unwrap_or("/").to_string();
    }
    if endpoint.starts_with('/') {
        return endpoint.to_string();
    }
    let path = stream.split('?').next().unwrap_or_default();
    if endpoint.starts_with('?') {
        return format!("{path}{endpoint}");
    }
    let directory = path.rfind('/').and_then(|at| path.get(..=at)).unwrap_or("/");
    format!("{directory}{endpoint}")
}

/// Where messages are posted, when this event says so.
pub fn endpoint_in(event: &sse::Event) -> Option<&str> {
    (event.name == ENDPOINT).then(|| event.data.trim())
}

impl Channel {
    /// The channel that an exchange is; none when it is another.
    pub fn of(
        id: ExchangeId,
        server: &str,
        request: &RequestRecord,
        response: RecordedResponse,
    ) -> Option<Channel> {
        let mut head = response.head.filter(ResponseHead::is_event_stream)?;
        let coding = head.headers.get("content-encoding");
        let body = Bytes::from(encoding::decode(coding, &response.body).ok()?.into_owned());
        head.headers.remove("content-encoding");
        head.headers.remove("content-length");
        let events = sse::events(&body);
        let endpoint = resolved(endpoint_in(events.first()?)?, &request.head.target);
        let when = |end: usize| {
            let mut covered = 0;
            let last = response.frames.iter().find(|FrameMark(length, _)| {
                covered += *length as usize;
                covered >= end
            });
            request.started_us.saturating_add(last.or(response.frames.last()).map_or(0, |frame| frame.1))
        };
        let mut at = 0;
        let mut told: Vec<Told> = Vec::new();
        // What no empty line ended was never an event to the agent.
        for event in events.into_iter().filter(|event| event.ended) {
            let message = Message::read(event.data.as_bytes()).filter(|_| !told.is_empty());
            let (span, at_us) = (at..event.span.end, when(event.span.end));
            at = event.span.end;
            told.push(Told { span, at_us, message, after: After::Count(0) });
        }
        if at < body.len() {
            let (span, at_us) = (at..body.len(), when(body.len()));
            told.push(Told { span, at_us, message: None, after: After::Count(0) });
        }
        let host = host_of(&request.upstream.origin).to_string();
        let (server, stand_ins) = (server.to_string(), response.stand_ins);
        let is_closed = !matches!(response.end, BodyEnd::Cancelled | BodyEnd::Interrupted);
        let opened_us = request.started_us;
        Some(Channel { id, server, head, opened_us, is_closed, told, host, endpoint, body, stand_ins })
    }

    /// True when messages to this target are for it.
    pub fn is_at(&self, origin: &str, target: &str) -> bool {
        self.host == host_of(origin) && self.endpoint == target
    }

    /// Path and query of what messages are posted to.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// How long the server took to say so, in microseconds.
    pub fn opening_us(&self) -> u64 {
        self.told.first().map_or(0, |told| told.at_us.saturating_sub(self.opened_us))
    }

    /// The event that says where messages are posted, at the origin that is asked now.
    pub fn endpoint_event(&self, origin: &str) -> Bytes {
        let span = self.told.first().map(|told| told.span.clone()).unwrap_or_default();
        let event = self.body.get(span).unwrap_or_default();
        let told = sse::events(event);
        let Some([place]) = told.first().map(|event| event.data_spans.as_slice()) else {
            return self.body.slice_ref(event);
        };
        let is_whole =
            event.get(place.clone()).is_some_and(|data| memchr::memmem::find(data, b"://").is_some());
        match (is_whole, event.get(..place.start), event.get(place.end..)) {
            (true, Some(before), Some(after)) => {
                let address = format!("{}{}", origin.trim_end_matches('/'), self.endpoint);
                Bytes::from([before, address.as_bytes(), after].concat())
            }
            _ => self.body.slice_ref(event),
        }
    }

    /// The response to the request of this id.
    pub fn response_to(&self, id: &str) -> Option<&Message> {
        let messages = self.told.iter().filter_map(|told| told.message.as_ref());
        messages.into_iter().find(|message| message.kind == Kind::Response && message.id == id)
    }

    /// Says of each event what it waits for. `own`: what the agent said over this channel, in order of arrival, with its
    /// places.
    pub(super) fn settle(&mut self, own: &[(usize, &Spoken)]) {
        let mut answered: Vec<usize> = Vec::new();
        for told in self.told.iter_mut().skip(1) {
            let before = own.iter().rev().filter(|(_, said)| said.started_us <= told.at_us);
            let mut asked = before.clone().filter(|(_, said)| said.message.kind == Kind::Request);
            let token = |message: &Message| message.content.get("progressToken").cloned();
            let found = match &told.message {
                Some(message) if message.kind == Kind::Response => {
                    asked.find(|(_, said)| said.message.id == message.id)
                }
                Some(message) => {
                    let named = token(message).and_then(|token| {
                        asked.clone().find(|(_, said)| said.message.progress_token() == Some(&token))
                    });
                    // Nothing says what else belongs to which request: to the last that is not answered yet.
                    named.or_else(|| asked.find(|(place, _)| !answered.contains(place)))
                }
                None => asked.find(|(place, _)| !answered.contains(place)),
            };
            told.after = match found {
                Some((place, _)) => After::Request(*place),
                None => After::Count(before.count()),
            };
            let ends = told.message.as_ref().is_some_and(|message| message.kind == Kind::Response);
            answered.extend(found.filter(|_| ends).map(|(place, _)| *place));
        }
    }

    /// The events that belong to a request of the agent.
    pub fn of_request(&self, place: usize) -> impl Iterator<Item = usize> {
        let own = self.told.iter().enumerate();
        own.filter(move |(_, told)| told.after == After::Request(place)).map(|(at, _)| at)
    }

    /// An event as an answer of its own.
    pub fn piece(&self, at: usize) -> Option<RecordedResponse> {
        let body = self.body.get(self.told.get(at)?.span.clone()).map(|bytes| self.body.slice_ref(bytes))?;
        let stands = |stand_in: &&StandIn| memchr::memmem::find(&body, stand_in.text.as_bytes()).is_some();
        let stand_ins = self.stand_ins.iter().filter(stands).cloned().collect();
        Some(RecordedResponse {
            source: Source::Live,
            head: Some(self.head.clone()),
            fault: None,
            head_us: 0,
            frames: vec![FrameMark(body.len() as u32, 0)],
            body,
            end: BodyEnd::Complete,
            end_us: 0,
            stand_ins,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_seen_from_its_stream() {
        for (told, want) in [
            ("/messages/?session_id=1", "/messages/?session_id=1"),
            ("messages?s=1", "/shop/messages?s=1"),
            ("?s=1", "/shop/sse?s=1"),
            ("http://127.0.0.1:9/m?s=1", "/m?s=1"),
            ("https://host", "/"),
        ] {
            assert_eq!(resolved(told, "/shop/sse?key=k"), want, "{told}");
        }
    }
}
