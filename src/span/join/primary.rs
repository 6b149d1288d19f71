//! Of what was found: which span stands for an exchange, and which exchange settled a span.

use super::{Found, Link, Method, Part, Pass};
use std::cmp::Reverse;
use std::collections::BTreeMap;

impl Pass<'_> {
    /// Everything found, as links.
    pub(super) fn links(&self) -> Vec<Link> {
        let settled = self.settled_by();
        let mut links = Vec::new();
        for (exchange, found) in self.found.iter().enumerate() {
            let primary = self.primary(exchange, found);
            let start = links.len();
            for (&span, of) in found {
                links.push(Link {
                    exchange: self.asked[exchange].id,
                    span: self.spans()[span].key,
                    method: of.method,
                    part: of.part,
                    primary: primary == Some(span),
                    disputed: of.part == Part::Model && self.is_of_another(exchange, span),
                    settles: of.part != Part::Ancestor && settled.get(&span) == Some(&exchange),
                });
            }
            if let Some(own) = links.get_mut(start..) {
                own.sort_by_key(|link| (!link.primary, link.part, link.method, link.span));
            }
        }
        links
    }

    /// The innermost span that is what the exchange is. A span that names another answer, and a log, only when there is no
    /// better one; among those side by side the surer, then the one with the smaller key.
    fn primary(&self, exchange: usize, found: &BTreeMap<usize, Found>) -> Option<usize> {
        let stands = found.iter().filter(|(_, of)| of.part != Part::Ancestor);
        let rank = |(span, of): &(&usize, &Found)| {
            let kind = match of.part {
                Part::Model | Part::Tool | Part::Mcp => 0,
                other => other as u8,
            };
            let above = found
                .iter()
                .filter(|(_, other)| other.part != Part::Ancestor)
                .filter(|(other, _)| self.settled.is_above(**other, **span))
                .count();
            // The last of the spans that the request names is the nearest to the wire.
            let named = self.asked[exchange].parents.iter().rposition(|key| *key == self.spans()[**span].key);
            (
                kind,
                self.is_of_another(exchange, **span),
                self.spans()[**span].log,
                self.spans()[**span].is_answering(),
                Reverse(above),
                of.method,
                Reverse(named),
                **span,
            )
        };
        stands.min_by_key(rank).map(|(span, _)| *span)
    }

    /// Of each span: the exchange that settled it.
    fn settled_by(&self) -> BTreeMap<usize, usize> {
        let mut settled: BTreeMap<usize, usize> = BTreeMap::new();
        let rank = |exchange: usize, span: usize| {
            let asked = self.asked[exchange];
            let method = self.found[exchange].get(&span).map(|of| of.method);
            let named = method.is_some_and(|m| matches!(m, Method::ResponseId | Method::RequestId));
            (!asked.failed, named, asked.ended_us, asked.id)
        };
        for (exchange, found) in self.found.iter().enumerate() {
            for &span in found.iter().filter(|(_, of)| of.part != Part::Ancestor).map(|(span, _)| span) {
                let best = settled.entry(span).or_insert(exchange);
                if rank(exchange, span) > rank(*best, span) {
                    *best = exchange;
                }
            }
        }
        settled
    }
}
