//! Where the live calls of a fork go.

use crate::support::env::TestEnv;
use crate::support::refund::Refund;
use crate::support::refund_model::RefundModel;

const FORK: [&str; 4] = ["fork", "refund.1", "--set", "8..:system+=\"Be brief.\""];

#[test]
fn a_fork_goes_where_the_recording_went() {
    let mut refund = Refund::recorded();
    refund.env.set("OPENAI_BASE_URL", "");
    let before = refund.model.asked();
    let fork = refund.retake(&FORK).expect(0);
    assert!(refund.model.asked() > before);
    let said = format!("live calls go to {} (as recorded)", refund.model.origin());
    assert!(fork.err.contains(&said), "{}", fork.err);
    let again = refund.retake(&["fork", "refund.2", "--at", "8"]).expect(0);
    assert!(again.err.contains(&said), "a fork of the fork too: {}", again.err);
}

#[test]
fn a_variable_of_today_overrides_and_is_named_first() {
    let mut refund = Refund::recorded();
    let other = RefundModel::start();
    refund.env.set("OPENAI_BASE_URL", format!("{}/v1", other.origin()));
    let before = refund.model.asked();
    let fork = refund.retake(&FORK).expect(0);
    assert_eq!(refund.model.asked(), before);
    assert!(other.asked() > 0);
    let said =
        format!("live calls go to {} (OPENAI_BASE_URL; recorded: {})", other.origin(), refund.model.origin());
    let at = fork.err.find(&said).unwrap_or_else(|| panic!("{}", fork.err));
    assert!(fork.err.find("forked ").is_some_and(|done| at < done), "{}", fork.err);
}

#[test]
fn a_base_url_with_another_path_is_followed() {
    let mut refund = Refund::recorded();
    refund.env.set("OPENAI_BASE_URL", "");
    let url = format!("{}/team/v1", refund.model.origin());
    let fork = refund.retake(&[&FORK[..], &["--upstream", &url]].concat()).expect(0);
    assert_eq!(refund.model.last_path(), "/team/v1/chat/completions");
    assert!(fork.err.contains(&format!("live calls go to {url} (--upstream; recorded: ")), "{}", fork.err);
    refund.retake(&["replay", "refund.2"]).expect(0);
}

#[test]
fn an_imported_run_never_says_where_a_key_goes() {
    let refund = Refund::recorded();
    refund.retake(&["export", "refund.1", "refund.retake"]).expect(0);
    let mut env = TestEnv::new();
    std::fs::copy(refund.env.work().join("refund.retake"), env.work().join("refund.retake")).expect("copy");
    std::fs::copy(refund.env.work().join("agent.py"), env.work().join("agent.py")).expect("copy");
    env.set("OPENAI_API_KEY", "sk-of-today-0123456789abcdef");
    env.retake(["import", "refund.retake"]).expect(0);
    let before = refund.model.asked();
    let command = ["--", "python3", "agent.py"];
    let fork = env.retake([&FORK[..], &command].concat());
    assert_eq!(refund.model.asked(), before);
    assert!(
        fork.err.contains("live calls go to https://api.openai.com (the provider's own; recorded: "),
        "{}",
        fork.err
    );
    let kept = env.retake([&["replay", "refund.1", "--record"][..], &command].concat()).expect(0);
    assert!(kept.err.contains("kept as refund."), "{}", kept.err);
    let name = kept
        .err
        .split("kept as ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next())
        .expect("a name")
        .to_string();
    env.retake(["fork", name.as_str(), "--at", "8", "--", "python3", "agent.py"]);
    assert_eq!(refund.model.asked(), before, "a kept replay of it neither");
    let url = format!("{}/v1", refund.model.origin());
    env.retake([&FORK[..], &["--upstream", &url], &command].concat()).expect(0);
    assert!(refund.model.asked() > before);
}

#[test]
fn runs_of_the_demo_can_be_forked_afterwards() {
    let env = TestEnv::new();
    env.retake(["demo", "--no-pause"]).expect(0);
    let fork = env.retake(["fork", "refund.1", "--set", "1..:system+=\"Amounts are in cents.\""]).expect(0);
    assert!(fork.out.contains("I refunded $49.99"), "{}", fork.all());
    assert!(fork.err.contains("(the demo's model, started again)"), "{}", fork.err);
    let again = env.retake(["fork", "refund.4", "--set", "7:result.risk=\"high\""]).expect(0);
    assert!(again.out.contains("escalated"), "{}", again.all());
}
