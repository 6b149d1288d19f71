//! What the spans of a run say of its steps, as far as terms ask: read only where one does.

use crate::prices::Cost;
use crate::run::tree::{Node, NodeKind};
use crate::span::SpanKey;
use crate::span::sought::Sought;
use serde::Serialize;
use std::collections::{BTreeSet, HashMap, HashSet};

/// What spans say of a run.
#[derive(Debug, Clone, Default)]
pub struct Told {
    steps: HashMap<u32, OfStep>,
    spans: Vec<FoundSpan>,
    traced: Vec<(Sought, HashSet<u32>)>,
    agents: BTreeSet<String>,
    /// Of all spans.
    names: BTreeSet<String>,
}

/// What they say of a step.
#[derive(Debug, Clone, Default)]
pub(super) struct OfStep {
    /// Names of its span and of all above it.
    pub names: Vec<String>,
    /// The innermost agent above it.
    pub agent: Option<String>,
    /// True when its span says that it failed.
    pub failed: bool,
}

/// A span that is no step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FoundSpan {
    /// What names it.
    pub span: SpanKey,
    /// What it is.
    pub kind: NodeKind,
    /// Its name: an agent's, a span's.
    pub name: String,
    /// The span above it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub under: Option<String>,
    /// The step that it is a part of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within: Option<u32>,
    /// The steps below it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub around: Vec<u32>,
    /// Of a span with neither: the steps that ran while it did.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub during: Vec<u32>,
    /// Of a span with none of these: the last step that began before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<u32>,
    /// Of a span before all steps: the first of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<u32>,
    /// What went wrong; empty when nobody said what.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Microseconds since the Unix epoch.
    pub start_us: u64,
    /// How long it took, in microseconds; none where nobody said it.
    pub took_us: Option<u64>,
    /// Tokens in of all model calls below it.
    pub input: u64,
    /// Tokens out.
    pub output: u64,
    #[serde(skip)]
    pub(crate) cost: Option<Cost>,
    #[serde(skip)]
    pub(crate) agent: Option<String>,
    /// Its names: of its agent or tool, and its own.
    #[serde(skip)]
    pub(crate) names: Vec<String>,
}

impl Told {
    /// Reads the whole tree of a run, priced. `names`: what each span is called by its instrumentation. `is_asked`: true
    /// for the names of a span that is to be found though it is no step.
    pub fn of(tree: &Node, names: &HashMap<SpanKey, &str>, is_asked: &dyn Fn(&[String]) -> bool) -> Told {
        let mut reading = Reading { told: Told::default(), names, is_asked, begun: Vec::new() };
        reading.walk(tree, &mut Above::default());
        let Reading { mut told, mut begun, .. } = reading;
        begun.sort_unstable();
        for span in told.spans.iter_mut().filter(|span| span.within.is_none() && span.around.is_empty()) {
            let end_us = span.start_us.saturating_add(span.took_us.unwrap_or_default());
            let earlier = begun.partition_point(|(start_us, ..)| *start_us < end_us);
            let ran = begun.iter().take(earlier).filter(|(_, until, _)| *until > span.start_us);
            span.during = ran.map(|(.., step)| *step).collect();
            span.during.sort_unstable();
            if span.during.is_empty() {
                let before = begun.partition_point(|(start_us, ..)| *start_us <= span.start_us);
                span.after = before.checked_sub(1).and_then(|at| begun.get(at)).map(|(.., step)| *step);
                let first = begun.first().filter(|_| before == 0);
                span.before = first.map(|(.., step)| *step);
            }
        }
        told
    }

    /// Notes the steps to which the ids in a term lead.
    pub fn trace(&mut self, sought: Sought, steps: HashSet<u32>) {
        self.traced.push((sought, steps));
    }

    pub(super) fn step(&self, step: u32) -> Option<&OfStep> {
        self.steps.get(&step)
    }

