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
    let beside = Beside::of(&node.children);
    for at in by_end {
        let child = &mut node.children[at];
        if child.end_us > until {
            continue;
        }
        until = child.start_us;
        child.held_up = beside.held_up(at, child);
        mark(child);
    }
}

/// Who ran beside whom, among the children of one node.
struct Beside {
    starts: Vec<u64>,
    ends: Vec<u64>,
    /// Of the first, the first two, ... children: who ended last, when, and when the last of the others ended.
    last: Vec<(usize, u64, u64)>,
}

impl Beside {
    /// Of children in order of their beginnings.
    fn of(all: &[Node]) -> Beside {
        let mut ends: Vec<u64> = all.iter().map(|node| node.end_us).collect();
        let mut latest = (0, 0, 0);
        let last = ends.iter().enumerate().map(|(at, &end)| {
            latest = match latest {
                _ if at == 0 => (0, end, 0),
                (_, last, _) if end > last => (at, end, last),
                (who, last, next) => (who, last, next.max(end)),
            };
            latest
        });
        let last = last.collect();
        ends.sort_unstable();
        Beside { starts: all.iter().map(|node| node.start_us).collect(), ends, last }
    }

    /// What a child held up; none when nobody ran beside it, or one of them still did when it ended.
    fn held_up(&self, at: usize, own: &Node) -> Option<HeldUp> {
        let begun = self.starts.partition_point(|start| *start < own.end_us);
        let gone = self.ends.partition_point(|end| *end <= own.start_us);
        let others = begun.checked_sub(gone + 1).filter(|others| *others > 0)?;
        let last = match *self.last.get(begun.checked_sub(1)?)? {
            (who, _, next) if who == at => next,
            (_, last, _) => last,
        };
        (last <= own.end_us).then(|| HeldUp { others: others as u32, by_us: own.end_us - last })
    }
}

#[cfg(test)]
mod tests {
    use super::super::NodeKind;
    use super::*;
    use proptest::prelude::*;

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

    proptest! {
        #[test]
        fn who_ran_beside_is_who_overlaps(all in prop::collection::vec((0u64..30, 0u64..12), 1..20)) {
            let mut all: Vec<Node> = all.iter().map(|(start, took)| node("x", *start, start + took, vec![])).collect();
            all.sort_by_key(|node| node.start_us);
            let beside = Beside::of(&all);
            for (at, own) in all.iter().enumerate() {
                let others = all.iter().enumerate().filter(|(index, _)| *index != at).map(|(_, node)| node);
                let overlap = |other: &&Node| other.start_us < own.end_us && own.start_us < other.end_us;
                let overlapping: Vec<&Node> = others.filter(overlap).collect();
                let last = overlapping.iter().map(|other| other.end_us).max();
                let wanted = last.filter(|last| *last <= own.end_us && own.took_us() > 0);
                let wanted =
                    wanted.map(|last| HeldUp { others: overlapping.len() as u32, by_us: own.end_us - last });
                prop_assert_eq!(beside.held_up(at, own), wanted);
            }
        }
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
