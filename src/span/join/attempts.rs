//! Attempts of one call: the same request again, after one that failed.

use crate::span::TraceId;
use crate::span::asked::Asked;
use crate::span::content::Hash;
use std::collections::{BTreeMap, HashMap};

/// Calls that were tried more than once: by the place of the first attempt, all of them in order.
///
/// A client counts its retries. Where two requests with the same body could be the one before, none is taken.
pub(super) fn attempts(asked: &[&Asked]) -> BTreeMap<usize, Vec<usize>> {
    let mut alike: HashMap<(Hash, Option<TraceId>), Vec<usize>> = HashMap::new();
    for (at, of) in asked.iter().enumerate() {
        alike.entry((of.body, of.parents.first().map(|parent| parent.trace))).or_default().push(at);
    }
    let mut before: HashMap<usize, usize> = HashMap::new();
    for same in alike.into_values().filter(|same| same.iter().any(|&at| asked[at].retries > 0)) {
        pair(asked, same, &mut before);
    }
    let mut calls: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for &later in before.keys() {
        let mut first = later;
        // The one before ended before: this comes to an end.
        while let Some(&earlier) = before.get(&first) {
            first = earlier;
        }
        calls.entry(first).or_insert_with(|| vec![first]).push(later);
    }
    for all in calls.values_mut() {
        all.sort_by_key(|&at| (asked[at].retries, at));
    }
    calls
}

/// Finds the attempt before each retry among requests with the same body.
fn pair(asked: &[&Asked], same: Vec<usize>, before: &mut HashMap<usize, usize>) {
    let mut by_count: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for at in same {
        by_count.entry(asked[at].retries).or_default().push(at);
    }
    for (&count, retries) in by_count.iter().filter(|(count, _)| **count > 0) {
        let Some(earlier) = by_count.get(&(count - 1)) else { continue };
        let mut failed: Vec<usize> = earlier.iter().copied().filter(|&at| asked[at].failed).collect();
        failed.sort_by_key(|&at| (asked[at].ended_us, at));
        let mut retries = retries.clone();
        retries.sort_by_key(|&at| (asked[at].started_us, at));
        let mut failed = failed.into_iter().peekable();
        let mut waiting: Vec<usize> = Vec::new();
        for retry in retries {
            while let Some(ended) = failed.next_if(|&at| asked[at].ended_us <= asked[retry].started_us) {
                waiting.push(ended);
            }
            if waiting.len() == 1 {
                before.extend(waiting.pop().map(|earlier| (retry, earlier)));
            }
        }
    }
}
