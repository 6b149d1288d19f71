//! The tool shim: wrapped functions run when a run is recorded, and do not when it is replayed.

use crate::support::env::{Ran, TestEnv, project};
use crate::support::refund_model::RefundModel;
use crate::support::upstream::{FakeUpstream, Script};
use serde_json::{Value, json};
use std::process::Command;

const ALL: [&str; 5] = ["lookup_order", "get_policy", "get_customer", "check_fraud", "issue_refund"];

struct Desk {
    env: TestEnv,
    model: Option<RefundModel>,
}

impl Desk {
    fn new() -> Desk {
        let (model, mut env) = (RefundModel::start(), TestEnv::new());
        env.upstream(&model.origin());
        env.set("PYTHONPATH", project().join("sdk/python").display().to_string());
        env.set("PYTHONDONTWRITEBYTECODE", "1");
        let agent = std::fs::read_to_string(project().join("tests/it/agents/shim_refund.py")).expect("agent");
        env.file("agent.py", &agent);
        Desk { env, model: Some(model) }
    }

    fn recorded() -> Desk {
        let desk = Desk::new();
        desk.run().expect(0);
        desk.env.forget_ran();
        desk
    }

    fn run(&self) -> Ran {
        self.env.retake(["run", "--name", "desk", "--", "python3", "agent.py"])
    }
}

#[test]
fn wrapped_functions_do_not_run_again() {
    let mut desk = Desk::new();
    let ran = desk.run().expect(0);
    assert_eq!(desk.env.ran(), ALL);
    ran.says(&["tools recorded: the tool shim (5 calls)", "retake replay desk.1\n"]);
    desk.env.forget_ran();
    desk.model = None;
    let replayed = desk.env.retake(["replay", "desk.1"]).expect(0);
    assert_eq!(replayed.out, ran.out);
    replayed.says(&["10/10 steps", "not run, the tool shim is answered from the recording", "same outcome"]);
    assert!(desk.env.ran().is_empty(), "{:?}", desk.env.ran());
    // It does not run, so that no fence is in its way.
    let idle = desk.env.retake(["replay", "desk.1", "--fence", "issue_refund"]).expect(0);
    idle.says(&["--fence issue_refund had nothing to stop: issue_refund is answered from the recording"]);
    assert!(!replayed.err.contains("had nothing to stop"), "{}", replayed.err);
}

#[test]
fn without_retake_they_are_functions() {
    let desk = Desk::new();
    let model = desk.model.as_ref().expect("a model").origin();
    let python = |script: &str| {
        let mut command = Command::new("python3");
        command.current_dir(desk.env.work()).arg(script).env_remove("RETAKE_PROXY");
        command.env("PYTHONPATH", project().join("sdk/python")).env("OPENAI_BASE_URL", format!("{model}/v1"));
        command.output().expect("python3")
    };
    assert!(python("agent.py").status.success());
    assert_eq!(desk.env.ran(), ALL);
}

#[test]
fn what_was_raised_is_raised_again() {
    let mut desk = Desk::new();
    desk.env.set("RAISES", "check_fraud");
    let command = ["run", "--name", "desk", "--", "timeout", "5", "python3", "agent.py"];
    let ran = desk.env.retake(command);
    assert!(ran.out.contains("raised LookupError ('no such check_fraud', 17)"), "{}", ran.all());
    desk.env.forget_ran();
    desk.model = None;
    desk.env.unset("RAISES");
    let replayed = desk.env.retake(["replay", "desk.1"]).expect(0);
    assert_eq!(replayed.out, ran.out);
    assert!(desk.env.ran().is_empty(), "{:?}", desk.env.ran());
}

