//! What is misspelt is refused before anything runs, with what was meant.

use crate::support::refund::Refund;

#[test]
fn misspelt_edits_do_not_go_live() {
    let refund = Refund::recorded();
    let asked = refund.model.asked();
    for (edit, said) in [
        ("7:reslt=\"x\"", "no field \"reslt\" for a tool step; did you mean result?"),
        ("7:reslt.risk=\"x\"", "only result takes a path, reslt does not; did you mean result?"),
        ("*:temprature=0", "is no known field; did you mean temperature? (raw:temprature=… sends it anyway)"),
        (
            "*:bogus=1",
            "\"bogus\" is not in the recorded request and is no known field (raw:bogus=… sends it anyway)",
        ),
        ("6:temperature=hot", "temperature is a number, \"hot\" is none"),
        ("7:result.risk==", "= sets a value"),
        ("2:result.amuont=70", "did you mean amount? (raw:result.amuont=… adds it)"),
        ("2:result.colour=70", "its fields: "),
    ] {
        let refused = refund.retake(&["fork", "refund.1", "--set", edit]).expect(64);
        let told = refused.err.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(told.contains(said), "{edit}: {told}");
    }
    assert_eq!((refund.model.asked(), refund.ran()), (asked, String::new()));
    refund.retake(&["fork", "refund.1", "--set", "*:raw:bogus=1"]).expect(0);
    refund.retake(&["fork", "refund.1", "--set", "2:raw:result.colour=70"]).expect(0);
}

#[test]
fn misspelt_tools_in_the_file_are_told_of_once() {
    let refund = Refund::recorded();
    let tools =
        "[tools]\nread = [\"get_*\", \"of_another_agent\", \"lookup_ordr\"]\nwrite = [\"issue_refnd\"]\n";
    refund.env.file("retake.toml", tools);
    for words in [&["replay", "refund.1"][..], &["fork", "refund.1", "--at", "8"]] {
        let ran = refund.retake(words).expect(0);
        let told = ran.err.split_whitespace().collect::<Vec<_>>().join(" ");
        for said in [
            "retake.toml says that issue_refnd is write, and refund.1 has no such tool; did you mean issue_refund?",
            "did you mean lookup_order?",
        ] {
            assert_eq!(told.matches(said).count(), 1, "{told}");
            let done = told.find("replayed ").or_else(|| told.find("forked ")).expect("a result");
            assert!(told.find(said) < Some(done), "before anything runs: {told}");
        }
        assert!(!told.contains("of_another_agent"), "{told}");
    }
    refund.env.file("retake.toml", "[tools]\nwrite = [\"issue_refund\", \"issue_refunds\"]\n");
    let ran = refund.retake(&["replay", "refund.1"]).expect(0);
    assert!(!ran.err.contains("did you mean"), "the tool has its class: {}", ran.err);
}

#[test]
fn an_edit_before_the_checkpoint_says_what_to_do() {
    let refund = Refund::recorded();
    let told = refund.retake(&["fork", "refund.1", "--at", "3", "--set", "2:result.amount=70"]).expect(64);
    let told = told.err.split_whitespace().collect::<Vec<_>>().join(" ");
    for said in ["step 2 comes before the checkpoint at step 5", "Leave --at out", "(--at 3 moved to 5: "] {
        assert!(told.contains(said), "{told}");
    }
}
