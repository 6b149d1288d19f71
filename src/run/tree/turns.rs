//! The rounds of an agent's loop, where its instrumentation puts all calls side by side.

use super::{Node, NodeKind};
use crate::run::{Outline, StepKind};

/// Groups what stands side by side below a node, and below all its descendants, by the turn of its lane.
pub(super) fn group(node: &mut Node, outline: &Outline) {
    node.children.iter_mut().for_each(|child| group(child, outline));
    let places: Vec<Option<(u32, u32)>> = node.children.iter().map(|child| place(child, outline)).collect();
    let mut lanes = places.iter().flatten().map(|(lane, _)| lane);
    let Some(first) = lanes.next() else { return };
    let is_one_lane = lanes.all(|lane| lane == first);
    let mut turns: Vec<u32> = places.iter().flatten().map(|(_, turn)| *turn).collect();
    turns.dedup();
    let tools = node.children.iter().any(|child| child.kind == NodeKind::Tool && child.step.is_some());
    let named = node.kind == NodeKind::Turn || node.name.starts_with("turn ");
    if !is_one_lane || turns.len() < 2 || !tools || named || turns.windows(2).any(|pair| pair[0] > pair[1]) {
        return;
    }
    let mut grouped: Vec<Node> = Vec::new();
    let mut open = None;
    for (child, place) in std::mem::take(&mut node.children).into_iter().zip(places) {
        match (place, grouped.last_mut()) {
            (Some(place), Some(turn)) if open == Some(place) => turn.children.push(child),
            (Some(place), _) => {
                let name = format!("turn {}", place.1 + 1);
                let mut turn = Node::new(NodeKind::Turn, name, child.start_us, child.end_us);
                turn.children.push(child);
                grouped.push(turn);
                open = Some(place);
            }
            (None, _) => {
                grouped.push(child);
                open = None;
            }
        }
    }
    grouped.iter_mut().for_each(Node::settle);
    node.children = grouped;
}

/// Lane and turn of a step.
fn place(node: &Node, outline: &Outline) -> Option<(u32, u32)> {
    Some(match outline.step(node.step?)? {
        StepKind::Model { lane, turn } => (lane, turn),
        StepKind::Tool { site } => (site.lane, site.turn),
    })
}
