//! Conversations of every kind, and broken ones.

use crate::import::{Foreign, Kind, Use, read};
use crate::run::{Outline, lanes};
use proptest::prelude::*;
use serde_json::json;

fn runs(text: &str) -> Vec<Foreign> {
    read(Kind::Messages, "log", text.as_bytes()).expect("conversations")
}

fn outline(run: &Foreign) -> Outline {
    let outline = lanes::outline(&run.exchanges);
    assert!(outline.others.is_empty(), "{:?}", outline.others);
    outline
}

const TRIALS: &str = include_str!("../../../fixtures/import/tau-bench-airline/trials.jsonl");

#[test]
fn a_trajectory_is_one_lane_with_its_calls_and_results() {
    let runs = runs(TRIALS);
    assert_eq!(runs.len(), 12);
    for (run, line) in runs.iter().zip(TRIALS.lines()) {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let messages = line["traj"].as_array().unwrap();
        let outline = outline(run);
        assert_eq!(outline.lanes.len(), 1, "{:?}", run.labels);
        let turns = &outline.lanes[0].turns;
        assert_eq!(turns.len(), messages.iter().filter(|m| m["role"] == "assistant").count());
        let calls = messages.iter().flat_map(|m| m["tool_calls"].as_array().into_iter().flatten());
        let made = turns.iter().flat_map(|t| &t.calls);
        assert_eq!(made.clone().count(), calls.clone().count());
        for (made, call) in made.zip(calls) {
            assert_eq!(
                (json!(made.id), json!(made.name)),
                (call["id"].clone(), call["function"]["name"].clone())
            );
        }
        // What a trial ends with was sent to nobody any more.
        let results = messages.iter().rposition(|m| m["role"] == "assistant").map(|last| &messages[..last]);
        let results = results.unwrap_or_default().iter().filter(|m| m["role"] == "tool").count();
        assert_eq!(turns.iter().flat_map(|t| &t.calls).filter(|c| c.result.is_some()).count(), results);
        let ends_late = messages.last().is_some_and(|m| m["role"] != "assistant");
        assert_eq!(run.lacks.iter().any(|lack| lack.what.contains("behind the last answer")), ends_late);
        assert_eq!(run.labels["reward"], line["reward"].to_string());
        assert_eq!(run.succeeded, Some(line["reward"] == 1.0));
        assert_eq!(run.name, format!("log-{}", line["task_id"]));
        assert_eq!((run.started_us, outline.usage()), (None, Default::default()));
        assert_eq!(run.uses(), [Use::View, Use::Diff].into());
    }
}

#[test]
fn every_shape_of_a_file_is_read() {
    let message = |role: &str, text: &str| json!({"role": role, "content": text});
    let one = json!([message("user", "hi"), message("assistant", "hello"), message("user", "bye")]);
    let tuning = json!({"messages": one, "tools": [{"type": "function", "function": {"name": "f"}}]});
    let files = [
        (one.to_string(), 1),
        (format!("\u{feff}{one}\n\n{one}\n"), 2),
        (tuning.to_string(), 1),
        (format!("{tuning}\n{tuning}\n{tuning}"), 3),
        (serde_json::to_string_pretty(&json!([tuning, one])).unwrap(), 2),
        (json!({"traj": one, "task_id": 7, "trial": 1}).to_string(), 1),
    ];
    for (file, count) in files {
        let runs = runs(&file);
        assert_eq!(runs.len(), count, "{file}");
        for run in &runs {
            let outline = outline(run);
            assert_eq!(outline.lanes[0].turns.len(), 1);
            assert_eq!((outline.lanes[0].turns[0].text.as_str(), run.succeeded), ("hello", None));
        }
    }
}

