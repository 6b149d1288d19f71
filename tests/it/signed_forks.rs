//! Forks of conversations with signed reasoning: it goes out untouched, or where it would be refused not at all.

use crate::support::lamp_model::{LampModel, Recorded, record, thought};
use serde_json::{Value, json};

fn lamp(stream: &str) -> Recorded {
    let vars = [("PROVIDER", "anthropic"), ("THINK", "1"), ("STREAM", stream)];
    let lamp = record(LampModel::start(), "Look for: desk", &vars);
    assert_eq!(lamp.asked, 3);
    lamp
}

/// Blocks of reasoning in the messages of a request, in order.
fn reasoning(body: &Value) -> Vec<Value> {
    let messages = body["messages"].as_array().into_iter().flatten();
    let blocks = messages.filter_map(|m| m["content"].as_array()).flatten();
    let signed = |b: &&Value| b["type"].as_str().is_some_and(|t| t.ends_with("thinking"));
    blocks.filter(signed).cloned().collect()
}

fn thoughts(of: &[(&str, usize)]) -> Vec<Value> {
    of.iter().flat_map(|(model, results)| thought(model, *results)).collect()
}

/// What Anthropic refuses: a turn that goes on after tool results, with a thinking budget, and does not begin with
/// thinking.
fn would_be_refused(body: &Value) -> bool {
    let fixed = body["thinking"]["type"] == "enabled";
    let messages = body["messages"].as_array().cloned().unwrap_or_default();
    let speaks = |m: &Value| m["role"] == "user" && !m["content"].to_string().contains("tool_result");
    let open = messages.iter().rposition(speaks).map_or(0, |at| at + 1);
    let first = messages.iter().skip(open).find(|m| m["role"] == "assistant");
    let begins = |m: &Value| m["content"][0]["type"].as_str().is_some_and(|t| t.ends_with("thinking"));
    fixed && first.is_some_and(|m| !begins(m))
}

#[test]
fn an_edited_result_leaves_signed_history_byte_for_byte() {
    for stream in ["0", "1"] {
        let lamp = lamp(stream);
        let recorded = lamp.model.bodies();
        let (ran, live) = lamp.fork(&["--set", "2:result.stock=7"], 0);
        assert_eq!(live.len(), 2);
        assert_eq!(reasoning(&live[1])[..2], thoughts(&[("claude-small", 0)]));
        let sent = lamp.model.bodies();
        let then = String::from_utf8_lossy(&recorded[1]).replace(r#"\"stock\": 3"#, r#"\"stock\": 7"#);
        assert_eq!(String::from_utf8_lossy(&sent[3]), then, "but for the edit, the bytes that were recorded");
        assert!(!ran.err.contains("repaired"), "{}", ran.err);
    }
}

#[test]
fn a_system_edit_leaves_signed_history_alone() {
    let lamp = lamp("0");
    let (ran, live) = lamp.fork(&["--set", "3..:system+=Be brief."], 0);
    assert_eq!(reasoning(&live[0]), thoughts(&[("claude-small", 0)]));
    assert_eq!(reasoning(&live[1]), thoughts(&[("claude-small", 0), ("claude-small", 1)]));
    assert!(live.iter().all(|b| b["thinking"]["type"] == "enabled"));
    assert!(!ran.err.contains("repaired"), "{}", ran.err);
}

#[test]
fn another_model_from_a_step_on_does_not_get_what_the_old_one_signed() {
    for stream in ["0", "1"] {
        let lamp = lamp(stream);
        let (ran, live) = lamp.fork(&["--set", "3..:model=claude-big"], 0);
        assert_eq!(live.len(), 2, "{}", ran.err);
        for body in &live {
            assert!(reasoning(body).is_empty() && !would_be_refused(body), "{body:#}");
            assert_eq!(body["model"], "claude-big");
        }
        assert!(
            ran.err.contains("repaired: 2 signed reasoning blocks of another model left out"),
            "{}",
            ran.err
        );
        assert!(ran.err.contains("thinking is off"), "{}", ran.err);
    }
}

#[test]
fn another_model_everywhere_keeps_what_it_signed_itself() {
    let lamp = lamp("0");
    let (ran, live) = lamp.fork(&["--set", "*:model=claude-big"], 0);
    assert_eq!(live.len(), 3);
    assert_eq!(reasoning(&live[2]), thoughts(&[("claude-big", 0), ("claude-big", 1)]), "{}", ran.err);
    assert!(live.iter().all(|b| b["thinking"]["type"] == "enabled"), "{live:#?}");
    assert!(!ran.err.contains("repaired"), "{}", ran.err);
}

#[test]
fn an_edited_answer_without_its_reasoning_is_not_refused() {
    for stream in ["0", "1"] {
        let lamp = lamp(stream);
        let (ran, live) = lamp.fork(&["--set", "1:answer~=/desk/floor/"], 0);
        assert_eq!(live.len(), 2, "{}", ran.err);
        for body in &live {
            assert!(!would_be_refused(body), "{body:#}");
        }
        assert_eq!(live[0]["messages"][1]["content"][1]["input"], json!({"item": "floor"}));
        assert!(ran.err.contains("repaired: 2 signed reasoning blocks of step 1 left out"), "{}", ran.err);
        assert!(ran.err.contains("thinking is off"), "{}", ran.err);
        // Edited in the middle of a turn that begins with thinking: nothing would be refused.
        let (ran, live) = lamp.fork(&["--set", "3:answer~=/desk/floor/"], 0);
        assert_eq!(live.len(), 1, "{}", ran.err);
        assert_eq!(reasoning(&live[0]), thoughts(&[("claude-small", 0)]));
        assert_eq!(live[0]["thinking"]["type"], "enabled");
    }
}

#[test]
fn a_fork_of_a_fork_is_repaired_in_the_same_way() {
    let lamp = lamp("0");
    lamp.fork(&["--set", "3..:model=claude-big"], 0);
    let before = lamp.model.bodies().len();
    let ran = lamp.env.retake(["fork", "lamp.2", "--set", "4:result.eur=1"]).expect(0);
    let live = lamp.model.since(before);
    assert_eq!(live.len(), 1, "{}", ran.err);
    assert_eq!(live[0]["model"], "claude-big");
    assert!(reasoning(&live[0]).is_empty() && !would_be_refused(&live[0]), "{:#}", live[0]);
}
