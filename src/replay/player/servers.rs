//! Servers of the Model Context Protocol: their messages come from the recording, under today's ids.
//!
//! A message fits a recorded one to the same server that says the same up to holes. Of several, the one counts that
//! carries out a call the model was just given; else the first that was not asked for yet. Calls of tools are answered
//! once, everything else as often as it is asked.

use super::refusal::{fence_message, lost_decision};
use super::{Fenced, Player, Stop, serve};
use crate::dialect::sse;
use crate::dialect::summary::call_line;
use crate::exchange::{
    ExchangeId, FrameMark, HeaderList, RecordedResponse, ResponseHead, Source, StandIn, encoding,
};
use crate::mcp::message::{Kind, Message};
use crate::mcp::stamp::{self, Stamp};
use crate::proxy::{Answer, Asked, Canned, CannedEnd, Gate};
use crate::replay::commands::gist;
use crate::replay::matcher::{Miss, Near};
use crate::replay::servers::{Spoken, is_same, server_of};
use crate::replay::shim::{SHELL, SHIM, is_shim};
use crate::replay::tally::servers::Servers;
use crate::run::{CallSite, StepKind, ToolCallRef, spelling};
use bytes::Bytes;
use std::collections::{HashMap, HashSet};
use std::time::Duration;
use tokio::sync::watch;

/// What has been said to servers in this replay.
#[derive(Default)]
pub(super) struct Said {
    /// Recorded messages that were answered.
    used: HashSet<ExchangeId>,
    /// Recorded streams that were served.
    streams: HashSet<ExchangeId>,
    /// How many messages a server was sent.
    counts: HashMap<String, watch::Sender<u64>>,
    /// Requests of servers that wait for the agent's answer, by server and id.
    asked_back: HashMap<(String, String), watch::Sender<bool>>,
    /// Servers that carried out a call which may have changed something.
    written: HashSet<String>,
}

impl Said {
    fn count(&mut self, server: &str) -> &watch::Sender<u64> {
        self.counts.entry(server.to_string()).or_insert_with(|| watch::Sender::new(0))
    }

    /// Opens when this request of the server has been answered.
    fn reply(&mut self, server: &str, id: &str) -> watch::Receiver<bool> {
        let key = (server.to_string(), id.to_string());
        self.asked_back.entry(key).or_insert_with(|| watch::Sender::new(false)).subscribe()
    }

    fn replied(&mut self, server: &str, id: &str) {
        let key = (server.to_string(), id.to_string());
        self.asked_back.entry(key).or_insert_with(|| watch::Sender::new(false)).send_replace(true);
    }

    /// Notes that a server did something for real.
    pub(super) fn note_written(&mut self, server: &str) {
        self.written.insert(server.to_string());
    }

    /// Notes a recorded message that is not to be told again.
    pub(super) fn note_used(&mut self, id: ExchangeId) {
        self.used.insert(id);
    }

    /// True when this server is asked through retake.
    pub(super) fn knows(&self, server: &str) -> bool {
        self.counts.keys().any(|known| is_same(server, known))
    }
}

impl Player {
    /// Answers a message to a server, or a request for its stream; none for what is neither.
    pub(super) fn server_message(&self, asked: &Asked) -> Option<Answer> {
        if is_shim(&asked.upstream.provider) {
            return Some(self.shim_message(asked));
        }
        if self.run.servers().is_empty() {
            return None;
        }
        let server = server_of(&asked.upstream, &asked.head);
        if asked.head.method == "GET" {
            let known = self.run.servers().spoken().iter().any(|spoken| is_same(&spoken.server, &server));
            return known.then(|| self.stream_of(&server));
        }
        let message = Message::read(&asked.body).filter(|_| asked.head.method == "POST")?;
        self.state().said.count(&server).send_modify(|count| *count += 1);
        Some(match message.kind {
            Kind::Request => self.asked_of(&server, &message),
            Kind::Notification | Kind::Response => self.told_to(asked, &server, &message),
        })
    }

