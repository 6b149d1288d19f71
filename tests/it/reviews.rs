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
    let mut command = refund.env.command(["review"]);
    command
        .stdin(terminal.slave.try_clone().expect("a terminal"))
        .stdout(terminal.slave)
        .stderr(Stdio::null());
    let mut review = command.spawn().expect("the binary runs");
    drop(command);
    let mut person = File::from(terminal.master);
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
