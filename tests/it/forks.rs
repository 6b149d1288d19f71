//! Forks from the outside: what goes upstream again, with which bytes, and what the agent makes of it.

use crate::support::lamp_model::{LampModel, Recorded, record};
use crate::support::upstream::{Act, Script};
use serde_json::{Value, json};

/// The lamp agent: look (1, 2), price (3, 4), answer (5).
fn lamp(vars: &[(&str, &str)]) -> Recorded {
    let recorded = record(LampModel::start(), "Look for: desk", vars);
    assert_eq!(recorded.asked, 3);
    recorded
}

/// Texts of the tool results in a request of either dialect.
fn results(body: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for message in body["messages"].as_array().into_iter().flatten() {
        if message["role"] == "tool" {
            found.extend(message["content"].as_str().map(str::to_string));
        }
        for block in message["content"].as_array().into_iter().flatten() {
            found.extend(block["content"].as_str().map(str::to_string));
        }
    }
    found
}

/// Every provider, streamed and not.
fn kinds(check: impl Fn(&[(&str, &str)])) {
    for provider in ["openai", "anthropic"] {
        for stream in ["0", "1"] {
            check(&[("PROVIDER", provider), ("STREAM", stream)]);
        }
    }
}

#[test]
fn an_edited_result_is_in_every_later_request() {
    kinds(|vars| {
        let lamp = lamp(vars);
        let (ran, live) = lamp.fork(&["--set", "2:result.stock=7"], 0);
        assert!(ran.out.starts_with("7 of desk for 20 ("), "{}", ran.all());
        assert_eq!(live.len(), 2, "{}", ran.err);
        assert_eq!(results(&live[0]), [r#"{"item": "desk", "stock": 7}"#]);
        assert_eq!(results(&live[1]), [r#"{"item": "desk", "stock": 7}"#, r#"{"item": "desk", "eur": 20}"#]);
        assert!(ran.err.contains("lamp.2   5 steps (3 model: 1 recorded, 2 live; 2 tool)"), "{}", ran.err);

        let before = lamp.model.connections();
        let again = lamp.env.retake(["replay", "lamp.2"]).expect(0);
        assert_eq!((again.out, lamp.model.connections()), (ran.out, before), "a fork replays offline");
    });
}

#[test]
fn an_edit_of_the_last_result_asks_one_call() {
    let lamp = lamp(&[]);
    let (ran, live) = lamp.fork(&["--set", "4:result~=/20/25/"], 0);
    assert!(ran.out.starts_with("3 of desk for 25 ("), "{}", ran.all());
    assert_eq!(live.len(), 1);
    let shown = lamp.env.retake(["show", "lamp.2", "--json"]).expect(0).json();
    let parent = &shown["manifest"]["parent"];
    assert_eq!(parent["at_step"], 4, "without --at a fork begins at the first edited step: {parent}");
    assert_eq!(parent["edits"], json!(["4:result~=/20/25/"]));
}

#[test]
fn a_fork_of_a_fork() {
    let lamp = lamp(&[]);
    lamp.fork(&["--set", "2:result.stock=7"], 0);
    let before = lamp.model.bodies().len();
    let ran = lamp.env.retake(["fork", "lamp.2", "--set", "4:result.eur=1"]).expect(0);
    let live = lamp.model.since(before);
    assert!(ran.out.starts_with("7 of desk for 1 ("), "{}", ran.all());
    assert_eq!(live.len(), 1);
    assert_eq!(
        results(&live[0]),
        [r#"{"item": "desk", "stock": 7}"#, r#"{"item": "desk", "eur": 1}"#],
        "the edit of the parent stays"
    );
    let before = lamp.model.connections();
    let again = lamp.env.retake(["replay", "lamp.3"]).expect(0);
    assert_eq!((again.out, lamp.model.connections()), (ran.out, before));
}

#[test]
fn a_system_edit_is_applied_once() {
    kinds(|vars| {
        let lamp = lamp(vars);
        let (ran, live) = lamp.fork(&["--set", "1..:system+=Be brief."], 0);
        assert!(ran.out.ends_with("You sell lamps.\nBe brief.)\n"), "{}", ran.all());
        assert_eq!(live.len(), 3);
        for body in &live {
            assert_eq!(body.to_string().matches("Be brief.").count(), 1, "{body:#}");
        }
        // The fork's agent does not know of the edit: the next fork does not see it twice either.
        let before = lamp.model.bodies().len();
        lamp.env.retake(["fork", "lamp.2", "--set", "4:result.eur=1"]).expect(0);
        let live = lamp.model.since(before);
        assert_eq!(live.len(), 1);
        assert_eq!(
            live[0].to_string().matches("Be brief.").count(),
            1,
            "the parent's edit stays: {:#}",
            live[0]
        );
    });
}

#[test]
fn another_model_everywhere_and_from_a_step_on() {
    kinds(|vars| {
        let lamp = lamp(vars);
        let models = |live: &[Value]| live.iter().map(|b| b["model"].to_string()).collect::<Vec<_>>();
        let (ran, live) = lamp.fork(&["--set", "*:model=big"], 0);
        assert_eq!(models(&live), [r#""big""#; 3], "{}", ran.err);
        assert_eq!(ran.out, "3 of desk for 20 (big; You sell lamps.)\n");
        let (ran, live) = lamp.fork(&["--set", "3..:model=big"], 0);
        assert_eq!(models(&live), [r#""big""#; 2], "{}", ran.err);
        assert!(ran.err.contains("(3 model: 1 recorded, 2 live; 2 tool)"), "{}", ran.err);
        let (ran, live) = lamp.fork(&["--set", "4..:model=big", "--set", "5:temperature=0"], 0);
        assert_eq!(models(&live), [r#""big""#], "step 4 is a tool step: the next model step is 5");
        assert_eq!(ran.out, "3 of desk for 20 (big at 0; You sell lamps.)\n");
    });
}

#[test]
fn after_a_step_that_is_answered_as_recorded_all_is_as_recorded() {
    kinds(|vars| {
        let lamp = lamp(vars);
        // Step 3 asks for a tool whatever the temperature is: nothing depends on the edit.
        let (ran, live) = lamp.fork(&["--set", "3:temperature=0"], 0);
        assert_eq!((ran.out.as_str(), live.len()), (lamp.ran.out.as_str(), 1), "{}", ran.err);
        assert!(ran.err.contains("(3 model: 2 recorded, 1 live; 2 tool)"), "{}", ran.err);
    });
}

#[test]
fn a_fork_keeps_the_variables_that_it_ran_with() {
    let mut lamp = record(LampModel::start(), "Look for: desk", &[("TRIES", "2")]);
    lamp.env.unset("TRIES");
    lamp.fork(&["--set", "3:temperature=0"], 0);
    let fork = lamp.env.retake(["show", "lamp.2", "--json"]).expect(0).json();
    assert_eq!(fork["manifest"]["environment"]["TRIES"], "2", "{fork}");
    lamp.env.retake(["replay", "lamp.2"]).expect(0);
}

#[test]
fn an_edited_answer_steers_the_agent() {
    kinds(|vars| {
        let lamp = lamp(vars);
        // Text instead of a call: the agent is done.
        let (ran, live) = lamp.fork(&["--set", r#"3:answer="I would rather not.""#], 0);
        assert_eq!((ran.out.as_str(), live.len()), ("I would rather not.\n", 0), "{}", ran.err);
        assert!(ran.err.contains("lamp.2   3 steps (2 model: 1 recorded, 1 edited; 1 tool)"), "{}", ran.err);
        // Another call: the agent runs another tool, and the model is asked with that.
        let calls = r#"3:answer={"calls":[{"name":"order","args":{"item":"wall"}}]}"#;
        let (ran, live) = lamp.fork(&["--set", calls], 0);
        assert_eq!(live.len(), 1, "{}", ran.err);
        assert_eq!(results(&live[0])[1], r#"{"ordered": "wall"}"#);
        assert!(ran.err.contains("ran for real in your process: look, order"), "{}", ran.err);
        // Other arguments for the same call.
        let (ran, live) = lamp.fork(&["--set", "1:answer~=/desk/floor/"], 0);
        assert!(ran.out.starts_with("3 of floor for 20 ("), "{}", ran.all());
        assert_eq!(live.len(), 2);
        for run in ["lamp.2", "lamp.3", "lamp.4"] {
            let before = lamp.model.connections();
            lamp.env.retake(["replay", run]).expect(0);
            assert_eq!(lamp.model.connections(), before);
        }
    });
}

#[test]
fn lanes_that_an_edit_does_not_touch_keep_their_answers() {
    for seed in ["1", "2", "5"] {
        let mut lamp = record(LampModel::start(), "lanes", &[("SEED", seed)]);
        assert_eq!(lamp.asked, 10);
        let shown = lamp.env.retake(["show", "lamp.1", "--json"]).expect(0).json();
        let steps = shown["steps"].as_array().expect("steps");
        let looks = |s: &&Value| s["tool"] == "look" && s["act"].to_string().contains("floor");
        let step = &steps.iter().find(looks).expect("the floor lane looks")["step"];
        for other in ["3", "4", "7"] {
            lamp.env.set("SEED", other);
            let edit = format!("{step}:result.stock=9");
            let (ran, live) = lamp.fork_today("lanes", &["--set", &edit], 0);
            assert_eq!(live.len(), 3, "two turns of the lane and the join: {}", ran.all());
            let said = ["3 of desk", "9 of floor", "3 of wall"];
            assert!(said.iter().all(|part| ran.out.contains(part)), "{}", ran.out);
            let join = live.last().expect("three").to_string();
            assert!(join.contains("Sum up") && join.contains("9 of floor"), "{join}");
            assert!(live[..2].iter().all(|b| b.to_string().contains("Look for one: floor")), "{live:#?}");
        }
    }
}

#[test]
fn the_limit_of_live_calls_stops_before_the_next() {
    let lamp = lamp(&[]);
    let (ran, live) = lamp.fork(&["--set", "2:result.stock=7", "--max-live", "1"], 2);
    assert_eq!(live.len(), 1, "{}", ran.err);
    assert!(ran.err.contains("stopped at the limit of 1 live call (--max-live)"), "{}", ran.err);
    let shown = lamp.env.retake(["show", "lamp.2"]).expect(0);
    assert!(shown.out.contains("price"), "what was paid for is kept: {}", shown.out);
    let (ran, live) = lamp.fork(&["--set", "2:result.stock=7", "--max-live", "0"], 2);
    assert_eq!(live.len(), 0, "{}", ran.err);
    let (ran, live) = lamp.fork(&["--set", "2:result.stock=7", "--max-live", "2"], 0);
    assert_eq!(live.len(), 2, "{}", ran.err);
}

fn overloaded() -> Script {
    Script::body(
        "429 Too Many Requests",
        &[("Content-Type", "application/json")],
        br#"{"error":{"message":"slow down","type":"rate_limit_error"}}"#,
    )
}

#[test]
fn a_failed_attempt_that_a_retry_mended_is_told_and_no_failure() {
    for failure in [overloaded(), Script::new(vec![Act::Reset])] {
        let model = LampModel::failing(move |n| (n == 3).then(|| failure.clone()));
        let lamp = record(model, "Look for: desk", &[("TRIES", "2")]);
        let (ran, live) = lamp.fork(&["--set", "2:result.stock=7"], 0);
        assert_eq!(live.len(), 3, "{}", ran.err);
        assert!(ran.out.starts_with("7 of desk"), "{}", ran.all());
        assert!(
            ran.err.contains("1 attempt of live calls failed and was made good by a retry"),
            "{}",
            ran.err
        );
        assert_eq!(results(&live[0]), results(&live[1]), "the retry carries the edit too");
        lamp.env.retake(["replay", "lamp.2"]).expect(0);
    }
}

#[test]
fn a_call_whose_last_attempt_failed_is_a_failure() {
    for failure in [overloaded(), Script::new(vec![Act::Reset])] {
        let model = LampModel::failing(move |n| (n >= 3).then(|| failure.clone()));
        let lamp = record(model, "Look for: desk", &[("TRIES", "2")]);
        let (ran, live) = lamp.fork(&["--set", "2:result.stock=7"], 2);
        assert_eq!(live.len(), 2, "{}", ran.err);
        assert!(ran.err.contains("a live call failed"), "{}", ran.err);
    }
}

#[test]
fn an_injected_fault_is_met_by_the_retry_of_the_agent() {
    for fault in ["429", "timeout", "cut:0"] {
        let lamp = record(LampModel::start(), "Look for: desk", &[("TRIES", "2")]);
        let (ran, live) = lamp.fork(&["--set", &format!("3:fault={fault}")], 0);
        assert_eq!((ran.out.as_str(), live.len()), (lamp.ran.out.as_str(), 0), "{fault}: {}", ran.err);
        assert!(ran.err.contains("(3 model: 3 recorded; 2 tool)"), "{fault}: {}", ran.err);
    }
}
