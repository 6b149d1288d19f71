//! What is misspelt is refused before anything runs, with what was meant.

use crate::support::env::TestEnv;
use crate::support::refund::Refund;
use std::process::Command;

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
        ("2:rslt=2", "no field \"rslt\" for a tool step; did you mean result?"),
        ("*:tools-=get_polcy", "offers a tool \"get_polcy\"; did you mean get_policy?"),
        ("3:fault=timout", "timeout, or cut:N; did you mean timeout?"),
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

#[test]
fn a_rule_for_a_misspelt_tool_is_told_of() {
    let refund = Refund::recorded();
    let rules = "[[ignore]]\ntool = \"lookup_ordr\"\npattern = \"x[0-9]+\"\n\n[[hole]]\ntool = \"get_polcy\"\npattern = \"x([0-9]+)\"\n\n\
                 [[hole]]\ntool = \"of_another_agent\"\npattern = \"x([0-9]+)\"\n\n[[hole]]\ntool = \"get_policy\"\npattern = \"x([0-9]+)\"\n";
    refund.env.file("retake.toml", rules);
    for words in [
        &["replay", "refund.1"][..],
        &["fork", "refund.1", "--at", "8"],
        &["doctor", "refund.1", "--yes"],
        &["doctor", "refund.1", "--yes", "--shuffle", "1"],
    ] {
        let ran = refund.retake(words).expect(0);
        ran.says(&[
            "retake.toml has an [[ignore]] for lookup_ordr, and refund.1 has no such tool; did you mean lookup_order?",
            "retake.toml has a [[hole]] for get_polcy, and refund.1 has no such tool; did you mean get_policy?",
        ]);
        assert_eq!(ran.err.matches("retake.toml has").count(), 2, "{}", ran.err);
    }
}

#[test]
fn misspelt_values_of_flags() {
    let refund = Refund::recorded();
    refund.retake(&["replay", "refund.1", "--timing", "fsat"]).expect(64).says(&["did you mean fast?"]);
    let words = ["run", "--upstream", "opnai=http://127.0.0.1:1/v1", "--", "true"];
    refund.retake(&words).expect(64).says(&["did you mean openai?"]);
}

#[test]
fn what_a_shell_evaluates_fails_when_there_are_no_variables() {
    let env = TestEnv::new();
    for words in [&["env", "--name", "a b"][..], &["env", "--nmae", "a"]] {
        let told = env.retake(words).expect(64).out;
        let evaluated =
            Command::new("sh").args(["-c", "eval \"$1\"", "sh", &told]).status().expect("a shell");
        assert_eq!(evaluated.code(), Some(1), "{words:?}: {told}");
    }
    let told = env.retake(["env", "--name", "a b", "--shell", "powershell"]).expect(64).out;
    assert!(told.starts_with("throw "), "{told}");
    for shell in ["dotenv", "json"] {
        assert_eq!(env.retake(["env", "--name", "a b", "--shell", shell]).expect(64).out, "", "{shell}");
    }
}
