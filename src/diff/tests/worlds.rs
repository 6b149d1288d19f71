//! Runs that were made in different places and at different times.

use super::fake::{Fake, compare};
use super::*;
use serde_json::json;

const ONE: &str = "7c0f7a8e-3c2d-4f7a-9b1e-5d6c8a2b4e10";
const TWO: &str = "0b9d4c1a-62f3-4d8e-8a57-e1f20c3b5d94";
const THREE: &str = "f3a81d52-9c47-4be0-b6d2-7a05e8c91f36";
const FOUR: &str = "41d6b7c9-05ea-4f13-9d28-6b3c80fe5a72";

/// A run in a directory, a home and a directory for temporary files.
fn at(id: &str, [directory, home, temp]: [&str; 3]) -> Fake {
    let mut run = Fake::new(id);
    run.manifest.directory = directory.into();
    run.manifest.home = home.into();
    run.manifest.temp = temp.into();
    let slug: String = directory.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    run.system(&format!("You work in {directory}. Memory: {home}/.agent/{slug}/memory"));
    run
}

const HERE: [&str; 3] = ["/home/ada/refund", "/home/ada", "/tmp"];
const THERE: [&str; 3] = ["/builds/ci-7/checkout", "/root", "/var/scratch"];

/// Reads what it is told to, finds something, says what it found; `more` are said to it in between.
fn reader(id: &str, place: [&str; 3], found: &str, more: &str) -> Fake {
    let mut run = at(id, place);
    let [directory, _, temp] = place;
    run.user(&format!("read {directory}/notes.txt"))
        .calls_saying(
            &format!("Looking into {directory}."),
            &[("read", json!({"path": format!("{directory}/notes.txt")}), "see the list")],
        )
        .calls(&[(
            "sh",
            json!({"command": format!("cd {directory} && ls > {temp}/list")}),
            &json!({format!("{directory}/a.py"): {"size": 12}, "log": [format!("{temp}/list"), found]})
                .to_string(),
        )]);
    if !more.is_empty() {
        run.user(more);
    }
    run.calls(&[("note", json!({"at": format!("{{\"in\":\"{directory}/x\"}}")}), "noted")])
        .says(&format!("{found} is in {directory}."))
        .end(0);
    run
}

#[test]
fn runs_in_two_places_are_the_same() {
    let (a, b) = (reader("a.1", HERE, "gold", ""), reader("b.1", THERE, "gold", ""));
    let c = compare(&a.view(), &b.view());
    assert_eq!(lines(&c), Vec::<String>::new());
    assert_eq!((c.exit_code(), &c.first, &c.acts), (0, &None, &None));
    assert!(c.rows.iter().all(|r| !r.asked_differently), "{:#?}", c.rows);
    assert_eq!(c.levels.highest(), Some(Level::Bytes));
}

#[test]
fn a_directory_of_the_other_run_is_content() {
    // The right run works in the directory of the left one.
    let (a, mut b) = (reader("a.1", HERE, "gold", ""), reader("b.1", HERE, "gold", ""));
    b.manifest.directory = THERE[0].into();
    b.manifest.home = THERE[1].into();
    b.system("You work in /builds/ci-7/checkout.");
    assert_eq!(lines(&compare(&a.view(), &b.view())), Vec::<String>::new(), "to the letter");
    let mut c = at("c.1", THERE);
    c.user(&format!("read {}/notes.txt", THERE[0])).calls(&[(
        "read",
        json!({"path": "/home/ada/refund/other.txt"}),
        "see the list",
    )]);
    let found = compare(&a.view(), &c.view());
    assert_eq!(found.rows[0].status, Status::Changed, "{found:#?}");
}

