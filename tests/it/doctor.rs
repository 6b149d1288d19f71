//! `retake doctor`: what differs, what a replay copes with, what would go unnoticed, what depends on order.

use crate::support::env::{Ran, TestEnv, project};
use crate::support::upstream::{Act, FakeUpstream, Received, Script, head};
use crate::support::worker::Worker;
use serde_json::{Value, json};
use std::time::Duration;

/// Looks things up once, then says what it was asked. With `samples`, in other words each time.
fn model(samples: bool) -> FakeUpstream {
    FakeUpstream::reading(move |n, received| answer(n, received, samples))
}

fn answer(n: usize, received: &Received, samples: bool) -> Script {
    let request: Value = serde_json::from_slice(&received.body).expect("JSON");
    let messages = request["messages"].as_array().expect("messages");
    let last = messages.last().expect("a message");
    let text = last["content"].as_str().unwrap_or_default();
    let message = if last["role"] == "user" && text.starts_with("Look up") {
        let function = json!({"name": "look", "arguments": "{\"item\":\"lamp\"}"});
        json!({"role": "assistant", "content": null, "tool_calls": [{"id": format!("call_{n}"), "type": "function", "function": function}]})
    } else if samples {
        json!({"role": "assistant", "content": format!("Three lamps, in the words of answer {n}.")})
    } else if last["role"] == "tool" {
        json!({"role": "assistant", "content": "Three lamps."})
    } else {
        json!({"role": "assistant", "content": format!("I heard: {text}")})
    };
    let choice = json!({"index": 0, "message": message, "finish_reason": "stop"});
    let body =
        json!({"id": format!("c{n}"), "object": "chat.completion", "model": "small", "choices": [choice]});
    let body = body.to_string();
    if !text.starts_with("Vote") {
        return Script::json(&body);
    }
    // Long enough for the other vote to be asked for meanwhile.
    let length = body.len().to_string();
    let fields = [("Content-Type", "application/json"), ("Content-Length", length.as_str())];
    let pause = Act::Gap(Duration::from_millis(400));
    Script::new(vec![pause, head("200 OK", &fields), Act::Raw(body.into_bytes())])
}

/// The agent in a place of its own, with a model.
struct Place {
    env: TestEnv,
    upstream: FakeUpstream,
}

impl Place {
    fn new(vars: &[(&str, &str)], samples: bool) -> Place {
        let upstream = model(samples);
        let mut env = TestEnv::new();
        env.upstream(&upstream.origin());
        vars.iter().for_each(|(name, value)| env.set(name, *value));
        let source = project().join("tests/it/agents/restless.py");
        env.file("agent.py", &std::fs::read_to_string(source).expect("the agent"));
        Place { env, upstream }
    }

    #[track_caller]
    fn twice(&self, flags: &[&str], code: i32) -> Ran {
        let words = [&["doctor"], flags, &["--", "python3", "agent.py"]].concat();
        self.env.retake(words).expect(code)
    }

    #[track_caller]
    fn recorded(vars: &[(&str, &str)]) -> Place {
        let place = Place::new(vars, false);
        place.env.retake(["run", "--name", "r", "--", "python3", "agent.py"]).expect(0);
        place
    }

    /// The doctor on `r.1`; never goes live.
    #[track_caller]
    fn doctor(&self, flags: &[&str], code: i32) -> Ran {
        let before = self.upstream.received().len();
        let ran = self.env.retake([&["doctor", "r.1"], flags].concat()).expect(code);
        assert_eq!(self.upstream.received().len(), before, "it dialled out");
        ran
    }
}

/// A report without what differs from run to run.
fn settled(text: &str) -> String {
    let uuid =
        regex::Regex::new("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").expect("regex");
    let nanos = regex::Regex::new(r"\d{19}").expect("regex");
    let seed = regex::Regex::new(r"\b5\d{11}\b").expect("regex");
    let time = regex::Regex::new(r"\d+(\.\d+)? ?(ms|s)\b").expect("regex");
    let text = uuid.replace_all(text, "[uuid]");
    let text = nanos.replace_all(&text, "[nanoseconds]");
    let text = seed.replace_all(&text, "[seed]");
    time.replace_all(&text, "[time]").into_owned()
}

mod two_runs {
    use super::*;

    #[test]
    fn an_agent_that_does_not_change() {
        let place = Place::new(&[], false);
        let ran = place.twice(&[], 0);
        insta::assert_snapshot!("doctor_twice_same", settled(&ran.out));
        assert_eq!(place.env.listed(), ["doctor.1", "doctor.2"]);
        place.twice(&["--discard"], 0);
        assert_eq!(place.env.listed(), ["doctor.1", "doctor.2"]);
    }

