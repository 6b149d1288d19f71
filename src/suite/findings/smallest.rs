//! Two texts cut to the part that differs, whole words of it.

use super::Difference;
use crate::diff::volatile::text_varies;
use crate::diff::{FieldChange, excerpt};
use similar::{Algorithm, DiffOp, capture_diff_slices};
use std::ops::Range;

/// Texts up to this long are left whole.
const WHOLE: usize = 80;
/// Characters left standing before and behind what differs.
const AROUND: usize = 24;
/// Characters shown of what differs at most.
const LONGEST: usize = 400;
/// Texts of more words are not compared word by word.
const MOST_WORDS: usize = 20_000;

/// Both texts without what they have in common at their beginnings and ends, but for a few words.
pub(super) fn texts(before: &str, after: &str) -> (String, String) {
    let (l, r): (Vec<char>, Vec<char>) = (before.chars().collect(), after.chars().collect());
    if l.len() <= WHOLE && r.len() <= WHOLE {
        return (before.to_string(), after.to_string());
    }
    let (left, right) = that_counts(before, after).unwrap_or_else(|| {
        let head = l.iter().zip(&r).take_while(|(a, b)| a == b).count();
        let most = l.len().min(r.len()) - head;
        let tail = l.iter().rev().zip(r.iter().rev()).take(most).take_while(|(a, b)| a == b).count();
        (head..l.len() - tail, head..r.len() - tail)
    });
    let cut = |text: &[char], part: Range<usize>| {
        let begin = word_after(text, part.start.saturating_sub(AROUND), part.start);
        let end = word_before(text, part.end, (part.end + AROUND).min(text.len()));
        let mut out = if begin > 0 { "…".to_string() } else { String::new() };
        out.extend(text.get(begin..end).unwrap_or_default());
        if end < text.len() {
            out.push('…');
        }
        out
    };
    excerpt::differing(&cut(&l, left), &cut(&r, right), LONGEST)
}

/// The parts of two texts, in characters, from the first word that differs to the last one, leaving aside ids and clocks
/// beside them; none where nothing else differs, or the texts are very long.
fn that_counts(before: &str, after: &str) -> Option<(Range<usize>, Range<usize>)> {
    let words =
        |text: &'_ str| text.split_inclusive(char::is_whitespace).map(str::to_string).collect::<Vec<_>>();
    let (l, r) = (words(before), words(after));
    if l.len() > MOST_WORDS || r.len() > MOST_WORDS {
        return None;
    }
    let text = |words: &[String], part: Range<usize>| words.get(part).unwrap_or_default().concat();
    let counts = |op: &DiffOp| {
        let (then, now) = (text(&l, op.old_range()), text(&r, op.new_range()));
        let bare = |text: &'_ str| {
            text.trim_matches(|c: char| c.is_whitespace() || c.is_ascii_punctuation()).to_string()
        };
        let (then, now) = (bare(&then), bare(&now));
        !matches!(op, DiffOp::Equal { .. }) && (then == now || !text_varies(&then, &now))
    };
    let ops: Vec<DiffOp> = capture_diff_slices(Algorithm::Myers, &l, &r).into_iter().filter(counts).collect();
    let (first, last) = (ops.first()?, ops.last()?);
    let chars = |words: &[String], part: Range<usize>| {
        let length = |part: Range<usize>| text(words, part).chars().count();
        let begin = length(0..part.start);
        begin..begin + length(part)
    };
    Some((
        chars(&l, first.old_range().start..last.old_range().end),
        chars(&r, first.new_range().start..last.new_range().end),
    ))
}

/// The first place from `from` on at which a word begins, `to` at the latest.
fn word_after(text: &[char], from: usize, to: usize) -> usize {
    if from == 0 {
        return 0;
    }
    let is_begin =
        |at: &usize| at.checked_sub(1).and_then(|at| text.get(at)).is_some_and(|c| c.is_whitespace());
    (from..=to).find(is_begin).unwrap_or(from)
}

/// The last place up to `to` at which a word ends, `from` at the earliest.
fn word_before(text: &[char], from: usize, to: usize) -> usize {
    if to == text.len() {
        return to;
    }
    (from..=to).rev().find(|at| text.get(*at).is_some_and(|c| c.is_whitespace())).unwrap_or(to)
}

/// The difference of two texts at a place.
pub(super) fn difference(path: &str, before: Option<&str>, after: Option<&str>) -> Difference {
    let (before, after) = match (before, after) {
        (Some(l), Some(r)) => {
            let (l, r) = texts(l, r);
            (Some(l), Some(r))
        }
        (l, r) => {
            let short = |text: &str| excerpt::middle(text, LONGEST);
            (l.map(short), r.map(short))
        }
    };
    Difference { path: path.to_string(), before, after }
}

/// The differences of fields, without those that vary from run to run.
pub(super) fn fields<'f>(
    changes: impl IntoIterator<Item = &'f FieldChange>,
    prefix: &str,
) -> Vec<Difference> {
    let told = changes.into_iter().filter(|change| !change.varies);
    told.map(|change| {
        let path = join(prefix, &change.path);
        difference(&path, change.left.as_deref(), change.right.as_deref())
    })
    .collect()
}

/// `prefix.path`.
pub(super) fn join(prefix: &str, path: &str) -> String {
    let dot = if prefix.is_empty() || path.is_empty() || path.starts_with('[') { "" } else { "." };
    format!("{prefix}{dot}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_around_the_change_stay() {
        let long = "You handle refunds for the shop. Be polite and brief. ".repeat(20);
        let (l, r) = texts(
            &format!("{long}Refund 4999 at most. {long}"),
            &format!("{long}Refund 49.99 at most. {long}"),
        );
        assert_eq!(
            (l.as_str(), r.as_str()),
            ("…and brief. Refund 4999 at most. You handle…", "…and brief. Refund 49.99 at most. You handle…")
        );
    }

    #[test]
    fn ids_and_clocks_far_from_it_are_no_part_of_it() {
        let text = |clock: &str, id: &str, amount: &str| {
            let rest = "You handle refunds for the shop, politely and briefly, and nothing else.";
            format!("It is {clock}. Session {id}. {rest} Refund {amount} USD at most. {rest}")
        };
        let then = text("2026-11-22T05:19:30.094003+00:00", "2e6c1600-3803-400f-a26d-b20c4785d905", "12");
        let now = text("2026-11-22T05:20:34.569310+00:00", "18e3e6c8-2b7e-4c1c-9d55-0f3f2b1a9c11", "13");
        assert_eq!(
            texts(&then, &now),
            (
                "…nothing else. Refund 12 USD at most. You handle…".into(),
                "…nothing else. Refund 13 USD at most. You handle…".into()
            )
        );
    }

    proptest! {
        #[test]
        fn what_differs_is_never_cut_away(head in "[ab ]{0,200}", l in "[a-d ]{0,600}", r in "[a-d ]{0,600}", tail in "[ab ]{0,200}") {
            let (a, b) = (format!("{head}{l}{tail}"), format!("{head}{r}{tail}"));
            let (x, y) = texts(&a, &b);
            prop_assert_eq!(x == y, a == b, "{:?} {:?}", x, y);
            prop_assert!(x.chars().count() <= LONGEST && y.chars().count() <= LONGEST);
        }
    }
}
