//! The tree where there is instrumentation: its spans as they are nested, with the steps put where they belong.

mod tools;

use super::{Node, NodeKind, critical, turns};
use crate::exchange::ExchangeId;
use crate::run::{Outline, StepKind, ToolCallRef, Turn};
use crate::span::SpanKey;
use crate::span::claims::{Claims, Role};
use crate::span::join::{Link, Part};
use crate::span::settled::Settled;
use std::collections::{BTreeMap, HashMap};

/// A branch is no deeper than this: what stands below is put beside its ancestor there.
const DEEPEST: usize = 200;

/// In a tree of more spans than this only those that lead to something are looked at: Codex has 800 for two calls.
const CROWD: usize = 200;

/// Spans of a run, and what they are about.
#[derive(Debug, Clone, Copy)]
pub struct Spans<'a> {
    /// What they claim.
    pub settled: &'a Settled<'a>,
    /// What they are about.
    pub links: &'a [Link],
}

/// The tree of a run called `name`. `whole`: with the spans that neither are a step nor lead to one.
pub fn spanned(outline: &Outline, name: &str, of: Spans<'_>, whole: bool) -> Node {
    let mut growth = Growth::of(&of);
    growth.place_models(outline, of.links);
    growth.place_tools(outline);
    let spans = growth.leaves.iter().filter(|leaf| leaf.span.is_some() && leaf.is_node()).count();
    let mut children = growth.grow(whole);
    for child in &mut children {
        turns::group(child, outline);
    }
    let start = children.iter().map(|child| child.start_us).min().unwrap_or(0);
    let mut run = Node { children, ..Node::new(NodeKind::Run, name, start, start) };
    turns::group(&mut run, outline);
    run.settle();
    critical::mark(&mut run);
    if spans > 0 {
        let shown = mark_derived(&mut run);
        run.derived = false;
        run.left_out = spans.checked_sub(shown).filter(|more| *more > 0).map(|more| more as u64);
    }
    run
}

/// Marks what no span tells of. Returns how many spans there are.
fn mark_derived(node: &mut Node) -> usize {
    node.derived = node.span.is_none();
    let below: usize = node.children.iter_mut().map(mark_derived).sum();
    below + usize::from(!node.derived)
}

/// What will be a node: a span, a step, or both.
struct Leaf<'a> {
    span: Option<&'a Claims>,
    /// The step's number.
    step: Option<u32>,
    is: Option<Is<'a>>,
    parent: Option<usize>,
}

/// The step that a leaf is.
#[derive(Clone, Copy)]
enum Is<'a> {
    Model(&'a Turn),
    /// A tool, and the turn that asks for it.
    Tool(&'a ToolCallRef, &'a Turn),
}

/// The tree while it is put together: nodes, and who is whose child.
struct Growth<'a> {
    /// Spans at their places, records that are no nodes among them, and then what no span tells of.
    leaves: Vec<Leaf<'a>>,
    settled: &'a Settled<'a>,
    /// Where each model step stands.
    models: HashMap<(u32, u32), usize>,
}

