//! What the spans of a run say of its steps, as far as figures go.

use crate::diff::view::StepNumbers;
use crate::run::tree::{Node, NodeKind};
use crate::run::{Lane, Outline};
use std::collections::HashMap;

/// What spans say; the default is that of a run without any.
#[derive(Debug, Clone, Default)]
pub struct Told {
    steps: HashMap<u32, OfStep>,
}

/// What they say of a step.
#[derive(Debug, Clone, Default)]
pub(super) struct OfStep {
    /// The innermost agent around it.
    pub agent: Option<String>,
    /// How long its own span took, in microseconds; none where it has none.
    pub took_us: Option<u64>,
    /// True when that span says that it failed.
    pub failed: bool,
}

impl Told {
    /// Reads the trace tree of a run.
    pub fn of(tree: &Node) -> Told {
        let mut told = Told::default();
        told.walk(tree, None);
        told
    }

    fn walk(&mut self, of: &Node, agent: Option<&str>) {
        for child in &of.children {
            if let Some(step) = child.step {
                let is_spanned = child.span.is_some();
                let of_step = OfStep {
                    agent: agent.map(str::to_string),
                    took_us: child.told_us().filter(|_| is_spanned),
                    failed: is_spanned && child.error.is_some(),
                };
                self.steps.insert(step, of_step);
            }
            let is_agent = child.kind == NodeKind::Agent && child.span.is_some();
            self.walk(child, if is_agent { Some(&child.name) } else { agent });
        }
    }

    pub(super) fn step(&self, step: Option<u32>) -> Option<&OfStep> {
        self.steps.get(&step?)
    }

    /// The name that the agent of a turn has: of the spans around it, else of its lane; none when it has none.
    pub(super) fn agent(&self, lane: &Lane, step: Option<u32>) -> Option<String> {
        let told = self.step(step).and_then(|told| told.agent.clone());
        told.or_else(|| lane.named.clone())
    }

    /// What each lane is called in findings: by its agent where all of its turns have the same, else by its key.
    pub(super) fn lanes(&self, outline: &Outline, numbers: &StepNumbers) -> Vec<String> {
        let name = |(index, lane): (usize, &Lane)| {
            let mut agents = (0..lane.turns.len()).map(|at| self.agent(lane, numbers.model(index, at)));
            let first = agents.next().flatten();
            let same = first.filter(|first| agents.all(|agent| agent.as_ref() == Some(first)));
            same.or_else(|| lane.named.clone()).unwrap_or_else(|| lane.key.clone())
        };
        outline.lanes.iter().enumerate().map(name).collect()
    }
}
