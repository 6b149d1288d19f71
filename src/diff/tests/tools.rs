//! Where calls part, whatever is said between them.

use super::fake::{Fake, compare};
use crate::diff::ToolParting;
use serde_json::json;

fn parting(a: &Fake, b: &Fake) -> Option<(usize, Option<u32>, Option<u32>)> {
    let parting: Option<ToolParting> = compare(&a.view(), &b.view()).tools;
    parting.map(|p| (p.common, p.left, p.right))
}

fn read(page: u32) -> (&'static str, serde_json::Value, &'static str) {
    ("read", json!({"page": page}), "text")
}

#[test]
fn words_between_calls_part_no_calls() {
    let (mut a, mut b) = (Fake::new("a.1"), Fake::new("b.1"));
    a.user("go").calls(&[read(1)]).says("Shall I?").user("yes").calls(&[read(2)]).says("done").end(0);
    b.user("go").says("Which?").user("all").calls(&[read(1)]).calls(&[read(2)]).says("ready").end(0);
    assert_eq!(parting(&a, &b), None);
    b.calls(&[read(3)]);
    assert_eq!(parting(&a, &b), Some((2, None, Some(8))));
    assert_eq!(parting(&b, &a), Some((2, Some(8), None)));
}

#[test]
fn the_first_call_that_is_another_counts_not_the_best_alignment() {
    let (mut a, mut b) = (Fake::new("a.1"), Fake::new("b.1"));
    a.user("go").calls(&[read(1)]).calls(&[read(1)]).calls(&[read(2)]).says("done").end(0);
    b.user("go").calls(&[read(1)]).calls(&[read(2)]).calls(&[read(1)]).says("done").end(0);
    assert_eq!(parting(&a, &b), Some((1, Some(4), Some(4))));
}

#[test]
fn calls_of_one_answer_have_no_order() {
    let (mut a, mut b) = (Fake::new("a.1"), Fake::new("b.1"));
    a.user("go").calls(&[read(1), read(2)]).calls(&[read(3)]).says("done").end(0);
    b.user("go").calls(&[read(2), read(1)]).calls(&[read(4)]).says("done").end(0);
    assert_eq!(parting(&a, &b), Some((2, Some(5), Some(5))));
}