impl<'a> Growth<'a> {
    fn of(of: &Spans<'a>) -> Growth<'a> {
        let settled = of.settled;
        let claims = settled.claims();
        let is_node = |at: &usize| claims.get(*at).is_some_and(|claims| !claims.log);
        let leaf = |(at, claims): (usize, &&'a Claims)| {
            let parent = settled.parent(at).filter(|parent| *parent != at).filter(is_node);
            Leaf { span: Some(*claims), step: None, is: None, parent }
        };
        let leaves = claims.iter().enumerate().map(leaf).collect();
        let mut growth = Growth { leaves, settled, models: HashMap::new() };
        growth.cut_circles();
        growth
    }

    /// Makes a root of what is its own ancestor: ids are whatever an exporter says.
    fn cut_circles(&mut self) {
        // 0: not looked at, n: looked at from n, so that every node is gone over once.
        let mut seen = vec![0; self.leaves.len()];
        for from in 0..self.leaves.len() {
            let mut at = Some(from);
            let mut before = None;
            while let Some(here) = at {
                match seen.get(here) {
                    Some(0) => {}
                    Some(mark) if *mark == from + 1 => {
                        if let Some(leaf) = before.and_then(|before: usize| self.leaves.get_mut(before)) {
                            leaf.parent = None;
                        }
                        break;
                    }
                    _ => break,
                }
                if let Some(mark) = seen.get_mut(here) {
                    *mark = from + 1;
                }
                before = Some(here);
                at = self.leaves.get(here).and_then(|leaf| leaf.parent);
            }
        }
    }

    fn place(&self, span: SpanKey) -> Option<usize> {
        self.settled.place(span).filter(|at| self.leaves.get(*at).is_some_and(Leaf::is_node))
    }

    /// Puts each model step at its span, or below the span that it belongs to.
    fn place_models(&mut self, outline: &'a Outline, links: &[Link]) {
        let mut of: BTreeMap<ExchangeId, Vec<&Link>> = BTreeMap::new();
        for link in links {
            of.entry(link.exchange).or_default().push(link);
        }
        let numbers = outline.numbers();
        for (lane, at_lane) in (0u32..).zip(&outline.lanes) {
            let mut beside = None;
            for (index, turn) in (0u32..).zip(&at_lane.turns) {
                let mut links = turn.attempts.iter().rev().filter_map(|id| of.get(id)).flatten().copied();
                let primary = links.clone().find(|link| link.primary && link.part != Part::Ancestor);
                let span = primary.and_then(|link| self.place(link.span));
                let step = numbers.get(&StepKind::Model { lane, turn: index }).copied();
                // A span that is a step already (a batch) is the parent of the next one.
                let own = span.filter(|at| self.leaves.get(*at).is_some_and(|leaf| leaf.step.is_none()));
                let at = match own {
                    Some(at) => at,
                    None => {
                        let above = span.or_else(|| links.find_map(|link| self.place(link.span)));
                        let parent =
                            above.or_else(|| beside.and_then(|at: usize| self.leaves.get(at)?.parent));
                        self.add(parent)
                    }
                };
                if let Some(leaf) = self.leaves.get_mut(at) {
                    (leaf.step, leaf.is) = (step, Some(Is::Model(turn)));
                }
                self.models.insert((lane, index), at);
                beside = Some(at);
            }
        }
    }

    /// A leaf that no span tells of.
    fn add(&mut self, parent: Option<usize>) -> usize {
        self.leaves.push(Leaf { span: None, step: None, is: None, parent });
        self.leaves.len() - 1
    }

    /// The roots, with everything below them.
    fn grow(self, whole: bool) -> Vec<Node> {
        let depths = self.depths();
        let mut order: Vec<usize> = (0..self.leaves.len()).collect();
        order.sort_by_key(|at| depths.get(*at).copied().unwrap_or(0));
        let mut parents: Vec<Option<usize>> = self.leaves.iter().map(|leaf| leaf.parent).collect();
        for &at in order.iter().filter(|at| depths.get(**at).is_some_and(|depth| *depth > DEEPEST)) {
            let above =
                parents.get(at).copied().flatten().and_then(|parent| parents.get(parent).copied().flatten());
            if let Some(parent) = parents.get_mut(at) {
                *parent = above;
            }
        }
        let mut below: Vec<Vec<usize>> = vec![Vec::new(); self.leaves.len()];
        let mut roots = Vec::new();
        for at in order.into_iter().filter(|at| self.leaves.get(*at).is_some_and(Leaf::is_node)) {
            match parents.get(at).copied().flatten().and_then(|parent| below.get_mut(parent)) {
                Some(of_parent) => of_parent.push(at),
                None => roots.push(at),
            }
        }
        let growing = Growing { leaves: &self.leaves, below: &below, whole };
        let mut grown = Vec::with_capacity(roots.len());
        roots.into_iter().for_each(|at| growing.grow(at, false, &mut grown));
        grown.sort_by_key(|root| root.start_us);
        grown
    }

    /// How many ancestors each node has.
    fn depths(&self) -> Vec<usize> {
        let mut depths: Vec<Option<usize>> = vec![None; self.leaves.len()];
        let mut path = Vec::new();
        for from in 0..self.leaves.len() {
            let mut at = Some(from);
            while let Some(here) = at.filter(|here| depths.get(*here) == Some(&None)) {
                path.push(here);
                at = self.leaves.get(here).and_then(|leaf| leaf.parent);
            }
            let first = at.and_then(|at| depths.get(at).copied().flatten()).map_or(0, |depth| depth + 1);
            for (depth, here) in (first..).zip(path.drain(..).rev()) {
                if let Some(place) = depths.get_mut(here) {
                    *place = Some(depth);
                }
            }
        }
        depths.into_iter().map(Option::unwrap_or_default).collect()
    }
}

/// Leaves that become nodes, now that it is settled who is whose child.
struct Growing<'a> {
    leaves: &'a [Leaf<'a>],
    /// Of each leaf its children.
    below: &'a [Vec<usize>],
    /// With what leads to no step.
    whole: bool,
}

