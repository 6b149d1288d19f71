//! What both sides say: ids of calls, content, and where nothing is said, time.

use super::index::MOST_HOPS;
use super::pairs::{Among, SLACK_US, wider};
use super::windows::Windows;
use super::{Method, Part, Pass, window};
use crate::span::asked::Kind;
use crate::span::claims::Role;
use std::collections::{BTreeMap, HashMap, HashSet};

/// What is compared, as bytes.
type Said = Vec<u8>;

impl Pass<'_> {
    /// Exchanges and spans that say the same thing in the words of a method.
    pub(super) fn by_claim(&mut self, method: Method) {
        let mut groups: BTreeMap<Said, (Vec<usize>, Vec<usize>)> = BTreeMap::new();
        for exchange in 0..self.asked.len() {
            for said in self.said_by_exchange(exchange, method) {
                groups.entry(said).or_default().0.push(self.call_of[exchange]);
            }
        }
        for span in 0..self.spans.len() {
            for said in self.said_by_span(span, method) {
                if let Some((_, spans)) = groups.get_mut(&said) {
                    spans.push(span);
                }
            }
        }
        let mut found = Vec::new();
        for (mut calls, spans) in groups.into_values().filter(|(_, spans)| !spans.is_empty()) {
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
            let own: HashSet<Said> = self.said_by_span(span, method).into_iter().collect();
            for exchange in all {
                let says = self.said_by_exchange(exchange, method).iter().any(|said| own.contains(said));
                if says || method == Method::Time {
                    self.link(exchange, span, method, self.part(exchange, span));
                }
            }
        }
    }

    fn said_by_exchange(&self, exchange: usize, method: Method) -> Vec<Said> {
        let asked = self.asked[exchange];
        let ids = |ids: &[String]| ids.iter().map(|id| id.as_bytes().to_vec()).collect();
        match (method, asked.kind) {
            (Method::CallId, Kind::Tool) => ids(&asked.call_ids),
            (Method::CallId, Kind::Model) => ids(&asked.asked_ids),
            (Method::RpcId, Kind::Tool) => {
                asked.rpc.iter().map(|(name, id)| format!("{name}\0{id}").into_bytes()).collect()
            }
            (Method::Output, Kind::Model) => asked.output.iter().map(|hash| hash.to_vec()).collect(),
            (Method::Input, Kind::Model) => {
                asked.input.iter().map(|of| [&of.last[..], &of.turns.to_le_bytes()].concat()).collect()
            }
            _ => Vec::new(),
        }
    }

    fn said_by_span(&self, span: usize, method: Method) -> Vec<Said> {
        let claims = self.spans[span];
        let ids = |ids: &[String]| ids.iter().map(|id| id.as_bytes().to_vec()).collect();
        match (method, claims.role) {
            (Method::CallId, Role::Tool | Role::Mcp) => ids(&claims.call_ids),
            (Method::CallId, Role::Model) => ids(&claims.asked_ids),
            (Method::RpcId, Role::Mcp) => match (&claims.rpc_method, &claims.rpc_id) {
                (Some(name), Some(id)) => vec![format!("{name}\0{id}").into_bytes()],
                _ => Vec::new(),
            },
            (Method::Output, Role::Model) => claims.output.iter().map(|hash| hash.to_vec()).collect(),
            (Method::Input, Role::Model) => {
                claims.input.iter().map(|of| [&of.last[..], &of.turns.to_le_bytes()].concat()).collect()
            }
            _ => Vec::new(),
        }
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
                let (from, until) = window(self.spans[span]);
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
        calls.dedup();
        calls.sort_unstable();
        calls.dedup();
        let is_free = |span: &usize| {
            let claims = self.spans[*span];
            matches!(claims.role, Role::Model | Role::Embedding)
                && !(claims.log || claims.open)
                && self.taken[*span].is_none()
        };
        let spans: Vec<usize> = (0..self.spans.len()).filter(is_free).collect();
        let pairs = self.pairs(&calls, &spans, Among::OneChain);
        // Of a request that names its trace the span is in that trace, if it is anywhere.
        let in_trace = |call: usize, span: usize| {
            let parents = &self.asked[call].parents;
            parents.is_empty() || parents.iter().any(|parent| parent.trace == self.spans[span].key.trace)
        };
        let pairs = pairs.into_iter().filter(|&(call, span)| in_trace(call, span)).collect();
        self.link_calls(pairs, Method::Time);
    }

    /// The agents that requests name in baggage and headers. Of several with that name it is the innermost that was at
    /// work, if they are one above the other.
    pub(super) fn by_agent(&mut self) {
        let mut by_name: HashMap<&str, Vec<(u64, u64, usize)>> = HashMap::new();
        for (at, claims) in self.spans.iter().enumerate().filter(|(_, claims)| claims.role == Role::Agent) {
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
            at_work.iter().all(|other| other == *agent || self.index.is_above(*other, **agent))
        };
        at_work.iter().find(is_innermost).copied()
    }
}