#[test]
fn an_edit_is_the_cause_wherever_the_fork_was_made() {
    let (a, mut b) = (reader("a.1", HERE, "gold", ""), reader("b.1", THERE, "lead", ""));
    b.forked("a.1", 3, &["4:result.log[1]=\"lead\""]);
    let c = compare(&a.view(), &b.view());
    let edit = Cause::Edit { edits: vec!["4:result.log[1]=\"lead\"".into()] };
    assert_eq!(lines(&c), ["main 4|4 Tool Changed log[1]", "main 7|7 Model Changed"]);
    assert_eq!(c.first.as_ref().map(|p| (p.left, &p.cause)), Some((Some(4), &edit)));
    assert_eq!(c.acts.as_ref().map(|p| (p.left, &p.cause)), Some((Some(7), &edit)));
}

#[test]
fn a_number_stays_a_number_wherever_it_is() {
    let a = reader("a.1", HERE, "$4,999 of 4999", "");
    let b = reader("b.1", THERE, "$49.99 of 4999", "");
    let c = compare(&a.view(), &b.view());
    assert_eq!(lines(&c), ["main 4|4 Tool Changed log[1]", "main 7|7 Model Changed"]);
    let amount = |id: &str, place: [&str; 3], amount: serde_json::Value| {
        let mut run = at(id, place);
        run.user("go").calls(&[("refund", json!({"amount": amount, "for": place[0]}), "ok")]).end(0);
        run
    };
    let (a, b) = (amount("a.1", HERE, json!(4999)), amount("b.1", THERE, json!(49.99)));
    assert_eq!(lines(&compare(&a.view(), &b.view())), ["main 1|1 Model Changed refund.amount"]);
}

#[test]
fn another_question_is_found_behind_other_directories() {
    let (a, b) = (reader("a.1", HERE, "gold", "be quick"), reader("b.1", THERE, "gold", "be slow"));
    let c = compare(&a.view(), &b.view());
    let code = c.first.as_ref().map(|p| (p.left, &p.cause));
    let what = "the user message [4]".to_string();
    assert_eq!(code, Some((Some(5), &Cause::Code { what: vec![what] })), "{c:#?}");
}

/// Opens two tickets and closes some of `all`; `ids` are theirs.
fn desk(id: &str, ids: [&str; 2], closed: &[&str]) -> Fake {
    let mut run = Fake::new(id);
    run.user("go").calls(&[("open", json!({}), ids[0]), ("open", json!({}), ids[1])]);
    for ticket in closed {
        run.calls(&[("close", json!({"id": ticket}), &format!("closed {ticket}"))]);
    }
    run.says("done").end(0);
    run
}

#[test]
fn names_bind_one_to_one() {
    let a = desk("a.1", [ONE, TWO], &[ONE, TWO]);
    let c = compare(&a.view(), &desk("b.1", [THREE, FOUR], &[THREE, FOUR]).view());
    assert!(c.rows.iter().take(7).all(|r| r.kind == PairKind::Model || r.status == Status::Varies));
    assert_eq!((c.counts.changed, c.exit_code(), &c.first), (0, 0, &None), "{:#?}", lines(&c));
    let c = compare(&a.view(), &desk("b.1", [THREE, FOUR], &[THREE, THREE]).view());
    assert_eq!(c.acts.as_ref().map(|p| p.left), Some(Some(6)), "{:#?}", lines(&c));
}

#[test]
fn a_name_that_both_runs_know_is_no_other() {
    let (a, b) = (desk("a.1", [ONE, TWO], &[ONE]), desk("b.1", [ONE, TWO], &[TWO]));
    let c = compare(&a.view(), &b.view());
    assert_eq!(lines(&c), ["main 4|4 Model Changed close.id", "main 5|5 Tool Changed"]);
    // The first of two is left out: the other one meets its like.
    let (a, b) = (desk("a.1", [ONE, TWO], &[ONE, TWO]), desk("b.1", [ONE, TWO], &[TWO]));
    assert_eq!(lines(&compare(&a.view(), &b.view())), ["main 4|- Model OnlyLeft", "main 5|- Tool OnlyLeft"]);
}