impl Growing<'_> {
    /// Adds a node with everything below it to the others beside it, unless it is of no interest. No deeper than
    /// [`DEEPEST`] and a little.
    fn grow(&self, at: usize, in_call: bool, beside: &mut Vec<Node>) {
        let Some(leaf) = self.leaves.get(at) else { return };
        let below = self.below.get(at).map(Vec::as_slice).unwrap_or_default();
        let mut children = Vec::with_capacity(below.len());
        below.iter().for_each(|child| self.grow(*child, leaf.is.is_some(), &mut children));
        let role = leaf.role();
        let is_request = matches!(role, Some(Role::Http | Role::Mcp)) && in_call;
        let crowded = self.leaves.len() > CROWD;
        let is_shown = self.whole
            || leaf.step.is_some()
            || leaf.kind() != NodeKind::Other
            || leaf.error().is_some()
            || !children.is_empty()
            || !(crowded || is_request || role != Some(Role::Other) || in_call);
        if is_shown {
            let mut node = Node { children, ..leaf.node() };
            if !node.children.is_empty() {
                node.settle();
            }
            beside.push(node);
        }
    }
}

impl Leaf<'_> {
    /// False for a record that tells how another span went on.
    fn is_node(&self) -> bool {
        self.span.is_none_or(|claims| !claims.log)
    }

    fn role(&self) -> Option<Role> {
        self.span.map(|claims| claims.role)
    }

    fn kind(&self) -> NodeKind {
        match (self.is, self.role()) {
            (Some(Is::Model(_)), _) => NodeKind::Model,
            (Some(Is::Tool(..)), None) => NodeKind::Tool,
            (_, Some(Role::Model | Role::Embedding)) => NodeKind::Model,
            (_, Some(Role::Tool)) => NodeKind::Tool,
            (_, Some(Role::Agent)) => NodeKind::Agent,
            (_, Some(Role::Workflow)) => NodeKind::Workflow,
            (_, Some(Role::Http | Role::Mcp | Role::Other) | None) => NodeKind::Other,
        }
    }

    /// What the step is called, else what the span is about.
    fn name(&self) -> &str {
        match (self.is, self.span) {
            (Some(Is::Model(turn)), _) => &turn.model,
            (Some(Is::Tool(call, _)), None) => &call.name,
            (_, Some(claims)) => called(claims),
            (None, None) => "",
        }
    }

    /// Microseconds since the Unix epoch: from, until.
    fn time(&self) -> (u64, u64) {
        match (self.span, self.is) {
            (Some(claims), _) => (claims.start_ns / 1000, claims.end_ns.max(claims.start_ns) / 1000),
            (None, Some(Is::Model(turn))) => (turn.started_us, turn.ended_us),
            (None, Some(Is::Tool(call, turn))) => {
                (turn.ended_us, call.result.as_ref().map_or(turn.ended_us, |result| result.seen_us))
            }
            (None, None) => (0, 0),
        }
    }

    /// What went wrong: as the wire has it, else as the span does.
    fn error(&self) -> Option<&String> {
        let on_the_wire = match self.is {
            Some(Is::Model(turn)) => turn.error.as_ref(),
            Some(Is::Tool(call, _)) => {
                call.result.as_ref().filter(|result| result.is_error).map(|result| &result.text)
            }
            None => None,
        };
        on_the_wire.or_else(|| self.span?.error.as_ref())
    }

    /// The node, with nothing below it.
    fn node(&self) -> Node {
        let (start, end) = self.time();
        let mut node = Node::new(self.kind(), self.name(), start, end);
        node.step = self.step;
        node.error = self.error().cloned();
        node.span = self.span.map(|claims| claims.key);
        if let Some(claims) = self.span {
            node.events.clone_from(&claims.events);
        }
        match self.is {
            Some(Is::Model(turn)) => {
                node.usage = turn.usage;
                node.untimed = self.span.is_none() && turn.took_us().is_none();
            }
            Some(Is::Tool(call, turn)) => {
                let most = turn.call_took_us(call);
                node.at_most = self.span.is_none() && most.is_some();
                node.untimed = self.span.is_none() && most.is_none();
            }
            None => {}
        }
        node
    }
}

