//! Fences: they name tools that there are, and what they held back can be seen.

use crate::support::refund::Refund;

#[test]
fn a_fence_names_a_tool_that_there_is() {
    let refund = Refund::recorded();
    for verb in ["replay", "fork"] {
        let at: &[&str] = if verb == "fork" { &["--at", "8"] } else { &[] };
        let words = [&[verb, "refund.1", "--fence", "Issue_refund"], at].concat();
        let refused = refund.retake(&words).expect(64);
        let said = "no tool \"Issue_refund\" in refund.1; its tools: lookup_order, get_policy, get_customer, \
                    check_fraud, issue_refund, never_called. Nothing was run.";
        assert!(refused.err.contains(said), "{}", refused.err);
        assert!(refused.err.contains("did you mean --fence issue_refund?"), "{}", refused.err);
        assert_eq!(refund.ran(), "");
    }
    refund.retake(&["replay", "refund.1", "--fence", "never_called"]).expect(0);
    // A recording has no answer that asks for a tool that it does not have, whoever plays it.
    let agent = ["--", "python3", "other.py"];
    for words in [
        &["replay", "refund.1", "--fence", "nosuch", agent[0], agent[1], agent[2]][..],
        &["proxy", "--replay", "refund.1", "--fence", "nosuch"],
    ] {
        let refused = refund.retake(words).expect(64);
        assert!(refused.err.contains("no tool \"nosuch\" in refund.1"), "{}", refused.err);
    }
    refund
        .retake(&["fork", "refund.1", "--at", "8", "--fence", "new", "--set", r#"9..:tools+={"name":"new"}"#])
        .expect(0);
    let verify = ["run", "--verify", "--yes", "--fence", "isue_refund", "--", "python3", "agent.py"];
    let refused = refund.retake(&verify).expect(64);
    assert!(refused.err.contains("no tool \"isue_refund\" in agent.1"), "{}", refused.err);
}

#[test]
fn a_verification_says_of_its_fences_what_can_be_said_before() {
    let refund = Refund::recorded();
    let verify = |fence| {
        let words =
            ["run", "--name", "new", "--verify", "--yes", "--fence", fence, "--", "python3", "agent.py"];
        refund.retake(&words).expect(64)
    };
    verify("$ rm").says(&["are not recorded without --shell. Nothing was run."]);
    assert_eq!(refund.ran(), "");
    let ran = verify("nosuch");
    ran.says(&["recorded", "not verified: no tool \"nosuch\" in new.1; its tools: lookup_order"]);
    assert!(!ran.err.contains("Nothing was run"), "it was: {}", ran.err);
    assert!(refund.ran().contains("issue_refund"));
}

#[test]
fn what_the_model_wanted_is_seen_behind_a_fence() {
    let refund = Refund::recorded();
    let words = ["fork", "refund.1", "--set", "6..:system+=\"Be brief.\"", "--fence", "issue_refund"];
    let fork = refund.retake(&words).expect(5);
    assert!(!refund.ran().contains("issue_refund"));
    assert!(!fork.err.contains("live call failed"), "{}", fork.err);
    assert!(fork.err.contains("2 live"), "both were paid for: {}", fork.err);
    let shown = refund.retake(&["show", "refund.2"]).expect(0).out;
    assert!(
        shown.contains("would call issue_refund(order_id=\"A123\"") && shown.contains("  fenced "),
        "{shown}"
    );
    let step = refund.retake(&["show", "refund.2", "8", "--full"]).expect(0).out;
    assert!(step.contains("would call issue_refund(order_id=\"A123\", amount_usd=4999)"), "{step}");
    let data = refund.retake(&["show", "refund.2", "8", "--json"]).expect(0).json();
    assert_eq!(data["detail"]["answer"][0]["name"], "issue_refund", "{data}");
    let steps = refund.retake(&["show", "refund.2", "--json"]).expect(0).json();
    let last = steps["steps"].as_array().and_then(|s| s.last()).cloned().unwrap_or_default();
    assert!(last["tokens_in"].as_u64().is_some(), "it was paid for: {last}");
    let listed = refund.retake(&["ls"]).expect(0).out;
    assert!(listed.contains("fenced before issue_refund"), "{listed}");
}

#[test]
fn a_fence_is_no_divergence() {
    let refund = Refund::recorded();
    let words = ["fork", "refund.1", "--set", "6..:system+=\"Be brief.\"", "--fence", "issue_refund"];
    refund.retake(&words).expect(5);
    let diff = refund.retake(&["diff", "refund.1", "refund.2"]).expect(0).out;
    assert!(
        diff.contains("calls issue_refund(order_id=\"A123\"") && diff.contains("   fenced here"),
        "{diff}"
    );
    assert!(diff.contains("not run") && !diff.contains("gone") && !diff.contains("FORKS AT"), "{diff}");
    assert!(diff.contains("the same as far as it was allowed to run (fenced at 8)"), "{diff}");
    refund.retake(&["diff", "refund.2", "refund.1"]).expect(0);
}

#[test]
fn a_limit_of_live_calls_is_no_divergence() {
    let refund = Refund::recorded();
    refund.retake(&["fork", "refund.1", "--set", "6..:system+=\"Be brief.\"", "--max-live", "1"]);
    let diff = refund.retake(&["diff", "refund.1", "refund.2"]).expect(0).out;
    assert!(diff.contains("not run") && !diff.contains("gone") && !diff.contains("FORKS AT"), "{diff}");
    assert!(diff.contains("limit of live calls"), "{diff}");
    let listed = refund.retake(&["ls"]).expect(0).out;
    assert!(listed.contains("limit of live calls"), "{listed}");
}
