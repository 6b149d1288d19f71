//! What spans say of steps counts where steps are looked for, counted and exported: which failed, how long, whose they are.

use crate::examples::Model;
use crate::support::env::{TestEnv, project};
use serde_json::{Value, json};

/// A tool that fails, and says so to nobody but its span: what goes back to the model is no error to the API.
const CLERK: &str = r#"
import json, os, sys, time
sys.path.insert(0, os.environ["EXAMPLES"])
import tracing
from client import ask, openai_chat

with tracing.agent("clerk"):
    tool = {"name": "get_stock", "parameters": {"type": "object", "properties": {"item": {"type": "string"}}}}
    messages = [{"role": "user", "content": "How many of gadget are there?"}]
    message = openai_chat(messages, "small", [tool])
    messages.append(message)
    for call in message["tool_calls"]:
        try:
            with tracing.tool("get_stock", call["id"]) as span:
                if sys.argv[1] == "bad":
                    span["events"] = [{"timeUnixNano": span["startTimeUnixNano"], "name": "exception", "attributes": [
                        {"key": "exception.type", "value": {"stringValue": "ShelfError"}},
                        {"key": "exception.message", "value": {"stringValue": "the secret shelf"}}]}]
                    raise ValueError("the secret shelf")
        except ValueError:
            pass
        messages.append({"role": "tool", "tool_call_id": call["id"], "content": json.dumps({"item": "gadget", "stock": 7})})
    openai_chat(messages, "small", [tool])
    with tracing.agent("writer"):
        ask("Is this answer safe to send? 5", "large")
"#;

struct Clerk {
    env: TestEnv,
    _model: Model,
}

impl Clerk {
    /// `x.1`: its tool fails; `x.2`: it does not; `x.3`: like the first, without spans.
    fn new() -> Clerk {
        let model = Model::start(&[]);
        let mut env = TestEnv::new();
        env.upstream(&model.origin());
        env.set("EXAMPLES", project().join("examples").display().to_string());
        env.file("clerk.py", CLERK);
        env.retake(["run", "--name", "x", "--", "python3", "clerk.py", "bad"]).expect(0);
        env.retake(["run", "--name", "x", "--", "python3", "clerk.py", "good"]).expect(0);
        let without = ["env", "-u", "OTEL_EXPORTER_OTLP_ENDPOINT", "python3", "clerk.py", "bad"];
        env.retake([&["run", "--name", "x", "--"][..], &without].concat()).expect(0);
        Clerk { env, _model: model }
    }

    fn found(&self, terms: &str) -> Value {
        self.env.retake(["ls", "--json", "--where", terms]).expect(0).json()
    }

    fn stats(&self, runs: &[&str]) -> Value {
        self.env.retake([&["stats", "--json"], runs].concat()).expect(0).json()
    }
}

fn of_step(node: &Value, step: u64) -> Option<&Value> {
    let below = || node["children"].as_array()?.iter().find_map(|child| of_step(child, step));
    if node["step"].as_u64() == Some(step) { Some(node) } else { below() }
}

#[test]
fn a_step_has_failed_when_its_span_says_so() {
    let clerk = Clerk::new();
    assert_eq!(clerk.found("tool=get_stock status=error"), json!([{ "run": "x.1", "steps": [2] }]));
    let fine = json!([{ "run": "x.2", "steps": [2] }, { "run": "x.3", "steps": [2] }]);
    assert_eq!(clerk.found("tool=get_stock status=ok"), fine);
    assert_eq!(clerk.found("tool=get_stock status!=error"), fine);

    // A name that is nowhere, and the nearest that is somewhere.
    for (terms, meant) in [
        ("tool=get_stok", "get_stock"),
        ("model=smal", "small"),
        ("agent=clrk", "clerk"),
        ("span=\"execute_tool get_stok\"", "execute_tool get_stock"),
    ] {
        let told = clerk.env.retake(["ls", "--where", terms]).expect(0).out;
        assert!(told.starts_with("nothing found in 3 runs\n"), "{told}");
        assert!(told.ends_with(&format!("; did you mean {meant}?\n")), "{told}");
    }
    for terms in ["tool=get_stock time>1m", "tool=something_else", "tool!=get_stock tool=get_stock"] {
        let told = clerk.env.retake(["ls", "--where", terms]).expect(0).out;
        assert_eq!(told, "nothing found in 3 runs\n", "{terms}");
    }
    let quotes = clerk.env.retake(["ls", "--where", "agent=writer of tides status=ok"]).expect(64);
    assert!(quotes.err.contains("double quotes: agent=\"writer of tides\"\n"), "{}", quotes.err);
}

