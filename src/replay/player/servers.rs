//! Servers of the Model Context Protocol: their messages come from the recording, under today's ids.
//!
//! A message fits a recorded one to the same server that says the same up to holes. Of several, the one counts that
//! carries out a call the model was just given; else the first that was not asked for yet. Calls of tools are answered
//! once, everything else as often as it is asked.

mod batches;
mod channels;
mod explain;
mod introduction;
mod sessions;
mod streams;

use super::refusal::{fence_message, lost_decision};
use super::{Fenced, Player, Stop, serve};
use crate::dialect::summary::call_line;
use crate::exchange::{ExchangeId, HeaderList, ResponseHead, Source};
use crate::mcp::message::{CHANGED, Kind, Message, messages};
use crate::mcp::stamp;
use crate::proxy::{Answer, Asked, Canned, CannedEnd};
use crate::replay::commands::gist;
use crate::replay::matcher::Miss;
use crate::replay::servers::{Spoken, is_same, server_of};
use crate::replay::shim::{SHELL, is_shim, is_told};
use crate::replay::tally::servers::Servers;
use crate::run::{CallSite, ToolCallRef};
use bytes::Bytes;
pub(super) use channels::Open;
use sessions::Session;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use tokio::sync::watch;

/// What has been said to servers in this replay.
#[derive(Default)]
pub(super) struct Said {
    /// Recorded messages that were answered.
    used: HashSet<(ExchangeId, usize)>,
    /// Recorded streams that were served.
    streams: HashSet<ExchangeId>,
    /// How many messages a server was sent.
    counts: HashMap<String, watch::Sender<u64>>,
    /// Requests of servers that wait for the agent's answer, by server and id.
    asked_back: HashMap<(String, String), watch::Sender<bool>>,
    /// Servers that carried out a call which may have changed something.
    written: HashSet<String>,
    /// Sessions that the recording began, by the id that the agent knows them under.
    sessions: HashMap<String, Arc<Session>>,
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

    /// True when this request of the recording waits for its answer.
    fn asks(&self, server: &str, id: &str) -> bool {
        let key = (server.to_string(), id.to_string());
        self.asked_back.get(&key).is_some_and(|answered| !*answered.borrow())
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
    pub(super) fn note_used(&mut self, spoken: &Spoken) {
        self.used.insert(spoken.key());
    }

    /// True for a recorded message that was told again.
    pub(super) fn was_used(&self, spoken: &Spoken) -> bool {
        self.used.contains(&spoken.key())
    }

    /// True when this server is asked through retake.
    pub(super) fn knows(&self, server: &str) -> bool {
        self.counts.keys().any(|known| is_same(server, known))
    }
}

impl Player {
    /// Answers a message to a server, or a request for its stream; none for what is neither.
    pub(super) async fn server_message(&self, asked: &Asked) -> Option<Answer> {
        if is_shim(&asked.upstream.provider) {
            return Some(self.shim_message(asked));
        }
        if self.run.servers().is_empty() {
            return None;
        }
        if let Some(answer) = self.over_channel(asked).await {
            return Some(answer);
        }
        let server = server_of(&asked.upstream, &asked.head);
        if asked.head.method == "GET" {
            let known = self.run.servers().spoken().iter().any(|spoken| is_same(&spoken.server, &server));
            return known.then(|| self.stream_of(&server));
        }
        if asked.head.method == "DELETE"
            && let Some(fields) = self.fields_of_session(asked)
        {
            return Some(onward(fields));
        }
        if asked.head.method == "POST" && batches::is_batch(&asked.body) {
            let batch = messages(&asked.body, false);
            if batch.is_empty() {
                return None;
            }
            self.state().said.count(&server).send_modify(|count| *count += batch.len() as u64);
            return Some(self.batch_of(asked, &server, &batch).await);
        }
        let message = Message::read(&asked.body).filter(|_| asked.head.method == "POST")?;
        self.state().said.count(&server).send_modify(|count| *count += 1);
        Some(match message.kind {
            Kind::Request => self.asked_of(asked, &server, &message).await,
            Kind::Notification | Kind::Response => self.told_to(asked, &server, &message),
        })
    }

