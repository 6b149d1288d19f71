//! Values that differ from run to run, over sockets: tools get today's, and what only looks alike is refused.

use crate::support::coder::{Coder, Place};
use crate::support::coder_model::PLAIN;
use crate::support::env::{Ran, TestEnv, project};
use crate::support::upstream::{FakeUpstream, Received, Script};
use serde_json::{Value, json};

const ONE: &str = "7c0f7a8e-3c2d-4f7a-9b1e-5d6c8a2b4e10";
const TWO: &str = "0b9d4c1a-62f3-4d8e-8a57-e1f20c3b5d94";
const THREE: &str = "f3a81d52-9c47-4be0-b6d2-7a05e8c91f36";
const FOUR: &str = "41d6b7c9-05ea-4f13-9d28-6b3c80fe5a72";

/// Opens what the task says and closes it, then is done.
fn desk(received: &Received) -> Script {
    if received.target.contains("count_tokens") {
        return Script::json(r#"{"input_tokens": 17}"#);
    }
    let body: Value = serde_json::from_slice(&received.body).expect("JSON");
    let first = body["messages"][0]["content"].as_str().unwrap_or_default();
    let results: Vec<&str> = body["messages"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|m| m["content"].as_array())
        .flatten()
        .filter_map(|b| b["content"].as_str())
        .collect();
    let call = |at: usize, name: &str, input: Value| {
        let id = format!("toolu_{:02}", results.len() * 10 + at);
        json!({"type": "tool_use", "id": id, "name": name, "input": input})
    };
    let opened: Vec<&str> = results.iter().filter_map(|r| r.strip_prefix("Opened ")).collect();
    let content = if first.starts_with("A title for") {
        json!([{"type": "text", "text": "Tickets"}])
    } else if !first.contains("Open two") || results.len() == 4 {
        json!([{"type": "text", "text": format!("Done with {}.", opened.join(" and "))}])
    } else if results.is_empty() {
        json!([call(0, "Open", json!({})), call(1, "Open", json!({}))])
    } else {
        opened.iter().enumerate().map(|(at, id)| call(at, "Close", json!({"id": id}))).collect()
    };
    let stop = if content[0]["type"] == "text" { "end_turn" } else { "tool_use" };
    let body = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-small", "content": content, "stop_reason": stop, "usage": {"input_tokens": 1, "output_tokens": 1}});
    Script::json(&body.to_string())
}

/// A recording `d.1` of the desk.
struct Desk {
    env: TestEnv,
    model: FakeUpstream,
}

impl Desk {
    #[track_caller]
    fn recorded(vars: &[(&str, &str)]) -> (Desk, Ran) {
        let model = FakeUpstream::reading(|_, received| desk(received));
        let mut env = TestEnv::new();
        env.upstream(&model.origin());
        let desk = Desk { env, model };
        let ran = desk.run(&["run", "--name", "d"], vars).expect(0);
        (desk, ran)
    }

    fn run(&self, args: &[&str], vars: &[(&str, &str)]) -> Ran {
        let script = project().join("tests/it/agents/desk.py").display().to_string();
        let mut command = self.env.command(args.iter().copied().chain(["--", "python3", &script]));
        command.envs(vars.iter().copied());
        crate::support::env::ran(command.output().expect("the binary runs"))
    }

    /// Replays it with other variables; nothing is asked.
    #[track_caller]
    fn replay(&self, vars: &[(&str, &str)], code: i32) -> Ran {
        let before = self.model.connections();
        let ran = self.run(&["replay", "d.1"], vars).expect(code);
        assert_eq!(self.model.connections(), before);
        ran
    }
}

#[test]
fn a_tool_gets_the_ids_that_it_made_today() {
    let task = ("PROMPT", "Open two tickets.");
    let both = format!("{ONE},{TWO}");
    let (desk, ran) = Desk::recorded(&[task, ("TICKETS", &both)]);
    assert_eq!(ran.out, format!("Done with {ONE} and {TWO}.\n"));
    // Both made up anew, and one of them as before.
    let made = desk.replay(&[task], 0);
    assert!(!made.out.contains(ONE) && made.out.starts_with("Done with "), "{}", made.all());
    let half = format!("{ONE},{THREE}");
    let half = desk.replay(&[task, ("TICKETS", &half)], 0);
    assert_eq!(half.out, format!("Done with {ONE} and {THREE}.\n"), "{}", half.err);
}

#[test]
fn an_id_cannot_stand_for_two() {
    let prompt = |a: &str, b: &str| format!("Close {a}, then {b}.");
    let (desk, _) = Desk::recorded(&[("PROMPT", &prompt(ONE, ONE))]);
    desk.replay(&[("PROMPT", &prompt(TWO, TWO))], 0);
    let refused = desk.replay(&[("PROMPT", &prompt(TWO, THREE))], 4);
    refused.says(&["differs at messages[0].text", &TWO[..8], &THREE[24..]]);
    let (desk, _) = Desk::recorded(&[("PROMPT", &prompt(ONE, TWO))]);
    desk.replay(&[("PROMPT", &prompt(THREE, FOUR))], 0);
    desk.replay(&[("PROMPT", &prompt(THREE, THREE))], 4).says(&["differs at messages[0].text"]);
}

#[test]
fn a_number_is_content() {
    let prompt = |n: &str| format!("Refund {n} to the customer.");
    let (desk, _) = Desk::recorded(&[("PROMPT", &prompt("4999"))]);
    let refused = desk.replay(&[("PROMPT", &prompt("8080"))], 4);
    refused.says(&["4999", "8080"]);
    assert!(refused.out.starts_with("error 4"), "{}", refused.out);
}

/// A run file made a day older, with everything in it.
fn older(text: &str, today: &str, yesterday: &str) -> String {
    const DAY_US: u64 = 24 * 3600 * 1_000_000;
    let shifted = |line: &str| {
        let mut line: Value = serde_json::from_str(line).expect("JSON");
        for place in ["/run/started_us", "/run/outcome/ended_us"] {
            if let Some(at) = line.pointer_mut(place) {
                *at = json!(at.as_u64().expect("a time") - DAY_US);
            }
        }
        format!("{line}\n")
    };
    let lines =
        text.lines().map(|l| if l.starts_with(r#"{"kind":"run""#) { shifted(l) } else { format!("{l}\n") });
    lines.collect::<String>().replace(today, yesterday)
}

#[test]
fn a_recording_of_yesterday_plays_today() {
    let coder = Coder::new(PLAIN, &[("PROVIDER", "openai")]);
    let here = Place::new("work");
    let (ran, first) = coder.record(&here);
    let now = jiff::Zoned::now().with_time_zone(jiff::tz::TimeZone::UTC).date();
    let (today, yesterday) = (now.to_string(), now.yesterday().expect("a day").to_string());
    assert!(ran.out.contains(&today), "{}", ran.out);
    coder.env.retake(["export", "c.1", "c.retake"]).expect(0);
    let file = coder.env.work().join("c.retake");
    let text = std::fs::read_to_string(&file).expect("a file");
    std::fs::write(&file, older(&text, &today, &yesterday)).expect("written");
    coder.env.retake(["import", "--allow-edited", "c.retake", "--name", "old"]).expect(0);
    let (_, said, got) = coder.replay("old.1", &here);
    // Its tools refuse any day but today's.
    assert!(said.contains(&ran.out), "{said}\n{}", ran.out);
    assert_eq!(got.answers.len(), first.answers.len());
}

#[test]
fn side_calls_repeat_and_may_be_absent() {
    let task = ("PROMPT", "Open two tickets.");
    let (desk, ran) = Desk::recorded(&[task, ("COUNTS", "1"), ("TITLES", "1"), ("TICKETS", ONE)]);
    assert_eq!(ran.out.matches("tokens 17").count(), 3, "{}", ran.out);
    let matching = |vars: &[(&str, &str)]| {
        desk.run(&["replay", "d.1", "--json"], vars).expect(0).json()["matching"].clone()
    };
    let more = [task, ("COUNTS", "3"), ("TITLES", "3"), ("TICKETS", ONE)];
    // Six counts and two titles more than recorded.
    assert_eq!(matching(&more)["side_repeats"], 8);
    let more = desk.replay(&more, 0);
    assert_eq!(more.out.matches("tokens 17").count(), 9, "{}", more.all());
    assert_eq!(more.out.matches("title Tickets").count(), 3, "{}", more.all());
    let none = desk.replay(&[task, ("TICKETS", ONE)], 0);
    assert!(none.out.starts_with("Done with"), "{}", none.all());
}

#[test]
fn a_side_call_that_was_not_recorded_is_not_there() {
    let task = ("PROMPT", "Open two tickets.");
    let (desk, ran) = Desk::recorded(&[task]);
    assert!(ran.out.starts_with("Done with"), "{}", ran.out);
    let counted = desk.replay(&[task, ("COUNTS", "1")], 0);
    assert_eq!(counted.out.matches("no count: 404").count(), 3, "{}", counted.all());
    let told = desk.run(&["replay", "d.1", "--json"], &[task, ("COUNTS", "1")]).expect(0).json();
    assert_eq!(told["matching"]["side_unknown"], 3, "{told:#}");
    // A title is a model call like others: one that was not recorded is a miss.
    let titled = desk.replay(&[task, ("TITLES", "1")], 4);
    assert!(titled.out.contains("no title: 4"), "{}", titled.all());
}
