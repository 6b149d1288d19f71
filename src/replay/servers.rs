//! What servers of the Model Context Protocol were asked in a recording, and for which of the model's calls.

use super::channels::Channel;
use super::commands::asked::{asks_for, said, stands_in};
use super::shim::{self, Outcomes, Report, SHELL, SHIM, is_shim, is_told, teller};
use crate::diff::ServerTotals;
use crate::exchange::canon::canonical_value;
use crate::exchange::{ExchangeId, RequestHead, Upstream, encoding};
use crate::mcp::message::{Kind, Message, is_name_of, messages};
use crate::mcp::tools::{Effect, Tool, listed};
use crate::proxy::MCP;
use crate::run::{CallSite, Outline, ToolCallRef};
use crate::store::{RequestRecord, RunReader};
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};

/// A message of the agent to a server, as recorded.
#[derive(Debug, Clone)]
pub struct Spoken {
    /// Its exchange.
    pub id: ExchangeId,
    /// Name of the server ([`server_of`]).
    pub server: String,
    /// The message.
    pub message: Message,
    /// What of it counts ([`Message::subject`]).
    pub subject: Value,
    /// When it arrived, in microseconds since the Unix epoch.
    pub started_us: u64,
    /// The model's call that it carries out.
    pub site: Option<CallSite>,
    /// Its place among the messages of its exchange: a batch has several.
    pub part: usize,
    /// The place of the channel that it was said over ([`Servers::channels`]), where its answer came.
    pub channel: Option<usize>,
}

impl Spoken {
    /// What tells it from all others of a run.
    pub fn key(&self) -> (ExchangeId, usize) {
        (self.id, self.part)
    }
}

/// A stream on which a server told things that nobody had asked for.
#[derive(Debug, Clone)]
pub struct Listened {
    /// Its exchange.
    pub id: ExchangeId,
    /// Name of the server.
    pub server: String,
}

/// Everything that was said to servers, in order of arrival.
#[derive(Debug, Default)]
pub struct Servers {
    spoken: Vec<Spoken>,
    listened: Vec<Listened>,
    tools: Vec<Tool>,
    carried_out: HashMap<CallSite, usize>,
    outcomes: Outcomes,
    channels: Vec<Channel>,
}

/// What a call of a tool and one of the model have in common.
#[derive(Clone, Copy)]
enum By {
    /// Arguments and result.
    Outcome,
    Arguments,
    Name,
}

/// The name of the server that a request goes to: as its bridge was told, else host and path.
pub fn server_of(upstream: &Upstream, head: &RequestHead) -> String {
    if upstream.provider == MCP {
        return head.path().trim_start_matches('/').to_string();
    }
    let host = upstream.origin.split_once("://").map_or(upstream.origin.as_str(), |(_, host)| host);
    format!("{host}{}", head.path())
}

impl Servers {
    /// Reads what of a run is no model call. What cannot be read is left out.
    pub fn of(reader: &RunReader, outline: &Outline) -> Servers {
        let mut servers = Servers::default();
        let mut streams = Vec::new();
        for id in &outline.others {
            let Ok(request) = reader.request(*id) else { continue };
            let server = server_of(&request.upstream, &request.head);
            if request.head.method == "GET" {
                servers.channels.extend(channel_of(reader, *id, &request, &server));
                streams.push(Listened { id: *id, server });
                continue;
            }
            let Ok(body) = reader.body(request.body) else { continue };
            if is_shim(&request.upstream.provider) {
                servers.note_shim(reader, *id, &request.head.target, &body, request.started_us);
                continue;
            }
            let channel = servers.channel_at(&request.upstream.origin, &request.head.target);
            let server = channel
                .and_then(|at| servers.channels.get(at))
                .map_or(server, |channel| channel.server.clone());
            for (part, message) in messages(&body, false).into_iter().enumerate() {
                if message.method == "tools/list" && channel.is_none() {
                    servers.tools.extend(answer_of(reader, *id, &message).iter().flat_map(listed));
                }
                let subject = message.subject();
                let (started_us, server) = (request.started_us, server.clone());
                let said =
                    Spoken { id: *id, server, message, subject, started_us, site: None, part, channel };
                servers.spoken.push(said);
            }
        }
        servers.settle();
        let known: BTreeSet<&str> = servers.spoken.iter().map(|s| s.server.as_str()).collect();
        servers.listened = streams.into_iter().filter(|s| known.contains(s.server.as_str())).collect();
        servers.link(outline);
        servers
    }