    /// Recorded calls of tools that no model asked for and that were not made in this replay, in order.
    pub fn uncalled(&self) -> Vec<String> {
        let (state, servers) = (self.state(), self.run.servers());
        let mut own = servers
            .spoken()
            .iter()
            .filter(|s| s.site.is_none() && s.server != SHELL)
            .filter(|s| !state.said.used.contains(&s.key()) && !servers.is_nested(s));
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
            spoken.is_some_and(|spoken| match is_told(&spoken.server) {
                // Functions that were wrapped are wrapped, as long as it is the same agent; so are its shells.
                true => self.options.same_agent && self.run.servers().outcome(spoken).is_some(),
                false => self.state().said.knows(&spoken.server),
            })
        };
        let runs = (0..).zip(calls).filter(|(call, _)| !stood_for(*call));
        runs.map(|(_, call)| call.name.clone()).collect()
    }

    /// A request: the recorded answer, or in a fork that of the server.
    async fn asked_of(&self, asked: &Asked, server: &str, live: &Message) -> Answer {
        let Some(spoken) = self.nearest_unused(server, live, None) else {
            return match self.options.plan {
                Some(_) => self.server_live(asked, server, live).await,
                None => self.server_miss(live, self.explain(server, live)),
            };
        };
        let recorded = match self.run.reader().answer(spoken.id) {
            Ok(recorded) => recorded.map(|recorded| self.own_part(spoken, recorded)),
            Err(error) => {
                return self.server_miss(live, unreadable(&error.to_string()));
            }
        };
        self.note_answered(asked.id, server, spoken);
        let answer = self.with_todays(spoken, server, live, recorded.as_ref());
        if self.options.plan.is_some() {
            self.note_session(asked, live, &answer);
        }
        answer
    }

    /// A notification, or the agent's answer to a request of the server.
    fn told_to(&self, asked: &Asked, server: &str, live: &Message) -> Answer {
        if live.method == CHANGED {
            let lines = live.content.get("tools").and_then(|tools| tools.as_array()).into_iter().flatten();
            let lines = lines.filter_map(|line| line.as_str()).map(String::from).collect();
            self.state().tally.servers.changed.insert(server.to_string(), lines);
            return Answer::Serve(accepted());
        }
        let was_asked = self.state().said.asks(server, &live.id);
        if live.kind == Kind::Response && (was_asked || self.fields_of_session(asked).is_none()) {
            if let Some(miss) = self.answers_otherwise(server, live) {
                return self.server_miss(live, miss);
            }
            self.state().said.replied(server, &live.id);
        }
        if let Some(fields) = self.fields_of_session(asked) {
            return onward(fields);
        }
        let is_bridged = asked.upstream.provider == crate::proxy::MCP;
        if self.options.plan.is_some() && is_bridged && self.state().tally.servers.live.contains_key(server) {
            // It was started here, and is to know what the agent tells.
            return onward(HeaderList::default());
        }
        self.state().tally.servers.messages += 1;
        Answer::Serve(accepted())
    }

    /// Why an answer of the agent to a request of a server makes what follows in the recording wrong, if it does.
    fn answers_otherwise(&self, server: &str, live: &Message) -> Option<Miss> {
        let mut recorded = self.run.servers().spoken().iter();
        let then = recorded
            .find(|s| s.message.kind == live.kind && s.message.id == live.id && is_same(&s.server, server))?;
        if self.state().matcher.same_value(None, &then.message.content, &live.content) {
            return None;
        }
        let mut miss = self.explain(server, live);
        miss.reason = format!("{server} asked something of the agent, which answers otherwise than recorded");
        miss.nearest = self.differences(&[then], live);
        Some(miss)
    }