    #[test]
    fn a_clock_and_a_session_in_the_prompt() {
        let ran = Place::new(&[("CLOCK", "1"), ("SESSION", "1")], false).twice(&["--discard"], 0);
        insta::assert_snapshot!("doctor_twice_prompt", settled(&ran.out));
    }

    #[test]
    fn an_id_in_a_tool_result() {
        let ran = Place::new(&[("TOOL", "1")], false).twice(&["--discard"], 0);
        insta::assert_snapshot!("doctor_twice_tool", settled(&ran.out));
    }

    #[test]
    fn a_parameter_and_another_question() {
        let place = Place::new(&[("TEMP", "1"), ("EXTRA", "1")], false);
        let ran = place.twice(&["--discard"], 1);
        insta::assert_snapshot!("doctor_twice_requests", settled(&ran.out));
    }

    #[test]
    fn calls_in_another_order() {
        let ran = Place::new(&[("RACE", "sorted"), ("FLIP", "1")], false).twice(&["--discard"], 0);
        insta::assert_snapshot!("doctor_twice_order", settled(&ran.out));
    }

    #[test]
    fn a_model_that_samples() {
        let place = Place::new(&[], true);
        let ran = place.twice(&["--discard"], 0);
        insta::assert_snapshot!("doctor_twice_sampling", settled(&ran.out));
        let report = place.twice(&["--json", "--discard"], 0).json();
        assert_eq!(report["findings"][0]["source"], "sampling", "{report}");
        assert_eq!(report["findings"][0]["copes"], "recorded");
        assert_eq!(report["exit"], 0);
    }

    #[test]
    fn from_the_rules_to_paste_to_a_replay() {
        let place = Place::new(&[("TICKET", "1"), ("TEMP", "1")], false);
        let report = place.twice(&["--json", "--discard"], 1).json();
        let all = report["findings"].as_array().expect("a list");
        let rules: Vec<&str> = all.iter().filter_map(|f| f["paste"].as_str()).collect();
        assert!(
            rules.len() == 2 && rules[0].contains("[[hole]]") && rules[1].contains("[[ignore]]"),
            "{report}"
        );
        place.env.file("retake.toml", &rules.concat());
        let cured = place.twice(&["--json"], 0).json();
        let copes: Vec<&str> = cured["findings"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|f| f["copes"].as_str())
            .collect();
        assert_eq!(copes, ["renamed", "masked"], "{cured}");
        place.env.retake(["replay", "doctor.1"]).expect(0).says(&["matched: 2 masked"]);
        // One without the other is not enough.
        place.env.file("retake.toml", rules[0]);
        place.env.retake(["replay", "doctor.1"]).expect(4).says(&["params.seed"]);
    }

    #[test]
    fn a_rule_takes_what_varies_and_no_more() {
        let mut place = Place::new(&[], false);
        for (note, values, other) in [
            ("Dear Ada, ticket %.", ["4711", "88", "9000"], "Dear Bob, ticket 4711."),
            ("The mean of all values is %.", ["4999", "7", "12"], "The mean of all values was 7."),
            ("Run % of 12%5.", ["17", "18", "19"], "Run 17 in 12175."),
            ("Order A123: % left.", ["17", "4", "120"], "Order A124: 17 left."),
            ("The state: {\"a\": 1, \"queue\": %}", ["4", "5", "60"], "The state: {\"a\": 2, \"queue\": 4}"),
        ] {
            place.env.file("retake.toml", "");
            place.env.set("NOTE", note.replace('%', values[0]));
            let recorded = place.env.retake(["run", "--name", "r", "--json", "--", "python3", "agent.py"]);
            let run = recorded.expect(0).json()["run"].as_str().expect("an id").to_string();
            let replay = ["replay", run.as_str(), "--json", "--", "python3", "agent.py"];
            let doctor = ["doctor", run.as_str(), "--json", "--", "python3", "agent.py"];
            place.env.set("NOTE", note.replace('%', values[1]));
            let missed = place.env.retake(replay).expect(4).json();
            let told = missed["misses"][0]["nearest"][0]["rule"].as_str().expect("a rule").to_string();
            let found = place.env.retake(doctor).expect(1).json();
            let all = found["findings"].as_array().expect("a list").iter();
            let found: String = all.filter_map(|f| f["paste"].as_str()).collect();
            for rule in [told, found] {
                place.env.file("retake.toml", &rule);
                for value in &values[1..] {
                    place.env.set("NOTE", note.replace('%', value));
                    let replayed = place.env.retake(replay);
                    assert_eq!(replayed.code, 0, "{rule}: {value}\n{}", replayed.err);
                }
                place.env.set("NOTE", other);
                assert_eq!(place.env.retake(replay).code, 4, "{rule} takes {other}");
            }
        }
    }

