//! Tool results that come out differently: what the model is sent then, and what is said of it.

use crate::support::env::{Ran, TestEnv, project};
use crate::support::upstream::{FakeUpstream, Received, Script};
use serde_json::{Value, json};

/// Looks (2), asks for load (4), id (5) and quote (6), then for the load (8) again, and says what it saw (9).
fn answer(request: &Received) -> Script {
    let body: Value = serde_json::from_slice(&request.body).expect("JSON");
    let results = results(&body);
    let amount = results.first().map_or(Value::Null, |look| look["amount"].clone());
    let (text, calls) = match results.len() {
        0 => ("Let me look.".to_string(), vec!["look"]),
        1 => (format!("The amount is {amount}."), vec!["lookup_load", "make_id", "quote"]),
        4 => ("And now?".to_string(), vec!["lookup_load"]),
        5 if body["messages"][0]["content"] == "mail" => ("Tell them.".to_string(), vec!["send_mail"]),
        _ => (format!("It was {amount}."), vec![]),
    };
    let call = |(n, name): (usize, &&str)| json!({"id": format!("c{}_{n}", results.len()), "type": "function", "function": {"name": name, "arguments": "{}"}});
    let calls: Vec<Value> = calls.iter().enumerate().map(call).collect();
    let mut message = json!({"role": "assistant", "content": text});
    if !calls.is_empty() {
        message["tool_calls"] = calls.into();
    }
    Script::json(&json!({"id": "x", "object": "chat.completion", "model": body["model"], "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}).to_string())
}

fn results(body: &Value) -> Vec<Value> {
    let messages = body["messages"].as_array().expect("messages");
    let results = messages.iter().filter(|m| m["role"] == "tool").map(|m| m["content"].as_str());
    results.map(|text| serde_json::from_str(text.expect("text")).expect("JSON")).collect()
}

/// `clerk.1`, recorded.
struct Clerk {
    env: TestEnv,
    model: FakeUpstream,
}

impl Clerk {
    fn recorded(task: &str) -> Clerk {
        let model = FakeUpstream::reading(|_, request| answer(request));
        let mut env = TestEnv::new();
        env.upstream(&model.origin());
        let agent = std::fs::read_to_string(project().join("tests/it/agents/clerk.py")).expect("the agent");
        env.file("clerk.py", &agent);
        env.retake(["run", "--name", "clerk", "--", "python3", "clerk.py", task]).expect(0);
        let clerk = Clerk { env, model };
        clerk.ran();
        clerk
    }

    /// The results in the last request that the model got, and those in the last one of the recording.
    fn sent(&self) -> Vec<Value> {
        let last = self.model.received().pop().expect("requests");
        results(&serde_json::from_slice(&last.body).expect("JSON"))
    }

    /// The tools that ran since this was asked last.
    fn ran(&self) -> Vec<String> {
        let path = self.env.work().join("ran.log");
        let ran = std::fs::read_to_string(&path).unwrap_or_default();
        let _ = std::fs::remove_file(path);
        ran.lines().map(str::to_string).collect()
    }

    #[track_caller]
    fn retake(&self, args: &[&str], code: i32) -> Ran {
        self.env.retake(args).expect(code)
    }
}

/// What a person reads, without what differs from run to run.
fn told(ran: &Ran) -> String {
    let filters = [
        (r"\d+(\.\d+)? ?(ms|s)\b", "[time]"),
        (r"127\.0\.0\.1:\d+", "127.0.0.1:[port]"),
        (r"~\d+ tokens", "~[n] tokens"),
        (r"queue of \d+", "queue of [n]"),
        ("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "[uuid]"),
    ];
    filters.iter().fold(ran.err.clone(), |text, (pattern, with)| {
        regex::Regex::new(pattern).unwrap().replace_all(&text, *with).into_owned()
    })
}

const FORK: [&str; 4] = ["fork", "clerk.1", "--set", "2:result.amount=7"];

fn with<'a>(args: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [args, more].concat()
}

#[test]
fn a_replay_tells_of_them_by_tool_and_field() {
    let clerk = Clerk::recorded("work");
    let replay = clerk.retake(&["replay", "clerk.1"], 0);
    insta::assert_snapshot!("replay", told(&replay));
    let data = clerk.retake(&["replay", "clerk.1", "--json"], 0).json();
    let pinned = &data["replay"]["pinned"];
    assert_eq!(pinned[0]["tool"], "lookup_load", "{pinned:#}");
    assert_eq!((&pinned[0]["calls"], &pinned[0]["steps"]), (&json!(2), &json!([4, 8])));
    assert_eq!(
        (&pinned[0]["fields"][0]["path"], &pinned[0]["fields"][0]["varies"]),
        (&json!("load"), &Value::Null)
    );
    assert_eq!((&pinned[1]["tool"], &pinned[1]["fields"][0]["varies"]), (&json!("make_id"), &json!("id")));
    assert_eq!(pinned.as_array().map(Vec::len), Some(2));
}

#[test]
fn a_fork_sends_what_varies_as_recorded_and_what_the_edit_changed_as_it_is() {
    let clerk = Clerk::recorded("work");
    let recorded = clerk.sent();
    let fork = clerk.retake(&FORK, 0);
    insta::assert_snapshot!("fork", told(&fork));
    let sent = clerk.sent();
    assert_eq!(sent[0]["amount"], 7);
    assert_eq!(sent[1], recorded[1], "the load as recorded");
    assert_ne!(sent[2], recorded[2], "the id is that of today: it is a name, and bound");
    assert_eq!(sent[3]["said"], "The amount is 7.", "what depends on the edit as it is");
    assert_ne!(sent[4], recorded[4], "the load again, after a tool of unknown class did something else");
    assert_eq!(clerk.ran().len(), 10, "the control replay runs the tools too");
    let data = clerk.retake(&with(&FORK, &["--json"]), 0).json();
    assert_eq!(data["control"]["varying"], json!({"lookup_load": 2, "make_id": 1}), "{:#}", data["control"]);
    let (pinned, as_is) = (&data["fork"]["pinned"], &data["fork"]["sent_as_is"]);
    assert_eq!((&pinned[0]["steps"], &pinned[1]["steps"]), (&json!([4]), &json!([5])), "{pinned:#}");
    assert_eq!((&as_is["by_edit"][0]["tool"], &as_is["by_edit"][0]["steps"]), (&json!("quote"), &json!([6])));
    assert_eq!(as_is["after_write"][0]["steps"], json!([8]), "{as_is:#}");
}

#[test]
fn an_edit_that_changes_no_result_pins_all_that_varies() {
    let clerk = Clerk::recorded("work");
    let recorded = clerk.sent();
    let before = clerk.model.received().len();
    let fork = clerk.retake(&["fork", "clerk.1", "--set", "*:model=big"], 0);
    assert_eq!(clerk.model.received().len() - before, 4, "{}", fork.err);
    let sent = clerk.sent();
    assert!([0, 1, 3].iter().all(|at| sent[*at] == recorded[*at]), "{}", fork.err);
    assert_eq!(sent[4]["load"], recorded[4]["load"], "{}", fork.err);
    assert_ne!(sent[2], recorded[2]);
    assert_eq!(sent[4]["of"], sent[2]["id"], "the recorded result speaks of today's id");
    fork.says(&[
        "pinned 2 tool results: 2 calls of lookup_load, steps 4, 8",
        "ids and clocks of today, sent as they are: 1 tool result: step 5 make_id (id differs: id)",
    ]);
}

#[test]
fn what_a_replay_showed_spares_the_control_replay() {
    let clerk = Clerk::recorded("work");
    let recorded = clerk.sent();
    clerk.retake(&["replay", "clerk.1"], 0);
    clerk.ran();
    let fork = clerk.retake(&FORK, 0);
    fork.says(&[
        "control replay, kept from just now: 3 tool results vary by themselves (lookup_load x2, make_id)",
    ]);
    assert_eq!((clerk.ran().len(), &clerk.sent()[1]), (5, &recorded[1]));
    let forced = clerk.retake(&with(&FORK, &["--control"]), 0);
    forced.says(&[
        "control replay: 3 tool results vary by themselves (lookup_load x2, make_id); ran for real for it:",
    ]);
    assert_eq!(clerk.ran().len(), 10);
    // A file that nobody can read is none.
    for damaged in ["{", r#"{"version":2,"made_us":1,"steps":9,"varying":[]}"#] {
        std::fs::write(clerk.env.store().join("runs/clerk.1/noise.json"), damaged).expect("write");
        clerk.retake(&FORK, 0).says(&["control replay: 3 tool results"]);
    }
}

#[test]
fn without_a_control_replay_nothing_is_pinned_after_the_edit() {
    let clerk = Clerk::recorded("work");
    let recorded = clerk.sent();
    clerk.ran();
    let fork = clerk.retake(&with(&FORK, &["--no-control"]), 0);
    insta::assert_snapshot!("no_control", told(&fork));
    let sent = clerk.sent();
    assert!(sent[1] != recorded[1] && sent[2] != recorded[2] && sent[0]["amount"] == 7);
    assert_eq!(clerk.ran().len(), 5);
}

#[test]
fn unpin_makes_drift_of_it_and_sends_it_as_it_is() {
    let clerk = Clerk::recorded("work");
    let recorded = clerk.sent();
    let replay = clerk.retake(&["replay", "clerk.1", "--unpin"], 4);
    replay.says(&["a tool result differs, and it is not to be pinned (--unpin)", "result"]);
    clerk.retake(&["replay", "clerk.1", "--unpin", "lookup_load"], 4);
    // An id that is another today is bound, and needs no pin.
    clerk.retake(&["replay", "clerk.1", "--unpin", "make_id"], 0);
    clerk.retake(&["replay", "clerk.1", "--unpin", "quote"], 0);
    clerk.retake(&["replay", "clerk.1", "--unpin", "make_ib"], 64).says(&["did you mean --unpin make_id?"]);
    let fork = clerk.retake(&with(&FORK, &["--unpin", "lookup_load"]), 0);
    assert!(clerk.sent()[1] != recorded[1], "{}", fork.err);
    fork.says(&["not pinned, as asked (--unpin), sent as they are (2): 2 calls of lookup_load"]);
    clerk.retake(&with(&FORK, &["--unpin"]), 0);
    let sent = clerk.sent();
    assert!((1..5).all(|at| sent[at] != recorded[at]), "{sent:?}");
}

#[test]
fn a_control_replay_never_runs_what_may_do_harm() {
    let clerk = Clerk::recorded("mail");
    let fork = clerk.retake(&FORK, 0);
    fork.says(&["control replay: 3 tool results vary by themselves", "it stopped before send_mail"]);
    let mails = clerk.ran().iter().filter(|tool| *tool == "send_mail").count();
    assert_eq!(mails, 1, "only the fork sends one: {}", fork.err);
    // From step 9 on there is only the mail left to learn of.
    std::fs::remove_file(clerk.env.store().join("runs/clerk.1/noise.json")).unwrap_or_default();
    let late = clerk.retake(&["fork", "clerk.1", "--set", "9:model=big"], 0);
    assert!(!late.err.contains("control replay"), "{}", late.err);
    let asked = clerk.retake(&with(&FORK, &["--control", "--fence", "send_mail"]), 5);
    asked.says(&["it stopped before send_mail"]);
    assert!(clerk.ran().iter().filter(|tool| *tool == "send_mail").count() <= 1);
}

#[test]
fn a_control_replay_that_misses_pins_nothing() {
    let clerk = Clerk::recorded("work");
    let fork = clerk.retake(&with(&FORK, &["--", "python3", "clerk.py", "rest"]), 2);
    fork.says(&["control replay: it missed (", "so nothing is pinned after the edit"]);
    // Another agent from the first request on: there is no such step to edit.
    fork.says(&["the edit of step", "was not applied"]);
    assert!(!clerk.env.store().join("runs/clerk.1/noise.json").exists());
}
