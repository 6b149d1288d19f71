//! Recorded answers of servers as they go out: in today's words, under today's ids, each message in its time.

use super::{Player, unreadable};
use crate::dialect::sse;
use crate::exchange::{FrameMark, RecordedResponse, Source, StandIn, encoding};
use crate::mcp::message::{Kind, Message, messages};
use crate::mcp::stamp::Stamp;
use crate::proxy::{Answer, Canned, CannedEnd, Gate};
use crate::replay::serve;
use crate::replay::servers::{Spoken, is_same};
use bytes::Bytes;
use serde_json::Value;
use std::time::Duration;
use tokio::sync::watch;

impl Player {
    /// A recorded answer in today's words and under today's ids.
    pub(super) fn with_todays(
        &self,
        spoken: &Spoken,
        server: &str,
        live: &Message,
        recorded: Option<&RecordedResponse>,
    ) -> Answer {
        let lane = spoken.site.map(|site| site.lane);
        let told = recorded.map(told_values).unwrap_or_default();
        let rewrite = self.state().matcher.todays(lane, &told.into());
        let reveal = |stand_in: &StandIn| self.options.redactor.reveal(&stand_in.text);
        let (answer, rewritten) =
            serve::recorded(&self.name, spoken.id, recorded, self.options.timing, &reveal, &rewrite);
        self.state().tally.rewritten(rewritten);
        let (mut canned, response) = match (answer, recorded) {
            (Answer::Serve(canned), Some(response)) => (canned, response),
            (other, _) => return other,
        };
        let stamp = Stamp { recorded: &spoken.message, live };
        let lasts = live.method == "subscriptions/listen";
        let waits = if lasts { self.counted(response, spoken.started_us, server) } else { Vec::new() };
        let gates = match self.stamped(&mut canned, &stamp, server, &waits) {
            Ok(gates) => gates,
            Err(why) => return self.server_miss(live, unreadable(&why)),
        };
        let gates = if lasts { self.open_ended(&mut canned, gates) } else { gates };
        Answer::ServeGated(canned, gates)
    }

    /// Puts today's ids into an answer and cuts it into its messages; gates stand behind each request of the server, and in
    /// front of those messages that came when the agent had said so much (`waits`).
    ///
    /// # Errors
    /// When the answer is in an encoding that cannot be undone.
    fn stamped(
        &self,
        canned: &mut Canned,
        stamp: &Stamp<'_>,
        server: &str,
        waits: &[u64],
    ) -> Result<Vec<Gate>, String> {
        let whole: Vec<u8> = canned.frames.iter().flat_map(|(_, bytes)| bytes.iter().copied()).collect();
        let whole = encoding::decode(canned.head.headers.get("content-encoding"), &whole)?.into_owned();
        canned.head.headers.remove("content-encoding");
        let streams = canned.head.is_event_stream();
        let body = Bytes::from(stamp.body(&whole, streams));
        if !streams {
            let wait = canned.frames.iter().map(|(wait, _)| *wait).sum();
            if canned.head.headers.get("content-length").is_some() {
                canned.head.headers.set("content-length", body.len().to_string());
            }
            canned.frames = vec![(wait, body)];
            return Ok(Vec::new());
        }
        let times = delays(&canned.frames, &whole);
        let (mut frames, mut gates, mut at) = (Vec::new(), Vec::new(), 0);
        for (n, event) in sse::events(&body).into_iter().enumerate() {
            if let Some(count) = waits.get(n).filter(|count| **count > 0) {
                gates.push(Gate { frame: n, open: self.after_so_many(server, *count) });
            }
            frames.push((times.get(n).copied().unwrap_or_default(), body.slice(at..event.span.end)));
            at = event.span.end;
            let asks = Message::read(event.data.as_bytes()).filter(|m| m.kind == Kind::Request);
            if let Some(asks) = asks
                && self.was_answered(server, &asks.id)
            {
                gates.push(Gate { frame: n + 1, open: self.state().said.reply(server, &asks.id) });
            }
        }
        if at < body.len() {
            frames.push((Duration::ZERO, body.slice(at..)));
        }
        canned.frames = frames;
        Ok(gates)
    }

    /// True when the recorded agent answered this request of the server.
    pub(super) fn was_answered(&self, server: &str, id: &str) -> bool {
        let mut spoken = self.run.servers().spoken().iter();
        spoken.any(|s| s.message.kind == Kind::Response && s.message.id == id && is_same(&s.server, server))
    }

    /// Opens when a server has been sent so many messages.
    fn after_so_many(&self, server: &str, count: u64) -> watch::Receiver<bool> {
        let mut counts = self.state().said.count(server).subscribe();
        let (opens, open) = watch::channel(false);
        tokio::spawn(async move {
            // An error says that the replay is over.
            let _ = counts.wait_for(|so_far| *so_far >= count).await;
            opens.send_replace(true);
        });
        open
    }

