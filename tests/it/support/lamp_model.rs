//! A model that sells lamps, for `agents/lamps.py`: every answer is computed from the request alone, in every dialect,
//! streamed and not, with signed reasoning where it is asked for.

use crate::support::env::{Ran, TestEnv, project};
use crate::support::upstream::{FakeUpstream, Received, Script};
use retake::dialect;
use retake::dialect::conversation::{Block, ModelRequest, Role};
use retake::exchange::{HeaderList, RequestHead};
use serde_json::{Value, json};
use std::sync::OnceLock;

/// What the model thinks with its signature, for so many results.
pub fn thought(model: &str, results: usize) -> [Value; 2] {
    let thinking = json!({"type": "thinking", "thinking": format!("hm {results} \u{e9}"), "signature": format!("c2ln+/{model}{results}==")});
    [thinking, json!({"type": "redacted_thinking", "data": format!("b3BhcXVl/{model}{results}=")})]
}

/// A running lamp model, and what it was asked.
pub struct LampModel(FakeUpstream);

impl LampModel {
    pub fn start() -> LampModel {
        LampModel(FakeUpstream::reading(|_, request| answer(request)))
    }

    /// One that does something else for some requests (by number, counted from 0).
    pub fn failing(at: impl Fn(usize) -> Option<Script> + Send + Sync + 'static) -> LampModel {
        LampModel(FakeUpstream::reading(move |n, request| at(n).unwrap_or_else(|| answer(request))))
    }

    pub fn origin(&self) -> String {
        self.0.origin()
    }

    pub fn connections(&self) -> u32 {
        self.0.connections()
    }

    /// The paths and queries it was asked under.
    pub fn targets(&self) -> Vec<String> {
        self.0.received().into_iter().map(|r| r.target).collect()
    }

    /// The requests it got.
    pub fn received(&self) -> Vec<Received> {
        self.0.received()
    }

    /// The bodies it got, as bytes.
    pub fn bodies(&self) -> Vec<Vec<u8>> {
        self.0.received().into_iter().map(|r| r.body).collect()
    }

    /// Those behind the first so many, as JSON.
    pub fn since(&self, known: usize) -> Vec<Value> {
        self.bodies().iter().skip(known).map(|b| serde_json::from_slice(b).expect("JSON")).collect()
    }
}

/// A recording of the lamp agent as `lamp.1`, with its model.
pub struct Recorded {
    pub env: TestEnv,
    pub model: LampModel,
    pub ran: Ran,
    /// Requests of the recording.
    pub asked: usize,
}

fn agent(task: &str) -> [&str; 3] {
    static SCRIPT: OnceLock<String> = OnceLock::new();
    let script = SCRIPT.get_or_init(|| project().join("tests/it/agents/lamps.py").display().to_string());
    ["python3", script, task]
}

/// Records the agent with these variables.
pub fn record(model: LampModel, task: &str, vars: &[(&str, &str)]) -> Recorded {
    let mut env = TestEnv::new();
    env.upstream(&model.origin());
    vars.iter().for_each(|(name, value)| env.set(name, *value));
    let ran = env.retake(["run", "--name", "lamp", "--"].into_iter().chain(agent(task))).expect(0);
    let asked = model.bodies().len();
    Recorded { env, model, ran, asked }
}

impl Recorded {
    /// Forks `lamp.1` and gives what came of it with the bodies that went live.
    #[track_caller]
    pub fn fork(&self, args: &[&str], code: i32) -> (Ran, Vec<Value>) {
        let before = self.model.bodies().len();
        let ran = self.env.retake(["fork", "lamp.1"].iter().chain(args)).expect(code);
        (ran, self.model.since(before))
    }

    /// The same with the command in full, so that today's variables count and not the recorded ones.
    #[track_caller]
    pub fn fork_today(&self, task: &str, args: &[&str], code: i32) -> (Ran, Vec<Value>) {
        self.fork_with(&agent(task), args, code)
    }