#[test]
fn a_fork_runs_only_what_was_not_recorded() {
    let desk = Desk::recorded();
    let cents = ["fork", "desk.1", "--set", r#"1..:system+="Amounts are in cents.""#];
    let fork = desk.env.retake(cents).expect(0);
    assert!(fork.out.contains("I refunded $49.99"), "{}", fork.all());
    assert_eq!(desk.env.ran(), ["issue_refund"]);
    fork.says(&["issue_refund ran for real in your process"]);
    fork.says(&[
        "may run for real then: lookup_order, get_policy, get_customer, check_fraud, issue_refund (--fence",
    ]);
    let known = "[tools]\nread = [\"lookup_*\", \"get_*\", \"check_*\"]\nirreversible = [\"issue_refund\"]\n";
    desk.env.file("retake.toml", known);
    desk.env.forget_ran();
    let agent = ["--", "python3", "agent.py"];
    let stopped = desk.env.retake([&cents[..], &agent].concat()).expect(5);
    assert!(!stopped.err.contains("may run for real"), "none is left: {}", stopped.err);
    // The hint is the command of just now, with the tool let through.
    let told = stopped.err.split_whitespace().collect::<Vec<_>>().join(" ");
    let again = r#"retake fork desk.1 --set '1..:system+="Amounts are in cents."' --unfence issue_refund -- python3 agent.py"#;
    assert!(told.contains(again), "{told}");
    assert!(desk.env.ran().is_empty(), "{:?}", desk.env.ran());
    std::fs::remove_file(desk.env.work().join("retake.toml")).expect("removed");
    let fenced = desk.env.retake([&cents[..], &["--fence", "issue_refund"]].concat()).expect(5);
    fenced.says(&["stopped at the fence before issue_refund"]);
    assert!(desk.env.ran().is_empty(), "{:?}", desk.env.ran());
    let again = desk.env.retake(["replay", "desk.2"]).expect(0);
    assert_eq!(again.out, fork.out);
    assert!(desk.env.ran().is_empty(), "{:?}", desk.env.ran());
}

/// Functions that no model asked for.
const ODD: &str = r#"
import sys
from retake_tool import tool

def ran(name):
    open("ran.log", "a").write(name + "\n")

@tool
def inner(x):
    ran("inner")
    return x + 1

@tool
def outer(x):
    ran("outer")
    return inner(x=x) * 2

@tool
def receipt():
    ran("receipt")
    return object() if "object" in sys.argv else float("nan")

@tool
def opened(path):
    ran("opened")
    return open(path).read()

print(outer(x=1))
try:
    opened(path="no such file")
except FileNotFoundError as error:
    print(error, error.errno)
if len(sys.argv) > 1:
    print(type(receipt()).__name__)
"#;

#[test]
fn nested_functions_and_what_is_no_json() {
    let desk = Desk::new();
    desk.env.file("odd.py", ODD);
    let ran = desk.env.retake(["run", "--name", "odd", "--", "python3", "odd.py"]).expect(0);
    assert_eq!(desk.env.ran(), ["outer", "inner", "opened"]);
    desk.env.forget_ran();
    let replayed = desk.env.retake(["replay", "odd.1"]).expect(0);
    assert_eq!(replayed.out, ran.out);
    assert!(desk.env.ran().is_empty(), "{:?}", desk.env.ran());
    for what in ["object", "nan"] {
        let ran = desk.env.retake(["run", "--name", what, "--", "python3", "odd.py", what]).expect(0);
        ran.says(&["what receipt returned", "is no JSON: it is not recorded, and runs in every replay"]);
        desk.env.forget_ran();
        let run = format!("{what}.1");
        let replayed = desk.env.retake(["replay", &run]).expect(0);
        assert_eq!(replayed.out, ran.out);
        replayed.says(&["ran for real, as the recording has no result of it: receipt"]);
        assert_eq!(desk.env.ran(), ["receipt"]);
        desk.env.forget_ran();
        desk.env.retake(["replay", &run, "--fence", "receipt"]).expect(5);
        assert!(desk.env.ran().is_empty(), "{:?}", desk.env.ran());
    }
}

/// Three equal calls at once, which come about in the order that ORDER says, and return what is theirs.
const DICE: &str = r#"
import json, os, threading, urllib.request
from retake_tool import tool

rolled = iter([2, 5, 3])

@tool
def roll(sides):
    return {"value": next(rolled)}

def ask(messages):
    body = json.dumps({"model": "small", "messages": messages}).encode()
    headers = {"content-type": "application/json", "authorization": "Bearer none"}
    request = urllib.request.Request(os.environ["OPENAI_BASE_URL"] + "/chat/completions", body, headers)
    with urllib.request.urlopen(request) as response:
        return json.load(response)["choices"][0]["message"]

messages = [{"role": "user", "content": "Roll three dice."}]
called = ask(messages)
results = {}
made = [threading.Event() for _ in "012"]
order = [int(at) for at in os.environ["ORDER"]]

def carry_out(at):
    before = order.index(at)
    if before:
        made[order[before - 1]].wait()
    results[at] = roll(sides=6)
    made[at].set()

threads = [threading.Thread(target=carry_out, args=[at]) for at in order]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
messages.append(called)
for at, call in enumerate(called["tool_calls"]):
    messages.append({"role": "tool", "tool_call_id": call["id"], "content": json.dumps(results[at])})
print(ask(messages)["content"])
"#;

fn dice() -> FakeUpstream {
    FakeUpstream::reading(|_, received| {
        let body: Value = serde_json::from_slice(&received.body).expect("JSON");
        let messages = body["messages"].as_array().expect("messages");
        let results: Vec<&str> =
            messages.iter().filter(|m| m["role"] == "tool").filter_map(|m| m["content"].as_str()).collect();
        let roll = |at: u32| json!({"id": format!("call_{at}"), "type": "function", "function": {"name": "roll", "arguments": "{\"sides\": 6}"}});
        let message = match results.is_empty() {
            true => json!({"role": "assistant", "content": null, "tool_calls": [roll(0), roll(1), roll(2)]}),
            false => json!({"role": "assistant", "content": results.join(" ")}),
        };
        let choice = json!({"index": 0, "message": message, "finish_reason": "stop"});
        Script::json(
            &json!({"id": "c", "object": "chat.completion", "model": "small", "choices": [choice]})
                .to_string(),
        )
    })
}

#[test]
fn equal_calls_at_once_go_by_the_models_calls_and_no_edit_is_blamed_for_their_order() {
    let model = dice();
    let mut env = TestEnv::new();
    env.upstream(&model.origin());
    env.set("PYTHONPATH", project().join("sdk/python").display().to_string());
    env.file("agent.py", DICE);
    let agent = ["--", "python3", "agent.py"];
    env.set("ORDER", "201");
    let ran = env.retake([&["run", "--name", "dice"], &agent[..]].concat()).expect(0);
    assert_eq!(ran.out, "{\"value\": 5} {\"value\": 3} {\"value\": 2}\n");
    // The order in which they came about when recorded is chance; that of the model's calls is not.
    env.set("ORDER", "012");
    let plain = env.retake([&["replay", "dice.1"], &agent[..]].concat()).expect(0);
    assert_eq!(plain.out, ran.out);
    assert!(!plain.all().contains("another order"), "{}", plain.all());
    env.set("ORDER", "120");
    let swapped = "matching: 3 results of equal calls in another order";
    env.retake([&["replay", "dice.1"], &agent[..]].concat()).expect(0).says(&[swapped]);
    let edit = ["fork", "dice.1", "--set", "*:temperature=0"];
    let fork = env.retake([&edit, &agent[..]].concat()).expect(0);
    fork.says(&[swapped, "nothing tells which is which"]);
    assert!(!fork.all().contains("changed by the edit"), "{}", fork.all());
    assert_eq!(fork.out, ran.out, "the model is shown them as they were recorded");
}

/// Puts something, then looks what is there.
const SHELF: &str = r#"
import json, os, urllib.request
from retake_tool import tool

shelf = []

@tool
def put(x):
    shelf.append(x)

@tool
def look():
    return shelf

messages = [{"role": "user", "content": "Put it there."}]
while True:
    body = json.dumps({"model": "small", "messages": messages}).encode()
    headers = {"content-type": "application/json", "authorization": "Bearer none"}
    request = urllib.request.Request(os.environ["OPENAI_BASE_URL"] + "/chat/completions", body, headers)
    with urllib.request.urlopen(request) as response:
        said = json.load(response)["choices"][0]["message"]
    messages.append(said)
    if not said.get("tool_calls"):
        break
    for call in said["tool_calls"]:
        result = {"put": put, "look": look}[call["function"]["name"]](**json.loads(call["function"]["arguments"]))
        messages.append({"role": "tool", "tool_call_id": call["id"], "content": json.dumps(result)})
"#;

#[test]
fn what_is_read_behind_another_write_is_marked_as_stale() {
    let model = FakeUpstream::reading(|_, received| {
        let body: Value = serde_json::from_slice(&received.body).expect("JSON");
        let messages = body["messages"].as_array().expect("messages");
        let call = |name: &str, arguments: &str| {
            let function = json!({ "name": name, "arguments": arguments });
            json!({"role": "assistant", "content": null, "tool_calls": [{"id": name, "type": "function", "function": function}]})
        };
        let message = match messages.iter().filter(|m| m["role"] == "tool").count() {
            0 if messages[0]["content"] == "two" => call("put", "{\"x\": 2}"),
            0 => call("put", "{\"x\": 1}"),
            1 => call("look", "{}"),
            _ => json!({"role": "assistant", "content": "It is there."}),
        };
        let choice = json!({"index": 0, "message": message, "finish_reason": "stop"});
        Script::json(
            &json!({"id": "c", "object": "chat.completion", "model": "small", "choices": [choice]})
                .to_string(),
        )
    });
    let mut env = TestEnv::new();
    env.upstream(&model.origin());
    env.set("PYTHONPATH", project().join("sdk/python").display().to_string());
    env.file("agent.py", SHELF);
    env.retake(["run", "--name", "shelf", "--", "python3", "agent.py"]).expect(0);
    let fork = env.retake(["fork", "shelf.1", "--set", "*:system=\"two\""]).expect(0);
    fork.says(&[
        "something: look",
        "stale: the tool shim was answered from the recording behind a call that may",
    ]);
    let (shown, diff) =
        (env.retake(["show", "shelf.2"]).expect(0), env.retake(["diff", "shelf.1", "shelf.2"]).expect(1));
    let marked: Vec<&str> = shown.out.lines().filter(|line| line.contains("stale")).collect();
    assert!(
        marked.len() == 2 && marked[0].ends_with("~ stale") && marked[1].contains("another write"),
        "{}",
        shown.out
    );
    let told = diff.out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains("stale 4 4 tool look stale: recorded behind another write"), "{}", diff.out);
    // What only reads changes nothing.
    env.file("retake.toml", "[tools]\nread = [\"put\"]\n");
    let fork = env.retake(["fork", "shelf.1", "--set", "*:system=\"two\""]).expect(0);
    assert!(!fork.err.contains("stale"), "{}", fork.err);
}