    /// The recorded message that a live one repeats. `channel`: the place of the channel that it comes over.
    pub(super) fn nearest_unused(
        &self,
        server: &str,
        live: &Message,
        channel: Option<usize>,
    ) -> Option<&Spoken> {
        let subject = live.subject();
        let servers = self.run.servers();
        let of_method: Vec<&Spoken> = servers
            .spoken()
            .iter()
            .filter(|s| {
                s.message.method == live.method && s.message.kind == live.kind && is_same(&s.server, server)
            })
            .filter(|s| s.channel.is_some() == channel.is_some())
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
            let used = state.said.used.contains(&spoken.key());
            let other_call = live.made_for().is_some() && live.made_for() != spoken.message.made_for();
            let not_given =
                spoken.site.is_some_and(|site| !state.tally.served.contains_key(&(site.lane, site.turn)));
            (used, other_call, not_given, spoken.channel != channel)
        };
        // What is asked again is told again, but a tool that is called once more would run once more.
        let free = |spoken: &&Spoken| {
            !is_call || !state.said.used.contains(&spoken.key()) && !self.is_behind(&state, spoken)
        };
        let fits: Vec<&Spoken> = fits.into_iter().filter(free).collect();
        let best = fits.iter().copied().min_by_key(|s| (rank(s), s.key()))?;
        // Of equal calls of one answer the model's first one is likeliest to be made first, whichever came first then.
        let of = |spoken: &Spoken| spoken.site.map(|site| (site.lane, site.turn));
        let beside = |spoken: &&Spoken| of(spoken).is_some() && of(spoken) == of(best);
        let equal = fits.iter().copied().filter(beside).filter(|s| s.subject == best.subject);
        let as_good = |spoken: &&Spoken| rank(spoken) == rank(&best);
        Some(equal.filter(as_good).min_by_key(|s| s.site).unwrap_or(best))
    }

    /// Notes that a message (`id`: today's exchange) gets the answer of a recorded one.
    pub(super) fn note_answered(&self, id: ExchangeId, server: &str, spoken: &Spoken) {
        let outline = self.run.shared_outline();
        let mut state = self.state();
        state.said.used.insert(spoken.key());
        let written = state.said.written.contains(server);
        let tally = &mut state.tally.servers;
        tally.messages += 1;
        tally.sites.extend(spoken.site);
        let asker = spoken.site.filter(|_| server == SHELL).and_then(|site| outline.call(site));
        tally.askers.extend(asker.map(|call| call.name.clone()));
        if let Some((tool, _)) = spoken.message.call() {
            Servers::note(&mut tally.answered, server, tool);
            if written {
                Servers::note(&mut tally.stale, server, tool);
                state.tally.note_stale(id, None);
            }
        }
    }

    /// In a fork: what was not asked before goes to the server itself, unless it is a tool behind a fence.
    async fn server_live(&self, asked: &Asked, server: &str, live: &Message) -> Answer {
        if let Some(why) = self.stopped_by_fence(live) {
            return refused(live, &why);
        }
        match self.introduced(asked, server).await {
            Ok(fields) => {
                self.note_live(server, live);
                onward(fields)
            }
            Err(why) => self.server_miss(live, unacquainted(server, &why)),
        }
    }

    /// Why a call is not to be carried out, when its tool is behind a fence.
    fn stopped_by_fence(&self, live: &Message) -> Option<String> {
        let (tool, _) = live.call()?;
        let (tool, by) = self.options.fences.stops_call(tool).map(|by| (tool.to_string(), by))?;
        let why = fence_message(&tool, by);
        self.state().tally.fenced = Some(Fenced { tool, by, step: None, asked_live: None });
        self.halt(None, Stop::Fence, &why);
        Some(why)
    }

    /// Notes a message that a server answers itself.
    fn note_live(&self, server: &str, live: &Message) {
        let mut state = self.state();
        if let Some((tool, _)) = live.call() {
            if self.options.fences.tools().class_of(tool).may_write() {
                state.said.written.insert(server.to_string());
            }
            Servers::note(&mut state.tally.servers.called, server, tool);
        }
        *state.tally.servers.live.entry(server.to_string()).or_default() += 1;
    }

    pub(super) fn server_miss(&self, live: &Message, miss: Miss) -> Answer {
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
}

/// A server that will not be introduced to the agent.
fn unacquainted(server: &str, why: &str) -> Miss {
    Miss {
        asked: format!("{server}: a call that is not recorded"),
        reason: format!("the server cannot be asked: {why}"),
        nearest: Vec::new(),
        hints: vec!["start the server as it ran when it was recorded".into()],
    }
}

/// To the server itself.
fn onward(fields: HeaderList) -> Answer {
    Answer::Forward { body: None, target: None, upstream: None, fields, hold: false }
}

fn unreadable(why: &str) -> Miss {
    let mut miss = lost_decision();
    miss.reason = format!("the recorded answer cannot be read: {why}");
    miss
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
