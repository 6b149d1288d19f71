//! What runs used: costs by a person's own prices, `retake stats`, and finding steps with `ls --where`.

use crate::support::env::TestEnv;
use crate::support::refund::Refund;
use crate::support::upstream::{FakeUpstream, Script};
use serde_json::{Value, json};

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
    assert!(warned.err.contains("line 2") && warned.err.contains("not used"), "{}", warned.err);
}

/// Asks the model that it is told to.
const ASK: &str = "import json, os, sys, urllib.request as u\n\
    body = json.dumps({'model': sys.argv[1], 'messages': [{'role': 'user', 'content': 'hi'}]}).encode()\n\
    url = os.environ['OPENAI_BASE_URL'] + '/chat/completions'\n\
    u.urlopen(u.Request(url, body, {'content-type': 'application/json'})).read()\n";

/// 1,234 tokens read, of which 200 were in the cache, and 56 written: everywhere the same sum, and `null` where
/// nobody knows a price.
#[test]
fn tokens_become_dollars() {
    let mut env = TestEnv::new();
    let model = FakeUpstream::always(Script::json(
        r#"{"id":"c1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"finish_reason":"stop",
            "message":{"role":"assistant","content":"hi"}}],"usage":{"prompt_tokens":1234,"completion_tokens":56,
            "total_tokens":1290,"prompt_tokens_details":{"cached_tokens":200}}}"#,
    ));
    env.upstream(&model.origin());
    env.file("ask.py", ASK);
    env.file("retake.toml", "[prices.house]\ninput = 0.4\ncache_read = 0.1\noutput = 1.6\n");
    let mut told = Vec::new();
    // By the list: 1,034 at $2.50, 200 at $1.25 and 56 at $10 a million.
    for (asked, dollars, shown) in [
        ("gpt-4o-2024-08-06", json!(0.003395), "$0.0034"),
        ("house", json!(0.0005232), "$0.00052"),
        ("nobody-knows", Value::Null, "n/a"),
    ] {
        let ran = env.retake(["run", "--name", "x", "--", "python3", "ask.py", asked]).expect(0);
        assert!(ran.err.contains(&format!("cost {shown}")), "{}", ran.err);
        let show = env.retake(["show", "x", "--json"]).expect(0).json();
        assert_eq!((&show["cost"], &show["steps"][0]["cost"]), (&dollars, &dollars), "{show}");
        let step = env.retake(["show", "x", "1", "--json"]).expect(0).json();
        assert_eq!((&step["step"]["cost"], &step["detail"]["cost"]), (&dollars, &dollars), "{step}");
        let tree = env.retake(["show", "x", "--tree", "--json"]).expect(0).json();
        let call = &tree["children"][0];
        assert_eq!((&call["kind"], call.get("cost")), (&json!("model"), Some(&dollars)), "{tree}");
        let stats = env.retake(["stats", "x", "--json"]).expect(0).json();
        assert_eq!(stats["total"].get("cost"), Some(&dollars), "{stats}");
        assert_eq!(stats["models"][asked].get("cost"), Some(&dollars), "{stats}");
        told.push(dollars);
    }
    let runs = env.retake(["ls", "--json"]).expect(0).json();
    let listed: Vec<&Value> = runs.as_array().expect("a list").iter().map(|run| &run["cost"]).collect();
    assert_eq!(listed, told.iter().collect::<Vec<_>>());
    let both = env.retake(["stats", "x.1", "x.2", "--json"]).expect(0).json();
    assert_eq!(both["total"]["cost"], json!(0.0039182), "{both}");
    let all = env.retake(["stats", "--json"]).expect(0).json();
    assert_eq!(all["total"].get("cost"), Some(&Value::Null), "a sum that lacks a part is none: {all}");
    assert!(env.retake(["stats"]).expect(0).out.contains("$0.0039 + n/a (nobody-knows)"));
    let dear = env.retake(["ls", "--json", "--where", "cost>0.003"]).expect(0).json();
    assert_eq!(dear, json!([{ "run": "x.1", "steps": [1] }]));
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