    /// Recorded calls of tools that no model asked for and that were not made in this replay, in order.
    pub fn uncalled(&self) -> Vec<String> {
        let state = self.state();
        let mut own = self
            .run
            .servers()
            .spoken()
            .iter()
            .filter(|s| s.site.is_none() && s.server != SHELL && !state.said.used.contains(&s.id));
        let mut lines = Vec::new();
        while let Some((spoken, (tool, arguments))) = own.find_map(|s| Some((s, s.message.call()?))) {
            lines.push(format!("{}: {}", spoken.server, call_line(tool, arguments, 80)));
        }
        lines
    }

    /// The tools that a recorded answer would have run: not those whose server the recording stands for.
    pub(super) fn would_run(&self, lane: u32, turn: u32, calls: &[ToolCallRef]) -> Vec<String> {
        let stood_for = |call: u32| {
            let spoken = self.run.servers().carried_out(CallSite { lane, turn, call });
            spoken.is_some_and(|spoken| match spoken.server == SHIM {
                // Functions that were wrapped are wrapped, as long as it is the same agent.
                true => self.options.same_agent && self.run.servers().outcome(spoken).is_some(),
                false => self.state().said.knows(&spoken.server),
            })
        };
        let runs = (0..).zip(calls).filter(|(call, _)| !stood_for(*call));
        runs.map(|(_, call)| call.name.clone()).collect()
    }

    /// A request: the recorded answer, or in a fork that of the server.
    fn asked_of(&self, server: &str, live: &Message) -> Answer {
        let Some(spoken) = self.nearest_unused(server, live) else {
            return match self.options.plan {
                Some(_) => self.server_live(server, live),
                None => self.server_miss(live, self.explain(server, live)),
            };
        };
        let recorded = match self.run.reader().answer(spoken.id) {
            Ok(recorded) => recorded,
            Err(error) => {
                let mut miss = lost_decision();
                miss.reason = format!("the recorded answer cannot be read: {error}");
                return self.server_miss(live, miss);
            }
        };
        self.note_answered(server, spoken);
        self.with_todays(spoken, server, live, recorded.as_ref())
    }

    /// A notification, or the agent's answer to a request of the server.
    fn told_to(&self, asked: &Asked, server: &str, live: &Message) -> Answer {
        let recorded = self.run.servers().spoken();
        let mut alike = recorded.iter().filter(|s| is_same(&s.server, server) && s.message.kind == live.kind);
        if live.kind == Kind::Response {
            let then = alike.find(|spoken| spoken.message.id == live.id);
            let same =
                |then: &&Spoken| self.state().matcher.same_value(None, &then.message.content, &live.content);
            if let Some(then) = then.filter(|then| !same(then)) {
                let mut miss = self.explain(server, live);
                miss.reason =
                    format!("{server} asked something of the agent, which answers otherwise than recorded");
                miss.nearest = self.differences(&[then], live);
                return self.server_miss(live, miss);
            }
            self.state().said.replied(server, &live.id);
        }
        let is_bridged = asked.upstream.provider == crate::proxy::MCP;
        if self.options.plan.is_some() && is_bridged && self.state().tally.servers.live.contains_key(server) {
            // It was started here, and is to know what the agent tells.
            return Answer::Forward { body: None, target: None, upstream: None, hold: false };
        }
        self.state().tally.servers.messages += 1;
        Answer::Serve(accepted())
    }

