//! Which elements of two sequences belong together.

use similar::{Algorithm, DiffOp, capture_diff_slices};
use std::collections::{HashMap, HashSet};
use std::hash::Hash;

/// Indices of two elements that belong together, or of one that stands alone.
pub type Pair = (Option<usize>, Option<usize>);

/// Aligns by equal keys, in order; every index of both sides occurs once.
///
/// Elements that occur on one side only are set aside before the search, so that two sequences with nothing in common
/// cost no more than two equal ones.
pub fn align<K: Eq + Hash>(left: &[K], right: &[K]) -> Vec<Pair> {
    let mut names: HashMap<&K, (u32, bool)> = HashMap::new();
    for key in left {
        let fresh = names.len() as u32;
        names.entry(key).or_insert((fresh, false));
    }
    let common: Vec<(u32, usize)> = right
        .iter()
        .enumerate()
        .filter_map(|(i, key)| {
            let name = names.get_mut(key)?;
            name.1 = true;
            Some((name.0, i))
        })
        .collect();
    let kept: Vec<(u32, usize)> = left
        .iter()
        .enumerate()
        .filter_map(|(i, key)| names.get(key).filter(|n| n.1).map(|n| (n.0, i)))
        .collect();
    let ids = |side: &[(u32, usize)]| side.iter().map(|(id, _)| *id).collect::<Vec<_>>();
    let ops = capture_diff_slices(Algorithm::Myers, &ids(&kept), &ids(&common));
    let mut matched = Vec::new();
    for op in ops {
        if let DiffOp::Equal { old_index, new_index, len } = op {
            let places = (old_index..old_index + len).zip(new_index..new_index + len);
            matched.extend(places.filter_map(|(o, n)| Some((kept.get(o)?.1, common.get(n)?.1))));
        }
    }
    with_gaps(&matched, left.len(), right.len())
}

/// Aligns by strong keys; what is left between two matches by weak keys (elements without one match nothing); and
/// what is then left one by one, in order, where `may_pair` allows it. `alike` says of the last two elements of a gap
/// whether they belong together although their keys differ.
pub fn align_loosely<S: Eq + Hash, W: Eq + Hash>(
    left: (&[S], &[Option<W>]),
    right: (&[S], &[Option<W>]),
    alike: impl Fn(usize, usize) -> bool,
    may_pair: impl Fn(usize, usize) -> bool,
) -> Vec<Pair> {
    let strongly = align(left.0, right.0);
    let moved = moved(&strongly, left.0, right.0);
    let mut matched = Vec::new();
    let mut gap: (Vec<usize>, Vec<usize>) = Default::default();
    let fill = |gap: &mut (Vec<usize>, Vec<usize>), matched: &mut Vec<(usize, usize)>| {
        let last = match (gap.0.last(), gap.1.last()) {
            (Some(a), Some(b)) if alike(*a, *b) => gap.0.pop().zip(gap.1.pop()),
            _ => None,
        };
        // Who has no weak key gets one that nobody else has.
        let weak = |places: &[usize], keys: &[Option<W>], side: bool| -> Vec<Result<u64, (bool, usize)>> {
            let stays = |p: &usize| !if side { moved.1.contains(p) } else { moved.0.contains(p) };
            let key = |p: usize| keys.get(p).filter(|_| stays(&p)).and_then(Option::as_ref).map(hash);
            places.iter().map(|p| key(*p).ok_or((side, *p))).collect()
        };
        let mut rest: (Vec<usize>, Vec<usize>) = Default::default();
        let zip = |rest: &mut (Vec<usize>, Vec<usize>), matched: &mut Vec<(usize, usize)>| {
            let pairs = rest.0.iter().copied().zip(rest.1.iter().copied());
            matched.extend(pairs.filter(|(a, b)| may_pair(*a, *b)));
            rest.0.clear();
            rest.1.clear();
        };
        for (l, r) in align(&weak(&gap.0, left.1, false), &weak(&gap.1, right.1, true)) {
            let (a, b) = (l.and_then(|l| gap.0.get(l)), r.and_then(|r| gap.1.get(r)));
            match (a, b) {
                (Some(a), Some(b)) => {
                    zip(&mut rest, matched);
                    matched.push((*a, *b));
                }
                (a, b) => {
                    rest.0.extend(a.filter(|a| !moved.0.contains(a)));
                    rest.1.extend(b.filter(|b| !moved.1.contains(b)));
                }
            }
        }
        zip(&mut rest, matched);
        matched.extend(last);
        gap.0.clear();
        gap.1.clear();
    };
    for pair in strongly {
        match pair {
            (Some(a), Some(b)) => {
                fill(&mut gap, &mut matched);
                matched.push((a, b));
            }
            (a, b) => {
                gap.0.extend(a);
                gap.1.extend(b);
            }
        }
    }
    fill(&mut gap, &mut matched);
    with_gaps(&matched, left.0.len(), right.0.len())
}

