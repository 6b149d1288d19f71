//! From the span that a request names up to the call that it is part of.

use super::{Method, Part, Pass};
use crate::span::asked::{Asked, Kind};
use crate::span::claims::Role;
use crate::span::settled::MOST_HOPS;
use std::collections::HashMap;

/// More spans than this do not share an id by being about one exchange.
const MOST_SHARING: usize = MOST_HOPS;

impl<'a> Pass<'a> {
    /// Every span that a request names, and the calls above it. A span that is not there (yet) says only in which trace
    /// to look.
    pub(super) fn by_traceparent(&mut self) {
        let named_by = self.calls_by_parent();
        for exchange in 0..self.asked.len() {
            for parent in self.asked[exchange].parents.clone() {
                if let Some(span) = self.settled.place(parent) {
                    let part = match self.part(exchange, span) {
                        // Whatever is around several calls is none of them.
                        Part::Caller if named_by.get(&span) == Some(&None) => Part::Ancestor,
                        part => part,
                    };
                    self.link(exchange, span, Method::Traceparent, part);
                    for above in self.calls_above(exchange, span) {
                        self.link(exchange, above, Method::Traceparent, self.part(exchange, above));
                    }
                }
            }
        }
    }

    /// Of every span that is named as a parent: the one call that names it, none for several.
    fn calls_by_parent(&self) -> HashMap<usize, Option<usize>> {
        let mut calls = HashMap::new();
        for (at, asked) in self.asked.iter().enumerate() {
            for span in asked.parents.iter().filter_map(|parent| self.settled.place(*parent)) {
                let known = calls.entry(span).or_insert(Some(self.call_of[at]));
                *known = known.filter(|known| *known == self.call_of[at]);
            }
        }
        calls
    }

    /// The spans above one that are what the exchange is, up to the first agent, workflow, call of another kind, or border of a program.
    /// Behind the innermost only those count that say the same answer or none.
    fn calls_above(&self, exchange: usize, span: usize) -> Vec<usize> {
        let is_tool = self.asked[exchange].kind == Kind::Tool;
        let is_call = |role: Role| match role {
            Role::Model | Role::Embedding => !is_tool,
            Role::Tool | Role::Mcp => is_tool,
            _ => false,
        };
        let passes = |at: usize| {
            let role = self.spans()[at].role;
            !self.spans()[at].is_answering() && (is_call(role) || matches!(role, Role::Http | Role::Other))
        };
        if !passes(span) {
            return Vec::new();
        }
        let mut innermost = Some(span).filter(|&at| is_call(self.spans()[at].role));
        let mut found = Vec::new();
        for at in self.settled.ancestors(span).take_while(|&at| passes(at)) {
            if !is_call(self.spans()[at].role) {
                continue;
            }
            match innermost {
                Some(_) if self.is_of_another(exchange, at) => break,
                Some(_) => {}
                None => innermost = Some(at),
            }
            found.push(at);
        }
        found
    }

    /// Spans with the id of the answer or of the request. An id that several calls have is none.
    pub(super) fn by_id(&mut self, method: Method) {
        let mut calls: HashMap<&str, Option<usize>> = HashMap::new();
        for (at, asked) in self.asked.iter().enumerate() {
            let call = self.call_of[at];
            for id in asked.response_id.iter().chain(&asked.request_ids) {
                let known = calls.entry(id).or_insert(Some(call));
                *known = known.filter(|known| *known == call);
            }
        }
        let ids = |asked: &'a Asked| match method {
            Method::ResponseId => asked.response_id.as_slice(),
            _ => asked.request_ids.as_slice(),
        };
        let sought = self.asked.iter().flat_map(|asked| ids(asked));
        let sought = sought.filter(|id| matches!(calls.get(id.as_str()), Some(Some(_))));
        let mut spans: HashMap<&str, Vec<usize>> = sought.map(|id| (id.as_str(), Vec::new())).collect();
        if spans.is_empty() {
            return;
        }
        for (at, claims) in self.spans().iter().enumerate() {
            for id in claims.response_id.iter().chain(&claims.request_id) {
                if let Some(same) = spans.get_mut(id.as_str()) {
                    same.push(at);
                }
            }
        }
        let mut found = Vec::new();
        for (exchange, asked) in self.asked.iter().enumerate() {
            for same in ids(asked).iter().filter_map(|id| spans.get(id.as_str())) {
                if same.len() <= MOST_SHARING {
                    found.extend(same.iter().map(|&span| (exchange, span)));
                }
            }
        }
        for (exchange, span) in found {
            let part = match self.part(exchange, span) {
                // It has the id of the call, so it is a record of it.
                Part::Caller => Part::Http,
                part => part,
            };
            self.link(exchange, span, method, part);
        }
    }
}
