//! Calls and spans that say the same: which of them belong together, as far as time tells.

use super::windows::Windows;
use super::{Pass, window};
use std::collections::BTreeMap;

/// How much earlier than its span an exchange may begin, or later end, in microseconds: clocks are read at other times.
pub(super) const SLACK_US: u64 = 25_000;

/// The same where only one call says a thing, for clocks of two machines.
const LOOSE_US: u64 = 1_000_000;

/// More spans than this around one call tell nothing.
const MOST_AROUND: usize = 8;

/// Which spans may be of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Among {
    /// One of each instrumentation: what they say is the same.
    Instrumentations,
    /// One above the other: nothing but time says that they belong together.
    OneChain,
}

pub(super) fn wider((start, end): (u64, u64), by: u64) -> (u64, u64) {
    (start.saturating_sub(by), end.saturating_add(by))
}

fn holds(outer: (u64, u64), inner: (u64, u64)) -> bool {
    outer.0 <= inner.0 && inner.1 <= outer.1
}

impl Pass<'_> {
    /// Pairs calls (by their first attempts) and spans of one group. Both sides must be the only ones for each other.
    pub(super) fn pairs(&self, calls: &[usize], spans: &[usize], among: Among) -> Vec<(usize, usize)> {
        if let ([call], Among::Instrumentations) = (calls, among) {
            return self.of_one_call(*call, spans).into_iter().map(|span| (*call, span)).collect();
        }
        let of_call = |call: &usize| {
            let (start, end) = self.window_of_call(*call);
            (start, end, *call)
        };
        let of_span = |span: &usize| {
            let (start, end) = wider(window(self.spans()[*span]), SLACK_US);
            (start, end, *span)
        };
        let around = Windows::new(spans.iter().map(of_span).collect());
        let within = Windows::new(calls.iter().map(of_call).collect());
        let is_only = |call: usize, span: usize| {
            let (start, end, _) = of_span(&span);
            let inside = within.within((start, end), 1, |other| self.may_be_call(other, span));
            inside.is_some_and(|inside| inside == [call])
        };
        let mut pairs = Vec::new();
        for &call in calls {
            let found =
                around.around(self.window_of_call(call), MOST_AROUND, |span| self.may_be_call(call, span));
            let Some(found) = found else { continue };
            let fits = match among {
                Among::Instrumentations => self.one_of_each(&found),
                Among::OneChain if self.are_one_chain(&found) => found,
                Among::OneChain => continue,
            };
            pairs.extend(fits.into_iter().filter(|&span| is_only(call, span)).map(|span| (call, span)));
        }
        pairs
    }

    /// The spans of the one call of a group: at about its time, and where an instrumentation has several, around it.
    fn of_one_call(&self, call: usize, spans: &[usize]) -> Vec<usize> {
        let time = self.window_of_call(call);
        let (from, until) = wider(time, LOOSE_US);
        let near = |span: &usize| {
            let (start, end) = window(self.spans()[*span]);
            start <= until && end >= from && self.may_be_call(call, *span)
        };
        let mut by_scope: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for span in spans.iter().copied().filter(near) {
            by_scope.entry(self.instrumentation(span)).or_default().push(span);
        }
        by_scope.into_values().flat_map(|of| self.chain_around(time, of)).collect()
    }

    /// Of one instrumentation: its only span, or those around the call if they are one above the other.
    fn chain_around(&self, time: (u64, u64), mut spans: Vec<usize>) -> Vec<usize> {
        if spans.len() > 1 {
            spans.retain(|&span| holds(wider(window(self.spans()[span]), SLACK_US), time));
        }
        match spans.len() <= MOST_AROUND && self.are_one_chain(&spans) {
            true => spans,
            false => Vec::new(),
        }
    }

    /// The spans of instrumentations that have one only.
    fn one_of_each(&self, spans: &[usize]) -> Vec<usize> {
        let mut by_scope: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for &span in spans {
            by_scope.entry(self.instrumentation(span)).or_default().push(span);
        }
        by_scope.into_values().filter(|of| of.len() == 1).flatten().collect()
    }

    /// Logs of an instrumentation stand beside its spans, and the span of who answers beside that of who asks.
    fn instrumentation(&self, span: usize) -> (&str, bool, bool) {
        let claims = self.spans()[span];
        (&*claims.scope, claims.log, claims.is_answering())
    }

    fn are_one_chain(&self, spans: &[usize]) -> bool {
        spans.iter().enumerate().all(|(at, &a)| {
            spans.iter().skip(at + 1).all(|&b| self.settled.is_above(a, b) || self.settled.is_above(b, a))
        })
    }

    /// True when every attempt of a call may be what a span is about, and the span is of no other call.
    fn may_be_call(&self, call: usize, span: usize) -> bool {
        self.taken[span].is_none_or(|taken| taken == call)
            && self
                .attempts
                .get(&call)
                .map_or(std::slice::from_ref(&call), Vec::as_slice)
                .iter()
                .all(|&at| self.may_be(at, span))
    }
}
