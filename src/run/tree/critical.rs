//! The critical path: from the end of a node back to its beginning, always over what ended last.

use super::{HeldUp, Node};

/// Marks the critical path from `node` down. Children are in order.
pub(super) fn mark(node: &mut Node) {
    node.critical = true;
    let mut until = node.end_us;
    // By their ends, last first: of those that had ended when the one behind them began, the last is what it waited for.
    let mut by_end: Vec<usize> = (0..node.children.len()).collect();
    by_end.sort_by_key(|&at| {
        let child = &node.children[at];
        std::cmp::Reverse((child.end_us, child.took_us()))
    });
    for at in by_end {
        let child = &node.children[at];
        if child.end_us > until {
            continue;
        }
        until = child.start_us;
        let held_up = held_up(&node.children, at);
        let child = &mut node.children[at];
        child.held_up = held_up;
        mark(child);
    }
}

/// What a child held up among those that ran beside it.
fn held_up(all: &[Node], at: usize) -> Option<HeldUp> {
    let own = all.get(at)?;
    let is_beside = |other: &&Node| other.start_us < own.end_us && own.start_us < other.end_us;
    let others = all.iter().enumerate().filter(|(index, _)| *index != at).map(|(_, node)| node);
    let beside: Vec<&Node> = others.filter(is_beside).collect();
    let last = beside.iter().map(|other| other.end_us).max()?;
    (last <= own.end_us).then(|| HeldUp { others: beside.len() as u32, by_us: own.end_us - last })
}

#[cfg(test)]
mod tests {
    use super::super::NodeKind;
    use super::*;

    fn node(name: &str, start: u64, end: u64, children: Vec<Node>) -> Node {
        Node { children, ..Node::new(NodeKind::Other, name, start, end) }
    }

    fn path(node: &Node) -> Vec<String> {
        let below = node.children.iter().filter(|child| child.critical);
        below.flat_map(|child| std::iter::once(child.name.clone()).chain(path(child))).collect()
    }

    #[test]
    fn the_branch_that_ends_last_holds_the_rest_up() {
        let mut run = node(
            "run",
            0,
            100,
            vec![
                node("split", 0, 10, vec![]),
                node("a", 10, 40, vec![]),
                node("b", 10, 70, vec![node("b1", 10, 30, vec![]), node("b2", 30, 70, vec![])]),
                node("c", 11, 50, vec![]),
                node("join", 70, 100, vec![]),
            ],
        );
        mark(&mut run);
        assert_eq!(path(&run), ["split", "b", "b1", "b2", "join"]);
        assert_eq!(run.children[2].held_up, Some(HeldUp { others: 2, by_us: 20 }));
        assert_eq!((run.children[1].held_up, run.children[4].held_up), (None, None));
    }

    #[test]
    fn nodes_without_length_and_equal_ends_do_no_harm() {
        let mut run = node(
            "run",
            5,
            5,
            vec![node("a", 5, 5, vec![]), node("b", 5, 5, vec![]), node("c", 9, 3, vec![])],
        );
        mark(&mut run);
        assert!(run.critical);
    }
}