    /// The recorded message that a live one repeats.
    pub(super) fn nearest_unused(&self, server: &str, live: &Message) -> Option<&Spoken> {
        let subject = live.subject();
        let servers = self.run.servers();
        let of_method: Vec<&Spoken> = servers
            .spoken()
            .iter()
            .filter(|s| {
                s.message.method == live.method && s.message.kind == live.kind && is_same(&s.server, server)
            })
            .collect();
        let mut fits: Vec<&Spoken> = of_method.iter().copied().filter(|s| s.subject == subject).collect();
        let state = self.state();
        if fits.is_empty() {
            let alike =
                |s: &&Spoken| state.matcher.same_value(s.site.map(|site| site.lane), &s.subject, &subject);
            fits = of_method.into_iter().filter(alike).collect();
        }
        if fits.is_empty() && server == SHELL {
            let asked = gist(&subject);
            let alike = |s: &&Spoken| state.matcher.same_value(None, &gist(&s.subject), &asked);
            fits = servers.spoken().iter().filter(|s| s.server == SHELL).filter(alike).collect();
        }
        let is_call = live.method == "tools/call";
        let rank = |spoken: &&Spoken| {
            let used = state.said.used.contains(&spoken.id);
            let other_call = live.made_for().is_some() && live.made_for() != spoken.message.made_for();
            let not_given =
                spoken.site.is_some_and(|site| !state.tally.served.contains_key(&(site.lane, site.turn)));
            (used, other_call, not_given, spoken.id)
        };
        // What is asked again is told again, but a tool that is called once more would run once more.
        let free = |spoken: &&Spoken| !is_call || !state.said.used.contains(&spoken.id);
        fits.into_iter().filter(free).min_by_key(rank)
    }

    pub(super) fn note_answered(&self, server: &str, spoken: &Spoken) {
        let mut state = self.state();
        state.said.used.insert(spoken.id);
        let written = state.said.written.contains(server);
        let tally = &mut state.tally.servers;
        tally.messages += 1;
        tally.sites.extend(spoken.site);
        if let Some((tool, _)) = spoken.message.call() {
            Servers::note(&mut tally.answered, server, tool);
            if written {
                Servers::note(&mut tally.stale, server, tool);
            }
        }
    }

    /// A recorded answer in today's words and under today's ids.
    fn with_todays(
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
        let (Answer::Serve(mut canned), Some(response)) = (answer, recorded) else {
            return self.broken_off(spoken.id);
        };
        let stamp = Stamp { recorded: &spoken.message, live };
        let lasts = live.method == "subscriptions/listen";
        let waits = if lasts { self.counted(response, spoken.started_us, server) } else { Vec::new() };
        let gates = self.stamped(&mut canned, &stamp, server, &waits);
        let gates = if lasts { self.open_ended(&mut canned, gates) } else { gates };
        Answer::ServeGated(canned, gates)
    }

    /// The connection closes, as it did.
    fn broken_off(&self, exchange: ExchangeId) -> Answer {
        let source = Source::Recorded { run: self.name.clone(), exchange };
        let what = "the server ended".to_string();
        Answer::Close(source, crate::exchange::Fault::Reset { what })
    }