    /// How many messages the server had been sent when each event of a recorded stream came.
    fn counted(&self, response: &RecordedResponse, started_us: u64, server: &str) -> Vec<u64> {
        let body = response.head.as_ref().map(|head| head.headers.get("content-encoding"));
        let Ok(plain) = encoding::decode(body.flatten(), &response.body) else { return Vec::new() };
        let mut arrivals: Vec<u64> = self
            .run
            .servers()
            .spoken()
            .iter()
            .filter(|s| is_same(&s.server, server))
            .map(|s| s.started_us)
            .collect();
        arrivals.sort_unstable();
        let when = |end: usize| {
            let mut covered = 0;
            let last = response.frames.iter().find(|FrameMark(length, _)| {
                covered += *length as usize;
                covered >= end
            });
            started_us.saturating_add(last.or(response.frames.last()).map_or(0, |frame| frame.1))
        };
        let events = sse::events(&plain);
        events.iter().map(|event| arrivals.partition_point(|at| *at < when(event.span.end)) as u64).collect()
    }

    /// A stream that the agent left first stays open until it leaves again.
    fn open_ended(&self, canned: &mut Canned, mut gates: Vec<Gate>) -> Vec<Gate> {
        if canned.end == CannedEnd::Broken {
            canned.end = CannedEnd::Complete;
            let never = self.state().said.reply("", "");
            gates.push(Gate { frame: canned.frames.len(), open: never });
        }
        gates
    }

    /// What a server tells by itself, each message when the agent has said as much as it had then.
    pub(super) fn stream_of(&self, server: &str) -> Answer {
        let listened =
            self.run.servers().listened(server).find(|l| !self.state().said.streams.contains(&l.id));
        let found = listened.and_then(|l| {
            let response = self.run.reader().answer(l.id).ok()??;
            let request = self.run.reader().request(l.id).ok()?;
            Some((l.id, request.started_us, response))
        });
        let Some((id, started_us, response)) = found else {
            // A server that has nothing to tell says so.
            return Answer::Serve(serve::own(405, Bytes::new(), Source::Refused));
        };
        self.state().said.streams.insert(id);
        let told = told_values(&response);
        let rewrite = self.state().matcher.todays(None, &told.into());
        let reveal = |stand_in: &StandIn| self.options.redactor.reveal(&stand_in.text);
        let (answer, rewritten) =
            serve::recorded(&self.name, id, Some(&response), self.options.timing, &reveal, &rewrite);
        self.state().tally.rewritten(rewritten);
        match answer {
            Answer::Serve(mut canned) if canned.head.is_event_stream() => {
                let waits = self.counted(&response, started_us, server);
                let nobody = Message {
                    kind: Kind::Notification,
                    method: String::new(),
                    id: String::new(),
                    content: Value::Null,
                };
                let stamp = Stamp { recorded: &nobody, live: &nobody };
                let Ok(gates) = self.stamped(&mut canned, &stamp, server, &waits) else {
                    // Messages that nobody can read are none that the agent waits for.
                    return Answer::Serve(canned);
                };
                let gates = self.open_ended(&mut canned, gates);
                Answer::ServeGated(canned, gates)
            }
            other => other,
        }
    }
}

/// The texts of a recorded answer that may speak of today.
pub(super) fn told_values(response: &RecordedResponse) -> Vec<Value> {
    let Some(head) = &response.head else { return Vec::new() };
    let Ok(body) = encoding::decode(head.headers.get("content-encoding"), &response.body) else {
        return Vec::new();
    };
    messages(&body, head.is_event_stream()).into_iter().map(|m| m.content).collect()
}

/// The time to wait before each event, from the frames that they came in.
fn delays(frames: &[(Duration, Bytes)], whole: &[u8]) -> Vec<Duration> {
    let (mut at, mut read, mut out) = (0, 0, Vec::new());
    for event in sse::events(whole) {
        let mut wait = Duration::ZERO;
        while read < event.span.end {
            let Some((delay, bytes)) = frames.get(at) else { break };
            wait += *delay;
            read += bytes.len();
            at += 1;
        }
        out.push(wait);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_wait_as_long_as_the_frames_they_came_in() {
        let ms = Duration::from_millis;
        let frame = |wait: u64, text: &'static str| (ms(wait), Bytes::from_static(text.as_bytes()));
        let frames = [frame(5, "data: a\n\ndata: b"), frame(7, "\n\n"), frame(1, "data: c\n\n")];
        let whole: Vec<u8> = frames.iter().flat_map(|(_, b)| b.to_vec()).collect();
        assert_eq!(delays(&frames, &whole), [ms(5), ms(7), ms(1)]);
    }
}
