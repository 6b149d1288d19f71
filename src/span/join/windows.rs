//! Intervals of time that can be asked for those around another one, or within it.

/// Intervals, by the start; above them a tree of the earliest and the latest end.
pub(super) struct Windows {
    /// Start, end, whose.
    sorted: Vec<(u64, u64, usize)>,
    /// Node 1 is the root, the children of n are 2n and 2n + 1.
    ends: Vec<(u64, u64)>,
    leaves: usize,
}

/// More hits than this are too many to tell one from the other.
const MOST_LOOKS: usize = 256;

impl Windows {
    pub(super) fn new(mut all: Vec<(u64, u64, usize)>) -> Windows {
        all.sort_unstable();
        let leaves = all.len().next_power_of_two();
        let mut ends = vec![(u64::MAX, 0); 2 * leaves];
        for (at, (_, end, _)) in all.iter().enumerate() {
            ends[leaves + at] = (*end, *end);
        }
        for node in (1..leaves).rev() {
            let (left, right) = (ends[2 * node], ends[2 * node + 1]);
            ends[node] = (left.0.min(right.0), left.1.max(right.1));
        }
        Windows { sorted: all, ends, leaves }
    }

    /// Those around an interval that `is_one` lets pass; none when there are more than `most`, or too many to look at.
    pub(super) fn around(
        &self,
        (start, end): (u64, u64),
        most: usize,
        is_one: impl FnMut(usize) -> bool,
    ) -> Option<Vec<usize>> {
        let until = self.sorted.partition_point(|of| of.0 <= start);
        self.find(0..until, &|ends| ends.1 >= end, most, is_one)
    }

    /// Those within an interval that `is_one` lets pass; none when there are more than `most`, or too many to look at.
    pub(super) fn within(
        &self,
        (start, end): (u64, u64),
        most: usize,
        is_one: impl FnMut(usize) -> bool,
    ) -> Option<Vec<usize>> {
        let from = self.sorted.partition_point(|of| of.0 < start);
        let until = self.sorted.partition_point(|of| of.0 <= end);
        self.find(from..until.max(from), &|ends| ends.0 <= end, most, is_one)
    }

    fn find(
        &self,
        range: std::ops::Range<usize>,
        may_have: &dyn Fn((u64, u64)) -> bool,
        most: usize,
        mut is_one: impl FnMut(usize) -> bool,
    ) -> Option<Vec<usize>> {
        let mut found = Vec::new();
        let mut looks = 0;
        // Node, and the leaves below it.
        let mut open = vec![(1, 0, self.leaves)];
        while let Some((node, from, until)) = open.pop() {
            if from >= range.end || until <= range.start || !may_have(self.ends[node]) {
                continue;
            }
            if node < self.leaves {
                let middle = from.midpoint(until);
                open.push((2 * node + 1, middle, until));
                open.push((2 * node, from, middle));
                continue;
            }
            looks += 1;
            let whose = self.sorted[from].2;
            if is_one(whose) {
                found.push(whose);
            }
            if found.len() > most || looks > MOST_LOOKS {
                return None;
            }
        }
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_tree_finds_what_a_walk_finds(
            all in prop::collection::vec((0u64..50, 0u64..20), 0..40),
            start in 0u64..50,
            length in 0u64..30,
        ) {
            let all: Vec<(u64, u64, usize)> =
                all.iter().enumerate().map(|(at, (start, length))| (*start, start + length, at)).collect();
            let windows = Windows::new(all.clone());
            let asked = (start, start + length);
            let walk = |is_one: &dyn Fn(&(u64, u64, usize)) -> bool| {
                let mut found: Vec<usize> = all.iter().filter(|of| is_one(of)).map(|of| of.2).collect();
                found.sort_unstable();
                found
            };
            let mut around = windows.around(asked, 40, |_| true).unwrap();
            around.sort_unstable();
            prop_assert_eq!(around, walk(&|of| of.0 <= asked.0 && of.1 >= asked.1));
            let mut within = windows.within(asked, 40, |_| true).unwrap();
            within.sort_unstable();
            prop_assert_eq!(within, walk(&|of| of.0 >= asked.0 && of.1 <= asked.1));
        }
    }

    #[test]
    fn too_many_are_none() {
        let windows = Windows::new((0..3).map(|at| (0, 10, at)).collect());
        assert_eq!(windows.around((1, 2), 2, |_| true), None);
        assert_eq!(windows.around((1, 2), 2, |at| at > 0).map(|found| found.len()), Some(2));
        assert_eq!(Windows::new(Vec::new()).around((1, 2), 2, |_| true), Some(Vec::new()));
    }
}
