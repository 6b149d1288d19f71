//! From a line of a log to the step, from the name of a span to steps, and which agent took a step: by spans, and as far as
//! it goes without.

use crate::examples::Model;
use crate::support::env::{Ran, TestEnv, project};
use serde_json::Value;

/// Agents below each other. In the tool of the clerk a log line is written, and one is exported.
const TEAM: &str = r#"
import json, os, sys, urllib.request
sys.path.insert(0, os.environ["EXAMPLES"])
import tracing
from client import ask, openai_chat

flags = sys.argv[1:]
records = []

def log(text):
    span = tracing._current.get()
    print(f"LOG level=info msg={text!r} trace_id={span['traceId']} span_id={span['spanId']}", flush=True)
    records.append({"timeUnixNano": span["startTimeUnixNano"], "traceId": span["traceId"], "spanId": span["spanId"],
        "severityText": "WARN", "body": {"stringValue": text}, "attributes": [{"key": "shelf", "value": {"intValue": "7"}}]})

def clerk():
    tool = {"name": "get_stock", "parameters": {"type": "object", "properties": {"item": {"type": "string"}}}}
    messages = [{"role": "user", "content": "How many of gadget are there?"}]
    message = openai_chat(messages, "small", [tool])
    messages.append(message)
    for call in message["tool_calls"]:
        with tracing.tool("get_stock", call["id"]) as span:
            with tracing.span("shelf lookup"):
                log("looked at the shelf")
            span["events"] = [{"timeUnixNano": span["startTimeUnixNano"], "name": "cache missed",
                "attributes": [{"key": "cache", "value": {"stringValue": "shelves"}}]}]
        messages.append({"role": "tool", "tool_call_id": call["id"], "content": json.dumps({"item": "gadget", "stock": 7})})

def team():
    with tracing.agent("planner"):
        ask("Split into parts: (2 + 3) * 4")
        if "own" in flags:
            ask("Answer with a number: 2 + 3")
        else:
            with tracing.agent("worker"):
                ask("Answer with a number: 2 + 3")
        with tracing.agent("clerk"):
            clerk()
        if "nocritic" not in flags:
            with tracing.agent("critic"):
                ask("Is this answer safe to send? 5")
        try:
            with tracing.span("validate"):
                raise ValueError("no such shelf")
        except ValueError:
            pass

team()
body = json.dumps({"resourceLogs": [{"scopeLogs": [{"scope": {"name": "shop"}, "logRecords": records}]}]}).encode()
endpoint = os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
if endpoint:
    request = urllib.request.Request(endpoint.rstrip("/") + "/v1/logs", body, {"content-type": "application/json"})
    urllib.request.urlopen(request, timeout=20).close()
"#;

struct Team {
    env: TestEnv,
    _model: Model,
}

impl Team {
    fn new() -> Team {
        let model = Model::start(&[]);
        let mut env = TestEnv::new();
        env.upstream(&model.origin());
        env.set("EXAMPLES", project().join("examples").display().to_string());
        env.file("team.py", TEAM);
        Team { env, _model: model }
    }

    /// A run, and the log lines that it wrote.
    fn run(&self, before: &[&str], flags: &[&str]) -> Vec<String> {
        let words = [&["run", "--name", "x", "--"], before, &["python3", "team.py"], flags].concat();
        let ran = self.env.retake(words).expect(0);
        let logs = ran.out.lines().filter(|line| line.starts_with("LOG ")).map(str::to_string).collect();
        assert!(!ran.out.is_empty());
        logs
    }

    fn without_spans(&self) -> Vec<String> {
        self.run(&["env", "-u", "OTEL_EXPORTER_OTLP_ENDPOINT"], &[])
    }

    fn retake(&self, words: &[&str]) -> Ran {
        self.env.retake(words)
    }

    fn json(&self, words: &[&str]) -> Value {
        self.env.retake([words, &["--json"]].concat()).expect(0).json()
    }

    /// The number of the step with this tool.
    fn step(&self, run: &str, tool: &str) -> u64 {
        let show = self.json(&["show", run]);
        let steps = show["steps"].as_array().expect("steps").clone();
        let step = steps.iter().find(|step| step["tool"] == tool).expect("the tool");
        step["step"].as_u64().expect("a number")
    }
}

