//! A difference as lines: what was, what is, and which part of a line it is that differs.

use super::super::words::{block, many};
use crate::suite::findings::Difference;
use similar::{Algorithm, DiffOp, capture_diff_slices, group_diff_ops};

/// Lines that are the same around those that differ.
const AROUND: usize = 3;
/// More lines than this are not laid side by side.
const COMPARED: usize = 2000;
/// Characters of a line before and after the part that differs.
const BESIDE: usize = 80;
/// Characters of a word.
const WORD: usize = 40;
/// Characters of the part itself, and of a line that differs as a whole.
const PART: usize = 2000;

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    /// In both.
    Same,
    /// Only in the recorded run.
    Minus,
    /// Only in this run.
    Plus,
    /// Stands for lines that are not shown.
    Gap,
}

/// A line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub sign: Sign,
    /// Its text in pieces, in which nothing is a control character; true for what differs within the line.
    pub parts: Vec<(bool, String)>,
}

impl Row {
    fn new(sign: Sign, text: &str) -> Row {
        Row { sign, parts: vec![(false, cut(text, PART))] }
    }

    /// `-`, `+` or a space, and the text.
    pub(super) fn plain(&self) -> String {
        let sign = match self.sign {
            Sign::Same => ' ',
            Sign::Minus => '-',
            Sign::Plus => '+',
            Sign::Gap => '@',
        };
        let text: String = self.parts.iter().map(|(_, text)| text.as_str()).collect();
        format!("{sign} {text}").trim_end().to_string()
    }
}

/// The lines of a difference, at most so many and one that says how many more there are.
pub(super) fn rows(of: &Difference, most: usize) -> Vec<Row> {
    let mut rows = match (&of.before, &of.after) {
        (None, None) => Vec::new(),
        (Some(before), None) => lines(before).map(|line| Row::new(Sign::Minus, line)).collect(),
        (None, Some(after)) => lines(after).map(|line| Row::new(Sign::Plus, line)).collect(),
        (Some(before), Some(after)) => both(before, after),
    };
    if rows.len() > most {
        let more = (rows.len() - most) as u64;
        rows.truncate(most);
        rows.push(gap(more));
    }
    rows
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n')
}

fn gap(lines: u64) -> Row {
    Row { sign: Sign::Gap, parts: vec![(false, format!("… {}", many(lines, "more line")))] }
}

fn both(before: &str, after: &str) -> Vec<Row> {
    let (left, right): (Vec<&str>, Vec<&str>) = (lines(before).collect(), lines(after).collect());
    if left.len().max(right.len()) > COMPARED {
        return replaced(&left, &right);
    }
    let ops = capture_diff_slices(Algorithm::Myers, &left, &right);
    let mut out = Vec::new();
    let mut told = 0;
    for op in group_diff_ops(ops, AROUND).into_iter().flatten() {
        let (was, is) = (op.old_range(), op.new_range());
        if was.start > told {
            out.push(gap((was.start - told) as u64));
        }
        told = was.end;
        let (was, is) = (left.get(was).unwrap_or_default(), right.get(is).unwrap_or_default());
        match op {
            DiffOp::Equal { .. } => out.extend(was.iter().map(|line| Row::new(Sign::Same, line))),
            _ => out.extend(replaced(was, is)),
        }
    }
    if !out.is_empty() && left.len() > told {
        out.push(gap((left.len() - told) as u64));
    }
    out
}

/// Lines that others stand in place of: one by one where there are as many.
fn replaced(was: &[&str], is: &[&str]) -> Vec<Row> {
    if was.len() != is.len() {
        let minus = was.iter().map(|line| Row::new(Sign::Minus, line));
        return minus.chain(is.iter().map(|line| Row::new(Sign::Plus, line))).collect();
    }
    let pairs: Vec<(Row, Row)> = was.iter().zip(is).map(|(was, is)| pair(was, is)).collect();
    let (minus, plus): (Vec<Row>, Vec<Row>) = pairs.into_iter().unzip();
    minus.into_iter().chain(plus).collect()
}

/// A line and the one in its place, each as what comes before the difference, the difference, and what comes after it.
fn pair(was: &str, is: &str) -> (Row, Row) {
    let same = |pairs: &mut dyn Iterator<Item = (char, char)>| -> usize {
        pairs.take_while(|(a, b)| a == b).map(|(c, _)| c.len_utf8()).sum()
    };
    let head = same(&mut was.chars().zip(is.chars()));
    let begun = of_word(was.get(..head).unwrap_or_default().chars().rev());
    let head = head - begun;
    let (rest_was, rest_is) = (was.get(head..).unwrap_or_default(), is.get(head..).unwrap_or_default());
    let shorter = rest_was.len().min(rest_is.len()) - begun;
    let mut left = shorter;
    let mut tail = same(&mut rest_was.chars().rev().zip(rest_is.chars().rev()).take_while(|(c, _)| {
        let fits = c.len_utf8() <= left;
        left = left.saturating_sub(c.len_utf8());
        fits
    }));
    tail -= of_word(rest_was.get(rest_was.len() - tail..).unwrap_or_default().chars());
    let of = |sign, line: &str, rest: &str| {
        let middle = rest.get(..rest.len() - tail).unwrap_or_default();
        let (before, after) = (line.get(..head).unwrap_or_default(), rest.get(rest.len() - tail..));
        let parts = [
            (false, last(before, BESIDE)),
            (true, cut(middle, PART)),
            (false, cut(after.unwrap_or_default(), BESIDE)),
        ];
        Row { sign, parts: parts.into_iter().filter(|(_, text)| !text.is_empty()).collect() }
    };
    (of(Sign::Minus, was, rest_was), of(Sign::Plus, is, rest_is))
}

