//! The tree where there is no instrumentation: read from lanes, turns and calls.

use super::{Node, NodeKind, critical};
use crate::run::{CallSite, Lane, LaneKind, Outline, StepKind, Turn};
use std::collections::HashMap;

/// The tree of a run called `name`.
///
/// A conversation of several turns, or with tools, is an agent; one of a single turn is the model call that it is. A
/// conversation that a tool call began stands below that call, any other below the run.
pub fn derived(outline: &Outline, name: &str) -> Node {
    let reading = Reading { outline, numbers: outline.numbers() };
    let mut below: HashMap<CallSite, Vec<u32>> = HashMap::new();
    let mut roots = Vec::new();
    let mut goes_on: HashMap<u32, Vec<u32>> = HashMap::new();
    for (index, lane) in (0u32..).zip(&outline.lanes) {
        match (lane.continues, lane.parent) {
            (Some(before), _) if before < index => goes_on.entry(before).or_default().push(index),
            (_, Some(site)) if site.lane < index => below.entry(site).or_default().push(index),
            _ => roots.push(index),
        }
    }
    let places = Places { below, goes_on };
    let mut children: Vec<Node> = roots.into_iter().filter_map(|lane| reading.lane(lane, &places)).collect();
    children.sort_by_key(|child| child.start_us);
    let start = children.first().map_or(0, |first| first.start_us);
    let mut run = Node { children, untimed: true, ..Node::new(NodeKind::Run, name, start, start) };
    run.settle();
    if !run.untimed {
        critical::mark(&mut run);
    }
    run
}

/// Which lanes go where. A lane stands before those that it began, so that this has no circles.
struct Places {
    below: HashMap<CallSite, Vec<u32>>,
    goes_on: HashMap<u32, Vec<u32>>,
}

struct Reading<'a> {
    outline: &'a Outline,
    numbers: HashMap<StepKind, u32>,
}