/// Panics unless standard output holds each of these.
#[track_caller]
fn tells(ran: &Ran, words: &[&str]) {
    for word in words {
        assert!(ran.out.contains(word), "no {word:?} in\n{}", ran.all());
    }
}

fn id(line: &str, name: &str) -> String {
    let value = line.split(&format!("{name}=")).nth(1).expect("an id");
    value.split(' ').next().unwrap_or_default().to_string()
}

#[test]
fn a_log_line_of_a_tool_finds_its_step() {
    let team = Team::new();
    let line = team.run(&[], &[]).remove(0);
    team.run(&[], &[]);
    let step = team.step("x.1", "get_stock");
    for asked in [line.clone(), id(&line, "span_id")] {
        let told = team.json(&["show", "--trace", &asked]);
        assert_eq!(told["found"].as_array().map(Vec::len), Some(1), "{told:#}");
        let found = serde_json::json!([{ "step": step, "found_by": "span" }]);
        assert_eq!((&told["found"][0]["run"], &told["found"][0]["steps"]), (&"x.1".into(), &found));
        assert_eq!(told["step"]["step"]["tool"], "get_stock");
    }
    team.retake(&["show", "x.2", "--trace", &line]).expect(3).says(&["no request and no span"]);
    team.retake(&["show", "--trace", "nothing"]).expect(64).says(&["there is no id in it"]);
    // The trace is all of the run; the span is the step.
    let trace = format!("trace={}", id(&line, "trace_id"));
    let all = team.json(&["ls", "--where", &trace]);
    assert_eq!((all.as_array().map(Vec::len), &all[0]["run"]), (Some(1), &"x.1".into()));
    assert_eq!(all[0]["steps"].as_array().map(Vec::len), Some(5), "{all}");
    let short = &trace[..trace.len() - 12];
    assert_eq!(team.json(&["ls", "--where", short]), all);
    let one = team.json(&["ls", "--where", &format!("trace=\"{line}\" agent=clerk")]);
    assert_eq!(one, serde_json::json!([{ "run": "x.1", "steps": [step] }]));
    let text = team.retake(&["show", "--trace", &line]).expect(0);
    tells(
        &text,
        &[
            "x.1 is step",
            "by its span",
            "get_stock",
            "under      agent planner › agent clerk",
            "shelf lookup",
        ],
    );
}

/// Requests name their span whether it is exported or not.
#[test]
fn a_traceparent_is_enough() {
    let team = Team::new();
    let line = team.without_spans().remove(0);
    let trace = id(&line, "trace_id");
    let all = team.json(&["ls", "--where", &format!("trace={trace}")]);
    assert_eq!(all[0]["steps"], serde_json::json!([1, 2, 3, 5]), "the model calls of the trace");
    // The span of the tool was never seen: all that is known is the trace.
    let told = team.json(&["show", "--trace", &line]);
    assert_eq!(told["found"][0]["steps"][0]["found_by"], "trace");
    assert!(told.get("step").is_none());
    let other = "0".repeat(31) + "1";
    team.retake(&["show", "--trace", &other]).expect(3);
}

#[test]
fn a_step_is_shown_with_its_spans_events_and_logs() {
    let team = Team::new();
    team.run(&[], &[]);
    let step = team.step("x.1", "get_stock").to_string();
    let told = team.retake(&["show", "x.1", &step]).expect(0).out;
    for word in [
        "under      agent planner › agent clerk",
        "execute_tool get_stock   by call id",
        "  shelf lookup",
        "event cache missed",
        "WARN  looked at the shelf",
    ] {
        assert!(told.contains(word), "{word}: {told}");
    }
    assert!(!told.contains("gen_ai.tool.name") && !told.contains("shelves"), "{told}");
    let full = team.retake(&["show", "x.1", &step, "--full"]).expect(0).out;
    for word in ["gen_ai.tool.name       get_stock", "cache  shelves", "shelf  7", "trace "] {
        assert!(full.contains(word), "{word}: {full}");
    }
    let json = team.json(&["show", "x.1", &step]);
    let (tool, lookup) = (&json["spans"][0], &json["spans"][1]);
    assert_eq!(
        (&tool["found_by"], &tool["attributes"]["gen_ai.tool.name"]),
        (&"call id".into(), &"get_stock".into())
    );
    assert_eq!(tool["events"][0]["attributes"]["cache"], "shelves");
    assert_eq!((&lookup["name"], &lookup["found_by"]), (&"shelf lookup".into(), &"below".into()));
    assert_eq!(
        (&json["logs"][0]["body"], &json["logs"][0]["attributes"]["shelf"]),
        (&"looked at the shelf".into(), &7.into())
    );
    assert_eq!(json["logs"].as_array().map(Vec::len), Some(1));
    // A model call has its own span, by the parent that its request names.
    let model = team.json(&["show", "x.1", "1"]);
    assert_eq!(
        (&model["spans"][0]["found_by"], &model["logs"]),
        (&"traceparent".into(), &serde_json::json!([]))
    );
    let tree = team.retake(&["show", "x.1", "--tree"]).expect(0).out;
    assert!(tree.contains("◆ cache missed") && tree.contains("◆ event"), "{tree}");
    let whole = team.json(&["show", "x.1", "--tree", "--full"]).to_string();
    assert!(whole.contains("gen_ai.tool.call.id") && whole.contains("shelves"), "{whole}");
    team.without_spans();
    let plain = team.json(&["show", "x.2", &step]);
    assert!(plain.get("spans").is_none() && plain.get("logs").is_none(), "{plain}");
}