    /// Puts today's ids into an answer and cuts it into its messages; gates stand behind each request of the server, and in
    /// front of those messages that came when the agent had said so much (`waits`).
    fn stamped(&self, canned: &mut Canned, stamp: &Stamp<'_>, server: &str, waits: &[u64]) -> Vec<Gate> {
        let whole: Vec<u8> = canned.frames.iter().flat_map(|(_, bytes)| bytes.iter().copied()).collect();
        let whole = match encoding::decode(canned.head.headers.get("content-encoding"), &whole) {
            Ok(plain) => plain.into_owned(),
            Err(_) => return Vec::new(),
        };
        canned.head.headers.remove("content-encoding");
        let streams = canned.head.is_event_stream();
        let body = Bytes::from(stamp.body(&whole, streams));
        if !streams {
            let wait = canned.frames.iter().map(|(wait, _)| *wait).sum();
            if canned.head.headers.get("content-length").is_some() {
                canned.head.headers.set("content-length", body.len().to_string());
            }
            canned.frames = vec![(wait, body)];
            return Vec::new();
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
        gates
    }

    /// True when the recorded agent answered this request of the server.
    fn was_answered(&self, server: &str, id: &str) -> bool {
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
    fn stream_of(&self, server: &str) -> Answer {
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
                    content: serde_json::Value::Null,
                };
                let stamp = Stamp { recorded: &nobody, live: &nobody };
                let gates = self.stamped(&mut canned, &stamp, server, &waits);
                let gates = self.open_ended(&mut canned, gates);
                Answer::ServeGated(canned, gates)
            }
            other => other,
        }
    }

    /// In a fork: what was not asked before goes to the server itself, unless it is a tool behind a fence.
    fn server_live(&self, server: &str, live: &Message) -> Answer {
        if let Some((tool, _)) = live.call() {
            if let Some((tool, by)) = self.options.fences.stops_call(tool).map(|by| (tool.to_string(), by)) {
                let why = fence_message(&tool, by);
                self.state().tally.fenced = Some(Fenced { tool, by, step: None, asked_live: None });
                self.halt(None, Stop::Fence, &why);
                return refused(live, &why);
            }
            let mut state = self.state();
            if self.options.fences.tools().class_of(tool).may_write() {
                state.said.written.insert(server.to_string());
            }
            Servers::note(&mut state.tally.servers.called, server, tool);
        }
        *self.state().tally.servers.live.entry(server.to_string()).or_default() += 1;
        Answer::Forward { body: None, target: None, upstream: None, hold: false }
    }

    fn server_miss(&self, live: &Message, miss: Miss) -> Answer {
        refused(live, &self.server_refused(miss))
    }

    /// Stops the replay; what the agent is told.
    pub(super) fn server_refused(&self, miss: Miss) -> String {
        let mut why = format!("retake: {}: {}", miss.asked, miss.reason);
        if let Some(near) = miss.nearest.first() {
            why.push_str(&format!(
                "; {} ({}: recorded {}, now {})",
                near.why, near.path, near.recorded, near.live
            ));
        }
        self.state().tally.misses.push(miss);
        self.halt(None, Stop::Miss, &why);
        why
    }

    pub(super) fn explain(&self, server: &str, live: &Message) -> Miss {
        let asked = match live.call() {
            Some((tool, arguments)) => {
                format!("{server}: {}", call_line(tool, arguments, 200))
            }
            None if live.method.is_empty() => format!("{server}: an answer of the agent"),
            None => format!("{server}: {}", live.method),
        };
        let servers = self.run.servers();
        let own = servers.spoken().iter().filter(|s| is_same(&s.server, server));
        let called = |s: &&Spoken| s.message.call().map(|(name, _)| name.to_string());
        let tool = live.call().map(|(name, _)| name.to_string());
        let same: Vec<&Spoken> =
            own.clone().filter(|s| s.message.method == live.method && called(s) == tool).collect();
        let (mut nearest, mut hints) = (Vec::new(), Vec::new());
        let reason = match (&tool, same.is_empty()) {
            (_, _) if own.clone().next().is_none() => {
                format!("the recording knows no server {server}")
            }
            (Some(tool), true) => {
                let names: Vec<String> = own.filter_map(|s| called(&s)).collect();
                if let Some(meant) = spelling::nearest(tool, names.iter().map(String::as_str)) {
                    hints.push(format!("did it mean {meant}?"));
                }
                format!("the recording has no call of {tool}")
            }
            (None, true) => format!("the recording has no {} of this server", live.method),
            (_, false) if same.iter().any(|s| s.subject == live.subject()) => {
                "the recording has this call, but it was answered already: it is called once more than recorded".into()
            }
            (_, false) => {
                nearest = self.differences(&same, live);
                "the recording has it with other arguments only".into()
            }
        };
        hints.push("to let the server itself answer from here on: retake fork RUN --at STEP".into());
        Miss { asked, reason, nearest, hints: self.named(hints, &same) }
    }

    /// Hints with the run and the step before the nearest call in them.
    fn named(&self, hints: Vec<String>, same: &[&Spoken]) -> Vec<String> {
        let step = same.first().and_then(|s| self.run.number_of(StepKind::Tool { site: s.site? }));
        let at = step.map_or(0, |step| step.saturating_sub(1));
        hints
            .into_iter()
            .map(|hint| hint.replace("RUN --at STEP", &format!("{} --at {at}", self.name)))
            .collect()
    }

    fn differences(&self, same: &[&Spoken], live: &Message) -> Vec<Near> {
        let near = |spoken: &&Spoken| {
            let (path, recorded, now) = first_difference("", &spoken.message.content, &live.content)?;
            let outline = self.run.shared_outline();
            let lane = spoken.site.and_then(|site| outline.lanes.get(site.lane as usize));
            Some(Near {
                lane: lane.map_or_else(|| spoken.server.clone(), |lane| lane.key.clone()),
                turn: spoken.site.map_or(0, |site| site.turn),
                step: spoken.site.and_then(|site| self.run.number_of(StepKind::Tool { site })),
                why: "what is asked differs".into(),
                path,
                recorded,
                live: now,
                rule: None,
            })
        };
        same.iter().filter_map(near).collect()
    }
}

