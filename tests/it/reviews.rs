//! `retake review`: what waits, told to a person and to a program.

use crate::suite::added;
use crate::support::refund::Refund;
use nix::pty::openpty;
use std::fs::File;
use std::io::{Read, Write};
use std::process::Stdio;

/// The refund agent was changed on purpose, and what it does now waits.
fn waiting() -> Refund {
    let refund = added(&[]);
    refund.edit("You handle refunds.", "You handle refunds. Amounts are in cents.");
    refund.retake(&["test", "--update"]).expect(0);
    refund
}

#[test]
fn a_person_reads_what_was_recorded_and_what_is_now() {
    let refund = waiting();
    let terminal = openpty(None, None).expect("a terminal");
    let temp = refund.env.home().join("tmp");
    std::fs::create_dir(&temp).expect("a directory");
    let mut command = refund.env.command(["review"]);
    command
        .env("TMPDIR", &temp)
        .stdin(terminal.slave.try_clone().expect("a terminal"))
        .stdout(terminal.slave)
        .stderr(Stdio::null());
    let mut review = command.spawn().expect("the binary runs");
    drop(command);
    let mut person = File::from(terminal.master);
    // Nothing is kept while a person thinks, so that nothing is left when they go.
    let mut asked = [0; 4096];
    let mut before = Vec::new();
    while !String::from_utf8_lossy(&before).contains("[q]uit") {
        let n = person.read(&mut asked).expect("it asks");
        before.extend_from_slice(&asked[..n]);
    }
    assert_eq!(std::fs::read_dir(&temp).into_iter().flatten().count(), 0, "a copy of the run");
    person.write_all(b"d\nq\n").expect("typed");
    let (mut read, mut buffer) = (Vec::new(), [0; 4096]);
    // A terminal that nobody has open any more is an error, not an end.
    while let Ok(n @ 1..) = person.read(&mut buffer) {
        read.extend_from_slice(&buffer[..n]);
    }
    assert_eq!(review.wait().expect("it ends").code(), Some(1));
    let seen = String::from_utf8_lossy(&read).replace('\r', "");
    assert!(seen.contains("recorded -> now\n") && seen.contains("recorded now\n"), "{seen}");
    for internal in ["before.1", "after.1"] {
        assert!(!seen.contains(internal), "{seen}");
    }
}

#[test]
fn a_program_reads_what_waits_and_what_became_of_it() {
    let refund = waiting();
    let seen = refund.retake(&["review", "--json"]).expect(1);
    assert_eq!(seen.err, "", "nothing is wrong");
    let case = &seen.json()["cases"][0];
    assert_eq!((case["name"].as_str(), case["done"].as_str()), (Some("refund"), Some("waiting")));
    assert_eq!(case["pending"], "tests/retake/refund.retake.new");
    assert_eq!((&case["steps"]["recorded"], &case["steps"]["now"]), (&10.into(), &10.into()));
    assert_eq!((&case["drift"], &case["findings"][0]["code"]), (&"code".into(), &"PROMPT_CHANGED".into()));
    let rows: Vec<_> =
        case["rows"].as_array().expect("rows").iter().map(|row| row["left"].as_u64()).collect();
    assert_eq!(rows, [1, 8, 9, 10].map(Some), "{case}");
    assert!(refund.case("refund.retake.new").exists(), "nothing was said");

    // One that cannot be read keeps none of the others back.
    std::fs::copy(refund.case("refund.retake"), refund.case("a.retake")).expect("a case");
    std::fs::write(refund.case("a.retake.new"), "{}").expect("a file");
    let done = refund.retake(&["review", "--accept", "--json"]).expect(3);
    done.says(&["a.retake.new"]);
    let cases = &done.json()["cases"];
    assert_eq!((&cases[0]["done"], &cases[1]["done"]), (&"waiting".into(), &"accepted".into()));
    assert!(cases[0]["error"].as_str().is_some_and(|why| why.contains("not a retake run file")), "{cases}");
    assert!(!refund.case("refund.retake.new").exists() && refund.case("a.retake.new").exists());

    std::fs::copy(refund.case("refund.retake"), refund.case("a.retake.new")).expect("a case");
    let done = refund.retake(&["review", "--reject", "--json"]).expect(0).json();
    assert_eq!(done["cases"][0]["done"], "rejected", "{done}");
    let none = refund.retake(&["review", "--json"]).expect(0).json();
    assert_eq!(none, serde_json::json!({ "cases": [] }));
    assert_eq!(refund.retake(&["review", "x", "--json"]).expect(3).json()["exit"], 3);
}
