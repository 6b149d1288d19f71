//! The trace tree of a run: what called what, when, with how many tokens, and who held the rest up.

pub mod about;
mod critical;
mod derived;
pub mod places;
mod spanned;
mod told;
mod turns;

pub use derived::derived;
pub use spanned::{Spans, spanned};
pub use told::{Convention, Telling, place_of_step, told};

use crate::dialect::conversation::Usage;
use crate::prices::{Cost, Spent};
use crate::span::SpanKey;
use serde::Serialize;

/// What a node of the tree is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeKind {
    /// The run itself.
    Run,
    /// A workflow, as its instrumentation calls it.
    Workflow,
    /// An agent: one conversation, or what its instrumentation calls so.
    Agent,
    /// One round of an agent's loop: a model call, and the tools that it asks for.
    Turn,
    /// A model call.
    Model,
    /// A tool call.
    Tool,
    /// Anything else that has a span.
    Other,
}

/// A node, with everything below it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Node {
    /// What it is.
    pub kind: NodeKind,
    /// Its name: an agent's, a model's, a tool's, a span's.
    pub name: String,
    /// Microseconds since the Unix epoch.
    pub start_us: u64,
    /// Microseconds since the Unix epoch. Of a tool that ran inside the agent at most this.
    pub end_us: u64,
    /// The step that it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<u32>,
    /// Tokens of this model call alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// What this model call alone costs, in US dollars; none for all else, and where it is not known.
    pub cost: Option<Cost>,
    /// What went wrong; empty when nobody said what.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The span that tells of it; none: read from the exchanges.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub span: Option<SpanKey>,
    /// No span tells of it, though the run has spans: where it stands is retake's reading.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub derived: bool,
    /// Of a tool: it took at most as long, for its end is when its result was seen.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub at_most: bool,
    /// Nobody said how long it took, nor anything below it: its times keep the order and are no times.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub untimed: bool,
    /// Of the run: how many spans are not in the tree: they are no step and lead to none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_out: Option<u64>,
    /// What happened in it, as its instrumentation tells: when, and its name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<(u64, String)>,
    /// It is on the critical path: had it ended sooner, the run would have.
    pub critical: bool,
    /// Of a node on the critical path that ran beside others: how many, and how much longer than the last of them it
    /// took, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_up: Option<HeldUp>,
    /// What it began, in order of their beginnings.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<Node>,
}

/// What a branch held up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct HeldUp {
    /// Branches that ran beside it.
    pub others: u32,
    /// How long the last of them had ended when it did, in microseconds.
    pub by_us: u64,
}

impl Node {
    /// A node with nothing below it.
    pub fn new(kind: NodeKind, name: impl Into<String>, start_us: u64, end_us: u64) -> Node {
        Node {
            kind,
            name: name.into(),
            start_us,
            end_us: end_us.max(start_us),
            step: None,
            usage: None,
            cost: None,
            error: None,
            span: None,
            derived: false,
            at_most: false,
            untimed: false,
            left_out: None,
            events: Vec::new(),
            critical: false,
            held_up: None,
            children: Vec::new(),
        }
    }

    /// How long it took, in microseconds.
    pub fn took_us(&self) -> u64 {
        self.end_us - self.start_us
    }

    /// The same; none where nobody said it.
    pub fn told_us(&self) -> Option<u64> {
        (!self.untimed).then(|| self.took_us())
    }

    /// Tokens of it and everything below.
    pub fn total(&self) -> Usage {
        self.children.iter().fold(self.usage.unwrap_or_default(), |mut total, child| {
            total += child.total();
            total
        })
    }

    /// Notes what each model call costs; `of` tells by the step's number.
    pub fn price(&mut self, of: &impl Fn(u32) -> Option<Cost>) {
        if self.kind == NodeKind::Model {
            self.cost = self.step.and_then(of);
        }
        self.children.iter_mut().for_each(|child| child.price(of));
    }

    /// What it and everything below costs.
    pub fn spent(&self) -> Spent {
        let mut spent = Spent::default();
        self.spend(&mut spent);
        spent
    }

    fn spend(&self, to: &mut Spent) {
        if self.kind == NodeKind::Model {
            to.add(&self.name, self.cost);
        }
        self.children.iter().for_each(|child| child.spend(to));
    }

    /// How many nodes it is, itself included.
    pub fn size(&self) -> usize {
        1 + self.children.iter().map(Node::size).sum::<usize>()
    }

    /// True when it is at most so many nodes, itself included; looks at no more than that.
    pub fn fits(&self, most: usize) -> bool {
        fn left(node: &Node, most: usize) -> Option<usize> {
            node.children.iter().try_fold(most.checked_sub(1)?, |most, child| left(child, most))
        }
        left(self, most).is_some()
    }

    /// Puts children in order, and widens it to hold them.
    fn settle(&mut self) {
        self.untimed &= self.children.iter().all(|child| child.untimed);
        self.children.sort_by_key(|child| (child.start_us, child.step, child.end_us));
        self.end_us = self.children.iter().map(|child| child.end_us).fold(self.end_us, u64::max);
        self.start_us = self.children.iter().map(|child| child.start_us).fold(self.start_us, u64::min);
    }
}
