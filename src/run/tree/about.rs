//! What spans and log records tell of one step.

use super::{Node, NodeKind};
use crate::exchange::ExchangeId;
use crate::span::claims::Claims;
use crate::span::join::{Link, Method, Part};
use crate::span::{Log, Span, SpanKey};
use std::collections::{BTreeMap, HashMap, HashSet};

/// How a span was found to be about a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// It is about an exchange of the step.
    Joined(Part, Method),
    /// It names the call that the step is.
    CallId,
    /// It is a call of the same tool between the model's answer and its next request.
    NameAndTime,
    /// It stands below a span of the step.
    Below,
    /// It was asked for itself.
    Asked,
}

/// A span of a step.
#[derive(Debug, Clone, Copy)]
pub struct OfStep<'a> {
    /// The span.
    pub span: &'a Span,
    /// How it was found.
    pub how: How,
    /// How many spans of the step it stands below.
    pub depth: usize,
}

/// What is told of a step.
#[derive(Debug, Clone, Default)]
pub struct About<'a> {
    /// Its spans, those below others behind them.
    pub spans: Vec<OfStep<'a>>,
    /// Log records of these spans, in order of time.
    pub logs: Vec<&'a Log>,
}

/// What a run has to tell.
pub struct Sources<'a> {
    /// Its whole tree.
    pub tree: &'a Node,
    /// What its spans claim.
    pub claims: &'a [&'a Claims],
    /// Its exchanges and their spans.
    pub links: &'a [Link],
    /// Its spans, some of them more than once.
    pub spans: &'a [Span],
    /// Its log records.
    pub logs: &'a [Log],
}

/// The exchanges of a step, and what is known of it.
#[derive(Debug, Default)]
pub struct Step<'a> {
    /// Its number.
    pub number: u32,
    /// The exchanges that it is.
    pub exchanges: &'a [ExchangeId],
    /// Spans that their requests name as their parents.
    pub parents: &'a [SpanKey],
    /// Of a tool: the id of its call.
    pub call_id: Option<&'a str>,
}

impl<'a> About<'a> {
    /// What spans and log records tell of a step. A log record belongs to a step when its span does, or when the request
    /// names that span, which then may never have come.
    pub fn of(step: &Step, from: &Sources<'a>) -> About<'a> {
        let mut found: BTreeMap<SpanKey, How> = BTreeMap::new();
        let own = find(from.tree, &|node| node.step == Some(step.number));
        if let Some((node, span)) = own.and_then(|node| Some((node, node.span?))) {
            let claims = from.claims.iter().find(|claims| claims.key == span);
            let is_named =
                claims.zip(step.call_id).is_some_and(|(claims, id)| claims.call_ids.iter().any(|c| c == id));
            let how = match node.kind {
                NodeKind::Tool if is_named => How::CallId,
                _ => How::NameAndTime,
            };
            found.insert(span, how);
        }
        let links = from.links.iter().filter(|link| step.exchanges.contains(&link.exchange));
        for link in links.filter(|link| link.part != Part::Ancestor) {
            found.insert(link.span, How::Joined(link.part, link.method));
        }
        let tops: HashSet<SpanKey> = found.keys().copied().collect();
        below(from.tree, false, step.number, &tops, &mut found);
        let spans = nested(&found, &latest(from.spans));
        let told: HashSet<SpanKey> = from.spans.iter().map(|span| span.key).collect();
        let is_own =
            |key: SpanKey| found.contains_key(&key) || step.parents.contains(&key) && !told.contains(&key);
        let key = |log: &Log| Some(SpanKey { trace: log.trace?, span: log.span? });
        let mut logs: Vec<&Log> = from.logs.iter().filter(|log| key(log).is_some_and(is_own)).collect();
        logs.sort_by_key(|log| log.time_ns);
        About { spans, logs }
    }

    /// What is told of spans that were asked for, whatever they belong to, and the log records in them.
    pub fn spans(asked: &dyn Fn(SpanKey) -> bool, spans: &'a [Span], logs: &'a [Log]) -> About<'a> {
        let own = spans.iter().map(|span| span.key).filter(|key| asked(*key));
        let found = own.map(|key| (key, How::Asked)).collect();
        let is_own =
            |log: &&Log| log.trace.zip(log.span).is_some_and(|(trace, span)| asked(SpanKey { trace, span }));
        let mut logs: Vec<&Log> = logs.iter().filter(is_own).collect();
        logs.sort_by_key(|log| log.time_ns);
        About { spans: nested(&found, &latest(spans)), logs }
    }

    /// True when nothing is told.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty() && self.logs.is_empty()
    }
}

/// The last telling of each span.
fn latest(spans: &[Span]) -> HashMap<SpanKey, &Span> {
    let mut latest: HashMap<SpanKey, &Span> = HashMap::new();
    for span in spans {
        let known = latest.entry(span.key).or_insert(span);
        if span.end_ns >= known.end_ns {
            *known = span;
        }
    }
    latest
}

/// Each span behind the one that it stands below, in order of their beginnings.
fn nested<'a>(found: &BTreeMap<SpanKey, How>, spans: &HashMap<SpanKey, &'a Span>) -> Vec<OfStep<'a>> {
    let mut children: HashMap<Option<SpanKey>, Vec<&'a Span>> = HashMap::new();
    for span in found.keys().filter_map(|key| spans.get(key)) {
        let parent = span.parent.map(|parent| SpanKey { trace: span.key.trace, span: parent });
        let parent = parent.filter(|parent| found.contains_key(parent) && *parent != span.key);
        children.entry(parent).or_default().push(span);
    }
    children.values_mut().for_each(|of| of.sort_by_key(|span| std::cmp::Reverse((span.start_ns, span.key))));
    let mut waiting: Vec<(&Span, usize)> =
        children.remove(&None).into_iter().flatten().map(|span| (span, 0)).collect();
    let mut ordered = Vec::new();
    while let Some((span, depth)) = waiting.pop() {
        let Some(how) = found.get(&span.key) else { continue };
        ordered.push(OfStep { span, how: *how, depth });
        // What is taken out once is not met again, so that circles end.
        let of = children.remove(&Some(span.key)).unwrap_or_default();
        waiting.extend(of.into_iter().map(|child| (child, depth + 1)));
    }
    ordered
}

/// Spans below those that are known, up to those of other steps.
fn below(
    node: &Node,
    is_below: bool,
    step: u32,
    tops: &HashSet<SpanKey>,
    found: &mut BTreeMap<SpanKey, How>,
) {
    let is_top = node.step == Some(step) || node.span.is_some_and(|span| tops.contains(&span));
    let is_other = node.step.is_some_and(|own| own != step);
    let is_below = !is_other && (is_below || is_top);
    if let Some(span) = node.span.filter(|_| is_below) {
        found.entry(span).or_insert(How::Below);
    }
    node.children.iter().for_each(|child| below(child, is_below, step, tops, found));
}

fn find<'n>(node: &'n Node, is: &dyn Fn(&Node) -> bool) -> Option<&'n Node> {
    if is(node) { Some(node) } else { node.children.iter().find_map(|child| find(child, is)) }
}
