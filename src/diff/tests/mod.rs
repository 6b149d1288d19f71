//! Whole comparisons.

pub(crate) mod fake;
mod replayed;
mod structure;
mod tools;
mod worlds;

use super::*;
use crate::dialect::conversation::Block;
use crate::exchange::{ExchangeId, Source};
use crate::run::{CallSite, LaneKind};
use fake::{Fake, compare, refund, refund_to_fraud_check, refused};
use serde_json::json;
use std::slice::from_ref;

/// The rows that differ, one line each.
fn lines(c: &Comparison) -> Vec<String> {
    let number = |n: Option<u32>| n.map_or("-".to_string(), |n| n.to_string());
    c.rows
        .iter()
        .filter(|r| r.status != Status::Same)
        .map(|r| {
            let fields: Vec<String> = r.fields.iter().map(|f| f.path.clone()).collect();
            format!(
                "{} {}|{} {:?} {:?} {}",
                r.lane,
                number(r.left),
                number(r.right),
                r.kind,
                r.status,
                fields.join(" ")
            )
            .trim_end()
            .to_string()
        })
        .collect()
}

#[test]
fn two_runs_that_differ_in_ids_and_clocks_are_the_same() {
    let a = refund("refund.1");
    let mut b = Fake::new("refund.2");
    refund_to_fraud_check(
        &mut b,
        r#"{"risk":"low","score":0.07,"checked_at":1795229999.1,"trace":"99ab41ce"}"#,
    );
    b.calls(&[(
        "issue_refund",
        json!({"amount_usd": 4999, "order_id": "A123"}),
        r#"{"ok":true,"refunded":4999}"#,
    )])
    .says("Done. I refunded $4,999.00 for order A123.")
    .end(0);
    let c = compare(&a.view(), &b.view());
    assert_eq!(lines(&c), ["main 7|7 Tool Varies checked_at trace"]);
    assert_eq!((c.exit_code(), &c.first, &c.acts), (0, &None, &None));
    assert_eq!(c.levels.highest(), Some(Level::Json));
}

#[test]
fn money_is_a_difference() {
    let a = refund("refund.1");
    let mut b = Fake::new("refund.2");
    refund_to_fraud_check(
        &mut b,
        r#"{"risk":"low","score":0.07,"checked_at":1795224754.6,"trace":"0643afbe"}"#,
    );
    b.calls(&[(
        "issue_refund",
        json!({"order_id": "A123", "amount_usd": 49.99}),
        r#"{"ok":true,"refunded":49.99}"#,
    )])
    .says("Done. I refunded $49.99 for order A123.")
    .end(0);
    let c = compare(&a.view(), &b.view());
    assert_eq!(
        lines(&c),
        [
            "main 8|8 Model Changed issue_refund.amount_usd",
            "main 9|9 Tool Changed refunded",
            "main 10|10 Model Changed"
        ]
    );
    assert_eq!(c.acts.as_ref().map(|p| (p.left, &p.cause)), Some((Some(8), &Cause::Answer)));
    assert!(c.levels.outcome && c.outcome.answer_differs && !c.outcome.exit_differs);
    assert_eq!(c.exit_code(), 1);
}

