//! Exported runs in a real backend. On request: `cargo test --test it -- --ignored phoenix` installs Phoenix into
//! `target/` (some 600 MB), starts it, sends it runs and reads their trees back. With `RETAKE_CAPTURE=1` it writes
//! what it sent and what Phoenix answered to `fixtures/otlp/phoenix/`, which the other test here reads each time.

use crate::examples::Model;
use crate::support::env::{TestEnv, project};
use crate::support::venv;
use prost::Message;
use retake::otlp::proto::{Span, Traces, Value as Attribute};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PINNED: &str = "arize-phoenix==20.26.1";
/// Its first start makes a database.
const PATIENCE: Duration = Duration::from_secs(600);
/// Attributes with the tokens of a model call.
const TOKENS: [&str; 2] = ["gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"];

/// Phoenix on free ports, with a database that goes with it.
struct Phoenix {
    child: Child,
    port: u16,
    _room: tempfile::TempDir,
}

impl Phoenix {
    fn start() -> Phoenix {
        let python = venv::python("phoenix-venv", &[PINNED]);
        let room = tempfile::tempdir().expect("a directory");
        let free = || TcpListener::bind("127.0.0.1:0").and_then(|at| at.local_addr()).expect("a port").port();
        let (port, grpc) = (free(), free());
        let log = std::fs::File::create(room.path().join("log")).expect("a file");
        let child = Command::new(python.with_file_name("phoenix"))
            .arg("serve")
            .env("PHOENIX_WORKING_DIR", room.path())
            .env("PHOENIX_HOST", "127.0.0.1")
            .env("PHOENIX_PORT", port.to_string())
            .env("PHOENIX_GRPC_PORT", grpc.to_string())
            .env("PHOENIX_TELEMETRY_ENABLED", "false")
            .env("PHOENIX_SQL_DATABASE_URL", format!("sqlite:///{}/p.db", room.path().display()))
            .stdout(log.try_clone().expect("a file"))
            .stderr(Stdio::from(log))
            .spawn()
            .expect("Phoenix starts");
        let mut phoenix = Phoenix { child, port, _room: room };
        let begun = Instant::now();
        while phoenix.get("/healthz").is_none() {
            let ended = phoenix.child.try_wait().expect("a child");
            assert!(ended.is_none() && begun.elapsed() < PATIENCE, "Phoenix does not answer: {ended:?}");
            std::thread::sleep(Duration::from_millis(500));
        }
        phoenix
    }

    fn get(&self, path: &str) -> Option<Vec<u8>> {
        let mut socket = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        socket.write_all(format!("GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n").as_bytes()).ok()?;
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).ok()?;
        let head = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
        String::from_utf8_lossy(&answer[..head]).contains(" 200 ").then(|| answer.split_off(head + 4))
    }

    /// Its spans, when there are so many: it takes them at once and writes them a little later.
    fn spans(&self, many: usize) -> Vec<Shown> {
        let begun = Instant::now();
        loop {
            let answer = self.get("/v1/projects/default/spans?limit=1000").unwrap_or_default();
            let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
            let spans: Vec<Shown> =
                answer["data"].as_array().into_iter().flatten().map(Shown::by_phoenix).collect();
            if spans.len() >= many {
                return spans;
            }
            assert!(begun.elapsed() < PATIENCE, "{} of {many} spans", spans.len());
            std::thread::sleep(Duration::from_millis(500));
        }
    }
}

impl Drop for Phoenix {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a backend shows of a span.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Shown {
    trace: String,
    id: String,
    parent: String,
    name: String,
    kind: String,
    failed: bool,
    tokens: [Option<u64>; 2],
}

impl Shown {
    fn by_phoenix(span: &Value) -> Shown {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
        Shown {
            trace: text(&span["context"]["trace_id"]),
            id: text(&span["context"]["span_id"]),
            parent: text(&span["parent_id"]),
            name: text(&span["name"]),
            kind: text(&span["span_kind"]),
            failed: span["status_code"] == "ERROR",
            tokens: ["llm.token_count.prompt", "llm.token_count.completion"]
                .map(|name| span["attributes"][name].as_u64()),
        }
    }

    fn by_export(span: &Span) -> Shown {
        let attribute = |name: &str| {
            let found = span.attributes.iter().find(|one| one.key == name)?;
            found.value.as_ref()?.value.clone()
        };
        let text = |name: &str| match attribute(name) {
            Some(Attribute::String(text)) => Some(text),
            _ => None,
        };
        let number = |name: &str| match attribute(name) {
            Some(Attribute::Int(number)) => u64::try_from(number).ok(),
            _ => None,
        };
        // Where OpenInference's names are not sent, Phoenix goes by the operation.
        let kind = match text("gen_ai.operation.name").as_deref() {
            Some("chat") => "LLM",
            Some("execute_tool") => "TOOL",
            Some("invoke_agent") => "AGENT",
            _ => "UNKNOWN",
        };
        Shown {
            trace: hex(&span.trace_id),
            id: hex(&span.span_id),
            parent: hex(&span.parent_span_id),
            name: span.name.clone(),
            kind: text("openinference.span.kind").unwrap_or_else(|| kind.into()),
            failed: span.status.as_ref().is_some_and(|status| status.code == 2),
            tokens: TOKENS.map(number),
        }
    }

