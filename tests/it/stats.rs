//! What runs used: costs by a person's own prices, `retake stats`, and finding steps with `ls --where`.

use crate::support::refund::Refund;

const PRICES: &str = "[prices.\"gpt-test\"]\ninput = 1000\noutput = 2000\n";

fn priced() -> Refund {
    let refund = Refund::ready();
    let agent = std::fs::read_to_string(refund.env.work().join("agent.py")).expect("the agent");
    let model = regex::Regex::new(r#""model": "([^"]+)""#).expect("a pattern");
    let model = model.captures(&agent).expect("it names its model")[1].to_string();
    refund.env.file("retake.toml", &PRICES.replace("gpt-test", &model));
    refund
}

#[test]
fn a_price_without_tokens_is_no_cost() {
    let refund = priced();
    // The model does not say how many tokens it took.
    let ran = refund.retake(&["run", "--name", "refund", "--", "python3", "agent.py"]).expect(0);
    assert!(ran.err.contains("   cost n/a"), "{}", ran.err);
    let show = refund.retake(&["show", "refund.1", "--json"]).expect(0).json();
    assert!(show["cost"].is_null() && show.get("cost").is_some(), "{show}");
    assert!(refund.retake(&["ls", "--json"]).expect(0).json()[0]["cost"].is_null());
    assert!(refund.retake(&["stats", "--json"]).expect(0).json()["total"]["cost"].is_null());
    assert!(refund.retake(&["stats"]).expect(0).out.contains("cost n/a"));
    refund.env.file("retake.toml", "[prices.x]\ninput = -1\noutput = 1\n");
    let warned = refund.retake(&["stats"]).expect(0);
    assert!(warned.err.contains("line 1") && warned.err.contains("not used"), "{}", warned.err);
}

#[test]
fn stats_fit_the_terminal() {
    let mut refund = Refund::recorded();
    for width in [80, 120] {
        refund.env.set("COLUMNS", width.to_string());
        let told = refund.retake(&["stats"]).expect(0).out;
        let widest = told.lines().map(|line| line.chars().count()).max().unwrap_or_default();
        assert!(widest <= width, "{told}");
        for word in ["1 run", "issue_refund", "main", "p95"] {
            assert!(told.contains(word), "{word}: {told}");
        }
        assert_eq!(told.contains("p99"), width == 120, "{told}");
    }
}

#[test]
fn steps_are_found() {
    let refund = Refund::recorded();
    let show = refund.retake(&["show", "refund.1", "--json"]).expect(0).json();
    let steps = show["steps"].as_array().expect("steps");
    let expected: Vec<u64> = steps
        .iter()
        .filter(|step| step["tool"] == "issue_refund")
        .filter_map(|step| step["step"].as_u64())
        .collect();
    assert!(!expected.is_empty());
    let asked = "tool=issue_refund status=ok agent=main name=refund exit=0";
    let found = refund.retake(&["ls", "--json", "--where", asked]).expect(0).json();
    assert_eq!(found, serde_json::json!([{ "run": "refund.1", "steps": expected }]));
    let told = refund.retake(&["ls", "--where", asked]).expect(0).out;
    assert!(told.contains(&format!("refund.1@{}", expected[0])), "{told}");
    let none = refund.retake(&["ls", "--where", "tool=issue_refund status=error"]).expect(0).out;
    assert_eq!(none, "nothing found in 1 run\n");
    assert!(refund.retake(&["ls", "--where", "steps>0"]).expect(0).out.contains("refund.1"));
    let odd = refund.retake(&["ls", "--where", "tol=x"]).expect(64);
    assert!(odd.err.contains("did you mean tool?"), "{}", odd.err);
}