    /// The last channel that messages to this target are for.
    fn channel_at(&self, origin: &str, target: &str) -> Option<usize> {
        self.channels.iter().rposition(|channel| channel.is_at(origin, target))
    }

    /// Finds what the events of channels wait for.
    fn settle(&mut self) {
        for (at, channel) in self.channels.iter_mut().enumerate() {
            let own = self.spoken.iter().enumerate().filter(|(_, said)| said.channel == Some(at));
            let own: Vec<(usize, &Spoken)> = own.collect();
            channel.settle(&own);
            let lists = own.iter().filter(|(_, said)| said.message.method == "tools/list");
            let answers = lists.filter_map(|(_, said)| channel.response_to(&said.message.id));
            self.tools.extend(answers.flat_map(listed));
        }
    }

    /// The event streams that answer what is posted elsewhere, in order of arrival.
    pub fn channels(&self) -> &[Channel] {
        &self.channels
    }

    fn note_shim(&mut self, reader: &RunReader, id: ExchangeId, target: &str, body: &[u8], started_us: u64) {
        match shim::report(target, body) {
            Some(Report::Called(message)) => {
                self.outcomes.note_answer(reader, id, &message);
                let subject = message.subject();
                let server = teller(&message).to_string();
                let said =
                    Spoken { id, server, message, subject, started_us, site: None, part: 0, channel: None };
                self.spoken.push(said);
            }
            Some(Report::Done(call, outcome)) => self.outcomes.note(id, &call, outcome),
            None => {}
        }
    }

    /// True when a call was carried out in the agent's own process, or beside it: by a wrapped function or a command that
    /// was told to run.
    pub fn ran_here(&self, spoken: &Spoken) -> bool {
        is_told(&spoken.server) && !self.outcomes.was_answered(spoken.id)
    }

    /// True when a wrapped function was called while another one ran: perhaps by that, which does not run again.
    pub fn is_nested(&self, inner: &Spoken) -> bool {
        let mut outer = self.spoken.iter().filter(|s| s.server == SHIM && s.id != inner.id);
        inner.server == SHIM
            && outer.any(|outer| self.outcomes.is_during((outer.id, &outer.message), inner.id))
    }

    /// What came of a call of a wrapped function, as the shim tells it.
    pub fn outcome(&self, spoken: &Spoken) -> Option<&Value> {
        self.outcomes.of(&spoken.message)
    }

    /// Pairs calls of tools with the model's calls: by the id that some clients send along, else by name and arguments,
    /// of equal ones by what came of them, else in order, and inside the time that the model waited for the result. What is left goes by name: agents change arguments.
    fn link(&mut self, outline: &Outline) {
        let mut sites: Vec<(CallSite, u64)> = Vec::new();
        for (lane, of) in (0..).zip(&outline.lanes) {
            for (turn, asked) in (0..).zip(&of.turns) {
                let calls = (0..asked.calls.len() as u32).map(|call| CallSite { lane, turn, call });
                // Some agents act on an answer that still streams.
                sites.extend(calls.map(|site| (site, asked.started_us)));
            }
        }
        sites.sort_by_key(|(site, since)| (*since, *site));
        for by in [By::Outcome, By::Arguments, By::Name] {
            self.pair(outline, &sites, by);
        }
        for whole in [true, false] {
            self.pair_commands(outline, &sites, whole);
        }
    }

    /// Pairs commands of shells with the model's calls that hold their texts, in order, and inside the time that the model
    /// waited for the result. `whole`: those that are such a text; else what has others of the client's own about it.
    fn pair_commands(&mut self, outline: &Outline, sites: &[(CallSite, u64)], whole: bool) {
        for at in 0..self.spoken.len() {
            let free = |spoken: &&Spoken| spoken.server == SHELL && spoken.site.is_none();
            let Some(spoken) = self.spoken.get(at).filter(free) else { continue };
            let said = said(command_of(&spoken.message));
            let fits = |site: &CallSite| {
                let call = outline.call(*site)?;
                let seen = call.result.as_ref().map_or(u64::MAX, |result| result.seen_us);
                let same = |asked: &str, said: &str| asked == said;
                let asks = || match whole {
                    true => asks_for(&call.args, &said, &same),
                    false => stands_in(&call.args, &said),
                };
                (spoken.started_us <= seen && asks()).then_some(*site)
            };
            let since = sites.partition_point(|(_, since)| *since <= spoken.started_us);
            let before = sites.iter().take(since).map(|(site, _)| site);
            let found = before.filter(|site| !self.carried_out.contains_key(site)).find_map(fits);
            if let Some(site) = found {
                self.carried_out.insert(site, at);
                if let Some(spoken) = self.spoken.get_mut(at) {
                    spoken.site = Some(site);
                }
            }
        }
    }

