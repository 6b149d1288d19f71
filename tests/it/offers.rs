//! What a miss offers to be pasted: as narrow as it can be said, and it makes that miss go away and no other.

use crate::support::env::Ran;
use crate::support::refund::Refund;
use serde_json::Value;

/// A refund agent whose tools return notes: what they say is up to NOTE (the fraud check), OTHER (the same, another field)
/// and REMARK (the order). The task ends with TASK, and with a new uuid where SESSION is set.
fn noting(vars: &[(&str, &str)]) -> Refund {
    let mut refund = Refund::ready();
    let path = refund.env.work().join("agent.py");
    let agent = std::fs::read_to_string(&path).expect("the agent");
    let agent = agent
        .replace("import sys\n", "import sys\nimport uuid\n")
        .replace(
            "\"risk\": \"low\"",
            "\"risk\": \"low\", \"seen\": [{\"by\": \"Ada\", \"note\": os.environ.get(\"NOTE\", \"calm\")}], \
             \"other\": os.environ.get(\"OTHER\", \"one\")",
        )
        .replace(
            "\"currency\": \"USD\"",
            "\"currency\": \"USD\", \"seen\": [{\"note\": os.environ.get(\"REMARK\", \"fine\")}]",
        )
        .replace(
            "broken, refund me\"",
            "broken, refund me\" + os.environ.get(\"TASK\", \"\") + (\" Session %s.\" % uuid.uuid4() if \
             os.environ.get(\"SESSION\") else \"\")",
        );
    std::fs::write(&path, agent).expect("written");
    vars.iter().for_each(|(name, value)| refund.env.set(name, *value));
    refund.retake(&["run", "--name", "refund", "--", "python3", "agent.py"]).expect(0);
    refund
}

fn replay(refund: &Refund, flags: &[&str], code: i32) -> Ran {
    let words = [&["replay", "refund.1"], flags, &["--", "python3", "agent.py"]].concat();
    refund.retake(&words).expect(code)
}

/// The first of the nearest turns of the first miss.
fn nearest(ran: &Ran) -> Value {
    ran.json()["misses"][0]["nearest"][0].clone()
}

/// Pastes what is offered.
fn paste(refund: &Refund, near: &Value) {
    let rule = near["rule"].as_str().unwrap_or_else(|| panic!("no rule in {near}"));
    refund.env.file("retake.toml", rule);
}

#[test]
fn a_field_of_a_result_is_named_with_its_tool() {
    let mut refund = noting(&[]);
    refund.env.set("NOTE", "busy");
    let near = nearest(&replay(&refund, &["--unpin", "--json"], 4));
    assert_eq!(near["path"], "messages[8].result.seen[0].note");
    assert_eq!((&near["recorded"], &near["live"]), (&"calm".into(), &"busy".into()), "{near}");
    let rule = "[[ignore]]\ntool = \"check_fraud\"\npath = \"messages[*].result.seen[*].note\"\n";
    assert_eq!(near["rule"], rule);
    replay(&refund, &["--unpin"], 4).says(&[
        "messages[8].result.seen[0].note",
        "tool = \"check_fraud\"",
        "path = \"messages[*].result.seen[*].note\"",
    ]);
    paste(&refund, &near);
    let ran = replay(&refund, &["--unpin"], 0);
    ran.says(&["masked"]);
    refund.env.set("NOTE", "calm");
    // The same field of another tool, another field of the same, and what was asked still count.
    for (name, usual, other) in [("REMARK", "fine", "odd"), ("OTHER", "one", "two"), ("TASK", "", " now")] {
        refund.env.set(name, other);
        replay(&refund, &["--unpin"], 4);
        refund.env.set(name, usual);
    }
}

#[test]
fn several_fields_of_a_result_are_named_one_by_one() {
    let mut refund = noting(&[]);
    refund.env.set("NOTE", "busy");
    refund.env.set("OTHER", "two");
    let near = nearest(&replay(&refund, &["--unpin", "--json"], 4));
    let rule = near["rule"].as_str().unwrap_or_default();
    assert_eq!(rule.matches("[[ignore]]").count(), 2, "{near}");
    assert!(rule.contains("result.seen[*].note\"") && rule.contains("result.other\""), "{near}");
    paste(&refund, &near);
    replay(&refund, &["--unpin"], 0);
}

#[test]
fn a_pin_that_may_not_pass_is_told_by_its_field_and_so_is_what_a_rule_masks() {
    let mut refund = noting(&[("SESSION", "1")]);
    refund.env.set("NOTE", "busy");
    let strict = replay(&refund, &["--strict", "--json"], 4);
    let near = nearest(&strict);
    assert_eq!(near["path"], "messages[8].result.seen[0].note", "the session passes: {near}");
    replay(&refund, &["--strict"], 4)
        .says(&["--allow renamed,pinned lets it pass", "--allow renamed,masked"]);
    paste(&refund, &near);
    let masked = replay(&refund, &["--strict", "--json"], 4);
    assert_eq!(masked.json()["not_allowed"]["class"], "masked");
    let near = nearest(&masked);
    assert_eq!(near["path"], "messages[8].result.seen[0].note", "{near}");
    assert!(near.get("rule").is_none(), "it stands there already: {near}");
    let ran = replay(&refund, &["--allow", "renamed,masked"], 0);
    ran.says(&["masked"]);
}

#[test]
fn a_fork_minds_a_pasted_rule_too() {
    let mut refund = noting(&[]);
    refund.env.set("NOTE", "busy");
    refund.env.file(
        "retake.toml",
        "[[ignore]]\ntool = \"check_fraud\"\npath = \"messages[*].result.seen[*].note\"\n",
    );
    let ran = refund.retake(&["fork", "refund.1", "--at", "8", "--", "python3", "agent.py"]).expect(0);
    assert!(!ran.err.contains("pinned"), "{}", ran.err);
}

#[test]
fn an_id_of_digits_is_offered_a_pattern_with_the_words_before_it() {
    for (then, now) in [("34615961", "0643afbe"), ("0643afbe", "34615961"), ("34615961", "81723394")] {
        let mut refund = noting(&[("TASK", &format!(", trace {then}, please"))]);
        refund.env.set("TASK", format!(", trace {now}, please"));
        let near = nearest(&replay(&refund, &["--json"], 4));
        let rule = near["rule"].as_str().unwrap_or_default();
        assert!(rule.starts_with("[[hole]]\n") && rule.contains("trace ("), "{then} {now}: {near}");
        paste(&refund, &near);
        replay(&refund, &[], 0);
        refund.env.set("TASK", format!(", order {now}, please"));
        replay(&refund, &[], 4);
    }
}
