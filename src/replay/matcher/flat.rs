//! Flat text: what was joined from several answers or results, in the order in which they came.

use super::segments::{Part, Said};
use super::unify::Unifier;
use std::collections::BTreeMap;

/// What it costs that one quoted answer stands for another, and that lines stand in another order.
const SWAP_COST: usize = 3;
const LINES_COST: usize = 6;
/// Longer texts are not compared line by line in any order.
const MOST_LINES: usize = 2_000;
/// After so many pairs of lines the search for their order is given up.
const MOST_PAIRS: usize = 100_000;

/// True when the texts are equal up to holes, and up to the order of what they quote.
pub(super) fn text(unifier: &mut Unifier<'_>, path: &str, recorded: &str, live: &str) -> bool {
    let before = unifier.state();
    if quotes(unifier, path, recorded, live)
        && (!recorded.contains('\n') || unifier.is_closed(&before.quoted))
    {
        return true;
    }
    unifier.restore(before);
    recorded.contains('\n') && lines(unifier, path, recorded, live)
}

/// Compares part by part, each quote as one token.
fn quotes(unifier: &mut Unifier<'_>, path: &str, recorded: &str, live: &str) -> bool {
    let (there, here) = unifier.split(recorded, live);
    let quotes_any = there.iter().any(|p| matches!(p, Part::Quote(_)));
    if !quotes_any || there.len() != here.len() {
        return false;
    }
    there.iter().zip(&here).all(|(a, b)| match (a, b) {
        (Part::Text(a), Part::Text(b)) => {
            let (a, b) =
                (recorded.get(a.clone()).unwrap_or_default(), live.get(b.clone()).unwrap_or_default());
            unifier.walk(path, a, b)
        }
        (Part::Quote(a), Part::Quote(b)) => unifier.quote(*a, *b, SWAP_COST),
        _ => false,
    })
}

/// Compares the lines of two texts in any order; each finds its place as near as it can.
fn lines(unifier: &mut Unifier<'_>, path: &str, recorded: &str, live: &str) -> bool {
    let (there, here): (Vec<&str>, Vec<&str>) = (recorded.split('\n').collect(), live.split('\n').collect());
    if there.len() != here.len() || there.len() > MOST_LINES {
        return false;
    }
    let before = unifier.state();
    let mut left: Vec<usize> = (0..here.len()).collect();
    let (mut moved, mut pairs) = (0, 0);
    for (i, line) in there.iter().enumerate() {
        let own = left.iter().position(|j| *j == i);
        let order = own.into_iter().chain((0..left.len()).filter(|at| Some(*at) != own));
        let found = order.into_iter().find(|at| {
            let Some(candidate) = left.get(*at).and_then(|j| here.get(*j)) else { return false };
            pairs += 1;
            if pairs > MOST_PAIRS {
                return false;
            }
            if unifier.walk(path, line, candidate) {
                return true;
            }
            let state = unifier.state();
            let fits = quotes(unifier, path, line, candidate) && unifier.is_closed(&state.quoted);
            if !fits {
                unifier.restore(state);
            }
            fits
        });
        let Some(at) = found else {
            unifier.restore(before);
            return false;
        };
        moved += usize::from(left.remove(at) != i);
    }
    if moved > 0 {
        unifier.cost += LINES_COST + moved;
        unifier.reordered = true;
    }
    true
}

/// True when quotes only changed places among themselves: what stands for something is stood for by something, too.
pub(super) fn is_closed(
    quoted: &BTreeMap<Said, Said>,
    except: &BTreeMap<Said, Said>,
    may_swap: impl Fn(Said, Said) -> bool,
) -> bool {
    let new = || quoted.iter().filter(|(a, _)| !except.contains_key(a));
    new().all(|(a, b)| may_swap(*a, *b) && new().any(|(_, now)| now == a) && new().any(|(then, _)| then == b))
}
