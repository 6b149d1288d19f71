//! The list of a body's parts, kept as a tree of nodes.
//!
//! A turn of a conversation repeats the list of the turn before and adds to it, so that almost all nodes are there
//! already. Where a node ends is decided by the parts themselves (not by their position), so that lists with
//! something put in front or taken out share the rest too.
//!
//! A node: level, number of parts below it, number of items, first item, differences to the item before (signed).
//! Items are ordinals: of parts on level 0, of nodes of the level below elsewhere.

use super::varint::{Cursor, put, put_signed};

/// An item ends its node with a chance of one in this many.
const SPREAD: u32 = 32;
const FEWEST: usize = 4;
const MOST: usize = 128;
/// The longest list: what a forged node can make a reader allocate.
const LONGEST: u64 = 1 << 24;
const HIGHEST: u64 = 24;

/// Turns a list into nodes; `store` gives each node its ordinal. Returns the ordinal of the root.
pub fn build(parts: &[u32], mut store: impl FnMut(&[u8]) -> u32) -> u32 {
    let mut items: Vec<(u32, u64)> = parts.iter().map(|&p| (p, 1)).collect();
    let mut level = 0;
    let mut node = Vec::new();
    loop {
        let mut above = Vec::new();
        let mut rest = items.as_slice();
        loop {
            let (now, later) = rest.split_at(node_length(rest));
            let total = now.iter().map(|i| i.1).sum();
            encode(&mut node, level, total, now);
            above.push((store(&node), total));
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        if let [(root, _)] = above[..] {
            return root;
        }
        items = above;
        level += 1;
    }
}

fn node_length(items: &[(u32, u64)]) -> usize {
    let cut = items.iter().take(MOST).skip(FEWEST - 1).position(|i| ends_node(i.0));
    cut.map_or(items.len().min(MOST), |i| i + FEWEST)
}

fn ends_node(item: u32) -> bool {
    (item ^ 0x5bd1_e995).wrapping_mul(0x9e37_79b1) >> 16 & (SPREAD - 1) == 0
}

fn encode(node: &mut Vec<u8>, level: u64, total: u64, items: &[(u32, u64)]) {
    node.clear();
    put(node, level);
    put(node, total);
    put(node, items.len() as u64);
    let mut before = 0;
    for &(item, _) in items {
        put_signed(node, i64::from(item) - before);
        before = i64::from(item);
    }
}

struct Node {
    level: u64,
    total: u64,
    items: Vec<u32>,
}

fn decode(bytes: &[u8]) -> Option<Node> {
    let mut cursor = Cursor(bytes);
    let (level, total, count) = (cursor.number()?, cursor.number()?, cursor.number()?);
    if level > HIGHEST || total > LONGEST || count > bytes.len() as u64 || (level == 0 && count != total) {
        return None;
    }
    let mut items = Vec::with_capacity(count as usize);
    let mut before = 0i64;
    for _ in 0..count {
        before = before.checked_add(cursor.signed()?)?;
        items.push(u32::try_from(before).ok()?);
    }
    cursor.0.is_empty().then_some(Node { level, total, items })
}

/// Reads the list under `root`; `load` gives the bytes of a node.
///
/// # Errors
/// What `load` says, or `broken` of the ordinal of a node that cannot be.
pub fn expand<B: AsRef<[u8]>, E>(
    root: u32,
    mut load: impl FnMut(u32) -> Result<B, E>,
    broken: impl Fn(u32) -> E,
) -> Result<Vec<u32>, E> {
    let top = decode(load(root)?.as_ref()).ok_or_else(|| broken(root))?;
    let total = top.total as usize;
    let mut parts = Vec::with_capacity(total.min(4096));
    let mut open = vec![(top.level, top.items.into_iter())];
    while let Some((level, items)) = open.last_mut() {
        if *level == 0 {
            parts.extend(items);
            open.pop();
            if parts.len() > total {
                return Err(broken(root));
            }
            continue;
        }
        let Some(ordinal) = items.next() else {
            open.pop();
            continue;
        };
        let below = *level - 1;
        let node = decode(load(ordinal)?.as_ref()).ok_or_else(|| broken(ordinal))?;
        // An empty node below the root would let a forged tree grow without bounds.
        if node.level != below || node.total == 0 || node.items.is_empty() {
            return Err(broken(ordinal));
        }
        open.push((node.level, node.items.into_iter()));
    }
    if parts.len() == total { Ok(parts) } else { Err(broken(root)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    /// Nodes by ordinal; equal bytes get one ordinal, as in a pack.
    #[derive(Default)]
    struct Shelf {
        nodes: Vec<Vec<u8>>,
        known: HashMap<Vec<u8>, u32>,
    }

    impl Shelf {
        fn build(&mut self, parts: &[u32]) -> u32 {
            build(parts, |node| {
                *self.known.entry(node.to_vec()).or_insert_with(|| {
                    self.nodes.push(node.to_vec());
                    1_000_000 + self.nodes.len() as u32 - 1
                })
            })
        }

        fn expand(&self, root: u32) -> Result<Vec<u32>, u32> {
            let load = |n: u32| self.nodes.get((n as usize).wrapping_sub(1_000_000)).ok_or(n);
            expand(root, load, |n| n)
        }

        fn bytes(&self) -> usize {
            self.nodes.iter().map(Vec::len).sum()
        }
    }

    proptest! {
        #[test]
        fn lists_come_back(parts in prop::collection::vec(0..50_000u32, 0..2000)) {
            let mut shelf = Shelf::default();
            let root = shelf.build(&parts);
            prop_assert_eq!(shelf.expand(root).unwrap(), parts);
        }

        #[test]
        fn a_flipped_bit_never_panics_and_never_grows(
            parts in prop::collection::vec(0..50_000u32, 0..400), node in any::<prop::sample::Index>(),
            place in any::<prop::sample::Index>(), bit in 0..8u8,
        ) {
            let mut shelf = Shelf::default();
            let root = shelf.build(&parts);
            let node = node.index(shelf.nodes.len());
            let place = place.index(shelf.nodes[node].len());
            shelf.nodes[node][place] ^= 1 << bit;
            if let Ok(read) = shelf.expand(root) {
                prop_assert!(read.len() <= parts.len() + 128);
            }
        }
    }

    #[test]
    fn a_turn_costs_little_however_long_the_history() {
        let mut shelf = Shelf::default();
        let (mut parts, mut next) = (Vec::new(), 0u32);
        let mut last = 0;
        for turn in 0..1000 {
            for _ in 0..2 {
                parts.push(next);
                next += 3;
            }
            let before = shelf.bytes();
            let root = shelf.build(&parts);
            last = root;
            let added = shelf.bytes() - before;
            assert!(added < 700, "turn {turn} added {added} bytes");
        }
        assert_eq!(shelf.expand(last).unwrap(), parts);
        assert!(shelf.bytes() < 1000 * 110, "{} bytes for 1000 turns", shelf.bytes());
    }

    #[test]
    fn dropping_the_oldest_keeps_the_rest_shared() {
        let mut shelf = Shelf::default();
        let parts: Vec<u32> = (0..4000).map(|i| i * 3).collect();
        shelf.build(&parts);
        let before = shelf.bytes();
        shelf.build(&parts[2..]);
        assert!(shelf.bytes() - before < before / 8, "{} of {before}", shelf.bytes() - before);
    }

    #[test]
    fn a_tree_that_loops_or_swells_is_refused() {
        // A node of level 1 that names itself, and one whose children are empty.
        let mut shelf = Shelf::default();
        let mut node = Vec::new();
        encode(&mut node, 1, 5, &[(1_000_000, 5)]);
        shelf.nodes.push(node.clone());
        assert!(shelf.expand(1_000_000).is_err());
        encode(&mut node, 2, 5, &[(1_000_002, 0); 3]);
        shelf.nodes.push(node.clone());
        encode(&mut node, 1, 0, &[]);
        shelf.nodes.push(node);
        assert!(shelf.expand(1_000_001).is_err());
    }
}