#[test]
fn a_fork_parts_at_its_edit() {
    let (a, b) = (refund("refund.1"), refused("refund.2", "refund.1"));
    let c = compare(&a.view(), &b.view());
    assert_eq!(
        lines(&c),
        [
            "main 7|7 Tool Changed risk",
            "main 8|8 Model Changed",
            "main 9|- Tool OnlyLeft",
            "main 10|- Model OnlyLeft"
        ]
    );
    let edit = Cause::Edit { edits: vec![r#"7:result.risk="high""#.into()] };
    assert_eq!(c.rows[6].edit.as_deref(), Some(r#"7:result.risk="high""#));
    assert_eq!(c.first.as_ref().map(|p| (p.left, &p.cause)), Some((Some(7), &edit)));
    assert_eq!(c.acts.as_ref().map(|p| (p.left, &p.cause)), Some((Some(8), &edit)));
    // The other way round the same edit is the cause.
    let c = compare(&b.view(), &a.view());
    assert_eq!(c.acts.as_ref().map(|p| &p.cause), Some(&edit));
}

#[test]
fn another_prompt_is_other_code() {
    let a = refund("refund.1");
    let mut b = Fake::new("refund.2");
    b.system("You handle refunds. Amounts are in cents.");
    refund_to_fraud_check(
        &mut b,
        r#"{"risk":"low","score":0.07,"checked_at":1795224754.6,"trace":"0643afbe"}"#,
    );
    b.says("Done.").end(0);
    let c = compare(&a.view(), &b.view());
    let code = Cause::Code { what: vec!["the system prompt".into()] };
    assert_eq!(c.first.as_ref().map(|p| (p.left, &p.cause)), Some((Some(1), &code)));
    assert_eq!(c.acts.as_ref().map(|p| (p.left, &p.cause)), Some((Some(8), &code)));
}

#[test]
fn a_tool_result_is_the_cause_when_the_agent_did_the_same() {
    let a = refund("refund.1");
    let mut b = Fake::new("other.1");
    refund_to_fraud_check(
        &mut b,
        r#"{"risk":"medium","score":0.5,"checked_at":1795224754.6,"trace":"0643afbe"}"#,
    );
    b.says("Escalated.").end(1);
    let c = compare(&a.view(), &b.view());
    let cause = Cause::ToolResult { left: Some(7), right: Some(7) };
    assert_eq!(c.first.as_ref().map(|p| &p.cause), Some(&cause));
    assert_eq!(c.acts.as_ref().map(|p| (p.left, &p.cause)), Some((Some(8), &cause)));
    assert!(c.outcome.exit_differs);
}

#[test]
fn an_inserted_step_does_not_mark_the_rest() {
    let tool = |n: u32| ("read", json!({"page": n}), "text");
    let (mut a, mut b) = (Fake::new("a.1"), Fake::new("b.1"));
    a.user("go");
    b.user("go");
    for n in 0..6 {
        a.calls(&[tool(n)]);
        if n == 3 {
            b.calls(&[("list", json!({}), "[]")]);
        }
        b.calls(&[tool(n)]);
    }
    a.says("done").end(0);
    b.says("done").end(0);
    let c = compare(&a.view(), &b.view());
    assert_eq!(lines(&c), ["main -|7 Model OnlyRight", "main -|8 Tool OnlyRight"]);
    assert_eq!(c.exit_code(), 1);
}

#[test]
fn parallel_calls_in_another_order_are_the_same_and_turns_elsewhere_are_moved() {
    let (x, y, z) = (("x", json!({}), "1"), ("y", json!({}), "2"), ("z", json!({}), "3"));
    let (mut a, mut b) = (Fake::new("a.1"), Fake::new("b.1"));
    a.user("go").calls(&[x.clone(), y.clone()]).says("done").end(0);
    b.user("go").calls(&[y.clone(), x.clone()]).says("done").end(0);
    assert_eq!(lines(&compare(&a.view(), &b.view())), Vec::<String>::new());
    let (mut a, mut b) = (Fake::new("a.1"), Fake::new("b.1"));
    a.user("go").calls(from_ref(&x)).calls(from_ref(&y)).calls(from_ref(&z)).says("done").end(0);
    b.user("go").calls(&[y]).calls(&[z]).calls(&[x]).says("done").end(0);
    let c = compare(&a.view(), &b.view());
    assert_eq!(lines(&c), ["main 1|5 Model Moved", "main 2|6 Tool Moved"]);
    assert_eq!(c.counts.moved, 2);
}

#[test]
fn parallel_branches_pair_by_what_they_were_asked() {
    use crate::run::LaneKind;
    let branches = ["law", "tax", "art"];
    let make = |id: &str, order: [usize; 3]| {
        let mut run = Fake::new(id);
        run.system(&format!("prompt of {id}"));
        for (n, which) in order.into_iter().enumerate() {
            if n > 0 {
                run.open(&format!("main.{}", n + 1), LaneKind::Root, None);
            }
            run.user(branches[which]).calls(&[("search", json!({"q": branches[which]}), "found")]);
        }
        for (n, which) in order.into_iter().enumerate() {
            run.on(n).says(&format!("about {}", branches[which]));
        }
        run.end(0);
        run
    };
    let (a, b) = (make("a.1", [0, 1, 2]), make("b.1", [2, 0, 1]));
    let c = compare(&a.view(), &b.view());
    assert_eq!(lines(&c), Vec::<String>::new());
    assert_eq!(
        c.first.as_ref().map(|p| &p.cause),
        Some(&Cause::Code { what: vec!["the system prompt".into()] })
    );
}

#[test]
fn empty_and_cut_off_runs_compare() {
    let (mut a, mut b) = (Fake::new("a.1"), Fake::new("b.1"));
    let c = compare(&a.view(), &b.view());
    assert_eq!((c.rows.len(), c.exit_code()), (0, 0));
    a.user("go").calls(&[("x", json!({}), "1")]).says("done").end(0);
    b.user("go").calls(&[("x", json!({}), "1")]);
    b.state = crate::run::RunState::Interrupted;
    let c = compare(&a.view(), &b.view());
    assert_eq!(lines(&c), ["main 2|2 Tool Changed", "main 3|- Model OnlyLeft"]);
    assert_eq!(c.acts.as_ref().map(|p| &p.cause), Some(&Cause::Ended { side: "right" }));
}

#[test]
fn long_results_are_compared_whole() {
    let long = "x".repeat(5_000);
    let (mut a, mut b) = (Fake::new("a.1"), Fake::new("b.1"));
    a.user("go").calls(&[("x", json!({}), &format!("{long}1"))]).says("done").end(0);
    b.user("go").calls(&[("x", json!({}), &format!("{long}2"))]).says("done").end(0);
    let c = compare(&a.view(), &b.view());
    assert_eq!(lines(&c), ["main 2|2 Tool Changed"]);
    // A tool result alone is no difference in action or outcome.
    assert_eq!(c.exit_code(), 0);
}

#[test]
fn it_serialises() {
    let (a, b) = (refund("refund.1"), refused("refund.2", "refund.1"));
    let json = serde_json::to_value(compare(&a.view(), &b.view())).expect("serialises");
    assert_eq!(json["acts"]["cause"]["cause"], "edit");
    assert_eq!(json["rows"][6]["fields"][0]["path"], "risk");
}

/// 10,000 steps in one lane, every `every`-th turn changed, dropped or inserted.
fn long_run(id: &str, turns: u64, every: u64) -> Fake {
    use crate::exchange::ExchangeId;
    use crate::run::{CallSite, Step, StepKind, ToolCallRef, Turn, outline::ToolResultRef};
    let mut run = Fake::new(id);
    let mut add = |n: u64, args: u64| {
        let turn = run.outline.lanes[0].turns.len() as u32;
        let site = CallSite { lane: 0, turn, call: 0 };
        let text = format!(
            "{{\"page\":{args},\"body\":\"{}\",\"checked_at\":{}}}",
            "x".repeat(200),
            n + id.len() as u64
        );
        let seen = ToolResultRef {
            exchange: ExchangeId(turn + 2),
            message: 0,
            block: 0,
            text,
            is_error: false,
            seen_us: 0,
        };
        run.outline.steps.push(Step { kind: StepKind::Model { lane: 0, turn } });
        run.outline.steps.push(Step { kind: StepKind::Tool { site } });
        run.outline.lanes[0].turns.push(Turn {
            attempts: vec![ExchangeId(turn + 1)],
            model: "gpt-small".into(),
            messages: turn,
            request_key: crate::run::likeness::body_key(id, n.to_string().as_bytes()),
            body_key: None,
            answer_key: Some(crate::run::likeness::body_key(id, n.to_string().as_bytes())),
            started_us: 0,
            ended_us: 0,
            usage: None,
            text: String::new(),
            error: None,
            calls: vec![ToolCallRef {
                id: format!("{id}{n}"),
                name: "read".into(),
                args: json!({"page": args, "path": "/a/path/of/some/length"}),
                result: Some(seen),
            }],
        });
    };
    for n in 0..turns {
        match (every > 0 && n % every == 7, n % 3) {
            (true, 0) => add(n, n + 1_000_000),
            (true, 1) => {}
            (true, _) => {
                add(n, n + 2_000_000);
                add(n, n);
            }
            _ => add(n, n),
        }
    }
    run
}

#[test]
fn ten_thousand_steps_with_edits_are_aligned_and_quick() {
    // 5,000 turns of a model and a tool step each, every twentieth edited.
    let (a, b) = (long_run("a.1", 5_000, 0), long_run("bb.1", 5_000, 20));
    let begin = std::time::Instant::now();
    let c = compare(&a.view(), &b.view());
    let took = begin.elapsed();
    let (changed, gone, new) = (c.counts.changed, c.counts.only_left, c.counts.only_right);
    // 250 edits in thirds; each touches a model step and its tool step.
    assert_eq!((changed, gone, new), (166, 168, 166));
    assert_eq!(c.rows.len(), 10_000 + 166);
    println!("took {took:?}");
    // A build without optimisation takes about a second; a quadratic search would take minutes.
    assert!(took.as_secs() < 20, "{took:?}");
}

#[test]
fn ten_thousand_steps_with_nothing_in_common_are_quick() {
    let (a, mut b) = (long_run("a.1", 5_000, 0), long_run("bb.1", 5_000, 0));
    for call in b.outline.lanes[0].turns.iter_mut().flat_map(|t| &mut t.calls) {
        call.name = "write".into();
    }
    let begin = std::time::Instant::now();
    assert_eq!(compare(&a.view(), &b.view()).counts.changed, 5_000);
    println!("took {:?}", begin.elapsed());
    assert!(begin.elapsed().as_secs() < 20);
}

#[test]
fn long_runs_of_few_actions_are_quick() {
    let (mut a, mut b) = (long_run("a.1", 5_000, 0), long_run("bb.1", 5_000, 0));
    let mut state = 1u64;
    for call in
        [&mut a, &mut b].into_iter().flat_map(|r| &mut r.outline.lanes[0].turns).flat_map(|t| &mut t.calls)
    {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        call.args = json!({"page": state >> 61});
    }
    let begin = std::time::Instant::now();
    let c = compare(&a.view(), &b.view());
    println!("took {:?}, {:?}", begin.elapsed(), c.counts);
    assert!(begin.elapsed().as_secs() < 20);
}

proptest::proptest! {
    #[test]
    fn every_step_of_both_runs_occurs_once(
        l in proptest::collection::vec((0usize..3, 0u8..4), 0..12),
        r in proptest::collection::vec((0usize..3, 0u8..4), 0..12),
    ) {
        let make = |id: &str, script: &[(usize, u8)]| {
            let mut run = Fake::new(id);
            run.user("go");
            for n in 2..4 {
                run.open(&format!("main.{n}"), crate::run::LaneKind::Root, None).user("go");
            }
            for (lane, what) in script {
                run.on(*lane);
                match what {
                    0 => run.says("hello there"),
                    1 => run.fails("500"),
                    n => run.calls(&[("x", json!({"n": n}), "1"), ("y", json!({}), "2")]),
                };
            }
            run
        };
        let (a, b) = (make("a.1", &l), make("b.1", &r));
        let c = compare(&a.view(), &b.view());
        let numbers = |side: &dyn Fn(&StepPair) -> Option<u32>| {
            let mut all: Vec<u32> = c.rows.iter().filter_map(side).collect();
            all.sort_unstable();
            all
        };
        let all = |run: &Fake| (1..=run.outline.steps.len() as u32).collect::<Vec<_>>();
        proptest::prop_assert_eq!(numbers(&|r| r.left), all(&a));
        proptest::prop_assert_eq!(numbers(&|r| r.right), all(&b));
        let same = compare(&a.view(), &a.view());
        proptest::prop_assert_eq!(same.counts.same, same.rows.len());
        proptest::prop_assert_eq!(same.exit_code(), 0);
    }
}

#[test]
fn edits_further_up_count() {
    let first = refund("refund.1");
    let mut second = refund("refund.2");
    second.forked("refund.1", 0, &["1..:system+=\"Be brief.\""]);
    let mut third = refund("refund.3");
    third.forked("refund.2", 7, &["8:answer=\"No.\""]).descends(&second);
    let edits = ["1..:system+=\"Be brief.\"", "8:answer=\"No.\""];
    let kin = Kin::of(&first.view(), &third.view());
    assert_eq!((kin.edits(), matches!(kin, Kin::RightIsFork { at_step: 0, .. })), (edits.to_vec(), true));
    assert!(matches!(Kin::of(&third.view(), &first.view()), Kin::LeftIsFork { at_step: 0, .. }));
    let mut cousin = refund("refund.4");
    cousin.forked("refund.1", 7, &["8:answer=\"Yes.\""]);
    let kin = Kin::of(&third.view(), &cousin.view());
    assert_eq!(kin.edits(), [edits[0], edits[1], "8:answer=\"Yes.\""]);
    assert!(matches!(kin, Kin::Siblings { parent, at_step: 0, .. } if parent == "refund.1"));
}

/// A fork that ran the same tools again, with another fraud check each time: served from the recording up to the last
/// call, which went to a model that was given the recorded results.
fn pinned_fork() -> Fake {
    let mut run = Fake::new("refund.2");
    fake::refund_to_fraud_check(&mut run, r#"{"risk":"high"}"#);
    run.calls(&[("note", serde_json::json!({}), "noted")]).says("Bye.").forked("refund.1", 6, &[]).end(0);
    let last = ExchangeId(5);
    for id in 1..5 {
        let exchange = ExchangeId(id);
        run.sources.insert(exchange, Source::Recorded { run: "refund.1".into(), exchange });
    }
    let mut request = run.requests[&last].as_ref().clone();
    for block in request.messages.iter_mut().flat_map(|m| &mut m.blocks) {
        if let Block::ToolResult { text, .. } = block {
            *text = text.replace(r#"{"risk":"high"}"#, r#"{"risk":"low"}"#);
        }
    }
    run.requests.insert(last, std::sync::Arc::new(request));
    run.rewritten.insert(last);
    run
}

#[test]
fn a_result_is_what_the_model_saw() {
    let mut recorded = Fake::new("refund.1");
    fake::refund_to_fraud_check(&mut recorded, r#"{"risk":"low"}"#);
    recorded.calls(&[("note", serde_json::json!({}), "noted")]).says("Hello.").end(0);
    let fork = pinned_fork();
    let site = CallSite { lane: 0, turn: 2, call: 0 };
    assert_eq!(fork.view().sent_result(site).map(|r| r.text).as_deref(), Some(r#"{"risk":"low"}"#));
    let c = compare(&recorded.view(), &fork.view());
    let row = c.rows.iter().find(|r| r.left == Some(7)).expect("the fraud check");
    assert_eq!((row.status, row.pinned), (Status::Same, true));
    let cause = c.acts.map(|p| p.cause);
    assert_eq!(cause, Some(Cause::Answer), "no tool is to blame");
}

/// A run that calls a tool and then says the same as one that does not.
#[test]
fn what_was_done_instead_is_told() {
    let told = |id: &str, deletes: bool| {
        let mut run = Fake::new(id);
        run.user("clean the logs").calls(&[("list_files", json!({}), "a.log")]);
        if deletes {
            run.calls(&[("delete_file", json!({"path": "a.log"}), "deleted")]);
        }
        run.says("All done.").end(0);
        run
    };
    let c = compare(&told("clean.1", true).view(), &told("clean.2", false).view());
    let instead = c.acts.as_ref().and_then(|p| p.instead.as_ref()).expect("what it did instead");
    assert_eq!(instead.act, Act::Says { text: "All done.".into() });
    let text = crate::report::difference::difference(&c, false, crate::report::style::Style::default());
    assert!(text.contains("- calls delete_file") && text.contains("+ \"All done.\""), "{text}");
}

#[test]
fn the_numbers_of_what_is_the_same_are_not_cut() {
    let told = |id: &str, order: [&str; 4]| {
        let mut run = Fake::new(id);
        for (index, topic) in order.into_iter().enumerate() {
            if index > 0 {
                run.open(&format!("main.{}", index + 1), LaneKind::Root, None);
            }
            run.user(topic).says(&format!("on {topic}"));
        }
        run.end(0);
        run
    };
    let left = told("par.1", ["ant", "bee", "cat", "dog"]);
    let right = told("par.2", ["dog", "bee", "ant", "cat"]);
    let c = compare(&left.view(), &right.view());
    let text = crate::report::difference::difference(&c, false, crate::report::style::Style::default());
    let same = text.lines().find(|l| l.starts_with("same")).unwrap_or_default();
    assert!(!same.contains('…'), "{text}");
}