#[test]
fn steps_and_spans_are_found_by_agents_that_spans_alone_know() {
    let team = Team::new();
    team.run(&[], &[]);
    team.without_spans();
    let found = |terms: &str| team.json(&["ls", "--where", terms]);
    let steps = |steps: &[u32]| serde_json::json!([{ "run": "x.1", "steps": steps }]);
    assert_eq!(found("agent=worker"), steps(&[2]));
    assert_eq!(found("span=\"invoke_agent clerk\" tool=get_stock"), steps(&[4]));
    assert_eq!(found("agent=planner"), steps(&[1]));
    assert_eq!(found("span=planner")[0]["steps"], serde_json::json!([1, 2, 3, 4, 5]));
    assert_eq!(found("span=planner name=x.2"), serde_json::json!([]));
    let failed = found("span~valid status=error");
    let span = &failed[0]["spans"][0];
    assert_eq!(
        (&span["name"], &span["under"], &span["after"], &span["error"]),
        (&"validate".into(), &"planner".into(), &5.into(), &"no such shelf".into())
    );
    let id = span["span"]["span_id"].as_str().expect("an id");
    let shown = team.json(&["show", "--trace", id]);
    assert_eq!(
        (&shown["found"][0]["steps"], &shown["spans"][0]["name"]),
        (&serde_json::json!([]), &"validate".into())
    );
    assert_eq!(shown["spans"][0]["message"], "no such shelf");
    tells(
        &team.retake(&["show", "--trace", id]).expect(0),
        &["x.1: a span that is part of no step", "validate", "failed: no such shelf", id],
    );
    let told = team.retake(&["ls", "--where", "span~valid status=error"]).expect(0);
    tells(&told, &["x.1", "span validate", "under planner, after step 5", "no such shelf"]);
}

#[test]
fn diff_says_which_agent_took_a_step() {
    let team = Team::new();
    for flags in [&[][..], &[], &["own"], &["nocritic"]] {
        team.run(&[], flags);
    }
    team.without_spans();
    // Ids of spans are others in every run.
    let same = team.json(&["diff", "x.1", "x.2"]);
    assert_eq!(same["structure"], serde_json::json!({ "moves": [], "ran": [] }));
    tells(&team.retake(&["diff", "x.1", "x.2"]).expect(0), &["no difference"]);
    let own = team.retake(&["diff", "x.1", "x.3"]).expect(0);
    tells(
        &own,
        &[
            "step 2 model small runs directly under agent planner, was under agent worker",
            "in another trace tree",
        ],
    );
    let moved = team.json(&["diff", "x.1", "x.3"]);
    let row = moved["rows"].as_array().expect("rows").iter().find(|row| row["left"] == 2).expect("the step");
    assert_eq!((&row["status"], &row["place"]["left"][0]["name"]), (&"same".into(), &"worker".into()));
    // To the rest of the run it is a side call, which may be absent.
    let less = team.retake(&["diff", "x.1", "x.4"]).expect(0);
    tells(&less, &["agent critic was not run (it took step 5)"]);
    let plain = team.json(&["diff", "x.1", "x.5"]);
    assert!(plain.get("structure").is_none(), "{plain}");
}
