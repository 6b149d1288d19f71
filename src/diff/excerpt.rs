//! Two texts cut so that what differs is seen: in the middle, never before the part that differs.

/// Stands for what was cut.
const CUT: char = '…';

/// Cuts both texts to at most `width` characters (at least 12) such that the place where they begin to differ is in
/// both. Texts that fit stay whole.
pub fn differing(left: &str, right: &str, width: usize) -> (String, String) {
    let width = width.max(12);
    let (l, r): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    if l.len() <= width && r.len() <= width {
        return (left.to_string(), right.to_string());
    }
    let head = l.iter().zip(&r).take_while(|(a, b)| a == b).count();
    let most = l.len().min(r.len()) - head;
    let tail = l.iter().rev().zip(r.iter().rev()).take(most).take_while(|(a, b)| a == b).count();
    // Both begin at the same place, so that one sees at a glance where they part.
    let lead = lead_in(l.len(), head, tail, width).min(lead_in(r.len(), head, tail, width));
    (around(&l, head - lead, tail, width), around(&r, head - lead, tail, width))
}

/// How many of the `head` characters that are common to show, for a text of this length.
fn lead_in(length: usize, head: usize, tail: usize, width: usize) -> usize {
    // Two signs are kept for the marks.
    let room = width - 2;
    let core = length - head - tail;
    let least = (room / 3).min(head);
    let for_the_rest = room.saturating_sub(core + tail);
    least.max(for_the_rest).min(head)
}

/// The text from `from` on, with all that comes before its last `tail` characters in view, if there is room.
fn around(text: &[char], from: usize, tail: usize, width: usize) -> String {
    if text.len() - from + usize::from(from > 0) <= width {
        return slice(text, from, text.len());
    }
    let room = width - 2;
    let (core_end, to) = (text.len() - tail, from + room);
    if to >= core_end {
        return slice(text, from, to.min(text.len()));
    }
    // What differs is longer than the room: its beginning and the end of the text, with the middle cut out.
    let keep = room / 4;
    let first = slice(text, from, from + room - keep);
    let end: String = text.iter().skip(text.len() - keep).collect();
    format!("{}{CUT}{end}", first.trim_end_matches(CUT))
}

fn slice(text: &[char], from: usize, to: usize) -> String {
    let mut out = String::new();
    if from > 0 {
        out.push(CUT);
    }
    out.extend(text.iter().skip(from).take(to - from));
    if to < text.len() {
        out.push(CUT);
    }
    out
}

/// One text cut in the middle to at most `width` characters (at least 12).
pub fn middle(text: &str, width: usize) -> String {
    let width = width.max(12);
    let chars: Vec<char> = text.chars().collect();
    if chars.len() <= width {
        return text.to_string();
    }
    let end = (width - 1) / 3;
    let begin = width - 1 - end;
    let mut out: String = chars.iter().take(begin).collect();
    out.push(CUT);
    out.extend(chars.iter().skip(chars.len() - end));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_part_that_differs_stays_in_view() {
        let long =
            "The customer asked for a refund of the laptop from order A123, which we refunded: ".repeat(4);
        let (l, r) = differing(&format!("{long}$4,999.00 today."), &format!("{long}$49.99 today."), 40);
        insta::assert_snapshot!(format!("{l}\n{r}"), @r"
        …3, which we refunded: $4,999.00 today.
        …3, which we refunded: $49.99 today.
        ");
    }

    proptest! {
        #[test]
        fn never_longer_than_asked_and_never_the_same(
            head in "[ab]{0,80}", l in "[a-d]{1,60}", r in "[a-d]{1,60}", tail in "[ab]{0,80}", width in 12usize..60,
        ) {
            let (a, b) = (format!("{head}{l}{tail}"), format!("{head}{r}{tail}"));
            let (x, y) = differing(&a, &b, width);
            prop_assert!(x.chars().count() <= width && y.chars().count() <= width, "{x:?} {y:?}");
            prop_assert_eq!(x == y, a == b, "{:?} {:?}", x, y);
            prop_assert!(middle(&a, width).chars().count() <= width);
        }
    }
}
