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

/// The cost that a run must have, from its tokens.
fn expected(show: &serde_json::Value) -> f64 {
    let steps = show["steps"].as_array().expect("steps");
    let tokens = |member: &str| steps.iter().filter_map(|step| step[member].as_f64()).sum::<f64>();
    (tokens("tokens_in") * 1000.0 + tokens("tokens_out") * 2000.0) / 1e6
}

fn close(a: &serde_json::Value, b: f64) {
    let a = a.as_f64().expect("a cost");
    assert!(b > 0.0 && (a - b).abs() < 1e-9, "{a} and {b}");
}

#[test]
fn own_prices_are_in_every_verb() {
    let refund = priced();
    let ran = refund.retake(&["run", "--name", "refund", "--", "python3", "agent.py"]).expect(0);
    assert!(ran.err.contains("   cost $"), "{}", ran.err);
    let show = refund.retake(&["show", "refund.1", "--json"]).expect(0).json();
    let cost = expected(&show);
    close(&show["cost"], cost);
    close(&refund.retake(&["ls", "--json"]).expect(0).json()[0]["cost"], cost);
    close(&refund.retake(&["stats", "--json"]).expect(0).json()["total"]["cost"], cost);
    close(
        &refund.retake(&["diff", "refund.1", "refund.1", "--json"]).expect(0).json()["left_totals"]["cost"],
        cost,
    );
    let tree = refund.retake(&["show", "refund.1", "--tree"]).expect(0);
    assert!(tree.out.contains("cost") && tree.out.contains('$'), "{}", tree.out);
    assert!(refund.retake(&["ls"]).expect(0).out.contains('$'));

    // Without the file nobody knows.
    refund.env.file("retake.toml", "");
    let stats = refund.retake(&["stats", "refund.1", "--json"]).expect(0).json();
    assert!(stats["total"]["cost"].is_null(), "{stats}");
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
        for word in ["1 run", "issue_refund", "main", "p95", "context grew", "refund.1"] {
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
    let asked = "tool=issue_refund status=ok agent=main tokens>0 name=refund exit=0";
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
