//! How `retake test` tells of what goes wrong: where in a case, and in the files beside it.

use crate::suite::added;
use serde_json::Value;

#[test]
fn a_finding_leads_to_the_line_of_its_step() {
    let refund = added(&[]);
    refund.edit("\"window_days\": 30", "\"window_days\": 31");
    let words = "test --report q.json --report gitlab=g.json --report github";
    let ran = refund.retake(&words.split(' ').collect::<Vec<_>>()).expect(1);
    let read = |name: &str| std::fs::read_to_string(refund.env.work().join(name)).expect("a report");
    let case = serde_json::from_str::<Value>(&read("q.json")).expect("JSON")["cases"][0].take();
    let step = case["findings"][0]["step"].as_u64().expect("a step");
    let line = case["lines"][step.to_string()].as_u64().expect("a line");
    let file = std::fs::read_to_string(refund.case("refund.retake")).expect("the case");
    let recorded = file.lines().nth(line as usize - 1).expect("a line");
    assert!(recorded.starts_with("{\"kind\":\"turn\"") && recorded.contains("window_days"), "{recorded}");
    let annotated = format!("::error file=tests/retake/refund.retake,line={line},title=");
    assert!(ran.out.contains(&annotated), "{annotated}: {}", ran.out);
    let issues: Value = serde_json::from_str(&read("g.json")).expect("JSON");
    assert_eq!(issues[0]["location"]["lines"]["begin"], line, "{issues}");
}
