//! What both sides say: ids of calls, content, and where nothing is said, time.

use super::pairs::{Among, SLACK_US, wider};
use super::windows::Windows;
use super::{Method, Part, Pass, window};
use crate::span::asked::{Asked, Kind};
use crate::span::claims::{Claims, Role};
use crate::span::content::{Hash, Input};
use crate::span::settled::MOST_HOPS;
use std::collections::{HashMap, HashSet};

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Said<'a> {
    /// The id of a call.
    Id(&'a str),
    /// Method and id of a message.
    Message(&'a str, &'a str),
    /// An answer.
    Output(Hash),
    /// What was asked last.
    Input(Input),
}

impl<'a> Pass<'a> {
    /// Exchanges and spans that say the same thing in the words of a method.
    pub(super) fn by_claim(&mut self, method: Method) {
        let mut places: HashMap<Said<'a>, usize> = HashMap::new();
        let mut groups: Vec<(Vec<usize>, Vec<usize>)> = Vec::new();
        for exchange in 0..self.asked.len() {
            for said in self.said_by_exchange(exchange, method) {
                let place = *places.entry(said).or_insert(groups.len());
                if place == groups.len() {
                    groups.push(Default::default());
                }
                groups[place].0.push(self.call_of[exchange]);
            }
        }
        if groups.is_empty() {
            return;
        }
        for span in 0..self.spans().len() {
            for said in self.said_by_span(span, method) {
                if let Some(&place) = places.get(&said) {
                    groups[place].1.push(span);
                }
            }
        }
        let mut found = Vec::new();
        for (mut calls, spans) in groups.into_iter().filter(|(_, spans)| !spans.is_empty()) {
            calls.sort_unstable();
            calls.dedup();
            found.extend(self.pairs(&calls, &spans, Among::Instrumentations));
        }
        self.link_calls(found, method);
    }

    fn link_calls(&mut self, pairs: Vec<(usize, usize)>, method: Method) {
        for (call, span) in pairs {
            // The attempt that says it; by time, or where several do, all of them.
            let all = self.attempts_of(call);
            let own: HashSet<Said<'a>> = self.said_by_span(span, method).collect();
            for exchange in all {
                let says = self.said_by_exchange(exchange, method).any(|said| own.contains(&said));
                if says || method == Method::Time {
                    self.link(exchange, span, method, self.part(exchange, span));
                }
            }
        }
    }

    fn said_by_exchange(&self, exchange: usize, method: Method) -> impl Iterator<Item = Said<'a>> + use<'a> {
        let asked: &'a Asked = self.asked[exchange];
        let (ids, one): (&[String], _) = match (method, asked.kind) {
            (Method::CallId, Kind::Tool) => (&asked.call_ids, None),
            (Method::CallId, Kind::Model) => (&asked.asked_ids, None),
            (Method::Output, Kind::Model) => (&[], asked.output.map(Said::Output)),
            (Method::Input, Kind::Model) => (&[], asked.input.map(Said::Input)),
            _ => (&[], None),
        };
        let is_message = method == Method::RpcId && asked.kind == Kind::Tool;
        let messages = if is_message { asked.rpc.as_slice() } else { &[] };
        let messages = messages.iter().map(|(name, id)| Said::Message(name, id));
        ids.iter().map(|id| Said::Id(id)).chain(one).chain(messages)
    }

    fn said_by_span(&self, span: usize, method: Method) -> impl Iterator<Item = Said<'a>> + use<'a> {
        let claims: &'a Claims = self.spans()[span];
        let (ids, one): (&[String], _) = match (method, claims.role) {
            (Method::CallId, Role::Tool | Role::Mcp) => (&claims.call_ids, None),
            (Method::CallId, Role::Model) => (&claims.asked_ids, None),
            (Method::RpcId, Role::Mcp) => {
                let message =
                    claims.rpc.as_ref().and_then(|rpc| rpc.method.as_deref().zip(rpc.id.as_deref()));
                (&[], message.map(|(name, id)| Said::Message(name, id)))
            }
            (Method::Output, Role::Model) => (&[], claims.output.map(Said::Output)),
            (Method::Input, Role::Model) => (&[], claims.input.map(Said::Input)),
            _ => (&[], None),
        };
        ids.iter().map(|id| Said::Id(id)).chain(one)
    }