    /// Pairs what is not paired yet.
    fn pair(&mut self, outline: &Outline, sites: &[(CallSite, u64)], by: By) {
        for at in 0..self.spoken.len() {
            let Some(spoken) = self.spoken.get(at).filter(|spoken| spoken.site.is_none()) else { continue };
            let Some((name, arguments)) = spoken.message.call().filter(|_| spoken.server != SHELL) else {
                continue;
            };
            let fits = |site: &CallSite| {
                let call = outline.call(*site).filter(|call| is_name_of(&call.name, name))?;
                let seen = call.result.as_ref().map_or(u64::MAX, |result| result.seen_us);
                let named = spoken.message.made_for() == Some(call.id.as_str());
                // Long arguments are cut in the outline; nothing is no arguments.
                let same = canonical_value(&call.args) == canonical_value(arguments)
                    || call.args.as_object().is_some_and(|a| a.is_empty()) && arguments.is_null()
                    || call.args.is_string();
                let fits = match by {
                    By::Outcome => same && self.came_to(spoken, call),
                    By::Arguments => same,
                    By::Name => true,
                };
                (spoken.started_us <= seen && (named || fits)).then_some(!named)
            };
            let free = sites
                .iter()
                .filter(|(site, since)| !self.carried_out.contains_key(site) && *since <= spoken.started_us);
            let found = free.filter_map(|(site, _)| Some((fits(site)?, *site))).min_by_key(|(rank, _)| *rank);
            if let Some((_, site)) = found {
                self.carried_out.insert(site, at);
                if let Some(spoken) = self.spoken.get_mut(at) {
                    spoken.site = Some(site);
                }
            }
        }
    }

    /// True when the result that the model was told of a call is what a wrapped function returned.
    fn came_to(&self, spoken: &Spoken, call: &ToolCallRef) -> bool {
        let (Some(told), Some(seen)) = (self.outcome(spoken).and_then(|o| o.get("result")), &call.result)
        else {
            return false;
        };
        told.as_str() == Some(seen.text.as_str())
            || serde_json::from_str::<Value>(&seen.text).is_ok_and(|seen| seen == *told)
    }

    /// How a command of a shell ended, and in how many milliseconds; none when that was not told.
    pub fn ended(&self, spoken: &Spoken) -> Option<(String, u64)> {
        let result = self.outcome(spoken).filter(|_| spoken.server == SHELL)?.get("result")?;
        let number = |name: &str| result.get(name).and_then(Value::as_i64);
        let how = match (number("exit"), number("signal")) {
            (_, Some(signal)) => format!("signal {signal}"),
            (exit, None) => format!("exit {}", exit?),
        };
        Some((how, result.get("ms").and_then(Value::as_u64).unwrap_or_default()))
    }

    /// What each server was asked, in order of the first message to each.
    pub fn totals(&self) -> Vec<ServerTotals> {
        let mut totals: Vec<ServerTotals> = Vec::new();
        let said = self.spoken.iter().map(|s| (s.server.as_str(), u32::from(s.message.call().is_some())));
        let heard = self.listened.iter().map(|l| (l.server.as_str(), 0));
        let by_call: HashMap<&str, &str> =
            self.spoken.iter().map(|s| (s.message.id.as_str(), s.server.as_str())).collect();
        let reports = self.outcomes.reported().map(|call| (by_call.get(call).copied().unwrap_or(SHIM), 0));
        for (server, calls) in said.chain(heard).chain(reports) {
            match totals.iter_mut().find(|known| known.server == server) {
                Some(known) => {
                    known.messages += 1;
                    known.calls += calls;
                }
                None => totals.push(ServerTotals { server: server.to_string(), messages: 1, calls }),
            }
        }
        totals
    }

