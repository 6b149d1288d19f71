//! Where the steps of a run stand among its spans: below which agents, workflows, tools and other spans.

use super::{Node, NodeKind};
use crate::span::SpanKey;
use serde::Serialize;
use std::collections::HashMap;
use std::sync::Arc;

/// A span above a step.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Level {
    /// What it is.
    pub kind: NodeKind,
    /// Its name: an agent's, a tool's, a span's.
    pub name: String,
}

/// The spans above a step, the outermost first. Model calls and turns are none of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Path {
    /// Agents, workflows, tools and other spans.
    pub levels: Vec<Level>,
    /// True when the outermost of them names a parent that never came: there may be more above it.
    pub is_cut: bool,
}

/// An agent or a workflow that ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// What it is.
    pub kind: NodeKind,
    /// Its name.
    pub name: String,
    /// The steps below it, in order.
    pub steps: Vec<u32>,
}

/// Where the steps of a run stand.
#[derive(Debug, Clone, Default)]
pub struct Places {
    paths: HashMap<u32, Arc<Path>>,
    actors: Vec<Actor>,
}

impl Places {
    /// Reads a tree; none when no span tells of anything in it. `is_cut`: true for a span whose parent never came.
    ///
    /// A step of which no span tells has no place: where the tree puts it is a guess.
    pub fn of(tree: &Node, is_cut: &dyn Fn(SpanKey) -> bool) -> Option<Places> {
        let mut places = Places::default();
        let mut above = Path::default();
        let spanned = places.walk(tree, &mut above, &mut Arc::default(), is_cut);
        spanned.then_some(places)
    }

    /// The spans above a step; none when no span tells.
    pub fn path(&self, step: u32) -> Option<&Path> {
        self.paths.get(&step).map(Arc::as_ref)
    }

    /// All agents and workflows, in order of the tree.
    pub fn actors(&self) -> &[Actor] {
        &self.actors
    }

    /// `shared`: `above`, for all that stand there. Returns whether any span is below.
    fn walk(
        &mut self,
        of: &Node,
        above: &mut Path,
        shared: &mut Arc<Path>,
        is_cut: &dyn Fn(SpanKey) -> bool,
    ) -> bool {
        let mut spanned = false;
        for child in &of.children {
            spanned |= child.span.is_some();
            let is_top = above.levels.is_empty();
            if is_top {
                above.is_cut = child.span.is_some_and(is_cut);
                *shared = Arc::new(above.clone());
            }
            if let Some(step) = child.step {
                let linked = child.kind == NodeKind::Model && !is_top;
                if child.span.is_some() || linked {
                    self.paths.insert(step, shared.clone());
                }
            }
            let is_level = !matches!(child.kind, NodeKind::Run | NodeKind::Turn | NodeKind::Model);
            if !is_level {
                spanned |= self.walk(child, above, shared, is_cut);
                continue;
            }
            above.levels.push(Level { kind: child.kind, name: child.name.clone() });
            spanned |= self.walk(child, above, &mut Arc::new(above.clone()), is_cut);
            above.levels.pop();
            if matches!(child.kind, NodeKind::Agent | NodeKind::Workflow) && child.span.is_some() {
                let mut steps = Vec::new();
                steps_of(child, &mut steps);
                steps.sort_unstable();
                self.actors.push(Actor { kind: child.kind, name: child.name.clone(), steps });
            }
        }
        spanned
    }
}

impl Path {
    /// The innermost agent.
    pub fn agent(&self) -> Option<&str> {
        let agents = self.levels.iter().rev().filter(|level| level.kind == NodeKind::Agent);
        agents.map(|level| level.name.as_str()).next()
    }
}

/// The steps below a node.
fn steps_of(node: &Node, found: &mut Vec<u32>) {
    for child in &node.children {
        found.extend(child.step);
        steps_of(child, found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::span::{SpanId, TraceId};

    fn key(id: u8) -> SpanKey {
        SpanKey { trace: TraceId([1; 16]), span: SpanId([id; 8]) }
    }

    fn node(kind: NodeKind, name: &str, span: Option<u8>, step: Option<u32>, children: Vec<Node>) -> Node {
        Node { span: span.map(key), step, children, ..Node::new(kind, name, 0, 1) }
    }

    fn words(places: &Places, step: u32) -> Option<String> {
        let path = places.path(step)?;
        let names: Vec<&str> = path.levels.iter().map(|level| level.name.as_str()).collect();
        Some(format!("{}{}", if path.is_cut { "… " } else { "" }, names.join(" > ")))
    }

    #[test]
    fn steps_stand_below_agents_and_tools() {
        use NodeKind::*;
        let worker = node(
            Agent,
            "worker",
            Some(3),
            None,
            vec![node(Turn, "turn 1", None, None, vec![node(Model, "m", Some(4), Some(3), vec![])])],
        );
        let tree = node(
            Run,
            "x.1",
            None,
            None,
            vec![
                node(
                    Agent,
                    "planner",
                    Some(1),
                    None,
                    vec![
                        node(Model, "m", None, Some(1), vec![]),
                        node(Tool, "delegate", Some(2), Some(2), vec![worker]),
                        node(Tool, "guessed", None, Some(4), vec![]),
                    ],
                ),
                node(Agent, "late", Some(9), None, vec![node(Model, "m", Some(8), Some(5), vec![])]),
                node(Model, "m", None, Some(6), vec![]),
            ],
        );
        let places = Places::of(&tree, &|span| span == key(9)).unwrap();
        let all: Vec<Option<String>> = (1..=6).map(|step| words(&places, step)).collect();
        let told = |text: &str| Some(text.to_string());
        assert_eq!(
            all,
            [
                told("planner"),
                told("planner"),
                told("planner > delegate > worker"),
                None,
                told("… late"),
                None
            ]
        );
        let actors: Vec<(&str, &[u32])> =
            places.actors().iter().map(|actor| (actor.name.as_str(), actor.steps.as_slice())).collect();
        assert_eq!(actors, [("worker", &[3][..]), ("planner", &[1, 2, 3, 4]), ("late", &[5])]);
        assert_eq!(places.path(3).unwrap().agent(), Some("worker"));
    }

    #[test]
    fn without_spans_there_are_no_places() {
        let tree =
            node(NodeKind::Run, "x.1", None, None, vec![node(NodeKind::Model, "m", None, Some(1), vec![])]);
        assert!(Places::of(&tree, &|_| false).is_none());
    }
}