/// The texts of a recorded answer that may speak of today.
fn told_values(response: &RecordedResponse) -> Vec<serde_json::Value> {
    let Some(head) = &response.head else { return Vec::new() };
    let Ok(body) = encoding::decode(head.headers.get("content-encoding"), &response.body) else {
        return Vec::new();
    };
    crate::mcp::message::messages(&body, head.is_event_stream()).into_iter().map(|m| m.content).collect()
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

/// The first place where two values differ, and what stands there.
fn first_difference(
    path: &str,
    recorded: &serde_json::Value,
    live: &serde_json::Value,
) -> Option<(String, String, String)> {
    use serde_json::Value;
    if let (Value::Object(then), Value::Object(now)) = (recorded, live) {
        let names = then.keys().chain(now.keys().filter(|name| !then.contains_key(*name)));
        let mut names = names.filter(|name| *name != "_meta");
        return names.find_map(|name| {
            let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            let nothing = &Value::Null;
            first_difference(&below, then.get(name).unwrap_or(nothing), now.get(name).unwrap_or(nothing))
        });
    }
    (recorded != live).then(|| (path.to_string(), recorded.to_string(), live.to_string()))
}

fn accepted() -> Canned {
    let headers = HeaderList(vec![("content-length".into(), "0".into())]);
    let head = ResponseHead { status: 202, headers };
    Canned { source: Source::Refused, head, frames: Vec::new(), end: CannedEnd::Complete }
}

/// An error that clients of the protocol show to their users.
fn refused(live: &Message, why: &str) -> Answer {
    let mut canned = serve::own(200, Bytes::from(stamp::refusal(live, why)), Source::Refused);
    canned.head.headers.remove("x-should-retry");
    Answer::Serve(canned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn events_wait_as_long_as_the_frames_they_came_in() {
        let ms = Duration::from_millis;
        let frame = |wait: u64, text: &'static str| (ms(wait), Bytes::from_static(text.as_bytes()));
        let frames = [frame(5, "data: a\n\ndata: b"), frame(7, "\n\n"), frame(1, "data: c\n\n")];
        let whole: Vec<u8> = frames.iter().flat_map(|(_, b)| b.to_vec()).collect();
        assert_eq!(delays(&frames, &whole), [ms(5), ms(7), ms(1)]);
    }

    #[test]
    fn the_first_difference_is_named() {
        let then = json!({"name": "stock", "arguments": {"item": "gadget"}, "_meta": {"progressToken": 1}});
        let now = json!({"name": "stock", "arguments": {"item": "widget"}, "_meta": {"progressToken": 2}});
        let (path, recorded, live) = first_difference("", &then, &now).unwrap();
        assert_eq!(
            (path.as_str(), recorded.as_str(), live.as_str()),
            ("arguments.item", "\"gadget\"", "\"widget\"")
        );
        assert_eq!(first_difference("", &then, &then), None);
    }
}
