use super::*;
use crate::diff::tests::fake::{Fake, refund};
use proptest::prelude::*;
use serde_json::json;

fn check(text: &str) -> Result<Check, String> {
    toml::from_str(text).map_err(|error: toml::de::Error| error.message().to_string())
}

/// What a check of the refund run comes to.
fn of(run: &Fake, text: &str) -> Outcome {
    let check = check(text).unwrap_or_else(|why| panic!("{text}: {why}"));
    let mut judged = judge(&Subject::of(&run.view()), &[check]);
    judged.pop().unwrap().outcome
}

fn that(expression: &str) -> Outcome {
    of(&refund("refund.1"), &format!("that = {expression:?}"))
}

fn failed(outcome: Outcome) -> String {
    match outcome {
        Outcome::Failed { what } => what,
        other => panic!("{other:?}"),
    }
}

fn broken(outcome: Outcome) -> String {
    match outcome {
        Outcome::Broken { why } => why,
        other => panic!("{other:?}"),
    }
}

const AMOUNT: &str = "step('issue_refund').args.amount_usd == step('lookup_order').result.amount / 100";

/// The refund run with the mistake put right.
fn mended(amount: f64) -> Fake {
    let mut run = Fake::new("refund.2");
    crate::diff::tests::fake::refund_to_fraud_check(&mut run, r#"{"risk":"low"}"#);
    run.calls(&[("issue_refund", json!({"order_id": "A123", "amount_usd": amount}), r#"{"ok":true}"#)]);
    run.says("{\"refunded\": 49.99}").end(0);
    run
}

#[test]
fn both_sides_are_told() {
    insta::assert_snapshot!(failed(that(AMOUNT)), @"step('issue_refund').args.amount_usd == step('lookup_order').result.amount / 100: 4999 is not 49.99");
    assert_eq!(of(&mended(49.99), &format!("that = {AMOUNT:?}")), Outcome::Passed);
    assert!(failed(of(&mended(49.98), &format!("that = {AMOUNT:?}"))).ends_with(": 49.98 is not 49.99"));
    for (expression, said) in [
        ("count('issue_refund') == 1 and exit == 1", "exit == 1: 0 is not 1"),
        ("exit == 1 or exit == 2", "exit == 1: 0 is not 1; and exit == 2: 0 is not 2"),
        ("not exit == 0", "exit == 0 holds, and must not"),
        ("'gpt-big' in models", "'gpt-big' in models: \"gpt-big\" is not in [\"gpt-small\"]"),
        ("'gpt-small' not in models", "'gpt-small' not in models: \"gpt-small\" is in [\"gpt-small\"]"),
        ("1 < count('get_policy') <= 3", "1 < count('get_policy'): 1 is not less than 1"),
        ("exit == 3 if count('get_policy') > 0 else true", "exit == 3: 0 is not 3"),
        ("matches(answer, '49\\\\.99')", "matches(answer, '49\\\\.99') is false"),
        ("answer is startingwith('No')", "answer is startingwith('No') is false"),
    ] {
        assert_eq!(failed(that(expression)), said, "{expression}");
    }
}

#[test]
fn what_holds_passes() {
    for expression in [
        "step(2).tool == 'lookup_order' and step(2).asked_by == 1",
        "step('get_policy').result.refundable",
        "0.1 + 0.2 == 0.3",
        "steps('issue_refund') | map(attribute='args.amount_usd') | sum == 4999",
        "calls | map(attribute='tool') | unique | length == 5",
        "first('check_fraud').args.amount == last('issue_refund').result.refunded",
        "before('lookup_order', 'issue_refund')",
        "matches(answer, '(?i)done')",
        "schema(step('get_customer').result, {'type': 'object', 'required': ['tier']})",
        "tokens.input > 0 and tokens.output < 1000 and seconds < 60",
        "'A123' in answer",
        "step('lookup_order').args == {'order_id': 'A123'}",
        "steps | selectattr('kind', 'eq', 'model') | length == 5",
        "step('lookup_order').result.nothing is not defined",
        "exit == 0 if signal is none else false",
    ] {
        assert_eq!(that(expression), Outcome::Passed, "{expression}");
    }
    assert_eq!(of(&mended(49.99), "that = \"answer_json.refunded == 49.99\""), Outcome::Passed);
}

#[test]
fn what_is_not_there_is_said() {
    let tools = "the run calls lookup_order, get_policy, get_customer, check_fraud, issue_refund";
    for (expression, said) in [
        ("step('pay').args.x == 1", format!("pay is not called: {tools}")),
        ("last('pay').args.x == 1", format!("pay is not called: {tools}")),
        (
            "step('issue_refund').args.amount == 1",
            "step('issue_refund').args.amount is not there: there are order_id, amount_usd".into(),
        ),
        (
            "step('issue_refund').args.amount / 100 == 1",
            "step('issue_refund').args.amount is not there: there are order_id, amount_usd".into(),
        ),
        ("step('issue_refund').arg.amount == 1", String::new()),
        ("steps('get_policy')[3].tool == 'x'", "steps('get_policy')[3] is not there: there is 1".into()),
        ("step(99).text == 'x'", "there is no step 99: the run has 10".into()),
        ("'5' < exit", "'5' is a text and exit is a number: neither is more than the other".into()),
    ] {
        let what = failed(that(expression));
        assert!(said.is_empty() || what == said, "{expression}: {what}");
    }
    let mut twice = mended(49.99);
    twice.calls(&[("issue_refund", json!({"amount_usd": 49.99}), "{}")]).says("twice").end(0);
    let what = failed(of(&twice, &format!("that = {AMOUNT:?}")));
    assert!(what.starts_with("issue_refund is called 2 times: say first("), "{what}");
}

#[test]
fn what_cannot_be_told_is_broken() {
    for (expression, said) in [
        ("cost < 1", "cost is not known (n/a): there is no price of gpt-small"),
        ("step(1).cost < 1", "step(1).cost is not known (n/a)"),
        ("answer_json.x == 1", "the answer is no JSON"),
        ("exit", "exit is 0: a check must come out true or false"),
        ("calls", "a check must come out true or false"),
        ("1 / 0 == 1", "1 / 0"),
        ("matches(answer, '(')", "is no regular expression"),
        ("schema(answer, {'$ref': 'https://example.com/x.json'})", "this is no JSON schema"),
        ("step([1]) == 1", "step wants the name of a tool or the number of a step"),
    ] {
        let why = broken(that(expression));
        assert!(why.contains(said), "{expression}: {why}");
    }
    // What is known is judged, although something beside it is not.
    assert_eq!(that("exit == 0 or cost < 1"), Outcome::Passed);
    let mut dead = Fake::new("dead.1");
    dead.user("x").fails("500 oops");
    assert!(broken(of(&dead, "that = \"'x' in answer\"")).contains("the last model call failed (500 oops)"));
    assert!(broken(of(&dead, "that = \"exit == 0\"")).contains("nobody saw the agent end"));
}

#[test]
fn short_forms_say_what_is_the_case() {
    let run = refund("refund.1");
    for text in [
        "never = \"delete_order\"",
        "before = [\"lookup_order\", \"issue_refund\"]",
        "at_most = { call = \"issue_refund\", times = 1 }",
        "answer_matches = \"[$]4,999\"",
        "exit = 0",
    ] {
        assert_eq!(of(&run, text), Outcome::Passed, "{text}");
    }
    for (text, said) in [
        ("never = \"issue_refund\"", "issue_refund is called at step 9"),
        (
            "before = [\"issue_refund\", \"lookup_order\"]",
            "lookup_order is called at step 2, issue_refund not before step 9",
        ),
        (
            "before = [\"get_policy\", \"get_customer\"]",
            "get_policy and get_customer are asked for in one answer (step 3)",
        ),
        (
            "at_most = { call = \"issue_refund\", times = 0 }",
            "issue_refund is called once, and at most 0 is allowed",
        ),
        (
            "answer_matches = \"49\\\\.99\"",
            "\"49\\\\.99\" is not found in the answer: the answer is \"Done. I refunded $4,999.00 for order A123.\"",
        ),
        ("exit = 3", "the agent ended with exit code 0, not 3"),
        (
            "answer_schema = { type = \"object\" }",
            "the answer is no JSON: \"Done. I refunded $4,999.00 for order A123.\"",
        ),
    ] {
        assert_eq!(failed(of(&run, text)), said, "{text}");
    }
    let json = mended(49.99);
    assert_eq!(
        of(&json, "answer_schema = { type = \"object\", required = [\"refunded\"] }"),
        Outcome::Passed
    );
    let wrong = "answer_schema = { type = \"object\", properties = { refunded = { type = \"string\" } } }";
    assert_eq!(failed(of(&json, wrong)), "/refunded: 49.99 is not of type \"string\"");
    assert!(broken(of(&json, "answer_schema = \"x.json\"")).contains("x.json was not read"));
    assert!(
        broken(of(&json, "command = [\"python3\", \"check.py\"]")).contains("python3 check.py was not run")
    );
}

#[test]
fn what_is_written_wrong_is_refused_at_once() {
    for (text, said) in [
        ("name = \"x\"", "a check says what must hold: one of that, never"),
        ("exit = 0\nnever = \"x\"", "a check says one thing, and this one 2"),
        ("that = \"anser == 1\"", "the check \"anser == 1\": there is no anser; did you mean answer?"),
        ("that = \"a ==\"", "the expression cannot be read"),
        ("that = \"{% for x in y %}\"", "the expression cannot be read"),
        ("that = \"include('x')\"", "there is no include"),
        ("before = [\"x\"]", "before takes two tools"),
        ("answer_matches = \"(\"", "\"(\" is no regular expression: unclosed group"),
        ("answer_schema = { type = 3 }", "this is no JSON schema"),
        ("command = []", "the command has no words"),
        ("exit = 0\nseverity = \"fatal\"", "\"fatal\" is no severity"),
        ("exits = 0", "unknown field `exits`"),
    ] {
        let wrong = check(text).unwrap_err();
        assert!(wrong.contains(said), "{text}: {wrong}");
    }
    let mut named =
        check("answer_schema = \"a.json\"\nname = \"n\"\nwhy = \"w\"\nseverity = \"note\"").unwrap();
    assert_eq!(named.schema_file(), Some(std::path::Path::new("a.json")));
    named.set_schema(Ok(b"{\"type\": \"string\"}".to_vec()));
    assert_eq!((named.schema_file(), named.severity), (None, Severity::Note));
    for (text, said) in [
        (Err("is not there, seen from /work".into()), "the schema a.json is not there, seen from /work"),
        (Ok(b"{".to_vec()), "the schema a.json is no JSON: EOF while parsing an object at line 1 column 1"),
        (Ok(b"{\"type\": 3}".to_vec()), "the schema a.json cannot be used: this is no JSON schema: "),
    ] {
        let mut check = check("answer_schema = \"a.json\"").unwrap();
        check.set_schema(text);
        let judged = judge(&Subject::of(&mended(49.99).view()), &[check]);
        assert_eq!(judged[0].name, "the answer meets a.json");
        let why = broken(judged[0].outcome.clone());
        assert!(why.starts_with(said), "{why}");
    }
}

#[test]
fn the_document_says_what_its_description_says() {
    let run = mended(49.99);
    let subject = Subject::of(&run.view());
    let document = subject.document();
    let members =
        |of: &serde_json::Value| of.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
    insta::assert_snapshot!(members(document), @"version run uuid labels steps answer exit signal models tokens cost seconds");
    insta::assert_snapshot!(members(&document["steps"][0]), @"step kind lane agent model source text calls usage cost seconds error");
    insta::assert_snapshot!(document["steps"][1], @r#"{"step":2,"kind":"tool","lane":"main","agent":null,"tool":"lookup_order","asked_by":1,"args":{"order_id":"A123"},"result":{"amount":4999,"currency":"USD","sku":"LAP-1"},"text":"{\"amount\":4999,\"currency\":\"USD\",\"sku\":\"LAP-1\"}","seconds":null,"error":null}"#);
}

#[test]
fn long_results_and_exact_digits_are_whole() {
    let long = format!("[{}]", vec!["12345"; 1000].join(","));
    let mut run = Fake::new("long.1");
    run.user("x").calls(&[("list", json!({"n": {"$number": "0.70"}}), &long)]).says("ok").end(0);
    assert_eq!(of(&run, "that = \"step('list').result | length == 1000\""), Outcome::Passed);
    assert_eq!(of(&run, "that = \"step('list').args.n == 0.7\""), Outcome::Passed);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_text_is_judged_without_a_panic(text in ".{0,60}") {
        let run = refund("refund.1");
        let subject = Subject::of(&run.view());
        let _ = expression::Bench::of(&subject).judge(&text);
    }

    #[test]
    fn any_words_are_judged_without_a_panic(words in prop::collection::vec(prop::sample::select(vec![
        "step", "(", ")", "'issue_refund'", ".", "args", "[", "]", "==", "<", "in", "not", "and", "or", "if", "else",
        "is", "defined", "|", "length", "map", "round", "-9223372036854775808", ":", "::", "1e308", "99999999999999999999",
        "**", "/", "%", "//", "*", "answer", "steps", "calls", ",", "{", "}", "é", "\"", "none", "range", "min",
    ]), 0..14)) {
        let run = refund("refund.1");
        let subject = Subject::of(&run.view());
        let _ = expression::Bench::of(&subject).judge(&words.join(" "));
    }
}