    pub(super) fn spans(&self) -> &[FoundSpan] {
        &self.spans
    }

    /// Names of all agents.
    pub(super) fn agents(&self) -> impl Iterator<Item = &String> {
        self.agents.iter()
    }

    /// Names of all spans.
    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        self.names.iter()
    }

    pub(super) fn is_traced(&self, sought: &Sought, step: u32) -> bool {
        self.traced.iter().any(|(own, steps)| own == sought && steps.contains(&step))
    }
}

/// What stands above a node.
#[derive(Default)]
struct Above {
    names: Vec<String>,
    /// The first name of each.
    own: Vec<String>,
    agents: Vec<String>,
    steps: Vec<u32>,
}

struct Reading<'a> {
    told: Told,
    names: &'a HashMap<SpanKey, &'a str>,
    is_asked: &'a dyn Fn(&[String]) -> bool,
    /// When steps began and ended, and which.
    begun: Vec<(u64, u64, u32)>,
}

impl Reading<'_> {
    fn walk(&mut self, of: &Node, above: &mut Above) {
        for child in &of.children {
            let own = self.names_of(child);
            let (names, owns, agents) = (above.names.len(), above.own.len(), above.agents.len());
            if let Some(step) = child.step {
                self.begun.push((child.start_us, child.end_us, step));
                let names = above.names.iter().chain(&own).cloned().collect();
                // A tool may have a span around the one that stands for the step.
                let around = is_tool(of) && of.step.is_none() && is_tool(child) && has_failed(of);
                let failed = around || has_failed(child);
                let told = OfStep { names, agent: above.agents.last().cloned(), failed };
                self.told.steps.insert(step, told);
            } else if let Some(span) = child.span.filter(|_| (self.is_asked)(&own)) {
                self.find(child, span, &own, above);
            }
            above.own.extend(own.first().cloned());
            for name in &own {
                if !self.told.names.contains(name) {
                    self.told.names.insert(name.clone());
                }
            }
            above.names.extend(own);
            if child.kind == NodeKind::Agent {
                above.agents.push(child.name.clone());
                self.told.agents.insert(child.name.clone());
            }
            above.steps.extend(child.step);
            self.walk(child, above);
            above.names.truncate(names);
            above.own.truncate(owns);
            above.agents.truncate(agents);
            if child.step.is_some() {
                above.steps.pop();
            }
        }
    }

    /// Names of a node that a span tells of.
    fn names_of(&self, node: &Node) -> Vec<String> {
        let Some(span) = node.span else { return Vec::new() };
        let mut names = vec![node.name.clone()];
        names.extend(self.names.get(&span).filter(|name| **name != node.name).map(|name| name.to_string()));
        names
    }

    fn find(&mut self, node: &Node, span: SpanKey, names: &[String], above: &Above) {
        let mut around = Vec::new();
        steps_below(node, &mut around);
        around.sort_unstable();
        let total = node.total();
        let agent = match node.kind {
            NodeKind::Agent => Some(node.name.clone()),
            _ => above.agents.last().cloned(),
        };
        self.told.spans.push(FoundSpan {
            span,
            kind: node.kind,
            name: node.name.clone(),
            under: above.own.last().cloned(),
            within: above.steps.last().copied(),
            around,
            during: Vec::new(),
            after: None,
            before: None,
            error: node.error.clone(),
            start_us: node.start_us,
            took_us: node.told_us(),
            input: total.input,
            output: total.output,
            cost: node.spent().whole(),
            agent,
            names: names.to_vec(),
        });
    }
}

fn is_tool(node: &Node) -> bool {
    node.kind == NodeKind::Tool
}

fn has_failed(node: &Node) -> bool {
    node.span.is_some() && node.error.is_some()
}

fn steps_below(node: &Node, found: &mut Vec<u32>) {
    for child in &node.children {
        found.extend(child.step);
        steps_below(child, found);
    }
}