    /// Attempts of a call have the spans of the others.
    pub(super) fn by_attempt(&mut self) {
        for all in self.attempts.values().cloned().collect::<Vec<_>>() {
            let calls: Vec<usize> = all
                .iter()
                .flat_map(|&at| self.found[at].iter().filter(|(_, of)| of.part == Part::Model))
                .map(|(&span, _)| span)
                .collect();
            for (&exchange, &span) in all.iter().flat_map(|at| calls.iter().map(move |span| (at, span))) {
                // A span of the last attempt alone does not hold the ones before.
                let started = self.asked[exchange].started_us;
                let (from, until) = window(self.spans()[span]);
                let holds = from <= started.saturating_add(SLACK_US) && started <= until;
                if holds && !self.found[exchange].contains_key(&span) {
                    self.link(exchange, span, Method::Attempt, Part::Model);
                }
            }
        }
    }

    /// What is left: a call with one free span around it, which holds no other call.
    pub(super) fn by_time(&mut self) {
        let is_open = |exchange: &usize| {
            let asked = self.asked[*exchange];
            matches!(asked.kind, Kind::Model | Kind::Embedding) && !self.is_linked(*exchange)
        };
        let mut calls: Vec<usize> =
            (0..self.asked.len()).filter(is_open).map(|exchange| self.call_of[exchange]).collect();
        calls.sort_unstable();
        calls.dedup();
        let times = calls.iter().map(|&call| self.window_of_call(call));
        let whole = times.reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)));
        let Some(whole) = whole.map(|whole| wider(whole, SLACK_US)) else { return };
        let is_free = |span: &usize| {
            let claims = self.spans()[*span];
            let (start, end) = window(claims);
            start <= whole.1
                && end >= whole.0
                && matches!(claims.role, Role::Model | Role::Embedding)
                && !(claims.log || claims.open)
                && self.taken[*span].is_none()
        };
        let spans: Vec<usize> = (0..self.spans().len()).filter(is_free).collect();
        let pairs = self.pairs(&calls, &spans, Among::OneChain);
        // Of a request that names its trace the span is in that trace, if it is anywhere.
        let in_trace = |call: usize, span: usize| {
            let parents = &self.asked[call].parents;
            parents.is_empty() || parents.iter().any(|parent| parent.trace == self.spans()[span].key.trace)
        };
        let pairs = pairs.into_iter().filter(|&(call, span)| in_trace(call, span)).collect();
        self.link_calls(pairs, Method::Time);
    }

    /// The agents that requests name in baggage and headers. Of several with that name it is the innermost that was at
    /// work, if they are one above the other.
    pub(super) fn by_agent(&mut self) {
        if self.asked.iter().all(|asked| asked.agent_ids.is_empty() && asked.sessions.is_empty()) {
            return;
        }
        let mut by_name: HashMap<&str, Vec<(u64, u64, usize)>> = HashMap::new();
        for (at, claims) in self.spans().iter().enumerate().filter(|(_, claims)| claims.role == Role::Agent) {
            let mut names: Vec<&String> =
                [&claims.agent_id, &claims.conversation, &claims.session].into_iter().flatten().collect();
            names.sort_unstable();
            names.dedup();
            let (start, end) = wider(window(claims), SLACK_US);
            names.into_iter().for_each(|name| by_name.entry(name).or_default().push((start, end, at)));
        }
        let by_name: HashMap<&str, Windows> =
            by_name.into_iter().map(|(name, agents)| (name, Windows::new(agents))).collect();
        let mut found = Vec::new();
        for (exchange, asked) in self.asked.iter().enumerate() {
            let mut names = asked.agent_ids.iter().chain(&asked.sessions);
            let agent = names.find_map(|name| self.innermost_at_work(exchange, by_name.get(name.as_str())?));
            found.extend(agent.map(|agent| (exchange, agent)));
        }
        for (exchange, agent) in found {
            self.link(exchange, agent, Method::Agent, Part::Ancestor);
        }
    }

    fn innermost_at_work(&self, exchange: usize, agents: &Windows) -> Option<usize> {
        let time = (self.asked[exchange].started_us, self.asked[exchange].ended_us);
        let at_work = agents.around(time, MOST_HOPS, |agent| self.is_in_trace(exchange, agent))?;
        let is_innermost = |agent: &&usize| {
            at_work.iter().all(|other| other == *agent || self.settled.is_above(*other, **agent))
        };
        at_work.iter().find(is_innermost).copied()
    }
}