    fn line(&self) -> String {
        let failed = if self.failed { " failed" } else { "" };
        let tokens = match self.tokens {
            [None, None] => String::new(),
            [input, output] => format!(" {}>{}", input.unwrap_or(0), output.unwrap_or(0)),
        };
        format!("{} {}{tokens}{failed}", self.kind, self.name)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn spans(traces: &Traces) -> Vec<&Span> {
    let scopes = traces.resource_spans.iter().flat_map(|of| &of.scope_spans);
    scopes.flat_map(|of| &of.spans).collect()
}

/// Each trace as a tree in one line; what stands side by side goes by its name.
fn trees(spans: &[Shown]) -> Vec<String> {
    let mut below: BTreeMap<(&str, &str), Vec<&Shown>> = BTreeMap::new();
    spans.iter().for_each(|span| below.entry((&span.trace, &span.parent)).or_default().push(span));
    fn drawn(span: &Shown, below: &BTreeMap<(&str, &str), Vec<&Shown>>) -> String {
        let children = below.get(&(span.trace.as_str(), span.id.as_str())).into_iter().flatten();
        joined(span.line(), children.map(|child| drawn(child, below)).collect())
    }
    let roots = spans.iter().filter(|span| span.parent.is_empty());
    let mut trees: Vec<String> = roots.map(|root| drawn(root, &below)).collect();
    trees.sort();
    trees
}

fn joined(line: String, mut children: Vec<String>) -> String {
    children.sort();
    if children.is_empty() { line } else { format!("{line} ({})", children.join(", ")) }
}

/// The same of a node that `show --tree --json` tells of.
fn drawn(node: &Value, openinference: bool) -> String {
    let name = node["name"].as_str().expect("a name");
    let (kind, operation) = match node["kind"].as_str().expect("a kind") {
        "run" | "workflow" => ("CHAIN", "invoke_workflow "),
        "agent" => ("AGENT", "invoke_agent "),
        "model" => ("LLM", "chat "),
        "tool" => ("TOOL", "execute_tool "),
        _ => ("CHAIN", ""),
    };
    let kind = if kind == "CHAIN" && !openinference { "UNKNOWN" } else { kind };
    let shown = Shown {
        trace: String::new(),
        id: String::new(),
        parent: String::new(),
        name: format!("{operation}{name}"),
        kind: kind.into(),
        failed: node.get("error").is_some(),
        tokens: ["input", "output"].map(|side| node["usage"][side].as_u64()),
    };
    let children = node["children"].as_array().into_iter().flatten();
    joined(shown.line(), children.map(|child| drawn(child, openinference)).collect())
}

/// A run with spans, one without, a fork of it, and one that fails; their names. `before`: those of earlier ones.
fn record(env: &TestEnv, before: &[String]) -> Vec<String> {
    let agent = ["python3", "agent_loop.py"];
    env.retake([&["run", "--name", "spanned", "--"][..], &agent].concat()).expect(0);
    let without = ["run", "--name", "plain", "--", "env", "-u", "OTEL_EXPORTER_OTLP_ENDPOINT"];
    env.retake([&without[..], &agent].concat()).expect(0);
    let plain = env.listed().pop().expect("a run");
    env.retake(["fork", &plain, "--set", "3:result=\"9\""]).expect(0);
    env.retake(["fork", &plain, "--set", "4:fault=500"]).expect(0);
    env.listed().into_iter().filter(|run| !before.contains(run)).collect()
}

/// The tree of a run, as `show` tells it; one root that has a span needs no other one around it.
fn shown(env: &TestEnv, run: &str, openinference: bool) -> String {
    let tree = env.retake(["show", run, "--tree", "--full", "--json"]).expect(0).json();
    match tree["children"].as_array().map(Vec::as_slice) {
        Some([only]) if only.get("span").is_some() => drawn(only, openinference),
        _ => drawn(&tree, openinference),
    }
}

/// Each convention, with the flags for it.
const CONVENTIONS: [(&str, &[&str]); 2] = [("genai", &[]), ("openinference", &["--openinference"])];

fn captures() -> PathBuf {
    project().join("fixtures/otlp/phoenix")
}

#[test]
#[ignore = "installs and starts Phoenix: cargo test --test it -- --ignored phoenix"]
fn phoenix_shows_the_trees_that_retake_shows() {
    let model = Model::start(&[]);
    let mut env = TestEnv::new();
    env.upstream(&model.origin());
    // The commands of the recordings name no directory of this machine.
    for script in ["agent_loop.py", "client.py", "tracing.py"] {
        std::fs::copy(project().join("examples").join(script), env.work().join(script)).expect("a copy");
    }
    let phoenix = Phoenix::start();
    let url = format!("http://127.0.0.1:{}", phoenix.port);
    let (mut expected, mut sent, mut runs) = (Vec::new(), Vec::new(), Vec::new());
    for (name, flags) in CONVENTIONS {
        let recorded = record(&env, &runs);
        let named: Vec<&str> = recorded.iter().map(String::as_str).collect();
        let file = format!("{name}.pb");
        for to in [&url, &file] {
            env.retake([&["export", "--otlp", to], flags, &named].concat()).expect(0);
        }
        let traces = Traces::decode(&*std::fs::read(env.work().join(&file)).expect("a file"));
        sent.extend(spans(&traces.expect("protobuf")).into_iter().map(Shown::by_export));
        expected.extend(recorded.iter().map(|run| shown(&env, run, !flags.is_empty())));
        runs.extend(recorded);
    }
    expected.sort();
    let mut told = phoenix.spans(sent.len());
    assert_eq!(trees(&told), expected);
    told.sort();
    sent.sort();
    assert_eq!(told, sent);
    assert_eq!(told.iter().filter(|span| span.failed).count(), 2, "the call that was made to fail");
    if std::env::var_os("RETAKE_CAPTURE").is_some() {
        capture(&env, &told, &runs);
    }
}

/// Writes what was sent and what was answered.
fn capture(env: &TestEnv, told: &[Shown], runs: &[String]) {
    let folder = captures();
    std::fs::create_dir_all(&folder).expect("a directory");
    for (name, _) in CONVENTIONS {
        let file = format!("{name}.pb");
        std::fs::copy(env.work().join(&file), folder.join(&file)).expect("a copy");
    }
    for run in runs.iter().filter(|run| ["plain.1", "plain.2", "plain.3"].contains(&run.as_str())) {
        let file = folder.join(format!("{run}.retake")).display().to_string();
        env.retake(["export", run, &file, "--force"]).expect(0);
    }
    let spans: Vec<Value> = told
        .iter()
        .map(|span| {
            json!({ "name": span.name, "context": { "trace_id": span.trace, "span_id": span.id },
                "parent_id": if span.parent.is_empty() { None } else { Some(&span.parent) }, "span_kind": span.kind,
                "status_code": if span.failed { "ERROR" } else { "UNSET" },
                "attributes": { "llm.token_count.prompt": span.tokens[0], "llm.token_count.completion": span.tokens[1] } })
        })
        .collect();
    let text = serde_json::to_string_pretty(&json!({ "data": spans })).expect("JSON");
    std::fs::write(folder.join("answer.json"), text + "\n").expect("write");
}

fn captured(file: &Path) -> Vec<Shown> {
    let traces = Traces::decode(&*std::fs::read(file).expect("a capture")).expect("protobuf");
    spans(&traces).into_iter().map(Shown::by_export).collect()
}

/// The bytes that were sent are what Phoenix showed, and what retake makes of the same runs today.
#[test]
fn what_is_exported_is_what_phoenix_took() {
    let folder = captures();
    let answer: Value =
        serde_json::from_slice(&std::fs::read(folder.join("answer.json")).expect("a capture")).expect("JSON");
    let mut told: Vec<Shown> =
        answer["data"].as_array().expect("spans").iter().map(Shown::by_phoenix).collect();
    let mut sent: Vec<Shown> =
        CONVENTIONS.iter().flat_map(|(name, _)| captured(&folder.join(format!("{name}.pb")))).collect();
    told.sort();
    sent.sort();
    assert!(sent.len() > 50, "{}", sent.len());
    assert_eq!(told, sent);

    let env = TestEnv::new();
    let runs = ["plain.1", "plain.2", "plain.3"];
    for run in runs {
        env.retake(["import", &folder.join(format!("{run}.retake")).display().to_string()]).expect(0);
    }
    env.retake([&["export", "--otlp", "today.pb"][..], &runs].concat()).expect(0);
    let mut today = captured(&env.work().join("today.pb"));
    today.sort();
    let traces: Vec<&str> = today.iter().map(|span| span.trace.as_str()).collect();
    sent.retain(|span| traces.contains(&span.trace.as_str()));
    assert_eq!(today, sent);
    let mut shown: Vec<String> = runs.iter().map(|run| shown(&env, run, false)).collect();
    shown.sort();
    assert_eq!(trees(&today), shown);
}
