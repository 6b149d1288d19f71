//! Runs that were made in different directories, compared: what each place writes in its own way is no difference.

use crate::support::coder::Place;
use crate::support::env::{Ran, TestEnv, project, ran};
use crate::support::upstream::{FakeUpstream, Received, Script};
use serde_json::{Value, json};

/// Reads the notes, opens a ticket, closes it, and says what the notes say.
fn model(received: &Received) -> Script {
    let body: Value = serde_json::from_slice(&received.body).expect("JSON");
    let messages = body["messages"].as_array().expect("messages");
    let system = messages[0]["content"].as_str().expect("a prompt");
    let directory = system.lines().next().and_then(|l| l.strip_prefix("You work in ")).expect("a directory");
    let directory = directory.trim_end_matches('.');
    let results: Vec<&str> =
        messages.iter().filter(|m| m["role"] == "tool").filter_map(|m| m["content"].as_str()).collect();
    let field = |at: usize, name: &str| {
        let result: Value = serde_json::from_str(results[at]).expect("JSON");
        result[name].as_str().expect("a text").to_string()
    };
    let call = |name: &str, args: Value| {
        let id = format!("call_{}", results.len());
        let function = json!({"name": name, "arguments": args.to_string()});
        json!({"role": "assistant", "content": null, "tool_calls": [{"id": id, "type": "function", "function": function}]})
    };
    let message = match results.len() {
        0 => call("Read", json!({"path": format!("{directory}/notes.txt")})),
        1 => call("Open", json!({})),
        2 => call("Close", json!({"id": field(1, "ticket")})),
        _ => {
            let (text, ticket) = (field(0, "text"), field(1, "ticket"));
            json!({"role": "assistant", "content": format!("{text} Closed {ticket} in {directory}.")})
        }
    };
    Script::json(&json!({"id": "c", "object": "chat.completion", "model": "small", "choices": [{"index": 0, "message": message}]}).to_string())
}

struct Keeper {
    env: TestEnv,
    _model: FakeUpstream,
}

impl Keeper {
    fn new() -> Keeper {
        let model = FakeUpstream::reading(|_, received| model(received));
        let mut env = TestEnv::new();
        env.upstream(&model.origin());
        env.set("RETAKE_STORE", env.store().display().to_string());
        Keeper { env, _model: model }
    }

    #[track_caller]
    fn run(&self, place: &Place, args: &[&str], task: &str) -> Ran {
        let script = project().join("tests/it/agents/keeper.py").display().to_string();
        let mut command = self.env.command(args.iter().copied().chain(["--", "python3", &script]));
        command.current_dir(place.work()).env("HOME", place.home()).env("TMPDIR", place.temp());
        command.env("TASK", task);
        ran(command.output().expect("the binary runs")).expect(0)
    }

    #[track_caller]
    fn diff(&self, code: i32) -> (String, Value) {
        let told = self.env.retake(["diff", "k.1", "k.2"]).expect(code).out;
        (told, self.env.retake(["diff", "k.1", "k.2", "--json"]).expect(code).json())
    }
}

/// The status of each step, by the left run's numbers.
fn statuses(diff: &Value) -> Vec<&str> {
    diff["rows"].as_array().expect("rows").iter().filter_map(|r| r["status"].as_str()).collect()
}

#[test]
fn an_edit_is_the_cause_in_another_directory_too() {
    let keeper = Keeper::new();
    let (here, there) = (Place::new("work"), Place::new("a-longer-name"));
    keeper.run(&here, &["run", "--name", "k"], "Look.");
    let edit = "2:result.text=\"Another note.\"";
    keeper.run(&there, &["fork", "k.1", "--set", edit, "--yes"], "Look.");
    let (told, diff) = keeper.diff(1);
    assert_eq!(statuses(&diff)[..3], ["same", "changed", "same"], "{told}");
    assert_eq!(statuses(&diff)[6], "changed", "{told}");
    assert!(!statuses(&diff)[3..6].contains(&"changed"), "{told}");
    for (parting, step) in [("first", 2), ("acts", 7)] {
        assert_eq!(diff[parting]["left"], step, "{told}");
        assert_eq!(diff[parting]["cause"], json!({"cause": "edit", "edits": [edit]}), "{told}");
    }
    assert!(told.contains(&format!("why: the edit {edit}")), "{told}");
    let fields: Vec<&Value> = diff["rows"][1]["fields"]
        .as_array()
        .expect("fields")
        .iter()
        .filter(|f| f["varies"] == false)
        .collect();
    assert_eq!(fields.len(), 1, "nothing but what was edited: {fields:?}");
}

#[test]
fn runs_in_two_directories_are_the_same() {
    let keeper = Keeper::new();
    for place in [Place::new("work"), Place::new("a-longer-name")] {
        keeper.run(&place, &["run", "--name", "k"], "Look.");
    }
    let (told, diff) = keeper.diff(0);
    assert!(told.contains("the same actions, the same outcome"), "{told}");
    assert_eq!((&diff["first"], &diff["acts"]), (&Value::Null, &Value::Null), "{told}");
    assert_eq!(statuses(&diff)[0], "same", "{told}");
    assert!(statuses(&diff).iter().all(|s| ["same", "varies"].contains(s)), "{told}");
}

#[test]
fn another_task_in_another_directory_is_told() {
    let keeper = Keeper::new();
    keeper.run(&Place::new("work"), &["run", "--name", "k"], "Look.");
    keeper.run(&Place::new("a-longer-name"), &["run", "--name", "k"], "Look closely.");
    let (told, diff) = keeper.diff(0);
    assert_eq!(diff["first"]["left"], 1, "{told}");
    assert_eq!(diff["first"]["cause"]["what"], json!(["the user message [1]"]), "{told}");
}