/// How many bytes there are of a word or a number that the difference is a part of; none when it is no word any more.
fn of_word(chars: impl Iterator<Item = char>) -> usize {
    let mut part = chars.take_while(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | ','));
    let bytes = part.by_ref().take(WORD).map(char::len_utf8).sum();
    if part.next().is_some() { 0 } else { bytes }
}

/// The beginning of a text, visible.
fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((at, _)) => format!("{}…", shown(text.get(..at).unwrap_or_default())),
        None => shown(text),
    }
}

/// The end of a text, visible.
fn last(text: &str, most: usize) -> String {
    match text.char_indices().rev().nth(most) {
        Some((at, c)) => format!("…{}", shown(text.get(at + c.len_utf8()..).unwrap_or_default())),
        None => shown(text),
    }
}

/// A line feed in it would be one of a carriage return's, which is shown.
fn shown(text: &str) -> String {
    block(text).replace('\n', "␊")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(before: Option<&str>, after: Option<&str>) -> Difference {
        Difference { path: String::new(), before: before.map(String::from), after: after.map(String::from) }
    }

    fn plain(before: &str, after: &str) -> Vec<String> {
        rows(&of(Some(before), Some(after)), 100).iter().map(Row::plain).collect()
    }

    #[test]
    fn the_part_of_a_line_that_differs_is_known() {
        let rows = rows(&of(Some("{\"amount\":4999}"), Some("{\"amount\":49.99}")), 10);
        let part = |row: &Row| row.parts.iter().find(|(differs, _)| *differs).map(|(_, text)| text.clone());
        assert_eq!(rows.iter().map(part).collect::<Vec<_>>(), [Some("4999".into()), Some("49.99".into())]);
        assert_eq!(rows[0].plain(), "- {\"amount\":4999}");
        assert_eq!(rows[1].plain(), "+ {\"amount\":49.99}");
    }

    #[test]
    fn whole_words_differ_and_no_part_is_told_twice() {
        let told = |before, after| {
            let rows = rows(&of(Some(before), Some(after)), 10);
            rows.into_iter()
                .map(|row| {
                    row.parts
                        .into_iter()
                        .map(|(differs, text)| if differs { format!("[{text}]") } else { text })
                        .collect()
                })
                .collect::<Vec<String>>()
        };
        assert_eq!(told("in dollars, yes", "in cents, yes"), ["in [dollars,] yes", "in [cents,] yes"]);
        assert_eq!(
            told("I paid $4,999.00 now", "I paid $49.99 now"),
            ["I paid $[4,999.00] now", "I paid $[49.99] now"]
        );
        assert_eq!(told("a", "aa"), ["[a]", "[aa]"]);
        assert_eq!(told("a b", "a b b"), ["a [b]", "a [b b]"]);
        assert_eq!(told("猫", "猫 犬"), ["[猫]", "[猫 犬]"]);
    }

    #[test]
    fn lines_far_away_are_left_out() {
        let text = |changed: &str| {
            (0..20)
                .map(|n| if n == 10 { changed.to_string() } else { n.to_string() })
                .collect::<Vec<_>>()
                .join("\n")
        };
        assert_eq!(
            plain(&text("old"), &text("new")),
            [
                "@ … 7 more lines",
                "  7",
                "  8",
                "  9",
                "- old",
                "+ new",
                "  11",
                "  12",
                "  13",
                "@ … 6 more lines"
            ]
        );
    }

    #[test]
    fn a_long_line_is_cut_around_what_differs() {
        let (was, is) = (
            format!("{}a{}", "x".repeat(500), "y".repeat(500)),
            format!("{}b{}", "x".repeat(500), "y".repeat(500)),
        );
        let told = plain(&was, &is);
        assert_eq!(told[0], format!("- …{}a{}…", "x".repeat(80), "y".repeat(80)));
    }

    #[test]
    fn what_is_only_on_one_side_is_shown_whole() {
        let told: Vec<String> = rows(&of(None, Some("a\r\nb")), 10).iter().map(Row::plain).collect();
        assert_eq!(told, ["+ a␍", "+ b"]);
        assert_eq!(rows(&of(Some("1\n2\n3"), None), 2)[2].plain(), "@ … 1 more line");
        assert!(rows(&of(None, None), 2).is_empty());
    }

    proptest! {
        #[test]
        fn any_two_texts_have_rows(
            a in proptest::collection::vec(prop_oneof![Just('\n'), Just('a'), any::<char>()], 0..40),
            b in proptest::collection::vec(prop_oneof![Just('\n'), Just('a'), any::<char>()], 0..40),
        ) {
            let [a, b]: [String; 2] = [a.into_iter().collect(), b.into_iter().collect()];
            let all = rows(&of(Some(&a), Some(&b)), usize::MAX);
            prop_assert_eq!(all.is_empty(), a == b);
            prop_assert!(all.iter().all(|row| !row.plain().contains(char::is_control)));
            // The parts of a line are the line.
            if a != b && !a.contains('\n') && !b.contains('\n') {
                let whole = |row: &Row| row.parts.iter().map(|(_, text)| text.as_str()).collect::<String>();
                prop_assert_eq!(all.iter().map(whole).collect::<Vec<_>>(), [shown(&a), shown(&b)]);
            }
        }
    }
}