    #[test]
    fn a_tool_that_cannot_be_taken_back_is_not_run_twice_unasked() {
        let worker = Worker::new();
        let ran = worker.env.retake(["doctor", "--", "python3", "agent.py"]).expect(3);
        ran.says(&["issue_refund", "--yes", "retake doctor doctor.1 --fence issue_refund"]);
        assert_eq!(worker.tools_run().len(), 5);
        // What is known from before is said before anything runs.
        let ran = worker.env.retake(["doctor", "--", "python3", "agent.py"]).expect(3);
        ran.says(&["nothing was run: this command called issue_refund in doctor.1", "--yes"]);
        assert_eq!((worker.tools_run().len(), worker.env.listed().len()), (0, 1));
        let ran = worker.env.retake(["doctor", "doctor.1"]).expect(3);
        ran.says(&["nothing was run: doctor.1 called issue_refund", "--yes", "--fence issue_refund"]);
        assert_eq!(worker.tools_run().len(), 0);
        let ran = worker.env.retake(["doctor", "doctor.1", "--fence", "issue_refund"]).expect(5);
        assert!(!worker.tools_run().contains(&"issue_refund".to_string()));
        for said in
            ["nothing differs so far", "stopped at the fence before issue_refund", "the same without --fence"]
        {
            assert!(ran.out.contains(said), "no {said:?} in {}", ran.out);
        }
        worker.env.retake(["doctor", "--yes", "--", "python3", "agent.py"]).expect(0);
    }
}

mod a_replay {
    use super::*;

    #[test]
    fn of_an_agent_that_does_not_change() {
        let place = Place::recorded(&[]);
        let ran = place.doctor(&[], 0);
        insta::assert_snapshot!("doctor_replay_same", settled(&ran.out));
        assert_eq!(place.env.listed(), ["r.1"], "nothing is left behind");
    }

    #[test]
    fn all_differences_are_told_not_only_the_first() {
        let mut place = Place::recorded(&[]);
        for name in ["CLOCK", "SESSION", "TOOL", "TEMP"] {
            place.env.set(name, "1");
        }
        let ran = place.doctor(&["--", "python3", "agent.py"], 1);
        insta::assert_snapshot!("doctor_replay_changed", settled(&ran.out));
        assert_eq!(place.env.listed(), ["r.1"]);
    }

    #[test]
    fn what_follows_from_its_own_refusal_is_no_difference() {
        let mut place = Place::recorded(&[]);
        place.env.set("EXTRA", "1");
        let ran = place.doctor(&["--json"], 1).json();
        let findings = ran["findings"].as_array().expect("a list");
        assert_eq!(findings.len(), 1, "the agent's exit follows from the refusal: {ran}");
        assert_eq!(
            (&findings[0]["source"], &findings[0]["copes"]),
            (&"request".into(), &"no".into()),
            "{ran}"
        );
        let told = place.doctor(&[], 1).out;
        let words = told.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains("what comes after was not compared"), "{told}");
    }

    #[test]
    fn an_agent_that_ends_early() {
        let place = Place::recorded(&[]);
        let ran = place.doctor(&["--", "sh", "-c", "exit 3"], 1);
        assert!(ran.out.contains("never asked for again") && ran.out.contains("exit 3"), "{}", ran.out);
    }
}

mod mutants {
    use super::*;

    #[test]
    fn none_goes_unnoticed() {
        let place = Place::recorded(&[]);
        let ran = place.doctor(&["--mutate"], 0);
        insta::assert_snapshot!("doctor_mutate", ran.out);
        let all = place.doctor(&["--mutate", "--json"], 0).json();
        let total = &all["total"];
        assert_eq!(total["silent"], 0, "{all}");
        let sum = ["noticed", "pinned", "renamed", "masked"]
            .map(|k| total[k].as_u64().expect("a number"))
            .iter()
            .sum::<u64>();
        assert_eq!(Some(sum), total["mutants"].as_u64(), "{all}");
        assert!(sum > 5, "{all}");
    }

