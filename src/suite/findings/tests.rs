use super::*;
use crate::diff::tests::fake::{Fake, refund, refund_to_fraud_check};
use crate::exchange::{ExchangeId, Source, StandIn};
use crate::holes::{Rules, Side};
use crate::replay::matcher::{MatchClass, Miss, Near};
use crate::run::CallSite;
use serde_json::json;

mod replayed;

const FRAUD: &str = r#"{"risk":"low","score":0.07,"checked_at":1795224754.6,"trace":"0643afbe"}"#;

fn surroundings(left: &Fake, right: &Fake) -> Surroundings {
    let side = |run: &Fake| Side {
        directory: run.manifest.directory.clone(),
        home: String::new(),
        temp: String::new(),
        started_us: run.manifest.started_us,
        ended_us: run.manifest.started_us + 60_000_000,
        zone_s: 0,
    };
    Surroundings { recorded: side(left), live: side(right) }
}

fn compared(left: &Fake, right: &Fake, tally: Option<&Tally>, severities: &Severities) -> Findings {
    let surroundings = surroundings(left, right);
    let rules = Rules::default();
    let replay = tally.map(|tally| Replayed { tally, rules: &rules, cut_off: false });
    find(&left.view(), &right.view(), &surroundings, replay, severities)
}

fn told(left: &Fake, right: &Fake) -> Vec<String> {
    lines(&compared(left, right, None, &Severities::default()))
}

/// Each finding in a line: `ARGS_CHANGED error model 8 …: 4999 -> 49.99`; a `>` before it where it follows.
fn lines(findings: &Findings) -> Vec<String> {
    let line = |f: &Finding| {
        let step = |n: Option<u32>| n.map_or("-".into(), |n| n.to_string());
        let side = |text: &Option<String>| text.clone().unwrap_or_else(|| "(none)".into());
        let all = f.difference.iter().chain(&f.more);
        let differs: Vec<String> =
            all.map(|d| format!("{}: {} -> {}", d.path, side(&d.before), side(&d.after))).collect();
        let (mark, severity, drift) = (if f.follows { "> " } else { "" }, f.severity.name(), f.drift.name());
        format!("{mark}{} {severity} {drift} {}: {} [{}]", f.code, step(f.step), f.what, differs.join("; "))
    };
    findings.all.iter().map(line).collect()
}

