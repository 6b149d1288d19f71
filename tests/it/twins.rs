//! Conversations that begin alike and have changed places from one run to the next: they are no difference.

use crate::support::env::{TestEnv, project};
use crate::support::upstream::{FakeUpstream, Received, Script};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Chooses one lamp after the other, and stays with it.
fn answer(votes: &AtomicUsize, received: &Received) -> Script {
    let body: Value = serde_json::from_slice(&received.body).expect("JSON");
    let messages = body["messages"].as_array().expect("messages");
    let last = messages.last().and_then(|m| m["content"].as_str()).expect("a text");
    let said = match last {
        "Vote on a lamp." => ["I choose the red lamp.", "I choose the blue lamp."]
            [votes.fetch_add(1, Ordering::Relaxed) % 2]
            .into(),
        "Are you sure?" => format!("Yes. {}", messages[1]["content"].as_str().expect("a text")),
        _ => format!("Done. {last}"),
    };
    let message = json!({"role": "assistant", "content": said});
    let choice = json!({"index": 0, "message": message, "finish_reason": "stop"});
    Script::json(
        &json!({"id": "c", "object": "chat.completion", "model": "small", "choices": [choice]}).to_string(),
    )
}

/// Two runs in which the twins were answered the other way round.
fn exchanged(sorted: bool) -> (TestEnv, FakeUpstream) {
    let votes = Arc::new(AtomicUsize::new(0));
    let count = votes.clone();
    let model = FakeUpstream::reading(move |_, received| answer(&count, received));
    let mut env = TestEnv::new();
    env.upstream(&model.origin());
    if sorted {
        env.set("SORTED", "1");
    }
    let agent = project().join("tests/it/agents/twins.py").display().to_string();
    for first in [0, 1] {
        votes.store(first, Ordering::Relaxed);
        env.retake(["run", "--name", "t", "--", "python3", &agent]).expect(0);
    }
    (env, model)
}

#[test]
fn twins_that_changed_places_are_the_same() {
    let (env, _model) = exchanged(true);
    let diff = env.retake(["diff", "t.1", "t.2", "--json"]).expect(0).json();
    let rows = diff["rows"].as_array().expect("rows");
    assert!(rows.iter().all(|row| row["status"] == "same"), "{diff}");
}

#[test]
fn what_quotes_them_in_another_order_is_all_that_differs() {
    let (env, _model) = exchanged(false);
    let told = env.retake(["diff", "t.1", "t.2"]).expect(1);
    assert!(!told.out.contains("(none)"), "{}", told.out);
    let diff = env.retake(["diff", "t.1", "t.2", "--json"]).expect(1).json();
    let rows = diff["rows"].as_array().expect("rows");
    let changed: Vec<&Value> = rows.iter().filter(|row| row["status"] != "same").collect();
    assert_eq!(changed.len(), 1, "{diff}");
    assert_eq!(changed[0]["left"], 5, "{diff}");
}

#[test]
fn an_edit_is_not_blamed_for_twins_that_changed_places() {
    let (env, _model) = exchanged(true);
    let agent = project().join("tests/it/agents/twins.py").display().to_string();
    // Everything is asked again, and the votes come the other way round.
    env.retake(["fork", "t.1", "--set", "*:temperature=0", "--no-control", "--", "python3", &agent])
        .expect(0);
    let told = env.retake(["diff", "t.1", "t.3"]).all();
    assert!(told.contains("the same actions, the same outcome") && !told.contains("changed"), "{told}");
    let diff = env.retake(["diff", "t.1", "t.3", "--json"]).out;
    let diff: Value = serde_json::from_str(&diff).expect("JSON");
    let rows = diff["rows"].as_array().expect("rows");
    assert!(rows.iter().all(|row| row["status"] == "same"), "{diff}");
}