#[test]
fn a_simulation_has_tokens_and_times_and_no_tools_of_its_user() {
    let file = json!({
    "info": {"agent_info": {"llm": "gpt-4.1"}, "environment_info": {"domain_name": "telecom", "policy": "p"}},
    "simulations": [{"id": "s", "task_id": "13", "trial": 0, "start_time": "2025-08-01T16:20:44.321269",
        "reward_info": {"reward": 0.0}, "messages": [
            {"role": "assistant", "content": "Hi!", "tool_calls": null, "timestamp": "2025-08-01T16:20:44.335657"},
            {"role": "user", "content": "look", "timestamp": "2025-08-01T16:20:45"},
            {"role": "user", "content": null, "tool_calls": [{"id": "u1", "name": "toggle", "arguments": {}, "requestor": "user"}],
                "timestamp": "2025-08-01T16:20:46"},
            {"role": "tool", "id": "u1", "content": "on", "requestor": "user", "timestamp": "2025-08-01T16:20:47"},
            {"role": "assistant", "content": null, "timestamp": "2025-08-01T16:20:48", "usage": {"prompt_tokens": 30, "completion_tokens": 4},
                "tool_calls": [{"id": "c1", "name": "find", "arguments": {"n": 1.50, "big": 12345678901234567890123_u128 as f64}, "requestor": "assistant"}],
                "raw_data": {"finish_reason": "tool_calls"}},
            {"role": "tool", "id": "c1", "content": "{\"a\":1}", "requestor": "assistant", "timestamp": "2025-08-01T16:20:49"},
            {"role": "assistant", "content": "Done", "timestamp": "2025-08-01T16:20:51"},
        ]}]});
    let runs = runs(&file.to_string());
    let run = &runs[0];
    let outline = outline(run);
    let turns = &outline.lanes[0].turns;
    assert_eq!((outline.lanes.len(), turns.len()), (1, 2));
    assert_eq!(turns[0].usage.map(|u| (u.input, u.output)), Some((30, 4)));
    assert_eq!(turns[1].usage, None);
    assert_eq!(
        (turns[0].messages, turns[0].calls[0].name.as_str(), turns[0].model.as_str()),
        (2, "find", "gpt-4.1")
    );
    assert_eq!(turns[0].calls[0].args["n"], 1.5);
    assert_eq!(turns[0].calls[0].result.as_ref().map(|r| r.text.as_str()), Some("{\"a\":1}"));
    assert_eq!(run.started_us, Some(1_754_065_244_321_269));
    assert_eq!(turns[0].ended_us - turns[0].started_us, 3_000_000);
    assert_eq!((run.succeeded, run.labels["domain"].as_str()), (Some(false), "telecom"));
}

#[test]
fn what_has_no_time_stands_where_it_was_said() {
    let message = |role: &str, time: Option<&str>| json!({"role": role, "content": "x", "timestamp": time});
    let messages = json!([
        message("user", None),
        message("assistant", None),
        message("user", Some("2025-08-01T00:00:01")),
        message("assistant", Some("2025-08-01T00:00:02")),
        message("user", None),
        message("assistant", Some("2025-08-01T00:00:09")),
    ]);
    let file = json!({"simulations": [{"start_time": "2025-08-01T00:00:00", "messages": messages}]});
    let run = &runs(&file.to_string())[0];
    let second = 1_754_006_400_000_000 + 1_000_000;
    let starts: Vec<u64> = run.exchanges.iter().map(|exchange| exchange.request.started_us).collect();
    assert_eq!(starts, [second - 1, second, second + 1_000_000]);
    let took: Vec<Option<u64>> = outline(run).lanes[0].turns.iter().map(|turn| turn.took_us()).collect();
    assert_eq!(took, [None, Some(1_000_000), None]);
    assert!(
        run.lacks.iter().any(|lack| lack.what == "messages[].timestamp of some of them"),
        "{:?}",
        run.lacks
    );
}

#[test]
fn errors_say_where() {
    let fails = |text: &str| read(Kind::Messages, "log", text.as_bytes()).unwrap_err().what;
    let good = r#"{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}"#;
    assert_eq!(fails(&format!("{good}\n\n{{\"x\":1}}")), "line 3: no \"messages\" and no \"traj\" in it");
    assert!(fails(&format!("{good}\n{good}\n{{\"mess")).starts_with("line 3: "));
    assert!(fails("\n\nnothing").contains("line 3"));
    assert_eq!(
        fails(r#"[{"messages":[{"role":"user"}]},{"messages":[7]}]"#),
        "element 1: message 0 has no \"role\""
    );
    assert!(fails(r#"{"simulations":[{"messages":[{}]}]}"#).starts_with("simulation 0: message 0"));
    assert_eq!(fails("[]"), "it holds no conversation");
    assert_eq!(fails(""), fails(" "));
}

#[test]
fn a_conversation_without_an_answer_is_good_for_nothing_and_says_why() {
    let run = &runs(r#"{"messages":[{"role":"assistant","content":"Hi"},{"role":"user","content":"a"}]}"#)[0];
    assert!(run.exchanges.is_empty() && run.uses().is_empty());
    assert!(run.lacks.iter().any(|lack| lack.what.contains("assistant")));
}

#[test]
fn a_small_file_that_stands_for_a_huge_run_is_refused() {
    let turn = r#"{"role":"assistant","content":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}"#;
    let file = format!("[{}]", vec![turn; 6000].join(","));
    let what = read(Kind::Messages, "log", file.as_bytes()).unwrap_err().what;
    assert!(what.contains("512 MB"), "{what}");
}

proptest! {
    #[test]
    fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = read(Kind::Messages, "log", &bytes);
    }

    #[test]
    fn damage_never_panics(at in 0usize..20_000, with in any::<u8>(), cut in 0usize..20_000) {
        let mut bytes = TRIALS.lines().next().unwrap_or_default().as_bytes().to_vec();
        let at = at % bytes.len();
        bytes[at] = with;
        for run in read(Kind::Messages, "log", &bytes).into_iter().flatten() {
            lanes::outline(&run.exchanges);
        }
        bytes.truncate(cut);
        let _ = read(Kind::Messages, "log", &bytes);
    }
}