/// Elements that were left over on both sides with the same strong key, once on each: they moved, and do not pair with
/// anything else.
fn moved<S: Eq + Hash>(pairs: &[Pair], left: &[S], right: &[S]) -> (HashSet<usize>, HashSet<usize>) {
    let mut alone: HashMap<&S, (Vec<usize>, Vec<usize>)> = HashMap::new();
    for pair in pairs {
        match *pair {
            (Some(a), None) => {
                if let Some(key) = left.get(a) {
                    alone.entry(key).or_default().0.push(a);
                }
            }
            (None, Some(b)) => {
                if let Some(key) = right.get(b) {
                    alone.entry(key).or_default().1.push(b);
                }
            }
            _ => {}
        }
    }
    let once = alone.into_values().filter_map(|(l, r)| match (l.as_slice(), r.as_slice()) {
        (&[a], &[b]) => Some((a, b)),
        _ => None,
    });
    once.unzip()
}

fn hash<T: Hash>(value: &T) -> u64 {
    use std::hash::{DefaultHasher, Hasher};
    let mut state = DefaultHasher::new();
    value.hash(&mut state);
    state.finish()
}

/// The matches in order with everything between them: first what only the left has, then what only the right has.
fn with_gaps(matched: &[(usize, usize)], left: usize, right: usize) -> Vec<Pair> {
    let mut all = Vec::with_capacity(left.max(right));
    let (mut l, mut r) = (0, 0);
    for (a, b) in matched.iter().copied().chain(std::iter::once((left, right))) {
        all.extend((l..a).map(|i| (Some(i), None)));
        all.extend((r..b).map(|i| (None, Some(i))));
        if a < left && b < right {
            all.push((Some(a), Some(b)));
        }
        (l, r) = (a + 1, b + 1);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_inserted_element_shifts_nothing() {
        let pairs = align(&[1, 2, 3, 4], &[1, 9, 2, 3, 4]);
        assert_eq!(
            pairs,
            [(Some(0), Some(0)), (None, Some(1)), (Some(1), Some(2)), (Some(2), Some(3)), (Some(3), Some(4))]
        );
    }

    #[test]
    fn a_changed_element_pairs_with_its_like() {
        let (l, r) = (["a1", "b1", "c1"], ["a1", "x", "b2", "c1"]);
        let weak = |side: &[&str]| side.iter().map(|s| s.bytes().next()).collect::<Vec<_>>();
        let pairs = align_loosely((&l, &weak(&l)), (&r, &weak(&r)), |_, _| false, |_, _| true);
        assert_eq!(pairs, [(Some(0), Some(0)), (None, Some(1)), (Some(1), Some(2)), (Some(2), Some(3))]);
    }

    proptest! {
        #[test]
        fn every_element_occurs_once_and_in_order(
            l in prop::collection::vec(0u8..6, 0..40),
            r in prop::collection::vec(0u8..6, 0..40),
        ) {
            let weak = |s: &[u8]| s.iter().map(|x| (x % 3 > 0).then_some(x % 3)).collect::<Vec<_>>();
            let loose = align_loosely((&l, &weak(&l)), (&r, &weak(&r)), |a, b| (a + b) % 2 == 0, |a, _| a % 5 > 0);
            for pairs in [align(&l, &r), loose] {
                let lefts: Vec<usize> = pairs.iter().filter_map(|p| p.0).collect();
                let rights: Vec<usize> = pairs.iter().filter_map(|p| p.1).collect();
                prop_assert_eq!(lefts, (0..l.len()).collect::<Vec<_>>());
                prop_assert_eq!(rights, (0..r.len()).collect::<Vec<_>>());
            }
            for pair in align(&l, &r) {
                if let (Some(a), Some(b)) = pair {
                    prop_assert_eq!(l[a], r[b]);
                }
            }
        }
    }
}