#[test]
fn figures_go_by_what_spans_say() {
    let clerk = Clerk::new();
    let one = clerk.stats(&["x.1"]);
    assert_eq!((&one["agents"]["clerk"]["calls"], &one["agents"]["writer"]["calls"]), (&json!(2), &json!(1)));
    assert_eq!(one["agents"].as_object().expect("agents").len(), 2, "{one}");
    let stock = &one["tools"]["get_stock"];
    assert_eq!((&stock["errors"], &stock["latency"]["at_most"]), (&json!(1), &json!(false)), "{stock}");
    let tree = clerk.env.retake(["show", "x.1", "--tree", "--json"]).expect(0).json();
    let took =
        of_step(&tree, 2).map(|tool| tool["end_us"].as_u64().unwrap() - tool["start_us"].as_u64().unwrap());
    assert_eq!(stock["latency"]["p50_us"].as_u64(), took, "{tree}");

    let plain = clerk.stats(&["x.3"]);
    assert_eq!(plain["tools"]["get_stock"]["latency"]["at_most"], json!(true), "{plain}");
    assert!(plain["agents"].get("main").is_some() && plain.get("unnamed").is_none(), "{plain}");

    let all = clerk.stats(&[]);
    assert_eq!((&all["agents"]["clerk"]["calls"], &all["agents"]["writer"]["calls"]), (&json!(4), &json!(2)));
    assert!(all["agents"].get("main").is_none(), "{all}");
    assert_eq!((&all["unnamed"]["lanes"], &all["unnamed"]["calls"]), (&json!(2), &json!(3)), "{all}");
    assert!(clerk.env.retake(["stats"]).expect(0).out.contains("no name (2 lanes)"));
}

#[test]
fn the_kind_of_an_error_leaves_and_its_words_stay() {
    let clerk = Clerk::new();
    clerk.env.retake(["export", "x.1", "--otlp", "x.json"]).expect(0);
    let told = std::fs::read_to_string(clerk.env.work().join("x.json")).expect("a file");
    assert!(!told.contains("the secret shelf"), "{told}");
    assert_eq!(told.matches("ShelfError").count(), 2, "of the span and of its event: {told}");
    assert!(told.contains("error.type") && told.contains("exception.type"), "{told}");
}

#[test]
fn nothing_to_export_makes_no_file() {
    let clerk = Clerk::new();
    let export = |flags: &[&str]| clerk.env.retake([&["export", "--otlp"], flags].concat());
    let told = export(&["none.json", "--where", "tool=get_stok"]).expect(0);
    assert!(told.out.starts_with("nothing found: "), "{}", told.out);
    told.says(&["did you mean get_stock?"]);
    assert!(!clerk.env.work().join("none.json").exists());
    let left = export(&["none.json", "--where", "name=x.2", "--sample", "0%"]).expect(0);
    assert_eq!(left.out, "of 1 run none is in the sample; nothing is exported\n");
    let empty = export(&["-", "--where", "name=y"]).expect(0);
    assert_eq!(empty.json(), json!({ "resourceSpans": [] }));
    for (to, hint) in [
        ("localhost:18910", "--otlp http://localhost:18910;"),
        ("10.0.0.1:4318/v1/traces", "http://10.0.0.1:4318/v1/traces;"),
        ("ftp://x", "--otlp http://x;"),
    ] {
        let refused = clerk.env.retake(["export", "x.1", "--otlp", to]).expect(64);
        assert!(refused.err.contains(hint), "{}", refused.err);
    }
    assert!(!clerk.env.work().join("localhost:18910").exists());
    // A file of such a name is written when it is named as one; whoever names runs may still ask for a share of them.
    export(&["./localhost:18910", "x.1"]).expect(0);
    assert!(clerk.env.work().join("localhost:18910").exists());
    let dry = export(&["-", "x.2", "--dry-run", "--sample", "0%"]).expect(0).out;
    assert_eq!(dry, "of 1 run none is in the sample; nothing is exported\n");
    clerk.env.file("retake.toml", "[sampling]\nshare = \"0%\"\n");
    let dry = export(&["-", "x.2", "--dry-run"]).expect(0).out;
    assert_eq!(dry, "would export   x.2\n");
}

#[test]
fn what_is_wrong_with_a_file_is_said_once_with_a_hint() {
    let clerk = Clerk::new();
    clerk.env.file("retake.toml", "[samplng]\nshare = \"10%\"\n");
    for words in [&["ls"][..], &["show", "x.1"], &["stats"], &["diff", "x.1", "x.1"]] {
        let told = clerk.env.retake(words).expect(0).err;
        assert_eq!(told.matches("line 1").count(), 1, "{told}");
        assert!(told.contains("hint: did you mean sampling?"), "{told}");
    }
    // Of one of the calls nobody knows a price.
    clerk.env.file("retake.toml", "[prices.small]\ninput = 1\noutput = 2\n");
    for words in [&["stats", "x.1"][..], &["show", "x.1", "--tree"], &["ls"]] {
        let told = clerk.env.retake(words).expect(0).out;
        assert_eq!(told.matches("+  some calls have no price").count(), 1, "{told}");
    }
    clerk.env.file(
        "retake.toml",
        "[prices.small]\ninput = 1\noutput = 2\n[prices.large]\ninput = 1\noutput = 2\n",
    );
    for words in [&["stats", "x.1"][..], &["show", "x.1", "--tree"], &["ls"]] {
        assert!(!clerk.env.retake(words).expect(0).out.contains("some calls have no price"));
    }
}