    /// True when an exchange is with a server.
    pub fn holds(&self, id: ExchangeId) -> bool {
        self.spoken.iter().any(|s| s.id == id)
            || self.listened.iter().any(|l| l.id == id)
            || self.outcomes.reports().any(|report| report == id)
    }

    /// True when no server was asked anything.
    pub fn is_empty(&self) -> bool {
        self.spoken.is_empty()
    }

    /// Everything that agents said, in order of arrival.
    pub fn spoken(&self) -> &[Spoken] {
        &self.spoken
    }

    /// The commands of shells, in order of arrival.
    pub fn commands(&self) -> impl Iterator<Item = &str> {
        self.spoken.iter().filter(|s| s.server == SHELL).map(|s| command_of(&s.message))
    }

    /// The tools that were called or offered, by their servers' own names; commands of shells are none.
    pub fn callable(&self) -> impl Iterator<Item = &str> {
        let called =
            self.spoken.iter().filter(|s| s.server != SHELL).filter_map(|s| Some(s.message.call()?.0));
        called.chain(self.tools.iter().map(|tool| tool.name.as_str()))
    }

    /// The streams of a server, in order of arrival.
    pub fn listened<'s>(&'s self, server: &'s str) -> impl Iterator<Item = &'s Listened> {
        self.listened.iter().filter(move |listened| is_same(&listened.server, server))
    }

    /// The message that carried out a call of the model.
    pub fn carried_out(&self, site: CallSite) -> Option<&Spoken> {
        self.carried_out.get(&site).and_then(|at| self.spoken.get(*at))
    }

    /// What servers say that their tools do: by their own names, and by those of these names that the model knows them
    /// under. What a server says last counts.
    pub fn effects(&self, names: &[String]) -> Vec<(String, Effect)> {
        let named = names.iter().filter_map(|name| {
            let tool = self.tools.iter().rev().find(|tool| is_name_of(name, &tool.name))?;
            // `my_search` is another tool than `search`, where the model has both.
            let is_other = tool.name != *name && names.contains(&tool.name);
            Some((name.clone(), tool.effect.filter(|_| !is_other)?))
        });
        let own = self.tools.iter().filter_map(|tool| Some((tool.name.clone(), tool.effect?)));
        own.chain(named).collect()
    }
}

/// The text of a call for a command of a shell.
pub(super) fn command_of(call: &Message) -> &str {
    let arguments = call.call().and_then(|(_, arguments)| arguments.get("command")?.as_str());
    arguments.unwrap_or_default()
}

/// True when a recorded server is the one that is asked now. One on the loopback may have another port each time.
pub fn is_same(recorded: &str, live: &str) -> bool {
    let local = |server: &str| {
        let (host, path) = server.split_once('/')?;
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        (name == "localhost" || name.starts_with("127.")).then(|| path.to_string())
    };
    recorded == live || local(recorded).is_some_and(|path| local(live) == Some(path))
}

/// The channel that an exchange is, if it is one.
fn channel_of(reader: &RunReader, id: ExchangeId, request: &RequestRecord, server: &str) -> Option<Channel> {
    let response = reader.response(id).ok()??;
    response.head.as_ref().filter(|head| head.is_event_stream())?;
    Channel::of(id, server, request, reader.answer(id).ok()??)
}

/// The response to a request in the answer of its exchange.
fn answer_of(reader: &RunReader, id: ExchangeId, asked: &Message) -> Option<Message> {
    let response = reader.answer(id).ok()??;
    let head = response.head.as_ref()?;
    let body = encoding::decode(head.headers.get("content-encoding"), &response.body).ok()?;
    messages(&body, head.is_event_stream()).into_iter().find(|m| m.kind == Kind::Response && m.id == asked.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_on_the_loopback_may_move_to_another_port() {
        assert!(is_same("shop", "shop") && !is_same("shop", "desk"));
        assert!(is_same("127.0.0.1:4180/mcp", "localhost:5000/mcp"));
        assert!(!is_same("127.0.0.1:4180/mcp", "127.0.0.1:4180/other"));
        assert!(!is_same("mcp.example.com/mcp", "127.0.0.1:1/mcp"));
    }
}
