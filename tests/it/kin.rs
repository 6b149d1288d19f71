//! Runs and what they were forked from: compared, cleared up, carried elsewhere.

use crate::support::env::TestEnv;
use crate::support::refund::Refund;

#[test]
fn an_edit_two_forks_up_is_the_cause() {
    let refund = Refund::recorded();
    refund.retake(&["fork", "refund.1", "--set", "1..:system+=\"Amounts are in cents.\""]).expect(0);
    refund.retake(&["fork", "refund.2", "--set", "10:answer=\"Bye.\""]).expect(0);
    let diff = refund.retake(&["diff", "refund.1", "refund.3"]).expect(1).out;
    assert!(diff.contains("why: the edit 1..:system+=\"Amounts are in cents.\""), "{diff}");
    refund.retake(&["fork", "refund.1", "--set", "8:answer=\"No.\""]).expect(0);
    let cousins = refund.retake(&["diff", "refund.3", "refund.4", "--json"]).expect(1).json();
    assert_eq!((&cousins["kin"]["kin"], &cousins["kin"]["parent"]), (&"siblings".into(), &"refund.1".into()));
}

#[test]
fn clearing_up_keeps_what_the_kept_were_forked_from() {
    let refund = Refund::recorded();
    refund.retake(&["run", "--name", "other", "--", "python3", "agent.py"]).expect(0);
    refund.retake(&["fork", "refund.1", "--set", "8:answer=\"No.\""]).expect(0);
    let said = refund.retake(&["gc", "--keep", "1"]).expect(0).out;
    assert_eq!(said.lines().next(), Some("removing  other.1"), "{said}");
    let left = refund.retake(&["ls"]).expect(0).out;
    assert!(left.contains("refund.1 ") && left.contains("refund.2 ") && !left.contains("other.1"), "{left}");
}

#[test]
fn a_run_is_imported_once_and_its_parent_is_not_taken_for_another() {
    let refund = Refund::recorded();
    refund.retake(&["fork", "refund.1", "--set", "8:answer=\"No.\""]).expect(0);
    refund.retake(&["export", "refund.2", "fork.retake"]).expect(0);
    let env = TestEnv::new();
    std::fs::copy(refund.env.work().join("fork.retake"), env.work().join("fork.retake")).expect("copy");
    let first = env.retake(["import", "fork.retake"]).expect(0);
    assert!(first.out.contains("imported  refund.1"), "{}", first.out);
    for said in [env.retake(["ls"]).expect(0).out, env.retake(["show", "refund.1"]).expect(0).out] {
        assert!(said.contains("fork of refund.1") && said.contains("(not in this store)"), "{said}");
    }
    let second = env.retake(["import", "fork.retake"]).expect(0);
    assert!(second.out.contains("already here as refund.1"), "{}", second.out);
    assert_eq!(env.retake(["ls", "--json"]).expect(0).json().as_array().map(Vec::len), Some(1));
    let again = env.retake(["import", "--again", "fork.retake"]).expect(0);
    assert!(
        again.out.contains("imported  refund.2") && again.out.contains("the same run as refund.1"),
        "{}",
        again.out
    );
    // Where the parent is, it has the name that it has there.
    refund.retake(&["export", "refund.1", "parent.retake"]).expect(0);
    std::fs::copy(refund.env.work().join("parent.retake"), env.work().join("parent.retake")).expect("copy");
    env.retake(["import", "parent.retake", "--name", "origin"]).expect(0);
    let shown = env.retake(["show", "refund.1"]).expect(0).out;
    assert!(shown.contains("fork of origin.1") && !shown.contains("not in this store"), "{shown}");
}

#[test]
fn a_replay_is_not_called_a_fork() {
    let refund = Refund::recorded();
    refund.retake(&["replay", "refund.1", "--record"]).expect(0);
    let diff = refund.retake(&["diff", "refund.1", "refund.2"]).expect(0).out;
    assert!(diff.contains("refund.2 is a replay of refund.1"), "{diff}");
}

#[test]
fn what_was_edited_by_hand_is_not_the_same_run() {
    let refund = Refund::recorded();
    refund.retake(&["export", "refund.1", "refund.retake"]).expect(0);
    let file = refund.env.work().join("refund.retake");
    let text = std::fs::read_to_string(&file).expect("a file");
    std::fs::write(&file, text.replace("A123", "A124")).expect("written");
    let said = refund.retake(&["import", "--allow-edited", "refund.retake"]).expect(0).out;
    assert!(said.contains("imported  refund.2") && said.contains("edited by hand"), "{said}");
    assert!(!said.contains("the same run"), "{said}");
    let listed = refund.retake(&["ls"]).expect(0).out;
    let line = listed.lines().find(|l| l.starts_with("refund.2")).unwrap_or_default();
    assert!(line.contains("imported"), "{listed}");
}

#[test]
fn removing_a_run_counts_its_forks() {
    let refund = Refund::recorded();
    for _ in 0..2 {
        refund.retake(&["fork", "refund.1", "--set", "8:answer=\"No.\""]).expect(0);
    }
    let said = refund.retake(&["rm", "refund.1"]).expect(0).out;
    assert!(said.contains("what they shared moved to its 2 forks"), "{said}");
}

#[test]
fn the_model_that_was_asked_is_shown() {
    let refund = Refund::recorded();
    refund.retake(&["fork", "refund.1", "--set", "*:model=another-model"]).expect(0);
    let data = refund.retake(&["show", "refund.2", "--json"]).expect(0).json();
    assert_eq!(data["steps"][0]["model"], "another-model", "{}", data["steps"][0]);
    let step = refund.retake(&["show", "refund.2", "1"]).expect(0).out;
    assert!(step.contains("another-model (edited; the agent named "), "{step}");
    let all = refund.retake(&["show", "refund.2"]).expect(0).out;
    assert!(all.contains("model edited"), "{all}");
}

#[test]
fn a_store_that_may_not_be_read_is_not_called_missing() {
    use std::os::unix::fs::PermissionsExt;
    let refund = Refund::recorded();
    let store = refund.env.work().join(".retake");
    let mode = |mode| std::fs::set_permissions(&store, std::fs::Permissions::from_mode(mode)).expect("mode");
    mode(0o000);
    let readable = std::fs::read_dir(&store).is_ok();
    let listed = refund.retake(&["ls"]);
    mode(0o700);
    // Who may read everything cannot be kept out.
    assert!(readable || listed.err.to_lowercase().contains("permission denied"), "{}", listed.err);
    assert!(!listed.err.contains("no store"), "{}", listed.err);
}