    #[test]
    fn a_rule_that_takes_too_much_is_caught() {
        let place = Place::recorded(&[("TEMP", "1"), ("SESSION", "1")]);
        place.env.file("retake.toml", "[[ignore]]\npath = \"params.seed\"\n");
        let named = place.doctor(&["--mutate", "--json"], 0).json();
        assert!(named["total"]["masked"].as_u64() > Some(0) && named["total"]["silent"] == 0, "{named}");
        for (path, leaf) in [("messages[*].text", "user_text"), ("params", "parameter")] {
            place.env.file("retake.toml", &format!("[[ignore]]\npath = \"{path}\"\n"));
            let hidden = place.doctor(&["--mutate", "--json"], 1).json();
            let silent = hidden["mutations"]["silent"].as_array().expect("a list");
            assert!(silent.iter().any(|m| m["leaf"] == leaf && m["class"] == "masked"), "{path}: {hidden}");
        }
        let told = place.doctor(&["--mutate"], 1);
        assert!(told.out.contains("A rule of retake.toml takes more than it should"), "{}", told.out);
    }

    #[test]
    fn ids_and_clocks_are_counted_apart() {
        let place = Place::recorded(&[("TOOL", "1"), ("SESSION", "1")]);
        let renamed: u64 = (1..6)
            .map(|seed| {
                let all = place.doctor(&["--mutate", "--json", "--seed", &seed.to_string()], 0).json();
                all["total"]["renamed"].as_u64().expect("a number")
            })
            .sum();
        assert!(renamed > 0, "the digits of a uuid are another uuid");
    }

    #[test]
    fn of_a_longer_conversation() {
        let worker = Worker::recorded();
        let ran = worker.env.retake(["doctor", "w.1", "--mutate", "--json"]).expect(0);
        let all = ran.json();
        assert_eq!(all["total"]["silent"], 0, "{all}");
        for kind in ["user_text", "tool_result", "system", "argument", "tool_schema", "model"] {
            assert!(all["mutations"]["by_leaf"][kind]["mutants"].as_u64() > Some(0), "{kind}: {all}");
        }
        assert_eq!(all["mutations"]["unanswered"], json!([]), "{all}");
    }
}

mod shuffled {
    use super::*;

    #[test]
    fn an_outcome_that_does_not_depend_on_order() {
        let place = Place::recorded(&[("RACE", "sorted")]);
        let ran = place.doctor(&["--shuffle", "4"], 0);
        insta::assert_snapshot!("doctor_shuffle_same", settled(&ran.out));
    }

    #[test]
    fn a_request_that_does() {
        let place = Place::recorded(&[("RACE", "note")]);
        let ran = place.doctor(&["--shuffle", "4", "--seed", "2"], 1);
        insta::assert_snapshot!("doctor_shuffle_request", settled(&ran.out));
    }

    #[test]
    fn an_exit_code_that_does() {
        let place = Place::recorded(&[("RACE", "exit")]);
        let all = place.doctor(&["--shuffle", "4", "--json"], 1).json();
        let ends: Vec<&str> =
            all["outcomes"].as_array().expect("a list").iter().filter_map(|o| o["ended"].as_str()).collect();
        assert!(ends.contains(&"exit 0") && ends.contains(&"exit 3") && ends.len() == 2, "{all}");
        assert_eq!(all["orders"], 2, "{all}");
    }

    #[test]
    fn up_to_a_fence() {
        let worker = Worker::recorded();
        assert!(worker.tools_run().contains(&"issue_refund".to_string()));
        worker.env.file("retake.toml", "[tools]\nirreversible = [\"issue_refund\"]\n");
        let ran = worker.env.retake(["doctor", "w.1", "--shuffle", "2"]).expect(5);
        for said in
            ["up to the fence, the outcome does not", "stopped at the fence before", "--unfence issue_refund"]
        {
            assert!(ran.out.contains(said), "no {said:?} in {}", ran.out);
        }
        assert!(!worker.tools_run().contains(&"issue_refund".to_string()));
    }

    #[test]
    fn an_agent_that_asks_one_thing_at_a_time() {
        let ran = Place::recorded(&[]).doctor(&["--shuffle", "2"], 0);
        assert!(ran.out.contains("only one order"), "{}", ran.out);
    }
}

#[test]
fn what_cannot_be_asked_for() {
    let env = TestEnv::new();
    for words in [
        &["doctor"][..],
        &["doctor", "--mutate", "--", "true"],
        &["doctor", "r.1", "--mutate", "--shuffle", "3"],
        &["doctor", "r.1", "--shuffle", "0"],
        &["doctor", "r.1", "--discard"],
    ] {
        env.retake(words).expect(64);
    }
}