#[test]
fn what_is_made_up_for_each_run_does_not_hide_what_was_left_out() {
    let read = |id: &str, dir: &str, names: &[&str]| {
        let mut run = Fake::new(id);
        run.user("go").calls(&[("scratch", json!({}), &format!("made /tmp/{dir}"))]);
        for name in names {
            run.calls(&[("read", json!({"path": format!("/tmp/{dir}/{name}")}), "text")]);
        }
        run.says("done").end(0);
        run
    };
    let a = read("a.1", "tmpab12_x9z", &["a", "b", "c"]);
    let c = compare(&a.view(), &read("b.1", "tmpk3j_2hq9", &["b", "c"]).view());
    let gone: Vec<_> = c.rows.iter().filter(|r| r.status == Status::OnlyLeft).map(|r| r.left).collect();
    assert_eq!((gone, c.counts.changed), (vec![Some(3), Some(4)], 0), "{:#?}", lines(&c));
}

#[test]
fn clocks_vary_within_the_time_of_each_run() {
    let told = |id: &str, text: &str| {
        let mut run = Fake::new(id);
        run.user("go").calls(&[("look", json!({}), text)]).says("done").end(0);
        run
    };
    let status = |left: &str, right: &str| {
        compare(&told("a.1", left).view(), &told("b.1", right).view()).rows[1].status
    };
    // Made-up runs begin at 2026-11-21T01:31:40Z.
    assert_eq!(status("now 2026-11-21T01:31:41Z", "now 2026-11-21T01:31:42Z"), Status::Varies);
    assert_eq!(status("due 2026-08-21T10:00:00Z", "due 2026-09-21T10:00:00Z"), Status::Changed);
    assert_eq!(status("due 2026-08-21", "due 2026-09-21"), Status::Changed);
    assert_eq!(status(r#"{"at":1795224701}"#, r#"{"at":1795224702}"#), Status::Varies);
    assert_eq!(
        status(r#"{"due_at":"2026-08-21T10:00:00Z"}"#, r#"{"due_at":"2026-08-21T10:00:05Z"}"#),
        Status::Varies
    );
}

#[test]
fn lanes_pair_by_what_they_were_asked_wherever() {
    let make = |id: &str, place: [&str; 3], order: [(&str, &str); 2]| {
        let mut run = at(id, place);
        for (n, (what, name)) in order.into_iter().enumerate() {
            if n > 0 {
                run.open(&format!("main.{}", n + 1), LaneKind::Root, None);
            }
            run.user(&format!("{what} {}/notes.txt as {name}", place[0])).says(&format!("on {what}"));
        }
        run.end(0);
        run
    };
    let a = make("a.1", HERE, [("read", ONE), ("copy", TWO)]);
    let b = make("b.1", THERE, [("copy", THREE), ("read", FOUR)]);
    let c = compare(&a.view(), &b.view());
    assert_eq!((c.counts.changed, c.exit_code()), (0, 0), "{:#?}", lines(&c));
}

#[test]
fn ten_thousand_steps_in_two_places_are_quick() {
    let (a, mut b) = (long_run("a.1", 5_000, 0), long_run("bb.1", 5_000, 20));
    b.manifest.directory = THERE[0].into();
    for call in b.outline.lanes[0].turns.iter_mut().flat_map(|t| &mut t.calls) {
        call.args["path"] = json!(format!("{}/some/length", THERE[0]));
    }
    let mut a = a;
    for call in a.outline.lanes[0].turns.iter_mut().flat_map(|t| &mut t.calls) {
        call.args["path"] = json!("/home/ada/refund/some/length");
    }
    let begin = std::time::Instant::now();
    let c = compare(&a.view(), &b.view());
    println!("took {:?}", begin.elapsed());
    assert_eq!((c.counts.changed, c.counts.only_left, c.counts.only_right), (166, 168, 166));
    assert!(begin.elapsed().as_secs() < 20);
}
