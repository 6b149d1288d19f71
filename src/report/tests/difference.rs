//! `diff`.

use crate::diff::tests::fake::{Fake, compare, refund, refund_to_fraud_check, refused};
use crate::report::Style;
use crate::report::difference::difference;
use crate::run::{CallSite, LaneKind, RunState};
use insta::assert_snapshot;
use serde_json::json;

const LOW: &str = r#"{"risk":"low","score":0.07,"checked_at":1795229999.1,"trace":"99ab41ce"}"#;

fn told(left: &Fake, right: &Fake) -> String {
    difference(&compare(&left.view(), &right.view()), false, Style::default())
}

#[test]
fn a_fork_against_its_parent() {
    assert_snapshot!(told(&refund("refund.1"), &refused("refund.2", "refund.1")));
}

#[test]
fn the_same() {
    let mut other = Fake::new("refund.2");
    refund_to_fraud_check(&mut other, LOW);
    other
        .calls(&[(
            "issue_refund",
            json!({"order_id": "A123", "amount_usd": 4999}),
            r#"{"ok":true,"refunded":4999}"#,
        )])
        .says("Done. I refunded $4,999.00 for order A123.")
        .end(0);
    let run = refund("refund.1");
    assert_snapshot!(format!("{}\n{}", told(&run, &run), told(&run, &other)));
}

#[test]
fn a_system_edit_that_fixes_the_amount() {
    let mut fixed = Fake::new("refund.3");
    refund_to_fraud_check(&mut fixed, LOW);
    fixed.system("You handle refunds. Amounts are in cents.").forked(
        "refund.1",
        7,
        &[r#"8..:system+="Amounts are in cents.""#],
    );
    fixed
        .calls(&[(
            "issue_refund",
            json!({"order_id": "A123", "amount_usd": 49.99}),
            r#"{"ok":true,"refunded":49.99}"#,
        )])
        .says("Done. I refunded $49.99 for order A123.")
        .end(0);
    assert_snapshot!(told(&refund("refund.1"), &fixed));
}

#[test]
fn other_code_that_does_the_same() {
    let (mut a, mut b) = (Fake::new("a.1"), Fake::new("b.1"));
    a.user("go").says("done").end(0);
    b.system("You handle refunds, politely.").user("go").says("done").end(0);
    assert_snapshot!(told(&a, &b));
}

#[test]
fn long_values_show_the_part_that_differs() {
    let text = |amount: &str| {
        format!(
            "{} The total is {amount} and {}",
            "Thank you for waiting. ".repeat(20),
            "that is all. ".repeat(20)
        )
    };
    let blob = |amount: &str| {
        json!({"lines": "x".repeat(500), "amount": amount, "more": "y".repeat(500)}).to_string()
    };
    let make = |id: &str, amount: &str| {
        let mut run = Fake::new(id);
        run.user("go")
            .calls(&[("read", json!({"p": 1}), &blob(amount)), ("say", json!({"text": text(amount)}), "ok")]);
        run.says(&text(amount)).end(0);
        run
    };
    assert_snapshot!(told(&make("a.1", "$4,999.00"), &make("b.1", "$49.99")));
}

#[test]
fn lanes_insertions_moves_and_failures() {
    let make = |id: &str, right: bool| {
        let mut run = Fake::new(id);
        let task = |topic: &str| ("task", json!({"topic": topic}), "ok");
        run.user("go").calls(&[task("law"), task("tax")]);
        for (call, topic) in ["law", "tax"].into_iter().enumerate() {
            let site = CallSite { lane: 0, turn: 0, call: call as u32 };
            run.open(&format!("main/0.{call}"), LaneKind::Child, Some(site)).user(topic);
            if right && topic == "tax" {
                run.calls(&[("think", json!({}), "hm")]);
            }
            run.calls(&[(
                "search",
                json!({"q": topic}),
                if right && topic == "law" { "no such site" } else { "found" },
            )]);
            if right && topic == "law" {
                run.tool_failed();
            }
            run.says(&format!("about {topic}"));
        }
        run.on(0);
        let (x, y) = (("x", json!({}), "1"), ("y", json!({}), "2"));
        if right {
            run.calls(&[y]).calls(&[x])
        } else {
            run.calls(&[x]).calls(&[y])
        };
        if right {
            run.fails("529: overloaded").end(1)
        } else {
            run.says("All done.").end(0)
        };
        run
    };
    assert_snapshot!(told(&make("research.1", false), &make("research.2", true)));
}

#[test]
fn a_run_that_was_cut_off_and_an_empty_one() {
    let mut cut = Fake::new("refund.2");
    refund_to_fraud_check(&mut cut, LOW);
    cut.state = RunState::Interrupted;
    let empty = Fake::new("empty.1");
    assert_snapshot!(format!("{}\n{}", told(&refund("refund.1"), &cut), told(&empty, &empty)));
}

#[test]
fn an_edited_answer() {
    let mut edited = Fake::new("refund.4");
    refund_to_fraud_check(&mut edited, LOW);
    edited.forked("refund.1", 7, &[r#"8:answer="I must ask first.""#]).says("I must ask first.").end(0);
    assert_snapshot!(told(&refund("refund.1"), &edited));
}

#[test]
fn everything_in_full() {
    let mut other = Fake::new("refund.2");
    refund_to_fraud_check(&mut other, LOW);
    other.says(&"A long goodbye. ".repeat(20)).end(0);
    let c = compare(&refund("refund.1").view(), &other.view());
    assert_snapshot!(difference(&c, true, Style::default()));
}