impl Reading<'_> {
    fn lane(&self, index: u32, places: &Places) -> Option<Node> {
        let lane = self.outline.lanes.get(index as usize)?;
        let parts = self.parts(index, places);
        let single = parts.iter().map(|(_, lane)| lane.turns.len()).sum::<usize>() == 1;
        let mut turns = Vec::new();
        for (lane_index, lane) in &parts {
            for (turn_index, turn) in (0u32..).zip(&lane.turns) {
                turns.push(self.turn(*lane_index, turn_index, turn, places));
            }
        }
        let name = lane.named.clone().unwrap_or_else(|| lane.key.clone());
        let first = turns.first()?;
        let (start, is_plain) = (first.start_us, first.children.len() == 1);
        if single && (is_plain || lane.kind == LaneKind::Side) {
            return turns.pop()?.children.into_iter().next();
        }
        let mut agent = Node { untimed: true, ..Node::new(NodeKind::Agent, name, start, start) };
        agent.children = match single {
            true => turns.pop().map(|turn| turn.children).unwrap_or_default(),
            false => turns,
        };
        for (number, turn) in (1u32..).zip(&mut agent.children) {
            if turn.kind == NodeKind::Turn {
                turn.name = format!("turn {number}");
            }
        }
        agent.settle();
        Some(agent)
    }

    /// A lane, and those that go on after it, in order.
    fn parts(&self, index: u32, places: &Places) -> Vec<(u32, &Lane)> {
        let mut parts = Vec::new();
        let mut waiting = vec![index];
        while let Some(index) = waiting.pop() {
            if let Some(lane) = self.outline.lanes.get(index as usize) {
                parts.push((index, lane));
            }
            waiting.extend(places.goes_on.get(&index).into_iter().flatten());
        }
        parts.sort_by_key(|(index, _)| *index);
        parts
    }

    fn turn(&self, lane: u32, index: u32, turn: &Turn, places: &Places) -> Node {
        let mut model = Node::new(NodeKind::Model, turn.model.clone(), turn.started_us, turn.ended_us);
        model.step = self.numbers.get(&StepKind::Model { lane, turn: index }).copied();
        model.untimed = turn.took_us().is_none();
        model.usage = turn.usage;
        model.error = turn.error.clone();
        let turn_node = Node::new(NodeKind::Turn, String::new(), model.start_us, model.end_us);
        let mut node = Node { untimed: true, ..turn_node };
        node.children.push(model);
        for (at, call) in (0u32..).zip(&turn.calls) {
            let site = CallSite { lane, turn: index, call: at };
            let end = call.result.as_ref().map_or(turn.ended_us, |result| result.seen_us);
            let mut tool = Node::new(NodeKind::Tool, call.name.clone(), turn.ended_us, end);
            tool.step = self.numbers.get(&StepKind::Tool { site }).copied();
            tool.untimed = turn.call_took_us(call).is_none();
            tool.at_most = !tool.untimed;
            let failed = call.result.as_ref().filter(|result| result.is_error);
            tool.error = failed.map(|result| result.text.clone());
            let began = places.below.get(&site).into_iter().flatten();
            tool.children = began.filter_map(|lane| self.lane(*lane, places)).collect();
            tool.settle();
            node.children.push(tool);
        }
        node.settle();
        node
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::conversation::Usage;
    use crate::exchange::ExchangeId;
    use crate::run::outline::ToolResultRef;
    use crate::run::{Step, ToolCallRef};

    fn turn(start: u64, end: u64, calls: &[(&str, u64)]) -> Turn {
        let calls = calls.iter().map(|(name, seen)| ToolCallRef {
            id: String::new(),
            name: name.to_string(),
            args: serde_json::Value::Null,
            result: Some(ToolResultRef {
                exchange: ExchangeId(1),
                message: 0,
                block: 0,
                text: "no".into(),
                is_error: *name == "bad",
                seen_us: *seen,
            }),
        });
        Turn {
            attempts: vec![ExchangeId(1)],
            model: "m".into(),
            messages: 1,
            request_key: Default::default(),
            body_key: None,
            answer_key: None,
            started_us: start,
            ended_us: end,
            usage: Some(Usage { input: 10, output: 1, ..Usage::default() }),
            text: String::new(),
            error: None,
            calls: calls.collect(),
        }
    }

    fn lane(key: &str, parent: Option<CallSite>, turns: Vec<Turn>) -> Lane {
        Lane {
            key: key.into(),
            kind: if parent.is_some() { LaneKind::Child } else { LaneKind::Root },
            parent,
            parent_unknown: false,
            continues: None,
            rewinds: None,
            named: None,
            turns,
        }
    }

    fn drawn(node: &Node) -> String {
        let below: Vec<String> = node.children.iter().map(drawn).collect();
        let kind = serde_json::to_value(node.kind).unwrap();
        let below = if below.is_empty() { String::new() } else { format!("({})", below.join(" ")) };
        format!("{}:{}{below}", kind.as_str().unwrap(), node.name)
    }

    #[test]
    fn loops_have_turns_and_sub_agents_stand_below_their_call() {
        let site = CallSite { lane: 0, turn: 0, call: 1 };
        let outline = Outline {
            lanes: vec![
                lane("main", None, vec![turn(0, 10, &[("look", 20), ("delegate", 60)]), turn(60, 70, &[])]),
                lane("main/0.1", Some(site), vec![turn(12, 30, &[("bad", 35)]), turn(35, 55, &[])]),
                lane("main.2", None, vec![turn(70, 90, &[])]),
            ],
            steps: vec![
                Step { kind: StepKind::Model { lane: 0, turn: 0 } },
                Step { kind: StepKind::Tool { site } },
            ],
            ..Outline::default()
        };
        let tree = derived(&outline, "fix.1");
        assert_eq!(
            drawn(&tree),
            "run:fix.1(agent:main(turn:turn 1(model:m tool:look tool:delegate(agent:main/0.1(turn:turn 1(model:m \
             tool:bad) turn:turn 2(model:m)))) turn:turn 2(model:m)) model:m)"
        );
        assert_eq!((tree.start_us, tree.end_us, tree.total().input), (0, 90, 50));
        let delegate = &tree.children[0].children[0].children[2];
        assert_eq!((delegate.step, delegate.start_us, delegate.end_us), (Some(2), 10, 60));
        assert!(delegate.at_most && !delegate.derived, "no run without spans is marked");
        assert!(delegate.critical && !tree.children[0].children[0].children[1].critical);
        assert_eq!(delegate.held_up.unwrap().by_us, 40);
    }

    #[test]
    fn an_empty_run_is_a_tree_too() {
        assert_eq!(drawn(&derived(&Outline::default(), "x.1")), "run:x.1");
    }
}