    /// The same with another command.
    #[track_caller]
    pub fn fork_with(&self, command: &[&str], args: &[&str], code: i32) -> (Ran, Vec<Value>) {
        let args: Vec<&str> = args.iter().chain(&["--"]).chain(command).copied().collect();
        self.fork(&args, code)
    }
}

fn answer(received: &Received) -> Script {
    let head = RequestHead {
        method: received.method.clone(),
        target: received.target.clone(),
        headers: HeaderList::default(),
    };
    if head.target.ends_with("/api/embed") {
        return Script::body("200 OK", &[("Content-Type", "application/json")], &embedding(&received.body));
    }
    let Some((dialect, _)) = dialect::recognise(&head) else {
        return Script::body("404 Not Found", &[], b"");
    };
    let request = dialect.read_request(&received.target, &received.body).expect("a request of its dialect");
    let mut blocks = decide(&request);
    if matches!(dialect.name(), "gemini" | "ollama") {
        // As Gemini before 3, and as Ollama long did: calls have no ids.
        for block in &mut blocks {
            if let Block::ToolCall { id, .. } = block {
                id.clear();
            }
        }
    }
    if request.params.contains_key("thinking") {
        let results = tool_results(&request).len();
        let thought = thought(&request.model, results).map(|value| Block::Other { value });
        blocks.splice(0..0, thought);
    }
    let rendered = dialect.render_answer(&head.target, &blocks, None, &request.model, request.stream);
    Script::body("200 OK", &[("Content-Type", rendered.content_type)], &rendered.body)
}

/// A vector for a text, as Ollama gives it.
fn embedding(body: &[u8]) -> Vec<u8> {
    let asked: Value = serde_json::from_slice(body).expect("JSON");
    let text = plain(&asked["input"]);
    let vector: Vec<u32> = (0..3).map(|at| text.bytes().map(|b| u32::from(b) << at).sum()).collect();
    json!({"model": asked["model"], "embeddings": [vector]}).to_string().into_bytes()
}

fn tool_results(request: &ModelRequest) -> Vec<Value> {
    let blocks = request.messages.iter().flat_map(|m| &m.blocks);
    let texts = blocks.filter_map(|b| match b {
        Block::ToolResult { text, .. } => serde_json::from_str(text).ok(),
        _ => None,
    });
    texts.collect()
}

fn decide(request: &ModelRequest) -> Vec<Block> {
    let results = tool_results(request);
    let users = request.messages.iter().filter(|m| m.role == Role::User);
    let task = users.map(|m| m.text()).find(|t| !t.is_empty()).unwrap_or_default();
    let systems = request.messages.iter().filter(|m| m.role == Role::System).map(|m| m.text());
    let outside = request.system.iter().filter_map(|b| match b {
        Block::Text { text } => Some(text.clone()),
        _ => None,
    });
    let system = outside.chain(systems).collect::<Vec<_>>().join(" ");
    let temperature = request.params.get("temperature").map(|t| format!(" at {t}")).unwrap_or_default();
    let say = |text: String| {
        vec![Block::Text { text: format!("{text} ({}{temperature}; {system})", request.model) }]
    };
    let item = task.rsplit(": ").next().unwrap_or_default();
    let call = |name: &str, item: &str| {
        vec![
            Block::Text { text: format!("Let me {name}.") },
            Block::ToolCall {
                id: format!("call_{name}_{}", results.len()),
                name: name.to_string(),
                args: json!({"item": item}),
            },
        ]
    };
    if task.starts_with("Sum up") {
        return say(task);
    }
    match results.as_slice() {
        [] => call("look", item),
        [look] if look["stock"] == 0 => say(format!("No {} left", plain(&look["item"]))),
        [look] => call("price", plain(&look["item"])),
        [look, price] => say(format!("{} of {} for {}", look["stock"], plain(&look["item"]), price["eur"])),
        more => say(format!("{} results", more.len())),
    }
}

fn plain(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