/// The refund run, paid with this much.
fn paid(id: &str, amount: serde_json::Value, words: &str) -> Fake {
    let mut run = Fake::new(id);
    refund_to_fraud_check(&mut run, FRAUD);
    let result = format!(r#"{{"ok":true,"refunded":{amount}}}"#);
    run.calls(&[("issue_refund", json!({"order_id": "A123", "amount_usd": amount}), &result)])
        .says(words)
        .end(0);
    run
}

#[test]
fn the_same_run_has_none() {
    let findings = compared(&refund("refund.1"), &refund("refund.2"), None, &Severities::default());
    assert_eq!((findings.all.len(), findings.drift(), findings.worst()), (0, None, None));
    let mut other = Fake::new("refund.3");
    refund_to_fraud_check(
        &mut other,
        r#"{"risk":"low","score":0.07,"checked_at":1795224799.1,"trace":"77fe01ab"}"#,
    );
    let amount = json!({"order_id": "A123", "amount_usd": 4999});
    other.calls(&[("issue_refund", amount, r#"{"ok":true,"refunded":4999}"#)]);
    other.says("Done. I refunded $4,999.00 for order A123.").end(0);
    assert_eq!(told(&refund("refund.1"), &other), Vec::<String>::new(), "clocks and ids are no findings");
}

#[test]
fn a_model_that_answers_otherwise_is_the_cause() {
    let other = paid("refund.2", json!(49.99), "Done. I refunded $49.99 for order A123.");
    insta::assert_snapshot!(told(&refund("refund.1"), &other).join("\n"), @r#"
    ARGS_CHANGED error model 8: issue_refund is called with another amount_usd [issue_refund.amount_usd: 4999 -> 49.99]
    > TOOL_RESULT_CHANGED error world 9: issue_refund returns another refunded [issue_refund.refunded: 4999 -> 49.99]
    > TEXT_CHANGED warning model 10: the model says something else [answer: Done. I refunded $4,999.00 for order A123. -> Done. I refunded $49.99 for order A123.]
    "#);
    let findings = compared(&refund("refund.1"), &other, None, &Severities::default());
    assert_eq!((findings.drift(), findings.worst()), (Some(Drift::Model), Some(Severity::Error)));
}

#[test]
fn a_tool_that_returns_otherwise_is_the_world() {
    let mut other = Fake::new("refund.2");
    refund_to_fraud_check(&mut other, &FRAUD.replace("low", "high"));
    other.says("I cannot refund order A123.").end(0);
    insta::assert_snapshot!(told(&refund("refund.1"), &other).join("\n"), @r#"
    TOOL_RESULT_CHANGED error world 7: check_fraud returns another risk [check_fraud.risk: "low" -> "high"]
    > MISSING_CALL error world 9: issue_refund is not called any more []
    > TEXT_CHANGED warning model 10: the model says something else [answer: Done. I refunded $4,999.00 for order A123. -> I cannot refund order A123.]
    "#);
}

#[test]
fn results_that_have_changed_places_are_code() {
    let told_with = |policy: &str, customer: &str| {
        let mut run = Fake::new("refund.2");
        run.user("My laptop from order A123 is broken, refund me");
        run.calls(&[
            ("get_policy", json!({"sku": "LAP-1"}), policy),
            ("get_customer", json!({"id": "c9"}), customer),
        ]);
        run.says("Done.").end(0);
        run
    };
    let (policy, customer) = (r#"{"refundable":true}"#, r#"{"name":"Ada"}"#);
    insta::assert_snapshot!(told(&told_with(policy, customer), &told_with(customer, policy)).join("\n"), @r#"PROMPT_CHANGED error code 2: the results of get_policy and get_customer have changed places [get_policy.refundable: true -> (none); get_policy.name: (none) -> "Ada"]"#);
}

#[test]
fn an_agent_that_asks_otherwise_is_code() {
    let mut other = Fake::new("refund.2");
    other
        .system("You handle refunds. Amounts are in cents.")
        .model("gpt-large")
        .param("temperature", json!(0.5));
    refund_to_fraud_check(&mut other, FRAUD);
    let amount = json!({"order_id": "A123", "amount_usd": 49.99});
    other.calls(&[("issue_refund", amount, r#"{"ok":true,"refunded":49.99}"#)]).says("Done.").end(1);
    insta::assert_snapshot!(told(&refund("refund.1"), &other).join("\n"), @r#"
    MODEL_CHANGED error code 1: gpt-large is asked instead of gpt-small [model: gpt-small -> gpt-large]
    PROMPT_CHANGED error code 1: the system prompt is another one [system: You handle refunds. -> You handle refunds. Amounts are in cents.]
    PARAMS_CHANGED error code 1: another temperature [temperature: (none) -> 0.5]
    > ARGS_CHANGED error model 8: issue_refund is called with another amount_usd [issue_refund.amount_usd: 4999 -> 49.99]
    > TOOL_RESULT_CHANGED error world 9: issue_refund returns another refunded [issue_refund.refunded: 4999 -> 49.99]
    > TEXT_CHANGED warning model 10: the model says something else [answer: Done. I refunded $4,999.00 for order A123. -> Done.]
    > OUTCOME_CHANGED error code -: the agent ends with exit code 1 instead of exit code 0 [exit: exit code 0 -> exit code 1]
    "#);
}

#[test]
fn calls_come_and_go() {
    let mut other = Fake::new("refund.2");
    refund_to_fraud_check(&mut other, FRAUD);
    other.calls(&[("notify", json!({"order": "A123"}), "{}")]).says("Somebody will look at it.").end(0);
    insta::assert_snapshot!(told(&refund("refund.1"), &other).join("\n"), @r#"
    NEW_CALL error model -: notify is called, and was not []
    MISSING_CALL error model 9: issue_refund is not called any more []
    > TEXT_CHANGED warning model 10: the model says something else [answer: Done. I refunded $4,999.00 for order A123. -> Somebody will look at it.]
    "#);
}

fn missed(miss: Miss) -> Tally {
    let mut tally = Tally::default();
    tally.misses.push(miss);
    tally
}

/// A closed replay in which the agent asks something else at its third model call.
fn refused_replay() -> (Fake, Tally) {
    let mut run = Fake::new("refund.2");
    run.user("My laptop from order A123 is broken, refund me")
        .calls(&[(
            "lookup_order",
            json!({"order_id": "A123"}),
            r#"{"amount":4999,"currency":"USD","sku":"LAP-1"}"#,
        )])
        .user("Be quick.")
        .fails("422 retake: nothing recorded is right for this request")
        .forked("refund.1", 10, &[])
        .end(1);
    run.manifest.parent.as_mut().unwrap().replay = true;
    for ancestor in &mut run.ancestry {
        ancestor.parent.replay = true;
    }
    let exchange = |id| ExchangeId(id);
    run.sources.insert(exchange(1), Source::Recorded { run: "refund.1".into(), exchange: exchange(1) });
    run.sources.insert(exchange(2), Source::Refused);
    let near = Near {
        lane: "main".into(),
        turn: 1,
        step: Some(3),
        why: "another request".into(),
        path: "messages[3].text".into(),
        recorded: "x".into(),
        live: "Be quick.".into(),
        rule: None,
    };
    let miss = Miss { asked: "a".into(), reason: "r".into(), nearest: vec![near], hints: Vec::new() };
    (run, missed(miss))
}

#[test]
fn a_request_without_an_answer_is_told_once_and_first() {
    let (run, tally) = refused_replay();
    let findings = compared(&refund("refund.1"), &run, Some(&tally), &Severities::default());
    insta::assert_snapshot!(lines(&findings).join("\n"), @r#"
    PROMPT_CHANGED error code 3: the user's message is new [messages[2]: (none) -> Be quick.]
    > OUTCOME_CHANGED error code -: the agent ends with exit code 1 instead of exit code 0, after retake had refused its request (422) [exit: exit code 0 -> exit code 1]
    > MISSING_CALL error code -: the run ends here: 5 recorded calls do not happen (get_policy, get_customer, check_fraud, issue_refund, a model call) []
    "#);
    assert_eq!(findings.drift(), Some(Drift::Code));
}

#[test]
fn what_only_the_replay_knows_is_told() {
    let (left, right) = (refund("refund.1"), refund("refund.2"));
    let near = |path: &str| Near {
        lane: "main".into(),
        turn: 1,
        step: Some(3),
        why: "another request".into(),
        path: path.into(),
        recorded: "0.5".into(),
        live: "0.7".into(),
        rule: None,
    };
    let of = |path: &str, reason: &str| {
        let nearest = if path.is_empty() { Vec::new() } else { vec![near(path)] };
        let miss = Miss { asked: "a".into(), reason: reason.into(), nearest, hints: Vec::new() };
        let tally = missed(miss);
        let findings = compared(&left, &right, Some(&tally), &Severities::default());
        lines(&findings).join("\n")
    };
    for (path, reason, said) in [
        (
            "params.temperature",
            "r",
            "PARAMS_CHANGED error code 3: a parameter is another one [params.temperature: 0.5 -> 0.7]",
        ),
        (
            "tools[1].description",
            "r",
            "TOOLS_CHANGED error code 3: the tools on offer are others [tools[1].description: 0.5 -> 0.7]",
        ),
        ("system", "r", "PROMPT_CHANGED error code 3: the system prompt is another one [system: 0.5 -> 0.7]"),
        ("path", "r", "UNMATCHED error code 3: nothing recorded is right for the request [path: 0.5 -> 0.7]"),
        (
            "",
            "identical requests with different answers",
            "UNMATCHED error code -: identical requests with different answers []",
        ),
        (
            "",
            "the recorded agent was finished here; yours asked again",
            "NEW_CALL error code -: the recorded agent was finished here; yours asked again []",
        ),
    ] {
        assert_eq!(of(path, reason), said);
    }
    let mut tally = Tally::default();
    tally.served.extend([
        ((0, 0), MatchClass::Exact),
        ((0, 1), MatchClass::Pinned),
        ((0, 2), MatchClass::Pinned),
    ]);
    tally.pins.push(crate::replay::tally::PinReport {
        step: Some(2),
        tool: "lookup_order".into(),
        recorded: r#"{"amount":4999}"#.into(),
        live: r#"{"amount":49.99}"#.into(),
        renamed: false,
        stale: None,
        site: CallSite { lane: 0, turn: 0, call: 0 },
    });
    let findings = compared(&left, &right, Some(&tally), &Severities::default());
    insta::assert_snapshot!(lines(&findings).join("\n"), @r#"
    TOOL_RESULT_CHANGED error world 2: lookup_order returns something else; the model was given the recorded result [lookup_order.amount: 4999 -> 49.99]
    LOOSE_MATCH note code 3: 2 requests pass as pinned, this is the first [lookup_order.amount: 4999 -> 49.99]
    "#);
}

#[test]
fn secrets_and_live_calls_are_told() {
    let left = refund("refund.1");
    let mut right = Fake::new("refund.2");
    refund_to_fraud_check(&mut right, FRAUD);
    right.calls(&[("issue_refund", json!({"order_id": "A123", "amount_usd": 4999}), "AKIAEXAMPLE")]);
    right.says("Done. I refunded $4,999.00 for order A123.").forked("refund.1", 7, &[]).end(0);
    let stand_in = |label: &str, text: &str| StandIn { label: label.into(), text: text.into() };
    right.outline.stand_ins =
        vec![stand_in("authorization", "sk-x"), stand_in("aws-access-key", "AKIAEXAMPLE")];
    let all = told(&left, &right).join("\n");
    assert!(
        all.contains(
            "SECRET error code -: what the agent sends holds something like a secret (aws-access-key)"
        ),
        "{all}"
    );
    assert!(!all.contains("authorization"), "{all}");
    assert!(all.contains("LIVE_CALL warning"), "{all}");
    let mut known = refund("refund.1");
    known.outline.stand_ins = right.outline.stand_ins.clone();
    known.user("AKIAEXAMPLE").says("x");
    assert!(!told(&known, &right).join("\n").contains("SECRET"));
}

#[test]
fn more_is_told_where_it_is_much() {
    let left = refund("refund.1");
    let mut right = refund("refund.2");
    let turn = right.outline.lanes[0].turns.last_mut().unwrap();
    turn.usage.as_mut().unwrap().output += 5_000;
    right.manifest.outcome.as_mut().unwrap().ended_us += 60_000_000;
    let all = told(&left, &right);
    assert_eq!(all.len(), 2, "{all:?}");
    assert!(all[0].starts_with("TOKENS_UP warning model -:"), "{all:?}");
    assert!(all[1].starts_with("SLOWER note"), "{all:?}");
    let mut off = Severities::default();
    off.set(Code::TokensUp, Severity::Off);
    off.set(Code::Slower, Severity::Error);
    let findings = compared(&left, &right, None, &off);
    assert_eq!((findings.all.len(), findings.worst()), (1, Some(Severity::Error)));
}