#[test]
fn other_arguments_are_refused() {
    let mut desk = Desk::recorded();
    desk.env.set("ARGUMENT", "4");
    let replayed = desk.env.retake(["replay", "desk.1"]).expect(4);
    replayed.says(&["lookup_order(order_id=\"A1234\")", "arguments.order_id", "refused: retake:"]);
    replayed.says(&["to run the function itself from here on: `retake fork desk.1 --at 1`"]);
    let other = desk.env.retake(["replay", "desk.1", "--", "python3", "-u", "agent.py"]).expect(4);
    other.says(&["`retake fork desk.1 --at 1 -- python3 -u agent.py`"]);
    assert!(desk.env.ran().is_empty(), "{:?}", desk.env.ran());
}

#[test]
fn the_helper_for_typescript_passes_its_own_tests() {
    if Command::new("node").arg("--version").output().is_err() {
        eprintln!("not tested: there is no node here");
        return;
    }
    let env = TestEnv::new();
    let script = project().join("sdk/typescript/test.mjs").display().to_string();
    let ran = env.retake(["run", "--name", "ts", "--", "node", &script, "ran.log"]).expect(0);
    assert_eq!(ran.out, "42 TypeError: not for zero\n");
    std::fs::remove_file(env.work().join("ran.log")).expect("it ran");
    let replayed = env.retake(["replay", "ts.1"]).expect(0);
    assert_eq!(replayed.out, ran.out);
    assert!(!env.work().join("ran.log").exists());
}