/// What a span is about: a model, a tool, an agent.
fn called(claims: &Claims) -> &str {
    let about = match claims.role {
        Role::Model | Role::Embedding => claims.request_model.as_deref(),
        Role::Tool => claims.tool.as_deref(),
        Role::Agent => claims.agent.as_deref(),
        Role::Workflow => Some(bare(&claims.name)),
        Role::Http | Role::Mcp | Role::Other => None,
    };
    about.unwrap_or(&claims.name)
}

/// A span's name without the operation that the conventions put in front of it.
fn bare(name: &str) -> &str {
    name.strip_prefix("invoke_workflow ").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::otlp::json::traces;
    use crate::span::spans;
    use serde_json::{Value, json};

    /// `(id, parent, name, operation)`, one after the other in time.
    fn tree_of(all: &[(u64, u64, &str, &str)], whole: bool) -> Node {
        let span = |at: usize, (id, parent, name, operation): &(u64, u64, &str, &str)| {
            let attributes: Vec<Value> = match *operation {
                "" => Vec::new(),
                _ => vec![json!({"key": "gen_ai.operation.name", "value": {"stringValue": operation}})],
            };
            json!({"traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": format!("{id:016x}"),
                "parentSpanId": if *parent == 0 { String::new() } else { format!("{parent:016x}") }, "name": name,
                "startTimeUnixNano": at * 1_000_000, "endTimeUnixNano": at * 1_000_000 + 500_000, "attributes": attributes})
        };
        let spans_of: Vec<Value> = all.iter().enumerate().map(|(at, one)| span(at, one)).collect();
        let body = json!({"resourceSpans": [{"scopeSpans": [{"spans": spans_of}]}]}).to_string();
        let spans = spans(&traces(body.as_bytes()).unwrap());
        let claims: Vec<Claims> = spans.iter().map(Claims::of).collect();
        let of = Spans { settled: &Settled::new(&claims), links: &[] };
        spanned(&Outline::default(), "x.1", of, whole)
    }

    fn drawn(node: &Node) -> String {
        let below: Vec<String> = node.children.iter().map(drawn).collect();
        let below = if below.is_empty() { String::new() } else { format!("({})", below.join(" ")) };
        format!("{}{below}", node.name)
    }

    #[test]
    fn spans_are_nested_and_parents_may_be_missing() {
        let all = [
            (2, 1, "chat m", "chat"),
            (1, 0, "invoke_agent a", "invoke_agent"),
            (3, 77, "execute_tool t", "execute_tool"),
            (1, 0, "invoke_agent a", "invoke_agent"),
        ];
        assert_eq!(drawn(&tree_of(&all, false)), "x.1(invoke_agent a(chat m) execute_tool t)");
    }

    #[test]
    fn circles_are_cut() {
        let all = [(1, 2, "a", "chat"), (2, 3, "b", "chat"), (3, 1, "c", "chat"), (4, 4, "d", "chat")];
        let tree = tree_of(&all, false);
        assert_eq!(tree.size(), 5, "{}", drawn(&tree));
    }

    #[test]
    fn a_tower_of_spans_is_cut_off() {
        let all: Vec<(u64, u64, &str, &str)> = (1..50_000).map(|id| (id, id - 1, "deep", "chat")).collect();
        let tree = tree_of(&all, true);
        assert_eq!(tree.size(), all.len() + 1);
        let (mut depth, mut at) = (0, &tree);
        while let Some(first) = at.children.first() {
            (depth, at) = (depth + 1, first);
        }
        assert!(depth <= DEEPEST + 2, "{depth}");
    }

    #[test]
    fn where_there_are_many_only_those_that_lead_somewhere_are_shown() {
        let mut all = vec![(1, 0, "turn", ""), (2, 1, "chat m", "chat")];
        all.extend((3..=CROWD as u64).map(|id| (id, 1, "look", "")));
        let few = tree_of(&all, false);
        assert_eq!(few.size(), CROWD + 1, "all of them, and the run");
        all.push((1000, 1, "look", ""));
        let many = tree_of(&all, false);
        assert_eq!((drawn(&many).as_str(), many.left_out), ("x.1(turn(chat m))", Some(CROWD as u64 - 1)));
        let whole = tree_of(&all, true);
        assert_eq!((whole.size(), whole.left_out, few.left_out), (CROWD + 2, None, None));
    }

    #[test]
    fn requests_below_a_call_are_shown_with_the_whole_alone() {
        let all = [(1, 0, "turn 1", ""), (2, 1, "chat m", "chat"), (3, 2, "inner", "")];
        assert_eq!(drawn(&tree_of(&all, true)), "x.1(turn 1(chat m(inner)))");
    }
}
